//! The peer table: who is known, and what is to be done next.
//!
//! Owns the peers with their outboxes, those who want to become one, those who were removed and
//! those who lied. Never calls anyone and reads no clock: times come in as values, so that the same
//! decisions can be played through in a simulation.
//!
//! Invariants: one call in flight to a peer; calls to peers that do not answer hold at most
//! [`SUSPECT_CALLS_MAX`] of the [`CALLS_MAX`] calls; nobody who answers is kept out by what
//! another says; every list has a bound.

mod claims;
mod clocks;
mod heard;
mod linked;
mod members;
mod outboxes;
mod schedule;
mod task;

#[cfg(test)]
pub(super) use self::claims::HEARD_FOR;
#[cfg(test)]
pub(super) use self::members::CAME_MAX;
pub use self::task::{Candidate, Outcome, Target, Task};

use super::outbound::{BACKOFF_MAX, BACKOFF_MIN, backoff};
use super::peer::{Claim, Peer, Pull};
use crate::node::ports::{PeerInfo, PeerState};
use crate::primitives::{PeerAddress, PeerId, UnixTime};
use crate::wire::Handshake;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Peers at most: each costs a call every few seconds. A person is told; others do not get in.
pub const PEERS_MAX: usize = 128;

/// Peers that came by themselves at most, so that there is always room for those that a person
/// adds. One that has not answered for long gives way.
pub const LEARNED_MAX: usize = 96;

/// Nodes that wait to be called back at most; more are not heard until there is room.
const CANDIDATES_MAX: usize = 64;

/// Removed peers that are remembered at most; the oldest is forgotten.
pub const REMOVED_MAX: usize = 256;

/// Addresses that are kept away for a while at most; the oldest is forgotten.
pub const PAUSED_MAX: usize = 256;

/// Calls under way at most, of all that the table hands out.
pub const CALLS_MAX: usize = 8;

/// Those among them to peers that do not answer.
pub const SUSPECT_CALLS_MAX: usize = 2;

/// Those among them that call strangers back: one place of [`SUSPECT_CALLS_MAX`] stays for peers, however
/// many strangers there are.
const CALL_BACKS_MAX: usize = 1;

/// Nodes that wait to be called back and that were named from one address at most; more are not
/// heard until one of them was called.
const CANDIDATES_OF_ONE_MAX: usize = 8;

/// The longest pause while a peer is missed that has answered in this run: however long a line was
/// broken, it is found soon after. Such calls take turns with all others that may not be answered.
const BACKOFF_MISSED_MAX: Duration = Duration::from_secs(4);

/// The same with one that comes and goes: called less often for it, and still soon enough that a
/// network that falls apart again and again is whole within 10 s each time.
const BACKOFF_FLAPPING_MAX: Duration = Duration::from_secs(6);

/// How long a learned peer is missed before it gives way to others.
const MISSED_FOR: Duration = Duration::from_secs(600);

/// How long a peer is left alone that said it was busy.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// The least time between two handshakes that others cause.
const ASKED_AGAIN_MIN: Duration = Duration::from_secs(1);

/// How long a peer that lied is refused.
pub const LIE_PAUSE: Duration = Duration::from_secs(600);

/// How long a stranger is not called back again.
const SOURCE_PAUSE: Duration = Duration::from_secs(5);

/// All peers, and what is to be done.
#[derive(Debug)]
pub struct Table {
    peers: BTreeMap<PeerId, Peer>,
    candidates: VecDeque<Candidate>,
    removed: VecDeque<PeerAddress>,
    /// The instances that removed peers named in this run. Whoever is called by the same, as one may be whom
    /// an impostor imitated, is taken in once a person adds it.
    removed_runs: VecDeque<u64>,
    /// Addresses that are not called back before a moment.
    paused: VecDeque<(PeerAddress, Duration)>,
    /// Calls under way.
    calls: usize,
    suspect_calls: usize,
    /// Those among them that call strangers back.
    call_backs: usize,
    /// Calls under way that the book caused.
    dials: usize,
    /// Whether it is a stranger's turn, when both strangers and peers wait.
    strangers_turn: bool,
    /// Whether those come first that a person added.
    ranks_turn: bool,
    /// Lifted while a person waits for every peer to be asked.
    pub suspect_calls_max: usize,
    /// Served last; the next one after it is served first.
    cursor: Option<PeerId>,
    serials: u64,
    random: u64,
    exchange_every: Duration,
}

