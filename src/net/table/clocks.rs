//! What the clocks of peers say of ours. It is never set by them; but mining stops while it is off.
//!
//! A clock is a claim, and costs nothing. Only peers that we call at their addresses are asked, of one
//! place one, and one node once: or whoever opens a few connections would stop the miner. Whoever has
//! many addresses can be most of those all the same; so the clocks of peers that a person added must say
//! it too, if there are any. A clock that is truly wrong differs from all of them, and is seen: by 4
//! clocks, or by fewer if blocks bear them out. What stays possible: a node for which nobody is named, and
//! whose peers are mostly one liar's, does not mine while these say that its clock is wrong.

use super::{Table, Times};
use crate::net::peer::Peer;
use crate::net::place::Place;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Peers whose clocks are needed to judge ours.
const CLOCKS_MIN: usize = 4;

impl Table {
    /// By how many seconds the clocks of the peers are ahead of ours: their median, or that of the peers
    /// that a person added if it is nearer to ours. `None` with fewer than [`CLOCKS_MIN`] clocks, unless a peer that a
    /// person added has shown headers that bear it out ([`Self::clock_behind`]). Of one that came by
    /// itself they do not count for that: early headers of a light branch are cheap, and a single liar
    /// could stop a node with few peers.
    pub fn clock_offset(&self, times: Times) -> Option<i64> {
        let clocks = self.clocks();
        let borne_out = || self.peers().any(|peer| peer.manual && behind(peer, times).is_some());
        if clocks.len() < CLOCKS_MIN && !borne_out() {
            return None;
        }
        let of_persons = clocks.iter().filter(|(manual, _)| *manual).map(|(_, offset)| *offset);
        let of_all = clocks.iter().map(|(_, offset)| *offset);
        let medians = [median(of_all.collect()), median(of_persons.collect())];
        medians.into_iter().flatten().min_by_key(|offset| offset.unsigned_abs())
    }

    /// Seconds that our clock has to go on for headers that peers have shown and that are due by their
    /// clocks; `None` without such. One liar can cause it: it is told, and stops nothing.
    pub fn clock_behind(&self, times: Times) -> Option<u32> {
        self.peers().filter_map(|peer| behind(peer, times)).max()
    }

    /// The offsets that count, with whether a person added the peer. Of several at one place, or that name the same instance, as anyone can, it is
    /// that of the one that a person added or that is connected longest. On this machine every port is a
    /// place: nodes that are tried out there have no other.
    fn clocks(&self) -> Vec<(bool, i64)> {
        let called = |peer: &&Peer| peer.is_connected() && peer.id.address().is_some();
        let mut peers: Vec<_> = self.peers().filter(called).collect();
        peers.sort_by_key(|peer| (Reverse(peer.manual), peer.connected_since));
        let (mut places, mut instances) = (BTreeSet::new(), BTreeSet::new());
        let mut offsets = Vec::new();
        for peer in peers {
            let (Some(address), Some(offset)) = (peer.id.address(), peer.clock_offset) else {
                continue;
            };
            let place = Place::of(address);
            if !places.contains(&place) && !instances.contains(&peer.instance) {
                places.insert(place);
                instances.insert(peer.instance);
                offsets.push((peer.manual, offset));
            }
        }
        offsets
    }
}

/// The one in the middle; of two the one that is nearer to ours.
fn median(mut offsets: Vec<i64>) -> Option<i64> {
    offsets.sort_unstable();
    let last = offsets.len().checked_sub(1)?;
    let middle = [offsets[last / 2], offsets[last.div_ceil(2)]];
    middle.into_iter().min_by_key(|offset| offset.unsigned_abs())
}

