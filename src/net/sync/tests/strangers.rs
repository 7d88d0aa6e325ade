//! Who is asked for headers, and in which order, while many are silent under ever new names.

use super::*;
use crate::net::peer::Claim;
use crate::net::sync::asking::{CALLS_OF_ANYBODY_MAX, SHOWN_MAX, STRANGERS_MAX};

/// How long a call for headers lasts whose answer drips in.
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

    /// Another says that it has as much and more, and means nothing of all that there is.
    fn pretend(&mut self, port: u16) {
        let tip = crate::primitives::BlockHash::from_bytes([port.to_le_bytes()[0]; 32]);
        let said = Handshake { tip, ..said(&self.theirs, UnixTime(1_000)) };
        let said = Handshake { instance: port.into(), ..said };
        assert!(self.table.take_in(&at(port), &said, at_time(self.now)));
    }

    /// All that there is comes in on another way.
    fn hear_all(&mut self) {
        for height in 1..=self.theirs.chain.height().0 {
            let hash = self.theirs.chain.headers().at(Height(height)).unwrap().hash;
            let body = self.theirs.bodies.read(self.theirs.chain.body_of(&hash).unwrap()).unwrap();
            self.ours.accept(&self.theirs.check(body).unwrap()).unwrap();
        }
    }

    fn is_shown(&self, port: u16) -> bool {
        !self.table.find(&id(port)).unwrap().is_stranger()
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

/// How a call for headers ends.
type Given = fn() -> HeadersGiven;

/// What a silent peer does when its call is over; it says at once again that it has more.
type Returns = fn(&mut Bench, u16);

/// Plays on, with somebody who asks for a sync all the time, until `honest` is asked; the others take as
/// long as they may and are back at once. Returns who was asked before, and how long it took.
fn until_asked(
    bench: &mut Bench,
    honest: &PeerId,
    (call, end, returns): (Duration, Given, Returns),
) -> (Vec<PeerId>, Duration) {
    let start = bench.now;
    let (mut calls, mut asked) = (Vec::new(), Vec::new());
    while bench.now < start + Duration::from_secs(900) {
        bench.sync.request();
        let late = calls.extract_if(.., |(_, since)| bench.now >= *since + call);
        for (peer, _) in late.collect::<Vec<(PeerId, Duration)>>() {
            bench.give_of(&peer, end());
            let port = peer.address().map(PeerAddress::port);
            port.into_iter().for_each(|port| returns(bench, port));
        }
        match bench.asked_for_headers() {
            Some(peer) if peer == *honest => break,
            Some(peer) => {
                asked.push(peer.clone());
                calls.push((peer, bench.now));
            }
            None => bench.now += Duration::from_millis(500),
        }
    }
    let took = bench.now - start;
    for (peer, _) in calls {
        bench.give_of(&peer, end());
        let port = peer.address().map(PeerAddress::port);
        port.into_iter().for_each(|port| returns(bench, port));
    }
    (asked, took)
}

fn silence() -> HeadersGiven {
    HeadersGiven::Nothing("no answer in time".to_owned())
}

/// It has shown something once more, whatever that costs it.
fn show_again(bench: &mut Bench, port: u16) {
    bench.table.borne_out(&id(port));
    bench.come_back(port);
}

const HONEST: u64 = 7;

#[test]
fn a_guest_has_its_turn_after_six_strangers_whatever_begins_and_ends() {
    for strangers in [6, 20, 80] {
        let mut bench = Bench::new(30, 1..1);
        (100..100 + strangers).for_each(|port| bench.visit(port));
        for number in 0..3 {
            // They are in their second or third round by then.
            let guest = PeerId::Link(LinkId(HONEST + number));
            bench.link(HONEST + number);
            let play = (CALL, silence as Given, Bench::come_back as Returns);
            let (asked, took) = until_asked(&mut bench, &guest, play);
            assert!(asked.len() <= STRANGERS_MAX + GUESTS_MAX, "{strangers}: {asked:?}");
            assert!(took <= 4 * CALL, "{strangers}: {took:?}");
            bench.give_of(&guest, silence());
            bench.table.link_gone(LinkId(HONEST + number), bench.now);
        }
    }
}

#[test]
fn a_late_stranger_is_asked_before_any_of_the_others_is_asked_again() {
    let none = || HeadersGiven::Taken { last: None, full: false, gained: 0, presync: None };
    let at_once = Duration::ZERO;
    let cases: [(Given, Duration, u64); 4] = [
        (silence, CALL, 100),
        (none, CALL, 100),
        (|| HeadersGiven::NotTaken, CALL, 100),
        (|| HeadersGiven::NotTaken, at_once, 50),
    ];
    for (end, call, most) in cases {
        let mut bench = Bench::new(30, 1..1);
        (100..120).for_each(|port| bench.visit(port));
        bench.visit(9_000);
        let (asked, took) =
            until_asked(&mut bench, &id(9_000), (call, end, Bench::come_back as Returns));
        let different: std::collections::BTreeSet<_> = asked.iter().collect();
        assert_eq!((asked.len(), different.len()), (20, 20), "{asked:?}");
        assert!(took <= Duration::from_secs(most), "{took:?}");
    }
}

#[test]
fn who_has_shown_something_and_is_silent_takes_no_more_turns_than_others() {
    for (port, guest, most) in [(9_000, None, 20), (0, Some(LinkId(HONEST)), 60)] {
        let mut bench = Bench::new(30, 1..1);
        for port in 100..124 {
            bench.visit(port);
            bench.table.borne_out(&id(port));
        }
        match guest {
            Some(_) => {
                (200..220).for_each(|port| bench.visit(port));
                bench.link(HONEST);
            }
            None => bench.visit(port),
        }
        let honest = guest.map_or_else(|| id(port), PeerId::Link);
        let play = (CALL, silence as Given, show_again as Returns);
        let (asked, took) = until_asked(&mut bench, &honest, play);
        assert!(took <= Duration::from_secs(most), "{took:?}: {asked:?}");
        let shown = asked.iter().filter(|peer| peer.address().unwrap().port() < 200).count();
        assert_eq!(shown, SHOWN_MAX, "{asked:?}");
    }
}

#[test]
fn who_waits_until_others_have_given_it_has_shown_nothing() {
    let tip = |bench: &Bench| bench.ours.chain.tip().hash;
    let given = |last| HeadersGiven::Taken { last, full: false, gained: 0, presync: None };
    for answer in 0..3 {
        let mut bench = Bench::new(30, 1..1);
        bench.pretend(1);
        assert_eq!(bench.asked_for_headers(), Some(id(1)));
        bench.hear_all();
        let answer = match answer {
            0 => given(None),
            1 => given(Some(tip(&bench))),
            _ => HeadersGiven::TooLight,
        };
        bench.give_of(&id(1), answer);
        let known = bench.table.find(&id(1)).unwrap();
        assert_eq!((bench.is_shown(1), known.unbacked), (false, 1));
    }
    // What it said is what has come, and it has given that as well.
    let mut bench = Bench::new(30, 1..1);
    bench.visit(1);
    assert_eq!(bench.asked_for_headers(), Some(id(1)));
    bench.hear_all();
    let answer = given(Some(tip(&bench)));
    bench.give_of(&id(1), answer);
    assert!(bench.is_shown(1));
}

#[test]
fn a_block_that_comes_while_headers_are_under_way_is_judged_with_the_next() {
    for port in [1, 2] {
        let mut bench = Bench::new(30, 1..2);
        bench.visit(2);
        let asked = bench.asked_for_headers().unwrap();
        assert_eq!(asked, id(1));
        bench.now += SILENCE;
        assert_eq!(bench.asked_for_headers(), Some(id(2)));
        let before = bench.theirs.chain.tip().clone();
        let mut later = TestChain::dev();
        later.mine_empty(31);
        let newer = later.chain.tip();
        let claim = Claim { height: newer.height, tip: newer.hash, work: newer.total_work };
        bench.table.has_block(&id(port), claim);
        bench.give_headers(&id(port));
        let known = bench.table.find(&id(port)).unwrap();
        assert!(claim.work > before.total_work);
        let judged = (known.claim, known.unbacked, known.disproved);
        assert_eq!(judged, (Some(claim), 0, None));
        assert!(bench.is_shown(port));
    }
}

#[test]
fn a_walk_goes_on_although_others_begin_and_end_syncs() {
    let mut bench = Bench::new(30, 1..1);
    bench.visit(1);
    bench.visit(2);
    assert_eq!(bench.asked_for_headers(), Some(id(1)));
    bench.now += SILENCE;
    assert_eq!(bench.asked_for_headers(), Some(id(2)));
    bench.visit(3);
    for _ in 0..3 {
        bench.now += SILENCE;
        bench.sync.request();
        assert_eq!(bench.asked_for_headers(), None);
    }
    let headers = bench.theirs.chain.headers();
    let genesis = headers.at(Height(0)).unwrap();
    let facts = headers.parent_facts(genesis);
    let stem = presync::Stem { hash: genesis.hash, facts, work: genesis.total_work };
    let most = crate::primitives::Work::new(crate::primitives::U256::MAX);
    let walk = Box::new(presync::Presync::new(stem, most, 7));
    bench.give_of(&id(1), HeadersGiven::Walked(walk));
    let Ok(Task::Headers(asked)) = bench.next() else { panic!("it goes on") };
    assert!(asked.peer == id(1) && asked.presync.is_some());
}
