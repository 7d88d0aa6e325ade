//! Why the node does not do what it was asked.

use super::wallet_file::WalletError;
use crate::chain::accept::AcceptError;
use crate::chain::pool::PoolError;
use crate::consensus::check::{BlockError, TransferError};
use crate::storage::StoreError;
use crate::wallet::KeyError;
use std::sync::Arc;

/// Why a command failed. Refusals are about what was given; failures are about this node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The block breaks a rule that needs no chain.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The block or header breaks a rule that needs the chain.
    #[error(transparent)]
    Accept(#[from] AcceptError),
    /// The transfer breaks a rule that needs no chain.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The transfer does not fit the accounts or the pool.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// No wallet is loaded.
    #[error("no wallet is set up: create one first")]
    NoWallet,
    /// There is no wallet file to load.
    #[error("there is no wallet file: create a wallet first")]
    NoWalletFile,
    /// The wallet file could not be read or written.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The wallet could not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The request id belongs to another payment.
    #[error("request id {0:?} was used for another payment: choose a new one")]
    RequestIdReused(String),
    /// The change could not be written down, so it did not happen.
    #[error("nothing was changed: {0}")]
    Store(Arc<StoreError>),
    /// The owner has more to do than it can take on.
    #[error("the node is busy: try again")]
    Busy,
    /// The owner has ended.
    #[error("the node is stopping")]
    Stopping,
}

impl NodeError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Block(error) => error.code(),
            Self::Accept(error) => error.code(),
            Self::Transfer(error) => error.code(),
            Self::Pool(error) => error.code(),
            Self::NoWallet => "no-wallet",
            Self::NoWalletFile => "no-wallet-file",
            Self::Wallet(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::RequestIdReused(_) => "request-id-reused",
            Self::Store(error) => error.code(),
            Self::Busy => "busy",
            Self::Stopping => "stopping",
        }
    }
}
