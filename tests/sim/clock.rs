//! The time of the world and what the clocks of the nodes make of it.

use farthing::chain::accept::Now;
use farthing::primitives::UnixTime;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Microseconds in a second.
pub const SECOND: u64 = 1_000_000;

/// Microseconds in a minute.
pub const MINUTE: u64 = 60 * SECOND;

/// The true time, in microseconds since the world began; clones show the same.
#[derive(Clone, Default)]
pub struct WorldTime(Arc<AtomicU64>);

impl WorldTime {
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, now: u64) {
        debug_assert!(now >= self.now(), "time goes on");
        self.0.store(now, Ordering::Relaxed);
    }
}

/// A node's clock: wrong by an offset, and by more every day.
#[derive(Clone)]
pub struct Clock {
    time: WorldTime,
    /// The time of day when the world began.
    begin: UnixTime,
    /// Seconds that its time of day is ahead when nobody has set it wrong.
    usual: i64,
    /// Seconds that its time of day is ahead.
    offset: Arc<AtomicI64>,
    /// Parts in a million that it runs fast.
    drift: i64,
}

impl Clock {
    pub fn new(time: &WorldTime, begin: UnixTime, offset: i64, drift: i64) -> Self {
        let (usual, offset) = (offset, Arc::new(AtomicI64::new(offset)));
        Self { time: time.clone(), begin, usual, offset, drift }
    }

    /// Sets the time of day by so many seconds more than it is usually ahead; the clock that never
    /// jumps goes on.
    pub fn jump(&self, seconds: i64) {
        self.offset.store(self.usual + seconds, Ordering::Relaxed);
    }

    pub fn now(&self) -> Now {
        let micros = self.drifted(self.time.now());
        let since = i64::try_from(micros / SECOND).expect("a short time");
        let ahead = since + self.offset.load(Ordering::Relaxed);
        let unix = i64::from(self.begin.0) + ahead;
        let unix = UnixTime(u32::try_from(unix).expect("a time of this century"));
        Now { unix, monotonic: Duration::from_micros(micros) }
    }

    /// The true microseconds in which this clock goes on by `wait`.
    pub fn true_micros(&self, wait: Duration) -> u64 {
        let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX / 2_000_000);
        u64::try_from(wait - wait / 1_000_000 * self.drift).unwrap_or(0)
    }

    fn drifted(&self, micros: u64) -> u64 {
        let micros = i64::try_from(micros).expect("a short time");
        u64::try_from(micros + micros / 1_000_000 * self.drift).expect("drift is small")
    }
}
