//! The transfers that peers have announced and that are not here: who is asked for which, and when.
//!
//! Owns the announcements, after Bitcoin Core's `txrequest`. Never asks by itself, knows no clock
//! and no pool: `now` and what has arrived come in.
//!
//! Invariants: a transfer is asked of one peer at a time; whoever does not give it in time is not
//! asked for it again, and the next who announced it is. What one peer announces takes no place from
//! another: each has room for [`OWN_MAX`] of its own, and for more only while there is much. Every announcement leaves by an answer, a failure, an arrival or the end of its peer.

use crate::primitives::{PeerId, Txid};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// Announcements of one peer at most: some pools' worth of news between two questions. More are
/// dropped; comparing pools finds what was in them.
pub const PER_PEER_MAX: usize = 4_096;

/// Announcements in all at most, as long as there are no more than 128 peers: some 9 MB.
pub const WANTED_MAX: usize = SHARED_MAX + 128 * OWN_MAX;

/// Announcements in all beyond which a peer only has its own places.
const SHARED_MAX: usize = 25_000;

/// Announcements that a peer has room for whatever the others do.
pub const OWN_MAX: usize = 195;

/// Transfers that are asked for in one go at most.
pub const BATCH_MAX: usize = 512;

/// How long a peer has to give what it was asked for before the next is asked.
pub const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How long a transfer that has come is not asked for again: it may have been refused, and others
/// go on announcing it for a while.
const RECENT_MAX: Duration = Duration::from_secs(60);

/// Transfers that have come and are remembered at most. The oldest gives way: at worst it is fetched
/// twice.
const RECENT_COUNT_MAX: usize = 8_192;

/// A peer, in a few bytes. Given once, so that nothing late is taken for one that came after.
type Number = u64;

/// A peer's announcements.
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

/// The transfers that have come a moment ago.
#[derive(Debug, Default)]
struct Recent {
    ids: BTreeSet<Txid>,
    order: VecDeque<(Duration, Txid)>,
}

impl Recent {
    fn push(&mut self, id: Txid, now: Duration) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back((now, id));
        if self.order.len() > RECENT_COUNT_MAX {
            self.pop();
        }
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

/// All that is wanted.
#[derive(Debug, Default)]
pub struct Wanted {
    peers: BTreeMap<PeerId, Number>,
    announcers: BTreeMap<Number, Announcer>,
    /// Who has announced what and has not failed to give it. The value is its place in `waiting`;
    /// `None` once it was asked for it.
    announced: BTreeMap<(Txid, Number), Option<u64>>,
    /// Whom a transfer was last asked of, and until when nobody else is.
    asked: HashMap<Txid, (Number, Duration)>,
    recent: Recent,
    /// Grows with every announcement and every peer.
    counter: u64,
    /// Whose turn was last.
    turn: Option<PeerId>,
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
        self.announcer(peer).map_or(0, Announcer::len)
    }

    fn announcer(&self, peer: &PeerId) -> Option<&Announcer> {
        self.announcers.get(self.peers.get(peer)?)
    }

    /// A peer has announced transfers, none of which should be here. Returns how many found no
    /// room; those that have come a moment ago or that it has announced already are not counted.
    pub fn announce(
        &mut self,
        peer: &PeerId,
        ids: impl IntoIterator<Item = Txid>,
        now: Duration,
    ) -> usize {
        self.recent.expire(now);
        let number = self.number(peer);
        let announcer = self.announcers.entry(number).or_default();
        let mut dropped = 0;
        for id in ids {
            let is_known = self.announced.contains_key(&(id, number));
            if is_known || self.recent.ids.contains(&id) {
                continue;
            }
            let has_much = self.announced.len() < SHARED_MAX;
            if announcer.len() >= if has_much { PER_PEER_MAX } else { OWN_MAX } {
                dropped += 1;
                continue;
            }
            self.counter += 1;
            announcer.waiting.insert(self.counter, id);
            self.announced.insert((id, number), Some(self.counter));
        }
        self.drop_idle(number);
        dropped
    }

    fn number(&mut self, peer: &PeerId) -> Number {
        if let Some(number) = self.peers.get(peer) {
            return *number;
        }
        self.counter += 1;
        self.peers.insert(peer.clone(), self.counter);
        self.counter
    }

