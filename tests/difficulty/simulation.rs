//! A chain of headers alone, mined by chance: real rules, simulated miners.
//!
//! Owns the clock, the miners and the dice; the targets and the schedule are the project's own.
//! The same seed gives the same chain on every machine: only exact and correctly rounded
//! floating-point operations are used (which is why the logarithm is written out).

use farthing::consensus::difficulty::{Retarget, Solved, next_relief};
use farthing::consensus::params::ChainParams;
use farthing::consensus::schedule::{Schedule, Spacing};
use farthing::primitives::{Amount, CompactTarget, Height, Target, U256};

/// A small pseudorandom generator (SplitMix64, Steele, Lea and Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly above 0 and up to 1, in steps of 2^-32.
    fn unit(&mut self) -> f64 {
        let high = u32::try_from(self.next() >> 32).expect("32 bits");
        (f64::from(high) + 1.0) / 4_294_967_296.0
    }

    /// The wait for an event that happens once a second on average.
    fn exponential(&mut self) -> f64 {
        -ln(self.unit())
    }
}

/// The natural logarithm of a positive, normal number, from exact operations alone.
pub fn ln(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let raised = u32::try_from(x.to_bits() >> 52).expect("positive");
    let mut exponent = f64::from(raised) - 1023.0;
    let mut mantissa = f64::from_bits((x.to_bits() & MANTISSA) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..12_u32).rev().fold(0.0, |sum, n| sum * z * z + 1.0 / f64::from(2 * n + 1));
    exponent * std::f64::consts::LN_2 + 2.0 * z * series
}

/// What a miner writes as a block's time; never less than the parent's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stamp {
    /// The clock, as honest miners do.
    Clock,
    /// As far ahead of the clock as nodes accept.
    Ahead,
    /// The parent's time.
    Parent,
}

/// Somebody who hashes.
#[derive(Clone, Copy, Debug)]
pub struct Miner {
    /// Hashes a second.
    pub rate: f64,
    pub stamp: Stamp,
}

/// A block as it was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub height: u32,
    /// The seconds that it should have taken.
    pub spacing: u32,
    /// The seconds that it took by the true clock.
    pub took: f64,
    /// The true clock when it was found, in seconds from genesis.
    pub clock: f64,
    /// The hashes that its bits ask for, without relief.
    pub difficulty: f64,
    /// Hashes a second of all miners when it was found.
    pub rate: f64,
    /// The coins in circulation below it.
    pub issued: Amount,
}

impl Found {
    /// The spacing that this block's difficulty gives at the present hash rate, over what it
    /// should be: 1 is balance.
    pub fn imbalance(&self) -> f64 {
        self.difficulty / self.rate / f64::from(self.spacing)
    }
}

/// The schedule of the main network, but with spacings from `start` to `end` seconds.
pub fn main_schedule(start: u32, end: u32) -> Schedule {
    let main = ChainParams::main().schedule;
    Schedule { spacing: Spacing { start, end, ..main.spacing }, ..main }
}

/// A chain and those who mine it. Genesis has time 0.
pub struct World {
    retarget: Retarget,
    schedule: Schedule,
    random: Random,
    /// The true clock, in seconds from genesis.
    pub clock: f64,
    pub miners: Vec<Miner>,
    /// When the miners change, and into whom.
    pub change: Option<(f64, Vec<Miner>)>,
    height: u32,
    time: u32,
    bits: CompactTarget,
    parent: Solved,
}

impl World {
    /// A chain with genesis alone, whose bits are `first`.
    pub fn new(schedule: Schedule, first: Target, seed: u64) -> Self {
        let spacing = schedule.spacing(Height::GENESIS);
        Self {
            retarget: ChainParams::main().retarget,
            schedule,
            random: Random::new(seed),
            clock: 0.0,
            miners: Vec::new(),
            change: None,
            height: 0,
            time: 0,
            bits: first.to_compact(),
            parent: Solved { target: first, solve_time: spacing, spacing },
        }
    }

