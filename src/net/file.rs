//! `peers-<PORT>.txt`: who is known and who was removed, one a line, so that a restart changes
//! nothing. Rewritten as a whole when the list changes; lost, it costs nothing but the list. What
//! another version or a person has written in it is not lost with that.
//!
//! No address is added and removed at once: where lines say both, as they may if a person has written one,
//! the last of these holds. What was only met is no decision, so it stays removed.

use crate::primitives::{PeerAddress, UnixTime};
use crate::storage::StoreError;
use crate::storage::disk::DiskFile;
use crate::storage::files::PRIVATE_MODE;
use crate::wire::PeerRecord;
use std::collections::BTreeMap;

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
        let lines = (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty());
        let lines: Vec<_> = lines.map(|(number, text)| Line::new(number, text)).collect();
        let decided = lines.iter().filter_map(Line::decision).collect();
        let mut lost = lines.iter().filter_map(|line| {
            let why = line.take(&decided, &mut take).err()?;
            Some(format!("line {}: {why}", line.number))
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

/// A line of the file.
struct Line<'t> {
    number: usize,
    text: &'t str,
    record: Result<PeerRecord, String>,
    word: Option<Word>,
}

/// What a line says of whether a node is to be a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// A person has added it.
    Added,
    /// A person has removed it.
    Removed,
    /// It has come by itself.
    Met,
}

impl Word {
    /// `None` of what is no peer: heard of, or refused.
    fn of(record: &PeerRecord) -> Option<Self> {
        match record {
            PeerRecord { source: Some(_), .. } => None,
            PeerRecord { removed: true, .. } => Some(Self::Removed),
            PeerRecord { refused_until: UnixTime(1..), .. } => None,
            PeerRecord { manual: true, .. } => Some(Self::Added),
            PeerRecord { .. } => Some(Self::Met),
        }
    }
}

impl<'t> Line<'t> {
    fn new(number: usize, text: &'t str) -> Self {
        let record = PeerRecord::from_json(text).map_err(|error| error.to_string());
        let word = record.as_ref().ok().and_then(Word::of);
        Self { number, text, record, word }
    }

    /// What a person has decided by it, and on which node.
    fn decision(&self) -> Option<(&PeerAddress, &Self)> {
        let is_decision = matches!(self.word, Some(Word::Added | Word::Removed));
        is_decision.then_some((&self.record.as_ref().ok()?.node, self))
    }

    /// Hands it over, unless the last decision on the same node is another.
    fn take(
        &self,
        decided: &BTreeMap<&PeerAddress, &Self>,
        take: &mut impl FnMut(&PeerRecord) -> Result<(), String>,
    ) -> Result<(), String> {
        let record = self.record.as_ref().map_err(String::clone)?;
        if let Some(word) = self.word
            && let Some(last) = decided.get(&record.node)
            && (last.word == Some(Word::Removed)) != (word == Word::Removed)
        {
            return Err(format!("line {} decides otherwise on {}", last.number, record.node));
        }
        take(record)?;
        if record.to_json() != self.text {
            return Err("it says more than this version understands, or in another form".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::table::{Table, Times};
    use std::time::Duration;

    const ADDED: &str = r#"{"node":"N","manual":true,"removed":false,"last_seen":0}"#;
    const REMOVED: &str = r#"{"node":"N","manual":false,"removed":true,"last_seen":0}"#;
    const MET: &str = r#"{"node":"N","manual":false,"removed":false,"last_seen":7}"#;
    const HEARD: &str =
        r#"{"node":"N","manual":false,"removed":false,"last_seen":0,"source":"192.0.0.0"}"#;

    /// Checks what a file with these lines comes to, and whether it is set aside before that is written.
    fn check(lines: &[(&str, &str)], expected: &[(&str, &str)], is_lost: bool) {
        let text = |lines: &[(&str, &str)]| -> String {
            lines.iter().map(|(form, node)| form.replace('N', node) + "\n").collect()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers-1.txt");
        std::fs::write(&path, text(lines)).unwrap();
        let times = Times { unix: UnixTime(1_000), monotonic: Duration::from_secs(1) };
        let mut table = Table::new(1, Duration::from_secs(10));
        let mut file = PeersFile::new(path.as_path().into());
        let take = |record: &PeerRecord| match record.source {
            Some(_) => Ok(()),
            None => table.restore(record, times).map_err(str::to_owned),
        };
        file.load(take).unwrap();
        file.save(&table.records(times), times.unix).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text(expected), "{lines:?}");
        let files = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 1 + usize::from(is_lost), "{lines:?}");
    }

    #[test]
    fn of_a_node_that_is_added_and_removed_the_last_line_holds() {
        let (node, other) = ("192.0.2.7:5000", "192.0.2.7:5001");
        check(&[(ADDED, node), (REMOVED, node)], &[(REMOVED, node)], true);
        check(&[(REMOVED, node), (ADDED, node)], &[(ADDED, node)], true);
        check(&[(REMOVED, node), (ADDED, node), (REMOVED, node)], &[(REMOVED, node)], true);
        check(&[(ADDED, node), (REMOVED, node), (ADDED, node)], &[(ADDED, node)], true);
        // What has come by itself changes nothing of what a person has decided.
        check(&[(REMOVED, node), (MET, node)], &[(REMOVED, node)], true);
        check(&[(MET, node), (REMOVED, node)], &[(REMOVED, node)], true);
        // No two decisions.
        check(&[(ADDED, node), (ADDED, node)], &[(ADDED, node)], false);
        check(&[(REMOVED, node), (REMOVED, node)], &[(REMOVED, node)], false);
        check(&[(HEARD, node), (REMOVED, node)], &[(REMOVED, node)], false);
        check(&[(REMOVED, other), (ADDED, node)], &[(ADDED, node), (REMOVED, other)], false);
    }
}
