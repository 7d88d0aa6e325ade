//! Whose turn it is: one look at all peers finds the first for each reason there is to serve one.
//!
//! Peers have their turns in the order of their names, from the one behind the one served last on. Of
//! the reasons the most urgent counts: blocks, those who may not answer, tips, transfers, pools.

use super::{BACKOFF_MIN, CALL_BACKS_MAX, CALLS_MAX, PAUSED_MAX, SOURCE_PAUSE};
use super::{Table, Target, Task, push_bounded};
use crate::net::client::Pace;
use crate::net::peer::{Peer, Pull};
use crate::primitives::PeerId;
use crate::wire::BUCKETS_MAX;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

/// Who is served next.
enum Turn {
    /// A peer is told what waits for it.
    News(PeerId),
    /// A peer that may not answer is tried.
    Try(PeerId),
    /// The stranger that waits longest is called back.
    Stranger,
    /// A peer that answers exchanges tips with us.
    Tips(PeerId),
    /// The pool of a peer is looked into.
    Pool(PeerId),
}

/// What a look at all idle peers has found: the first for each reason.
#[derive(Default)]
struct Look<'t> {
    blocks: Option<&'t PeerId>,
    tips: Option<&'t PeerId>,
    transfers: Option<&'t PeerId>,
    pool: Option<&'t PeerId>,
    /// Of those that may not answer: one that a person added, one of the last run, any.
    manual: Option<&'t PeerId>,
    anchor: Option<&'t PeerId>,
    silent: Option<&'t PeerId>,
    /// Of these the one that waits longest.
    longest: Option<(Duration, &'t PeerId)>,
    /// When something is due that is not yet.
    due: Option<Duration>,
}

impl<'t> Look<'t> {
    /// Takes in an idle peer that answers.
    fn note_answering(&mut self, peer: &'t Peer, now: Duration, has_call: bool) {
        let (blocks, transfers) = (peer.outbox.has_blocks(), peer.outbox.has_transfers());
        let pool = peer.pull != Pull::Not;
        let something_waits = blocks || transfers || pool;
        self.note_due(if something_waits { peer.not_before.min(peer.due) } else { peer.due }, now);
        let may_send = has_call && peer.not_before <= now;
        let reasons = [
            (&mut self.blocks, may_send && blocks),
            (&mut self.tips, has_call && peer.due <= now),
            (&mut self.transfers, may_send && transfers),
            (&mut self.pool, may_send && pool),
        ];
        for (first, _) in reasons.into_iter().filter(|(_, is_one)| *is_one) {
            first.get_or_insert(&peer.id);
        }
    }

    /// Takes in an idle peer that may not answer.
    fn note_silent(&mut self, peer: &'t Peer, now: Duration, has_call: bool) {
        self.note_due(peer.due, now);
        if peer.due > now || !has_call {
            return;
        }
        self.silent.get_or_insert(&peer.id);
        if peer.manual {
            self.manual.get_or_insert(&peer.id);
        }
        if peer.anchor {
            self.anchor.get_or_insert(&peer.id);
        }
        let own = (peer.due, &peer.id);
        self.longest = Some(self.longest.map_or(own, |known| known.min(own)));
    }

    fn note_due(&mut self, due: Duration, now: Duration) {
        if due > now {
            self.due = Some(self.due.map_or(due, |known| known.min(due)));
        }
    }
}

impl Table {
    /// The next thing to do, or how long there is nothing.
    pub fn next(&mut self, now: Duration) -> Result<Task, Duration> {
        let turn = self.choose(now)?;
        let task = match turn {
            Turn::Stranger => self.call_back(now),
            Turn::Try(id) => self.try_again(&id),
            Turn::Tips(id) => self.serve(&id).map(|(_, target)| Task::Exchange(target)),
            Turn::News(id) => self.serve(&id).map(announce),
            Turn::Pool(id) => self.serve(&id).map(pull),
        };
        task.ok_or(BACKOFF_MIN)
    }

