//! Addresses that attackers tell of: they do not surround a node, and nodes do not knock where they say.

use crate::attacker::{Attacker, Requests};
use crate::harness::{Node, Start, number_from_env, wait_until};
use crate::is_long;
use farthing::wire::Reach;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Someone who answers at one port of all addresses of this machine, and notes at which it was called.
struct Everywhere {
    port: u16,
    called: Arc<Mutex<Vec<Ipv4Addr>>>,
}

impl Everywhere {
    /// `answer` says what who is called at an address answers to a path.
    fn new(answer: impl Fn(Ipv4Addr, u16, &str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let called: Arc<Mutex<Vec<Ipv4Addr>>> = Arc::default();
        let (notes, answer) = (called.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(at) = address_of(&stream) else { continue };
                notes.lock().unwrap().push(at);
                let answer = answer.clone();
                // Who calls and leaves is not missed.
                thread::spawn(move || drop(serve(&stream, |path| answer(at, port, path))));
            }
        });
        Self { port, called }
    }

    /// How often somebody has called it at an address.
    fn calls(&self, at: Ipv4Addr) -> usize {
        self.called.lock().unwrap().iter().filter(|called| **called == at).count()
    }
}

fn address_of(stream: &TcpStream) -> Option<Ipv4Addr> {
    match stream.local_addr().ok()? {
        std::net::SocketAddr::V4(at) => Some(*at.ip()),
        std::net::SocketAddr::V6(_) => None,
    }
}

fn serve(stream: &TcpStream, answer: impl Fn(&str) -> Option<String>) -> std::io::Result<()> {
    let (mut reader, mut line, mut length) = (BufReader::new(stream), String::new(), 0);
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let (status, body) = match answer(&path) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", r#"{"message":"no","code":"not-found"}"#.to_owned()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
    let rest = format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    (&mut &*stream).write_all((head + &rest).as_bytes())
}

/// An address of this machine that seems to be in a network of its own.
fn place(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 64 + high, low, 1)
}

/// What attackers at one port answer: a handshake, and addresses of other attackers.
fn attackers(count: u16) -> Everywhere {
    Everywhere::new(move |at, port, path| match path {
        "/handshake" => Some(hello(at, port)),
        "/addresses" => {
            let [_, high, low, _] = at.octets();
            let first = u16::from_be_bytes([high - 64, low]);
            let others = (1..=32).map(|next| (first + 13 * next) % count);
            let others = others.map(|other| format!("{}:{port}", place(other)));
            Some(json!({ "addresses": others.collect::<Vec<_>>() }).to_string())
        }
        _ => None,
    })
}

fn hello(at: Ipv4Addr, port: u16) -> String {
    let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    let said = Attacker { at, node: nobody }.handshake();
    farthing::wire::Handshake { node: Some(Reach::Port(port)), ..said }.to_json()
}

/// The peers of a node for which something holds.
fn peers(node: &Node, is_one: impl Fn(&Value) -> bool) -> usize {
    let nodes = node.get("/nodes").expect(200);
    nodes["peers"].as_array().expect("an array").iter().filter(|peer| is_one(peer)).count()
}

#[test]
fn five_hundred_attackers_surround_no_node_that_was_told_of_honest_ones() {
    let (count, restarts) = if is_long() { (500, 50) } else { (100, 3) };
    let honest: Vec<Node> = (0..4).map(|_| Node::dev()).collect();
    honest[0].create_wallet();
    let names: Vec<String> = honest.iter().map(Node::address).collect();
    let start = names.iter().fold(Start::default(), |start, name| start.flag("--peer").flag(name));
    let mut victim = start.node();
    let attackers = attackers(count);
    for number in 0..count {
        let node = SocketAddrV4::new(Ipv4Addr::LOCALHOST, victim.port);
        let mut requests = Requests::of(&Attacker { at: place(number), node });
        let met = requests.post("/handshake", &hello(place(number), attackers.port));
        assert_eq!(met.expect("it answers"), 200);
    }
    let is_attacker = |peer: &Value| peer["manual"] == false;
    let many = usize::from(count) / 8;
    wait_until("many attackers to be peers", || peers(&victim, is_attacker) >= many);
    for round in 0..restarts {
        assert!(victim.stop().success());
        victim.restart();
        assert!(peers(&victim, is_attacker) >= many, "{round}: it remembers them");
        let is_honest = |peer: &Value| {
            let node = peer["node"].as_str().unwrap_or_default();
            peer["outgoing"] == true && names.iter().any(|name| name == node)
        };
        wait_until("a live connection to an honest node", || peers(&victim, is_honest) >= 1);
        honest[0].mine();
        wait_until("the honest chain", || victim.tip() == honest[0].tip());
    }
}

#[test]
fn twenty_nodes_are_no_battering_ram() {
    const NODES: u16 = 20;
    let rounds = number_from_env("FARTHING_ROUNDS", if is_long() { 10_000 } else { 400 });
    let nodes: Vec<Node> = (0..NODES).map(|_| Node::dev()).collect();
    let victims = Everywhere::new(|_, _, _| None);
    let (victim, other) = (Ipv4Addr::new(127, 9, 9, 9), Ipv4Addr::new(127, 8, 8, 8));
    let name = |who: Ipv4Addr| format!("{who}:{}", victims.port).parse().expect("an address");
    let mut callers: Vec<_> = (0..NODES)
        .zip(&nodes)
        .map(|(number, node)| {
            let node = SocketAddrV4::new(Ipv4Addr::LOCALHOST, node.port);
            let attacker = Attacker { at: place(number), node };
            (attacker, Requests::of(&attacker))
        })
        .collect();
    let mut tell = |round: u64, who: Ipv4Addr| {
        let turn = usize::try_from(round).expect("small") % callers.len();
        let (attacker, requests) = &mut callers[turn];
        let reach = Some(Reach::Node(name(who)));
        // Another run each time, as if it were another node.
        let said =
            farthing::wire::Handshake { node: reach, instance: round, ..attacker.handshake() };
        assert_eq!(requests.post("/handshake", &said.to_json()).expect("it answers"), 200);
    };
    (0..rounds).for_each(|round| tell(round, victim));
    let all = usize::from(NODES);
    wait_until("all nodes to call once", || victims.calls(victim) >= all);
    (0..rounds).for_each(|round| tell(round, victim));
    // By the time that they have called somebody else, they would have called it again.
    (0..u64::from(NODES)).for_each(|round| tell(round, other));
    wait_until("all nodes to call the other", || victims.calls(other) >= all);
    assert_eq!((victims.calls(victim), victims.calls(other)), (all, all));
}
