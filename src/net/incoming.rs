//! Blocks that were announced and are on their way: who is asked for what. No clock, no network, no
//! threads.
//!
//! Owns the announcements of blocks whose headers are good and whose bodies are missing. What does
//! not come this way is left to the sync, which finds it by the headers; so everything here may give
//! up at any time.
//!
//! Invariants: a block is asked of one peer at a time unless that one stalls, of each peer once in
//! each form, and what it takes is bounded by [`BLOCKS_MAX`] blocks in compact form. Whoever comes to
//! us by itself takes nobody's place whom we have called, and no block waits longer than [`LATE`]
//! for those who have announced it.

use super::compact::Reconstruction;
use crate::primitives::{BlockHash, PeerId};
use crate::wire::Question;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Blocks on their way at most; more are left to the sync.
pub const BLOCKS_MAX: usize = 16;

/// Peers that are remembered to have a block at most, of those that are called at their addresses
/// and of those that have come by themselves.
const ANNOUNCERS_MAX: usize = 3;

/// How long one peer is waited for before the next is asked as well.
const STALL: Duration = Duration::from_secs(1);

/// How long after its first announcement a block is left to the sync as well: everybody who was
/// asked may be lying.
pub const LATE: Duration = Duration::from_secs(4);

/// In which form a block is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// In compact form.
    Compact,
    /// Its transfers at these places.
    Missing(Vec<u32>),
    /// Whole.
    Whole,
}

impl Form {
    /// What is asked.
    pub fn question(&self, block: BlockHash) -> Question {
        match self {
            Self::Compact => Question::Compact { block },
            Self::Missing(indexes) => Question::BlockTransfers { block, indexes: indexes.clone() },
            Self::Whole => Question::Blocks { hashes: vec![block] },
        }
    }

    /// Each comes after those of a lower rank.
    const fn rank(&self) -> u8 {
        match self {
            Self::Compact => 1,
            Self::Missing(_) => 2,
            Self::Whole => 3,
        }
    }
}

/// A block on its way.
#[derive(Debug, Default)]
struct Arriving {
    /// The first few who have said that they have it.
    heard: Vec<PeerId>,
    /// Those among them who have not been asked.
    announcers: VecDeque<PeerId>,
    /// What is to be asked next of those who were.
    next: VecDeque<(PeerId, Form)>,
    /// The last form in which each was asked, by its rank.
    asked: BTreeMap<PeerId, u8>,
    /// What is there of it, for the peer that is asked for the rest.
    open: BTreeMap<PeerId, Reconstruction>,
    /// Calls under way, and when the last began.
    calls: usize,
    since: Duration,
    /// Before this nobody is asked.
    not_before: Duration,
    /// When it was first announced, and whether the sync looks for it since.
    heard_at: Duration,
    is_late: bool,
}

/// All blocks on their way.
#[derive(Debug, Default)]
pub struct Incoming(BTreeMap<BlockHash, Arriving>);

impl Incoming {
    /// A peer has a block that is wanted; false if there is no room.
    pub fn announced(&mut self, hash: BlockHash, peer: &PeerId, now: Duration) -> bool {
        if !self.0.contains_key(&hash) && self.0.len() >= BLOCKS_MAX {
            return false;
        }
        let new = || Arriving { heard_at: now, ..Arriving::default() };
        self.0.entry(hash).or_insert_with(new).announced(peer);
        true
    }

    /// Gives up what is late and asked of nobody; true if the sync is to look for a block that has
    /// become late.
    pub fn any_late(&mut self, now: Duration) -> bool {
        let mut found = false;
        self.0.retain(|_, arriving| {
            let is_late = now.saturating_sub(arriving.heard_at) >= LATE;
            found |= is_late && !arriving.is_late;
            arriving.is_late = is_late;
            !is_late || arriving.calls > 0
        });
        found
    }

    /// What to ask next, of one of those who are free.
    pub fn next(
        &mut self,
        now: Duration,
        is_free: impl Fn(&PeerId) -> bool,
    ) -> Option<(PeerId, BlockHash, Form)> {
        self.0.iter_mut().find_map(|(hash, arriving)| {
            let (peer, form) = arriving.pop(now, &is_free)?;
            (arriving.calls, arriving.since) = (arriving.calls + 1, now);
            Some((peer, *hash, form))
        })
    }

