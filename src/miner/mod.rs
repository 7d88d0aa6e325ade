//! The miner: makes templates into work, searches nonces, and submits what it finds.
//!
//! Owns the search threads (a rayon pool of its own, started when first needed), the wish to mine
//! and the count of blocks found. Never judges a block: its own go through the same full check as
//! anyone's, and count once they are on the best chain.
//!
//! From the outside inwards: [`MinerHandle`] takes wishes from any thread; [`Miner::run`] decides
//! in its own thread what to do next; a search hands ranges of nonces to the pool; a
//! [`kernel`] hashes one range.
//!
//! Invariants: work on an old tip ends within one range of nonces (1.5 ms) of the new one; nothing
//! is searched without a wallet to pay, with a clock that is off, or before a block of the template
//! could be stamped; a template that was refused is not tried again at once.

mod control;
pub mod kernel;
mod meter;
mod search;
#[cfg(test)]
mod tests;

pub use control::{CLOCK_OFFSET_MAX, ClockOffset, MinerHandle};

use crate::chain::accept::Accepted;
use crate::node::ports::{MineError, Mined};
use crate::node::{BlockOutcome, NodeError, NodeHandle, Origin, View};
use crate::primitives::{Block, PublicKey, Tag};
use control::Wish;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, select};
use kernel::Kernel;
use search::{Basis, ExtraNonces, Hit, Running, Search, Tools};
use std::mem::{Discriminant, discriminant};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the miner's own thread looks up while the pool searches: for the hash rate, new
/// transfers and the clock. Tip and wallet are watched by the searching threads themselves.
const TICK: Duration = Duration::from_millis(250);

/// How long the miner waits before it looks again whether it may mine.
const PAUSE_LOOK: Duration = Duration::from_millis(100);

/// A template is made anew for new transfers at most this often, since it costs milliseconds.
const REFRESH_EVERY: Duration = Duration::from_secs(2);

/// Where the target never moves, endless mining makes a block in this time at least: a
/// development chain would grow by thousands of blocks a second.
const ENDLESS_SPACING_MIN: Duration = Duration::from_secs(1);

/// Nothing is tried for this long after a block of this node was refused or could not be kept.
const REFUSED_WAIT: Duration = Duration::from_secs(1);

/// The same tip with the same transfers is not tried again for this long after such a block.
const REFUSED_RETRY: Duration = Duration::from_secs(10);

/// How nice the searching threads are to all others, by the Unix scale up to 19.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// What the miner is given at the start.
pub struct MinerOptions {
    /// Whether to mine without end.
    pub on: bool,
    /// Threads that search.
    pub threads: NonZeroUsize,
    /// The words in the coinbase of blocks mined here.
    pub tag: Tag,
    /// How far off the clock is.
    pub clock_offset: ClockOffset,
}

/// The miner's own thread.
pub struct Miner {
    handle: Arc<MinerHandle>,
    wake: Receiver<()>,
    tools: Arc<Tools>,
    pool: Option<Pool>,
    /// Before this, endless mining waits.
    endless_from: Instant,
    refused: Option<Refused>,
    /// The pause that was last told of, so that each is told once.
    told: Option<Discriminant<Pause>>,
}

/// The searching threads.
struct Pool {
    threads: usize,
    rayon: rayon::ThreadPool,
}

/// A template that came to nothing.
struct Refused {
    basis: Basis,
    at: Instant,
}

/// Why nothing is searched although it is wanted.
enum Pause {
    NoWallet,
    ClockOff(i64),
    Early,
    /// For so long.
    Rest(Duration),
}

/// How the watch over a search ended.
enum Watched {
    Hit(Hit),
    /// There is better work to do.
    Renew,
    Over,
}

impl Miner {
    /// The miner of a node, and the way to it. [`Self::run`] does the work.
    pub fn new(node: NodeHandle, options: MinerOptions) -> (Arc<MinerHandle>, Self) {
        Self::with_kernel(node, options, kernel::best())
    }

    fn with_kernel(
        node: NodeHandle,
        options: MinerOptions,
        kernel: &'static dyn Kernel,
    ) -> (Arc<MinerHandle>, Self) {
        let MinerOptions { on, threads, tag, clock_offset } = options;
        let (wake_sender, wake) = bounded(1);
        let handle =
            Arc::new(MinerHandle::new(node.clone(), (on, threads), clock_offset, wake_sender));
        let extra_nonces = ExtraNonces::from(random());
        let tools = Tools { node, kernel, extra_nonces, meter: handle.meter.clone(), tag };
        let miner = Self {
            handle: handle.clone(),
            wake,
            tools: Arc::new(tools),
            pool: None,
            endless_from: Instant::now(),
            refused: None,
            told: None,
        };
        (handle, miner)
    }

