//! `peers-<PORT>.txt`: who is known and who was removed, one a line, so that a restart changes
//! nothing. Rewritten as a whole when the list changes; lost, it costs nothing but the list.

use crate::storage::StoreError;
use crate::storage::disk::DiskFile;
use crate::storage::files::PRIVATE_MODE;
use crate::wire::PeerRecord;

/// Bytes of the longest file that is read: all peers and all that were removed, with the longest
/// names, and a full address book fill half of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file of peers.
pub struct PeersFile(DiskFile);

impl PeersFile {
    /// The list in `file`, which need not be there.
    pub fn new(file: DiskFile) -> Self {
        Self(file)
    }

    /// What the file says; lines that say nothing are left out, and the log tells of them.
    ///
    /// # Errors
    /// If there is something at its place that is not such a file.
    pub fn load(&self) -> Result<Vec<PeerRecord>, StoreError> {
        let bytes = self.0.read_small(FILE_BYTES_MAX)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut records = Vec::new();
        for (number, line) in text.lines().enumerate() {
            match PeerRecord::from_json(line) {
                Ok(record) => records.push(record),
                Err(error) => {
                    log::warn!("{}: line {}: {error}", self.0.path().display(), number + 1);
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
        self.0.replace(lines.as_bytes(), PRIVATE_MODE)
    }
}
