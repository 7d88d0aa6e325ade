//! A disk in memory that knows what a power cut leaves of it, and that fails when its seed says so.
//!
//! Every file is an inode: a name may be moved to another one while the old one is still open, as
//! a journal's is while it is written anew. Only what was flushed is sure to survive a cut; of what
//! was written since, a first part does, cut at any byte, as on a file system that orders data
//! before length.

use farthing::storage::disk::{Disk, Fill};
use farthing::storage::{Medium, StoreError};
use farthing::testkit::Random;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use zeroize::Zeroizing;

/// What `ENOSPC` is on the systems this runs on.
const NO_SPACE: i32 = 28;
/// What `EIO` is on the systems this runs on.
const BROKEN: i32 = 5;

/// How often operations fail, out of a million.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultRates {
    /// Writes that stop half-way for lack of room.
    pub full: u64,
    /// Writes that stop half-way for another reason.
    pub broken_write: u64,
    /// Flushes that fail, after which the node must end.
    pub broken_flush: u64,
    /// Reads that fail.
    pub broken_read: u64,
}

/// What has happened to a disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskCounts {
    /// Writes that failed for lack of room.
    pub full: u64,
    /// Writes that failed otherwise.
    pub broken_writes: u64,
    /// Flushes that failed.
    pub broken_flushes: u64,
    /// Reads that failed.
    pub broken_reads: u64,
    /// Power cuts that came in the middle of an operation of the disk.
    pub cuts_in_operation: u64,
    /// Files that lost unflushed bytes in a cut.
    pub torn: u64,
}

/// How the process that uses the disk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was killed: what it wrote stays.
    Killed,
    /// The power went: what was not flushed may be lost.
    PowerCut,
}

#[derive(Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    /// Bytes that are safe, counted from the start.
    flushed: usize,
    /// What stood flushed from `flushed` on before an unflushed cut took it.
    cut_off: Vec<u8>,
}

impl Inode {
    /// Bytes from `at` on are about to change: if they were safe, a power cut may bring them back.
    fn unsettle(&mut self, at: usize) {
        if at < self.flushed {
            let mut lost = self.bytes[at..self.flushed].to_vec();
            lost.append(&mut self.cut_off);
            self.cut_off = lost;
            self.flushed = at;
        }
    }

    fn write(&mut self, bytes: &[u8], at: usize) {
        self.unsettle(at);
        let end = at + bytes.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[at..end].copy_from_slice(bytes);
    }

    fn flush(&mut self) {
        self.flushed = self.bytes.len();
        self.cut_off.clear();
    }

    /// What a power cut leaves; true if unflushed bytes are lost.
    fn cut_power(&mut self, random: &mut Random) -> bool {
        let written = self.bytes.len() - self.flushed;
        if written == 0 && self.cut_off.is_empty() {
            return false;
        }
        if !self.cut_off.is_empty() && random.percent(50) {
            self.bytes.truncate(self.flushed);
            self.bytes.append(&mut self.cut_off);
        } else {
            self.bytes.truncate(self.flushed + below(random, written + 1));
        }
        self.flush();
        true
    }
}

fn below(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.below(end as u64)).expect("below a usize")
}

struct State {
    random: Random,
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    rates: FaultRates,
    /// No room at all until this is taken back.
    is_full: bool,
    /// Operations until the power goes.
    cut_in: Option<u64>,
    is_dead: bool,
    counts: DiskCounts,
}

impl State {
    /// Counts down to the power cut; an operation on a disk without power fails.
    fn powered(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.cut_in {
            if *left == 0 {
                self.cut_in = None;
                self.is_dead = true;
                self.counts.cuts_in_operation += 1;
            } else {
                *left -= 1;
            }
        }
        if self.is_dead { Err(io::Error::from_raw_os_error(BROKEN)) } else { Ok(()) }
    }

    fn happens(&mut self, in_a_million: u64) -> bool {
        in_a_million > 0 && self.random.below(1_000_000) < in_a_million
    }

    /// How many of `len` bytes a write gets done, and why no more.
    fn write_fault(&mut self, len: usize) -> Option<(usize, i32)> {
        let (full, broken) = (self.rates.full, self.rates.broken_write);
        let errno = if self.is_full || self.happens(full) {
            self.counts.full += 1;
            NO_SPACE
        } else if self.happens(broken) {
            self.counts.broken_writes += 1;
            BROKEN
        } else {
            return None;
        };
        Some((below(&mut self.random, len + 1), errno))
    }

    fn read_fault(&mut self) -> io::Result<()> {
        let rate = self.rates.broken_read;
        if self.happens(rate) {
            self.counts.broken_reads += 1;
            return Err(io::Error::from_raw_os_error(BROKEN));
        }
        Ok(())
    }

    fn flush_fault(&mut self) -> io::Result<()> {
        let rate = self.rates.broken_flush;
        if self.happens(rate) {
            self.counts.broken_flushes += 1;
            return Err(io::Error::from_raw_os_error(BROKEN));
        }
        Ok(())
    }

