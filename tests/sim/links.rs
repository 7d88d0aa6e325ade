//! Live connections of the world: texts travel in their order, wait while wires are cut, and both ends
//! learn of an end as they would from real sockets.

use crate::clock::SECOND;
use crate::world::{What, World};
use farthing::net::links::{How, LinkDriver, LinkEnd, LinkEvent, LinkFull, SEND_MAX, SILENCE_MAX};
use farthing::node::ports::PeerControl;
use farthing::primitives::{LinkId, PeerAddress};
use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// How often both ends of a connection see whether the other is there.
const PING: u64 = 15 * SECOND;

/// How long opening one is tried.
const CONNECT_MAX: u64 = 2 * SECOND;

/// The first of the ports that dials come from, by which they are known.
const FIRST_PORT: u16 = 10_000;

/// What a node wants done with its links.
enum Command {
    Dial(LinkId, PeerAddress),
    Accept(LinkId, SocketAddr),
    Send(LinkId, String),
    TurnAway(SocketAddr),
    Close(LinkId, LinkEnd),
}

#[derive(Default)]
struct Post {
    commands: Vec<Command>,
    /// Open links, with the bytes that have not arrived.
    unsent: BTreeMap<LinkId, usize>,
}

/// The links of one process, as it sees them.
#[derive(Clone, Default)]
pub struct SimLinks(Arc<Mutex<Post>>);

impl SimLinks {
    fn post(&self) -> MutexGuard<'_, Post> {
        self.0.lock().expect("one thread")
    }

    fn push(&self, command: Command) {
        self.post().commands.push(command);
    }
}

impl LinkDriver for SimLinks {
    fn dial(&self, id: LinkId, address: &PeerAddress) {
        self.push(Command::Dial(id, address.clone()));
    }

    fn accept(&self, id: LinkId, _: TcpStream, client: SocketAddr) {
        self.push(Command::Accept(id, client));
    }

    fn send(&self, id: LinkId, text: String) -> Result<(), LinkFull> {
        let unsent = {
            let mut post = self.post();
            let unsent = post.unsent.get_mut(&id).ok_or(LinkFull::Closed)?;
            *unsent += text.len();
            *unsent
        };
        if unsent > SEND_MAX {
            self.arrived(id, text.len());
            return Err(LinkFull::Behind);
        }
        self.push(Command::Send(id, text));
        Ok(())
    }

    fn turn_away(&self, _: TcpStream, client: SocketAddr) {
        self.push(Command::TurnAway(client));
    }

    fn close(&self, id: LinkId, end: LinkEnd) {
        self.push(Command::Close(id, end));
    }

    fn pending_bytes(&self, id: LinkId) -> usize {
        self.post().unsent.get(&id).copied().unwrap_or(0)
    }

    fn done(&self, _: LinkId) {}
}

impl SimLinks {
    fn arrived(&self, id: LinkId, bytes: usize) {
        if let Some(unsent) = self.post().unsent.get_mut(&id) {
            *unsent -= bytes;
        }
    }
}

/// One end of a connection: a process, or a liar (whose incarnation is 0), and its name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    pub place: usize,
    pub incarnation: u64,
    pub id: LinkId,
}

/// An open connection.
struct Wire {
    ends: [End; 2],
    queues: [VecDeque<String>; 2],
    /// When the last text that was sent arrives.
    busy_until: [u64; 2],
    /// How long one end has not heard the other, in microseconds.
    silent: u64,
}

/// All connections of the world.
#[derive(Default)]
pub struct Wires {
    open: BTreeMap<u64, Wire>,
    /// Which connection an end belongs to, and which of its ends it is.
    of: BTreeMap<End, (u64, usize)>,
    dials: BTreeMap<u16, (End, PeerAddress)>,
    /// Who was at the other end of each end there ever was.
    names: BTreeMap<End, usize>,
    made: u64,
}

/// Something that happens on a connection.
pub enum Happening {
    /// A dial arrives, from this port.
    Dialled(u16, usize),
    /// The first text in the queue of this end arrives.
    Text(u64, usize),
    /// An end learns something.
    Told(End, LinkEvent),
    /// All ends see whether the others are there.
    Pings,
}

impl World {
    /// Does what a node wants done with its links.
    pub fn take_commands(&mut self, index: usize) {
        let Some(run) = &self.nodes[index].run else { return };
        let commands = std::mem::take(&mut run.links.post().commands);
        let incarnation = self.nodes[index].incarnation;
        for command in commands {
            let end = |id| End { place: index, incarnation, id };
            match command {
                Command::Dial(id, address) => self.dial(end(id), &address),
                Command::Accept(id, client) => self.accept(end(id), client),
                Command::Send(id, text) => self.send_text(end(id), text),
                Command::TurnAway(client) => self.turn_away(client),
                Command::Close(id, reason) => self.close(end(id), reason),
            }
        }
    }

