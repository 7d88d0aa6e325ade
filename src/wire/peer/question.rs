//! What a node may ask another, whichever way the question travels.
//!
//! Over HTTP it is a path with a query, or a body that is posted: [`Question::http`]. On a live
//! connection it is fields of a frame beside `"what"`, the question's name.

use super::super::block::TRANSACTIONS_MAX;
use super::super::error::{WireError, shown};
use super::super::field::{Field, Fields, Optional, object};
use super::super::list::{HASHES_MAX, elements, hashes_to_query};
use super::super::write::Writer;
use super::announce::Announcement;
use super::handshake::Handshake;
use crate::primitives::hash::decode_hex;
use crate::primitives::{AddressPrefix, BlockHash, Txid};
use serde::Deserialize;

/// Transfers that one question may name at most: a request of some 35 KB.
pub const TRANSFERS_ASKED_MAX: usize = 512;

/// Transfers of one block that one question may name at most: all of them.
pub const INDEXES_MAX: usize = TRANSACTIONS_MAX - 1;

/// Buckets of a pool that one question may name at most.
pub const BUCKETS_MAX: usize = 16;

/// Bytes of the longest body of `POST /fetch-transactions`: a list of indexes of five digits, which
/// is longer than one of ids.
pub const FETCH_JSON_MAX: usize = 128 + INDEXES_MAX * 6;

/// A question to another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who are you, and how far are you? This is us.
    Handshake(Handshake),
    /// Which headers come after the highest of these on your best chain?
    Headers {
        /// Hashes of our best chain, the tip first; at most [`HASHES_MAX`].
        locator: Vec<BlockHash>,
    },
    /// Give me these blocks, or the first few of them.
    Blocks {
        /// Their hashes, at most [`HASHES_MAX`].
        hashes: Vec<BlockHash>,
    },
    /// Give me this block in compact form.
    Compact {
        /// Its hash.
        block: BlockHash,
    },
    /// Give me those of these transfers that are in your pool.
    Transfers {
        /// Their ids, at most [`TRANSFERS_ASKED_MAX`].
        ids: Vec<Txid>,
    },
    /// Give me these transfers of a block, all of them and in order.
    BlockTransfers {
        /// The block.
        block: BlockHash,
        /// Their places among the block's transfers, from 0 and ascending; at most [`INDEXES_MAX`].
        indexes: Vec<u32>,
    },
    /// What does your pool hold, in short?
    PoolSummary,
    /// Which transfers are in these buckets of your pool?
    PoolIds {
        /// First bytes of ids, ascending; at most [`BUCKETS_MAX`].
        buckets: Vec<u8>,
    },
    /// Which other nodes do you know?
    Addresses,
    /// This is new here. Nothing is asked but whether it has arrived.
    Announce(Announcement),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFetch<'a> {
    #[serde(borrow, default)]
    ids: Optional<'a>,
    #[serde(borrow, default)]
    block: Optional<'a>,
    #[serde(borrow, default)]
    indexes: Optional<'a>,
}

/// A question as an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpForm {
    /// Path and query.
    pub path: String,
    /// What is posted; `None` for a `GET`.
    pub body: Option<String>,
}

impl Question {
    /// The question as an HTTP request.
    pub fn http(&self, prefix: AddressPrefix) -> HttpForm {
        let get = |path: String| HttpForm { path, body: None };
        let post = |path: &str, body| HttpForm { path: path.to_owned(), body: Some(body) };
        match self {
            Self::Handshake(ours) => post("/handshake", ours.to_json()),
            Self::Headers { locator } => {
                get(format!("/headers?locator={}", hashes_to_query(locator)))
            }
            Self::Blocks { hashes } => get(format!("/blocks?hashes={}", hashes_to_query(hashes))),
            Self::Compact { block } => get(format!("/block/{block}/compact")),
            Self::Transfers { .. } | Self::BlockTransfers { .. } => {
                post("/fetch-transactions", self.fetch_to_json())
            }
            Self::PoolSummary => get("/transactions/summary".to_owned()),
            Self::PoolIds { buckets } => {
                get(format!("/transactions/ids?buckets={}", buckets_to_query(buckets)))
            }
            Self::Addresses => get("/addresses".to_owned()),
            Self::Announce(news) => post("/announce", news.to_json(prefix)),
        }
    }

