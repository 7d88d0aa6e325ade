//! Real nodes with their owners and files in one process, joined by a network that is a map.

mod between;
mod busy;
mod came;
mod client;
mod doors;
mod live;
mod logged;
mod machine;
mod mutations;
mod peers;
mod relay;
mod sync;
mod table;
mod wires;

use self::wires::{AllWires, FakeLinks, pump};
use super::client::{CallError, Pace, PeerClient, Reply};
use super::{Network, Opening};
use crate::chain::accept::Now;
use crate::consensus::params::ChainParams;
use crate::node::ports::{PeerControl, PeerState};
use crate::node::{NodeHandle, Opened, Origin, answers, open};
use crate::primitives::{Block, BlockHash, Height, PeerAddress, PublicKey, Tag, UnixTime};
use crate::runtime::Spawner;
use crate::storage::lock::ProcessLock;
use crate::testkit::{TestKey, solve};
use crate::wire::{
    Failure, Question, Reach, addresses_to_json, block_to_json, headers_to_json, to_json,
};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test fails.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// Nodes are numbered from 1 on; their ports lie above those of well-known services.
const BASE: u16 = 5_000;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Waits until `condition` holds.
pub(super) fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited too long: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Who answers at an address.
#[derive(Clone)]
pub(super) enum Server {
    /// A node.
    Node(Arc<Network>, NodeHandle),
    /// A node too far away to answer at once.
    Far(Arc<Network>, NodeHandle),
    /// A node that answers in its own way now and then.
    Liar(Arc<Network>, NodeHandle, Lie),
    /// Nobody answers, until the world ends.
    BlackHole,
}

/// What a liar answers; `None` for the truth.
pub(super) type Lie = Arc<dyn Fn(&Question) -> Option<Reply> + Send + Sync>;

/// The network, and the time in it.
pub(super) struct World {
    start: Instant,
    /// Milliseconds that the clocks were moved on.
    moved: AtomicU64,
    /// Where they stand still but for that, once they do.
    stopped: OnceLock<Duration>,
    servers: Mutex<BTreeMap<String, Server>>,
    /// Pairs that cannot call each other, by port.
    cuts: Mutex<BTreeSet<(u16, u16)>>,
    /// Nodes whose owners do nothing.
    stalled: Mutex<BTreeSet<u16>>,
    /// What nodes that start from now on have for seeds.
    pub seeds: Mutex<Vec<PeerAddress>>,
    /// And which peers.
    pub settings: Mutex<Vec<PeerAddress>>,
    /// Calls that were made: caller, address, path.
    pub calls: Mutex<Vec<(u16, String, &'static str)>>,
    /// Live connections.
    wires: AllWires,
    /// Black holes hang on it; it ends with the world.
    end: Receiver<()>,
    _ending: Sender<()>,
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        let (ending, end) = bounded(0);
        Arc::new(Self {
            start: Instant::now(),
            moved: AtomicU64::new(0),
            stopped: OnceLock::new(),
            servers: Mutex::default(),
            cuts: Mutex::default(),
            stalled: Mutex::default(),
            seeds: Mutex::default(),
            settings: Mutex::default(),
            calls: Mutex::default(),
            wires: Mutex::default(),
            end,
            _ending: ending,
        })
    }

