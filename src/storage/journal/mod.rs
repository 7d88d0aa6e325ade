//! An append-only file of opaque one-line texts that decide nothing: pending transfers.
//!
//! ```text
//! {"crc32c":"89abcdef","entry":…}
//! ```
//!
//! Same lines, same order of write and flush as the block log, but forgiving when read: what was
//! torn or damaged is dropped and counted, since nothing here decides anything and the rest is
//! worth having. Never says what an entry means, nor when to compact: its owner knows how many
//! entries are still of use and calls [`Journal::rewrite`].

#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use super::append::{Appender, Log};
use super::disk::DiskFile;
use super::lines::{self, Lines, Piece};
use super::{StoreError, files};

const BEFORE_ENTRY: &[u8] = b",\"entry\":";
const AFTER_ENTRY: &[u8] = b"}\n";
/// What loading reads at once, and what the batch buffer shrinks back to.
const READ_AHEAD: usize = 64 * 1024;

/// How much a journal may hold; each use has its own.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The longest entry in bytes. A longer one is refused when staged, dropped when loaded.
    pub entry_bytes_max: usize,
    /// The most entries. When full, staging is refused until the owner has rewritten the journal;
    /// entries beyond it in a file are dropped.
    pub entries_max: u64,
}

/// An open journal: one owner writes, nobody reads until the next start.
pub struct Journal {
    file: DiskFile,
    out: Appender,
    bounds: Bounds,
    stored: u64,
    staged: u64,
    batch: Vec<u8>,
}

/// An opened journal and what was found in its file.
pub struct Loaded {
    /// The journal, ready for more.
    pub journal: Journal,
    /// Lines that were dropped: damaged, too long, too many, or torn off by a crash. Beyond a torn
    /// last line they stay in the file until it is rewritten.
    pub dropped: u64,
    /// Whether the last of those was only torn off: it was never acknowledged.
    pub is_torn: bool,
}

impl Journal {
    /// Opens the journal at `path`, creating it if it is missing, and hands every good entry to
    /// `each` in order.
    ///
    /// # Errors
    /// Only what the system says, or something else than a plain file at `path`.
    pub fn open(
        path: &Path,
        bounds: Bounds,
        each: &mut dyn FnMut(&str),
    ) -> Result<Loaded, StoreError> {
        Self::open_on(path.into(), bounds, each)
    }

