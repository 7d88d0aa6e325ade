//! What nodes compare: their pools, first in one short summary and then by ids, and the addresses
//! of others that they know.

use super::super::error::WireError;
use super::super::field::{Field, List, object};
use super::super::list::elements;
use super::super::write::Writer;
use crate::primitives::{PeerAddress, Txid};
use serde::Deserialize;

/// Buckets of a summary: one for each first byte of an id.
const BUCKETS: usize = 256;

/// Ids in one answer at most: who asks for 16 of 256 buckets gets them all up to a pool of 130,000
/// transfers, and comes again when it has fetched these.
pub const POOL_IDS_MAX: usize = 8_192;

/// Addresses in one answer at most: enough to find others by, and too few to map the network with.
pub const ADDRESSES_MAX: usize = 32;

/// What a pool holds, in 256 numbers: each is the XOR of the second to ninth byte (big-endian) of
/// the ids that begin with one byte, as they are hashed. Two pools differ where these do. It is a
/// hint and no proof: whoever makes transfers can make some whose numbers cancel out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSummary(Box<[u64; BUCKETS]>);

impl Default for PoolSummary {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS]))
    }
}

impl FromIterator<Txid> for PoolSummary {
    fn from_iter<I: IntoIterator<Item = Txid>>(ids: I) -> Self {
        let mut summary = Self::default();
        for id in ids {
            let number = id.as_bytes()[1..].first_chunk().expect("an id has 32 bytes");
            summary.0[usize::from(Self::bucket_of(&id))] ^= u64::from_be_bytes(*number);
        }
        summary
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPoolSummary<'a> {
    #[serde(borrow)]
    buckets: Field<'a>,
}

impl PoolSummary {
    /// The summary with these numbers.
    pub fn new(buckets: [u64; BUCKETS]) -> Self {
        Self(Box::new(buckets))
    }

    /// The bucket of an id.
    pub const fn bucket_of(id: &Txid) -> u8 {
        id.as_bytes()[0]
    }

    /// The buckets in which two pools differ.
    pub fn differing(&self, other: &Self) -> Vec<u8> {
        (0..=u8::MAX)
            .filter(|bucket| self.0[usize::from(*bucket)] != other.0[usize::from(*bucket)])
            .collect()
    }

    /// Reads what [`Self::to_json`] writes.
    ///
    /// # Errors
    /// Any other shape.
    pub fn from_json(text: &str) -> Result<Self, WireError> {
        let field = object::<RawPoolSummary<'_>>(text)?.buckets;
        let bytes = field.base64("buckets", BUCKETS * 8)?;
        let (numbers, _) = bytes.as_chunks();
        if bytes.len() != BUCKETS * 8 {
            return Err(WireError::Value {
                field: "buckets",
                expected: format!("{} bytes", BUCKETS * 8),
                got: format!("{} bytes", bytes.len()),
            });
        }
        Ok(Self(Box::new(std::array::from_fn(|index| u64::from_be_bytes(numbers[index])))))
    }

    /// `{"buckets":"<256 big-endian numbers of 8 bytes in base64url>"}`.
    pub fn to_json(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().flat_map(|number| number.to_be_bytes()).collect();
        let mut writer = Writer::with_capacity(32 + bytes.len() * 4 / 3);
        writer.json(r#"{"buckets":""#).base64(&bytes).json(r#""}"#);
        writer.finish()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPoolIds<'a> {
    #[serde(borrow)]
    ids: List<Field<'a>, POOL_IDS_MAX>,
}

/// Reads the ids of some buckets of a pool.
///
/// # Errors
/// Any other shape, or more than [`POOL_IDS_MAX`].
pub fn pool_ids_from_json(text: &str) -> Result<Vec<Txid>, WireError> {
    let raw = object::<RawPoolIds<'_>>(text)?;
    elements("ids", raw.ids.0, |field| field.txid("id"))
}

/// `{"ids":["<64 hex digits>",...]}`, of which there should be at most [`POOL_IDS_MAX`].
pub fn pool_ids_to_json(ids: &[Txid]) -> String {
    let mut writer = Writer::with_capacity(32 + ids.len() * 67);
    writer.json(r#"{"ids":"#).txids(ids).json("}");
    writer.finish()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAddresses<'a> {
    #[serde(borrow)]
    addresses: List<Field<'a>, ADDRESSES_MAX>,
}

/// Reads the addresses that a node gives.
///
/// # Errors
/// Any other shape, or more than [`ADDRESSES_MAX`].
pub fn addresses_from_json(text: &str) -> Result<Vec<PeerAddress>, WireError> {
    let raw = object::<RawAddresses<'_>>(text)?;
    elements("addresses", raw.addresses.0, |field| field.node("address"))
}

/// `{"addresses":["host:port",...]}`, of which there should be at most [`ADDRESSES_MAX`].
pub fn addresses_to_json(addresses: &[PeerAddress]) -> String {
    let mut writer = Writer::with_capacity(32 + addresses.len() * 32);
    writer.json(r#"{"addresses":"#);
    writer.all(addresses, |writer, address| {
        writer.json("\"").plain(address).json("\"");
    });
    writer.json("}");
    writer.finish()
}
