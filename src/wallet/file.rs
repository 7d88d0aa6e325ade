//! The text of a wallet file: the public key and the private key on two lines.
//!
//! ```text
//! 64 hex digits of the public key
//! 64 hex digits of the private key
//! ```
//!
//! Only text is made and read here. The node keeps it in a file that nobody else may read, and that
//! is never overwritten.

use super::{KeyError, SecretKey, Wallet};
use std::fmt;
use zeroize::Zeroizing;

/// The most bytes that are read from a wallet file. The text takes 130; a file beyond this is not a
/// wallet, and reading stops there.
pub const WALLET_FILE_SIZE_MAX: usize = 4096;

/// Why a text is not a wallet. Nothing of the private key stands in any of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletFileError {
    /// Not two lines.
    #[error("expected two lines, the public key and the private key, got {0}")]
    Lines(usize),
    /// A line that is too short or too long.
    #[error("expected 64 hex digits of the {key} on line {}, got {got} characters", key.line())]
    Length {
        /// Which key.
        key: KeyLine,
        /// Characters found (bytes, where the line is not UTF-8).
        got: usize,
    },
    /// A character that is no hex digit.
    #[error("expected 64 hex digits of the {key} on line {}, character {at} is none", key.line())]
    NotHex {
        /// Which key.
        key: KeyLine,
        /// The first such character, counted from 1.
        at: usize,
    },
    /// Zero, or above every key.
    #[error("line 2: {}", KeyError::OutOfRange)]
    OutOfRange,
    /// The two lines belong to different wallets.
    #[error(
        "the keys do not match: the private key on line 2 belongs to {derived}, not to the public key on line 1"
    )]
    Mismatch {
        /// The public key that belongs to the private key.
        derived: crate::primitives::PublicKey,
    },
}

impl WalletFileError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Lines(_) => "wallet-file-lines",
            Self::Length { .. } => "wallet-file-key-length",
            Self::NotHex { .. } => "wallet-file-not-hex",
            Self::OutOfRange => "wallet-file-key-out-of-range",
            Self::Mismatch { .. } => "wallet-file-keys-differ",
        }
    }
}

/// One of the two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLine {
    /// The first.
    Public,
    /// The second.
    Private,
}

impl KeyLine {
    const fn line(self) -> u8 {
        match self {
            Self::Public => 1,
            Self::Private => 2,
        }
    }
}

impl fmt::Display for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public key",
            Self::Private => "private key",
        })
    }
}

impl Wallet {
    /// The text of the wallet's file, wiped when dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Allocated at once: a string that grows leaves copies of the key behind.
        let mut text = Zeroizing::new(String::with_capacity(130));
        text.push_str(&self.public_key().to_string());
        text.push('\n');
        text.push_str(&self.secret_hex());
        text.push('\n');
        text
    }

    /// Reads the text of a wallet's file. Line ends of either kind are taken, a last one or none,
    /// and hex digits of either case.
    ///
    /// # Errors
    /// Anything but two keys that belong together.
    pub fn parse(text: &[u8]) -> Result<Self, WalletFileError> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let mut lines = text.split(|byte| *byte == b'\n');
        let (Some(public), Some(private), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(WalletFileError::Lines(count_lines(text)));
        };
        let public = read_key(public, KeyLine::Public)?;
        let private = read_key(private, KeyLine::Private)?;
        let secret = SecretKey::from_bytes(&private).map_err(|_| WalletFileError::OutOfRange)?;
        let wallet = Self::from_secret(secret);
        let derived = wallet.public_key();
        if derived.as_bytes() == &*public {
            Ok(wallet)
        } else {
            Err(WalletFileError::Mismatch { derived })
        }
    }
}

fn count_lines(text: &[u8]) -> usize {
    if text.is_empty() { 0 } else { text.split(|byte| *byte == b'\n').count() }
}

fn read_key(line: &[u8], key: KeyLine) -> Result<Zeroizing<[u8; 32]>, WalletFileError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let got = std::str::from_utf8(line).map_or(line.len(), |text| text.chars().count());
    if got != 64 {
        return Err(WalletFileError::Length { key, got });
    }
    if let Some(index) = line.iter().position(|byte| !byte.is_ascii_hexdigit()) {
        return Err(WalletFileError::NotHex { key, at: index + 1 });
    }
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(line, bytes.as_mut_slice()).expect("64 hex digits are 32 bytes");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::dev_accounts;

    fn lines() -> (String, String) {
        let wallet = &dev_accounts()[0];
        (wallet.public_key().to_string(), wallet.secret_hex().to_string())
    }

    #[test]
    fn a_wallet_is_read_back_from_its_text() {
        let wallet = Wallet::create().unwrap();
        let text = wallet.to_text();
        assert_eq!((text.len(), text.capacity()), (130, 130));
        let read = Wallet::parse(text.as_bytes()).unwrap();
        assert_eq!(read.public_key(), wallet.public_key());
        assert_eq!(read.secret_hex(), wallet.secret_hex());
    }

    #[test]
    fn line_ends_and_case_are_free() {
        let (public, private) = lines();
        let table = [
            format!("{public}\n{private}\n"),
            format!("{public}\n{private}"),
            format!("{public}\r\n{private}\r\n"),
            format!("{public}\r\n{private}\r"),
            format!("{}\n{}\n", public.to_uppercase(), private.to_uppercase()),
        ];
        for text in table {
            let wallet = Wallet::parse(text.as_bytes()).unwrap();
            assert_eq!(wallet.public_key().to_string(), public);
        }
    }

    #[test]
    fn anything_else_is_refused_by_its_name_and_without_the_key() {
        let (public, private) = lines();
        let other = Wallet::create().unwrap().public_key().to_string();
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        let table = [
            (String::new(), "wallet-file-lines"),
            ("\n".into(), "wallet-file-lines"),
            (public.clone(), "wallet-file-lines"),
            (format!("{public}\n{private}\n\n"), "wallet-file-lines"),
            (format!("{public}\n{private}\n{private}\n"), "wallet-file-lines"),
            (format!("{public}\n"), "wallet-file-lines"),
            (format!("{public}\n\n\n"), "wallet-file-lines"),
            (format!("\n{private}\n"), "wallet-file-key-length"),
            (format!("{public}\n{}\n", &private[1..]), "wallet-file-key-length"),
            (format!("{public}\n{private}0\n"), "wallet-file-key-length"),
            (format!("{public}\n {private}\n"), "wallet-file-key-length"),
            (format!("{public}\n{}g\n", &private[1..]), "wallet-file-not-hex"),
            (format!("{public}\n{}é\n", &private[1..]), "wallet-file-not-hex"),
            (format!("{}-\n{private}\n", &public[1..]), "wallet-file-not-hex"),
            (format!("{other}\n{private}\n"), "wallet-file-keys-differ"),
            (format!("{private}\n{public}\n"), "wallet-file-keys-differ"),
            (format!("{public}\n{}\n", "0".repeat(64)), "wallet-file-key-out-of-range"),
            (format!("{public}\n{order}\n"), "wallet-file-key-out-of-range"),
        ];
        for (text, code) in table {
            let error = Wallet::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), code, "{text:?}: {error}");
            assert!(!format!("{error} {error:?}").contains(&private[1..]), "{error:?}");
        }
        let error = Wallet::parse(&[0xff; 129]).unwrap_err();
        assert_eq!(error, WalletFileError::Lines(1));
        assert!(!error.to_string().is_empty());
    }
}
