//! What anyone may ask.

use super::{Node, dev_accounts, names, next_block};
use crate::chain::accounts::{AccountProof, ProofEnd};
use crate::consensus::merkle::{MerkleBranch, commitment, tx_root};
use crate::node::Origin;
use crate::node::ports::{SyncState, SyncStatus};
use crate::primitives::{Account, Amount, Hash256, Header, Height, StateRoots, Transaction, Txid};
use crate::wire::{blocks_from_json, headers_from_json};
use serde_json::{Value, json};

/// A node with a wallet, two blocks, and a transfer in the second.
fn node() -> (Node, Value) {
    let node = Node::new();
    node.wallet();
    node.ok(201, "POST /mine", "");
    let to = node.address_of(&dev_accounts()[0].public_key());
    let sent = node.ok(201, "POST /transaction", &format!(r#"{{"recipient":"{to}","amount":1}}"#));
    node.ok(201, "POST /mine", "");
    (node, sent["transaction"].clone())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn the_status_tells_what_the_page_shows() {
    let (node, _) = node();
    let status = node.get("/status");
    let tip = node.get("/block/2");
    for (name, expected) in [
        ("network", json!("dev")),
        ("chain_id", json!(node.handle().chain_id().to_string())),
        ("height", json!(2)),
        ("tip", tip["hash"].clone()),
        ("peers", json!(0)),
        ("mempool", json!({"count": 0, "bytes": 0})),
        ("synced", json!(true)),
        ("sync", json!("synced")),
        ("headers", json!(2)),
        ("port", json!(node.address.port())),
        ("wallet_set_up", json!(true)),
        ("clock_offset", Value::Null),
        ("clock_behind", Value::Null),
    ] {
        assert_eq!(status[name], expected, "{name}");
    }
    let issued = node.handle().view().chain.total().to_string();
    assert_eq!(status["issued"].to_string(), issued);
    assert!(status["spacing"].as_u64().unwrap() >= 1 && status["difficulty"].is_number());
}

#[test]
fn health_and_readiness_differ() {
    let node = Node::new();
    node.get("/health");
    node.get("/ready");
    for (state, best, expected) in [
        (SyncState::Behind, 9, "the node is not synced: it is catching up; it is at height 0 of 9"),
        (SyncState::Behind, 0, "the node is not synced: it is catching up"),
        (SyncState::Asking, 0, "the node is not synced: it has not asked all its peers yet"),
        (SyncState::Unanswered, 0, "the node is not synced: none of its peers answers"),
        (
            SyncState::Withheld,
            0,
            "the node is not synced: a peer says that it has more blocks and does not give them",
        ),
    ] {
        let best_height = Height(best);
        *node.parts().peers.sync.lock().unwrap() =
            SyncStatus { state, best_height, ..Default::default() };
        node.get("/health");
        assert_eq!(node.fails((503, "not-synced"), "GET /ready", ""), expected);
    }
}

#[test]
fn blocks_are_found_by_height_and_hash() {
    let (node, _) = node();
    let chain = node.get("/chain");
    for block in chain.as_array().unwrap() {
        assert_eq!(node.get(&format!("/block/{}", block["index"])), *block);
        assert_eq!(node.get(&format!("/block/{}", text(&block["hash"]))), *block);
    }
    let zero = "0".repeat(64);
    for path in ["/block/3", "/block/4294967295", &format!("/block/{zero}")] {
        node.fails((404, "block-not-found"), &format!("GET {path}"), "");
    }
    for path in ["/block/-1", "/block/x", "/block/1.0", "/block/4294967296", "/block/%0d1"] {
        let answer = node.call(&format!("GET {path}"), "");
        assert_eq!(answer.status, 400, "{path}");
    }
    let other = Node::new();
    let header = next_block(other.handle(), dev_accounts()[1].public_key()).header;
    node.handle().submit_headers(vec![header]).unwrap();
    node.fails((404, "block-not-kept"), &format!("GET /block/{}", header.hash()), "");
}

#[test]
fn headers_follow_the_fork_and_blocks_come_by_hash() {
    let (node, _) = node();
    let chain = node.get("/chain");
    let hashes: Vec<_> =
        chain.as_array().unwrap().iter().map(|block| text(&block["hash"])).collect();
    let zero = "0".repeat(64);
    for (locator, expected) in [
        (String::new(), 1..3),
        (hashes[0].to_owned(), 1..3),
        (format!("{zero},{},{}", hashes[1], hashes[0]), 2..3),
        (format!("{},{}", hashes[0], hashes[2]), 3..3),
    ] {
        let answer = node.call(&format!("GET /headers?locator={locator}"), "");
        let headers = headers_from_json(answer.text()).unwrap();
        let found: Vec<_> = headers.iter().map(|header| header.hash().to_string()).collect();
        assert_eq!(found, hashes[expected], "{locator}");
    }
    node.fails((409, "other-chain"), &format!("GET /headers?locator={zero}"), "");
    node.fails((400, "field-bad-hex"), "GET /headers?locator=x", "");

    let prefix = node.handle().prefix();
    let wanted = format!("GET /blocks?hashes={},{zero},{}", hashes[2], hashes[1]);
    let blocks = blocks_from_json(node.call(&wanted, "").text(), prefix).unwrap();
    let found: Vec<_> = blocks.iter().map(|block| block.hash().to_string()).collect();
    assert_eq!(found, [hashes[2], hashes[1]]);
    assert_eq!(node.get(&format!("/blocks?hashes={zero}")), json!([]));
    node.fails((400, "field-missing"), "GET /blocks", "");
    node.fails((400, "field-missing"), "GET /blocks?hashes=", "");
    let many = vec![zero.as_str(); 17].join(",");
    node.fails((400, "list-too-long"), &format!("GET /blocks?hashes={many}"), "");
}

#[test]
fn transactions_are_found_open_and_confirmed() {
    let (node, transaction) = node();
    let path = format!("/transaction/{}", text(&transaction["id"]));
    let info = node.get(&path);
    let fields = ["block_hash", "block_index", "confirmations", "status", "transaction"];
    assert_eq!(names(&info), fields);
    assert_eq!((&info["status"], &info["confirmations"]), (&json!("confirmed"), &json!(1)));
    assert_eq!((&info["block_index"], &info["transaction"]), (&json!(2), &transaction));
    assert_eq!(node.get(&format!("{path}?block=2")), info);
    assert_eq!(node.get(&format!("{path}?block={}", text(&info["block_hash"]))), info);
    node.fails((404, "transaction-not-found"), &format!("GET {path}?block=1"), "");
    node.fails((404, "transaction-not-found"), &format!("GET {path}?block=0"), "");
    node.fails((404, "block-not-found"), &format!("GET {path}?block=9"), "");
    let coinbase = node.get("/block/1")["transactions"][0].clone();
    let info = node.get(&format!("/transaction/{}", text(&coinbase["id"])));
    assert_eq!((&info["transaction"], &info["confirmations"]), (&coinbase, &json!(2)));

    let zero = "0".repeat(64);
    let message =
        node.fails((404, "transaction-not-found"), &format!("GET /transaction/{zero}"), "");
    assert!(message.contains("last 2 blocks") && message.contains("?block="), "{message}");
    node.fails((400, "bad-transaction-id"), "GET /transaction/xyz", "");

    let open = node.transfer(&dev_accounts()[0], 1, 0);
    node.handle().submit_transfer(open.clone(), Origin::Anyone).unwrap();
    let info = node.get(&format!("/transaction/{}", open.id()));
    assert_eq!((&info["status"], &info["confirmations"]), (&json!("open"), &json!(0)));
    assert!(info["block_hash"].is_null() && info["block_index"].is_null());
    node.fails((404, "transaction-open"), &format!("GET /proof/transaction/{}", open.id()), "");
}

#[test]
fn an_address_shows_what_it_has() {
    let (node, transaction) = node();
    let info = node.get(&format!("/address/{}", text(&transaction["sender"])));
    assert_eq!(names(&info), ["address", "balance", "nonce", "public_key"]);
    assert_eq!((&info["balance"], &info["nonce"]), (&json!(19), &json!(1)));
    assert_eq!(node.get(&format!("/address/{}", text(&info["public_key"]))), info);
    let nobody = node.get(&format!("/address/{}", "ab".repeat(32)));
    assert_eq!((&nobody["balance"], &nobody["nonce"]), (&json!(0), &json!(0)));
    for wrong in ["x", "far1qqqq", &"AB".repeat(31)] {
        let answer = node.call(&format!("GET /address/{wrong}"), "");
        assert_eq!(answer.status, 400, "{answer:?}");
    }
}

fn hash(value: &Value) -> Hash256 {
    text(value).parse().unwrap()
}

fn roots(block: &Value) -> StateRoots {
    StateRoots { accounts: hash(&block["account_root"]), history: hash(&block["history_root"]) }
}

fn header(block: &Value) -> Header {
    Header::decode(&hex::decode(text(&block["header"])).unwrap().try_into().unwrap())
}

#[test]
fn a_transaction_is_proved_by_its_header_alone() {
    let (node, transaction) = node();
    let proof = node.get(&format!("/proof/transaction/{}", text(&transaction["id"])));
    let bytes = hex::decode(text(&proof["transaction"])).unwrap();
    let Transaction::Transfer(transfer) = Transaction::decode(&bytes).unwrap() else {
        panic!("a transfer was asked for")
    };
    assert_eq!(transfer.id().to_string(), text(&transaction["id"]));
    let branch = MerkleBranch {
        index: u32::try_from(proof["branch"]["index"].as_u64().unwrap()).unwrap(),
        count: u32::try_from(proof["branch"]["count"].as_u64().unwrap()).unwrap(),
        hashes: proof["branch"]["hashes"].as_array().unwrap().iter().map(hash).collect(),
    };
    let root = branch.root(&transfer.id()).unwrap();
    let header = header(&proof["block"]);
    assert_eq!(commitment(&root, &roots(&proof["block"])), header.commitment);
    assert_eq!(header.hash().to_string(), text(&node.get("/block/2")["hash"]));
    let zero = Txid::from_bytes([0; 32]);
    node.fails((404, "transaction-not-found"), &format!("GET /proof/transaction/{zero}"), "");
}

/// What a proof says of an account, once it is found to lead to its header.
fn proved(node: &Node, address: &str) -> Option<Account> {
    let proof = node.get(&format!("/proof/account/{address}"));
    let header = header(&proof["block"]);
    assert_eq!(header.hash().to_string(), text(&node.get("/status")["tip"]));
    let roots = roots(&proof["block"]);
    assert_eq!(commitment(&hash(&proof["tx_root"]), &roots), header.commitment);
    let account = || Account {
        balance: proof["end"]["balance"].to_string().parse::<Amount>().unwrap(),
        nonce: proof["end"]["nonce"].as_u64().unwrap(),
    };
    let end = match text(&proof["end"]["kind"]) {
        "account" => ProofEnd::Account(account()),
        "other" => {
            let key = hex::decode(text(&proof["end"]["key"])).unwrap().try_into().unwrap();
            ProofEnd::Other { key, account: account() }
        }
        _ => ProofEnd::Empty,
    };
    let siblings = proof["siblings"].as_array().unwrap().iter().map(hash).collect();
    let key = crate::primitives::PublicKey::from_carried(address, node.handle().prefix()).unwrap();
    AccountProof { siblings, end }.verify(&roots.accounts, &key).unwrap()
}

#[test]
fn an_account_is_proved_as_it_was_before_the_tip() {
    let (node, transaction) = node();
    let sender = text(&transaction["sender"]);
    let ten = Amount::from_units(1_000_000_000);
    for _ in 0..2 {
        assert_eq!(proved(&node, sender), Some(Account { balance: ten, nonce: 0 }));
    }
    assert_eq!(proved(&node, &"ab".repeat(32)), None);
    node.ok(201, "POST /mine", "");
    let after = proved(&node, sender).unwrap();
    assert_eq!((after.balance.to_string().as_str(), after.nonce), ("19", 1));
    // Genesis commits to no accounts at all.
    let young = Node::new();
    assert_eq!(proved(&young, &"ab".repeat(32)), None);
    assert_eq!(tx_root(&[]), Hash256::ZERO);
}

#[test]
fn the_miner_is_shown_and_switched() {
    let node = Node::new();
    node.wallet();
    let shown = node.get("/miner");
    assert_eq!(names(&shown), ["blocks_found", "hash_rate", "on", "threads"]);
    let on = node.ok(200, "POST /miner", r#"{"on":true,"threads":3}"#);
    assert_eq!((&on["on"], &on["threads"]), (&json!(true), &json!(3)));
    assert_eq!(node.ok(200, "POST /miner", "{}"), on);
    assert_eq!(node.ok(200, "POST /miner", r#"{"on":false}"#)["on"], json!(false));
    assert_eq!(node.get("/status")["miner"]["threads"], json!(3));
}

#[test]
fn the_page_and_its_parts_are_served_and_kept_by_their_tag() {
    let node = Node::new();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/network", "text/html; charset=utf-8"),
        ("/static/app.js", "text/javascript; charset=utf-8"),
        ("/static/style.css", "text/css; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
    ] {
        let answer = node.call(&format!("GET {path}"), "");
        assert_eq!((answer.status, answer.field("content-type").as_deref()), (200, Some(kind)));
        assert!(!answer.body.is_empty());
        let tag = answer.field("etag").unwrap();
        let again = node.ask(&format!("GET {path}"), &format!("If-None-Match: {tag}\r\n"), "");
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.field("etag"), Some(tag));
        // A browser puts these over those it has kept.
        let policy = answer.field("content-security-policy");
        assert!(policy.is_some() && again.field("content-security-policy") == policy, "{path}");
        assert_eq!(again.field("content-type").as_deref(), Some(kind), "{path}");
        let head = node.ask(&format!("HEAD {path}"), "", "");
        assert_eq!(head.field("content-length"), Some(answer.body.len().to_string()), "{path}");
    }
    for path in [
        "/static/package.json",
        "/static/",
        "/static/..%2f..%2fCargo.toml",
        "/static/../Cargo.toml",
        "/static/%2fetc%2fpasswd",
        "/static/wallet-5000.txt",
        "/wallet-5000.txt",
        "/index.html",
    ] {
        node.fails((404, "not-found"), &format!("GET {path}"), "");
    }
}
