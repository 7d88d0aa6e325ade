//! The miner on a real node in a temporary directory, with a clock of the test's own.

use super::kernel::portable::Portable;
use super::kernel::{Kernel, Nonces, Puzzle, Searched};
use super::meter::Meter;
use super::search::{ExtraNonces, Search, Tools};
use super::{ClockOffset, Miner, MinerHandle, MinerOptions};
use crate::chain::accept::{Accepted, Now};
use crate::consensus::params::ChainParams;
use crate::node::ports::{MineError, Mined, MinerControl};
use crate::node::{NodeHandle, Opening, Origin, open};
use crate::primitives::{Amount, BlockHash, Header, Height, PublicKey, Tag, UnixTime};
use crate::storage::lock::ProcessLock;
use crate::wallet::dev_accounts;
use crate::wire::SendRequest;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn never() -> bool {
    false
}

/// A node of the development network whose clock stands still unless it is set.
pub(super) struct Fixture {
    pub(super) node: Option<NodeHandle>,
    clock: Arc<AtomicU32>,
    extra_nonce: AtomicU64,
    owner: Option<JoinHandle<()>>,
    _lock: ProcessLock,
    _dir: tempfile::TempDir,
}

impl Fixture {
    /// With a wallet.
    pub(super) fn dev() -> Self {
        let fixture = Self::without_wallet();
        fixture.node().create_wallet().unwrap();
        fixture
    }

