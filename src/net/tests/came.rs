//! Nodes that have named themselves to this one: peers, and yet none of those that it looks for.

use crate::net::book::Book;
use crate::net::client::Pace;
use crate::net::outbound::Standing;
use crate::net::table::{CAME_MAX, Candidate, LIE_PAUSE, Outcome, Table, Task, Times};
use crate::node::ports::PeerState;
use crate::primitives::{LinkId, PeerAddress, PeerId, UnixTime};
use crate::testkit::handshake;
use crate::wire::PeerRecord;
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