    pub fn dial(&mut self, from: End, address: &PeerAddress) {
        self.tally.dials += 1;
        self.note(50, || format!("{} dials {address}", from.place));
        let closed = |reason| What::Link(Happening::Told(from, closed(from, reason)));
        let to = self.place_of(address).filter(|to| self.is_reachable(*to));
        let Some(to) = to.filter(|to| self.nodes.get(*to).is_none_or(|node| node.is_up())) else {
            let wait = self.weather.latency;
            return self.after(wait, closed(LinkEnd::Unreachable("refused".to_owned())));
        };
        if self.weather.is_cut(from.place, to) || self.weather.is_cut(to, from.place) {
            return self.after(CONNECT_MAX, closed(LinkEnd::TimedOut));
        }
        let mut port = FIRST_PORT;
        while self.wires.dials.contains_key(&port) {
            port += 1;
        }
        self.wires.dials.insert(port, (from, address.clone()));
        let way = 3 * self.weather.way(&mut self.random);
        self.after(way, What::Link(Happening::Dialled(port, to)));
    }

    pub fn link(&mut self, happening: Happening) {
        match happening {
            Happening::Dialled(port, to) => self.dialled(port, to),
            Happening::Text(wire, side) => self.text_arrives(wire, side),
            Happening::Told(end, event) => self.tell(end, event),
            Happening::Pings => self.ping_all(),
        }
    }

    fn dialled(&mut self, port: u16, to: usize) {
        let Some((from, _)) = self.wires.dials.get(&port) else { return };
        let from = *from;
        let ip = self.address_of(from.place).ip().expect("a number");
        let client = SocketAddr::new(ip, port);
        if to >= self.nodes.len() {
            self.liar_accepts(to, client);
        } else if let Some(run) = &self.nodes[to].run {
            run.network.take_link(stream(), client);
            self.settle(to);
        }
        if self.wires.dials.remove(&port).is_some() {
            let wait = self.weather.latency;
            self.after(wait, What::Link(Happening::Told(from, closed(from, LinkEnd::Left))));
        }
    }

    pub fn accept(&mut self, end: End, client: SocketAddr) {
        let Some((from, address)) = self.wires.dials.remove(&client.port()) else { return };
        self.wires.made += 1;
        self.tally.links += 1;
        let number = self.wires.made;
        let wire = Wire {
            ends: [from, end],
            queues: [VecDeque::new(), VecDeque::new()],
            busy_until: [self.now(); 2],
            silent: 0,
        };
        self.wires.open.insert(number, wire);
        self.wires.of.extend([(from, (number, 0)), (end, (number, 1))]);
        self.wires.names.extend([(from, end.place), (end, from.place)]);
        let how = How::Accepted(client);
        self.after(0, What::Link(Happening::Told(end, LinkEvent::Opened { id: end.id, how })));
        let (way, how) = (self.weather.way(&mut self.random), How::Dialled(address));
        self.after(way, What::Link(Happening::Told(from, LinkEvent::Opened { id: from.id, how })));
    }

    /// A dial that was answered is not let in.
    fn turn_away(&mut self, client: SocketAddr) {
        let Some((from, _)) = self.wires.dials.remove(&client.port()) else { return };
        let way = self.weather.way(&mut self.random);
        self.after(way, What::Link(Happening::Told(from, closed(from, LinkEnd::Busy))));
    }

    pub fn send_text(&mut self, from: End, text: String) {
        let (now, way) = (self.now(), self.weather.way(&mut self.random));
        let Some((number, side)) = self.wires.of.get(&from).copied() else { return };
        let wire = self.wires.open.get_mut(&number).expect("its ends are known");
        wire.queues[side].push_back(text);
        let at = wire.busy_until[side].max(now + way);
        wire.busy_until[side] = at;
        self.after(at - now, What::Link(Happening::Text(number, side)));
    }

    fn text_arrives(&mut self, number: u64, side: usize) {
        let Some(wire) = self.wires.open.get_mut(&number) else { return };
        let (from, to) = (wire.ends[side], wire.ends[1 - side]);
        if self.weather.is_cut(from.place, to.place) {
            return self.after(SECOND, What::Link(Happening::Text(number, side)));
        }
        let Some(text) = wire.queues[side].pop_front() else { return };
        self.tally.texts += 1;
        if let Some(run) = self.running(from) {
            run.links.arrived(from.id, text.len());
        }
        self.tell(to, LinkEvent::Frame { id: to.id, text });
    }

