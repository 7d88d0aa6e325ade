//! One process per data directory and port.
//!
//! The lock is the kernel's, on an open file: it goes with the process, however that ends, so
//! there is nothing to clean up after a crash. The file itself stays; removing it would let two
//! processes lock two different files of one name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::files;

/// Bytes of the lock file that are looked at: a process id has at most 10 digits.
const PID_MAX: u64 = 16;

/// The right to use a data directory and port, held until dropped.
#[derive(Debug)]
pub struct ProcessLock {
    _held: File,
    path: PathBuf,
}

impl ProcessLock {
    /// Takes the lock or says who seems to have it. Never waits.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process (or another lock of this one) holds it.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = files::open_plain(path, &mut options)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let (file, pid) = (path.to_path_buf(), noted_pid(&mut file));
                return Err(StoreError::Locked { file, pid });
            }
            Err(TryLockError::Error(cause)) => {
                return Err(StoreError::from_io(path, "lock", cause));
            }
        }
        let note = |mut file: &File| {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())
        };
        if let Err(cause) = note(&file) {
            // The note is a hint for people; a full disk must not keep a node from starting.
            log::warn!("could not note the process id in {}: {cause}", path.display());
        }
        let path = path.to_path_buf();
        Ok(Self { _held: file, path })
    }

    /// The locked file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn noted_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_second_locker_is_refused_with_the_file_and_the_process_that_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock-5000.txt");
        fs::write(&path, "99999999999 left by a crash").unwrap();
        let held = ProcessLock::take(&path).unwrap();
        assert_eq!(held.path(), path);
        let error = ProcessLock::take(&path).unwrap_err();
        assert_eq!(error.code(), "already-running");
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        drop(held);
        ProcessLock::take(&path).unwrap();
        assert!(path.exists());
    }

    #[test]
    fn the_other_port_of_the_same_directory_is_another_lock() {
        let dir = tempfile::tempdir().unwrap();
        let _one = ProcessLock::take(&dir.path().join("lock-5000.txt")).unwrap();
        let _two = ProcessLock::take(&dir.path().join("lock-5001.txt")).unwrap();
    }

    #[test]
    fn of_a_hundred_lockers_at_once_exactly_one_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock-5000.txt");
        let start = std::sync::Barrier::new(100);
        let held: Vec<_> = std::thread::scope(|scope| {
            let take = || {
                start.wait();
                ProcessLock::take(&path)
            };
            let threads: Vec<_> = (0..100).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(held.iter().filter(|lock| lock.is_ok()).count(), 1);
    }

    #[test]
    fn a_link_in_place_of_the_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (target, path) = (dir.path().join("target"), dir.path().join("lock-5000.txt"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &path).unwrap();
        assert_eq!(ProcessLock::take(&path).unwrap_err().code(), "not-a-plain-file");
        assert_eq!(fs::read(&target).unwrap(), b"precious");
    }
}
