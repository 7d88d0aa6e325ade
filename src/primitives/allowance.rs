//! How much of something may still be done for another, when that is counted over time.
//!
//! Owns the count alone: what is counted, and what is done when nothing is left, is the business of
//! whoever asks. No clock: `now` comes in. Invariants: what is earned is counted to the nanosecond, so
//! that it does not matter how often it is looked at; a time that is earlier takes nothing away.

use std::time::Duration;

/// What one earns in a second, and how much of it may be saved up.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// What is earned in a second.
    pub per_second: usize,
    /// More is not saved up.
    pub saved_max: usize,
}

/// What is left. It may fall below zero: what was begun is done, and the next waits.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    rate: Rate,
    /// In billionths of what is counted: a second earns as many of them as fit a nanosecond.
    left: i128,
    at: Duration,
}

/// Parts of which one makes one of what is counted.
const PARTS: i128 = 1_000_000_000;

impl Allowance {
    /// What a newcomer has, who has `saved` so much.
    pub fn new(rate: Rate, saved: usize, now: Duration) -> Self {
        Self { rate, left: parts(saved.min(rate.saved_max)), at: now }
    }

    /// Whether there is any left.
    pub fn is_open(&self, now: Duration) -> bool {
        self.left_at(now) > 0
    }

    /// How long until so much is left, if nothing is taken meanwhile; zero if it is now.
    pub fn wait(&self, count: usize, now: Duration) -> Duration {
        let lacking = parts(count).saturating_sub(self.left_at(now)).max(0);
        match whole(self.rate.per_second) {
            _ if lacking == 0 => Duration::ZERO,
            0 => Duration::MAX,
            earned => nanos((lacking - 1) / earned + 1),
        }
    }

    /// Takes what something has cost.
    pub fn charge(&mut self, cost: usize, now: Duration) {
        (self.left, self.at) = (self.left_at(now).saturating_sub(parts(cost)), now.max(self.at));
    }

    fn left_at(&self, now: Duration) -> i128 {
        let nanos = i128::try_from(now.saturating_sub(self.at).as_nanos()).unwrap_or(i128::MAX);
        let earned = nanos.saturating_mul(whole(self.rate.per_second));
        self.left.saturating_add(earned).min(parts(self.rate.saved_max))
    }
}

fn parts(count: usize) -> i128 {
    whole(count).saturating_mul(PARTS)
}

fn nanos(count: i128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

fn whole(count: usize) -> i128 {
    i128::try_from(count).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 1_000, saved_max: 8_000 };

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_is_saved_up_is_spent_and_earned_again() {
        let mut own = Allowance::new(RATE, 1_000, at(5_000));
        own.charge(999, at(5_000));
        assert!(own.is_open(at(5_000)));
        own.charge(2_001, at(5_000));
        // In debt by 2,000: two seconds, however often it is looked at.
        own.charge(0, at(6_000));
        assert!(!own.is_open(at(7_000)));
        assert!(own.is_open(at(7_001)));
        // An idle time of years saves up no more than ever; an earlier time takes nothing away.
        own.charge(8_000, at(1_000_000_000_000));
        assert!(!own.is_open(at(1_000_000_000_000)) && !own.is_open(at(3)));
    }

    #[test]
    fn a_newcomer_has_no_more_than_can_be_saved_up() {
        for (saved, has) in [(0, 0), (1, 1), (8_000, 8_000), (9_000, 8_000)] {
            let mut own = Allowance::new(RATE, saved, at(0));
            let count = (0..).take_while(|_| {
                let is_open = own.is_open(at(0));
                own.charge(1, at(0));
                is_open
            });
            assert_eq!(count.count(), has);
        }
    }

    #[test]
    fn who_waits_as_long_as_it_is_told_has_what_it_waits_for() {
        for (per_second, debt, count, wait) in [
            (1_000, 0, 0, Duration::ZERO),
            (1_000, 0, 1, Duration::from_millis(1)),
            (1_000, 2_500, 0, Duration::from_millis(2_500)),
            (3, 0, 1, Duration::from_nanos(333_333_334)),
            (0, 0, 0, Duration::ZERO),
            (0, 1, 0, Duration::MAX),
        ] {
            let mut own = Allowance::new(Rate { per_second, saved_max: 8_000 }, 0, at(5));
            own.charge(debt, at(5));
            assert_eq!(own.wait(count, at(5)), wait, "{per_second} {debt} {count}");
            if !wait.is_zero() && wait != Duration::MAX {
                assert_eq!(own.wait(count, at(5) + wait), Duration::ZERO);
                let before = wait.saturating_sub(Duration::from_nanos(1));
                assert_eq!(own.wait(count, at(5) + before), Duration::from_nanos(1));
            }
        }
    }

    #[test]
    fn who_is_charged_all_the_time_earns_as_much_as_who_is_charged_once() {
        for per_second in [1, 3, 512, 1 << 20] {
            let mut own = Allowance::new(Rate { per_second, saved_max: 4_000_000_000 }, 0, at(0));
            // Every 7 microseconds, in which only the fastest earns one.
            let step = Duration::from_micros(7);
            (1..=1_000_000).for_each(|turn| own.charge(0, step * turn));
            assert!(own.is_open(at(7_000)));
            own.charge(7 * per_second, at(7_000));
            assert!(!own.is_open(at(7_000)), "{per_second}");
            assert!(own.is_open(at(7_001)), "{per_second}");
        }
    }
}
