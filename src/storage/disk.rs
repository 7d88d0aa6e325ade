//! Where the files of a node lie: on the file system, or on whatever stands in for it.
//!
//! Owns nothing but the few operations that storage needs of a disk. Everything above them (lines,
//! checksums, batches, cutting back) is the same code on every disk.

use super::append::Medium;
use super::{StoreError, files};
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Writes the content of a file that replaces another.
pub type Fill<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// What storage needs of a disk; paths are names to it.
pub trait Disk: Send + Sync {
    /// Opens a log for reading and writing, creating it if it is missing; the name is durable.
    ///
    /// # Errors
    /// [`StoreError::NotPlain`] for a link or device, and what the system says.
    fn open_log(&self, path: &Path, mode: u32) -> Result<Box<dyn Medium>, StoreError>;

    /// Replaces the file, or creates it, in one step that survives a power cut; gives the new file.
    ///
    /// # Errors
    /// The old file is untouched, except after [`StoreError::Sync`], when either may be there.
    fn replace(
        &self,
        path: &Path,
        mode: u32,
        fill: &mut Fill<'_>,
    ) -> Result<Box<dyn Medium>, StoreError>;

    /// Reads a file with a secret in it; none if there is no such file.
    ///
    /// # Errors
    /// As [`files::read_private`].
    fn read_private(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Reads a small public file of at most `max` bytes; none if there is no such file.
    ///
    /// # Errors
    /// As [`files::read_small`].
    fn read_small(&self, path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Gives the file a second name that carries the time; gives that name, or none if there was
    /// no file.
    ///
    /// # Errors
    /// As [`files::set_aside`].
    fn set_aside(&self, path: &Path, unix_seconds: u64) -> Result<Option<PathBuf>, StoreError>;
}

/// The file system.
#[derive(Clone, Copy, Debug)]
pub struct FileSystem;

impl Disk for FileSystem {
    fn open_log(&self, path: &Path, mode: u32) -> Result<Box<dyn Medium>, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = files::open_plain(path, options.mode(mode))?;
        files::sync_directory_of(path)?;
        Ok(Box::new(file))
    }

    fn replace(
        &self,
        path: &Path,
        mode: u32,
        fill: &mut Fill<'_>,
    ) -> Result<Box<dyn Medium>, StoreError> {
        Ok(Box::new(files::replace_with(path, mode, fill)?))
    }

    fn read_private(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        files::read_private(path)
    }

    fn read_small(&self, path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        files::read_small(path, max)
    }

    fn set_aside(&self, path: &Path, unix_seconds: u64) -> Result<Option<PathBuf>, StoreError> {
        files::set_aside(path, unix_seconds)
    }
}

/// A file by its name on a disk. It need not be there.
#[derive(Clone)]
pub struct DiskFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl DiskFile {
    /// The file of this name on `disk`.
    pub fn on(disk: &Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk: disk.clone(), path }
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`Disk::open_log`].
    pub(super) fn open_log(&self, mode: u32) -> Result<Box<dyn Medium>, StoreError> {
        self.disk.open_log(&self.path, mode)
    }

    /// As [`Disk::replace`].
    pub(super) fn replace_with(
        &self,
        mode: u32,
        fill: &mut Fill<'_>,
    ) -> Result<Box<dyn Medium>, StoreError> {
        self.disk.replace(&self.path, mode, fill)
    }

    /// Replaces the file by `bytes`, or creates it.
    ///
    /// # Errors
    /// As [`Disk::replace`].
    pub fn replace(&self, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
        self.replace_with(mode, &mut |out| out.write_all(bytes)).map(drop)
    }

    /// Reads it if it holds a secret.
    ///
    /// # Errors
    /// As [`Disk::read_private`].
    pub fn read_private(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.disk.read_private(&self.path)
    }

    /// Reads it if it is small and public.
    ///
    /// # Errors
    /// As [`Disk::read_small`].
    pub fn read_small(&self, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.disk.read_small(&self.path, max)
    }

    /// Gives it a second, dated name.
    ///
    /// # Errors
    /// As [`Disk::set_aside`].
    pub fn set_aside(&self, unix_seconds: u64) -> Result<Option<PathBuf>, StoreError> {
        self.disk.set_aside(&self.path, unix_seconds)
    }
}

impl From<&Path> for DiskFile {
    /// The file at a path of the file system.
    fn from(path: &Path) -> Self {
        Self { disk: Arc::new(FileSystem), path: path.to_path_buf() }
    }
}

impl fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}
