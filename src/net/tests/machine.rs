//! Nodes in one thread: the halves of jobs with the calls in between, the owners' turns, and the
//! clock, all in an order that nothing but the test decides.

use super::*;
use crate::net::Begun;
use crate::net::links::LinkDriver;
use crate::node::ports::SyncState;
use crate::node::{Event, Inline, Machine, Opening as NodeOpening, open_on};

/// Nobody is called but by the test.
struct NoClient;

impl PeerClient for NoClient {
    fn call(&self, _: &PeerAddress, _: &Question, _: Pace) -> Result<Reply, CallError> {
        Err(CallError::TimedOut)
    }
}

pub(super) struct Node {
    pub network: Arc<Network>,
    pub handle: NodeHandle,
    events: Receiver<Event>,
    /// Seconds that its clock is behind.
    behind: Arc<AtomicU64>,
    _inline: Arc<Inline>,
    _dir: TempDir,
}

/// Some nodes, one clock, and what was asked when.
pub(super) struct Town {
    pub nodes: Vec<Node>,
    millis: Arc<AtomicU64>,
    trace: Vec<(u64, usize, String, &'static str)>,
    /// Who does not answer.
    silent: BTreeSet<usize>,
    /// Who answers handshakes as the first node does, and nothing else.
    pub between: Option<usize>,
}

impl Town {
    fn new(count: usize) -> Self {
        Self::on((0..count).map(|_| None).collect())
    }

    /// With what moves the live connections of each.
    pub(super) fn on(links: Vec<Option<Arc<dyn LinkDriver>>>) -> Self {
        let millis = Arc::new(AtomicU64::new(1_000));
        let nodes = links.into_iter().enumerate();
        let nodes = nodes.map(|(index, links)| Node::open(index, links, &millis)).collect();
        Self { nodes, millis, trace: Vec::new(), silent: BTreeSet::new(), between: None }
    }

    pub(super) fn now(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }

    /// Makes a node call another from now on.
    pub(super) fn join(&self, one: usize, other: usize) {
        self.nodes[one].network.table().add_manual(&at(other));
    }

    pub(super) fn mine(&mut self, index: usize, count: usize) -> BlockHash {
        let handle = self.nodes[index].handle.clone();
        for _ in 0..count {
            let (view, now) = (handle.view(), handle.now());
            let key = TestKey::new(u32::try_from(index).unwrap()).public;
            let template = view.chain.template(key, Tag::default(), now);
            let time = template.time(now.unix);
            let mut header = template.header(0, time);
            solve(&mut header, template.target(time));
            handle.submit_block(template.block(header, 0), Origin::Own).unwrap();
        }
        handle.view().chain.tip().hash
    }

    /// Does one thing that is due; or moves the clock to when something is.
    pub(super) fn step(&mut self) {
        let mut idle = Duration::from_secs(60);
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            while let Ok(event) = node.events.try_recv() {
                node.network.event(&event);
            }
            match node.network.next() {
                Ok(job) => {
                    if let Begun::Http { address, question, .. } = node.network.begin(&job) {
                        let answer = self.call(index, &address, &question);
                        self.nodes[index].network.finish(job, answer);
                    }
                    return;
                }
                Err(wait) => idle = idle.min(wait),
            }
        }
        let wait = u64::try_from(idle.as_millis()).unwrap().max(1);
        self.millis.fetch_add(wait, Ordering::SeqCst);
    }

    fn call(&mut self, from: usize, to: &PeerAddress, call: &Question) -> Result<Reply, CallError> {
        let millis = self.millis.load(Ordering::SeqCst);
        self.trace.push((millis, from, to.to_string(), path(call)));
        let index = usize::from(to.port() - BASE - 1);
        if self.silent.contains(&index) {
            return Err(CallError::TimedOut);
        }
        if self.between == Some(index) {
            return Ok(self.pass_on(0, call));
        }
        let node = &self.nodes[index];
        Ok(answer(&node.network, &node.handle, call))
    }

    /// Answers a handshake as a node does, and nothing else.
    pub(super) fn pass_on(&self, index: usize, question: &Question) -> Reply {
        let node = &self.nodes[index];
        match question {
            Question::Handshake(_) => answer(&node.network, &node.handle, question),
            _ => refusal(404, "not-found", &"no such route"),
        }
    }

