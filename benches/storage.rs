//! What the block log costs beside plain writes and reads of the same bytes, as ratios, so that
//! the figures mean something on any machine: `cargo bench --bench storage`.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use farthing::primitives::{BlockHash, BodyRef};
use farthing::storage::BlockStore;
use farthing::storage::text::{self, TextStore};

/// Blocks of this many bytes as JSON, so many of them, so many in a batch.
const SHAPES: &[(usize, usize, usize)] =
    &[(1_000, 2_000, 1), (1_000, 100_000, 500), (30_000, 4_000, 64), (2_500_000, 60, 4)];
/// Each measurement is the best of so many.
const ROUNDS: usize = 3;

fn main() {
    // Below the build directory, so that it is on a disk and not in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to work in");
    println!("MB/s of ours, and its ratio to plain input and output of the same bytes");
    for &(len, count, batch) in SHAPES {
        measure(dir.path(), len, count, batch);
    }
}

fn measure(dir: &Path, len: usize, count: usize, batch: usize) {
    let genesis = BlockHash::from_bytes([7; 32]);
    let json = format!("{{\"t\":\"{}\"}}", "5a".repeat(len / 2));
    let (ours, plain) = (dir.join("ours"), dir.join("plain"));
    let mut bodies = Vec::new();
    let append = best(|| {
        let _ = fs::remove_file(&ours);
        let opened = TextStore::open(&ours, &genesis, &mut |_| Ok(()));
        let mut store = opened.expect("a fresh file").store;
        timed(|| bodies = fill(&mut store, &json, count, batch))
    });
    let bytes = fs::read(&ours).expect("just written");
    let plain_append = best(|| {
        let mut file = File::create(&plain).expect("a fresh file");
        let size = bytes.len().div_ceil(count.div_ceil(batch));
        timed(|| {
            for part in bytes.chunks(size) {
                file.write_all(part).expect("room on the disk");
                file.sync_data().expect("a disk that flushes");
            }
        })
    });
    let replay = best(|| {
        timed(|| {
            let found = text::inspect(&ours, &genesis, &mut |block| {
                black_box(block.json.len());
                Ok(())
            });
            assert_eq!(found.expect("a good file").blocks, count as u64);
        })
    });
    let plain_read = best(|| timed(|| read_through(&plain)));
    let opened = TextStore::open(&ours, &genesis, &mut |_| Ok(()));
    let reader = opened.expect("a good file").store.reader();
    let copy = best(|| {
        timed(|| {
            for body in &bodies {
                reader.copy_to(*body, &mut std::io::sink()).expect("a good block");
            }
        })
    });
    let rate = |time: Duration| bytes.len() as f64 / 1e6 / time.as_secs_f64();
    let ratio = |plain: Duration, ours: Duration| plain.as_secs_f64() / ours.as_secs_f64();
    println!(
        "{count:>6} blocks of {len:>7} bytes, {batch:>3} a batch: append {:>6.0} ({:.2}), replay {:>6.0} ({:.2}), copy out {:>6.0} ({:.2})",
        rate(append),
        ratio(plain_append, append),
        rate(replay),
        ratio(plain_read, replay),
        rate(copy),
        ratio(plain_read, copy),
    );
}

fn fill(store: &mut TextStore, json: &str, count: usize, batch: usize) -> Vec<BodyRef> {
    let mut bodies = Vec::with_capacity(count);
    for turn in 0..count {
        bodies.push(store.stage(json));
        if turn % batch == batch - 1 {
            store.commit().expect("room on the disk");
        }
    }
    store.commit().expect("room on the disk");
    bodies
}

fn read_through(path: &Path) {
    let mut file = File::open(path).expect("just written");
    let mut buffer = vec![0; 256 * 1024];
    while file.read(&mut buffer).expect("a readable file") > 0 {
        black_box(&buffer);
    }
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn best(mut run: impl FnMut() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| run()).min().expect("at least one round")
}
