//! What was a hole in the node that this one replaces, each refused by a test of its own.

use crate::harness::{Node, Start, wait};
use crate::mirror::{address, announcement, balance, draft, extend, mirror, transfer_json};
use crate::raw::connect;
use farthing::consensus::params::ChainParams;
use farthing::primitives::amount::COIN;
use farthing::primitives::{Amount, BlockHash};
use farthing::testkit::{TestChain, TestKey, seal};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

fn dev_id() -> BlockHash {
    ChainParams::dev().chain_id()
}

/// Posts a text as JSON and checks how it is refused.
fn refused(node: &Node, path: &str, body: &str, expected: (u16, &str)) {
    let answer = node.request("POST", path, Some(body.to_owned()));
    assert_eq!((answer.status, &*answer.code()), expected, "{path} {body}: {}", answer.text);
}

/// Posts a block and checks that it is refused and that nothing has changed.
fn block_refused(node: &Node, block: farthing::primitives::Block, code: &str) {
    let tip = node.tip();
    refused(node, "/broadcast-block", &announcement(block), (409, code));
    assert_eq!(node.tip(), tip, "{code}");
}

#[test]
fn a_mined_transfer_cannot_be_replayed() {
    let node = Node::dev();
    node.create_wallet();
    let (payer, payee) = (TestKey::dev(1), TestKey::new(7));
    let transfer = payer.pay(payee.public, (5 * COIN, 0), 0, &dev_id());
    let text = transfer_json(&transfer);
    let first = node.request("POST", "/broadcast-transaction", Some(text.clone()));
    assert_eq!(first.status, 201, "{}", first.text);
    node.mine();
    assert_eq!(balance(&node, &address(&payee)), 5.0);
    for _ in 0..4 {
        refused(&node, "/broadcast-transaction", &text, (500, "nonce-used"));
        node.mine();
    }
    assert_eq!(balance(&node, &address(&payee)), 5.0, "each coin was paid once");
    let chain = mirror(&node);
    block_refused(&node, chain.sealed(draft(&chain, vec![transfer.clone()])), "wrong-nonce");
    let twice = payer.pay(payee.public, (COIN, 0), 1, &dev_id());
    let both = chain.sealed(draft(&chain, vec![twice.clone(), twice]));
    block_refused(&node, both, "duplicate-transaction");
    assert_eq!(balance(&node, &address(&payee)), 5.0);
}

#[test]
fn a_transfer_for_another_chain_is_no_transfer_here() {
    let node = Node::dev();
    let main = ChainParams::main().chain_id();
    let transfer = TestKey::dev(1).pay(TestKey::new(1).public, (COIN, 0), 0, &main);
    refused(&node, "/broadcast-transaction", &transfer_json(&transfer), (500, "bad-signature"));
    assert!(node.open_transactions().is_empty());
}

