//! Slow, greedy and rude clients.

use super::{Client, HttpServer, Limits, World};
use crate::http::StartError;
use crate::http::settings::BODY_OF_A_REQUEST;
use std::net::Shutdown;
use std::time::{Duration, Instant};

const GET: &str = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
const SHORT: Duration = Duration::from_millis(60);

/// Sends a part of a request again and again until the door has had enough.
fn drip(client: &mut Client, drop: &[u8]) {
    while client.try_send(drop) {
        if !client.buffer.is_empty() || !client.is_open() {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_head_that_never_ends_is_cut_at_its_time() {
    let world = World::with(Limits { head_time: SHORT, ..Limits::default() });
    let mut client = world.connect();
    client.send("GET /hello HTTP/1.1\r\nHost: a\r\nX: ");
    let answer = client.answer();
    assert_eq!((answer.status, answer.code().as_str()), (408, "request-too-slow"));
    client.assert_closed("after 408");
    // Each byte comes in time, the head does not.
    let mut client = world.connect();
    client.send("GET /hello HTTP/1.1\r\nX: ");
    let start = Instant::now();
    while start.elapsed() < SHORT / 2 && client.try_send(b"x") {
        std::thread::yield_now();
    }
    let status = client.try_answer().map(|answer| answer.status);
    assert!(matches!(status, Some(408 | 431) | None), "{status:?}");
}

#[test]
fn a_body_that_never_ends_is_cut_at_its_time() {
    let world = World::with(Limits { body_time: SHORT, ..Limits::default() });
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    for (length, body) in
        [("Content-Length: 5000", "abc"), ("Transfer-Encoding: chunked", "5\r\nabc")]
    {
        let mut client = world.connect();
        client.send(&format!("{head}{length}\r\n\r\n{body}"));
        assert_eq!(client.answer().status, 408);
        client.assert_closed("after 408");
    }
}

#[test]
fn a_client_that_does_not_read_is_cut_at_its_time() {
    let world = World::with(Limits { piece_time: Duration::from_millis(500), ..Limits::default() });
    let mut client = world.connect();
    client.send("GET /bulk/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().unwrap().status, 200);
    world.until("the door cuts it", |world| world.running().connections() == 0);
    let mut received = 0;
    while client.fill() {
        received += client.buffer.len();
        client.buffer.clear();
    }
    assert!(received < 100_000_000);
}

#[test]
fn an_idle_connection_ends_in_silence() {
    let world = World::with(Limits { idle_time: SHORT, ..Limits::default() });
    world.connect().assert_closed("nothing was asked");
    let mut client = world.connect();
    client.send(GET);
    client.answer();
    client.assert_closed("nothing more was asked");
}

#[test]
fn an_endless_head_is_cut_at_its_size() {
    let world = World::new();
    for field in ["X: ", "GET /"] {
        let mut client = world.connect();
        client.send(if field == "X: " { "GET / HTTP/1.1\r\nX: " } else { field });
        drip(&mut client, &[b'a'; 1000]);
        let status = client.try_answer().map(|answer| answer.status);
        assert!(matches!(status, Some(414 | 431) | None), "{status:?}");
    }
}

#[test]
fn slow_clients_give_way_to_those_who_ask() {
    let limits = Limits { connections_max: 24, per_loopback_max: 64, ..Limits::default() };
    let world = World::with(limits);
    let mut slow = Vec::new();
    let mut guest = world.connect_from([127, 0, 0, 3]);
    for _ in 0..200 {
        let mut client = world.connect_from([127, 0, 0, 2]);
        client.try_send(b"GET /hello HTTP/1.1\r\n");
        slow.push(client);
        guest.send(GET);
        assert_eq!(guest.answer().status, 200);
        assert!(world.running().connections() <= 24);
    }
    assert_eq!(world.ask(GET).status, 200);
    assert!(slow.iter().filter(|client| client.is_open()).count() <= 24);
}

#[test]
fn when_everyone_is_served_a_newcomer_is_told_to_come_again() {
    let limits = Limits { connections_max: 4, home_places: 2, ..Limits::default() };
    let world = World::with(limits);
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let mut client = world.connect_from([127, 0, 0, 2]);
            client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(world.event(), "started");
            client
        })
        .collect();
    let answer = world.connect_from([127, 0, 0, 3]).answer();
    assert_eq!((answer.status, answer.code().as_str()), (503, "busy"));
    assert_eq!(world.ask(GET).status, 200);
    for mut client in slow {
        world.release.send(()).unwrap();
        assert_eq!(client.answer().status, 201);
    }
}

#[test]
fn a_flood_of_resets_leaves_the_door_standing() {
    let world = World::new();
    for number in 0..2000 {
        let mut client = world.connect();
        if number % 2 == 0 {
            client.try_send(GET.as_bytes());
        }
        socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    for _ in 0..100 {
        let mut client = world.connect();
        client.send(&GET.repeat(3));
        let _ = client.stream.shutdown(Shutdown::Both);
    }
    assert_eq!(world.ask(GET).status, 200);
    world.until("every place is free again", |world| world.running().connections() == 0);
}

#[test]
fn a_foreign_page_is_rated_and_the_person_at_the_machine_is_not() {
    let world =
        World::with(Limits { requests_per_second: 1, requests_burst: 5, ..Limits::default() });
    let page = "GET /hello HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: cross-site\r\n\r\n";
    let mut client = world.connect();
    let statuses: Vec<_> = (0..10)
        .map(|_| {
            client.send(page);
            client.answer()
        })
        .collect();
    let good = statuses.iter().filter(|answer| answer.status == 200).count();
    assert!((5..=7).contains(&good), "{good}");
    let refused = statuses.iter().find(|answer| answer.status != 200).unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (429, "too-many-requests"));
    assert_eq!(refused.field("retry-after").as_deref(), Some("1"));
    for _ in 0..20 {
        client.send(GET);
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn bytes_out_are_rated() {
    let world =
        World::with(Limits { bytes_per_second: 1000, bytes_burst: 10_000, ..Limits::default() });
    let page = "GET /big/50000 HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: cross-site\r\n\r\n";
    let mut client = world.connect();
    client.send(page);
    assert_eq!(client.answer().body.len(), 50_000);
    client.send(page);
    assert_eq!(client.answer().status, 429);
}

#[test]
fn long_bodies_are_rated() {
    let limits = Limits { requests_per_second: 1, requests_burst: 7, ..Limits::default() };
    for (bytes, then) in [(BODY_OF_A_REQUEST - 1, 201), (6 * BODY_OF_A_REQUEST, 429)] {
        let world = World::with(limits.clone());
        let mut client = world.connect();
        let statuses = [(); 2].map(|()| {
            let head = "POST /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.9\r\n";
            let kind = "Content-Type: application/json\r\n";
            client
                .send(&format!("{head}{kind}Content-Length: {bytes}\r\n\r\n{}", "7".repeat(bytes)));
            client.answer().status
        });
        assert_eq!(statuses, [201, then], "{bytes}");
    }
}

#[test]
fn a_busy_port_is_an_error_by_value() {
    let world = World::new();
    let error = HttpServer::bind(world.address).unwrap_err();
    assert!(matches!(error, StartError::PortInUse { address } if address == world.address));
    assert_eq!(error.code(), "port-in-use");
}
