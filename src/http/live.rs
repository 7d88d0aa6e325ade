//! Server-sent events: what happens at the node, told to whoever keeps `GET /events` open.
//!
//! Owns the sockets that the door hands over, all in one thread that never waits for any of them: what a
//! client does not take at once is held for it, up to a bound, and whoever falls behind is dropped and
//! may come again. Tells nothing that the public reads do not tell: no address, balance or key of the
//! wallet, nor who brought a transfer.

use super::api::Api;
use super::door::live::LiveCall;
use super::handlers::{miner, status};
use super::message::Response;
use crate::chain::accept::TipChange;
use crate::consensus::check::CheckedBlock;
use crate::node::Event;
use crate::node::ports::PeerState;
use crate::primitives::Height;
use crate::wire::{self, BlockEvent, Embedded, MinerStatus, PeersEvent};
use crossbeam_channel::{Receiver, Sender, bounded, select, tick};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clients at once; a further one is answered 503. Each costs a descriptor and [`PENDING_MAX`] at most.
pub const LIVE_CLIENTS_MAX: usize = 64;

/// Of those, places that only the machine's own pages and programs may take.
const HOME_PLACES: usize = 16;

/// Clients of one address: the open pages of a household.
const PER_ADDRESS_MAX: usize = 4;

/// Calls that wait for the live part to take them; a further one is answered 503 by the door.
const CALLS_MAX: usize = 16;

/// Bytes that are held for a client that does not read; when they are more, it is dropped.
const PENDING_MAX: usize = 64 * 1024;

/// What a client may hold up its bytes, before it is dropped.
const PENDING_TIME_MAX: Duration = Duration::from_secs(10);

/// Transfers that are told a second; a page cannot show more, and programs read `/transactions`.
const TRANSFERS_PER_SECOND_MAX: u32 = 100;

/// Bytes that a client may send after its request, which nobody reads.
const NOISE_MAX: usize = 4 * 1024;

/// How often clients are looked after: whether they left, and what is held for them.
const TICK: Duration = Duration::from_millis(250);

/// How often what changes by itself is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often a client hears at least, so that what stands between does not take it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a browser waits before it comes again, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// The channel from the door to the live part. The sender goes into the door's settings; the live part ends
/// when the last sender is gone.
#[must_use]
pub fn channel() -> (Sender<LiveCall>, Receiver<LiveCall>) {
    bounded(CALLS_MAX)
}

/// The live part before it runs.
pub struct LiveHub {
    api: Arc<Api>,
    calls: Receiver<LiveCall>,
    events: Receiver<Event>,
    clients: Vec<Client>,
    /// What was told last of what changes by itself.
    told: Told,
    looked: Instant,
    transfers: u32,
}

/// What changes by itself, without an event of the node.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Told {
    peers: usize,
    miner: MinerStatus,
    /// The best height known of while blocks are missing; nothing once they are here.
    behind: Option<Height>,
    clock_offset: Option<i64>,
}

impl LiveHub {
    /// A live part that takes clients from `calls` and tells them of `events`.
    #[must_use]
    pub fn new(api: Arc<Api>, calls: Receiver<LiveCall>, events: Receiver<Event>) -> Self {
        let told = Told::now(&api);
        let looked = Instant::now();
        Self { api, calls, events, clients: Vec::new(), told, looked, transfers: 0 }
    }

    /// Works until the door is gone. It holds a way to the node, so the door must go before the node.
    pub fn run(mut self) {
        let ticks = tick(TICK);
        let mut events = self.events.clone();
        loop {
            select! {
                recv(self.calls) -> call => match call {
                    Ok(call) => self.take(call),
                    Err(_) => return,
                },
                recv(events) -> event => match event {
                    Ok(event) => self.tell_event(&event),
                    Err(_) => events = crossbeam_channel::never(),
                },
                recv(ticks) -> _ => {
                    self.look();
                    let now = Instant::now();
                    self.clients.retain_mut(|client| client.tend(now));
                }
            }
        }
    }

    /// Takes a client, or tells it that there is no place.
    fn take(&mut self, call: LiveCall) {
        let address = call.request.client.ip();
        // A page of another origin names it, and must not take the places of the person at the machine.
        let is_home = address.is_loopback() && call.request.headers.get("origin").is_none();
        let same = |client: &&Client| client.address == address && !client.is_home;
        let guests = self.clients.iter().filter(|client| !client.is_home).count();
        let has_place = self.clients.len() < LIVE_CLIENTS_MAX
            && (is_home
                || guests < LIVE_CLIENTS_MAX - HOME_PLACES
                    && self.clients.iter().filter(same).count() < PER_ADDRESS_MAX);
        if !has_place {
            refuse(call);
            return;
        }
        let Some(mut client) = Client::new(call, is_home) else { return };
        if self.clients.is_empty() {
            // What changed while nobody listened is in the status that comes first.
            self.told = Told::now(&self.api);
        }
        let status = wire::Event::Status(Box::new(status::current(&self.api)));
        client.push(message(&status).as_bytes());
        self.clients.push(client);
    }

