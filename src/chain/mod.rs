//! The state of the chain, as one persistent value: a copy costs little and never changes.
//!
//! Owns the header tree, the best chain with its accounts and history range, the pending pool, and
//! the whole decision about a block ([`Chain::accept_block`]).
//! Never touches the disk or the network, reads no clock and starts no thread: times come in as
//! values, bodies are kept and read through [`Bodies`].
//!
//! Invariants: `accounts` and `history` are those after the tip; every block of the best chain has
//! its body kept; a side body is `ready` exactly if every block between it and the best chain has
//! its body kept too. A decision that fails leaves all of it as it was.

pub mod accept;
pub mod accounts;
mod candidate;
pub mod headers;
pub mod history;
pub mod pool;
pub mod side;
pub mod template;
#[cfg(test)]
mod tests;

use crate::consensus::check::CheckedBlock;
use crate::consensus::connect::ParentFacts;
use crate::consensus::params::ChainParams;
use crate::primitives::{
    Account, Amount, Block, BlockHash, BodyRef, Height, PublicKey, StateRoots,
};
use accounts::AccountTree;
use headers::{HeaderNode, HeaderTree};
use history::{History, LeafData};
use pool::{Pool, PoolContext};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// A failure to keep or read a body, in the words of whoever keeps them.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BodiesError(pub String);

/// Where the bodies of blocks are kept.
pub trait Bodies {
    /// Keeps a body and tells where.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn keep(&mut self, block: &CheckedBlock) -> Result<BodyRef, BodiesError>;

    /// Reads a body that was kept.
    ///
    /// # Errors
    /// If it cannot be read, or is no longer what was kept.
    fn read(&self, body: BodyRef) -> Result<Block, BodiesError>;
}

/// A kept body off the best chain.
#[derive(Clone, Copy, Debug)]
struct SideBody {
    body: BodyRef,
    /// Canonical size in bytes.
    size: usize,
    /// Whether all blocks between it and the best chain are kept as well.
    ready: bool,
}

/// A block of the best chain.
#[derive(Clone, Debug)]
pub struct BestBlock {
    /// Its header.
    pub node: Arc<HeaderNode>,
    /// Where its body is kept; `None` for genesis, which has none.
    pub body: Option<BodyRef>,
}

/// One node's whole view of the chain.
#[derive(Clone)]
pub struct Chain {
    params: Arc<ChainParams>,
    chain_id: BlockHash,
    headers: HeaderTree,
    /// Bodies of the best chain, from height 1 on.
    best_bodies: imbl::Vector<BodyRef>,
    side_bodies: imbl::HashMap<BlockHash, SideBody>,
    /// Bytes of side bodies.
    side_bytes: usize,
    /// Headers that are invalid for what they commit to, oldest first, in two orders.
    invalid: Invalid,
    accounts: AccountTree,
    history: History,
    pool: Pool,
}

/// Hashes of invalid blocks that are remembered at most; each has cost its maker a proof of work.
/// The oldest gives way, and would be judged again.
const INVALID_MAX: usize = 1_000;

/// A bounded memory of invalid blocks.
#[derive(Clone, Default)]
struct Invalid {
    hashes: imbl::HashSet<BlockHash>,
    order: imbl::Vector<BlockHash>,
}

impl Invalid {
    fn insert(&mut self, hash: BlockHash) {
        if self.hashes.insert(hash).is_none() {
            self.order.push_back(hash);
        }
        if self.order.len() > INVALID_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
    }
}

impl Chain {
    /// The chain of genesis alone.
    pub fn new(params: Arc<ChainParams>, pool_bytes_max: usize) -> Self {
        let genesis = params.genesis();
        let work = params.retarget.easiest.work();
        let headers = HeaderTree::new(genesis, work);
        let funded = |(key, balance): &(PublicKey, Amount)| {
            (*key, Some(Account { balance: *balance, nonce: 0 }))
        };
        let mut history = History::new();
        history.append(&leaf_data(headers.tip()));
        Self {
            chain_id: genesis.hash(),
            accounts: AccountTree::new().apply(params.allocations.iter().map(funded)),
            headers,
            best_bodies: imbl::Vector::new(),
            side_bodies: imbl::HashMap::new(),
            side_bytes: 0,
            invalid: Invalid::default(),
            history,
            pool: Pool::new(pool_bytes_max),
            params,
        }
    }