    /// Whom to ask next, and for what, the peers in turn; `is_free` tells who can be asked now. What
    /// came of it is told to [`Self::answered`] or [`Self::failed`]; until then nothing else is
    /// asked of that peer.
    pub fn next(
        &mut self,
        now: Duration,
        is_free: impl Fn(&PeerId) -> bool,
    ) -> Option<(PeerId, Vec<Txid>)> {
        let (peer, number, places) = self.find_askable(now, is_free)?;
        let announcer = self.announcers.entry(number).or_default();
        let ids: Vec<_> =
            places.iter().filter_map(|place| announcer.waiting.remove(place)).collect();
        announcer.asked.extend(&ids);
        announcer.is_busy = true;
        for id in &ids {
            self.announced.insert((*id, number), None);
            self.asked.insert(*id, (number, now + ANSWER_MAX));
        }
        self.turn = Some(peer.clone());
        Some((peer, ids))
    }

    /// The next peer in turn that may be asked for something, and the places of what it is.
    fn find_askable(
        &self,
        now: Duration,
        is_free: impl Fn(&PeerId) -> bool,
    ) -> Option<(PeerId, Number, Vec<u64>)> {
        let is_later = |peer: &PeerId| self.turn.as_ref().is_none_or(|turn| peer > turn);
        let later = self.peers.iter().filter(|(peer, _)| is_later(peer));
        let in_turn = later.chain(self.peers.iter().filter(|(peer, _)| !is_later(peer)));
        for (peer, number) in in_turn.filter(|(peer, _)| is_free(peer)) {
            let places = self.askable(*number, now);
            if !places.is_empty() {
                return Some((peer.clone(), *number, places));
            }
        }
        None
    }

    fn askable(&self, number: Number, now: Duration) -> Vec<u64> {
        let Some(announcer) = self.announcers.get(&number).filter(|one| !one.is_busy) else {
            return Vec::new();
        };
        let is_open = |id: &Txid| self.asked.get(id).is_none_or(|(_, until)| *until <= now);
        let open = announcer.waiting.iter().filter(|(_, id)| is_open(id));
        open.map(|(place, _)| *place).take(BATCH_MAX).collect()
    }

    /// How long it is until another peer may be asked for what one has not given; `None` if nothing
    /// is under way.
    pub fn due_in(&self, now: Duration) -> Option<Duration> {
        let untils = self.asked.values().map(|(_, until)| *until);
        untils.filter(|until| *until > now).min().map(|until| until - now)
    }

    /// A peer has answered what it was last asked. What it `gave` is here; the rest it does not have.
    pub fn answered(&mut self, peer: &PeerId, gave: &[Txid], now: Duration) {
        for id in gave {
            self.arrived(id, now);
        }
        self.failed(peer);
    }

    /// A peer has not given what it was last asked for: it is not asked for that again.
    pub fn failed(&mut self, peer: &PeerId) {
        let Some(number) = self.peers.get(peer).copied() else { return };
        let Some(announcer) = self.announcers.get_mut(&number) else { return };
        announcer.is_busy = false;
        for id in std::mem::take(&mut announcer.asked) {
            self.announced.remove(&(id, number));
            self.release(&id, number);
        }
        self.drop_idle(number);
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
        let Some(number) = self.peers.remove(peer) else { return };
        let announcer = self.announcers.remove(&number).unwrap_or_default();
        for id in announcer.waiting.values().chain(&announcer.asked) {
            self.announced.remove(&(*id, number));
            self.release(id, number);
        }
    }

