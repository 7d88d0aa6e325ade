//! What has happened, counted: a kind of trouble that never happens proves nothing.

use crate::disk::DiskCounts;
use crate::liar::LIES;
use std::fmt;

macro_rules! tally {
    ($($name:ident),+ $(,)?) => {
        /// Counts over one world or many.
        #[derive(Clone, Debug, Default)]
        pub struct Tally {
            pub node_seconds: u64,
            pub deepest: u64,
            $(pub $name: u64,)+
            pub lies: [u64; LIES.len()],
        }

        impl Tally {
            pub fn add(&mut self, other: &Self) {
                self.node_seconds += other.node_seconds;
                self.deepest = self.deepest.max(other.deepest);
                $(self.$name += other.$name;)+
                for (sum, one) in self.lies.iter_mut().zip(other.lies) {
                    *sum += one;
                }
            }

            fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),+]
            }
        }
    };
}

tally! {
    mined, paid, expiring, reorganizations, ties,
    starts, failed_starts, kills, power_cuts, cuts_in_operation, torn,
    full, broken_writes, broken_flushes, broken_reads,
    clock_jumps, years_1970, years_2038, frozen_clocks, calls, answers, timeouts, failed_calls, splits, one_way_cuts, lone, flapping, quarrels, cut_off, resets, doubles,
    accused, expected, wakes, looks, dials, links, broken_links, texts,
}

/// What does not need to happen for a run to count: no trouble, or too rare for a short run.
const RARE: [&str; 2] = ["ties", "failed_starts"];

/// What happens even in a few worlds.
const COMMON: [&str; 8] =
    ["mined", "paid", "reorganizations", "kills", "power_cuts", "torn", "splits", "timeouts"];

impl Tally {
    pub fn add_disk(&mut self, disk: DiskCounts) {
        self.cuts_in_operation += disk.cuts_in_operation;
        self.torn += disk.torn;
        self.full += disk.full;
        self.broken_writes += disk.broken_writes;
        self.broken_flushes += disk.broken_flushes;
        self.broken_reads += disk.broken_reads;
    }

    /// What has never happened and should have: in a short run only what is common, in a long one all.
    pub fn missing(&self, is_long: bool) -> Vec<&'static str> {
        let expected =
            |name: &str| if is_long { !RARE.contains(&name) } else { COMMON.contains(&name) };
        let never = self.counts().into_iter().filter(|(name, count)| *count == 0 && expected(name));
        never.map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deepest {}", self.deepest)?;
        for (name, count) in self.counts() {
            write!(f, ", {name} {count}")?;
        }
        for (lie, count) in LIES.iter().zip(self.lies) {
            write!(f, ", {lie:?} {count}")?;
        }
        Ok(())
    }
}
