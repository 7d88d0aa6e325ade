//! Transfers as JSON: in blocks, in the pool and its file, between nodes.
//!
//! `{"id","sender","recipient","amount","fee","nonce","expiry","memo","signature"}`. On input `id`
//! may be left out and must be right if it is there; `fee`, `expiry` and `memo` are 0, 0 and "" if
//! left out.

use super::error::WireError;
use super::field::{Field, Optional, must_match, object};
use super::write::Writer;
use crate::primitives::{AddressPrefix, Expiry, Signature, Transfer, Txid};
use serde::Deserialize;

/// Bytes of the longest transfer that [`transfer_to_json`] writes: a memo of 64 characters that
/// all need an escape. Requests that carry one transfer may be limited by it.
pub const TRANSFER_JSON_MAX: usize = TRANSFER_JSON_TYPICAL_MAX + 2 * 64;

/// Bytes of the longest transfer with an empty memo.
pub(super) const TRANSFER_JSON_TYPICAL_MAX: usize = 97 + 64 + 2 * 63 + 2 * 17 + 20 + 10 + 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTransfer<'a> {
    #[serde(borrow, default)]
    id: Optional<'a>,
    #[serde(borrow)]
    sender: Field<'a>,
    #[serde(borrow)]
    recipient: Field<'a>,
    #[serde(borrow)]
    amount: Field<'a>,
    #[serde(borrow, default)]
    fee: Optional<'a>,
    #[serde(borrow)]
    nonce: Field<'a>,
    #[serde(borrow, default)]
    expiry: Optional<'a>,
    #[serde(borrow, default)]
    memo: Optional<'a>,
    #[serde(borrow)]
    signature: Field<'a>,
}

impl RawTransfer<'_> {
    pub(super) fn read(self, prefix: AddressPrefix) -> Result<Transfer, WireError> {
        let expiry = self.expiry.read(|field| field.u32("expiry"))?;
        let transfer = Transfer {
            sender: self.sender.carried_key("sender", prefix)?,
            recipient: self.recipient.carried_key("recipient", prefix)?,
            amount: self.amount.amount("amount")?,
            fee: self.fee.read(|field| field.amount("fee"))?.unwrap_or_default(),
            nonce: self.nonce.u64("nonce")?,
            expiry: expiry.map_or(Expiry::NEVER, Expiry),
            memo: self.memo.read(|field| field.short_text("memo"))?.unwrap_or_default(),
            signature: Signature::from_bytes(self.signature.hex("signature", "128")?),
        };
        let id = self.id.read(|field| field.txid("id"))?;
        must_match("id", id, || transfer.id())?;
        Ok(transfer)
    }
}

/// Reads a transfer. Its keys may be any 32 bytes: whether they lie on the curve is not asked.
///
/// # Errors
/// Whatever is not the shape above, with the field that is wrong.
pub fn transfer_from_json(text: &str, prefix: AddressPrefix) -> Result<Transfer, WireError> {
    object::<RawTransfer<'_>>(text)?.read(prefix)
}

/// The canonical text of a transfer.
pub fn transfer_to_json(transfer: &Transfer, prefix: AddressPrefix) -> String {
    let mut writer = Writer::with_capacity(TRANSFER_JSON_MAX);
    write_transfer(&mut writer, transfer, prefix);
    writer.finish()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGone<'a> {
    #[serde(borrow)]
    gone: Field<'a>,
}

/// Reads `{"gone":"<id>"}`: a transfer that is pending no longer.
///
/// # Errors
/// Any other shape.
pub fn gone_from_json(text: &str) -> Result<Txid, WireError> {
    object::<RawGone<'_>>(text)?.gone.txid("gone")
}

/// The canonical text that a transfer is pending no longer.
pub fn gone_to_json(id: &Txid) -> String {
    let mut writer = Writer::with_capacity(11 + 64);
    writer.json(r#"{"gone":""#).reversed_hex(id.as_bytes()).json(r#""}"#);
    writer.finish()
}

pub(super) fn write_transfer(writer: &mut Writer, transfer: &Transfer, prefix: AddressPrefix) {
    writer
        .json(r#"{"id":""#)
        .reversed_hex(transfer.id().as_bytes())
        .json(r#"","sender":""#)
        .address(&transfer.sender, prefix)
        .json(r#"","recipient":""#)
        .address(&transfer.recipient, prefix)
        .json(r#"","amount":"#)
        .coins(transfer.amount)
        .json(r#","fee":"#)
        .coins(transfer.fee)
        .json(r#","nonce":"#)
        .plain(transfer.nonce)
        .json(r#","expiry":"#)
        .plain(transfer.expiry.0)
        .json(r#","memo":"#)
        .short_text(transfer.memo.as_str())
        .json(r#","signature":""#)
        .hex(transfer.signature.as_bytes())
        .json(r#""}"#);
}
