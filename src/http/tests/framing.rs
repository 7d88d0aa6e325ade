//! How requests and answers are delimited, and that nobody can make two of one.

use super::{Client, World};

const GET: &str = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_connection_carries_many_requests_also_at_once() {
    let world = World::new();
    let mut client = world.connect();
    for _ in 0..3 {
        client.send(GET);
        assert_eq!((client.answer().status, client.is_open()), (200, true));
    }
    client.send(&GET.repeat(100));
    for _ in 0..100 {
        assert_eq!(client.answer().text(), "{\"hello\":true}");
    }
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!((client.answer().text(), client.is_open()), ("{}", true));
    client.send("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().field("connection").as_deref(), Some("close"));
    client.assert_closed("after Connection: close");
}

/// Sends a bad request with another behind it: one failure comes back and the connection ends.
fn check(world: &World, request: &str, status: u16) {
    let mut client = world.connect();
    client.send(request);
    // The door may have closed already when this is sent.
    client.try_send(GET.as_bytes());
    let answer = client.answer();
    assert_eq!(answer.status, status, "{request:?}");
    assert_eq!(answer.field("connection").as_deref(), Some("close"), "{request:?}");
    answer.code();
    client.assert_closed(request);
}

#[test]
fn an_ambiguous_request_is_refused_and_nothing_of_it_runs() {
    let world = World::new();
    let body = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    for fields in [
        "Content-Length: -1\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: abc\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length: 3\r\n folded: x\r\n",
        "Content-Length:\n5\r\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        "Host: b\r\n",
        "Content-Length: 0x5\r\n",
    ] {
        let request = format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{fields}\r\n{body}"
        );
        check(&world, &request, 400);
    }
    for line in [
        "GET http://a/hello HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /%00 HTTP/1.1",
        "GET  /hello HTTP/1.1",
    ] {
        check(&world, &format!("{line}\r\nHost: a\r\n\r\n"), 400);
    }
    check(&world, "GET /hello HTTP/1.1\r\n\r\n", 400);
    check(&world, "GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505);
    check(&world, "BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    check(&world, &format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(5000)), 414);
    check(&world, &format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(8200)), 431);
    check(&world, &format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(70)), 431);
    check(&world, "GET /hello HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417);
    for chunks in [
        "x\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "0\r\nTrailer: x\r\n\r\n",
        "-3\r\nabc\r\n",
    ] {
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
        check(&world, &format!("{head}\r\n{chunks}"), 400);
    }
}

#[test]
fn a_claimed_length_costs_nothing() {
    let world = World::new();
    for length in [
        "100001",
        "2147483648",
        "4294967296",
        "1099511627776",
        "140737488355328",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "10000000000000000000000000000000000000000",
    ] {
        for sent in [0, 3, 1000] {
            let fields = format!(
                "Host: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
            );
            check(&world, &format!("POST /echo HTTP/1.1\r\n{fields}\r\n{}", "x".repeat(sent)), 413);
            check(&world, &format!("GET /hello HTTP/1.1\r\n{fields}\r\n{}", "x".repeat(sent)), 413);
        }
    }
    assert_eq!(world.ask(GET).status, 200);
}

#[test]
fn a_chunked_body_counts_against_the_limit() {
    let world = World::new();
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = world.connect();
    client.send(head);
    client.send("3;a=b\r\n\"ab\r\n2\r\nc\"\r\n0\r\n\r\n");
    client.send(GET);
    assert_eq!(client.answer().text(), "\"abc\"");
    assert_eq!(client.answer().text(), "{\"hello\":true}");
    client.send(head);
    client.send(&"1\r\nx\r\n".repeat(100_000));
    client.send(GET);
    client.try_send("x".repeat(100).as_bytes());
    let answer = client.answer();
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed-chunks"));
    for chunk in ["186a1\r\n", "fffffffff\r\n"] {
        let mut client = world.connect();
        client.send(head);
        client.send(chunk);
        while client.try_send(&[b'x'; 8192]) {}
        assert!(client.try_answer().is_none_or(|answer| answer.status == 413));
    }
    let mut client = world.connect();
    client.send(head);
    client.send(&"1\r\nx\r\n".repeat(100_001));
    assert_eq!(client.answer().status, 413);
    client.assert_closed("after too many chunks");
}

#[test]
fn bodies_arrive_whole_whatever_their_size() {
    let world = World::new();
    let mut client = world.connect();
    for size in [1, 1024, 1025, 4096, 4097, 65_536, 100_000] {
        let body = "x".repeat(size);
        let fields = format!(
            "Host: a\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {size}\r\n"
        );
        client.send(&format!("POST /echo HTTP/1.1\r\n{fields}\r\n{body}{GET}"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.body.len()), (201, size));
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn a_packed_body_is_told_apart_from_a_wrong_one() {
    let world = World::new();
    let post = |fields: &str, body: &str| {
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
        world.ask(&format!("{head}{fields}\r\n{body}"))
    };
    for fields in [
        "Content-Encoding: gzip\r\nContent-Length: 2\r\n",
        "Content-Encoding: identity\r\nContent-Encoding: br\r\nContent-Length: 2\r\n",
        "content-encoding: GZIP, deflate\r\nContent-Length: 2\r\n",
    ] {
        let answer = post(fields, "{}");
        let told = (answer.status, answer.code(), answer.field("accept-encoding"));
        let expected =
            (415, "unsupported-content-encoding".to_owned(), Some("identity".to_owned()));
        assert_eq!(told, expected, "{fields}");
    }
    let chunked = post("Content-Encoding: x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n");
    assert_eq!(chunked.status, 415);
    assert_eq!(post("Content-Encoding: Identity\r\nContent-Length: 2\r\n", "{}").status, 201);
    assert_eq!(
        world.ask("GET /hello HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n\r\n").status,
        200
    );
}

#[test]
fn a_body_must_be_json_and_no_body_may_be_anything() {
    let world = World::new();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let field = format!("Host: a\r\nContent-Type: {kind}\r\n");
        let answer =
            world.ask(&format!("POST /echo HTTP/1.1\r\n{field}Content-Length: 2\r\n\r\n{{}}"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (415, "unsupported-content-type"),
            "{kind}"
        );
        let chunked = format!(
            "POST /echo HTTP/1.1\r\n{field}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        );
        assert_eq!(world.ask(&chunked).status, 415, "{kind}");
        for none in ["", "Content-Length: 0\r\n"] {
            let host = world.host();
            let request =
                format!("POST /secret HTTP/1.1\r\n{host}Content-Type: {kind}\r\n{none}\r\n");
            assert_eq!(world.ask(&request).status, 200, "{kind} {none}");
        }
    }
}

#[test]
fn expectations_are_met_only_when_the_body_is_wanted() {
    let world = World::new();
    let head = |length: u32| {
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let mut client = world.connect();
    client.send(&head(2));
    assert_eq!(client.head().unwrap().status, 100);
    client.send("{}");
    assert_eq!(client.answer().text(), "{}");
    client.send(&head(100_001));
    assert_eq!(client.answer().status, 413);
    client.assert_closed("the body was not asked for");
}

fn head_of(client: &mut Client, request: &str) -> super::Answer {
    client.send(request);
    client.head().unwrap()
}

#[test]
fn head_tells_what_get_would_and_sends_no_body() {
    let world = World::new();
    let mut client = world.connect();
    let answer = head_of(&mut client, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.field("content-length").as_deref()), (200, Some("14")));
    let answer = head_of(&mut client, "HEAD /bulk/100000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (answer.status, answer.field("transfer-encoding").as_deref()),
        (200, Some("chunked"))
    );
    let answer = head_of(&mut client, "HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status, 404);
    client.send(GET);
    assert_eq!(client.answer().text(), "{\"hello\":true}");
}

#[test]
fn an_old_client_gets_a_stream_without_chunks() {
    let world = World::new();
    for fields in ["", "Connection: keep-alive\r\n"] {
        let mut client = world.connect();
        let answer = head_of(&mut client, &format!("GET /bulk/1000000 HTTP/1.0\r\n{fields}\r\n"));
        assert_eq!(answer.field("connection").as_deref(), Some("close"));
        assert_eq!(
            (answer.field("transfer-encoding"), answer.field("content-length")),
            (None, None)
        );
        assert_eq!(client.rest().len(), 1_000_000);
    }
    let mut client = world.connect();
    client.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.answer().field("connection").as_deref(), Some("keep-alive"));
    client.send("GET /hello HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    client.assert_closed("HTTP/1.0 ends");
}

#[test]
fn an_answer_that_breaks_off_never_looks_whole() {
    let world = World::new();
    for _ in 0..10 {
        let mut client = world.connect();
        client.send("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.try_answer().is_none());
    }
    assert_eq!(world.ask("GET /bulk/10 HTTP/1.1\r\nHost: a\r\n\r\n").text(), "xxxxxxxxxx");
    assert_eq!(world.ask("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").code(), "internal-error");
    assert_eq!(world.ask(GET).status, 200);
}

#[test]
fn the_handler_sees_the_client_and_chosen_fields_only() {
    let world = World::new();
    let mut client = world.connect();
    client.send(
        "GET /who/caf%C3%A9?a=b+c HTTP/1.1\r\nHost: a\r\nX-Farthing-Client: 1.2.3.4:5\r\nX-Farthing-Connection: 0\r\n\
         Cookie: x\r\nAuthorization: Bearer y\r\nTE: identity\r\nUser-Agent: test\r\nUpgrade: h2c\r\n\
         Connection: upgrade\r\n\r\n",
    );
    let shown = client.answer().json();
    assert_eq!(shown["client"], client.stream.local_addr().unwrap().to_string());
    assert_eq!(
        (&shown["param"], &shown["query"]),
        (&"caf\u{e9}".into(), &serde_json::json!([["a", "b c"]]))
    );
    let headers = shown["headers"].as_array().unwrap();
    let names: Vec<_> = headers.iter().map(|field| field[0].as_str().unwrap()).collect();
    assert_eq!(names, ["user-agent"]);
}