    /// Lets others be asked for what this peer was asked for.
    fn release(&mut self, id: &Txid, number: Number) {
        if self.asked.get(id).is_some_and(|(asked, _)| *asked == number) {
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
mod tests {
    use super::*;
    use crate::primitives::hash::sha256;
    use crate::primitives::peer_id::LinkId;
    use proptest::prelude::*;

    fn peer(number: u64) -> PeerId {
        PeerId::Link(LinkId(number))
    }

    fn id(number: u64) -> Txid {
        Txid::from_bytes(sha256(&[&number.to_le_bytes()]))
    }

    fn ids(numbers: std::ops::Range<u64>) -> Vec<Txid> {
        numbers.map(id).collect()
    }

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Who is asked for how many now, when anyone can be.
    fn asked(wanted: &mut Wanted, now: Duration) -> Vec<(PeerId, Vec<Txid>)> {
        std::iter::from_fn(|| wanted.next(now, |_| true)).collect()
    }

    #[test]
    fn one_is_asked_at_a_time_and_the_next_after_two_seconds_or_a_failure() {
        let mut wanted = Wanted::new();
        for number in [1, 2, 3] {
            assert_eq!(wanted.announce(&peer(number), [id(7)], at(0)), 0);
        }
        assert_eq!(asked(&mut wanted, at(0)), [(peer(1), vec![id(7)])]);
        assert_eq!(wanted.due_in(at(500)), Some(at(1_500)));
        assert_eq!(asked(&mut wanted, at(1_999)), []);
        assert_eq!(asked(&mut wanted, at(2_000)), [(peer(2), vec![id(7)])]);
        wanted.failed(&peer(2));
        assert_eq!(asked(&mut wanted, at(2_001)), [(peer(3), vec![id(7)])]);
        // Late, but it is here: nobody is asked any more.
        wanted.answered(&peer(1), &[id(7)], at(2_100));
        assert!(wanted.is_empty() && wanted.due_in(at(2_100)).is_none());
        wanted.answered(&peer(3), &[], at(2_200));
        assert_eq!(wanted.announce(&peer(4), [id(7)], at(2_300)), 0);
        assert_eq!(asked(&mut wanted, at(2_300)), []);
        // After a while it may be wanted again.
        assert_eq!(wanted.announce(&peer(4), [id(7)], at(62_100)), 0);
        assert_eq!(asked(&mut wanted, at(62_100)), [(peer(4), vec![id(7)])]);
    }

    #[test]
    fn who_does_not_give_it_is_not_asked_again_and_may_announce_again() {
        let mut wanted = Wanted::new();
        wanted.announce(&peer(1), ids(0..3), at(0));
        assert_eq!(asked(&mut wanted, at(0)), [(peer(1), ids(0..3))]);
        // While it owes an answer it is asked nothing, not even what it announces meanwhile.
        wanted.announce(&peer(1), ids(3..5), at(1));
        assert_eq!(asked(&mut wanted, at(5_000)), []);
        wanted.answered(&peer(1), &[id(1)], at(5_001));
        assert_eq!(asked(&mut wanted, at(5_001)), [(peer(1), ids(3..5))]);
        wanted.failed(&peer(1));
        assert!(wanted.is_empty());
        wanted.announce(&peer(1), ids(0..2), at(5_002));
        assert_eq!(asked(&mut wanted, at(5_002)), [(peer(1), ids(0..1))]);
        wanted.forget(&peer(1));
        assert!(wanted.is_empty() && wanted.due_in(at(5_003)).is_none());
        // What it says now is of one that is gone.
        wanted.answered(&peer(1), &[], at(5_004));
        assert!(wanted.is_empty());
    }

    #[test]
    fn what_a_peer_leaves_behind_is_asked_of_the_next_at_once() {
        let mut wanted = Wanted::new();
        wanted.announce(&peer(1), ids(0..2), at(0));
        wanted.announce(&peer(2), ids(0..2), at(0));
        assert_eq!(wanted.next(at(0), |_| true), Some((peer(1), ids(0..2))));
        wanted.forget(&peer(1));
        assert_eq!(wanted.next(at(1), |_| true), Some((peer(2), ids(0..2))));
    }

    #[test]
    fn batches_are_bounded_and_peers_take_turns() {
        let mut wanted = Wanted::new();
        let many = BATCH_MAX as u64 + 1;
        wanted.announce(&peer(1), ids(0..many), at(0));
        wanted.announce(&peer(2), ids(0..many), at(0));
        let batches = asked(&mut wanted, at(0));
        assert_eq!(batches, [(peer(1), ids(0..many - 1)), (peer(2), ids(many - 1..many))]);
        assert_eq!(wanted.next(at(9_000), |_| true), None);
        for number in [1, 2] {
            wanted.failed(&peer(number));
        }
        assert_eq!(wanted.next(at(0), |free| *free == peer(1)).unwrap().1.len(), 1);
        assert_eq!(wanted.next(at(0), |_| true).unwrap().1.len(), BATCH_MAX);
    }

    /// Bytes that it takes at most: entries, and half as much again for the nodes of the trees.
    fn bytes(wanted: &Wanted) -> usize {
        let announced = size_of::<((Txid, Number), Option<u64>)>() + size_of::<(u64, Txid)>();
        let asked = size_of::<(Txid, (Number, Duration))>() + size_of::<Txid>();
        let recent = 2 * size_of::<(Duration, Txid)>();
        let entries = wanted.announced.len() * announced + wanted.asked.len() * asked;
        (entries + wanted.recent.order.len() * recent) * 3 / 2
    }

    #[test]
    fn a_flood_stays_small_and_hides_nothing() {
        let mut wanted = Wanted::new();
        let (flooder, honest) = (peer(1), peer(2));
        let mut dropped = 0;
        for start in (0..1_000_000).step_by(1_000) {
            dropped += wanted.announce(&flooder, ids(start..start + 1_000), at(start / 1_000));
            assert!(wanted.len_of(&flooder) <= PER_PEER_MAX && bytes(&wanted) < 8 << 20);
        }
        assert_eq!((wanted.len(), dropped), (PER_PEER_MAX, 1_000_000 - PER_PEER_MAX));
        // Some of it was announced by the flooder first, some is news.
        let own = [ids(0..50), ids(2_000_000..2_000_100)].concat();
        assert_eq!(wanted.announce(&honest, own.clone(), at(1_000)), 0);
        let mut fetched = BTreeSet::new();
        for now in 0..8 {
            let now = at(1_000 + now * 1_000);
            for (asked, batch) in asked(&mut wanted, now) {
                if asked == honest {
                    wanted.answered(&honest, &batch, now);
                    fetched.extend(batch);
                }
            }
        }
        assert_eq!(fetched, own.into_iter().collect());
        assert!(bytes(&wanted) < 8 << 20);
    }

    #[test]
    fn many_floods_leave_room_for_everyone_else() {
        let mut wanted = Wanted::new();
        let flood = |number: u64| ids(number * 10_000..number * 10_000 + 5_000);
        for number in 1..=100 {
            wanted.announce(&peer(number), flood(number), at(0));
        }
        let before: Vec<_> = (1..=100).map(|number| wanted.len_of(&peer(number))).collect();
        for number in 101..=128 {
            let own = OWN_MAX as u64;
            let honest = ids(number * 10_000..number * 10_000 + own);
            assert_eq!(wanted.announce(&peer(number), honest, at(1)), 0, "{number}");
        }
        let after: Vec<_> = (1..=100).map(|number| wanted.len_of(&peer(number))).collect();
        assert_eq!(before, after);
        assert!(wanted.len() <= WANTED_MAX && WANTED_MAX <= 50_000);
        assert!(bytes(&wanted) < 16 << 20, "{}", bytes(&wanted));
        for number in 1..=128 {
            wanted.forget(&peer(number));
        }
        assert!(wanted.announced.is_empty() && wanted.asked.is_empty() && wanted.peers.is_empty());
        assert!(wanted.announcers.is_empty());
    }

    #[test]
    fn what_has_come_is_remembered_within_bounds() {
        let mut wanted = Wanted::new();
        for number in 0..2 * RECENT_COUNT_MAX as u64 {
            wanted.arrived(&id(number), at(0));
            wanted.arrived(&id(number), at(0));
        }
        assert_eq!([wanted.recent.ids.len(), wanted.recent.order.len()], [RECENT_COUNT_MAX; 2]);
        wanted.announce(&peer(1), ids(0..1), at(1));
        assert_eq!(wanted.len(), 1, "the oldest are forgotten");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Announce(u64, u64),
        Next,
        Answer(u64, u64),
        Fail(u64),
        Arrive(u64),
        Forget(u64),
        Wait(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..4_u64, 0..8_u64).prop_map(|(peer, id)| Step::Announce(peer, id)),
            3 => Just(Step::Next),
            1 => (0..4_u64, 0..8_u64).prop_map(|(peer, id)| Step::Answer(peer, id)),
            1 => (0..4_u64).prop_map(Step::Fail),
            1 => (0..8_u64).prop_map(Step::Arrive),
            1 => (0..4_u64).prop_map(Step::Forget),
            1 => (0..3_000_u64).prop_map(Step::Wait),
        ]
    }

    fn check(wanted: &Wanted) {
        let kept: usize = wanted.announcers.values().map(Announcer::len).sum();
        assert_eq!(kept, wanted.announced.len());
        assert_eq!(wanted.peers.len(), wanted.announcers.len());
        for (number, announcer) in &wanted.announcers {
            for (place, id) in &announcer.waiting {
                assert_eq!(wanted.announced[&(*id, *number)], Some(*place));
            }
            for id in &announcer.asked {
                assert_eq!(wanted.announced[&(*id, *number)], None);
            }
        }
        for (id, (number, _)) in &wanted.asked {
            assert!(wanted.announcers[number].asked.contains(id));
        }
    }

    proptest! {
        #[test]
        fn the_indexes_agree_whatever_happens(steps in prop::collection::vec(any_step(), 0..60)) {
            let (mut wanted, mut now) = (Wanted::new(), at(0));
            for step in steps {
                match step {
                    Step::Announce(from, number) => drop(wanted.announce(&peer(from), ids(number..number + 3), now)),
                    Step::Next => drop(wanted.next(now, |_| true)),
                    Step::Answer(from, number) => wanted.answered(&peer(from), &[id(number)], now),
                    Step::Fail(from) => wanted.failed(&peer(from)),
                    Step::Arrive(number) => wanted.arrived(&id(number), now),
                    Step::Forget(from) => wanted.forget(&peer(from)),
                    Step::Wait(millis) => now += at(millis),
                }
                check(&wanted);
            }
        }
    }
}
