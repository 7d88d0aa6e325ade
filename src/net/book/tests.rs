//! What the book takes, keeps and has called, and two attacks on it played through.

use super::*;
use crate::net::outbound::{self, Fact, Standing};

fn at(text: &str) -> PeerAddress {
    text.parse().unwrap()
}

/// The `n`-th address of network `group` of the Internet; each group is another /16.
fn open(group: usize, n: usize) -> PeerAddress {
    let [a, b] = [group / 256, group % 256].map(|part| u8::try_from(part).unwrap());
    let [c, d] = [n / 256, n % 256].map(|part| u8::try_from(part).unwrap());
    PeerAddress::from_ip(IpAddr::from([20 + a, b, c, d]), 5_000).unwrap()
}

fn time(seconds: u64) -> Times {
    let monotonic = Duration::from_secs(seconds);
    Times { unix: UnixTime(1_800_000_000).plus(u32::try_from(seconds).unwrap()), monotonic }
}

const NOBODY: Known<'static> =
    Known { connected: &[], peers: 0, is_settled: &|_, _| false, least: Standing::Came };

fn book(seeds: &[&str]) -> Book {
    Book::new(1, seeds.iter().map(|seed| at(seed)).collect())
}

fn restarted(book: &Book, seconds: u64) -> Book {
    let mut next = Book::new(seconds, Vec::new());
    for record in book.records() {
        let line = PeerRecord::from_json(&record.to_json()).unwrap();
        next.restore(&line, time(seconds));
    }
    next
}

/// All that is called in some seconds, each call in vain.
fn calls(book: &mut Book, seconds: std::ops::Range<u64>) -> Vec<(u64, PeerAddress)> {
    let call = |second| {
        let called = book.next(NOBODY, time(second))?;
        book.failed(&called, time(second).unix);
        Some((second, called))
    };
    seconds.filter_map(call).collect()
}

#[test]
fn what_is_heard_is_taken_as_far_as_its_source_may_name_it() {
    for (source, named, taken) in [
        ("203.0.113.5:5000", "198.51.100.1:5000", true),
        ("203.0.113.5:5000", "192.168.1.9:5000", false),
        ("203.0.113.5:5000", "198.51.100.1:25", false),
        ("203.0.113.5:5000", "node.example:5000", false),
        ("node.example:5000", "192.168.1.9:5000", false),
        ("farthing-1:5000", "172.18.0.5:5000", true),
        ("192.168.1.2:5000", "192.168.1.9:5000", true),
        ("192.168.1.2:5000", "127.0.0.1:5000", false),
        ("127.0.0.1:5001", "127.0.0.1:5000", true),
    ] {
        let mut book = book(&[]);
        book.hear(&[at(named)], &Source::at(&at(source)));
        assert_eq!(book.len() == 1, taken, "{source} {named}");
    }
    let mut book = book(&[]);
    let list: Vec<_> = (0..100).map(|n| open(n, 1)).collect();
    book.hear(&list, &Source::from_ip("203.0.113.5".parse().unwrap()));
    assert_eq!(book.len(), LIST_MAX);
}

#[test]
fn nobody_fills_the_book_and_what_answered_stays() {
    let mut book = book(&[]);
    let good: Vec<_> = (0..100).map(|n| open(600 + n, 1)).collect();
    good.iter().for_each(|address| book.answered(address, time(0)));
    // One network names ten thousand, then two hundred networks do.
    let sources = std::iter::repeat_n(0, 313).chain(0..200).chain(0..200).chain(0..200);
    for (turn, source) in sources.enumerate() {
        let list: Vec<_> = (0..LIST_MAX).map(|n| open(300 + n, turn)).collect();
        book.hear(&list, &Source::at(&open(source, 1)));
        let of_source = Group::of(&open(source, 1));
        let count = book.unanswered().filter(|(_, entry)| entry.source == of_source).count();
        assert!(count <= OF_ONE_SOURCE_MAX && book.len() <= HEARD_MAX, "{source} {count}");
    }
    assert_eq!(book.len(), HEARD_MAX);
    assert!(good.iter().all(|address| book.entries.contains_key(address)));
    let told = book.sample("203.0.113.5".parse().unwrap(), time(0).unix);
    assert_eq!(told.len(), LIST_MAX);
    assert!(told.iter().all(|address| good.contains(address)));
}