impl Table {
    /// A table that exchanges tips every `exchange_every`; `seed` spreads the calls.
    pub fn new(seed: u64, exchange_every: Duration) -> Self {
        Self {
            peers: BTreeMap::new(),
            candidates: VecDeque::new(),
            removed: VecDeque::new(),
            removed_runs: VecDeque::new(),
            paused: VecDeque::new(),
            calls: 0,
            suspect_calls: 0,
            call_backs: 0,
            dials: 0,
            strangers_turn: false,
            ranks_turn: true,
            suspect_calls_max: SUSPECT_CALLS_MAX,
            cursor: None,
            serials: 0,
            random: seed | 1,
            exchange_every,
        }
    }

    /// Sets how often tips are exchanged.
    pub fn set_exchange_every(&mut self, every: Duration) {
        self.exchange_every = every;
    }

    /// All peers, those with an address first, in the order of these.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// What others may know of the peers.
    pub fn infos(&self) -> Vec<PeerInfo> {
        self.peers().filter_map(Peer::info).collect()
    }

    /// The peer that is meant by `id`, which may be another of its addresses.
    pub fn find(&self, id: &PeerId) -> Option<&Peer> {
        self.peers.get(id).or_else(|| self.find_at(id.address()?))
    }

    /// The peer that is reached at `address`.
    pub fn find_at(&self, address: &PeerAddress) -> Option<&Peer> {
        self.peers().find(|peer| peer.is_at(address))
    }

    /// What people may know a peer by.
    pub fn shown(&self, id: &PeerId) -> String {
        self.find(id).map_or_else(|| id.to_string(), Peer::shown)
    }

    fn find_mut(&mut self, id: &PeerId) -> Option<&mut Peer> {
        let id = self.find(id)?.id.clone();
        self.peers.get_mut(&id)
    }

    /// The target's peer, unless it was removed meanwhile.
    fn target(&mut self, target: &Target) -> Option<&mut Peer> {
        self.peers.get_mut(&target.id).filter(|peer| peer.serial == target.serial)
    }

    /// Asks every peer as soon as a call is free; returns each with the number of its calls that
    /// have ended, and that went well, so far.
    pub fn ask_all(&mut self, now: Duration) -> Vec<(PeerId, u64, u64)> {
        for peer in self.peers.values_mut() {
            peer.due = now;
        }
        self.peers().map(|peer| (peer.id.clone(), peer.ended, peer.answered)).collect()
    }

    /// As [`Self::ask_all`], but no peer more often than once a second.
    pub fn ask_all_soon(&mut self, now: Duration) {
        for peer in self.peers.values_mut().filter(|peer| peer.is_connected()) {
            ask_soon(peer, now);
        }
    }

    /// Asks a peer soon, but not more often than once a second.
    pub fn ask_soon(&mut self, id: &PeerId, now: Duration) {
        if let Some(peer) = self.find_mut(id) {
            ask_soon(peer, now);
        }
    }

    /// Takes a call to a connected peer for something that is not of the table's own making; `None` if
    /// that cannot be just now.
    pub fn reserve(&mut self, id: &PeerId, now: Duration) -> Option<Target> {
        if !self.is_free(id, now) {
            return None;
        }
        let peer = self.find_mut(id)?;
        peer.busy = true;
        let target = Target { id: peer.id.clone(), serial: peer.serial, suspect: false };
        self.calls += target.calls();
        Some(target)
    }

