//! What the kernels do beside two plain digests of whole headers, in one thread.
//!
//! Rates of one machine drift by the second, so each round measures all of them in turn, and the
//! ratios are those of medians. Run it with `cargo bench --bench mine`.

use farthing::miner::kernel::{self, Kernel, Nonces, Puzzle, portable::Portable};
use farthing::primitives::pow::U256;
use farthing::primitives::{BlockHash, CompactTarget, Hash256, Header, Target, UnixTime};
use std::hint::black_box;
use std::time::Instant;

/// Hashes of one measurement: some hundredths of a second.
const HASHES: u32 = 400_000;

const ROUNDS: usize = 25;

fn main() {
    let header = Header {
        version: 0x2000_0000,
        previous: BlockHash::from_bytes([0x5a; 32]),
        commitment: Hash256::from_bytes([0xa5; 32]),
        time: UnixTime(1_800_000_000),
        bits: CompactTarget(0x1d00_ffff),
        nonce: 0,
    };
    // Out of reach, so that every measurement is of as many hashes.
    let target = Target::new(U256::from(1)).expect("not zero");
    let puzzle = Puzzle::new(&header, target);
    let mut kernels: Vec<(&dyn Kernel, Vec<f64>)> = vec![(&Portable, Vec::new())];
    if kernel::best().name() != Portable.name() {
        kernels.push((kernel::best(), Vec::new()));
    }
    let mut digests = Vec::new();
    for round in 0..ROUNDS {
        let first = u32::try_from(round).expect("few rounds") * HASHES;
        digests.push(rate(|| whole_digests(header, target, first)));
        for (kernel, rates) in &mut kernels {
            let nonces = Nonces { first, count: HASHES };
            rates.push(rate(|| assert_eq!(black_box(kernel.search(&puzzle, nonces)).nonce, None)));
        }
    }
    let reference = median(&mut digests);
    println!("{:<20} {reference:6.2} MH/s", "two whole digests");
    for (kernel, rates) in &mut kernels {
        let rate = median(rates);
        println!("{:<20} {rate:6.2} MH/s, {:.2} of it", kernel.name(), rate / reference);
    }
}

fn whole_digests(header: Header, target: Target, first: u32) {
    for nonce in first..first + HASHES {
        let hash = Header { nonce, ..black_box(header) }.hash();
        assert!(!target.is_met_by(&hash));
    }
}

/// Millions of hashes a second.
fn rate(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    f64::from(HASHES) / 1e6 / started.elapsed().as_secs_f64()
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
