//! The machine played through by hand: one thread, no network, and time as a value.

use super::asking::{GUESTS_MAX, SILENCE};
use super::bodies::End;
use super::download::{AHEAD_MAX, HURRY, STALL};
use super::*;
use crate::chain::Bodies;
use crate::chain::accept::Accepted;
use crate::net::table::Times;
use crate::node::ports::{PeerState, SyncState};
use crate::primitives::{Height, LinkId, PeerAddress, UnixTime};
use crate::testkit::{TestChain, handshake};
use crate::wire::Handshake;

mod state;
mod strangers;

const EVERY: Duration = Duration::from_secs(10);

fn at(port: u16) -> PeerAddress {
    format!("127.0.0.1:{port}").parse().unwrap()
}

fn at_time(monotonic: Duration) -> Times {
    let seconds = u32::try_from(monotonic.as_secs()).unwrap();
    Times { unix: UnixTime(1_000 + seconds), monotonic }
}

/// What a node with this chain says of itself.
fn said(theirs: &TestChain, time: UnixTime) -> Handshake {
    let tip = theirs.chain.tip();
    let (height, tip, work) = (tip.height, tip.hash, tip.total_work);
    Handshake { height, tip, work, ..handshake(1, time) }
}

/// A node that is behind, and the chain that its peers have.
struct Bench {
    ours: TestChain,
    theirs: TestChain,
    table: Table,
    sync: Sync,
    now: Duration,
    has_seeds: bool,
}

impl Bench {
    /// Behind by `blocks`, with peers at these ports that say so.
    fn new(blocks: u32, ports: std::ops::Range<u16>) -> Self {
        let (ours, mut theirs) = (TestChain::dev(), TestChain::dev());
        theirs.mine_empty(blocks);
        let (table, now) = (Table::new(1, EVERY), Duration::from_secs(1));
        let sync = Sync::default();
        let mut bench = Self { ours, theirs, table, sync, now, has_seeds: false };
        ports.for_each(|port| bench.join(port));
        bench.sync.request();
        bench
    }

    fn join(&mut self, port: u16) {
        let said = Handshake { instance: port.into(), ..said(&self.theirs, UnixTime(1_000)) };
        self.table.add_manual(&at(port));
        let times = Times { unix: UnixTime(1_000), monotonic: self.now };
        self.table.introduce(&at(port).into(), &said, times);
    }

