//! What is put into the outboxes: news for each peer that may lack them.

use super::Table;
use crate::net::peer::{BlockNews, Pull};
use crate::node::ports::PeerState;
use crate::primitives::{PeerId, Txid};
use std::sync::Arc;

impl Table {
    /// Puts a transfer into every outbox but that of the peer it came from.
    pub fn relay_transfer(&mut self, id: Txid, from: Option<&PeerId>) {
        let linked = self.instances_linked();
        for peer in self.peers.values_mut().filter(|peer| !peer.reaches_us(&linked)) {
            let came_from = from.is_some_and(|from| peer.is(from));
            let lacks = !came_from && !peer.known.contains(&id);
            if lacks && peer.state != PeerState::Refused {
                peer.outbox.push_transfer(id);
            }
        }
    }

    /// Puts a block into the outbox of every peer that may lack it.
    pub fn relay_block(&mut self, block: &Arc<BlockNews>, from: Option<&PeerId>) {
        let linked = self.instances_linked();
        for peer in self.peers.values_mut().filter(|peer| !peer.reaches_us(&linked)) {
            let came_from = from.is_some_and(|from| peer.is(from));
            let has_better = peer.claim.is_some_and(|claim| claim.work >= block.work);
            if !came_from && !has_better && peer.is_connected() {
                peer.outbox.push_block(block.clone());
            }
        }
    }

    /// Has the open transactions of one connected peer looked at, each in turn.
    pub fn pull_from_next(&mut self, turn: usize) {
        let connected = self.peers.values_mut().filter(|peer| peer.is_connected());
        let mut connected: Vec<_> = connected.collect();
        let count = connected.len();
        if let Some(peer) = turn.checked_rem(count).and_then(|at| connected.get_mut(at)) {
            peer.pull = Pull::Summary;
        }
    }
}
