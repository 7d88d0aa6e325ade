//! What a request can come to instead of an answer, and the one table from that to a status.
//!
//! Owns the statuses of all failures behind the door. Has no arm for "anything else": a new variant of
//! a lower layer does not compile until it has its status here. The odd ones are the original's contract:
//! a transfer that is refused is 500, a block that is refused is 409.

use super::message::Response;
use crate::chain::accept::AcceptError;
use crate::chain::pool::PoolError;
use crate::consensus::check::TransferError;
use crate::node::NodeError;
use crate::node::answers::AnswerError;
use crate::node::ports::{MineError, PeerError, SyncState};
use crate::primitives::peer_address::PeerAddressError;
use crate::primitives::{BlockHash, Height, Txid};
use crate::storage::StoreError;
use crate::wire::{self, NoWallet, WireError};

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The node refused or failed.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The body or a parameter has another shape.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A question about the chain or the pool has no answer.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// A peer that introduced itself is refused.
    #[error(transparent)]
    NotGreeted(PeerError),
    /// A peer that the operator named is not taken.
    #[error(transparent)]
    NotAdded(PeerError),
    /// Mining came to nothing.
    #[error(transparent)]
    Mine(#[from] MineError),
    /// A block could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The request has no body.
    #[error("expected {0} in the body, got nothing")]
    NoData(&'static str),
    /// The body is no text.
    #[error("expected JSON in the body, which is UTF-8 text")]
    NotText,
    /// Something that works with the wallet, and there is none.
    #[error("no wallet is set up: create one first")]
    NoWallet,
    /// A payment, and there is no wallet to pay it from.
    #[error("no wallet is set up to pay from: create one first")]
    NoSender,
    /// There is a heavier chain whose blocks are not here yet.
    #[error("a heavier chain is known whose blocks are not here yet: resolve conflicts first")]
    ConflictFirst,
    /// A block too far below the tip to be kept.
    #[error("block {0} belongs to a branch with too little work to be kept")]
    OldBlock(BlockHash),
    /// Neither a height nor a hash.
    #[error("expected a height or a block hash of 64 lower-case hex digits, got {0}")]
    BadBlockName(String),
    /// Not a hash, where a height would name another block tomorrow.
    #[error("expected a block hash of 64 lower-case hex digits, got {0}")]
    BadBlockHash(String),
    /// Not a transaction id.
    #[error("expected a transaction id of 64 lower-case hex digits, got {0}")]
    BadTransactionId(String),
    /// Not an address.
    #[error("expected an address or a public key of 64 hex digits: {0}")]
    BadAddress(crate::primitives::keys::AddressError),
    /// Not `host:port`, so no such peer can ever be removed.
    #[error("there is no such node: {0}")]
    BadNode(PeerAddressError),
    /// No such block.
    #[error("there is no block {0}")]
    NoBlock(String),
    /// The header is known, the body is not here.
    #[error("the header of block {0} is known, its transactions are not here")]
    NoBody(BlockHash),
    /// A block off the best chain.
    #[error("block {0} is not on the best chain")]
    NotBest(BlockHash),
    /// Not pending and not in the newest blocks.
    #[error(
        "transaction {id} is neither open nor in the last {blocks} blocks: \
         name the block it is in with ?block=<hash or height> to look further back"
    )]
    NoTransaction {
        /// Its id.
        id: Txid,
        /// How many blocks were searched.
        blocks: usize,
    },
    /// Not in the block that was named.
    #[error("transaction {id} is not in block {block}")]
    NotInBlock {
        /// Its id.
        id: Txid,
        /// The block.
        block: BlockHash,
    },
    /// A transfer without a block has no proof.
    #[error("transaction {0} is open: there is a proof once it is in a block")]
    StillOpen(Txid),
    /// Nothing has been reorganized.
    #[error("there was no reorganization since the node was started")]
    NoReorganization,
    /// No such file of the page.
    #[error("there is no file {0} of the page")]
    NoFile(String),
    /// Blocks are missing, or it cannot be told whether any are.
    #[error("the node is not synced: {}{}", .state.words(), lag(*.height, *.best))]
    NotReady {
        /// Our height.
        height: Height,
        /// The best height known of.
        best: Height,
        /// Why.
        state: SyncState,
    },
}

/// How far the chain is behind, if more is known of; most reasons not to be synced are others.
fn lag(height: Height, best: Height) -> String {
    if best > height { format!("; it is at height {height} of {best}") } else { String::new() }
}