    /// Its name in a frame.
    pub const fn what(&self) -> &'static str {
        match self {
            Self::Handshake(_) => "handshake",
            Self::Headers { .. } => "headers",
            Self::Blocks { .. } => "blocks",
            Self::Compact { .. } => "compact",
            Self::Transfers { .. } => "transfers",
            Self::BlockTransfers { .. } => "block-transfers",
            Self::PoolSummary => "pool-summary",
            Self::PoolIds { .. } => "pool-ids",
            Self::Addresses => "addresses",
            Self::Announce(_) => "announce",
        }
    }

    /// Reads the body of `POST /fetch-transactions`: `{"ids"}` or `{"block","indexes"}`.
    ///
    /// # Errors
    /// Any other shape; too many; indexes that do not ascend.
    pub fn fetch_from_json(text: &str) -> Result<Self, WireError> {
        let raw = object::<RawFetch<'_>>(text)?;
        let ids = raw.ids.read(read_ids)?;
        let block = raw.block.read(|field| field.block_hash("block"))?;
        let indexes = raw.indexes.read(read_indexes)?;
        match (ids, block, indexes) {
            (Some(ids), None, None) => Ok(Self::Transfers { ids }),
            (None, Some(block), Some(indexes)) => Ok(Self::BlockTransfers { block, indexes }),
            (None, Some(_), None) => Err(WireError::Missing("indexes".to_owned())),
            (None, None, Some(_)) => Err(WireError::Missing("block".to_owned())),
            (None, None, None) => Err(WireError::Missing("ids".to_owned())),
            (Some(_), block, _) => Err(WireError::Unknown {
                field: if block.is_some() { "block" } else { "indexes" }.to_owned(),
                known: "`ids` alone, or `block` and `indexes`".to_owned(),
            }),
        }
    }

    fn read_block_transfers(fields: &mut Fields<'_>) -> Result<Self, WireError> {
        let block = fields.take("block")?.block_hash("block")?;
        Ok(Self::BlockTransfers { block, indexes: read_indexes(fields.take("indexes")?)? })
    }

    fn fetch_to_json(&self) -> String {
        let mut writer = Writer::with_capacity(128);
        let mut names = Names { writer: &mut writer, before: "{" };
        self.write_fields(&mut names, AddressPrefix::Dev);
        writer.json("}");
        writer.finish()
    }

    /// Reads the fields of a frame that asks; `what` names the question.
    pub(super) fn read(
        what: Field<'_>,
        fields: &mut Fields<'_>,
        prefix: AddressPrefix,
    ) -> Result<Self, WireError> {
        let hashes = |field: Field<'_>, name| {
            elements(name, field.list::<HASHES_MAX>(name)?, |field| field.block_hash("hash"))
        };
        Ok(match &*what.string("what", "the name of a question")? {
            "handshake" => Self::Handshake(Handshake::from_json(fields.take("handshake")?.json())?),
            "headers" => Self::Headers { locator: hashes(fields.take("locator")?, "locator")? },
            "blocks" => Self::Blocks { hashes: hashes(fields.take("hashes")?, "hashes")? },
            "compact" => Self::Compact { block: fields.take("block")?.block_hash("block")? },
            "transfers" => Self::Transfers { ids: read_ids(fields.take("ids")?)? },
            "block-transfers" => Self::read_block_transfers(fields)?,
            "pool-summary" => Self::PoolSummary,
            "pool-ids" => Self::PoolIds { buckets: read_buckets(fields.take("buckets")?)? },
            "addresses" => Self::Addresses,
            "announce" => {
                Self::Announce(Announcement::read_on_link(fields.take("announcement")?, prefix)?)
            }
            other => {
                let expected = "the name of a question".to_owned();
                return Err(WireError::Value { field: "what", expected, got: shown(other) });
            }
        })
    }

    /// Writes the fields that [`Self::read`] reads, each after a comma.
    pub(super) fn write(&self, writer: &mut Writer, prefix: AddressPrefix) {
        self.write_fields(&mut Names { writer, before: "," }, prefix);
    }

    fn write_fields(&self, fields: &mut Names<'_>, prefix: AddressPrefix) {
        match self {
            Self::Handshake(ours) => {
                fields.name("handshake").json(&ours.to_json());
            }
            Self::Headers { locator } => write_hashes(fields.name("locator"), locator),
            Self::Blocks { hashes } => write_hashes(fields.name("hashes"), hashes),
            Self::Compact { block } => write_hash(fields.name("block"), block),
            Self::Transfers { ids } => {
                fields.name("ids").txids(ids);
            }
            Self::BlockTransfers { block, indexes } => {
                write_hash(fields.name("block"), block);
                fields.name("indexes").all(indexes, |writer, index| {
                    writer.plain(index);
                });
            }
            Self::PoolIds { buckets } => {
                fields.name("buckets").all(buckets, |writer, bucket| {
                    writer.json("\"").hex(&[*bucket]).json("\"");
                });
            }
            Self::Announce(news) => news.write_on_link(fields.name("announcement"), prefix),
            Self::PoolSummary | Self::Addresses => {}
        }
    }
}

