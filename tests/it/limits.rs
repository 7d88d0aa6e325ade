//! What a node takes of time and memory. The figures are printed (`--nocapture`); what is asserted
//! leaves room for a machine that is busy with other tests, in a build that is not optimised.

use crate::harness::{Node, Start};
use farthing::consensus::params::ChainParams;
use farthing::storage::BlockStore;
use farthing::storage::text::TextStore;
use farthing::testkit::TestChain;
use farthing::wire::block_to_json;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Blocks of the long chain.
const LONG: u32 = 20_000;

const MIB: u64 = 1 << 20;

/// A figure of `/proc/<pid>/status`; memory in bytes.
fn figure(node: &Node, name: &str) -> u64 {
    let path = format!("/proc/{}/status", node.pid());
    let status = std::fs::read_to_string(path).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
    let mut words = line.trim_start_matches(':').split_whitespace();
    let value: u64 = words.next().and_then(|word| word.parse().ok()).expect("a number");
    if words.next() == Some("kB") { value * 1024 } else { value }
}

fn mebibytes(bytes: u64) -> String {
    format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB)
}

#[test]
fn an_empty_node_answers_soon_and_takes_little_memory() {
    let started = Instant::now();
    let node = Node::dev();
    assert_eq!(node.get("/health").status, 200);
    let took = started.elapsed();
    let (memory, threads) = (figure(&node, "VmRSS"), figure(&node, "Threads"));
    println!("first answer after {took:?}; {} resident, {threads} threads", mebibytes(memory));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(memory < 20 * MIB, "{}", mebibytes(memory));
    assert!(threads < 100, "{threads} threads");
}

#[test]
fn a_block_of_the_development_network_is_mined_in_a_moment() {
    let node = Node::dev();
    node.create_wallet();
    let mut times: Vec<Duration> = (0..40)
        .map(|_| {
            let started = Instant::now();
            node.mine();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("POST /mine on dev: {median:?} in the median, {slowest:?} at most");
    assert!(median < Duration::from_secs(1), "{median:?}");
}

/// Writes a block file of [`LONG`] blocks.
fn write_long_chain(file: &Path) -> String {
    let id = ChainParams::dev().chain_id();
    let opened = TextStore::open(file, &id, &mut |_| Ok(())).expect("a new block file");
    let (mut store, mut chain) = (opened.store, TestChain::dev());
    for height in 1..=LONG {
        let mut draft = chain.draft(Vec::new());
        draft.header.time = chain.chain.params().genesis_time;
        let block = chain.check(chain.sealed(draft)).expect("a good block");
        chain.accept(&block).expect("a good block");
        store.stage(&block_to_json(block.block(), chain.chain.params().prefix));
        if height % 2_500 == 0 {
            store.commit().expect("the file takes it");
        }
    }
    store.commit().expect("the file takes it");
    chain.chain.tip().hash.to_string()
}

#[test]
fn a_long_chain_is_read_at_start_and_streamed_in_constant_memory() {
    let mut node = Node::dev();
    assert!(node.stop().success());
    let file = node.file("blockchain");
    std::fs::remove_file(&file).expect("the file of an empty chain");
    let written = Instant::now();
    let tip = write_long_chain(&file);
    let written = written.elapsed();
    let bytes = std::fs::metadata(&file).expect("a block file").len();
    let started = Instant::now();
    node.restart();
    assert_eq!(node.tip(), tip);
    let started = started.elapsed();
    let before = figure(&node, "VmRSS");
    println!(
        "{LONG} blocks ({}) written in {written:?}, read at start in {started:?}, {} resident",
        mebibytes(bytes),
        mebibytes(before),
    );
    let streamed = Instant::now();
    let (blocks, most, length) = stream(&node);
    println!(
        "GET /chain: {} in {:?}, {} more memory at most",
        mebibytes(length),
        streamed.elapsed(),
        mebibytes(most.saturating_sub(before)),
    );
    assert_eq!(blocks, u64::from(LONG) + 1);
    assert!(most.saturating_sub(before) < 10 * MIB, "{}", mebibytes(most - before));
    let part = node.get("/chain?from=19999&count=5").expect(200);
    assert_eq!(part.as_array().expect("an array").len(), 2);
    assert_eq!(part[1]["hash"], tip);
    let looked = Instant::now();
    node.create_wallet();
    assert_eq!(node.get("/balance").status, 200);
    println!("a new wallet and its balance on it: {:?}", looked.elapsed());
}

/// Reads the whole chain; returns the blocks in it, the most memory that the node took meanwhile, and
/// the bytes of the answer.
fn stream(node: &Node) -> (u64, u64, u64) {
    const MARK: &[u8] = b"{\"index\":";
    let answer = ureq::get(format!("http://{}/chain", node.address())).call().expect("an answer");
    let mut answer = answer.into_body().into_reader();
    let (mut buffer, mut kept) = (vec![0; 256 * 1024], Vec::new());
    let (mut blocks, mut most, mut length) = (0, 0, 0);
    loop {
        let read = answer.read(&mut buffer).expect("the answer goes on");
        if read == 0 {
            return (blocks, most, length);
        }
        length += read as u64;
        kept.extend_from_slice(&buffer[..read]);
        blocks += kept.windows(MARK.len()).filter(|window| *window == MARK).count() as u64;
        // What may be the beginning of a mark.
        kept.drain(..kept.len().saturating_sub(MARK.len() - 1));
        most = most.max(figure(node, "VmRSS"));
    }
}

#[test]
fn the_optimised_program_is_small() {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/target/release/farthing");
    let named = std::env::var_os("FARTHING_RELEASE_BINARY").map(PathBuf::from);
    let binary = named.unwrap_or_else(|| built.into());
    let Ok(found) = std::fs::metadata(&binary) else {
        println!("not measured: there is no {}", binary.display());
        return;
    };
    println!("{}: {}", binary.display(), mebibytes(found.len()));
    assert!(found.len() < 8 * MIB, "{}", mebibytes(found.len()));
}

#[test]
fn the_continuous_miner_leaves_room_for_answers() {
    let node = Start::default().flag("--mine").node();
    node.create_wallet();
    crate::harness::wait_until("some blocks", || node.height() >= 5);
    let slowest = (0..50)
        .map(|_| {
            let started = Instant::now();
            assert_eq!(node.get("/status").status, 200);
            started.elapsed()
        })
        .max()
        .expect("some answers");
    println!("GET /status while mining: {slowest:?} at most");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}
