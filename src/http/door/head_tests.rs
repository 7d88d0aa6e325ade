//! Heads that are taken and heads that are refused.

use super::{BodyLength, HEAD_MAX, Head, Scanner, parse};
use crate::http::door::refusal::Refusal;

/// Reads a head as the door does, in pieces of `size`.
fn read(wire: &[u8], size: usize) -> Result<Option<Head>, Refusal> {
    let mut scanner = Scanner::default();
    let mut end = 0;
    while end < wire.len() {
        end = wire.len().min(end + size);
        if let Some(length) = scanner.scan(&wire[..end])? {
            return parse(&wire[..length]).map(Some);
        }
    }
    Ok(None)
}

fn check(wire: &str, expected: Result<BodyLength, Refusal>) {
    for size in [1, 5, HEAD_MAX] {
        let found = read(wire.as_bytes(), size).map(|head| head.expect("the head is whole").length);
        assert_eq!(found, expected, "{wire:?} in pieces of {size}");
    }
}

/// Checks fields below a good request line and host.
fn check_fields(fields: &str, expected: Result<BodyLength, Refusal>) {
    check(&format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), expected);
}

const EMPTY: Result<BodyLength, Refusal> = Ok(BodyLength::Exact(0));

#[test]
fn well_formed_heads_are_taken() {
    check("GET / HTTP/1.1\r\nHost: localhost:5000\r\n\r\n", EMPTY);
    check("\r\nGET / HTTP/1.1\r\nHost: [::1]:5000\r\n\r\n", EMPTY);
    check("GET / HTTP/1.0\r\n\r\n", EMPTY);
    check_fields("Content-Length: 17\r\n", Ok(BodyLength::Exact(17)));
    check_fields("Content-Length: 0017\r\n", Ok(BodyLength::Exact(17)));
    check_fields("Content-Length: 18446744073709551616\r\n", Ok(BodyLength::Exact(u64::MAX)));
    check_fields("Transfer-Encoding: Chunked\r\n", Ok(BodyLength::Chunked));
    check_fields("X-Name: caf\u{e9}\r\nEmpty:\r\n", EMPTY);
    assert!(read(b"GET / HTTP/1.1\r\nHost: a\r\n", 3).unwrap().is_none());
}

#[test]
fn ambiguous_lengths_are_refused() {
    for length in ["-1", "+5", "5, 5", "5,5", "abc", "0x5", "5 5", "", "1e3", "5;"] {
        check_fields(&format!("Content-Length: {length}\r\n"), Err(Refusal::Length));
    }
    check_fields(
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        Err(Refusal::Repeated("content-length")),
    );
    check_fields(
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        Err(Refusal::LengthAndEncoding),
    );
    for coding in
        ["identity", "gzip", "gzip, chunked", "chunked, chunked", "chunked;a=b", "xchunked", ""]
    {
        check_fields(&format!("Transfer-Encoding: {coding}\r\n"), Err(Refusal::Encoding));
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    check_fields(twice, Err(Refusal::Repeated("transfer-encoding")));
    check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Refusal::Encoding));
}

#[test]
fn malformed_heads_are_refused() {
    for wire in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        check(wire, Err(Refusal::ControlByte));
    }
    for wire in [
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tfolded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
    ] {
        check(wire, Err(Refusal::HeadForm));
    }
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/11", "http/1.1"] {
        let wire = format!("GET / {version}\r\nHost: a\r\n\r\n");
        let refusal = read(wire.as_bytes(), HEAD_MAX).unwrap_err();
        assert!(matches!(refusal, Refusal::Version | Refusal::HeadForm), "{version}: {refusal}");
    }
}

#[test]
fn a_request_names_one_host_and_a_path() {
    check("GET / HTTP/1.1\r\n\r\n", Err(Refusal::Host));
    for host in ["", "a b", "a/b", "user@a", "a,b", "a?"] {
        check(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), Err(Refusal::Host));
    }
    check_fields("Host: a\r\n", Err(Refusal::Host));
    for target in ["http://a/", "*", "a:80", "/a#b", "/%zz", "/%00"] {
        let wire = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(matches!(read(wire.as_bytes(), HEAD_MAX), Err(Refusal::Target(_))), "{target}");
    }
    check("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", Err(Refusal::Method));
    check("get / HTTP/1.1\r\nHost: a\r\n\r\n", Err(Refusal::Method));
}

#[test]
fn heads_have_a_largest_size() {
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(5000));
    assert_eq!(read(long.as_bytes(), 100).unwrap_err(), Refusal::LineTooLong);
    let wide = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(9000));
    assert_eq!(read(wide.as_bytes(), HEAD_MAX).unwrap_err(), Refusal::HeadTooLarge);
    check_fields(&"X: y\r\n".repeat(63), EMPTY);
    check_fields(&"X: y\r\n".repeat(64), Err(Refusal::HeadTooLarge));
}

#[test]
fn expectations_and_connection_options_are_read() {
    let head = |version: &str, fields: &str| {
        read(format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n").as_bytes(), HEAD_MAX)
            .map(Option::unwrap)
    };
    for (version, fields, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, Close\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
    ] {
        assert_eq!(head(version, fields).unwrap().keep_alive, keep_alive, "{version} {fields}");
    }
    assert!(head("1.1", "Expect: 100-Continue\r\n").unwrap().expects_continue);
    assert!(!head("1.0", "Expect: 100-continue\r\n").unwrap().expects_continue);
    for fields in
        ["Expect: x\r\n", "Expect: 100-continue, x\r\n", "Expect: 100-continue\r\nExpect: y\r\n"]
    {
        assert_eq!(head("1.1", fields).unwrap_err(), Refusal::Expectation, "{fields}");
    }
}

#[test]
fn the_caller_is_told_from_the_fields() {
    let forwarded = |fields: &str| {
        let wire = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        read(wire.as_bytes(), HEAD_MAX).unwrap().unwrap().caller([127, 0, 0, 1].into()).forwarded
    };
    assert!(!forwarded("X-Forward: x\r\n"));
    for name in ["Forwarded", "X-Forwarded-For", "x-forwarded-host", "X-Real-IP", "Via"] {
        assert!(forwarded(&format!("{name}: x\r\n")), "{name}");
    }
    for name in ["origin", "authorization", "sec-fetch-site", "content-type"] {
        check_fields(&format!("{name}: a\r\n{name}: a\r\n"), Err(Refusal::Repeated(name)));
        check_fields(&format!("{name}: caf\u{e9}\r\n"), Err(Refusal::NotAscii(name)));
    }
}

proptest::proptest! {
    /// Pieces and wholes of the grammar in any order never panic, and how they arrive makes no difference.
    #[test]
    fn a_head_means_the_same_however_it_arrives(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "GET / HTTP/1.1\r\n", "POST", " ", "/a?b=%41", "HTTP/1.0", "\r\n", "\r", "\n", "Host: a\r\n",
                "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "X", ":", "\t", "\0", "\u{e9}", "%",
            ]),
            0..12,
        ),
        size in 1_usize..9,
    ) {
        let wire = parts.concat().into_bytes();
        let outcome = |size| read(&wire, size).map(|head| head.map(|head| (head.method, head.target, head.length)));
        proptest::prop_assert_eq!(outcome(size), outcome(HEAD_MAX));
    }
}
