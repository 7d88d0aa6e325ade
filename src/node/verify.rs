//! Checks a block file offline, from genesis: every rule, every signature.

use super::open::{Replay, verify_pool};
use crate::chain::Chain;
use crate::consensus::check::Signatures;
use crate::consensus::params::ChainParams;
use crate::primitives::{Amount, BlockHash, Hash256, Height};
use crate::storage::StoreError;
use crate::storage::text::{Cut, inspect};
use std::path::Path;
use std::sync::Arc;

/// What a block file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Blocks in the file, side branches included.
    pub blocks: u64,
    /// The height of the best chain.
    pub height: Height,
    /// Its tip.
    pub tip: BlockHash,
    /// The root of the accounts after it.
    pub account_root: Hash256,
    /// All coins.
    pub total: Amount,
    /// An interrupted last write, which the node cuts off when it starts.
    pub cut: Option<Cut>,
}

/// Why a block file is not good.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file is damaged, of another chain or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No threads for checking signatures.
    #[error("the threads that check signatures could not be started: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// There are more or fewer coins than the schedule has issued.
    #[error("expected {expected} coins in all accounts, found {found}")]
    Supply {
        /// Allocations and subsidies up to the tip.
        expected: Amount,
        /// The sum of all balances.
        found: Amount,
    },
}

/// Reads the block file at `path` from genesis on and judges all of it, telling `progress` the
/// number of blocks and of bytes read. Changes nothing and needs no lock.
///
/// # Errors
/// The first damage, named by its line.
pub fn verify(
    path: &Path,
    params: ChainParams,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, VerifyError> {
    let pool = verify_pool()?;
    let mut replay = Replay::new(Chain::new(Arc::new(params), 0));
    let (chain_id, mut blocks) = (replay.chain.chain_id(), 0);
    let found = inspect(path, &chain_id, &mut |stored| {
        pool.install(|| replay.take_with(&stored, &Signatures::all(&chain_id)))?;
        blocks += 1;
        progress(blocks, stored.body.offset() + u64::from(stored.body.payload_len()));
        Ok(())
    })?;
    let chain = replay.finish();
    let (height, total) = (chain.height(), chain.total());
    let expected = chain.params().schedule.issued(height.next());
    if total != expected {
        return Err(VerifyError::Supply { expected, found: total });
    }
    Ok(Verified {
        blocks: found.blocks,
        height,
        tip: chain.tip().hash,
        account_root: chain.accounts().root(),
        total,
        cut: found.cut,
    })
}
