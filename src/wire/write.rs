//! Writing: canonical JSON text, compact and fast.

use super::list::ArrayFrame;
use crate::primitives::room::{cut_room, with_room};
use crate::primitives::{AddressPrefix, Amount, PublicKey, Txid};
use data_encoding::BASE64URL_NOPAD;
use std::fmt::Display;
use std::io::Write as _;

/// Bytes whose hex fits the buffer of [`Writer::hex`]: a header, the longest there is.
const HEX_BYTES_MAX: usize = 80;

/// Appends JSON to a text. Names and punctuation are given as they stand.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(with_room(bytes))
    }

    /// JSON as it stands.
    pub(super) fn json(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// A number, or anything else whose text needs no escapes.
    pub(super) fn plain(&mut self, value: impl Display) -> &mut Self {
        write!(self.0, "{value}").expect("memory takes whatever is written");
        self
    }

    /// A number of coins, exact.
    pub(super) fn coins(&mut self, amount: Amount) -> &mut Self {
        self.plain(amount)
    }

    /// The bytes in lower-case hex, without quotes.
    pub(super) fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        let mut digits = [0; 2 * HEX_BYTES_MAX];
        let digits = &mut digits[..2 * bytes.len()];
        hex::encode_to_slice(bytes, digits).expect("two digits a byte");
        self.0.extend_from_slice(digits);
        self
    }

    /// The bytes in lower-case hex, last byte first, as ids and block hashes are shown.
    pub(super) fn reversed_hex(&mut self, bytes: &[u8; 32]) -> &mut Self {
        let mut bytes = *bytes;
        bytes.reverse();
        self.hex(&bytes)
    }

    /// The bytes in base64url without padding (RFC 4648, section 5), without quotes.
    pub(super) fn base64(&mut self, bytes: &[u8]) -> &mut Self {
        self.json(&BASE64URL_NOPAD.encode(bytes))
    }

    /// An array.
    pub(super) fn all<T>(&mut self, values: &[T], write: impl Fn(&mut Self, &T)) -> &mut Self {
        let mut frame = ArrayFrame::new();
        for value in values {
            self.json(frame.before_element());
            write(self, value);
        }
        self.json(frame.end())
    }

    /// An array of ids.
    pub(super) fn txids(&mut self, ids: &[Txid]) -> &mut Self {
        self.all(ids, |writer, id| {
            writer.json("\"").reversed_hex(id.as_bytes()).json("\"");
        })
    }

    /// The address, without quotes.
    pub(super) fn address(&mut self, key: &PublicKey, prefix: AddressPrefix) -> &mut Self {
        self.json(&key.to_address(prefix))
    }

    /// A string with its quotes. Texts of transactions hold no control characters, so that the
    /// quote and the backslash are all there is to escape (RFC 8259, section 7).
    pub(super) fn short_text(&mut self, text: &str) -> &mut Self {
        self.0.push(b'"');
        for byte in text.bytes() {
            debug_assert!(byte >= 0x20, "a memo or tag holds no control characters");
            if matches!(byte, b'"' | b'\\') {
                self.0.push(b'\\');
            }
            self.0.push(byte);
        }
        self.0.push(b'"');
        self
    }

    /// The text.
    pub(super) fn finish(mut self) -> String {
        cut_room(&mut self.0);
        String::from_utf8(self.0).expect("only UTF-8 was written")
    }
}
