//! Whose fault an error is. One table for all of them, without a catch-all: blamed is who sent the
//! bytes, and only for what is wrong whatever the circumstances.

use crate::chain::accept::AcceptError;
use crate::consensus::check::BlockError;
use crate::consensus::connect::HeaderError;
use crate::node::NodeError;
use crate::planted::{Bug, planted};

/// What an error says about the peer whose bytes caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// It sent what no honest node sends.
    Lie,
    /// Nothing: it may be right another time, or the fault is ours.
    Nobody,
}

/// Judges a refused header, block or transfer that a peer gave as part of its best chain or pool,
/// which an honest node has verified before.
pub fn blame(error: &NodeError) -> Blame {
    match error {
        NodeError::Block(error) => blame_block(error),
        NodeError::Transfer(_) => Blame::Lie,
        NodeError::Accept(error) => blame_accept(error),
        NodeError::Pool(_) if planted(Bug::BlamedRelayer) => Blame::Lie,
        // Every node has another pool, and the others are about this node alone.
        NodeError::Pool(_)
        | NodeError::NoWallet
        | NodeError::NoWalletFile
        | NodeError::Wallet(_)
        | NodeError::Key(_)
        | NodeError::RequestIdReused(_)
        | NodeError::Store(_)
        | NodeError::Busy
        | NodeError::Stopping => Blame::Nobody,
    }
}

const fn blame_block(error: &BlockError) -> Blame {
    match error {
        BlockError::Bits(_)
        | BlockError::TargetTooEasy
        | BlockError::NoProofOfWork { .. }
        | BlockError::TooLarge { .. }
        | BlockError::WrongCommitment { .. }
        | BlockError::DuplicateTransaction(_)
        | BlockError::Transfer { .. } => Blame::Lie,
    }
}

const fn blame_accept(error: &AcceptError) -> Blame {
    match error {
        AcceptError::Header(error) => blame_header(error),
        // Whoever has such a block on its best chain lies; one that merely keeps it may not have
        // judged it yet (see `sync::bodies`).
        AcceptError::Connect(_) | AcceptError::KnownInvalid(_) => Blame::Lie,
        AcceptError::UnknownParent(_)
        | AcceptError::TooManyBranches(_)
        | AcceptError::Bodies(_)
        | AcceptError::Damaged(_) => Blame::Nobody,
    }
}

const fn blame_header(error: &HeaderError) -> Blame {
    match error {
        HeaderError::TimeBeforeParent { .. }
        | HeaderError::WrongBits { .. }
        | HeaderError::NoProofOfWork { .. } => Blame::Lie,
        // The clock that is wrong may be ours.
        HeaderError::FromTheFuture { .. } | HeaderError::NoHeightLeft => Blame::Nobody,
    }
}
