//! Blocks as JSON: a line of the block file, an element of `GET /chain`, what peers exchange.
//!
//! `{"index","hash","version","previous_hash","commitment","account_root","history_root",
//! "timestamp","bits","proof","transactions":[coinbase, transfers...]}`; `proof` is the header's
//! nonce, `bits` its compact target in hex. The coinbase is `{"id","sender":"MINING","recipient",
//! "amount","height","extra_nonce","extension","tag","signature":""}`. On input `index`, `hash` and
//! ids may be left out and must be right if they are there.

use super::error::WireError;
use super::field::{Field, Object, Optional, must_match, object, too_many};
use super::transfer::{RawTransfer, TRANSFER_JSON_TYPICAL_MAX, write_transfer};
use super::write::Writer;
use crate::consensus::params::LARGEST_BLOCK_MAX;
use crate::primitives::transaction::TRANSFER_SIZE_MIN;
use crate::primitives::{
    AddressPrefix, Block, Coinbase, CompactTarget, Header, Height, StateRoots, Transfer, UnixTime,
};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use std::fmt;

/// Bytes of the largest canonical block.
const BLOCK_SIZE_MAX: usize = LARGEST_BLOCK_MAX as usize;

/// The most transactions that are read as one block: no block of 1,000,000 bytes holds as many, so
/// a longer list is refused before it takes memory.
pub const TRANSACTIONS_MAX: usize = BLOCK_SIZE_MAX / TRANSFER_SIZE_MIN;

/// Bytes of the longest block that [`block_to_json`] writes: transfers with empty memos need the
/// most text for each canonical byte. Requests and answers that carry a block may be limited by it.
pub const BLOCK_JSON_MAX: usize =
    TRANSACTIONS_MAX * (TRANSFER_JSON_TYPICAL_MAX + 1) + BLOCK_FRAME_JSON_MAX;

/// Bytes of the longest text of a block around its transfers.
pub(super) const BLOCK_FRAME_JSON_MAX: usize = 1_200;

/// What a coinbase shows as its sender, as the original did.
const COINBASE_SENDER: &str = "MINING";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBlock<'a> {
    #[serde(borrow, default)]
    index: Optional<'a>,
    #[serde(borrow, default)]
    hash: Optional<'a>,
    #[serde(borrow)]
    version: Field<'a>,
    #[serde(borrow)]
    previous_hash: Field<'a>,
    #[serde(borrow)]
    commitment: Field<'a>,
    #[serde(borrow)]
    account_root: Field<'a>,
    #[serde(borrow)]
    history_root: Field<'a>,
    #[serde(borrow)]
    timestamp: Field<'a>,
    #[serde(borrow)]
    bits: Field<'a>,
    #[serde(borrow)]
    proof: Field<'a>,
    #[serde(borrow)]
    transactions: RawTransactions<'a>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCoinbase<'a> {
    #[serde(borrow, default)]
    id: Optional<'a>,
    #[serde(borrow)]
    sender: Field<'a>,
    #[serde(borrow)]
    recipient: Field<'a>,
    #[serde(borrow)]
    amount: Field<'a>,
    #[serde(borrow)]
    height: Field<'a>,
    #[serde(borrow)]
    extra_nonce: Field<'a>,
    #[serde(borrow)]
    extension: Field<'a>,
    #[serde(borrow)]
    tag: Field<'a>,
    #[serde(borrow)]
    signature: Field<'a>,
}

/// The coinbase, if the list has a first element, and the transfers after it.
struct RawTransactions<'a> {
    coinbase: Option<RawCoinbase<'a>>,
    transfers: Vec<RawTransfer<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for RawTransactions<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TransactionsVisitor)
    }
}

struct TransactionsVisitor;

impl<'de> Visitor<'de> for TransactionsVisitor {
    type Value = RawTransactions<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of transactions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let coinbase = list.next_element::<Object<RawCoinbase<'de>>>()?.map(|object| object.0);
        let mut transfers = Vec::new();
        while let Some(Object(transfer)) = list.next_element::<Object<RawTransfer<'de>>>()? {
            if transfers.len() + 1 == TRANSACTIONS_MAX {
                return Err(too_many(TRANSACTIONS_MAX));
            }
            transfers.push(transfer);
        }
        Ok(RawTransactions { coinbase, transfers })
    }
}

impl RawCoinbase<'_> {
    pub(super) fn read(self, prefix: AddressPrefix) -> Result<Coinbase, WireError> {
        self.sender.exactly("sender", COINBASE_SENDER)?;
        self.signature.exactly("signature", "")?;
        let coinbase = Coinbase {
            height: Height(self.height.u32("height")?),
            extra_nonce: self.extra_nonce.hex("extra_nonce", "16")?,
            recipient: self.recipient.carried_key("recipient", prefix)?,
            amount: self.amount.amount("amount")?,
            extension: self.extension.hex("extension", "64")?,
            tag: self.tag.short_text("tag")?,
        };
        let id = self.id.read(|field| field.txid("id"))?;
        must_match("id", id, || coinbase.id())?;
        Ok(coinbase)
    }
}

