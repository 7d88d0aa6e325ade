//! The peer network: who is spoken with, what is passed on, and how a node that is behind catches
//! up.
//!
//! Owns the peer table with its file and one bounded outbox for each peer, the calls to other nodes
//! and the sync. Never touches the state of the chain: it reads the published view, and hands what
//! it has fetched to the owner as everybody else does. Nobody waits for it but who asks it to.
//!
//! | module | what it does |
//! |---|---|
//! | [`job`] | all that is done, in halves: what is due, what is to be asked, what the answer means |
//! | [`driver`] | does what is due, in a fixed number of threads |
//! | [`client`] | the calls, over HTTP or over whatever stands in for it |
//! | [`reading`] | bodies of answers, within a bound for all |
//! | [`answer`] | reads answers |
//! | [`peer`], [`table`] | what is known, and what is due: no clock, no network, no threads |
//! | [`exchange`] | handshakes |
//! | [`gossip`] | what peers tell of others, and calling those |
//! | [`relay`] | puts what was accepted into the outboxes, by name |
//! | [`fetch`], [`incoming`] | gets what others have announced |
//! | [`sync`] | headers first, then only the bodies that are missing |
//! | [`compact`] | rebuilds blocks from what is here already |
//! | [`wanted`] | which announced transfers are asked of whom |
//! | [`control`] | what the HTTP layer asks: the list, handshakes, Resolve Conflicts |
//! | [`links`] | live connections: bytes and bounds, no meaning |
//! | [`lines`], [`live`], [`spoken`] | live connections: whose they are, and what is said on them |
//! | [`blame`] | whose fault an error is |
//! | [`book`] | where other nodes are said to be, and which of them is called |
//! | [`outbound`], [`eviction`] | which live connections are opened, and which are kept |
//! | [`place`] | networks and places of addresses, and where a stranger's word is not followed |
//! | [`mod@file`] | the list over a restart |
//!
//! Who joins whom: a peer is added by a person, or it comes by itself: whoever shakes hands with us
//! is called back where it says it can be reached, and becomes a peer if the same instance answers
//! there. So adding is mutual. While too few peers answer, addresses are called that peers tell of;
//! nobody else can put an address into our list, and not that one either unless a node of our chain
//! answers there. A peer that a
//! person removed stays away, also over a restart, until a person adds it again or the settings name
//! it.
//!
//! It has no threads of its own: [`Network::next`], [`Network::begin`] and [`Network::finish`] are
//! driven from outside, and all times come from the node's clock. [`Network::start`] drives it with
//! threads: `net-relay` is joined at the end; the others may hang in a call for seconds, so they are
//! guests that hold no handle to the node while they wait: [`Network::stop`] takes the handle away,
//! and whoever returns from a call finds nothing left to do.
//!
//! Locks: chores, sync, table, book, incoming, wanted, lines, in this order and each for as long as a
//! decision takes. Whoever needs the time under one reads it there (`lock_now`).

mod answer;
mod blame;
pub mod book;
pub mod client;
pub mod compact;
mod control;
pub mod dice;
mod driver;
pub mod eviction;
mod exchange;
mod fetch;
mod file;
mod gossip;
mod incoming;
mod job;
pub mod lines;
pub mod links;
mod live;
pub mod outbound;
mod peer;
pub mod place;
mod reading;
mod relay;
mod spoken;
mod sync;
mod table;
#[cfg(test)]
mod tests;
pub mod wanted;

use self::book::Book;
use self::client::PeerClient;
use self::driver::Signal;
use self::file::PeersFile;
use self::incoming::Incoming;
use self::lines::Lines;
use self::links::LinkDriver;
use self::live::Waits;
use self::place::check_added;
use self::relay::Chores;
use self::sync::Sync;
use self::table::{Table, Times};
use self::wanted::Wanted;
use crate::node::ports::{ChainName, PeerError};
use crate::node::{Event, NodeHandle};
use crate::primitives::{AddressPrefix, PeerAddress};
use crate::runtime::Spawner;
use crate::storage::disk::DiskFile;
use crate::wire::{Handshake, PEER_VERSION, Reach};
use crossbeam_channel::Receiver;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::job::{Begun, Job};
pub use self::outbound::BACKOFF_MAX;
pub use self::peer::{OUTBOX_BLOCKS_MAX, OUTBOX_TRANSFERS_MAX};
pub use self::table::{LEARNED_MAX, LIE_PAUSE, PEERS_MAX, REMOVED_MAX};

