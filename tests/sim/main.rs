//! Whole networks in one thread, from one seed: the real owner, chain, pool, files, peers and sync, on
//! fake clocks, disks and wires. See `world` for what happens, `plan` and `trouble` for what goes wrong,
//! `check` and `finale` for what must hold.
//!
//! - `FARTHING_SEED=7 cargo test --release --test sim` runs one world, and with `FARTHING_TRACE=1` tells all
//!   that happens in it.
//! - `FARTHING_SEEDS=10000` says how many worlds are run, from `FARTHING_FIRST` (1) on.

mod check;
mod clock;
mod disk;
mod finale;
mod hearing;
mod liar;
mod liar_links;
mod links;
mod node;
mod people;
mod plan;
mod rules;
mod spoil;
mod tally;
mod trouble;
mod weather;
mod wires;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use tally::Tally;
use world::World;

/// Worlds of a run that says nothing else: a few seconds.
const SEEDS: u64 = 10;

/// Worlds in which every kind of trouble must have happened.
const ENOUGH: usize = 200;

/// Worlds in which something was found once, run every time: a burst that calls for each transfer spread
/// too slowly, and a transfer that was announced while too much else was wanted.
const FOUND: [u64; 2] = [62, 1_155];

/// Worlds after which a long run tells how far it is.
const PROGRESS_EVERY: u64 = 500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs one world; false if something did not hold.
fn run(seed: u64, tally: &mut Tally) -> bool {
    let is_traced = number("FARTHING_TRACE").is_some();
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, is_traced);
        world.live();
        world.tally()
    }));
    match &lived {
        Ok(one) => tally.add(one),
        Err(_) => {
            eprintln!("FARTHING_SEED={seed} FARTHING_TRACE=1 cargo test --release --test sim")
        }
    }
    lived.is_ok()
}

/// Milliseconds that this thread has worked, however many others did on the same core.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().nth(11).and_then(|ticks| ticks.parse().ok());
    // A tick is a hundredth of a second wherever this runs.
    10 * ticks.unwrap_or(0u64)
}

#[test]
fn nothing_is_lost_and_all_agree_in_the_end() {
    let seeds: Vec<u64> = match number("FARTHING_SEED") {
        Some(seed) => vec![seed],
        None => {
            let first = number("FARTHING_FIRST").unwrap_or(1);
            let own = first..first + number("FARTHING_SEEDS").unwrap_or(SEEDS);
            own.chain(FOUND).collect()
        }
    };
    let (started, mut tally, mut failed) = (Instant::now(), Tally::default(), Vec::new());
    for (count, seed) in (1..).zip(&seeds) {
        if !run(*seed, &mut tally) {
            failed.push(*seed);
        }
        if count % PROGRESS_EVERY == 0 {
            println!("{count} worlds, {} failed, {} s", failed.len(), started.elapsed().as_secs());
        }
    }
    println!("{tally}");
    let (hours, took) = (tally.node_seconds / 3_600, started.elapsed().as_secs());
    let speed = hours * 60_000 / cpu_ms().max(1);
    println!(
        "{} worlds in {took} s, {hours} node-hours, {speed} a minute of one core",
        seeds.len()
    );
    assert!(failed.is_empty(), "failed: {failed:?}");
    if seeds.len() > 1 {
        let missing = tally.missing(seeds.len() >= ENOUGH);
        assert_eq!(missing, Vec::<&str>::new(), "these kinds of trouble never happened");
    }
}

#[test]
fn equal_seeds_make_equal_worlds() {
    let digest = |seed| {
        let mut world = World::new(seed, false);
        world.live();
        world.trace.digest
    };
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

/// The simulator finds what it is made to find.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_are_found() {
    use farthing::testkit::{Bug, plant};
    let most = number("FARTHING_SEEDS").unwrap_or(1_000);
    let mut missed = Vec::new();
    let chosen = std::env::var("FARTHING_BUG").unwrap_or_default();
    for bug in Bug::ALL.into_iter().filter(|bug| format!("{bug:?}").contains(&chosen)) {
        plant(Some(bug));
        let found = (1..=most).find(|seed| !run(*seed, &mut Tally::default()));
        plant(None);
        match found {
            Some(seed) => println!("{bug:?} is found in world {seed}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found in {most} worlds: {missed:?}");
}
