//! One search: a template, and the threads that look for its nonce.
//!
//! Owns the ranges that are handed out. Never submits anything.
//!
//! Invariants: no two ranges of one process hold the same header, because every roll takes an
//! extra nonce that was never used before; no range is handed out once the tip or the wallet has
//! changed, and a range takes about [`SLICE`], so that old work ends soon after.

use super::kernel::{Kernel, Nonces, Puzzle};
use super::meter::Meter;
use crate::chain::template::Template;
use crate::node::{NodeHandle, View};
use crate::primitives::{Block, Header, PublicKey, Tag, UnixTime};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a range should take: the time in which a thread does not look up.
const SLICE: Duration = Duration::from_micros(1_500);

/// Nonces of a thread's first range, before it knows its rate.
const SLICE_FIRST: u32 = 1_000;

/// Nonces of a range at least, so that looking up stays a small part of the work.
const SLICE_MIN: u32 = 64;

/// Nonces of a range at most: more than any processor does in a slice.
const SLICE_MAX: u32 = 1 << 24;

/// All nonces of a header.
const NONCES: u64 = 1 << 32;

/// How long [`Running::finish`] waits for the last ranges. They take [`SLICE`] unless the machine
/// has no time for them, and then whoever wants to stop must not wait either.
const FINISH_WAIT_MAX: Duration = Duration::from_millis(40);

/// The extra nonces of this process, each given once. They begin anywhere, so that two nodes with
/// one wallet do not repeat each other's work.
pub(super) struct ExtraNonces(AtomicU64);

impl ExtraNonces {
    pub(super) fn from(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }

    fn take(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// What all searches of a miner have in common.
pub(super) struct Tools {
    pub(super) node: NodeHandle,
    pub(super) kernel: &'static dyn Kernel,
    pub(super) extra_nonces: ExtraNonces,
    pub(super) meter: Arc<Meter>,
    pub(super) tag: Tag,
}

/// The state of the node that a template was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Basis {
    pub(super) tip_changes: u64,
    pub(super) pool_changes: u64,
    recipient: PublicKey,
}

/// A header that has its proof of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    header: Header,
    extra_nonce: u64,
}

/// The work on one template.
pub(super) struct Search {
    tools: Arc<Tools>,
    template: Template,
    basis: Basis,
    made: Instant,
    over: AtomicBool,
    cursor: Mutex<Cursor>,
}

/// One header, and how far its nonces are handed out.
#[derive(Clone, Copy)]
struct Cursor {
    header: Header,
    extra_nonce: u64,
    puzzle: Puzzle,
    next: u64,
}

impl Cursor {
    fn new(template: &Template, extra_nonce: u64, time: UnixTime) -> Self {
        let header = template.header(extra_nonce, time);
        Self { puzzle: Puzzle::new(&header, template.target(time)), header, extra_nonce, next: 0 }
    }

    /// The next range of at most `size` nonces.
    fn take(&mut self, size: u32) -> Option<Nonces> {
        let first = u32::try_from(self.next).ok()?;
        let count = u64::from(size).min(NONCES - self.next);
        self.next += count;
        Some(Nonces { first, count: u32::try_from(count).expect("at most `size`") })
    }
}

impl Search {
    /// Work for `recipient` on top of what `view` shows.
    pub(super) fn new(tools: &Arc<Tools>, view: &View, recipient: PublicKey) -> Self {
        let now = tools.node.now();
        let template = view.chain.template(recipient, tools.tag.clone(), now);
        let time = template.time(now.unix);
        let cursor = Cursor::new(&template, tools.extra_nonces.take(), time);
        let (tip_changes, pool_changes) = (view.tip_changes, view.pool_changes);
        Self {
            tools: tools.clone(),
            template,
            basis: Basis { tip_changes, pool_changes, recipient },
            made: Instant::now(),
            over: AtomicBool::new(false),
            cursor: Mutex::new(cursor),
        }
    }

    /// What the template was made from.
    pub(super) fn basis(&self) -> Basis {
        self.basis
    }

    /// When the template was made.
    pub(super) fn made(&self) -> Instant {
        self.made
    }

    /// Whether a block of this template would still be from the future.
    pub(super) fn is_early(&self) -> bool {
        let now = self.tools.node.now().unix;
        self.template.is_early(self.template.time(now), now)
    }

    /// The block of a hit.
    pub(super) fn block(&self, hit: Hit) -> Block {
        self.template.block(hit.header, hit.extra_nonce)
    }

    /// Whether a block of this template would no longer extend the best chain.
    pub(super) fn is_stale(&self, view: &View) -> bool {
        view.tip_changes != self.basis.tip_changes
    }

    /// Whether there is better work to do: on a new tip, or for another wallet.
    fn is_outdated(&self, view: &View) -> bool {
        self.is_stale(view) || view.wallet != Some(self.basis.recipient)
    }

    /// Hands out no range any more.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Searches in `threads` threads of `pool`.
    pub(super) fn start(self, pool: &rayon::ThreadPool, threads: usize) -> Running {
        let search = Arc::new(self);
        // The first hit ends the search; there is no use for a second one.
        let (hits, hit) = bounded(1);
        for _ in 0..threads {
            let (search, hits) = (search.clone(), hits.clone());
            pool.spawn(move || search.work(&hits));
        }
        Running { search, hit }
    }

