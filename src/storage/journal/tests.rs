//! Journals keep what was committed, forgive what was damaged, and stay bounded.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use std::path::PathBuf;

const BOUNDS: Bounds = Bounds { entry_bytes_max: 100, entries_max: 10 };

fn load_at(path: &Path) -> (Journal, Vec<String>, u64) {
    let mut entries = Vec::new();
    let loaded = Journal::open(path, BOUNDS, &mut |entry| entries.push(entry.to_owned())).unwrap();
    (loaded.journal, entries, loaded.dropped)
}

/// A journal file with these entries, one batch.
fn journal_of(entries: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mempool-5000.txt");
    let (mut journal, ..) = load_at(&path);
    for entry in entries {
        journal.stage(entry).unwrap();
    }
    journal.commit().unwrap();
    (dir, path)
}

const ENTRIES: &[&str] = &["{\"n\":1}", "{\"memo\":\"*J Ê\"}", "{\"n\":3}"];

#[test]
fn what_was_committed_is_loaded_in_order_and_what_was_discarded_is_not() {
    let (_dir, path) = journal_of(ENTRIES);
    let (mut journal, entries, dropped) = load_at(&path);
    assert_eq!((entries.as_slice(), dropped), (ENTRIES.map_owned().as_slice(), 0));
    journal.stage("{\"never\":1}").unwrap();
    journal.discard();
    journal.stage("{\"n\":4}").unwrap();
    journal.commit().unwrap();
    journal.commit().unwrap();
    journal.stage("{\"staged\":1}").unwrap();
    assert_eq!((journal.entries(), journal.bytes()), (4, fs::metadata(&path).unwrap().len()));
    let (_, entries, _) = load_at(&path);
    assert_eq!(entries[3..], ["{\"n\":4}"]);
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for [&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|entry| (*entry).to_owned()).collect()
    }
}

#[test]
fn a_journal_cut_at_any_byte_keeps_its_whole_lines_and_goes_on_after_them() {
    let (_dir, path) = journal_of(ENTRIES);
    let bytes = fs::read(&path).unwrap();
    for cut_at in 0..=bytes.len() {
        fs::write(&path, &bytes[..cut_at]).unwrap();
        let (mut journal, entries, dropped) = load_at(&path);
        let whole = bytes[..cut_at].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(entries, ENTRIES[..whole].map_owned(), "cut at {cut_at}");
        let torn = cut_at > 0 && bytes[cut_at - 1] != b'\n';
        assert_eq!(dropped, u64::from(torn), "cut at {cut_at}");
        journal.stage("{\"new\":1}").unwrap();
        journal.commit().unwrap();
        let (_, entries, dropped) = load_at(&path);
        assert_eq!((entries.len(), dropped), (whole + 1, 0), "cut at {cut_at}");
    }
}

#[test]
fn a_flipped_bit_costs_at_most_the_lines_it_touches_and_invents_none() {
    let (_dir, path) = journal_of(ENTRIES);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let log =
                Log::new(Box::new(crate::storage::testing::MemoryFile::with(&flipped)), &path, 0);
            let mut entries = Vec::new();
            let found = load(&log, BOUNDS, &mut |entry| entries.push(entry.to_owned())).unwrap();
            assert!(found.dropped > 0, "bit {bit} of byte {at}");
            assert!(entries.iter().all(|entry| ENTRIES.contains(&entry.as_str())));
            let glued = bytes[at] == b'\n' && at + 1 < bytes.len();
            assert_eq!(entries.len(), if glued { 1 } else { 2 }, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn entries_too_long_too_many_or_in_two_lines_are_refused_and_the_journal_goes_on() {
    let (_dir, path) = journal_of(&[]);
    let (mut journal, ..) = load_at(&path);
    let too_long = "x".repeat(101);
    for bad in [too_long.as_str(), "two\nlines"] {
        assert_eq!(journal.stage(bad).unwrap_err().code(), "not-storable");
        assert_eq!(journal.rewrite([bad]).unwrap_err().code(), "not-storable");
    }
    for _ in 0..10 {
        journal.stage(&too_long[..100]).unwrap();
    }
    assert_eq!(journal.stage("{}").unwrap_err().code(), "not-storable");
    journal.commit().unwrap();
    assert_eq!(journal.stage("{}").unwrap_err().code(), "not-storable");
    journal.rewrite(["{}"]).unwrap();
    journal.stage("{}").unwrap();
    journal.commit().unwrap();
    assert_eq!(load_at(&path).1, ["{}", "{}"]);
}

#[test]
fn lines_too_long_or_too_many_in_a_file_are_dropped_without_being_held() {
    let (_dir, path) = journal_of(ENTRIES);
    let good = fs::read(&path).unwrap();
    let long = vec![b'a'; 300_000];
    let file = [&long[..], b"\n", &good, &long, b"\n", &good, &good, &good, &long].concat();
    fs::write(&path, file).unwrap();
    let (journal, entries, dropped) = load_at(&path);
    assert_eq!((entries.len(), journal.entries()), (10, 10));
    assert_eq!(dropped, 3 + 2, "three long lines, one of them torn, and two good ones too many");
}

#[test]
fn a_rewrite_replaces_the_file_and_keeps_the_batch_that_is_staged() {
    let (_dir, path) = journal_of(ENTRIES);
    let (mut journal, ..) = load_at(&path);
    journal.stage("{\"staged\":1}").unwrap();
    journal.rewrite(ENTRIES[1..2].iter()).unwrap();
    assert_eq!((journal.entries(), journal.bytes()), (1, fs::metadata(&path).unwrap().len()));
    journal.commit().unwrap();
    let (_, entries, dropped) = load_at(&path);
    assert_eq!((entries, dropped), ([ENTRIES[1], "{\"staged\":1}"].map_owned(), 0));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_rewrite_that_fails_leaves_the_journal_as_it_was() {
    let (dir, path) = journal_of(ENTRIES);
    let (mut journal, ..) = load_at(&path);
    let in_the_way = dir.path().join("mempool-5000.new.txt");
    fs::create_dir(&in_the_way).unwrap();
    assert!(!journal.rewrite(["{}"]).unwrap_err().is_fatal());
    fs::remove_dir(&in_the_way).unwrap();
    journal.stage("{}").unwrap();
    journal.commit().unwrap();
    assert_eq!(load_at(&path).1.len(), 4);
}

#[test]
fn a_link_in_place_of_the_journal_is_refused() {
    let (dir, path) = journal_of(&[]);
    let link = dir.path().join("mempool-5001.txt");
    symlink(&path, &link).unwrap();
    let error = Journal::open(&link, BOUNDS, &mut |_| ()).err().unwrap();
    assert_eq!(error.code(), "not-a-plain-file");
}
