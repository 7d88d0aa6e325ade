//! Fetching: what peers have announced and is not here, and what comparing pools has found.
//!
//! A block's header is judged first; then it is rebuilt from the pool and what is asked for, or
//! fetched whole. Transfers are asked for by their ids. Whatever fails is left to the others who have
//! announced it, to the sync and to the next comparison of pools.

use super::answer::{self, Answer, AskError};
use super::blame::{Blame, blame};
use super::compact::{Rebuilt, Reconstruction};
use super::incoming::Form;
use super::peer::{Claim, Peer};
use super::relay::failed;
use super::table::{Outcome, Target, Task, Times};
use super::wanted::Word;
use super::{Network, lock, lock_now};
use crate::chain::headers::HeaderNode;
use crate::chain::pool::PoolError;
use crate::node::{NodeError, NodeHandle, Origin};
use crate::primitives::{Block, BlockHash, CompactBlock, Header, PeerId, Txid};
use crate::wire::{AnnouncedBlock, Announcement, PoolSummary};
use std::sync::Arc;
use std::time::Duration;

/// Bodies of a branch that are fetched one by one at most; more are a sync.
const BODIES_MAX: usize = 2;

/// Who tells something.
enum Voice<'p> {
    /// This peer: it was called, or its live connection says it.
    Own(&'p PeerId),
    /// Someone who says to be this peer and calls from its address, as everybody can who shares that.
    /// What is wrong with its words is nobody's fault, and nothing is kept from the peer for them: it is
    /// asked for what it is said to have.
    Named(&'p PeerId),
}

impl Voice<'_> {
    const fn peer(&self) -> &PeerId {
        match self {
            Self::Own(peer) | Self::Named(peer) => peer,
        }
    }

    const fn word(&self) -> Word {
        match self {
            Self::Own(_) => Word::Own,
            Self::Named(_) => Word::Named,
        }
    }
}

impl Network {
    /// A peer tells what is new there.
    pub fn hear(&self, from: &PeerId, news: Announcement) {
        self.hear_from(&Voice::Own(from), news);
    }

    /// Someone tells what is new at a peer, from the address where that peer is.
    pub(super) fn hear_named(&self, named: &PeerId, news: Announcement) {
        self.hear_from(&Voice::Named(named), news);
    }

    fn hear_from(&self, voice: &Voice<'_>, news: Announcement) {
        let Some(node) = self.node() else { return };
        if let Voice::Own(peer) = voice {
            self.table().has_transfers(peer, &news.transactions);
        }
        self.hear_of_transfers(&node, voice, &news.transactions);
        for block in news.blocks {
            self.hear_of_block(&node, voice, block);
        }
        self.signal.tell();
    }

    fn hear_of_transfers(&self, node: &NodeHandle, voice: &Voice<'_>, ids: &[Txid]) {
        let (view, from) = (node.view(), voice.peer());
        let lacked = ids.iter().filter(|id| view.chain.pool().get(id).is_none()).copied();
        let (mut wanted, times) = lock_now(&self.wanted, node);
        let dropped = wanted.announce((from, voice.word()), lacked, times.monotonic);
        drop(wanted);
        if dropped > 0 {
            log::debug!("{from} announces more than there is room for: {dropped} are left out");
        }
    }

    fn hear_of_block(&self, node: &NodeHandle, voice: &Voice<'_>, block: AnnouncedBlock) {
        let (header, from) = (*block.header(), voice.peer());
        let Some(known) = self.judge_announced(node, voice, &block) else { return };
        if let Voice::Own(from) = voice {
            self.table().has_block(from, claim_of(&known));
        }
        let view = node.view();
        let is_kept = view.chain.body_of(&known.hash).is_some();
        if is_kept || known.total_work <= view.chain.tip().total_work {
            return;
        }
        let missing = view.chain.missing_bodies_to(&known, BODIES_MAX + 1);
        let (mut incoming, Times { monotonic: now, .. }) = lock_now(&self.incoming, node);
        let is_on_its_way = missing.len() <= BODIES_MAX
            && missing.iter().all(|node| incoming.announced(node.hash, from, now));
        drop(incoming);
        if !is_on_its_way {
            self.claimed_by(voice, claim_of(&known));
        } else if let AnnouncedBlock::Compact { block, .. } = block {
            self.rebuild(node, voice, (header.hash(), block));
        }
    }

