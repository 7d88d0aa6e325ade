//! Difficulty: the target of the next block, and the relief while a block is long in coming.
//!
//! Owns the retarget rule, the relief rule and the fixed-point 2^x under the first.
//! Never reads a clock: times are those of headers, or a value that the caller gives.
//!
//! Invariants: every function is total, and a target that leaves here is at least 1 and at most
//! the chain's easiest. Three adjacent headers are enough to check the bits of the last of them.
//!
//! # The arithmetic, for who writes it again
//!
//! With T = target(h), the target that the bits of block h stand for; S = spacing(h) and
//! N = spacing(h+1) in seconds; H = half-life and C = cap on solve time, both in spacings (40);
//! s = time(h) - time(h-1) in seconds, and s = S for the genesis block:
//!
//! 1. `x = (min(s, C*S) - S) * 65536 / (H*S)`, the division truncating towards zero;
//! 2. `e = floor(x / 65536)`, `f = x - 65536*e`, so 0 <= f < 65536 also when x < 0;
//! 3. `p = 65536 + floor((195766423245049*f + 971821376*f^2 + 5127*f^3 + 2^47) / 2^48)`;
//! 4. `R = floor(T * p * S * 2^(e-16) / N)`: the exact quotient, rounded once, downwards;
//! 5. `R` is raised to 1 or lowered to the easiest target, then rounded downwards to compact form.
//!
//! Steps 2 and 3 are those of aserti3-2d, and step 4 is too where S = N. Nothing is lost before the one
//! division of step 4: T * p * S has at most 256 + 17 + 32 bits and is held in 512.

use crate::primitives::pow::{CompactTarget, Target, U256, U512};

/// The retarget rule's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retarget {
    /// In spacings: a block that takes this much longer than its spacing doubles the target. It is
    /// also the step of the relief.
    pub half_life: u32,
    /// In spacings: a longer solve time counts as this, so that a chain that lay idle for weeks
    /// does not burst through thousands of easy blocks.
    pub solve_time_cap: u32,
    /// No target is above this one.
    pub easiest: Target,
    /// Whether the target moves at all; if not, every block has its parent's bits.
    pub enabled: bool,
}

/// What the retarget needs of a block that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solved {
    /// What its bits stand for, without relief.
    pub target: Target,
    /// Seconds after its parent's time; for genesis its spacing.
    pub solve_time: u32,
    /// The seconds that it should have taken.
    pub spacing: u32,
}

impl Retarget {
    /// The bits of the block after `parent`, whose own spacing is `next_spacing` seconds (see the
    /// module's arithmetic).
    pub fn next_target(&self, parent: Solved, next_spacing: u32) -> CompactTarget {
        if !self.enabled {
            return parent.target.to_compact();
        }
        let spacing = i128::from(parent.spacing.max(1));
        let cap = i128::from(self.solve_time_cap) * spacing;
        let late = i128::from(parent.solve_time).min(cap) - spacing;
        let power = exp2_fixed(late * 65536 / (i128::from(self.half_life.max(1)) * spacing));
        let ratio = (parent.spacing.max(1), next_spacing.max(1));
        scaled(parent.target, power, ratio).min(self.easiest).to_compact()
    }

    /// The step of the relief for a block whose spacing is `spacing` seconds, in seconds.
    pub fn relief_step(&self, spacing: u32) -> u32 {
        self.half_life.saturating_mul(spacing).max(1)
    }

    /// What the hash of a block must not exceed: the `target` of its bits, doubled as often as the
    /// relief says for a block of this `spacing` that comes `solve_time` seconds after its parent.
    pub fn proof_target(&self, target: Target, spacing: u32, solve_time: u32) -> Target {
        relieved(target, self.easiest, relief_shift(self.relief_step(spacing), solve_time))
    }
}

