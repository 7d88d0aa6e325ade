//! What nodes say to each other: when they meet, when they have a new block, and what a node
//! remembers of the others.

mod record;

pub use self::record::PeerRecord;

use super::block::{block_from_json, block_to_json};
use super::error::WireError;
use super::field::{Field, Optional, object};
use super::write::Writer;
use crate::primitives::{AddressPrefix, Block, BlockHash, Height, PeerAddress, UnixTime, Work};
use serde::Deserialize;

/// How others can reach a node, as it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At this address.
    Node(PeerAddress),
    /// At this port of whatever address its connections come from; never 0.
    Port(u16),
}

impl Reach {
    fn read(field: Field<'_>, name: &'static str) -> Result<Self, WireError> {
        if field.is_number() {
            let port = field.whole(name, 1, u16::MAX.into())?;
            return Ok(Self::Port(u16::try_from(port).expect("within its range")));
        }
        field.node(name).map(Self::Node)
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Node(node) => writer.json("\"").plain(node).json("\""),
            Self::Port(port) => writer.plain(port),
        };
    }
}

/// `POST /broadcast-block`: a block, and where to fetch its forebears if they are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockAnnouncement {
    /// The block.
    pub block: Block,
    /// Who sends it, if it can be reached.
    pub from: Option<Reach>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBlockAnnouncement<'a> {
    #[serde(borrow)]
    block: Field<'a>,
    #[serde(borrow, default)]
    from: Optional<'a>,
}

impl BlockAnnouncement {
    /// Reads `{"block":{...}}` with an optional `from`.
    ///
    /// # Errors
    /// Any other shape.
    pub fn from_json(text: &str, prefix: AddressPrefix) -> Result<Self, WireError> {
        let raw = object::<RawBlockAnnouncement<'_>>(text)?;
        Ok(Self {
            from: raw.from.read(|field| Reach::read(field, "from"))?,
            block: block_from_json(raw.block.json(), prefix)?,
        })
    }

    /// The canonical text.
    pub fn to_json(&self, prefix: AddressPrefix) -> String {
        block_announcement_to_json(&block_to_json(&self.block, prefix), self.from.as_ref())
    }
}

/// The body of `POST /broadcast-block` around the canonical text of a block.
pub fn block_announcement_to_json(block: &str, from: Option<&Reach>) -> String {
    let mut writer = Writer::with_capacity(block.len() + 300);
    writer.json(r#"{"block":"#).json(block);
    if let Some(from) = from {
        writer.json(r#","from":"#);
        from.write(&mut writer);
    }
    writer.json("}");
    writer.finish()
}

/// The version of what nodes say to each other.
pub const PEER_VERSION: u32 = 1;

/// `POST /handshake` and its answer: what two nodes say of themselves when they meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The genesis hash: nodes of other chains part here.
    pub chain_id: BlockHash,
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
    /// Its clock.
    pub time: UnixTime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHandshake<'a> {
    #[serde(borrow)]
    chain_id: Field<'a>,
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
            version: raw.version.u32("version")?,
            height: Height(raw.height.u32("height")?),
            tip: raw.tip.block_hash("tip")?,
            work: raw.work.work("work")?,
            instance: u64::from_be_bytes(raw.instance.hex("instance", "16")?),
            node: raw.node.read(|field| Reach::read(field, "node"))?,
            time: UnixTime(raw.time.u32("time")?),
        })
    }

    /// `{"chain_id","version","height","tip","work","instance","node","time"}`.
    pub fn to_json(&self) -> String {
        let mut writer = Writer::with_capacity(600);
        writer
            .json(r#"{"chain_id":""#)
            .plain(self.chain_id)
            .json(r#"","version":"#)
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
        writer.json(r#","time":"#).plain(self.time).json("}");
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{PREFIX, block};
    use super::*;
    use crate::primitives::U256;
    use proptest::prelude::*;

    fn any_reach() -> impl Strategy<Value = Option<Reach>> {
        let node = "[a-z]{1,9}:[1-9][0-9]{0,3}".prop_map(|text| Reach::Node(text.parse().unwrap()));
        prop::option::of(prop_oneof![node, (1..=u16::MAX).prop_map(Reach::Port)])
    }

    proptest! {
        #[test]
        fn a_handshake_survives_its_text(
            (chain_id, tip, work) in any::<([u8; 32], [u8; 32], [u8; 32])>(),
            shift in 0..=256_usize,
            (height, instance, time) in any::<(u32, u64, u32)>(),
            node in any_reach(),
        ) {
            let handshake = Handshake {
                chain_id: BlockHash::from_bytes(chain_id),
                version: PEER_VERSION,
                height: Height(height),
                tip: BlockHash::from_bytes(tip),
                work: Work::new(U256::from_be_bytes(work).checked_shr(shift).unwrap_or(U256::ZERO)),
                instance,
                node,
                time: UnixTime(time),
            };
            prop_assert_eq!(Handshake::from_json(&handshake.to_json()), Ok(handshake));
        }

        #[test]
        fn an_announcement_survives_its_text(from in any_reach()) {
            let announcement = BlockAnnouncement { block: block(2), from };
            let text = announcement.to_json(PREFIX);
            prop_assert_eq!(BlockAnnouncement::from_json(&text, PREFIX), Ok(announcement));
        }
    }

    #[test]
    fn what_is_wrong_with_a_handshake_is_named() {
        let good = format!(
            r#"{{"chain_id":"{0}","version":1,"height":5,"tip":"{0}","work":"ff","instance":"{1}","node":5000,"time":7}}"#,
            "00".repeat(32),
            "0a".repeat(8),
        );
        let handshake = Handshake::from_json(&good).unwrap();
        assert_eq!(
            (handshake.node.clone(), handshake.to_json()),
            (Some(Reach::Port(5000)), good.clone())
        );
        for (from, to, code) in [
            (r#""work":"ff""#, r#""work":"0ff""#, "field-bad-hex"),
            (r#""work":"ff""#, r#""work":"FF""#, "field-bad-hex"),
            (r#""work":"ff""#, r#""work":"""#, "field-bad-hex"),
            (r#""work":"ff""#, r#""work":255"#, "field-wrong-type"),
            (r#""node":5000"#, r#""node":0"#, "field-bad-number"),
            (r#""node":5000"#, r#""node":65536"#, "field-bad-number"),
            (r#""node":5000"#, r#""node":"5000""#, "node-without-port"),
            (r#""node":5000"#, r#""node":null"#, "field-wrong-type"),
            (r#""height":5"#, r#""height":-0"#, "field-bad-number"),
            ("0a0a", "0a", "field-bad-hex"),
            (r#","time":7"#, "", "field-missing"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert_eq!(Handshake::from_json(&bad).unwrap_err().code(), code, "{bad}");
        }
    }
}
