//! A handful of nodes, linked as a test wants it.

use crate::harness::{Node, Start, wait_in_vain, wait_until};
use crate::proxy::{Ends, Link, Pace, State, Wires};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// Nodes that know each other through links alone, by their places in the list.
pub struct World {
    /// The nodes.
    pub nodes: Vec<Node>,
    links: BTreeMap<(usize, usize), Link>,
    wires: BTreeMap<(usize, usize), Wires>,
}

/// As what address a node finds another: all of 127.0.0.0/8 is this machine, and each node seems to
/// be in a network of its own.
fn seen_by(one: usize, other: usize) -> Ipv4Addr {
    let part = |place: usize| u8::try_from(place + 16).expect("a few nodes");
    Ipv4Addr::new(127, part(other), part(one), 1)
}

/// Every pair of `count` nodes.
pub fn full_mesh(count: usize) -> Vec<(usize, usize)> {
    (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other))).collect()
}

impl World {
    /// `count` nodes that do not know each other.
    pub fn new(count: usize) -> Self {
        Self::of((0..count).map(|_| Start::default().node()).collect())
    }

    /// These nodes, that do not know each other.
    pub fn of(nodes: Vec<Node>) -> Self {
        Self { nodes, links: BTreeMap::new(), wires: BTreeMap::new() }
    }

    /// `count` nodes, each pair of which can call each other, and does.
    pub fn linked(count: usize, pairs: &[(usize, usize)]) -> Self {
        let mut world = Self::new(count);
        for &(one, other) in pairs {
            world.link(one, other);
        }
        world.introduce();
        world
    }

    /// Opens the ways between two nodes.
    pub fn link(&mut self, one: usize, other: usize) {
        self.open(one, other);
        self.open(other, one);
    }

    /// Opens the way on which `caller` can call `called`.
    pub fn open(&mut self, caller: usize, called: usize) {
        let wires = self.wires_of(caller, called);
        let (from, to) = (self.nodes[caller].port, self.nodes[called].port);
        let ends = Ends {
            listens: SocketAddrV4::new(seen_by(caller, called), to),
            calls_from: seen_by(called, caller),
            called: SocketAddrV4::new(Ipv4Addr::LOCALHOST, to),
            caller_port: from,
        };
        let link = Link::open(ends, wires).expect("an address of this machine");
        self.links.insert((caller, called), link);
    }

    fn wires_of(&mut self, caller: usize, called: usize) -> Wires {
        let wires = self.wires.entry((caller, called)).or_insert_with(Wires::new).clone();
        self.wires.entry((called, caller)).or_insert_with(|| wires.reversed());
        wires
    }

    /// The way on which one node calls another.
    pub fn way(&self, caller: usize, called: usize) -> &Link {
        &self.links[&(caller, called)]
    }

    /// Tells one node of another, to which it has a way.
    pub fn meet(&self, caller: usize, called: usize) {
        let node = self.way(caller, called).address().to_string();
        self.nodes[caller].post("/node", &json!({ "node": node })).expect(201);
    }

    /// Tells the nodes of each other and waits until all that are linked are connected.
    pub fn introduce(&self) {
        for (caller, called) in self.links.keys() {
            self.meet(*caller, *called);
        }
        self.are_connected();
    }

    /// Waits until all that are linked are connected.
    pub fn are_connected(&self) {
        for ((caller, _), link) in &self.links {
            let node = link.address().to_string();
            wait_until(&format!("{node} to be connected"), || self.is_connected(*caller, &node));
        }
    }

    /// Waits until one node has called another in vain, so often in a row.
    pub fn has_lost(&self, caller: usize, called: usize, failures: u64) {
        let node = self.way(caller, called).address().to_string();
        wait_until(&format!("{node} to be lost"), || {
            self.peer(caller, &node, |peer| peer["failures"].as_u64() >= Some(failures))
        });
    }

    fn is_connected(&self, place: usize, node: &str) -> bool {
        self.peer(place, node, |peer| peer["state"] == "connected")
    }

    fn peer(&self, place: usize, node: &str, is_so: impl Fn(&Value) -> bool) -> bool {
        let nodes = self.nodes[place].get("/nodes").expect(200);
        let mut peers = nodes["peers"].as_array().expect("an array").iter();
        peers.any(|peer| peer["node"] == *node && is_so(peer))
    }

    /// Makes all wires this slow.
    pub fn set_pace(&self, pace: Pace) {
        for wires in self.wires.values() {
            wires.there.set_pace(pace);
        }
    }

    /// Cuts or mends what goes from one node to another.
    pub fn set_wire(&self, from: usize, to: usize, state: State) {
        if let Some(wires) = self.wires.get(&(from, to)) {
            wires.there.set_state(state);
            if state == State::Reset {
                self.links.get(&(from, to)).iter().for_each(|link| link.reset());
            }
        }
    }

    /// Cuts or mends all that goes from `side` to the others and, unless `one_way`, back.
    pub fn set_border(&self, side: &[usize], state: State, ways: Ways) {
        let others = (0..self.nodes.len()).filter(|place| !side.contains(place));
        for other in others {
            for &one in side {
                self.set_wire(one, other, state);
                if ways == Ways::Both {
                    self.set_wire(other, one, state);
                }
            }
        }
    }

    /// Bytes that have arrived at a node over its wires.
    pub fn received(&self, place: usize) -> u64 {
        let to = self.wires.iter().filter(|((_, to), _)| *to == place);
        to.map(|(_, wires)| wires.there.bytes()).sum()
    }

    /// Waits until all nodes of a list have one tip, and returns how long that took.
    pub fn agree(&self, what: &str, places: &[usize]) -> Duration {
        let begun = Instant::now();
        let agreed = wait_in_vain(|| {
            let first = self.nodes[places[0]].tip();
            places[1..].iter().all(|place| self.nodes[*place].tip() == first).then_some(())
        });
        if agreed.is_none() {
            let logs = places.iter().map(|place| end_of(&self.nodes[*place].log()));
            panic!("waited in vain for {what}\n{}{}", self.picture(), logs.collect::<String>());
        }
        begun.elapsed()
    }

    /// Where the nodes listen.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// All places.
    pub fn all(&self) -> Vec<usize> {
        (0..self.nodes.len()).collect()
    }

    /// What the nodes say of their tips and peers, for the message of a failure.
    pub fn picture(&self) -> String {
        let line = |node: &Node| {
            let (status, nodes) = (node.status(), node.get("/nodes").expect(200));
            let state = |peer: &Value| format!("{} {}", peer["node"], peer["state"]);
            let peers = nodes["peers"].as_array().into_iter().flatten().map(state);
            let peers = peers.collect::<Vec<_>>().join(", ");
            format!("{} at {}: {peers}\n", status["height"], status["tip"])
        };
        self.nodes.iter().map(line).collect()
    }
}

/// The last lines of a log.
fn end_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n") + "\n\n"
}

/// Lines of a log that are shown when a test fails.
const LINES_SHOWN: usize = 40;

/// In which directions something is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// From the side alone.
    One,
    /// In both.
    Both,
}
