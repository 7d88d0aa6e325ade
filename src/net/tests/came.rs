//! Nodes that have named themselves to this one: peers, and yet none of those that it looks for.

use super::{LOCAL, TestNode, World, reply, wait};
use crate::net::book::{Book, Source};
use crate::net::client::Pace;
use crate::net::outbound::Standing;
use crate::net::table::{CAME_MAX, Candidate, LIE_PAUSE, Outcome, Table, Task, Times};
use crate::node::ports::{PeerControl, PeerState};
use crate::primitives::{LinkId, PeerAddress, PeerId, UnixTime};
use crate::testkit::handshake;
use crate::wire::{PeerRecord, Reach, addresses_to_json};
use std::time::Duration;

const START: u32 = 1_000;

fn time(seconds: u32) -> Times {
    Times { unix: UnixTime(START + seconds), monotonic: Duration::from_secs(seconds.into()) }
}

/// One node in each network.
fn of_network(number: u8) -> PeerAddress {
    format!("9.{number}.0.1:5000").parse().unwrap()
}

fn table() -> Table {
    Table::new(1, Duration::from_secs(10))
}

/// The node of a network names itself and is called back; true if it is a peer then.
fn comes(table: &mut Table, number: u8, seconds: u32) -> bool {
    let (address, instance, times) = (of_network(number), number.into(), time(seconds));
    let client = address.ip().unwrap();
    let candidate = Candidate { address, instance, client, pace: Pace::Quick };
    table.heard_of(candidate.clone(), false, times.monotonic);
    while let Ok(task) = table.next(times.monotonic) {
        match task {
            Task::CallBack(called) => {
                assert_eq!(called, candidate);
                return table.called_back(&called, Some(&handshake(instance, times.unix)), times);
            }
            Task::Exchange(target) => table.busy(&target, times.monotonic),
            other => table.done(&other, Outcome::Done, times.monotonic),
        }
    }
    false
}

fn standing(table: &Table, address: &PeerAddress) -> Standing {
    table.find_at(address).unwrap().standing()
}

#[test]
fn who_names_itself_keeps_nobody_from_being_looked_for() {
    let seed: PeerAddress = "seed.example:5000".parse().unwrap();
    for (is_found, expected) in [(false, true), (true, false)] {
        let (mut table, mut book) = (table(), Book::new(1, vec![seed.clone()]));
        for number in 1..=9 {
            assert!(comes(&mut table, number, 1));
            if is_found {
                table.looked_for(&of_network(number));
            }
        }
        let called = (1..60).find_map(|second| table.dial(&mut book, time(second)));
        let is_called = matches!(called, Some(Task::Dial(address, _)) if address == seed);
        assert_eq!(is_called, expected, "{is_found}");
    }
}

#[test]
fn it_stays_what_it_is_over_a_restart_and_anchors_are_others() {
    let mut first = table();
    let [came, found, wanted, late] = [1, 2, 3, 4].map(of_network);
    assert!(comes(&mut first, 1, 1) && comes(&mut first, 3, 1));
    first.add_manual(&wanted);
    assert!(first.take_in(&found, &handshake(2, UnixTime(START)), time(5)));
    assert!(first.take_in(&late, &handshake(4, UnixTime(START)), time(9)));
    let mut next = table();
    for record in first.records(time(10)) {
        next.restore(&PeerRecord::from_json(&record.to_json()).unwrap(), time(10)).unwrap();
    }
    for (address, before, after) in [
        (&came, Standing::Came, Standing::Came),
        (&found, Standing::Learned, Standing::Anchor),
        (&late, Standing::Learned, Standing::Anchor),
        (&wanted, Standing::Manual, Standing::Manual),
    ] {
        assert_eq!((standing(&first, address), standing(&next, address)), (before, after));
    }
    assert!(!next.find_at(&came).unwrap().anchor, "though it was connected longest");
}