impl ApiError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Node(error) => error.code(),
            Self::Wire(error) => error.code(),
            Self::Answer(error) => error.code(),
            Self::NotGreeted(error) | Self::NotAdded(error) => error.code(),
            Self::Mine(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::NoData(_) => "no-data",
            Self::NotText => "not-utf-8",
            Self::NoWallet | Self::NoSender => "no-wallet",
            Self::ConflictFirst => "conflict",
            Self::OldBlock(_) => "block-too-old",
            Self::BadBlockName(_) | Self::BadBlockHash(_) => "bad-block-name",
            Self::BadTransactionId(_) => "bad-transaction-id",
            Self::BadAddress(error) => error.code(),
            Self::BadNode(error) => error.code(),
            Self::NoBlock(_) => "block-not-found",
            Self::NoBody(_) => "block-not-kept",
            Self::NotBest(_) => "block-not-on-best-chain",
            Self::NoTransaction { .. } | Self::NotInBlock { .. } => "transaction-not-found",
            Self::StillOpen(_) => "transaction-open",
            Self::NoReorganization => "no-reorganization",
            Self::NoFile(_) => "not-found",
            Self::NotReady { .. } => "not-synced",
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Node(error) | Self::Answer(AnswerError::Node(error)) => node_status(error),
            Self::Answer(error) => error.status(),
            Self::Wire(_)
            | Self::NoData(_)
            | Self::NotText
            | Self::NoSender
            | Self::NotAdded(_)
            | Self::BadBlockName(_)
            | Self::BadBlockHash(_)
            | Self::BadTransactionId(_)
            | Self::BadAddress(_) => 400,
            Self::NotGreeted(error) => greeting_status(error),
            Self::Mine(error) => mine_status(error),
            Self::Store(error) => store_status(error),
            Self::NoWallet => 500,
            Self::ConflictFirst | Self::OldBlock(_) => 409,
            Self::BadNode(_)
            | Self::NoBlock(_)
            | Self::NoBody(_)
            | Self::NotBest(_)
            | Self::NoTransaction { .. }
            | Self::NotInBlock { .. }
            | Self::StillOpen(_)
            | Self::NoReorganization
            | Self::NoFile(_) => 404,
            Self::NotReady { .. } => 503,
        }
    }

    /// Whether it is for want of a wallet, which the answer then says in a field of its own.
    fn wants_wallet(&self) -> bool {
        matches!(
            self,
            Self::NoWallet
                | Self::NoSender
                | Self::Node(NodeError::NoWallet)
                | Self::Mine(MineError::NoWallet)
        )
    }

    /// The answer.
    #[must_use]
    pub fn response(&self) -> Response {
        let (status, code, message) = (self.status(), self.code(), self.to_string());
        let response = if self.wants_wallet() {
            let body = wire::to_json(&NoWallet { message, code, wallet_set_up: false });
            Response::new(status, "application/json", body.into_bytes())
        } else {
            Response::failure(status, code, &message)
        };
        if status == 503 { response.with_header("Retry-After", "1") } else { response }
    }
}

fn node_status(error: &NodeError) -> u16 {
    match error {
        NodeError::Block(_) => 409,
        NodeError::Accept(error) => accept_status(error),
        NodeError::Transfer(error) => transfer_status(error),
        NodeError::Pool(error) => pool_status(error),
        NodeError::RequestIdReused(_) => 400,
        NodeError::NoWallet
        | NodeError::NoWalletFile
        | NodeError::Wallet(_)
        | NodeError::Key(_) => 500,
        NodeError::Store(error) => store_status(error),
        NodeError::Busy | NodeError::Stopping => 503,
    }
}

/// An unknown parent is answered before it comes here where that means "ahead of ours".
fn accept_status(error: &AcceptError) -> u16 {
    match error {
        AcceptError::Header(_)
        | AcceptError::Connect(_)
        | AcceptError::UnknownParent(_)
        | AcceptError::KnownInvalid(_)
        | AcceptError::TooManyBranches(_) => 409,
        AcceptError::Bodies(_) | AcceptError::Damaged(_) => 500,
    }
}

/// What a look at the fields shows is malformed; what takes a signature check is refused.
fn transfer_status(error: &TransferError) -> u16 {
    match error {
        TransferError::ZeroAmount
        | TransferError::SelfTransfer
        | TransferError::Overflow { .. } => 400,
        TransferError::BadSignature => 500,
    }
}

/// 500 for a refused transfer, as the original answers.
fn pool_status(error: &PoolError) -> u16 {
    match error {
        // Answered before it comes here where a client sends what is known.
        PoolError::AlreadyKnown(_) => 409,
        PoolError::Expired { .. }
        | PoolError::NonceUsed { .. }
        | PoolError::NonceTooFar { .. }
        | PoolError::FeeTooLow { .. }
        | PoolError::InsufficientFunds { .. }
        | PoolError::SenderFull
        | PoolError::PoolFull { .. }
        | PoolError::WaitingFull { .. } => 500,
    }
}

fn store_status(error: &StoreError) -> u16 {
    match error {
        StoreError::Full { .. } => 507,
        StoreError::Sync { .. }
        | StoreError::Damaged { .. }
        | StoreError::Format { .. }
        | StoreError::Genesis { .. }
        | StoreError::Refused { .. }
        | StoreError::Missing { .. }
        | StoreError::Locked { .. }
        | StoreError::NotPlain { .. }
        | StoreError::Exposed { .. }
        | StoreError::TooLong { .. }
        | StoreError::Exists { .. }
        | StoreError::Io { .. } => 500,
    }
}

/// The answer to a handshake: 409 for two nodes that do not go together.
fn greeting_status(error: &PeerError) -> u16 {
    match error {
        PeerError::OtherChain { .. }
        | PeerError::OtherVersion { .. }
        | PeerError::Refused { .. }
        | PeerError::Myself(_)
        | PeerError::Unfit(_)
        | PeerError::WouldReplace(_) => 409,
        PeerError::TooMany { .. } => 503,
    }
}

/// A clock that is off is not 409, which tells a person to resolve conflicts.
fn mine_status(error: &MineError) -> u16 {
    match error {
        MineError::NoWallet | MineError::Failed(_) => 500,
        MineError::TimedOut(_) | MineError::Cancelled | MineError::ClockOff(_) => 503,
    }
}