/// Tips are exchanged every spacing of blocks, within these limits.
const EXCHANGE_MIN: Duration = Duration::from_secs(10);

/// See [`EXCHANGE_MIN`].
const EXCHANGE_MAX: Duration = Duration::from_secs(60);

/// What the network needs.
pub struct Opening {
    /// The node.
    pub node: NodeHandle,
    /// How peers are called.
    pub client: Box<dyn PeerClient>,
    /// Live connections; `None` for a node without.
    pub links: Option<Arc<dyn LinkDriver>>,
    /// Where the list of peers is kept.
    pub file: DiskFile,
    /// Peers to join that the file may not know: of the settings.
    pub peers: Vec<PeerAddress>,
    /// Nodes to ask for others while few peers are known: of the settings.
    pub seeds: Vec<PeerAddress>,
    /// How this node can be reached; `None` if it cannot.
    pub reach: Option<Reach>,
    /// A random number that tells this run from all others.
    pub instance: u64,
    /// A random number that nobody else knows: what others must not foresee hangs on it.
    pub seed: u64,
}

/// The running peer network; implements [`crate::node::ports::PeerControl`].
pub struct Network {
    /// Gone once it is over.
    node: Mutex<Option<NodeHandle>>,
    client: Box<dyn PeerClient>,
    links: Option<Arc<dyn LinkDriver>>,
    prefix: AddressPrefix,
    chain: ChainName,
    instance: u64,
    seed: u64,
    reach: Option<Reach>,
    table: Mutex<Table>,
    book: Mutex<Book>,
    sync: Mutex<Sync>,
    chores: Mutex<Chores>,
    wanted: Mutex<Wanted>,
    incoming: Mutex<Incoming>,
    lines: Mutex<Lines<Waits>>,
    /// Something in these has changed.
    signal: Signal,
    /// Held by the thread that looks for something to do.
    looks: Mutex<()>,
    /// Held while the file is written, so that an older list never replaces a newer one.
    file: Mutex<PeersFile>,
    /// Whether nobody is to wait for peers any more.
    waits_end: AtomicBool,
}

/// How a node that listens on `bind` can be reached: at its port of whatever address it calls from,
/// unless it listens on one certain address.
pub fn reach_of(bind: IpAddr, port: u16) -> Option<Reach> {
    let bind = bind.to_canonical();
    let anywhere = bind.is_unspecified() || bind == IpAddr::from([127, 0, 0, 1]);
    match PeerAddress::from_ip(bind, port) {
        Some(node) if !anywhere => Some(Reach::Node(node)),
        Some(_) => Some(Reach::Port(port)),
        None => None,
    }
}

impl Network {
    /// The network of a node, with the list of peers read, and with no threads.
    /// A list that cannot be read is logged, and the network starts without it.
    pub fn new(opening: Opening) -> Arc<Self> {
        let Opening { node, instance, seed, client, links, file, peers, mut seeds, reach } =
            opening;
        seeds.retain(is_fit);
        let mut file = PeersFile::new(file);
        let mut table = Table::new(instance, exchange_every(&node));
        let mut book = Book::new(seed, seeds);
        let times = times(&node);
        let loaded = file.load(|record| {
            if record.source.is_some() {
                book.restore(record, times);
                return Ok(());
            }
            if !record.removed {
                check_added(&record.node).map_err(|why| why.to_string())?;
            }
            table.restore(record, times).map_err(str::to_owned)
        });
        if let Err(error) = loaded {
            log::error!("the list of peers could not be read: {error}");
        }
        // What the settings name is wanted, also if it was removed once.
        for peer in peers.iter().filter(|peer| is_fit(peer)) {
            if table.has_room() {
                table.add_manual(peer);
            } else {
                log::warn!("{peer} is not joined: there are {PEERS_MAX} peers already");
            }
        }
        Arc::new(Self {
            prefix: node.prefix(),
            chain: ChainName { name: node.params().name.clone(), id: node.chain_id() },
            node: Mutex::new(Some(node)),
            client,
            links,
            instance,
            seed,
            reach,
            table: Mutex::new(table),
            book: Mutex::new(book),
            sync: Mutex::default(),
            chores: Mutex::default(),
            wanted: Mutex::default(),
            incoming: Mutex::default(),
            lines: Mutex::default(),
            signal: Signal::default(),
            looks: Mutex::default(),
            file: Mutex::new(file),
            waits_end: AtomicBool::new(false),
        })
    }