    fn without_wallet() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let params = ChainParams::dev();
        let clock = Arc::new(AtomicU32::new(params.genesis_time.0 + 1_000));
        let (shown, start) = (clock.clone(), Instant::now());
        let opened = open(Opening {
            data_dir: dir.path().to_path_buf(),
            port: 5000,
            params,
            pool_bytes_max: 1 << 20,
            clock: Box::new(move || Now {
                unix: UnixTime(shown.load(Ordering::SeqCst)),
                monotonic: start.elapsed(),
            }),
            listeners: 0,
        })
        .unwrap();
        let owner = opened.owner;
        Self {
            node: Some(opened.handle),
            clock,
            extra_nonce: AtomicU64::new(1 << 60),
            owner: Some(thread::spawn(move || owner.run().unwrap())),
            _lock: opened.lock.unwrap(),
            _dir: dir,
        }
    }

    fn node(&self) -> &NodeHandle {
        self.node.as_ref().unwrap()
    }

    pub(super) fn clock(&self) -> u32 {
        self.clock.load(Ordering::SeqCst)
    }

    pub(super) fn set_clock(&self, time: u32) {
        self.clock.store(time, Ordering::SeqCst);
    }

    fn wallet(&self) -> PublicKey {
        self.node().view().wallet.unwrap()
    }

    fn height(&self) -> Height {
        self.node().view().chain.height()
    }

    pub(super) fn search(&self) -> Search {
        let tools = Arc::new(Tools {
            node: self.node().clone(),
            kernel: &Portable,
            extra_nonces: ExtraNonces::from(7),
            meter: Arc::new(Meter::default()),
            tag: Tag::default(),
        });
        Search::new(&tools, &self.node().view(), self.wallet())
    }

    /// A block that someone else has found.
    pub(super) fn foreign_block(&self) {
        let (view, now) = (self.node().view(), self.node().now());
        let someone = dev_accounts()[0].public_key();
        let template = view.chain.template(someone, Tag::default(), now);
        let extra_nonce = self.extra_nonce.fetch_add(1, Ordering::SeqCst);
        let time = template.time(now.unix);
        let header = template.header(extra_nonce, time);
        let all = Nonces { first: 0, count: u32::MAX };
        let nonce = Portable.search(&Puzzle::new(&header, template.target(time)), all).nonce;
        let block = template.block(Header { nonce: nonce.unwrap(), ..header }, extra_nonce);
        let accepted = self.node().submit_block(block, Origin::Anyone).unwrap();
        assert!(matches!(accepted, Accepted::Best(_)));
    }

    fn mining(&self, kernel: &'static dyn Kernel) -> Mining {
        self.mining_with(kernel, Box::new(|| None))
    }

    fn mining_with(&self, kernel: &'static dyn Kernel, clock_offset: ClockOffset) -> Mining {
        let options =
            MinerOptions { on: false, threads: threads(2), tag: Tag::default(), clock_offset };
        let (handle, miner) = Miner::with_kernel(self.node().clone(), options, kernel);
        Mining { handle, thread: Some(thread::spawn(|| miner.run())) }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.node = None;
        let ended = self.owner.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

/// A running miner.
struct Mining {
    handle: Arc<MinerHandle>,
    thread: Option<JoinHandle<()>>,
}

impl Mining {
    fn mine_one(&self) -> Result<Mined, MineError> {
        self.handle.mine_one(PATIENCE, &never)
    }

    /// Waits until the handle's state is as wanted.
    fn wait_for(&self, mut wanted: impl FnMut(&super::control::State) -> bool) {
        let state = self.handle.state.lock().unwrap();
        let wait = self.handle.changed.wait_timeout_while(state, PATIENCE, |state| !wanted(state));
        assert!(!wait.unwrap().1.timed_out(), "the miner did not get there");
    }
}

impl Drop for Mining {
    fn drop(&mut self) {
        self.handle.stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// A kernel that does the work, tells of it, and reports no hit while it is deaf.
#[derive(Default)]
struct Probe {
    hears: AtomicBool,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    /// Of each parent: threads at work, the first start and the last end.
    work: HashMap<BlockHash, (usize, Option<Instant>, Option<Instant>)>,
    /// Headers by their first 76 bytes.
    headers: HashSet<Vec<u8>>,
    threads: HashSet<ThreadId>,
}

impl Probe {
    fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    fn wait_for(&self, mut wanted: impl FnMut(&mut Seen) -> bool) {
        let seen = self.seen.lock().unwrap();
        let wait = self.changed.wait_timeout_while(seen, PATIENCE, |seen| !wanted(seen));
        assert!(!wait.unwrap().1.timed_out(), "the search did not get there");
    }
}

impl Kernel for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn search(&self, puzzle: &Puzzle, nonces: Nonces) -> Searched {
        let parent = Header::decode(puzzle.header()).previous;
        {
            let mut seen = self.seen.lock().unwrap();
            let (active, first, _) = seen.work.entry(parent).or_default();
            *active += 1;
            first.get_or_insert_with(Instant::now);
            seen.headers.insert(puzzle.header()[..76].to_vec());
            seen.threads.insert(thread::current().id());
        }
        let searched = if self.hears.load(Ordering::SeqCst) {
            Portable.search(puzzle, nonces)
        } else {
            let (mut next, end) = (nonces, u64::from(nonces.first) + u64::from(nonces.count));
            while let Some(nonce) = Portable.search(puzzle, next).nonce {
                let left = end - u64::from(nonce) - 1;
                next = Nonces { first: nonce.wrapping_add(1), count: u32::try_from(left).unwrap() };
            }
            Searched { nonce: None, hashes: u64::from(nonces.count) }
        };
        let mut seen = self.seen.lock().unwrap();
        let (active, _, last) = seen.work.get_mut(&parent).unwrap();
        *active -= 1;
        *last = Some(Instant::now());
        drop(seen);
        self.changed.notify_all();
        searched
    }
}

#[test]
fn blocks_on_demand_are_mined_at_once_and_pay_the_wallet() {
    let fixture = Fixture::dev();
    let mining = fixture.mining(&Portable);
    let mut times = Vec::new();
    for height in 1..=20 {
        let started = Instant::now();
        let mined = mining.mine_one().unwrap();
        times.push(started.elapsed());
        let view = fixture.node().view();
        assert_eq!((mined.height, mined.hash), (Height(height), view.chain.tip().hash));
    }
    let subsidy = Amount::from_units(20 * 10 * crate::primitives::amount::COIN);
    assert_eq!(fixture.node().view().funds(), Some(subsidy));
    assert_eq!(mining.handle.status().blocks_found, 20);
    times.sort();
    println!("a block on demand: median {:.2?}, slowest {:.2?}", times[10], times[19]);
}

#[test]
fn without_a_wallet_nothing_is_mined_until_there_is_one() {
    let fixture = Fixture::without_wallet();
    let mining = fixture.mining(&Portable);
    assert_eq!(mining.mine_one(), Err(MineError::NoWallet));
    mining.handle.switch(true);
    assert!(mining.handle.status().on);
    fixture.node().create_wallet().unwrap();
    mining.wait_for(|state| state.blocks_found > 0);
}

#[test]
fn with_a_clock_that_is_off_nothing_is_mined() {
    let fixture = Fixture::dev();
    let offset = Arc::new(AtomicI64::new(16));
    let shown = offset.clone();
    let mining =
        fixture.mining_with(&Portable, Box::new(move || Some(shown.load(Ordering::SeqCst))));
    assert_eq!(mining.mine_one(), Err(MineError::ClockOff(16)));
    let words = |offset| MineError::ClockOff(offset).to_string();
    let rest = "those of the peers: set it right before mining";
    assert_eq!(words(16), format!("the clock is 16 s behind {rest}"));
    assert_eq!(words(-600), format!("the clock is 600 s ahead of {rest}"));
    offset.store(-16, Ordering::SeqCst);
    assert_eq!(mining.mine_one(), Err(MineError::ClockOff(-16)));
    mining.handle.switch(true);
    offset.store(-15, Ordering::SeqCst);
    mining.wait_for(|state| state.blocks_found > 0);
}

#[test]
fn calls_at_the_same_time_share_one_search() {
    let fixture = Fixture::dev();
    let mining = fixture.mining(&Portable);
    // Until the clock has come to the parent's time nothing can be found.
    fixture.set_clock(fixture.clock() - 100_000);
    let (first, second) = thread::scope(|scope| {
        let calls = [(); 2].map(|()| scope.spawn(|| mining.mine_one()));
        mining.wait_for(|state| state.waiting == 2);
        assert_eq!(mining.handle.status().blocks_found, 0);
        fixture.set_clock(fixture.clock() + 100_000);
        let [first, second] = calls.map(|call| call.join().unwrap().unwrap());
        (first, second)
    });
    assert_eq!(first, second);
    assert_eq!((fixture.height(), mining.handle.status().blocks_found), (Height(1), 1));
}

#[test]
fn a_call_ends_when_its_time_is_over_or_its_caller_leaves() {
    let fixture = Fixture::dev();
    let probe = Probe::new();
    let mining = fixture.mining(probe);
    let (limit, started) = (Duration::from_millis(120), Instant::now());
    assert_eq!(mining.handle.mine_one(limit, &never), Err(MineError::TimedOut(limit)));
    let took = started.elapsed();
    assert!(took >= limit && took < limit + Duration::from_secs(1), "{took:?}");
    let left = AtomicBool::new(false);
    probe.seen.lock().unwrap().headers.clear();
    thread::scope(|scope| {
        let call =
            scope.spawn(|| mining.handle.mine_one(PATIENCE, &|| left.load(Ordering::SeqCst)));
        probe.wait_for(|seen| !seen.headers.is_empty());
        left.store(true, Ordering::SeqCst);
        let leaving = Instant::now();
        assert_eq!(call.join().unwrap(), Err(MineError::Cancelled));
        println!("a cancelled call returned after {:.2?}", leaving.elapsed());
        assert!(leaving.elapsed() < Duration::from_secs(1));
    });
    assert_eq!(fixture.height(), Height(0));
}

#[test]
fn endless_mining_without_retargeting_makes_at_most_a_block_a_second() {
    let fixture = Fixture::dev();
    let mining = fixture.mining(&Portable);
    let started = Instant::now();
    mining.handle.switch(true);
    mining.wait_for(|state| state.blocks_found == 2);
    assert!(started.elapsed() >= Duration::from_millis(990), "{:?}", started.elapsed());
    // On demand there is no such limit.
    let started = Instant::now();
    for _ in 0..5 {
        mining.mine_one().unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn a_new_tip_drops_the_old_work_within_milliseconds() {
    const CHANGES: usize = 200;
    let fixture = Fixture::dev();
    let probe = Probe::new();
    let mining = fixture.mining(probe);
    mining.handle.switch(true);
    let (mut dropped, mut resumed) = (Vec::new(), Vec::new());
    for _ in 0..CHANGES {
        let old = fixture.node().view().chain.tip().hash;
        probe.wait_for(|seen| seen.work.get(&old).is_some_and(|(_, _, last)| last.is_some()));
        fixture.foreign_block();
        let told = Instant::now();
        let new = fixture.node().view().chain.tip().hash;
        probe.wait_for(|seen| {
            seen.work[&old].0 == 0
                && seen.work.get(&new).is_some_and(|(_, first, _)| first.is_some())
        });
        let seen = probe.seen.lock().unwrap();
        dropped.push(seen.work[&old].2.unwrap().saturating_duration_since(told));
        resumed.push(seen.work[&new].1.unwrap().saturating_duration_since(told));
    }
    for (what, times) in [("old work ended", &mut dropped), ("new work began", &mut resumed)] {
        times.sort();
        let [median, p90, p99] = [50, 90, 99].map(|percent| times[CHANGES * percent / 100]);
        println!("{what} after a new tip: median {median:.2?}, p90 {p90:.2?}, p99 {p99:.2?}");
        // A busy machine keeps threads of low priority waiting in the midst of a range.
        assert!(median < Duration::from_millis(20), "{what}: {median:?}");
        assert!(p90 < Duration::from_millis(50), "{what}: {p90:?}");
    }
    assert_eq!(mining.handle.status().blocks_found, 0);
}

/// Finds its first block only after someone else has found one.
struct Late {
    reached: crossbeam_channel::Sender<()>,
    go: crossbeam_channel::Receiver<()>,
}

impl Kernel for Late {
    fn name(&self) -> &'static str {
        "late"
    }

    fn search(&self, puzzle: &Puzzle, nonces: Nonces) -> Searched {
        let _ = self.reached.try_send(());
        // Closed after the first time.
        let _ = self.go.recv_timeout(PATIENCE);
        Portable.search(puzzle, nonces)
    }
}

#[test]
fn a_block_on_an_old_tip_is_not_submitted_and_the_search_starts_again() {
    let fixture = Fixture::dev();
    let (reached, reaches) = crossbeam_channel::bounded(1);
    let (goes, go) = crossbeam_channel::bounded(1);
    let mining = fixture.mining(Box::leak(Box::new(Late { reached, go })));
    let mined = thread::scope(|scope| {
        let call = scope.spawn(|| mining.mine_one());
        reaches.recv_timeout(PATIENCE).unwrap();
        fixture.foreign_block();
        drop(goes);
        call.join().unwrap().unwrap()
    });
    assert_eq!((mined.height, fixture.height()), (Height(2), Height(2)));
    assert_eq!(mining.handle.status().blocks_found, 1);
    let headers = fixture.node().view().chain.headers().len();
    assert_eq!(headers, 3, "genesis, the foreign block and ours: no side block of ours");
}

/// Reports nonces that meet nothing.
struct Liar(AtomicU64);

impl Kernel for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn search(&self, puzzle: &Puzzle, nonces: Nonces) -> Searched {
        self.0.fetch_add(1, Ordering::SeqCst);
        let misses = |nonce: &u32| {
            Portable.search(puzzle, Nonces { first: *nonce, count: 1 }).nonce.is_none()
        };
        let nonce = (nonces.first..).find(misses);
        Searched { nonce, hashes: 1 }
    }
}

#[test]
fn a_refused_block_is_told_and_its_template_rests() {
    let fixture = Fixture::dev();
    let liar: &'static Liar = Box::leak(Box::new(Liar(AtomicU64::new(0))));
    let mining = fixture.mining(liar);
    let Err(MineError::Failed(why)) = mining.mine_one() else { panic!("it was refused") };
    assert!(why.contains("target") || why.contains("work"), "{why}");
    let searched = liar.0.load(Ordering::SeqCst);
    let limit = Duration::from_millis(300);
    mining.handle.switch(true);
    assert_eq!(mining.handle.mine_one(limit, &never), Err(MineError::TimedOut(limit)));
    assert_eq!(liar.0.load(Ordering::SeqCst), searched, "not tried again in a hot loop");
    assert_eq!((fixture.height(), mining.handle.status().blocks_found), (Height(0), 0));
}

#[test]
fn threads_change_while_running_and_the_rate_is_measured() {
    let fixture = Fixture::dev();
    let probe = Probe::new();
    let mining = fixture.mining(probe);
    let cores = thread::available_parallelism().unwrap().get();
    // threads asked for, threads used
    for (asked, used) in [(1, 1), (10_000, cores), (0, 1), (2, cores.min(2))] {
        mining.handle.set_threads(asked);
        assert_eq!(mining.handle.status().threads, used);
        mining.handle.switch(true);
        probe.seen.lock().unwrap().threads.clear();
        probe.wait_for(|seen| seen.threads.len() >= used);
    }
    let (status, deadline) = (mining.handle.status(), Instant::now() + PATIENCE);
    assert!(status.on && status.blocks_found == 0);
    while mining.handle.status().hash_rate < 1_000.0 {
        assert!(Instant::now() < deadline, "no hash rate");
        thread::yield_now();
    }
    println!(
        "{:.0} hashes a second in {} threads",
        mining.handle.status().hash_rate,
        status.threads
    );
    mining.handle.switch(false);
    while mining.handle.status().hash_rate > 0.0 {
        assert!(Instant::now() < deadline, "a hash rate although nothing is searched");
        thread::yield_now();
    }
    assert!(!mining.handle.status().on);
}

#[test]
fn a_new_transfer_gets_into_the_block_that_is_being_mined() {
    let fixture = Fixture::dev();
    let probe = Probe::new();
    probe.hears.store(true, Ordering::SeqCst);
    let mining = fixture.mining(probe);
    mining.mine_one().unwrap();
    probe.hears.store(false, Ordering::SeqCst);
    probe.seen.lock().unwrap().headers.clear();
    let mined = thread::scope(|scope| {
        let call = scope.spawn(|| mining.mine_one());
        probe.wait_for(|seen| seen.headers.len() == 1);
        let request = SendRequest {
            recipient: dev_accounts()[1].public_key(),
            amount: Amount::from_units(5),
            fee: Amount::ZERO,
            memo: Default::default(),
            expiry: Default::default(),
            request_id: None,
        };
        fixture.node().send(request).unwrap();
        // The clock stands still, so only a new template makes a new header.
        probe.wait_for(|seen| seen.headers.len() == 2);
        probe.hears.store(true, Ordering::SeqCst);
        call.join().unwrap().unwrap()
    });
    let view = fixture.node().view();
    let body = view.chain.body_of(&mined.hash).unwrap();
    assert_eq!(fixture.node().read_block(body).unwrap().transfers.len(), 1);
    assert_eq!(view.chain.pool().len(), 0);
}

#[test]
fn a_new_wallet_is_paid_by_the_next_block() {
    let fixture = Fixture::dev();
    let probe = Probe::new();
    let mining = fixture.mining(probe);
    let old = fixture.wallet();
    let mined = thread::scope(|scope| {
        let call = scope.spawn(|| mining.mine_one());
        probe.wait_for(|seen| seen.headers.len() == 1);
        fixture.node().create_wallet().unwrap();
        probe.wait_for(|seen| seen.headers.len() == 2);
        probe.hears.store(true, Ordering::SeqCst);
        call.join().unwrap().unwrap()
    });
    let view = fixture.node().view();
    let block = fixture.node().read_block(view.chain.body_of(&mined.hash).unwrap()).unwrap();
    assert_eq!(block.coinbase.recipient, fixture.wallet());
    assert_ne!(block.coinbase.recipient, old);
}

#[test]
fn a_stop_ends_calls_and_the_run_loop() {
    let fixture = Fixture::dev();
    let probe = Probe::new();
    let mut mining = fixture.mining(probe);
    mining.handle.switch(true);
    let handle = mining.handle.clone();
    let call = thread::spawn(move || handle.mine_one(PATIENCE, &never));
    mining.wait_for(|state| state.waiting == 1);
    probe.wait_for(|seen| !seen.headers.is_empty());
    let started = Instant::now();
    mining.handle.stop();
    mining.thread.take().unwrap().join().unwrap();
    assert_eq!(call.join().unwrap(), Err(MineError::Failed("the node is stopping".into())));
    println!("stopped within {:.2?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(matches!(mining.mine_one(), Err(MineError::Failed(_))), "also afterwards");
    mining.thread = Some(thread::spawn(|| ()));
}

/// The niceness of the calling thread: the 19th field of its stat file (proc(5)).
#[cfg(target_os = "linux")]
fn niceness() -> i32 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // The second field is a name in brackets, which may hold spaces.
    let rest = stat.rsplit_once(')').unwrap().1;
    rest.split_whitespace().nth(16).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn only_the_threads_that_search_have_a_lower_priority() {
    let before = niceness();
    let pool = super::Pool::new(1).unwrap();
    let (name, theirs) =
        pool.rayon.install(|| (thread::current().name().map(str::to_owned), niceness()));
    assert_eq!(name.as_deref(), Some("mine-0"));
    assert_eq!(theirs, (before + super::NICENESS).min(19));
    assert_eq!(niceness(), before);
}
