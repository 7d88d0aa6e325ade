//! Reading: objects whose fields are cut out as text first and then read one by one, so that every
//! error names its field and every number is read from its digits.

use super::error::{TOO_MANY, WireError, shown};
use crate::primitives::hash::decode_hex;
use crate::primitives::peer_address::Host;
use crate::primitives::text::ShortText;
use crate::primitives::{
    AddressPrefix, Amount, BlockHash, Hash256, PeerAddress, PublicKey, Txid, U256, Work,
};
use data_encoding::BASE64URL_NOPAD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Reads `text` as one object and nothing else.
pub(super) fn object<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, WireError> {
    document::<Object<T>>(text).map(|object| object.0)
}

/// Reads `text` as one `T` and nothing else.
pub(super) fn document<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, WireError> {
    serde_json::from_str(text).map_err(|error| WireError::from_json(&error))
}

/// A derived struct read from a JSON object only: derived code alone would take an array as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// A list of at most `MAX` elements; memory grows with what has arrived.
pub(super) struct List<T, const MAX: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = List<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MAX {
                return Err(too_many(MAX));
            }
            elements.push(element);
        }
        Ok(List(elements))
    }
}

/// Fields of an object that [`Fields`] reads at most: more than any of them has.
const FIELDS_MAX: usize = 8;

/// An object whose fields depend on each other: they are taken by name, and none may be left.
pub(super) struct Fields<'a> {
    left: Vec<(String, Field<'a>)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Reads `text` as one object and nothing else.
    pub(super) fn read(text: &'a str) -> Result<Self, WireError> {
        let left = document::<AnyFields<'_>>(text)?.0;
        let repeated = |(index, (name, _)): &(usize, &(String, Field<'_>))| {
            left[..*index].iter().any(|(earlier, _)| earlier == name)
        };
        match left.iter().enumerate().find(repeated) {
            Some((_, (name, _))) => Err(WireError::Duplicate(shown(name))),
            None => Ok(Self { left, known: Vec::new() }),
        }
    }

    /// Takes a field that may be left out.
    pub(super) fn find(&mut self, name: &'static str) -> Option<Field<'a>> {
        self.known.push(name);
        let index = self.left.iter().position(|(known, _)| known == name)?;
        Some(self.left.swap_remove(index).1)
    }

    /// Takes a field that has to be there.
    pub(super) fn take(&mut self, name: &'static str) -> Result<Field<'a>, WireError> {
        self.find(name).ok_or_else(|| WireError::Missing(name.to_owned()))
    }

    /// Refuses what has not been taken.
    pub(super) fn end(self) -> Result<(), WireError> {
        let Some((field, _)) = self.left.first() else { return Ok(()) };
        let known = format!("one of `{}`", self.known.join("`, `"));
        Err(WireError::Unknown { field: shown(field), known })
    }
}

struct AnyFields<'a>(Vec<(String, Field<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for AnyFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnyFieldsVisitor)
    }
}

struct AnyFieldsVisitor;

impl<'de> Visitor<'de> for AnyFieldsVisitor {
    type Value = AnyFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            if fields.len() == FIELDS_MAX {
                return Err(too_many(FIELDS_MAX));
            }
            fields.push(field);
        }
        Ok(AnyFields(fields))
    }
}

/// The error of a list that is longer than `max`.
pub(super) fn too_many<E: Error>(max: usize) -> E {
    E::custom(format_args!("{TOO_MANY}{max}"))
}

/// The JSON text of a field's value, well-formed but not yet read.
#[derive(Clone, Copy)]
pub(super) struct Field<'a>(&'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(raw.get()))
    }
}

