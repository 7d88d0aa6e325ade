//! Clients that listen, one at a time; [`super::super::tests::node`] has them all together.

use super::events::EventStream;
use super::outbox::{Outbox, PENDING_MAX, PENDING_TIME_MAX};
use super::socket::Socket;
use super::*;
use crate::http::door::upgrade::Upgrade;
use crate::wire::PeersEvent;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use tungstenite::protocol::Role;
use tungstenite::{Bytes, Message, WebSocket};

const DEADLINE: Duration = Duration::from_secs(20);

/// A socket that was just taken, and its other end.
fn outbox() -> (Outbox, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    other.set_read_timeout(Some(DEADLINE)).unwrap();
    let (stream, _) = listener.accept().unwrap();
    (Outbox::new(stream).unwrap(), other)
}

/// Fills what the system takes without a reader, until something has to be held.
fn fill(outbox: &mut Outbox) {
    while !outbox.has_pending() {
        outbox.push(&[b'x'; 8 * 1024]);
    }
}

/// A client of the second form, past its handshake.
fn socket() -> (Socket, WebSocket<TcpStream>) {
    let (outbox, mut other) = outbox();
    let upgrade = Upgrade { accept: "abc".to_owned(), is_peer: false };
    let socket = Socket::new(outbox, &upgrade, Instant::now());
    let mut answer = vec![0; upgrade.answer().len()];
    other.read_exact(&mut answer).unwrap();
    assert_eq!(answer, upgrade.answer().as_bytes());
    (socket, WebSocket::from_raw_socket(other, Role::Client, None))
}

fn event() -> wire::Event {
    wire::Event::Peers(PeersEvent { count: 7 })
}

/// Looks after a client until it is dropped.
fn until_dropped(mut tend: impl FnMut(Instant) -> bool, why: &str) {
    let deadline = Instant::now() + DEADLINE;
    while tend(Instant::now()) {
        assert!(Instant::now() < deadline, "{why}");
    }
}

#[test]
fn whoever_does_not_read_is_dropped_before_much_is_held() {
    let (mut outbox, _other) = outbox();
    fill(&mut outbox);
    let now = Instant::now();
    assert!(outbox.tend(now), "it has time to catch up");
    // It takes nothing more, so every further byte is held.
    for _ in 0..=PENDING_MAX / 8 / 1024 {
        outbox.push(&[b'x'; 8 * 1024]);
    }
    assert!(!outbox.tend(now));
}

#[test]
fn whoever_is_stuck_is_dropped_in_time() {
    let (mut outbox, _other) = outbox();
    fill(&mut outbox);
    let now = Instant::now();
    assert!(outbox.tend(now));
    assert!(!outbox.tend(now + PENDING_TIME_MAX));
}

#[test]
fn whoever_reads_again_gets_all_of_it() {
    let (mut outbox, mut other) = outbox();
    fill(&mut outbox);
    let mut buffer = [0; 64 * 1024];
    while outbox.has_pending() {
        assert!(other.read(&mut buffer).unwrap() > 0);
        assert!(outbox.tend(Instant::now()));
    }
    assert!(outbox.tend(Instant::now() + PENDING_TIME_MAX));
}

#[test]
fn a_stream_breaks_its_silence_and_lets_those_go_who_left_or_babble() {
    let client = || {
        let (outbox, other) = outbox();
        (EventStream::new(outbox, &[], Instant::now()), other)
    };
    let (mut quiet, mut other) = client();
    assert!(quiet.tend(Instant::now() + KEEP_ALIVE));
    let mut read = Vec::new();
    while !read.ends_with(b": alive\n\n") {
        let mut buffer = [0; 1024];
        let length = other.read(&mut buffer).unwrap();
        assert!(length > 0);
        read.extend_from_slice(&buffer[..length]);
    }
    other.write_all(&[b'x'; 4 * 1024 + 1]).unwrap();
    until_dropped(|now| quiet.tend(now), "who babbles is let go");
    let (mut left, other) = client();
    drop(other);
    until_dropped(|now| left.tend(now), "who left is let go");
}

#[test]
fn a_socket_tells_the_same_in_messages_and_answers_pings() {
    let (mut socket, mut other) = socket();
    socket.tell(&event());
    let told = Message::text(r#"{"event":"peers","data":{"count":7}}"#);
    assert_eq!(other.read().unwrap(), told);
    other.send(Message::Ping("hello".into())).unwrap();
    other.send(Message::text("nobody looks at this")).unwrap();
    other.get_ref().set_nonblocking(true).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let pong = loop {
        assert!(socket.tend(Instant::now()) && Instant::now() < deadline);
        if let Ok(message) = other.read() {
            break message;
        }
    };
    assert_eq!(pong, Message::Pong("hello".into()));
    other.get_ref().set_nonblocking(false).unwrap();
    assert!(socket.tend(Instant::now() + KEEP_ALIVE));
    assert_eq!(other.read().unwrap(), Message::Ping(Bytes::new()));
    other.close(None).unwrap();
    until_dropped(|now| socket.tend(now), "who says goodbye is let go");
    assert!(matches!(other.read(), Ok(Message::Close(_))), "and is answered");
}

#[test]
fn a_socket_that_babbles_breaks_rules_or_does_not_read_is_let_go() {
    let (mut socket, mut other) = self::socket();
    for _ in 0..5 {
        other.send(Message::text("x".repeat(1_000))).unwrap();
    }
    until_dropped(|now| socket.tend(now), "who babbles is let go");
    let Ok(Message::Close(Some(frame))) = other.read() else { panic!("a close frame") };
    assert_eq!(frame.reason.as_str(), "too much was sent to a stream of events");
    assert_eq!(u16::from(frame.code), 1008);
    for (bytes, code) in [
        (&b"\x81\x01x"[..], 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x81\xfe\xff\xff\0\0\0\0", 1009),
    ] {
        let (mut socket, mut other) = self::socket();
        other.get_mut().write_all(bytes).unwrap();
        until_dropped(|now| socket.tend(now), "who breaks a rule is let go");
        let Ok(Message::Close(Some(frame))) = other.read() else { panic!("a close frame") };
        assert_eq!(u16::from(frame.code), code, "{bytes:x?}");
    }
    let (mut socket, _other) = self::socket();
    while !socket.has_pending() {
        socket.tell(&event());
    }
    let now = Instant::now();
    assert!(socket.tend(now));
    assert!(!socket.tend(now + PENDING_TIME_MAX), "who is stuck is let go");
}

#[test]
fn empty_frames_without_an_end_hold_up_nobody() {
    let (mut socket, mut other) = self::socket();
    other.get_mut().write_all(b"\x01\x80\0\0\0\0").unwrap();
    let drip = b"\x00\x80\0\0\0\0".repeat(1024);
    let flood = std::thread::spawn(move || while other.get_mut().write_all(&drip).is_ok() {});
    // Each look takes a bounded part of it, and so returns.
    for _ in 0..8 {
        assert!(socket.tend(Instant::now()));
    }
    drop(socket);
    flood.join().unwrap();
}