    /// The place of an announced block in the tree of headers, once its header is found good.
    fn judge_announced(
        &self,
        node: &NodeHandle,
        voice: &Voice<'_>,
        block: &AnnouncedBlock,
    ) -> Option<Arc<HeaderNode>> {
        let header: Header = *block.header();
        let hash = header.hash();
        let (view, easiest) = (node.view(), node.params().retarget.easiest);
        let headers = view.chain.headers();
        if let Some(known) = headers.get(&hash) {
            return Some(known.clone());
        }
        if !easiest.is_met_by(&hash) {
            if let Voice::Own(from) = voice {
                self.accuse(from, &"a block without proof of work");
            }
            return None;
        }
        let parent = headers.get(&header.previous);
        // As the sync does it: what is too light to be kept has to show more first.
        if parent.is_none_or(|parent| parent.total_work < headers.work_back()) {
            self.claimed_by(voice, Claim { height: block.height(), tip: hash, work: block.work() });
            return None;
        }
        match node.submit_headers(vec![header]) {
            Ok(_) => node.view().chain.headers().get(&hash).cloned(),
            Err(error) => {
                self.blame_for(voice, &error);
                None
            }
        }
    }

    /// A block that is left to the sync is what its peer says; of whom only the name is known it is asked.
    fn claimed_by(&self, voice: &Voice<'_>, claim: Claim) {
        let Some(node) = self.node() else { return };
        if claim.work <= node.view().chain.tip().total_work {
            return;
        }
        match voice {
            Voice::Own(from) => {
                self.table().has_block(from, claim);
                self.request_sync();
            }
            Voice::Named(named) => {
                let (mut table, times) = self.table_now(&node);
                table.ask_soon(named, times.monotonic);
            }
        }
    }

    /// Makes a block of its compact form and the pool; what is missing is asked for.
    fn rebuild(
        &self,
        node: &NodeHandle,
        voice: &Voice<'_>,
        (hash, compact): (BlockHash, CompactBlock),
    ) {
        let (view, peer) = (node.view(), voice.peer());
        let pool = view.chain.pool().iter();
        let pool = pool.map(|pending| (pending.id(), pending.transfer()));
        match Reconstruction::start(compact, pool) {
            Ok(Rebuilt::Whole(block)) => self.take_block(node, voice, block),
            Ok(Rebuilt::Missing(open)) => lock(&self.incoming).open(hash, peer, open),
            Err(reason) => {
                log::debug!("block {hash} is fetched whole: {reason}");
                lock(&self.incoming).want_whole(&hash, peer);
            }
        }
    }

    fn take_block(&self, node: &NodeHandle, voice: &Voice<'_>, block: Block) {
        let (hash, peer) = (block.hash(), voice.peer());
        let origin = match voice {
            Voice::Own(peer) => Origin::Peer((*peer).clone()),
            Voice::Named(_) => Origin::Anyone,
        };
        let taken = node.submit_block(block, origin);
        let (mut incoming, times) = lock_now(&self.incoming, node);
        match &taken {
            Err(NodeError::Busy) => incoming.put_back(&hash, peer, times.monotonic),
            // Another body may fit this header.
            Err(NodeError::Block(error)) if !error.is_final() => {}
            Ok(_) | Err(_) => incoming.done(&hash),
        }
        drop(incoming);
        if let Err(error) = taken {
            self.blame_for(voice, &error);
        }
    }

    fn blame_for(&self, voice: &Voice<'_>, error: &NodeError) {
        match (blame(error), voice) {
            (Blame::Lie, Voice::Own(peer)) => self.accuse(peer, error),
            (Blame::Lie, Voice::Named(peer))
            | (Blame::Nobody, Voice::Own(peer) | Voice::Named(peer)) => {
                log::debug!("what {peer} has is not taken: {error}");
            }
        }
    }

    /// What is to be fetched next of those that may be called.
    pub(super) fn next_fetch(&self, node: &NodeHandle) -> Result<Task, Duration> {
        let any_late = {
            let (mut incoming, times) = lock_now(&self.incoming, node);
            incoming.any_late(times.monotonic)
        };
        if any_late {
            self.request_sync();
        }
        let mut table = self.table();
        let (mut incoming, Times { monotonic: now, .. }) = lock_now(&self.incoming, node);
        if let Some((peer, hash, form)) = incoming.next(now, |peer| table.is_free(peer, now))
            && let Some(target) = table.reserve(&peer, now)
        {
            return Ok(Task::Block(target, hash, form));
        }
        let (mut wanted, Times { monotonic: now, .. }) = lock_now(&self.wanted, node);
        if let Some((peer, ids)) = wanted.next(now, |peer| table.is_free(peer, now))
            && let Some(target) = table.reserve(&peer, now)
        {
            return Ok(Task::Transfers(target, ids));
        }
        let due = [incoming.due_in(now), wanted.due_in(now)].into_iter().flatten().min();
        Err(due.unwrap_or(Duration::MAX))
    }

    /// What those have announced who are gone or do not answer is nobody's to ask for, and comes again
    /// when pools are compared.
    pub(super) fn forget_gone(&self) {
        let table = self.table();
        let is_there = |peer: &PeerId| table.find(peer).is_some_and(Peer::is_connected);
        lock(&self.wanted).keep(is_there);
    }