/// How often the target is doubled for a block `solve_time` seconds after its parent, where `step`
/// is the half-life in seconds: not at all before 2 steps, then floor(`solve_time` / `step`) - 1.
///
/// A large miner who leaves a small chain thus stalls it for hours, where the retarget alone, which
/// moves only when a block is found, would wait for weeks.
pub fn relief_shift(step: u32, solve_time: u32) -> u32 {
    (solve_time / step.max(1)).saturating_sub(1)
}

/// The first solve time, in seconds, at which the relief is more than it is at `solve_time`, which
/// is when miners refresh their target; `None` where no header can be that late.
pub fn next_relief(step: u32, solve_time: u32) -> Option<u32> {
    let step = step.max(1);
    relief_shift(step, solve_time).checked_add(2)?.checked_mul(step)
}

/// `target` doubled `doublings` times, at most `easiest`.
pub fn relieved(target: Target, easiest: Target, doublings: u32) -> Target {
    let value = usize::try_from(doublings).ok().and_then(|n| target.value().checked_shl(n));
    value.and_then(Target::new).map_or(easiest, |doubled| doubled.min(easiest))
}

/// 2^x as `factor` x 2^(`exponent` - 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerOfTwo {
    /// From 65536 up to 131071.
    pub factor: u32,
    /// The whole part of x, rounded down.
    pub exponent: i128,
}

/// 2^(`x` / 65536) by aserti3-2d's cubic, which is within 0.013% of it (Bitcoin Cash, 2020-11-15).
pub fn exp2_fixed(x: i128) -> PowerOfTwo {
    let fraction = u64::try_from(x & 0xffff).expect("16 bits fit");
    // The sum stays below 2^64 - 2^47, also for the largest fraction.
    let cubic = 195_766_423_245_049 * fraction
        + 971_821_376 * fraction.pow(2)
        + 5_127 * fraction.pow(3)
        + (1 << 47);
    let factor = 65_536 + u32::try_from(cubic >> 48).expect("16 bits remain");
    PowerOfTwo { factor, exponent: x >> 16 }
}

/// floor(`target` x `power` x `ratio.0` / `ratio.1`), raised to 1 and lowered to 256 bits.
fn scaled(target: Target, power: PowerOfTwo, ratio: (u32, u32)) -> Target {
    let product = U512::from(target.value()) * U512::from(power.factor) * U512::from(ratio.0);
    let divisor = U512::from(ratio.1);
    let shift = power.exponent - 16;
    let bits = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    let quotient = if shift < 0 {
        // Rounding down twice is rounding down once, whichever of the two divides first.
        (product >> bits) / divisor
    } else {
        match product.checked_shl(bits) {
            Some(shifted) => shifted / divisor,
            // More than 512 bits over a divisor of at most 32: far above any target.
            None => return Target::MAX,
        }
    };
    let value = U256::saturating_from(quotient);
    Target::new(value.max(U256::from(1))).expect("at least 1")
}

/// The block from which aserti3-2d counts, and its rule's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The target of the anchor block.
    pub target: Target,
    /// The anchor's height.
    pub height: u64,
    /// The time of the anchor's parent, in seconds.
    pub parent_time: u64,
    /// Seconds between blocks.
    pub spacing: u32,
    /// The half-life in seconds.
    pub half_life: u32,
    /// No target is above this one.
    pub easiest: Target,
}

impl Anchor {
    /// The published aserti3-2d: the bits of the block after the one at `height` and `time`. The
    /// chain does not use it; it holds [`exp2_fixed`] and the scaling to the published vectors.
    pub fn aserti3_2d(&self, height: u64, time: u64) -> CompactTarget {
        let blocks = i128::from(height) - i128::from(self.height) + 1;
        let late =
            i128::from(time) - i128::from(self.parent_time) - blocks * i128::from(self.spacing);
        let power = exp2_fixed(late * 65536 / i128::from(self.half_life.max(1)));
        scaled(self.target, power, (1, 1)).min(self.easiest).to_compact()
    }
}