    /// As [`Self::new`], driven by threads; `events` is what happens in the node, from before the
    /// first moment on.
    ///
    /// # Errors
    /// If the system has no threads.
    pub fn start(
        opening: Opening,
        events: Receiver<Event>,
        spawner: &Spawner,
    ) -> io::Result<Arc<Self>> {
        let network = Self::new(opening);
        network.drive(events, spawner)?;
        Ok(network)
    }

    /// Lets nobody wait for peers any more: Resolve Conflicts returns at once with what it has. Comes
    /// before [`Self::stop`], so that those who wait for an answer get one.
    pub fn end_waits(&self) {
        self.waits_end.store(true, Ordering::SeqCst);
        self.signal.tell();
    }

    fn waits_no_more(&self) -> bool {
        self.waits_end.load(Ordering::SeqCst) || self.is_over()
    }

    /// Ends it all: the list is written down, nothing is called any more, and the node's handle is
    /// given up. Calls that are under way are left to themselves.
    pub fn stop(&self) {
        self.save();
        lock(&self.node).take();
        self.signal.tell();
    }

    /// The node, for as long as this has not been stopped. Not to be kept over a call.
    fn node(&self) -> Option<NodeHandle> {
        lock(&self.node).clone()
    }

    fn is_over(&self) -> bool {
        lock(&self.node).is_none()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// As [`lock_now`].
    fn table_now(&self, node: &NodeHandle) -> (MutexGuard<'_, Table>, Times) {
        lock_now(&self.table, node)
    }

    /// What we say of ourselves to a node that names this instance.
    fn handshake_to(&self, node: &NodeHandle, instance: Option<u64>) -> Handshake {
        let linked = instance.is_some_and(|instance| self.lines().goes_to(instance));
        let view = node.view();
        let tip = view.chain.tip();
        Handshake {
            chain_id: self.chain.id,
            chain: self.chain.name.clone(),
            version: PEER_VERSION,
            height: tip.height,
            tip: tip.hash,
            work: tip.total_work,
            instance: self.instance,
            node: self.reach.clone(),
            linked,
            time: node.now().unix,
        }
    }

    /// Whether a node is one to speak with. `shown` is its name in the error.
    fn judge(&self, theirs: &Handshake, shown: impl FnOnce() -> String) -> Result<(), PeerError> {
        if theirs.instance == self.instance {
            return Err(PeerError::Myself(shown()));
        }
        if theirs.chain_id != self.chain.id {
            let theirs = ChainName { name: theirs.chain.clone(), id: theirs.chain_id };
            let ours = self.chain.clone();
            return Err(PeerError::OtherChain { node: shown(), theirs, ours });
        }
        if theirs.version != PEER_VERSION {
            let (theirs, ours) = (theirs.version, PEER_VERSION);
            return Err(PeerError::OtherVersion { node: shown(), theirs, ours });
        }
        Ok(())
    }

    /// Writes the list of peers down; if that fails the log tells, and the network goes on.
    fn save(&self) {
        let Some(node) = self.node() else { return };
        let mut file = lock(&self.file);
        let (table, times) = self.table_now(&node);
        let mut records = table.records(times);
        drop(table);
        records.extend(self.book().records());
        if let Err(error) = file.save(&records, times.unix) {
            log::error!("the list of peers could not be written down: {error}");
        }
    }
}

/// Whether the settings may have a node called at an address; if not, the log says why.
fn is_fit(address: &PeerAddress) -> bool {
    let checked = check_added(address);
    if let Err(why) = checked {
        log::warn!("{address} is not called: {why}");
    }
    checked.is_ok()
}

/// As the clock of a node says.
fn times(node: &NodeHandle) -> Times {
    let now = node.now();
    Times { unix: now.unix, monotonic: now.monotonic }
}

fn exchange_every(node: &NodeHandle) -> Duration {
    let spacing = node.params().schedule.spacing(node.view().chain.height().next());
    Duration::from_secs(spacing.into()).clamp(EXCHANGE_MIN, EXCHANGE_MAX)
}

/// Locks, and gives the times as they are once nobody else has the lock. Read before, they might be
/// earlier than those of whoever had it last, and time would run backwards for what is locked. So this
/// is where all of the network reads the clock that only goes on.
fn lock_now<'m, T>(mutex: &'m Mutex<T>, node: &NodeHandle) -> (MutexGuard<'m, T>, Times) {
    let locked = lock(mutex);
    let times = times(node);
    (locked, times)
}

/// Locks; a thread that panicked has ended the process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
