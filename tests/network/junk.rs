//! Heaps of junk, over every way in: a node stays up and answers.

use crate::figures::{Times, mib, peak_memory, used_memory};
use crate::harness::{Node, wait_until};
use crate::is_long;
use crate::raw::{Request, connect};
use farthing::testkit::Random;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Pieces of junk (as Bitcoin Core's p2p_invalid_messages sends).
const PIECES: usize = 80;

/// Bytes of each.
const PIECE_BYTES: usize = 2_000_000;

/// Memory by which a node may grow.
const GROWTH_MAX: u64 = 64 << 20;

/// Junk of one kind: random bytes, open brackets, one long text, an unknown frame, a list of zeros.
fn junk(kind: usize) -> Vec<u8> {
    let mut random = Random(kind as u64);
    let mut text = match kind % 5 {
        0 => (0..PIECE_BYTES / 8).flat_map(|_| random.bits().to_le_bytes()).collect(),
        1 => b"[".repeat(PIECE_BYTES),
        2 => [b"\"", &*b"x".repeat(PIECE_BYTES - 2), b"\""].concat(),
        3 => [&br#"{"ask":1,"what":"everything","of":""#[..], &b"y".repeat(PIECE_BYTES)].concat(),
        _ => [&b"[0"[..], &b",0".repeat(PIECE_BYTES / 2)].concat(),
    };
    text.truncate(PIECE_BYTES);
    text
}

/// Sends a piece as the body of a request, whatever becomes of it.
fn post(node: &Node, kind: usize) {
    const PATHS: [&str; 5] = [
        "/announce",
        "/broadcast-block",
        "/broadcast-transaction",
        "/handshake",
        "/fetch-transactions",
    ];
    let request = Request::new("POST", PATHS[kind % PATHS.len()]).json(junk(kind));
    let mut answer = Vec::new();
    let _ = request.begin(node).read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{kind}");
}

/// A live connection of a node, open.
fn live(node: &Node) -> TcpStream {
    let request = Request::new("GET", "/live")
        .field("Upgrade", "websocket")
        .field("Connection", "Upgrade")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Protocol", "farthing-peer")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut stream = request.begin(node);
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 101");
    stream
}

/// Sends a piece on a live connection, in a frame of any kind, and reads until it is closed.
fn say(node: &Node, kind: usize) {
    let mut stream = live(node);
    // Text, binary, unknown and control frames, and one in pieces that never ends.
    let first = [0x81_u8, 0x82, 0x83, 0x89, 0x01][kind / 5 % 5];
    let mut frame = vec![first, 0x80 | 127];
    frame.extend((PIECE_BYTES as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(junk(kind));
    // The node may have had enough of it before the end.
    let _ = stream.write_all(&frame);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}

/// Asks a node again and again, until it is over.
fn probe(node: &Node, is_over: &AtomicBool) -> Times {
    let mut times = Times::default();
    while !is_over.load(Ordering::SeqCst) {
        let begun = Instant::now();
        let mut stream = connect(node);
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            .expect("it takes requests");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        times.push(begun.elapsed());
        thread::park_timeout(Duration::from_millis(5));
    }
    times
}

#[test]
fn a_node_stays_up_under_heaps_of_junk() {
    let node = Node::dev();
    node.mine_for_a_wallet();
    let (tip, before) = (node.tip(), used_memory(node.pid()));
    let is_over = AtomicBool::new(false);
    let times = thread::scope(|scope| {
        let probe = scope.spawn(|| probe(&node, &is_over));
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let node = &node;
                scope.spawn(move || {
                    for kind in (sender..PIECES).step_by(4) {
                        post(node, kind);
                        say(node, kind);
                    }
                })
            })
            .collect();
        let ends: Vec<_> = senders.into_iter().map(|sender| sender.join()).collect();
        is_over.store(true, Ordering::SeqCst);
        ends.into_iter().for_each(|end| end.expect("what was sent is refused"));
        probe.join().expect("the node answers")
    });
    let growth = peak_memory(node.pid()).saturating_sub(before);
    println!("beside {PIECES} pieces of junk on each way: {times}, {} MiB more", mib(growth));
    assert!(!is_long() || times.percentile(99) < Duration::from_millis(200), "{times}");
    assert!(growth < GROWTH_MAX, "{growth}");
    assert_eq!(node.tip(), tip);
    assert!(!node.log().contains("panicked"), "{}", node.log());
    assert!(node.log().len() < 1 << 20, "{}", node.log().len());
}

#[test]
fn listeners_that_never_read_cost_little() {
    let node = Node::dev();
    node.create_wallet();
    let before = used_memory(node.pid());
    let events = |_| {
        let request = Request::new("GET", "/live")
            .field("Upgrade", "websocket")
            .field("Connection", "Upgrade")
            .field("Sec-WebSocket-Version", "13")
            .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        request.begin(&node)
    };
    let listeners: Vec<TcpStream> = (0..50).map(events).collect();
    let blocks = if is_long() { 10_000 } else { 200 };
    (0..blocks).for_each(|_| drop(node.mine()));
    let growth = peak_memory(node.pid()).saturating_sub(before);
    println!("50 that never read, {blocks} blocks: {} MiB more", mib(growth));
    assert!(growth < GROWTH_MAX, "{growth}");
    // They have left; what was held for them goes with them.
    drop(listeners);
    let mut late = Request::new("GET", "/events").begin(&node);
    let mut status = [0; 12];
    wait_until("a place", || late.read_exact(&mut status).is_ok());
    assert_eq!(&status, b"HTTP/1.1 200");
}
