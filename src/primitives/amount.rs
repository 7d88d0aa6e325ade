//! Amounts of money, exact to one base unit.

use std::fmt;
use std::str::FromStr;

/// Base units in one coin.
pub const COIN: u64 = 100_000_000;

/// Decimal places of a coin.
const DECIMALS: i64 = 8;

/// The most coins that may ever exist on a chain, in base units: below 2^53, so that a JSON number
/// in coins is exact to eight decimals.
pub const SUPPLY_MAX: Amount = Amount(21_000_000 * COIN);

const _: () = assert!(SUPPLY_MAX.0 < 1 << 53, "amounts must survive a JSON number");

/// Digits of an amount's text that are read at most; longer texts are refused unread.
const TEXT_MAX: usize = 64;

/// A number of base units. All arithmetic is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u64);

/// Why a text is not an amount of coins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a decimal number.
    #[error("expected an amount in coins such as 12.5, got {0:?}")]
    NotANumber(String),
    /// Below zero.
    #[error("expected an amount of zero or more, got {0}")]
    Negative(String),
    /// Finer than one base unit.
    #[error("expected at most 8 decimals, got {0}")]
    TooFine(String),
    /// More than can ever exist.
    #[error("expected at most {SUPPLY_MAX} coins, got {0}")]
    TooLarge(String),
}

impl AmountError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotANumber(_) => "amount-not-a-number",
            Self::Negative(_) => "amount-negative",
            Self::TooFine(_) => "amount-too-fine",
            Self::TooLarge(_) => "amount-too-large",
        }
    }
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many base units.
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// So many whole coins, or `None` if that overflows.
    pub const fn from_coins(coins: u64) -> Option<Self> {
        match coins.checked_mul(COIN) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The number of base units.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// The sum, or `None` if it overflows.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` if it is below zero.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// The sum of `amounts`, or `None` if it overflows.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl fmt::Display for Amount {
    /// Coins with as many decimals as needed: `12.5`, `0.00000001`, `10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (coins, rest) = (self.0 / COIN, self.0 % COIN);
        if rest == 0 {
            return write!(f, "{coins}");
        }
        let decimals = format!("{rest:08}");
        write!(f, "{coins}.{}", decimals.trim_end_matches('0'))
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Reads coins from the text of a JSON number (RFC 8259), exactly and without floating point;
    /// `1e-8` is one base unit, as JavaScript prints it.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let shown: String = text.chars().take(TEXT_MAX).collect();
        let not_a_number = || AmountError::NotANumber(shown.clone());
        let number = Decimal::parse(text).ok_or_else(not_a_number)?;
        if number.digits.is_empty() {
            return Ok(Self::ZERO);
        }
        if number.negative {
            return Err(AmountError::Negative(shown));
        }
        let scale = number.exponent + DECIMALS;
        if scale < 0 {
            return Err(AmountError::TooFine(shown));
        }
        let too_large = || AmountError::TooLarge(shown.clone());
        let scale = u32::try_from(scale).map_err(|_| too_large())?;
        let units = number
            .digits
            .parse::<u64>()
            .ok()
            .and_then(|digits| digits.checked_mul(10_u64.checked_pow(scale)?))
            .map(Self)
            .ok_or_else(too_large)?;
        if units > SUPPLY_MAX { Err(too_large()) } else { Ok(units) }
    }
}

/// `digits * 10^exponent`, without leading or trailing zero digits; no digits at all is zero.
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leading_zero || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let kept = digits.trim_end_matches('0');
        let trimmed = i64::try_from(digits.len() - kept.len()).ok()?;
        let places = i64::try_from(fraction.len()).ok()?;
        Some(Self { negative, digits: kept.to_owned(), exponent: exponent - places + trimmed })
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sane =
        !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit());
    if sane { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<u64, &str>) {
        let got = text.parse::<Amount>();
        assert_eq!(got.as_ref().map(|a| a.units()).map_err(AmountError::code), expected, "{text}");
    }

    #[test]
    fn coins_are_read_exactly() {
        check("0", Ok(0));
        check("-0", Ok(0));
        check("1", Ok(COIN));
        check("12.5", Ok(1_250_000_000));
        check("0.1", Ok(10_000_000));
        check("1e-8", Ok(1));
        check("1E+2", Ok(100 * COIN));
        check("0.000000010000", Ok(1));
        check("2.999999999", Err("amount-too-fine"));
        check("1e-9", Err("amount-too-fine"));
        check("21000000", Ok(SUPPLY_MAX.units()));
        check("21000000.00000001", Err("amount-too-large"));
        check("1e999999999", Err("amount-too-large"));
        check("18446744073709551616", Err("amount-too-large"));
        check("-1", Err("amount-negative"));
        check("-1e-8", Err("amount-negative"));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            " 1",
            "1 ",
            "+1",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1.2.3",
            "NaN",
            "Infinity",
            "-",
            "0x10",
            "1_000",
            "١",
            "1e1e1",
            "1e99999999999",
            "\"1\"",
        ] {
            check(bad, Err("amount-not-a-number"));
        }
        check(&"1".repeat(65), Err("amount-not-a-number"));
    }

    proptest! {
        #[test]
        fn every_amount_within_the_supply_is_read_back(units in 0..=SUPPLY_MAX.units()) {
            let amount = Amount::from_units(units);
            prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
        }

        #[test]
        fn no_text_panics(text in ".{0,70}") {
            let _ = text.parse::<Amount>();
        }
    }
}
