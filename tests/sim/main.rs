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

use clock::{MINUTE, Wrong};
use farthing::testkit::Random;
use plan::Plan;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use tally::Tally;
use world::World;

/// Worlds of a run that says nothing else: a few seconds.
const SEEDS: u64 = 10;

/// Worlds in which every kind of trouble must have happened.
const ENOUGH: usize = 200;

/// Worlds in which something was found once, run every time: a burst that calls for each transfer spread
/// too slowly, a transfer that was announced while too much else was wanted, and a burst whose end came
/// before its beginning and was not asked for again, and a transfer in one of two blocks that were found
/// at once. Whoever changes what is drawn makes other worlds of them.
const FOUND: [u64; 5] = [62, 1_155, 7_009, 52_535, 53_340];

/// Worlds after which a long run tells how far it is.
const PROGRESS_EVERY: u64 = 100;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs one world.
///
/// # Errors
/// What did not hold.
fn run(seed: u64) -> Result<Tally, String> {
    let is_traced = number("FARTHING_TRACE").is_some();
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, is_traced);
        world.live();
        world.tally()
    }));
    lived.map_err(|panic| match panic.downcast::<String>() {
        Ok(reason) => *reason,
        Err(_) => "a panic without a text".to_owned(),
    })
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
        match run(*seed) {
            Ok(one) => tally.add(&one),
            Err(reason) => {
                println!(
                    "{reason}\nFARTHING_SEED={seed} FARTHING_TRACE=1 cargo test --release --test sim"
                );
                failed.push(*seed);
            }
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

/// A node whose clock is wrong for a while holds up nobody, and comes back once it is right.
#[test]
fn a_clock_that_is_wrong_for_a_while_harms_nobody() {
    for wrong in [Wrong::Year1970, Wrong::Year2038, Wrong::Frozen, Wrong::Hours(-1)] {
        let mut random = Random(1);
        let plan = Plan::quiet(4, &mut random);
        let mut world = World::of(plan, random, number("FARTHING_TRACE").is_some());
        world.run(10 * MINUTE);
        let heights = |world: &World| [0, 1, 2].map(|index| world.height_at(index));
        let before = heights(&world);
        world.let_clock_be(wrong, 20 * MINUTE);
        world.run(15 * MINUTE);
        let grown = heights(&world).iter().zip(before).all(|(now, then)| *now > then.next());
        assert!(grown, "{wrong:?}: the others stand still: {before:?}, {:?}", heights(&world));
        world.live();
        world.times_are_right();
    }
}

/// What a world fails with that has found a bug, in the words of the check that is there for it.
#[cfg(feature = "planted-bugs")]
fn found_by(bug: farthing::testkit::Bug) -> &'static [&'static str] {
    use farthing::testkit::Bug;
    match bug {
        Bug::EarlyAcknowledgement => {
            &["has lost its block", "has lost transfer", "and starts with"]
        }
        Bug::LongestChain => &["with no more work", "the nodes do not agree"],
        Bug::OrphanFlood => &["did not reach node"],
        Bug::LostPool => &["has lost transfer", "was answered for", "the pools differ"],
        Bug::BlamedRelayer => &["sent what no honest node sends"],
    }
}

/// The simulator finds what it is made to find, in worlds in which nothing is wrong without it.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_are_found() {
    use farthing::testkit::{Bug, plant};
    let most = number("FARTHING_SEEDS").unwrap_or(1_000);
    let mut missed = Vec::new();
    let chosen = std::env::var("FARTHING_BUG").unwrap_or_default();
    for bug in Bug::ALL.into_iter().filter(|bug| format!("{bug:?}").contains(&chosen)) {
        plant(Some(bug));
        let failure = |seed| Some((seed, run(seed).err()?));
        let by_it =
            |(_, reason): &(u64, String)| found_by(bug).iter().any(|words| reason.contains(words));
        let found = (1..=most).filter_map(failure).find(by_it);
        plant(None);
        let Some((seed, reason)) = found else {
            missed.push(bug);
            continue;
        };
        println!("{bug:?} is found in world {seed}: {reason}");
        assert_eq!(run(seed).err(), None, "world {seed} fails without {bug:?} as well");
    }
    assert!(missed.is_empty(), "not found in {most} worlds: {missed:?}");
}