#[test]
fn negative_float_and_huge_amounts_are_refused() {
    let node = Node::dev();
    node.create_wallet();
    node.mine();
    let to = address(&TestKey::new(1));
    for (amount, status, code) in [
        ("-1", 400, "amount-negative"),
        ("-0.00000001", 400, "amount-negative"),
        ("0", 400, "zero-amount"),
        ("0.000000001", 400, "amount-too-fine"),
        ("2.9999999999999996", 400, "amount-too-fine"),
        ("1e400", 400, "amount-too-large"),
        ("21000000.00000001", 400, "amount-too-large"),
        ("184467440737.09551616", 400, "amount-too-large"),
        ("184467440737.09551617", 400, "amount-too-large"),
        ("18446744073709551617", 400, "amount-too-large"),
        ("Infinity", 400, "json-syntax"),
        ("NaN", 400, "json-syntax"),
        ("\"1\"", 400, "field-wrong-type"),
        ("true", 400, "field-wrong-type"),
        ("null", 400, "field-wrong-type"),
        ("[1]", 400, "field-wrong-type"),
        ("01", 400, "json-syntax"),
        ("+1", 400, "json-syntax"),
        ("10.00000001", 500, "insufficient-funds"),
        ("21000000", 500, "insufficient-funds"),
    ] {
        let body = format!(r#"{{"recipient":"{to}","amount":{amount}}}"#);
        refused(&node, "/transaction", &body, (status, code));
        let fee = format!(r#"{{"recipient":"{to}","amount":1,"fee":{amount}}}"#);
        if code != "zero-amount" {
            refused(&node, "/transaction", &fee, (status, code));
        }
    }
    let sum = format!(r#"{{"recipient":"{to}","amount":21000000,"fee":21000000}}"#);
    refused(&node, "/transaction", &sum, (500, "insufficient-funds"));
    assert_eq!(node.funds(), 10.0);
    assert!(node.open_transactions().is_empty());
}

#[test]
fn ten_small_payments_leave_exactly_what_is_left() {
    let node = Node::dev();
    node.create_wallet();
    node.mine();
    let to = address(&TestKey::new(1));
    for left in ["9.3", "8.6", "7.9", "7.2", "6.5", "5.8", "5.1", "4.4", "3.7", "3"] {
        let body = json!({"recipient": to, "amount": 0.7}).to_string();
        let answer = node.request("POST", "/transaction", Some(body));
        assert!(answer.text.contains(&format!(r#""funds":{left},"#)), "{left}: {}", answer.text);
    }
}

#[test]
fn forged_signatures_are_refused_alone_and_in_blocks() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let (victim, thief) = (TestKey::dev(1), TestKey::dev(2));
    let forged = farthing::testkit::unsigned(victim.public, thief.public, (COIN, 0), 0);
    let chain = mirror(&node);
    let mut flipped = victim.pay(thief.public, (COIN, 0), 0, &dev_id());
    flipped.amount = Amount::from_units(2 * COIN);
    for forged in [forged.clone(), thief.sign(forged, &dev_id()), flipped] {
        let text = transfer_json(&forged);
        refused(&node, "/broadcast-transaction", &text, (500, "bad-signature"));
        let block = chain.sealed(draft(&chain, vec![forged]));
        block_refused(&node, block, "bad-signature");
    }
    let foreign: Value =
        serde_json::from_str(&transfer_json(&victim.pay(thief.public, (COIN, 0), 0, &dev_id())))
            .unwrap();
    let mut without = foreign.clone();
    without.as_object_mut().unwrap().remove("signature");
    refused(&node, "/broadcast-transaction", &without.to_string(), (400, "field-missing"));
    assert!(node.open_transactions().is_empty());
    assert_eq!(balance(&node, &address(&victim)), 10_000.0);
}

#[test]
fn forged_rewards_and_proofs_are_refused() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let chain = mirror(&node);
    for units in [1_000 * COIN, 10 * COIN + 1, 10 * COIN - 1, 0] {
        let mut block = draft(&chain, Vec::new());
        block.coinbase.amount = Amount::from_units(units);
        block_refused(&node, chain.sealed(block), "wrong-reward");
    }
    let mut unworked = chain.sealed(draft(&chain, Vec::new()));
    while chain.target(unworked.header.time).is_met_by(&unworked.header.hash()) {
        unworked.header.nonce += 1;
    }
    block_refused(&node, unworked, "no-proof-of-work");
    let mut easy = draft(&chain, Vec::new());
    easy.header.bits.0 = 0x207f_ffff;
    block_refused(&node, chain.sealed(easy), "wrong-bits");
    let mut swapped = chain.sealed(draft(&chain, Vec::new()));
    swapped.coinbase.recipient = TestKey::new(9).public;
    block_refused(&node, swapped, "wrong-commitment");
    let mut roots = draft(&chain, Vec::new());
    roots.roots.accounts = roots.roots.history;
    block_refused(&node, chain.sealed(roots), "wrong-roots");
    let overspent = TestKey::dev(1).pay(TestKey::new(1).public, (10_001 * COIN, 0), 0, &dev_id());
    block_refused(&node, chain.sealed(draft(&chain, vec![overspent])), "overspent");
}

#[test]
fn a_wrong_body_does_not_poison_an_honest_block() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let mut chain = mirror(&node);
    let honest = extend(&mut chain, Vec::new());
    let mut wrong = honest.clone();
    wrong.coinbase.amount = Amount::from_units(1_000 * COIN);
    block_refused(&node, wrong, "wrong-commitment");
    let answer = node.request("POST", "/broadcast-block", Some(announcement(honest.clone())));
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(node.tip(), honest.hash().to_string());
}

#[test]
fn a_longer_chain_of_a_foreign_genesis_changes_nothing() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let (tip, issued) = (node.tip(), node.status()["issued"].clone());
    let mut params = ChainParams::dev();
    params.allocations[0].1 = Amount::from_units(20_000 * COIN);
    params.genesis_time.0 -= 1;
    let mut forged = TestChain::new(params);
    for _ in 0..5 {
        let block = extend(&mut forged, Vec::new());
        // Its parent is unknown here: taken for ahead of ours, and asked for where there are peers.
        let answer = node.request("POST", "/broadcast-block", Some(announcement(block)));
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let greeting = json!({
        "chain_id": forged.chain.chain_id().to_string(), "chain": "dev", "version": 2, "height": 5,
        "tip": forged.chain.tip().hash.to_string(), "work": "ffffffff",
        "instance": "0123456789abcdef", "linked": false, "time": 1_795_305_600,
    });
    let answer = node.post("/handshake", &greeting);
    assert_eq!((answer.status, &*answer.code()), (409, "other-chain"));
    for id in [forged.chain.chain_id(), dev_id()] {
        assert!(answer.text.contains(&id.to_string()), "both ids are named: {}", answer.text);
    }
    let resolved = node.call("POST", "/resolve-conflicts").expect(200);
    assert_eq!(resolved["message"], "Local chain kept.");
    assert_eq!((node.tip(), node.status()["issued"].clone()), (tip, issued));
}

#[test]
fn a_tampered_stored_block_stops_the_start_and_is_named_by_its_line() {
    let mut node = Node::dev();
    node.mine_for_a_wallet();
    let transfer = TestKey::dev(1).pay(TestKey::new(1).public, (5 * COIN, 0), 0, &dev_id());
    let sent = node.request("POST", "/broadcast-transaction", Some(transfer_json(&transfer)));
    assert_eq!(sent.status, 201, "{}", sent.text);
    node.mine();
    node.mine();
    assert!(node.stop().success());
    let file = node.file("blockchain");
    let good = std::fs::read_to_string(&file).unwrap();
    for (what, change) in CHANGES {
        let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
        let changed = with_right_checksum(&change(&lines[2]));
        assert_ne!(changed, lines[2], "{what}");
        lines[2] = changed;
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        let (status, said) = Start::default().port(node.port).fails_in(node.dir());
        assert_eq!(status.code(), Some(1), "{what}: {said}");
        assert!(said.contains("line 3"), "{what}: {said}");
        assert_eq!(said.lines().count(), 1, "{what}: {said}");
    }
    std::fs::write(&file, good).unwrap();
    node.restart();
    assert_eq!(node.height(), 3);
}

/// A change of a line of the block file.
type Change = fn(&str) -> String;

const CHANGES: [(&str, Change); 5] = [
    ("an amount", |line| line.replacen(r#""amount":5"#, r#""amount":6"#, 1)),
    ("an amount and no id", |line| {
        without_ids(&line.replacen(r#""amount":5"#, r#""amount":6"#, 1))
    }),
    ("a reward and no id", |line| {
        without_ids(&line.replacen(r#""amount":10,"#, r#""amount":99,"#, 1))
    }),
    ("a proof", |line| line.replacen(r#""proof":"#, r#""proof":1"#, 1)),
    ("a signature and no id", |line| {
        let at = line.rfind(r#""signature":""#).expect("a signature") + 13;
        let digit = if line.as_bytes()[at] == b'0' { "1" } else { "0" };
        without_ids(&format!("{}{digit}{}", &line[..at], &line[at + 1..]))
    }),
];

/// Ids may be left out, so that a change need not break them.
fn without_ids(line: &str) -> String {
    let mut parts = line.split(r#""id":""#);
    let first = parts.next().expect("a line").to_owned();
    parts.fold(first, |line, part| line + &part[66..])
}

/// A line of the block file whose covered bytes were changed, with the checksum they now have.
fn with_right_checksum(line: &str) -> String {
    let covered = &line[20..];
    format!(r#"{{"crc32c":"{:08x}"{}"#, crc32c::crc32c(covered.as_bytes()), covered)
}

/// A listener that takes connections and answers each with `answer`, or nothing at all.
fn odd_peer(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            if !answer.is_empty() {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(answer.as_bytes());
                continue;
            }
            held.push(stream);
        }
    });
    address
}

#[test]
fn a_silent_peer_holds_up_neither_mining_nor_paying() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let silent = odd_peer("");
    let added = node.post("/node", &json!({"node": silent})).expect(201);
    assert_eq!(added["all_nodes"], json!([silent]));
    let started = Instant::now();
    for _ in 0..3 {
        node.mine();
        node.send(&address(&TestKey::new(1)), json!(1));
    }
    // One look at the peer's time-out would take longer than all of this.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn a_refusing_peer_changes_nothing_about_a_payment() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let refusing = odd_peer(
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    );
    node.post("/node", &json!({"node": refusing}));
    let paid = node.send(&address(&TestKey::new(1)), json!(4));
    assert_eq!(paid["funds"], json!(6));
    assert_eq!(node.open_transactions().len(), 1);
    node.mine();
    assert_eq!(balance(&node, &address(&TestKey::new(1))), 4.0);
}

#[test]
fn parallel_mining_keeps_one_consistent_chain() {
    let node = Node::dev();
    node.create_wallet();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..3 {
                    node.mine();
                }
            });
        }
    });
    let chain = node.get("/chain").expect(200);
    let blocks = chain.as_array().unwrap();
    assert!(blocks.len() >= 4, "calls at once share a search, calls in a row do not");
    for (index, pair) in blocks.windows(2).enumerate() {
        assert_eq!(pair[1]["previous_hash"], pair[0]["hash"]);
        assert_eq!(pair[1]["index"], json!(index + 1));
    }
    let mined = f64::from(u32::try_from(blocks.len() - 1).unwrap());
    assert_eq!(node.funds(), mined * 10.0);
    assert_eq!(mirror(&node).chain.tip().hash.to_string(), node.tip());
}

#[test]
fn a_payment_with_the_same_request_id_pays_once() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let body = json!({
        "recipient": address(&TestKey::new(1)), "amount": 1, "request_id": "order 7",
    });
    let ids: Vec<Value> = thread::scope(|scope| {
        let pay = || node.post("/transaction", &body).expect(201)["transaction"]["id"].clone();
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(pay)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(node.funds(), 9.0);
    node.mine();
    assert_eq!(node.post("/transaction", &body).expect(201)["transaction"]["id"], ids[0]);
    assert!(node.open_transactions().is_empty());
    let mut other = body.clone();
    other["amount"] = json!(2);
    let answer = node.post("/transaction", &other);
    assert_eq!((answer.status, &*answer.code()), (400, "request-id-reused"));
    other["request_id"] = json!("order 8");
    node.post("/transaction", &other).expect(201);
    assert_eq!(node.open_transactions().len(), 1);
}

#[test]
fn many_payments_at_once_never_share_a_nonce() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let to = address(&TestKey::new(1));
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| node.send(&to, json!(0.5)));
        }
    });
    assert_eq!(node.funds(), 2.0);
    let open = node.get("/transactions").expect(200);
    let mut nonces: Vec<u64> =
        open.as_array().unwrap().iter().map(|one| one["nonce"].as_u64().unwrap()).collect();
    nonces.sort_unstable();
    assert_eq!(nonces, (0..16).collect::<Vec<_>>());
    node.mine();
    assert!(node.open_transactions().is_empty());
    assert_eq!(balance(&node, &to), 8.0);
}

