//! Who may use the wallet, and where its key is never to be seen.

use crate::harness::{Node, Start};
use crate::mirror::address;
use crate::raw::Request;
use farthing::testkit::TestKey;
use serde_json::json;
use std::io::{Read, Write};

#[test]
fn the_wallet_is_closed_to_other_origins_names_and_machines() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let port = node.port;
    let other = port.wrapping_add(1);
    let strangers: Vec<(&str, String, u16, &str)> = vec![
        ("Origin", "http://evil.example".into(), 403, "origin-not-allowed"),
        ("Origin", "null".into(), 403, "origin-not-allowed"),
        ("Origin", format!("http://localhost:{other}"), 403, "origin-not-allowed"),
        ("Origin", format!("https://localhost:{port}"), 403, "origin-not-allowed"),
        ("Sec-Fetch-Site", "cross-site".into(), 403, "origin-not-allowed"),
        ("Sec-Fetch-Site", "same-site".into(), 403, "origin-not-allowed"),
        ("Host", "evil.example".into(), 403, "host-not-allowed"),
        ("Host", format!("evil.example:{port}"), 403, "host-not-allowed"),
        ("Host", format!("127.0.0.1.evil.example:{port}"), 403, "host-not-allowed"),
        ("Host", format!("127.0.0.1:{other}"), 403, "host-not-allowed"),
        ("Host", format!("0.0.0.0:{port}"), 403, "host-not-allowed"),
        ("X-Forwarded-For", "203.0.113.7".into(), 401, "token-needed"),
        ("X-Forwarded-Host", "wallet.example".into(), 401, "token-needed"),
        ("Forwarded", "for=203.0.113.7".into(), 401, "token-needed"),
        ("Via", "1.1 proxy.example".into(), 401, "token-needed"),
    ];
    let routes = [
        ("GET", "/wallet"),
        ("POST", "/wallet"),
        ("GET", "/balance"),
        ("POST", "/transaction"),
        ("POST", "/mine"),
        ("POST", "/node"),
        ("DELETE", "/node/a:1"),
        ("POST", "/resolve-conflicts"),
        ("GET", "/miner"),
        ("POST", "/miner"),
    ];
    let before = (node.tip(), std::fs::read(node.file("wallet")).unwrap());
    for (name, value, status, code) in &strangers {
        for (method, path) in routes {
            let reply = Request::new(method, path).field(name, value).send(&node);
            let context = format!("{method} {path} with {name}: {value}: {reply:?}");
            assert_eq!((reply.status, &*reply.code()), (*status, *code), "{context}");
            assert_eq!(reply.field("Access-Control-Allow-Origin"), None, "{context}");
        }
    }
    assert_eq!(before, (node.tip(), std::fs::read(node.file("wallet")).unwrap()));
    for (name, value) in [
        ("Origin", format!("http://localhost:{port}")),
        ("Origin", format!("http://127.0.0.1:{port}")),
        ("Sec-Fetch-Site", "same-origin".into()),
        ("Host", format!("localhost:{port}")),
        ("Host", format!("[::1]:{port}")),
    ] {
        let reply = Request::new("GET", "/wallet").field(name, &value).send(&node);
        assert_eq!(reply.status, 201, "{name}: {value}: {reply:?}");
    }
}

#[test]
fn the_token_opens_what_a_proxy_is_refused() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let token = std::fs::read_to_string(node.file("token")).unwrap();
    let ask = |token: &str| {
        let request = Request::new("GET", "/balance").field("X-Forwarded-For", "203.0.113.7");
        request.field("Authorization", &format!("Bearer {token}")).send(&node)
    };
    assert_eq!(ask(token.trim()).status, 200);
    let mut wrong = token.trim().to_owned();
    wrong.replace_range(..1, if wrong.starts_with('0') { "1" } else { "0" });
    let reply = ask(&wrong);
    assert_eq!((reply.status, &*reply.code()), (401, "token-wrong"));
}

