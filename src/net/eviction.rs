//! Whether an incoming live connection is taken, and which one gives way for it.
//!
//! Pure, after Bitcoin Core's `SelectNodeToEvict` (src/node/eviction.cpp): those are kept who are
//! hard to imitate in number: of many networks, quick to answer, who brought blocks and transfers
//! that were new and good, or who have been there long. All of it is measured here; nothing that a
//! node says of itself counts. Of the rest the youngest of the most crowded network goes, so whoever
//! opens many puts out his own. While there is room one place may have many: a school's nodes stand
//! behind one router. When there is none, places are made equal from above, before anybody else has
//! to go.

use super::place::{Group, Place};
use crate::primitives::LinkId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Incoming live connections at most: each costs a socket and its buffers. One gives way, or the
/// newcomer.
pub const INBOUND_MAX: usize = 64;

/// Of one place whatever the others have: a household behind one router has a few nodes. This machine
/// is exempt from all bounds of places: many nodes are tried out on it.
pub const OF_PLACE_MAX: usize = 4;

/// Places that are taken by those of a place that has [`OF_PLACE_MAX`] already, at most: the rest is
/// for newcomers of other places, for whom then nobody has to go.
pub const CROWDS_MAX: usize = INBOUND_MAX / 4 * 3;

/// Kept for being of another network than all others.
const KEPT_BY_GROUP: usize = 4;

/// Kept for being quickest to answer.
const KEPT_BY_LATENCY: usize = 8;

/// Kept for having brought a new transfer last.
const KEPT_BY_TRANSFERS: usize = 4;

/// Kept for having brought a new block last.
const KEPT_BY_BLOCKS: usize = 4;

/// What is known of an incoming live connection, all of it measured by this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Its number.
    pub id: LinkId,
    /// Where it comes from.
    pub ip: IpAddr,
    /// When it was opened.
    pub since: Duration,
    /// The shortest time in which it has answered a question.
    pub latency: Option<Duration>,
    /// When it last brought a block that was accepted and new here.
    pub block: Option<Duration>,
    /// When it last brought a transfer that was accepted and new here.
    pub transfer: Option<Duration>,
}

/// What becomes of a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// There is room.
    Free,
    /// This one is closed for it.
    InPlaceOf(LinkId),
    /// It is not taken: there are too many of its place, or none that would give way.
    Refused,
}

/// Decides about a newcomer from `ip` when `links` are open. `secret` is a number that is chosen at
/// random at start and told nobody: with it nobody can foresee which networks are kept.
pub fn admit(links: &[Inbound], ip: IpAddr, secret: u64) -> Admission {
    let ip = ip.to_canonical();
    let place = Place::of_ip(ip);
    let of_place = links.iter().filter(|link| Place::of_ip(link.ip) == place).count();
    let is_crowd = of_place >= OF_PLACE_MAX && !ip.is_loopback();
    if links.len() < if is_crowd { CROWDS_MAX } else { INBOUND_MAX } {
        return Admission::Free;
    }
    let gives_way = match largest_crowd(links) {
        // It has more than the newcomer's place will have.
        Some((crowd, count)) if count > of_place + 1 => of_crowd(links, &crowd, secret),
        _ if is_crowd => None,
        _ => gives_way(links, ip, secret),
    };
    gives_way.map_or(Admission::Refused, Admission::InPlaceOf)
}

/// The place with most links, if it has more than any place may have in any case.
fn largest_crowd(links: &[Inbound]) -> Option<(Place, usize)> {
    let mut places: BTreeMap<Place, usize> = BTreeMap::new();
    for link in links.iter().filter(|link| !link.ip.is_loopback()) {
        *places.entry(Place::of_ip(link.ip)).or_default() += 1;
    }
    let crowds = places.into_iter().filter(|(_, count)| *count > OF_PLACE_MAX);
    crowds.max_by_key(|(_, count)| *count)
}

/// The youngest of a place, of those for whom nothing speaks if there are any.
fn of_crowd(links: &[Inbound], crowd: &Place, secret: u64) -> Option<LinkId> {
    let open = unprotected(links, secret);
    let of_it = |link: &&Inbound| Place::of_ip(link.ip) == *crowd;
    let youngest = open.into_iter().filter(of_it).max_by_key(|link| (link.since, link.id));
    let youngest =
        youngest.or_else(|| links.iter().filter(of_it).max_by_key(|link| (link.since, link.id)));
    youngest.map(|link| link.id)
}