#[test]
fn where_all_have_come_the_anchors_are_of_them_and_no_guests() {
    let mut table = table();
    // Nobody can call these, however long they are connected.
    (1..=2).for_each(|number| {
        table.link_in(LinkId(number), &handshake(90 + number, UnixTime(START)), time(0));
    });
    assert!((1..=3).all(|number| comes(&mut table, number, number.into())));
    let anchors = table.records(time(10)).into_iter().filter(|record| record.anchor);
    let anchors: Vec<_> = anchors.map(|record| record.node).collect();
    assert_eq!(anchors, [of_network(1), of_network(2)]);
}

#[test]
fn one_that_has_come_and_is_missed_for_long_gives_way_to_the_next() {
    let mut table = table();
    let many = u8::try_from(CAME_MAX).unwrap();
    assert!((1..=many).all(|number| comes(&mut table, number, 1)));
    assert!(!comes(&mut table, 200, 2));
    table.fail(&of_network(7).into(), "gone".to_owned(), time(3).monotonic);
    assert!(!comes(&mut table, 200, 600));
    assert!(comes(&mut table, 200, 604));
    assert!(table.find_at(&of_network(7)).is_none());
    assert_eq!(table.peers().count(), CAME_MAX);
}

/// The book is asked for some seconds whom to call, and whoever is called answers.
fn finds(table: &mut Table, book: &mut Book, seconds: std::ops::Range<u32>) {
    for second in seconds {
        let times = time(second);
        let Some(Task::Dial(address, _)) = table.dial(book, times) else { continue };
        let theirs = handshake(1_000 + u64::from(second), times.unix);
        let standing = book.standing(&address);
        table.dialled(&address, Some((&theirs, standing)), times);
        book.answered(&address, times);
    }
}

fn caller(number: u8) -> Source {
    Source::from_ip(of_network(number).ip().unwrap())
}

#[test]
fn whom_only_callers_have_named_has_come_as_well() {
    let [told, slow, named, lists] = [1, 2, 3, 4].map(of_network);
    let mut book = Book::new(1, Vec::new());
    book.hear_slow(&slow, &caller(2), UnixTime(START));
    book.hear(std::slice::from_ref(&named), &caller(9));
    book.hear(std::slice::from_ref(&lists), &Source::at(&of_network(9)).that_came());
    // Also by callers, but not only by these.
    book.hear(std::slice::from_ref(&told), &caller(9));
    book.hear(std::slice::from_ref(&told), &Source::at(&of_network(8)));
    book.hear(std::slice::from_ref(&told), &caller(7));
    for seed in 0..10 {
        let (mut table, mut next) = (table(), Book::new(seed, Vec::new()));
        for record in book.records() {
            next.restore(&PeerRecord::from_json(&record.to_json()).unwrap(), time(0));
        }
        finds(&mut table, &mut next, 1..2);
        assert_eq!(standing(&table, &told), Standing::Learned, "it is called first");
        finds(&mut table, &mut next, 2..9);
        for address in [&slow, &named, &lists] {
            assert_eq!(standing(&table, address), Standing::Came);
            assert_eq!(next.standing(address), Standing::Came, "and answered");
        }
    }
}

#[test]
fn callers_that_name_each_other_keep_nobody_from_being_looked_for() {
    let (mut table, mut book) = (table(), Book::new(1, Vec::new()));
    for number in 1..=20 {
        book.hear(&[of_network(number % 20 + 1)], &caller(number));
    }
    finds(&mut table, &mut book, 0..60);
    assert_eq!(table.peers().filter(|peer| peer.has_come()).count(), 20);
    book.hear(&[of_network(99)], &Source::at(&of_network(98)));
    finds(&mut table, &mut book, 60..62);
    assert_eq!(standing(&table, &of_network(99)), Standing::Learned);
}

