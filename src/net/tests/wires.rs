//! Live connections of the world: texts go from one node's queue to the other's.

use super::{BASE, World, wait};
use crate::net::Network;
use crate::net::links::{Code, How, LinkDriver, LinkEnd, LinkEvent, LinkFull, TEXT_MAX};
use crate::node::ports::PeerControl;
use crate::primitives::{LinkId, PeerAddress};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One end: whose it is, and what that one calls it.
type End = (u16, LinkId);

/// All live connections of the world.
#[derive(Default)]
pub(in crate::net) struct Wires {
    queues: BTreeMap<u16, Sender<LinkEvent>>,
    pairs: BTreeMap<End, End>,
    /// Dials that wait to be accepted, by the port that they come from.
    dials: BTreeMap<u16, (End, PeerAddress)>,
    /// Nodes none of whose texts arrive, nor news of an end.
    pub dead: BTreeSet<u16>,
    /// Where nodes dial from, if not from this machine.
    pub places: BTreeMap<u16, IpAddr>,
    /// Nodes to which none is opened.
    pub closed: BTreeSet<u16>,
    /// Texts that were sent: by whom, to whom.
    pub texts: Vec<(u16, u16, String)>,
    /// Ends on which more than a handshake may come.
    wide: BTreeSet<End>,
    /// Texts that were sent from accepted ends that were not yet such.
    pub narrow: usize,
    /// The codes with which links were closed that were needed.
    pub codes: Vec<Code>,
}

impl Wires {
    fn tell(&self, (port, _): End, event: LinkEvent) {
        if let Some(queue) = self.queues.get(&port) {
            let _ = queue.send(event);
        }
    }

    /// Ends a pair: each side hears of it, unless the line is dead.
    fn end(&mut self, end: End, ours: LinkEnd) {
        self.tell(end, LinkEvent::Closed { id: end.1, reason: ours });
        let Some(other) = self.pairs.remove(&end) else { return };
        self.pairs.remove(&other);
        if !self.is_dead(end, other) {
            self.tell(other, LinkEvent::Closed { id: other.1, reason: LinkEnd::Left });
        }
    }

    fn is_dead(&self, one: End, other: End) -> bool {
        self.dead.contains(&one.0) || self.dead.contains(&other.0)
    }

    /// Breaks every connection.
    pub(super) fn break_all(&mut self) {
        while let Some(end) = self.pairs.keys().next().copied() {
            self.end(end, LinkEnd::Lost("cut".to_owned()));
        }
    }

    /// Connections that are open.
    pub(super) fn count(&self) -> usize {
        self.pairs.len() / 2
    }
}

/// The connections as one node has them.
pub(super) struct FakeLinks {
    world: Arc<World>,
    port: u16,
}

impl FakeLinks {
    /// Those of a node, and what happens on them.
    pub(super) fn new(world: &Arc<World>, port: u16) -> (Self, Receiver<LinkEvent>) {
        let (queue, events) = unbounded();
        world.wires.lock().unwrap().queues.insert(port, queue);
        (Self { world: world.clone(), port }, events)
    }

    /// As another node would open it, whoever that is.
    pub(super) fn dial_at(&self, id: LinkId, address: &PeerAddress, network: &Network) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, client) = listener.accept().unwrap();
        let mut wires = self.world.wires.lock().unwrap();
        let place = wires.places.get(&self.port).copied().unwrap_or(client.ip());
        let client = SocketAddr::new(place, client.port());
        wires.dials.insert(client.port(), ((self.port, id), address.clone()));
        drop((wires, near));
        network.take_link(far, client);
        let mut wires = self.world.wires.lock().unwrap();
        if wires.dials.remove(&client.port()).is_some() {
            wires.end((self.port, id), LinkEnd::Left);
        }
    }
}

