//! Hashes and the 32-byte names built on them.
//!
//! Block hashes and transaction ids are *shown* byte-reversed, as Bitcoin does, so that proof of
//! work reads as leading zeros; every other 32-byte value is shown as it stands.

use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// SHA-256 (FIPS 180-4) of `parts`, one after the other.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut engine = Sha256::new();
    for part in parts {
        engine.update(part);
    }
    engine.finalize().into()
}

/// SHA-256 of the SHA-256 of `parts`: Bitcoin's hash for headers, transactions and their tree.
pub fn sha256d(parts: &[&[u8]]) -> [u8; 32] {
    sha256(&[&sha256(parts)])
}

/// Why a text is not a 32-byte value in hex.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 lower-case hex digits, got {got:?}")]
pub struct HashParseError {
    /// The start of the offending text.
    pub got: String,
}

impl HashParseError {
    fn new(text: &str) -> Self {
        Self { got: text.chars().take(80).collect() }
    }
}

/// Decodes exactly `N` bytes from lower-case hex: one spelling per value.
pub fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident, reversed: $reversed:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Thirty-two zero bytes.
            pub const ZERO: Self = Self([0; 32]);

            /// Takes the bytes in the order in which they are hashed and encoded.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes in the order in which they are hashed and encoded.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut bytes = self.0;
                if $reversed {
                    bytes.reverse();
                }
                let mut text = [0; 64];
                hex::encode_to_slice(bytes, &mut text).expect("64 digits hold 32 bytes");
                f.write_str(std::str::from_utf8(&text).expect("hex is ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = HashParseError;

            fn from_str(text: &str) -> Result<Self, HashParseError> {
                let mut bytes: [u8; 32] = decode_hex(text).ok_or_else(|| HashParseError::new(text))?;
                if $reversed {
                    bytes.reverse();
                }
                Ok(Self(bytes))
            }
        }
    };
}

hash_type! {
    /// sha256d of a block's 80-byte header; the genesis block's names the chain.
    BlockHash, reversed: true
}
hash_type! {
    /// sha256d of a transaction's whole canonical encoding.
    Txid, reversed: true
}
hash_type! {
    /// Any other 32-byte digest: roots, commitments, tree nodes.
    Hash256, reversed: false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_hashes_are_shown_reversed_and_read_back() {
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        let hash = BlockHash::from_bytes(bytes);
        let text = format!("{}ab", "00".repeat(31));
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse::<BlockHash>(), Ok(hash));
        assert_eq!(Hash256::from_bytes(bytes).to_string(), format!("ab{}", "00".repeat(31)));
    }

    #[test]
    fn hex_has_one_spelling() {
        for bad in ["", "ab", &"AB".repeat(32), &"0x".repeat(32), &"é".repeat(32), &"0".repeat(66)]
        {
            assert!(bad.parse::<Hash256>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sha256d_of_nothing_is_the_published_value() {
        // The double SHA-256 of the empty string, as in the Bitcoin wiki's protocol page examples.
        let expected = "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456";
        assert_eq!(hex::encode(sha256d(&[])), expected);
    }
}
