//! The schedule: what a block pays, how many coins there are, and how far apart blocks stand.
//!
//! Owns the subsidy with its halvings, the coins issued below a height in closed form, the block
//! spacing that lengthens as coins come into circulation, and the largest block at a height.
//! Never looks at a block: everything follows from the parameters and the height alone.
//!
//! Invariants, for parameters that [`Schedule::check`] has passed: `subsidy` never rises with the
//! height, `issued` and `spacing` never fall, and `issued` never exceeds `total_supply`.

use crate::primitives::Height;
use crate::primitives::amount::{Amount, SUPPLY_MAX};

/// Subsidies that have been halved this often are zero whatever they were (a `u64` has 64 bits),
/// so sums over halvings end here.
const HALVINGS_MAX: u32 = 64;

/// Why parameters are not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Subsidies would be halved every zero blocks.
    #[error("expected a halving interval of at least 1 block, got 0")]
    HalvingInterval,
    /// Blocks would stand zero seconds apart.
    #[error("expected a first spacing of at least 1 s, got 0")]
    SpacingStart,
    /// The spacing would shrink.
    #[error("expected a last spacing of at least the first ({start} s), got {end} s")]
    SpacingEnd {
        /// The first spacing in seconds.
        start: u32,
        /// The last spacing in seconds.
        end: u32,
    },
    /// The spacing would have to lengthen over no coins.
    #[error("expected a spacing ramp of at least 1 base unit, got 0")]
    SpacingRamp,
    /// More coins than can be counted.
    #[error(
        "expected allocations and subsidies of at most {SUPPLY_MAX} coins in all, got {coins}: a \
         lower subsidy or halving interval gives fewer",
        coins = supply_text(*.0)
    )]
    Supply(u128),
}

/// A supply in coins; it may be above all amounts.
fn supply_text(units: u128) -> String {
    u64::try_from(units).map_or("far more".into(), |units| Amount::from_units(units).to_string())
}

impl ScheduleError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::HalvingInterval => "bad-halving-interval",
            Self::SpacingStart => "bad-spacing-start",
            Self::SpacingEnd { .. } => "bad-spacing-end",
            Self::SpacingRamp => "bad-spacing-ramp",
            Self::Supply(_) => "supply-above-cap",
        }
    }
}

/// How coins come into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission {
    /// What the accounts hold after genesis; counted as issued.
    pub allocations: Amount,
    /// What a block pays before the first halving.
    pub subsidy: Amount,
    /// The subsidy is halved at every height that is a multiple of this.
    pub halving_interval: u32,
}

impl Emission {
    /// What the block at `height` pays, without fees: `subsidy`, its base units shifted right by
    /// floor(height / interval), and nothing from the 64th halving on. Genesis pays nothing.
    pub fn subsidy(&self, height: Height) -> Amount {
        if height == Height::GENESIS {
            return Amount::ZERO;
        }
        self.era_subsidy(height.0.checked_div(self.halving_interval).unwrap_or(0))
    }

    /// The coins in circulation when the block at `height` is judged: the allocations and the
    /// subsidies of blocks 1 to `height` - 1. Takes a step per halving, not per block. Parameters
    /// that [`Schedule::check`] refuses may reach the largest amount, where it stays.
    pub fn issued(&self, height: Height) -> Amount {
        let units = self.allocations_and_subsidies_below(u128::from(height.0));
        Amount::from_units(u64::try_from(units).unwrap_or(u64::MAX))
    }

    /// The allocations and all subsidies there will ever be, in base units. It is a `u128`, so
    /// that no parameters overflow it: compare it with the cap.
    pub fn total_supply(&self) -> u128 {
        let eras = u128::from(HALVINGS_MAX) * u128::from(self.halving_interval.max(1));
        self.allocations_and_subsidies_below(eras)
    }

    /// Sum over eras of (heights of the era below `end`) x (its subsidy), less the share of height
    /// 0, which pays nothing. At most 2^64 + 2^33 x 2^64: no overflow.
    fn allocations_and_subsidies_below(&self, end: u128) -> u128 {
        let interval = u128::from(self.halving_interval.max(1));
        let mut sum = u128::from(self.allocations.units());
        for era in 0..HALVINGS_MAX {
            let first = u128::from(era) * interval;
            if first >= end {
                break;
            }
            let heights = (end - first).min(interval) - u128::from(era == 0);
            sum += heights * u128::from(self.era_subsidy(era).units());
        }
        sum
    }

    fn era_subsidy(&self, halvings: u32) -> Amount {
        Amount::from_units(self.subsidy.units().checked_shr(halvings).unwrap_or(0))
    }
}

