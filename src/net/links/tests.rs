//! Links over real sockets of this machine. Times are moved by giving a link a later one.

mod bounds;

use super::link::Link;
use super::post::{Fresh, Post};
use super::*;
use crate::net::tests::{DEADLINE, wait};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;
use std::time::Instant;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// Two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    for end in [&near, &far] {
        end.set_read_timeout(Some(DEADLINE)).unwrap();
        end.set_write_timeout(Some(DEADLINE)).unwrap();
    }
    (near, far)
}

/// Running links.
struct World {
    links: Links,
    spawner: Spawner,
}

impl World {
    fn new() -> Self {
        let spawner = Spawner::new();
        Self { links: Links::start(&spawner).unwrap(), spawner }
    }

    /// As [`Self::accept`], of which long texts are expected.
    fn accept_long(&self, id: u64) -> TcpStream {
        let stream = self.accept(id);
        self.links.expect(LinkId(id), TEXT_MAX);
        stream
    }

    /// A link that a client has opened, and the client's socket.
    fn accept(&self, id: u64) -> TcpStream {
        let (near, far) = pair();
        let client = near.local_addr().unwrap();
        self.links.accept(LinkId(id), far, client);
        let how = How::Accepted(client);
        assert_eq!(self.next(), LinkEvent::Opened { id: LinkId(id), how });
        near
    }

    fn next(&self) -> LinkEvent {
        let event = self.links.next(DEADLINE).expect("an event");
        self.links.done(event.id());
        event
    }

    fn text(&self, id: u64) -> String {
        match self.next() {
            LinkEvent::Frame { id: from, text } if from == LinkId(id) => text,
            other => panic!("expected a text, got {other:?}"),
        }
    }