    fn tell(&mut self, event: &wire::Event) {
        let text = message(event);
        for client in &mut self.clients {
            client.push(text.as_bytes());
        }
    }

    fn tell_event(&mut self, event: &Event) {
        if self.clients.is_empty() {
            return;
        }
        match event {
            Event::Tip { change, block, origin: _ } => {
                if let Some(event) = self.block_event(change, block) {
                    self.tell(&wire::Event::Block(event));
                }
            }
            Event::Transfer { transfer, origin: _ }
                if self.transfers < TRANSFERS_PER_SECOND_MAX =>
            {
                self.transfers += 1;
                let transfer = Embedded::transfer(transfer.transfer(), self.api.node.prefix());
                self.tell(&wire::Event::Transaction(transfer));
            }
            Event::Transfer { .. } => {}
            Event::Wallet => self.tell_status(),
        }
    }

    fn tell_status(&mut self) {
        self.tell(&wire::Event::Status(Box::new(status::current(&self.api))));
    }

    fn block_event(&self, change: &TipChange, block: &CheckedBlock) -> Option<BlockEvent> {
        let tip = change.connected.last()?;
        let transactions = if tip.hash == block.hash() {
            block.txids().len()
        } else {
            // A block that was missing has come, and the tip stands above it.
            let body = self.api.node.view().chain.body_of(&tip.hash)?;
            self.api.node.read_block(body).ok()?.transfers.len() + 1
        };
        Some(BlockEvent {
            index: tip.height,
            hash: tip.hash,
            timestamp: tip.header.time,
            transactions,
            disconnected: u32::try_from(change.disconnected.len()).unwrap_or(u32::MAX),
        })
    }

    /// Once a second: what changes by itself.
    fn look(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        self.transfers = 0;
        if self.clients.is_empty() {
            return;
        }
        let (now, told) = (Told::now(&self.api), self.told);
        self.told = now;
        if now.peers != told.peers {
            self.tell(&wire::Event::Peers(PeersEvent { count: now.peers }));
        }
        if now.miner != told.miner {
            self.tell(&wire::Event::Miner(now.miner));
        }
        if (now.behind, now.clock_offset) != (told.behind, told.clock_offset) {
            self.tell_status();
        }
    }
}

impl Told {
    fn now(api: &Api) -> Self {
        let sync = api.peers.sync_status();
        let connected = |state| state == PeerState::Connected;
        Self {
            peers: api.peers.list().iter().filter(|peer| connected(peer.state)).count(),
            miner: miner::miner_status(api),
            behind: (!sync.synced).then_some(sync.best_height),
            clock_offset: sync.clock_offset,
        }
    }
}

/// An event as it goes over the wire.
fn message(event: &wire::Event) -> String {
    format!("event: {}\ndata: {}\n\n", event.name(), event.data())
}

/// Tells a client that there is no place for it. What does not leave at once does not leave.
fn refuse(mut call: LiveCall) {
    let message = "too many clients listen already: try again later";
    let super::message::Body::Bytes(body) = Response::failure(503, "busy", message).body else {
        return;
    };
    let length = body.len();
    let mut head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Retry-After: 10\r\nConnection: close\r\n"
    );
    add_fields(&mut head, &call.fields);
    let _ = call.stream.set_nonblocking(true);
    let _ = call.stream.write_all(&[head.as_bytes(), &body[..]].concat());
}

