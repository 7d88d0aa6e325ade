//! Which body is asked of whom: no clock, no network, no threads.
//!
//! The missing bodies of one branch stand in order. Peers are asked for runs of them; what arrives
//! is handed on in order, so that the owner connects one block after the other. What one peer does
//! not give is asked of another.

use crate::chain::headers::HeaderNode;
use crate::consensus::check::CheckedBlock;
use crate::primitives::{BlockHash, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Bodies that are asked for in one call at most.
pub const BATCH_MAX: usize = 16;

/// Bodies beyond the first one missing that are asked for at most: what arrives early is held.
pub const AHEAD_MAX: usize = 256;

/// Canonical bytes of bodies that are held at most while those before them are missing; beyond it
/// only the first one missing is asked for.
pub const HELD_BYTES_MAX: usize = 16 << 20;

/// How long the first body missing is waited for before another peer is asked as well.
pub const STALL: Duration = Duration::from_secs(2);

/// How long it is waited for when nothing else may be asked for, while a peer that gives has nothing
/// to do: then that one is asked, so that whoever dawdles holds up the others only as long.
pub const HURRY: Duration = Duration::from_millis(250);

/// Calls under way to one peer at most, once it has shown that it gives: so that its next answer is
/// on the way while this one is judged.
const CALLS_OF_ONE_MAX: usize = 2;

/// How long a peer rests that says it is busy.
const REST: Duration = Duration::from_secs(1);

/// How often a peer may be busy before it is of no use.
const RESTS_MAX: u32 = 10;

/// What is asked of one peer.
#[derive(Clone, Debug)]
pub struct Order {
    /// Tells the call from others.
    pub call: u64,
    /// Who is asked.
    pub peer: PeerId,
    /// For what.
    pub hashes: Vec<BlockHash>,
}

enum Slot {
    Wanted,
    Asked { call: u64, since: Duration },
    Here { block: CheckedBlock, peer: PeerId },
    Done,
}

/// The missing bodies of one branch.
pub struct Download {
    nodes: Vec<Arc<HeaderNode>>,
    slots: Vec<Slot>,
    /// The first that is not done.
    next: usize,
    held_bytes: usize,
    /// Calls under way.
    calls: BTreeMap<u64, PeerId>,
    calls_made: u64,
    /// Peers that have given something.
    useful: BTreeSet<PeerId>,
    /// Peers that were busy: how often, and until when they rest.
    resting: BTreeMap<PeerId, (u32, Duration)>,
    /// Peers that are of no use for this branch.
    useless: BTreeSet<PeerId>,
    /// Peers that held the others up: they are asked when nobody else is there.
    slow: BTreeSet<PeerId>,
}

impl Download {
    /// Wants the bodies of `nodes`, each the parent of the next but for those that are here.
    pub fn new(nodes: Vec<Arc<HeaderNode>>) -> Self {
        let slots = nodes.iter().map(|_| Slot::Wanted).collect();
        Self {
            nodes,
            slots,
            next: 0,
            held_bytes: 0,
            calls: BTreeMap::new(),
            calls_made: 0,
            useful: BTreeSet::new(),
            resting: BTreeMap::new(),
            useless: BTreeSet::new(),
            slow: BTreeSet::new(),
        }
    }

    /// Whether all is done.
    pub fn is_done(&self) -> bool {
        self.next == self.slots.len()
    }

    /// Whether the first that is not done is here.
    pub fn has_ready(&self) -> bool {
        matches!(self.slots.get(self.next), Some(Slot::Here { .. }))
    }

    /// How long there is nothing to decide unless an answer comes: until the first body missing is
    /// waited for no longer, or a peer has rested.
    pub fn wakes_in(&self, now: Duration) -> Duration {
        let late = match self.slots.get(self.next) {
            Some(Slot::Asked { since, .. }) => Some(*since),
            _ => None,
        };
        let hurried = late.filter(|_| !self.useful.is_empty()).map(|since| since + HURRY);
        let rested = self.resting.values().map(|(_, until)| *until);
        let stalled = late.map(|since| since + STALL);
        let next = rested.chain(stalled).chain(hurried).filter(|moment| *moment > now).min();
        next.map_or(STALL, |moment| moment - now)
    }

    /// Whether a call is under way, or a peer rests that may be asked soon.
    pub fn is_waiting(&self, now: Duration) -> bool {
        !self.calls.is_empty() || self.resting.values().any(|(_, until)| *until > now)
    }

    /// The place of a block in the branch, if it was missing.
    pub fn place_of(&self, hash: &BlockHash) -> Option<usize> {
        self.nodes.iter().position(|node| node.hash == *hash)
    }

    /// Peers that gave nothing.
    pub const fn useless(&self) -> &BTreeSet<PeerId> {
        &self.useless
    }

    /// Chooses whom of `sources` to ask next, and for what. Slow ones come last.
    pub fn assign(&mut self, sources: &[PeerId], now: Duration) -> Option<Order> {
        let free = |peer: &&PeerId| self.is_free(peer, now);
        let quick = sources.iter().find(|peer| free(peer) && !self.slow.contains(peer));
        let mut peer = quick.or_else(|| sources.iter().find(free))?.clone();
        let mut run = self.wanted_run();
        if run.is_empty() {
            let (call, slow) = self.awaited(now, HURRY)?;
            let gives = |peer: &&PeerId| self.useful.contains(peer) && **peer != slow;
            peer = sources.iter().filter(gives).find(free)?.clone();
            self.give_up(call);
            run = self.wanted_run();
        }
        if run.is_empty() {
            return None;
        }
        self.calls_made += 1;
        let call = self.calls_made;
        self.calls.insert(call, peer.clone());
        for slot in &mut self.slots[run.clone()] {
            *slot = Slot::Asked { call, since: now };
        }
        let hashes = self.nodes[run].iter().map(|node| node.hash).collect();
        Some(Order { call, peer, hashes })
    }

    fn is_free(&self, peer: &PeerId, now: Duration) -> bool {
        let calls = self.calls.values().filter(|busy| *busy == peer).count();
        let max = if self.useful.contains(peer) { CALLS_OF_ONE_MAX } else { 1 };
        let rests = self.resting.get(peer).is_some_and(|(_, until)| *until > now);
        calls < max && !rests && !self.useless.contains(peer)
    }

    /// The first run of wanted bodies within the window.
    fn wanted_run(&self) -> std::ops::Range<usize> {
        let window = if self.held_bytes > HELD_BYTES_MAX { 1 } else { AHEAD_MAX };
        let end = self.slots.len().min(self.next + window);
        let wanted = |index: &usize| matches!(self.slots[*index], Slot::Wanted);
        let Some(first) = (self.next..end).find(wanted) else { return 0..0 };
        let length = (first..end).take(BATCH_MAX).take_while(wanted).count();
        first..first + length
    }

    /// A call has ended. Bodies that it did not bring are wanted again; a peer that brought none is
    /// of no use for this branch.
    pub fn arrived(&mut self, call: u64, blocks: Vec<CheckedBlock>) {
        let Some(peer) = self.calls.remove(&call) else { return };
        let mut useful = false;
        for block in blocks {
            let Some(index) = self.place_in_window(&block.hash()) else { continue };
            useful = true;
            if matches!(self.slots[index], Slot::Wanted | Slot::Asked { .. }) {
                self.held_bytes += block.block().size();
                self.slots[index] = Slot::Here { block, peer: peer.clone() };
            }
        }
        self.want_again(call);
        if useful {
            self.slow.remove(&peer);
            self.resting.remove(&peer);
            self.useful.insert(peer);
        } else {
            self.useless.insert(peer);
        }
    }

    /// The place of a block that was asked for: none is asked further ahead.
    fn place_in_window(&self, hash: &BlockHash) -> Option<usize> {
        let window = self.nodes.iter().enumerate().skip(self.next).take(AHEAD_MAX);
        window.filter(|(_, node)| node.hash == *hash).map(|(place, _)| place).next()
    }

    /// The peer that was called is busy: it rests for a while.
    pub fn rest(&mut self, call: u64, now: Duration) {
        let Some(peer) = self.calls.remove(&call) else { return };
        self.want_again(call);
        let (times, until) = self.resting.entry(peer.clone()).or_default();
        (*times, *until) = (*times + 1, now + REST);
        if *times > RESTS_MAX {
            self.useless.insert(peer);
        }
    }

    /// What was asked in a call is wanted again.
    fn want_again(&mut self, call: u64) {
        for slot in &mut self.slots[self.next..] {
            if matches!(slot, Slot::Asked { call: asked, .. } if *asked == call) {
                *slot = Slot::Wanted;
            }
        }
    }

    /// Gives up on a call that should have brought the first body missing; it may still end well.
    pub fn pass_over_stalled(&mut self, now: Duration) {
        if let Some((call, _)) = self.awaited(now, STALL) {
            self.give_up(call);
        }
    }

    /// The call that has been to bring the first body missing for so long, and to whom it was made.
    fn awaited(&self, now: Duration, at_least: Duration) -> Option<(u64, PeerId)> {
        let Some(Slot::Asked { call, since }) = self.slots.get(self.next) else { return None };
        let is_late = now.saturating_sub(*since) >= at_least;
        let peer = self.calls.get(call).filter(|_| is_late)?;
        Some((*call, peer.clone()))
    }

    fn give_up(&mut self, call: u64) {
        self.slow.extend(self.calls.get(&call).cloned());
        self.want_again(call);
    }

    /// The bodies that are here without a gap, with who gave them; they count as done.
    pub fn take_ready(&mut self) -> Vec<(CheckedBlock, PeerId)> {
        let mut ready = Vec::new();
        while let Some(slot) = self.slots.get_mut(self.next) {
            match std::mem::replace(slot, Slot::Done) {
                Slot::Here { block, peer } => {
                    self.held_bytes -= block.block().size();
                    ready.push((block, peer));
                }
                Slot::Done => {}
                other => {
                    *slot = other;
                    break;
                }
            }
            self.next += 1;
        }
        ready
    }
}
