//! Why storage failed: one enum for the whole layer, a variant for each thing a caller can tell
//! apart.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Why something could not be stored or read back.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, the quota or the largest file size is used up. Nothing of the batch was kept and
    /// the store stays usable: the same call may succeed once there is room.
    #[error("no room left for {}: {why}", .file.display())]
    Full {
        /// The file that could not grow.
        file: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A flush failed, now or earlier. The kernel may have dropped what was written, so nothing
    /// can be promised any more: the store is finished and so should be the process.
    #[error("{} could not be flushed to disk, so nothing more is stored: {why}", .file.display())]
    Sync {
        /// The file whose flush failed.
        file: PathBuf,
        /// What the system said the first time.
        why: String,
    },
    /// A line is not what was stored.
    #[error("{} is damaged in line {line}: {why}", .file.display())]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// The damaged line, the first line being 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The file was written by another version of the format.
    #[error("{} has format {found}, this program reads format {known}", .file.display())]
    Format {
        /// The file in question.
        file: PathBuf,
        /// The format it names.
        found: u64,
        /// The format this program reads and writes.
        known: u64,
    },
    /// The file belongs to another chain.
    #[error("{} belongs to the chain of genesis {found}, expected {expected}", .file.display())]
    Genesis {
        /// The file in question.
        file: PathBuf,
        /// The genesis hash it names.
        found: String,
        /// The genesis hash of our chain.
        expected: String,
    },
    /// The caller wanted to store what cannot be stored; nothing was written.
    #[error("{} cannot hold this: {why}", .file.display())]
    Refused {
        /// The file it was meant for.
        file: PathBuf,
        /// Which bound it breaks.
        why: String,
    },
    /// No block is stored there: the reference is of another store, or its batch was dropped.
    #[error("{} holds no block at byte {offset}", .file.display())]
    Missing {
        /// The file that was asked.
        file: PathBuf,
        /// Where a payload was expected.
        offset: u64,
    },
    /// Another process holds the data directory and port.
    #[error("another node already runs here: {} is locked{}", .file.display(), pid_hint(*.pid))]
    Locked {
        /// The lock file.
        file: PathBuf,
        /// The process noted in it: a hint, it may be out of date.
        pid: Option<u32>,
    },
    /// There is a symbolic link, a directory or a device where a plain file is expected.
    #[error("{} is not a plain file: links and devices are not followed here", .file.display())]
    NotPlain {
        /// The path in question.
        file: PathBuf,
    },
    /// A secret can be read or changed by others.
    #[error("{} is open to other users (mode {mode:04o}), expected 0600: run chmod 600", .file.display())]
    Exposed {
        /// The file with the secret.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A small file is larger than anything this program writes there.
    #[error("{} is longer than {max} bytes", .file.display())]
    TooLong {
        /// The file in question.
        file: PathBuf,
        /// The most it may hold, in bytes.
        max: u64,
    },
    /// A file that must not be overwritten is already there.
    #[error("{} already exists and is not overwritten", .file.display())]
    Exists {
        /// The file in the way.
        file: PathBuf,
    },
    /// The system refused something else.
    #[error("could not {doing} {}: {source}", .file.display())]
    Io {
        /// The file in question.
        file: PathBuf,
        /// What was tried, as a verb: "open", "write".
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn pid_hint(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (by process {pid}, it says)"))
}

impl StoreError {
    /// The stable name of the error, as the API shows it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "disk-full",
            Self::Sync { .. } => "flush-failed",
            Self::Damaged { .. } => "file-damaged",
            Self::Format { .. } => "file-format",
            Self::Genesis { .. } => "foreign-genesis",
            Self::Refused { .. } => "not-storable",
            Self::Missing { .. } => "block-missing",
            Self::Locked { .. } => "already-running",
            Self::NotPlain { .. } => "not-a-plain-file",
            Self::Exposed { .. } => "file-exposed",
            Self::TooLong { .. } => "file-too-long",
            Self::Exists { .. } => "file-exists",
            Self::Io { .. } => "storage-failed",
        }
    }

    /// Whether the store is finished, so that the process should end: a flush failed.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Sync { .. })
    }

    /// The error for a failed system call that was not a flush.
    pub(super) fn from_io(file: &Path, doing: &'static str, source: io::Error) -> Self {
        let file = file.to_path_buf();
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => {
                let why = source.to_string();
                Self::Full { file, why }
            }
            Some(Errno::LOOP) => Self::NotPlain { file },
            _ => Self::Io { file, doing, source },
        }
    }

    /// The error for a failed flush.
    pub(super) fn sync(file: &Path, source: &io::Error) -> Self {
        Self::Sync { file: file.to_path_buf(), why: source.to_string() }
    }

    /// The error for a line that is not what was stored.
    pub(super) fn damaged(file: &Path, line: u64, why: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_path_buf(), line, why: why.into() }
    }

    /// The error for something that breaks a bound of the file.
    pub(super) fn refused(file: &Path, why: impl Into<String>) -> Self {
        Self::Refused { file: file.to_path_buf(), why: why.into() }
    }
}
