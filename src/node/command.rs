//! What can be asked of the owner. The set is closed: adding one shows every place to touch.

use super::error::NodeError;
use crate::chain::accept::Accepted;
use crate::consensus::check::{CheckedBlock, CheckedTransfer};
use crate::primitives::{Header, Height, PeerId, PublicKey};
use crate::wire::SendRequest;
use crossbeam_channel::Sender;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Who brought a block or transfer: it is not sent back there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This node made it.
    Own,
    /// A peer.
    Peer(PeerId),
    /// Someone who cannot be told from others.
    Anyone,
}

/// What became of a block.
pub type BlockOutcome = Accepted;

/// What became of a transfer.
#[derive(Debug)]
pub enum TransferOutcome {
    /// It is pending.
    Pending(CheckedTransfer),
    /// It waits for its predecessor.
    Waiting(CheckedTransfer),
}

/// A wallet just created, safe on disk.
#[derive(Debug)]
pub struct CreatedWallet {
    /// Its key.
    pub public_key: PublicKey,
    /// Its secret key in hex, for the one answer that shows it.
    pub secret_hex: Zeroizing<String>,
    /// Where the wallet before it is kept.
    pub kept: Option<PathBuf>,
}

/// Where a reply goes; the other end may have left.
pub(super) type Reply<T> = Sender<Result<T, NodeError>>;

/// A request to the owner.
pub(super) enum Command {
    Block {
        block: CheckedBlock,
        origin: Origin,
        reply: Reply<BlockOutcome>,
    },
    /// A block whose body, the very one its header commits to, breaks a rule for ever.
    Refuse {
        header: Header,
        reply: Reply<()>,
    },
    Headers {
        headers: Vec<Header>,
        reply: Reply<Height>,
    },
    Transfer {
        transfer: CheckedTransfer,
        origin: Origin,
        reply: Reply<TransferOutcome>,
    },
    Send {
        request: SendRequest,
        reply: Reply<CheckedTransfer>,
    },
    CreateWallet {
        reply: Reply<CreatedWallet>,
    },
    LoadWallet {
        reply: Reply<PublicKey>,
    },
}
