//! The rules that need no chain: what can be judged of a transfer or a block by itself.
//!
//! [`CheckedTransfer`] and [`CheckedBlock`] are made only here, so whoever holds one knows that
//! form, proof of work, commitments and signatures have been judged and need not be judged again.

use super::merkle::{commitment, tx_root};
use super::params::ChainParams;
use crate::primitives::pow::CompactError;
use crate::primitives::{Amount, Block, BlockHash, Hash256, Height, Target, Transfer, Txid};
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;

/// Which rule a transfer breaks whatever the state of the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Pays nothing.
    #[error("expected an amount above zero")]
    ZeroAmount,
    /// Pays its own sender.
    #[error("expected a recipient other than the sender")]
    SelfTransfer,
    /// Amount and fee do not fit.
    #[error("amount {amount} and fee {fee} overflow when added")]
    Overflow {
        /// The amount.
        amount: Amount,
        /// The fee.
        fee: Amount,
    },
    /// Not signed by the sender for this chain.
    #[error("the signature is not the sender's over this transfer on this chain")]
    BadSignature,
}

impl TransferError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ZeroAmount => "zero-amount",
            Self::SelfTransfer => "self-transfer",
            Self::Overflow { .. } => "amount-overflow",
            Self::BadSignature => "bad-signature",
        }
    }
}

/// A transfer whose form and signature hold on the chain it was checked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedTransfer {
    transfer: Transfer,
    id: Txid,
    cost: Amount,
}

impl CheckedTransfer {
    /// The transfer.
    pub const fn transfer(&self) -> &Transfer {
        &self.transfer
    }

    /// Its id.
    pub const fn id(&self) -> Txid {
        self.id
    }

    /// Amount and fee together.
    pub const fn cost(&self) -> Amount {
        self.cost
    }

    /// A transfer with this id, whose signature was verified on the same chain before.
    pub(super) fn verified_before(transfer: Transfer, id: Txid) -> Result<Self, TransferError> {
        let cost = check_transfer_form(&transfer)?;
        Ok(Self { transfer, id, cost })
    }
}

/// Judges everything but the signature: cheap, and first. Returns amount and fee together.
///
/// # Errors
/// The rule that the transfer breaks.
pub fn check_transfer_form(transfer: &Transfer) -> Result<Amount, TransferError> {
    if transfer.amount == Amount::ZERO {
        return Err(TransferError::ZeroAmount);
    }
    if transfer.sender == transfer.recipient {
        return Err(TransferError::SelfTransfer);
    }
    let (amount, fee) = (transfer.amount, transfer.fee);
    transfer.cost().ok_or(TransferError::Overflow { amount, fee })
}

/// Judges all that can be judged of a transfer without the chain's state.
///
/// # Errors
/// The rule that the transfer breaks.
pub fn check_transfer(
    transfer: Transfer,
    chain_id: &BlockHash,
) -> Result<CheckedTransfer, TransferError> {
    let cost = check_transfer_form(&transfer)?;
    check_signature(&transfer, chain_id)?;
    let id = transfer.id();
    Ok(CheckedTransfer { transfer, id, cost })
}

fn check_signature(transfer: &Transfer, chain_id: &BlockHash) -> Result<(), TransferError> {
    let signed = transfer.signing_hash(chain_id);
    if transfer.sender.verifies(&transfer.signature, &signed) {
        Ok(())
    } else {
        Err(TransferError::BadSignature)
    }
}

/// Which rule a block breaks whatever the state of the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The header's bits are no target.
    #[error(transparent)]
    Bits(#[from] CompactError),
    /// The target is easier than the chain allows.
    #[error("the block's target is easier than the easiest of this chain")]
    TargetTooEasy,
    /// The hash is above the easiest target.
    #[error("block {hash} has no proof of work: expected a hash of at most {easiest:?}")]
    NoProofOfWork {
        /// The block.
        hash: BlockHash,
        /// The easiest target of the chain.
        easiest: Target,
    },
    /// The block is too large for its height.
    #[error("expected a block of at most {max} bytes at height {height}, got {got}")]
    TooLarge {
        /// The height that the coinbase claims.
        height: Height,
        /// The limit.
        max: u32,
        /// The size.
        got: usize,
    },
    /// Transactions or roots are not those that the header commits to.
    #[error("the header commits to {expected}, transactions and roots make {got}")]
    WrongCommitment {
        /// The header's commitment.
        expected: Hash256,
        /// What the body makes.
        got: Hash256,
    },
    /// One transaction stands twice.
    #[error("transaction {0} stands in the block twice")]
    DuplicateTransaction(Txid),
    /// A transfer breaks a rule.
    #[error("transfer {index} of the block: {error}")]
    Transfer {
        /// Its place behind the coinbase, from 1.
        index: usize,
        /// The rule.
        error: TransferError,
    },
}

impl BlockError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Bits(_) => "bad-bits",
            Self::TargetTooEasy => "target-too-easy",
            Self::NoProofOfWork { .. } => "no-proof-of-work",
            Self::TooLarge { .. } => "block-too-large",
            Self::WrongCommitment { .. } => "wrong-commitment",
            Self::DuplicateTransaction(_) => "duplicate-transaction",
            Self::Transfer { error, .. } => error.code(),
        }
    }

    /// Whether the header commits to the failure, so that no other body can heal it. The others
    /// may lie in what came with the header, and say nothing about the block of that hash.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::TooLarge { .. } | Self::DuplicateTransaction(_) | Self::Transfer { .. } => true,
            Self::Bits(_)
            | Self::TargetTooEasy
            | Self::NoProofOfWork { .. }
            | Self::WrongCommitment { .. } => false,
        }
    }
}