    /// Mines the next block.
    pub fn mine(&mut self) -> Found {
        let height = Height(self.height + 1);
        let spacing = self.schedule.spacing(height);
        self.bits = self.retarget.next_target(self.parent, spacing);
        let target = self.bits.to_target().expect("next targets are canonical");
        let began = self.clock;
        let winner = self.search(target, spacing);
        let time = self.stamp(winner.stamp, spacing);
        self.parent = Solved { target, solve_time: time - self.time, spacing };
        (self.height, self.time) = (height.0, time);
        Found {
            height: height.0,
            spacing,
            took: self.clock - began,
            clock: self.clock,
            difficulty: 1.0 / chance(target),
            rate: self.miners.iter().map(|miner| miner.rate).sum(),
            issued: self.schedule.issued(height),
        }
    }

    /// Moves the clock to the next proof of work and returns who found it. Between the moments at
    /// which a relief or the miners change, proofs are found at a constant rate.
    fn search(&mut self, target: Target, spacing: u32) -> Miner {
        let mut wait = self.random.exponential();
        loop {
            let (rates, until) = self.rates(target, spacing);
            // From +0, since an empty sum is -0 and a wait over it minus infinity.
            let rate = rates.iter().fold(0.0, |sum, rate| sum + rate);
            if self.clock + wait / rate < until {
                self.clock += wait / rate;
                let winner = self.draw(&rates);
                return self.miners[winner];
            }
            wait -= rate * (until - self.clock);
            self.clock = until;
            if let Some((_, miners)) = self.change.take_if(|(at, _)| *at <= until) {
                self.miners = miners;
            }
        }
    }

    /// The proofs a second of each miner, and until when that holds.
    fn rates(&self, target: Target, spacing: u32) -> (Vec<f64>, f64) {
        let step = self.retarget.relief_step(spacing);
        let mut until = self.change.as_ref().map_or(f64::INFINITY, |(at, _)| *at);
        let rate = |miner: &Miner| {
            let solve_time = self.stamp(miner.stamp, spacing) - self.time;
            let proof = self.retarget.proof_target(target, spacing, solve_time);
            if miner.stamp != Stamp::Parent {
                // The stamp moves with the clock's whole seconds, and lies this far ahead of them.
                let ahead = self.ahead(miner.stamp, spacing);
                let then = next_relief(step, solve_time).expect("no chain waits for 136 years");
                until = until.min(f64::from(self.time) + f64::from(then) - f64::from(ahead));
            }
            miner.rate * chance(proof)
        };
        let rates = self.miners.iter().map(rate).collect();
        (rates, until)
    }

    /// Which of `rates` comes first.
    fn draw(&mut self, rates: &[f64]) -> usize {
        let mut point = self.random.unit() * rates.iter().sum::<f64>();
        let mut beyond = |rate: &f64| {
            point -= rate;
            point <= 0.0
        };
        rates.iter().position(&mut beyond).unwrap_or(rates.len() - 1)
    }

    fn ahead(&self, stamp: Stamp, spacing: u32) -> u32 {
        if stamp == Stamp::Ahead { (3 * spacing).min(120) } else { 0 }
    }

    /// The time that a block found now would carry.
    fn stamp(&self, stamp: Stamp, spacing: u32) -> u32 {
        if stamp == Stamp::Parent {
            return self.time;
        }
        self.time.max(whole_seconds(self.clock) + self.ahead(stamp, spacing))
    }
}

/// The chance that one hash meets `target`.
fn chance(target: Target) -> f64 {
    let limbs = target.value().into_limbs();
    let halves = limbs.iter().flat_map(|limb| [limb & 0xffff_ffff, limb >> 32]);
    halves.fold(0.0, |sum, half| {
        let half = u32::try_from(half).expect("32 bits");
        (sum + f64::from(half)) / 4_294_967_296.0
    })
}

/// The whole seconds of a clock that is not negative.
fn whole_seconds(clock: f64) -> u32 {
    assert!((0.0..4e9).contains(&clock), "the clock fits a header");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let seconds = clock as u32;
    seconds
}

/// The target that asks for `hashes` hashes on average.
pub fn target_of(hashes: f64) -> Target {
    let target = (0..256)
        .map(|bit| U256::from(1) << bit)
        .rfind(|&power| Target::new(power).is_some_and(|target| 1.0 / chance(target) >= hashes));
    Target::new(target.expect("a whole number of bits is near enough")).expect("not zero")
}
