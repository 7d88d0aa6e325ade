//! Hostile JSON on every route that takes some: each is refused as what it is, and changes nothing.
//!
//! The tables hold what JSON parsers have been found to differ in, after JSONTestSuite: texts that RFC 8259
//! forbids, and texts that it leaves to the parser, which this node refuses as well.

use super::{Client, Node, dev_accounts, next_block};
use crate::http::ROUTES;
use crate::wire::{block_to_json, transfer_to_json};
use serde_json::{Map, Value};
use std::net::TcpStream;

/// What is no JSON value.
const FORBIDDEN: &[&str] = &[
    // Numbers.
    "-",
    "+1",
    "++1",
    "-01",
    "012",
    "-012",
    "0x1",
    "0x42",
    "1.",
    "-2.",
    ".5",
    "-.5",
    "2.e3",
    "2.e+3",
    "0.e1",
    "0.1.2",
    "0.3e",
    "0.3e+",
    "1e",
    "1E+",
    "1ea",
    "1eE2",
    "0e+-1",
    "- 1",
    "1 000.0",
    "1_000",
    "1+2",
    "-1x",
    "1n",
    "1.2a-3",
    "-123.123foo",
    "\u{ff11}",
    "NaN",
    "-NaN",
    "nan",
    "Inf",
    "+Inf",
    "Infinity",
    "-Infinity",
    // Literals.
    "tru",
    "fals",
    "nul",
    "nulll",
    "True",
    "NULL",
    "undefined",
    "abc",
    "-foo",
    "<null>",
    "<.>",
    "a\u{e5}",
    "*",
    // Texts.
    "\"",
    "\"abc",
    "\"\\",
    "\"\\\"",
    "'single'",
    "\"\\x00\"",
    "\"\\a\"",
    "\"\\0\"",
    "\"\\\u{1f300}\"",
    "\"\\u00A\"",
    "\"\\u\"",
    "\"\\uD834\\uDd\"",
    "\"\\u00g0\"",
    "\"\\UA66D\"",
    "\"a\"x",
    "\"a\nb\"",
    "\"a\tb\"",
    "\"a\u{1f}b\"",
    "\"\0\"",
    "\\u0020\"a\"",
    "\\n",
    // Arrays.
    "[",
    "]",
    "[1",
    "[\"\"",
    "[,",
    "[,1]",
    "[1,]",
    "[1,,2]",
    "[\"\",]",
    "[1 true]",
    "[\"a\" \"b\"]",
    "[\"\": 1]",
    "[x",
    "[3[4]]",
    "[1}",
    "[1]]",
    "[1]x",
    "[][]",
    "[*]",
    "[-]",
    "[a",
    "[\u{c}]",
    "[\u{a0}]",
    "[\u{2060}]",
    "[1\u{0}]",
    "[True]",
    "[1,\n1\n,1",
    // Objects.
    "{",
    "}",
    "{]",
    "{}}",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{\"a\" b}",
    "{\"a\"::1}",
    "{\"a\", 1}",
    "{\"a\":1 2}",
    "{\"a\":1,,}",
    "{:1}",
    "{1:1}",
    "{null:1}",
    "{a:1}",
    "{'a':1}",
    "{[:1}",
    "{,}",
    "{\"a\":1,\"b\"}",
    "{\"a\":\"x",
    "{\u{1f1e8}}",
    "{\"a\":tru}",
    // Comments and other beginnings and ends.
    "/**/1",
    "1/**/",
    "{}/**/",
    "{\"a\":/* */1}",
    "// a\n1",
    "1//",
    "{}#",
    "#{}",
    "2@",
    "\u{feff}1",
    "\u{feff}{}",
    "{}\0",
    "\0",
    "\u{2028}1",
    "\u{b}1",
    ";1",
];

/// What RFC 8259 leaves open, and what no field of a request can hold.
const OPEN: &[&str] = &[
    "1e400",
    "-1e400",
    "-1e+9999",
    "1.5e+9999",
    "123123e100000",
    "123.456e78",
    "1e-400",
    "0.4e006699999999999999999999999999999999999999",
    "18446744073709551616",
    "-9223372036854775809",
    "100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\uDADA\"",
    "\"\\uD888\\u1234\"",
    "\"\\uDd1e\\uD834\"",
    "\"\\uDFAA\"",
    "\"\\ud800\\n\"",
    "\"\\uD800\\uD800\\n\"",
    "\"\\u0000\"",
    "null",
    "[[[[[[]]]]]]",
    "{\"a\":{\"a\":{}}}",
];

/// Bytes that are no UTF-8: of other encodings, too long, halves of pairs, beyond the last, cut off.
const NOT_UTF8: &[&[u8]] = &[
    b"\xff",
    b"\x81",
    b"\xe9",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xf4\xbf\xbf\xbf",
    b"\xe0\xff",
    b"\xfc\x80\x80\x80\x80\x80",
    b"\xc3",
    b"\xfe\xff\0[\0]",
    b"\xff\xfe[\0]\0",
];

/// What may not follow a whole value, and what may not stand before one.
const ENDS: &[&str] = &["x", "}", "]", ",", "{}", "\0", "#", "//", "/**/", "\u{feff}", "\u{a0}"];
const BEGINNINGS: &[&str] = &["\u{feff}", "\0", ",", "[", "x", "\u{a0}", "/**/", "\u{c}", ")]}'\n"];

impl Node {
    /// Checks that a body is refused by its form, and nothing else.
    fn refuses_json(&self, path: &str, body: &[u8]) {
        let mut client = Client::new(TcpStream::connect(self.address).unwrap());
        client.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address.port(),
            body.len()
        ));
        client.try_send(body);
        let answer = client.answer();
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        let is_too_long = answer.status == 413 && answer.code() == "body-too-large";
        assert!(answer.status == 400 || is_too_long, "{path} {shown}: {answer:?}");
        assert!(!answer.code().is_empty(), "{path} {shown}: {answer:?}");
    }
}