impl<'a> Field<'a> {
    /// The JSON text.
    pub(super) fn json(self) -> &'a str {
        self.0
    }

    /// Whether the value is a JSON number.
    pub(super) fn is_number(self) -> bool {
        matches!(self.0.as_bytes().first(), Some(b'-' | b'0'..=b'9'))
    }

    fn wrong_type(self, field: &'static str, expected: &'static str) -> WireError {
        let got = match self.0.as_bytes().first() {
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b't' | b'f') => "a truth value",
            Some(b'n') => "null",
            _ => "a number",
        };
        WireError::Type { field, expected, got }
    }

    /// A string, without its escapes; `expected` says what it should hold.
    pub(super) fn string(
        self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Cow<'a, str>, WireError> {
        let inner = self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let inner = inner.ok_or_else(|| self.wrong_type(field, expected))?;
        if inner.contains('\\') { document(self.0).map(Cow::Owned) } else { Ok(inner.into()) }
    }

    /// A whole number from `min` to `max`, in digits alone: neither `1.0` nor `1e3` nor `-0`.
    pub(super) fn whole(self, field: &'static str, min: u64, max: u64) -> Result<u64, WireError> {
        if !self.is_number() {
            return Err(self.wrong_type(field, "a whole number"));
        }
        let digits = self.0.bytes().all(|b| b.is_ascii_digit());
        let number = if digits { self.0.parse().ok() } else { None };
        number.filter(|number| (min..=max).contains(number)).ok_or_else(|| WireError::Number {
            field,
            min,
            max,
            got: shown(self.0),
        })
    }

    pub(super) fn u64(self, field: &'static str) -> Result<u64, WireError> {
        self.whole(field, 0, u64::MAX)
    }

    pub(super) fn u32(self, field: &'static str) -> Result<u32, WireError> {
        let number = self.whole(field, 0, u32::MAX.into())?;
        Ok(u32::try_from(number).expect("it is at most u32::MAX"))
    }

    /// A number of coins.
    pub(super) fn amount(self, field: &'static str) -> Result<Amount, WireError> {
        if !self.is_number() {
            return Err(self.wrong_type(field, "a number of coins"));
        }
        self.0.parse().map_err(|source| WireError::Amount { field, source })
    }

    /// `2 * N` hex digits.
    pub(super) fn hex<const N: usize>(
        self,
        field: &'static str,
        digits: &'static str,
    ) -> Result<[u8; N], WireError> {
        let text = self.string(field, "a string of hex digits")?;
        decode_hex(&text).ok_or_else(|| WireError::Hex { field, digits, got: shown(&text) })
    }

    /// At most `max` bytes in base64url without padding; the text is measured before it is read.
    pub(super) fn base64(self, field: &'static str, max: usize) -> Result<Vec<u8>, WireError> {
        let text = self.string(field, "a string of base64url")?;
        if text.len() > BASE64URL_NOPAD.encode_len(max) {
            let (expected, got) =
                (format!("at most {max} bytes"), format!("{} digits", text.len()));
            return Err(WireError::Value { field, expected, got });
        }
        let wrong = |_| WireError::Base64 { field, got: shown(&text) };
        BASE64URL_NOPAD.decode(text.as_bytes()).map_err(wrong)
    }

    /// An array of at most `MAX` values.
    pub(super) fn list<const MAX: usize>(
        self,
        field: &'static str,
    ) -> Result<Vec<Field<'a>>, WireError> {
        if !self.0.starts_with('[') {
            return Err(self.wrong_type(field, "an array"));
        }
        document::<List<Field<'a>, MAX>>(self.0).map(|list| list.0)
    }

    /// 64 hex digits as they stand.
    pub(super) fn hash(self, field: &'static str) -> Result<Hash256, WireError> {
        self.hex(field, "64").map(Hash256::from_bytes)
    }

    /// 64 hex digits, shown reversed.
    pub(super) fn block_hash(self, field: &'static str) -> Result<BlockHash, WireError> {
        self.reversed(field).map(BlockHash::from_bytes)
    }

    /// 64 hex digits, shown reversed.
    pub(super) fn txid(self, field: &'static str) -> Result<Txid, WireError> {
        self.reversed(field).map(Txid::from_bytes)
    }

    fn reversed(self, field: &'static str) -> Result<[u8; 32], WireError> {
        let mut bytes = self.hex(field, "64")?;
        bytes.reverse();
        Ok(bytes)
    }

    /// An address or 64 hex digits of a key, as nodes carry it: any 32 bytes.
    pub(super) fn carried_key(
        self,
        field: &'static str,
        prefix: AddressPrefix,
    ) -> Result<PublicKey, WireError> {
        let text = self.string(field, ADDRESS)?;
        PublicKey::from_carried(&text, prefix)
            .map_err(|source| WireError::Address { field, source })
    }

    /// A memo or a tag.
    pub(super) fn short_text<const MAX: usize>(
        self,
        field: &'static str,
    ) -> Result<ShortText<MAX>, WireError> {
        let text = self.string(field, "a string")?;
        text.parse().map_err(|source| WireError::Text { field, source })
    }

    /// An address or 64 hex digits of a key, as people give it: a key that can spend.
    pub(super) fn spendable_key(
        self,
        field: &'static str,
        prefix: AddressPrefix,
    ) -> Result<PublicKey, WireError> {
        let text = self.string(field, ADDRESS)?;
        PublicKey::from_address(&text, prefix)
            .map_err(|source| WireError::Address { field, source })
    }

    /// `host:port`.
    pub(super) fn node(self, field: &'static str) -> Result<PeerAddress, WireError> {
        let text = self.string(field, "host:port as a string")?;
        text.parse().map_err(|source| WireError::Node { field, source })
    }

    /// A host without a port.
    pub(super) fn host(self, field: &'static str) -> Result<Host, WireError> {
        let text = self.string(field, "a host as a string")?;
        text.parse().map_err(|source| WireError::Node { field, source })
    }

    /// An amount of work: 1 to 64 hex digits without leading zeros.
    pub(super) fn work(self, field: &'static str) -> Result<Work, WireError> {
        let text = self.string(field, "a string of hex digits")?;
        read_work(&text).ok_or_else(|| WireError::Hex {
            field,
            digits: "1 to 64 (no leading zeros)",
            got: shown(&text),
        })
    }

    /// `true` or `false`.
    pub(super) fn truth(self, field: &'static str) -> Result<bool, WireError> {
        match self.0 {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.wrong_type(field, "true or false")),
        }
    }

    /// A string that may only be `expected`.
    pub(super) fn exactly(
        self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<(), WireError> {
        let text = self.string(field, "a string")?;
        if text == expected {
            return Ok(());
        }
        Err(WireError::Value { field, expected: format!("{expected:?}"), got: shown(&text) })
    }
}

