//! Lists: headers and locators for sync, blocks, transfers, and the frame of a streamed array.
//!
//! Headers go as `{"headers":["<160 hex digits>",...]}`, each the canonical 80 bytes. Locators and
//! lists of wanted blocks are hashes with commas between them, in the query of a request.

use super::block::block_from_json;
use super::error::{WireError, shown};
use super::field::{Field, List, document, object};
use super::transfer::transfer_from_json;
use super::write::Writer;
use crate::primitives::block::HEADER_SIZE;
use crate::primitives::{AddressPrefix, Block, BlockHash, Header, Transfer};
use serde::Deserialize;

/// Headers in one answer at most, as Bitcoin's `MAX_HEADERS_RESULTS`; whoever asks comes again.
pub const HEADERS_MAX: usize = 2_000;

/// Bytes of the longest text that [`headers_to_json`] writes.
pub const HEADERS_JSON_MAX: usize = r#"{"headers":[]}"#.len() + HEADERS_MAX * (2 * HEADER_SIZE + 3);

/// Hashes in one query at most: a locator whose steps double from the tenth hash on needs no more
/// for any height that fits 32 bits, and they fit a request line.
pub const HASHES_MAX: usize = 44;

/// Blocks that are read from one answer at most; whoever asks comes again.
pub const BLOCKS_MAX: usize = 64;

/// Transfers that are read from one answer at most; what a peer has beyond that comes by relay.
pub const TRANSFERS_MAX: usize = 8_192;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeaders<'a> {
    #[serde(borrow)]
    headers: List<Field<'a>, HEADERS_MAX>,
}

/// Reads an answer of headers.
///
/// # Errors
/// Whatever is not the shape above, or more than [`HEADERS_MAX`].
pub fn headers_from_json(text: &str) -> Result<Vec<Header>, WireError> {
    let raw = object::<RawHeaders<'_>>(text)?;
    elements("headers", raw.headers.0, |field| {
        field.hex("header", "160").map(|bytes| Header::decode(&bytes))
    })
}

/// The canonical text of an answer of headers, of which there should be at most [`HEADERS_MAX`].
pub fn headers_to_json(headers: &[Header]) -> String {
    let mut writer = Writer::with_capacity(HEADERS_JSON_MAX.min(32 + headers.len() * 163));
    let mut frame = ArrayFrame::new();
    writer.json(r#"{"headers":"#);
    for header in headers {
        writer.json(frame.before_element()).json("\"").hex(&header.encode()).json("\"");
    }
    writer.json(frame.end()).json("}");
    writer.finish()
}

/// Reads hashes with commas between them, such as a locator; the empty text is the empty list.
/// `field` is the name of the query parameter.
///
/// # Errors
/// Anything but block hashes, or more than [`HASHES_MAX`].
pub fn hashes_from_query(field: &'static str, text: &str) -> Result<Vec<BlockHash>, WireError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.split(',').nth(HASHES_MAX).is_some() {
        return Err(WireError::TooMany(HASHES_MAX));
    }
    let hash = |part: &str| {
        part.parse().map_err(|_| WireError::Hex { field, digits: "64", got: shown(part) })
    };
    text.split(',').map(hash).collect()
}

/// The hashes with commas between them. There should be at most [`HASHES_MAX`].
pub fn hashes_to_query(hashes: &[BlockHash]) -> String {
    hashes.iter().map(BlockHash::to_string).collect::<Vec<_>>().join(",")
}

/// Reads an array of blocks.
///
/// # Errors
/// Anything but an array of what [`block_from_json`] reads, or more than [`BLOCKS_MAX`].
pub fn blocks_from_json(text: &str, prefix: AddressPrefix) -> Result<Vec<Block>, WireError> {
    let raw = document::<List<Field<'_>, BLOCKS_MAX>>(text)?;
    elements("blocks", raw.0, |field| block_from_json(field.json(), prefix))
}

/// Reads an array of transfers, such as `GET /transactions` gives.
///
/// # Errors
/// Anything but an array of what [`transfer_from_json`] reads, or more than [`TRANSFERS_MAX`].
pub fn transfers_from_json(text: &str, prefix: AddressPrefix) -> Result<Vec<Transfer>, WireError> {
    let raw = document::<List<Field<'_>, TRANSFERS_MAX>>(text)?;
    elements("transactions", raw.0, |field| transfer_from_json(field.json(), prefix))
}

