//! The security classes end to end; the whole matrix stands beside the rules themselves.

use super::{Answer, TOKEN, World, security_fields};

fn ask(world: &World, method: &str, path: &str, fields: &str) -> Answer {
    let host = if fields.contains("Host:") { String::new() } else { world.host() };
    world.ask(&format!("{method} {path} HTTP/1.1\r\n{host}{fields}\r\n"))
}

fn check(world: &World, path: &str, fields: &str, expected: (u16, &str)) {
    for method in ["GET", "POST"] {
        let answer = ask(world, method, path, fields);
        let code = if answer.status == 200 { String::new() } else { answer.code() };
        assert_eq!((answer.status, code.as_str()), expected, "{method} {path} {fields:?}");
    }
}

#[test]
fn the_operator_is_known_by_place_or_token() {
    let world = World::new();
    let port = world.address.port();
    check(&world, "/secret", "", (200, ""));
    check(
        &world,
        "/secret",
        &format!("Origin: http://localhost:{port}\r\nSec-Fetch-Site: same-origin\r\n"),
        (200, ""),
    );
    check(&world, "/secret", "X-Forwarded-For: 1.2.3.4\r\n", (401, "token-needed"));
    check(&world, "/secret", &format!("Via: x\r\nAuthorization: Bearer {TOKEN}\r\n"), (200, ""));
    check(&world, "/secret", "Via: x\r\nAuthorization: Bearer wrong\r\n", (401, "token-wrong"));
    check(&world, "/secret", "Host: evil.com\r\n", (403, "host-not-allowed"));
    check(&world, "/secret", &format!("Host: evil.com:{port}\r\n"), (403, "host-not-allowed"));
    check(&world, "/secret", "Origin: http://evil.com\r\n", (403, "origin-not-allowed"));
    check(&world, "/secret", "Origin: null\r\n", (403, "origin-not-allowed"));
    check(&world, "/secret", "Sec-Fetch-Site: cross-site\r\n", (403, "origin-not-allowed"));
    let answer = ask(&world, "GET", "/secret", "Forwarded: for=x\r\n");
    assert_eq!(answer.field("www-authenticate").as_deref(), Some("Bearer"));
    let query = ask(&world, "GET", &format!("/secret?token={TOKEN}"), "Forwarded: for=x\r\n");
    assert_eq!(query.status, 401);
    let deleted = ask(&world, "DELETE", "/node/127.0.0.1:5001", "");
    assert_eq!(deleted.json()["param"], "127.0.0.1:5001");
    assert_eq!(
        ask(&world, "DELETE", "/node/127.0.0.1:5001", "Origin: http://evil.com\r\n").status,
        403
    );
}

#[test]
fn a_foreign_page_may_read_what_is_public_and_post_nothing() {
    let world = World::new();
    let answer = ask(&world, "GET", "/hello", "Host: evil.com\r\nOrigin: http://evil.com\r\n");
    assert_eq!(
        (answer.status, answer.field("access-control-allow-origin").as_deref()),
        (200, Some("*"))
    );
    for fields in
        ["Origin: http://evil.com\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"]
    {
        let body = format!("{fields}Content-Type: application/json\r\nContent-Length: 0\r\n");
        let answer = ask(&world, "POST", "/echo", &body);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "origin-not-allowed"),
            "{fields}"
        );
        assert_eq!(answer.field("access-control-allow-origin"), None);
    }
    assert_eq!(ask(&world, "POST", "/echo", "").status, 201);
}

#[test]
fn preflights_are_granted_to_configured_origins_and_public_reads() {
    let world = World::new();
    let mut cases = Vec::new();
    for (path, method) in
        [("/secret", "GET"), ("/secret", "POST"), ("/echo", "POST"), ("/node/x", "DELETE")]
    {
        cases.push((path, method, "https://wallet.example", Some("https://wallet.example")));
        cases.push((path, method, "http://evil.com", None));
    }
    cases.push(("/hello", "GET", "http://evil.com", Some("*")));
    cases.push(("/hello", "POST", "https://wallet.example", None));
    for (path, method, origin, expected) in cases {
        let fields = format!("Origin: {origin}\r\nAccess-Control-Request-Method: {method}\r\n");
        let answer = ask(&world, "OPTIONS", path, &fields);
        assert_eq!(answer.status, 204);
        assert!(answer.field("allow").unwrap().ends_with("OPTIONS"));
        assert_eq!(
            answer.field("access-control-allow-origin").as_deref(),
            expected,
            "{method} {path} {origin}"
        );
        assert_eq!(answer.field("access-control-allow-methods").is_some(), expected.is_some());
    }
    let with_token = format!("Origin: https://wallet.example\r\nAuthorization: Bearer {TOKEN}\r\n");
    let answer = ask(&world, "POST", "/secret", &with_token);
    let allowed = answer.field("access-control-allow-origin");
    assert_eq!((answer.status, allowed.as_deref()), (200, Some("https://wallet.example")));
    assert_eq!(answer.field("vary").as_deref(), Some("Origin"));
    check(&world, "/secret", "Origin: https://wallet.example\r\n", (401, "token-needed"));
}

#[test]
fn unknown_routes_and_methods_answer_as_json() {
    let world = World::new();
    let mut client = world.connect();
    client.send("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\nPUT /secret HTTP/1.1\r\nHost: a\r\n\r\n");
    let missing = client.answer();
    assert_eq!((missing.status, missing.code().as_str()), (404, "not-found"));
    let wrong = client.answer();
    assert_eq!((wrong.status, wrong.code().as_str()), (405, "method-not-allowed"));
    assert_eq!(wrong.field("allow").as_deref(), Some("GET, HEAD, POST, OPTIONS"));
    assert!(client.is_open());
    for path in ["/..%2f..%2fwallet.json", "/hello/", "//hello", "/HELLO", "/page/../secret"] {
        assert_eq!(ask(&world, "GET", path, "").status, 404, "{path}");
    }
}

#[test]
fn every_answer_carries_the_security_fields_of_its_kind() {
    let world = World::new();
    for (path, kind) in
        [("/page", "text/html"), ("/hello", "application/json"), ("/nothing", "application/json")]
    {
        let answer = ask(&world, "GET", path, "");
        for (name, value) in security_fields(kind) {
            assert_eq!(
                answer.field(&name.to_ascii_lowercase()).as_deref(),
                Some(*value),
                "{path} {name}"
            );
        }
        assert_eq!(answer.field("server"), None);
    }
}
