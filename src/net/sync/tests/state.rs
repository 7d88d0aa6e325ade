//! When a node says that it is synced: silence is no agreement.

use super::*;
use crate::net::sync::presync::{Presync, Stem};
use crate::net::table::{HEARD_FOR, Task};
use crate::primitives::{U256, Work};
use crate::wire::PeerRecord;

impl Bench {
    fn id(port: u16) -> PeerId {
        at(port).into()
    }

    fn add(&mut self, port: u16) {
        self.table.add_manual(&at(port));
    }

    /// A peer that was added says that it has no more than genesis.
    fn agree(&mut self, port: u16) {
        self.add(port);
        let said = said(&TestChain::dev(), UnixTime(1_000));
        self.table.introduce(&Self::id(port), &said, at_time(self.now));
    }

    /// A peer that nobody added says that it has more.
    fn learn(&mut self, port: u16) {
        let said = said(&self.theirs, UnixTime(1_000));
        assert!(self.table.take_in(&at(port), &said, at_time(self.now)));
    }

    /// A peer that nobody added says that it has no more than genesis.
    fn learn_of_an_equal(&mut self, port: u16) {
        let said = said(&TestChain::dev(), UnixTime(1_000));
        assert!(self.table.take_in(&at(port), &said, at_time(self.now)));
    }

    /// A peer of the last run.
    fn remember(&mut self, port: u16) {
        self.table.restore(&PeerRecord::new(at(port)), at_time(self.now)).unwrap();
    }

    /// A peer says once more that it has more.
    fn meet(&mut self, port: u16) {
        let said = said(&self.theirs, UnixTime(1_000));
        self.table.introduce(&Self::id(port), &said, at_time(self.now));
    }

    fn fall_silent(&mut self, port: u16) {
        self.table.fail(&Self::id(port), "no answer in time".to_owned(), self.now);
    }

    /// Whoever is asked for headers next does not answer.
    fn ask_in_vain(&mut self) {
        let asked = self.asked_for_headers().unwrap();
        self.give_of(&asked, HeadersGiven::Nothing("no answer in time".to_owned()));
        self.sync.request();
    }

    /// Whoever is asked for headers gives them, and nobody gives bodies.
    fn withhold_bodies(&mut self) {
        for asked in self.asked() {
            self.give(&asked, Err(Fault::LetDown("no answer in time".to_owned())));
        }
        assert!(self.asked().is_empty());
    }
}

