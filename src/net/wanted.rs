//! The transfers that peers have announced and that are not here: who is asked for which, and when.
//!
//! Owns the announcements, after Bitcoin Core's `txrequest`. Never asks by itself, knows no clock
//! and no pool: `now` and what has arrived come in.
//!
//! Invariants: a transfer is asked of one peer at a time; whoever does not give it in time is not
//! asked for it again, and the next who announced it is. What one peer announces takes no place
//! from another: each has room for [`OWN_MAX`] of its own, and for more only while there is much.
//! Nor does what others announce in its name: that has room and an allowance of its own. Every
//! announcement leaves by an answer, a failure, an arrival or the end of its peer.

use crate::planted::{Bug, planted};
use crate::primitives::allowance::{Allowance, Rate};
use crate::primitives::{PeerId, Txid};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

/// Announcements of one peer at most: some pools' worth of news between two questions. More are
/// dropped; comparing pools finds what was in them.
pub const PER_PEER_MAX: usize = 4_096;

/// Announcements in all at most, as long as there are no more than 192 peers, 64 of them on live
/// connections of their own, in whose name nobody else speaks: some 9 MB.
pub const WANTED_MAX: usize = SHARED_MAX + 192 * OWN_MAX + 128 * NAMED_MAX;

/// Announcements in all beyond which a peer only has its own places.
const SHARED_MAX: usize = 16_000;

/// Announcements that a peer has room for whatever the others do.
pub const OWN_MAX: usize = 130;

/// Those in its name beside them, by whoever calls from where it is.
pub const NAMED_MAX: usize = 65;

/// Announcements of one peer that are heard, and as many in its name: several times what fits the
/// blocks. Each costs a question; more are dropped. A newcomer may have much to tell, and has as
/// much as can be saved up.
pub const HEARD: Rate = Rate { per_second: 512, saved_max: PER_PEER_MAX };

/// Transfers that are asked for in one go at most.
pub const BATCH_MAX: usize = 512;

/// How long a peer has to give what it was asked for before the next is asked.
pub const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How long a transfer that has come is not asked for again: it may have been refused, and others
/// go on announcing it for a while.
const RECENT_MAX: Duration = Duration::from_secs(60);

/// How often a transfer is fetched again within that time because it came before its turn. Each
/// time those that came with it are nearer to theirs; one that is still too early then is left to
/// the comparison of pools.
const EARLY_MAX: u32 = 4;

/// Transfers that have come and are remembered at most. The oldest gives way: at worst it is
/// fetched twice.
const RECENT_COUNT_MAX: usize = 8_192;

/// A peer in one way of speaking, in a few bytes. Given once, so that nothing late is taken for one
/// that came after.
type Number = u64;

/// Who says that a peer has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// The peer.
    Own,
    /// Someone in its name, maybe the peer.
    Named,
}

/// Both, for what is the same of each.
const WORDS: [Word; 2] = [Word::Own, Word::Named];

impl Word {
    /// Announcements that there is room for, whatever other peers do or while there is much.
    const fn room(self, has_much: bool) -> usize {
        match (has_much, self) {
            (true, _) => PER_PEER_MAX,
            (false, Self::Own) => OWN_MAX,
            (false, Self::Named) => NAMED_MAX,
        }
    }
}

/// A peer's announcements, in one way of speaking.
#[derive(Debug, Default)]
struct Announcer {
    /// What it can be asked for, the first announced first, by a number that grows.
    waiting: BTreeMap<u64, Txid>,
    /// What it was asked for and may still give.
    asked: BTreeSet<Txid>,
    /// Whether it owes an answer.
    is_busy: bool,
}

impl Announcer {
    fn len(&self) -> usize {
        self.waiting.len() + self.asked.len()
    }
}

/// What is remembered of a transfer that has come.
#[derive(Debug, Default)]
struct Came {
    /// Whether it may be asked for again.
    is_open: bool,
    /// How often it was too early.
    early: u32,
}

/// The transfers that have come a moment ago.
#[derive(Debug, Default)]
struct Recent {
    ids: BTreeMap<Txid, Came>,
    order: VecDeque<(Duration, Txid)>,
}

