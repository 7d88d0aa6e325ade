//! The handshake of a WebSocket: what the door lets through, and what each other one is told.

use super::{Answer, PATIENCE, World};

/// The key and the answer of RFC 6455, 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A handshake in which nothing is wrong.
const RIGHT: &str = "GET /socket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A right handshake with more fields.
fn with(fields: &str) -> String {
    RIGHT.replace("\r\n\r\n", &format!("\r\n{fields}\r\n"))
}

#[track_caller]
fn check(answer: &Answer, expected: (u16, &str), request: &str) {
    assert_eq!((answer.status, answer.code().as_str()), expected, "{request}");
}

#[test]
fn a_right_handshake_is_handed_over_with_its_answer() {
    let world = World::new();
    let port = world.address.port();
    let cases = [
        (RIGHT.to_owned(), false),
        (RIGHT.replace("websocket", "h2c, WebSocket"), false),
        (RIGHT.replace("Connection: Upgrade", "Connection: keep-alive, upgrade"), false),
        (with("Sec-WebSocket-Extensions: permessage-deflate\r\n"), false),
        (with("Sec-WebSocket-Protocol: farthing-peer\r\n"), true),
        (with("Sec-WebSocket-Protocol: chat, farthing-peer\r\n"), true),
        (with("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: farthing-peer\r\n"), true),
        (with(&format!("Origin: http://localhost:{port}\r\n")), false),
        (
            with(&format!("Origin: http://127.0.0.1:{port}\r\nSec-Fetch-Site: same-origin\r\n")),
            false,
        ),
        (with("Origin: https://wallet.example\r\nSec-Fetch-Site: cross-site\r\n"), false),
    ];
    for (request, is_peer) in cases {
        let mut client = world.connect();
        client.send(&request);
        let call = world.live.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{request}"));
        let upgrade = call.upgrade.expect("a handshake");
        assert_eq!((upgrade.accept.as_str(), upgrade.is_peer), (ACCEPT, is_peer), "{request}");
        let answer = upgrade.answer();
        assert_eq!(answer.contains("Sec-WebSocket-Protocol: farthing-peer\r\n"), is_peer);
        assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(!answer.to_lowercase().contains("extensions"), "{answer}");
    }
}

#[test]
fn every_wrong_handshake_is_told_what_is_wrong() {
    let world = World::new();
    let needed = (426, "upgrade-needed");
    let malformed = (400, "malformed-handshake");
    let without = |line: &str| RIGHT.replace(&format!("{line}\r\n"), "");
    let cases = [
        ("GET /socket HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), needed),
        (without("Upgrade: websocket"), needed),
        (RIGHT.replace("websocket", "h2c"), needed),
        (without("Sec-WebSocket-Version: 13"), needed),
        (RIGHT.replace("Version: 13", "Version: 8"), needed),
        (RIGHT.replace("Version: 13", "Version: 013"), needed),
        (with("Sec-WebSocket-Version: 13\r\n"), needed),
        (without("Connection: Upgrade"), malformed),
        (RIGHT.replace("Connection: Upgrade", "Connection: close"), malformed),
        (without(&format!("Sec-WebSocket-Key: {KEY}")), malformed),
        (with(&format!("Sec-WebSocket-Key: {KEY}\r\n")), malformed),
        (RIGHT.replace(KEY, ""), malformed),
        (RIGHT.replace(KEY, "dGhlIHNhbXBsZSBub25jZQ"), malformed),
        (RIGHT.replace(KEY, "dGhlIHNhbXBsZSBub25jZR=="), malformed),
        (RIGHT.replace(KEY, "dGhlIHNhbXBsZSBub25jZSBub25jZQ=="), malformed),
        (RIGHT.replace(KEY, "dGhlIHNhbXBsZSBub2-jZQ=="), malformed),
        (with("Sec-WebSocket-Protocol: chat\r\n"), malformed),
        (with("Sec-WebSocket-Protocol: Farthing-Peer, chat\r\n"), malformed),
        (with("Sec-WebSocket-Protocol: \r\n"), malformed),
        (format!("{RIGHT}early"), malformed),
        (RIGHT.replace("HTTP/1.1", "HTTP/1.0"), malformed),
        (
            with("Content-Type: application/json\r\nContent-Length: 2\r\n") + "{}",
            (413, "body-too-large"),
        ),
        (with("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", (413, "body-too-large")),
        (RIGHT.replace("GET", "HEAD"), (405, "")),
        (RIGHT.replace("GET", "POST"), (405, "method-not-allowed")),
        (RIGHT.replace("/socket", "/hello"), (400, "no-upgrade-here")),
        (RIGHT.replace("/socket", "/live"), (400, "no-upgrade-here")),
        (RIGHT.replace("/socket", "/nothing"), (404, "not-found")),
        (with("Expect: 200-ok\r\n"), (417, "expectation-failed")),
    ];
    for (request, expected) in cases {
        let mut client = world.connect();
        client.send(&request);
        if request.starts_with("HEAD") {
            assert_eq!(client.head().unwrap().status, expected.0);
            continue;
        }
        let answer = client.answer();
        check(&answer, expected, &request);
        if expected == needed {
            assert_eq!(answer.field("upgrade").as_deref(), Some("websocket"));
            assert_eq!(answer.field("sec-websocket-version").as_deref(), Some("13"));
        }
    }
    assert!(world.live.is_empty(), "none was handed over");
    world.until("none keeps a place", |world| world.running().connections() == 0);
}

#[test]
fn no_page_of_a_foreign_origin_opens_a_socket() {
    let world = World::new();
    let port = world.address.port();
    for fields in [
        "Origin: http://evil.com\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        format!("Origin: https://localhost:{port}\r\n"),
        format!("Origin: http://localhost:{}\r\n", port.wrapping_add(1)),
        format!("Host: evil.com:{port}\r\nOrigin: http://evil.com:{port}\r\n"),
        "Sec-Fetch-Site: cross-site\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\n".to_owned(),
        "Origin: http://evil.com\r\nSec-WebSocket-Protocol: farthing-peer\r\n".to_owned(),
    ] {
        let request = with(&fields);
        let request = if fields.starts_with("Host") {
            request.replacen("Host: a\r\n", "", 1)
        } else {
            request
        };
        check(&world.ask(&request), (403, "origin-not-allowed"), &request);
    }
    assert!(world.live.is_empty());
}
