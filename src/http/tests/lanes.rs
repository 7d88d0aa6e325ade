//! That no kind of request holds up another, and what happens when clients leave.

use super::{Client, Limits, PATIENCE, World};
use crate::http::settings::Places;
use std::io::Read;
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const GET: &str = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

fn wait_request(world: &World) -> String {
    format!("POST /wait HTTP/1.1\r\n{}\r\n", world.host())
}

#[test]
fn many_browsers_at_once_are_all_answered() {
    let world = World::new();
    for _ in 0..20 {
        let mut clients: Vec<Client> = (0..16).map(|_| world.connect()).collect();
        for client in &mut clients {
            client.send(GET);
        }
        for client in &mut clients {
            assert_eq!((client.answer().status, client.is_open()), (200, true));
        }
    }
}

#[test]
fn waiting_requests_hold_up_nobody_and_end_when_their_client_leaves() {
    let world = World::new();
    let mut waiting: Vec<Client> =
        (0..Limits::default().wait.busy_max).map(|_| world.connect()).collect();
    for client in &mut waiting {
        client.send(&wait_request(&world));
        assert_eq!(world.event(), "started");
    }
    let mut client = world.connect();
    for _ in 0..50 {
        client.send(GET);
        assert_eq!(client.answer().status, 200);
        client.send("GET /bulk/10 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer().status, 200);
    }
    world.release.send(()).unwrap();
    drop(waiting.pop());
    waiting.pop().unwrap().stream.shutdown(Shutdown::Write).unwrap();
    let mut told = [world.event(), world.event()];
    if told[1] != "cancelled" {
        told.swap(0, 1);
    }
    assert_eq!(told[1], "cancelled");
}

#[test]
fn a_released_request_is_answered_on_a_connection_that_stays() {
    let world = World::new();
    let mut client = world.connect();
    for _ in 0..3 {
        client.send(&wait_request(&world));
        assert_eq!(world.event(), "started");
        world.release.send(()).unwrap();
        assert_eq!((client.answer().status, client.is_open()), (201, true));
    }
}

#[test]
fn a_full_lane_answers_busy_and_is_free_again_afterwards() {
    let limits = Limits {
        wait: Places { busy_max: 1, waiting_max: 0 },
        small: Places { busy_max: 1, waiting_max: 1 },
        queue_time: Duration::from_millis(50),
        ..Limits::default()
    };
    let world = World::with(limits);
    let mut first = world.connect();
    first.send(&wait_request(&world));
    assert_eq!(world.event(), "started");
    let answer = world.ask(&wait_request(&world));
    assert_eq!((answer.status, answer.code().as_str()), (503, "busy"));
    assert_eq!(answer.field("retry-after").as_deref(), Some("1"));
    let mut slow = world.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(world.event(), "started");
    assert_eq!(world.ask(GET).status, 503);
    world.release.send(()).unwrap();
    world.release.send(()).unwrap();
    assert_eq!((first.answer().status, slow.answer().status), (201, 201));
    assert_eq!(world.ask(GET).status, 200);
}

#[test]
fn a_stream_of_200_megabytes_takes_constant_memory() {
    const BYTES: usize = 200_000_000;
    let world = World::new();
    let mut client = world.connect();
    client.send(&format!("GET /bulk/{BYTES} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.head().unwrap();
    let mut buffer = vec![0; 1 << 20];
    let (mut received, mut ahead) = (0, 0);
    while received < BYTES {
        let read = client.stream.read(&mut buffer).unwrap();
        assert!(read > 0);
        received += read;
        ahead = ahead.max(world.produced.load(Ordering::Relaxed).saturating_sub(received));
    }
    // The system's socket buffers hold up to some 10 MB, the door and the server some 100 KiB.
    assert!(ahead < 32_000_000, "{ahead} bytes were read ahead of the client");
}

#[test]
fn clients_that_do_not_read_keep_no_place_of_small_requests() {
    let limits = Limits { small: Places { busy_max: 1, waiting_max: 64 }, ..Limits::default() };
    let world = World::with(limits);
    let mut lazy: Vec<Client> = (0..8).map(|_| world.connect()).collect();
    for client in &mut lazy {
        socket2::SockRef::from(&client.stream).set_recv_buffer_size(4096).unwrap();
        client.send(&"GET /big/200000 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20));
    }
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(world.ask(GET).status, 200);
    }
    assert!(start.elapsed() < PATIENCE / 4);
}

#[test]
fn clients_that_leave_a_stream_give_its_place_back() {
    let limits = Limits { bulk: Places { busy_max: 1, waiting_max: 16 }, ..Limits::default() };
    let world = World::with(limits);
    for _ in 0..10 {
        let mut client = world.connect();
        client.send("GET /bulk/100000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.head().unwrap().status, 200);
    }
    assert_eq!(world.ask("GET /bulk/1000 HTTP/1.1\r\nHost: a\r\n\r\n").body.len(), 1000);
}

#[test]
fn a_live_route_gets_the_socket_itself() {
    use std::io::Write;
    let world = World::new();
    let mut client = world.connect();
    client.send("GET /live?from=3 HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 7\r\n\r\n");
    let mut call = world.live.recv_timeout(PATIENCE).unwrap();
    assert_eq!(call.request.query("from"), Some("3"));
    assert_eq!(call.request.headers.get("last-event-id"), Some("7"));
    assert_eq!(call.upgrade, None);
    assert!(call.fields.contains(&("Access-Control-Allow-Origin", "*".to_owned())));
    world.until("the door lets go of the place", |world| world.running().connections() == 0);
    call.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    assert_eq!(client.answer().text(), "hi");
    let mut client = world.connect();
    client.send("HEAD /live HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().unwrap().status, 405);
}

const LISTEN: &str = "GET /live HTTP/1.1\r\nHost: a\r\n\r\n";

/// A world in which one call waits to be taken, which is as many as may.
fn with_full_ways(limits: Limits) -> (World, Client) {
    let world = World::with(limits);
    let mut held = world.connect();
    held.send(LISTEN);
    world.until("the call is on its way", |world| world.live.is_full());
    (world, held)
}

#[test]
fn who_listens_waits_for_a_turn_and_a_node_is_told_to_come_again() {
    let limits = Limits { queue_time: PATIENCE, ..Limits::default() };
    let (world, held) = with_full_ways(limits);
    let mut waiting = world.connect();
    waiting.send(LISTEN);
    let node = "GET /socket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: farthing-peer\r\n\r\n";
    let answer = world.ask(node);
    assert_eq!((answer.status, answer.code().as_str()), (503, "busy"));
    for client in [held.stream.local_addr(), waiting.stream.local_addr()] {
        let call = world.live.recv_timeout(PATIENCE).unwrap();
        assert_eq!(call.request.client, client.unwrap());
    }
    let limits = Limits { queue_time: Duration::from_millis(1), ..Limits::default() };
    let (world, _held) = with_full_ways(limits);
    let answer = world.ask(LISTEN);
    assert_eq!((answer.status, answer.code().as_str()), (503, "busy"), "its turn never came");
}

#[test]
fn stopping_finishes_what_runs_cancels_what_waits_and_frees_the_port() {
    let mut world = World::new();
    let mut idle = world.connect();
    idle.send(GET);
    idle.answer();
    let mut slow = world.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(world.event(), "started");
    let mut waiting = world.connect();
    waiting.send(&wait_request(&world));
    assert_eq!(world.event(), "started");
    let running = world.running.take().unwrap();
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| running.stop());
        assert_eq!(world.event(), "cancelled");
        assert_eq!(waiting.answer().status, 503);
        idle.assert_closed("idle connections end at the stop");
        world.release.send(()).unwrap();
        assert_eq!(slow.answer().status, 201);
        slow.assert_closed("no further request");
    });
    assert!(start.elapsed() < Duration::from_secs(4));
    assert!(std::net::TcpStream::connect(world.address).is_err());
    world.spawner.join_all();
}