#[test]
fn the_private_key_is_in_no_answer_but_the_first_and_in_no_log() {
    let mut node = Start::default().flag("--log=trace").node();
    let created = node.call("POST", "/wallet").expect(201);
    let secret = created["private_key"].as_str().expect("the one answer with the key").to_owned();
    assert_eq!(secret.len(), 64);
    node.mine();
    let to = address(&TestKey::new(1));
    let mut answers = vec![node.send(&to, json!(1)).to_string()];
    for path in [
        "/",
        "/network",
        "/wallet",
        "/balance",
        "/transactions",
        "/chain",
        "/nodes",
        "/status",
        "/health",
        "/ready",
        "/miner",
        "/headers",
        "/addresses",
        "/block/1",
    ] {
        answers.push(node.get(path).text);
    }
    for path in ["/mine", "/resolve-conflicts"] {
        answers.push(node.call("POST", path).text);
    }
    let mut events = Request::new("GET", "/events").begin(&node);
    let mut first = [0; 4096];
    let read = events.read(&mut first).unwrap();
    answers.push(String::from_utf8_lossy(&first[..read]).into_owned());
    let again = node.call("POST", "/wallet").expect(201);
    assert_ne!(again["private_key"], created["private_key"]);
    node.restart_after_kill();
    answers.push(node.get("/wallet").text);
    answers.push(node.get("/status").text);
    answers.push(node.said());
    answers.push(node.log());
    for entry in std::fs::read_dir(node.dir()).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().starts_with("wallet") {
            answers.push(String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into());
        }
    }
    for secret in [&secret, again["private_key"].as_str().unwrap()] {
        for spelled in spellings(secret) {
            for answer in &answers {
                assert!(!answer.contains(&spelled), "{spelled} stands in {answer}");
            }
        }
    }
}

/// The forms in which a key might be written by mistake.
fn spellings(secret: &str) -> Vec<String> {
    let bytes = hex::decode(secret).unwrap();
    let list = |bytes: &[u8]| {
        let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
        numbers.join(", ")
    };
    let mut reversed = bytes.clone();
    reversed.reverse();
    vec![
        secret.to_owned(),
        secret.to_uppercase(),
        hex::encode(reversed),
        list(&bytes[..8]),
        list(&bytes[..8]).replace(' ', ""),
        secret[..32].to_owned(),
        secret[32..].to_owned(),
    ]
}

/// A handshake for a WebSocket.
fn live(origin: Option<&str>) -> Request {
    let request = Request::new("GET", "/live")
        .field("Upgrade", "websocket")
        .field("Connection", "Upgrade")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    match origin {
        Some(origin) => request.field("Origin", origin),
        None => request,
    }
}

#[test]
fn a_socket_opens_for_no_foreign_page() {
    let node = Node::dev();
    let port = node.port;
    for origin in [
        "http://evil.example".to_owned(),
        "null".to_owned(),
        format!("http://evil.example:{port}"),
        format!("https://localhost:{port}"),
        format!("http://localhost:{}", port.wrapping_add(1)),
    ] {
        let reply = live(Some(&origin)).send(&node);
        assert_eq!((reply.status, &*reply.code()), (403, "origin-not-allowed"), "{origin}");
        let peer = live(Some(&origin)).field("Sec-WebSocket-Protocol", "farthing-peer");
        assert_eq!(peer.send(&node).status, 403, "{origin}");
    }
    let own = format!("http://localhost:{port}");
    for origin in [None, Some(own.as_str())] {
        let mut socket = live(origin).begin(&node);
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101", "{origin:?}");
    }
}

#[test]
fn a_socket_takes_no_commands_and_tells_nothing_of_the_wallet() {
    let node = Node::dev();
    let created = node.call("POST", "/wallet").expect(201);
    let before = node.tip();
    let mut socket = live(None).begin(&node);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    for command in ["wallet", "POST /mine", r#"{"ask":1,"what":"wallet"}"#, "POST /wallet"] {
        let length = u8::try_from(command.len()).unwrap();
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], command.as_bytes()].concat();
        socket.write_all(&frame).unwrap();
    }
    // A close, so that all that is ever said to it comes before the end.
    socket.write_all(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
    let mut said = Vec::new();
    socket.read_to_end(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains(r#"{"event":"status","data":{"#), "{said}");
    for secret in ["private_key", "public_key"] {
        let secret = created[secret].as_str().unwrap();
        assert!(!said.contains(secret), "{said}");
    }
    assert_eq!(node.tip(), before);
}
