//! Passing on: every transfer and block that was accepted goes, once, into the outbox of every peer
//! that may lack it.

use super::peer::Announcement;
use super::{Network, TICK, exchange_every};
use crate::chain::accept::TipChange;
use crate::node::{Event, NodeHandle, Origin};
use crate::primitives::PeerId;
use crate::wire::block_announcement_to_json;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::Duration;

/// Blocks of one change of the tip that are passed on at most, the highest. Whoever lacks those
/// before them fetches them.
const BLOCKS_OF_A_CHANGE_MAX: usize = 2;

/// How often the open transactions of one peer, each in turn, are looked at: what a full outbox or
/// a slow listener has dropped comes so.
const PULL_EVERY: Duration = Duration::from_secs(30);

/// How often the list of peers is written down for the times in it.
const SAVE_EVERY: Duration = Duration::from_secs(600);

impl Network {
    /// Passes on what happens in the node, until it is stopped.
    pub(super) fn relay(&self, events: &Receiver<Event>) {
        let (mut pulled, mut saved, mut turn) = (Duration::ZERO, Duration::ZERO, 0_usize);
        loop {
            let event = events.recv_timeout(TICK);
            let Some(node) = self.node() else { return };
            match event {
                Ok(event) => self.pass_on(&node, &event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = node.now().monotonic;
            if now.saturating_sub(pulled) >= PULL_EVERY {
                (pulled, turn) = (now, turn.wrapping_add(1));
                self.table().pull_from_next(turn);
                self.changed.notify_all();
            }
            if now.saturating_sub(saved) >= SAVE_EVERY {
                if saved > Duration::ZERO {
                    self.save();
                }
                saved = now;
            }
        }
    }

    fn pass_on(&self, node: &NodeHandle, event: &Event) {
        match event {
            Event::Transfer { transfer, origin } => {
                self.table().relay_transfer(transfer.id(), came_from(origin));
            }
            Event::Tip { change, origin, .. } => self.pass_on_blocks(node, change, origin),
            Event::Wallet => return,
        }
        self.changed.notify_all();
    }

    fn pass_on_blocks(&self, node: &NodeHandle, change: &TipChange, origin: &Origin) {
        let every = exchange_every(node);
        self.table().set_exchange_every(every);
        let skipped = change.connected.len().saturating_sub(BLOCKS_OF_A_CHANGE_MAX);
        let view = node.view();
        for block in &change.connected[skipped..] {
            let lacking = self.table().lacks_block(block.total_work);
            let Some(body) = view.chain.body_of(&block.hash).filter(|_| lacking) else { continue };
            // The text in the block file is the canonical one.
            let text = match node.reader().read(body) {
                Ok(json) => block_announcement_to_json(&json, self.reach.as_ref()),
                Err(error) => {
                    log::error!("block {} cannot be passed on: {error}", block.hash);
                    continue;
                }
            };
            let (hash, height, work) = (block.hash, block.height, block.total_work);
            let block = Arc::new(Announcement { hash, height, work, text });
            self.table().relay_block(&block, came_from(origin));
        }
        // Pending again after a reorganization, or only now that its turn has come: whoever gave the
        // block may lack it as well.
        let mut table = self.table();
        for id in &change.returned {
            table.relay_transfer(*id, None);
        }
    }
}

const fn came_from(origin: &Origin) -> Option<&PeerId> {
    match origin {
        Origin::Peer(peer) => Some(peer),
        Origin::Own | Origin::Anyone => None,
    }
}
