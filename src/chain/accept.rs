//! The whole decision about a header, a block or a transfer.
//!
//! Extending the best chain and reorganizing it are one function: find the heaviest branch whose
//! bodies are all here, build the state after it aside, and take it over only when all of it is
//! valid.

use super::candidate::Failure;
use super::headers::HeaderNode;
use super::pool::{Admitted, PoolError};
use super::{Bodies, BodiesError, Chain};
use crate::consensus::check::{BlockError, CheckedBlock, CheckedTransfer};
use crate::consensus::connect::{ConnectError, HeaderError, check_header};
use crate::planted::{Bug, planted};
use crate::primitives::{Amount, BlockHash, Header, PublicKey, Txid, UnixTime, Work};
use std::sync::Arc;
use std::time::Duration;

/// Both clocks, as values.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time of day, for headers.
    pub unix: UnixTime,
    /// Time since some fixed moment by a clock that never jumps, for everything that expires.
    pub monotonic: Duration,
}

/// Why a header or block is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The block breaks a rule that its header commits to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The parent is not known: the chain it belongs to has to be fetched.
    #[error("the parent {0} of the block is unknown")]
    UnknownParent(BlockHash),
    /// The block, or one before it, is known to be invalid.
    #[error("block {0} is known to be invalid")]
    KnownInvalid(BlockHash),
    /// There are too many side branches with more work.
    #[error("there are too many side branches with more work than that of block {0}")]
    TooManyBranches(BlockHash),
    /// The body could not be kept, or an earlier one not read.
    #[error("the block store failed: {0}")]
    Bodies(#[from] BodiesError),
    /// A body read back is no block of this chain any more.
    #[error("a stored block is damaged: {0}")]
    Damaged(#[from] BlockError),
}

impl AcceptError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Header(error) => error.code(),
            Self::Connect(error) => error.code(),
            Self::UnknownParent(_) => "unknown-parent",
            Self::KnownInvalid(_) => "known-invalid",
            Self::TooManyBranches(_) => "too-many-branches",
            Self::Bodies(_) => "block-store-failed",
            Self::Damaged(_) => "block-store-damaged",
        }
    }
}

/// What became of a block that was accepted.
#[derive(Debug)]
pub enum Accepted {
    /// It was here before.
    Known,
    /// It is valid as far as can be told and not on the best chain; `kept` tells whether its body
    /// was.
    Side {
        /// Whether the body was kept.
        kept: bool,
    },
    /// The best chain has changed.
    Best(Arc<TipChange>),
}

/// A transfer that can no longer be mined, and why; `None` if another one took its place.
pub type Dropped = (CheckedTransfer, Option<PoolError>);

/// A change of the best chain.
#[derive(Debug, Default)]
pub struct TipChange {
    /// Blocks that left the best chain, from the old tip down.
    pub disconnected: Vec<Arc<HeaderNode>>,
    /// Blocks that joined it, upwards.
    pub connected: Vec<Arc<HeaderNode>>,
    /// Transfers that are pending now and were not before: those of blocks that left, and early
    /// ones whose turn has come.
    pub returned: Vec<Txid>,
    /// Transfers that were pending, or in a block that left, and can no longer be mined.
    pub dropped: Vec<Dropped>,
    /// Of [`Self::returned`], those that stood in blocks that left, and so were confirmed before.
    pub unconfirmed: Vec<Txid>,
    /// What the blocks that left had paid, and to whom, from the lowest up: nobody has it now.
    pub rewards_lost: Vec<(PublicKey, Amount)>,
}

impl TipChange {
    /// Adds a change that follows this one and only connects blocks.
    fn add(&mut self, next: Self) {
        self.connected.extend(next.connected);
        self.returned.extend(next.returned);
        self.dropped.extend(next.dropped);
    }
}

/// Which side bodies are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    IfWorthIt,
    Always,
}

