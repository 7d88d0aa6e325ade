//! Catching up: headers first, then only the bodies that are missing, from all peers that have them.
//!
//! Owns one thread that decides and a few that fetch. One sync at a time: whoever asks for one while
//! it runs makes it look again at the end. What a sync has fetched is kept by the owner, headers in
//! the tree and bodies on disk, so a sync that was cut short goes on where it was.

mod bodies;
mod download;
mod headers;

pub(super) use self::bodies::Fetch;

use super::{Network, TICK, lock};
use crate::chain::headers::HeaderNode;
use crate::node::NodeHandle;
use crate::primitives::{BlockHash, PeerId};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Peers whose open transactions are looked at again after blocks were fetched: a few, because one
/// may have none, and not all, because each answer may be long.
const PULLED_AGAIN_MAX: usize = 4;

/// Rounds of headers and bodies in one sync at most; the next exchange of tips starts another.
const ROUNDS_MAX: usize = 1_000;

/// Tips whose bodies nobody gave that are passed over at most; the oldest is tried again.
const WITHHELD_MAX: usize = 64;

/// How long a tip is passed over whose bodies nobody gave, unless somebody new says to have them.
const WITHHELD_PAUSE: Duration = Duration::from_secs(5);

/// Who wants a sync, and how far it is.
#[derive(Default)]
pub(super) struct SyncGate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    /// Counts the requests; a sync that starts serves all so far.
    requested: u64,
    /// The last request that was served.
    served: u64,
    /// Blocks that syncs have brought onto the best chain.
    adopted: u64,
    withheld: VecDeque<Withheld>,
}

/// A tip whose bodies nobody gave.
struct Withheld {
    tip: BlockHash,
    until: Duration,
    /// Who was asked.
    asked: BTreeSet<PeerId>,
}

impl Withheld {
    fn have_asked(&self, sources: &[PeerId]) -> bool {
        sources.iter().all(|peer| self.asked.contains(peer))
    }
}

impl SyncGate {
    /// Asks for a sync; returns the number of the request.
    pub(super) fn request(&self) -> u64 {
        let mut state = lock(&self.state);
        state.requested += 1;
        self.changed.notify_all();
        state.requested
    }

    /// Wakes everyone who waits.
    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }

    /// Waits until the request was served, but not beyond `deadline` or the end of the network; true
    /// if it was.
    pub(super) fn wait_for(
        &self,
        request: u64,
        deadline: Instant,
        is_over: impl Fn() -> bool,
    ) -> bool {
        let mut state = lock(&self.state);
        while state.served < request && Instant::now() < deadline && !is_over() {
            let waited = self.changed.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.served >= request
    }

    /// Blocks that syncs have brought onto the best chain so far.
    pub(super) fn adopted(&self) -> u64 {
        lock(&self.state).adopted
    }

    fn note_adopted(&self, blocks: usize) {
        lock(&self.state).adopted += blocks as u64;
    }

    /// Waits for a request; `None` if there is none within a tick.
    fn next(&self) -> Option<u64> {
        let state = lock(&self.state);
        let waiting = |state: &mut GateState| state.served == state.requested;
        let waited = self.changed.wait_timeout_while(state, TICK, waiting);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        (state.served < state.requested).then_some(state.requested)
    }

    fn serve(&self, request: u64) {
        lock(&self.state).served = request;
        self.changed.notify_all();
    }

    fn withhold(&self, tip: BlockHash, asked: BTreeSet<PeerId>, now: Duration) {
        let mut state = lock(&self.state);
        state.withheld.retain(|withheld| withheld.tip != tip);
        if state.withheld.len() >= WITHHELD_MAX {
            state.withheld.pop_front();
        }
        state.withheld.push_back(Withheld { tip, until: now + WITHHELD_PAUSE, asked });
    }

    /// Whether none of `sources` is to be asked for the bodies up to `tip` just now.
    fn is_withheld(&self, tip: &BlockHash, sources: &[PeerId], now: Duration) -> bool {
        let state = lock(&self.state);
        let withheld = state.withheld.iter().find(|withheld| withheld.tip == *tip);
        withheld.is_some_and(|withheld| withheld.until > now && withheld.have_asked(sources))
    }

    /// Whether the bodies up to `tip` were asked of `sources` in vain, however long ago: they are
    /// asked again, but nobody waits for it.
    fn is_given_up(&self, tip: &BlockHash, sources: &[PeerId]) -> bool {
        let state = lock(&self.state);
        let withheld = state.withheld.iter().find(|withheld| withheld.tip == *tip);
        withheld.is_some_and(|withheld| withheld.have_asked(sources))
    }
}

impl Network {
    /// Serves requests until the network is stopped.
    pub(super) fn run_sync(&self) {
        while !self.is_over() {
            if let Some(request) = self.sync.next() {
                self.sync();
                self.sync.serve(request);
            }
        }
    }

    /// Catches up with the peers that claim more work than we have.
    fn sync(&self) {
        let mut has_adopted = false;
        for _ in 0..ROUNDS_MAX {
            let progress = self.fetch_headers();
            let Some(node) = self.node() else { return };
            let target = self.target(&node);
            drop(node);
            let adopted = target.is_some_and(|target| self.fetch_bodies(&target));
            has_adopted |= adopted;
            if !progress && !adopted {
                break;
            }
        }
        if has_adopted {
            self.pull_again();
        }
    }

    /// What was refused from the peers' open transactions for want of coins on a shorter chain may be
    /// good now.
    fn pull_again(&self) {
        (0..PULLED_AGAIN_MAX).for_each(|turn| self.table().pull_from_next(turn));
        self.changed.notify_all();
    }

    /// The heaviest tip beyond ours whose bodies somebody may have.
    pub(super) fn target(&self, node: &NodeHandle) -> Option<Arc<HeaderNode>> {
        let now = node.now().monotonic;
        let view = node.view();
        let headers = view.chain.headers();
        let sources = self.sources(node);
        headers.heavier_tips().find(|tip| !self.sync.is_withheld(&tip.hash, &sources, now)).cloned()
    }

    /// Whether nothing is known, nor said by anyone whose word counts, that is heavier than what we
    /// have and that may be had.
    pub(super) fn is_in_front(&self, node: &NodeHandle) -> bool {
        let view = node.view();
        let (headers, own) = (view.chain.headers(), view.chain.tip().total_work);
        let table = self.table();
        let unknown = |tip: &BlockHash| headers.get(tip).is_none();
        let nobody_ahead = !table
            .credible_claims(own)
            .any(|peer| peer.claim.is_some_and(|claim| unknown(&claim.tip)));
        // A stranger that comes and withholds the same again is not waited for.
        let of_persons = table.credible_claims(own).filter(|peer| peer.manual);
        let sources: Vec<_> = of_persons.map(|peer| peer.id.clone()).collect();
        drop(table);
        nobody_ahead && headers.heavier_tips().all(|tip| self.sync.is_given_up(&tip.hash, &sources))
    }

    /// The peers that say they have more than we.
    fn sources(&self, node: &NodeHandle) -> Vec<PeerId> {
        let claims = self.table().claiming_more(node.view().chain.tip().total_work);
        claims.into_iter().map(|(peer, _)| peer).collect()
    }
}
