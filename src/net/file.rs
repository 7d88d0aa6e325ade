//! `peers-<PORT>.txt`: who is known and who was removed, one a line, so that a restart changes
//! nothing. Rewritten as a whole when the list changes; lost, it costs nothing but the list.

use crate::storage::StoreError;
use crate::storage::files::{PRIVATE_MODE, read_small, write_atomically};
use crate::wire::PeerRecord;
use std::path::{Path, PathBuf};

/// Bytes of the longest file that is read: all peers and all that were removed, with the longest
/// names, fill a third of it.
const FILE_BYTES_MAX: u64 = 512 << 10;

/// The file of peers.
pub struct PeersFile(PathBuf);

impl PeersFile {
    /// The file at `path`, which need not be there.
    pub fn at(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// What the file says; lines that say nothing are left out, and the log tells of them.
    ///
    /// # Errors
    /// If there is something at its place that is not such a file.
    pub fn load(&self) -> Result<Vec<PeerRecord>, StoreError> {
        let bytes = read_small(&self.0, FILE_BYTES_MAX)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut records = Vec::new();
        for (number, line) in text.lines().enumerate() {
            match PeerRecord::from_json(line) {
                Ok(record) => records.push(record),
                Err(error) => {
                    log::warn!("{}: line {}: {error}", self.0.display(), number + 1);
                }
            }
        }
        Ok(records)
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// If it could not be written; the old one is then still there.
    pub fn save(&self, records: &[PeerRecord]) -> Result<(), StoreError> {
        let lines: String = records.iter().map(|record| record.to_json() + "\n").collect();
        write_atomically(&self.0, lines.as_bytes(), PRIVATE_MODE)
    }
}
