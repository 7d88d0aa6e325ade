//! Compact blocks as JSON: `{"header":"<160 hex digits>","account_root","history_root","coinbase",
//! "salt":"<16 hex digits>","short_ids"}`; all short ids are one base64url text without padding.

use super::super::block::{BLOCK_FRAME_JSON_MAX, RawCoinbase, TRANSACTIONS_MAX, write_coinbase};
use super::super::error::WireError;
use super::super::field::{Field, object};
use super::super::write::Writer;
use crate::primitives::compact::{SHORT_ID_SIZE, ShortId};
use crate::primitives::{AddressPrefix, CompactBlock, Header, StateRoots};
use serde::Deserialize;

/// Short ids of one block at most: a coinbase and so many transfers are as many as any block has.
const SHORT_IDS_MAX: usize = TRANSACTIONS_MAX - 1;

/// Bytes of the longest compact block that [`compact_to_json`] writes.
pub const COMPACT_JSON_MAX: usize =
    BLOCK_FRAME_JSON_MAX + (SHORT_IDS_MAX * SHORT_ID_SIZE * 4).div_ceil(3);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCompactBlock<'a> {
    #[serde(borrow)]
    header: Field<'a>,
    #[serde(borrow)]
    account_root: Field<'a>,
    #[serde(borrow)]
    history_root: Field<'a>,
    #[serde(borrow)]
    coinbase: Field<'a>,
    #[serde(borrow)]
    salt: Field<'a>,
    #[serde(borrow)]
    short_ids: Field<'a>,
}

/// Reads a compact block. Nothing of it is judged.
///
/// # Errors
/// Any other shape, or more short ids than a block has transfers.
pub fn compact_from_json(text: &str, prefix: AddressPrefix) -> Result<CompactBlock, WireError> {
    let raw = object::<RawCompactBlock<'_>>(text)?;
    Ok(CompactBlock {
        header: Header::decode(&raw.header.hex("header", "160")?),
        roots: StateRoots {
            accounts: raw.account_root.hash("account_root")?,
            history: raw.history_root.hash("history_root")?,
        },
        coinbase: object::<RawCoinbase<'_>>(raw.coinbase.json())?.read(prefix)?,
        salt: u64::from_be_bytes(raw.salt.hex("salt", "16")?),
        short_ids: read_short_ids(raw.short_ids)?,
    })
}

pub(super) fn read_compact(
    field: Field<'_>,
    prefix: AddressPrefix,
) -> Result<CompactBlock, WireError> {
    compact_from_json(field.json(), prefix)
}

fn read_short_ids(field: Field<'_>) -> Result<Vec<ShortId>, WireError> {
    let bytes = field.base64("short_ids", SHORT_IDS_MAX * SHORT_ID_SIZE)?;
    let (ids, rest) = bytes.as_chunks();
    if rest.is_empty() {
        return Ok(ids.iter().map(|id| ShortId::from_bytes(*id)).collect());
    }
    Err(WireError::Value {
        field: "short_ids",
        expected: format!("a whole number of {SHORT_ID_SIZE} bytes"),
        got: format!("{} bytes", bytes.len()),
    })
}

/// The canonical text of a compact block.
pub fn compact_to_json(block: &CompactBlock, prefix: AddressPrefix) -> String {
    let ids: Vec<u8> = block.short_ids.iter().flat_map(|id| *id.as_bytes()).collect();
    let mut writer = Writer::with_capacity(BLOCK_FRAME_JSON_MAX + ids.len() * 4 / 3);
    writer
        .json(r#"{"header":""#)
        .hex(&block.header.encode())
        .json(r#"","account_root":""#)
        .hex(block.roots.accounts.as_bytes())
        .json(r#"","history_root":""#)
        .hex(block.roots.history.as_bytes())
        .json(r#"","coinbase":"#);
    write_coinbase(&mut writer, &block.coinbase, prefix);
    writer
        .json(r#","salt":""#)
        .hex(&block.salt.to_be_bytes())
        .json(r#"","short_ids":""#)
        .base64(&ids)
        .json(r#""}"#);
    writer.finish()
}