/// A block whose form, proof of work (against the easiest target), commitment and signatures hold.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct CheckedBlock(Arc<Checked>);

#[derive(Debug)]
struct Checked {
    block: Block,
    hash: BlockHash,
    txids: Vec<Txid>,
}

impl CheckedBlock {
    /// The block.
    pub fn block(&self) -> &Block {
        &self.0.block
    }

    /// Its hash.
    pub fn hash(&self) -> BlockHash {
        self.0.hash
    }

    /// The ids of its transactions, the coinbase first.
    pub fn txids(&self) -> &[Txid] {
        &self.0.txids
    }

    /// Its transfers as checked ones.
    pub fn checked_transfers(&self) -> impl Iterator<Item = CheckedTransfer> {
        self.0.block.transfers.iter().zip(&self.0.txids[1..]).map(|(transfer, id)| {
            let cost = transfer.cost().expect("check_block judged it");
            CheckedTransfer { transfer: transfer.clone(), id: *id, cost }
        })
    }
}

/// How far the signatures of a block are judged.
pub enum Signatures<'a> {
    /// Each is verified, but for the transfers of which `known` says that they have been.
    Verify {
        /// The chain that they were made for. It is worked out once, not for each block: that takes
        /// hashing all parameters.
        chain_id: &'a BlockHash,
        /// Whether a transfer with this id has been verified before, on this chain.
        known: &'a (dyn Fn(&Txid) -> bool + Sync),
    },
    /// None is: the block comes from our own file, where it was written after they had been, and
    /// its header commits to them.
    Trust,
}

impl<'a> Signatures<'a> {
    /// Every signature is verified.
    pub const fn all(chain_id: &'a BlockHash) -> Self {
        Self::Verify { chain_id, known: &|_| false }
    }
}

/// Judges all that can be judged of a block without its parent. Signatures are shared out over
/// the rayon pool that the caller stands in.
///
/// # Errors
/// The first rule that the block breaks.
pub fn check_block(
    block: Block,
    params: &ChainParams,
    signatures: &Signatures<'_>,
) -> Result<CheckedBlock, BlockError> {
    let hash = check_proof_of_work(&block, params)?;
    let txids = block_txids(&block);
    check_commitment(&block, &txids)?;
    check_size(&block, params)?;
    check_unique(&txids)?;
    for (index, transfer) in (1..).zip(&block.transfers) {
        check_transfer_form(transfer).map_err(|error| BlockError::Transfer { index, error })?;
    }
    if let Signatures::Verify { chain_id, known } = signatures {
        check_signatures(&block, &txids, chain_id, known)?;
    }
    Ok(CheckedBlock(Arc::new(Checked { block, hash, txids })))
}

/// Transactions are hashed on all cores only from this many on: below it the hand-over costs more.
const PARALLEL_MIN: usize = 64;

fn block_txids(block: &Block) -> Vec<Txid> {
    if block.transfers.len() < PARALLEL_MIN {
        return block.txids();
    }
    let mut ids = vec![block.coinbase.id()];
    ids.par_extend(block.transfers.par_iter().map(Transfer::id));
    ids
}

fn check_proof_of_work(block: &Block, params: &ChainParams) -> Result<BlockHash, BlockError> {
    let (hash, easiest) = (block.hash(), params.retarget.easiest);
    if block.header.bits.to_target()? > easiest {
        return Err(BlockError::TargetTooEasy);
    }
    // The relief may have made the target as easy as that; only the parent's time tells.
    if easiest.is_met_by(&hash) {
        Ok(hash)
    } else {
        Err(BlockError::NoProofOfWork { hash, easiest })
    }
}

fn check_size(block: &Block, params: &ChainParams) -> Result<(), BlockError> {
    let height = block.coinbase.height;
    let (max, got) = (params.schedule.largest_block(height), block.size());
    if u32::try_from(got).is_ok_and(|got| got <= max) {
        Ok(())
    } else {
        Err(BlockError::TooLarge { height, max, got })
    }
}

fn check_commitment(block: &Block, txids: &[Txid]) -> Result<(), BlockError> {
    let got = commitment(&tx_root(txids), &block.roots);
    let expected = block.header.commitment;
    if got == expected { Ok(()) } else { Err(BlockError::WrongCommitment { expected, got }) }
}

fn check_unique(txids: &[Txid]) -> Result<(), BlockError> {
    let mut seen = HashSet::with_capacity(txids.len());
    match txids.iter().find(|id| !seen.insert(**id)) {
        Some(twice) => Err(BlockError::DuplicateTransaction(*twice)),
        None => Ok(()),
    }
}

fn check_signatures(
    block: &Block,
    txids: &[Txid],
    chain_id: &BlockHash,
    known: &(dyn Fn(&Txid) -> bool + Sync),
) -> Result<(), BlockError> {
    // The first bad one, so that the verdict does not depend on the number of threads.
    let bad = block.transfers.par_iter().zip(&txids[1..]).position_first(|(transfer, id)| {
        !known(id) && check_signature(transfer, chain_id).is_err()
    });
    let error = TransferError::BadSignature;
    bad.map_or(Ok(()), |index| Err(BlockError::Transfer { index: index + 1, error }))
}