    fn run(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..5_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("too many steps: {what}: {:?}", &self.trace[self.trace.len().saturating_sub(20)..]);
    }

    pub(super) fn tip(&self, index: usize) -> BlockHash {
        self.nodes[index].handle.view().chain.tip().hash
    }
}

impl Node {
    fn open(index: usize, links: Option<Arc<dyn LinkDriver>>, millis: &Arc<AtomicU64>) -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), millis.clone());
        let behind = Arc::new(AtomicU64::new(0));
        let wrong = behind.clone();
        let now = move || {
            let monotonic = Duration::from_millis(clock.load(Ordering::SeqCst));
            let seconds = 31_536_000 + monotonic.as_secs() - wrong.load(Ordering::SeqCst);
            let unix = ChainParams::dev().genesis_time.plus(u32::try_from(seconds).unwrap());
            Now { unix, monotonic }
        };
        let opening = NodeOpening {
            data_dir: dir.path().to_path_buf(),
            port: at(index).port(),
            params: ChainParams::dev(),
            pool_bytes_max: 1 << 20,
            clock: Box::new(now),
            listeners: 1,
        };
        let mut opened = open_on(opening, Machine::here().unwrap()).unwrap();
        let events = opened.events.remove(0);
        let (inline, handle) = Inline::new(opened.owner, opened.handle);
        let network = Network::new(Opening {
            links,
            node: handle.clone(),
            client: Box::new(NoClient),
            file: dir.path().join("peers.txt").as_path().into(),
            peers: Vec::new(),
            seeds: Vec::new(),
            reach: Some(Reach::Port(at(index).port())),
            instance: 1_000 + index as u64,
            seed: index as u64,
        });
        Self { network, handle, events, behind, _inline: inline, _dir: dir }
    }
}

pub(super) fn at(index: usize) -> PeerAddress {
    address(1 + u16::try_from(index).unwrap()).parse().unwrap()
}

/// Three nodes of which one is far ahead and one is silent; returns what was asked when.
fn play() -> Vec<(u64, usize, String, &'static str)> {
    let mut town = Town::new(4);
    let tip = town.mine(0, 150);
    town.silent.insert(3);
    for (one, other) in [(1, 0), (2, 1), (2, 3)] {
        town.join(one, other);
    }
    town.run("the chain at the far end", |town| town.tip(2) == tip);
    let next = town.mine(2, 1);
    town.run("a block everywhere", |town| (0..3).all(|index| town.tip(index) == next));
    let status = town.nodes[1].network.sync_status();
    assert!(
        status.is_synced() && status.height == Height(151) && status.blocks_per_second.is_none()
    );
    town.trace
}

#[test]
fn one_thread_and_a_clock_of_its_own_play_a_network_and_always_alike() {
    let trace = play();
    let bodies = trace.iter().filter(|(.., path)| *path == "blocks").count();
    assert!((20..=40).contains(&bodies), "{bodies} questions for bodies, each twice at most");
    assert_eq!(trace, play());
}

#[test]
fn a_node_whose_clock_is_hours_behind_waits_and_says_so() {
    let mut town = Town::new(2);
    let tip = town.mine(0, 5);
    town.nodes[1].behind.store(7_200, Ordering::SeqCst);
    town.join(1, 0);
    let after =
        |seconds: u64| move |town: &Town| town.millis.load(Ordering::SeqCst) > seconds * 1_000;
    town.run("five minutes", after(300));
    let headers = town.trace.iter().filter(|(.., path)| *path == "headers").count();
    assert_eq!(headers, 1, "in {} exchanges", town.trace.len());
    let status = town.nodes[1].network.sync_status();
    assert!(status.clock_behind.is_some_and(|seconds| (6_500..=7_200).contains(&seconds)));
    assert!(status.clock_offset.is_some_and(|offset| offset >= 7_199), "nothing is mined");
    assert_eq!(status.state, SyncState::Behind);
    town.nodes[1].behind.store(0, Ordering::SeqCst);
    town.run("the chain, once the clock is right", |town| town.tip(1) == tip);
    assert_eq!(town.nodes[1].network.sync_status().clock_behind, None);
}
