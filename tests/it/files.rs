//! Damaged files: what a crash leaves is cut off, everything else is named, nothing is ever taken
//! for something else.
//!
//! The chain is a real one, made by the program. Thousands of damaged copies are opened in this
//! process, as the program opens them; a few by the program itself. `FARTHING_ALL_BITS=1` flips
//! all eight bits of each byte in place of one.

use crate::harness::{Node, Start, number_from_env, verify, wait};
use farthing::chain::Chain;
use farthing::chain::accept::Now;
use farthing::consensus::params::ChainParams;
use farthing::node::{OpenError, Opened, Opening, VerifyError, open, verify as verify_file};
use farthing::primitives::{BlockHash, Hash256, Height, UnixTime};
use farthing::storage::StoreError;
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The bytes in which each one is changed.
const FLIPPED_BYTES: usize = 4_096;
/// Names the files that are opened in this process.
const PORT: u16 = 5_000;

/// What the accounts and the chain come to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    height: Height,
    tip: BlockHash,
    accounts: Hash256,
}

impl State {
    fn of(chain: &Chain) -> Self {
        let accounts = chain.accounts().root();
        Self { height: chain.height(), tip: chain.tip().hash, accounts }
    }
}

/// The block file of a node that has mined, paid and been paid.
struct Sample {
    bytes: Vec<u8>,
    /// Where each batch ends, the first line included, and the state up to there.
    ends: Vec<(usize, State)>,
}

impl Sample {
    fn make() -> Self {
        let mut node = a_node_with_payments();
        let file = node.file("blockchain");
        assert!(node.stop().success());
        let bytes = fs::read(file).expect("a block file");
        let bench = Bench::new();
        let mut ends = Vec::new();
        for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            let (opened, kept) = bench.open(&bytes[..=at]).expect("whole lines are a good file");
            if kept.len() == at + 1 {
                ends.push((at + 1, opened));
            }
        }
        assert!(ends.len() >= 4 && bytes.len() > FLIPPED_BYTES, "the sample is too small");
        Self { bytes, ends }
    }

    /// The state of the last whole batch that ends at or before `len`.
    fn state_at(&self, len: usize) -> &(usize, State) {
        self.ends.iter().rev().find(|(end, _)| *end <= len).expect("the first line is whole")
    }
}

fn a_node_with_payments() -> Node {
    let node = Node::dev();
    node.create_wallet();
    let friend = "9e5bf237fc3ff4627cf4ccbd2241413fa3d5e14e5a31a9e6db948e9877762cb5";
    for amount in [1, 2, 3] {
        node.mine();
        node.send(friend, json!(amount));
        let memo = json!({"recipient": friend, "amount": 0.5, "fee": 0.01, "memo": "for tea ☕"});
        node.post("/transaction", &memo).expect(201);
    }
    node.mine();
    node
}

/// A directory in which damaged files are opened, one after the other.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        // In memory if possible: thousands of flushes to a disk are not what is tested here.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { dir: dir.expect("a temporary directory") }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(format!("blockchain-{PORT}.txt"))
    }

    /// Opens a node on these bytes; gives its state and what is then in the file.
    fn open(&self, bytes: &[u8]) -> Result<(State, Vec<u8>), OpenError> {
        fs::write(self.file(), bytes).expect("it can be written");
        // A test beside this one that starts a program has all open files, and with them the locks
        // of this one, twice for a moment.
        let opened = wait("the lock", || match self.try_open() {
            Err(OpenError::Store(StoreError::Locked { .. })) => None,
            other => Some(other),
        })?;
        let state = State::of(&opened.handle.view().chain);
        Ok((state, fs::read(self.file()).expect("the file is there")))
    }

    fn try_open(&self) -> Result<Opened, OpenError> {
        let now = Now { unix: UnixTime(u32::MAX), monotonic: Duration::ZERO };
        let opening = Opening {
            data_dir: self.dir.path().to_owned(),
            port: PORT,
            params: ChainParams::dev(),
            pool_bytes_max: 1 << 20,
            clock: Box::new(move || now),
            listeners: 0,
        };
        catch_unwind(AssertUnwindSafe(|| open(opening))).expect("it never panics")
    }

    /// Verifies these bytes; gives the state they come to.
    fn verify(&self, bytes: &[u8]) -> Result<State, VerifyError> {
        fs::write(self.file(), bytes).expect("it can be written");
        let work = || verify_file(&self.file(), ChainParams::dev(), &mut |_, _| ());
        let found = catch_unwind(AssertUnwindSafe(work)).expect("it never panics")?;
        assert_eq!(fs::read(self.file()).expect("the file is there"), bytes, "verify changed it");
        Ok(State { height: found.height, tip: found.tip, accounts: found.account_root })
    }
}