    fn write(&mut self, inode: usize, bytes: &[u8], at: u64) -> io::Result<()> {
        let at = usize::try_from(at).expect("files in memory are small");
        let was_dead = self.is_dead;
        if let Err(gone) = self.powered() {
            if !was_dead {
                // The power went in the middle of the write.
                let done = below(&mut self.random, bytes.len() + 1);
                self.inodes[inode].write(&bytes[..done], at);
            }
            return Err(gone);
        }
        if let Some((done, errno)) = self.write_fault(bytes.len()) {
            self.inodes[inode].write(&bytes[..done], at);
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.inodes[inode].write(bytes, at);
        Ok(())
    }

    fn flush(&mut self, inode: usize) -> io::Result<()> {
        self.powered()?;
        self.flush_fault()?;
        self.inodes[inode].flush();
        Ok(())
    }
}

/// A disk; clones are the same disk.
#[derive(Clone)]
pub struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Random(seed),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            rates: FaultRates::default(),
            is_full: false,
            cut_in: None,
            is_dead: false,
            counts: DiskCounts::default(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("one thread")
    }

    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Puts a file there, safe.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let inode = state.inodes.len();
        let mut content = Inode { bytes: bytes.to_vec(), ..Inode::default() };
        content.flush();
        state.inodes.push(content);
        state.names.insert(path.to_path_buf(), inode);
    }

    pub fn fail_at(&self, rates: FaultRates) {
        self.state().rates = rates;
    }

    pub fn fill_up(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// Lets the power go in one of the next operations.
    pub fn cut_within(&self, operations: u64) {
        let mut state = self.state();
        let left = state.random.below(operations.max(1));
        state.cut_in = Some(left);
    }

    /// Whether the power has gone.
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    pub fn counts(&self) -> DiskCounts {
        self.state().counts
    }

    /// The process on it has ended; the next one finds what that leaves.
    pub fn end_process(&self, end: End) {
        let mut state = self.state();
        let state = &mut *state;
        if end == End::PowerCut || state.is_dead {
            for inode in &mut state.inodes {
                let is_torn = inode.cut_power(&mut state.random);
                state.counts.torn += u64::from(is_torn);
            }
        }
        (state.is_dead, state.cut_in) = (false, None);
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    inode: usize,
}

impl Medium for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.is_dead {
            return Err(io::Error::from_raw_os_error(BROKEN));
        }
        state.read_fault()?;
        let offset = usize::try_from(offset).expect("files in memory are small");
        let rest = state.inodes[self.inode].bytes.get(offset..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.disk.state().write(self.inode, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().flush(self.inode)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.disk.state().flush(self.inode)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.powered()?;
        let len = usize::try_from(len).expect("files in memory are small");
        let inode = &mut state.inodes[self.inode];
        inode.unsettle(len);
        inode.bytes.resize(len, 0);
        Ok(())
    }
}

fn store_error(path: &Path, doing: &'static str, source: io::Error) -> StoreError {
    let file = path.to_path_buf();
    match source.raw_os_error() {
        Some(NO_SPACE) => StoreError::Full { file, why: source.to_string() },
        _ => StoreError::Io { file, doing, source },
    }
}

impl Disk for MemoryDisk {
    fn open_log(&self, path: &Path, _mode: u32) -> Result<Box<dyn Medium>, StoreError> {
        let mut state = self.state();
        state.powered().map_err(|cause| store_error(path, "open", cause))?;
        let next = state.inodes.len();
        let inode = *state.names.entry(path.to_path_buf()).or_insert(next);
        if inode == next {
            state.inodes.push(Inode::default());
        }
        Ok(Box::new(MemoryFile { disk: self.clone(), inode }))
    }

    fn replace(
        &self,
        path: &Path,
        _mode: u32,
        fill: &mut Fill<'_>,
    ) -> Result<Box<dyn Medium>, StoreError> {
        let mut bytes = Vec::new();
        fill(&mut bytes).map_err(|cause| store_error(path, "write", cause))?;
        let mut state = self.state();
        if state.powered().is_err() {
            let source = io::Error::from_raw_os_error(BROKEN);
            return Err(store_error(path, "write", source));
        }
        if let Some((_, errno)) = state.write_fault(bytes.len()) {
            return Err(store_error(path, "write", io::Error::from_raw_os_error(errno)));
        }
        if let Err(cause) = state.powered().and_then(|()| state.flush_fault()) {
            return Err(StoreError::Sync { file: path.to_path_buf(), why: cause.to_string() });
        }
        let inode = state.inodes.len();
        let mut content = Inode { bytes, ..Inode::default() };
        content.flush();
        state.inodes.push(content);
        // From here on the new file is there or not, never half of it.
        let is_renamed = state.powered().is_ok() || state.random.percent(50);
        if is_renamed {
            state.names.insert(path.to_path_buf(), inode);
        }
        drop(state);
        Ok(Box::new(MemoryFile { disk: self.clone(), inode }))
    }

    fn read_private(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self.read_small(path, u64::MAX)?.map(Zeroizing::new))
    }

    fn read_small(&self, path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let state = self.state();
        let Some(inode) = state.names.get(path) else { return Ok(None) };
        let bytes = state.inodes[*inode].bytes.clone();
        if bytes.len() as u64 > max {
            return Err(StoreError::TooLong { file: path.to_path_buf(), max });
        }
        Ok(Some(bytes))
    }

    fn set_aside(&self, path: &Path, unix_seconds: u64) -> Result<Option<PathBuf>, StoreError> {
        let mut state = self.state();
        let Some(inode) = state.names.get(path).copied() else { return Ok(None) };
        let name = path.with_extension(unix_seconds.to_string());
        state.names.insert(name.clone(), inode);
        Ok(Some(name))
    }
}