impl Recent {
    fn push(&mut self, id: Txid, now: Duration) {
        if let Some(came) = self.ids.get_mut(&id) {
            came.is_open = false;
            return;
        }
        self.ids.insert(id, Came::default());
        self.order.push_back((now, id));
        if self.order.len() > RECENT_COUNT_MAX {
            self.pop();
        }
    }

    /// Whether nobody is asked for it for now.
    fn is_settled(&self, id: &Txid) -> bool {
        self.ids.get(id).is_some_and(|came| !came.is_open)
    }

    /// It came too early; false if it has done so too often.
    fn reopen(&mut self, id: &Txid) -> bool {
        let Some(came) = self.ids.get_mut(id).filter(|came| came.early < EARLY_MAX) else {
            return false;
        };
        (came.is_open, came.early) = (true, came.early + 1);
        true
    }

    fn reopen_all(&mut self) {
        self.ids.values_mut().for_each(|came| came.is_open = true);
    }

    fn expire(&mut self, now: Duration) {
        while self.order.front().is_some_and(|(came, _)| *came + RECENT_MAX <= now) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.ids.remove(&id);
        }
    }
}

/// Whom transfers were last asked of, or who gave them too early, and until when nobody else is
/// asked.
#[derive(Debug, Default)]
struct Asked {
    ids: HashMap<Txid, (Number, Duration)>,
    /// The same in the order of time: it is looked at whenever something may be due.
    untils: BTreeSet<(Duration, Txid)>,
}

impl Asked {
    fn insert(&mut self, id: Txid, number: Number, until: Duration) {
        self.remove(&id);
        self.ids.insert(id, (number, until));
        self.untils.insert((until, id));
    }

    fn remove(&mut self, id: &Txid) {
        if let Some((_, until)) = self.ids.remove(id) {
            self.untils.remove(&(until, *id));
        }
    }

    fn is_open(&self, id: &Txid, now: Duration) -> bool {
        self.ids.get(id).is_none_or(|(_, until)| *until <= now)
    }

    fn is_of(&self, id: &Txid, number: Number) -> bool {
        self.ids.get(id).is_some_and(|(asked, _)| *asked == number)
    }

    /// The next moment after `now` at which one is open.
    fn next_open(&self, now: Duration) -> Option<Duration> {
        let last = (now, Txid::from_bytes([u8::MAX; 32]));
        let later = (Bound::Excluded(last), Bound::Unbounded);
        self.untils.range(later).next().map(|(until, _)| *until)
    }
}

/// All that is wanted.
#[derive(Debug, Default)]
pub struct Wanted {
    peers: BTreeMap<(PeerId, Word), Number>,
    announcers: BTreeMap<Number, Announcer>,
    /// Who has announced what and has not failed to give it. The value is its place in `waiting`;
    /// `None` once it was asked for it.
    announced: BTreeMap<(Txid, Number), Option<u64>>,
    asked: Asked,
    recent: Recent,
    /// Of those who have announced anything and are there.
    allowances: BTreeMap<(PeerId, Word), Allowance>,
    /// Grows with every announcement and every peer.
    counter: u64,
    /// Whose turn was last.
    turn: Option<(PeerId, Word)>,
}

impl Wanted {
    /// Nothing is wanted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Announcements that are kept.
    pub fn len(&self) -> usize {
        self.announced.len()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.announced.is_empty()
    }

    /// Announcements of this peer that are kept.
    pub fn len_of(&self, peer: &PeerId) -> usize {
        self.announcers_of(peer).map(Announcer::len).sum()
    }

    fn announcers_of(&self, peer: &PeerId) -> impl Iterator<Item = &Announcer> {
        self.numbers(peer).filter_map(|number| self.announcers.get(&number))
    }

    fn numbers(&self, peer: &PeerId) -> impl Iterator<Item = Number> {
        WORDS.iter().filter_map(|word| self.peers.get(&(peer.clone(), *word)).copied())
    }

