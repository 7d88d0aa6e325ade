//! What people do with nodes, from the first wallet to the fifth node: with the original's routes and
//! fields alone wherever these say enough.

use crate::harness::{Node, Start, wait, wait_until};
use crate::mirror::{address, balance};
use farthing::testkit::TestKey;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Waits until all nodes have the same tip, and returns it.
fn same_tip(nodes: &[&Node]) -> String {
    wait("one tip", || {
        let tips: Vec<String> = nodes.iter().map(|node| node.tip()).collect();
        tips.windows(2).all(|pair| pair[0] == pair[1]).then(|| tips[0].clone())
    })
}

/// Waits until a wallet has exactly these funds.
fn has_funds(node: &Node, coins: f64) {
    wait_until(&format!("funds of {coins}"), || node.funds() == coins);
}

/// Waits until as many transactions are open.
fn has_open(node: &Node, count: usize) {
    let open = || node.get("/transactions").expect(200).as_array().expect("an array").len();
    wait_until(&format!("{count} open transactions"), || open() == count);
}

/// The peers of a node.
fn peers(node: &Node) -> Vec<String> {
    let nodes = node.get("/nodes").expect(200)["all_nodes"].clone();
    serde_json::from_value(nodes).expect("an array of strings")
}

/// Waits until a node has a peer that answers.
fn knows(node: &Node, peer: &Node) {
    wait_until("a peer that answers", || {
        let nodes = node.get("/nodes").expect(200);
        let peers = nodes["peers"].as_array().expect("an array").iter();
        let mut here = peers.filter(|known| known["node"] == json!(peer.address()));
        here.any(|known| known["state"] == json!("connected"))
    });
}

/// Takes two nodes out of each other's lists for good.
fn part(one: &Node, other: &Node) {
    for (one, other) in [(one, other), (other, one)] {
        one.call("DELETE", &format!("/node/{}", other.address())).expect(200);
    }
}

#[test]
fn coins_go_from_one_node_to_another_in_the_six_steps_of_the_original() {
    // 1. A wallet on the first node.
    let a = Node::dev();
    let created = a.call("POST", "/wallet").expect(201);
    assert_eq!(created["funds"], json!(0));
    assert!(created["private_key"].is_string());
    // 2. Coins by mining.
    let mined = a.call("POST", "/mine").expect(201);
    assert_eq!(mined["funds"], json!(10));
    assert_eq!(mined["block"]["index"], json!(1));
    assert_eq!(mined["block"]["transactions"][0]["sender"], json!("MINING"));
    assert_eq!(mined["block"]["transactions"][0]["recipient"], created["public_key"]);
    // 3. A second node with a wallet.
    let b = Node::dev();
    let recipient = b.call("POST", "/wallet").expect(201)["public_key"].clone();
    // 4. The first adds it as a peer, which makes it mutual.
    let name = format!("localhost:{}", b.port);
    let added = a.post("/node", &json!({"node": name})).expect(201);
    assert_eq!(added["all_nodes"], json!([name]));
    wait_until("the second to know the first", || !peers(&b).is_empty());
    // 5. It sends coins; both show them as open.
    let sent = a.post("/transaction", &json!({"recipient": recipient, "amount": 4})).expect(201);
    assert_eq!(sent["funds"], json!(6));
    assert_eq!(sent["transaction"]["sender"], created["public_key"]);
    assert_eq!(sent["transaction"]["recipient"], recipient);
    assert_eq!(sent["transaction"]["amount"], json!(4));
    has_open(&a, 1);
    has_open(&b, 1);
    assert_eq!(b.get("/transactions").json(), json!([sent["transaction"]]));
    // 6. It mines again; the second sees the coins arrive.
    assert_eq!(a.call("POST", "/mine").expect(201)["funds"], json!(16));
    has_funds(&b, 4.0);
    assert_eq!(a.get("/balance").expect(200)["funds"], json!(16));
    has_open(&a, 0);
    has_open(&b, 0);
    let chain = a.get("/chain").expect(200);
    assert_eq!(chain.as_array().expect("an array").len(), 3);
    assert_eq!(chain[2]["transactions"][1], sent["transaction"]);
    assert_eq!(chain, b.get("/chain").expect(200));
    // The coins are the second node's to spend.
    let back = json!({"recipient": created["public_key"], "amount": 1.5});
    assert_eq!(b.post("/transaction", &back).expect(201)["funds"], json!(2.5));
    has_open(&a, 1);
    assert_eq!(b.call("POST", "/mine").expect(201)["funds"], json!(12.5));
    has_funds(&a, 17.5);
    assert_eq!(a.get("/chain").json(), b.get("/chain").json());
}