impl LinkDriver for FakeLinks {
    fn dial(&self, id: LinkId, address: &PeerAddress) {
        // Who lies over HTTP would have to lie here as well.
        let own = self.world.servers.lock().unwrap().get(&super::address(self.port)).cloned();
        let is_liar = own.is_some_and(|server| server.network().is_none());
        let is_cut = self.world.cuts.lock().unwrap().contains(&(BASE + self.port, address.port()));
        let server = self.world.servers.lock().unwrap().get(&address.to_string()).cloned();
        let called = address.port() - BASE;
        let is_closed = self.world.wires.lock().unwrap().closed.contains(&called);
        match server.as_ref().and_then(|server| server.network()) {
            Some(network) if !is_cut && !is_closed && !is_liar => {
                self.dial_at(id, address, network);
            }
            _ => self.world.wires.lock().unwrap().end((self.port, id), LinkEnd::TimedOut),
        }
    }

    fn accept(&self, id: LinkId, stream: TcpStream, client: SocketAddr) {
        drop(stream);
        let mut wires = self.world.wires.lock().unwrap();
        let Some((other, address)) = wires.dials.remove(&client.port()) else { return };
        let end = (self.port, id);
        wires.pairs.insert(end, other);
        wires.pairs.insert(other, end);
        wires.wide.insert(other);
        wires.tell(end, LinkEvent::Opened { id, how: How::Accepted(client) });
        let how = How::Dialled(address);
        wires.tell(other, LinkEvent::Opened { id: other.1, how });
    }

    fn send(&self, id: LinkId, text: String) -> Result<(), LinkFull> {
        assert!(text.len() <= TEXT_MAX);
        let mut wires = self.world.wires.lock().unwrap();
        let end = (self.port, id);
        let other = wires.pairs.get(&end).copied().ok_or(LinkFull::Closed)?;
        wires.texts.push((self.port, other.0, text.clone()));
        wires.narrow += usize::from(!wires.wide.contains(&end));
        if !wires.is_dead(end, other) {
            wires.tell(other, LinkEvent::Frame { id: other.1, text });
        }
        Ok(())
    }

    fn expect(&self, id: LinkId, _: usize) {
        self.world.wires.lock().unwrap().wide.insert((self.port, id));
    }

    fn turn_away(&self, _: TcpStream, client: SocketAddr) {
        let mut wires = self.world.wires.lock().unwrap();
        let (other, _) = wires.dials.remove(&client.port()).expect("it was dialled");
        wires.end(other, LinkEnd::Busy);
    }

    fn close(&self, id: LinkId, end: LinkEnd) {
        let mut wires = self.world.wires.lock().unwrap();
        if let LinkEnd::Ours { code, .. } = end
            && code != Code::Done
        {
            wires.codes.push(code);
        }
        wires.end((self.port, id), end);
    }

    fn pending_bytes(&self, _: LinkId) -> usize {
        0
    }

    fn done(&self, _: LinkId) {}
}

/// Someone who speaks on a live connection as it likes.
pub(super) struct Stranger {
    links: FakeLinks,
    events: Receiver<LinkEvent>,
}

impl Stranger {
    pub(super) fn call(world: &Arc<World>, port: u16, network: &Network) -> Self {
        let stranger = Self::knock(world, port, network);
        assert!(matches!(stranger.hear(), LinkEvent::Opened { .. }));
        stranger
    }

    /// As [`Self::call`], without waiting for it to open.
    pub(super) fn knock(world: &Arc<World>, port: u16, network: &Network) -> Self {
        let (links, events) = FakeLinks::new(world, port);
        links.dial_at(LinkId(0), &super::address(1).parse().unwrap(), network);
        Self { links, events }
    }

    pub(super) fn say(&self, text: &str) {
        self.links.send(LinkId(0), text.to_owned()).unwrap();
    }

    pub(super) fn hear(&self) -> LinkEvent {
        self.events.recv_timeout(super::DEADLINE).unwrap()
    }

    /// Waits until the connection is closed.
    pub(super) fn is_closed(&self) {
        let is_end = |event| matches!(event, LinkEvent::Closed { .. });
        wait("the end", || self.events.try_recv().is_ok_and(is_end));
    }
}

/// Passes events on, until the network is over.
pub(super) fn pump(network: &Network, events: &Receiver<LinkEvent>) {
    while !network.is_over() {
        if let Ok(event) = events.recv_timeout(crate::net::driver::TICK) {
            network.link_event(event);
        }
    }
}

/// A lock on all of it.
pub(super) type AllWires = Mutex<Wires>;
