//! Who is asked for headers just now, and who had a turn lately. Outlives the syncs: what begins and ends
//! because somebody says something wins no turns. No clock, no network, no threads.

use super::headers::Walk;
use crate::net::table::Table;
use crate::primitives::{PeerId, Work};
use std::collections::BTreeMap;
use std::time::Duration;

/// Strangers that have a turn in one round at most, so that a round ends however many come, and the next
/// begins with others.
pub(super) const STRANGERS_MAX: usize = 6;

/// The same of peers that nobody named and that have shown something: they may be silent from then on.
pub(super) const SHOWN_MAX: usize = 6;

/// The same of peers that have come by themselves: each may come again as another. Fewer than
/// [`HEADER_CALLS_MAX`].
pub(super) const GUESTS_MAX: usize = 2;

/// Calls for headers under way at most: beside one that is silent a few others are asked.
pub(in crate::net) const HEADER_CALLS_MAX: usize = 3;

/// Calls under way at most that strangers and those hold who have come by themselves: whatever they do,
/// one is left for who is named or has shown something.
pub(super) const CALLS_OF_ANYBODY_MAX: usize = HEADER_CALLS_MAX - 1;

/// How long one peer is waited for before another is asked beside it.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// Who takes turns with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A person added it.
    Named,
    /// Its headers have borne out what it said.
    Shown,
    /// It has an address, and anybody may be that.
    Stranger,
    /// It has come by itself.
    Guest,
}

impl Kind {
    fn of(peer: &PeerId, table: &Table) -> Self {
        match table.find(peer) {
            _ if peer.address().is_none() => Self::Guest,
            Some(known) if known.manual => Self::Named,
            Some(known) if !known.is_stranger() => Self::Shown,
            Some(_) | None => Self::Stranger,
        }
    }

    /// Turns in one round at most.
    const fn turns_max(self) -> usize {
        match self {
            Self::Named => usize::MAX,
            Self::Shown => SHOWN_MAX,
            Self::Stranger => STRANGERS_MAX,
            Self::Guest => GUESTS_MAX,
        }
    }
}

/// The calls for headers under way, and the turns of a round.
///
/// A round of turns ends when nobody waits who may have one: then all have had theirs that nobody named,
/// or as many as may. Who gives something has its turn back.
#[derive(Debug, Default)]
pub(super) struct Asking {
    calls: BTreeMap<PeerId, Call>,
    /// Who has had a turn and has given nothing, a few of each kind; those that a person added need none.
    turns: BTreeMap<PeerId, Kind>,
    /// Whether nobody waits for a turn.
    is_over: bool,
}

#[derive(Debug)]
struct Call {
    since: Duration,
    walk: Walk,
}

impl Asking {
    /// Whether nobody is asked.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Whether a peer is asked just now.
    pub(super) fn is_asked(&self, peer: &PeerId) -> bool {
        self.calls.contains_key(peer)
    }

    /// The walks that wait for an answer.
    pub(super) fn walks(&self) -> impl Iterator<Item = &Walk> {
        self.calls.values().map(|call| &call.walk)
    }

    /// A call begins.
    pub(super) fn begin(&mut self, walk: Walk, now: Duration) {
        self.calls.insert(walk.peer.clone(), Call { since: now, walk });
    }

    /// A call has ended.
    pub(super) fn ended(&mut self, peer: &PeerId) -> Option<Walk> {
        self.calls.remove(peer).map(|call| call.walk)
    }

    /// Whether nobody else may be asked before one of them answers.
    pub(super) fn is_full(&self) -> bool {
        self.calls.len() >= HEADER_CALLS_MAX
    }

    /// Whether there is a call for this peer.
    pub(super) fn has_call(&self, peer: &PeerId, table: &Table) -> bool {
        let is_anybody = |peer: &PeerId| Kind::of(peer, table) >= Kind::Stranger;
        let of_anybody = || self.calls.keys().filter(|peer| is_anybody(peer)).count();
        !is_anybody(peer) || of_anybody() < CALLS_OF_ANYBODY_MAX
    }

    /// Whether one of them has been silent for a while.
    pub(super) fn is_one_silent(&self, now: Duration) -> bool {
        self.calls.values().any(|call| !call.is_patient(now))
    }

    /// Whether somebody gives headers just now.
    pub(super) fn is_served(&self, now: Duration) -> bool {
        self.calls.values().any(|call| call.walk.has_begun() && call.is_patient(now))
    }

    /// How long the last of them is waited for; `None` if another may be asked.
    pub(super) fn patience(&self, now: Duration) -> Option<Duration> {
        let left = self.calls.values().map(|call| (call.since + SILENCE).saturating_sub(now));
        left.filter(|left| !left.is_zero()).max()
    }

    /// Another round of headers begins; of turns only if the one before is over.
    pub(super) fn begin_round(&mut self) {
        if std::mem::take(&mut self.is_over) {
            self.turns.clear();
        }
    }

    /// Whether a peer may have a turn.
    pub(super) fn has_turn(&self, peer: &PeerId, table: &Table) -> bool {
        let kind = Kind::of(peer, table);
        let had = self.turns.values().filter(|other| **other == kind).count();
        !self.turns.contains_key(peer) && had < kind.turns_max()
    }

    /// A peer has its turn.
    pub(super) fn take_turn(&mut self, peer: &PeerId, table: &Table) {
        let kind = Kind::of(peer, table);
        if kind != Kind::Named {
            self.turns.insert(peer.clone(), kind);
        }
    }

    /// A peer has given something: it may be asked again at once.
    pub(super) fn turn_back(&mut self, peer: &PeerId) {
        self.turns.remove(peer);
    }

    /// These wait and may be asked: whether one of them is there that needs a turn.
    pub(super) fn note_waiting<'a>(
        &mut self,
        mut waiting: impl Iterator<Item = &'a PeerId>,
        table: &Table,
    ) {
        self.is_over = !waiting.any(|peer| Kind::of(peer, table) != Kind::Named);
    }
}

impl Call {
    fn is_patient(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) < SILENCE
    }
}

impl super::Sync {
    /// The most work of the branches that are walked before they are kept.
    pub(super) fn walked_work(&self) -> Option<Work> {
        let super::Stage::Headers(headers) = &self.run.as_ref()?.stage else { return None };
        let walks = headers.walk().into_iter().chain(self.asking.walks());
        walks.filter_map(|walk| Some(walk.presync.as_ref()?.shown())).max()
    }
}