impl Chain {
    /// Judges a header and adds it to the tree.
    ///
    /// # Errors
    /// An unknown or invalid parent, or the rule that the header breaks.
    pub fn accept_header(
        &mut self,
        header: &Header,
        now: Now,
    ) -> Result<Arc<HeaderNode>, AcceptError> {
        let hash = header.hash();
        if let Some(known) = self.headers.get(&hash) {
            return Ok(known.clone());
        }
        let (parent, mut work) = self.judge_header(header, now.unix)?;
        if planted(Bug::LongestChain) {
            work = self.params.retarget.easiest.work();
        }
        let (node, evicted) = self.headers.insert(*header, &parent, work);
        for hash in &evicted {
            self.forget_side_body(hash);
        }
        if evicted.contains(&hash) { Err(AcceptError::TooManyBranches(hash)) } else { Ok(node) }
    }

    /// Judges a header that is not in the tree by all its rules, and changes nothing: cheap, so
    /// that it may come before a body is looked at. Returns its parent and its work.
    ///
    /// # Errors
    /// As [`Self::accept_header`].
    pub fn judge_header(
        &self,
        header: &Header,
        now: UnixTime,
    ) -> Result<(Arc<HeaderNode>, Work), AcceptError> {
        let hash = header.hash();
        for named in [hash, header.previous] {
            if self.is_invalid(&named) {
                return Err(AcceptError::KnownInvalid(named));
            }
        }
        let parent = self.headers.get(&header.previous).cloned();
        let parent = parent.ok_or(AcceptError::UnknownParent(header.previous))?;
        let facts = self.headers.parent_facts(&parent);
        let work = check_header(&self.params, header, &facts, now)?;
        Ok((parent, work))
    }

    /// Judges a block: adds its header, keeps its body if it is worth keeping, and makes the
    /// heaviest branch whose bodies are all here the best chain.
    ///
    /// # Errors
    /// An unknown or invalid parent, or the rule that the block breaks: the best chain is then as
    /// it was. If the store fails, all is as it was.
    pub fn accept_block(
        &mut self,
        block: &CheckedBlock,
        now: Now,
        bodies: &mut dyn Bodies,
    ) -> Result<Accepted, AcceptError> {
        self.accept(block, now, bodies, Keep::IfWorthIt)
    }

    /// As [`Self::accept_block`] for a block whose body is kept already, whatever it is worth.
    ///
    /// # Errors
    /// As [`Self::accept_block`].
    pub fn accept_kept(
        &mut self,
        block: &CheckedBlock,
        now: Now,
        bodies: &mut dyn Bodies,
    ) -> Result<Accepted, AcceptError> {
        self.accept(block, now, bodies, Keep::Always)
    }

    fn accept(
        &mut self,
        block: &CheckedBlock,
        now: Now,
        bodies: &mut dyn Bodies,
        keep: Keep,
    ) -> Result<Accepted, AcceptError> {
        let before = self.clone();
        let decided = self.decide(block, now, bodies, keep);
        if let Err(AcceptError::Bodies(_) | AcceptError::Damaged(_)) = decided {
            // The failure is the store's, not the block's, and may have come half-way.
            *self = before;
        }
        decided
    }

    fn decide(
        &mut self,
        block: &CheckedBlock,
        now: Now,
        bodies: &mut dyn Bodies,
        keep: Keep,
    ) -> Result<Accepted, AcceptError> {
        let hash = block.hash();
        if self.body_of(&hash).is_some() || hash == self.chain_id {
            return Ok(Accepted::Known);
        }
        let node = self.accept_header(&block.block().header, now)?;
        if node.header.previous == self.tip().hash {
            return self.extend(&node, block, now, bodies);
        }
        if keep == Keep::IfWorthIt && !self.is_worth_keeping(&node) {
            return Ok(Accepted::Side { kept: false });
        }
        let body = bodies.keep(block)?;
        self.keep_side(&node, body, block.block().size());
        match self.heaviest_ready(&node) {
            Some(tip) => self.reorganize(&tip, &node, now, bodies),
            None => Ok(Accepted::Side { kept: true }),
        }
    }

