//! To whom this node opens live connections: a pure choice from what the table knows.
//!
//! First those that a person added, then the anchors of the last run, then those that are connected
//! already, then any that answer, and of these one of each network before a second. So nobody who
//! has many addresses of one network can take all places, and whoever has named itself to us takes
//! those only that nobody else is there for.

use super::place::of_same_network;
use crate::primitives::PeerAddress;
use std::cmp::Reverse;
use std::time::Duration;

/// Live connections that this node opens. More cost every node a place for incoming ones; with
/// fewer, a few bad peers in a row cut it off.
pub const OUTBOUND_TARGET: usize = 8;

/// Connections to learned peers of one network of the Internet: more tell nothing new, and whoever
/// has one address there easily has many. Inner networks are not counted: all peers may be there.
pub const OF_GROUP_MAX: usize = 2;

/// Anchors: enough to have an honest one among them, few enough not to freeze the network.
pub const ANCHORS_MAX: usize = 2;

/// The first pause after a failure; it doubles with each further one.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// The longest pause between calls to one that does not answer.
pub const BACKOFF_MAX: Duration = Duration::from_secs(600);

/// The pause after `failures` in a row: none, 1 s, 2 s, ... 10 minutes.
pub fn backoff(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    (BACKOFF_MIN * 2_u32.pow(doublings.min(16))).min(BACKOFF_MAX)
}

/// Why a peer is in the table; the first come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A person wants it.
    Manual,
    /// It was among those connected longest in the last run.
    Anchor,
    /// We have looked for it: a seed, or named by a peer that we have looked for and asked.
    Learned,
    /// It has named itself to us, or another such has, as whoever has many addresses can do with all of
    /// them.
    Came,
}

/// What the choice needs to know of a peer that is called at its address.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Where it is.
    pub address: PeerAddress,
    /// Why it is in the table.
    pub standing: Standing,
    /// Which run of which node it says it is.
    pub instance: Option<u64>,
    /// Whether the last exchange went well.
    pub answers: bool,
    /// Before this it is not dialled: dialling has failed.
    pub not_before: Duration,
    /// Since when a live connection to it is open.
    pub link: Option<Duration>,
    /// Whether it has opened one to us: both sides say so.
    pub reaches_us: bool,
}

/// What is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Peers to connect to, the most wanted first.
    pub open: Vec<PeerAddress>,
    /// Peers whose connection gives way to one that is wanted more.
    pub close: Vec<PeerAddress>,
}

/// Chooses among the peers of the table.
pub fn choose(facts: &[Fact], now: Duration) -> Choice {
    let mut able: Vec<&Fact> = facts.iter().filter(|fact| fact.is_able(now)).collect();
    able.sort_by_key(|fact| fact.rank());
    let mut chosen: Vec<&Fact> = Vec::new();
    let turns = [Standing::Learned, Standing::Came].map(|last| [(last, 1), (last, OF_GROUP_MAX)]);
    for (last, of_group_max) in turns.into_iter().flatten() {
        for fact in able.iter().filter(|fact| fact.standing <= last) {
            if chosen.len() < OUTBOUND_TARGET && fits(fact, &chosen, of_group_max) {
                chosen.push(fact);
            }
        }
    }
    chosen.sort_by_key(|fact| fact.rank());
    let is_chosen = |fact: &&Fact| chosen.iter().any(|other| other.address == fact.address);
    let address = |fact: &Fact| fact.address.clone();
    let open = chosen.iter().filter(|fact| fact.link.is_none());
    let close = facts.iter().filter(|fact| fact.link.is_some() && !is_chosen(fact));
    Choice { open: open.map(|fact| address(fact)).collect(), close: close.map(address).collect() }
}

/// Of peers that answer, with why they are there and since when, those to call first after a restart: the
/// ones connected longest, as no person will name them then. Who has named itself is one if there are
/// no others.
pub fn anchors<'a>(
    connected: impl IntoIterator<Item = (Standing, Duration, &'a PeerAddress)>,
) -> Vec<PeerAddress> {
    let unnamed = connected.into_iter().filter(|(standing, ..)| *standing != Standing::Manual);
    let mut longest: Vec<_> = unnamed
        .map(|(standing, since, address)| (standing == Standing::Came, since, address))
        .collect();
    longest.sort();
    longest.into_iter().take(ANCHORS_MAX).map(|(.., address)| address.clone()).collect()
}

