//! The state after another branch, built aside and taken over only when all of it is valid.

use super::accept::{AcceptError, Dropped, Now, TipChange};
use super::accounts::AccountTree;
use super::headers::HeaderNode;
use super::history::History;
use super::pool::{Admitted, PoolContext, PoolError};
use super::{Bodies, BodiesError, Chain, SideBody, leaf_data};
use crate::consensus::check::{CheckedBlock, CheckedTransfer, Signatures, check_block};
use crate::consensus::connect::{ConnectError, ParentState, connect_block, disconnect_block};
use crate::planted::{Bug, planted};
use crate::primitives::{Account, Amount, BodyRef, Height, PublicKey, StateRoots, Txid};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

/// Bytes of transfers that a reorganization returns to the pool at most. When they are more, those
/// of the highest blocks are dropped, which depend on the others.
const RETURNED_BYTES_MAX: usize = 64 << 20;

/// The state after a branch, built aside.
pub(super) struct Candidate {
    pub(super) fork: Arc<HeaderNode>,
    pub(super) branch: Vec<Arc<HeaderNode>>,
    pub(super) bodies: Vec<BodyRef>,
    pub(super) sizes: Vec<usize>,
    pub(super) accounts: AccountTree,
    pub(super) history: History,
    pub(super) touched: BTreeSet<PublicKey>,
    pub(super) confirmed: HashSet<Txid>,
    pub(super) disconnected: Vec<Arc<HeaderNode>>,
    pub(super) disconnected_sizes: Vec<usize>,
    pub(super) returned: Vec<CheckedTransfer>,
    pub(super) rewards_lost: Vec<(PublicKey, Amount)>,
}

/// A branch that cannot be connected: at which block, and why.
pub(super) enum Failure {
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
    pub(super) fn candidate_at(&self, fork: Arc<HeaderNode>) -> Candidate {
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
            rewards_lost: Vec::new(),
        }
    }

    /// Builds the state after the branch of `tip` aside.
    pub(super) fn build(
        &self,
        tip: &Arc<HeaderNode>,
        bodies: &dyn Bodies,
    ) -> Result<Candidate, Failure> {
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
    pub(super) fn read_body(
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
    pub(super) fn disconnect_to_fork(
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
            let coinbase = &block.block().coinbase;
            candidate.rewards_lost.push((coinbase.recipient, coinbase.amount));
            candidate.disconnected.push(best.node);
            candidate.disconnected_sizes.push(block.block().size());
            returned.push_front(block.checked_transfers().collect());
            bytes += bytes_of(returned.front());
            while bytes > RETURNED_BYTES_MAX && returned.len() > 1 {
                bytes -= bytes_of(returned.back());
                returned.pop_back();
            }
        }
        candidate.rewards_lost.reverse();
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
    pub(super) fn connect(
        &self,
        candidate: &mut Candidate,
        node: &Arc<HeaderNode>,
        block: &CheckedBlock,
    ) -> Result<(), ConnectError> {
        let accounts = &candidate.accounts;
        let roots = StateRoots { accounts: accounts.root(), history: candidate.history.root() };
        let account = |key: &PublicKey| accounts.get(key);
        let state = ParentState { height: node.height, roots, account: &account };
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
    pub(super) fn take_over(&mut self, candidate: Candidate, now: Now) -> TipChange {
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
        let mut change = TipChange {
            disconnected,
            connected: branch,
            returned: Vec::new(),
            dropped: Vec::new(),
            unconfirmed: Vec::new(),
            rewards_lost: candidate.rewards_lost,
        };
        let undone: Vec<_> = candidate.returned.iter().map(CheckedTransfer::id).collect();
        let (touched, returned) = (candidate.touched, candidate.returned);
        self.settle_pool(&mut change, touched, &candidate.confirmed, returned, now);
        change.unconfirmed = undone;
        change.unconfirmed.retain(|id| self.pool.get(id).is_some());
        change
    }

    pub(super) fn settle_pool(
        &mut self,
        change: &mut TipChange,
        touched: BTreeSet<PublicKey>,
        confirmed: &HashSet<Txid>,
        returned: Vec<CheckedTransfer>,
        now: Now,
    ) {
        let mut again = if planted(Bug::LostPool) { Vec::new() } else { returned };
        let mut before = HashSet::new();
        if !again.is_empty() {
            let senders: BTreeSet<_> = again.iter().map(|t| t.transfer().sender).collect();
            let taken = self.pool.take_senders(senders);
            before.extend(taken.iter().map(CheckedTransfer::id));
            again.extend(taken);
        }
        let context = self.pool_context(now.monotonic);
        let settled = self.pool.settle(touched, &|id| confirmed.contains(id), &context);
        let dropped = settled.dropped.iter().map(|pending| {
            let why = self.pool.why_gone(&pending.transfer, &context);
            (pending.transfer.clone(), why)
        });
        change.dropped = dropped.collect();
        change.returned = settled.promoted;
        again.retain(|transfer| !confirmed.contains(&transfer.id()));
        self.return_all(again, change, now);
        change.returned.retain(|id| !before.contains(id));
    }

    /// Offers transfers to the pool again; whatever it does not take is noted as dropped.
    pub(super) fn return_all(
        &mut self,
        mut again: Vec<CheckedTransfer>,
        change: &mut TipChange,
        now: Now,
    ) {
        again.sort_by_key(|t| (t.transfer().sender, t.transfer().nonce));
        self.offer_all(again, change, now);
    }

    /// Makes the pool hold `transfers`, in which each sender's stand in nonce order, and nothing
    /// else. None of them waits for a predecessor. Returns those that it does not take.
    pub fn refill_pool(&mut self, transfers: Vec<CheckedTransfer>, now: Now) -> Vec<Dropped> {
        self.pool.clear();
        let mut change = TipChange::default();
        self.offer_all(transfers, &mut change, now);
        change.dropped
    }

    fn offer_all(&mut self, again: Vec<CheckedTransfer>, change: &mut TipChange, now: Now) {
        let context = self.pool_context(now.monotonic);
        let again = again.into_iter();
        let again: Vec<_> =
            again.filter_map(|t| self.return_to_pool(t, change, &context)).collect();
        change.returned.retain(|id| self.pool.get(id).is_some());
        // One that came later may have thrown out one that came before.
        let evicted = again.into_iter().filter(|t| self.pool.get(&t.id()).is_none());
        change.dropped.extend(evicted.map(|transfer| {
            let why = self.pool.why_gone(&transfer, &context);
            (transfer, why)
        }));
    }

    /// Gives the transfer back if it is pending now.
    fn return_to_pool(
        &mut self,
        transfer: CheckedTransfer,
        change: &mut TipChange,
        context: &PoolContext,
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
}