    fn decide<T>(&mut self, decide: impl FnOnce(&mut Sync, &mut Scene<'_>) -> T) -> T {
        let Self { ours, table, sync, now, .. } = self;
        decide(sync, &mut Scene::new(at_time(*now), &ours.chain, table))
    }

    fn next(&mut self) -> Result<Task, Duration> {
        self.decide(Sync::next)
    }

    /// As many bodies as can be asked for just now.
    fn asked(&mut self) -> Vec<(u64, Order)> {
        let mut asked = Vec::new();
        while let Ok(task) = self.next() {
            match task {
                Task::Bodies(serial, order) => asked.push((serial, order)),
                Task::Headers(asked) => self.give_headers(&asked.peer),
            }
        }
        asked
    }

    /// Answers a question for headers with all there are.
    fn give_headers(&mut self, peer: &PeerId) {
        let before = self.ours.chain.headers().len();
        for height in 1..=self.theirs.chain.height().0 {
            let header = self.theirs.chain.headers().at(Height(height)).unwrap().header;
            self.ours.chain.accept_header(&header, self.ours.now).unwrap();
        }
        let gained = self.ours.chain.headers().len() - before;
        let last = Some(self.theirs.chain.tip().hash);
        self.give_of(peer, HeadersGiven::Taken { last, full: false, gained, presync: None });
    }

    fn give_of(&mut self, peer: &PeerId, given: HeadersGiven) {
        self.decide(|sync, scene| sync.headers_given(peer, given, scene));
    }

    /// Who is asked for headers now.
    fn asked_for_headers(&mut self) -> Option<PeerId> {
        match self.next() {
            Ok(Task::Headers(asked)) => Some(asked.peer),
            Ok(Task::Bodies(..)) | Err(_) => None,
        }
    }

    fn state(&self, port: u16) -> PeerState {
        self.table.find(&at(port).into()).unwrap().state
    }

    fn give(&mut self, (serial, order): &(u64, Order), given: Result<Vec<CheckedBlock>, Fault>) {
        self.decide(|sync, scene| sync.bodies_given((*serial, order), given, scene));
    }

    fn give_all(&mut self, asked: &(u64, Order)) {
        let body = |hash| self.theirs.chain.body_of(hash).unwrap();
        let read = |hash| self.theirs.bodies.read(body(hash)).unwrap();
        let blocks = asked.1.hashes.iter().map(|hash| self.theirs.check(read(hash)).unwrap());
        let blocks = blocks.collect();
        self.give(asked, Ok(blocks));
    }

    /// Hands over what is ready as the owner would take it; returns how much that was.
    fn hand_over(&mut self) -> usize {
        let ready = self.sync.take_ready();
        let adopted = ready.len();
        for (block, _) in ready {
            assert!(matches!(self.ours.accept(&block), Ok(Accepted::Best(_))), "in order");
        }
        if adopted > 0 {
            let handed = Handed { adopted, end: None };
            self.decide(|sync, scene| sync.handed(&handed, scene));
        }
        adopted
    }

    fn sync_state(&self) -> SyncState {
        self.sync.state(&self.ours.chain, &self.table, (self.now, self.has_seeds))
    }
}

#[test]
fn headers_come_from_one_at_a_time_and_bodies_from_many_in_any_order() {
    let mut bench = Bench::new(100, 1..6);
    let first = bench.asked_for_headers().unwrap();
    assert_eq!(bench.next().unwrap_err(), SILENCE, "one question for headers at a time");
    bench.give_headers(&first);
    let asked = bench.asked();
    assert_eq!(asked.len(), FETCHERS);
    let peers: std::collections::BTreeSet<_> = asked.iter().map(|(_, order)| &order.peer).collect();
    assert_eq!(peers.len(), FETCHERS, "each is asked once before it has given something");
    bench.now += Duration::from_secs(2);
    for asked in asked[1..].iter().rev() {
        bench.give_all(asked);
        assert_eq!(bench.hand_over(), 0, "the first run is missing");
    }
    bench.give_all(&asked[0]);
    assert_eq!(bench.hand_over(), 64);
    let (rate, left) = bench.sync.pace(36, bench.now);
    assert_eq!((rate, left), (Some(32.0), Some(1)));
    while bench.sync.served() == 0 {
        for asked in bench.asked() {
            bench.give_all(&asked);
            bench.hand_over();
        }
    }
    assert_eq!(bench.ours.chain.tip().hash, bench.theirs.chain.tip().hash);
    assert_eq!((bench.sync_state(), bench.sync.adopted()), (SyncState::Synced, 100));
    assert_eq!(bench.next().unwrap_err(), IDLE);
    let (rate, left) = bench.sync.pace(0, bench.now);
    assert_eq!((rate, left), (None, None));
}

#[test]
fn only_one_hands_blocks_over_while_the_others_go_on() {
    let mut bench = Bench::new(100, 1..6);
    let asked = bench.asked();
    bench.give_all(&asked[0]);
    let ready = bench.sync.take_ready();
    assert_eq!(ready.len(), 16);
    bench.give_all(&asked[1]);
    assert!(bench.sync.take_ready().is_empty(), "another hands over");
    assert_eq!(bench.asked().len(), 2, "and meanwhile more is asked");
    for (block, _) in &ready {
        bench.ours.accept(block).unwrap();
    }
    let handed = Handed { adopted: ready.len(), end: None };
    bench.decide(|sync, scene| sync.handed(&handed, scene));
    assert_eq!(bench.hand_over(), 16);
}

#[test]
fn what_stalls_is_asked_elsewhere_and_what_hangs_holds_its_own_calls_alone() {
    let mut bench = Bench::new(16, 1..2);
    let first = bench.asked();
    assert_eq!(first.len(), 1);
    bench.join(2);
    assert!(bench.asked().is_empty());
    assert_eq!(bench.next().unwrap_err(), STALL);
    bench.now += STALL;
    let second = bench.asked();
    assert_eq!((second.len(), &second[0].1.hashes), (1, &first[0].1.hashes));
    assert_ne!(second[0].1.peer, first[0].1.peer);
    bench.give_all(&second[0]);
    assert_eq!(bench.hand_over(), 16);
    assert!(bench.asked().is_empty() && bench.sync.served() == 1);
    assert_eq!(bench.sync.fetching, 1, "the silent one still holds its call");
    // What comes too late is neither an error nor taken.
    bench.give_all(&first[0]);
    assert_eq!((bench.sync.fetching, bench.hand_over()), (0, 0));
}

#[test]
fn who_dawdles_holds_up_those_who_give_for_a_moment_only() {
    let mut bench = Bench::new(300, 1..3);
    let first = bench.asked();
    let [dawdles, gives] = [&first[0], &first[1]];
    let mut open = vec![gives.clone()];
    let mut given = 0;
    while let Some(asked) = open.pop() {
        assert_eq!(asked.1.peer, gives.1.peer);
        given += asked.1.hashes.len();
        bench.give_all(&asked);
        open.extend(bench.asked());
    }
    assert_eq!(given, AHEAD_MAX - dawdles.1.hashes.len(), "all that may be asked for");
    assert_eq!(bench.next().unwrap_err(), HURRY);
    bench.now += HURRY;
    let again = bench.asked();
    assert_eq!((&again[0].1.peer, &again[0].1.hashes), (&gives.1.peer, &dawdles.1.hashes));
    bench.give_all(&again[0]);
    assert_eq!(bench.hand_over(), AHEAD_MAX);
}

#[test]
fn all_calls_hanging_wait_for_an_answer_and_leave_the_table_its_own() {
    let mut bench = Bench::new(200, 1..9);
    let asked = bench.asked();
    assert_eq!(asked.len(), FETCHERS);
    for _ in 0..10 {
        bench.now += STALL;
        assert!(bench.asked().is_empty() && bench.sync.served() == 0);
    }
    assert!(bench.table.next(bench.now).is_ok(), "peers are still spoken with");
    bench.give(&asked[0], Err(Fault::LetDown("no answer in time".to_owned())));
    assert_eq!(bench.asked().len(), 1);
    assert_eq!(bench.table.find(&asked[0].1.peer).unwrap().state, PeerState::Unreachable);
}

#[test]
fn bodies_that_nobody_gives_are_given_up_for_a_while_unless_somebody_new_comes() {
    let mut bench = Bench::new(5, 1..2);
    let asked = bench.asked();
    assert_eq!(bench.sync_state(), SyncState::Behind);
    bench.give(&asked[0], Ok(Vec::new()));
    assert!(bench.asked().is_empty() && bench.sync.served() == 1);
    assert_eq!(bench.sync_state(), SyncState::Withheld);
    bench.sync.request();
    assert!(bench.asked().is_empty() && bench.sync.served() == 2, "passed over");
    bench.join(2);
    bench.sync.request();
    for peer in [1, 2] {
        let asked = bench.asked();
        assert_eq!((asked.len(), &asked[0].1.peer), (1, &at(peer).into()));
        bench.give(&asked[0], Err(Fault::Busy));
    }
    assert!(bench.next().unwrap_err() <= Duration::from_secs(1), "those that rest are waited for");
    bench.now += Duration::from_secs(1);
    for asked in bench.asked() {
        bench.give_all(&asked);
        bench.hand_over();
    }
    assert_eq!(bench.ours.chain.height(), Height(5));
}

#[test]
fn an_invalid_block_is_blamed_on_those_who_say_that_they_stand_on_it() {
    let mut bench = Bench::new(40, 1..2);
    let asked = bench.asked();
    bench.theirs.mine_empty(1);
    bench.join(2);
    bench.give_all(&asked[0]);
    let ready = bench.sync.take_ready();
    let end = Some(End::Invalid(ready[3].0.hash(), "the coinbase pays too much".to_owned()));
    bench.decide(|sync, scene| sync.handed(&Handed { adopted: 3, end }, scene));
    let states: Vec<_> = bench.table.peers().map(|peer| peer.state).collect();
    assert_eq!(states, [PeerState::Refused, PeerState::Connected], "the other has another tip");
}

#[test]
fn beside_one_that_is_silent_another_is_asked_for_headers_and_nobody_is_blamed() {
    let mut bench = Bench::new(100, 1..3);
    let silent = bench.asked_for_headers().unwrap();
    bench.now += SILENCE;
    let other = bench.asked_for_headers().unwrap();
    assert_ne!(silent, other);
    bench.give_headers(&other);
    while bench.ours.chain.height() < Height(100) {
        for asked in bench.asked() {
            bench.give_all(&asked);
            bench.hand_over();
        }
        bench.now += STALL;
    }
    assert_eq!([bench.state(1), bench.state(2)], [PeerState::Connected; 2]);
    assert!(bench.asked().is_empty() && bench.sync.served() == 0, "there is time to wait");
    bench.sync.request();
    assert!(bench.asked().is_empty() && bench.sync.served() == 1, "unless somebody asks again");
    bench.give_of(&silent, HeadersGiven::Nothing("no answer in time".to_owned()));
    assert_eq!(bench.table.find(&silent).unwrap().state, PeerState::Unreachable);
    assert!(bench.asked().is_empty() && bench.sync.served() == 2);
}

#[test]
fn silent_ones_that_came_by_themselves_leave_a_call_for_who_is_called() {
    let mut bench = Bench::new(30, 1..1);
    for number in 1..9_u8 {
        let theirs = said(&bench.theirs, UnixTime(1_000));
        let theirs = Handshake { instance: number.into(), ..theirs };
        bench.table.link_in(LinkId(number.into()), &theirs, at_time(bench.now));
    }
    let mut silent = 0;
    for _ in 0..6 {
        silent += usize::from(bench.asked_for_headers().is_some());
        bench.now += SILENCE;
        bench.sync.request();
    }
    assert_eq!(silent, GUESTS_MAX);
    bench.join(20);
    bench.sync.request();
    assert_eq!(bench.asked_for_headers(), Some(at(20).into()));
}

#[test]
fn silent_ones_hold_a_few_calls_and_what_comes_late_is_used() {
    let mut bench = Bench::new(30, 1..9);
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.extend(bench.asked_for_headers());
        bench.now += SILENCE;
    }
    assert_eq!(silent.len(), HEADER_CALLS_MAX);
    // One that was given up on as well: its place is another's.
    bench.give_of(&silent[0], HeadersGiven::Nothing("no answer in time".to_owned()));
    let next = bench.asked_for_headers().unwrap();
    assert!(!silent.contains(&next));
    // Whoever answers first goes on, and who has nothing more to give is left.
    bench.give_headers(&silent[1]);
    let asked = bench.asked();
    assert_eq!(asked.iter().map(|(_, order)| order.hashes.len()).sum::<usize>(), 30);
    bench.give_headers(&next);
    for asked in &asked {
        bench.give_all(asked);
        bench.hand_over();
    }
    assert_eq!(bench.ours.chain.height(), Height(30));
}