/// For how many nodes these addresses count: those of one network of the Internet for no more than
/// [`OF_GROUP_MAX`], so that nobody who has many there keeps us from looking for others.
pub fn independent(addresses: &[PeerAddress]) -> usize {
    let counts = addresses.iter().enumerate().filter(|(place, address)| {
        of_same_network(address, addresses[..*place].iter()) < OF_GROUP_MAX
    });
    counts.count()
}

/// Whether one more may stand beside those chosen: it is none of them by another address, and its
/// network has not its share. An instance is a mere word, so it decides only who of two comes first,
/// and never against one that a person wants.
fn fits(fact: &Fact, chosen: &[&Fact], of_group_max: usize) -> bool {
    let is_same = |other: &Fact| {
        other.address == fact.address
            || (other.instance.is_some() && other.instance == fact.instance)
    };
    if chosen.iter().any(|other| is_same(other)) {
        return false;
    }
    let is_counted = fact.standing >= Standing::Learned;
    let others = chosen.iter().map(|other| &other.address);
    !is_counted || of_same_network(&fact.address, others) < of_group_max
}

impl Fact {
    fn is_able(&self, now: Duration) -> bool {
        self.answers && (self.link.is_some() || (self.not_before <= now && !self.reaches_us))
    }

    /// The smaller comes first.
    fn rank(&self) -> (Standing, Reverse<bool>, Option<Duration>) {
        (self.standing, Reverse(self.link.is_some()), self.link)
    }
}

#[cfg(test)]
mod tests {
    use super::Standing::{Anchor, Came, Learned, Manual};
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn fact(address: &str, standing: Standing) -> Fact {
        Fact {
            address: address.parse().unwrap(),
            standing,
            instance: None,
            answers: true,
            not_before: Duration::ZERO,
            link: None,
            reaches_us: false,
        }
    }

    fn linked(address: &str, standing: Standing, since: u64) -> Fact {
        Fact { link: Some(Duration::from_secs(since)), ..fact(address, standing) }
    }

    #[track_caller]
    fn check(facts: &[Fact], open: &[&str], close: &[&str]) {
        let Choice { open: opened, close: closed } = choose(facts, NOW);
        let names = |list: Vec<PeerAddress>| -> Vec<_> {
            list.iter().map(PeerAddress::to_string).collect()
        };
        assert_eq!((names(opened), names(closed)), (names_of(open), names_of(close)));
    }

