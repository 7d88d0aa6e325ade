//! Writing at the end of a log so that it holds whole batches or nothing: one write, one flush,
//! and cutting back what a failed write left. Shared by the block log and the journals.
//!
//! Writes are positioned at the last good byte, so that even leftovers of a failed write that
//! could not be cut back would be overwritten, never glued onto.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::StoreError;
use crate::planted::{Bug, planted};

/// The few things a log needs of a file; tests and simulations put failing files in its place.
pub trait Medium: Send + Sync {
    /// Reads some bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at `offset`, or fails having written some of them.
    ///
    /// # Errors
    /// What the system says.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Flushes content and, where it grew, length.
    ///
    /// # Errors
    /// What the system says.
    fn sync_data(&self) -> io::Result<()>;
    /// Flushes content and everything known about the file.
    ///
    /// # Errors
    /// What the system says.
    fn sync_all(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

impl Medium for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}

/// What writer and readers of one log share.
pub struct Log {
    medium: Box<dyn Medium>,
    path: PathBuf,
    /// Bytes that are written and flushed.
    end: AtomicU64,
    /// Why the first flush failed, if one did.
    failed: OnceLock<String>,
}

impl Log {
    /// A log over `medium` whose first `end` bytes are good.
    pub fn new(medium: Box<dyn Medium>, path: &Path, end: u64) -> Self {
        Self { medium, path: path.to_path_buf(), end: AtomicU64::new(end), failed: OnceLock::new() }
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are written and flushed.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Fails if a flush has failed before.
    pub fn usable(&self) -> Result<(), StoreError> {
        match self.failed.get() {
            None => Ok(()),
            Some(why) => Err(StoreError::Sync { file: self.path.clone(), why: why.clone() }),
        }
    }

    /// Fills `buf` from `offset`.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.cursor(offset).read_exact(buf)
    }

    /// Makes the first `end` bytes readable that a replay has found good.
    pub fn extend_to(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Reads from `offset` on, to the end of the file.
    pub fn cursor(&self, offset: u64) -> Cursor<'_> {
        Cursor { medium: &*self.medium, offset }
    }

    /// Cuts the file to `len` bytes, flushed. What cannot be cut off would be read as a torn end
    /// at best, so a failure here is as final as a failed flush.
    fn cut(&self, len: u64) -> Result<(), StoreError> {
        let cut = self.medium.set_len(len).and_then(|()| self.medium.sync_all());
        cut.map_err(|cause| self.fail(&cause))
    }

    fn flush(&self) -> Result<(), StoreError> {
        let flushed = self.medium.sync_data();
        flushed.map_err(|cause| self.fail(&cause))
    }

    /// Makes a failed flush of a replacement of this file as final as one of the file itself.
    pub fn give_up_if_fatal(&self, error: &StoreError) {
        if let StoreError::Sync { why, .. } = error {
            let _ = self.failed.set(why.clone());
        }
    }

    fn fail(&self, cause: &io::Error) -> StoreError {
        log::error!("{}: flush failed: {cause}", self.path.display());
        // A second failure changes nothing: the first reason stays.
        let _ = self.failed.set(cause.to_string());
        StoreError::sync(&self.path, cause)
    }
}

/// The writing end of a log: there is one.
pub struct Appender {
    log: Arc<Log>,
}

impl Appender {
    /// The writing end of `log`.
    pub fn new(log: Log) -> Self {
        Self { log: Arc::new(log) }
    }

    /// What readers share.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Writes `bytes` at the end and flushes them.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let log = &*self.log;
        log.usable()?;
        let end = log.end();
        if let Err(cause) = log.medium.write_all_at(bytes, end) {
            log.cut(end)?;
            return Err(StoreError::from_io(&log.path, "write", cause));
        }
        if !planted(Bug::EarlyAcknowledgement) {
            log.flush()?;
        }
        let len = u64::try_from(bytes.len()).expect("a buffer is shorter than 2^64 bytes");
        log.end.store(end + len, Ordering::Release);
        Ok(())
    }

    /// Goes on after the first `end` bytes of a file that an earlier process wrote: cuts what
    /// follows them, and flushes what that process may not have lived to flush.
    pub fn resume_at(&mut self, end: u64) -> Result<(), StoreError> {
        let log = &*self.log;
        let beyond = log.medium.read_at(&mut [0], end);
        match beyond.map_err(|cause| StoreError::from_io(&log.path, "read", cause))? {
            0 => log.flush()?,
            _ => log.cut(end)?,
        }
        log.end.store(end, Ordering::Release);
        Ok(())
    }
}

/// A reading position of its own, over positioned reads.
pub struct Cursor<'a> {
    medium: &'a dyn Medium,
    offset: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.medium.read_at(buf, self.offset)?;
        self.offset += u64::try_from(read).expect("a buffer is shorter than 2^64 bytes");
        Ok(read)
    }
}
