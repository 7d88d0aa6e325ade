//! What other nodes may ask of the chain and the pool: one answer for each question, whichever way it
//! came.
//!
//! Owns the texts of these answers and how much of one there is. Never asks anyone, never changes
//! anything, and never waits for the owner: an answer is of one [`View`]. What is asked of the peer
//! network (handshake, addresses, announcements) is answered there.

use super::error::NodeError;
use super::handle::NodeHandle;
use super::view::View;
use crate::primitives::room::{cut_room, make_room};
use crate::primitives::{Block, BlockHash, BodyRef, CompactBlock, Header, Height, Txid};
use crate::storage::{BlockReader, CopyError, StoreError};
use crate::wire::{
    ArrayReader, BLOCK_JSON_MAX, HEADERS_MAX, POOL_IDS_MAX, PoolSummary, Question, WireError,
    compact_to_json, headers_to_json, pool_ids_to_json, transfer_to_json,
};
use std::io::{self, Read};
use std::sync::Arc;

/// Blocks that one question may name at most; whoever asks comes again.
pub const BLOCKS_ASKED_MAX: usize = 16;

/// Bytes of one answer of blocks: when the next would make it longer it ends there, after one block
/// at least, and whoever asked comes again for the rest.
pub const BLOCKS_BYTES_MAX: u64 = 2 << 20;

/// Bytes of an answer that are read at once.
const PIECE: usize = 16 << 10;

/// An answer that is read while it is sent, in constant memory.
pub type Stream = Box<dyn Read + Send>;

/// The text of an answer.
pub enum Answer {
    /// All of it.
    Text(String),
    /// One that may be long.
    Stream(Stream),
}

impl Answer {
    /// All of it in memory: the text of the longest block at most, or the pool.
    ///
    /// # Errors
    /// A block that cannot be read.
    pub fn into_text(self) -> io::Result<String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Stream(stream) => read_all(stream),
        }
    }
}

fn read_all(mut from: Stream) -> io::Result<String> {
    let (mut text, mut piece) = (Vec::new(), [0; PIECE]);
    loop {
        let count = from.read(&mut piece)?;
        if count == 0 {
            cut_room(&mut text);
            return String::from_utf8(text).map_err(io::Error::other);
        }
        let length = text.len() + count;
        make_room(&mut text, length);
        text.extend_from_slice(&piece[..count]);
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// More is asked for than one answer holds.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A locator of another chain.
    #[error("expected a locator of the chain with genesis {0}, none of its hashes is known here")]
    ForeignLocator(BlockHash),
    /// No such block.
    #[error("there is no block {0}")]
    NoBlock(BlockHash),
    /// The header is known, the body is not here.
    #[error("the header of block {0} is known, its transactions are not here")]
    NoBody(BlockHash),
    /// A transfer that the block does not have.
    #[error("expected indexes below {count}, the number of the block's transfers, got {got}")]
    NoTransfer {
        /// The number of its transfers.
        count: usize,
        /// The index asked for.
        got: u32,
    },
    /// A block that cannot be read.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl AnswerError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Wire(error) => error.code(),
            Self::ForeignLocator(_) => "other-chain",
            Self::NoBlock(_) => "block-not-found",
            Self::NoBody(_) => "block-not-kept",
            Self::NoTransfer { .. } => "transaction-not-found",
            Self::Node(error) => error.code(),
        }
    }

    /// The status of the answer, over HTTP and over live connections.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Wire(_) => 400,
            Self::ForeignLocator(_) => 409,
            Self::NoBlock(_) | Self::NoBody(_) | Self::NoTransfer { .. } => 404,
            Self::Node(_) => 500,
        }
    }
}

impl From<StoreError> for AnswerError {
    fn from(error: StoreError) -> Self {
        Self::Node(super::handle::store_error(error))
    }
}

