//! Nodes and their peers: how they find each other, and what a peer that lies, dawdles or talks nonsense
//! can do, which is nothing.

use crate::harness::{Node, Start, wait, wait_until};
use crate::made_up::{chain_of, greeting, made_up, with_chain};
use crate::mirror::{DEV, address, draft};
use farthing::consensus::params::ChainParams;
use farthing::primitives::Amount;
use farthing::primitives::amount::COIN;
use farthing::testkit::TestKey;
use farthing::wire::{Announcement, PoolSummary, block_to_json};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// How often a peer is told something new until all of it has come in time: a machine may be busy.
const ANNOUNCING_TRIES: usize = 5;

fn peers(node: &Node) -> Value {
    node.get("/nodes").expect(200)["all_nodes"].clone()
}

/// Whether a peer is in this state.
fn is(node: &Node, peer: &str, state: &str) -> bool {
    let nodes = node.get("/nodes").expect(200);
    let mut peers = nodes["peers"].as_array().expect("an array").iter();
    peers.any(|known| known["node"] == json!(peer) && known["state"] == json!(state))
}

/// Waits until a peer is in this state.
fn stands(node: &Node, peer: &str, state: &str) {
    wait_until(&format!("{peer} to be {state}"), || is(node, peer, state));
}

fn add(node: &Node, peer: &str) -> crate::harness::Answer {
    node.post("/node", &json!({"node": peer}))
}

#[test]
fn adding_a_peer_is_mutual() {
    let (a, b) = (Node::dev(), Node::dev());
    let added = add(&a, &b.address()).expect(201);
    assert_eq!(added["all_nodes"], json!([b.address()]));
    stands(&a, &b.address(), "connected");
    stands(&b, &a.address(), "connected");
    wait_until("the count of peers", || a.status()["peers"] == 1 && b.status()["peers"] == 1);
}

#[test]
fn a_node_of_another_network_is_refused_and_both_genesis_ids_are_named() {
    let (dev, main) = (Node::dev(), Start::default().network("main").node());
    for (one, other) in [(&dev, &main), (&main, &dev)] {
        let answer = add(one, &other.address());
        assert_eq!((answer.status, &*answer.code()), (400, "other-chain"), "{}", answer.text);
        for params in [ChainParams::dev(), ChainParams::main()] {
            assert!(answer.text.contains(&params.chain_id().to_string()), "{}", answer.text);
        }
        assert_eq!(peers(one), json!([]));
    }
}

#[test]
fn a_node_does_not_join_itself_under_any_name() {
    let node = Node::dev();
    for name in ["localhost", "127.0.0.1", "LOCALHOST"] {
        let answer = add(&node, &format!("{name}:{}", node.port));
        assert_eq!((answer.status, &*answer.code()), (400, "own-address"), "{}", answer.text);
    }
    assert_eq!(peers(&node), json!([]));
}

#[test]
fn a_removed_peer_stays_away_until_it_is_added_again() {
    let (mut a, b) = (Node::dev(), Node::dev());
    add(&a, &b.address()).expect(201);
    stands(&b, &a.address(), "connected");
    let removed = a.call("DELETE", &format!("/node/{}", b.address())).expect(200);
    assert_eq!(removed["all_nodes"], json!([]));
    // The other knocks again, and is not taken in, not even after a restart.
    add(&b, &a.address()).expect(201);
    assert!(a.stop().success());
    a.restart();
    add(&b, &a.address()).expect(201);
    assert_eq!(peers(&a), json!([]));
    add(&a, &b.address()).expect(201);
    stands(&a, &b.address(), "connected");
}

#[test]
fn a_peer_that_is_down_is_added_and_joined_when_it_comes() {
    let (a, mut b) = (Node::dev(), Node::dev());
    a.mine_for_a_wallet();
    assert!(b.stop().success());
    let added = add(&a, &b.address()).expect(201);
    assert_eq!(added["all_nodes"], json!([b.address()]));
    stands(&a, &b.address(), "unreachable");
    b.restart();
    stands(&a, &b.address(), "connected");
    stands(&b, &a.address(), "connected");
    wait_until("the block to come", || b.tip() == a.tip());
}

#[test]
fn peers_of_the_command_line_and_the_file_are_joined_at_start() {
    let (a, b) = (Node::dev(), Node::dev());
    let c = Start::default().flag("--peer").flag(a.address()).flag("--peer").flag(b.address());
    let c = c.node();
    stands(&c, &a.address(), "connected");
    stands(&c, &b.address(), "connected");
    let dir = tempfile::tempdir().unwrap();
    let config = format!("[node]\npeers = [\"{}\"]\n", a.address());
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    let d = Start::default().node_in(dir.path());
    stands(&d, &a.address(), "connected");
    stands(&a, &d.address(), "connected");
}

#[test]
fn a_heavier_chain_whose_blocks_are_withheld_must_be_resolved_before_mining() {
    let node = Node::dev();
    node.create_wallet();
    let (chain, blocks) = chain_of(5);
    let peer = with_chain(chain, blocks, |_| None);
    add(&node, &peer).expect(201);
    let answer = wait("the conflict", || {
        let answer = node.call("POST", "/mine");
        (answer.status != 201).then_some(answer)
    });
    assert_eq!((answer.status, &*answer.code()), (409, "conflict"), "{}", answer.text);
}

#[test]
fn a_heavier_chain_is_taken_over_from_a_peer() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let (chain, blocks) = chain_of(40);
    let tip = chain.chain.tip().hash.to_string();
    let peer = with_chain(chain, blocks, |block| Some(block_to_json(block, DEV)));
    let added = add(&node, &peer).expect(201);
    assert!(added["message"].as_str().unwrap().contains("10 coins"), "{added}");
    wait_until("the heavier chain", || node.tip() == tip);
    assert_eq!(node.funds(), 0.0);
}

