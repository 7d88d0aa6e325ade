//! The whole decision about a header, a block or a transfer.
//!
//! Extending the best chain and reorganizing it are one function: find the heaviest branch whose
//! bodies are all here, build the state after it aside, and take it over only when all of it is
//! valid.

use super::accounts::AccountTree;
use super::headers::HeaderNode;
use super::history::History;
use super::pool::{Admitted, Pending, PoolContext, PoolError};
use super::{Bodies, BodiesError, Chain, SideBody, leaf_data, parent_state};
use crate::consensus::check::{BlockError, CheckedBlock, CheckedTransfer, Signatures, check_block};
use crate::consensus::connect::{
    ConnectError, HeaderError, check_header, connect_block, disconnect_block,
};
use crate::primitives::{
    Account, BlockHash, BodyRef, Header, Height, PublicKey, StateRoots, Txid, U256, UnixTime, Work,
};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of bodies off the best chain that are kept at most. When they are more, only blocks that
/// make a heavier chain are kept; the others keep their header.
pub const SIDE_BYTES_MAX: usize = 256 << 20;

/// A side block is kept only if its header branch has at least the tip's work less that of this
/// many blocks: or cheap blocks would fill the disk.
pub const SIDE_DEPTH_MAX: u32 = 100;

/// Bytes of transfers that a reorganization returns to the pool at most. When they are more, those
/// of the highest blocks are dropped, which depend on the others.
const RETURNED_BYTES_MAX: usize = 64 << 20;

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

/// A change of the best chain.
#[derive(Debug)]
pub struct TipChange {
    /// Blocks that left the best chain, from the old tip down.
    pub disconnected: Vec<Arc<HeaderNode>>,
    /// Blocks that joined it, upwards.
    pub connected: Vec<Arc<HeaderNode>>,
    /// Transfers that are pending now and were not before: those of blocks that left, and early
    /// ones whose turn has come.
    pub returned: Vec<Txid>,
    /// Transfers that were pending, or in a block that left, and can no longer be mined, with the
    /// reason where it is known.
    pub dropped: Vec<(CheckedTransfer, Option<PoolError>)>,
}

impl TipChange {
    /// Adds a change that follows this one and only connects blocks.
    fn add(&mut self, next: Self) {
        self.connected.extend(next.connected);
        self.returned.extend(next.returned);
        self.dropped.extend(next.dropped);
    }
}

/// The state after a branch, built aside.
struct Candidate {
    fork: Arc<HeaderNode>,
    branch: Vec<Arc<HeaderNode>>,
    bodies: Vec<BodyRef>,
    sizes: Vec<usize>,
    accounts: AccountTree,
    history: History,
    touched: BTreeSet<PublicKey>,
    confirmed: HashSet<Txid>,
    disconnected: Vec<Arc<HeaderNode>>,
    disconnected_sizes: Vec<usize>,
    returned: Vec<CheckedTransfer>,
}

/// Which side bodies are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    IfWorthIt,
    Always,
}

/// A branch that cannot be connected: at which block, and why.
enum Failure {
    Invalid(Arc<HeaderNode>, ConnectError),
    Store(AcceptError),
}

impl From<AcceptError> for Failure {
    fn from(error: AcceptError) -> Self {
        Self::Store(error)
    }
}

