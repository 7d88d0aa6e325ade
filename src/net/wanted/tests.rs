//! What is wanted, with announcers that are honest, silent or many.

use super::Word::{Named, Own};
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
        assert_eq!(wanted.announce((&peer(number), Own), [id(7)], at(0)), 0);
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
    assert_eq!(wanted.announce((&peer(4), Own), [id(7)], at(2_300)), 0);
    assert_eq!(asked(&mut wanted, at(2_300)), []);
    // After a while it may be wanted again.
    assert_eq!(wanted.announce((&peer(4), Own), [id(7)], at(62_100)), 0);
    assert_eq!(asked(&mut wanted, at(62_100)), [(peer(4), vec![id(7)])]);
}

#[test]
fn what_came_too_early_is_asked_for_again_a_few_times() {
    let mut wanted = Wanted::new();
    wanted.announce((&peer(1), Own), ids(0..3), at(0));
    for turn in 0..=u64::from(EARLY_MAX) {
        let now = at(turn * 2_100);
        assert_eq!(asked(&mut wanted, now), [(peer(1), ids(0..3))], "{turn}");
        wanted.answered(&peer(1), &ids(0..3), now);
        wanted.put_off(&peer(1), &ids(0..3), now);
        // Who announces it meanwhile is not asked before its time either.
        wanted.announce((&peer(2), Own), ids(0..1), now + at(1_999));
        assert_eq!(asked(&mut wanted, now + at(1_999)), [], "{turn}");
        wanted.forget(&peer(2));
    }
    assert!(wanted.is_empty() && wanted.due_in(at(10_600)).is_none());
    wanted.announce((&peer(2), Own), ids(0..3), at(59_999));
    assert!(wanted.is_empty(), "nobody is asked for what stays too early");
    wanted.announce((&peer(2), Own), ids(0..3), at(60_000));
    assert_eq!(wanted.len(), 3);
}

#[test]
fn a_new_block_lets_nothing_come_too_early_more_often() {
    let (mut wanted, mut fetched) = (Wanted::new(), 0);
    wanted.announce((&peer(1), Own), ids(0..1), at(0));
    for now in (0..59).map(|second| at(second * 1_000)) {
        wanted.forget_recent();
        for (from, batch) in asked(&mut wanted, now) {
            fetched += 1;
            wanted.answered(&from, &batch, now);
            wanted.put_off(&from, &batch, now);
        }
    }
    assert_eq!(fetched, 1 + EARLY_MAX);
}

#[test]
fn who_does_not_give_it_is_not_asked_again_and_may_announce_again() {
    let mut wanted = Wanted::new();
    wanted.announce((&peer(1), Own), ids(0..3), at(0));
    assert_eq!(asked(&mut wanted, at(0)), [(peer(1), ids(0..3))]);
    // While it owes an answer it is asked nothing, not even what it announces meanwhile.
    wanted.announce((&peer(1), Own), ids(3..5), at(1));
    assert_eq!(asked(&mut wanted, at(5_000)), []);
    wanted.answered(&peer(1), &[id(1)], at(5_001));
    assert_eq!(asked(&mut wanted, at(5_001)), [(peer(1), ids(3..5))]);
    wanted.failed(&peer(1));
    assert!(wanted.is_empty());
    wanted.announce((&peer(1), Own), ids(0..2), at(5_002));
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
    wanted.announce((&peer(1), Own), ids(0..2), at(0));
    wanted.announce((&peer(2), Own), ids(0..2), at(0));
    assert_eq!(wanted.next(at(0), |_| true), Some((peer(1), ids(0..2))));
    wanted.forget(&peer(1));
    assert_eq!(wanted.next(at(1), |_| true), Some((peer(2), ids(0..2))));
}

#[test]
fn batches_are_bounded_and_peers_take_turns() {
    let mut wanted = Wanted::new();
    let many = BATCH_MAX as u64 + 1;
    wanted.announce((&peer(1), Own), ids(0..many), at(0));
    wanted.announce((&peer(2), Own), ids(0..many), at(0));
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
    let asked = size_of::<(Txid, (Number, Duration))>() + 2 * size_of::<(Duration, Txid)>();
    let recent = 2 * size_of::<(Duration, Txid)>();
    let entries = wanted.announced.len() * announced + wanted.asked.ids.len() * asked;
    (entries + wanted.recent.order.len() * recent) * 3 / 2
}

