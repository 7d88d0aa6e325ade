//! A newcomer fetches a long chain from peers of which one dawdles and one lies.

use crate::figures::{mib, peak_memory, used_memory};
use crate::harness::{DEADLINE, Node, Start, number_from_env, verify, wait_in_vain};
use crate::hostility::{Answer, Manner};
use crate::is_long;
use crate::mirror::DEV;
use crate::world::World;
use farthing::primitives::{PublicKey, Transfer};
use farthing::storage::BlockStore;
use farthing::storage::text::TextStore;
use farthing::testkit::{TestChain, TestKey};
use farthing::wire::block_to_json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const TRANSFERS_OF_BLOCK: u64 = 40;
const PAYERS: u32 = 10;
const RECIPIENTS: u32 = 1_000;

/// Blocks that are written at once.
const BATCH: u64 = 100;

/// The chain file of the development network with so many blocks full of transfers, made once.
fn chain_file(blocks: u64) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let id = TestChain::dev().chain.chain_id().to_string();
    let path = dir.join(format!("chain-{}-{blocks}.txt", &id[..8]));
    if !path.exists() {
        let unfinished = path.with_extension(format!("{}", std::process::id()));
        write_chain(&unfinished, blocks);
        std::fs::rename(&unfinished, &path).expect("the same directory");
    }
    path
}

fn write_chain(path: &Path, blocks: u64) {
    let mut chain = TestChain::dev();
    let id = chain.chain.chain_id();
    let opened = TextStore::open(path, &id, &mut |_| Err("a new file".into()));
    let mut store = opened.expect("a new file").store;
    let payers: Vec<TestKey> = (1..=PAYERS).map(TestKey::dev).collect();
    let recipients: Vec<PublicKey> = (0..RECIPIENTS).map(|n| TestKey::new(n).public).collect();
    let mut paid = 0;
    for block in 1..=blocks {
        let transfers: Vec<Transfer> = (0..TRANSFERS_OF_BLOCK)
            .map(|_| {
                let payer = usize::try_from(paid % u64::from(PAYERS)).expect("small");
                let to = usize::try_from(paid % u64::from(RECIPIENTS)).expect("small");
                let nonce = paid / u64::from(PAYERS);
                paid += 1;
                payers[payer].pay(recipients[to], (1, 1_000), nonce, &id)
            })
            .collect();
        let block_text = block_to_json(chain.mine(transfers).block(), DEV);
        store.stage(&block_text);
        if block % BATCH == 0 || block == blocks {
            store.commit().expect("room on the disk");
        }
    }
}

/// A node that has this chain.
fn node_with(chain: &Path) -> Node {
    let mut node = Start::default().node();
    node.kill();
    std::fs::copy(chain, node.file("blockchain")).expect("room on the disk");
    node.restart();
    node
}

/// How long the blocks of a file take to be verified.
fn time_to_verify(file: &Path) -> Duration {
    let begun = Instant::now();
    let output = verify(file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    begun.elapsed()
}

/// How long a newcomer takes to fetch them.
fn time_to_fetch(world: &World) -> Duration {
    let tip = world.nodes[1].tip();
    let begun = Instant::now();
    // Whoever is let down on the way need not be connected at the end.
    (1..world.nodes.len()).for_each(|other| world.meet(0, other));
    let fetched = (0..if is_long() { 5 } else { 1 })
        .any(|_| wait_in_vain(|| (world.nodes[0].tip() == tip).then_some(())).is_some());
    assert!(fetched, "{}\n{}", world.picture(), world.nodes[0].log());
    begun.elapsed()
}

#[test]
fn a_newcomer_is_soon_as_far_as_the_others() {
    let blocks = number_from_env("FARTHING_BLOCKS", if is_long() { 5_000 } else { 250 });
    let chain = chain_file(blocks);
    let mut nodes = vec![Node::dev()];
    nodes.extend((0..3).map(|_| node_with(&chain)));
    let mut world = World::of(nodes);
    // The honest one comes last, so that the others are asked first.
    let dawdles = Manner::Instead("/blocks", Answer::Silence);
    for (other, manner) in [(1, Manner::ForgesBlocks), (2, dawdles), (3, Manner::Honest)] {
        world.link(0, other);
        world.way(0, other).set_manner(manner);
    }
    let newcomer = world.nodes[0].pid();
    let empty = used_memory(newcomer);
    let before = time_to_verify(&chain);
    let fetched = time_to_fetch(&world);
    let verified = (before + time_to_verify(&chain)) / 2;
    let ratio = verified.as_secs_f64() / fetched.as_secs_f64();
    let more = peak_memory(newcomer).saturating_sub(empty);
    let transfers = blocks * TRANSFERS_OF_BLOCK;
    println!("{blocks} blocks, {transfers} transfers: verified in {verified:.2?}");
    println!("fetched in {fetched:.2?}, {ratio:.2} of that speed, {} MiB more", mib(more));
    let faults = [1, 2].map(|other| world.way(0, other).faults());
    println!("forged {} signatures, withheld {} answers", faults[0], faults[1]);
    assert!(faults != [0, 0], "both were honest");
    if is_long() {
        assert!(!faults.contains(&0), "one was honest");
        assert!(ratio >= 0.8, "{ratio}");
        assert!(more <= 64 << 20, "{more} bytes");
    } else {
        assert!(fetched < DEADLINE);
    }
}
