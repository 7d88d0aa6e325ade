//! Heights and times: integers that are not to be mixed with others.

use std::fmt;

/// A block's distance from genesis, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Height(pub u32);

impl Height {
    /// The genesis block's height.
    pub const GENESIS: Self = Self(0);

    /// The height above this one; saturates at the last representable height.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The height below this one, or `None` for genesis.
    pub fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }

    /// The height as an index into a list that starts at genesis.
    pub const fn index(self) -> usize {
        // Lossless: the crate supports no target whose usize is below 32 bits (see the check below).
        self.0 as usize
    }
}

const _: () = assert!(usize::BITS >= 32, "heights must fit an index");

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Seconds since 1970-01-01T00:00:00Z, as a header carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(pub u32);

impl UnixTime {
    /// Whole seconds from `earlier` to `self`; negative if `earlier` is later.
    pub fn seconds_since(self, earlier: Self) -> i64 {
        i64::from(self.0) - i64::from(earlier.0)
    }

    /// This time moved later by `seconds`, at most to the last representable second.
    pub const fn plus(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
