//! Who is asked for headers, and in which order, while many are silent under ever new names.

use super::*;
use crate::net::sync::headers::{CALLS_OF_ANYBODY_MAX, STRANGERS_MAX};

/// How long a call for headers lasts that nobody answers.
const CALL: Duration = Duration::from_secs(10);

fn id(port: u16) -> PeerId {
    at(port).into()
}

impl Bench {
    /// A node that nobody named says that it has more; each is another one.
    fn visit(&mut self, port: u16) {
        let said = Handshake { instance: port.into(), ..said(&self.theirs, UnixTime(1_000)) };
        assert!(self.table.take_in(&at(port), &said, at_time(self.now)));
    }

    /// One that came by itself says so.
    fn link(&mut self, number: u64) {
        let said = Handshake { instance: number, ..said(&self.theirs, UnixTime(1_000)) };
        self.table.link_in(LinkId(number), &said, at_time(self.now));
    }

    /// A peer answers a handshake as before, and what it says has the node look for more.
    fn come_back(&mut self, port: u16) {
        let said = Handshake { instance: port.into(), ..said(&self.theirs, UnixTime(1_000)) };
        self.table.introduce(&id(port), &said, at_time(self.now));
        self.sync.request();
    }

    fn time_out(&mut self, peer: &PeerId) {
        self.give_of(peer, HeadersGiven::Nothing("no answer in time".to_owned()));
    }

    /// Fetches all that there is, of whoever is asked.
    fn catch_up(&mut self) {
        let served = self.sync.served();
        while self.sync.served() == served {
            for asked in self.asked() {
                self.give_all(&asked);
                self.hand_over();
            }
        }
        assert_eq!(self.ours.chain.tip().hash, self.theirs.chain.tip().hash);
    }
}

/// Plays a round in which nobody answers, and nobody asks for another; returns who was asked, and how
/// long it took.
fn silent_round(bench: &mut Bench) -> (Vec<PeerId>, Duration) {
    let (start, served) = (bench.now, bench.sync.served());
    let mut calls: Vec<(PeerId, Duration)> = Vec::new();
    let mut asked = Vec::new();
    while bench.sync.served() == served {
        assert!(bench.now < start + Duration::from_secs(600), "{asked:?}");
        let late = calls.extract_if(.., |(_, since)| bench.now >= *since + CALL);
        for (peer, _) in late.collect::<Vec<_>>() {
            bench.time_out(&peer);
        }
        if let Some(peer) = bench.asked_for_headers() {
            asked.push(peer.clone());
            calls.push((peer, bench.now));
        }
        bench.now += Duration::from_millis(500);
    }
    (asked, bench.now - start)
}

#[test]
fn a_peer_of_a_person_is_asked_again_soon_however_many_new_names_come() {
    let mut bench = Bench::new(30, 1..2);
    let (mut calls, mut waits) = (Vec::new(), Vec::new());
    let (mut names, mut back) = (1_000.., None);
    names.by_ref().take(20).for_each(|name| bench.visit(name));
    while bench.now < Duration::from_secs(300) {
        bench.sync.request();
        let late = calls.extract_if(.., |(_, since)| bench.now >= *since + CALL);
        for (peer, _) in late.collect::<Vec<(PeerId, Duration)>>() {
            bench.time_out(&peer);
            if peer == id(1) {
                back = Some(bench.table.find(&peer).unwrap().due);
            } else {
                // What is of no use any more comes again under another name.
                bench.table.remove(peer.address().unwrap());
                names.by_ref().take(1).for_each(|name| bench.visit(name));
            }
        }
        if back.is_some_and(|back| bench.now >= back) {
            bench.come_back(1);
            waits.push((bench.now, None));
            back = None;
        }
        if let Some(peer) = bench.asked_for_headers() {
            if let Some((since, wait)) = waits.last_mut().filter(|_| peer == id(1)) {
                *wait = Some(bench.now - *since);
            }
            calls.push((peer, bench.now));
        }
        bench.now += Duration::from_secs(1);
    }
    // The two others that are asked before begin 2 s apart.
    let most = SILENCE * u32::try_from(CALLS_OF_ANYBODY_MAX).unwrap();
    let is_soon = |wait: &(Duration, Option<Duration>)| wait.1.is_some_and(|wait| wait <= most);
    assert!(waits.len() >= 5 && waits[..waits.len() - 1].iter().all(is_soon), "{waits:?}");
}