#[test]
fn a_block_from_the_future_waits_and_a_side_block_is_said_to_be_one() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let chain = mirror(&node);
    let mut early = draft(&chain, Vec::new());
    early.header.time = early.header.time.plus(3_600);
    block_refused(&node, chain.sealed(early), "block-from-the-future");
    let side = chain.sealed(draft(&chain, Vec::new()));
    node.mine();
    let tip = node.tip();
    let answer = node.request("POST", "/broadcast-block", Some(announcement(side)));
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert!(answer.json()["message"].as_str().unwrap().contains("side branch"), "{}", answer.text);
    assert_eq!(node.tip(), tip, "first seen stays");
}

#[test]
fn a_body_that_lies_about_its_commitment_is_not_cached_under_its_hash() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let chain = mirror(&node);
    let mut block = draft(&chain, Vec::new());
    block.coinbase.amount = Amount::from_units(11 * COIN);
    let target = chain.target(block.header.time);
    seal(&mut block, target);
    block_refused(&node, block.clone(), "wrong-reward");
    block_refused(&node, block, "known-invalid");
}

#[test]
fn a_client_that_leaves_half_a_request_holds_up_nobody() {
    let node = Node::dev();
    let mut half: Vec<_> = (0..20).map(|_| connect(&node)).collect();
    for stream in &mut half {
        stream.write_all(b"POST /transaction HTTP/1.1\r\nHost: 127").unwrap();
    }
    wait("an answer beside them", || (node.get("/health").status == 200).then_some(()));
}
