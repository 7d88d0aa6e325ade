//! Names of the files, and small files that are there as a whole or not at all.
//!
//! Every replacement is: a temporary file beside the target, made afresh and with the final mode,
//! written, flushed, renamed, and the directory flushed. A crash at any point leaves the old file
//! or the new one; a temporary file that a crash left is replaced by the next attempt.
//!
//! Symbolic links at the last part of a path are never followed: in a directory that others can
//! write to, a link would aim our writing, and our secrets, at a file of their choice.

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::StoreError;

/// The most a private file may hold, in bytes: a key file or token has a few hundred.
pub const PRIVATE_MAX: u64 = 64 * 1024;
/// The mode of a file with a secret in it.
pub const PRIVATE_MODE: u32 = 0o600;
/// The mode of a file that anyone may read.
pub const PUBLIC_MODE: u32 = 0o644;
/// How many files set aside in the same second find a name: more than one is already unusual.
const SAME_SECOND_MAX: u32 = 1000;

/// Replacements go one at a time, or two for one path would share a temporary file. They are rare
/// and small.
static REPLACING: Mutex<()> = Mutex::new(());

/// The directory and port that name a node's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir {
    /// The directory all files lie in.
    pub dir: PathBuf,
    /// The port the node listens on: the real one, if 0 was asked for.
    pub port: u16,
}

impl DataDir {
    /// The files of the node on `port` in `dir`. A missing directory is created, for its owner
    /// alone.
    ///
    /// # Errors
    /// If the directory cannot be created.
    pub fn open(dir: &Path, port: u16) -> Result<Self, StoreError> {
        if !dir.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(|cause| StoreError::from_io(dir, "create", cause))?;
            sync_directory_of(dir)?;
        }
        let dir = dir.to_path_buf();
        Ok(Self { dir, port })
    }

    /// The block log.
    pub fn blockchain(&self) -> PathBuf {
        self.named("blockchain")
    }

    /// The wallet's keys: private.
    pub fn wallet(&self) -> PathBuf {
        self.named("wallet")
    }

    /// The journal of pending transfers.
    pub fn mempool(&self) -> PathBuf {
        self.named("mempool")
    }

    /// The peers to come back to.
    pub fn peers(&self) -> PathBuf {
        self.named("peers")
    }

    /// The token that opens the wallet's routes: private.
    pub fn token(&self) -> PathBuf {
        self.named("token")
    }

    /// The file whose lock keeps a second process away.
    pub fn lock(&self) -> PathBuf {
        self.named("lock")
    }

    fn named(&self, what: &str) -> PathBuf {
        self.dir.join(format!("{what}-{}.txt", self.port))
    }
}

/// Replaces the file at `path`, or creates it, in one step that survives a power cut. `mode` holds
/// whatever the umask is.
///
/// # Errors
/// The old file is untouched, except after [`StoreError::Sync`], when either may be there.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    replace_with(path, mode, &mut |out| out.write_all(bytes)).map(drop)
}

/// As [`write_atomically`], with the content written by `fill`; gives the new file, open for
/// reading and writing.
pub(super) fn replace_with(
    path: &Path,
    mode: u32,
    fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<File, StoreError> {
    let _one_at_a_time = REPLACING.lock().unwrap_or_else(PoisonError::into_inner);
    let (temporary, file) = write_beside(path, mode, fill)?;
    if let Err(cause) = fs::rename(&temporary, path) {
        remove_quietly(&temporary);
        return Err(StoreError::from_io(path, "replace", cause));
    }
    sync_directory_of(path)?;
    Ok(file)
}

/// Creates the file at `path` in one step that survives a power cut, and never overwrites.
///
/// # Errors
/// [`StoreError::Exists`] if anything is there already, even a dangling link.
pub fn create_new_durably(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let _one_at_a_time = REPLACING.lock().unwrap_or_else(PoisonError::into_inner);
    if path.symlink_metadata().is_ok() {
        let file = path.to_path_buf();
        return Err(StoreError::Exists { file });
    }
    let (temporary, _file) = write_beside(path, mode, &mut |out| out.write_all(bytes))?;
    let moved = rename_without_overwriting(&temporary, path);
    if moved.is_err() {
        remove_quietly(&temporary);
    }
    moved?;
    sync_directory_of(path)
}

/// Gives the file at `path` a second name that carries the date and time `unix_seconds` (UTC), as
/// `wallet-5000.2026-11-22-164711.txt` for `wallet-5000.txt`; never over another file. The first
/// name stays, so that there is no moment without it, and [`write_atomically`] may replace it. Only
/// what cannot have two names (a directory, a file system without links) is moved. Gives the new
/// name, or none if there was no file.
///
/// # Errors
/// If the second name could not be made durable.
pub fn set_aside(path: &Path, unix_seconds: u64) -> Result<Option<PathBuf>, StoreError> {
    let stamp = dated(unix_seconds);
    for attempt in 1..=SAME_SECOND_MAX {
        let target = match attempt {
            1 => with_part(path, &stamp),
            again => with_part(path, &format!("{stamp}-{again}")),
        };
        match link_or_move(path, &target) {
            Ok(()) => {
                sync_directory_of(path)?;
                return Ok(Some(target));
            }
            Err(StoreError::Exists { .. }) => {}
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(other) => return Err(other),
        }
    }
    let file = with_part(path, &stamp);
    Err(StoreError::Exists { file })
}

fn link_or_move(from: &Path, to: &Path) -> Result<(), StoreError> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            Err(StoreError::Exists { file: to.to_path_buf() })
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::from_io(from, "link", cause))
        }
        Err(_) => rename_without_overwriting(from, to),
    }
}