/// Seconds that our clock has to go on for what a peer that we call has shown, if its own clock is so far.
fn behind(peer: &Peer, times: Times) -> Option<u32> {
    let left = peer.early?.due.0.checked_sub(times.unix.0).filter(|left| *left > 0)?;
    let is_due_there = peer.clock_offset? >= left.into();
    (is_due_there && peer.id.address().is_some()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::{LinkId, PeerAddress, PeerId, UnixTime};
    use crate::testkit::handshake;
    use crate::wire::Handshake;
    use std::time::Duration;

    const NOW: Times = Times { unix: UnixTime(10_000), monotonic: Duration::from_secs(1) };

    fn said(instance: u64, offset: i64) -> Handshake {
        handshake(instance, UnixTime(u32::try_from(10_000 + offset).unwrap()))
    }

    /// A table of nodes that were called at these addresses, with their instances and offsets.
    fn table(nodes: &[(&str, u64, i64)]) -> Table {
        let mut table = Table::new(1, Duration::from_secs(10));
        for (address, instance, offset) in nodes {
            let address: PeerAddress = address.parse().unwrap();
            assert!(table.take_in(&address, &said(*instance, *offset), NOW), "{address}");
        }
        table
    }

    #[test]
    fn one_place_and_one_node_have_one_clock() {
        let one_place = ["1", "2", "3", "4", "5"].map(|port| format!("192.168.2.1:500{port}"));
        let one_place: Vec<_> =
            one_place.iter().zip(1..).map(|(at, i)| (&**at, i, 5_000)).collect();
        assert_eq!(table(&one_place).clock_offset(NOW), None);
        let places = ["192.0.2.1:5", "198.51.100.1:5", "203.0.113.1:5", "[2001:db8::1]:5"];
        let with = |offsets: [i64; 4], instances: [u64; 4]| {
            let mut nodes = Vec::new();
            for place in 0..4 {
                nodes.push((places[place], instances[place], offsets[place]));
            }
            table(&nodes).clock_offset(NOW)
        };
        assert_eq!(with([0, 1, 5_000, 5_000], [1, 2, 3, 4]), Some(1), "half of them may lie");
        assert_eq!(with([-600, -601, -599, 0], [1, 2, 3, 4]), Some(-599));
        assert_eq!(with([5_000; 4], [1, 2, 2, 2]), None, "two nodes");
        let own = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"];
        let own: Vec<_> = own.into_iter().zip(1..).map(|(at, i)| (at, i, 7)).collect();
        assert_eq!(table(&own).clock_offset(NOW), Some(7), "nodes that are tried out");
    }

    #[test]
    fn many_who_came_by_themselves_do_not_outvote_a_peer_of_a_person() {
        let strangers: Vec<_> = (1..=9).map(|host| format!("192.0.{host}.1:5000")).collect();
        let strangers: Vec<_> =
            strangers.iter().zip(1..).map(|(at, i)| (&**at, i, 5_000)).collect();
        let mut table = table(&strangers);
        assert_eq!(table.clock_offset(NOW), Some(5_000), "nobody else is known");
        let friend: PeerAddress = "203.0.113.1:5000".parse().unwrap();
        table.add_manual(&friend);
        for (says, expected) in [(2, 2), (4_999, 4_999), (-5_000, 5_000)] {
            table.introduce(&friend.clone().into(), &said(99, says), NOW);
            assert_eq!(table.clock_offset(NOW).unwrap().abs(), expected, "{says}");
        }
    }

    #[test]
    fn whoever_has_only_opened_connections_has_no_clock() {
        let mut table = table(&[]);
        (1..=6).for_each(|link| table.link_in(LinkId(link), &said(link, 5_000), NOW));
        table.note_early(&PeerId::Link(LinkId(1)), 4_000, NOW);
        assert_eq!((table.clock_offset(NOW), table.clock_behind(NOW)), (None, None));
    }

    #[test]
    fn few_clocks_are_enough_if_a_peer_of_a_person_shows_what_they_say() {
        let (friend, stranger) = ("192.0.2.1:5000", "198.51.100.1:5000");
        let id = |at: &str| PeerId::from(at.parse::<PeerAddress>().unwrap());
        let mut table = table(&[(stranger, 2, 7_200)]);
        table.note_early(&id(stranger), 7_000, NOW);
        // It may be a liar, and is the only one: that is told, and stops nothing.
        assert_eq!((table.clock_behind(NOW), table.clock_offset(NOW)), (Some(7_000), None));
        table.add_manual(&friend.parse().unwrap());
        table.introduce(&id(friend), &said(1, 0), NOW);
        assert_eq!(table.clock_offset(NOW), None);
        table.introduce(&id(friend), &said(1, 7_201), NOW);
        assert_eq!(table.clock_offset(NOW), None, "it has shown nothing");
        table.note_early(&id(friend), 7_000, NOW);
        assert_eq!(table.clock_offset(NOW), Some(7_200));
        // Another at the friend's side says that all is well.
        table.introduce(&id(stranger), &said(2, 0), NOW);
        assert_eq!(table.clock_offset(NOW), Some(0));
    }
}
