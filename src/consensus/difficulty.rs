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

    /// The step of the relief for a block whose spacing is `spacing` seconds, in seconds. It stays
    /// at the largest number where no header is late enough for a relief anyway.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_vectors;
    use proptest::prelude::*;

    fn main_network() -> Retarget {
        let easiest = Target::new(U256::from(1) << 232).expect("not zero");
        Retarget { half_life: 40, solve_time_cap: 40, easiest, enabled: true }
    }

    fn target(bits: u32) -> Target {
        CompactTarget(bits).to_target().expect("tests use canonical bits")
    }

    fn next(bits: u32, solve_time: u32, spacings: (u32, u32)) -> u32 {
        let parent = Solved { target: target(bits), solve_time, spacing: spacings.0 };
        main_network().next_target(parent, spacings.1).0
    }

    /// The arithmetic of the module doc, computed with exact fractions by an independent program.
    #[test]
    fn next_targets_are_those_of_exact_fractions() {
        // parent's bits, its solve time, its spacing, the next spacing, expected bits
        let cases = [
            (0x0101_0000, 0, 10, 10, 0x0101_0000),
            (0x0101_0000, 401, 10, 11, 0x0101_0000),
            (0x0300_8000, 1, 60, 60, 0x027d_d700),
            (0x0412_3456, 1, 60, 60, 0x0411_e5cb),
            (0x0412_3456, 10, 10, 10, 0x0412_3456),
            (0x0412_3456, 401, 10, 11, 0x0420_8813),
            (0x1b7f_ffff, 1, 60, 60, 0x1b7d_d7bf),
            (0x1b7f_ffff, 9, 10, 10, 0x1b7f_c7bf),
            (0x1b7f_ffff, 401, 10, 11, 0x1c00_e4bc),
            (0x1c00_ffff, 10, 10, 10, 0x1c00_ffff),
            (0x1c00_ffff, 400, 10, 10, 0x1c01_f737),
            (0x1d00_ffff, 11, 10, 10, 0x1d01_006f),
            (0x1d00_ffff, u32::MAX, 59, 60, 0x1d01_eed3),
            (0x1e01_0000, 9, 10, 10, 0x1e00_ff8f),
            (0x1e01_0000, 11, 10, 10, 0x1e01_0000),
            (0x1e01_0000, 400, 10, 10, 0x1e01_0000),
            (0x1e01_0000, 401, 10, 11, 0x1e01_0000),
            (0x1e01_0000, u32::MAX, 59, 60, 0x1e01_0000),
        ];
        for (bits, solve_time, spacing, next_spacing, expected) in cases {
            let got = next(bits, solve_time, (spacing, next_spacing));
            assert_eq!(got, expected, "{bits:#x} after {solve_time} s of {spacing}: {got:#x}");
        }
    }

    #[test]
    fn a_block_on_time_keeps_the_bits_and_a_longer_spacing_is_fed_forward() {
        for bits in [0x0300_8000, 0x1b7f_ffff, 0x1d00_ffff, 0x1e01_0000] {
            assert_eq!(next(bits, 37, (37, 37)), bits);
        }
        assert_eq!(next(0x1c22_0000, 17, (17, 34)), 0x1c11_0000);
    }

    #[test]
    fn without_retargeting_the_bits_stay() {
        let rule = Retarget { enabled: false, ..main_network() };
        let parent = Solved { target: target(0x1c00_ffff), solve_time: 4_000, spacing: 10 };
        assert_eq!(rule.next_target(parent, 11).0, 0x1c00_ffff);
    }

    #[test]
    fn exp2_fixed_is_exact_at_whole_powers_and_close_between() {
        for whole in [-300, -1, 0, 1, 5] {
            let expected = PowerOfTwo { factor: 65_536, exponent: whole };
            assert_eq!(exp2_fixed(whole * 65_536), expected);
        }
        for fraction in 0..65_536_u32 {
            let factor = exp2_fixed(i128::from(fraction)).factor;
            assert!((65_536..131_072).contains(&factor), "2^({fraction}/65536)");
            let error =
                f64::from(factor) / 65_536.0 / (f64::from(fraction) / 65_536.0).exp2() - 1.0;
            assert!(error.abs() < 0.000_13, "2^({fraction}/65536) is off by {error}");
        }
    }

    #[test]
    fn relief_begins_after_two_steps_and_doubles_with_each_further_one() {
        // step, solve time, doublings, solve time of the next doubling
        let cases = [
            (400, 0, 0, Some(800)),
            (400, 799, 0, Some(800)),
            (400, 800, 1, Some(1_200)),
            (400, 1_199, 1, Some(1_200)),
            (400, 1_200, 2, Some(1_600)),
            (2_400, 2_419_200, 1_007, Some(2_421_600)),
            (1, u32::MAX, u32::MAX - 1, None),
            (u32::MAX, u32::MAX, 0, None),
            (0, 5, 4, Some(6)),
        ];
        for (step, solve_time, doublings, then) in cases {
            assert_eq!(relief_shift(step, solve_time), doublings, "{solve_time} s by {step}");
            assert_eq!(next_relief(step, solve_time), then, "after {solve_time} s by {step}");
        }
    }

    #[test]
    fn relief_saturates_at_the_easiest_target_and_never_wraps() {
        let (low, easiest) = (target(0x1c00_ffff), main_network().easiest);
        let cases = [(0, low.value()), (1, low.value() << 1), (15, low.value() << 15)];
        for (doublings, expected) in cases {
            assert_eq!(relieved(low, easiest, doublings).value(), expected);
        }
        for doublings in [17, 31, 32, 33, 255, 256, 257, 65_536, u32::MAX] {
            assert_eq!(relieved(low, easiest, doublings), easiest, "{doublings}");
            assert_eq!(relieved(low, Target::MAX, doublings.max(256)), Target::MAX, "{doublings}");
        }
    }

    #[test]
    fn a_proof_is_held_to_the_relieved_target() {
        let (rule, bits) = (main_network(), target(0x1c00_ffff));
        assert_eq!(rule.proof_target(bits, 10, 799), bits);
        assert_eq!(rule.proof_target(bits, 10, 800).value(), bits.value() << 1);
        assert_eq!(rule.proof_target(bits, 60, 4_799), bits);
        assert_eq!(rule.proof_target(bits, 60, 7_200).value(), bits.value() << 2);
        assert_eq!(rule.proof_target(bits, 60, u32::MAX), rule.easiest);
        assert_eq!(rule.proof_target(bits, u32::MAX, u32::MAX), bits);
    }

    /// The value after a `## name: ` of a vector file's head.
    fn field(text: &str, name: &str) -> u64 {
        let rest = text.split_once(&format!("##   {name}: ")).expect("the field is there").1;
        let value = rest.lines().next().expect("a line").trim();
        match value.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).expect("hex"),
            None => value.parse().expect("decimal"),
        }
    }

    /// Runs one published file, and returns how many targets it held.
    fn run(text: &str) -> usize {
        let bits = u32::try_from(field(text, "anchor nBits")).expect("32 bits");
        let anchor = Anchor {
            target: target(bits),
            height: field(text, "anchor height"),
            parent_time: field(text, "anchor ancestor time"),
            spacing: 600,
            half_life: 172_800,
            easiest: Target::new(U256::MAX >> 32).expect("not zero"),
        };
        let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        rows.map(|row| {
            let words: Vec<&str> = row.split_whitespace().collect();
            let [_, height, time, bits] = words[..] else { panic!("four columns, not {row}") };
            let (height, time) = (height.parse().expect("height"), time.parse().expect("time"));
            let expected = u32::from_str_radix(&bits[2..], 16).expect("bits");
            assert_eq!(anchor.aserti3_2d(height, time).0, expected, "{row}");
        })
        .count()
    }

    #[test]
    fn the_published_aserti3_2d_vectors_are_reproduced() {
        for (name, rows) in
            [("01", 10), ("02", 10), ("03", 10), ("04", 225), ("05", 225), ("06", 1_000)]
        {
            if let Some(text) = test_vectors::read(&format!("asert/run{name}")) {
                assert_eq!(run(&text), rows, "run{name}");
            }
        }
    }

    /// Rows of the published runs 4, 5 and 6 (Bitcoin Cash Node, qa-assets, aserti3-2d).
    #[test]
    fn some_published_aserti3_2d_targets_stand_here_too() {
        type Rows<'a> = &'a [(u64, u64, u32)];
        let cases: [(u32, Rows); 3] = [
            (0x0101_0000, &[(2, 174_000, 0x0102_0000), (5, 694_200, 0x0110_0000)]),
            (0x1d00_ffff, &[(2, 0, 0x1d00_fec5), (290, 0, 0x1c7f_62c0), (866, 0, 0x1c1f_d8b0)]),
            (0x1802_aee8, &[(3, 1_310, 0x1802_ad91), (5, 1_739, 0x1802_ab73)]),
        ];
        for (bits, rows) in cases {
            let anchor = Anchor {
                target: target(bits),
                height: 1,
                parent_time: 0,
                spacing: 600,
                half_life: 172_800,
                easiest: Target::new(U256::MAX >> 32).expect("not zero"),
            };
            for &(height, time, expected) in rows {
                assert_eq!(anchor.aserti3_2d(height, time).0, expected, "height {height}");
            }
        }
    }

    /// The module's arithmetic again, by integers of 1,280 bits and in another order.
    fn reference(rule: Retarget, parent: Solved, next_spacing: u32) -> CompactTarget {
        type Wide = ruint::Uint<1280, 20>;
        let [s, spacing, half_life, cap] =
            [parent.solve_time, parent.spacing, rule.half_life, rule.solve_time_cap]
                .map(u128::from);
        let counted = s.min(cap * spacing);
        let late = counted >= spacing;
        let magnitude = counted.abs_diff(spacing) * 65_536 / (half_life * spacing);
        let remainder = magnitude % 65_536;
        let (e, f) = match (late, remainder) {
            (true, f) => (magnitude / 65_536, f),
            (false, 0) => (magnitude / 65_536, 0),
            (false, f) => (magnitude / 65_536 + 1, 65_536 - f),
        };
        let cubic = f * (195_766_423_245_049 + f * (971_821_376 + f * 5_127));
        let p = 65_536 + ((cubic + (1 << 47)) >> 48);
        // 400 doublings reach any easiest target, and 400 halvings the target 1.
        let e = usize::try_from(e.min(400)).expect("small");
        let top = Wide::from(parent.target.value()) * Wide::from(parent.spacing) * Wide::from(p);
        let (top, bottom) =
            if late { (top << e, Wide::from(65_536)) } else { (top, Wide::from(65_536) << e) };
        let quotient = top / (bottom * Wide::from(next_spacing));
        let clamped = quotient.max(Wide::from(1)).min(Wide::from(rule.easiest.value()));
        Target::new(U256::from(clamped)).expect("at least 1").to_compact()
    }

    fn any_target() -> impl Strategy<Value = Target> {
        let compact = (0_u32..=32, 1_u32..0x0080_0000).prop_filter_map("a target", |(size, m)| {
            Target::new(CompactTarget((size << 24) | m).unpack().value)
        });
        // Rounded to what compact form holds, as every target in a header is.
        compact.prop_map(|any| any.to_compact().to_target().expect("canonical"))
    }

    fn any_seconds() -> impl Strategy<Value = u32> {
        prop_oneof![0..200_u32, 0..100_000_u32, any::<u32>(), Just(u32::MAX)]
    }

    fn any_rule() -> impl Strategy<Value = Retarget> {
        let factor = || prop_oneof![Just(40), 1..100_u32, 1..=u32::MAX];
        let easiest = prop_oneof![Just(main_network().easiest), any_target(), Just(Target::MAX)];
        (factor(), factor(), easiest).prop_map(|(half_life, solve_time_cap, easiest)| Retarget {
            half_life,
            solve_time_cap,
            easiest,
            enabled: true,
        })
    }

    /// The target of compact bits as a float, up to a constant factor.
    fn size(bits: u32) -> f64 {
        let exponent = i32::try_from(bits >> 24).expect("a byte") - 28;
        f64::from(bits & 0x007f_ffff) * 256_f64.powi(exponent)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn next_targets_are_those_of_a_wide_reference(
            rule in any_rule(), target in any_target(), solve_time in any_seconds(),
            spacing in any_seconds(), next_spacing in any_seconds(),
        ) {
            let (spacing, next_spacing) = (spacing.max(1), next_spacing.max(1));
            let parent = Solved { target, solve_time, spacing };
            let bits = rule.next_target(parent, next_spacing);
            prop_assert_eq!(bits, reference(rule, parent, next_spacing));
            let next = bits.to_target().expect("next targets are canonical and not zero");
            prop_assert!(next <= rule.easiest);
        }

        #[test]
        fn a_slower_block_never_makes_the_next_one_harder(
            rule in any_rule(), target in any_target(), times in any::<[u32; 2]>(),
            spacing in any_seconds(), next_spacing in any_seconds(),
        ) {
            let after = |solve_time| {
                let bits = rule.next_target(Solved { target, solve_time, spacing }, next_spacing);
                bits.to_target().expect("canonical")
            };
            prop_assert!(after(times[0].min(times[1])) <= after(times[0].max(times[1])));
        }

        #[test]
        fn as_much_late_as_early_comes_back_to_the_same_target(
            mantissa in 0x8000_u32..0x0080_0000, spacing in 1..=600_u32, share in 0.0..=1.0_f64,
        ) {
            let start = mantissa | 0x1c00_0000;
            let off = (0..=spacing).rfind(|&off| f64::from(off) <= share * f64::from(spacing));
            let off = off.expect("0 is small enough");
            let there = next(start, spacing - off, (spacing, spacing));
            let back = next(there, spacing + off, (spacing, spacing));
            let [before, after] = [start, back].map(size);
            // Two roundings to 15 bits or more, and the cubic's error.
            prop_assert!((after / before - 1.0).abs() < 0.000_2, "{start:#x} {back:#x}");
        }

        #[test]
        fn relief_never_makes_a_block_harder_and_stays_below_the_easiest(
            rule in any_rule(), target in any_target(), times in any::<[u32; 2]>(),
            spacing in any_seconds(),
        ) {
            let proof = |solve_time| rule.proof_target(target, spacing, solve_time);
            let (sooner, later) = (times[0].min(times[1]), times[0].max(times[1]));
            prop_assert!(target.min(rule.easiest) <= proof(sooner));
            prop_assert!(proof(sooner) <= proof(later));
            prop_assert!(proof(later) <= rule.easiest);
            let step = rule.relief_step(spacing);
            if let Some(then) = next_relief(step, sooner) {
                prop_assert!(then > sooner);
                prop_assert_eq!(relief_shift(step, then), relief_shift(step, sooner) + 1);
                prop_assert_eq!(relief_shift(step, then - 1), relief_shift(step, sooner));
            }
        }
    }
}