/// Reads a file with a secret in it, which is wiped from memory when dropped; none if there is no
/// such file.
///
/// # Errors
/// [`StoreError::NotPlain`] for a link or device, [`StoreError::Exposed`] if group or others have
/// any right to it, [`StoreError::TooLong`] beyond [`PRIVATE_MAX`].
pub fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let Some(file) = open_existing(path)? else {
        return Ok(None);
    };
    let details = file.metadata().map_err(|cause| StoreError::from_io(path, "look at", cause))?;
    let mode = details.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let file = path.to_path_buf();
        return Err(StoreError::Exposed { file, mode });
    }
    read_bounded(path, &file, PRIVATE_MAX).map(Some)
}

/// Reads a small public file of at most `max` bytes; none if there is no such file.
///
/// # Errors
/// [`StoreError::NotPlain`] for a link or device, [`StoreError::TooLong`] beyond `max`.
pub fn read_small(path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(file) = open_existing(path)? else {
        return Ok(None);
    };
    let mut bytes = read_bounded(path, &file, max)?;
    Ok(Some(std::mem::take(&mut *bytes)))
}

/// Opens what must be a plain file, without following a link and without waiting for the other
/// end of a pipe.
pub(super) fn open_plain(path: &Path, options: &mut OpenOptions) -> Result<File, StoreError> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("open flags are small numbers");
    let not_plain = || {
        let file = path.to_path_buf();
        Err(StoreError::NotPlain { file })
    };
    let file = match options.custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::IsADirectory => return not_plain(),
        Err(cause) => return Err(StoreError::from_io(path, "open", cause)),
    };
    let details = file.metadata().map_err(|cause| StoreError::from_io(path, "look at", cause))?;
    if details.is_file() { Ok(file) } else { not_plain() }
}

/// Flushes the directory that names `path`, so that a creation or renaming survives a power cut.
pub(super) fn sync_directory_of(path: &Path) -> Result<(), StoreError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let opened = File::open(directory);
    let opened = opened.map_err(|cause| StoreError::from_io(directory, "open", cause))?;
    opened.sync_all().map_err(|cause| StoreError::sync(directory, &cause))
}

fn open_existing(path: &Path) -> Result<Option<File>, StoreError> {
    match open_plain(path, OpenOptions::new().read(true)) {
        Ok(file) => Ok(Some(file)),
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}

/// All bytes of a file. The buffer never moves while it grows, so that wiping it wipes all.
fn read_bounded(path: &Path, file: &File, max: u64) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let failed = |cause| StoreError::from_io(path, "read", cause);
    let too_long = || StoreError::TooLong { file: path.to_path_buf(), max };
    let len = file.metadata().map_err(failed)?.len();
    if len > max {
        return Err(too_long());
    }
    let room = usize::try_from(len).map_err(|_| too_long())? + 1;
    let mut bytes = Zeroizing::new(vec![0; room]);
    let (mut file, mut filled) = (file, 0);
    while filled < room {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(failed(cause)),
        }
    }
    if filled == room {
        return Err(too_long());
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// A new, flushed file beside `path`, ready to be renamed.
fn write_beside(
    path: &Path,
    mode: u32,
    fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(PathBuf, File), StoreError> {
    let temporary = with_part(path, "new");
    match fs::remove_file(&temporary) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::from_io(&temporary, "remove", cause));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(mode);
    let file = open_plain(&temporary, &mut options)?;
    let mut write = || {
        // The umask can only take bits away at creation; this gives exactly the mode asked for.
        file.set_permissions(Permissions::from_mode(mode))?;
        let mut out = BufWriter::new(&file);
        fill(&mut out)?;
        out.flush()
    };
    let written = write()
        .map_err(|cause| StoreError::from_io(&temporary, "write", cause))
        .and_then(|()| file.sync_all().map_err(|cause| StoreError::sync(&temporary, &cause)));
    match written {
        Ok(()) => Ok((temporary, file)),
        Err(error) => {
            remove_quietly(&temporary);
            Err(error)
        }
    }
}

fn rename_without_overwriting(from: &Path, to: &Path) -> Result<(), StoreError> {
    let done = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot rename that way; a hard link refuses to overwrite as well.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(from, to).and_then(|()| fs::remove_file(from))
        }
        done => done.map_err(io::Error::from),
    };
    done.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => StoreError::Exists { file: to.to_path_buf() },
        _ => StoreError::from_io(from, "rename", cause),
    })
}

/// Removes a file that only takes room: a failure here must not hide the error that led here.
fn remove_quietly(path: &Path) {
    if let Err(cause) = fs::remove_file(path) {
        log::warn!("could not remove {}: {cause}", path.display());
    }
}

/// `dir/wallet-5000.txt` with a part put before the extension: `dir/wallet-5000.<part>.txt`. The
/// name keeps its beginning and end, so that whatever ignores or protects the one does the other.
fn with_part(path: &Path, part: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(part);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// `2026-11-22-164711` for seconds since 1970, in UTC, by the civil calendar (Hinnant's
/// days-from-civil turned round; a year begins in March, so that the leap day is its last).
fn dated(unix_seconds: u64) -> String {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}-{hour:02}{minute:02}{second:02}")
}