/// Answers a question about the chain or the pool in one message of a live connection; `None` if it is
/// for the peer network. `salt` is that of compact blocks that are made
/// here.
///
/// # Errors
/// Something that is not here, or too much at once.
pub fn answer(
    node: &NodeHandle,
    question: &Question,
    salt: u64,
) -> Option<Result<Answer, AnswerError>> {
    Some(match question {
        Question::Headers { locator } => headers(node, locator).map(Answer::Text),
        Question::Blocks { hashes } => {
            blocks_within(node, hashes, BLOCK_JSON_MAX as u64).map(Answer::Stream)
        }
        Question::Compact { block } => compact(node, block, salt).map(Answer::Text),
        Question::Transfers { ids } => Ok(Answer::Text(transfers(node, ids))),
        Question::BlockTransfers { block, indexes } => {
            block_transfers(node, block, indexes).map(Answer::Text)
        }
        Question::PoolSummary => Ok(Answer::Text(pool_summary(node))),
        Question::PoolIds { buckets } => Ok(Answer::Text(pool_ids(node, buckets))),
        Question::Handshake(_) | Question::Addresses | Question::Announce(_) => return None,
    })
}

/// Headers of the best chain above the highest that stands in `locator`, from height 1 on if it is
/// empty.
///
/// # Errors
/// A locator of another chain.
pub fn headers(node: &NodeHandle, locator: &[BlockHash]) -> Result<String, AnswerError> {
    let view = node.view();
    let known = view.chain.headers();
    let fork = if locator.is_empty() {
        Height::GENESIS
    } else {
        let fork = known.find_fork(locator);
        fork.ok_or_else(|| AnswerError::ForeignLocator(view.chain.chain_id()))?.height
    };
    let above = (fork.next().0..).map(Height).map_while(|height| known.at(height));
    let headers: Vec<Header> = above.take(HEADERS_MAX).map(|node| node.header).collect();
    Ok(headers_to_json(&headers))
}

/// Those of the blocks named that are here, in the order asked for, until the answer is long enough.
///
/// # Errors
/// More than [`BLOCKS_ASKED_MAX`].
pub fn blocks(node: &NodeHandle, hashes: &[BlockHash]) -> Result<Stream, AnswerError> {
    blocks_within(node, hashes, BLOCKS_BYTES_MAX)
}

fn blocks_within(
    node: &NodeHandle,
    hashes: &[BlockHash],
    bytes_max: u64,
) -> Result<Stream, AnswerError> {
    if hashes.len() > BLOCKS_ASKED_MAX {
        return Err(WireError::TooMany(BLOCKS_ASKED_MAX).into());
    }
    let view = node.view();
    let (mut bodies, mut bytes) = (Vec::new(), 0);
    for body in hashes.iter().filter_map(|hash| view.chain.body_of(hash)) {
        bytes += u64::from(body.payload_len());
        if bytes > bytes_max && !bodies.is_empty() {
            break;
        }
        bodies.push(body);
    }
    let reader = node.reader().clone();
    Ok(Box::new(ArrayReader::new(bodies.into_iter(), move |body, out: &mut Vec<u8>| {
        copy_body(&*reader, body, out)
    })))
}

/// Appends the text of a kept block.
///
/// # Errors
/// If it cannot be read.
pub fn copy_body(reader: &dyn BlockReader, body: BodyRef, out: &mut Vec<u8>) -> io::Result<()> {
    // Otherwise each thread that has ever answered keeps the room of the longest.
    let length = usize::try_from(body.payload_len()).unwrap_or(usize::MAX);
    make_room(out, out.len().saturating_add(length));
    reader.copy_to(body, out).map_err(|error| match error {
        CopyError::Store(error) => io::Error::other(error),
        CopyError::Out(error) => error,
    })
}

/// A block in compact form.
///
/// # Errors
/// No such block here.
pub fn compact(node: &NodeHandle, hash: &BlockHash, salt: u64) -> Result<String, AnswerError> {
    let block = kept_block(node, hash)?;
    Ok(compact_to_json(&CompactBlock::of(&block, salt), node.prefix()))
}