    /// Whether a call to this peer may be made now.
    pub fn is_free(&self, id: &PeerId, now: Duration) -> bool {
        let is_idle = |peer: &Peer| !peer.busy && can_send(peer, now);
        let has_call = self.calls < CALLS_MAX || id.address().is_none();
        has_call && self.find(id).is_some_and(is_idle)
    }

    /// The call to the target has ended.
    fn release(&mut self, target: &Target) {
        self.calls -= target.calls();
        self.suspect_calls -= target.suspect_calls();
        if let Some(peer) = self.target(target) {
            peer.busy = false;
        }
    }

    /// A peer did not answer a handshake. Of one that a person added the log tells, once until it does.
    pub fn not_answered(&mut self, target: &Target, reason: String, now: Duration) {
        self.release(target);
        if !self.note_end(target, now) {
            return;
        }
        if let Some(peer) = self.target(target).filter(|peer| peer.manual && !peer.is_missed) {
            peer.is_missed = true;
            log::info!("peer {} does not answer: {reason}; it is tried again", peer.id);
        }
        self.fail(&target.id, reason, now);
    }

    /// A peer answered a handshake that it is busy.
    pub fn busy(&mut self, target: &Target, now: Duration) {
        self.release(target);
        if self.note_end(target, now)
            && let Some(peer) = self.target(target)
        {
            peer.due = now + 2 * BUSY_PAUSE;
        }
    }

    /// A peer is not one of ours: another chain, another version, this node.
    pub fn refused(&mut self, target: &Target, reason: String, now: Duration) {
        self.release(target);
        if self.note_end(target, now) {
            self.refuse(&target.id, reason, now);
        }
    }

    /// A peer is this very node under another name.
    pub fn found_own(&mut self, target: &Target, reason: String, now: Duration) {
        if let Some(peer) = self.target(target) {
            peer.is_own = true;
        }
        self.refused(target, reason, now);
    }

    /// A handshake has ended without an answer; false if the peer was removed meanwhile.
    fn note_end(&mut self, target: &Target, now: Duration) -> bool {
        let Some(peer) = self.target(target) else { return false };
        peer.ended += 1;
        peer.tried = Some(now);
        true
    }

    /// A task other than a handshake has ended.
    pub fn done(&mut self, task: &Task, outcome: Outcome, now: Duration) {
        let Some(target) = task.target() else { return };
        self.release(target);
        let Some(peer) = self.target(target) else { return };
        match outcome {
            Outcome::Done => {}
            Outcome::Busy => {
                peer.not_before = now + BUSY_PAUSE;
                if let Task::Announce(_, news) = task {
                    peer.outbox.put_back(news.clone());
                }
            }
            Outcome::Failed(reason) => return self.fail(&target.id, reason, now),
        }
        if peer.outbox.overflowed && !peer.outbox.has_blocks() && !peer.outbox.has_transfers() {
            peer.outbox.overflowed = false;
            ask_soon(peer, now);
        }
    }

    /// A peer did not answer.
    pub fn fail(&mut self, id: &PeerId, reason: String, now: Duration) {
        let spread = self.spread(Duration::from_secs(1));
        let Some(peer) = self.find_mut(id) else { return };
        if peer.state == PeerState::Refused && peer.due > now {
            return;
        }
        peer.part(now);
        (peer.state, peer.reason) = (PeerState::Unreachable, reason);
        peer.failures = peer.failures.saturating_add(1);
        peer.failing_since.get_or_insert(now);
        peer.outbox.drop_blocks();
        let missed = peer.answered > 0 && !peer.is_doubted();
        let most = match (missed, peer.flaps) {
            (false, _) => BACKOFF_MAX,
            (true, 0) => BACKOFF_MISSED_MAX,
            (true, _) => BACKOFF_FLAPPING_MAX,
        };
        let pause = backoff(peer.failures.saturating_add(peer.flaps)).min(most);
        peer.due = now + pause.mul_f64(spread.as_secs_f64());
    }