    /// It was announced that a peer has transfers, none of which should be here. Returns how many
    /// found no room; those that have come a moment ago or that it has announced already are not
    /// counted. Once no more of it is heard the rest is not looked at, nor counted.
    pub fn announce(
        &mut self,
        (peer, word): (&PeerId, Word),
        ids: impl IntoIterator<Item = Txid>,
        now: Duration,
    ) -> usize {
        self.recent.expire(now);
        let speaker = (peer.clone(), word);
        let number = self.number(&speaker);
        let announcer = self.announcers.entry(number).or_default();
        let newcomer = || Allowance::new(HEARD, HEARD.saved_max, now);
        let allowance = self.allowances.entry(speaker).or_insert_with(newcomer);
        let mut dropped = 0;
        for id in ids {
            if !allowance.is_open(now) {
                dropped += 1;
                break;
            }
            let is_known = self.announced.contains_key(&(id, number));
            if is_known || self.recent.is_settled(&id) {
                continue;
            }
            let has_much = self.announced.len() < SHARED_MAX;
            let has_room = if planted(Bug::OrphanFlood) {
                self.announced.len() < PER_PEER_MAX
            } else {
                announcer.len() < word.room(has_much)
            };
            if !has_room {
                dropped += 1;
                continue;
            }
            allowance.charge(1, now);
            self.counter += 1;
            announcer.waiting.insert(self.counter, id);
            self.announced.insert((id, number), Some(self.counter));
        }
        self.drop_idle(number);
        dropped
    }

    fn number(&mut self, speaker: &(PeerId, Word)) -> Number {
        if let Some(number) = self.peers.get(speaker) {
            return *number;
        }
        self.counter += 1;
        self.peers.insert(speaker.clone(), self.counter);
        self.counter
    }

    /// Whom to ask next, and for what, the peers in turn; `is_free` tells who can be asked now.
    /// What came of it is told to [`Self::answered`] or [`Self::failed`]; until then nothing else
    /// is asked of that peer.
    pub fn next(
        &mut self,
        now: Duration,
        is_free: impl Fn(&PeerId) -> bool,
    ) -> Option<(PeerId, Vec<Txid>)> {
        let (speaker, number, places) = self.find_askable(now, is_free)?;
        let announcer = self.announcers.entry(number).or_default();
        let ids: Vec<_> =
            places.iter().filter_map(|place| announcer.waiting.remove(place)).collect();
        announcer.asked.extend(&ids);
        announcer.is_busy = true;
        for id in &ids {
            self.announced.insert((*id, number), None);
            self.asked.insert(*id, number, now + ANSWER_MAX);
        }
        let peer = speaker.0.clone();
        self.turn = Some(speaker);
        Some((peer, ids))
    }

    /// The next peer in turn that may be asked for something, and the places of what it is.
    fn find_askable(
        &self,
        now: Duration,
        is_free: impl Fn(&PeerId) -> bool,
    ) -> Option<((PeerId, Word), Number, Vec<u64>)> {
        let is_later =
            |speaker: &(PeerId, Word)| self.turn.as_ref().is_none_or(|turn| speaker > turn);
        let later = self.peers.iter().filter(|(speaker, _)| is_later(speaker));
        let in_turn = later.chain(self.peers.iter().filter(|(speaker, _)| !is_later(speaker)));
        for (speaker, number) in in_turn.filter(|((peer, _), _)| is_free(peer)) {
            let places = self.askable(*number, now);
            let is_busy = || self.announcers_of(&speaker.0).any(|one| one.is_busy);
            if !places.is_empty() && !is_busy() {
                return Some((speaker.clone(), *number, places));
            }
        }
        None
    }

    fn askable(&self, number: Number, now: Duration) -> Vec<u64> {
        let Some(announcer) = self.announcers.get(&number).filter(|one| !one.is_busy) else {
            return Vec::new();
        };
        let open = announcer.waiting.iter().filter(|(_, id)| self.asked.is_open(id, now));
        open.map(|(place, _)| *place).take(BATCH_MAX).collect()
    }