/// The transfers at these places of a block, from 0, all of them and in this order.
///
/// # Errors
/// No such block here, or a place beyond its last transfer.
pub fn block_transfers(
    node: &NodeHandle,
    hash: &BlockHash,
    indexes: &[u32],
) -> Result<String, AnswerError> {
    let block = kept_block(node, hash)?;
    let find = |index: &u32| {
        let place = usize::try_from(*index).ok();
        let transfer = place.and_then(|place| block.transfers.get(place));
        transfer.ok_or(AnswerError::NoTransfer { count: block.transfers.len(), got: *index })
    };
    let found = indexes.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    Ok(array(found.into_iter().map(|transfer| transfer_to_json(transfer, node.prefix()))))
}

fn kept_block(node: &NodeHandle, hash: &BlockHash) -> Result<Block, AnswerError> {
    let body = body_of(&node.view(), hash)?;
    Ok(node.read_block(body)?)
}

/// Where the body of a block lies.
///
/// # Errors
/// No such block here.
pub fn body_of(view: &View, hash: &BlockHash) -> Result<BodyRef, AnswerError> {
    view.chain.body_of(hash).ok_or_else(|| {
        let is_known = view.chain.headers().get(hash).is_some();
        if is_known { AnswerError::NoBody(*hash) } else { AnswerError::NoBlock(*hash) }
    })
}

/// Those of these transfers that are pending, in the order asked for.
pub fn transfers(node: &NodeHandle, ids: &[Txid]) -> String {
    let (view, prefix) = (node.view(), node.prefix());
    let pending = ids.iter().filter_map(|id| view.chain.pool().get(id));
    array(pending.map(|pending| transfer_to_json(pending.transfer(), prefix)))
}

/// All pending transfers, the first to arrive first.
pub fn pool(node: &NodeHandle) -> Stream {
    let (view, prefix) = (node.view(), node.prefix());
    let pending: Vec<_> = view.chain.pool().iter().map(Arc::clone).collect();
    Box::new(ArrayReader::new(pending.into_iter(), move |one, out: &mut Vec<u8>| {
        out.extend_from_slice(transfer_to_json(one.transfer(), prefix).as_bytes());
        Ok(())
    }))
}

/// The pool in short. The pool keeps it as transfers come and go, so that asking costs the same
/// however many are pending.
pub fn pool_summary(node: &NodeHandle) -> String {
    PoolSummary::new(*node.view().chain.pool().buckets()).to_json()
}

/// The ids of the pending transfers in these buckets, up to [`POOL_IDS_MAX`].
pub fn pool_ids(node: &NodeHandle, buckets: &[u8]) -> String {
    let view = node.view();
    let ids = buckets.iter().flat_map(|bucket| view.chain.pool().ids_in(*bucket));
    pool_ids_to_json(&ids.take(POOL_IDS_MAX).collect::<Vec<_>>())
}

fn array(elements: impl Iterator<Item = String>) -> String {
    let mut text = Vec::new();
    for element in elements {
        let length = text.len() + 1 + element.len();
        make_room(&mut text, length);
        text.push(if text.is_empty() { b'[' } else { b',' });
        text.extend_from_slice(element.as_bytes());
    }
    if text.is_empty() {
        text.push(b'[');
    }
    text.push(b']');
    cut_room(&mut text);
    String::from_utf8(text).expect("only texts were put together")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Blocks of any length.
    struct Zeros;

    impl BlockReader for Zeros {
        fn read(&self, body: BodyRef) -> Result<String, StoreError> {
            unreachable!("{body:?} is copied")
        }

        fn copy_to(&self, body: BodyRef, out: &mut dyn Write) -> Result<(), CopyError> {
            let length = u64::from(body.payload_len());
            io::copy(&mut io::repeat(b'0').take(length), out).map(drop).map_err(CopyError::Out)
        }
    }

    #[test]
    fn a_long_block_is_copied_into_memory_of_its_own() {
        for (length, is_long) in [(1_000, false), (400_000, true)] {
            let mut out = b"[".to_vec();
            copy_body(&Zeros, BodyRef::new(0, length), &mut out).unwrap();
            assert_eq!(out.len() as u64, 1 + u64::from(length));
            assert_eq!(out.capacity() > 32 << 20, is_long, "{length}");
        }
    }
}
