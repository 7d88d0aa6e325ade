//! What happens at the node, told to whoever keeps `GET /events` or `GET /live` open.
//!
//! Owns the sockets that the door hands over, all in one thread that never waits for any of them: what a
//! client does not take at once is held for it ([`outbox`]), up to a bound, and whoever falls behind is
//! dropped and may come again. [`events`] and [`socket`] are the two forms in which the same is told.
//! Tells nothing that the public reads do not tell: no address, balance or key of the wallet, nor who
//! brought a transfer. A WebSocket of another node goes on to the peer network ([`pass_on`]), in a thread
//! beside, so that a crowd of nodes holds up nobody who listens.

mod events;
mod outbox;
mod socket;
#[cfg(test)]
mod tests;

use self::events::EventStream;
use self::outbox::Outbox;
use self::socket::Socket;
use super::api::Api;
use super::door::live::{LiveCall, LiveWays};
use super::handlers::{miner, status};
use super::message::Response;
use crate::chain::accept::TipChange;
use crate::consensus::check::CheckedBlock;
use crate::node::Event;
use crate::node::ports::{PeerState, SyncState};
use crate::primitives::Height;
use crate::wire::{self, BlockEvent, Embedded, MinerStatus, PeersEvent};
use crossbeam_channel::{Receiver, bounded, select, tick};
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clients at once; a further one is answered 503. Each costs a descriptor and what [`outbox`] holds.
pub const LIVE_CLIENTS_MAX: usize = 64;

/// Of those, places that only the machine's own pages and programs may take. Pages of other origins in a
/// browser here and proxies that stand for others are not among them.
const HOME_PLACES: usize = 16;

/// Clients of one address: the open pages of a household.
const PER_ADDRESS_MAX: usize = 4;

/// Calls on each way that wait to be taken. A further listener waits at the door, a further node is
/// answered 503.
const CALLS_MAX: usize = 16;

/// Transfers that are told a second; a page cannot show more, and programs read `/transactions`.
const TRANSFERS_PER_SECOND_MAX: u32 = 100;

/// How often clients are looked after: whether they left, and what is held for them.
const TICK: Duration = Duration::from_millis(250);

/// How often what changes by itself is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often a client hears at least, so that what stands between does not take it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The ways from the door, which go into its settings, and their ends: of those who listen, for
/// [`LiveHub`], and of nodes, for [`pass_on`]. Both work until the door is gone.
#[must_use]
pub fn ways() -> (LiveWays, Receiver<LiveCall>, Receiver<LiveCall>) {
    let ((listeners, listening), (nodes, speaking)) = (bounded(CALLS_MAX), bounded(CALLS_MAX));
    (LiveWays { listeners, nodes }, listening, speaking)
}

/// Answers nodes and gives their WebSockets to the peer network, which has bounds of its own.
pub fn pass_on(api: &Api, calls: &Receiver<LiveCall>) {
    for LiveCall { request, mut stream, upgrade, .. } in calls {
        let Some(upgrade) = upgrade else { continue };
        let answer = upgrade.answer();
        // A fresh socket takes so little at once, or its client is gone.
        let said = stream.set_nonblocking(true).and_then(|()| stream.write(answer.as_bytes()));
        if said.is_ok_and(|written| written == answer.len()) {
            api.peers.take_link(stream, request.client);
        }
    }
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
    /// Why it is not synced, and the best height known of; nothing once it is.
    behind: Option<(SyncState, Height)>,
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
        let (address, is_home) = (call.request.client.ip(), call.is_local);
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
        let Some(mut client) = Client::new(call) else { return };
        if self.clients.is_empty() {
            // What changed while nobody listened is in the status that comes first.
            self.told = Told::now(&self.api);
        }
        client.tell(&wire::Event::Status(Box::new(status::current(&self.api))));
        self.clients.push(client);
    }

    fn tell(&mut self, event: &wire::Event) {
        for client in &mut self.clients {
            client.tell(event);
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
            waiting_again: change.unconfirmed.len(),
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
        let changing = |told: &Told| (told.behind, told.clock_offset);
        if changing(&now) != changing(&told) {
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
            behind: (!sync.is_synced()).then_some((sync.state, sync.best_height)),
            clock_offset: sync.clock_offset,
        }
    }
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
    address: IpAddr,
    /// Whether it is someone at this machine.
    is_home: bool,
    form: Form,
}

/// How it is told.
enum Form {
    Events(EventStream),
    Socket(Box<Socket>),
}

impl Client {
    /// Answers the request with the head of a stream without an end.
    fn new(call: LiveCall) -> Option<Self> {
        let (address, is_home) = (call.request.client.ip(), call.is_local);
        let (outbox, now) = (Outbox::new(call.stream).ok()?, Instant::now());
        let form = match call.upgrade {
            None => Form::Events(EventStream::new(outbox, &call.fields, now)),
            Some(upgrade) => Form::Socket(Box::new(Socket::new(outbox, &upgrade, now))),
        };
        Some(Self { address, is_home, form })
    }

    fn tell(&mut self, event: &wire::Event) {
        match &mut self.form {
            Form::Events(stream) => stream.tell(event),
            Form::Socket(socket) => socket.tell(event),
        }
    }

    /// Looks after the client; false when it is to be dropped.
    fn tend(&mut self, now: Instant) -> bool {
        match &mut self.form {
            Form::Events(stream) => stream.tend(now),
            Form::Socket(socket) => socket.tend(now),
        }
    }
}
