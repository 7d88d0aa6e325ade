//! Keys and addresses.
//!
//! Keys are secp256k1 with BIP-340 Schnorr signatures and 32-byte x-only public keys; an address is
//! the bech32m (BIP-350) form of such a key. Secret keys belong to the wallet, not here.

use super::hash::{decode_hex, sha256};
use bech32::primitives::decode::{CheckedHrpstring, CheckedHrpstringError};
use bech32::{Bech32m, Hrp};
use secp256k1::XOnlyPublicKey;
use std::fmt;

/// A public key as accounts are named by it: 32 bytes that consensus does not look into. Only a
/// signature, and a wallet before it pays, asks whether they lie on the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes the 32 bytes as they stand.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the bytes are the x coordinate of a point of secp256k1 (BIP-340 `lift_x`).
    pub fn is_on_curve(&self) -> bool {
        XOnlyPublicKey::from_byte_array(self.0).is_ok()
    }

    /// Whether `signature` is a BIP-340 signature by this key over `message`.
    pub fn verifies(&self, signature: &Signature, message: &[u8]) -> bool {
        let signature = secp256k1::schnorr::Signature::from_byte_array(signature.0);
        XOnlyPublicKey::from_byte_array(self.0)
            .is_ok_and(|key| secp256k1::schnorr::verify(&signature, message, &key).is_ok())
    }

    /// The address of this key on the network that `prefix` names.
    pub fn to_address(&self, prefix: AddressPrefix) -> String {
        bech32::encode_lower::<Bech32m>(prefix.hrp(), &self.0)
            .expect("a short prefix and 32 bytes fit a bech32m string")
    }

    /// Reads an address of the network that `prefix` names, or 64 hex digits of the key.
    ///
    /// # Errors
    /// A bad checksum or form, another network's prefix, a wrong length, or a key that is not on
    /// the curve, and the error says which.
    pub fn from_address(text: &str, prefix: AddressPrefix) -> Result<Self, AddressError> {
        let key = match decode_hex(text) {
            Some(bytes) => Self(bytes),
            None => Self(decode_bech32m(text, prefix)?),
        };
        if key.is_on_curve() { Ok(key) } else { Err(AddressError::NotOnCurve) }
    }

    /// Reads an address as carried between nodes: like [`Self::from_address`], but any 32 bytes
    /// are taken, because consensus does not look into a recipient.
    ///
    /// # Errors
    /// Everything that [`Self::from_address`] refuses but the curve.
    pub fn from_carried(text: &str, prefix: AddressPrefix) -> Result<Self, AddressError> {
        match decode_hex(text) {
            Some(bytes) => Ok(Self(bytes)),
            None => decode_bech32m(text, prefix).map(Self),
        }
    }
}

fn decode_bech32m(text: &str, prefix: AddressPrefix) -> Result<[u8; 32], AddressError> {
    let malformed = |why: &str| AddressError::Form { prefix, why: why.into() };
    if text.len() > ADDRESS_TEXT_MAX {
        return Err(malformed("it is too long"));
    }
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(malformed("hex digits are lower case"));
    }
    let decoded = CheckedHrpstring::new::<Bech32m>(text).map_err(|error| match error {
        CheckedHrpstringError::Checksum(_) => AddressError::Checksum,
        other => malformed(&other.to_string()),
    })?;
    if decoded.hrp() != prefix.hrp() {
        let got = decoded.hrp().to_lowercase();
        return Err(AddressError::Prefix { expected: prefix, got });
    }
    let bytes: Vec<u8> = decoded.byte_iter().collect();
    bytes.as_slice().try_into().map_err(|_| AddressError::Length(bytes.len()))
}

/// The longest text that is looked at as an address; bech32 itself ends at 90 characters.
const ADDRESS_TEXT_MAX: usize = 90;

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The human-readable part of a network's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressPrefix {
    /// `far`: the main network.
    Main,
    /// `fard`: the development network.
    Dev,
    /// `farc`: custom chains.
    Custom,
}

