//! What two nodes say of themselves when they meet.

use super::super::error::WireError;
use super::super::field::{Field, Optional, object};
use super::super::write::Writer;
use super::announce::Reach;
use crate::primitives::text::ShortText;
use crate::primitives::{BlockHash, Height, UnixTime, Work};
use serde::Deserialize;

/// The version of what nodes say to each other.
pub const PEER_VERSION: u32 = 2;

/// `POST /handshake` and its answer: what two nodes say of themselves when they meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The genesis hash: nodes of other chains part here.
    pub chain_id: BlockHash,
    /// The chain's name, to tell people which one it is; it decides nothing.
    pub chain: ShortText<32>,
    /// The speaker's [`PEER_VERSION`].
    pub version: u32,
    /// The height of its tip.
    pub height: Height,
    /// The hash of its tip.
    pub tip: BlockHash,
    /// All the work of its best chain.
    pub work: Work,
    /// Chosen at random at its start, by which a node knows itself when it meets itself.
    pub instance: u64,
    /// How it can be reached; left out if it cannot.
    pub node: Option<Reach>,
    /// Whether it has opened a live connection to the other that is open, as far as instances tell.
    pub linked: bool,
    /// Its clock.
    pub time: UnixTime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHandshake<'a> {
    #[serde(borrow)]
    chain_id: Field<'a>,
    #[serde(borrow)]
    chain: Field<'a>,
    #[serde(borrow)]
    version: Field<'a>,
    #[serde(borrow)]
    height: Field<'a>,
    #[serde(borrow)]
    tip: Field<'a>,
    #[serde(borrow)]
    work: Field<'a>,
    #[serde(borrow)]
    instance: Field<'a>,
    #[serde(borrow, default)]
    node: Optional<'a>,
    #[serde(borrow)]
    linked: Field<'a>,
    #[serde(borrow)]
    time: Field<'a>,
}

impl Handshake {
    /// Reads what [`Self::to_json`] writes.
    ///
    /// # Errors
    /// Any other shape.
    pub fn from_json(text: &str) -> Result<Self, WireError> {
        let raw = object::<RawHandshake<'_>>(text)?;
        Ok(Self {
            chain_id: raw.chain_id.block_hash("chain_id")?,
            chain: raw.chain.short_text("chain")?,
            version: raw.version.u32("version")?,
            height: Height(raw.height.u32("height")?),
            tip: raw.tip.block_hash("tip")?,
            work: raw.work.work("work")?,
            instance: u64::from_be_bytes(raw.instance.hex("instance", "16")?),
            node: raw.node.read(|field| Reach::read(field, "node"))?,
            linked: raw.linked.truth("linked")?,
            time: UnixTime(raw.time.u32("time")?),
        })
    }

    /// `{"chain_id","chain","version","height","tip","work","instance","node","linked","time"}`.
    pub fn to_json(&self) -> String {
        let mut writer = Writer::with_capacity(600);
        writer
            .json(r#"{"chain_id":""#)
            .plain(self.chain_id)
            .json(r#"","chain":"#)
            .short_text(self.chain.as_str())
            .json(r#","version":"#)
            .plain(self.version)
            .json(r#","height":"#)
            .plain(self.height)
            .json(r#","tip":""#)
            .plain(self.tip)
            .json(r#"","work":""#)
            .plain(self.work)
            .json(r#"","instance":""#)
            .hex(&self.instance.to_be_bytes())
            .json("\"");
        if let Some(node) = &self.node {
            writer.json(r#","node":"#);
            node.write(&mut writer);
        }
        writer.json(r#","linked":"#).plain(self.linked);
        writer.json(r#","time":"#).plain(self.time).json("}");
        writer.finish()
    }
}