    /// A peer has lied or is not one of ours. One that a person added stays in the list and is
    /// tried again after [`LIE_PAUSE`]; any other goes and stays away for as long.
    pub fn refuse(&mut self, id: &PeerId, reason: String, now: Duration) {
        let Some(peer) = self.find_mut(id) else { return };
        let until = now + LIE_PAUSE;
        (peer.state, peer.reason, peer.claim) = (PeerState::Refused, reason, None);
        (peer.due, peer.outbox) = (until, super::peer::Outbox::default());
        if !peer.manual {
            let gone = peer.id.clone();
            self.peers.remove(&gone);
            if let PeerId::At(address) = gone {
                push_bounded(&mut self.paused, (address, until), PAUSED_MAX);
            }
        }
    }

    /// `around` give or take a fifth, so that nodes do not call in step (xorshift64).
    fn spread(&mut self, around: Duration) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let permille = u32::try_from(self.random % 401).expect("below 401");
        around * (800 + permille) / 1_000
    }
}

/// The time of day and the time since some fixed moment.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For what others see.
    pub unix: UnixTime,
    /// For pauses.
    pub monotonic: Duration,
}

impl Times {
    /// The time of day at another moment of this run.
    fn unix_at(self, moment: Duration) -> UnixTime {
        let seconds = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        match moment.checked_sub(self.monotonic) {
            Some(later) => self.unix.plus(seconds(later)),
            None => {
                UnixTime(self.unix.0.saturating_sub(seconds(self.monotonic.saturating_sub(moment))))
            }
        }
    }

    /// The moment of this run for a time of day to come, at most `most` from now: clocks are set.
    fn monotonic_at(self, unix: UnixTime, most: Duration) -> Duration {
        let left = u64::try_from(unix.seconds_since(self.unix)).unwrap_or(0);
        self.monotonic + Duration::from_secs(left).min(most)
    }
}

/// Whether something may be sent to a peer now.
fn can_send(peer: &Peer, now: Duration) -> bool {
    peer.is_connected() && peer.not_before <= now
}

/// Makes a handshake due, unless there was one just now.
fn ask_soon(peer: &mut Peer, now: Duration) {
    let earliest = peer.tried.map_or(now, |tried| now.max(tried + ASKED_AGAIN_MIN));
    if peer.state != PeerState::Refused {
        peer.due = peer.due.min(earliest);
    }
}

/// Notes what a peer has answered.
fn meet(peer: &mut Peer, theirs: &Handshake, times: Times) {
    if peer.is_doubted() {
        peer.on_trial = true;
        (peer.state, peer.reason) = (PeerState::Unreachable, claims::NOT_SHOWN.to_owned());
    } else {
        welcome(peer);
    }
    if std::mem::take(&mut peer.is_missed) {
        log::info!("peer {} answers now", peer.id);
    }
    peer.is_own = false;
    peer.connected_since.get_or_insert(times.monotonic);
    (peer.instance, peer.says_linked) = (Some(theirs.instance), theirs.linked);
    peer.claim = Some(Claim { height: theirs.height, tip: theirs.tip, work: theirs.work });
    peer.last_seen = Some(times.unix);
    peer.clock_offset = Some(theirs.time.seconds_since(times.unix));
    (peer.tried, peer.asked) = (Some(times.monotonic), Some(times.monotonic));
    (peer.ended, peer.answered) = (peer.ended + 1, peer.answered + 1);
}

/// The last exchange with a peer went well.
fn welcome(peer: &mut Peer) {
    if !peer.is_connected() {
        peer.pull = Pull::Summary;
        if peer.flaps == 0 && peer.link_flaps == 0 {
            (peer.link_failures, peer.link_not_before) = (0, Duration::ZERO);
        }
    }
    (peer.state, peer.reason) = (PeerState::Connected, String::new());
    (peer.failures, peer.failing_since) = (0, None);
}

fn push_bounded<T>(list: &mut VecDeque<T>, item: T, max: usize) {
    if list.len() >= max {
        list.pop_front();
    }
    list.push_back(item);
}
