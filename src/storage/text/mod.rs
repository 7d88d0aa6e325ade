//! `blockchain-<PORT>.txt`: every block the node keeps, one a line, appended and never changed.
//!
//! ```text
//! {"crc32c":"89abcdef","format":1,"genesis":"<64 hex digits>"}
//! {"crc32c":"89abcdef","batch":"0000000000000001-0000-0001","block":{…}}
//! {"crc32c":"89abcdef","batch":"0000000000000002-0000-0002","block":{…}}
//! {"crc32c":"89abcdef","batch":"0000000000000002-0001-0002","block":{…}}
//! ```
//!
//! Owns the bytes of the file and where each block lies in it. Never parses a block and never
//! removes a complete batch. Keeping a second process away is the business of `lock`.
//!
//! # What a crash leaves, and what damage looks like
//!
//! A batch is one write at the end of the file, then one flush; only then is it acknowledged.
//! So a crash leaves some first part of the last batch, and everything before it is whole. Batch
//! numbers rise by one, and each line says which line of how many it is, so that a part can be
//! told from the whole. Opening the file decides:
//!
//! 1. *The last line has no line break.* It is a torn write, and the batch it belongs to is cut,
//!    even if the line is complete up to its closing brace: the flush had not returned.
//! 2. *The file ends after a line break, but within a batch.* Torn between two lines: cut.
//! 3. *The last batch is complete.* Kept, acknowledged or not: if it was not, its sender will try
//!    again and find it there. It is flushed before anything is built on it, since the process
//!    that wrote it may have died before its own flush.
//! 4. *Anything else that is not as written is damage*, named with its line, even in the last
//!    line if that ends with a line break. Lines that are swapped, doubled or missing break the
//!    order of batch and index.
//!
//! Rule 1 must not swallow an acknowledged block whose damage merely looks like a torn write.
//! One changed bit can do this in one way: in the very last line break, which then is some other
//! byte. (In any other line break it glues two lines together, and the glued line still ends with
//! a line break: its checksum fails, rule 4. Within a line, including its batch number, index and
//! count, it breaks the checksum, rule 4; and if the changed byte turns into a line break, the
//! first half is a bad line that ends with one, rule 4 again.) So before cutting, the unfinished
//! line is searched for a whole line, checksum included, followed by at least one more byte. A
//! torn write never leaves that, since in what was written a line break follows each whole line;
//! a lost line break always does, even if a write was torn after it. Then it is damage.
//!
//! The first line is outside this: it is flushed before any block is written. If the file is empty
//! or holds a first part of exactly the expected first line, with no line break, the node died
//! while creating it and it is created again.
//!
//! A crash leaves a first part only where the file system orders data before length, as ext4 does
//! by default. Elsewhere a power cut may leave zeros within the last batch; at its end they are
//! torn off with it, in its middle they are damage by rule 4.
//!
//! What this cannot see: a file cut back exactly to the end of an earlier batch is a valid, older
//! file. Its missing blocks come back from peers.

mod record;
mod replay;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

pub use record::FORMAT;

use self::record::{AFTER_PAYLOAD, PAYLOAD_AT, Place};
use super::append::{Appender, Log};
use super::disk::DiskFile;
use super::{BlockReader, BlockStore, CopyError, Replay, StoreError, files, lines};
use crate::primitives::BlockHash;
use crate::primitives::BodyRef;

/// The longest line in bytes, line break not counted. The largest block has a million canonical
/// bytes, and the smallest transfer grows from 158 to about 500 as JSON: 4 MiB with room to spare,
/// doubled. A longer line is refused when staged, and damage when met in a file.
pub const LINE_MAX: usize = 8 * 1024 * 1024;
/// The most lines in one batch: its count has four digits. A larger batch is refused as a whole.
pub const BATCH_LINES_MAX: usize = 0xffff;
/// The most bytes in one batch, which lies in memory when written and again when replayed. The
/// owner takes far fewer in a turn; a larger batch is refused as a whole.
pub const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What replay reads at once.
const READ_AHEAD: usize = 256 * 1024;
/// What the batch buffer shrinks back to after a larger batch: room for a full block, so that a
/// run of those does not fetch its memory afresh each time.
const BATCH_BYTES_KEPT: usize = 4 * 1024 * 1024;
/// What copying a block out holds in memory, whatever the block's length.
const COPY_CHUNK: usize = 64 * 1024;
/// What is left for the last piece of a copied block at least: some of the payload must be held
/// back until the checksum is known.
const LAST_CHUNK_MIN: usize = 64;

/// The block log as a text file: see the module.
pub struct TextStore {
    out: Appender,
    batch: Batch,
    last_batch: u64,
}

/// An opened store and what was found in its file.
pub struct Opened {
    /// The store, ready for the next batch.
    pub store: TextStore,
    /// What was found.
    pub replayed: Replayed,
}

/// What was found in a block file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Blocks in complete batches, all handed to the callback.
    pub blocks: u64,
    /// Whether the file was missing or empty, or died being created.
    pub created: bool,
    /// What a crash had left of an incomplete last batch.
    pub cut: Option<Cut>,
}

