//! Everything the node keeps on disk: the block log behind one trait, journals that can be
//! rebuilt, small files replaced in one step, and the lock that keeps a second process away.
//!
//! What this layer owns: bytes, checksums, the order of write and flush, names and modes of the
//! files. What it never does: decide anything about the chain, know the shape of a block (bodies
//! are opaque one-line JSON texts), start threads, or read a clock.
//!
//! Invariants:
//! - Nothing counts as stored before one write and one flush have both succeeded.
//! - A failed write leaves no half line behind: the file is cut back to the last good byte.
//! - The first failed flush is final. The kernel may have dropped the pages and marked them
//!   clean, so a second flush that succeeds proves nothing; every later call fails.
//! - Every byte read back is checked against its line's CRC-32C again.
//!
//! | module | what it keeps |
//! |---|---|
//! | [`text`] | `blockchain-<PORT>.txt`: append-only, one block a line |
//! | [`journal`] | `mempool-<PORT>.txt` and its like: damage is no error |
//! | [`files`] | names, atomic replacement, private files |
//! | [`disk`] | where the files lie: the file system, or what stands in for it |
//! | [`lock`] | one process per data directory and port |
//! | `lines` | the checksummed line that both logs share |
//! | `append` | write, flush and cutting back, shared by both logs |

mod append;
pub mod disk;
mod error;
pub mod files;
pub mod journal;
mod lines;
pub mod lock;
#[cfg(test)]
mod testing;
pub mod text;

use std::io;
use std::sync::Arc;

pub use append::Medium;
pub use error::StoreError;

use crate::primitives::BodyRef;

/// Where blocks are kept. One owner writes; any thread reads through [`BlockStore::reader`].
///
/// The owner's turn: `stage` each block it connects, then one `commit` for all of them, and only
/// after that publish and acknowledge. If the turn fails, `discard`.
pub trait BlockStore: Send {
    /// Adds one block, a JSON text in one line, to the current batch and tells where it will lie
    /// once committed. The reference can be read at once, from this store alone.
    ///
    /// A text that cannot be stored (a line break in it, longer than the store's line, or a batch
    /// grown too large) is refused by [`BlockStore::commit`], with the whole batch.
    fn stage(&mut self, json: &str) -> BodyRef;

    /// Writes the current batch in one write and flushes it. When this returns `Ok` the batch
    /// survives a power cut; on any error the batch is dropped and nothing of it is kept.
    ///
    /// # Errors
    /// [`StoreError::Full`] and [`StoreError::Io`]: cut back, the store stays usable.
    /// [`StoreError::Refused`]: the batch held what cannot be stored; the store stays usable.
    /// [`StoreError::Sync`]: the store is finished and the process should end.
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Drops the current batch: its references mean nothing any more.
    fn discard(&mut self);

    /// The JSON text of a staged or stored block, its checksum verified again.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the bytes there are not what was stored.
    fn read(&self, body: BodyRef) -> Result<String, StoreError>;

    /// A handle for reading committed blocks from any thread, without the owner.
    fn reader(&self) -> Arc<dyn BlockReader>;
}

/// Reads committed blocks by positioned reads: any number of threads at once, no shared cursor,
/// no lock, never in the way of the writer.
pub trait BlockReader: Send + Sync {
    /// The JSON text of a committed block, its checksum verified again.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the bytes there are not what was stored.
    fn read(&self, body: BodyRef) -> Result<String, StoreError>;

    /// Writes the JSON text of a committed block to `out` in constant memory, whatever its
    /// length. The last piece is written only after the checksum held, so that a receiver that
    /// counts bytes (`BodyRef::payload_len`) can never take a damaged block for a whole one.
    ///
    /// # Errors
    /// [`CopyError::Store`] if reading fails, [`CopyError::Out`] if `out` does.
    fn copy_to(&self, body: BodyRef, out: &mut dyn io::Write) -> Result<(), CopyError>;
}

/// Why a block could not be copied out: our side or theirs.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The store could not deliver the block.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The receiver stopped taking it.
    #[error("the receiver of the block failed: {0}")]
    Out(#[source] io::Error),
}

impl CopyError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(inner) => inner.code(),
            Self::Out(_) => "receiver-failed",
        }
    }
}

/// One stored block handed out while a store is opened, in the order of storing.
#[derive(Clone, Copy)]
pub struct StoredBlock<'a> {
    /// The JSON text, checksum verified.
    pub json: &'a str,
    /// Where it lies.
    pub body: BodyRef,
    /// Its line in the file, the first line being 1.
    pub line: u64,
    /// Reads the blocks of this batch and of those before it.
    pub reader: &'a dyn BlockReader,
}

/// Takes the stored blocks at opening. A refusal, in its own words, makes the line damaged.
pub type Replay<'a> = dyn FnMut(StoredBlock<'_>) -> Result<(), String> + 'a;