    /// The process at an end, if it is still that one.
    fn running(&self, end: End) -> Option<&crate::node::Run> {
        let node = self.nodes.get(end.place)?;
        if node.incarnation == end.incarnation { node.run.as_ref() } else { None }
    }

    fn tell(&mut self, end: End, event: LinkEvent) {
        if end.place >= self.nodes.len() {
            return self.liar_hears(end, event);
        }
        let Some(run) = self.running(end) else { return };
        match &event {
            LinkEvent::Opened { .. } if self.wires.of.contains_key(&end) => {
                run.links.post().unsent.insert(end.id, 0);
            }
            LinkEvent::Opened { .. } => return,
            LinkEvent::Closed { .. } => drop(run.links.post().unsent.remove(&end.id)),
            LinkEvent::Frame { .. } => {}
        }
        let (network, index) = (run.network.clone(), end.place);
        self.note(51 + end.id.0, || {
            let event: String = format!("{event:?}").chars().take(140).collect();
            format!("node {index}: {event}")
        });
        network.link_event(event);
        self.settle(index);
    }

    /// One end has closed a connection.
    pub fn close(&mut self, end: End, reason: LinkEnd) {
        self.after(0, What::Link(Happening::Told(end, closed(end, reason))));
        if let Some(other) = self.cut_wire(end) {
            let way = self.weather.way(&mut self.random);
            self.after(way, What::Link(Happening::Told(other, closed(other, LinkEnd::Left))));
        }
    }

    /// Forgets a connection; its other end.
    fn cut_wire(&mut self, end: End) -> Option<End> {
        let (number, side) = self.wires.of.remove(&end)?;
        let wire = self.wires.open.remove(&number).expect("its ends are known");
        let other = wire.ends[1 - side];
        self.wires.of.remove(&other);
        Some(other)
    }

    /// A process was killed: the system closes its connections.
    pub fn close_all_of(&mut self, place: usize) {
        let own: Vec<_> = self.wires.of.keys().filter(|end| end.place == place).copied().collect();
        for end in own {
            self.close(end, LinkEnd::Left);
        }
    }

    fn ping_all(&mut self) {
        self.after(PING, What::Link(Happening::Pings));
        let silence = u64::try_from(SILENCE_MAX.as_micros()).expect("seconds");
        let mut broken = Vec::new();
        let all: Vec<_> =
            self.wires.open.iter().map(|(number, wire)| (*number, wire.ends)).collect();
        for (number, [one, other]) in all {
            let is_there = |end: End| end.place >= self.nodes.len() || self.running(end).is_some();
            let is_cut = self.weather.is_cut(one.place, other.place)
                || self.weather.is_cut(other.place, one.place);
            let hears = !is_cut && is_there(one) && is_there(other);
            let breaks = self.random.percent(self.weather.resets);
            let wire = self.wires.open.get_mut(&number).expect("it was listed");
            wire.silent = if hears { 0 } else { wire.silent + PING };
            if breaks {
                broken.push((one, LinkEnd::Lost("reset".to_owned())));
            } else if wire.silent >= silence {
                broken.push((one, LinkEnd::Silent));
            }
        }
        for (one, reason) in broken {
            self.tally.broken_links += 1;
            let Some(other) = self.cut_wire(one) else { continue };
            for end in [one, other] {
                let event = closed(end, reason.clone());
                self.after(0, What::Link(Happening::Told(end, event)));
            }
        }
    }

    /// Who was at the other end of what a node calls `link 7`, or by that with more words before it.
    pub fn behind_link(&self, index: usize, name: &str) -> Option<usize> {
        let (_, number) = name.rsplit_once("link ")?;
        let id = LinkId(number.trim_end_matches(')').parse().ok()?);
        let incarnation = self.nodes[index].incarnation;
        self.wires.names.get(&End { place: index, incarnation, id }).copied()
    }
}

fn closed(end: End, reason: LinkEnd) -> LinkEvent {
    LinkEvent::Closed { id: end.id, reason }
}

/// A socket for those who want one; nothing is ever read from it.
fn stream() -> TcpStream {
    static STREAM: OnceLock<TcpStream> = OnceLock::new();
    let stream = STREAM.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let address = listener.local_addr().expect("it is bound");
        TcpStream::connect(address).expect("somebody listens")
    });
    stream.try_clone().expect("a socket")
}