    fn end(&self, id: u64) -> LinkEnd {
        match self.next() {
            LinkEvent::Closed { id: from, reason } if from == LinkId(id) => reason,
            other => panic!("expected an end, got {other:?}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.links.stop();
        self.spawner.join_all();
    }
}

fn client(stream: TcpStream) -> WebSocket<TcpStream> {
    WebSocket::from_raw_socket(stream, Role::Client, Some(WebSocketConfig::default()))
}

/// A frame as a client writes it, with a mask of zeros.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        long => {
            bytes.push(0xfe);
            bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

#[test]
fn texts_of_every_length_come_and_go_whole() {
    let world = World::new();
    let mut client = client(world.accept_long(1));
    let long = "\u{e9}".repeat(TEXT_MAX / 2);
    let lengths = [0, 1, 125, 126, FRAME_MAX, FRAME_MAX + 1, 65_537, UNASKED_MAX, TEXT_MAX & !1];
    for text in lengths.map(|length| &long[..length & !1]) {
        let cuts = text.as_bytes().chunks(10_001);
        let last = cuts.len().max(1) - 1;
        // In many frames, also in the middle of a character, with a ping between.
        for (place, cut) in cuts.enumerate() {
            let kind = if place == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(cut.to_vec(), OpCode::Data(kind), place == last);
            client.send(Message::Frame(frame)).unwrap();
            client.send(Message::Ping("hello".into())).unwrap();
        }
        if text.is_empty() {
            client.send(Message::text("")).unwrap();
        }
        assert!(world.text(1) == text, "{} bytes", text.len());
        assert_eq!(world.links.send(LinkId(1), text.to_owned()), Ok(()));
        loop {
            match client.read().unwrap() {
                Message::Text(back) => break assert!(back.as_str() == text, "{}", text.len()),
                Message::Pong(data) => assert_eq!(&data[..], b"hello"),
                other => panic!("{other:?}"),
            }
        }
    }
    wait("all was taken", || world.links.held_bytes() == 0);
    assert_eq!(world.links.pending_bytes(LinkId(1)), 0);
}

/// What breaks a rule, and the code that it is told.
fn offences() -> Vec<(&'static str, Vec<u8>, Code)> {
    let start = raw(0x01, &[b'x'; FRAME_MAX]);
    let more = raw(0x00, &[b'x'; FRAME_MAX]).repeat(TEXT_MAX / FRAME_MAX);
    vec![
        ("binary", raw(0x82, b"x"), Code::Kind),
        ("compressed", raw(0xc1, b"x"), Code::Protocol),
        ("unknown data", raw(0x83, b"x"), Code::Protocol),
        ("unknown control", raw(0x8b, b"x"), Code::Protocol),
        ("unmasked", vec![0x81, 1, b'x'], Code::Protocol),
        ("continues nothing", raw(0x80, b"x"), Code::Protocol),
        ("text within a text", [raw(0x01, b"x"), raw(0x81, b"x")].concat(), Code::Protocol),
        ("control in pieces", raw(0x09, b"x"), Code::Protocol),
        ("long control", raw(0x89, &[b'x'; 126]), Code::Protocol),
        ("not UTF-8", raw(0x81, b"\xff"), Code::Data),
        ("half a character", raw(0x81, b"\xc3"), Code::Data),
        ("claims a long frame", vec![0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0], Code::Length),
        ("claims an endless frame", [vec![0x81, 0xff], vec![0x7f; 12]].concat(), Code::Length),
        ("a long message", [start, more].concat(), Code::Length),
    ]
}

#[test]
fn whoever_breaks_a_rule_is_closed_and_told_which() {
    let world = World::new();
    for (id, (name, bytes, code)) in (1..).zip(offences()) {
        let mut stream = world.accept_long(id);
        // The end may come before all of it is written.
        let _ = stream.write_all(&bytes);
        let LinkEnd::Broke { code: found, what } = world.end(id) else { panic!("{name}") };
        assert_eq!(found, code, "{name}");
        match client(stream).read() {
            Ok(Message::Close(Some(frame))) => {
                let told = (u16::from(frame.code), frame.reason.as_str());
                assert_eq!(told, (code as u16, what), "{name}");
            }
            // Whoever still sends when the end comes may lose it.
            other => assert!(bytes.len() > FRAME_MAX, "{name}: {other:?}"),
        }
    }
    assert_eq!(world.links.send(LinkId(1), String::new()), Err(LinkFull::Closed));
    wait("nothing is held", || world.links.held_bytes() == 0);
}

fn ours(reason: &str) -> LinkEnd {
    LinkEnd::ours(Code::Done, reason)
}

/// Code and reason of the close frame that comes next.
fn told_end(client: &mut WebSocket<TcpStream>) -> (u16, String) {
    let Ok(Message::Close(Some(frame))) = client.read() else { panic!("a close frame") };
    (frame.code.into(), frame.reason.to_string())
}

#[test]
fn an_end_comes_once_however_it_comes() {
    let world = World::new();
    let mut polite = client(world.accept(1));
    polite.close(None).unwrap();
    assert_eq!(world.end(1), LinkEnd::Left);
    assert!(matches!(polite.read(), Ok(Message::Close(_)) | Err(_)));
    drop(world.accept(2));
    assert_eq!(world.end(2), LinkEnd::Left);
    let half_open = world.accept(3);
    half_open.shutdown(Shutdown::Write).unwrap();
    assert_eq!(world.end(3), LinkEnd::Left);
    let mut told = client(world.accept(4));
    world.links.send(LinkId(4), "last words".to_owned()).unwrap();
    world.links.close(LinkId(4), ours("no longer needed"));
    world.links.close(LinkId(4), ours("again"));
    assert_eq!(world.end(4), ours("no longer needed"));
    assert_eq!(told.read().unwrap(), Message::text("last words"));
    assert_eq!(told_end(&mut told), (1000, "no longer needed".to_owned()));
    world.links.close(LinkId(4), ours("once more"));
    for (id, code) in (20..).zip([Code::Protocol, Code::Data, Code::Policy, Code::Busy]) {
        let (mut refused, end) = (client(world.accept(id)), LinkEnd::ours(code, "for a reason"));
        world.links.close(LinkId(id), end.clone());
        assert_eq!(world.end(id), end);
        assert_eq!(told_end(&mut refused), (code as u16, "for a reason".to_owned()));
    }
    // A text of the last moment is not lost, and comes before the end.
    let mut last = client(world.accept(5));
    last.send(Message::text("bye")).unwrap();
    drop(last);
    assert_eq!(world.text(5), "bye");
    assert!(matches!(world.end(5), LinkEnd::Left | LinkEnd::Lost(_)));
    assert_eq!(world.links.next(Duration::ZERO), None);
}

#[test]
fn no_text_comes_until_the_one_before_was_dealt_with() {
    let world = World::new();
    let (mut one, mut other) = (client(world.accept(1)), client(world.accept(2)));
    ["a", "b"].into_iter().for_each(|text| one.send(Message::text(text)).unwrap());
    wait("both", || world.links.post.waiting(LinkId(1)) == 2);
    let first = world.links.next(DEADLINE);
    assert!(matches!(first, Some(LinkEvent::Frame { id: LinkId(1), .. })), "{first:?}");
    assert_eq!(world.links.next(Duration::ZERO), None);
    other.send(Message::text("c")).unwrap();
    assert_eq!(world.text(2), "c");
    world.links.done(LinkId(1));
    assert_eq!(world.text(1), "b");
}

#[test]
fn a_link_that_floods_is_read_no_further_and_starves_nobody() {
    let world = World::new();
    let (flooding, mut quiet) = (world.accept(1), client(world.accept(2)));
    let flood = thread::spawn(move || {
        let text = raw(0x81, &[b'x'; 2_000]).repeat(8);
        let mut flooding = flooding;
        while flooding.write_all(&text).is_ok() {}
    });
    wait("the flood is held up", || !world.links.post.has_room(LinkId(1)));
    assert!(world.links.held_bytes() <= INBOX_MAX + 2 * GREETING_MAX);
    quiet.send(Message::text("hello")).unwrap();
    wait("it has arrived", || world.links.post.waiting(LinkId(2)) == 1);
    let both = [world.next().id(), world.next().id()];
    assert_eq!(both, [LinkId(1), LinkId(2)]);
    // What is taken makes room: the flood goes on, and the other one still has its turn.
    for round in 0..20 {
        quiet.send(Message::text(round.to_string())).unwrap();
        let deadline = Instant::now() + DEADLINE;
        let mut others = 0;
        while world.next().id() != LinkId(2) {
            others += 1;
            assert!(Instant::now() < deadline && others < 20_000, "round {round}: {others}");
        }
    }
    world.links.close(LinkId(1), ours("enough"));
    flood.join().unwrap();
}

#[test]
fn whoever_does_not_read_is_bounded() {
    let world = World::new();
    let _deaf = world.accept(1);
    let mut quick = client(world.accept(2));
    let text = "x".repeat(50_000);
    let full = (0..10_000).find_map(|_| world.links.send(LinkId(1), text.clone()).err());
    assert_eq!(full, Some(LinkFull::Behind));
    assert!(world.links.pending_bytes(LinkId(1)) <= SEND_MAX);
    world.links.send(LinkId(2), "hello".to_owned()).unwrap();
    assert_eq!(quick.read().unwrap(), Message::text("hello"));
    // Empty texts count as well, and none of them is lost.
    let mut slow = client(world.accept(3));
    let sent = (0..1_000_000).take_while(|_| world.links.send(LinkId(3), String::new()).is_ok());
    let sent = sent.count();
    assert!(sent < 1_000_000 && world.links.pending_bytes(LinkId(3)) <= SEND_MAX);
    (0..sent).for_each(|_| assert_eq!(slow.read().unwrap(), Message::text("")));
    let long = "x".repeat(TEXT_MAX + 1);
    assert_eq!(world.links.send(LinkId(2), long), Err(LinkFull::TooLong(TEXT_MAX + 1)));
}

#[test]
fn what_is_not_expected_is_short() {
    let world = World::new();
    let greeting = "x".repeat(GREETING_MAX);
    let unasked = "x".repeat(UNASKED_MAX);
    let mut client = client(world.accept(1));
    let mut send = |text: &str| {
        // In frames, as a node does.
        let cuts = text.as_bytes().chunks(FRAME_MAX);
        let last = cuts.len() - 1;
        for (place, cut) in cuts.enumerate() {
            let kind = if place == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(cut.to_vec(), OpCode::Data(kind), place == last);
            let _ = client.send(Message::Frame(frame));
        }
    };
    send(&greeting);
    assert_eq!(world.text(1), greeting);
    world.links.expect(LinkId(1), 0);
    send(&unasked);
    assert_eq!(world.text(1), unasked);
    send(&(unasked.clone() + "x"));
    assert!(matches!(world.end(1), LinkEnd::Broke { code: Code::Length, .. }));
    let mut stranger = self::client(world.accept(2));
    let _ = stranger.send(Message::text(greeting + "x"));
    assert!(matches!(world.end(2), LinkEnd::Broke { code: Code::Length, .. }));
}

/// A link that is moved by hand, its post, and the other end.
fn by_hand() -> (Link, Post, TcpStream, Instant) {
    let (near, far) = pair();
    let now = Instant::now();
    let (post, _) = Post::new().unwrap();
    assert!(post.register(LinkId(1), TEXT_MAX));
    let fresh = Fresh::accepted(LinkId(1), far, near.local_addr().unwrap());
    (Link::new(fresh, now).unwrap(), post, near, now)
}

#[test]
fn a_silent_link_is_pinged_and_then_dead() {
    let (mut link, post, near, now) = by_hand();
    let mut client = client(near);
    let mut turn = |after, is_readable| link.turn(&post, is_readable, now + after);
    assert_eq!(turn(SILENCE_MAX - Duration::from_millis(1), false), Ok(()));
    assert_eq!(client.read().unwrap(), Message::Ping(Default::default()));
    assert_eq!(turn(SILENCE_MAX, false), Err(LinkEnd::Silent));
    // The answer to the ping, which reading it has written, shows that it lives.
    client.flush().unwrap();
    let deadline = Instant::now() + DEADLINE;
    while turn(SILENCE_MAX, true).is_err() {
        assert!(Instant::now() < deadline, "the pong is heard");
    }
    assert_eq!(turn(2 * SILENCE_MAX - Duration::from_millis(1), false), Ok(()));
}

#[test]
fn a_text_that_drips_is_given_up() {
    for drip in [raw(0x00, b""), raw(0x00, b"x"), [raw(0x00, b""), raw(0x89, b"")].concat()] {
        let (mut link, post, mut near, now) = by_hand();
        near.write_all(&raw(0x01, b"x")).unwrap();
        let deadline = Instant::now() + DEADLINE;
        while link.unfinished() == 0 {
            link.turn(&post, true, now).unwrap();
            assert!(Instant::now() < deadline);
        }
        for second in 1..30 {
            near.write_all(&drip).unwrap();
            assert_eq!(link.turn(&post, true, now + Duration::from_secs(second)), Ok(()));
        }
        near.write_all(&drip).unwrap();
        assert_eq!(link.turn(&post, true, now + TEXT_TIME_MAX), Err(LinkEnd::Dripped));
        assert!(post.held().small > 0, "it is counted");
    }
}

#[test]
fn a_link_that_takes_nothing_is_given_up() {
    let (mut link, post, mut near, now) = by_hand();
    while !link.has_unsent() {
        let _ = post.send(LinkId(1), "x".repeat(TEXT_MAX));
        link.turn(&post, false, now).unwrap();
    }
    assert_eq!(link.turn(&post, false, now + STUCK_MAX - Duration::from_millis(1)), Ok(()));
    // Whoever takes a little has its time anew.
    let deadline = Instant::now() + DEADLINE;
    let mut some = vec![0; 64 * 1024];
    while link.turn(&post, false, now + STUCK_MAX).is_err() {
        assert!(near.read(&mut some).unwrap() > 0 && Instant::now() < deadline);
    }
    let mut later = now + STUCK_MAX;
    let end = loop {
        let _ = post.send(LinkId(1), "x".repeat(TEXT_MAX));
        // It is heard, so that it is not called silent.
        near.write_all(&raw(0x8a, b"")).unwrap();
        match link.turn(&post, true, later) {
            Ok(()) => later += STUCK_MAX,
            Err(end) => break end,
        }
        assert!(Instant::now() < deadline, "the other end takes nothing more");
    };
    assert_eq!((end, link.due() <= later), (LinkEnd::Stuck, true));
}

#[test]
fn a_link_that_is_not_read_is_not_called_silent() {
    let (mut link, post, mut near, now) = by_hand();
    let texts_max = INBOX_MAX.div_ceil(TEXT_COST + 1);
    near.write_all(&raw(0x81, b"x").repeat(texts_max + 1)).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !link.is_paused() {
        link.turn(&post, true, now).unwrap();
        assert!(Instant::now() < deadline);
    }
    assert_eq!(link.turn(&post, true, now + 3 * SILENCE_MAX), Ok(()));
    assert_eq!(post.waiting(LinkId(1)), texts_max);
    assert!(post.take(Duration::ZERO).is_some());
    post.done(LinkId(1));
    assert_eq!(link.turn(&post, false, now + 6 * SILENCE_MAX), Ok(()));
    assert_eq!(post.waiting(LinkId(1)), texts_max);
}

/// A server that answers one handshake with what `answer` makes of the accepted key.
fn server(answer: impl FnOnce(&str) -> Vec<u8> + Send + 'static) -> PeerAddress {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = PeerAddress::from_socket(listener.local_addr().unwrap()).unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        let asked = String::from_utf8(asked).unwrap();
        assert!(asked.starts_with("GET /live HTTP/1.1\r\n"), "{asked}");
        let key = asked.split("Sec-WebSocket-Key: ").nth(1).unwrap();
        let key = key.split("\r\n").next().unwrap();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let _ = socket.write_all(&answer(&accept));
        // Until the other side has had enough.
        let _ = socket.read_to_end(&mut Vec::new());
    });
    address
}

