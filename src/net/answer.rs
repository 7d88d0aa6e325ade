//! What a peer has answered: texts in, values out.

use super::client::{CallError, Reply};
use crate::primitives::{AddressPrefix, Block, CompactBlock, Header, PeerAddress, Transfer, Txid};
use crate::wire::{
    Failure, Handshake, PoolSummary, WireError, addresses_from_json, blocks_from_json,
    compact_from_json, headers_from_json, pool_ids_from_json, transfers_from_json,
};

/// An answer as it came, or why there is none.
pub type Answer = Result<Reply, CallError>;

/// Why a question has no answer that can be used. Nobody is blamed for any of these: they all may
/// be the network's fault, or the other program's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// There is no whole answer.
    #[error(transparent)]
    Call(CallError),
    /// It has too much to do, or this node has.
    #[error("it is busy (status {0})")]
    Busy(u16),
    /// It refuses, with a reason.
    #[error("it refuses with status {status} ({code}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its code, a stranger's word.
        code: String,
        /// Its message, a stranger's words, cut short and without control characters.
        message: String,
    },
    /// The answer has another shape.
    #[error("what answers there is no farthing node of this version")]
    Shape(#[from] WireError),
}

impl From<CallError> for AskError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Crowded => Self::Busy(503),
            other => Self::Call(other),
        }
    }
}

/// The other's handshake.
///
/// # Errors
/// No answer, or a refusal.
pub fn handshake(answer: Answer) -> Result<Handshake, AskError> {
    Ok(Handshake::from_json(&body(answer)?)?)
}

/// Headers, each as the peer has them on its best chain.
///
/// # Errors
/// No answer, or a refusal.
pub fn headers(answer: Answer) -> Result<Vec<Header>, AskError> {
    Ok(headers_from_json(&body(answer)?)?)
}

/// Blocks, with the addresses of the network of `prefix`.
///
/// # Errors
/// No answer, or a refusal.
pub fn blocks(answer: Answer, prefix: AddressPrefix) -> Result<Vec<Block>, AskError> {
    Ok(blocks_from_json(&body(answer)?, prefix)?)
}

/// A block in compact form.
///
/// # Errors
/// No answer, or a refusal.
pub fn compact(answer: Answer, prefix: AddressPrefix) -> Result<CompactBlock, AskError> {
    Ok(compact_from_json(&body(answer)?, prefix)?)
}

/// The peer's pool in short.
///
/// # Errors
/// No answer, or a refusal.
pub fn summary(answer: Answer) -> Result<PoolSummary, AskError> {
    Ok(PoolSummary::from_json(&body(answer)?)?)
}

/// Ids of the peer's open transactions.
///
/// # Errors
/// No answer, or a refusal.
pub fn ids(answer: Answer) -> Result<Vec<Txid>, AskError> {
    Ok(pool_ids_from_json(&body(answer)?)?)
}

/// Transfers, open ones or those of a block.
///
/// # Errors
/// No answer, or a refusal.
pub fn transfers(answer: Answer, prefix: AddressPrefix) -> Result<Vec<Transfer>, AskError> {
    Ok(transfers_from_json(&body(answer)?, prefix)?)
}

/// Addresses of other nodes, of which nothing is known but that the peer names them.
///
/// # Errors
/// No answer, or a refusal.
pub fn addresses(answer: Answer) -> Result<Vec<PeerAddress>, AskError> {
    Ok(addresses_from_json(&body(answer)?)?)
}

/// Whether what was told has arrived, by the status.
///
/// # Errors
/// No answer, or the peer is busy.
pub fn status(answer: Answer) -> Result<u16, AskError> {
    let status = answer?.status;
    if is_busy(status) { Err(AskError::Busy(status)) } else { Ok(status) }
}

fn body(answer: Answer) -> Result<String, AskError> {
    let Reply { status, body } = answer?;
    match status {
        200 => Ok(body),
        busy if is_busy(busy) => Err(AskError::Busy(busy)),
        status => {
            let Failure { message, code } = Failure::from_json(&body)?;
            Err(AskError::Refused { status, code, message })
        }
    }
}

const fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 503)
}