fn bytes_of(transfers: Option<&Vec<CheckedTransfer>>) -> usize {
    transfers.into_iter().flatten().map(|transfer| transfer.transfer().size()).sum()
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
        let (parent, work) = self.judge_header(header, now.unix)?;
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
                    change.returned.retain(|id| self.pool.get(id).is_some());
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

    fn is_worth_keeping(&self, node: &HeaderNode) -> bool {
        let back = self.headers.work_back();
        let more_than_the_tip = self.tip().total_work + Work::new(U256::from(1));
        let room = self.side_bytes < SIDE_BYTES_MAX;
        self.headers.is_on_branch_of(node, if room { back } else { more_than_the_tip })
    }

    fn keep_side(&mut self, node: &Arc<HeaderNode>, body: BodyRef, size: usize) {
        let ready = self.is_ready(&node.header.previous);
        self.side_bodies.insert(node.hash, SideBody { body, size, ready });
        self.side_bytes += size;
        if ready {
            self.mark_ready_above(node);
        }
    }

    fn is_ready(&self, hash: &BlockHash) -> bool {
        self.headers.get(hash).is_some_and(|node| self.headers.is_best(node))
            || self.side_bodies.get(hash).is_some_and(|side| side.ready)
    }

    /// Marks the kept bodies above a ready block as ready; returns the heaviest, seen first.
    fn mark_ready_above(&mut self, node: &Arc<HeaderNode>) -> Option<Arc<HeaderNode>> {
        let (mut heaviest, mut open) = (None::<Arc<HeaderNode>>, vec![node.hash]);
        while let Some(hash) = open.pop() {
            for child in self.headers.side_children(&hash).collect::<Vec<_>>() {
                let Some(side) = self.side_bodies.get_mut(&child) else { continue };
                side.ready = true;
                open.push(child);
                let Some(child) = self.headers.get(&child) else { continue };
                if heaviest.as_ref().is_none_or(|most| child.rank() > most.rank()) {
                    heaviest = Some(child.clone());
                }
            }
        }
        heaviest
    }

    /// The heaviest ready block at or above `node` with more work than the tip.
    fn heaviest_ready(&mut self, node: &Arc<HeaderNode>) -> Option<Arc<HeaderNode>> {
        if !self.is_ready(&node.hash) {
            return None;
        }
        let tip = self.mark_ready_above(node).unwrap_or_else(|| node.clone());
        (tip.total_work > self.tip().total_work).then_some(tip)
    }

    fn heaviest_ready_above(&mut self, node: &Arc<HeaderNode>) -> Option<Arc<HeaderNode>> {
        self.mark_ready_above(node).filter(|tip| tip.total_work > self.tip().total_work)
    }

    fn heaviest_ready_of_all(&self) -> Option<Arc<HeaderNode>> {
        let own = self.tip().total_work;
        let ready = self.side_bodies.iter().filter(|(_, side)| side.ready);
        ready
            .filter_map(|(hash, _)| self.headers.get(hash))
            .filter(|node| node.total_work > own)
            .max_by_key(|node| node.rank())
            .cloned()
    }

    /// Remembers a block as invalid and forgets it with all that stands on it.
    fn forget_invalid(&mut self, node: &HeaderNode) {
        debug_assert!(!self.headers.is_best(node));
        // The block itself last, so that those upon it, however many, do not crowd it out.
        for hash in self.headers.remove_branch(node).into_iter().rev() {
            self.invalid.insert(hash);
            self.forget_side_body(&hash);
        }
    }

    fn forget_side_body(&mut self, hash: &BlockHash) {
        if let Some(side) = self.side_bodies.remove(hash) {
            self.side_bytes -= side.size;
        }
    }

    fn candidate_at(&self, fork: Arc<HeaderNode>) -> Candidate {
        Candidate {
            fork,
            branch: Vec::new(),
            bodies: Vec::new(),
            sizes: Vec::new(),
            accounts: self.accounts.clone(),
            history: self.history.clone(),
            touched: BTreeSet::new(),
            confirmed: HashSet::new(),
            disconnected: Vec::new(),
            disconnected_sizes: Vec::new(),
            returned: Vec::new(),
        }
    }

    /// Builds the state after the branch of `tip` aside.
    fn build(&self, tip: &Arc<HeaderNode>, bodies: &dyn Bodies) -> Result<Candidate, Failure> {
        let (fork, branch) = self.headers.branch_to(tip);
        let mut candidate = self.candidate_at(fork);
        self.disconnect_to_fork(&mut candidate, bodies)?;
        for node in &branch {
            let side = self.side_bodies.get(&node.hash).expect("a ready branch has its bodies");
            let block = self.read_body(node, side.body, bodies)?;
            self.connect(&mut candidate, node, &block)
                .map_err(|error| Failure::Invalid(node.clone(), error))?;
            candidate.bodies.push(side.body);
        }
        Ok(candidate)
    }

    /// Reads a kept body, and sees that it is what was kept.
    fn read_body(
        &self,
        node: &HeaderNode,
        body: BodyRef,
        bodies: &dyn Bodies,
    ) -> Result<CheckedBlock, AcceptError> {
        let block = check_block(bodies.read(body)?, &self.params, &Signatures::Trust)?;
        if block.hash() == node.hash {
            return Ok(block);
        }
        let (expected, got) = (node.hash, block.hash());
        Err(BodiesError(format!("expected the body of block {expected}, read {got}")).into())
    }

    /// Takes the blocks above the fork off the candidate's accounts and history.
    fn disconnect_to_fork(
        &self,
        candidate: &mut Candidate,
        bodies: &dyn Bodies,
    ) -> Result<(), Failure> {
        let mut undone: BTreeMap<PublicKey, Option<Account>> = BTreeMap::new();
        let mut returned: VecDeque<Vec<CheckedTransfer>> = VecDeque::new();
        let (mut bytes, mut roots) = (0, None::<StateRoots>);
        for height in (candidate.fork.height.0 + 1..=self.height().0).rev().map(Height) {
            let best = self.block_at(height).expect("heights up to the tip have a block");
            let body = best.body.expect("only genesis has no body");
            let block = self.read_body(&best.node, body, bodies)?;
            let account = |key: &PublicKey| {
                undone.get(key).copied().unwrap_or_else(|| self.accounts.get(key))
            };
            let changes = disconnect_block(block.block(), &account)
                .expect("a block that was connected can be undone");
            undone.extend(changes);
            roots = Some(block.block().roots);
            candidate.disconnected.push(best.node);
            candidate.disconnected_sizes.push(block.block().size());
            returned.push_front(block.checked_transfers().collect());
            bytes += bytes_of(returned.front());
            while bytes > RETURNED_BYTES_MAX && returned.len() > 1 {
                bytes -= bytes_of(returned.back());
                returned.pop_back();
            }
        }
        candidate.touched.extend(undone.keys());
        candidate.accounts = candidate.accounts.apply(undone);
        candidate.history.truncate(candidate.fork.height.0 + 1);
        candidate.returned = returned.into_iter().flatten().collect();
        if let Some(expected) = roots {
            let (accounts, history) = (candidate.accounts.root(), candidate.history.root());
            assert_eq!(StateRoots { accounts, history }, expected, "undoing gives the old state");
        }
        Ok(())
    }

    /// Executes one block on top of the candidate.
    fn connect(
        &self,
        candidate: &mut Candidate,
        node: &Arc<HeaderNode>,
        block: &CheckedBlock,
    ) -> Result<(), ConnectError> {
        let accounts = &candidate.accounts;
        let roots = StateRoots { accounts: accounts.root(), history: candidate.history.root() };
        let account = |key: &PublicKey| accounts.get(key);
        let state = parent_state(node.height, roots, &account);
        let changes = connect_block(&self.params, block, &state)?;
        candidate.touched.extend(changes.keys());
        candidate.accounts = accounts.apply(changes);
        candidate.history.append(&leaf_data(node));
        candidate.confirmed.extend(block.txids());
        candidate.sizes.push(block.block().size());
        candidate.branch.push(node.clone());
        Ok(())
    }

    /// Makes the candidate the best chain, and brings the pool in line with it.
    fn take_over(&mut self, candidate: Candidate, now: Now) -> TipChange {
        let Candidate { fork, branch, bodies, disconnected, .. } = candidate;
        let losing = self.best_bodies.split_off(fork.height.index());
        for ((node, body), size) in
            disconnected.iter().rev().zip(losing).zip(candidate.disconnected_sizes.iter().rev())
        {
            self.side_bodies.insert(node.hash, SideBody { body, size: *size, ready: true });
            self.side_bytes += size;
        }
        for (node, body) in branch.iter().zip(bodies) {
            self.forget_side_body(&node.hash);
            self.best_bodies.push_back(body);
        }
        self.headers.switch_to(&fork, &branch);
        self.accounts = candidate.accounts;
        self.history = candidate.history;
        debug_assert_eq!(self.best_bodies.len(), self.height().index());
        debug_assert_eq!(self.history.count(), self.height().0 + 1);
        let mut change =
            TipChange { disconnected, connected: branch, returned: vec![], dropped: vec![] };
        self.settle_pool(
            &mut change,
            candidate.touched,
            &candidate.confirmed,
            candidate.returned,
            now,
        );
        change
    }

    fn settle_pool(
        &mut self,
        change: &mut TipChange,
        touched: BTreeSet<PublicKey>,
        confirmed: &HashSet<Txid>,
        returned: Vec<CheckedTransfer>,
        now: Now,
    ) {
        let mut again = returned;
        if !again.is_empty() {
            let senders: BTreeSet<_> = again.iter().map(|t| t.transfer().sender).collect();
            again.extend(self.pool.take_senders(senders));
            again.sort_by_key(|t| (t.transfer().sender, t.transfer().nonce));
        }
        let accounts = self.accounts.clone();
        let context = PoolContext {
            accounts: &accounts,
            next_height: self.height().next(),
            now: now.monotonic,
        };
        let settled = self.pool.settle(touched, &|id| confirmed.contains(id), context);
        change.dropped = settled.dropped.iter().map(|p| (p.transfer.clone(), None)).collect();
        change.returned = settled.promoted;
        let again = again.into_iter().filter(|t| !confirmed.contains(&t.id()));
        let again: Vec<_> = again.filter_map(|t| self.return_to_pool(t, change, context)).collect();
        change.returned.retain(|id| self.pool.get(id).is_some());
        // One that came later may have thrown out one that came before.
        let evicted = again.into_iter().filter(|t| self.pool.get(&t.id()).is_none());
        change.dropped.extend(evicted.map(|transfer| (transfer, None)));
    }

    /// Gives the transfer back if it is pending now.
    fn return_to_pool(
        &mut self,
        transfer: CheckedTransfer,
        change: &mut TipChange,
        context: PoolContext<'_>,
    ) -> Option<CheckedTransfer> {
        let (sender, got) = (transfer.transfer().sender, transfer.transfer().nonce);
        let expected = self.pool.next_nonce(&sender, self.account(&sender));
        // One whose predecessor is lost does not wait for it: its sender has to know.
        let error = if got > expected {
            PoolError::NonceTooFar { expected, got }
        } else {
            match self.pool.admit(transfer.clone(), context) {
                Ok(Admitted::Pending { added, .. }) => {
                    change.returned.extend(added);
                    return Some(transfer);
                }
                Ok(Admitted::Waiting) | Err(PoolError::AlreadyKnown(_)) => return None,
                Err(error) => error,
            }
        };
        change.dropped.push((transfer, Some(error)));
        None
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
        let accounts = self.accounts.clone();
        let context = PoolContext {
            accounts: &accounts,
            next_height: self.height().next(),
            now: now.monotonic,
        };
        self.pool.admit(transfer, context)
    }

    /// Forgets what has waited too long.
    pub fn drop_overdue(&mut self, now: Now) {
        self.pool.drop_overdue(now.monotonic);
    }

    /// The pending transfers of the pool, first come first, for whoever writes them down.
    pub fn pending(&self) -> impl Iterator<Item = &Arc<Pending>> {
        self.pool.iter()
    }
}