#[test]
fn transfers_and_blocks_cross_a_line_of_five_nodes() {
    let nodes: [Node; 5] = std::array::from_fn(|_| Node::dev());
    for (place, one) in nodes.iter().enumerate() {
        // Nodes tell each other of nodes; those that are not neighbours are kept apart.
        for other in nodes.iter().skip(place + 2) {
            part(one, other);
        }
    }
    for pair in nodes.windows(2) {
        pair[0].add_peer(&pair[1]);
        knows(&pair[0], &pair[1]);
        knows(&pair[1], &pair[0]);
    }
    let [a, _, c, _, e] = &nodes;
    let all: Vec<&Node> = nodes.iter().collect();
    let (at_a, at_e) = (a.create_wallet(), e.create_wallet());
    a.mine();
    same_tip(&all);
    // A transfer posted at one end is mined at the other, and spendable there.
    a.send(&at_e, json!(4));
    has_open(e, 1);
    let block = e.mine();
    assert_eq!(block["transactions"].as_array().expect("an array").len(), 2);
    assert_eq!(e.funds(), 14.0);
    // A block mined there is the tip here.
    assert_eq!(same_tip(&all), block["hash"]);
    assert_eq!(a.funds(), 6.0);
    e.send(&at_a, json!(13.5));
    has_open(a, 1);
    has_open(c, 1);
    c.create_wallet();
    c.mine();
    has_funds(a, 19.5);
    same_tip(&all);
    for node in &nodes {
        has_open(node, 0);
    }
    for (place, node) in nodes.iter().enumerate() {
        let neighbours = nodes.iter().enumerate().filter(|(other, _)| other.abs_diff(place) == 1);
        let mut expected: Vec<_> = neighbours.map(|(_, node)| node.address()).collect();
        let mut found = peers(node);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "the line has no short cut");
    }
}

#[test]
fn a_node_started_later_catches_up_by_itself() {
    let a = Node::dev();
    a.create_wallet();
    for _ in 0..40 {
        a.mine();
    }
    a.send(&address(&TestKey::new(1)), json!(1));
    let started = Instant::now();
    let b = Start::default().flag(format!("--peer={}", a.address())).node();
    same_tip(&[&a, &b]);
    assert_eq!(a.get("/chain").text, b.get("/chain").text);
    has_open(&b, 1);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    wait_until("the node to be ready", || b.get("/ready").status == 200);
    let mined = a.mine();
    wait_until("a new block to come as well", || b.tip() == mined["hash"]);
}

#[test]
fn a_node_that_was_down_catches_up_by_itself() {
    let (a, mut b) = (Node::dev(), Node::dev());
    a.create_wallet();
    b.create_wallet();
    a.add_peer(&b);
    knows(&b, &a);
    a.mine();
    same_tip(&[&a, &b]);
    assert!(b.stop().success());
    for _ in 0..3 {
        a.mine();
    }
    b.restart();
    same_tip(&[&a, &b]);
    b.mine();
    same_tip(&[&a, &b]);
    assert_eq!(a.height(), 5);
}

#[test]
fn a_node_that_mined_on_its_own_is_warned_and_loses_no_transfer() {
    let (a, b) = (Node::dev(), Node::dev());
    a.create_wallet();
    let at_b = b.create_wallet();
    a.add_peer(&b);
    knows(&b, &a);
    a.mine();
    a.send(&at_b, json!(5));
    a.mine();
    same_tip(&[&a, &b]);
    part(&a, &b);
    for _ in 0..4 {
        a.mine();
    }
    let payee = address(&TestKey::new(3));
    b.send(&payee, json!(2));
    b.mine();
    b.mine();
    assert_eq!((b.funds(), balance(&b, &payee)), (23.0, 2.0));
    assert_eq!((a.height(), b.height()), (6, 4));
    let added = b.post("/node", &json!({"node": a.address()})).expect(201);
    let message = added["message"].as_str().expect("a text");
    assert!(message.contains("replaces the last 2 blocks"), "{message}");
    assert!(message.contains("20 coins"), "{message}");
    assert_eq!(same_tip(&[&a, &b]), a.tip());
    // The mined coins are gone; the payment is open again, there and here.
    assert_eq!((b.funds(), balance(&b, &payee)), (3.0, 0.0));
    has_open(&b, 1);
    // Here the peer was removed; it is welcome again as soon as it is added.
    a.add_peer(&b);
    has_open(&a, 1);
    a.mine();
    same_tip(&[&a, &b]);
    assert_eq!((b.funds(), balance(&b, &payee)), (3.0, 2.0));
    has_open(&b, 0);
}