#[test]
fn the_oldest_of_the_network_that_named_most_gives_way() {
    let mut book = book(&[]);
    let (large, small) = (Source::at(&open(1, 1)), Source::at(&open(2, 1)));
    for n in 0..OF_ONE_SOURCE_MAX {
        book.hear(&[open(10, n)], &large);
    }
    book.hear(&[open(11, 0), open(11, 1)], &small);
    // Its own oldest, as it has its share; and one that was called in vain before any other.
    book.failed(&open(10, 5), time(0).unix);
    for gone in [5, 0] {
        assert!(book.entries.contains_key(&open(10, gone)));
        book.hear(&[open(12, gone)], &large);
        assert!(!book.entries.contains_key(&open(10, gone)), "{gone}");
    }
    for n in book.len()..HEARD_MAX {
        book.hear(&[open(50, n)], &Source::at(&open(100 + n / 50, 1)));
    }
    book.hear(&[open(13, 0)], &small);
    assert!(!book.entries.contains_key(&open(10, 1)));
    assert!(book.entries.contains_key(&open(11, 0)) && book.entries.contains_key(&open(13, 0)));
}

#[test]
fn those_who_answer_have_a_bound_too_and_no_network_takes_it_all() {
    let mut book = book(&[]);
    book.answered(&open(1, 1), time(0));
    for n in 0..2_000 {
        book.answered(&open(2, n), time(1));
    }
    assert_eq!(book.len(), ANSWERED_MAX);
    assert!(book.entries.contains_key(&open(1, 1)));
}

#[test]
fn only_what_answered_within_a_day_is_told_and_only_to_who_may_call_it() {
    let (fresh, old, inner, own) =
        (at("1.2.3.4:5000"), at("1.3.3.4:5000"), at("192.168.1.9:5000"), at("127.0.0.1:5001"));
    let mut book = book(&[]);
    book.hear(&[at("1.4.3.4:5000")], &Source::at(&fresh));
    book.answered(&old, time(0));
    for address in [&fresh, &inner, &own, &at("node.example:5000"), &at("1.5.0.1:80")] {
        book.answered(address, time(1));
    }
    let now = time(1).unix.plus(TOLD_AFTER_MAX_S);
    for (asker, told) in [
        ("203.0.113.5", vec![&fresh]),
        ("192.168.1.2", vec![&fresh, &inner]),
        ("127.0.0.1", vec![&fresh, &inner, &own]),
    ] {
        let mut sample = book.sample(asker.parse().unwrap(), now);
        sample.sort();
        let mut told: Vec<_> = told.into_iter().cloned().collect();
        told.sort();
        assert_eq!(sample, told, "{asker}");
    }
}

#[test]
fn one_call_a_second_and_to_one_place_one_in_ten_minutes() {
    let mut book = book(&[]);
    let source = Source::at(&open(0, 1));
    book.hear(&[open(1, 1), open(2, 1), open(3, 1)], &source);
    let twin = PeerAddress::from_ip(open(1, 1).ip().unwrap(), 6_000).unwrap();
    book.hear(&[twin], &source);
    let called = calls(&mut book, 0..600);
    assert_eq!(called.iter().map(|(second, _)| *second).collect::<Vec<_>>(), [0, 1, 2]);
    let places: BTreeSet<_> = called.iter().map(|(_, address)| Place::of(address)).collect();
    assert_eq!(places.len(), 3);
    assert_eq!(calls(&mut book, 600..1_200).len(), 3);
    // Within a second there is one.
    assert!(book.next(NOBODY, time(1_200)).is_some() && book.next(NOBODY, time(1_200)).is_none());
}

#[test]
fn no_call_is_due_with_peers_enough_or_to_who_is_one() {
    let mut book = book(&["seed.example:5000"]);
    book.hear(&[open(1, 1)], &Source::at(&open(0, 1)));
    let connected: Vec<_> = (0..OUTBOUND_TARGET).map(|n| open(10 + n, 1)).collect();
    let enough = Known { connected: &connected, ..NOBODY };
    assert_eq!(book.next(enough, time(0)), None);
    assert_eq!(book.next(Known { is_settled: &|_, _| true, ..NOBODY }, time(0)), None);
    let few = Known { connected: &connected[1..], ..NOBODY };
    assert_eq!(book.next(few, time(0)), None, "it was looked for just now");
    assert_eq!(book.next(few, time(1)), Some(open(1, 1)));
}