#[test]
fn a_flood_stays_small_and_hides_nothing() {
    let mut wanted = Wanted::new();
    let (flooder, honest) = (peer(1), peer(2));
    let mut dropped = 0;
    for start in (0..1_000_000).step_by(1_000) {
        dropped += wanted.announce((&flooder, Own), ids(start..start + 1_000), at(start / 1_000));
        assert!(wanted.len_of(&flooder) <= PER_PEER_MAX && bytes(&wanted) < 8 << 20);
    }
    assert_eq!((wanted.len(), dropped), (PER_PEER_MAX, 1_000_000 - PER_PEER_MAX));
    // Some of it was announced by the flooder first, some is news.
    let own = [ids(0..50), ids(2_000_000..2_000_100)].concat();
    assert_eq!(wanted.announce((&honest, Own), own.clone(), at(1_000)), 0);
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
fn who_announces_without_end_is_heard_at_a_rate() {
    let (mut wanted, mut heard) = (Wanted::new(), 0);
    for turn in 0..100 {
        let now = at(turn / 10 * 1_000);
        wanted.announce((&peer(1), Own), ids(turn * 1_000..(turn + 1) * 1_000), now);
        // It gives nothing, at once, so there is always room for more.
        while let Some((_, asked)) = wanted.next(now, |_| true) {
            heard += asked.len();
            wanted.answered(&peer(1), &[], now);
        }
    }
    assert_eq!(heard, PER_PEER_MAX + 9 * HEARD.per_second);
    assert_eq!(wanted.announce((&peer(2), Own), ids(0..1_000), at(9_000)), 0, "another is heard");
}

#[test]
fn what_others_say_in_a_peers_name_takes_nothing_from_it() {
    let mut wanted = Wanted::new();
    let fill = ids(900_000..900_000 + SHARED_MAX as u64);
    for is_crowded in [false, true] {
        if is_crowded {
            for (number, part) in (10..).zip(fill.chunks(PER_PEER_MAX)) {
                assert_eq!(wanted.announce((&peer(number), Own), part.to_vec(), at(0)), 0);
            }
        }
        let now = at(100_000);
        let (has, named) =
            if is_crowded { (OWN_MAX, NAMED_MAX) } else { (PER_PEER_MAX, PER_PEER_MAX) };
        assert!(wanted.announce((&peer(1), Named), ids(0..10_000), now) > 0);
        assert_eq!(wanted.len_of(&peer(1)), named);
        let own = ids(10_000..10_000 + has as u64);
        assert_eq!(wanted.announce((&peer(1), Own), own.clone(), now), 0);
        assert_eq!(wanted.announce((&peer(1), Own), ids(50_000..50_001), now), 1);
        // One question at a time, and its own are not asked for last.
        let mut found = Vec::new();
        for turn in 1..=2 * has.div_ceil(BATCH_MAX) {
            let (_, batch) = wanted.next(now, |one| *one == peer(1)).unwrap();
            assert_eq!(wanted.next(now, |one| *one == peer(1)), None, "{turn}");
            found.extend(batch.iter().filter(|id| own.contains(id)).copied());
            wanted.answered(&peer(1), &[], now);
        }
        assert_eq!(found, own);
        wanted.forget(&peer(1));
        assert_eq!(wanted.len_of(&peer(1)), 0);
    }
}

#[test]
fn who_speaks_in_a_name_is_heard_at_a_rate_and_forgotten_with_it() {
    let mut wanted = Wanted::new();
    let mut heard = |word, start: u64, now| {
        wanted.announce((&peer(1), word), ids(start..start + 5_000), now);
        let count = wanted.len_of(&peer(1));
        asked(&mut wanted, now);
        while !wanted.is_empty() {
            wanted.failed(&peer(1));
            asked(&mut wanted, now);
        }
        count
    };
    for (word, start, now, expected) in [
        (Named, 0, at(0), PER_PEER_MAX),
        (Named, 5_000, at(0), 0),
        (Own, 10_000, at(0), PER_PEER_MAX),
        (Named, 15_000, at(1_000), HEARD.per_second),
        (Own, 20_000, at(1_000), HEARD.per_second),
    ] {
        assert_eq!(heard(word, start, now), expected, "{word:?} {start}");
    }
    assert_eq!(wanted.allowances.len(), 2);
    wanted.keep(|_| false);
    assert!(wanted.allowances.is_empty() && wanted.peers.is_empty());
}

#[test]
fn many_floods_leave_room_for_everyone_else() {
    let mut wanted = Wanted::new();
    let flood = |number: u64| ids(number * 10_000..number * 10_000 + 5_000);
    for number in 1..=100 {
        wanted.announce((&peer(number), Own), flood(number), at(0));
    }
    let before: Vec<_> = (1..=100).map(|number| wanted.len_of(&peer(number))).collect();
    for number in 101..=192 {
        let own = OWN_MAX as u64;
        let honest = ids(number * 10_000..number * 10_000 + own);
        assert_eq!(wanted.announce((&peer(number), Own), honest, at(1)), 0, "{number}");
    }
    let after: Vec<_> = (1..=100).map(|number| wanted.len_of(&peer(number))).collect();
    assert_eq!(before, after);
    assert!(wanted.len() <= WANTED_MAX && WANTED_MAX <= 50_000);
    assert!(bytes(&wanted) < 16 << 20, "{}", bytes(&wanted));
    for number in 1..=192 {
        wanted.forget(&peer(number));
    }
    assert!(wanted.announced.is_empty() && wanted.asked.ids.is_empty() && wanted.peers.is_empty());
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
    wanted.announce((&peer(1), Own), ids(0..1), at(1));
    assert_eq!(wanted.len(), 1, "the oldest are forgotten");
}

#[derive(Clone, Debug)]
enum Step {
    Announce(u64, Word, u64),
    Next,
    Answer(u64, u64),
    PutOff(u64, u64),
    Fail(u64),
    Arrive(u64),
    Forget(u64),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_u64, 0..8_u64).prop_map(|(peer, id)| Step::Announce(peer, Own, id)),
        1 => (0..4_u64, 0..8_u64).prop_map(|(peer, id)| Step::Announce(peer, Named, id)),
        3 => Just(Step::Next),
        1 => (0..4_u64, 0..8_u64).prop_map(|(peer, id)| Step::Answer(peer, id)),
        1 => (0..4_u64, 0..8_u64).prop_map(|(peer, id)| Step::PutOff(peer, id)),
        1 => (0..4_u64).prop_map(Step::Fail),
        1 => (0..8_u64).prop_map(Step::Arrive),
        1 => (0..4_u64).prop_map(Step::Forget),
        1 => (0..3_000_u64).prop_map(Step::Wait),
    ]
}