/// The line that an error names.
fn named_line(error: &StoreError) -> Option<u64> {
    match error {
        StoreError::Damaged { line, .. } => Some(*line),
        StoreError::Format { .. } | StoreError::Genesis { .. } => Some(1),
        _ => None,
    }
}

fn line_of(bytes: &[u8], at: usize) -> u64 {
    let breaks = bytes[..at].iter().filter(|byte| **byte == b'\n').count();
    u64::try_from(breaks).expect("few lines") + 1
}

#[test]
fn a_file_cut_anywhere_in_its_last_two_records_is_that_of_the_last_whole_batch() {
    let sample = Sample::make();
    let bench = Bench::new();
    let records: Vec<_> = sample.ends.iter().rev().map(|(end, _)| *end).collect();
    let (whole, from) = (records[0], records[2]);
    for len in from..=whole {
        let (end, expected) = sample.state_at(len);
        let torn = &sample.bytes[..len];
        assert_eq!(bench.verify(torn).unwrap(), *expected, "cut after {len} bytes");
        let (state, kept) = bench.open(torn).unwrap();
        assert_eq!(state, *expected, "cut after {len} bytes");
        assert_eq!(kept, sample.bytes[..*end], "cut after {len} bytes");
    }
    println!("{} cuts, each recovered", whole - from + 1);
}

#[test]
fn one_changed_bit_is_named_with_its_line_and_changes_no_file() {
    let sample = Sample::make();
    let bench = Bench::new();
    let all = number_from_env("FARTHING_ALL_BITS", 0) > 0;
    let mut cases = 0;
    for at in 0..FLIPPED_BYTES {
        for bit in if all { 0..8 } else { at % 8..at % 8 + 1 } {
            let mut bytes = sample.bytes.clone();
            bytes[at] ^= 1 << bit;
            let error = match bench.open(&bytes) {
                Err(OpenError::Store(error)) => error,
                Err(other) => panic!("byte {at}, bit {bit}: {other}"),
                Ok((state, _)) => panic!("byte {at}, bit {bit}: opened as {state:?}"),
            };
            let here = line_of(&sample.bytes, at);
            assert_eq!(named_line(&error), Some(here), "byte {at}, bit {bit}: {error}");
            assert_eq!(fs::read(bench.file()).unwrap(), bytes, "byte {at}, bit {bit}");
            match bench.verify(&bytes) {
                Err(VerifyError::Store(again)) => assert_eq!(again.to_string(), error.to_string()),
                other => panic!("byte {at}, bit {bit}: {other:?}"),
            }
            cases += 1;
        }
    }
    println!("{cases} changed bits, each named");
}

#[test]
fn a_bit_changed_in_the_last_record_is_never_taken_for_a_torn_write() {
    let sample = Sample::make();
    let bench = Bench::new();
    let (last, _) = sample.ends[sample.ends.len() - 2];
    for at in last..sample.bytes.len() {
        let mut bytes = sample.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let error = bench.open(&bytes).map(|(state, _)| state).unwrap_err();
        let OpenError::Store(error) = error else { panic!("byte {at}: {error}") };
        assert_eq!(named_line(&error), Some(line_of(&sample.bytes, at)), "byte {at}: {error}");
    }
}

#[test]
fn lines_swapped_doubled_or_missing_are_named() {
    let sample = Sample::make();
    let bench = Bench::new();
    let lines: Vec<&[u8]> = sample.bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let mut cases: Vec<(String, Vec<&[u8]>)> = Vec::new();
    for at in 0..lines.len() {
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        cases.push((format!("line {} doubled", at + 1), doubled));
        // Without its last line a file is a good, older one.
        if at + 1 < lines.len() {
            let mut missing = lines.clone();
            missing.remove(at);
            cases.push((format!("line {} missing", at + 1), missing));
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            cases.push((format!("lines {} and {} swapped", at + 1, at + 2), swapped));
        }
    }
    for (what, lines) in cases {
        match bench.open(&lines.concat()) {
            Err(OpenError::Store(error)) => {
                assert!(named_line(&error).is_some(), "{what}: {error}")
            }
            Err(other) => panic!("{what}: {other}"),
            Ok((state, _)) => panic!("{what}: opened as {state:?}"),
        }
    }
}