    /// The rules of this chain.
    pub fn params(&self) -> &Arc<ChainParams> {
        &self.params
    }

    /// The genesis hash.
    pub fn chain_id(&self) -> BlockHash {
        self.chain_id
    }

    /// All known headers.
    pub fn headers(&self) -> &HeaderTree {
        &self.headers
    }

    /// The last block of the best chain.
    pub fn tip(&self) -> &Arc<HeaderNode> {
        self.headers.tip()
    }

    /// The tip's height.
    pub fn height(&self) -> Height {
        self.tip().height
    }

    /// The block of the best chain at `height`.
    pub fn block_at(&self, height: Height) -> Option<BestBlock> {
        let node = self.headers.at(height)?.clone();
        let body = height.previous().and_then(|below| self.best_bodies.get(below.index()).copied());
        Some(BestBlock { node, body })
    }

    /// The body of a block, on the best chain or off it, if it is kept.
    pub fn body_of(&self, hash: &BlockHash) -> Option<BodyRef> {
        let node = self.headers.get(hash)?;
        if self.headers.is_best(node) {
            self.block_at(node.height).and_then(|block| block.body)
        } else {
            self.side_bodies.get(hash).map(|side| side.body)
        }
    }

    /// The accounts after the tip.
    pub fn accounts(&self) -> &AccountTree {
        &self.accounts
    }

    /// One account after the tip; without coins and transfers where none exists.
    pub fn account(&self, key: &PublicKey) -> Account {
        self.accounts.get(key).unwrap_or_default()
    }

    /// What `key` can still spend: its balance less what is pending.
    pub fn spendable(&self, key: &PublicKey) -> Amount {
        let balance = self.account(key).balance;
        balance.checked_sub(self.pool.cost_of(key)).unwrap_or(Amount::ZERO)
    }

    /// The range over all blocks up to the tip.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The pending transfers.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What a transfer is judged against, `now` after some fixed moment.
    pub fn pool_context(&self, now: Duration) -> PoolContext {
        let accounts = self.accounts.clone();
        PoolContext { accounts, next_height: self.height().next(), now }
    }

    /// What the rules of the next block's header need to know.
    pub fn tip_facts(&self) -> ParentFacts {
        self.headers.parent_facts(self.tip())
    }

    /// The roots that the next block commits to.
    pub fn roots(&self) -> StateRoots {
        StateRoots { accounts: self.accounts.root(), history: self.history.root() }
    }

    /// Whether a block is remembered as invalid.
    pub fn is_invalid(&self, hash: &BlockHash) -> bool {
        self.invalid.hashes.contains(hash)
    }

    /// Blocks that would make the best chain heavier and whose bodies are not here: at most
    /// `count`, those of the heaviest branch first, each branch upwards.
    pub fn missing_bodies(&self, count: usize) -> Vec<Arc<HeaderNode>> {
        let (mut missing, mut seen) = (Vec::new(), HashSet::new());
        for tip in self.headers.heavier_tips() {
            if missing.len() >= count {
                break;
            }
            let branch = self.headers.unseen_branch_to(tip, &mut seen);
            missing.extend(
                branch.into_iter().filter(|node| !self.side_bodies.contains_key(&node.hash)),
            );
        }
        missing.truncate(count);
        missing
    }

    /// The blocks between the best chain and `node` whose bodies are not here, at most `count`,
    /// upwards: what to ask a peer for that has the branch of `node`. It does not depend on what
    /// other branches there are, whose bodies may be kept back.
    pub fn missing_bodies_to(&self, node: &Arc<HeaderNode>, count: usize) -> Vec<Arc<HeaderNode>> {
        let (_, branch) = self.headers.branch_to(node);
        let missing = branch.into_iter().filter(|node| !self.side_bodies.contains_key(&node.hash));
        missing.take(count).collect()
    }

    /// Bytes of kept bodies off the best chain.
    pub fn side_bytes(&self) -> usize {
        self.side_bytes
    }

    /// The sum of all balances.
    pub fn total(&self) -> Amount {
        self.accounts.total().expect("a chain's coins are within the supply")
    }
}

fn leaf_data(node: &HeaderNode) -> LeafData {
    LeafData { hash: node.hash, work: node.work, time: node.header.time, bits: node.header.bits }
}