/// How the time between blocks lengthens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spacing {
    /// Seconds between blocks while nothing is issued.
    pub start: u32,
    /// Seconds between blocks once `ramp` is issued.
    pub end: u32,
    /// The issued coins over which the spacing lengthens.
    pub ramp: Amount,
}

impl Spacing {
    /// Seconds between blocks with `issued` coins in circulation:
    /// `start + floor((end - start) x min(issued, ramp) / ramp)`, and never 0.
    pub fn after(&self, issued: Amount) -> u32 {
        let span = u128::from(self.end.saturating_sub(self.start));
        let longer = (span * u128::from(issued.min(self.ramp).units()))
            .checked_div(u128::from(self.ramp.units()))
            .unwrap_or(span);
        let longer = u32::try_from(longer).expect("issued is at most the ramp");
        self.start.saturating_add(longer).max(1)
    }
}

/// Everything that depends on the height alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How coins come into being.
    pub emission: Emission,
    /// How the time between blocks lengthens.
    pub spacing: Spacing,
    /// The largest block, in canonical bytes, once the spacing has reached its end.
    pub largest_block: u32,
}

impl Schedule {
    /// Refuses parameters that are no schedule, or that make more coins than there may be.
    ///
    /// # Errors
    /// A zero interval, spacing or ramp, a spacing that shrinks, a supply above [`SUPPLY_MAX`].
    pub fn check(&self) -> Result<(), ScheduleError> {
        let Spacing { start, end, ramp } = self.spacing;
        let supply = self.emission.total_supply();
        match () {
            () if self.emission.halving_interval == 0 => Err(ScheduleError::HalvingInterval),
            () if start == 0 => Err(ScheduleError::SpacingStart),
            () if end < start => Err(ScheduleError::SpacingEnd { start, end }),
            () if ramp == Amount::ZERO => Err(ScheduleError::SpacingRamp),
            () if supply > u128::from(SUPPLY_MAX.units()) => Err(ScheduleError::Supply(supply)),
            () => Ok(()),
        }
    }

    /// What the block at `height` pays, without fees.
    pub fn subsidy(&self, height: Height) -> Amount {
        self.emission.subsidy(height)
    }

    /// The coins in circulation when the block at `height` is judged.
    pub fn issued(&self, height: Height) -> Amount {
        self.emission.issued(height)
    }

    /// The seconds that the block at `height` should take; at least 1.
    pub fn spacing(&self, height: Height) -> u32 {
        self.spacing.after(self.emission.issued(height))
    }

