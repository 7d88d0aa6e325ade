//! `peers-<PORT>.txt`: who is known and who was removed, one a line, so that a restart changes
//! nothing. Rewritten as a whole when the list changes; lost, it costs nothing but the list. What
//! another version or a person has written in it is not lost with that.

use crate::primitives::UnixTime;
use crate::storage::StoreError;
use crate::storage::disk::DiskFile;
use crate::storage::files::PRIVATE_MODE;
use crate::wire::PeerRecord;

/// Bytes of the longest file that is read: all peers and all that were removed, with the longest
/// names, and a full address book fill half of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file of peers.
pub struct PeersFile {
    file: DiskFile,
    /// Whether a save would lose what is in it.
    is_kept: bool,
}

impl PeersFile {
    /// The list in `file`, which need not be there.
    pub fn new(file: DiskFile) -> Self {
        Self { file, is_kept: false }
    }

    /// Hands over what the file says, line by line; `take` tells why it does not take one up. Lines that
    /// the next save will not write again, such as those of a newer version, are counted in the log,
    /// and the file as it is then gets a second name before that.
    ///
    /// # Errors
    /// If there is something at its place that is not such a file.
    pub fn load(
        &mut self,
        mut take: impl FnMut(&PeerRecord) -> Result<(), String>,
    ) -> Result<(), StoreError> {
        self.is_kept = true;
        let bytes = self.file.read_small(FILE_BYTES_MAX)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let mut lost = lines.filter_map(|(number, line)| {
            let why = take_line(line, &mut take).err()?;
            Some(format!("line {}: {why}", number + 1))
        });
        let first = lost.next();
        let count = lost.count();
        self.is_kept = first.is_some();
        if let Some(first) = first {
            log::warn!(
                "{}: lines that this version does not keep as they are: {}, so the file is set aside \
                 before it is written again; {first}",
                self.file.path().display(),
                count + 1,
            );
        }
        Ok(())
    }

    /// Replaces the file; one that says more than was read has a second name before that.
    ///
    /// # Errors
    /// If it could not be written; the old one is then still there.
    pub fn save(&mut self, records: &[PeerRecord], now: UnixTime) -> Result<(), StoreError> {
        if self.is_kept {
            if let Some(kept) = self.file.set_aside(now.0.into())? {
                log::info!("the list of peers as it was is in {}", kept.display());
            }
            self.is_kept = false;
        }
        let lines: String = records.iter().map(|record| record.to_json() + "\n").collect();
        self.file.replace(lines.as_bytes(), PRIVATE_MODE)
    }
}

fn take_line(
    line: &str,
    take: &mut impl FnMut(&PeerRecord) -> Result<(), String>,
) -> Result<(), String> {
    let record = PeerRecord::from_json(line).map_err(|error| error.to_string())?;
    take(&record)?;
    if record.to_json() != line {
        return Err("it says more than this version understands, or in another form".to_owned());
    }
    Ok(())
}
