//! A file in memory that fails when told to and knows what a power cut would leave of it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;

use super::append::Medium;

/// What fails, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write stops after so many bytes, for lack of room.
    Full(usize),
    /// A write stops after so many bytes, for a fault of the disk.
    Broken(usize),
    /// A flush fails.
    Unflushed,
}

#[derive(Default)]
struct Inner {
    /// What a reader sees.
    bytes: Vec<u8>,
    /// What survives a power cut for certain.
    flushed: Vec<u8>,
    /// Operations of its kind until each fault, and whether all later ones fail as well.
    faults: Vec<(usize, Fault, bool)>,
    /// How many operations failed.
    failed: usize,
}

/// Shared, so that a test can look at it, break it and open it again.
#[derive(Clone, Default)]
pub struct MemoryFile {
    inner: Arc<Mutex<Inner>>,
}

impl MemoryFile {
    pub fn with(bytes: &[u8]) -> Self {
        let file = Self::default();
        file.inner().bytes = bytes.to_vec();
        file.inner().flushed = bytes.to_vec();
        file
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.inner().bytes.clone()
    }

    /// What a power cut leaves if it keeps `extra` bytes beyond what was flushed.
    pub fn after_power_cut(&self, extra: usize) -> Vec<u8> {
        let inner = self.inner();
        let (flushed, len) = (inner.flushed.len(), inner.bytes.len());
        if len < flushed {
            return inner.flushed.clone();
        }
        inner.bytes[..len.min(flushed.saturating_add(extra))].to_vec()
    }

    /// Lets the write or flush after `skip` others of its kind fail; and all after it, if it is
    /// `lasting`.
    pub fn fail_after(&self, skip: usize, fault: Fault, lasting: bool) {
        self.inner().faults.push((skip, fault, lasting));
    }

    pub fn failures(&self) -> usize {
        self.inner().failed
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

impl Inner {
    fn next_fault(&mut self, flush: bool) -> Option<Fault> {
        let is_due = |(_, fault, _): &(usize, Fault, bool)| flush == (*fault == Fault::Unflushed);
        let at = self.faults.iter().position(is_due)?;
        let (skip, fault, lasting) = &mut self.faults[at];
        if *skip > 0 {
            *skip -= 1;
            return None;
        }
        let fault = *fault;
        if !*lasting {
            self.faults.remove(at);
        }
        self.failed += 1;
        Some(fault)
    }

    fn write(&mut self, buf: &[u8], offset: usize) {
        let end = offset + buf.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[offset..end].copy_from_slice(buf);
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.next_fault(true).is_some() {
            return Err(Errno::IO.into());
        }
        self.flushed = self.bytes.clone();
        Ok(())
    }
}

impl Medium for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.inner();
        let rest = inner.bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let (mut inner, offset) = (self.inner(), usize::try_from(offset).unwrap());
        let (written, errno) = match inner.next_fault(false) {
            Some(Fault::Full(most)) => (most, Errno::NOSPC),
            Some(Fault::Broken(most)) => (most, Errno::IO),
            _ => {
                inner.write(buf, offset);
                return Ok(());
            }
        };
        inner.write(&buf[..written.min(buf.len())], offset);
        Err(errno.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner().flush()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.inner().flush()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner().bytes.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }
}