#[test]
fn networks_without_a_connection_come_first() {
    for seed in 0..20 {
        let mut book = Book::new(seed, Vec::new());
        let (known, new) = (open(1, 2), open(2, 2));
        book.answered(&known, time(0));
        book.hear(std::slice::from_ref(&new), &Source::at(&open(3, 1)));
        let connected = [open(1, 1), open(7, 1)];
        let around = Known { connected: &connected, ..NOBODY };
        assert_eq!(book.next(around, time(0)), Some(new));
        assert_eq!(book.next(around, time(1)), Some(known));
    }
}

#[test]
fn who_names_many_gets_no_more_turns_than_who_names_one() {
    let first = |seed| {
        let mut book = Book::new(seed, Vec::new());
        for n in 0..OF_ONE_SOURCE_MAX {
            book.hear(&[open(100 + n, 1)], &Source::at(&open(1, 1)));
        }
        book.hear(&[open(99, 1)], &Source::at(&open(2, 1)));
        book.next(NOBODY, time(0)).unwrap()
    };
    let fair = (0..200).filter(|seed| first(*seed) == open(99, 1)).count();
    assert!((70..130).contains(&fair), "{fair} of 200");
}

#[test]
fn addresses_where_nobody_is_are_forgotten() {
    let mut book = book(&[]);
    let day = |days: u64| time(days * 86_400);
    let (never, once) = (open(1, 1), open(2, 1));
    book.hear(std::slice::from_ref(&never), &Source::at(&once));
    book.answered(&once, day(0));
    for (days, left) in [(1, 2), (2, 2), (3, 1), (7, 1), (8, 1)] {
        book.failed(&never, day(days).unix);
        book.failed(&once, day(days).unix);
        assert_eq!(book.len(), left, "{days}");
    }
    // Five failures so far: ten in a row and more than a week are both needed.
    for left in [1, 1, 1, 1, 0] {
        book.failed(&once, day(9).unix);
        assert_eq!(book.len(), left);
    }
}

#[test]
fn seeds_are_asked_first_by_the_lonely_and_last_by_others() {
    let (seed, heard) = (at("seed.example:5000"), open(1, 1));
    let one = [open(7, 1)];
    let two = [open(7, 1), open(8, 1)];
    let connected: [(&[PeerAddress], _); 3] =
        [(&[], [&seed, &seed]), (&one, [&seed, &seed]), (&two, [&heard, &seed])];
    for (connected, order) in connected {
        let mut book = book(&["seed.example:5000"]);
        book.hear(std::slice::from_ref(&heard), &Source::at(&open(2, 1)));
        let around = Known { connected, ..NOBODY };
        // It has others, so the seeds wait.
        assert_eq!(book.next(Known { is_settled: &|_, _| true, ..NOBODY }, time(0)), None);
        let called = (10..12).filter_map(|second| book.next(around, time(second)));
        let called: Vec<_> = called.collect();
        assert_eq!(called.iter().collect::<Vec<_>>(), order, "{}", connected.len());
        // A seed that does not answer leaves its turn to the others.
        let last = if connected.len() < SEEDED_MIN { &heard } else { &seed };
        assert_eq!(book.next(NOBODY, time(12)).as_ref(), Some(last));
    }
}

#[test]
fn many_of_one_network_do_not_keep_a_node_from_looking_for_others() {
    let of_one: Vec<_> = (1..=40).map(|n| at(&format!("9.9.{n}.1:5000"))).collect();
    let inner: Vec<_> = (1..=40).map(|n| at(&format!("192.168.{n}.1:5000"))).collect();
    for (connected, expected) in [(of_one, Some(at("seed.example:5000"))), (inner, None)] {
        let mut book = book(&["seed.example:5000"]);
        let around = Known { connected: &connected, peers: connected.len(), ..NOBODY };
        assert_eq!(book.next(around, time(0)), None, "the seeds wait");
        assert_eq!(book.next(around, time(20)), expected);
    }
}

#[test]
fn dead_seeds_are_called_in_growing_pauses_and_never_forgotten() {
    let mut book = book(&["seed.example:5000"]);
    let called: Vec<_> = calls(&mut book, 0..2_500).into_iter().map(|(second, _)| second).collect();
    assert_eq!(called, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1_023, 1_623, 2_223]);
    // One that answers is left alone for ten minutes, whatever becomes of it.
    book.answered(&at("seed.example:5000"), time(2_500));
    assert_eq!(calls(&mut book, 2_500..3_200).first().map(|(second, _)| *second), Some(3_100));
}