    fn choose(&self, now: Duration) -> Result<Turn, Duration> {
        let look = self.look(now);
        let turn = look.blocks.cloned().map(Turn::News);
        turn.or_else(|| self.choose_silent(&look))
            .or_else(|| look.tips.cloned().map(Turn::Tips))
            .or_else(|| look.transfers.cloned().map(Turn::News))
            .or_else(|| look.pool.cloned().map(Turn::Pool))
            .ok_or_else(|| look.due.map_or(BACKOFF_MIN, |due| due.saturating_sub(now)))
    }

    /// One who may not answer, within their share of the calls: peers and strangers in turn, and of the
    /// peers every other time the one that waits longest, else those first that a person added.
    fn choose_silent(&self, look: &Look<'_>) -> Option<Turn> {
        if self.suspect_calls >= self.suspect_calls_max {
            return None;
        }
        let longest = look.longest.map(|(_, id)| id).filter(|_| !self.ranks_turn);
        let peer = longest.or(look.manual).or(look.anchor).or(look.silent);
        let peer = peer.cloned().map(Turn::Try);
        let has_stranger = self.call_backs < CALL_BACKS_MAX && !self.candidates.is_empty();
        let stranger = has_stranger.then_some(Turn::Stranger);
        if self.strangers_turn { stranger.or(peer) } else { peer.or(stranger) }
    }

    fn look(&self, now: Duration) -> Look<'_> {
        let mut look = Look::default();
        for peer in self.in_turn().filter(|peer| !peer.busy) {
            let has_call = self.calls < CALLS_MAX || peer.id.address().is_none();
            if peer.is_connected() {
                look.note_answering(peer, now, has_call);
            } else {
                look.note_silent(peer, now, has_call);
            }
        }
        look
    }

    /// All peers, from the one behind the one served last on.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Peer> {
        let after = self.cursor.as_ref().map_or(Unbounded, Excluded);
        let behind = self.peers.range((after, Unbounded));
        let others = self.cursor.iter().flat_map(|last| self.peers.range(..=last));
        behind.chain(others).map(|(_, peer)| peer)
    }

    /// Takes a call to a peer whose turn it is.
    pub(super) fn serve(&mut self, id: &PeerId) -> Option<(&mut Peer, Target)> {
        let peer = self.peers.get_mut(id)?;
        let suspect = !peer.is_connected();
        let target = Target { id: id.clone(), serial: peer.serial, suspect };
        peer.busy = true;
        self.cursor = Some(id.clone());
        self.calls += target.calls();
        self.suspect_calls += target.suspect_calls();
        Some((peer, target))
    }

    fn try_again(&mut self, id: &PeerId) -> Option<Task> {
        let (_, target) = self.serve(id)?;
        self.strangers_turn = true;
        self.ranks_turn = !self.ranks_turn;
        Some(Task::Exchange(target))
    }

    fn call_back(&mut self, now: Duration) -> Option<Task> {
        // Those that were slow before come after all others.
        let quick = self.candidates.iter().position(|candidate| candidate.pace == Pace::Quick);
        let candidate = self.candidates.remove(quick.unwrap_or(0))?;
        self.calls += 1;
        self.suspect_calls += 1;
        self.call_backs += 1;
        self.strangers_turn = false;
        push_bounded(&mut self.paused, (candidate.address.clone(), now + SOURCE_PAUSE), PAUSED_MAX);
        Some(Task::CallBack(candidate))
    }
}

fn announce((peer, target): (&mut Peer, Target)) -> Task {
    let news = peer.outbox.take();
    news.transfers.iter().for_each(|id| peer.known.insert(id));
    Task::Announce(target, news)
}

fn pull((peer, target): (&mut Peer, Target)) -> Task {
    match std::mem::take(&mut peer.pull) {
        Pull::Buckets(mut buckets) => {
            let rest = buckets.split_off(buckets.len().min(BUCKETS_MAX));
            if !rest.is_empty() {
                peer.pull = Pull::Buckets(rest);
            }
            Task::Buckets(target, buckets)
        }
        Pull::Not | Pull::Summary => Task::Summary(target),
    }
}
