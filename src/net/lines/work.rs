//! How much work one line may make this node do.
//!
//! Owns what each kind of work counts, and how much a line has left. No clock. Everything is counted
//! in bytes of answers, the rest by what it costs in comparison, so that one number bounds it all.
//! A line that has nothing left is not read further: nothing is lost, and whoever floods waits on its
//! own side. Work that we have asked for is not counted.

use std::time::Duration;

/// What each text counts, a few questions and answers of which are all that two nodes have to say to
/// each other in a second.
pub const TEXT: usize = 2 * 1024;

/// What each id of a transfer counts that a peer tells: it is looked for, kept and asked for.
pub const ID: usize = 512;

/// What each block counts that a peer tells: its header is hashed, and may go to the owner.
pub const BLOCK: usize = 32 * 1024;

/// What a line of another may cost in a second, for example 2,000 ids. 64 of them together cost a
/// part of a core: whoever has opened a line asks for headers and blocks over HTTP.
pub const OF_OTHERS_PER_SECOND: usize = 1024 * 1024;

/// What a line that we have opened may cost in a second: the other side may have to fetch the whole
/// chain over it, and we have chosen those few.
pub const OF_OURS_PER_SECOND: usize = 4 * 1024 * 1024;

/// What a line may save up: the ids of two full pools, as after a partition, or two longest blocks.
pub const SAVED_MAX: usize = 8 * 1024 * 1024;

/// What is left to a line. It may fall below zero: what was begun is done, and the next waits.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    left: i64,
    per_second: usize,
    at: Duration,
}

impl Allowance {
    /// What is earned in a second: whoever opens lines again and again has no more than that.
    pub fn new(per_second: usize, now: Duration) -> Self {
        Self { left: signed(per_second), per_second, at: now }
    }

    /// Whether there is any left.
    pub fn is_open(&self, now: Duration) -> bool {
        self.left_at(now) > 0
    }

    /// Takes what something has cost.
    pub fn charge(&mut self, cost: usize, now: Duration) {
        (self.left, self.at) = (self.left_at(now).saturating_sub(signed(cost)), now.max(self.at));
    }

    fn left_at(&self, now: Duration) -> i64 {
        let micros = now.saturating_sub(self.at).as_micros();
        let earned = micros.saturating_mul(self.per_second as u128) / 1_000_000;
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.left.saturating_add(earned).min(signed(SAVED_MAX))
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_up_is_spent_and_earned_again() {
        let at = Duration::from_millis;
        let mut own = Allowance::new(1_000, at(5_000));
        own.charge(999, at(5_000));
        assert!(own.is_open(at(5_000)));
        own.charge(2_001, at(5_000));
        // In debt by 2,000: two seconds, however often it is looked at.
        own.charge(0, at(6_000));
        assert!(!own.is_open(at(7_000)));
        assert!(own.is_open(at(7_001)));
        // An idle time of years saves up no more than ever; an earlier time takes nothing away.
        own.charge(SAVED_MAX, at(1_000_000_000_000));
        assert!(!own.is_open(at(1_000_000_000_000)) && !own.is_open(at(3)));
    }
}