    /// Mines whenever that is wanted, until [`MinerHandle::stop`].
    pub fn run(mut self) {
        loop {
            let (wish, _) = self.handle.wishes();
            match wish {
                Wish::Stop => break,
                Wish::Nothing => self.idle(None),
                Wish::One | Wish::Endless => self.mine(wish),
            }
        }
        self.tools.meter.idle();
    }

    /// Waits for a wish, or until it is time to look again.
    fn idle(&mut self, look_after: Option<Duration>) {
        if look_after.is_none() {
            self.told = None;
            self.tools.meter.idle();
        }
        let woken = match look_after {
            Some(time) => self.wake.recv_timeout(time),
            None => self.wake.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        assert_ne!(woken, Err(RecvTimeoutError::Disconnected), "the miner holds its own handle");
    }

    /// One search, or a pause.
    fn mine(&mut self, wish: Wish) {
        let view = self.tools.node.view();
        match self.prepare(&view, wish) {
            Ok(search) => {
                self.told = None;
                self.search(search);
            }
            Err(pause) => self.pause(&pause, wish),
        }
    }

    /// Work on what `view` shows, if there may be any.
    fn prepare(&mut self, view: &View, wish: Wish) -> Result<Search, Pause> {
        let recipient = self.may_mine(view, wish)?;
        let search = Search::new(&self.tools, view, recipient);
        if search.is_early() {
            return Err(Pause::Early);
        }
        self.await_other_work(search.basis())?;
        Ok(search)
    }

    fn may_mine(&self, view: &View, wish: Wish) -> Result<PublicKey, Pause> {
        let recipient = view.wallet.ok_or(Pause::NoWallet)?;
        if let Some(offset) = self.handle.clock_off() {
            return Err(Pause::ClockOff(offset));
        }
        let now = Instant::now();
        if wish == Wish::Endless && now < self.endless_from {
            return Err(Pause::Rest(self.endless_from - now));
        }
        Ok(recipient)
    }

    /// Holds back work that would come to nothing again.
    fn await_other_work(&mut self, basis: Basis) -> Result<(), Pause> {
        let Some(refused) = &self.refused else { return Ok(()) };
        let wait = if refused.basis == basis { REFUSED_RETRY } else { REFUSED_WAIT };
        let left = wait.saturating_sub(refused.at.elapsed());
        if left.is_zero() {
            self.refused = None;
            return Ok(());
        }
        // The work may be another one soon.
        Err(Pause::Rest(left.min(REFUSED_WAIT)))
    }

    /// Tells why nothing is searched, once, and waits.
    fn pause(&mut self, pause: &Pause, wish: Wish) {
        let news = self.told.replace(discriminant(pause)) != Some(discriminant(pause));
        match *pause {
            Pause::NoWallet => self.handle.failed(MineError::NoWallet),
            Pause::ClockOff(offset) => self.handle.failed(MineError::ClockOff(offset)),
            Pause::Early | Pause::Rest(_) => (),
        }
        if news && wish == Wish::Endless {
            pause.tell();
        }
        if matches!(pause, Pause::Rest(_)) {
            // A rest between blocks is a part of mining.
            self.tools.meter.sample(Instant::now());
        } else {
            self.tools.meter.idle();
        }
        self.idle(Some(pause.look_after()));
    }

    /// Searches until there is a block, or nothing more is wanted.
    fn search(&mut self, first: Search) {
        self.tools.meter.sample(Instant::now());
        let Some(mut running) = self.start(first) else { return };
        let hit = loop {
            match self.watch(&running) {
                Watched::Hit(hit) => break Some(hit),
                Watched::Over => break running.finish(),
                Watched::Renew => match self.renew(&running) {
                    Ok(next) => running = next,
                    Err(hit) => break hit,
                },
            }
        };
        if let Some(hit) = hit {
            self.submit(&running.search, hit);
        }
    }

    /// Goes over to newer work, unless there is none or the old one ends with a hit. The old
    /// threads go on until the new work is ready.
    fn renew(&mut self, running: &Running) -> Result<Running, Option<Hit>> {
        let (wish, _) = self.handle.wishes();
        let next = self.prepare(&self.tools.node.view(), wish).ok();
        let next = next.and_then(|search| self.start(search));
        match (running.finish(), next) {
            (None, Some(next)) => Ok(next),
            (hit, next) => {
                if let Some(next) = next {
                    next.search.end();
                }
                Err(hit)
            }
        }
    }

    /// Gives a search its threads.
    fn start(&mut self, search: Search) -> Option<Running> {
        let (_, threads) = self.handle.wishes();
        if self.pool.as_ref().is_none_or(|pool| pool.threads != threads) {
            match Pool::new(threads) {
                Ok(pool) => self.pool = Some(pool),
                Err(error) => {
                    log::error!("the threads that mine could not be started: {error}");
                    self.refuse(search.basis(), format!("no threads to mine with: {error}"));
                    return None;
                }
            }
        }
        let pool = self.pool.as_ref().expect("it was just made");
        Some(search.start(&pool.rayon, pool.threads))
    }

    /// Watches over a search until something happens.
    fn watch(&self, running: &Running) -> Watched {
        let mut next_tick = Instant::now() + TICK;
        loop {
            let left = next_tick.saturating_duration_since(Instant::now());
            select! {
                recv(running.hit) -> hit => return hit.map_or(Watched::Over, Watched::Hit),
                recv(self.wake) -> _ => (),
                default(left) => {
                    next_tick = Instant::now() + TICK;
                    self.tools.meter.sample(Instant::now());
                    if self.handle.clock_off().is_some() {
                        return Watched::Over;
                    }
                }
            }
            let (wish, threads) = self.handle.wishes();
            if matches!(wish, Wish::Nothing | Wish::Stop) {
                return Watched::Over;
            }
            let other_threads = self.pool.as_ref().is_some_and(|pool| pool.threads != threads);
            if other_threads || self.has_new_transfers(&running.search) {
                return Watched::Renew;
            }
        }
    }

    fn has_new_transfers(&self, search: &Search) -> bool {
        search.made().elapsed() >= REFRESH_EVERY
            && self.tools.node.view().pool_changes != search.basis().pool_changes
    }

    /// Hands a block to the node. It counts once it is on the best chain.
    fn submit(&mut self, search: &Search, hit: Hit) {
        let block = search.block(hit);
        let (hash, height) = (block.hash(), block.coinbase.height);
        match self.submit_block(search, block) {
            Ok(Some(Accepted::Best(change))) if change.connected.iter().any(|b| b.hash == hash) => {
                log::info!("mined block {height} {hash}");
                if !self.tools.node.params().retarget.enabled {
                    self.endless_from = Instant::now() + ENDLESS_SPACING_MIN;
                }
                self.handle.found(Mined { hash, height });
            }
            Ok(_) => log::info!("block {height} {hash} was mined here, but another came first"),
            Err(error) => {
                log::error!("block {height} {hash} was mined here and is not accepted: {error}");
                self.refuse(search.basis(), error.to_string());
            }
        }
    }

    /// What became of a block; `None` if it was not submitted, because there is a new tip. A node
    /// that is busy does not lose its own block.
    fn submit_block(
        &self,
        search: &Search,
        block: Block,
    ) -> Result<Option<BlockOutcome>, NodeError> {
        let node = &self.tools.node;
        let checked = node.check_block(block, &node.view())?;
        while !search.is_stale(&node.view()) {
            match node.submit_checked(checked.clone(), Origin::Own) {
                Err(NodeError::Busy) if self.handle.wishes().0 != Wish::Stop => (),
                outcome => return outcome.map(Some),
            }
        }
        Ok(None)
    }

    fn refuse(&mut self, basis: Basis, why: String) {
        self.refused = Some(Refused { basis, at: Instant::now() });
        self.handle.failed(MineError::Failed(why));
    }
}

impl Pool {
    fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let rayon = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("mine-{index}"))
            .start_handler(|_| give_way())
            .build()?;
        Ok(Self { threads, rayon })
    }
}

impl Pause {
    fn tell(&self) {
        match self {
            Self::NoWallet => log::warn!("mining waits for a wallet: create one first"),
            Self::ClockOff(offset) => {
                log::warn!("mining pauses: {}", MineError::ClockOff(*offset));
            }
            Self::Early => log::warn!("mining waits: the last block is ahead of this clock"),
            Self::Rest(_) => (),
        }
    }

    fn look_after(&self) -> Duration {
        match self {
            Self::NoWallet | Self::ClockOff(_) | Self::Early => PAUSE_LOOK,
            Self::Rest(left) => *left,
        }
    }
}

/// Lowers the priority of the calling thread, which only Linux can do for a thread alone.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        log::debug!("mining at normal priority: {error}");
    }
}

/// Where extra nonces begin.
fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|error| {
        log::debug!("extra nonces begin at 0: {error}");
        0
    })
}