    /// The largest block at `height`, in canonical bytes: floor(largest x spacing / last spacing).
    /// While blocks come quickly they stay small, so that passing them on stays quick too.
    pub fn largest_block(&self, height: Height) -> u32 {
        let end = u64::from(self.spacing.end.max(1));
        let share = u64::from(self.spacing(height)).min(end);
        let bytes = u64::from(self.largest_block) * share / end;
        u32::try_from(bytes).expect("the share is at most the whole")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::amount::COIN;
    use proptest::prelude::*;

    fn coins(coins: u64) -> Amount {
        Amount::from_coins(coins).expect("tests stay below the cap")
    }

    fn main_network() -> Schedule {
        Schedule {
            emission: Emission {
                allocations: Amount::ZERO,
                subsidy: coins(10),
                halving_interval: 1_050_000,
            },
            spacing: Spacing { start: 10, end: 60, ramp: coins(1_050_000) },
            largest_block: 1_000_000,
        }
    }

    #[test]
    fn the_main_schedule_pays_spaces_and_bounds_as_written() {
        // height, subsidy in base units, issued in coins, spacing in seconds, largest block in bytes
        let cases = [
            (0, 0, 0, 10, 166_666),
            (1, 10 * COIN, 0, 10, 166_666),
            (2, 10 * COIN, 10, 10, 166_666),
            (2_100, 10 * COIN, 20_990, 10, 166_666),
            (2_101, 10 * COIN, 21_000, 11, 183_333),
            (52_501, 10 * COIN, 525_000, 35, 583_333),
            (105_000, 10 * COIN, 1_049_990, 59, 983_333),
            (105_001, 10 * COIN, 1_050_000, 60, 1_000_000),
            (1_049_999, 10 * COIN, 10_499_980, 60, 1_000_000),
            (1_050_000, 5 * COIN, 10_499_990, 60, 1_000_000),
            (1_050_001, 5 * COIN, 10_499_995, 60, 1_000_000),
            (2_100_000, COIN * 5 / 2, 15_749_990, 60, 1_000_000),
        ];
        let schedule = main_network();
        for (height, subsidy, issued, spacing, largest) in cases {
            let at = Height(height);
            assert_eq!(schedule.subsidy(at), Amount::from_units(subsidy), "subsidy({height})");
            assert_eq!(schedule.issued(at), coins(issued), "issued({height})");
            assert_eq!(schedule.spacing(at), spacing, "spacing({height})");
            assert_eq!(schedule.largest_block(at), largest, "largest_block({height})");
        }
    }

    #[test]
    fn the_main_supply_ends_just_below_the_cap() {
        let schedule = main_network();
        assert_eq!(schedule.check(), Ok(()));
        // Summed block by block by an independent program.
        assert_eq!(schedule.emission.total_supply(), 2_099_998_986_350_000);
        let last = schedule.issued(Height(u32::MAX));
        assert_eq!(u128::from(last.units()), schedule.emission.total_supply());
    }

    #[test]
    fn the_64th_halving_pays_nothing_and_never_wraps() {
        let halved_each_block =
            Emission { allocations: Amount::ZERO, subsidy: coins(1), halving_interval: 1 };
        for height in [64, 65, 128, 1 << 31, u32::MAX] {
            assert_eq!(halved_each_block.subsidy(Height(height)), Amount::ZERO, "{height}");
        }
        let huge = Emission {
            allocations: Amount::ZERO,
            subsidy: Amount::from_units(u64::MAX),
            halving_interval: 1,
        };
        assert_eq!(huge.subsidy(Height(63)), Amount::from_units(1));
        assert_eq!(huge.subsidy(Height(64)), Amount::ZERO);
    }

    #[test]
    fn parameters_that_are_no_schedule_are_refused() {
        type Change = fn(&mut Schedule);
        let cases: [(Change, &str); 7] = [
            (|s| s.emission.halving_interval = 0, "bad-halving-interval"),
            (|s| s.spacing.start = 0, "bad-spacing-start"),
            (|s| s.spacing.end = 9, "bad-spacing-end"),
            (|s| s.spacing.ramp = Amount::ZERO, "bad-spacing-ramp"),
            (|s| s.emission.halving_interval += 1, "supply-above-cap"),
            (|s| s.emission.allocations = coins(11), "supply-above-cap"),
            (|s| s.emission.subsidy = Amount::from_units(u64::MAX), "supply-above-cap"),
        ];
        for (change, code) in cases {
            let mut schedule = main_network();
            change(&mut schedule);
            assert_eq!(schedule.check().map_err(|error| error.code()), Err(code));
        }
    }

    #[test]
    fn allocations_count_as_issued_from_genesis_on() {
        let mut schedule = main_network();
        schedule.emission.allocations = coins(500_000);
        schedule.emission.halving_interval = 1_000_000;
        assert_eq!(schedule.check(), Ok(()));
        assert_eq!(schedule.issued(Height::GENESIS), coins(500_000));
        assert_eq!(schedule.issued(Height(1)), coins(500_000));
        assert_eq!(schedule.spacing(Height::GENESIS), 33);
    }

    proptest! {
        #[test]
        fn issued_is_the_running_sum_of_subsidies(
            allocations in 0..COIN, subsidy in 0..COIN, halving_interval in 1_u32..40,
        ) {
            let emission = Emission {
                allocations: Amount::from_units(allocations),
                subsidy: Amount::from_units(subsidy),
                halving_interval,
            };
            let mut sum = emission.allocations;
            for height in (0..2_000).map(Height) {
                prop_assert_eq!(emission.issued(height), sum, "at {}", height);
                sum = sum.checked_add(emission.subsidy(height)).expect("small amounts");
            }
        }

        #[test]
        fn any_parameters_give_a_spacing_that_never_shrinks_and_a_block_within_the_largest(
            units in any::<[u64; 3]>(), seconds in any::<[u32; 2]>(), heights in any::<[u32; 2]>(),
            halving_interval in any::<u32>(), largest_block in any::<u32>(),
        ) {
            let [allocations, subsidy, ramp] = units.map(Amount::from_units);
            let schedule = Schedule {
                emission: Emission { allocations, subsidy, halving_interval },
                spacing: Spacing { start: seconds[0], end: seconds[1], ramp },
                largest_block,
            };
            let _either_way = schedule.check();
            let [low, high] = [heights[0].min(heights[1]), heights[0].max(heights[1])].map(Height);
            prop_assert!(schedule.issued(low) <= schedule.issued(high));
            prop_assert!(1 <= schedule.spacing(low));
            prop_assert!(schedule.spacing(low) <= schedule.spacing(high));
            prop_assert!(schedule.largest_block(low) <= schedule.largest_block(high));
            prop_assert!(schedule.largest_block(high) <= largest_block);
        }
    }
}