/// The one of `links` that gives way for a newcomer from `ip`, if any does.
fn gives_way(links: &[Inbound], ip: IpAddr, secret: u64) -> Option<LinkId> {
    most_crowded(&unprotected(links, secret), ip)
}

/// Those of `links` for whom nothing speaks.
fn unprotected(links: &[Inbound], secret: u64) -> Vec<&Inbound> {
    let mut open: Vec<&Inbound> = links.iter().collect();
    keep_groups(&mut open, secret);
    // Who was never measured comes last, and among equals the older first.
    keep(&mut open, KEPT_BY_LATENCY, |link| (link.latency.unwrap_or(Duration::MAX), link.since));
    keep(&mut open, KEPT_BY_TRANSFERS, |link| (Reverse(link.transfer), link.since));
    keep(&mut open, KEPT_BY_BLOCKS, |link| (Reverse(link.block), link.since));
    let half = open.len() / 2;
    keep(&mut open, half, |link| link.since);
    open
}

/// Takes the `count` that come first by `key` out of those who may have to go.
fn keep<K: Ord>(open: &mut Vec<&Inbound>, count: usize, key: impl Fn(&Inbound) -> K) {
    open.sort_by_key(|link| key(link));
    open.drain(..count.min(open.len()));
}

/// Takes the oldest connection of a few networks out, which ones nobody outside can tell.
fn keep_groups(open: &mut Vec<&Inbound>, secret: u64) {
    let mut oldest: BTreeMap<Group, (Duration, LinkId)> = BTreeMap::new();
    for link in open.iter() {
        let found = (link.since, link.id);
        let known = oldest.entry(Group::of_ip(link.ip)).or_insert(found);
        *known = (*known).min(found);
    }
    let mut by_chance: Vec<_> =
        oldest.into_iter().map(|(group, (_, id))| (group.keyed(secret), id)).collect();
    by_chance.sort_unstable();
    let kept: BTreeSet<_> = by_chance.into_iter().take(KEPT_BY_GROUP).map(|(_, id)| id).collect();
    open.retain(|link| !kept.contains(&link.id));
}

