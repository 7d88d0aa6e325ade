//! What clients of the original rely on: routes, statuses, fields.

use super::{Node, names};
use crate::node::ports::SyncState;
use std::sync::atomic::Ordering;

#[test]
fn without_a_wallet_the_answers_say_so() {
    let node = Node::new();
    node.wants_wallet(500, "GET /balance", "");
    node.wants_wallet(500, "POST /mine", "");
    node.wants_wallet(400, "POST /transaction", "");
    node.wants_wallet(500, "POST /miner", r#"{"on":true}"#);
    node.fails((500, "no-wallet-file"), "GET /wallet", "");
    let resolved = node.ok(200, "POST /resolve-conflicts", "");
    assert!(resolved["funds"].is_null());
}

#[test]
fn a_wallet_is_created_loaded_and_shows_its_funds() {
    let node = Node::new();
    let created = node.ok(201, "POST /wallet", "");
    assert_eq!(names(&created), ["funds", "private_key", "public_key"]);
    assert_eq!(created["funds"], 0);
    assert_eq!(created["private_key"].as_str().unwrap().len(), 64);
    let loaded = node.ok(201, "GET /wallet", "");
    assert_eq!(names(&loaded), ["funds", "public_key"]);
    assert_eq!(loaded["public_key"], created["public_key"]);
    node.ok(201, "POST /mine", "");
    let balance = node.get("/balance");
    assert_eq!((names(&balance), &balance["funds"]), (vec!["funds", "message"], &10.into()));
    let second = node.ok(201, "POST /wallet", "");
    assert_ne!(second["public_key"], created["public_key"]);
    assert_eq!(node.get("/balance")["funds"], 0);
    let kept = std::fs::read_dir(node.dir.path()).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("wallet-5000")
    });
    assert_eq!(kept.count(), 2);
}

#[test]
fn a_wallet_that_cannot_be_saved_is_500() {
    let node = Node::new();
    std::fs::create_dir(node.dir.path().join("wallet-5000.new.txt")).unwrap();
    let answer = node.call("POST /wallet", "");
    assert_eq!(answer.status, 500, "{answer:?}");
    node.wants_wallet(500, "GET /balance", "");
}

#[test]
fn body_less_posts_may_call_themselves_forms() {
    let node = Node::new();
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (line, status) in
        [("POST /wallet", 201), ("POST /mine", 201), ("POST /resolve-conflicts", 200)]
    {
        assert_eq!(node.ask(line, form, "").status, status, "{line}");
    }
}