/// The end of a file that belongs to no complete batch: never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its first line, the first line of the file being 1.
    pub line: u64,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

impl TextStore {
    /// Opens the file at `path` for the chain of `genesis`, creating it if it is missing or empty.
    /// Every block of every complete batch is handed to `each` in order; the file is changed (an
    /// incomplete last batch cut off) only after `each` has taken them all.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a bad line or a refusal of `each`, [`StoreError::Format`] and
    /// [`StoreError::Genesis`] for a file of another version or chain, and what the system says.
    pub fn open(
        path: &Path,
        genesis: &BlockHash,
        each: &mut Replay<'_>,
    ) -> Result<Opened, StoreError> {
        Self::open_on(&path.into(), genesis, each)
    }

    /// As [`TextStore::open`], on any disk.
    ///
    /// # Errors
    /// As [`TextStore::open`].
    pub fn open_on(
        file: &DiskFile,
        genesis: &BlockHash,
        each: &mut Replay<'_>,
    ) -> Result<Opened, StoreError> {
        let log = Log::new(file.open_log(files::PUBLIC_MODE)?, file.path(), 0);
        Self::from_log(log, genesis, each)
    }

    fn from_log(
        log: Log,
        genesis: &BlockHash,
        each: &mut Replay<'_>,
    ) -> Result<Opened, StoreError> {
        let found = replay::replay(&log, genesis, each)?;
        let mut out = Appender::new(log);
        if let Some(cut) = found.torn {
            let file = out.log().path().display();
            log::warn!(
                "{file}: cut {} bytes from line {} on: a write that was interrupted, never acknowledged",
                cut.bytes,
                cut.line,
            );
        }
        out.resume_at(found.good_end)?;
        if !found.begun {
            let mut first = record::first_line(genesis);
            first.push(b'\n');
            out.append(&first)?;
        }
        let store = Self { out, batch: Batch::default(), last_batch: found.last_batch };
        let replayed = Replayed { blocks: found.blocks, created: !found.begun, cut: found.torn };
        Ok(Opened { store, replayed })
    }
}

/// Reads the file at `path` as opening it would, and changes nothing: an incomplete last batch is
/// reported and stays. Needs no lock.
///
/// # Errors
/// As [`TextStore::open`], and if there is no file.
pub fn inspect(
    path: &Path,
    genesis: &BlockHash,
    each: &mut Replay<'_>,
) -> Result<Replayed, StoreError> {
    let file = files::open_plain(path, OpenOptions::new().read(true))?;
    let log = Log::new(Box::new(file), path, 0);
    let found = replay::replay(&log, genesis, each)?;
    Ok(Replayed { blocks: found.blocks, created: !found.begun, cut: found.torn })
}

impl BlockStore for TextStore {
    fn stage(&mut self, json: &str) -> BodyRef {
        let begins_at = self.batch.push(json);
        let len = u32::try_from(json.len()).unwrap_or(u32::MAX);
        BodyRef::new(self.out.log().end() + as_offset(begins_at + PAYLOAD_AT), len)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        self.out.log().usable()?;
        if let Some(why) = batch.refused {
            return Err(StoreError::refused(self.out.log().path(), why));
        }
        if batch.starts.is_empty() {
            return Ok(());
        }
        let mut bytes = batch.bytes;
        seal(&mut bytes, &batch.starts, self.last_batch + 1);
        self.out.append(&bytes)?;
        self.last_batch += 1;
        bytes.clear();
        bytes.shrink_to(BATCH_BYTES_KEPT);
        self.batch.bytes = bytes;
        Ok(())
    }

    fn discard(&mut self) {
        self.batch = Batch::default();
    }

    fn read(&self, body: BodyRef) -> Result<String, StoreError> {
        let log = self.out.log();
        if body.offset() < log.end() {
            return log.read(body);
        }
        log.usable()?;
        let staged = self.batch.payload(body.offset() - log.end(), body);
        staged.map_or_else(|| Err(missing(log, body)), |json| Ok(json.to_owned()))
    }

    fn reader(&self) -> Arc<dyn BlockReader> {
        Arc::clone(self.out.log()) as Arc<dyn BlockReader>
    }
}

/// Lines on their way into the file: complete but for their place and checksum.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each line begins.
    starts: Vec<usize>,
    /// Why the batch cannot be stored, once something was staged that cannot.
    refused: Option<String>,
}

impl Batch {
    /// Adds a line; gives where it begins.
    fn push(&mut self, json: &str) -> usize {
        let begins_at = self.bytes.len();
        let line = PAYLOAD_AT + json.len() + AFTER_PAYLOAD.len();
        if line > LINE_MAX + 1 {
            self.refuse(format!("a line of {line} bytes, the longest is {LINE_MAX}"));
        } else if begins_at + line > BATCH_BYTES_MAX || self.starts.len() >= BATCH_LINES_MAX {
            let lines = BATCH_LINES_MAX;
            self.refuse(format!("a batch over {lines} lines or {BATCH_BYTES_MAX} bytes"));
        } else if json.contains('\n') {
            self.refuse("a block with a line break in it".to_owned());
        } else {
            self.starts.push(begins_at);
            record::push(&mut self.bytes, json);
        }
        begins_at
    }

