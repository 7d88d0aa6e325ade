//! Short texts that a transaction carries.

use std::fmt;
use std::str::FromStr;

/// At most `MAX` bytes of UTF-8 without control characters (U+0000-1F, U+7F-9F).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ShortText<const MAX: usize>(Box<str>);

/// The words that a sender adds to a transfer.
pub type Memo = ShortText<64>;

/// The words that a miner adds to a coinbase.
pub type Tag = ShortText<32>;

/// Why a text may not stand in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too many bytes.
    #[error("expected at most {max} bytes of text, got {got}")]
    TooLong {
        /// The limit.
        max: usize,
        /// The length given.
        got: usize,
    },
    /// A control character, which could forge a line of a log or a terminal.
    #[error("expected text without control characters, got U+{0:04X}")]
    Control(u32),
    /// Not UTF-8.
    #[error("expected text in UTF-8")]
    NotUtf8,
}

impl TextError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "text-too-long",
            Self::Control(_) => "text-control-character",
            Self::NotUtf8 => "text-not-utf8",
        }
    }
}

impl<const MAX: usize> ShortText<MAX> {
    /// Checks bytes taken from an encoding.
    ///
    /// # Errors
    /// Bytes that are too many, not UTF-8, or hold a control character.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TextError> {
        if bytes.len() > MAX {
            return Err(TextError::TooLong { max: MAX, got: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TextError::NotUtf8)?;
        match text.chars().find(|c| c.is_control()) {
            Some(control) => Err(TextError::Control(control.into())),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one-byte length followed by the text, as in an encoding.
    pub(crate) fn encode_to(&self, out: &mut Vec<u8>) {
        const { assert!(MAX <= 0xff, "the length takes one byte") };
        out.push(u8::try_from(self.0.len()).expect("at most MAX bytes"));
        out.extend_from_slice(self.0.as_bytes());
    }
}

impl<const MAX: usize> FromStr for ShortText<MAX> {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl<const MAX: usize> fmt::Display for ShortText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for ShortText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), &str>) {
        let got = text.parse::<Memo>();
        assert_eq!(got.map(|_| ()).map_err(|e| e.code()), expected, "{text:?}");
    }

    #[test]
    fn memos_are_short_and_printable() {
        check("", Ok(()));
        check("für dich ☕", Ok(()));
        check(&"a".repeat(64), Ok(()));
        check(&"a".repeat(65), Err("text-too-long"));
        check(&"é".repeat(33), Err("text-too-long"));
        for control in ["\0", "a\nb", "\u{1f}", "\u{7f}", "\u{80}", "\u{9f}"] {
            check(control, Err("text-control-character"));
        }
        check("\u{a0}", Ok(()));
        assert_eq!(Memo::from_bytes(&[0xff]), Err(TextError::NotUtf8));
    }
}