/// Checks that the program refuses to start in `dir`, with code 1 and one line that contains all
/// of `mentions`, and gives the line.
fn refuses(dir: &Path, port: u16, mentions: &[&str]) -> String {
    let (status, said) = Start::default().port(port).fails_in(dir);
    assert_eq!(status.code(), Some(1), "{said}");
    let complaints: Vec<_> = said.lines().filter(|line| line.starts_with("farthing: ")).collect();
    let [line] = complaints[..] else { panic!("expected one line, found: {said}") };
    for mention in mentions {
        assert!(line.contains(mention), "expected {mention:?} in: {line}");
    }
    line.to_owned()
}

#[test]
fn the_program_names_file_and_line_of_the_damage_and_so_does_verify() {
    let mut node = a_node_with_payments();
    let (file, port, tip) = (node.file("blockchain"), node.port, node.tip());
    assert!(node.stop().success());
    let good = fs::read(&file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let third = good.split_inclusive(|byte| *byte == b'\n').take(2).map(<[u8]>::len).sum::<usize>();
    for (what, at, line) in [("the first line", 30, "line 1"), ("a block", third + 300, "line 3")] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, &bad).unwrap();
        let said = refuses(node.dir(), port, &[&name, line]);
        let verified = verify(&file);
        assert_eq!(verified.status.code(), Some(1), "{what}");
        assert_eq!(String::from_utf8_lossy(&verified.stderr).trim_end(), said, "{what}");
        assert_eq!(fs::read(&file).unwrap(), bad, "{what}: the file was changed");
    }
    // A torn write is cut off, and all before it is there.
    fs::write(&file, [&good[..], b"{\"crc32c\":\"01"].concat()).unwrap();
    assert!(verify(&file).status.success());
    node.restart();
    assert_eq!(node.tip(), tip);
    assert_eq!(fs::read(&file).unwrap(), good);
}

#[test]
fn files_that_can_be_made_again_are_survived_with_a_warning() {
    for what in ["mempool", "peers"] {
        for damage in [&b"\x00\xff garbage\n\n{\"crc32c\":"[..], b"{\"crc32c\":\"00000000\"}\n"] {
            let mut node = a_node_with_payments();
            let (tip, file) = (node.tip(), node.file(what));
            assert!(node.stop().success());
            let before = node.log().len();
            fs::write(&file, damage).unwrap();
            node.restart();
            assert_eq!(node.tip(), tip, "{what}");
            let log = node.log().split_off(before);
            let name = file.file_name().unwrap().to_str().unwrap();
            let warned = log.lines().any(|line| line.contains("WARN") && line.contains(name));
            assert!(warned, "no warning about {name} in: {log}");
            assert_eq!(node.mine()["index"].as_u64(), Some(node.height()), "{what}");
        }
    }
}

#[test]
fn a_torn_pool_file_keeps_the_payments_before() {
    let mut node = a_node_with_payments();
    let friend = "f6cd55263ead221015a78b1b59b5438b65e1fd1a9718e4fddd2c2dfbd6b5b4aa";
    node.send(friend, json!(1));
    node.send(friend, json!(2));
    let waiting = node.open_transactions();
    assert!(node.stop().success());
    let file = node.file("mempool");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 40]).unwrap();
    node.restart();
    assert_eq!(node.open_transactions(), waiting[..1]);
}

/// Whoever starts a node with a wallet file means that wallet: without it the node would mine for
/// nobody, or a second wallet would be created although the first only needs another mode.
#[test]
fn a_wallet_file_that_cannot_be_used_stops_the_start_and_is_left_alone() {
    let mut node = Node::dev();
    node.create_wallet();
    let (file, port) = (node.file("wallet"), node.port);
    assert!(node.stop().success());
    let good = fs::read(&file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let mut other_key = good.clone();
    other_key[0] = if other_key[0] == b'0' { b'1' } else { b'0' };
    let cases: [(&str, &[u8], &str); 5] = [
        ("empty", b"", "two lines"),
        ("garbage", b"\x00\xffnonsense", "two lines"),
        ("half a file", &good[..100], "private key"),
        ("another public key", &other_key, "public key"),
        ("one line too many", &[&good[..], b"more\n"].concat(), "two lines"),
    ];
    for (what, bytes, mention) in cases {
        fs::write(&file, bytes).unwrap();
        refuses(node.dir(), port, &[&name, mention]);
        assert_eq!(fs::read(&file).unwrap(), bytes, "{what}");
    }
    fs::write(&file, &good).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    refuses(node.dir(), port, &[&name, "0644", "chmod 600"]);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    node.restart();
    node.get("/wallet").expect(201);
}
