//! Shared by the tests of the block file: a file of known batches, and what opening one gives.

mod damage;
mod faults;
mod full_disk;
mod store;

use super::*;
use crate::storage::testing::MemoryFile;

/// A block as a test sees it: text, place, line.
type Seen = (String, BodyRef, u64);

fn genesis() -> BlockHash {
    BlockHash::from_bytes([0x5a; 32])
}

fn open(file: &MemoryFile) -> (Result<Opened, StoreError>, Vec<Seen>) {
    let mut seen = Vec::new();
    let log = Log::new(Box::new(file.clone()), Path::new("blockchain-5000.txt"), 0);
    let opened = TextStore::from_log(log, &genesis(), &mut |block| {
        seen.push((block.json.to_owned(), block.body, block.line));
        Ok(())
    });
    (opened, seen)
}

/// Opens a file of these bytes and expects to be let in.
fn open_good(file: &MemoryFile) -> (TextStore, Replayed, Vec<Seen>) {
    let (opened, seen) = open(file);
    let opened = opened.unwrap_or_else(|error| panic!("refused: {error}"));
    (opened.store, opened.replayed, seen)
}

/// The line in which a file of these bytes is damaged, or none if it is let in.
fn damaged_line(bytes: &[u8]) -> Option<u64> {
    match open(&MemoryFile::with(bytes)).0 {
        Ok(_) => None,
        Err(StoreError::Damaged { line, .. }) => Some(line),
        Err(other) => panic!("neither good nor damaged: {other}"),
    }
}

/// A file with these batches committed.
fn file_of(batches: &[&[&str]]) -> MemoryFile {
    let file = MemoryFile::default();
    let (mut store, ..) = open_good(&file);
    for batch in batches {
        for json in *batch {
            store.stage(json);
        }
        store.commit().unwrap();
    }
    file
}

/// Batches with bytes that one changed bit turns into a line break: `*`, `J` and a part of `Ê`.
const BATCHES: &[&[&str]] = &[
    &["{\"memo\":\"* J Ê\"}"],
    &["{\"a\":1}", "{\"b\":[{},{}]}", "{}"],
    &["{\"memo\":\"*J*\"}"],
    &["{\"tx\":{\"to\":\"J\"}}", "{\"last\":{\"x\":\"Ê*\"}}"],
];

fn line_breaks(bytes: &[u8]) -> Vec<usize> {
    let at = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    at.map(|(at, _)| at).collect()
}

/// How many blocks, in whole batches, a file of [`BATCHES`] still has when only `lines` lines of
/// it are whole, and how many lines those batches and the first line take.
fn whole(lines: usize) -> (usize, usize) {
    let mut blocks = 0;
    for batch in BATCHES {
        if 1 + blocks + batch.len() > lines {
            break;
        }
        blocks += batch.len();
    }
    (blocks, 1 + blocks)
}