fn add_fields(head: &mut String, fields: &[(&'static str, String)]) {
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
}

/// Someone who listens.
struct Client {
    stream: TcpStream,
    address: IpAddr,
    /// Whether it is one of this machine.
    is_home: bool,
    /// What it has not taken yet.
    pending: Vec<u8>,
    /// Since when it takes nothing, while something is pending.
    stuck_since: Option<Instant>,
    told: Instant,
    noise: usize,
    is_gone: bool,
}

impl Client {
    /// Answers the request with the head of a stream without an end.
    fn new(call: LiveCall, is_home: bool) -> Option<Self> {
        call.stream.set_nonblocking(true).ok()?;
        let mut head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
             X-Accel-Buffering: no\r\nConnection: close\r\n"
                .to_owned();
        add_fields(&mut head, &call.fields);
        head.push_str(&format!("retry: {RETRY_MS}\n\n"));
        let mut client = Self {
            stream: call.stream,
            address: call.request.client.ip(),
            is_home,
            pending: Vec::new(),
            stuck_since: None,
            told: Instant::now(),
            noise: 0,
            is_gone: false,
        };
        client.push(head.as_bytes());
        Some(client)
    }

    /// Sends, or holds what the socket does not take.
    fn push(&mut self, bytes: &[u8]) {
        if self.is_gone {
            return;
        }
        self.told = Instant::now();
        if self.pending.len() + bytes.len() > PENDING_MAX {
            self.is_gone = true;
            return;
        }
        self.pending.extend_from_slice(bytes);
        self.flush();
    }

    fn flush(&mut self) {
        while !self.pending.is_empty() {
            match self.stream.write(&self.pending) {
                Ok(0) => return self.is_gone = true,
                Ok(written) => {
                    self.pending.drain(..written);
                    self.stuck_since = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stuck_since.get_or_insert_with(Instant::now);
                    return;
                }
                Err(_) => return self.is_gone = true,
            }
        }
        self.stuck_since = None;
    }

    /// Looks after the client; false when it is to be dropped.
    fn tend(&mut self, now: Instant) -> bool {
        self.flush();
        if now.saturating_duration_since(self.told) >= KEEP_ALIVE {
            self.push(b": alive\n\n");
        }
        let is_stuck = |since: Instant| now.saturating_duration_since(since) >= PENDING_TIME_MAX;
        !self.is_gone && !self.stuck_since.is_some_and(is_stuck) && !self.has_left()
    }

    /// Whether its side of the connection is closed, or it sends what nobody asked for.
    fn has_left(&mut self) -> bool {
        let mut noise = [0; 512];
        loop {
            match self.stream.read(&mut noise) {
                Ok(0) => return true,
                Ok(read) => {
                    self.noise += read;
                    if self.noise > NOISE_MAX {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::message::{Cancelled, Headers, Method, Request, Target};
    use std::net::TcpListener;

    /// A client that was just taken, and its other end.
    fn client() -> (Client, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, address) = listener.accept().unwrap();
        let request = Request {
            method: Method::Get,
            target: Target::parse("/events").unwrap(),
            headers: Headers::default(),
            client: address,
            body: Vec::new(),
            cancelled: Cancelled::never(),
            params: Vec::new(),
        };
        let call = LiveCall { request, stream, fields: Vec::new() };
        (Client::new(call, true).unwrap(), other)
    }

    /// Fills what the system takes without a reader, until something has to be held.
    fn fill(client: &mut Client) {
        while client.pending.is_empty() {
            client.push(&[b'x'; 8 * 1024]);
        }
    }

    #[test]
    fn a_client_that_does_not_read_is_dropped_before_much_is_held() {
        let (mut client, _other) = client();
        fill(&mut client);
        let now = Instant::now();
        assert!(client.tend(now), "it has time to catch up");
        while !client.is_gone {
            client.push(&[b'x'; 8 * 1024]);
            assert!(client.pending.len() <= PENDING_MAX);
        }
        assert!(!client.tend(now));
    }

    #[test]
    fn a_client_that_is_stuck_is_dropped_in_time() {
        let (mut client, _other) = client();
        fill(&mut client);
        let now = Instant::now();
        assert!(client.tend(now));
        assert!(!client.tend(now + PENDING_TIME_MAX));
    }

    #[test]
    fn a_client_that_reads_again_gets_all_of_it() {
        let (mut client, mut other) = client();
        fill(&mut client);
        let mut buffer = [0; 64 * 1024];
        while !client.pending.is_empty() {
            assert!(other.read(&mut buffer).unwrap() > 0);
            client.flush();
        }
        assert!(client.stuck_since.is_none() && client.tend(Instant::now() + PENDING_TIME_MAX));
    }

    #[test]
    fn silence_is_broken_and_those_who_left_or_babble_are_let_go() {
        let (mut quiet, mut other) = client();
        assert!(quiet.tend(Instant::now() + KEEP_ALIVE));
        other.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b": alive\n\n") {
            let mut buffer = [0; 1024];
            let length = other.read(&mut buffer).unwrap();
            assert!(length > 0);
            read.extend_from_slice(&buffer[..length]);
        }
        other.write_all(&[b'x'; NOISE_MAX + 1]).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while quiet.tend(Instant::now()) {
            assert!(Instant::now() < deadline, "who babbles is let go");
        }
        let (mut left, other) = client();
        drop(other);
        while left.tend(Instant::now()) {
            assert!(Instant::now() < deadline, "who left is let go");
        }
    }
}
