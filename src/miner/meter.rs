//! The hash rate over the last seconds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The rate is the mean over so long: short enough to follow a change of threads, long enough to
/// read.
const WINDOW: Duration = Duration::from_secs(5);

/// Counts hashes. Any thread adds; the miner's own thread takes samples while it mines.
#[derive(Default)]
pub(super) struct Meter {
    hashes: AtomicU64,
    /// When how many had been counted, oldest first; the first is the last one before the window.
    samples: Mutex<VecDeque<(Instant, u64)>>,
}

impl Meter {
    pub(super) fn add(&self, hashes: u64) {
        self.hashes.fetch_add(hashes, Ordering::Relaxed);
    }

    /// Takes a sample; the first one begins a new window.
    pub(super) fn sample(&self, now: Instant) {
        let mut samples = self.samples();
        samples.push_back((now, self.hashes.load(Ordering::Relaxed)));
        while samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            samples.pop_front();
        }
    }

    /// From now on the rate is 0, until the next sample.
    pub(super) fn idle(&self) {
        self.samples().clear();
    }

    /// Hashes a second at `now`.
    pub(super) fn rate(&self, now: Instant) -> f64 {
        let Some((since, before)) = self.samples().front().copied() else { return 0.0 };
        let hashes = self.hashes.load(Ordering::Relaxed) - before;
        // Less than a millisecond says nothing yet.
        let elapsed = now.duration_since(since).max(Duration::from_millis(1));
        // The hashes of some seconds are far below 2^53, so nothing is lost.
        hashes as f64 / elapsed.as_secs_f64()
    }

    fn samples(&self) -> MutexGuard<'_, VecDeque<(Instant, u64)>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_mean_of_the_window_and_0_when_idle() {
        let (meter, start) = (Meter::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(meter.rate(start).to_bits(), 0_f64.to_bits());
        meter.sample(start);
        for second in 1..=20 {
            meter.add(if second <= 10 { 1_000_500 } else { 2_000_000 });
            meter.sample(after(second));
        }
        assert!((meter.rate(after(20)) - 2_000_000.0).abs() < 1.0, "the old rate is forgotten");
        assert!((meter.rate(after(25)) - 1_000_000.0).abs() < 1.0, "5 s of work in 10 s");
        meter.idle();
        meter.add(5_000);
        assert_eq!(meter.rate(after(26)).to_bits(), 0_f64.to_bits());
        meter.sample(after(27));
        meter.add(1_500);
        assert!((meter.rate(after(28)) - 1_500.0).abs() < 0.01, "idle time does not count");
    }
}