impl AddressPrefix {
    /// The prefix as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "far",
            Self::Dev => "fard",
            Self::Custom => "farc",
        }
    }

    fn hrp(self) -> Hrp {
        Hrp::parse_unchecked(self.as_str())
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a bech32m string at all.
    #[error("expected an address beginning with {prefix}1 or 64 hex digits of a public key: {why}")]
    Form {
        /// The network's prefix.
        prefix: AddressPrefix,
        /// What bech32m says.
        why: String,
    },
    /// Mistyped.
    #[error("the address has a bad checksum: it was mistyped or cut")]
    Checksum,
    /// Of another network.
    #[error(
        "expected an address beginning with {expected}1, this one begins with {got}1: it belongs to another network"
    )]
    Prefix {
        /// This network's prefix.
        expected: AddressPrefix,
        /// The prefix found.
        got: String,
    },
    /// Not 32 bytes.
    #[error("expected an address of 32 bytes, got {0}")]
    Length(usize),
    /// No point of the curve has this x coordinate, so nobody could spend from it.
    #[error("the address is not a key on the curve: nobody could ever spend from it")]
    NotOnCurve,
}

impl AddressError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form { .. } => "address-malformed",
            Self::Checksum => "address-bad-checksum",
            Self::Prefix { .. } => "address-wrong-network",
            Self::Length(_) => "address-wrong-length",
            Self::NotOnCurve => "address-not-on-curve",
        }
    }
}

/// A BIP-340 signature: 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Takes the 64 bytes as they stand.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// Reads 128 lower-case hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        decode_hex(text).map(Self)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// BIP-340 tagged hash: SHA-256(SHA-256(tag) || SHA-256(tag) || parts).
pub fn tagged_hash(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let tag = sha256(&[tag.as_bytes()]);
    let mut all: Vec<&[u8]> = vec![&tag, &tag];
    all.extend_from_slice(parts);
    sha256(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The x coordinate of the generator, BIP-340 vector 0's neighbour: a key surely on the curve.
    const G: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    fn key(hex: &str) -> PublicKey {
        PublicKey::from_bytes(decode_hex(hex).unwrap())
    }

    #[test]
    fn an_address_is_read_back_on_its_own_network_only() {
        let address = key(G).to_address(AddressPrefix::Main);
        assert!(address.starts_with("far1"), "{address}");
        assert_eq!(PublicKey::from_address(&address, AddressPrefix::Main), Ok(key(G)));
        assert_eq!(PublicKey::from_address(G, AddressPrefix::Dev), Ok(key(G)));
        let other = PublicKey::from_address(&address, AddressPrefix::Dev).unwrap_err();
        assert_eq!(other.code(), "address-wrong-network");
        let upper = address.to_uppercase();
        assert_eq!(PublicKey::from_address(&upper, AddressPrefix::Main), Ok(key(G)));
    }

    #[test]
    fn what_is_wrong_with_an_address_is_named() {
        let good = key(G).to_address(AddressPrefix::Main);
        let mut typo = good.clone();
        let last = if typo.pop() == Some('q') { 'p' } else { 'q' };
        typo.push(last);
        // BIP-340 vector 5: a public key that is not on the curve.
        let off_curve = "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34";
        let short = bech32::encode_lower::<Bech32m>(AddressPrefix::Main.hrp(), &[1; 20]).unwrap();
        let table = [
            (typo.as_str(), "address-bad-checksum"),
            (off_curve, "address-not-on-curve"),
            (short.as_str(), "address-wrong-length"),
            ("", "address-malformed"),
            ("hello", "address-malformed"),
            (&G.to_uppercase(), "address-malformed"),
            (&"far1".repeat(40), "address-malformed"),
        ];
        for (text, code) in table {
            let error = PublicKey::from_address(text, AddressPrefix::Main).unwrap_err();
            assert_eq!(error.code(), code, "{text}: {error}");
        }
    }

    #[test]
    fn every_change_of_up_to_two_characters_is_refused() {
        let good = key(G).to_address(AddressPrefix::Main);
        let letters = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
        for position in 4..good.len() {
            for letter in letters {
                let mut changed = good.clone().into_bytes();
                let second = (position * 7) % (good.len() - 4) + 4;
                changed[position] = *letter;
                for both in [false, true] {
                    if both {
                        changed[second] = letters[(position * 5) % 32];
                    }
                    let text = String::from_utf8(changed.clone()).unwrap();
                    let read = PublicKey::from_address(&text, AddressPrefix::Main);
                    assert_eq!(read.is_ok(), text == good, "{text}");
                }
            }
        }
    }
}