#[test]
fn a_round_ends_however_many_names_there_are_and_the_next_begins_with_who_is_named() {
    let mut bench = Bench::new(30, 1..2);
    (100..180).for_each(|port| bench.visit(port));
    (1..9).for_each(|number| bench.link(number));
    let (asked, lasted) = silent_round(&mut bench);
    let strangers = asked.iter().filter(|peer| peer.address().is_some() && **peer != id(1));
    assert_eq!((&asked[0], strangers.count()), (&id(1), STRANGERS_MAX));
    assert_eq!(asked.len(), 1 + STRANGERS_MAX + GUESTS_MAX);
    assert!(lasted <= Duration::from_secs(50), "{lasted:?}");
    bench.come_back(1);
    let (again, _) = silent_round(&mut bench);
    assert_eq!(again[0], id(1));
    assert!(again[1..].iter().all(|peer| !asked.contains(peer)), "{again:?}");
}

#[test]
fn silent_strangers_and_guests_leave_a_call_for_who_is_named() {
    for (strangers, guests) in [(9, 0), (1, 9), (9, 9), (0, 9)] {
        let mut bench = Bench::new(30, 1..1);
        (0..strangers).for_each(|number| bench.visit(100 + number));
        (0..guests).for_each(|number| bench.link(number));
        let mut silent = 0;
        for _ in 0..6 {
            silent += usize::from(bench.asked_for_headers().is_some());
            bench.now += SILENCE;
            bench.sync.request();
        }
        assert_eq!(silent, CALLS_OF_ANYBODY_MAX, "{strangers} {guests}");
        bench.join(1);
        bench.sync.request();
        assert_eq!(bench.asked_for_headers(), Some(id(1)), "{strangers} {guests}");
    }
}

#[test]
fn whoever_has_shown_what_it_said_comes_before_new_names_until_it_fails_thrice() {
    let mut bench = Bench::new(30, 1..1);
    bench.visit(1);
    bench.catch_up();
    bench.theirs.mine_empty(1);
    bench.come_back(1);
    (100..110).for_each(|port| bench.visit(port));
    let first = |bench: &Bench| {
        let claims = bench.table.claiming_more(bench.ours.chain.tip().total_work);
        claims[0].0.clone()
    };
    for failures in 0..3 {
        assert_eq!(first(&bench), id(1), "{failures}");
        bench.table.doubt(&id(1));
        // To say less in between wins nothing back.
        bench.table.welcome_back(&id(1));
    }
    assert_eq!(first(&bench), id(100));
}

#[test]
fn to_say_less_while_it_is_asked_shows_nothing() {
    let mut bench = Bench::new(30, 1..1);
    bench.visit(1);
    let asked = bench.asked_for_headers().unwrap();
    let less = Handshake { instance: 1, ..said(&TestChain::dev(), UnixTime(1_000)) };
    bench.table.introduce(&id(1), &less, at_time(bench.now));
    let nothing = HeadersGiven::Taken { last: None, full: false, gained: 0, presync: None };
    bench.give_of(&asked, nothing);
    assert!(bench.table.find(&id(1)).unwrap().is_stranger());
}

#[test]
fn of_strangers_the_one_that_is_known_longest_is_asked_first() {
    let mut bench = Bench::new(30, 1..1);
    bench.visit(200);
    bench.theirs.mine_empty(1);
    bench.visit(100);
    assert_eq!(bench.asked_for_headers(), Some(id(200)), "the other only says more");
}