    /// As [`Journal::open`], on any disk.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(
        file: DiskFile,
        bounds: Bounds,
        each: &mut dyn FnMut(&str),
    ) -> Result<Loaded, StoreError> {
        let path = file.path();
        let log = Log::new(file.open_log(files::PRIVATE_MODE)?, path, 0);
        let found =
            load(&log, bounds, each).map_err(|cause| StoreError::from_io(path, "read", cause))?;
        let mut out = Appender::new(log);
        out.resume_at(found.good_end)?;
        let journal = Self { file, out, bounds, stored: found.kept, staged: 0, batch: Vec::new() };
        Ok(Loaded { journal, dropped: found.dropped, is_torn: found.is_torn })
    }

    /// Entries in the file.
    pub fn entries(&self) -> u64 {
        self.stored
    }

    /// Entries that may be staged before it is full.
    pub fn room(&self) -> u64 {
        self.bounds.entries_max - self.stored - self.staged
    }

    /// Gives the file as it is a second, dated name, which it keeps when it is rewritten.
    ///
    /// # Errors
    /// As [`super::disk::Disk::set_aside`].
    pub fn set_aside(&self, unix_seconds: u64) -> Result<Option<PathBuf>, StoreError> {
        self.file.set_aside(unix_seconds)
    }

    /// Bytes in the file.
    pub fn bytes(&self) -> u64 {
        self.out.log().end()
    }

    /// Adds an entry to the current batch.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if it is too long, has a line break, or the journal is full.
    pub fn stage(&mut self, entry: &str) -> Result<(), StoreError> {
        if self.stored + self.staged >= self.bounds.entries_max {
            let why = format!("it is full with {} entries", self.bounds.entries_max);
            return Err(StoreError::refused(self.file.path(), why));
        }
        self.check(entry)?;
        push(&mut self.batch, entry);
        self.staged += 1;
        Ok(())
    }

    /// Writes the current batch in one write and flushes it. On any error the batch is dropped.
    ///
    /// # Errors
    /// As [`super::BlockStore::commit`].
    pub fn commit(&mut self) -> Result<(), StoreError> {
        let staged = std::mem::take(&mut self.staged);
        let mut batch = std::mem::take(&mut self.batch);
        self.out.log().usable()?;
        if staged == 0 {
            return Ok(());
        }
        self.out.append(&batch)?;
        self.stored += staged;
        batch.clear();
        batch.shrink_to(READ_AHEAD);
        self.batch = batch;
        Ok(())
    }

    /// Drops the current batch.
    pub fn discard(&mut self) {
        self.staged = 0;
        self.batch.clear();
    }

    /// Replaces everything in the file by `entries`, in one step that survives a power cut. The
    /// current batch stays staged.
    ///
    /// # Errors
    /// The file stays as it was, and the journal usable, unless the error is fatal.
    pub fn rewrite<E: AsRef<str>>(
        &mut self,
        entries: impl IntoIterator<Item = E>,
    ) -> Result<(), StoreError> {
        self.out.log().usable()?;
        let (mut entries, mut line) = (entries.into_iter(), Vec::new());
        let (mut count, mut bytes, mut refused) = (0, 0, None);
        let mut fill = |out: &mut dyn Write| {
            for entry in entries.by_ref() {
                if let Err(error) = self.check(entry.as_ref()) {
                    refused = Some(error);
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                line.clear();
                push(&mut line, entry.as_ref());
                out.write_all(&line)?;
                count += 1;
                bytes += u64::try_from(line.len()).expect("a line is shorter than 2^64 bytes");
            }
            Ok(())
        };
        let replaced = self.file.replace_with(files::PRIVATE_MODE, &mut fill);
        if let Some(error) = refused {
            return Err(error);
        }
        let medium = match replaced {
            Ok(medium) => medium,
            Err(error) => {
                self.out.log().give_up_if_fatal(&error);
                return Err(error);
            }
        };
        self.out = Appender::new(Log::new(medium, self.file.path(), bytes));
        self.stored = count;
        Ok(())
    }

    fn check(&self, entry: &str) -> Result<(), StoreError> {
        let max = self.bounds.entry_bytes_max;
        if entry.len() > max {
            let why = format!("an entry of {} bytes, the longest is {max}", entry.len());
            return Err(StoreError::refused(self.file.path(), why));
        }
        if entry.contains('\n') {
            let why = "an entry with a line break in it";
            return Err(StoreError::refused(self.file.path(), why));
        }
        Ok(())
    }
}

/// Adds a whole line.
fn push(out: &mut Vec<u8>, entry: &str) {
    let begins_at = out.len();
    lines::begin(out);
    out.extend_from_slice(BEFORE_ENTRY);
    out.extend_from_slice(entry.as_bytes());
    out.extend_from_slice(AFTER_ENTRY);
    let unbroken = out.len() - 1;
    lines::seal(&mut out[begins_at..unbroken]);
}

/// The entry of a line (without its line break), if all of it is good.
fn entry(line: &[u8]) -> Option<&str> {
    let rest = lines::open(line).ok()?.strip_prefix(BEFORE_ENTRY)?;
    std::str::from_utf8(rest.strip_suffix(b"}")?).ok()
}

struct Found {
    kept: u64,
    dropped: u64,
    is_torn: bool,
    /// Bytes up to the last line break.
    good_end: u64,
}

fn load(log: &Log, bounds: Bounds, each: &mut dyn FnMut(&str)) -> io::Result<Found> {
    let frame = lines::COVERED_AT + BEFORE_ENTRY.len() + 1;
    let input = BufReader::with_capacity(READ_AHEAD, log.cursor(0));
    let mut reader = Lines::new(input, frame + bounds.entry_bytes_max);
    let mut line = Vec::new();
    let mut found = Found { kept: 0, dropped: 0, is_torn: false, good_end: 0 };
    loop {
        let ended = match reader.next(&mut line)? {
            Piece::End => return Ok(found),
            Piece::Line => true,
            Piece::Unterminated => false,
            Piece::TooLong => {
                line.clear();
                reader.skip_rest()?
            }
        };
        let good = entry(&line).filter(|_| ended && found.kept < bounds.entries_max);
        match good {
            Some(text) => {
                each(text);
                found.kept += 1;
            }
            None => found.dropped += 1,
        }
        found.is_torn = !ended;
        if ended {
            found.good_end = reader.offset();
        }
    }
}