    /// Moves all clocks on.
    pub(super) fn advance(&self, by: Duration) {
        self.moved.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// From now on the clocks move only when they are moved: what is counted over time does not depend on
    /// how fast the machine is.
    pub(super) fn stop_clocks(&self) {
        self.stopped.get_or_init(|| self.start.elapsed());
    }

    /// Holds up the owner of a node that is stalled: it reads the clock at the start of each turn.
    fn hold_up(&self, port: u16) {
        let is_stalled = || self.stalled.lock().unwrap().contains(&port);
        while thread::current().name() == Some("owner") && is_stalled() {
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn now(&self) -> Now {
        let passed = self.stopped.get().copied().unwrap_or_else(|| self.start.elapsed());
        let monotonic = passed + Duration::from_millis(self.moved.load(Ordering::SeqCst));
        let seconds = u32::try_from(monotonic.as_secs()).unwrap();
        let unix = ChainParams::dev().genesis_time.plus(31_536_000 + seconds);
        Now { unix, monotonic: Duration::from_secs(1) + monotonic }
    }

    pub(super) fn serve(&self, address: &str, server: Server) {
        self.servers.lock().unwrap().insert(address.to_owned(), server);
    }

    pub(super) fn silence(&self, address: &str) {
        self.servers.lock().unwrap().remove(address);
    }

    /// Cuts two nodes off from each other, or joins them again.
    pub(super) fn cut(&self, one: &TestNode, other: &TestNode, is_cut: bool) {
        let mut cuts = self.cuts.lock().unwrap();
        let (one, other) = (BASE + one.port, BASE + other.port);
        for pair in [(one, other), (other, one)] {
            if is_cut {
                cuts.insert(pair)
            } else {
                cuts.remove(&pair)
            };
        }
    }

    /// Puts a node behind a router: another cannot call it.
    pub(super) fn hide(&self, hidden: &TestNode, from: &TestNode) {
        self.cuts.lock().unwrap().insert((BASE + from.port, BASE + hidden.port));
    }

    /// How often a node has called an address for something.
    pub(super) fn count(&self, from: u16, path: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(caller, _, asked)| *caller == from && *asked == path).count()
    }
}

impl Server {
    /// The network of a node that tells the truth.
    fn network(&self) -> Option<&Arc<Network>> {
        match self {
            Self::Node(network, _) | Self::Far(network, _) => Some(network),
            Self::Liar(..) | Self::BlackHole => None,
        }
    }
}

struct FakeClient {
    world: Arc<World>,
    port: u16,
}

impl PeerClient for FakeClient {
    fn call(&self, peer: &PeerAddress, call: &Question, pace: Pace) -> Result<Reply, CallError> {
        let unreachable = || CallError::Unreachable("nobody is there".to_owned());
        let name = path(call);
        self.world.calls.lock().unwrap().push((self.port, peer.to_string(), name));
        if self.world.cuts.lock().unwrap().contains(&(BASE + self.port, peer.port())) {
            return Err(unreachable());
        }
        let server = self.world.servers.lock().unwrap().get(&peer.to_string()).cloned();
        match server.ok_or_else(unreachable)? {
            Server::Far(..) if pace == Pace::Quick => Err(CallError::TimedOut),
            Server::Node(network, node) | Server::Far(network, node) => {
                Ok(answer(&network, &node, call))
            }
            Server::Liar(network, node, lie) => {
                Ok(lie(call).unwrap_or_else(|| answer(&network, &node, call)))
            }
            Server::BlackHole => {
                let _ = self.world.end.recv_timeout(2 * DEADLINE);
                Err(CallError::TimedOut)
            }
        }
    }
}

/// What a question is called in counts: announcements by what they are mostly about.
fn path(question: &Question) -> &'static str {
    match question {
        Question::Announce(news) if news.blocks.is_empty() => "transfer",
        Question::Announce(_) => "block",
        question => question.what(),
    }
}

fn reply(status: u16, body: impl Into<String>) -> Reply {
    Reply { status, body: body.into() }
}

fn refusal(status: u16, code: &str, message: &dyn std::fmt::Display) -> Reply {
    reply(status, to_json(&Failure { message: message.to_string(), code: code.to_owned() }))
}

/// What the HTTP handlers do.
fn answer(network: &Network, node: &NodeHandle, question: &Question) -> Reply {
    match question {
        Question::Handshake(theirs) => match network.greet(theirs, LOCAL) {
            Ok(ours) => reply(200, ours.to_json()),
            Err(error) => refusal(409, error.code(), &error),
        },
        Question::Addresses => reply(200, addresses_to_json(&network.addresses(LOCAL))),
        Question::Announce(news) => {
            network.announced(news.clone(), LOCAL);
            reply(200, "{}")
        }
        question => match answers::answer(node, question, 7) {
            Some(Ok(found)) => reply(200, found.into_text().unwrap()),
            Some(Err(error)) => refusal(error.status(), error.code(), &error),
            None => refusal(404, "not-found", &"no such route"),
        },
    }
}

/// A node of the world.
pub(super) struct TestNode {
    pub port: u16,
    pub node: NodeHandle,
    pub network: Arc<Network>,
    spawner: Spawner,
    dir: TempDir,
    _lock: ProcessLock,
}

impl TestNode {
    pub(super) fn start(world: &Arc<World>, port: u16) -> Self {
        Self::start_in(world, port, tempfile::tempdir().unwrap(), ChainParams::dev())
    }