/// A right answer, in which `change` may alter something.
fn answer(change: impl Fn(String) -> String + Send + 'static) -> PeerAddress {
    server(move |accept| {
        change(format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: farthing-peer\r\n\r\n"
        ))
        .into_bytes()
    })
}

#[test]
fn only_a_right_answer_opens_a_link() {
    let cases: [(&str, &str, LinkEnd); 9] = [
        ("101", "200", LinkEnd::Declined(200)),
        ("101", "503", LinkEnd::Declined(503)),
        ("Accept: ", "Accept: x", LinkEnd::NotANode),
        ("Sec-WebSocket-Protocol: farthing-peer\r\n", "", LinkEnd::NotANode),
        ("farthing-peer", "chat", LinkEnd::NotANode),
        ("Connection: Upgrade", "Connection: close", LinkEnd::NotANode),
        ("WebSocket\r\n", "h2c\r\n", LinkEnd::NotANode),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n", LinkEnd::NotANode),
        ("HTTP/1.1", "SSH-2.0", LinkEnd::NotANode),
    ];
    for (from, to, expected) in cases {
        let address = answer(move |text| text.replacen(from, to, 1));
        assert_eq!(dial::open(&address, DEADLINE).err(), Some(expected), "{from} -> {to}");
    }
    let endless = server(|_| [&b"HTTP/1.1 101 x\r\n"[..], &b"a: b\r\n".repeat(9_000)].concat());
    assert_eq!(dial::open(&endless, DEADLINE).err(), Some(LinkEnd::NotANode));
    let silent = server(|_| Vec::new());
    let short = Duration::from_millis(30);
    assert_eq!(dial::open(&silent, short).err(), Some(LinkEnd::TimedOut));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = PeerAddress::from_socket(closed).unwrap();
    assert!(matches!(dial::open(&closed, DEADLINE), Err(LinkEnd::Unreachable(_))));
}

