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

/// The last second of the time of day in 31 bits.
const YEAR_2038: i64 = i32::MAX as i64;

/// How somebody sets a time of day wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Hours ahead, or behind.
    Hours(i64),
    /// It begins anew, as without a battery.
    Year1970,
    /// It stands where 31 bits of seconds end.
    Year2038,
    /// It stands still.
    Frozen,
}

impl Wrong {
    /// All that happens; each as often as the others.
    pub const ALL: [Self; 9] = [
        Self::Year1970,
        Self::Hours(-3),
        Self::Hours(-2),
        Self::Hours(-1),
        Self::Frozen,
        Self::Hours(1),
        Self::Hours(2),
        Self::Hours(3),
        Self::Year2038,
    ];
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
    /// The seconds after which its time of day stands still.
    stands_at: Arc<AtomicI64>,
    /// Parts in a million that it runs fast.
    drift: i64,
}

impl Clock {
    pub fn new(time: &WorldTime, begin: UnixTime, offset: i64, drift: i64) -> Self {
        let (usual, offset) = (offset, Arc::new(AtomicI64::new(offset)));
        let stands_at = Arc::new(AtomicI64::new(i64::MAX));
        Self { time: time.clone(), begin, usual, offset, stands_at, drift }
    }

    /// Sets the time of day wrong; the clock that never jumps goes on.
    pub fn set_wrong(&self, wrong: Wrong) {
        let now = whole_seconds(self.drifted(self.time.now()));
        let begin = i64::from(self.begin.0);
        let offset = match wrong {
            Wrong::Hours(hours) => self.usual + 3_600 * hours,
            Wrong::Year1970 => -begin - now,
            Wrong::Year2038 => YEAR_2038 - begin - now,
            Wrong::Frozen => self.usual,
        };
        let stands_at = if wrong == Wrong::Frozen { now } else { i64::MAX };
        self.set(offset, stands_at);
    }

    /// Sets the time of day right, or as wrong as it always is.
    pub fn set_right(&self) {
        self.set(self.usual, i64::MAX);
    }

    fn set(&self, offset: i64, stands_at: i64) {
        self.offset.store(offset, Ordering::Relaxed);
        self.stands_at.store(stands_at, Ordering::Relaxed);
    }

    pub fn now(&self) -> Now {
        let micros = self.drifted(self.time.now());
        let since = whole_seconds(micros).min(self.stands_at.load(Ordering::Relaxed));
        let unix = i64::from(self.begin.0) + since + self.offset.load(Ordering::Relaxed);
        let unix = UnixTime(u32::try_from(unix).expect("a time of 32 bits"));
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

fn whole_seconds(micros: u64) -> i64 {
    i64::try_from(micros / SECOND).expect("a short time")
}