    pub(super) fn start_in(
        world: &Arc<World>,
        port: u16,
        dir: TempDir,
        params: ChainParams,
    ) -> Self {
        let clock = world.clone();
        let opening = crate::node::Opening {
            data_dir: dir.path().to_path_buf(),
            port,
            params,
            pool_bytes_max: 1 << 20,
            clock: Box::new(move || {
                clock.hold_up(port);
                clock.now()
            }),
            listeners: 1,
        };
        let Opened { owner, handle, mut events, lock, .. } = open(opening).unwrap();
        let spawner = Spawner::new();
        spawner.spawn("owner", move || owner.run().unwrap()).unwrap();
        let (links, link_events) = FakeLinks::new(world, port);
        let opening = Opening {
            node: handle.clone(),
            client: Box::new(FakeClient { world: world.clone(), port }),
            links: Some(Arc::new(links)),
            file: dir.path().join(format!("peers-{port}.txt")).as_path().into(),
            peers: world.settings.lock().unwrap().clone(),
            seeds: world.seeds.lock().unwrap().clone(),
            reach: Some(Reach::Port(BASE + port)),
            instance: getrandom::u64().unwrap(),
            seed: getrandom::u64().unwrap(),
        };
        let network = Network::start(opening, events.remove(0), &spawner).unwrap();
        let pumped = network.clone();
        spawner.spawn("links", move || pump(&pumped, &link_events)).unwrap();
        world.serve(&address(port), Server::Node(network.clone(), handle.clone()));
        Self { port, node: handle, network, spawner, dir, _lock: lock.unwrap() }
    }

    /// Stops the node; its files stay.
    pub(super) fn stop(self, world: &World) -> TempDir {
        let start = Instant::now();
        world.silence(&address(self.port));
        self.network.stop();
        let Self { node, network, spawner, dir, .. } = self;
        drop((node, network));
        spawner.join_all();
        assert!(start.elapsed() < Duration::from_secs(3), "stopping took {:?}", start.elapsed());
        dir
    }

    pub(super) fn at(&self) -> PeerAddress {
        address(self.port).parse().unwrap()
    }

    pub(super) fn join(&self, other: &Self) -> Option<String> {
        self.network.add(other.at()).unwrap()
    }

    pub(super) fn peers(&self) -> Vec<String> {
        self.network.list().iter().map(|peer| peer.node.to_string()).collect()
    }

    pub(super) fn is_connected_to(&self, other: &Self) -> bool {
        let peers = self.network.list();
        peers.iter().any(|p| p.node == other.at() && p.state == PeerState::Connected)
    }

    pub(super) fn tip(&self) -> BlockHash {
        self.node.view().chain.tip().hash
    }

    pub(super) fn height(&self) -> u32 {
        self.node.view().chain.height().0
    }

    pub(super) fn draft(&self, recipient: PublicKey) -> Block {
        let (view, now) = (self.node.view(), self.node.now());
        let template = view.chain.template(recipient, Tag::default(), now);
        let time: UnixTime = template.time(now.unix);
        let mut header = template.header(0, time);
        solve(&mut header, template.target(time));
        template.block(header, 0)
    }

    /// Mines a block that pays a key of its own.
    pub(super) fn mine(&self) -> BlockHash {
        let block = self.draft(TestKey::new(self.port.into()).public);
        let hash = block.hash();
        self.node.submit_block(block, Origin::Own).unwrap();
        hash
    }

    pub(super) fn mine_many(&self, count: usize) -> BlockHash {
        for _ in 0..count {
            self.mine();
        }
        self.tip()
    }
}

pub(super) fn address(port: u16) -> String {
    format!("127.0.0.1:{}", BASE + port)
}

pub(super) fn block_text(node: &TestNode, block: &Block) -> String {
    block_to_json(block, node.node.prefix())
}
