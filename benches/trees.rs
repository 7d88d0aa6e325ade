//! What a full block costs in the account tree, and what accounts, history and blocks take in memory.
//!
//! Each time stands beside that of as many bare SHA-256 of 65 bytes as the block needs, so that
//! the ratio says how much of the work is not hashing. Run it with `cargo bench --bench trees`.

use farthing::chain::accept::Now;
use farthing::chain::accounts::AccountTree;
use farthing::chain::history::{History, LeafData};
use farthing::chain::{Bodies, BodiesError, Chain};
use farthing::consensus::check::{CheckedBlock, Signatures, check_block};
use farthing::consensus::params::ChainParams;
use farthing::primitives::hash::sha256;
use farthing::primitives::{
    Account, Amount, Block, BlockHash, BodyRef, CompactTarget, PublicKey, Tag, Target, UnixTime,
};
use farthing::testkit::{TestKey, solve};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A block of 5,000 transfers touches two accounts with each.
const TOUCHED: u64 = 10_000;
const ROUNDS: u64 = 9;

/// Each part runs in a process of its own, or it would reuse the memory that the last one freed.
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("accounts-100000") => bench_accounts(100_000),
        Some("accounts-1000000") => bench_accounts(1_000_000),
        Some("history") => bench_history(1_000_000),
        Some("blocks") => bench_blocks(20_000),
        _ => ["accounts-100000", "accounts-1000000", "history", "blocks"]
            .into_iter()
            .for_each(run_part),
    }
}

fn run_part(name: &str) {
    let program = std::env::current_exe().expect("a running program has a path");
    let status = std::process::Command::new(program).arg(name).status().expect("it runs again");
    assert!(status.success(), "{name} failed");
}

fn bench_accounts(accounts: u64) {
    let before = resident_bytes();
    let started = Instant::now();
    let tree = AccountTree::new().apply((0..accounts).map(|i| change(i, 0)));
    println!("accounts {accounts}: built from nothing in {:.2?}", started.elapsed());
    println!("  memory: {:.0} bytes an account", per_item(before, accounts));
    let hashes = hashes_needed(accounts);
    let bare = bare_hashes(hashes);
    println!("  a block needs {hashes} tree hashes: bare {bare:.2?}");
    report("alone, existing accounts", bare, || tree_apply(&tree, accounts, 0));
    report("alone, half of them new", bare, || tree_apply(&tree, accounts, accounts / 2));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads start");
    report("pool of 2, existing accounts", bare, || {
        pool.install(|| tree_apply(&tree, accounts, 0))
    });
    report("drop of the new version", bare, || {
        let next = tree.apply(changes(accounts, 0));
        let started = Instant::now();
        drop(next);
        started.elapsed()
    });
    let keys: Vec<_> = (0..TOUCHED).map(|i| key(spread(i, accounts))).collect();
    let started = Instant::now();
    keys.iter().for_each(|key| assert!(black_box(tree.get(key)).is_some()));
    println!("  look-up: {:.2?}", started.elapsed() / u32::try_from(TOUCHED).expect("fits"));
}

fn report(what: &str, bare: Duration, run: impl Fn() -> Duration) {
    let mut times: Vec<_> = (0..ROUNDS).map(|_| run()).collect();
    times.sort_unstable();
    let (best, median) = (times[0], times[times.len() / 2]);
    let ratio = median.as_secs_f64() / bare.as_secs_f64();
    println!("  {what}: median {median:.2?}, best {best:.2?}, {ratio:.2} of bare hashing");
}

fn tree_apply(tree: &AccountTree, accounts: u64, shift: u64) -> Duration {
    let block = changes(accounts, shift);
    let started = Instant::now();
    let next = tree.apply(block);
    let elapsed = started.elapsed();
    assert_ne!(next.root(), tree.root());
    elapsed
}

fn changes(accounts: u64, shift: u64) -> Vec<(PublicKey, Option<Account>)> {
    (0..TOUCHED).map(|i| change(shift + spread(i, accounts), 1)).collect()
}

/// Touched accounts lie anywhere in the tree, whatever the step.
fn spread(i: u64, accounts: u64) -> u64 {
    i * (accounts / TOUCHED)
}

fn change(number: u64, nonce: u64) -> (PublicKey, Option<Account>) {
    (key(number), Some(Account { balance: Amount::from_units(number + 1), nonce }))
}

