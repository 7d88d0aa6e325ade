//! The decisions of the table, with times as values.

use crate::net::client::Pace;
use crate::net::peer::OUTBOX_TRANSFERS_MAX;
use crate::net::table::{
    CAME_MAX, Candidate, LEARNED_MAX, Outcome, PAUSED_MAX, PEERS_MAX, REMOVED_MAX, Table, Task,
    Times,
};
use crate::node::ports::PeerState;
use crate::primitives::{Height, LinkId, PeerAddress, PeerId, Txid, U256, UnixTime, Work};
use crate::testkit;
use crate::wire::{Handshake, PeerRecord, Reach};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(10);

fn at(port: u16) -> PeerAddress {
    format!("127.0.0.1:{port}").parse().unwrap()
}

fn id(port: u16) -> PeerId {
    at(port).into()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn times(monotonic: Duration) -> Times {
    Times { unix: UnixTime(1_000), monotonic }
}

fn handshake(instance: u64) -> Handshake {
    testkit::handshake(instance, UnixTime(1_000))
}

/// One that names itself and was not called before.
fn stranger(address: PeerAddress, instance: u64) -> Candidate {
    Candidate { address, instance, client: [127, 0, 0, 1].into(), pace: Pace::Quick }
}

fn txid(number: u32) -> Txid {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Txid::from_bytes(bytes)
}

/// A table of connected peers at these ports.
fn connected(ports: std::ops::Range<u16>) -> Table {
    let mut table = Table::new(1, EVERY);
    for port in ports {
        table.add_manual(&at(port));
        table.introduce(&id(port), &handshake(port.into()), times(seconds(0)));
    }
    // What follows a first meeting.
    while let Ok(task) = table.next(seconds(0)) {
        assert!(matches!(task, Task::Summary(_)));
        table.done(&task, Outcome::Done, seconds(0));
    }
    table
}

#[test]
fn what_a_guest_says_of_its_height_is_shown_once_it_has_shown_that() {
    let mut table = Table::new(1, EVERY);
    let said = Handshake { height: Height(999), ..handshake(1) };
    table.link_in(LinkId(1), &said, times(seconds(0)));
    table.link_from(LinkId(1), [203, 0, 113, 5].into());
    assert_eq!(table.shown(&PeerId::Link(LinkId(1))), "the guest from 203.0.113.5 (link 1)");
    assert_eq!(table.shown(&id(9)), "127.0.0.1:9");
    assert_eq!(table.guests(|_| None)[0].height, None);
    assert_eq!(table.guests(|_| Some(Height(7)))[0].height, Some(Height(7)));
}

#[test]
fn a_full_outbox_drops_the_oldest_and_the_tips_are_compared_when_it_is_empty() {
    let mut table = connected(1..2);
    let count = u32::try_from(OUTBOX_TRANSFERS_MAX).unwrap() + 10;
    (0..count).for_each(|number| table.relay_transfer(txid(number), None));
    let mut sent = Vec::new();
    while let Ok(task) = table.next(seconds(1)) {
        match &task {
            Task::Announce(_, news) => sent.extend(&news.transfers),
            Task::Exchange(_) => break,
            other => panic!("{other:?}"),
        }
        table.done(&task, Outcome::Done, seconds(1));
    }
    assert_eq!(sent.len(), OUTBOX_TRANSFERS_MAX);
    assert_eq!((sent[0], *sent.last().unwrap()), (txid(10), txid(count - 1)));
}

#[test]
fn one_call_at_a_time_goes_to_a_peer_and_all_have_their_turn() {
    let mut table = connected(1..4);
    table.relay_transfer(txid(0), None);
    let first: Vec<_> = (0..3).map(|_| table.next(seconds(1)).unwrap()).collect();
    (1..3).for_each(|number| table.relay_transfer(txid(number), None));
    assert!(table.next(seconds(1)).is_err());
    table.done(&first[0], Outcome::Done, seconds(1));
    // What has gathered meanwhile goes in one.
    let Ok(Task::Announce(_, news)) = table.next(seconds(1)) else { panic!("news wait") };
    assert_eq!(news.transfers, [txid(1), txid(2)]);
}

#[test]
fn nothing_goes_back_to_where_it_came_from() {
    let mut table = connected(1..3);
    table.relay_transfer(txid(1), Some(&id(1)));
    let Ok(Task::Announce(target, _)) = table.next(seconds(1)) else { panic!("a transfer waits") };
    assert_eq!(target.id, id(2));
    assert!(table.next(seconds(1)).is_err());
}

#[test]
fn peers_that_do_not_answer_hold_two_workers_at_most() {
    let mut table = Table::new(1, EVERY);
    (1..=16).for_each(|port| table.add_manual(&at(port)));
    let held: Vec<_> = std::iter::from_fn(|| table.next(seconds(1)).ok()).collect();
    assert_eq!(held.len(), 2);
}

#[test]
fn pauses_double_up_to_ten_minutes_and_end_with_an_answer() {
    let mut table = Table::new(1, EVERY);
    table.add_manual(&at(1));
    let (mut now, mut last) = (seconds(0), Duration::ZERO);
    for failure in 0..20 {
        let Ok(Task::Exchange(target)) = table.next(now) else { panic!("due") };
        table.not_answered(&target, "no".to_owned(), now);
        let due = table.peers().next().unwrap().due;
        let pause = due - now;
        let expected = seconds((1 << failure.min(10)).min(600)).as_secs_f64();
        assert!((0.75..1.25).contains(&(pause.as_secs_f64() / expected)), "{failure}: {pause:?}");
        (now, last) = (due, pause);
    }
    assert!(last > seconds(450));
    let Ok(Task::Exchange(target)) = table.next(now) else { panic!("due") };
    table.answered(&target, &handshake(1), times(now));
    assert_eq!(table.peers().next().unwrap().state, PeerState::Connected);
    // One that is missed is tried every few seconds, however long it is away.
    for hour in 0..5 {
        let now = now + seconds(3_600 * hour);
        (0..5).for_each(|_| table.fail(&id(1), "no".to_owned(), now));
        assert!(table.peers().next().unwrap().due - now <= seconds(8));
    }
}

#[test]
fn who_comes_and_goes_is_called_less_often_and_still_found_soon() {
    let mut table = connected(1..2);
    let peer = |table: &Table| {
        let peer = table.peers().next().unwrap();
        (peer.due, peer.link_not_before)
    };
    let (mut now, mut pauses, mut link_pauses) = (seconds(5), Vec::new(), Vec::new());
    for _ in 0..8 {
        table.link_opened(&at(1));
        table.link_closed(&at(1), seconds(5), now);
        table.fail(&id(1), "gone".to_owned(), now);
        let (due, link_due) = peer(&table);
        pauses.push(due - now);
        link_pauses.push(link_due - now);
        table.introduce(&id(1), &handshake(1), times(due));
        assert_eq!(peer(&table).1, link_due, "it has answered, and is not steady for that");
        now = due + seconds(5);
    }
    let first = (pauses[0], link_pauses[0]);
    assert!(first.0 <= seconds(3) && first.1 <= seconds(2), "{first:?}");
    let last = (pauses[7], link_pauses[7]);
    assert!(last.0 >= seconds(6).mul_f64(0.8) && last.0 <= seconds(6).mul_f64(1.2), "{pauses:?}");
    assert_eq!(last.1, EVERY, "{link_pauses:?}");
    // It stays for a minute: all that is forgotten.
    table.introduce(&id(1), &handshake(1), times(now));
    now += seconds(61);
    table.link_closed(&at(1), seconds(60), now);
    table.fail(&id(1), "gone".to_owned(), now);
    let (due, link_due) = peer(&table);
    assert!(due - now <= seconds(2) && link_due - now <= seconds(1));
}

#[test]
fn nobody_takes_all_places_with_many_addresses_of_one_network() {
    let of_place = |number: u16| format!("9.9.9.9:{}", 2_000 + number);
    let of_network = |number: u16| format!("9.9.{number}.1:2000");
    let of_many = |number: u16| format!("9.{number}.9.9:2000");
    let inner = |number: u16| format!("192.168.0.{number}:2000");
    let most = usize::from(u16::try_from(LEARNED_MAX).unwrap());
    let cases: [(&dyn Fn(u16) -> String, usize); 4] =
        [(&of_place, 2), (&of_network, most / 4), (&of_many, most), (&inner, most)];
    for (name, expected) in cases {
        let mut table = Table::new(1, EVERY);
        for number in 0..200 {
            let address = name(number).parse().unwrap();
            let said = handshake(number.into());
            let is_taken = table.take_in(&address, &said, times(seconds(1)));
            assert_eq!(is_taken, usize::from(number) < expected, "{address}");
        }
    }
}

#[test]
fn threads_may_tell_the_time_out_of_order() {
    let mut table = connected(1..2);
    table.fail(&id(1), "gone".to_owned(), seconds(5));
    table.introduce(&id(1), &handshake(1), times(seconds(10)));
    table.fail(&id(1), "gone".to_owned(), seconds(9));
    assert_eq!(table.peers().next().unwrap().state, PeerState::Unreachable);
}

#[test]
fn who_was_waited_for_in_vain_and_then_says_less_stands_behind_the_others() {
    let mut table = connected(1..3);
    let work = Work::new(U256::from(1u64));
    for port in [1, 2] {
        let claim = Handshake { work: Work::new(U256::from(9u64)), ..handshake(port.into()) };
        table.introduce(&id(port), &claim, times(seconds(1)));
    }
    let first = |table: &Table| table.claiming_more(work)[0].0.clone();
    let fake = first(&table);
    table.doubt(&fake);
    table.doubt(&fake);
    table.welcome_back(&fake);
    assert_ne!(first(&table), fake);
    table.believe(&fake);
    assert_eq!(first(&table), fake, "it has shown what it said");
}

#[test]
fn many_missed_that_a_person_added_do_not_keep_others_from_being_tried() {
    let mut table = Table::new(1, EVERY);
    (1..=8).for_each(|port| table.add_manual(&at(port)));
    table.restore(&PeerRecord::new(at(9)), times(seconds(0))).unwrap();
    let mut tried = Vec::new();
    for now in (1..=10).map(|step| seconds(1_000 * step)) {
        let Ok(Task::Exchange(target)) = table.next(now) else { panic!("due") };
        tried.push(target.id.clone());
        table.not_answered(&target, "no".to_owned(), now);
    }
    assert!(tried[0] == id(1) && tried.contains(&id(9)), "{tried:?}");
}

#[test]
fn results_of_a_peer_that_was_removed_meanwhile_do_nothing() {
    let mut table = Table::new(1, EVERY);
    table.add_manual(&at(1));
    let Ok(Task::Exchange(target)) = table.next(seconds(1)) else { panic!("due") };
    table.remove(&at(1));
    table.add_manual(&at(1));
    table.not_answered(&target, "no".to_owned(), seconds(1));
    assert_eq!(table.peers().next().unwrap().state, PeerState::New);
}

#[test]
fn strangers_do_not_keep_a_peer_from_being_tried() {
    let mut table = Table::new(1, EVERY);
    (1..=3).for_each(|port| table.add_manual(&at(port)));
    for port in 1_000..1_100 {
        let client = [10, 0, 0, u8::try_from(port % 4).unwrap()].into();
        let address = PeerAddress::from_ip(client, port).unwrap();
        let candidate = Candidate { address, instance: port.into(), client, pace: Pace::Quick };
        table.heard_of(candidate, false, seconds(1));
    }
    let first = [table.next(seconds(1)), table.next(seconds(1))];
    assert!(matches!(&first[0], Ok(Task::Exchange(target)) if target.id == id(1)));
    assert!(matches!(first[1], Ok(Task::CallBack(_))));
    // The stranger stays silent: the other place goes round among the peers.
    let Ok(Task::Exchange(target)) = &first[0] else { unreachable!() };
    table.not_answered(target, "no".to_owned(), seconds(1));
    for port in 2..=3 {
        let Ok(Task::Exchange(target)) = table.next(seconds(1)) else { panic!("a peer is due") };
        assert_eq!(target.id, id(port));
        assert!(table.next(seconds(1)).is_err());
        table.not_answered(&target, "no".to_owned(), seconds(1));
    }
    // Of each client no more were heard than a few.
    let mut called = 1;
    let Ok(Task::CallBack(mut stranger)) = first[1].clone() else { unreachable!() };
    loop {
        table.called_back(&stranger, None, times(seconds(1)));
        let Ok(Task::CallBack(next)) = table.next(seconds(1)) else { break };
        (stranger, called) = (next, called + 1);
    }
    assert_eq!(called, 32);
}

#[test]
fn strangers_that_were_slow_wait_for_those_that_were_not_called_yet() {
    let mut table = Table::new(1, EVERY);
    for (port, pace) in [(1, Pace::Usual), (2, Pace::Quick), (3, Pace::Usual), (4, Pace::Quick)] {
        let candidate = Candidate { pace, ..stranger(at(port), port.into()) };
        table.heard_of(candidate, false, seconds(1));
    }
    for port in [2, 4, 1, 3] {
        let Ok(Task::CallBack(candidate)) = table.next(seconds(1)) else { panic!("{port} waits") };
        assert_eq!(candidate.address, at(port));
        assert!(table.next(seconds(1)).is_err(), "one at a time");
        table.called_back(&candidate, None, times(seconds(1)));
    }
}

#[test]
fn those_who_come_by_themselves_leave_room_for_those_who_are_added() {
    let mut table = Table::new(1, EVERY);
    for port in 1..=200 {
        let instance = port.into();
        let candidate = stranger(at(port), instance);
        table.heard_of(candidate, false, seconds(1));
        if let Ok(Task::CallBack(candidate)) = table.next(seconds(1)) {
            table.called_back(&candidate, Some(&handshake(port.into())), times(seconds(1)));
        }
    }
    assert_eq!(table.peers().count(), CAME_MAX);
    let found = (400..600)
        .filter(|port| table.take_in(&at(*port), &handshake((*port).into()), times(seconds(1))));
    assert_eq!(found.count(), LEARNED_MAX - CAME_MAX);
    for port in 201..=300 {
        if table.has_room() {
            table.add_manual(&at(port));
        }
    }
    assert_eq!(table.peers().count(), PEERS_MAX);
}

#[test]
fn a_removed_peer_does_not_come_back_under_another_spelling() {
    let local = |port: u16| format!("localhost:{port}").parse::<PeerAddress>().unwrap();
    let elsewhere: PeerAddress = "192.0.2.7:5000".parse().unwrap();
    let client = elsewhere.ip().unwrap();
    let mut table = Table::new(1, EVERY);
    table.add_manual(&local(1));
    table.introduce(&local(1).into(), &handshake(7), times(seconds(0)));
    table.add_alias(&local(1), at(9));
    assert_eq!(table.remove(&local(1)).and_then(|gone| gone.instance), Some(7));
    let comes = |table: &mut Table, candidate: Candidate, now: Duration| {
        table.heard_of(candidate.clone(), false, now);
        let is_called = table.next(now).is_ok();
        let said = handshake(candidate.instance);
        is_called || table.take_in(&candidate.address, &said, times(now))
    };
    // As this run, wherever it is; as another one, where it was known to be.
    let same_run = Candidate { client, ..stranger(elsewhere.clone(), 7) };
    for candidate in [stranger(at(1), 7), same_run, stranger(at(1), 8), stranger(at(9), 8)] {
        assert!(!comes(&mut table, candidate.clone(), seconds(1)), "{candidate:?}");
    }
    // Nor after a restart.
    let mut next = Table::new(2, EVERY);
    table
        .records(times(seconds(2)))
        .iter()
        .for_each(|it| next.restore(it, times(seconds(2))).unwrap());
    for candidate in [stranger(at(1), 7), stranger(at(9), 7)] {
        assert!(!comes(&mut next, candidate.clone(), seconds(3)), "{candidate:?}");
    }
    // Unless a person wants it again.
    table.add_manual(&at(1));
    table.introduce(&id(1), &handshake(7), times(seconds(3)));
    table.remove(&local(1));
    table.add_manual(&local(1));
    table.introduce(&local(1).into(), &handshake(7), times(seconds(4)));
    assert!(table.take_in(&elsewhere, &handshake(7), times(seconds(4))));
}

#[test]
fn the_log_tells_once_that_a_peer_of_a_person_does_not_answer() {
    let mut table = Table::new(1, EVERY);
    table.add_manual(&at(1));
    assert!(table.take_in(&at(2), &handshake(2), times(seconds(0))));
    let missed = |table: &Table| [1, 2].map(|port| table.find(&id(port)).unwrap().is_missed);
    for now in [seconds(100), seconds(200)] {
        let _ = table.ask_all(now);
        while let Ok(task) = table.next(now) {
            match task {
                Task::Exchange(target) => table.not_answered(&target, "no".to_owned(), now),
                other => table.done(&other, Outcome::Done, now),
            }
        }
        assert_eq!(missed(&table), [true, false]);
    }
    table.introduce(&id(1), &handshake(1), times(seconds(300)));
    assert_eq!(missed(&table), [false, false]);
}

#[test]
fn a_restart_keeps_anchors_pauses_and_refusals() {
    let mut table = Table::new(1, EVERY);
    // Two that came by themselves and answer, one that does not, one that lied, one that is wanted.
    for port in 1..=4 {
        let candidate = stranger(at(port), port.into());
        table.heard_of(candidate, false, seconds(port.into()));
        let Ok(Task::CallBack(candidate)) = table.next(seconds(port.into())) else { panic!("due") };
        let met = times(seconds(port.into()));
        assert!(table.called_back(&candidate, Some(&handshake(port.into())), met));
    }
    table.add_manual(&at(5));
    (0..8).for_each(|_| table.fail(&id(3), "gone".to_owned(), seconds(100)));
    table.refuse(&id(4), "lie".to_owned(), seconds(100));
    table.remove(&at(6));

    let stopped = Times { unix: UnixTime(1_000), monotonic: seconds(110) };
    let started = Times { unix: UnixTime(1_030), monotonic: seconds(1) };
    let mut next = Table::new(2, EVERY);
    for record in table.records(stopped) {
        next.restore(&PeerRecord::from_json(&record.to_json()).unwrap(), started).unwrap();
    }
    // Wanted first, then the anchors.
    for port in [5, 1, 2] {
        let Ok(Task::Exchange(target)) = next.next(seconds(1)) else { panic!("{port} is due") };
        assert_eq!(target.id, id(port));
        next.not_answered(&target, "no".to_owned(), seconds(1));
    }
    assert!(next.peers().all(|peer| peer.id != id(4) && peer.id != id(6)));
    let waits = next.peers().find(|peer| peer.id == id(3)).unwrap();
    assert_eq!(waits.failures, 8);
    // It was last called 107 s before the stop, 137 s before the start: its pause was 128 s.
    assert_eq!(waits.due, seconds(1));
    // The lie is refused for ten minutes in all, 40 s of which are over.
    for (now, heard) in [(550, false), (562, true)] {
        let candidate = stranger(at(4), 4);
        next.heard_of(candidate, false, seconds(now));
        let mut strangers = 0;
        while let Ok(task) = next.next(seconds(now)) {
            match task {
                Task::CallBack(_) => strangers += 1,
                Task::Exchange(target) => next.busy(&target, seconds(now)),
                _ => panic!("nothing else is due"),
            }
        }
        assert_eq!(strangers == 1, heard, "{now}");
    }
}

#[test]
fn a_sender_is_a_peer_whose_words_fit_the_address_that_it_calls_from() {
    let mut table = Table::new(1, EVERY);
    for peer in ["localhost:5001", "127.0.0.1:5002", "10.0.0.1:5003"] {
        table.add_manual(&peer.parse().unwrap());
    }
    let named = |node: &str| Reach::Node(node.parse().unwrap());
    for (reach, expected) in [
        (Reach::Port(5001), Some("localhost:5001")),
        (Reach::Port(5002), Some("127.0.0.1:5002")),
        (named("127.0.0.1:5002"), Some("127.0.0.1:5002")),
        // A stranger, and one who speaks in another's name.
        (Reach::Port(5009), None),
        (named("10.0.0.1:5003"), None),
        (Reach::Port(5003), None),
    ] {
        let sender = table.sender(&reach, [127, 0, 0, 1].into()).map(|peer| peer.to_string());
        assert_eq!(sender.as_deref(), expected, "{reach:?}");
    }
}

#[test]
fn who_comes_by_itself_and_says_the_most_is_asked_last() {
    let mut table = connected(1..3);
    let says = |number: u64| {
        let work = Work::new(U256::from(number));
        Handshake { work, ..handshake(number) }
    };
    for number in [1, 2] {
        let peer = id(u16::try_from(number).unwrap());
        table.introduce(&peer, &says(number), times(seconds(0)));
    }
    for number in [7, 8] {
        table.link_in(LinkId(number), &says(number), times(seconds(0)));
    }
    let asked = table.claiming_more(Work::ZERO).into_iter().map(|(peer, _)| peer);
    let links = [7, 8].map(|number| PeerId::Link(LinkId(number)));
    assert_eq!(asked.collect::<Vec<_>>(), [vec![id(2), id(1)], links.to_vec()].concat());
}

#[test]
fn what_the_file_says_twice_of_a_peer_is_made_one() {
    let mut table = Table::new(1, EVERY);
    let known = PeerRecord { last_seen: UnixTime(500), ..PeerRecord::new(at(1)) };
    let missed = PeerRecord { failures: 9, last_tried: UnixTime(999), ..known.clone() };
    let wanted = PeerRecord { manual: true, ..PeerRecord::new(at(1)) };
    let anchor = PeerRecord { anchor: true, ..PeerRecord::new(at(1)) };
    let removed = PeerRecord { removed: true, ..PeerRecord::new(at(2)) };
    let refused = PeerRecord { refused_until: UnixTime(1_100), ..PeerRecord::new(at(3)) };
    for record in [&missed, &known, &wanted, &anchor, &missed, &removed, &refused] {
        for _ in 0..300 {
            assert_eq!(table.restore(record, times(seconds(0))), Ok(()));
        }
    }
    let peer = table.find_at(&at(1)).unwrap();
    assert_eq!((peer.manual, peer.anchor, peer.failures), (true, true, 0));
    assert_eq!((peer.last_seen, peer.due), (Some(UnixTime(500)), Duration::ZERO));
    assert_eq!(table.records(times(seconds(0))).len(), 3);
}

#[test]
fn what_finds_no_room_in_the_table_is_said() {
    for (record, max) in [
        (PeerRecord::new(at(1)), PEERS_MAX),
        (PeerRecord { removed: true, ..PeerRecord::new(at(1)) }, REMOVED_MAX),
        (PeerRecord { refused_until: UnixTime(2_000), ..PeerRecord::new(at(1)) }, PAUSED_MAX),
    ] {
        let mut table = Table::new(1, EVERY);
        let lines = (1..).map(|port| PeerRecord { node: at(port), ..record.clone() });
        let taken = lines.take_while(|line| table.restore(line, times(seconds(0))).is_ok());
        assert_eq!(taken.count(), max);
        assert_eq!(table.restore(&record, times(seconds(0))), Ok(()), "it is known");
    }
}