#[test]
fn a_fork_is_healed_towards_the_heavier_chain_from_either_side() {
    let (a, b) = (Node::dev(), Node::dev());
    a.mine_for_a_wallet();
    b.mine_for_a_wallet();
    b.mine();
    assert_ne!(a.tip(), b.tip());
    // The one with less work adds nobody: it is the other that comes to it.
    let added = b.post("/node", &json!({"node": a.address()})).expect(201);
    assert!(!added["message"].as_str().expect("a text").contains("replaces"), "{added}");
    assert_eq!(same_tip(&[&a, &b]), b.tip());
    assert_eq!((a.funds(), b.funds()), (0.0, 20.0));
}

/// Lets a node resolve a conflict with a heavier peer that it could not reach before; says whether it
/// was the call that did it, and not the node by itself a moment earlier.
fn resolve_on_demand() -> bool {
    let (mut a, b) = (Node::dev(), Node::dev());
    a.mine_for_a_wallet();
    for _ in 0..3 {
        a.mine();
    }
    let tip = a.tip();
    assert!(a.stop().success());
    b.mine_for_a_wallet();
    let kept = b.call("POST", "/resolve-conflicts").expect(200);
    let expected = json!({"message": "Local chain kept.", "funds": 10, "replaced": false});
    assert_eq!(kept, expected);
    b.post("/node", &json!({"node": a.address()})).expect(201);
    a.restart();
    let before = b.tip();
    let resolved = b.call("POST", "/resolve-conflicts").expect(200);
    assert_eq!(b.tip(), tip, "{resolved}");
    assert_eq!(resolved["funds"], json!(0));
    if resolved["replaced"] == Value::Bool(true) {
        assert_eq!(resolved["message"], json!("Chain was replaced!"));
        assert_ne!(before, tip);
        return true;
    }
    assert_eq!(resolved["message"], json!("Local chain kept."));
    false
}

#[test]
fn conflicts_are_resolved_at_once_on_demand() {
    // A node also tries again by itself, and may be first.
    assert!((0..5).any(|_| resolve_on_demand()), "the call never came first");
}

#[test]
fn wallet_chain_pool_and_peers_survive_a_restart() {
    let (mut a, b) = (Node::dev(), Node::dev());
    let wallet = a.create_wallet();
    a.add_peer(&b);
    knows(&b, &a);
    a.mine();
    a.send(&address(&TestKey::new(1)), json!(2.5));
    let open = a.open_transactions();
    let (chain, tip) = (a.get("/chain").text, a.tip());
    for is_killed in [false, true] {
        if is_killed {
            a.kill();
        } else {
            assert!(a.stop().success());
        }
        a.restart();
        // The wallet is there without a request to load it.
        assert_eq!(a.get("/balance").expect(200)["funds"], json!(7.5));
        let loaded = a.get("/wallet").expect(201);
        assert_eq!(loaded, json!({"public_key": wallet, "funds": 7.5}));
        assert_eq!((a.open_transactions(), a.tip()), (open.clone(), tip.clone()));
        assert_eq!(a.get("/chain").text, chain);
        assert_eq!(peers(&a), [b.address()]);
    }
    knows(&a, &b);
    let mined = a.mine();
    wait_until("the peer to hear of it", || b.tip() == mined["hash"]);
    assert_eq!(mined["transactions"][1]["id"], json!(open[0]));
}

#[test]
fn deleting_the_block_file_resets_the_chain_and_not_the_wallet() {
    let mut a = Node::dev();
    let wallet = a.mine_for_a_wallet();
    assert!(a.stop().success());
    std::fs::remove_file(a.file("blockchain")).expect("it is there");
    a.restart();
    assert_eq!(a.get("/wallet").expect(201), json!({"public_key": wallet, "funds": 0}));
    assert_eq!(a.height(), 0);
}

#[test]
fn a_new_wallet_keeps_the_old_one_under_another_name() {
    let a = Node::dev();
    a.mine_for_a_wallet();
    let old = std::fs::read(a.file("wallet")).expect("a wallet");
    let new = a.create_wallet();
    assert_eq!(a.funds(), 0.0);
    assert_eq!(a.get("/wallet").expect(201)["public_key"], json!(new));
    let files = std::fs::read_dir(a.dir()).expect("its directory");
    let wallets = files.map(|entry| entry.expect("a file").path()).filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("wallet"))
    });
    let kept: Vec<_> = wallets.filter(|path| *path != a.file("wallet")).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read(&kept[0]).expect("the old wallet"), old);
}
