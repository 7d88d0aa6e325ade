//! The whole decision about a header, a block or a transfer.
//!
//! Extending the best chain and reorganizing it are one function: find the heaviest branch whose
//! bodies are all here, build the state after it aside, and take it over only when all of it is
//! valid.

use super::accounts::AccountTree;
use super::headers::HeaderNode;
use super::history::History;
use super::pool::{Admitted, Pending, PoolError};
use super::{Bodies, BodiesError, Chain, SideBody, leaf_data, parent_state};
use crate::consensus::check::{BlockError, CheckedBlock, CheckedTransfer, Signatures, check_block};
use crate::consensus::connect::{
    ConnectError, HeaderError, check_header, connect_block, disconnect_block,
};
use crate::primitives::{
    Account, BlockHash, BodyRef, Header, Height, PublicKey, StateRoots, Txid, UnixTime, Work,
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
    /// Transfers that are pending again.
    pub returned: Vec<Txid>,
    /// Transfers that were pending, or in a block that left, and can no longer be mined, with the
    /// reason where it is known.
    pub dropped: Vec<(CheckedTransfer, Option<PoolError>)>,
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

impl From<BodiesError> for Failure {
    fn from(error: BodiesError) -> Self {
        Self::Store(error.into())
    }
}

impl From<BlockError> for Failure {
    fn from(error: BlockError) -> Self {
        Self::Store(error.into())
    }
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
        for named in [hash, header.previous] {
            if self.is_invalid(&named) {
                return Err(AcceptError::KnownInvalid(named));
            }
        }
        let parent = self.headers.get(&header.previous).cloned();
        let parent = parent.ok_or(AcceptError::UnknownParent(header.previous))?;
        let facts = self.headers.parent_facts(&parent);
        let work = check_header(&self.params, header, &facts, now.unix)?;
        let (node, evicted) = self.headers.insert(*header, &parent, work);
        for hash in &evicted {
            self.forget_side_body(hash);
        }
        if evicted.contains(&hash) { Err(AcceptError::TooManyBranches(hash)) } else { Ok(node) }
    }

    /// Judges a block: adds its header, keeps its body if it is worth keeping, and makes the
    /// heaviest branch whose bodies are all here the best chain.
    ///
    /// # Errors
    /// An unknown or invalid parent, or the rule that the block breaks. The best chain is then as
    /// it was.
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
        // Blocks that came before their parent may follow.
        match self.heaviest_ready_above(node) {
            Some(tip) => self.follow(change, &tip, now, bodies),
            None => Ok(Accepted::Best(Arc::new(change))),
        }
    }

    /// Connects what was waiting for the block just connected; its failure is not the block's.
    fn follow(
        &mut self,
        mut change: TipChange,
        tip: &Arc<HeaderNode>,
        now: Now,
        bodies: &dyn Bodies,
    ) -> Result<Accepted, AcceptError> {
        match self.build(tip, bodies) {
            Ok(candidate) => {
                let more = self.take_over(candidate, now);
                change.connected.extend(more.connected);
                change.dropped.extend(more.dropped);
            }
            Err(Failure::Invalid(bad, _)) => self.forget_invalid(&bad),
            Err(Failure::Store(error)) => return Err(error),
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
        let depth = Height(self.height().0.saturating_sub(SIDE_DEPTH_MAX));
        let back = self.headers.at(depth).map_or(Work::ZERO, |node| node.total_work);
        let room = self.side_bytes < SIDE_BYTES_MAX;
        if room && node.total_work >= back {
            return true;
        }
        let branch_work = self.branch_work(node);
        branch_work > self.tip().total_work || (room && branch_work >= back)
    }

    /// The work of the heaviest header branch that goes through `node`.
    fn branch_work(&self, node: &HeaderNode) -> Work {
        let (mut most, mut open) = (node.total_work, vec![node.hash]);
        while let Some(hash) = open.pop() {
            for child in self.headers.side_children(&hash) {
                most = most.max(self.headers.get(&child).map_or(most, |node| node.total_work));
                open.push(child);
            }
        }
        most
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

    /// Marks the kept bodies above a ready block as ready; returns the heaviest.
    fn mark_ready_above(&mut self, node: &Arc<HeaderNode>) -> Option<Arc<HeaderNode>> {
        let (mut heaviest, mut open) = (None::<Arc<HeaderNode>>, vec![node.hash]);
        while let Some(hash) = open.pop() {
            for child in self.headers.side_children(&hash).collect::<Vec<_>>() {
                let Some(side) = self.side_bodies.get_mut(&child) else { continue };
                side.ready = true;
                open.push(child);
                let Some(child) = self.headers.get(&child) else { continue };
                if heaviest.as_ref().is_none_or(|most| child.total_work > most.total_work) {
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
            .max_by_key(|node| node.total_work)
            .cloned()
    }

    /// Remembers a block as invalid and forgets it with all that stands on it.
    fn forget_invalid(&mut self, node: &HeaderNode) {
        debug_assert!(!self.headers.is_best(node));
        for hash in self.headers.remove_branch(node) {
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
            let block = check_block(bodies.read(side.body)?, &self.params, &Signatures::Trust)?;
            self.connect(&mut candidate, node, &block)
                .map_err(|error| Failure::Invalid(node.clone(), error))?;
            candidate.bodies.push(side.body);
        }
        Ok(candidate)
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
            let block = check_block(bodies.read(body)?, &self.params, &Signatures::Trust)?;
            let account = |key: &PublicKey| {
                undone.get(key).copied().unwrap_or_else(|| self.accounts.get(key))
            };
            let changes = disconnect_block(block.block(), &account)
                .map_err(|error| Failure::Invalid(best.node.clone(), error))?;
            undone.extend(changes);
            roots = Some(block.block().roots);
            candidate.disconnected.push(best.node);
            candidate.disconnected_sizes.push(block.block().size());
            bytes += block.block().size();
            returned.push_front(block.checked_transfers().collect());
            while bytes > RETURNED_BYTES_MAX && returned.len() > 1 {
                let highest = returned.pop_back().unwrap_or_default();
                bytes -= highest.iter().map(|t| t.transfer().size()).sum::<usize>().min(bytes);
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
        let context = super::pool::PoolContext {
            accounts: &accounts,
            next_height: self.height().next(),
            now: now.monotonic,
        };
        let gone = self.pool.settle(touched, &|id| confirmed.contains(id), context);
        change.dropped = gone.iter().map(|pending| (pending.transfer.clone(), None)).collect();
        for transfer in again.into_iter().filter(|t| !confirmed.contains(&t.id())) {
            match self.pool.admit(transfer.clone(), context) {
                Ok(_) => change.returned.push(transfer.id()),
                Err(PoolError::AlreadyKnown(_)) => {}
                Err(error) => change.dropped.push((transfer, Some(error))),
            }
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
        let context = super::pool::PoolContext {
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
