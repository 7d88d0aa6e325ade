//! What nodes and programs bring: transfers, blocks, handshakes.

use super::{Node, dev_accounts, next_block};
use crate::primitives::{Amount, Block, BlockHash, PublicKey};
use crate::wire::{BlockAnnouncement, Handshake, Reach, block_to_json, transfer_to_json};

fn key(number: usize) -> PublicKey {
    dev_accounts()[number].public_key()
}

fn announce(node: &Node, block: &Block, from: Option<Reach>) -> String {
    BlockAnnouncement { block: block.clone(), from }.to_json(node.handle().prefix())
}

/// The block with a proof of work after a change.
fn mined(mut block: Block) -> Block {
    let root = crate::consensus::merkle::tx_root(&block.txids());
    block.header.commitment = crate::consensus::merkle::commitment(&root, &block.roots);
    while !crate::consensus::params::ChainParams::dev().retarget.easiest.is_met_by(&block.hash()) {
        block.header.nonce += 1;
    }
    block
}

#[test]
fn transfers_are_taken_once_and_known_afterwards() {
    let node = Node::new();
    let prefix = node.handle().prefix();
    let [alice, ..] = dev_accounts();
    let text = |coins, nonce| transfer_to_json(&node.transfer(&alice, coins, nonce), prefix);
    let (line, first) = ("POST /broadcast-transaction", text(1, 0));
    let taken = node.ok(201, line, &first);
    assert_eq!(super::names(&taken), ["message", "transaction"]);
    assert_eq!(taken["transaction"], serde_json::from_str::<serde_json::Value>(&first).unwrap());
    let again = node.ok(201, line, &first);
    assert!(again["message"].as_str().unwrap().contains("already known"), "{again}");
    let early = text(1, 2);
    for expected in [202, 201] {
        let waiting = node.ok(expected, line, &early);
        let word = if expected == 202 { "waits" } else { "already known" };
        assert!(waiting["message"].as_str().unwrap().contains(word), "{waiting}");
    }
    assert_eq!(node.get("/transactions").as_array().unwrap().len(), 1);
    node.ok(201, line, &text(1, 1));
    assert_eq!(node.get("/transactions").as_array().unwrap().len(), 3);

    node.fails((500, "nonce-too-far"), line, &text(1, 100));
    node.fails((500, "fee-too-low"), line, &text(2, 0));
    node.fails((500, "insufficient-funds"), line, &text(20_000_000, 3));
    node.fails((400, "zero-amount"), line, &text(0, 3));
    let mut forged = node.transfer(&alice, 1, 3);
    forged.amount = Amount::from_units(2);
    node.fails((500, "bad-signature"), line, &transfer_to_json(&forged, prefix));
    let unsigned = text(1, 3).replace("\"signature\"", "\"seal\"");
    node.fails((400, "field-unknown"), line, &unsigned);

    node.wallet();
    node.ok(201, "POST /mine", "");
    node.fails((500, "nonce-used"), line, &first);
}

#[test]
fn blocks_are_taken_to_the_best_chain_or_beside_it() {
    let node = Node::new();
    let line = "POST /broadcast-block";
    let (best, side) = (next_block(node.handle(), key(0)), next_block(node.handle(), key(1)));
    let taken = node.ok(201, line, &announce(&node, &best, None));
    assert_eq!(taken, serde_json::json!({"message": "Block added."}));
    let again = node.ok(201, line, &announce(&node, &best, None));
    assert!(again["message"].as_str().unwrap().contains("already known"));
    let beside = node.ok(201, line, &announce(&node, &side, Some(Reach::Port(5001))));
    assert!(beside["message"].as_str().unwrap().contains("side branch"));
    assert_eq!(node.get("/status")["tip"], best.hash().to_string());
    assert!(node.parts().peers.ahead.lock().unwrap().is_empty());
    // The side branch becomes heavier.
    let other = Node::new();
    other.handle().submit_block(side, crate::node::Origin::Anyone).unwrap();
    let next = next_block(other.handle(), key(1));
    node.ok(201, line, &announce(&node, &next, None));
    assert_eq!(node.get("/status")["tip"], next.hash().to_string());
}

#[test]
fn a_block_ahead_of_ours_is_200_and_its_sender_is_asked() {
    let (node, other) = (Node::new(), Node::new());
    other.wallet();
    other.ok(201, "POST /mine", "");
    let ahead = next_block(other.handle(), key(0));
    let peers = &node.parts().peers;
    let client = std::net::IpAddr::from([127, 0, 0, 1]);
    let named = Reach::Node("10.0.0.1:5003".parse().unwrap());
    for from in [None, Some(Reach::Port(5001)), Some(named)] {
        let text = announce(&node, &ahead, from.clone());
        let answer = node.ok(200, "POST /broadcast-block", &text);
        assert!(answer["message"].as_str().unwrap().contains("ahead"), "{answer}");
        let asked = peers.ahead.lock().unwrap().pop().unwrap();
        assert_eq!(asked, (from, client));
    }
    // Without work nobody is asked.
    let mut idle = ahead;
    while crate::consensus::params::ChainParams::dev().retarget.easiest.is_met_by(&idle.hash()) {
        idle.header.nonce += 1;
    }
    node.fails((409, "no-proof-of-work"), "POST /broadcast-block", &announce(&node, &idle, None));
    assert!(peers.ahead.lock().unwrap().is_empty());
}

#[test]
fn invalid_blocks_are_409_and_change_nothing() {
    let node = Node::new();
    let good = next_block(node.handle(), key(0));
    let with = |change: fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        block
    };
    let reward = mined(with(|block| block.coinbase.amount = Amount::from_units(1_000_000_001)));
    let height = mined(with(|block| block.coinbase.height.0 = 7));
    let roots = mined(with(|block| block.roots.accounts = crate::primitives::Hash256::ZERO));
    let body = with(|block| block.coinbase.amount = Amount::from_units(1));
    let mut foreign = with(|block| block.header.previous = BlockHash::ZERO);
    foreign.header.bits.0 = 0x207f_ffff;
    for (block, code) in [
        (reward, "wrong-reward"),
        (height, "wrong-height"),
        (roots, "wrong-roots"),
        (body, "wrong-commitment"),
    ] {
        node.fails((409, code), "POST /broadcast-block", &announce(&node, &block, None));
    }
    assert_eq!(node.get("/status")["height"], 0);
    // The honest body of the same header is still welcome.
    node.ok(201, "POST /broadcast-block", &announce(&node, &good, None));
    let text = block_to_json(&good, node.handle().prefix());
    node.fails((400, "field-unknown"), "POST /broadcast-block", &text);
}

#[test]
fn nodes_are_told_of_others() {
    let node = Node::new();
    node.ok(201, "POST /node", r#"{"node":"127.0.0.1:5001"}"#);
    assert_eq!(node.get("/addresses"), serde_json::json!({"addresses": ["127.0.0.1:5001"]}));
}

#[test]
fn handshakes_are_answered_or_refused() {
    let node = Node::new();
    let theirs = node.handshake();
    let answer = node.call("POST /handshake", &theirs.to_json());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(Handshake::from_json(answer.text()).unwrap().instance, 2);
    let stranger = Handshake { chain_id: BlockHash::ZERO, ..theirs };
    let message = node.fails((409, "other-chain"), "POST /handshake", &stranger.to_json());
    assert!(message.contains(&BlockHash::ZERO.to_string()), "{message}");
}