#[test]
fn what_is_known_survives_a_restart_with_its_pauses() {
    let mut book = book(&[]);
    book.hear(&[open(1, 1), open(2, 1)], &Source::at(&open(0, 1)));
    book.answered(&open(3, 1), time(5));
    let (_, called) = calls(&mut book, 10..11).remove(0);
    let mut next = restarted(&book, 100);
    let lines = |book: &Book| book.records().map(|record| record.to_json()).collect::<Vec<_>>();
    assert_eq!(lines(&next), lines(&book));
    let called_again = |(_, address): &(u64, PeerAddress)| *address == called;
    assert!(!calls(&mut next, 100..609).iter().any(called_again));
    assert!(calls(&mut next, 610..1_210).iter().any(called_again));
}

#[test]
fn a_thousand_lines_fit_the_file() {
    let mut book = book(&[]);
    for n in 0..HEARD_MAX {
        let group = |n: usize| format!("[2001:{n:x}:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535");
        book.hear(&[at(&group(0xd000 + n))], &Source::at(&at(&group(0xe000 + n / 60))));
    }
    assert_eq!(book.len(), HEARD_MAX);
    let bytes: usize = book.records().map(|record| record.to_json().len() + 60).sum();
    assert!(bytes < 300 << 10, "{bytes}");
}

#[test]
fn a_victim_that_is_named_ten_thousand_times_is_called_twenty_times() {
    let victim = "198.51.100.7".parse().unwrap();
    let mut books: Vec<_> = (0..20).map(|seed| Book::new(seed, Vec::new())).collect();
    let mut calls: Vec<u64> = Vec::new();
    for second in 0..620 {
        for book in &mut books {
            // At ever other ports, from ever other networks, with others that push the victim out.
            let n = usize::try_from(second).unwrap();
            let port = 1_024 + u16::try_from(n).unwrap();
            let mut list = vec![PeerAddress::from_ip(victim, port).unwrap()];
            list.push(open(n, 1));
            book.hear(&list, &Source::at(&open(n % 97, 1)));
            if second % 200 == 199 {
                *book = restarted(book, second);
            }
            let Some(called) = book.next(NOBODY, time(second)) else { continue };
            book.failed(&called, time(second).unix);
            if called.ip() == Some(victim) {
                calls.push(second);
            }
        }
    }
    let within = |start| calls.iter().filter(|s| (start..start + 600).contains(*s)).count();
    let most = (0..20).map(within).max().unwrap();
    assert!((1..=20).contains(&most), "{most}");
}

/// A node whose peers answer or are not there, second by second.
struct Node {
    book: Book,
    facts: Vec<Fact>,
    /// The run's end is another's beginning: seconds since the first one.
    now: u64,
}

impl Node {
    fn new(manual: &[PeerAddress]) -> Self {
        let facts = manual.iter().map(|address| fact(address, Standing::Manual)).collect();
        Self { book: Book::new(0, Vec::new()), facts, now: 0 }
    }

    fn restart(&mut self) {
        let linked = self.facts.iter();
        let anchors = outbound::anchors(
            linked.filter_map(|fact| Some((fact.standing, fact.link?, &fact.address))),
        );
        self.facts
            .retain(|fact| fact.standing == Standing::Manual || anchors.contains(&fact.address));
        for fact in &mut self.facts {
            (fact.answers, fact.link) = (false, None);
            if fact.standing == Standing::Learned {
                fact.standing = Standing::Anchor;
            }
        }
        self.book = restarted(&self.book, self.now);
    }

    /// One second: peers that are up answer, the book has one called, connections are opened.
    fn second(&mut self, is_up: impl Fn(&PeerAddress) -> bool) {
        let times = time(self.now);
        for fact in &mut self.facts {
            fact.answers = is_up(&fact.address);
            if fact.answers {
                self.book.answered(&fact.address, times);
            }
        }
        let answering = self.facts.iter().filter(|fact| fact.answers);
        let connected: Vec<_> = answering.map(|fact| fact.address.clone()).collect();
        let is_settled =
            |address: &PeerAddress, _| self.facts.iter().any(|fact| fact.address == *address);
        let known = Known { connected: &connected, peers: 4, is_settled: &is_settled, ..NOBODY };
        if let Some(called) = self.book.next(known, times) {
            if is_up(&called) {
                self.book.answered(&called, times);
                self.facts.push(Fact { answers: true, ..fact(&called, Standing::Learned) });
            } else {
                self.book.failed(&called, times.unix);
            }
        }
        let choice = outbound::choose(&self.facts, times.monotonic);
        for fact in &mut self.facts {
            if choice.open.contains(&fact.address) {
                fact.link = Some(times.monotonic);
            } else if choice.close.contains(&fact.address) || !fact.answers {
                fact.link = None;
            }
        }
        self.now += 1;
    }

