//! What a world is like and what goes wrong in it: drawn once, so that worlds differ in kind.
//!
//! Each kind of trouble is on in some of the worlds only (swarm testing): a bug that one kind hides
//! shows where that kind is off.

use crate::clock::{MINUTE, SECOND};
use crate::disk::FaultRates;
use crate::rules::SPACING;
use crate::weather::Weather;
use farthing::testkit::Random;

/// What a world is like.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: usize,
    /// Microseconds of trouble before the calm.
    pub trouble: u64,
    /// Microseconds between two payments of one person.
    pub pay_every: u64,
    /// Hashes of all nodes together in a spacing.
    pub hashes: u64,
    /// Seconds that clocks are off at most.
    pub clock_off: u64,
    /// Parts in a million that clocks drift at most.
    pub drift: u64,
    pub disk: FaultRates,
    /// Percent of troubles that end a process.
    pub crashes: u64,
    /// Percent of troubles that fill a disk.
    pub full_disks: u64,
    /// Percent of troubles that set a clock wrong for a while.
    pub clock_jumps: u64,
    /// Percent of troubles in which a person removes a peer, and changes its mind later.
    pub quarrels: u64,
    /// Percent of payments that expire soon.
    pub expiring: u64,
    /// Whether two nodes have the same wallet.
    pub is_wallet_shared: bool,
    /// Percent of troubles that cut wires.
    pub cuts: u64,
    /// Peers that lie.
    pub liars: usize,
    /// Nodes that nobody can call.
    pub hidden: usize,
    /// What the wires are like.
    pub weather: Weather,
    /// Microseconds between two troubles.
    pub trouble_every: u64,
}

impl Plan {
    pub fn draw(random: &mut Random) -> Self {
        let nodes = 3 + usize::try_from(random.below(5)).expect("few");
        let rate = |most: u64, random: &mut Random| {
            if random.percent(50) { 0 } else { random.below(most + 1) }
        };
        let disk = FaultRates {
            full: rate(3_000, random),
            broken_write: rate(3_000, random),
            broken_flush: rate(1_000, random),
            broken_read: rate(1_000, random),
        };
        let latency = *random.pick(&[1_000, 20_000, 100_000, 300_000]);
        let jitter = *random.pick(&[0, 10_000, 100_000, 300_000]);
        let mut weather = Weather::far(latency, jitter);
        weather.loss = rate(30, random);
        weather.resets = rate(10, random);
        weather.doubles = rate(20, random);
        let liars = if random.percent(50) { 0 } else { 1 + random.below(3) };
        let hidden = if random.percent(60) { 0 } else { random.below(nodes as u64 - 1) };
        Self {
            nodes,
            trouble: (10 + random.below(50)) * MINUTE,
            pay_every: SECOND * *random.pick(&[60, 120, 600, 1_800, 1_800]),
            hashes: *random.pick(&[8, 16, 32, 64]),
            clock_off: *random.pick(&[0, 5, 50]),
            drift: *random.pick(&[0, 20, 500]),
            disk,
            crashes: rate(60, random),
            full_disks: rate(20, random),
            clock_jumps: rate(10, random),
            quarrels: rate(20, random),
            expiring: rate(20, random),
            is_wallet_shared: random.percent(20),
            cuts: rate(60, random),
            liars: usize::try_from(liars).expect("few"),
            hidden: usize::try_from(hidden).expect("few"),
            weather,
            trouble_every: (5 + random.below(180)) * SECOND,
        }
    }

    /// Some nodes in a world in which nothing goes wrong.
    pub fn quiet(nodes: usize, random: &mut Random) -> Self {
        Self {
            nodes,
            clock_off: 0,
            drift: 0,
            disk: FaultRates::default(),
            crashes: 0,
            full_disks: 0,
            clock_jumps: 0,
            quarrels: 0,
            cuts: 0,
            liars: 0,
            hidden: 0,
            weather: Weather::far(20_000, 10_000),
            ..Self::draw(random)
        }
    }

    /// Seconds that a clock is ahead, and how fast it goes.
    pub fn clock_of(&self, random: &mut Random) -> (i64, i64) {
        let mut within = |most: u64| {
            let drawn = random.below(2 * most + 1);
            i64::try_from(drawn).expect("small") - i64::try_from(most).expect("small")
        };
        (within(self.clock_off), within(self.drift))
    }

    /// Microseconds between two hashes of one of the nodes; some have a few times what others have.
    pub fn hash_every(&self, random: &mut Random) -> u64 {
        let even = u64::from(SPACING) * SECOND * self.nodes as u64 / self.hashes;
        even * (25 + random.below(200)) / 100
    }
}
