//! What all routes have in common: bodies, methods, unknown paths, the page's own fields, other origins.

use crate::harness::{Node, Start};
use crate::raw::{Request, call, failed, post};

/// The routes that take a JSON object.
const OBJECTS: [&str; 6] =
    ["/transaction", "/node", "/broadcast-transaction", "/broadcast-block", "/handshake", "/miner"];

#[test]
fn bodies_that_are_no_json_object_are_refused_by_every_route() {
    let node = Node::dev();
    node.create_wallet();
    let deep = format!("{{\"a\":{}", "[".repeat(3_000));
    for path in OBJECTS {
        for (body, code) in [
            ("{", "json-syntax"),
            ("{]", "json-syntax"),
            ("'a'", "json-syntax"),
            ("\u{feff}{}", "json-syntax"),
            ("[]", "json-wrong-shape"),
            ("[1,2]", "json-wrong-shape"),
            ("\"text\"", "json-wrong-shape"),
            ("null", "json-wrong-shape"),
            ("12", "json-wrong-shape"),
            (r#"{"nothing":1}"#, "field-unknown"),
        ] {
            failed(&post(&node, path, body), (400, code), &format!("{path} {body}"));
        }
        assert_eq!(post(&node, path, &deep).status, 400, "{path}");
        failed(&post(&node, path, ""), (400, "no-data"), path);
        failed(&call(&node, "POST", path), (400, "no-data"), path);
        let bytes = Request::new("POST", path).json(b"{\"a\":\"\xff\"}".as_slice());
        failed(&bytes.send(&node), (400, "not-utf-8"), path);
        let missing = post(&node, path, "{}");
        if path == "/miner" {
            assert_eq!(missing.status, 200, "what is left out stays: {missing:?}");
        } else {
            failed(&missing, (400, "field-missing"), path);
        }
    }
    assert_eq!(node.height(), 0);
}

#[test]
fn bodies_of_another_type_or_size_are_refused_by_every_route() {
    let node = Node::dev();
    node.create_wallet();
    for path in OBJECTS {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let request = Request::new("POST", path).field("Content-Type", kind).body("{}");
            failed(&request.send(&node), (415, "unsupported-content-type"), path);
        }
        let untyped = Request::new("POST", path).body("{}").send(&node);
        failed(&untyped, (415, "unsupported-content-type"), path);
        for length in ["10000000", "1099511627776", "9223372036854775807"] {
            let request = Request::new("POST", path).field("Content-Length", length).json("");
            let reply = request.send(&node);
            failed(&reply, (413, "body-too-large"), &format!("{path} {length}"));
            assert_eq!(reply.field("Connection"), Some("close"), "{path}");
        }
        for length in ["-1", "+5", "5, 5", "0x5", "five"] {
            let request = Request::new("POST", path).field("Content-Length", length).json("");
            failed(&request.send(&node), (400, "malformed-content-length"), length);
        }
        let charset = "application/json; charset=utf-8";
        let typed = Request::new("POST", path).field("Content-Type", charset).body("{");
        failed(&typed.send(&node), (400, "json-syntax"), path);
    }
    for path in ["/wallet", "/mine", "/resolve-conflicts"] {
        failed(&post(&node, path, "{}"), (413, "body-too-large"), path);
    }
    assert_eq!(node.height(), 0);
}

#[test]
fn posts_without_a_body_may_name_any_type() {
    let node = Node::dev();
    let form = "application/x-www-form-urlencoded";
    for (path, status) in [("/wallet", 201), ("/mine", 201), ("/resolve-conflicts", 200)] {
        for request in [
            Request::new("POST", path),
            Request::new("POST", path).field("Content-Type", form),
            Request::new("POST", path).field("Content-Type", form).field("Content-Length", "0"),
            Request::new("POST", path).field("Content-Type", "application/json;charset=UTF-8"),
        ] {
            let reply = request.send(&node);
            assert_eq!(reply.status, status, "{path}: {reply:?}");
        }
    }
}

