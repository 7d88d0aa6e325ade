//! Proof of work: compact bits, targets and work, three types that are not to be mixed.
//!
//! Compact bits are Bitcoin's (`arith_uint256::SetCompact`/`GetCompact`).

use super::hash::BlockHash;
use std::fmt;
use std::ops::{Add, Sub};

/// An unsigned 256-bit integer.
pub type U256 = ruint::Uint<256, 4>;

/// A 512-bit integer, for products of targets.
pub type U512 = ruint::Uint<512, 8>;

/// The compact ("bits") form of a target, as a header carries it: one exponent byte and a
/// 23-bit mantissa. Any `u32` can be held; [`CompactTarget::to_target`] says which are targets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CompactTarget(pub u32);

/// Why compact bits are not a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// The sign bit is set on a non-zero mantissa.
    #[error("bits {0:?} are negative")]
    Negative(CompactTarget),
    /// The value does not fit 256 bits.
    #[error("bits {0:?} overflow 256 bits")]
    Overflow(CompactTarget),
    /// The target is zero, which nothing can meet.
    #[error("bits {0:?} stand for the target zero")]
    Zero(CompactTarget),
    /// Another spelling stands for the same target; only the canonical one is taken.
    #[error("bits {given:?} are not canonical: expected {canonical:?}")]
    NonCanonical {
        /// What was given.
        given: CompactTarget,
        /// The one accepted spelling.
        canonical: CompactTarget,
    },
}

/// What Bitcoin's `SetCompact` reads out of compact bits, before any of it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The magnitude; meaningless when `overflow`.
    pub value: U256,
    /// The sign bit was set and the mantissa was not zero.
    pub negative: bool,
    /// The magnitude did not fit.
    pub overflow: bool,
}

impl CompactTarget {
    /// Bitcoin's `SetCompact`, judging nothing.
    pub fn unpack(self) -> Unpacked {
        let exponent = self.0 >> 24;
        let mantissa = self.0 & 0x007f_ffff;
        let value = if exponent <= 3 {
            U256::from(mantissa >> (8 * (3 - exponent)))
        } else {
            U256::from(mantissa).checked_shl(8 * (exponent as usize - 3)).unwrap_or(U256::ZERO)
        };
        let overflow = mantissa != 0
            && (exponent > 34
                || (mantissa > 0xff && exponent > 33)
                || (mantissa > 0xffff && exponent > 32));
        let shown = if exponent <= 3 { mantissa >> (8 * (3 - exponent)) } else { mantissa };
        Unpacked { value, negative: shown != 0 && self.0 & 0x0080_0000 != 0, overflow }
    }

    /// The target these bits stand for.
    ///
    /// # Errors
    /// Negative, overflowing, zero and non-canonical bits are refused.
    pub fn to_target(self) -> Result<Target, CompactError> {
        let unpacked = self.unpack();
        if unpacked.overflow {
            return Err(CompactError::Overflow(self));
        }
        if unpacked.negative {
            return Err(CompactError::Negative(self));
        }
        let target = Target::new(unpacked.value).ok_or(CompactError::Zero(self))?;
        let canonical = target.to_compact();
        if canonical != self {
            return Err(CompactError::NonCanonical { given: self, canonical });
        }
        Ok(target)
    }
}

impl fmt::Debug for CompactTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

/// The largest hash value that is a proof of work; never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(U256);

impl Target {
    /// Every hash meets this target.
    pub const MAX: Self = Self(U256::MAX);

    /// A target, unless `value` is zero.
    pub fn new(value: U256) -> Option<Self> {
        (value != U256::ZERO).then_some(Self(value))
    }

    /// The target as a number.
    pub const fn value(self) -> U256 {
        self.0
    }

    /// Bitcoin's `GetCompact`: rounds towards zero to the 23 bits that compact form holds.
    pub fn to_compact(self) -> CompactTarget {
        let mut size = self.0.byte_len();
        let shifted: U256 =
            if size <= 3 { self.0 << (8 * (3 - size)) } else { self.0 >> (8 * (size - 3)) };
        let mut mantissa = u32::try_from(shifted).expect("three bytes remain");
        if mantissa & 0x0080_0000 != 0 {
            mantissa >>= 8;
            size += 1;
        }
        let size = u32::try_from(size).expect("at most 33 bytes");
        CompactTarget(mantissa | (size << 24))
    }

    /// Whether `hash`, read as a little-endian number, is at most this target.
    pub fn is_met_by(self, hash: &BlockHash) -> bool {
        U256::from_le_bytes(*hash.as_bytes()) <= self.0
    }

    /// The expected number of hashes for one proof: floor(2^256 / (target + 1)).
    pub fn work(self) -> Work {
        // 2^256 does not fit, but floor(2^256 / (t+1)) = floor((2^256 - t - 1) / (t+1)) + 1.
        match self.0.checked_add(U256::from(1)) {
            Some(divisor) => Work((!self.0) / divisor + U256::from(1)),
            None => Work(U256::from(1)),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:064x}", self.0)
    }
}

/// Expected hashes spent: of one block, or of a whole chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Work(U256);

impl Work {
    /// No work.
    pub const ZERO: Self = Self(U256::ZERO);

    /// A number of hashes.
    pub const fn new(value: U256) -> Self {
        Self(value)
    }

    /// The work as a number of hashes.
    pub const fn value(self) -> U256 {
        self.0
    }

    /// Little-endian bytes, as committed in the history range.
    pub fn to_le_bytes(self) -> [u8; 32] {
        self.0.to_le_bytes()
    }

    /// The difference, or zero if `other` is more.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Work {
    type Output = Self;

    /// Saturates: 2^256 hashes are out of reach.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Work {
    type Output = Self;

    /// Saturates at no work.
    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}