/// Reads what `Work` shows itself as; one spelling for each value.
fn read_work(text: &str) -> Option<Work> {
    let one_spelling = text == "0" || !text.starts_with('0');
    if !one_spelling || text.is_empty() || text.len() > 64 {
        return None;
    }
    decode_hex(&format!("{text:0>64}")).map(|bytes: [u8; 32]| Work::new(U256::from_be_bytes(bytes)))
}

/// What an address field should hold.
pub(super) const ADDRESS: &str = "an address as a string";

/// A field that may be left out; `null` is not leaving it out.
#[derive(Clone, Copy, Default)]
pub(super) struct Optional<'a>(Option<Field<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Optional<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Field::deserialize(deserializer).map(|field| Self(Some(field)))
    }
}

impl<'a> Optional<'a> {
    /// Reads the field if it is there.
    pub(super) fn read<T>(
        self,
        read: impl FnOnce(Field<'a>) -> Result<T, WireError>,
    ) -> Result<Option<T>, WireError> {
        self.0.map(read).transpose()
    }
}

/// Holds a field that follows from others, if it was `given`, to what `follows` from them.
pub(super) fn must_match<T: PartialEq + fmt::Display>(
    field: &'static str,
    given: Option<T>,
    follows: impl FnOnce() -> T,
) -> Result<(), WireError> {
    let Some(given) = given else { return Ok(()) };
    let expected = follows();
    if given == expected {
        return Ok(());
    }
    Err(WireError::Mismatch { field, expected: expected.to_string(), got: given.to_string() })
}