#[test]
fn wrong_methods_are_told_what_the_route_allows() {
    let node = Node::dev();
    for (path, allow) in [
        ("/", "GET, HEAD, OPTIONS"),
        ("/network", "GET, HEAD, OPTIONS"),
        ("/wallet", "POST, GET, HEAD, OPTIONS"),
        ("/balance", "GET, HEAD, OPTIONS"),
        ("/transaction", "POST, OPTIONS"),
        ("/transactions", "GET, HEAD, OPTIONS"),
        ("/mine", "POST, OPTIONS"),
        ("/chain", "GET, HEAD, OPTIONS"),
        ("/node", "POST, OPTIONS"),
        ("/node/localhost:5001", "DELETE, OPTIONS"),
        ("/nodes", "GET, HEAD, OPTIONS"),
        ("/resolve-conflicts", "POST, OPTIONS"),
        ("/broadcast-transaction", "POST, OPTIONS"),
        ("/broadcast-block", "POST, OPTIONS"),
        ("/status", "GET, HEAD, OPTIONS"),
        ("/miner", "GET, HEAD, POST, OPTIONS"),
        ("/handshake", "POST, OPTIONS"),
        ("/events", "GET, OPTIONS"),
    ] {
        for method in ["PUT", "PATCH", "GET", "POST", "DELETE"] {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let reply = call(&node, method, path);
            failed(&reply, (405, "method-not-allowed"), &format!("{method} {path}"));
            assert_eq!(reply.field("Allow"), Some(allow), "{method} {path}");
        }
        let options = call(&node, "OPTIONS", path);
        assert_eq!(options.status, 204, "OPTIONS {path}: {options:?}");
        assert_eq!(options.field("Allow"), Some(allow), "OPTIONS {path}");
    }
    failed(&call(&node, "BREW", "/mine"), (501, "method-not-known"), "BREW");
}

#[test]
fn unknown_routes_are_not_found() {
    let node = Node::dev();
    for path in [
        "/walle",
        "/wallet/",
        "/Wallet",
        "/chain/0",
        "/node/a/b",
        "/static/package.json",
        "/static/../wallet-5000.txt",
        "/..%2fwallet-5000.txt",
        "/favicon.ico",
        "/index.html",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let reply = call(&node, method, path);
            let is_refused = reply.status == 404 || path.contains("..") && reply.status == 400;
            let is_other = path.starts_with("/static/p") && reply.status == 405;
            assert!(is_refused || is_other, "{method} {path}: {reply:?}");
            assert!(!reply.code().is_empty(), "{method} {path}: {reply:?}");
        }
    }
}

#[test]
fn the_page_is_served_under_both_its_paths_with_a_strict_policy() {
    let node = Node::dev();
    let page = call(&node, "GET", "/");
    assert_eq!(page.text, call(&node, "GET", "/network").text);
    for path in ["/", "/network"] {
        let reply = call(&node, "GET", path);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.field("Content-Type"), Some("text/html; charset=utf-8"));
        let policy = reply.field("Content-Security-Policy").expect("a policy");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.field("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(reply.field("X-Frame-Options"), Some("DENY"));
        let head = call(&node, "HEAD", path);
        assert_eq!((head.status, &*head.text), (200, ""));
        assert_eq!(head.field("Content-Length"), Some(&*page.text.len().to_string()));
    }
    for (name, kind) in [
        ("app.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let path = format!("/static/{name}");
        let reply = call(&node, "GET", &path);
        assert_eq!((reply.status, reply.field("Content-Type")), (200, Some(kind)));
        let tag = reply.field("ETag").expect("a tag");
        let again = Request::new("GET", &path).field("If-None-Match", tag).send(&node);
        assert_eq!((again.status, &*again.text), (304, ""));
    }
}

#[test]
fn cors_opens_public_reads_alone_and_configured_origins_with_the_token() {
    let origin = "https://wallet.example";
    let dir = tempfile::tempdir().unwrap();
    let config = format!("[http]\nallowed_origins = [\"{origin}\"]\n");
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    let node = Start::default().node_in(dir.path());
    node.create_wallet();
    const ALLOWED: &str = "Access-Control-Allow-Origin";
    for path in ["/chain", "/transactions", "/nodes", "/status", "/block/0", "/headers", "/health"]
    {
        let reply = Request::new("GET", path).field("Origin", "http://any.example").send(&node);
        assert_eq!((reply.status, reply.field(ALLOWED)), (200, Some("*")), "{path}");
        assert_eq!(reply.field("Access-Control-Allow-Credentials"), None, "{path}");
    }
    for (method, path) in [("GET", "/balance"), ("POST", "/mine"), ("POST", "/broadcast-block")] {
        let request = Request::new(method, path).field("Origin", "http://any.example");
        let reply = request.send(&node);
        failed(&reply, (403, "origin-not-allowed"), path);
        assert_eq!(reply.field(ALLOWED), None, "{path}");
    }
    let preflight = |origin: &str| {
        let request = Request::new("OPTIONS", "/transaction").field("Origin", origin);
        request.field("Access-Control-Request-Method", "POST").send(&node)
    };
    assert_eq!(preflight("http://any.example").field(ALLOWED), None);
    let granted = preflight(origin);
    assert_eq!(granted.field(ALLOWED), Some(origin));
    assert_eq!(granted.field("Access-Control-Allow-Methods"), Some("POST"));
    let read = Request::new("GET", "/balance").field("Origin", origin);
    failed(&read.send(&node), (401, "token-needed"), "without the token");
    let token = std::fs::read_to_string(node.file("token")).unwrap();
    let reply = read.field("Authorization", &format!("Bearer {}", token.trim())).send(&node);
    assert_eq!((reply.status, reply.field(ALLOWED)), (200, Some(origin)));
}
