//! The miner as others see it: what is wanted of it, and what it has done.
//!
//! Owns the wishes and the results, behind one lock that is never held while anything is asked of
//! anyone else. Never searches.

use super::meter::Meter;
use crate::node::NodeHandle;
use crate::node::ports::{MineError, Mined, MinerControl, MinerStatus};
use crossbeam_channel::Sender;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// A clock that is further off than this makes blocks that peers refuse, or steals from others by
/// the retarget: then nothing is mined.
pub const CLOCK_OFFSET_MAX: u64 = 15;

/// How often a caller who waits for a block is asked whether it has left.
const CANCEL_LOOK: Duration = Duration::from_millis(50);

/// Tells by how many seconds the clocks of the peers are ahead of ours, if enough of them are known.
pub type ClockOffset = Box<dyn Fn() -> Option<i64> + Send + Sync>;

/// The way to the miner. It keeps the node's owner alive, so it must be dropped before the owner
/// is joined.
pub struct MinerHandle {
    node: NodeHandle,
    clock_offset: ClockOffset,
    pub(super) state: Mutex<State>,
    /// Told of every change of `state`.
    pub(super) changed: Condvar,
    /// Wakes the miner's own thread; one message is enough, since it looks at `state`.
    wake: Sender<()>,
    pub(super) meter: Arc<Meter>,
}

/// Wishes and results.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) on: bool,
    pub(super) threads: usize,
    /// Calls that wait for a block. They are served when there is one, before they wake up: or the
    /// miner would go on for callers who already have theirs.
    pub(super) waiting: usize,
    pub(super) stopping: bool,
    pub(super) blocks_found: u64,
    last: Option<Mined>,
    /// Grows with every failure that is told to those who wait.
    failures: u64,
    failure: Option<MineError>,
}

/// What is wanted of the miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    /// One block for those who wait, whatever else is wanted.
    One,
    /// Blocks without end.
    Endless,
    Stop,
}

impl State {
    fn wish(&self) -> Wish {
        match self {
            Self { stopping: true, .. } => Wish::Stop,
            Self { waiting: 1.., .. } => Wish::One,
            Self { on: true, .. } => Wish::Endless,
            _ => Wish::Nothing,
        }
    }
}

impl MinerHandle {
    pub(super) fn new(
        node: NodeHandle,
        (on, threads): (bool, NonZeroUsize),
        clock_offset: ClockOffset,
        wake: Sender<()>,
    ) -> Self {
        let state = State {
            on,
            threads: threads_worth(threads.get()),
            waiting: 0,
            stopping: false,
            blocks_found: 0,
            last: None,
            failures: 0,
            failure: None,
        };
        let (changed, meter) = (Condvar::new(), Arc::new(Meter::default()));
        Self { node, clock_offset, state: Mutex::new(state), changed, wake, meter }
    }

    /// Ends all work for good: those who wait are told, and [`Miner::run`](super::Miner::run)
    /// returns.
    pub fn stop(&self) {
        self.change(|state| state.stopping = true);
    }

    /// By how much the clock is off, if that is too much to mine.
    pub(super) fn clock_off(&self) -> Option<i64> {
        (self.clock_offset)().filter(|offset| offset.unsigned_abs() > CLOCK_OFFSET_MAX)
    }

    /// What is wanted, and of how many threads.
    pub(super) fn wishes(&self) -> (Wish, usize) {
        let state = self.state();
        (state.wish(), state.threads)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block is on the best chain: everybody who waits has it.
    pub(super) fn found(&self, mined: Mined) {
        let mut state = self.state();
        state.blocks_found += 1;
        state.waiting = 0;
        state.last = Some(mined);
        drop(state);
        self.changed.notify_all();
    }

    /// Everybody who waits is told of a failure.
    pub(super) fn failed(&self, error: MineError) {
        let mut state = self.state();
        state.failures += 1;
        state.waiting = 0;
        state.failure = Some(error);
        drop(state);
        self.changed.notify_all();
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
        // If a message waits there already, the miner will see this change with the one before.
        let _ = self.wake.try_send(());
    }

    /// Waits for a change of the state, but never for longer than it takes to ask the caller.
    fn look_after(&self, deadline: Option<Instant>) -> State {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.unwrap_or(CANCEL_LOOK).min(CANCEL_LOOK);
        let waited = self.changed.wait_timeout(self.state(), left);
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

impl MinerControl for MinerHandle {
    fn status(&self) -> MinerStatus {
        let State { on, threads, blocks_found, .. } = *self.state();
        MinerStatus { on, threads, hash_rate: self.meter.rate(Instant::now()), blocks_found }
    }

    fn switch(&self, on: bool) {
        self.change(|state| state.on = on);
    }

    fn set_threads(&self, threads: usize) {
        self.change(|state| state.threads = threads_worth(threads));
    }

    fn mine_one(&self, limit: Duration, cancelled: &dyn Fn() -> bool) -> Result<Mined, MineError> {
        if self.node.view().wallet.is_none() {
            return Err(MineError::NoWallet);
        }
        if let Some(offset) = self.clock_off() {
            return Err(MineError::ClockOff(offset));
        }
        let waiting = Waiting::new(self);
        // A limit beyond what the clock can hold is none.
        let deadline = Instant::now().checked_add(limit);
        let mut state = self.state().clone();
        loop {
            if let Some(result) = waiting.result(&state) {
                return result;
            }
            if cancelled() {
                return Err(MineError::Cancelled);
            }
            if deadline.is_some_and(|at| Instant::now() >= at) {
                return Err(MineError::TimedOut(limit));
            }
            state = self.look_after(deadline);
        }
    }
}

/// A call that waits, counted as long as it does.
struct Waiting<'a> {
    handle: &'a MinerHandle,
    blocks_found: u64,
    failures: u64,
}

impl<'a> Waiting<'a> {
    fn new(handle: &'a MinerHandle) -> Self {
        let mut before = None;
        handle.change(|state| {
            state.waiting += 1;
            before = Some((state.blocks_found, state.failures));
        });
        let (blocks_found, failures) = before.expect("the change was made");
        Self { handle, blocks_found, failures }
    }

    /// Whether the call has got what it waits for.
    fn is_served(&self, state: &State) -> bool {
        (state.blocks_found, state.failures) != (self.blocks_found, self.failures)
    }

    /// What has happened since the call came.
    fn result(&self, state: &State) -> Option<Result<Mined, MineError>> {
        if state.blocks_found > self.blocks_found {
            return state.last.map(Ok);
        }
        if state.failures > self.failures {
            return state.failure.clone().map(Err);
        }
        state.stopping.then(|| Err(MineError::Failed("the node is stopping".into())))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.handle.change(|state| {
            if !self.is_served(state) {
                state.waiting -= 1;
            }
        });
    }
}

/// At least one thread, and at most one for each processor: more only get in each other's way.
fn threads_worth(threads: usize) -> usize {
    threads.clamp(1, available_parallelism().map_or(1, NonZeroUsize::get))
}