    fn linked(&self, among: &[PeerAddress]) -> usize {
        let linked = self.facts.iter().filter(|fact| fact.link.is_some());
        linked.filter(|fact| among.contains(&fact.address)).count()
    }

    /// Attackers of ever other networks name each other.
    fn flood(&mut self, attackers: &[PeerAddress]) {
        for (turn, list) in attackers.chunks(LIST_MAX).enumerate() {
            self.book.hear(list, &Source::at(&attackers[turn * LIST_MAX]));
        }
    }
}

fn fact(address: &PeerAddress, standing: Standing) -> Fact {
    Fact {
        address: address.clone(),
        standing,
        instance: None,
        answers: false,
        not_before: Duration::ZERO,
        link: None,
        reaches_us: false,
    }
}

/// 500 attackers in as many networks, all of which answer always; four honest ones.
fn eclipse() -> (Vec<PeerAddress>, Vec<PeerAddress>) {
    ((0..500).map(|n| open(1_000 + n, 1)).collect(), (0..4).map(|n| open(n, 1)).collect())
}

#[test]
fn five_hundred_attackers_do_not_eclipse_configured_peers() {
    let (attackers, honest) = eclipse();
    let mut node = Node::new(&honest);
    for restart in 0..50 {
        node.restart();
        node.flood(&attackers);
        // The honest are late, so that all places are taken when they come.
        (0..30).for_each(|_| node.second(|address| attackers.contains(address)));
        assert_eq!(node.linked(&attackers), OUTBOUND_TARGET, "{restart}");
        (0..10).for_each(|_| node.second(|_| true));
        assert_eq!(node.linked(&honest), 4, "{restart}");
    }
}

#[test]
fn five_hundred_attackers_do_not_eclipse_honest_anchors() {
    let (attackers, honest) = eclipse();
    let mut node = Node::new(&[]);
    node.book.hear(&honest, &Source::at(&open(9, 9)));
    (0..10).for_each(|_| node.second(|_| true));
    assert_eq!(node.linked(&honest), 4);
    for restart in 0..50 {
        node.flood(&attackers);
        (0..30).for_each(|_| node.second(|_| true));
        node.restart();
        (0..30).for_each(|_| node.second(|_| true));
        assert!(node.linked(&honest) >= 1, "{restart}");
        assert_eq!(node.linked(&honest) + node.linked(&attackers), OUTBOUND_TARGET);
    }
}

#[test]
fn who_was_slow_gets_more_time_and_black_holes_push_out_nobody_else() {
    let (mut book, now) = (book(&[]), time(0));
    let told: Vec<_> = (0..10).map(|n| open(9, n)).collect();
    book.hear(&told, &Source::at(&open(9, 99)));
    let slow = |book: &mut Book, address: &PeerAddress| {
        book.hear_slow(address, &Source::from_ip(address.ip().unwrap()), now.unix);
    };
    let far = open(1, 1);
    assert_eq!(book.pace(&far), Pace::Quick);
    slow(&mut book, &far);
    assert_eq!(book.pace(&far), Pace::Usual);
    book.answered(&far, now);
    assert_eq!(book.pace(&far), Pace::Quick);
    (0..3).for_each(|_| slow(&mut book, &open(1, 2)));
    assert_eq!(book.pace(&open(1, 2)), Pace::Quick, "forgotten after three calls in vain");
    (0..2_000).for_each(|n| slow(&mut book, &open(2 + n % 3, n)));
    assert_eq!(book.len(), told.len() + 1 + 3 * OF_ONE_SOURCE_MAX);
    assert!(told.iter().all(|address| book.entries.contains_key(address)));
}

#[test]
fn a_seed_has_to_answer_quickly_the_first_time_only() {
    let mut book = book(&["seed.example:5000"]);
    for (second, pace) in [(0, Pace::Quick), (1, Pace::Usual), (3, Pace::Usual)] {
        let seed = book.next(NOBODY, time(second)).unwrap();
        assert_eq!(book.pace(&seed), pace, "{second}");
        book.failed(&seed, time(second).unix);
    }
}
