//! Connections that are half open, reset or never answered leave nothing behind.

use crate::figures::Times;
use crate::harness::{Node, wait_until};
use crate::is_long;
use crate::raw::{Request, connect};
use crate::watch::Watch;
use serde_json::json;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Connections of each kind that are opened to the node.
const OF_EACH: usize = 20;

/// How long a node may keep what belongs to nobody.
const SOON: Duration = Duration::from_secs(30);

/// Threads and descriptors of a process.
fn held(pid: u32) -> (usize, usize) {
    let count = |what: &str| {
        let dir = std::fs::read_dir(format!("/proc/{pid}/{what}")).expect("it runs");
        dir.count()
    };
    (count("task"), count("fd"))
}

fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

/// Clients that begin something and leave it at that; none of them closes.
fn half_open(node: &Node) -> Vec<TcpStream> {
    let live = Request::new("GET", "/live")
        .field("Upgrade", "websocket")
        .field("Connection", "Upgrade")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Protocol", "farthing-peer")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let beginnings: [&[u8]; 3] = [
        b"GET /status HTTP/1.1\r\nHost: 127",
        b"POST /announce HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
          Content-Length: 100\r\n\r\n{",
        b"\x16\x03\x01",
    ];
    let mut open = Vec::new();
    for _ in 0..OF_EACH {
        for begin in beginnings {
            let mut stream = connect(node);
            stream.write_all(begin).expect("it takes them");
            open.push(stream);
        }
        // A node that has opened a live connection and never shakes hands.
        let mut mute = live.begin(node);
        let mut answer = [0; 12];
        // Where there is no room for it, it is told so.
        let _ = mute.read(&mut answer);
        open.push(mute);
        // Those that vanish in the middle of it.
        let mut gone = connect(node);
        gone.write_all(b"GET /chain HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("it takes them");
        reset(&gone);
    }
    open
}

/// A peer that resets each connection as soon as it is open, or after the first bytes.
fn resetting(reads: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut vec![0; reads]);
            reset(&stream);
        }
    });
    address
}

/// Peers that take connections and never answer, or not even take them.
fn silent(backlog: i32) -> (String, Vec<Socket>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    socket.bind(&SockAddr::from(address)).expect("a free port");
    socket.listen(backlog).expect("a listener");
    let address = socket.local_addr().expect("it is bound").as_socket().expect("IPv4");
    let mut held = vec![socket];
    if backlog == 0 {
        // Once its queue is full, whatever else wants to connect vanishes.
        let wait = Duration::from_millis(200);
        while let Ok(stream) = TcpStream::connect_timeout(&address, wait) {
            held.push(stream.into());
        }
    }
    (address.to_string(), held)
}

fn blocks_reach(from: &Node, watches: &[Watch; 2], count: u64) -> Times {
    let mut times = Times::default();
    for _ in 0..count {
        let mined = from.mine();
        let hash = mined["hash"].as_str().expect("a hash");
        times.push(Watch::spread(hash, &watches[0], &watches[1..]));
    }
    times
}

#[test]
fn what_nobody_ends_is_ended_and_leaves_nothing_behind() {
    let (node, honest) = (Node::dev(), Node::dev());
    honest.create_wallet();
    honest.add_peer(&node);
    wait_until("a peer", || node.status()["peers"] == 1);
    let watches = [Watch::of(&honest), Watch::of(&node)];
    let rounds = if is_long() { 50 } else { 5 };
    let alone = blocks_reach(&honest, &watches, rounds);
    let before = held(node.pid());
    let (mute, mute_sockets) = silent(64);
    let (vanished, vanished_sockets) = silent(0);
    let peers = [mute, vanished, resetting(0), resetting(64)];
    for peer in &peers {
        node.post("/node", &json!({ "node": peer })).expect(201);
    }
    let open = half_open(&node);
    let beside = blocks_reach(&honest, &watches, rounds);
    println!("blocks alone: {alone}");
    println!("blocks beside broken connections: {beside}");
    let during = held(node.pid());
    assert!(during.1 > before.1, "{before:?} {during:?}: nothing was open");
    for peer in &peers {
        node.call("DELETE", &format!("/node/{peer}")).expect(200);
    }
    let begun = Instant::now();
    wait_until("threads and descriptors to go", || {
        let now = held(node.pid());
        // The connection of the test's own look may be there or not.
        now.0 <= before.0 + 1 && now.1 <= before.1 + 2
    });
    println!("{before:?} before, {during:?} during, gone after {:?}", begun.elapsed());
    assert!(!is_long() || begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let most = alone.percentile(99).mul_f64(1.2) + Duration::from_millis(20);
    assert!(!is_long() || beside.percentile(99) <= most, "{beside}");
    drop((open, mute_sockets, vanished_sockets));
}
