//! The story that the chart tells: a chain from genesis, ten times the hash rate and back, four
//! weeks without miners, and a visitor of 100,000 times the chain's hash rate for 15 minutes.

use crate::simulation::{Found, Miner, Stamp, World};
use farthing::consensus::params::ChainParams;

/// Blocks of the story.
pub const BLOCKS: u32 = 20_000;
/// Blocks of a window over which the mean spacing is taken.
pub const WINDOW: usize = 1_000;
/// Blocks after a step that no window may touch.
pub const SETTLING: u32 = 320;

/// The first block after four weeks without miners.
pub const PAUSE: u32 = 1_500;
/// The first block with ten times the hash rate.
pub const UP: u32 = 5_000;
/// The first block with the old hash rate again.
pub const DOWN: u32 = 9_000;
/// The first block with the visitor.
pub const VISIT: u32 = 13_000;

const RATE: f64 = 60e6;
const PAUSE_S: f64 = 28.0 * 86_400.0;
const VISIT_S: f64 = 15.0 * 60.0;
const VISITOR: f64 = 100_000.0;

fn honest(rate: f64) -> Vec<Miner> {
    vec![Miner { rate, stamp: Stamp::Clock }]
}

/// A chain as it came about.
pub struct Story {
    /// Blocks from height 1 on.
    pub blocks: Vec<Found>,
    /// The first block after the visitor left.
    pub left: u32,
}

/// What is asserted and reported of one story.
pub struct Figures {
    /// Mean spacing over schedule, over all blocks outside the settling after a step.
    pub mean_ratio: f64,
    pub least_window: f64,
    pub greatest_window: f64,
    /// Seconds from a step to the first block within a quarter of balance.
    pub up_s: f64,
    pub down_s: f64,
    /// Blocks in the first hour after the pause.
    pub after_pause: f64,
    pub visit_blocks: f64,
    /// Hours from the visitor's leaving to the next block, and to the first within a quarter of
    /// balance.
    pub first_h: f64,
    pub back_h: f64,
}

impl Story {
    /// The story with the dice of `seed`.
    pub fn run(seed: u64) -> Self {
        let main = ChainParams::main();
        let mut world = World::new(main.schedule, main.retarget.easiest, seed);
        world.miners = honest(RATE);
        let mut blocks: Vec<Found> = Vec::new();
        for height in 1..=BLOCKS {
            match height {
                PAUSE => world.pause(PAUSE_S),
                UP => world.miners = honest(10.0 * RATE),
                DOWN => world.miners = honest(RATE),
                VISIT => world.visit(VISITOR * RATE, VISIT_S),
                _ => {}
            }
            blocks.push(world.mine());
        }
        let left = blocks.iter().rfind(|found| found.rate > 1_000.0 * RATE);
        let left = left.expect("the visitor finds blocks").height + 1;
        Self { blocks, left }
    }

    /// Whether the block at `height` is outside the settling after every step, and the visit.
    pub fn is_calm(&self, height: u32) -> bool {
        let steps = [(1, 1), (PAUSE, PAUSE), (UP, UP), (DOWN, DOWN), (VISIT, self.left)];
        steps.iter().all(|&(from, to)| height < from || to + SETTLING <= height)
    }

    /// Mean spacing over schedule, in every window of calm blocks.
    fn windows(&self) -> Vec<f64> {
        let calm = |window: &&[Found]| window.iter().all(|found| self.is_calm(found.height));
        self.blocks.windows(WINDOW).filter(calm).map(ratio).collect()
    }

    fn block(&self, height: u32) -> &Found {
        &self.blocks[usize::try_from(height).expect("a height is an index") - 1]
    }

    /// Seconds from `start` to the first block from `height` on within a quarter of balance.
    fn balanced_after(&self, start: f64, height: u32) -> f64 {
        let balanced =
            |found: &&Found| found.height >= height && (0.8..1.25).contains(&found.imbalance());
        self.blocks.iter().find(balanced).expect("balance returns").clock - start
    }

    /// Everything that is asserted.
    pub fn figures(&self) -> Figures {
        let calm: Vec<Found> =
            self.blocks.iter().filter(|found| self.is_calm(found.height)).copied().collect();
        let windows = self.windows();
        let pause_end = self.block(PAUSE - 1).clock + PAUSE_S;
        let visit_end = self.block(VISIT - 1).clock + VISIT_S;
        let in_the_hour = |found: &&Found| (0.0..3_600.0).contains(&(found.clock - pause_end));
        let after_pause = u32::try_from(self.blocks.iter().filter(in_the_hour).count());
        Figures {
            mean_ratio: ratio(&calm),
            least_window: windows.iter().copied().fold(f64::INFINITY, f64::min),
            greatest_window: windows.iter().copied().fold(0.0, f64::max),
            up_s: self.balanced_after(self.block(UP - 1).clock, UP),
            down_s: self.balanced_after(self.block(DOWN - 1).clock, DOWN),
            after_pause: f64::from(after_pause.expect("few blocks in an hour")),
            visit_blocks: f64::from(self.left - VISIT),
            first_h: (self.block(self.left).clock - visit_end) / 3_600.0,
            back_h: self.balanced_after(visit_end, self.left) / 3_600.0,
        }
    }
}

impl World {
    /// Lets `seconds` pass without anyone mining.
    fn pause(&mut self, seconds: f64) {
        let miners = std::mem::take(&mut self.miners);
        self.change = Some((self.clock + seconds, miners));
    }

    /// Adds a miner of `rate` hashes a second for `seconds`.
    pub fn visit(&mut self, rate: f64, seconds: f64) {
        let stay = self.miners.clone();
        self.miners.push(Miner { rate, stamp: Stamp::Clock });
        self.change = Some((self.clock + seconds, stay));
    }
}

/// The spacing of these blocks over what it should be.
fn ratio(blocks: &[Found]) -> f64 {
    let took: f64 = blocks.iter().map(|found| found.took).sum();
    took / blocks.iter().map(|found| f64::from(found.spacing)).sum::<f64>()
}
