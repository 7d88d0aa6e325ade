//! How single values stand in answers: what derived `Serialize` uses for primitives.

use crate::primitives::{AddressPrefix, Amount, Height, PublicKey, Transfer, UnixTime};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt::{self, Display};

/// The JSON text of an answer or event.
pub fn to_json<T: Serialize + ?Sized>(answer: &T) -> String {
    serde_json::to_string(answer).expect("answers are structs of plain values")
}

/// JSON that has been written already, such as a block's line in the block file, to stand inside an
/// answer as it is.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Embedded(Box<RawValue>);

impl Embedded {
    /// Takes one JSON value, or `None` if the text is anything else.
    pub fn new(json: String) -> Option<Self> {
        RawValue::from_string(json).ok().map(Self)
    }

    /// A transfer.
    pub fn transfer(transfer: &Transfer, prefix: AddressPrefix) -> Self {
        let json = super::transfer_to_json(transfer, prefix);
        Self::new(json).expect("what is written is JSON")
    }

    /// The coinbase of a block.
    pub fn coinbase(coinbase: &crate::primitives::Coinbase, prefix: AddressPrefix) -> Self {
        let json = super::block::coinbase_to_json(coinbase, prefix);
        Self::new(json).expect("what is written is JSON")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

/// A public key, shown as an address of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The key.
    pub key: PublicKey,
    /// The network.
    pub prefix: AddressPrefix,
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key.to_address(self.prefix))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An amount as a number of coins, exact.
pub(super) fn coins<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
    let text = amount.to_string();
    RawValue::from_string(text).expect("digits are JSON").serialize(serializer)
}

/// Whatever has a text, as a string: hashes, ids, work, peers' addresses.
pub(super) fn shown<T: Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Like [`shown`], and `null` for nothing.
pub(super) fn shown_or_null<T: Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// A list of what [`shown`] takes.
pub(super) fn all_shown<T: Display, L: AsRef<[T]>, S: Serializer>(
    values: &L,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.as_ref().iter().map(T::to_string))
}

/// Bytes in hex.
pub(super) fn hex<T: AsRef<[u8]>, S: Serializer>(
    bytes: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&::hex::encode(bytes))
}

/// A height or a time as a number.
pub(super) fn number<T: Copy + Into<Number>, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32((*value).into().0)
}

/// Like [`number`], and `null` for nothing.
pub(super) fn number_or_null<T: Copy + Into<Number>, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => number(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// What [`number`] makes of heights and times.
pub(super) struct Number(u32);

impl From<Height> for Number {
    fn from(height: Height) -> Self {
        Self(height.0)
    }
}

impl From<UnixTime> for Number {
    fn from(time: UnixTime) -> Self {
        Self(time.0)
    }
}