/// Reads each element; an error says which one it was.
pub(super) fn elements<'a, T>(
    name: &'static str,
    fields: Vec<Field<'a>>,
    read: impl Fn(Field<'a>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let element = |index, error| WireError::Element { field: name, index, source: Box::new(error) };
    fields
        .into_iter()
        .enumerate()
        .map(|(index, field)| read(field).map_err(|error| element(index, error)))
        .collect()
}

/// What stands around and between the elements of an array that is written piece by piece, so
/// that a long one is never held whole.
#[derive(Debug, Default)]
pub struct ArrayFrame {
    begun: bool,
}

impl ArrayFrame {
    /// An array that nothing has been written of.
    pub const fn new() -> Self {
        Self { begun: false }
    }

    /// What to write before the next element: the opening bracket, or a comma.
    pub const fn before_element(&mut self) -> &'static str {
        if self.begun {
            ","
        } else {
            self.begun = true;
            "["
        }
    }

    /// What to write at the end.
    pub const fn end(self) -> &'static str {
        if self.begun { "]" } else { "[]" }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{PREFIX, any_header, block, transfer};
    use super::super::{block_to_json, transfer_to_json};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_survive_their_text(headers in prop::collection::vec(any_header(), 0..4)) {
            let text = headers_to_json(&headers);
            prop_assert_eq!(headers_from_json(&text), Ok(headers));
        }

        #[test]
        fn hashes_survive_a_query(hashes in prop::collection::vec(any::<[u8; 32]>(), 0..=HASHES_MAX)) {
            let hashes: Vec<_> = hashes.into_iter().map(BlockHash::from_bytes).collect();
            let text = hashes_to_query(&hashes);
            prop_assert_eq!(hashes_from_query("locator", &text), Ok(hashes));
        }
    }

    fn array<T>(items: impl IntoIterator<Item = T>, text: impl Fn(T) -> String) -> String {
        let mut frame = ArrayFrame::new();
        let mut all = String::new();
        for item in items {
            all.push_str(frame.before_element());
            all.push_str(&text(item));
        }
        all + frame.end()
    }

    #[test]
    fn lists_end_where_they_may() {
        let header = block(0).header;
        let longest = headers_to_json(&vec![header; HEADERS_MAX]);
        assert_eq!(longest.len() + 1, HEADERS_JSON_MAX);
        assert_eq!(headers_from_json(&longest).unwrap().len(), HEADERS_MAX);
        let longer = headers_to_json(&vec![header; HEADERS_MAX + 1]);
        assert_eq!(headers_from_json(&longer), Err(WireError::TooMany(HEADERS_MAX)));

        let hashes = |count| hashes_to_query(&vec![header.hash(); count]);
        assert_eq!(hashes_from_query("locator", &hashes(44)).unwrap().len(), 44);
        assert_eq!(hashes_from_query("locator", &hashes(45)), Err(WireError::TooMany(44)));
        assert_eq!(hashes_from_query("locator", "00,").unwrap_err().code(), "field-bad-hex");

        let blocks = |count| array(0..count, |_| block_to_json(&block(0), PREFIX));
        assert_eq!(blocks_from_json(&blocks(0), PREFIX), Ok(vec![]));
        assert_eq!(blocks_from_json(&blocks(BLOCKS_MAX), PREFIX).unwrap()[63], block(0));
        let more = blocks_from_json(&blocks(BLOCKS_MAX + 1), PREFIX);
        assert_eq!(more, Err(WireError::TooMany(BLOCKS_MAX)));
    }

    #[test]
    fn a_wrong_element_is_named_by_its_place() {
        let good = transfer_to_json(&transfer(), PREFIX);
        let text = array([&good, &good.replace("12.5", "-1")], |text| text.clone());
        let error = transfers_from_json(&text, PREFIX).unwrap_err();
        assert_eq!(error.code(), "amount-negative");
        assert_eq!(
            error.to_string(),
            "in element 1 of field `transactions`: field `amount`: \
             expected an amount of zero or more, got -1"
        );
    }
}