    /// A call for a block has ended; true if nobody is left to ask, and it is given up.
    pub fn ended(&mut self, hash: &BlockHash) -> bool {
        let Some(arriving) = self.0.get_mut(hash) else { return false };
        arriving.calls = arriving.calls.saturating_sub(1);
        let is_over = arriving.calls == 0 && arriving.next.is_empty();
        let is_given_up = is_over && arriving.announcers.is_empty();
        if is_given_up {
            self.0.remove(hash);
        }
        is_given_up
    }

    /// A part of a block is here, and its peer is to be asked for the rest.
    pub fn open(&mut self, hash: BlockHash, peer: &PeerId, open: Reconstruction) {
        let Some(arriving) = self.0.get_mut(&hash) else { return };
        let form = Form::Missing(open.missing().to_vec());
        arriving.open.insert(peer.clone(), open);
        arriving.ask(peer, form);
    }

    /// What is there of a block that this peer was asked for the rest of.
    pub fn take_open(&mut self, hash: &BlockHash, peer: &PeerId) -> Option<Reconstruction> {
        self.0.get_mut(hash)?.open.remove(peer)
    }

    /// The compact form has led to nothing: its peer is to be asked for the whole block.
    pub fn want_whole(&mut self, hash: &BlockHash, peer: &PeerId) {
        if let Some(arriving) = self.0.get_mut(hash) {
            arriving.ask(peer, Form::Whole);
        }
    }

    /// A block is here, and the owner has no time for it: a little later whoever gave it is asked again,
    /// or one of the others who have announced it.
    pub fn put_back(&mut self, hash: &BlockHash, peer: &PeerId, now: Duration) {
        if let Some(arriving) = self.0.get_mut(hash) {
            arriving.not_before = now + STALL;
            arriving.asked.remove(peer);
            if arriving.heard.contains(peer) && !arriving.announcers.contains(peer) {
                arriving.announcers.push_front(peer.clone());
            }
        }
    }

    /// A block is here, or not wanted any more.
    pub fn done(&mut self, hash: &BlockHash) {
        self.0.remove(hash);
    }

    /// How long there is nothing to ask unless an answer comes; `None` if that will not change.
    pub fn due_in(&self, now: Duration) -> Option<Duration> {
        let waiting = self.0.values().filter(|arriving| !arriving.announcers.is_empty());
        let stalls = waiting.map(|arriving| arriving.not_before.max(arriving.since + STALL));
        let early = self.0.values().filter(|arriving| !arriving.is_late);
        let due = stalls.chain(early.map(|arriving| arriving.heard_at + LATE));
        due.filter(|due| *due > now).min().map(|due| due - now)
    }
}

impl Arriving {
    fn announced(&mut self, peer: &PeerId) {
        let is_called = |peer: &PeerId| peer.address().is_some();
        let alike = self.heard.iter().filter(|known| is_called(known) == is_called(peer));
        if alike.count() >= ANNOUNCERS_MAX || self.heard.contains(peer) {
            return;
        }
        self.heard.push(peer.clone());
        if !self.asked.contains_key(peer) {
            // Whoever is called comes before those who have come by themselves.
            let first_other = self.announcers.iter().position(|known| !is_called(known));
            let place = first_other.filter(|_| is_called(peer)).unwrap_or(self.announcers.len());
            self.announcers.insert(place, peer.clone());
        }
    }

    /// Whoever tells the same again is not asked for it again.
    fn ask(&mut self, peer: &PeerId, form: Form) {
        if self.asked.get(peer).is_some_and(|rank| *rank >= form.rank()) {
            return;
        }
        self.asked.insert(peer.clone(), form.rank());
        self.announcers.retain(|known| known != peer);
        self.next.push_back((peer.clone(), form));
    }