    fn refuse(&mut self, why: String) {
        self.refused.get_or_insert(why);
    }

    /// The payload of `body`, which lies `at` bytes into the batch.
    fn payload(&self, at: u64, body: BodyRef) -> Option<&str> {
        let at = usize::try_from(at).ok()?;
        let line = self.starts.binary_search(&at.checked_sub(PAYLOAD_AT)?).ok()?;
        let next = self.starts.get(line + 1).copied().unwrap_or(self.bytes.len());
        let payload = &self.bytes[at..next - AFTER_PAYLOAD.len()];
        let same_len = usize::try_from(body.payload_len()) == Ok(payload.len());
        same_len.then(|| std::str::from_utf8(payload).expect("staged as text"))
    }
}

/// Fills in place and checksum of every line of a batch.
fn seal(bytes: &mut [u8], starts: &[usize], batch: u64) {
    let small = |number: usize| u16::try_from(number).expect("bounded by BATCH_LINES_MAX");
    let count = small(starts.len());
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    for (index, (begins, ends)) in starts.iter().copied().zip(ends).enumerate() {
        let index = small(index);
        let place = Place { batch, index, count };
        record::finish(&mut bytes[begins..ends], place);
    }
}

impl BlockReader for Log {
    fn read(&self, body: BodyRef) -> Result<String, StoreError> {
        let (begins_at, len) = self.line_of(body)?;
        let mut line = vec![0; len];
        self.fill(&mut line, begins_at)?;
        let unbroken = line.strip_suffix(b"\n").unwrap_or_default();
        let (_, json) = record::parse(unbroken).map_err(|why| self.bad_line(begins_at, &why))?;
        Ok(json.to_owned())
    }

    fn copy_to(&self, body: BodyRef, out: &mut dyn Write) -> Result<(), CopyError> {
        let (begins_at, len) = self.line_of(body)?;
        let mut buffer = vec![0; len.min(COPY_CHUNK)];
        let (mut done, mut stated, mut crc) = (0, None, 0);
        while done < len {
            let left = len - done;
            let room = if left > COPY_CHUNK { left - LAST_CHUNK_MIN } else { left };
            let chunk = &mut buffer[..room.min(COPY_CHUNK)];
            self.fill(chunk, begins_at + as_offset(done))?;
            let (mut covered, mut payload) = (&*chunk, &*chunk);
            if done == 0 {
                stated = lines::stated_crc(chunk);
                covered = &chunk[lines::COVERED_AT..];
                payload = &chunk[PAYLOAD_AT..];
            }
            if chunk.len() == left {
                covered = &covered[..covered.len() - 1];
                payload = &payload[..payload.len() - AFTER_PAYLOAD.len()];
            }
            crc = crc32c::crc32c_append(crc, covered);
            if chunk.len() == left && (stated != Some(crc) || !chunk.ends_with(AFTER_PAYLOAD)) {
                let why = lines::LineFault::Form.to_string();
                return Err(self.bad_line(begins_at, &why).into());
            }
            out.write_all(payload).map_err(CopyError::Out)?;
            done += chunk.len();
        }
        Ok(())
    }
}

impl Log {
    /// Where the line of `body` begins, and its length with the line break.
    fn line_of(&self, body: BodyRef) -> Result<(u64, usize), StoreError> {
        self.usable()?;
        let len = usize::try_from(body.payload_len()).map_err(|_| missing(self, body))?;
        let len = PAYLOAD_AT + len + AFTER_PAYLOAD.len();
        let begins_at = body.offset().checked_sub(as_offset(PAYLOAD_AT));
        match begins_at.map(|at| (at, at.checked_add(as_offset(len)))) {
            Some((at, Some(end))) if end <= self.end() && len <= LINE_MAX + 1 => Ok((at, len)),
            _ => Err(missing(self, body)),
        }
    }

    fn fill(&self, buf: &mut [u8], offset: u64) -> Result<(), StoreError> {
        match self.read_exact_at(buf, offset) {
            Ok(()) => Ok(()),
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.bad_line(offset, "the file was cut short"))
            }
            Err(cause) => Err(StoreError::from_io(self.path(), "read", cause)),
        }
    }

    fn bad_line(&self, offset: u64, why: &str) -> StoreError {
        StoreError::damaged(self.path(), replay::line_number_at(self, offset), why)
    }
}

fn missing(log: &Log, body: BodyRef) -> StoreError {
    StoreError::Missing { file: log.path().to_path_buf(), offset: body.offset() }
}

fn as_offset(len: usize) -> u64 {
    u64::try_from(len).expect("memory is smaller than 2^64 bytes")
}
