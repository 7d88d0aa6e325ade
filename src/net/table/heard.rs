//! Nodes that were only heard of: which is called next, and what a person or a restart knows of it.

use super::{CALLS_MAX, Table, Task, Times, can_send};
use crate::net::book::{Book, Known, LIST_PAUSE};
use crate::net::outbound::{Standing, anchors};
use crate::net::peer::Peer;
use crate::primitives::PeerAddress;
use crate::wire::Handshake;
use std::time::Duration;

/// Calls under way at most that the book causes, beside those to peers and to strangers.
const DIALS_MAX: usize = 1;

impl Table {
    /// The call that the book causes next, if there is room for the call and for a peer. One that has
    /// come is found without a call when it is its turn, so that to come first wins and loses nothing.
    pub fn dial(&mut self, book: &mut Book, times: Times) -> Option<Task> {
        let now = times.monotonic;
        let has_call = self.calls < CALLS_MAX && self.dials < DIALS_MAX;
        if !has_call || !book.is_due(now) || !self.has_learned_room(now) {
            return None;
        }
        let with_address = || self.peers().filter(|peer| peer.id.address().is_some());
        // Or whoever calls us from many places would keep us from looking for others.
        let connected = with_address().filter(|peer| peer.is_connected() && !peer.has_come());
        let connected: Vec<_> = connected.filter_map(|peer| peer.id.address().cloned()).collect();
        let known = Known {
            connected: &connected,
            peers: with_address().count(),
            is_settled: &|address, standing| self.is_settled(address, standing, now),
            least: if self.has_room_to_come(now) { Standing::Came } else { Standing::Learned },
        };
        let address = book.next(known, times)?;
        if self.find_at(&address).is_some() {
            self.looked_for(&address);
            return None;
        }
        self.calls += 1;
        self.dials += 1;
        let pace = book.pace(&address);
        Some(Task::Dial(address, pace))
    }

    /// Whether an address is that of a peer which an answer of such a standing would not make more, or
    /// is kept away.
    fn is_settled(&self, address: &PeerAddress, standing: Standing, now: Duration) -> bool {
        let is_no_more = |peer: &Peer| peer.standing() <= standing || !peer.is_connected();
        let is_paused =
            |(paused, until): &(PeerAddress, Duration)| paused == address && *until > now;
        self.find_at(address).is_some_and(is_no_more)
            || self.is_removed(address)
            || self.paused.iter().any(is_paused)
    }

    /// The book's call has ended; `newcomer` is what a node of our chain has answered that is no peer
    /// yet, and what the book makes of it. True if it is one now.
    pub fn dialled(
        &mut self,
        address: &PeerAddress,
        newcomer: Option<(&Handshake, Standing)>,
        times: Times,
    ) -> bool {
        self.calls -= 1;
        self.dials -= 1;
        newcomer.is_some_and(|(theirs, standing)| match standing {
            Standing::Came => self.let_come(address, theirs, times),
            _ => self.take_in(address, theirs, times),
        })
    }

    /// Asks one of the connected peers which others it knows, each now and then.
    pub fn gossip(&mut self, now: Duration) -> Option<Task> {
        if self.calls >= CALLS_MAX {
            return None;
        }
        let wants = |peer: &&Peer| {
            let is_called = !peer.busy && peer.id.address().is_some();
            is_called && peer.list_due <= now && can_send(peer, now)
        };
        let id = self.in_turn().find(wants)?.id.clone();
        let (peer, target) = self.serve(&id)?;
        peer.list_due = now + LIST_PAUSE;
        Some(Task::Addresses(target))
    }

    /// Those to call first after a restart. Who cannot be called is none, however long it is connected.
    pub(super) fn anchors(&self) -> Vec<PeerAddress> {
        let connected = self.peers().filter(|peer| peer.is_connected());
        anchors(
            connected.filter_map(|peer| {
                Some((peer.standing(), peer.connected_since?, peer.id.address()?))
            }),
        )
    }
}