#[test]
fn mining_and_sending_change_funds_and_chain() {
    let node = Node::new();
    let own = node.wallet();
    let mined = node.ok(201, "POST /mine", "");
    assert_eq!(names(&mined), ["block", "funds", "message"]);
    assert_eq!((&mined["funds"], &mined["block"]["index"]), (&10.into(), &1.into()));
    for field in ["previous_hash", "timestamp", "proof"] {
        assert!(!mined["block"][field].is_null(), "{field}");
    }
    let coinbase = &mined["block"]["transactions"][0];
    assert_eq!((&coinbase["sender"], &coinbase["signature"]), (&"MINING".into(), &"".into()));
    assert_eq!(coinbase["recipient"], own.as_str());

    let to = node.address_of(&super::dev_accounts()[0].public_key());
    let payment = format!(r#"{{"recipient":"{to}","amount":2.5,"request_id":"a"}}"#);
    let sent = node.ok(201, "POST /transaction", &payment);
    assert_eq!(names(&sent), ["funds", "message", "transaction"]);
    assert_eq!(sent["funds"].to_string(), "7.5");
    let transaction = &sent["transaction"];
    assert_eq!(transaction["amount"].to_string(), "2.5");
    assert_eq!(
        (&transaction["sender"], &transaction["recipient"]),
        (&own.into(), &to.as_str().into())
    );
    assert_eq!(transaction["signature"].as_str().unwrap().len(), 128);
    let again = node.ok(201, "POST /transaction", &payment);
    assert_eq!(again["transaction"]["id"], transaction["id"]);
    assert_eq!(again["funds"].to_string(), "7.5");
    let other = payment.replace("2.5", "3");
    node.fails((400, "request-id-reused"), "POST /transaction", &other);

    let open = node.get("/transactions");
    assert_eq!((open.as_array().unwrap().len(), &open[0]), (1, transaction));
    let mined = node.ok(201, "POST /mine", "");
    assert_eq!(mined["funds"].to_string(), "17.5");
    assert_eq!(mined["block"]["transactions"][1], *transaction);
    assert_eq!(node.get("/transactions").as_array().unwrap().len(), 0);

    let chain = node.get("/chain");
    let blocks = chain.as_array().unwrap();
    assert_eq!(blocks.len(), 3);
    assert_eq!((&blocks[0]["index"], &blocks[2]), (&0.into(), &mined["block"]));
    assert_eq!(blocks[0]["transactions"].as_array().unwrap().len(), 0);
    for pair in blocks.windows(2) {
        assert_eq!(pair[1]["previous_hash"], pair[0]["hash"]);
    }
    for (query, from, to) in
        [("from=1", 1, 3), ("count=2", 0, 2), ("from=1&count=1", 1, 2), ("from=2&count=9", 2, 3)]
    {
        assert_eq!(
            node.get(&format!("/chain?{query}")).as_array().unwrap(),
            &blocks[from..to],
            "{query}"
        );
    }
    for query in ["from=3", "from=4294967295&count=4294967295", "count=0"] {
        assert_eq!(node.get(&format!("/chain?{query}")), serde_json::json!([]), "{query}");
    }
}

#[test]
fn payments_that_cannot_be_are_refused_and_say_why() {
    let node = Node::new();
    let own = node.wallet();
    node.ok(201, "POST /mine", "");
    let to = node.address_of(&super::dev_accounts()[0].public_key());
    for (recipient, amount, expected) in [
        (to.as_str(), "10.00000001", (500, "insufficient-funds")),
        (&to, "20999999", (500, "insufficient-funds")),
        (&to, "0", (400, "zero-amount")),
        (&to, "-1", (400, "amount-negative")),
        (&to, "0.000000001", (400, "amount-too-fine")),
        (&to, "1e400", (400, "amount-too-large")),
        (&to, "NaN", (400, "json-syntax")),
        (&to, "\"1\"", (400, "field-wrong-type")),
        (&own, "1", (400, "self-transfer")),
        ("far1nonsense", "1", (400, "address-")),
    ] {
        let body = format!(r#"{{"recipient":"{recipient}","amount":{amount}}}"#);
        let answer = node.call("POST /transaction", &body);
        assert_eq!(answer.status, expected.0, "{body}: {answer:?}");
        assert!(answer.code().starts_with(expected.1), "{body}: {answer:?}");
    }
    assert_eq!(node.get("/balance")["funds"], 10);
    assert_eq!(node.get("/transactions").as_array().unwrap().len(), 0);
}

#[test]
fn mining_ends_without_a_block_when_it_must() {
    let node = Node::new();
    node.wallet();
    node.parts().miner.finds.store(false, Ordering::Relaxed);
    let message = node.fails((503, "mine-timeout"), "POST /mine", "");
    assert!(message.contains("within 1 s"), "{message}");

    // Headers of a heavier chain whose blocks are elsewhere.
    let other = Node::new();
    other.wallet();
    other.ok(201, "POST /mine", "");
    let header = other.handle().view().chain.tip().header;
    node.handle().submit_headers(vec![header]).unwrap();
    node.parts().peers.sync.lock().unwrap().state = SyncState::Behind;
    let message = node.fails((409, "conflict"), "POST /mine", "");
    assert!(message.contains("resolve conflicts"), "{message}");
    // What others only say keeps nobody from it.
    node.parts().miner.finds.store(false, Ordering::Relaxed);
    for state in [SyncState::Withheld, SyncState::Unanswered, SyncState::Asking] {
        node.parts().peers.sync.lock().unwrap().state = state;
        node.fails((503, "mine-timeout"), "POST /mine", "");
    }
}

#[test]
fn nodes_are_added_listed_and_removed() {
    let node = Node::new();
    for _ in 0..2 {
        let added = node.ok(201, "POST /node", r#"{"node":"LocalHost:5001"}"#);
        assert_eq!(names(&added), ["all_nodes", "message"]);
        assert_eq!(added["all_nodes"], serde_json::json!(["localhost:5001"]));
    }
    let added = node.ok(201, "POST /node", r#"{"node":"[::1]:6666"}"#);
    assert!(added["message"].as_str().unwrap().ends_with("Beware."), "{added}");
    node.ok(201, "POST /node", r#"{"node":"10.0.0.1:5000"}"#);
    node.fails((400, "too-many-peers"), "POST /node", r#"{"node":"10.0.0.2:5000"}"#);
    let listed = node.get("/nodes");
    assert_eq!(listed["all_nodes"].as_array().unwrap().len(), 3);
    let fields = "failures height incoming last_seen live manual message node outgoing state work";
    assert_eq!(names(&listed["peers"][0]).join(" "), fields);
    let ways = ["outgoing", "incoming", "live"].map(|way| listed["peers"][0][way].clone());
    assert_eq!(ways, [true, false, true]);
    // Of one without an address nothing is told that says where it is.
    let guest = serde_json::json!({"link": 4, "height": 9, "last_seen": null});
    assert_eq!(listed["guests"], serde_json::json!([guest]));
    assert_eq!(listed["peers"][0]["state"], "connected");
    for path in ["/node/localhost:5001", "/node/localhost:5001", "/node/nobody:1"] {
        let removed = node.ok(200, &format!("DELETE {path}"), "");
        assert_eq!(removed["all_nodes"], serde_json::json!(["10.0.0.1:5000", "[::1]:6666"]));
    }
    // Of another spelling of one that is listed, how that is.
    let removed = node.ok(200, "DELETE /node/127.0.0.1:81", "");
    let message = removed["message"].as_str().unwrap();
    assert!(message.contains("127.0.0.1:81 is listed as localhost:81"), "{message}");
    node.ok(200, "DELETE /node/[::1]:6666", "");
    node.ok(200, "DELETE /node/10.0.0.1%3A5000", "");
    assert_eq!(node.get("/nodes")["all_nodes"], serde_json::json!([]));
    node.fails((404, "node-without-port"), "DELETE /node/localhost", "");
    let slash = node.fails((404, "node-not-host-port"), "DELETE /node/localhost:81/", "");
    assert!(slash.contains("expected host:port alone") && slash.contains("a path"), "{slash}");
    node.fails((404, "not-found"), "DELETE /node/", "");
}

#[test]
fn resolving_tells_whether_the_chain_was_replaced() {
    let node = Node::new();
    node.wallet();
    let kept = node.ok(200, "POST /resolve-conflicts", "");
    assert_eq!(names(&kept), ["funds", "message", "replaced"]);
    assert_eq!(
        kept,
        serde_json::json!({"message": "Local chain kept.", "funds": 0, "replaced": false})
    );
    node.parts().peers.replaces.store(true, Ordering::Relaxed);
    let replaced = node.ok(200, "POST /resolve-conflicts", "");
    assert_eq!(
        (&replaced["message"], &replaced["replaced"]),
        (&"Chain was replaced!".into(), &true.into())
    );
}