/// A request for each route that takes one, and the status of its answer.
fn requests(node: &Node) -> Vec<(&'static str, Map<String, Value>, u16)> {
    let (handle, prefix) = (node.handle(), node.handle().prefix());
    let payee = dev_accounts()[1].public_key().to_address(prefix);
    let block = block_to_json(&next_block(handle, dev_accounts()[2].public_key()), prefix);
    let transfer = transfer_to_json(&node.transfer(&dev_accounts()[0], 1, 0), prefix);
    let handshake = node.handshake().to_json().replace(r#""linked""#, r#""node":5000,"linked""#);
    let payment = format!(
        r#"{{"recipient":"{payee}","amount":1,"fee":0,"memo":"a","expiry":9999,"request_id":"b"}}"#
    );
    let zero = "0".repeat(64);
    [
        ("/transaction", payment, 500),
        ("/node", r#"{"node":"192.0.2.1:5000"}"#.to_owned(), 201),
        ("/miner", r#"{"on":true,"threads":1}"#.to_owned(), 200),
        ("/handshake", handshake, 200),
        ("/announce", r#"{"from":5000,"blocks":[],"transactions":""}"#.to_owned(), 200),
        ("/fetch-transactions", format!(r#"{{"ids":["{zero}"]}}"#), 200),
        ("/fetch-transactions", format!(r#"{{"block":"{zero}","indexes":[0]}}"#), 404),
        ("/broadcast-transaction", transfer, 201),
        ("/broadcast-block", format!(r#"{{"block":{block},"from":5000}}"#), 201),
    ]
    .map(|(path, text, status)| (path, serde_json::from_str(&text).unwrap(), status))
    .into()
}

/// The request with another text for one of its fields.
fn with(fields: &Map<String, Value>, name: &str, text: &str) -> String {
    let field = |(known, value): (&String, &Value)| {
        if known == name { format!("\"{known}\":{text}") } else { format!("\"{known}\":{value}") }
    };
    format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
}

#[test]
fn what_is_no_json_is_refused_on_every_route_wherever_it_stands() {
    let node = Node::new();
    node.wallet();
    let requests = requests(&node);
    let known = ROUTES.iter().filter(|route| route.body_max > 0).map(|route| route.pattern);
    assert!(known.into_iter().all(|path| requests.iter().any(|(asked, ..)| *asked == path)));
    for (path, fields, _) in &requests {
        let good = Value::from(fields.clone()).to_string();
        for text in FORBIDDEN.iter().chain(OPEN) {
            node.refuses_json(path, text.as_bytes());
            for name in fields.keys() {
                node.refuses_json(path, with(fields, name, text).as_bytes());
            }
        }
        for bytes in NOT_UTF8 {
            node.refuses_json(path, bytes);
            node.refuses_json(path, &[good.as_bytes(), bytes].concat());
            let (start, end) = good.split_once('"').unwrap();
            node.refuses_json(path, &[start.as_bytes(), b"\"", bytes, end.as_bytes()].concat());
        }
        ENDS.iter().for_each(|end| node.refuses_json(path, format!("{good}{end}").as_bytes()));
        BEGINNINGS
            .iter()
            .for_each(|begin| node.refuses_json(path, format!("{begin}{good}").as_bytes()));
    }
    assert_eq!(node.get("/nodes")["all_nodes"], serde_json::json!([]));
    let status = node.get("/status");
    let unchanged = (&status["height"], &status["mempool"]["count"], &status["miner"]["on"]);
    assert_eq!(unchanged, (&0.into(), &0.into(), &false.into()));
    // So much for what is wrong with them: as they are they do what they ask for.
    for (path, fields, status) in &requests {
        let answer = node.call(&format!("POST {path}"), &Value::from(fields.clone()).to_string());
        assert_eq!(answer.status, *status, "{path}: {answer:?}");
    }
}

#[test]
fn no_field_stands_twice_and_nothing_is_nested_without_end() {
    let node = Node::new();
    node.wallet();
    for (path, fields, _) in &requests(&node) {
        let line = format!("POST {path}");
        for (name, value) in fields {
            let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
            for again in [name, &escaped] {
                let twice = with(fields, name, &format!("{value},\"{again}\":{value}"));
                node.fails((400, "field-duplicate"), &line, &twice);
            }
        }
        for deep in ["[", "{\"a\":", "[{\"a\":", "{\"memo\":["] {
            let deep = deep.repeat(100_000 / deep.len());
            node.refuses_json(path, deep.as_bytes());
            for name in fields.keys() {
                node.refuses_json(path, with(fields, name, &deep).as_bytes());
            }
        }
        for count in [100, 500, 1_500] {
            let whole = format!("{}{}", "[".repeat(count), "]".repeat(count));
            node.refuses_json(path, whole.as_bytes());
            for name in fields.keys() {
                node.refuses_json(path, with(fields, name, &whole).as_bytes());
            }
        }
    }
    node.get("/health");
}
