//! How fast blocks come in.

use std::collections::VecDeque;
use std::time::Duration;

/// The span over which the rate is taken.
const SPAN: Duration = Duration::from_secs(30);

/// Below this the rate says nothing yet.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// Blocks of the last [`SPAN`], one entry a second at most.
#[derive(Default)]
pub(super) struct Progress {
    /// When the sync began that still runs.
    since: Option<Duration>,
    /// When, in full seconds, and how many.
    seconds: VecDeque<(u64, u64)>,
}

impl Progress {
    /// A sync begins to fetch blocks, or goes on with it.
    pub(super) fn begin(&mut self, now: Duration) {
        self.since.get_or_insert(now);
    }

    /// The sync is over.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Blocks have joined the best chain.
    pub(super) fn note(&mut self, blocks: u64, now: Duration) {
        match self.seconds.back_mut().filter(|(second, _)| *second == now.as_secs()) {
            Some((_, sum)) => *sum += blocks,
            None => self.seconds.push_back((now.as_secs(), blocks)),
        }
        let oldest = now.as_secs().saturating_sub(SPAN.as_secs());
        while self.seconds.front().is_some_and(|(second, _)| *second < oldest) {
            self.seconds.pop_front();
        }
    }

    /// Blocks a second over the last [`SPAN`]; `None` while nothing is fetched.
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        let span = now.saturating_sub(self.since?).min(SPAN);
        let oldest = now.as_secs().saturating_sub(SPAN.as_secs());
        let recent = self.seconds.iter().filter(|(second, _)| *second >= oldest);
        let blocks = u32::try_from(recent.map(|(_, blocks)| blocks).sum::<u64>()).ok()?;
        (span >= SPAN_MIN).then(|| f64::from(blocks) / span.as_secs_f64())
    }
}

/// Seconds in which `blocks` come in at `rate` blocks a second; `None` if none do.
pub(super) fn seconds_for(blocks: u32, rate: f64) -> Option<u64> {
    if rate <= 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(f64::from(blocks) / rate).ok().map(|left| left.as_secs())
}

#[cfg(test)]
mod tests {
    use super::{Progress, seconds_for};
    use std::time::Duration;

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        let mut progress = Progress::default();
        let at = Duration::from_secs;
        assert_eq!(progress.rate(at(5)), None);
        progress.begin(at(10));
        assert_eq!(progress.rate(at(10)), None);
        (10..=20).for_each(|second| progress.note(8, at(second)));
        assert_eq!(progress.rate(at(20)), Some(8.8));
        (21..=60).for_each(|second| progress.note(4, at(second)));
        let rate = progress.rate(at(60)).unwrap();
        assert!((rate - 4.0).abs() < 0.2, "{rate}");
        assert!(progress.seconds.len() <= 31);
        assert_eq!(progress.rate(at(200)), Some(0.0));
        progress.end();
        assert_eq!(progress.rate(at(201)), None);
    }

    #[test]
    fn no_rate_has_no_end() {
        let cases = [(100, 4.0, Some(25)), (0, 4.0, Some(0)), (100, 0.0, None), (1, 1e-300, None)];
        for (blocks, rate, expected) in cases {
            assert_eq!(seconds_for(blocks, rate), expected, "{blocks} {rate}");
        }
    }
}