#[test]
fn who_has_come_is_found_in_its_turn_once_it_is_looked_for() {
    let (mut table, mut book) = (table(), Book::new(1, Vec::new()));
    let come = [1, 2].map(of_network);
    assert!(comes(&mut table, 1, 1) && comes(&mut table, 2, 1));
    come.iter().for_each(|address| book.answered(address, time(1)));
    finds(&mut table, &mut book, 2..10);
    assert!(come.iter().all(|address| standing(&table, address) == Standing::Came));
    book.hear(&come, &Source::at(&of_network(9)));
    table.fail(&come[1].clone().into(), "gone".to_owned(), time(10).monotonic);
    for second in 10..20 {
        assert!(table.dial(&mut book, time(second)).is_none(), "no call is needed");
    }
    assert_eq!(come.map(|address| standing(&table, &address)), [Standing::Learned, Standing::Came]);
}

#[test]
fn whom_only_callers_have_named_is_called_while_there_is_room() {
    let (mut table, mut book) = (table(), Book::new(1, Vec::new()));
    let many = u8::try_from(CAME_MAX).unwrap();
    assert!((1..=many).all(|number| comes(&mut table, number, 1)));
    let newcomer = of_network(200);
    book.hear(std::slice::from_ref(&newcomer), &caller(200));
    finds(&mut table, &mut book, 2..10);
    assert!(table.find_at(&newcomer).is_none());
    assert!(book.records().all(|record| record.last_tried == UnixTime(0)), "it is not called");
    table.fail(&of_network(7).into(), "gone".to_owned(), time(10).monotonic);
    finds(&mut table, &mut book, 611..612);
    assert_eq!(standing(&table, &newcomer), Standing::Came);
    assert!(table.find_at(&of_network(7)).is_none());
}

#[test]
fn what_a_peer_answers_counts_for_as_much_as_the_peer() {
    let asked = Source::at(&"127.0.0.1:5099".parse().unwrap());
    for (source, expected) in [
        (Source::from_ip(LOCAL), Standing::Came),
        (asked.clone().that_came(), Standing::Came),
        (asked, Standing::Learned),
    ] {
        let world = World::new();
        let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
        one.network.book().hear(&[other.at()], &source);
        wait("it is called", || one.is_connected_to(&other));
        assert_eq!(standing(&one.network.table(), &other.at()), expected);
        let target = || one.network.table().reserve(&other.at().into(), Duration::MAX);
        let mut reserved = None;
        wait("nothing else is asked of it", || {
            reserved = target();
            reserved.is_some()
        });
        let list = reply(200, addresses_to_json(&[of_network(1)]));
        one.network.addresses_came(&reserved.unwrap(), Ok(list));
        assert_eq!(one.network.book().standing(&of_network(1)), expected);
    }
}

#[test]
fn whoever_calls_a_full_node_is_in_its_book() {
    let world = World::new();
    let node = TestNode::start(&world, 1);
    let mut said = node.network.handshake_to(&node.node, None);
    (said.instance, said.node) = (7, Some(Reach::Port(5_000)));
    for number in 1..=u8::try_from(CAME_MAX).unwrap() {
        let record = PeerRecord { came: true, ..PeerRecord::new(of_network(number)) };
        node.network.table().restore(&record, time(0)).unwrap();
    }
    let newcomer = of_network(200);
    node.network.greet(&said, newcomer.ip().unwrap()).unwrap();
    assert!(node.network.book().records().any(|record| record.node == newcomer && record.came));
}

#[test]
fn another_node_may_answer_where_this_one_did() {
    let mut table = table();
    let named = of_network(1);
    table.add_manual(&named);
    assert!(table.is_someone_named());
    let Ok(Task::Exchange(target)) = table.next(time(1).monotonic) else { panic!("due") };
    table.found_own(&target, "itself".to_owned(), time(1).monotonic);
    assert!(!table.is_someone_named());
    let later = 2 + u32::try_from(LIE_PAUSE.as_secs()).unwrap();
    let Ok(Task::Exchange(target)) = table.next(time(later).monotonic) else { panic!("due") };
    table.answered(&target, &handshake(2, time(later).unix), time(later));
    assert!(table.is_someone_named());
    assert_eq!(table.find(&PeerId::from(named)).unwrap().state, PeerState::Connected);
}