#[test]
fn a_chain_with_a_forged_reward_in_it_is_followed_up_to_there() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let (mut chain, mut blocks) = chain_of(3);
    let good = chain.chain.tip().hash.to_string();
    let mut forged = draft(&chain, Vec::new());
    forged.coinbase.amount = Amount::from_units(1_000 * COIN);
    let forged = chain.sealed(forged);
    blocks.push(forged.clone());
    // Headers with work on top of it, as if it were good.
    let mut previous = forged;
    for _ in 0..5 {
        let mut block = previous.clone();
        block.header.previous = previous.hash();
        block.coinbase.height = previous.coinbase.height.next();
        let target = chain.target(block.header.time);
        farthing::testkit::seal(&mut block, target);
        blocks.push(block.clone());
        previous = block;
    }
    chain.salt = 1;
    let peer = with_chain(chain, blocks, |block| Some(block_to_json(block, DEV)));
    add(&node, &peer).expect(201);
    wait_until("the good part", || node.tip() == good);
    // The rest holds up nobody.
    wait_until("a block on it", || node.call("POST", "/mine").status == 201);
    assert_eq!(node.height(), 4);
    let issued = node.status()["issued"].as_f64().unwrap();
    assert_eq!(issued, 100_040.0);
}

#[test]
fn wrong_bodies_do_not_keep_the_honest_ones_away() {
    let node = Node::dev();
    let (chain, blocks) = chain_of(10);
    let tip = chain.chain.tip().hash.to_string();
    let liar = with_chain(chain.clone(), blocks.clone(), |block| {
        let mut wrong = block.clone();
        wrong.coinbase.recipient = TestKey::new(66).public;
        Some(block_to_json(&wrong, DEV))
    });
    let honest = with_chain(chain, blocks, |block| Some(block_to_json(block, DEV)));
    add(&node, &liar).expect(201);
    add(&node, &honest).expect(201);
    wait_until("the honest chain", || node.tip() == tip);
}

#[test]
fn nonsense_from_a_peer_changes_nothing() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let answers =
        ["", "{}", "[]", "null", "<html>", "[[[[[[", "{\"message\":\"\\u001b[2J\",\"code\":\"x\"}"];
    for answer in answers {
        for status in [200, 204, 302, 404, 409, 429, 500, 503] {
            let peer = made_up(move |_, _, _| Some((status, answer.to_owned())));
            let added = add(&node, &peer);
            assert!([201, 400].contains(&added.status), "{status} {answer}: {}", added.text);
            assert!(!added.text.contains('\u{1b}'), "{}", added.text);
            node.call("DELETE", &format!("/node/{peer}")).expect(200);
        }
    }
    let boastful = made_up(|port, path, _| {
        if path != "/handshake" {
            return Some((200, "x".repeat(1 << 20)));
        }
        let (chain, _) = chain_of(0);
        let text = greeting(&chain, port).replace(r#""work":"f""#, r#""work":"ffffffffffff""#);
        Some((200, text))
    });
    add(&node, &boastful).expect(201);
    node.mine();
    assert_eq!(node.height(), 2);
    assert!(!node.log().contains("panicked"), "{}", node.log());
    assert!(node.log().bytes().all(|byte| byte == b'\n' || byte >= 0x20), "{}", node.log());
}

#[test]
fn each_transfer_and_block_is_told_to_a_peer_once() {
    let node = Node::dev();
    node.create_wallet();
    let heard: Arc<Mutex<Vec<Announcement>>> = Arc::default();
    let hears = heard.clone();
    let (chain, _) = chain_of(0);
    let peer = made_up(move |port, path, body| {
        if path == "/announce" {
            hears.lock().unwrap().push(Announcement::from_json(body, DEV).unwrap());
        }
        let answer = match path {
            "/handshake" => greeting(&chain, port),
            "/transactions/summary" => PoolSummary::new([0; 256]).to_json(),
            _ => "[]".to_owned(),
        };
        Some((200, answer))
    });
    add(&node, &peer).expect(201);
    // What a call did not bring in time is not told again: a real peer finds it when tips and pools are
    // compared, and this one must be told something else.
    let mut is_told = false;
    for _ in 0..ANNOUNCING_TRIES {
        stands(&node, &peer, "connected");
        is_told = is_told_of_all(&node, &peer, &heard);
        if is_told {
            break;
        }
    }
    assert!(is_told, "{}", node.log());
}

/// Mines and pays; false if the peer has not answered meanwhile, and may not have heard of it.
fn is_told_of_all(node: &Node, peer: &str, heard: &Mutex<Vec<Announcement>>) -> bool {
    let first = node.mine();
    let sent = node.send(&address(&TestKey::new(1)), json!(1));
    let second = node.mine();
    let times = |find: &dyn Fn(&Announcement) -> bool| {
        heard.lock().unwrap().iter().filter(|news| find(news)).count()
    };
    let of_block = |mined: &Value| {
        times(&|news| {
            let mut blocks = news.blocks.iter();
            blocks.any(|block| json!(block.header().hash().to_string()) == mined["hash"])
        })
    };
    let of_transfer = || {
        times(&|news| {
            let mut ids = news.transactions.iter();
            ids.any(|id| json!(id.to_string()) == sent["transaction"]["id"])
        })
    };
    let told = || [of_block(&first), of_block(&second), of_transfer()];
    wait_until("both blocks and the transfer, or a call that fails", || {
        !told().contains(&0) || !is(node, peer, "connected")
    });
    let told = told();
    assert!(told.iter().all(|times| *times <= 1), "told more than once: {told:?}");
    told == [1; 3]
}