    fn pop(&mut self, now: Duration, is_free: &impl Fn(&PeerId) -> bool) -> Option<(PeerId, Form)> {
        if now < self.not_before {
            return None;
        }
        if let Some(place) = self.next.iter().position(|(peer, _)| is_free(peer)) {
            return self.next.remove(place);
        }
        let is_waited_for = self.calls > 0 || !self.next.is_empty();
        if is_waited_for && now.saturating_sub(self.since) < STALL {
            return None;
        }
        let place = self.announcers.iter().position(is_free)?;
        let peer = self.announcers.remove(place)?;
        self.asked.insert(peer.clone(), Form::Compact.rank());
        Some((peer, Form::Compact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::LinkId;

    fn at(port: u16) -> PeerId {
        PeerId::At(format!("127.0.0.1:{port}").parse().unwrap())
    }

    fn hash(number: u8) -> BlockHash {
        BlockHash::from_bytes([number; 32])
    }

    const NOW: Duration = Duration::from_secs(10);

    #[test]
    fn one_is_asked_and_the_next_when_it_fails_or_stalls() {
        let mut incoming = Incoming::default();
        (1..=5).for_each(|port| assert!(incoming.announced(hash(1), &at(port), NOW)));
        let (peer, _, form) = incoming.next(NOW, |_| true).unwrap();
        assert_eq!((peer, form), (at(1), Form::Compact));
        assert!(incoming.next(NOW, |_| true).is_none());
        assert_eq!(incoming.due_in(NOW), Some(STALL));
        assert!(!incoming.ended(&hash(1)));
        let (peer, ..) = incoming.next(NOW, |peer| *peer != at(2)).unwrap();
        assert_eq!(peer, at(3));
        let (peer, ..) = incoming.next(NOW + STALL, |_| true).unwrap();
        assert_eq!(peer, at(2));
        assert!(!incoming.ended(&hash(1)) && incoming.ended(&hash(1)), "three, then the sync");
        assert!(incoming.next(NOW + 2 * STALL, |_| true).is_none());
    }

    #[test]
    fn what_cannot_be_rebuilt_is_asked_whole_of_the_same_peer() {
        let mut incoming = Incoming::default();
        incoming.announced(hash(1), &at(1), NOW);
        incoming.next(NOW, |_| true).unwrap();
        incoming.want_whole(&hash(1), &at(1));
        assert!(!incoming.ended(&hash(1)));
        assert_eq!(incoming.next(NOW, |_| true).unwrap(), (at(1), hash(1), Form::Whole));
        incoming.done(&hash(1));
        assert!(!incoming.ended(&hash(1)));
    }

    #[test]
    fn who_comes_by_itself_and_gives_nothing_holds_up_no_block() {
        let mut incoming = Incoming::default();
        let liar = |number| PeerId::Link(LinkId(number));
        (1..=9).for_each(|number| assert!(incoming.announced(hash(1), &liar(number), NOW)));
        assert!(incoming.announced(hash(1), &at(1), NOW));
        let (peer, ..) = incoming.next(NOW, |_| true).unwrap();
        assert_eq!(peer, at(1), "it is called, the others have come");
        assert!(!incoming.any_late(NOW) && !incoming.any_late(NOW + STALL));
        assert!(incoming.any_late(NOW + LATE), "the sync looks for it");
        assert!(!incoming.any_late(NOW + LATE), "once");
        assert!(!incoming.ended(&hash(1)), "it can still be had of others");
        assert!(!incoming.any_late(NOW + LATE) && incoming.0.is_empty(), "none of whom is there");
    }

    #[test]
    fn who_tells_the_same_again_is_asked_once_in_each_form() {
        let mut incoming = Incoming::default();
        incoming.announced(hash(1), &at(1), NOW);
        incoming.announced(hash(1), &at(2), NOW);
        for _ in 0..9 {
            incoming.want_whole(&hash(1), &at(1));
        }
        assert_eq!(incoming.next(NOW, |_| true), Some((at(1), hash(1), Form::Whole)));
        incoming.want_whole(&hash(1), &at(1));
        let (peer, ..) = incoming.next(NOW + STALL, |_| true).unwrap();
        assert_eq!(peer, at(2));
        assert!(incoming.next(NOW + 2 * STALL, |_| true).is_none());
    }

    #[test]
    fn what_the_owner_has_no_time_for_is_asked_again_a_little_later() {
        let mut incoming = Incoming::default();
        (1..=2).for_each(|port| assert!(incoming.announced(hash(1), &at(port), NOW)));
        incoming.next(NOW, |_| true).unwrap();
        incoming.put_back(&hash(1), &at(1), NOW);
        assert!(!incoming.ended(&hash(1)), "it can still be had");
        assert!(incoming.next(NOW, |_| true).is_none(), "a little later");
        assert_eq!(incoming.due_in(NOW), Some(STALL));
        for port in [1, 2] {
            let (peer, _, form) = incoming.next(NOW + STALL, |_| true).unwrap();
            assert_eq!((peer, form), (at(port), Form::Compact));
            assert!(!incoming.ended(&hash(1)) || port == 2);
        }
    }

    #[test]
    fn no_more_blocks_are_on_their_way_than_there_is_room_for() {
        let mut incoming = Incoming::default();
        let room = u8::try_from(BLOCKS_MAX).unwrap();
        (0..room).for_each(|number| assert!(incoming.announced(hash(number), &at(1), NOW)));
        assert!(!incoming.announced(hash(room), &at(1), NOW));
        assert!(incoming.announced(hash(0), &at(2), NOW));
    }
}