/// Writes the names of fields, with what stands before each.
struct Names<'a> {
    writer: &'a mut Writer,
    before: &'static str,
}

impl Names<'_> {
    fn name(&mut self, name: &'static str) -> &mut Writer {
        self.writer.json(self.before).json("\"").json(name).json("\":");
        self.before = ",";
        self.writer
    }
}

fn write_hash(writer: &mut Writer, hash: &BlockHash) {
    writer.json("\"").reversed_hex(hash.as_bytes()).json("\"");
}

fn write_hashes(writer: &mut Writer, hashes: &[BlockHash]) {
    writer.all(hashes, write_hash);
}

fn read_ids(field: Field<'_>) -> Result<Vec<Txid>, WireError> {
    elements("ids", field.list::<TRANSFERS_ASKED_MAX>("ids")?, |field| field.txid("id"))
}

fn read_indexes(field: Field<'_>) -> Result<Vec<u32>, WireError> {
    let max = u64::try_from(INDEXES_MAX - 1).expect("it fits");
    let fields = field.list::<INDEXES_MAX>("indexes")?;
    let indexes = elements("indexes", fields, |field| {
        Ok(u32::try_from(field.whole("index", 0, max)?).expect("within its range"))
    })?;
    ascending("indexes", indexes)
}

fn read_buckets(field: Field<'_>) -> Result<Vec<u8>, WireError> {
    let fields = field.list::<BUCKETS_MAX>("buckets")?;
    let buckets =
        elements("buckets", fields, |field| field.hex("bucket", "2").map(u8::from_be_bytes))?;
    ascending("buckets", buckets)
}

/// Reads the buckets that `GET /transactions/ids` asks for: two hex digits each, ascending, with
/// commas between them.
///
/// # Errors
/// Anything else, or more than [`BUCKETS_MAX`].
pub fn buckets_from_query(text: &str) -> Result<Vec<u8>, WireError> {
    if text.split(',').nth(BUCKETS_MAX).is_some() {
        return Err(WireError::TooMany(BUCKETS_MAX));
    }
    let bucket = |part: &str| {
        let wrong = || WireError::Hex { field: "buckets", digits: "2", got: shown(part) };
        decode_hex(part).map(u8::from_be_bytes).ok_or_else(wrong)
    };
    ascending("buckets", text.split(',').map(bucket).collect::<Result<_, _>>()?)
}

fn buckets_to_query(buckets: &[u8]) -> String {
    buckets.iter().map(|bucket| format!("{bucket:02x}")).collect::<Vec<_>>().join(",")
}

/// One spelling for each set.
fn ascending<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    values: Vec<T>,
) -> Result<Vec<T>, WireError> {
    match values.windows(2).find(|pair| pair[0] >= pair[1]) {
        None => Ok(values),
        Some(pair) => Err(WireError::Value {
            field,
            expected: "ascending values".to_owned(),
            got: format!("{} before {}", pair[0], pair[1]),
        }),
    }
}