#[test]
fn the_same_headers_are_not_fetched_of_two_that_answer() {
    let mut bench = Bench::new(10, 1..3);
    let first = bench.asked_for_headers().unwrap();
    bench.now += SILENCE;
    let second = bench.asked_for_headers().unwrap();
    let known = bench.theirs.chain.headers().at(Height(1)).unwrap().header;
    bench.ours.chain.accept_header(&known, bench.ours.now).unwrap();
    let part = |gained| {
        let last = Some(known.hash());
        HeadersGiven::Taken { last, full: true, gained, presync: None }
    };
    bench.give_of(&first, part(1));
    assert_eq!(bench.asked_for_headers(), Some(first), "it was first");
    bench.give_of(&second, part(0));
    assert_eq!(bench.asked_for_headers(), None, "the other is served already");
}

#[test]
fn headers_ahead_of_our_clock_are_not_asked_for_again_and_again() {
    let mut bench = Bench::new(10, 1..2);
    let peer = bench.asked_for_headers().unwrap();
    bench.give_of(&peer, HeadersGiven::Early(40));
    assert_eq!((bench.next().unwrap_err(), bench.state(1)), (IDLE, PeerState::Connected));
    let clock_behind = |bench: &Bench| bench.table.clock_behind(at_time(bench.now));
    assert_eq!(clock_behind(&bench), None, "it may be the peer that is wrong");
    let asks = |bench: &mut Bench| {
        bench.sync.request();
        bench.asked_for_headers()
    };
    for _ in 0..3 {
        bench.now += Duration::from_secs(13);
        assert_eq!(asks(&mut bench), None);
    }
    bench.now += Duration::from_secs(1);
    assert_eq!(asks(&mut bench), Some(peer.clone()), "they are due");
    // By its own clock they are due as well, so ours is wrong; but it may have others some time.
    let ahead = Times { unix: UnixTime(900), monotonic: bench.now };
    let said = said(&bench.theirs, UnixTime(900 + 7_200));
    bench.table.introduce(&peer, &said, ahead);
    bench.give_of(&peer, HeadersGiven::Early(7_000));
    assert_eq!((asks(&mut bench), clock_behind(&bench)), (None, Some(7_000)));
    bench.now += Duration::from_secs(600);
    assert_eq!(asks(&mut bench), Some(peer));
}