#[test]
fn dialled_links_open_speak_masked_and_end() {
    let world = World::new();
    // A text comes right behind the answer, in the same packet.
    let address = server(|accept| {
        let head = format!(
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: farthing-peer\r\n\r\n"
        );
        [head.as_bytes(), b"\x81\x05early"].concat()
    });
    world.links.dial(LinkId(1), &address);
    assert_eq!(world.next(), LinkEvent::Opened { id: LinkId(1), how: How::Dialled(address) });
    assert_eq!(world.text(1), "early");
    world.links.close(LinkId(1), ours("seen"));
    assert_eq!(world.end(1), ours("seen"));
    let declined = answer(|text| text.replacen("101", "503", 1));
    world.links.dial(LinkId(2), &declined);
    assert_eq!(world.end(2), LinkEnd::Declined(503));
    world.links.dial(LinkId(3), &"name.invalid:5000".parse().unwrap());
    assert!(matches!(world.end(3), LinkEnd::Unreachable(_)));
}

#[test]
fn whoever_finds_no_room_is_told_to_come_again() {
    let world = World::new();
    let (near, far) = pair();
    let from = near.local_addr().unwrap();
    world.links.turn_away(far, from);
    let mut client = client(near);
    assert_eq!(told_end(&mut client).0, 1013);
    assert!(client.read().is_err(), "it is closed");
    // Also right behind the answer to the handshake, where the one that dials finds it.
    for (code, end) in [(1013_u16, LinkEnd::Busy), (1000, LinkEnd::Left), (1008, LinkEnd::Left)] {
        let address = server(move |accept| {
            let head = format!(
                "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: farthing-peer\r\n\r\n"
            );
            [head.as_bytes(), &[0x88, 2], &code.to_be_bytes()].concat()
        });
        world.links.dial(LinkId(code.into()), &address);
        assert!(matches!(world.next(), LinkEvent::Opened { .. }));
        assert_eq!(world.end(code.into()), end);
    }
}

#[test]
fn dials_wait_in_a_line_that_ends() {
    let world = World::new();
    // Its backlog takes connections, and nobody answers them.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = PeerAddress::from_socket(mute.local_addr().unwrap()).unwrap();
    let many = dial::DIALS_MAX + dial::WAITING_MAX + 1;
    for id in 0..many {
        world.links.dial(LinkId(id as u64), &address);
    }
    assert!(matches!(world.next(), LinkEvent::Closed { reason: LinkEnd::Busy, .. }));
}

#[test]
fn stopping_closes_what_is_open() {
    let world = World::new();
    let mut client = client(world.accept(1));
    let links = world.links.clone();
    drop(world);
    assert_eq!(told_end(&mut client), (1001, "the node is stopping".to_owned()));
    assert!(links.is_over() && links.next(DEADLINE).is_none());
    assert!(links.send(LinkId(1), String::new()).is_err());
    let (near, far) = pair();
    links.accept(LinkId(2), far, near.local_addr().unwrap());
    assert_eq!(told_end(&mut self::client(near)).0, 1013);
}