    /// How long it is until another peer may be asked for what one has not given; `None` if nothing
    /// is under way.
    pub fn due_in(&self, now: Duration) -> Option<Duration> {
        self.asked.next_open(now).map(|until| until - now)
    }

    /// A peer has answered what it was last asked. What it `gave` is here; the rest it does not
    /// have.
    pub fn answered(&mut self, peer: &PeerId, gave: &[Txid], now: Duration) {
        for id in gave {
            self.arrived(id, now);
        }
        self.failed(peer);
    }

    /// A peer has not given what it was last asked for: it is not asked for that again.
    pub fn failed(&mut self, peer: &PeerId) {
        for number in self.numbers(peer).collect::<Vec<_>>() {
            let Some(announcer) = self.announcers.get_mut(&number) else { continue };
            announcer.is_busy = false;
            for id in std::mem::take(&mut announcer.asked) {
                self.announced.remove(&(id, number));
                self.release(&id, number);
            }
            self.drop_idle(number);
        }
    }

    /// What a peer gave came too early: those before it may be under way from others. It is asked
    /// for again when they have had as long to come as an answer may take.
    pub fn put_off(&mut self, peer: &PeerId, ids: &[Txid], now: Duration) {
        let again: Vec<_> = ids.iter().filter(|id| self.recent.reopen(id)).copied().collect();
        // It has given it, so it has it, whoever said so.
        self.announce((peer, Word::Own), again.iter().copied(), now);
        let Some(number) = self.peers.get(&(peer.clone(), Word::Own)).copied() else { return };
        for id in again.into_iter().filter(|id| self.announced.contains_key(&(*id, number))) {
            self.asked.insert(id, number, now + ANSWER_MAX);
        }
    }

    /// The chain has moved on: what was refused for want of coins may be good now, and is fetched
    /// again if it is announced again.
    pub fn forget_recent(&mut self) {
        self.recent.reopen_all();
    }

    /// A transfer is here, or need not come any more: nobody is asked for it for a while.
    pub fn arrived(&mut self, id: &Txid, now: Duration) {
        self.asked.remove(id);
        self.recent.push(*id, now);
        let all = (*id, 0)..=(*id, Number::MAX);
        let of_id: Vec<_> = self.announced.range(all).map(|(key, place)| (*key, *place)).collect();
        for (key, place) in of_id {
            self.announced.remove(&key);
            let announcer = self.announcers.entry(key.1).or_default();
            match place {
                Some(place) => drop(announcer.waiting.remove(&place)),
                None => drop(announcer.asked.remove(id)),
            }
            self.drop_idle(key.1);
        }
    }

    /// A peer is gone, and so is what it has announced.
    pub fn forget(&mut self, peer: &PeerId) {
        for speaker in WORDS.map(|word| (peer.clone(), word)) {
            self.allowances.remove(&speaker);
            let Some(number) = self.peers.remove(&speaker) else { continue };
            let announcer = self.announcers.remove(&number).unwrap_or_default();
            for id in announcer.waiting.values().chain(&announcer.asked) {
                self.announced.remove(&(*id, number));
                self.release(id, number);
            }
        }
    }

    /// Forgets all peers but those who are `there`.
    pub fn keep(&mut self, there: impl Fn(&PeerId) -> bool) {
        let gone = self.allowances.keys().filter(|(peer, _)| !there(peer));
        let gone: Vec<_> = gone.map(|(peer, _)| peer.clone()).collect();
        gone.iter().for_each(|peer| self.forget(peer));
    }

    /// Lets others be asked for what this peer was asked for.
    fn release(&mut self, id: &Txid, number: Number) {
        if self.asked.is_of(id, number) {
            self.asked.remove(id);
        }
    }

    /// Forgets a peer that nothing is wanted of.
    fn drop_idle(&mut self, number: Number) {
        let is_idle = |announcer: &Announcer| announcer.len() == 0 && !announcer.is_busy;
        if self.announcers.get(&number).is_some_and(is_idle) {
            self.announcers.remove(&number);
            self.peers.retain(|_, known| *known != number);
        }
    }
}

#[cfg(test)]
mod tests;
