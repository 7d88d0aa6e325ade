//! The HTTP contract on the real process: every route with its fields, its successes and its failures.

use crate::harness::Node;
use crate::mirror::{address, announcement, draft, extend, mirror, transfer_json};
use crate::raw::{Reply, Request, call, failed, has, post};
use farthing::consensus::params::ChainParams;
use farthing::primitives::amount::COIN;
use farthing::testkit::TestKey;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;

/// A field of an answer, as it is written.
fn written(reply: &Reply, field: &str) -> String {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&reply.text).unwrap();
    fields[field].get().to_owned()
}

fn payment(amount: &str) -> String {
    format!(r#"{{"recipient":"{}","amount":{amount}}}"#, address(&TestKey::new(1)))
}

#[test]
fn without_a_wallet_every_route_says_so() {
    let node = Node::dev();
    for (method, path, status, code) in [
        ("GET", "/wallet", 500, "no-wallet-file"),
        ("GET", "/balance", 500, "no-wallet"),
        ("POST", "/mine", 500, "no-wallet"),
        ("POST", "/transaction", 400, "no-wallet"),
    ] {
        let reply = call(&node, method, path);
        failed(&reply, (status, code), path);
        if code == "no-wallet" {
            assert_eq!(reply.json()["wallet_set_up"], json!(false), "{path}");
        }
    }
    failed(&post(&node, "/transaction", &payment("1")), (400, "no-wallet"), "a payment");
    failed(&post(&node, "/miner", r#"{"on":true}"#), (500, "no-wallet"), "the miner");
    assert_eq!(call(&node, "GET", "/transactions").text, "[]");
    assert_eq!(has(&call(&node, "GET", "/nodes"), 200, &[])["all_nodes"], json!([]));
    let kept = has(&call(&node, "POST", "/resolve-conflicts"), 200, &[]);
    assert_eq!(kept, json!({"message": "Local chain kept.", "funds": null, "replaced": false}));
}

#[test]
fn the_wallet_routes_keep_their_fields() {
    let node = Node::dev();
    let created = has(&call(&node, "POST", "/wallet"), 201, &["public_key", "private_key"]);
    assert_eq!(created["funds"], json!(0));
    let key = created["public_key"].as_str().unwrap();
    assert!(key.starts_with("fard1"), "{key}");
    let loaded = has(&call(&node, "GET", "/wallet"), 201, &[]);
    assert_eq!(loaded, json!({"public_key": key, "funds": 0}));
    let balance = has(&call(&node, "GET", "/balance"), 200, &["message"]);
    assert_eq!(balance["funds"], json!(0));
    std::fs::remove_file(node.file("wallet")).unwrap();
    failed(&call(&node, "GET", "/wallet"), (500, "no-wallet-file"), "a removed file");
    std::fs::remove_dir_all(node.dir()).unwrap();
    let reply = call(&node, "POST", "/wallet");
    assert_eq!(reply.status, 500, "a wallet that cannot be saved: {reply:?}");
    assert!(!reply.text.contains("private_key"), "{reply:?}");
}

#[test]
fn mining_and_paying_keep_their_fields() {
    let node = Node::dev();
    let key = node.create_wallet();
    let fields = ["message", "funds", "block"];
    let mined = has(&call(&node, "POST", "/mine"), 201, &fields);
    assert_eq!(mined["funds"], json!(10));
    let block = &mined["block"];
    for field in ["index", "previous_hash", "timestamp", "transactions", "proof"] {
        assert!(!block[field].is_null(), "{field} is missing in {block}");
    }
    let genesis = ChainParams::dev().chain_id().to_string();
    assert_eq!((&block["index"], &block["previous_hash"]), (&json!(1), &json!(genesis)));
    let coinbase = &block["transactions"][0];
    assert_eq!(coinbase["sender"], json!("MINING"));
    assert_eq!(coinbase["signature"], json!(""));
    assert_eq!((&coinbase["recipient"], &coinbase["amount"]), (&json!(key), &json!(10)));
    let body = json!({
        "recipient": address(&TestKey::new(1)), "amount": 2.5, "fee": 0.25, "memo": "für dich",
        "expiry": 9, "request_id": "1",
    });
    let sent = post(&node, "/transaction", &body.to_string());
    let sent = has(&sent, 201, &["message", "funds", "transaction"]);
    assert_eq!(sent["funds"], json!(7.25));
    let expected = json!({
        "id": sent["transaction"]["id"], "sender": key, "recipient": body["recipient"],
        "amount": 2.5, "fee": 0.25, "nonce": 0, "expiry": 9, "memo": "für dich",
        "signature": sent["transaction"]["signature"],
    });
    assert_eq!(sent["transaction"], expected);
    assert_eq!(sent["transaction"]["signature"].as_str().unwrap().len(), 128);
    assert_eq!(call(&node, "GET", "/transactions").json(), json!([expected]));
    let mined = has(&call(&node, "POST", "/mine"), 201, &fields);
    assert_eq!(mined["funds"], json!(17.5));
    assert_eq!(mined["block"]["transactions"][1], expected);
    let chain = call(&node, "GET", "/chain");
    assert_eq!(chain.field("Transfer-Encoding"), Some("chunked"));
    let chain = chain.json();
    assert_eq!(chain.as_array().unwrap().len(), 3);
    assert_eq!((&chain[0]["index"], &chain[0]["transactions"]), (&json!(0), &json!([])));
    assert_eq!(chain[2], mined["block"]);
    assert_eq!(call(&node, "GET", "/chain?from=2").json(), json!([chain[2]]));
    assert_eq!(call(&node, "GET", "/chain?from=1&count=1").json(), json!([chain[1]]));
    assert_eq!(call(&node, "GET", "/chain?from=3").text, "[]");
    for query in ["from=x", "from=-1", "count=", "from=4294967296", "count=1.0"] {
        failed(&call(&node, "GET", &format!("/chain?{query}")), (400, "field-bad-number"), query);
    }
}

#[test]
fn what_is_wrong_with_a_payment_is_told_by_its_status() {
    let node = Node::dev();
    let own = node.mine_for_a_wallet();
    let to = address(&TestKey::new(1));
    let pay = |recipient: &str| format!(r#"{{"recipient":{recipient},"amount":1}}"#);
    let mut typo = to.clone();
    typo.replace_range(10..11, if &to[10..11] == "q" { "p" } else { "q" });
    let main = TestKey::new(1).public.to_address(farthing::primitives::AddressPrefix::Main);
    let off_curve = "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34";
    let cases = [
        (pay(&format!("\"{typo}\"")), 400, "address-bad-checksum"),
        (pay(&format!("\"{main}\"")), 400, "address-wrong-network"),
        (pay(&format!("\"{off_curve}\"")), 400, "address-not-on-curve"),
        (pay("\"\""), 400, "address-malformed"),
        (pay("7"), 400, "field-wrong-type"),
        (pay("null"), 400, "field-wrong-type"),
        (pay(&format!("\"{own}\"")), 400, "self-transfer"),
        (r#"{"amount":1}"#.to_owned(), 400, "field-missing"),
        (format!(r#"{{"recipient":"{to}"}}"#), 400, "field-missing"),
        (payment(r#"1,"memo":"a\nb""#), 400, "text-control-character"),
        (payment(&format!(r#"1,"memo":"{}""#, "x".repeat(65))), 400, "text-too-long"),
        (payment(r#"1,"expiry":-1"#), 400, "field-bad-number"),
        (payment(r#"1,"expiry":"9""#), 400, "field-wrong-type"),
        (payment(r#"1,"request_id":"""#), 400, "field-bad-value"),
        (payment(r#"1,"sender":"me""#), 400, "field-unknown"),
        (payment(r#"1,"amount":2"#), 400, "field-duplicate"),
        (payment(r#"1,"\u0061mount":2"#), 400, "field-duplicate"),
        (payment("11"), 500, "insufficient-funds"),
        (payment(r#"10,"fee":0.00000001"#), 500, "insufficient-funds"),
        (payment(r#"1,"expiry":1"#), 500, "transfer-expired"),
    ];
    for (body, status, code) in cases {
        failed(&post(&node, "/transaction", &body), (status, code), &body);
    }
    assert_eq!(node.funds(), 10.0);
    assert_eq!(call(&node, "GET", "/transactions").text, "[]");
    let hex = hex::encode(TestKey::new(1).public.as_bytes());
    assert_eq!(post(&node, "/transaction", &pay(&format!("\"{hex}\""))).status, 201);
    assert_eq!(
        post(&node, "/transaction", &pay(&format!("\"{}\"", to.to_uppercase()))).status,
        201
    );
}

#[test]
fn amounts_are_exact_to_eight_decimals() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let sent = |amount: &str| {
        let reply = post(&node, "/transaction", &payment(amount));
        assert_eq!(reply.status, 201, "{reply:?}");
        (written(&reply, "funds"), reply.text)
    };
    let (funds, text) = sent("0.00000001");
    assert_eq!(funds, "9.99999999");
    assert!(text.contains(r#""amount":0.00000001,"#), "{text}");
    for left in 0..10 {
        let expected = 9.99999999 - 0.1 * f64::from(left + 1);
        assert_eq!(sent("0.1").0, format!("{expected:.8}"));
    }
    assert_eq!(sent("1e-8").0, "8.99999998");
    assert_eq!(sent("1.0").0, "7.99999998");
    assert_eq!(sent("12300000e-8").0, "7.87699998");
    assert_eq!(sent("7.87699998").0, "0");
    assert_eq!(written(&call(&node, "GET", "/balance"), "funds"), "0");
    node.mine();
    let paid = call(&node, "GET", &format!("/address/{}", address(&TestKey::new(1))));
    assert_eq!(written(&paid, "balance"), "10");
}

#[test]
fn transfers_from_others_are_taken_once_and_judged() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let id = ChainParams::dev().chain_id();
    let pay = |amounts, nonce| {
        transfer_json(&TestKey::dev(1).pay(TestKey::new(1).public, amounts, nonce, &id))
    };
    let text = pay((COIN, 0), 0);
    let taken = has(&post(&node, "/broadcast-transaction", &text), 201, &["message"]);
    let expected: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(taken["transaction"], expected);
    let again = has(&post(&node, "/broadcast-transaction", &text), 201, &["message"]);
    assert_eq!(again["transaction"], expected);
    let early = has(&post(&node, "/broadcast-transaction", &pay((COIN, 0), 2)), 202, &["message"]);
    assert_eq!(early["transaction"]["nonce"], json!(2));
    assert_eq!(node.open_transactions().len(), 1);
    assert_eq!(post(&node, "/broadcast-transaction", &pay((COIN, 0), 1)).status, 201);
    assert_eq!(node.open_transactions().len(), 3, "what waited follows");
    for (body, status, code) in [
        (pay((COIN, 0), 1_000), 500, "nonce-too-far"),
        (pay((10_000 * COIN, 0), 3), 500, "insufficient-funds"),
        (pay((2 * COIN, 0), 0), 500, "fee-too-low"),
        (pay((0, 0), 3), 400, "zero-amount"),
        (text.replace("\"nonce\":0", "\"nonce\":0.0"), 400, "field-bad-number"),
        (text.replace("\"nonce\":0", "\"nonce\":-0"), 400, "field-bad-number"),
        (text.replace("\"nonce\":0", "\"nonce\":\"0\""), 400, "field-wrong-type"),
        (text.replace("\"amount\":1", "\"amount\":-1"), 400, "amount-negative"),
        (text.replace("\"amount\":1", "\"amount\":2"), 400, "field-mismatch"),
        (text.replace("\"memo\":\"\"", "\"memo\":null"), 400, "field-wrong-type"),
        (text.replace("\"signature\":\"", "\"signature\":\"00"), 400, "field-bad-hex"),
    ] {
        failed(&post(&node, "/broadcast-transaction", &body), (status, code), &body);
    }
    assert_eq!(post(&node, "/broadcast-transaction", &pay((2 * COIN, COIN), 0)).status, 201);
    assert_eq!(node.open_transactions().len(), 3, "more fee replaces");
}

#[test]
fn blocks_from_others_are_taken_and_judged() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let mut chain = mirror(&node);
    let (first, second) = (extend(&mut chain, Vec::new()), extend(&mut chain, Vec::new()));
    let ahead = has(&post(&node, "/broadcast-block", &announcement(second)), 200, &["message"]);
    assert!(ahead["message"].as_str().unwrap().contains("ahead"), "{ahead}");
    let text = announcement(first.clone());
    for _ in 0..2 {
        has(&post(&node, "/broadcast-block", &text), 201, &["message"]);
    }
    assert_eq!(node.tip(), first.hash().to_string());
    let block: Value = serde_json::from_str(&text).unwrap();
    for field in [
        "version",
        "previous_hash",
        "commitment",
        "account_root",
        "history_root",
        "timestamp",
        "bits",
        "proof",
        "transactions",
    ] {
        let mut without = block.clone();
        without["block"].as_object_mut().unwrap().remove(field);
        let reply = post(&node, "/broadcast-block", &without.to_string());
        failed(&reply, (400, "field-missing"), field);
        let mut other = block.clone();
        other["block"][field] = json!({});
        let reply = post(&node, "/broadcast-block", &other.to_string());
        assert_eq!(reply.status, 400, "{field}: {reply:?}");
    }
    for (from, to, code) in [
        (r#""transactions":["#, r#""transactions":[],"x":["#, "field-unknown"),
        (r#""index":2"#, r#""index":3"#, "field-mismatch"),
        (r#""sender":"MINING""#, r#""sender":"ME""#, "field-bad-value"),
        (r#""amount":10"#, r#""amount":-10"#, "amount-negative"),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text, "{from}");
        failed(&post(&node, "/broadcast-block", &bad), (400, code), from);
    }
    let empty = text.replace(&text[text.find('[').unwrap()..=text.rfind(']').unwrap()], "[]");
    failed(&post(&node, "/broadcast-block", &empty), (400, "block-without-coinbase"), "empty");
}

#[test]
fn a_block_far_below_the_tip_is_old() {
    let node = Node::dev();
    node.create_wallet();
    let side = {
        let chain = mirror(&node);
        announcement(chain.sealed(draft(&chain, Vec::new())))
    };
    for _ in 0..102 {
        node.mine();
    }
    failed(&post(&node, "/broadcast-block", &side), (409, "block-too-old"), "an old block");
}

#[test]
fn the_peer_list_keeps_its_fields() {
    let (node, other) = (Node::dev(), Node::dev());
    for (body, code) in [
        (r#"{"node":"http://localhost:5001"}"#, "node-not-host-port"),
        (r#"{"node":"localhost"}"#, "node-without-port"),
        (r#"{"node":"localhost:0"}"#, "node-bad-port"),
        (r#"{"node":"localhost:70000"}"#, "node-bad-port"),
        (r#"{"node":""}"#, "node-without-port"),
        (r#"{"node":"a b:5001"}"#, "node-bad-host"),
        (r#"{"node":5001}"#, "field-wrong-type"),
        (r#"{"node":null}"#, "field-wrong-type"),
    ] {
        failed(&post(&node, "/node", body), (400, code), body);
    }
    let body = json!({"node": other.address()}).to_string();
    for _ in 0..2 {
        let added = has(&post(&node, "/node", &body), 201, &["message"]);
        assert_eq!(added["all_nodes"], json!([other.address()]));
    }
    let list = has(&call(&node, "GET", "/nodes"), 200, &["peers", "incoming", "guests"]);
    for way in ["live", "outgoing", "incoming"] {
        assert!(list["peers"][0][way].is_boolean(), "{list}");
    }
    assert_eq!(list["all_nodes"], json!([other.address()]));
    let own = json!({"node": node.address()}).to_string();
    failed(&post(&node, "/node", &own), (400, "own-address"), "itself");
    let unknown = has(&call(&node, "DELETE", "/node/localhost:1"), 200, &["message"]);
    assert_eq!(unknown["all_nodes"], json!([other.address()]));
    let path = format!("/node/{}", other.address());
    for _ in 0..2 {
        let removed = has(&call(&node, "DELETE", &path), 200, &["message"]);
        assert_eq!(removed["all_nodes"], json!([]));
    }
    for (path, code) in [
        ("/node/", "not-found"),
        ("/node/localhost", "node-without-port"),
        ("/node/localhost:x", "node-bad-port"),
    ] {
        failed(&call(&node, "DELETE", path), (404, code), path);
    }
}

#[test]
fn the_added_reads_answer_and_fail_as_they_say() {
    let node = Node::dev();
    let own = node.mine_for_a_wallet();
    let open = node.send(&address(&TestKey::new(1)), json!(1))["transaction"]["id"].clone();
    let open = open.as_str().unwrap();
    let block = call(&node, "GET", "/block/1");
    let (hash, coinbase) = (&block.json()["hash"], &block.json()["transactions"][0]["id"]);
    let (hash, coinbase) = (hash.as_str().unwrap(), coinbase.as_str().unwrap());
    assert_eq!(call(&node, "GET", &format!("/block/{hash}")).text, block.text);
    let zeros = "0".repeat(64);
    for (path, status) in [
        (format!("/transaction/{open}"), 200),
        (format!("/transaction/{coinbase}"), 200),
        (format!("/transaction/{coinbase}?block=1"), 200),
        (format!("/proof/transaction/{coinbase}"), 200),
        (format!("/proof/account/{own}"), 200),
        (format!("/proof/account/{}", address(&TestKey::new(5))), 200),
        (format!("/address/{own}"), 200),
        (format!("/address/{}", address(&TestKey::new(5))), 200),
        ("/headers".to_owned(), 200),
        ("/addresses".to_owned(), 200),
        (format!("/headers?locator={hash}"), 200),
        (format!("/blocks?hashes={hash}"), 200),
        (format!("/blocks?hashes={zeros}"), 200),
        (format!("/block/{hash}/compact"), 200),
        ("/transactions/summary".to_owned(), 200),
        ("/transactions/ids?buckets=00,ff".to_owned(), 200),
        ("/health".to_owned(), 200),
        ("/ready".to_owned(), 200),
        ("/miner".to_owned(), 200),
    ] {
        assert_eq!(call(&node, "GET", &path).status, status, "{path}");
    }
    for (path, status, code) in [
        ("/block/2".to_owned(), 404, "block-not-found"),
        (format!("/block/{zeros}"), 404, "block-not-found"),
        ("/block/-1".to_owned(), 400, "bad-block-name"),
        ("/block/tip".to_owned(), 400, "bad-block-name"),
        (format!("/block/{}", hash.to_uppercase()), 400, "bad-block-name"),
        (format!("/transaction/{zeros}"), 404, "transaction-not-found"),
        (format!("/transaction/{open}?block=1"), 404, "transaction-not-found"),
        (format!("/transaction/{coinbase}?block=7"), 404, "block-not-found"),
        ("/transaction/7".to_owned(), 400, "bad-transaction-id"),
        (format!("/proof/transaction/{open}"), 404, "transaction-open"),
        ("/proof/account/me".to_owned(), 400, "address-malformed"),
        ("/address/me".to_owned(), 400, "address-malformed"),
        ("/reorganization/me".to_owned(), 400, "address-malformed"),
        (format!("/reorganization/{own}"), 404, "no-reorganization"),
        ("/headers?locator=7".to_owned(), 400, "field-bad-hex"),
        (format!("/headers?locator={zeros}"), 409, "other-chain"),
        ("/block/1/compact".to_owned(), 400, "bad-block-name"),
        (format!("/block/{zeros}/compact"), 404, "block-not-found"),
        ("/transactions/ids".to_owned(), 400, "field-missing"),
        ("/transactions/ids?buckets=FF".to_owned(), 400, "field-bad-hex"),
        ("/blocks".to_owned(), 400, "field-missing"),
        ("/blocks?hashes=7".to_owned(), 400, "field-bad-hex"),
        (format!("/blocks?hashes={}", vec![hash; 17].join(",")), 400, "list-too-long"),
    ] {
        failed(&call(&node, "GET", &path), (status, code), &path);
    }
    let info = call(&node, "GET", &format!("/transaction/{coinbase}")).json();
    assert_eq!((&info["status"], &info["confirmations"]), (&json!("confirmed"), &json!(1)));
    let switched = has(&post(&node, "/miner", r#"{"threads":2}"#), 200, &["on", "hash_rate"]);
    assert_eq!(switched["threads"], json!(2));
    failed(&post(&node, "/miner", r#"{"threads":0}"#), (400, "field-bad-number"), "no threads");
    failed(&post(&node, "/miner", r#"{"on":1}"#), (400, "field-wrong-type"), "on");
}

#[test]
fn events_tell_of_blocks_and_transfers_as_they_come() {
    use std::io::{BufRead, BufReader};
    let node = Node::dev();
    node.mine_for_a_wallet();
    let stream = Request::new("GET", "/events").begin(&node);
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("the stream goes on"));
    assert_eq!(lines.next().as_deref(), Some("HTTP/1.1 200 OK"));
    let mut next = |wanted: &str| -> Value {
        let mark = format!("event: {wanted}");
        assert!(lines.any(|line| line == mark), "no {wanted}");
        let data = lines.next().expect("data");
        serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON")
    };
    assert_eq!(next("status")["height"], json!(1));
    let sent = node.send(&address(&TestKey::new(1)), json!(1));
    assert_eq!(next("transaction"), sent["transaction"]);
    let mined = node.mine();
    let told = next("block");
    assert_eq!((&told["hash"], &told["index"]), (&mined["hash"], &mined["index"]));
    assert_eq!(told["transactions"], json!(2));
}

/// What `curl` with these words prints, and the status it got.
fn curl(words: &[&str]) -> (String, u16) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}"])
        .args(words)
        .output()
        .expect("curl is installed");
    let text = String::from_utf8(output.stdout).expect("an answer in UTF-8");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let (body, status) = text.rsplit_once('\n').expect("a line with the status");
    (body.to_owned(), status.parse().expect("a status"))
}

#[test]
fn an_original_client_works_with_curl() {
    let (node, other) = (Node::dev(), Node::dev());
    let base = format!("http://localhost:{}", node.port);
    let at = |path: &str| format!("{base}{path}");
    let form = "Content-Type: application/x-www-form-urlencoded";
    for (path, status) in [("/wallet", 201), ("/mine", 201), ("/resolve-conflicts", 200)] {
        assert_eq!(curl(&["-X", "POST", &at(path)]).1, status, "{path}");
        assert_eq!(curl(&["-X", "POST", "-H", form, &at(path)]).1, status, "{path}");
        assert_eq!(curl(&["-d", "", &at(path)]).1, status, "{path}");
    }
    node.mine_for_a_wallet();
    let pay = payment("0.5");
    let words = ["-H", "Content-Type: application/json", "-d", &pay, &at("/transaction")];
    let (text, status) = curl(&words);
    assert_eq!(status, 201, "{text}");
    assert!(text.contains(r#""funds":9.5"#), "{text}");
    assert_eq!(curl(&["-d", &pay, &at("/transaction")]).1, 415);
    let peer = json!({"node": other.address()}).to_string();
    let (text, status) =
        curl(&["-H", "Content-Type: application/json", "--data", &peer, &at("/node")]);
    assert_eq!(status, 201, "{text}");
    let (text, status) = curl(&["-X", "DELETE", &at(&format!("/node/{}", other.address()))]);
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(r#""all_nodes":[]"#), "{text}");
    for path in ["/", "/network", "/balance", "/transactions", "/chain", "/nodes"] {
        assert_eq!(curl(&[&at(path)]).1, 200, "{path}");
    }
    assert_eq!(curl(&[&at("/wallet")]).1, 201);
    assert_eq!(curl(&["--http1.0", &at("/chain")]).1, 200);
    assert_eq!(curl(&["--head", &at("/chain")]).1, 200);
    let big = node.dir().join("big");
    std::fs::write(&big, "x".repeat(200_000)).unwrap();
    let data = format!("@{}", big.display());
    let words =
        ["-H", "Content-Type: application/json", "--data-binary", &data, &at("/transaction")];
    assert_eq!(curl(&words).1, 413);
}
