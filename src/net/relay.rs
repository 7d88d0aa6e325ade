//! Passing on: every transfer and block that was accepted goes, once, into the outbox of every peer
//! that may lack it; and what has got lost on the way is found by looking into pools.

use super::answer::{self, Answer, AskError};
use super::blame::{Blame, blame};
use super::client::CallError;
use super::peer::{Announcement, Claim};
use super::table::{Outcome, Target};
use super::{Network, exchange_every};
use crate::chain::accept::TipChange;
use crate::node::{Event, NodeError, NodeHandle, Origin};
use crate::primitives::PeerId;
use crate::wire::block_announcement_to_json;
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

/// What is done now and then, for no peer's sake. The first look at it starts the clocks.
#[derive(Debug, Default)]
pub(super) struct Chores {
    pulled: Option<Duration>,
    turn: usize,
    saved: Option<Duration>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    /// Look into the pool of the peer whose turn it is.
    Pull(usize),
    /// Write the list of peers down.
    Save,
}

impl Chores {
    /// What is due.
    pub(super) fn next(&mut self, now: Duration) -> Option<Chore> {
        if is_due(&mut self.saved, now, SAVE_EVERY) {
            return Some(Chore::Save);
        }
        is_due(&mut self.pulled, now, PULL_EVERY).then(|| {
            self.turn = self.turn.wrapping_add(1);
            Chore::Pull(self.turn)
        })
    }
}

/// Whether something was last done too long ago; it then counts as done.
fn is_due(last: &mut Option<Duration>, now: Duration, every: Duration) -> bool {
    let due = now.saturating_sub(*last.get_or_insert(now)) >= every;
    if due {
        *last = Some(now);
    }
    due
}

impl Network {
    /// Passes on what has happened in the node.
    pub fn event(&self, event: &Event) {
        let Some(node) = self.node() else { return };
        match event {
            Event::Transfer { transfer, origin } => {
                self.table().relay_transfer(transfer.id(), came_from(origin));
            }
            Event::Tip { change, origin, .. } => self.pass_on_blocks(&node, change, origin),
            Event::Wallet => return,
        }
        self.signal.tell();
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
            let block = Arc::new(Announcement { hash, height, work, text: text.into() });
            self.table().relay_block(&block, came_from(origin));
        }
        // Pending again after a reorganization, or only now that its turn has come: whoever gave the
        // block may lack it as well.
        let mut table = self.table();
        for id in &change.returned {
            table.relay_transfer(*id, None);
        }
    }

    /// 201: it has it. 200: it lacks what is before it and fetches that by itself. 409: it is old
    /// there or invalid. In both, comparing tips tells who has to move.
    pub(super) fn block_sent(
        &self,
        target: &Target,
        block: &Announcement,
        answer: Answer,
    ) -> Outcome {
        match answer::status(answer) {
            Ok(201) => {
                let Announcement { hash, height, work, .. } = *block;
                self.table().has_block(&target.id, Claim { height, tip: hash, work });
                Outcome::Done
            }
            Ok(_) => Outcome::Compare,
            Err(error) => failed(&error),
        }
    }

    /// Takes over the open transactions that we lack.
    pub(super) fn pulled(&self, target: &Target, answer: Answer) -> Outcome {
        let transfers = match answer::pool(answer, self.prefix) {
            Ok(transfers) => transfers,
            // A pool too large to look at heals by relay and by blocks.
            Err(AskError::Call(CallError::TooLong(_))) => return Outcome::Done,
            Err(error) => return failed(&error),
        };
        for transfer in transfers {
            let Some(node) = self.node() else { return Outcome::Done };
            if node.view().chain.pool().get(&transfer.id()).is_some() {
                continue;
            }
            match node.submit_transfer(transfer, Origin::Peer(target.id.clone())) {
                Err(error) if blame(&error) == Blame::Lie => {
                    self.accuse(&target.id, &error);
                    return Outcome::Done;
                }
                Err(NodeError::Busy | NodeError::Stopping) => return Outcome::Done,
                Ok(_) | Err(_) => {}
            }
        }
        Outcome::Done
    }
}

/// Whatever a peer answers to a transfer, it has seen it: most likely it knew it before.
pub(super) fn transfer_sent(answer: Answer) -> Outcome {
    answer::status(answer).map_or_else(|error| failed(&error), |_| Outcome::Done)
}

pub(super) fn failed(error: &AskError) -> Outcome {
    match error {
        AskError::Busy(_) => Outcome::Busy,
        AskError::Call(_) | AskError::Refused { .. } | AskError::Shape(_) => {
            Outcome::Failed(error.to_string())
        }
    }
}

const fn came_from(origin: &Origin) -> Option<&PeerId> {
    match origin {
        Origin::Peer(peer) => Some(peer),
        Origin::Own | Origin::Anyone => None,
    }
}