    /// What one thread does until the search is over.
    fn work(&self, hits: &Sender<Hit>) {
        let mut size = SLICE_FIRST;
        while let Some((cursor, nonces)) = self.next_range(size) {
            let started = Instant::now();
            let searched = self.tools.kernel.search(&cursor.puzzle, nonces);
            self.tools.meter.add(searched.hashes);
            if let Some(nonce) = searched.nonce {
                let header = Header { nonce, ..cursor.header };
                // If there is one already, this one comes too late.
                let _ = hits.try_send(Hit { header, extra_nonce: cursor.extra_nonce });
                self.end();
            }
            size = adapted(size, started.elapsed());
        }
    }

    /// The next range, of a new header if the time has changed or the nonces are used up. The
    /// target follows the time, so a relief is never missed.
    fn next_range(&self, size: u32) -> Option<(Cursor, Nonces)> {
        if self.over.load(Ordering::Relaxed) || self.is_outdated(&self.tools.node.view()) {
            return None;
        }
        let now = self.tools.node.now().unix;
        let time = self.template.time(now);
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        if cursor.header.time == time
            && let Some(nonces) = cursor.take(size)
        {
            return Some((*cursor, nonces));
        }
        if self.template.is_early(time, now) {
            return None;
        }
        *cursor = Cursor::new(&self.template, self.tools.extra_nonces.take(), time);
        cursor.take(size).map(|nonces| (*cursor, nonces))
    }
}

/// A search that has its threads.
pub(super) struct Running {
    pub(super) search: Arc<Search>,
    /// The hit; disconnected once all threads have ended without one.
    pub(super) hit: Receiver<Hit>,
}

impl Running {
    /// Ends the search and gives what its last ranges found.
    pub(super) fn finish(&self) -> Option<Hit> {
        self.search.end();
        self.hit.recv_timeout(FINISH_WAIT_MAX).ok()
    }
}

/// The size of the next range when one of `size` has taken `elapsed`. It moves by a factor of two
/// at most, because a range in which the thread had to wait for a processor says little.
fn adapted(size: u32, elapsed: Duration) -> u32 {
    let nanos = elapsed.as_nanos().max(1);
    let ideal = u128::from(size) * SLICE.as_nanos() / nanos;
    let ideal = u32::try_from(ideal).unwrap_or(SLICE_MAX);
    ideal.clamp(size / 2, size * 2).clamp(SLICE_MIN, SLICE_MAX)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixture;
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ranges_approach_the_slice_and_stay_within_bounds() {
        let mut size = SLICE_FIRST;
        for _ in 0..20 {
            // 100 ns a hash
            size = adapted(size, Duration::from_nanos(u64::from(size) * 100));
        }
        assert_eq!(size, 15_000);
        assert_eq!(adapted(size, Duration::from_secs(1)), 7_500);
        assert_eq!(adapted(size, Duration::ZERO), 30_000);
        assert_eq!(adapted(SLICE_MIN, Duration::from_secs(1)), SLICE_MIN);
        assert_eq!(adapted(SLICE_MAX, Duration::ZERO), SLICE_MAX);
    }

    #[test]
    fn the_nonces_of_a_header_are_handed_out_once_then_the_extra_nonce_rolls() {
        let fixture = Fixture::dev();
        let search = fixture.search();
        search.cursor.lock().unwrap().next = NONCES - 150;
        let mut seen = HashSet::new();
        let ranges: Vec<_> = (0..4).map(|_| search.next_range(100).unwrap()).collect();
        for (cursor, nonces) in &ranges {
            assert!(seen.insert((cursor.extra_nonce, nonces.first)));
            assert_eq!(
                search.template.header(cursor.extra_nonce, cursor.header.time),
                cursor.header
            );
        }
        let counts = ranges.iter().map(|(_, nonces)| (nonces.first, nonces.count));
        let expected = [(u32::MAX - 149, 100), (u32::MAX - 49, 50), (0, 100), (100, 100)];
        assert!(
            counts.eq(expected),
            "{ranges:?}",
            ranges = ranges.iter().map(|r| r.1).collect::<Vec<_>>()
        );
        assert_ne!(ranges[1].0.extra_nonce, ranges[2].0.extra_nonce);
    }

    #[test]
    fn a_new_second_makes_a_new_header_also_when_the_clock_goes_back() {
        let fixture = Fixture::dev();
        let search = fixture.search();
        let start = fixture.clock();
        let mut extra_nonces = HashSet::new();
        for time in [start, start + 1, start + 900, start + 1, start] {
            fixture.set_clock(time);
            for first in [0, 100] {
                let (cursor, nonces) = search.next_range(100).unwrap();
                assert_eq!((cursor.header.time.0, nonces.first), (time, first));
                extra_nonces.insert(cursor.extra_nonce);
            }
        }
        assert_eq!(extra_nonces.len(), 5);
    }

    #[test]
    fn nothing_is_handed_out_after_the_end_a_new_tip_or_from_the_future() {
        let fixture = Fixture::dev();
        let ended = fixture.search();
        ended.end();
        assert!(ended.next_range(100).is_none());
        let early = fixture.search();
        fixture.set_clock(fixture.clock() - 1_000_000);
        assert!(early.is_early() && early.next_range(100).is_none());
        fixture.set_clock(fixture.clock() + 1_000_000);
        let stale = fixture.search();
        assert!(stale.next_range(100).is_some());
        fixture.foreign_block();
        assert!(stale.next_range(100).is_none());
    }
}