fn key(number: u64) -> PublicKey {
    PublicKey::from_bytes(sha256(&[&number.to_le_bytes()]))
}

/// The leaves and nodes that a block changes, counted on the bare keys.
fn hashes_needed(accounts: u64) -> u64 {
    let step = accounts / TOUCHED;
    let mut places: Vec<_> =
        (0..accounts).map(|i| (sha256(&[key(i).as_bytes()]), i.is_multiple_of(step))).collect();
    places.sort_unstable();
    TOUCHED + nodes_touched(&places, 0)
}

fn nodes_touched(places: &[([u8; 32], bool)], depth: usize) -> u64 {
    if places.len() < 2 || !places.iter().any(|place| place.1) {
        return 0;
    }
    let is_left = |place: &([u8; 32], bool)| place.0[depth / 8] & (0x80 >> (depth % 8)) == 0;
    let (left, right) = places.split_at(places.partition_point(is_left));
    1 + nodes_touched(left, depth + 1) + nodes_touched(right, depth + 1)
}

fn bare_hashes(count: u64) -> Duration {
    let mut input = [1; 65];
    let started = Instant::now();
    for _ in 0..count {
        let hash = sha256(&[&input]);
        input[..32].copy_from_slice(&hash);
    }
    black_box(input);
    started.elapsed()
}

fn bench_history(blocks: u32) {
    let before = resident_bytes();
    let started = Instant::now();
    let mut history = History::new();
    (0..blocks).for_each(|number| history.append(&block(number)));
    let each = started.elapsed() / blocks;
    println!("history of {blocks} blocks: {each:.2?} an append");
    println!("  memory: {:.0} bytes a block", per_item(before, blocks.into()));
    let started = Instant::now();
    let mut versions = Vec::new();
    for number in blocks..blocks + 1_000 {
        let mut next = history.clone();
        next.append(&block(number));
        black_box(next.root());
        versions.push(std::mem::replace(&mut history, next));
    }
    println!("  clone, append, root, old version kept: {:.2?}", started.elapsed() / 1_000);
    println!("  memory: {:.0} bytes a kept version", per_item(before, 1_000));
    let started = Instant::now();
    let mut cut = history.clone();
    cut.truncate(blocks / 3);
    println!("  cut back to a third: {:.2?}", started.elapsed());
}

/// What a node keeps of blocks whose bodies are on disk: headers, history and where the bodies are.
fn bench_blocks(blocks: u32) {
    let params = Arc::new(ChainParams::dev());
    let mut chain = Chain::new(params.clone(), 1 << 20);
    let (before, payee) = (resident_bytes(), TestKey::new(1).public);
    for number in 1..=blocks {
        let unix = params.genesis_time.plus(10 * number);
        let now = Now { unix, monotonic: Duration::from_secs(u64::from(number)) };
        let template = chain.template(payee, Tag::default(), now);
        let time = template.time(unix);
        let mut header = template.header(0, time);
        solve(&mut header, template.target(time));
        let block = check_block(template.block(header, 0), &params, &Signatures::Trust);
        let kept = chain.accept_block(&block.expect("a good block"), now, &mut OnDisk);
        kept.expect("a good block");
    }
    println!("chain of {blocks} blocks: {:.0} bytes a block", per_item(before, blocks.into()));
    black_box(chain);
}

/// Bodies that take no memory, and are not read.
struct OnDisk;

impl Bodies for OnDisk {
    fn keep(&mut self, _: &CheckedBlock) -> Result<BodyRef, BodiesError> {
        Ok(BodyRef::new(0, 0))
    }

    fn read(&self, _: BodyRef) -> Result<Block, BodiesError> {
        Err(BodiesError("nothing is read here".to_owned()))
    }
}

fn block(number: u32) -> LeafData {
    LeafData {
        hash: BlockHash::from_bytes(sha256(&[&number.to_le_bytes()])),
        work: Target::MAX.work(),
        time: UnixTime(number),
        bits: CompactTarget(number),
    }
}

fn per_item(before: u64, items: u64) -> f64 {
    let bytes = resident_bytes().saturating_sub(before);
    f64::from(u32::try_from(bytes / 16).unwrap_or(u32::MAX)) * 16.0
        / f64::from(u32::try_from(items).expect("few items"))
}

/// Resident memory as Linux counts it; 0 elsewhere.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    pages * 4_096
}
