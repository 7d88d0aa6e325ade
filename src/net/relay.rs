//! Passing on: of every transfer and block that was accepted each peer that may lack it is told, once;
//! it then asks for what it wants ([`super::fetch`]).

use super::answer::{self, Answer, AskError};
use super::peer::{BlockNews, News};
use super::table::Outcome;
use super::{Network, exchange_every, lock, lock_now};
use crate::chain::accept::TipChange;
use crate::chain::headers::HeaderNode;
use crate::node::{Event, NodeHandle, Origin};
use crate::primitives::hash::sha256;
use crate::primitives::{CompactBlock, PeerId};
use crate::wire::{AnnouncedBlock, Announcement};
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

/// How often live connections are looked after.
const TEND_EVERY: Duration = Duration::from_millis(250);

/// What is done now and then, for no peer's sake. The first look at it starts the clocks.
#[derive(Debug, Default)]
pub(super) struct Chores {
    pulled: Option<Duration>,
    turn: usize,
    saved: Option<Duration>,
    tended: Option<Duration>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    /// Look into the pool of the peer whose turn it is.
    Pull(usize),
    /// Write the list of peers down.
    Save,
    /// Look after the live connections.
    Lines,
}

impl Chores {
    /// What is due.
    pub(super) fn next(&mut self, now: Duration) -> Option<Chore> {
        if is_due(&mut self.saved, now, SAVE_EVERY) {
            return Some(Chore::Save);
        }
        if is_due(&mut self.tended, now, TEND_EVERY) {
            return Some(Chore::Lines);
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
                self.note_brought(&node, origin, |line, now| line.transfer = Some(now));
                let (mut wanted, times) = lock_now(&self.wanted, &node);
                wanted.arrived(&transfer.id(), times.monotonic);
                drop(wanted);
                self.table().relay_transfer(transfer.id(), came_from(origin));
            }
            Event::Tip { change, origin, .. } => {
                self.note_brought(&node, origin, |line, now| line.block = Some(now));
                self.pass_on_blocks(&node, change, origin);
            }
            Event::Wallet => return,
        }
        self.signal.tell();
    }

    fn pass_on_blocks(&self, node: &NodeHandle, change: &TipChange, origin: &Origin) {
        let every = exchange_every(node);
        self.table().set_exchange_every(every);
        change.connected.iter().for_each(|block| lock(&self.incoming).done(&block.hash));
        lock(&self.wanted).forget_recent();
        let skipped = change.connected.len().saturating_sub(BLOCKS_OF_A_CHANGE_MAX);
        for block in &change.connected[skipped..] {
            // Before it is read: while a node catches up, nobody lacks what it gets.
            if !self.table().lacks_block(block.total_work) {
                continue;
            }
            let Some(news) = self.news_of(node, block) else { continue };
            self.table().relay_block(&Arc::new(news), came_from(origin));
        }
        // Pending again after a reorganization, or only now that its turn has come: whoever gave the
        // block may lack it as well.
        let mut table = self.table();
        for id in &change.returned {
            table.relay_transfer(*id, None);
        }
    }

    /// What is said of a block; `None` if it is gone or cannot be read.
    fn news_of(&self, node: &NodeHandle, block: &HeaderNode) -> Option<BlockNews> {
        let body = node.view().chain.body_of(&block.hash)?;
        match node.read_block(body) {
            Ok(whole) => {
                let compact = CompactBlock::of(&whole, self.salt(block.hash.as_bytes()));
                let said = AnnouncedBlock::new(compact, block.total_work, self.prefix);
                Some(BlockNews { work: block.total_work, said })
            }
            Err(error) => {
                log::error!("block {} cannot be passed on: {error}", block.hash);
                None
            }
        }
    }

    /// The salt of compact blocks that are made for a purpose. It is told, unlike the seed.
    pub(super) fn salt(&self, purpose: &[u8]) -> u64 {
        let digest = sha256(&[&self.seed.to_le_bytes(), purpose]);
        u64::from_le_bytes(*digest.first_chunk().expect("32 bytes"))
    }

    /// What is told over HTTP, to a peer that does not know who calls.
    pub(super) fn announcement(&self, news: &News) -> Announcement {
        Announcement {
            from: self.reach.clone(),
            blocks: news.blocks.iter().map(|block| block.said.clone()).collect(),
            transactions: news.transfers.clone(),
        }
    }
}

/// What was told has arrived, or not.
pub(super) fn announced(answer: Answer) -> Outcome {
    answer::status(answer).map_or_else(|error| failed(&error), |_| Outcome::Done)
}

/// What a question without a usable answer says of the peer.
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