/// The youngest of the network that has most of those that are left, the newcomer counted.
fn most_crowded(open: &[&Inbound], newcomer: IpAddr) -> Option<LinkId> {
    let mut groups: BTreeMap<Group, Vec<&Inbound>> = BTreeMap::new();
    for link in open {
        groups.entry(Group::of_ip(link.ip)).or_default().push(link);
    }
    let own = Group::of_ip(newcomer);
    let youngest = |links: &[&Inbound]| links.iter().map(|link| (link.since, link.id)).max();
    let size = |group: &Group, links: &[&Inbound]| links.len() + usize::from(*group == own);
    let crowded = groups.iter().map(|(group, links)| (size(group, links), youngest(links)));
    crowded.max().and_then(|(_, youngest)| youngest).map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::dice::Dice;

    const SECRET: u64 = 7;

    /// A link that nothing speaks for: of a network that all share, young, silent.
    fn plain(id: u64) -> Inbound {
        let ip = IpAddr::from([20, 20, 0, u8::try_from(id % 250).unwrap()]);
        let since = Duration::from_secs(1_000 + id);
        Inbound { id: LinkId(id), ip, since, latency: None, block: None, transfer: None }
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    const NEWCOMER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(99, 9, 9, 9));

    /// As p2p_eviction.py: 21 connections, of which 20 are kept, each for one reason.
    fn twenty_and_one() -> Vec<Inbound> {
        (0..21)
            .map(|id| match id {
                0..4 => Inbound { block: seconds(900 + id), ..plain(id) },
                4..8 => Inbound { transfer: seconds(900 + id), ..plain(id) },
                8..16 => Inbound { latency: seconds(id), ..plain(id) },
                16..20 => {
                    Inbound { ip: IpAddr::from([u8::try_from(id).unwrap(), 1, 1, 1]), ..plain(id) }
                }
                _ => plain(id),
            })
            .collect()
    }

    #[test]
    fn of_21_the_one_goes_that_nothing_speaks_for() {
        let links = twenty_and_one();
        // The network that all others share is one that may be kept by chance, in place of
        // another: with secrets that choose the four others, the one goes, wherever it stands.
        let shared = Group::of_ip(links[20].ip);
        let others = |secret: u64| {
            let key = |link: &Inbound| Group::of_ip(link.ip).keyed(secret);
            links[16..20].iter().all(|link| key(link) < shared.keyed(secret))
        };
        let secrets: Vec<_> = (0..100).filter(|secret| others(*secret)).collect();
        assert!(secrets.len() > 5);
        for secret in secrets {
            for turn in 0..21 {
                let mut turned = links.clone();
                turned.rotate_left(turn);
                assert_eq!(gives_way(&turned, NEWCOMER, secret), Some(LinkId(20)));
            }
        }
    }

    #[test]
    fn of_those_that_are_left_the_older_half_stays() {
        let links: Vec<_> = (0..64).map(plain).collect();
        let goes = gives_way(&links, NEWCOMER, SECRET);
        assert_eq!(goes, Some(LinkId(63)), "the youngest of the only network");
        let mut crowd = links.clone();
        for link in &mut crowd[30..60] {
            link.ip = IpAddr::from([u8::try_from(link.id.0).unwrap() + 50, 2, 2, 2]);
        }
        // Four of the shared network are among the younger half, and no other has two.
        assert_eq!(gives_way(&crowd, NEWCOMER, SECRET), Some(LinkId(63)));
    }

    #[test]
    fn a_newcomer_of_a_crowd_puts_out_its_own() {
        // All of different networks but for two.
        let own = |id: u64| IpAddr::from([100 + u8::try_from(id % 64).unwrap(), 1, 1, 1]);
        let links: Vec<_> = (0..64).map(|id| Inbound { ip: own(id), ..plain(id) }).collect();
        assert_eq!(gives_way(&links, NEWCOMER, SECRET), Some(LinkId(63)));
        // Four networks are kept by chance; the others of the younger half go for their own.
        let own_goes = |id: &u64| gives_way(&links, own(*id), SECRET) == Some(LinkId(*id));
        assert!((44..64).filter(own_goes).count() >= 16);
    }

    #[test]
    fn a_flood_puts_out_itself_and_honest_ones_stay() {
        let mut dice = Dice::new(SECRET);
        let honest = |id: u64| Inbound {
            ip: IpAddr::from([30 + u8::try_from(id).unwrap(), 1, 1, 1]),
            latency: seconds(1),
            ..plain(id)
        };
        let mut links: Vec<_> = (0..16).map(honest).collect();
        for id in 100..10_100 {
            let [a, b] = [dice.below(4), dice.below(250)].map(|n| u8::try_from(n).unwrap());
            let ip = IpAddr::from([200, a, b, u8::try_from(dice.below(250)).unwrap()]);
            let link = Inbound { ip, latency: Some(Duration::from_millis(1)), ..plain(id) };
            match admit(&links, ip, SECRET) {
                Admission::Free => links.push(link),
                Admission::InPlaceOf(gone) => {
                    links.retain(|link| link.id != gone);
                    links.push(link);
                }
                Admission::Refused => {}
            }
        }
        assert_eq!(links.len(), INBOUND_MAX);
        assert_eq!(links.iter().filter(|link| link.id.0 < 100).count(), 16);
    }

    /// So many links of each of these addresses, the first address's first.
    fn of(crowds: &[(&str, u64)]) -> Vec<Inbound> {
        let all = crowds.iter().flat_map(|(ip, count)| (0..*count).map(move |_| ip));
        let link = |(id, ip): (u64, &&str)| Inbound { ip: ip.parse().unwrap(), ..plain(id) };
        (0..).zip(all).map(link).collect()
    }

    /// Whose goes for a newcomer: of this address, nobody's, or the newcomer itself.
    fn outcome<'l>(links: &[Inbound], ip: &'l str) -> Result<Option<IpAddr>, &'l str> {
        match admit(links, ip.parse().unwrap(), SECRET) {
            Admission::Free => Ok(None),
            Admission::Refused => Err(ip),
            Admission::InPlaceOf(id) => {
                Ok(links.iter().find(|link| link.id == id).map(|link| link.ip))
            }
        }
    }

    const SCHOOL: &str = "198.51.100.1";
    const OTHER: &str = "203.0.113.1";

    #[test]
    fn a_school_behind_one_router_gets_in_while_there_is_room() {
        for count in 0..CROWDS_MAX {
            let links = of(&[(SCHOOL, u64::try_from(count).unwrap())]);
            assert_eq!(outcome(&links, SCHOOL), Ok(None), "{count}");
        }
        let full = u64::try_from(CROWDS_MAX).unwrap();
        for (ip, expected) in [
            (SCHOOL, Err(SCHOOL)),
            ("::ffff:198.51.100.1", Err("::ffff:198.51.100.1")),
            (OTHER, Ok(None)),
        ] {
            assert_eq!(outcome(&of(&[(SCHOOL, full)]), ip), expected, "{ip}");
        }
        // An IPv6 host commands the last 64 bits of its address.
        let v6 = of(&[("2001:db8::1", full - 1), ("2001:db8::2", 1)]);
        for (ip, is_let_in) in [("2001:db8::ffff:1", false), ("2001:db8:0:1::1", true)] {
            assert_eq!(outcome(&v6, ip).is_ok(), is_let_in, "{ip}");
        }
        // This machine's are no crowd.
        for ip in ["127.0.0.1", "::1"] {
            assert_eq!(outcome(&of(&[("127.0.0.1", 30), ("::1", 20)]), ip), Ok(None));
        }
    }

    #[test]
    fn one_address_keeps_out_nobody_and_two_crowds_become_equal() {
        let (school, other): (IpAddr, IpAddr) = (SCHOOL.parse().unwrap(), OTHER.parse().unwrap());
        let rest = "20.20.20.20";
        for (crowds, ip, expected) in [
            // Whoever is of a smaller place has the youngest of the largest go, or its own.
            (vec![(SCHOOL, 60), (rest, 4)], "30.30.30.30", Ok(Some(school))),
            (vec![(SCHOOL, 60), (rest, 4)], rest, Ok(Some(school))),
            (vec![(SCHOOL, 60), (rest, 4)], SCHOOL, Err(SCHOOL)),
            (vec![(SCHOOL, 40), (OTHER, 8)], OTHER, Ok(Some(school))),
            (vec![(SCHOOL, 25), (OTHER, 23)], OTHER, Ok(Some(school))),
            (vec![(SCHOOL, 24), (OTHER, 24)], OTHER, Err(OTHER)),
            (vec![(SCHOOL, 24), (OTHER, 24)], SCHOOL, Err(SCHOOL)),
            (vec![(SCHOOL, 24), (OTHER, 25)], SCHOOL, Err(SCHOOL)),
            (vec![(SCHOOL, 8), (OTHER, 40)], SCHOOL, Ok(Some(other))),
        ] {
            assert_eq!(outcome(&of(&crowds), ip), expected, "{crowds:?} {ip}");
        }
        // Also if all of the crowd have something to show for themselves.
        let mut good = of(&[(rest, 52), (SCHOOL, 12)]);
        for link in &mut good[..52] {
            link.ip = IpAddr::from([30 + u8::try_from(link.id.0).unwrap(), 1, 1, 1]);
        }
        for link in &mut good[52..] {
            (link.block, link.latency) = (seconds(link.id.0), seconds(1));
        }
        assert_eq!(outcome(&good, "99.9.9.9"), Ok(Some(school)));
    }

    #[test]
    fn of_many_places_with_four_each_none_is_a_crowd() {
        let ips: Vec<String> = (0..16).map(|n| format!("20.20.{n}.1")).collect();
        let links = of(&ips.iter().map(|ip| (ip.as_str(), 4)).collect::<Vec<_>>());
        assert_eq!(largest_crowd(&links), None);
        assert_eq!(outcome(&links, "20.20.0.1"), Err("20.20.0.1"));
        assert!(matches!(outcome(&links, "20.20.99.1"), Ok(Some(_))));
    }
}