fn check(wanted: &Wanted, now: Duration) {
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
    for (id, (number, until)) in &wanted.asked.ids {
        assert!(wanted.announced.contains_key(&(*id, *number)));
        assert!(wanted.asked.untils.contains(&(*until, *id)));
    }
    assert_eq!(wanted.asked.ids.len(), wanted.asked.untils.len());
    let untils = wanted.asked.ids.values().filter(|(_, until)| *until > now);
    let due = untils.map(|(_, until)| *until - now).min();
    assert_eq!(wanted.due_in(now), due);
}

proptest! {
    #[test]
    fn the_indexes_agree_whatever_happens(steps in prop::collection::vec(any_step(), 0..60)) {
        let (mut wanted, mut now) = (Wanted::new(), at(0));
        for step in steps {
            match step {
                Step::Announce(from, word, number) => drop(wanted.announce((&peer(from), word), ids(number..number + 3), now)),
                Step::Next => drop(wanted.next(now, |_| true)),
                Step::Answer(from, number) => wanted.answered(&peer(from), &[id(number)], now),
                Step::PutOff(from, number) => wanted.put_off(&peer(from), &ids(number..number + 3), now),
                Step::Fail(from) => wanted.failed(&peer(from)),
                Step::Arrive(number) => wanted.arrived(&id(number), now),
                Step::Forget(from) => wanted.forget(&peer(from)),
                Step::Wait(millis) => now += at(millis),
            }
            check(&wanted, now);
        }
    }
}

#[test]
fn what_those_announced_who_are_gone_takes_no_place() {
    let mut wanted = Wanted::new();
    for number in 0..7 {
        wanted.announce((&peer(number), Own), ids(number * 10_000..number * 10_000 + 4_000), at(0));
    }
    assert!(wanted.announce((&peer(9), Own), ids(100_000..100_500), at(1)) > 0, "it is full");
    wanted.keep(|known| *known == peer(9));
    assert_eq!((wanted.len(), wanted.len_of(&peer(0))), (wanted.len_of(&peer(9)), 0));
    assert_eq!(wanted.announce((&peer(9), Own), ids(100_000..100_500), at(2)), 0);
}
