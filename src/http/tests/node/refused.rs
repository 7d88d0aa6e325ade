//! What every route refuses, whatever it does.

use super::{Node, ROUTES};
use crate::http::{Class, Method};

/// A path of the route that names something.
fn path(pattern: &str) -> String {
    let names = [
        ("{file}", "app.js"),
        ("{node}", "a:1"),
        ("{block}", "0"),
        ("{address}", "x"),
        ("{id}", "x"),
    ];
    names.iter().fold(pattern.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// The routes that take a body.
fn with_body() -> impl Iterator<Item = (&'static str, usize)> {
    ROUTES.iter().filter(|route| route.body_max > 0).map(|route| (route.pattern, route.body_max))
}

#[test]
fn bodies_of_another_shape_are_400_on_every_route() {
    let node = Node::new();
    node.wallet();
    let mut seen = 0;
    for (pattern, _) in with_body() {
        let line = format!("POST {pattern}");
        for (body, code) in [
            ("", "no-data"),
            ("{", "json-syntax"),
            ("nonsense", "json-syntax"),
            ("[]", "json-wrong-shape"),
            ("null", "json-wrong-shape"),
            ("7", "json-wrong-shape"),
            (r#""text""#, "json-wrong-shape"),
            (r#"{"surprise":1}"#, "field-unknown"),
        ] {
            let message = node.fails((400, code), &line, body);
            assert!(message.starts_with("expected") || message.contains("expected"), "{message}");
        }
        // Of these, everything may be left out.
        if !["/miner", "/announce"].contains(&pattern) {
            let message = node.fails((400, "field-missing"), &line, "{}");
            assert!(message.contains('`'), "{message}");
        }
        let nested = format!("{}1", r#"{"a":"#.repeat(600));
        assert_eq!(node.call(&line, &nested).status, 400, "{pattern}");
        seen += 1;
    }
    assert_eq!(seen, 8);
    for (line, body) in [
        ("POST /transaction", r#"{"recipient":7,"amount":1}"#),
        ("POST /transaction", r#"{"recipient":null,"amount":1}"#),
        ("POST /node", r#"{"node":["a:1"]}"#),
        ("POST /miner", r#"{"on":"yes"}"#),
        ("POST /miner", r#"{"threads":"2"}"#),
    ] {
        node.fails((400, "field-wrong-type"), line, body);
    }
    node.fails((400, "json-wrong-shape"), "POST /broadcast-block", r#"{"block":[]}"#);
    node.fails((400, "field-duplicate"), "POST /node", r#"{"node":"a:1","node":"b:1"}"#);
    node.fails((400, "node-not-host-port"), "POST /node", r#"{"node":"http://a:1"}"#);
    let mut client = node.connect();
    client.send(&format!(
        "POST /node HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n",
        node.address.port()
    ));
    assert!(client.try_send(&[0xff]));
    let answer = client.answer();
    assert_eq!((answer.status, answer.code().as_str()), (400, "not-utf-8"));
}

#[test]
fn what_a_client_sent_stands_in_messages_as_it_is_but_for_what_could_forge_a_log() {
    let node = Node::new();
    let got = |line: &str, body: &str| {
        let message = node.call(line, body).json()["message"].as_str().unwrap().to_owned();
        message.rsplit_once("got ").unwrap_or_else(|| panic!("{message}")).1.to_owned()
    };
    // As sent, in JSON, and as shown.
    for (sent, shown) in [
        (r#"a\"b"#, r#"a"b"#),
        (r"it's \\", r"it's \"),
        (r"a\nb", r"a\nb"),
        (r"a\u001bb", r"a\u{1b}b"),
        (r"a\u202eb", r"a\u{202e}b"),
        ("\u{e9}", "\u{e9}"),
    ] {
        let body = format!(r#"{{"ids":["{sent}"]}}"#);
        assert_eq!(got("POST /fetch-transactions", &body), shown);
    }
    assert_eq!(got("GET /block/a%22b", ""), r#"a"b"#);
    assert_eq!(got("GET /chain?from=a%22b", ""), r#"a"b"#);
    let long = format!(r#"{{"ids":["{}"]}}"#, r"\n".repeat(100));
    assert_eq!(got("POST /fetch-transactions", &long).len(), 83);
}

#[test]
fn bodies_of_another_type_or_size_are_refused_unread() {
    let node = Node::new();
    for (pattern, body_max) in with_body() {
        let line = format!("POST {pattern}");
        for kind in [
            "",
            "Content-Type: text/plain\r\n",
            "Content-Type: application/x-www-form-urlencoded\r\n",
        ] {
            let answer = node.ask(&line, kind, "{}");
            assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported-content-type"));
        }
        let mut client = node.connect();
        client.send(&format!(
            "{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            node.address.port(),
            body_max + 1
        ));
        let answer = client.answer();
        assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"), "{pattern}");
    }
    for route in ROUTES.iter().filter(|route| route.body_max == 0) {
        let line = format!("{} {}", route.method.as_str(), path(route.pattern));
        assert_eq!(node.call(&line, "{}").status, 413, "{line}");
    }
}

#[test]
fn wrong_methods_and_unknown_paths_are_told_apart() {
    let node = Node::new();
    for route in &ROUTES {
        let path = path(route.pattern);
        let answer = node.call(&format!("PUT {path}"), "");
        assert_eq!((answer.status, answer.code().as_str()), (405, "method-not-allowed"), "{path}");
        assert!(answer.field("allow").unwrap().contains(route.method.as_str()), "{path}");
        let longer = format!("GET {path}/more");
        let answer = node.call(&longer, "");
        if !["/", "/transaction"].contains(&path.as_str()) {
            assert!([404, 405].contains(&answer.status), "{longer}");
        }
    }
    for path in ["/nothing", "/static", "/Wallet", "/wallet/", "/proof", "/proof/x", "/live/x"] {
        node.fails((404, "not-found"), &format!("GET {path}"), "");
    }
    let answer = node.call("GET /mine", "");
    assert_eq!((answer.status, answer.field("allow").as_deref()), (405, Some("POST, OPTIONS")));
}

#[test]
fn numbers_in_a_query_are_named_when_wrong() {
    let node = Node::new();
    for value in ["x", "-1", "+1", "1.0", "", "4294967296", "1e3"] {
        for name in ["from", "count"] {
            let line = format!("GET /chain?{name}={}", value.replace('+', "%2B"));
            let message = node.fails((400, "field-bad-number"), &line, "");
            assert!(message.contains(&format!("`{name}`")), "{message}");
        }
    }
}

#[test]
fn what_is_the_operators_is_refused_to_all_others() {
    let node = Node::new();
    node.wallet();
    let port = node.address.port();
    let own = format!("Host: 127.0.0.1:{port}\r\n");
    let mut operator = Vec::new();
    for route in ROUTES.iter().filter(|route| route.class == Class::Operator) {
        let line = format!("{} {}", route.method.as_str(), path(route.pattern));
        for (fields, expected) in [
            (format!("{own}Origin: http://evil.com\r\n"), (403, "origin-not-allowed")),
            (format!("{own}Origin: null\r\n"), (403, "origin-not-allowed")),
            (format!("{own}Sec-Fetch-Site: cross-site\r\n"), (403, "origin-not-allowed")),
            (format!("{own}X-Forwarded-For: 10.0.0.1\r\n"), (401, "token-needed")),
            (format!("Host: evil.com:{port}\r\n"), (403, "host-not-allowed")),
            (format!("Host: 127.0.0.1:{}\r\n", port ^ 1), (403, "host-not-allowed")),
            (
                format!("{own}X-Forwarded-For: 10.0.0.1\r\nAuthorization: Bearer x\r\n"),
                (401, "token-wrong"),
            ),
        ] {
            let mut client = node.connect();
            client.send(&format!("{line} HTTP/1.1\r\n{fields}Content-Length: 0\r\n\r\n"));
            let answer = client.answer();
            assert_eq!((answer.status, answer.code().as_str()), expected, "{line} {fields}");
            assert_eq!(answer.field("access-control-allow-origin"), None, "{line}");
        }
        operator.push(line);
    }
    assert_eq!(
        operator,
        [
            "POST /wallet",
            "GET /wallet",
            "GET /balance",
            "POST /transaction",
            "POST /mine",
            "POST /node",
            "DELETE /node/a:1",
            "POST /resolve-conflicts",
            "GET /miner",
            "POST /miner",
        ]
    );
    assert_eq!(node.get("/status")["height"], 0);
    assert_eq!(node.get("/nodes")["all_nodes"], serde_json::json!([]));
}

#[test]
fn public_reads_are_open_to_all_pages_and_nothing_else_is() {
    let node = Node::new();
    for route in ROUTES.iter().filter(|route| route.class == Class::Public) {
        let line = format!("{} {}", route.method.as_str(), path(route.pattern));
        if route.lane.is_handed_over() {
            continue;
        }
        let fields = "Origin: http://evil.com\r\nContent-Type: application/json\r\n";
        let answer = node.ask(&line, fields, "");
        let allowed = answer.field("access-control-allow-origin");
        match route.method {
            Method::Get => assert_eq!(allowed.as_deref(), Some("*"), "{line}"),
            _ => assert_eq!((answer.status, allowed), (403, None), "{line}"),
        }
    }
}
