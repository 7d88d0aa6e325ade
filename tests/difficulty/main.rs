//! The retarget and the relief over long chains with rough miners, by simulation.
//!
//! `FARTHING_SEEDS` sets how many chains each test runs (8 unless told), and
//! `FARTHING_CHART=docs/difficulty.svg` writes the chart anew.

mod chart;
mod scenario;
mod simulation;

use scenario::{Figures, Story};
use simulation::{Miner, Stamp, World, main_schedule, target_of};

/// The seeds to run: those from 1 on.
fn seeds() -> std::ops::RangeInclusive<u64> {
    let count = std::env::var("FARTHING_SEEDS").map_or(8, |text| text.parse().expect("a number"));
    1..=count
}

/// The least, the mean and the greatest.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let count = u32::try_from(values.len()).expect("few");
    (least, values.iter().sum::<f64>() / f64::from(count), greatest)
}

/// Prints one figure of all runs and returns its spread.
fn report(what: &str, values: &[f64]) -> (f64, f64, f64) {
    let (least, mean, greatest) = spread(values);
    println!("{what}: {mean:.4} on average, from {least:.4} to {greatest:.4}");
    (least, mean, greatest)
}

#[test]
fn the_spacing_follows_the_schedule_through_steps_a_pause_and_a_visit() {
    let runs: Vec<Figures> = seeds().map(|seed| Story::run(seed).figures()).collect();
    let all = |figure: fn(&Figures) -> f64| runs.iter().map(figure).collect::<Vec<f64>>();
    println!("{} chains of {} blocks", runs.len(), scenario::BLOCKS);

    let (_, mean, _) = report("spacing over schedule, all calm windows", &all(|f| f.mean_ratio));
    assert!((0.99..1.01).contains(&mean));
    let (least, _, _) = report("least window of 1,000 blocks", &all(|f| f.least_window));
    let (_, _, greatest) = report("greatest window of 1,000 blocks", &all(|f| f.greatest_window));
    assert!(least > 0.95 && greatest < 1.05);

    let (_, _, up) = report("seconds to balance after 10x up", &all(|f| f.up_s));
    let (_, _, down) = report("seconds to balance after 10x down", &all(|f| f.down_s));
    assert!(up < 3_600.0 && down < 7_200.0);

    let (_, mean, greatest) = report("blocks in the hour after the pause", &all(|f| f.after_pause));
    let due = 360.0;
    assert!(mean < due * 1.15 && greatest < due * 1.25, "a burst");

    report("blocks during the visit", &all(|f| f.visit_blocks));
    let (_, _, first) = report("hours to the first block after it", &all(|f| f.first_h));
    let (_, _, back) = report("hours to balance after it", &all(|f| f.back_h));
    assert!(first < 3.0 && back < 24.0);
}

/// What a share of the hash rate that stamps wrongly makes of the mean spacing, over what it
/// should be.
fn stamped(spacing: u32, share: f64, stamp: Stamp, seed: u64) -> f64 {
    const BLOCKS: u32 = 10_000;
    const RATE: f64 = 60e6;
    let first = target_of(RATE * f64::from(spacing));
    let mut world = World::new(main_schedule(spacing, spacing), first, seed);
    world.miners = vec![
        Miner { rate: RATE * (1.0 - share), stamp: Stamp::Clock },
        Miner { rate: RATE * share, stamp },
    ];
    // The first target is within a factor of 2 of balance, and settles before the count begins.
    (0..500).for_each(|_| {
        world.mine();
    });
    let took: f64 = (0..BLOCKS).map(|_| world.mine().took).sum();
    took / f64::from(BLOCKS) / f64::from(spacing)
}

#[test]
fn stamping_games_leave_the_mean_spacing_as_it_is() {
    for (spacing, share) in [(10, 0.3), (10, 0.5), (60, 0.3), (60, 0.5)] {
        let mean = |stamp| {
            let ratios: Vec<f64> =
                seeds().map(|seed| stamped(spacing, share, stamp, seed)).collect();
            let what = format!("{spacing} s, {:.0}% stamp by {stamp:?}", share * 100.0);
            let (least, mean, greatest) = report(&what, &ratios);
            assert!(least > 0.97 && greatest < 1.03, "{what}");
            mean
        };
        let honest = mean(Stamp::Clock);
        for stamp in [Stamp::Ahead, Stamp::Parent] {
            let shift = mean(stamp) / honest - 1.0;
            println!("  which is {:.3}% beside honest stamps", shift * 100.0);
            assert!(shift.abs() < 0.003, "{stamp:?} shifts the mean spacing by {shift}");
        }
    }
}

/// Hours to the first block and to balance after a visit of 15 minutes at this `spacing`.
fn visited(spacing: u32, seed: u64) -> (f64, f64) {
    const RATE: f64 = 60e6;
    let mut world =
        World::new(main_schedule(spacing, spacing), target_of(RATE * f64::from(spacing)), seed);
    world.miners = vec![Miner { rate: RATE, stamp: Stamp::Clock }];
    (0..500).for_each(|_| {
        world.mine();
    });
    world.visit(100_000.0 * RATE, 900.0);
    let left_at = world.clock + 900.0;
    let first = std::iter::repeat_with(|| world.mine()).find(|found| found.clock >= left_at);
    let first = first.expect("there is always a next block");
    let back = std::iter::repeat_with(|| world.mine()).find(|found| found.imbalance() < 1.25);
    let hours = |clock: f64| (clock - left_at) / 3_600.0;
    (hours(first.clock), hours(back.expect("balance returns").clock))
}

/// The relief is counted in half-lives of 40 spacings, so the same visit weighs six times as long
/// at 60 s as at 10 s.
#[test]
fn a_visit_is_overcome_in_as_many_half_lives_at_every_spacing() {
    for spacing in [10, 20, 30, 60] {
        let half_life_h = f64::from(40 * spacing) / 3_600.0;
        let (first, back): (Vec<f64>, Vec<f64>) =
            seeds().map(|seed| visited(spacing, seed)).unzip();
        let (_, _, first) = report(&format!("{spacing} s, hours to the first block"), &first);
        let (_, _, back) = report(&format!("{spacing} s, hours to balance"), &back);
        assert!(first < 20.0 * half_life_h && back < 120.0 * half_life_h);
    }
}

#[test]
fn the_same_seed_gives_the_same_chain() {
    let ends = [1, 1, 2].map(|seed| {
        let found = Story::run(seed).blocks;
        found.last().expect("blocks were found").clock.to_bits()
    });
    assert_eq!(ends[0], ends[1]);
    assert_ne!(ends[0], ends[2]);
}

#[test]
fn the_logarithm_is_right() {
    for x in [1e-9, 0.1, 0.5, 0.999, 1.0, 1.4, 1.5, 2.0, 1e20] {
        assert!((simulation::ln(x) - x.ln()).abs() <= 1e-14 * x.ln().abs(), "{x}");
    }
}

#[test]
fn the_chart_in_docs_is_what_the_code_draws() {
    let drawn = chart::draw(&Story::run(1));
    if let Some(path) = std::env::var_os("FARTHING_CHART") {
        std::fs::write(&path, &drawn).expect("the chart can be written");
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/difficulty.svg");
    let kept = std::fs::read_to_string(path).expect("docs/difficulty.svg is there");
    assert!(
        kept == drawn,
        "draw docs/difficulty.svg anew with FARTHING_CHART (see tests/difficulty)"
    );
}
