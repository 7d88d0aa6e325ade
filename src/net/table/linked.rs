//! Peers and live connections: nodes that have opened one to us and have no other place in the table, and
//! peers that we have opened one to.

use super::{Table, Times, ask_soon, meet};
use crate::net::outbound::backoff;
use crate::net::peer::{Claim, Peer, Pull};
use crate::node::ports::GuestInfo;
use crate::primitives::{BlockHash, Height, LinkId, PeerAddress, PeerId};
use crate::wire::Handshake;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

impl Table {
    /// A node has opened a live connection to us and shaken hands.
    pub fn link_in(&mut self, id: LinkId, theirs: &Handshake, times: Times) {
        let mut peer = Peer::new(PeerId::Link(id), 0, false);
        meet(&mut peer, theirs, times);
        peer.due = times.monotonic + self.spread(self.exchange_every);
        self.insert(peer);
    }

    /// Where a live connection of another comes from, for people to know it by.
    pub fn link_from(&mut self, id: LinkId, from: IpAddr) {
        if let Some(peer) = self.peers.get_mut(&PeerId::Link(id)) {
            peer.from = Some(from);
        }
    }

    /// Its live connection is closed. What was under way on it may be lost: whoever else it is looks for it.
    pub fn link_gone(&mut self, id: LinkId, now: Duration) {
        let gone = self.peers.remove(&PeerId::Link(id));
        if let Some(instance) = gone.and_then(|peer| peer.instance) {
            self.ask_instance_soon(instance, now);
            let named = self.peers.values_mut().filter(|peer| peer.instance == Some(instance));
            named.for_each(|peer| peer.pull = Pull::Summary);
        }
    }

    /// Our live connection to a peer is open. What has become new there since we last looked it may not have
    /// told us: a node behind a router is its peer only now.
    pub fn link_opened(&mut self, address: &PeerAddress) {
        if let Some(peer) = self.find_mut(&address.clone().into()) {
            peer.link_failures = 0;
            peer.pull = Pull::Summary;
        }
    }

    /// Our live connection to a peer did not open: the next try waits.
    pub fn link_failed(&mut self, address: &PeerAddress, now: Duration) {
        if let Some(peer) = self.find_mut(&address.clone().into()) {
            peer.link_failures = peer.link_failures.saturating_add(1);
            peer.link_not_before = now + backoff(peer.link_failures);
        }
    }

    /// Our live connection to a peer is closed, which was open for so long. The next is opened soon; if
    /// they end again and again, as often as tips are exchanged.
    pub fn link_closed(&mut self, address: &PeerAddress, lasted: Duration, now: Duration) {
        let usual = self.exchange_every;
        if let Some(peer) = self.find_mut(&address.clone().into()) {
            peer.link_lasted(lasted);
            let pause = backoff(peer.link_failures.saturating_add(peer.link_flaps));
            peer.link_not_before = now + pause.min(usual);
            peer.pull = Pull::Summary;
            ask_soon(peer, now);
        }
    }

    /// Asks the peers soon that name this instance.
    pub fn ask_instance_soon(&mut self, instance: u64, now: Duration) {
        let named = self.peers.values_mut().filter(|peer| peer.id.address().is_some());
        named.filter(|peer| peer.instance == Some(instance)).for_each(|peer| ask_soon(peer, now));
    }

    /// What a peer says of its chain on a live connection.
    pub fn claims(&mut self, id: &PeerId, theirs: &Handshake, times: Times) {
        if let Some(peer) = self.find_mut(id).filter(|peer| peer.is_connected()) {
            peer.claim = Some(Claim { height: theirs.height, tip: theirs.tip, work: theirs.work });
            peer.last_seen = Some(times.unix);
        }
    }

    /// The instances that nodes name which have opened a live connection to us.
    pub(super) fn instances_linked(&self) -> BTreeSet<u64> {
        // They stand behind all that have an address.
        let linked = self.peers.range(PeerId::Link(LinkId(0))..);
        linked.filter_map(|(_, peer)| peer.instance).collect()
    }

    /// The nodes that have opened a live connection to us and are none of the peers with an address.
    /// What they say of their height is not passed on: `height_of` tells that of a tip which is known.
    pub fn guests(&self, height_of: impl Fn(BlockHash) -> Option<Height>) -> Vec<GuestInfo> {
        let linked = self.instances_linked();
        let named = self.peers().filter(|peer| peer.reaches_us(&linked));
        let named: BTreeSet<u64> = named.filter_map(|peer| peer.instance).collect();
        let is_guest = |peer: &&Peer| peer.instance.is_none_or(|known| !named.contains(&known));
        let guests = self.peers().filter(is_guest).filter_map(|peer| match &peer.id {
            PeerId::At(_) => None,
            PeerId::Link(link) => {
                let height = peer.claim.and_then(|claim| height_of(claim.tip));
                Some(GuestInfo { link: *link, height, last_seen: peer.last_seen })
            }
        });
        guests.collect()
    }

    /// The peers that have opened a live connection to us, as both sides say: they are told on that one.
    pub fn reaching_us(&self) -> Vec<PeerId> {
        let linked = self.instances_linked();
        if linked.is_empty() {
            return Vec::new();
        }
        let reaching = self.peers().filter(|peer| peer.reaches_us(&linked));
        reaching.map(|peer| peer.id.clone()).collect()
    }
}