/// What has happened, and what the node says then.
type Case = (&'static str, fn(&mut Bench), SyncState);

fn check(cases: &[Case]) {
    for (name, happen, expected) in cases {
        let mut bench = Bench::new(30, 1..1);
        happen(&mut bench);
        assert_eq!(bench.sync_state(), *expected, "{name}");
    }
}

#[test]
fn nobody_who_answers_is_nobody_who_agrees() {
    check(&[
        ("alone", |_| {}, SyncState::Synced),
        ("seeds that were not reached", |b| b.has_seeds = true, SyncState::Unanswered),
        ("not asked yet", |b| b.add(1), SyncState::Asking),
        (
            "one was not asked yet",
            |b| {
                b.agree(1);
                b.add(2);
            },
            SyncState::Asking,
        ),
        (
            "the only one does not answer",
            |b| {
                b.add(1);
                b.fall_silent(1);
            },
            SyncState::Unanswered,
        ),
        (
            "the only one is of another chain",
            |b| {
                b.add(1);
                b.table.refuse(&Bench::id(1), "another chain".to_owned(), b.now);
            },
            SyncState::Unanswered,
        ),
        (
            "the only one is this very node",
            |b| {
                b.add(1);
                let Ok(Task::Exchange(target)) = b.table.next(b.now) else { panic!("due") };
                b.table.found_own(&target, "itself".to_owned(), b.now);
            },
            SyncState::Synced,
        ),
    ]);
}

#[test]
fn one_who_agrees_is_enough_whoever_that_is() {
    check(&[
        ("one agrees", |b| b.agree(1), SyncState::Synced),
        (
            "one agrees, the other does not answer",
            |b| {
                b.agree(1);
                b.add(2);
                b.fall_silent(2);
            },
            SyncState::Synced,
        ),
        (
            "all seeds are dead and one stranger agrees",
            |b| {
                b.has_seeds = true;
                b.learn_of_an_equal(1);
            },
            SyncState::Synced,
        ),
        (
            "those that were added are dead and one stranger agrees",
            |b| {
                b.add(1);
                b.fall_silent(1);
                b.learn_of_an_equal(2);
            },
            SyncState::Synced,
        ),
        (
            "one has agreed just now",
            |b| {
                b.agree(1);
                b.fall_silent(1);
                b.now += HEARD_FOR;
            },
            SyncState::Synced,
        ),
        (
            "one has agreed some time ago",
            |b| {
                b.agree(1);
                b.fall_silent(1);
                b.now += HEARD_FOR + Duration::from_secs(1);
            },
            SyncState::Unanswered,
        ),
    ]);
}

#[test]
fn who_was_a_peer_once_is_waited_for_while_nobody_agrees() {
    check(&[
        (
            "one of the last run waits for its turn",
            |b| {
                let record = PeerRecord { failures: 9, ..PeerRecord::new(at(1)) };
                let record = PeerRecord { last_tried: UnixTime(1_000), ..record };
                b.table.restore(&record, at_time(b.now)).unwrap();
            },
            SyncState::Synced,
        ),
        ("some of the last run were not asked yet", |b| b.remember(1), SyncState::Asking),
        (
            "one agrees, and some of the last run were not asked yet",
            |b| {
                b.agree(2);
                b.remember(1);
            },
            SyncState::Synced,
        ),
    ]);
}

#[test]
fn what_a_peer_of_a_person_has_said_counts_while_it_is_silent() {
    check(&[
        ("it says so", |b| b.join(1), SyncState::Behind),
        (
            "and does not answer any more",
            |b| {
                b.join(1);
                b.fall_silent(1);
                b.now += 10 * HEARD_FOR;
            },
            SyncState::Withheld,
        ),
        (
            "and only handshakes come through",
            |b| {
                b.join(1);
                for _ in 0..9 {
                    b.ask_in_vain();
                    assert_eq!(b.sync_state(), SyncState::Withheld);
                    b.now += Duration::from_secs(10);
                    b.meet(1);
                    assert_eq!(b.sync_state(), SyncState::Withheld, "no to and fro");
                }
            },
            SyncState::Withheld,
        ),
        (
            "and does not answer, while others agree",
            |b| {
                b.agree(2);
                b.join(1);
                b.fall_silent(1);
            },
            SyncState::Withheld,
        ),
        (
            "and shows the headers and gives no bodies",
            |b| {
                b.join(1);
                b.withhold_bodies();
            },
            SyncState::Withheld,
        ),
    ]);
}

#[test]
fn what_a_peer_of_a_person_has_said_counts_until_it_is_taken_back() {
    check(&[
        (
            "its headers show less, however often it says it",
            |b| {
                b.agree(2);
                b.join(1);
                let asked = b.asked_for_headers().unwrap();
                b.give_of(&asked, HeadersGiven::TooLight);
                assert_eq!(b.sync_state(), SyncState::Synced);
                b.meet(1);
            },
            SyncState::Synced,
        ),
        (
            "it says less now",
            |b| {
                b.join(1);
                b.fall_silent(1);
                b.agree(1);
            },
            SyncState::Synced,
        ),
        (
            "it is removed",
            |b| {
                b.join(1);
                b.fall_silent(1);
                b.table.remove(&at(1));
            },
            SyncState::Synced,
        ),
        (
            "it has lied",
            |b| {
                b.agree(2);
                b.join(1);
                b.table.accuse(&Bench::id(1), &"a bad block", b.now);
            },
            SyncState::Synced,
        ),
    ]);
}

#[test]
fn who_comes_by_itself_cannot_keep_a_node_from_being_synced() {
    check(&[
        ("a learned one says so", |b| b.learn(1), SyncState::Behind),
        (
            "and was asked in vain",
            |b| {
                b.learn(1);
                b.ask_in_vain();
            },
            SyncState::Synced,
        ),
        (
            "and was asked in vain, where others are to be found",
            |b| {
                b.has_seeds = true;
                b.learn(1);
                b.ask_in_vain();
            },
            SyncState::Unanswered,
        ),
        (
            "and gives no bodies",
            |b| {
                b.learn(1);
                b.withhold_bodies();
            },
            SyncState::Synced,
        ),
        (
            "a guest says so",
            |b| {
                let said = said(&b.theirs, UnixTime(1_000));
                b.table.link_in(LinkId(1), &said, at_time(b.now));
            },
            SyncState::Synced,
        ),
        (
            "and shows it",
            |b| {
                let said = said(&b.theirs, UnixTime(1_000));
                b.table.link_in(LinkId(1), &said, at_time(b.now));
                let guest = b.asked_for_headers().unwrap();
                b.give_headers(&guest);
            },
            SyncState::Behind,
        ),
    ]);
}

#[test]
fn work_that_was_seen_counts_before_it_is_kept() {
    let mut bench = Bench::new(30, 1..1);
    let said = said(&bench.theirs, UnixTime(1_000));
    bench.table.link_in(LinkId(1), &said, at_time(bench.now));
    let guest = bench.asked_for_headers().unwrap();
    let theirs = &bench.theirs.chain;
    let genesis = theirs.headers().at(Height(0)).unwrap();
    let facts = theirs.headers().parent_facts(genesis);
    let stem = Stem { hash: genesis.hash, facts, work: genesis.total_work };
    let mut walk = Presync::new(stem, Work::new(U256::MAX), 7);
    let header = |height| theirs.headers().at(Height(height)).unwrap().header;
    for (seen, expected) in [(0, SyncState::Synced), (30, SyncState::Behind)] {
        let headers = (1..=seen).map(header).collect();
        walk.take(theirs.params(), headers, bench.theirs.now.unix).unwrap();
        bench.sync.headers_given(
            &guest,
            HeadersGiven::Walked(Box::new(walk.clone())),
            &mut Scene::new(at_time(bench.now), &bench.ours.chain, &mut bench.table),
        );
        let state = bench.sync.state(&bench.ours.chain, &bench.table, (bench.now, false));
        assert_eq!(state, expected);
        let mut scene = Scene::new(at_time(bench.now), &bench.ours.chain, &mut bench.table);
        assert!(bench.sync.next(&mut scene).is_ok(), "the walk goes on");
    }
    bench.give_of(&guest, HeadersGiven::Nothing("no answer in time".to_owned()));
    assert_eq!(bench.sync_state(), SyncState::Synced);
}