    /// A peer was asked for a block that it has announced.
    pub(super) fn block_came(
        &self,
        target: &Target,
        (hash, form): (&BlockHash, &Form),
        answer: Answer,
    ) -> Outcome {
        let Some(node) = self.node() else { return Outcome::Done };
        let (peer, voice) = (&target.id, Voice::Own(&target.id));
        let outcome = match form {
            Form::Compact => answer::compact(answer, self.prefix).map(|compact| {
                // Another block than the one asked for is none at all.
                if compact.header.hash() == *hash {
                    self.rebuild(&node, &voice, (*hash, compact));
                }
            }),
            Form::Missing(_) => answer::transfers(answer, self.prefix).map(|transfers| {
                let open = lock(&self.incoming).take_open(hash, peer);
                match open.map(|open| open.fill(transfers)) {
                    Some(Ok(block)) => self.take_block(&node, &voice, block),
                    Some(Err(_)) | None => lock(&self.incoming).want_whole(hash, peer),
                }
            }),
            Form::Whole => answer::blocks(answer, self.prefix).map(|blocks| {
                let block = blocks.into_iter().find(|block| block.hash() == *hash);
                if let Some(block) = block {
                    self.take_block(&node, &voice, block);
                }
            }),
        };
        if lock(&self.incoming).ended(hash) {
            self.request_sync();
        }
        outcome.map_or_else(|error| failed(&error), |()| Outcome::Done)
    }

    /// A peer was asked for transfers that it has announced.
    pub(super) fn transfers_came(&self, target: &Target, ids: &[Txid], answer: Answer) -> Outcome {
        let Some(node) = self.node() else { return Outcome::Done };
        let transfers = match answer::transfers(answer, self.prefix) {
            Ok(transfers) => transfers,
            Err(error) => {
                lock(&self.wanted).failed(&target.id);
                return failed(&error);
            }
        };
        let asked = transfers.into_iter().filter(|transfer| ids.contains(&transfer.id()));
        let (gave, transfers): (Vec<_>, Vec<_>) =
            asked.map(|transfer| (transfer.id(), transfer)).unzip();
        let (mut wanted, times) = lock_now(&self.wanted, &node);
        wanted.answered(&target.id, &gave, times.monotonic);
        drop(wanted);
        self.table().has_transfers(&target.id, &gave);
        let taken = node.submit_transfers(transfers, &Origin::Peer(target.id.clone()));
        let refused = gave.iter().zip(taken).filter_map(|(id, taken)| Some((*id, taken.err()?)));
        let mut early = Vec::new();
        for (id, error) in refused {
            if blame(&error) == Blame::Lie {
                self.accuse(&target.id, &error);
                return Outcome::Done;
            }
            if is_early(&error) {
                early.push(id);
            }
        }
        let (mut wanted, times) = lock_now(&self.wanted, &node);
        wanted.put_off(&target.id, &early, times.monotonic);
        Outcome::Done
    }

    /// A peer was asked for its pool in short.
    pub(super) fn summary_came(&self, target: &Target, answer: Answer) -> Outcome {
        let Some(node) = self.node() else { return Outcome::Done };
        match answer::summary(answer) {
            Ok(theirs) => {
                let ours = PoolSummary::new(*node.view().chain.pool().buckets());
                self.table().look_into(&target.id, ours.differing(&theirs));
                Outcome::Done
            }
            Err(error) => no_pool(&error),
        }
    }

    /// A peer was asked for the ids in some buckets of its pool.
    pub(super) fn ids_came(&self, target: &Target, answer: Answer) -> Outcome {
        let Some(node) = self.node() else { return Outcome::Done };
        match answer::ids(answer) {
            Ok(ids) => {
                self.table().has_transfers(&target.id, &ids);
                self.hear_of_transfers(&node, &Voice::Own(&target.id), &ids);
                Outcome::Done
            }
            Err(error) => no_pool(&error),
        }
    }
}

/// Whether a refused transfer may be taken in a moment, without a new block: a queue of one sender comes
/// from several peers at once, in any order, and only few of it can wait for those before them.
const fn is_early(error: &NodeError) -> bool {
    matches!(
        error,
        NodeError::Busy
            | NodeError::Pool(PoolError::NonceTooFar { .. } | PoolError::WaitingFull { .. })
    )
}

/// Pools could not be compared. Whoever answers that it does not do so is a peer all the same.
fn no_pool(error: &AskError) -> Outcome {
    match error {
        AskError::Refused { .. } | AskError::Shape(_) => Outcome::Done,
        AskError::Call(_) | AskError::Busy(_) => failed(error),
    }
}

/// What a peer says by having a block whose header is known.
fn claim_of(node: &HeaderNode) -> Claim {
    Claim { height: node.height, tip: node.hash, work: node.total_work }
}