    /// The common case: the block stands on the tip.
    fn extend(
        &mut self,
        node: &Arc<HeaderNode>,
        block: &CheckedBlock,
        now: Now,
        bodies: &mut dyn Bodies,
    ) -> Result<Accepted, AcceptError> {
        let mut candidate = self.candidate_at(self.tip().clone());
        if let Err(error) = self.connect(&mut candidate, node, block) {
            self.forget_invalid(node);
            return Err(error.into());
        }
        candidate.bodies.push(bodies.keep(block)?);
        let change = self.take_over(candidate, now);
        self.follow(change, node, now, bodies)
    }

    /// Connects the blocks that came before their parent `node`, now the tip. If one of them turns
    /// out invalid, that is not the parent's failure, and the next heaviest branch is tried.
    fn follow(
        &mut self,
        mut change: TipChange,
        node: &Arc<HeaderNode>,
        now: Now,
        bodies: &dyn Bodies,
    ) -> Result<Accepted, AcceptError> {
        while let Some(tip) = self.heaviest_ready_above(node) {
            match self.build(&tip, bodies) {
                Ok(candidate) => {
                    change.dropped.retain(|(t, _)| !candidate.confirmed.contains(&t.id()));
                    let more = self.take_over(candidate, now);
                    debug_assert!(more.disconnected.is_empty());
                    change.add(more);
                    // What the first block left without funds may have been paid since.
                    let dropped = std::mem::take(&mut change.dropped);
                    self.return_all(
                        dropped.into_iter().map(|(t, _)| t).collect(),
                        &mut change,
                        now,
                    );
                    break;
                }
                Err(Failure::Invalid(bad, _)) => self.forget_invalid(&bad),
                Err(Failure::Store(error)) => return Err(error),
            }
        }
        Ok(Accepted::Best(Arc::new(change)))
    }

    /// Tries to make the branch of `tip` the best chain. If a block of it turns out invalid, it is
    /// forgotten with all that stands on it, and the next heaviest branch is tried.
    fn reorganize(
        &mut self,
        tip: &Arc<HeaderNode>,
        new: &Arc<HeaderNode>,
        now: Now,
        bodies: &dyn Bodies,
    ) -> Result<Accepted, AcceptError> {
        let (mut tip, mut refused) = (tip.clone(), None);
        loop {
            match self.build(&tip, bodies) {
                Ok(candidate) => {
                    let change = self.take_over(candidate, now);
                    return Ok(Accepted::Best(Arc::new(change)));
                }
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Invalid(bad, error)) => {
                    self.forget_invalid(&bad);
                    if self.headers.get(&new.hash).is_none() {
                        refused.get_or_insert(error);
                    }
                }
            }
            match self.heaviest_ready_of_all() {
                Some(next) => tip = next,
                None => {
                    return refused.map_or(Ok(Accepted::Side { kept: true }), |e| Err(e.into()));
                }
            }
        }
    }

    /// Remembers a block as invalid whose header is sound, and whose body, the very one that the
    /// header commits to, breaks a rule that needs no chain
    /// ([`BlockError::is_final`]). Without it, the body would be asked for, and its signatures
    /// verified, again and again.
    pub fn refuse_block(&mut self, header: &Header, now: Now) {
        // Only a header with its whole proof of work takes a place in the memory.
        if let Ok(node) = self.accept_header(header, now)
            && !self.headers.is_best(&node)
            && self.body_of(&node.hash).is_none()
        {
            self.forget_invalid(&node);
        }
    }

    /// Takes a transfer into the pool, from whichever door it comes.
    ///
    /// # Errors
    /// The rule that the transfer breaks.
    pub fn accept_transfer(
        &mut self,
        transfer: CheckedTransfer,
        now: Now,
    ) -> Result<Admitted, PoolError> {
        let context = self.pool_context(now.monotonic);
        self.pool.admit(transfer, &context)
    }

    /// Forgets what has waited too long.
    pub fn drop_overdue(&mut self, now: Now) {
        self.pool.drop_overdue(now.monotonic);
    }
}
