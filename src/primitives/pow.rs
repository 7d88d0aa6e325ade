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

    /// 2^`exponent`.
    pub fn power_of_two(exponent: u8) -> Self {
        Self(U256::from(1) << usize::from(exponent))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_vectors;
    use proptest::prelude::*;
    use serde_json::Value;

    fn target(value: U256) -> Target {
        Target::new(value).expect("not zero")
    }

    /// Bits written as `0x1d00ffff`.
    fn bits(value: &Value) -> CompactTarget {
        let text = value.as_str().expect("bits are text");
        CompactTarget(u32::from_str_radix(&text[2..], 16).expect("bits are hex"))
    }

    fn number(text: &str) -> U256 {
        U256::from_str_radix(text, 16).expect("a hex number")
    }

    /// One row of Bitcoin's `bignum_SetCompact`: what is read, and what is written back.
    fn check_set_compact(row: &Value) {
        let unpacked = bits(&row["bits"]).unpack();
        assert_eq!(Some(unpacked.overflow), row["ovf"].as_bool(), "{row}");
        if unpacked.overflow {
            assert!(matches!(bits(&row["bits"]).to_target(), Err(CompactError::Overflow(_))));
            return;
        }
        assert_eq!(Some(unpacked.negative), row["neg"].as_bool(), "{row}");
        assert_eq!(unpacked.value, number(row["hex"].as_str().expect("hex")), "{row}");
        let written = bits(&row["get"]);
        match Target::new(unpacked.value) {
            None => assert_eq!(written, CompactTarget(0), "{row}"),
            Some(target) => {
                // A target has no sign to write; Bitcoin's number has.
                let sign = u32::from(unpacked.negative) << 23;
                assert_eq!(CompactTarget(target.to_compact().0 | sign), written, "{row}");
            }
        }
        let plain = !unpacked.negative && written == bits(&row["bits"]) && written.0 != 0;
        assert_eq!(bits(&row["bits"]).to_target().is_ok(), plain, "{row}");
    }

    /// One row of Bitcoin's `pow_tests`: `last bits x span / two weeks`, the span kept within a
    /// quarter and four times that, at most the limit. It exercises compact bits both ways.
    fn check_retarget(row: &Value) {
        let seconds = |name: &str| row[name].as_u64().expect("seconds");
        let span = (seconds("last_time") - seconds("first_time")).clamp(302_400, 4_838_400);
        let last = bits(&row["last_bits"]).to_target().expect("a target").value();
        let next = last * U256::from(span) / U256::from(1_209_600);
        let next = target(next.min(U256::MAX >> 32)).to_compact();
        assert_eq!(next, bits(&row["next_bits"]), "{row}");
    }

    #[test]
    fn bitcoins_compact_vectors_are_reproduced() {
        let Some(text) = test_vectors::read("pow/compact_and_retarget.json") else { return };
        let vectors: Value = serde_json::from_str(&text).expect("the file is JSON");
        let rows = |name: &str| vectors[name].as_array().expect("a list of rows").clone();
        rows("set_compact").iter().for_each(check_set_compact);
        rows("retarget_2016_block_1209600_s").iter().for_each(check_retarget);
        for row in rows("get_compact_of") {
            let value = number(row["hex"].as_str().expect("hex"));
            assert_eq!(target(value).to_compact(), bits(&row["get"]));
        }
    }

    #[test]
    fn canonical_bits_are_read_and_all_others_refused_by_rule() {
        // From bitcoin/bitcoin src/test/arith_uint256_tests.cpp (bignum_SetCompact), and the edges.
        let good = [
            (0x0101_0000, "1"),
            (0x0112_0000, "12"),
            (0x0200_8000, "80"),
            (0x0412_3456, "12345600"),
            (0x0500_9234, "92340000"),
            (0x1d00_ffff, "ffff0000000000000000000000000000000000000000000000000000"),
            (0x2012_3456, "1234560000000000000000000000000000000000000000000000000000000000"),
            (0x2100_ffff, "ffff000000000000000000000000000000000000000000000000000000000000"),
        ];
        for (bits, value) in good {
            assert_eq!(CompactTarget(bits).to_target().map(Target::value), Ok(number(value)));
        }
        let compact = CompactTarget;
        for zero in [0, 0x0000_0001, 0x0100_3456, 0x0300_0000, 0x0180_0000, 0xff00_0000] {
            assert_eq!(compact(zero).to_target(), Err(CompactError::Zero(compact(zero))));
        }
        for negative in [0x01fe_dcba, 0x0492_3456, 0x1d80_ffff, 0x2080_0001] {
            assert_eq!(
                compact(negative).to_target(),
                Err(CompactError::Negative(compact(negative)))
            );
        }
        for overflow in [0xff12_3456, 0x2101_0000, 0x2200_0100, 0x2300_0001, 0x2380_0001] {
            assert_eq!(
                compact(overflow).to_target(),
                Err(CompactError::Overflow(compact(overflow)))
            );
        }
        for (given, canonical) in
            [(0x0112_3456, 0x0112_0000), (0x1e00_00ff, 0x1d00_ff00), (0x2200_00ff, 0x2100_ff00)]
        {
            let (given, canonical) = (compact(given), compact(canonical));
            assert_eq!(given.to_target(), Err(CompactError::NonCanonical { given, canonical }));
        }
    }

    #[test]
    fn work_is_the_expected_number_of_hashes() {
        let one = U256::from(1);
        let cases = [
            (one, one << 255),
            (U256::from(2), U256::MAX / U256::from(3)),
            (one << 232, (one << 24) - one),
            ((one << 232) - one, one << 24),
            (U256::MAX >> 1, U256::from(2)),
            (one << 255, one),
            (U256::MAX, one),
            // Bitcoin's first difficulty: 2^32 and a little.
            (
                number("ffff0000000000000000000000000000000000000000000000000000"),
                U256::from(0x1_0001_0001_u64),
            ),
        ];
        for (value, work) in cases {
            assert_eq!(target(value).work().value(), work, "{value:x}");
        }
    }

    #[test]
    fn a_hash_is_read_as_a_little_endian_number() {
        let mut bytes = [0; 32];
        bytes[31] = 1;
        let hash = BlockHash::from_bytes(bytes);
        assert!(target(U256::from(1) << 248).is_met_by(&hash));
        assert!(!target((U256::from(1) << 248) - U256::from(1)).is_met_by(&hash));
        assert!(Target::MAX.is_met_by(&BlockHash::from_bytes([0xff; 32])));
    }

    proptest! {
        #[test]
        fn any_bits_are_refused_or_come_back_as_they_were(bits in any::<u32>()) {
            if let Ok(target) = CompactTarget(bits).to_target() {
                prop_assert_eq!(target.to_compact(), CompactTarget(bits));
            }
        }

        #[test]
        fn compact_form_rounds_down_by_less_than_one_part_in_32768(
            value in any::<[u8; 32]>(), shift in 0_usize..256,
        ) {
            let value = (U256::from_le_bytes(value) >> shift).max(U256::from(1));
            let rounded = target(value).to_compact().to_target().expect("canonical").value();
            prop_assert!(rounded <= value);
            prop_assert!(value - rounded <= value >> 15);
        }

        #[test]
        fn work_is_the_quotient_in_wider_arithmetic(value in any::<[u8; 32]>(), shift in 0_usize..256) {
            let value = (U256::from_le_bytes(value) >> shift).max(U256::from(1));
            let expected = (U512::from(1) << 256) / (U512::from(value) + U512::from(1));
            prop_assert_eq!(target(value).work().value(), U256::from(expected));
        }
    }
}