impl RawTransactions<'_> {
    fn read(self, prefix: AddressPrefix) -> Result<(Coinbase, Vec<Transfer>), WireError> {
        let element = |index: usize, result: WireError| WireError::Element {
            field: "transactions",
            index,
            source: Box::new(result),
        };
        let coinbase = self.coinbase.ok_or(WireError::NoCoinbase)?;
        let coinbase = coinbase.read(prefix).map_err(|error| element(0, error))?;
        let transfers = self
            .transfers
            .into_iter()
            .zip(1..)
            .map(|(raw, index)| raw.read(prefix).map_err(|error| element(index, error)))
            .collect::<Result<_, _>>()?;
        Ok((coinbase, transfers))
    }
}

impl RawBlock<'_> {
    fn read(self, prefix: AddressPrefix) -> Result<Block, WireError> {
        let header = Header {
            version: self.version.u32("version")?,
            previous: self.previous_hash.block_hash("previous_hash")?,
            commitment: self.commitment.hash("commitment")?,
            time: UnixTime(self.timestamp.u32("timestamp")?),
            bits: CompactTarget(u32::from_be_bytes(self.bits.hex("bits", "8")?)),
            nonce: self.proof.u32("proof")?,
        };
        let roots = StateRoots {
            accounts: self.account_root.hash("account_root")?,
            history: self.history_root.hash("history_root")?,
        };
        let hash = self.hash.read(|field| field.block_hash("hash"))?;
        must_match("hash", hash, || header.hash())?;
        let index = self.index.read(|field| field.u32("index"))?;
        let (coinbase, transfers) = self.transactions.read(prefix)?;
        must_match("index", index, || coinbase.height.0)?;
        Ok(Block { header, roots, coinbase, transfers })
    }
}

/// Reads a block of any height but genesis. Whether it keeps the rules of the chain, or even
/// whether its header commits to the rest, is not asked.
///
/// # Errors
/// Whatever is not the shape above, with the field that is wrong; an amount above the supply cap;
/// more than [`TRANSACTIONS_MAX`] transactions.
pub fn block_from_json(text: &str, prefix: AddressPrefix) -> Result<Block, WireError> {
    object::<RawBlock<'_>>(text)?.read(prefix)
}

/// The canonical text of a block.
pub fn block_to_json(block: &Block, prefix: AddressPrefix) -> String {
    let transfers = block.transfers.len() * (TRANSFER_JSON_TYPICAL_MAX + 1);
    let mut writer = Writer::with_capacity(BLOCK_FRAME_JSON_MAX + transfers);
    write_header(&mut writer, block.coinbase.height, &block.header, &block.roots);
    write_coinbase(&mut writer, &block.coinbase, prefix);
    for transfer in &block.transfers {
        writer.json(",");
        write_transfer(&mut writer, transfer, prefix);
    }
    writer.json("]}");
    writer.finish()
}

/// The genesis block as the first element of `GET /chain`: index 0 and no transactions.
pub fn genesis_to_json(header: &Header, roots: &StateRoots) -> String {
    let mut writer = Writer::with_capacity(BLOCK_FRAME_JSON_MAX);
    write_header(&mut writer, Height::GENESIS, header, roots);
    writer.json("]}");
    writer.finish()
}

/// The canonical text of a coinbase by itself.
pub(super) fn coinbase_to_json(coinbase: &Coinbase, prefix: AddressPrefix) -> String {
    let mut writer = Writer::with_capacity(BLOCK_FRAME_JSON_MAX);
    write_coinbase(&mut writer, coinbase, prefix);
    writer.finish()
}

/// Everything up to and with the bracket that opens the list of transactions.
fn write_header(writer: &mut Writer, height: Height, header: &Header, roots: &StateRoots) {
    writer
        .json(r#"{"index":"#)
        .plain(height)
        .json(r#","hash":""#)
        .reversed_hex(header.hash().as_bytes())
        .json(r#"","version":"#)
        .plain(header.version)
        .json(r#","previous_hash":""#)
        .reversed_hex(header.previous.as_bytes())
        .json(r#"","commitment":""#)
        .hex(header.commitment.as_bytes())
        .json(r#"","account_root":""#)
        .hex(roots.accounts.as_bytes())
        .json(r#"","history_root":""#)
        .hex(roots.history.as_bytes())
        .json(r#"","timestamp":"#)
        .plain(header.time)
        .json(r#","bits":""#)
        .hex(&header.bits.0.to_be_bytes())
        .json(r#"","proof":"#)
        .plain(header.nonce)
        .json(r#","transactions":["#);
}

pub(super) fn write_coinbase(writer: &mut Writer, coinbase: &Coinbase, prefix: AddressPrefix) {
    writer
        .json(r#"{"id":""#)
        .reversed_hex(coinbase.id().as_bytes())
        .json(r#"","sender":"MINING","recipient":""#)
        .address(&coinbase.recipient, prefix)
        .json(r#"","amount":"#)
        .coins(coinbase.amount)
        .json(r#","height":"#)
        .plain(coinbase.height)
        .json(r#","extra_nonce":""#)
        .hex(&coinbase.extra_nonce)
        .json(r#"","extension":""#)
        .hex(&coinbase.extension)
        .json(r#"","tag":"#)
        .short_text(coinbase.tag.as_str())
        .json(r#","signature":""}"#);
}