    fn names_of(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_order_is_manual_anchors_and_others() {
        let facts = [
            fact("1.1.0.1:5000", Learned),
            fact("2.2.0.1:5000", Anchor),
            fact("3.3.0.1:5000", Manual),
            fact("node.example:5000", Manual),
        ];
        let order = ["3.3.0.1:5000", "node.example:5000", "2.2.0.1:5000", "1.1.0.1:5000"];
        check(&facts, &order, &[]);
        check(&[], &[], &[]);
    }

    #[test]
    fn who_does_not_answer_or_waits_or_calls_us_is_not_dialled() {
        let base = fact("1.1.0.1:5000", Manual);
        check(&[Fact { answers: false, ..base.clone() }], &[], &[]);
        check(&[Fact { reaches_us: true, ..base.clone() }], &[], &[]);
        let later = NOW + Duration::from_secs(1);
        check(&[Fact { not_before: later, ..base.clone() }], &[], &[]);
        check(&[Fact { not_before: NOW, ..base }], &["1.1.0.1:5000"], &[]);
    }

    #[test]
    fn no_more_than_the_target_and_nobody_is_put_out_for_an_equal() {
        let mut facts: Vec<_> =
            (1..=8).map(|n| linked(&format!("{n}.1.0.1:5"), Learned, n)).collect();
        facts.push(fact("9.1.0.1:5", Learned));
        check(&facts, &[], &[]);
        // For one that a person wants the youngest goes.
        facts.push(fact("10.1.0.1:5", Manual));
        check(&facts, &["10.1.0.1:5"], &["8.1.0.1:5"]);
    }

    #[test]
    fn one_network_gets_two_places_and_others_come_first() {
        let one = |n: u32| fact(&format!("1.1.0.{n}:5000"), Learned);
        let mut facts: Vec<_> = (1..=9).map(one).collect();
        check(&facts, &["1.1.0.1:5000", "1.1.0.2:5000"], &[]);
        facts.push(fact("2.1.0.1:5000", Learned));
        check(&facts, &["1.1.0.1:5000", "2.1.0.1:5000", "1.1.0.2:5000"], &[]);
        // With seven others there is one place left for that network.
        facts.extend((3..=8).map(|n| fact(&format!("{n}.1.0.1:5000"), Learned)));
        let chosen = choose(&facts, NOW).open;
        let of_one = chosen.iter().filter(|address| address.to_string().starts_with("1.1."));
        assert_eq!((chosen.len(), of_one.count()), (8, 1));
        // What a person wants and what is in an inner network is not counted.
        let wanted: Vec<_> = (1..=5).map(|n| Fact { standing: Manual, ..one(n) }).collect();
        assert_eq!(choose(&wanted, NOW).open.len(), 5);
        for inner in ["127.0.0.1:500", "192.168.1.1:500", "10.0.0.1:500"] {
            let facts: Vec<_> = (1..=9).map(|n| fact(&format!("{inner}{n}"), Learned)).collect();
            assert_eq!(choose(&facts, NOW).open.len(), OUTBOUND_TARGET, "{inner}");
        }
    }

    #[test]
    fn who_named_itself_takes_only_what_nobody_else_is_there_for() {
        let mut facts: Vec<_> = (1..=9).map(|n| linked(&format!("{n}.1.0.1:5"), Came, n)).collect();
        check(&facts, &[], &["9.1.0.1:5"]);
        // Two of one network come before all of them, a third does not.
        facts.pop();
        facts.extend((1..=3).map(|n| fact(&format!("20.1.0.{n}:5"), Learned)));
        check(&facts, &["20.1.0.1:5", "20.1.0.2:5"], &["7.1.0.1:5", "8.1.0.1:5"]);
        let of_one: Vec<_> = (1..=9).map(|n| fact(&format!("1.1.0.{n}:5"), Came)).collect();
        check(&of_one, &["1.1.0.1:5", "1.1.0.2:5"], &[]);
    }

    #[test]
    fn never_two_to_one_instance() {
        let with = |fact: Fact| Fact { instance: Some(7), ..fact };
        let facts = [with(fact("1.1.0.1:5", Learned)), with(fact("2.1.0.1:5", Manual))];
        check(&facts, &["2.1.0.1:5"], &[]);
        // Whoever names the instance of one that is connected does not take its place.
        let facts = [with(fact("1.1.0.1:5", Learned)), with(linked("2.1.0.1:5", Learned, 9))];
        check(&facts, &[], &[]);
        // Two connections that turn out to be of one: the older stays.
        let facts = [with(linked("1.1.0.1:5", Learned, 9)), with(linked("2.1.0.1:5", Learned, 8))];
        check(&facts, &[], &["1.1.0.1:5"]);
    }

    #[test]
    fn anchors_are_the_two_that_were_connected_longest() {
        let at = |text: &str| text.parse::<PeerAddress>().unwrap();
        let peers =
            [(Learned, 5, 3), (Learned, 6, 1), (Anchor, 7, 2), (Manual, 8, 0), (Came, 9, 0)]
                .map(|(standing, port, since)| (standing, since, at(&format!("1.1.0.1:{port}"))));
        let longest = |places: &[usize]| {
            let peers = places.iter().map(|place| &peers[*place]);
            anchors(peers.map(|(standing, since, at)| (*standing, Duration::from_secs(*since), at)))
        };
        assert_eq!(longest(&[0, 1, 2, 3, 4]), [at("1.1.0.1:6"), at("1.1.0.1:7")]);
        assert_eq!(longest(&[4, 3, 0]), [at("1.1.0.1:5"), at("1.1.0.1:9")]);
    }

    #[test]
    fn pauses_double_up_to_ten_minutes() {
        let table = [(0, 0), (1, 1), (2, 2), (3, 4), (10, 512), (11, 600), (u32::MAX, 600)];
        for (failures, seconds) in table {
            assert_eq!(backoff(failures), Duration::from_secs(seconds), "{failures}");
        }
    }
}
