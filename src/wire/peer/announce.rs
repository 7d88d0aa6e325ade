//! What nodes tell each other of their own accord: new blocks and transfers.
//!
//! An [`Announcement`] says what there is: `{"from","blocks":[...],"transactions":"..."}`; the ids of
//! all transfers are one base64url text without padding, 43 digits each or less.
//! A block of it is its header or, if that takes no longer than a kilobyte or four, its compact
//! form: `{"work","header","height"}` or `{"work","compact"}`. The original's `POST
//! /broadcast-block` carries a whole block.

use super::super::block::{block_from_json, block_to_json};
use super::super::error::{WireError, shown};
use super::super::field::{Field, Optional, object};
use super::super::list::elements;
use super::super::write::Writer;
use super::compact::{compact_to_json, read_compact};
use crate::primitives::block::HEADER_SIZE;
use crate::primitives::{
    AddressPrefix, Block, CompactBlock, Header, Height, PeerAddress, Txid, Work,
};
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
    pub(super) fn read(field: Field<'_>, name: &'static str) -> Result<Self, WireError> {
        if field.is_number() {
            let port = field.whole(name, 1, u16::MAX.into())?;
            return Ok(Self::Port(u16::try_from(port).expect("within its range")));
        }
        field.node(name).map(Self::Node)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
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

/// Blocks of one announcement at most; more than these is a sync, which begins with a handshake.
pub const ANNOUNCED_BLOCKS_MAX: usize = 8;

/// Ids of transfers in one announcement at most: they fit a request of some 43 KB. What is more
/// goes with the next.
pub const ANNOUNCED_IDS_MAX: usize = 1_000;

/// Bytes of the longest compact block that an announcement holds itself: with some 450 transfers.
/// Of a longer one it holds the header, so that who has the block already is not sent it again.
pub const COMPACT_INLINE_MAX: usize = 4 << 10;

/// Bytes of the longest announcement.
pub const ANNOUNCEMENT_JSON_MAX: usize =
    ANNOUNCED_BLOCKS_MAX * (COMPACT_INLINE_MAX + 128) + ANNOUNCED_IDS_MAX * 43 + 400;

/// A block that is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnouncedBlock {
    /// By its header.
    Header {
        /// The header.
        header: Header,
        /// Its height, as the sender says.
        height: Height,
        /// All the work of the branch that ends with it, as the sender says.
        work: Work,
    },
    /// In compact form, of at most [`COMPACT_INLINE_MAX`] bytes.
    Compact {
        /// The block.
        block: CompactBlock,
        /// All the work of the branch that ends with it, as the sender says.
        work: Work,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnnouncedBlock<'a> {
    #[serde(borrow)]
    work: Field<'a>,
    #[serde(borrow, default)]
    header: Optional<'a>,
    #[serde(borrow, default)]
    height: Optional<'a>,
    #[serde(borrow, default)]
    compact: Optional<'a>,
}

impl AnnouncedBlock {
    /// A block in its compact form if that is short enough, else by its header.
    pub fn new(block: CompactBlock, work: Work, prefix: AddressPrefix) -> Self {
        if compact_to_json(&block, prefix).len() <= COMPACT_INLINE_MAX {
            return Self::Compact { block, work };
        }
        Self::Header { header: block.header, height: block.coinbase.height, work }
    }

    /// Its header.
    pub const fn header(&self) -> &Header {
        match self {
            Self::Header { header, .. } => header,
            Self::Compact { block, .. } => &block.header,
        }
    }

    /// Its height, as the sender says.
    pub const fn height(&self) -> Height {
        match self {
            Self::Header { height, .. } => *height,
            Self::Compact { block, .. } => block.coinbase.height,
        }
    }

    /// All the work of the branch that ends with it, as the sender says.
    pub const fn work(&self) -> Work {
        match self {
            Self::Header { work, .. } | Self::Compact { work, .. } => *work,
        }
    }

    fn read(field: Field<'_>, prefix: AddressPrefix) -> Result<Self, WireError> {
        let raw = object::<RawAnnouncedBlock<'_>>(field.json())?;
        let work = raw.work.work("work")?;
        let header = raw.header.read(|field| field.hex("header", "160"))?;
        let height = raw.height.read(|field| field.u32("height"))?;
        let compact = raw.compact.read(|field| read_inline(field, prefix))?;
        match (header, height, compact) {
            (None, None, Some(block)) => Ok(Self::Compact { block, work }),
            (Some(header), Some(height), None) => {
                Ok(Self::Header { header: Header::decode(&header), height: Height(height), work })
            }
            (Some(_), None, None) => Err(WireError::Missing("height".to_owned())),
            (None, _, None) => Err(WireError::Missing("header".to_owned())),
            (_, _, Some(_)) => Err(WireError::Unknown {
                field: if header.is_some() { "header" } else { "height" }.to_owned(),
                known: "`work` and `compact`".to_owned(),
            }),
        }
    }

    fn write(&self, writer: &mut Writer, prefix: AddressPrefix) {
        writer.json(r#"{"work":""#).plain(self.work());
        match self {
            Self::Header { header, height, .. } => {
                writer.json(r#"","header":""#).hex(&header.encode());
                writer.json(r#"","height":"#).plain(height).json("}");
            }
            Self::Compact { block, .. } => {
                writer.json(r#"","compact":"#).json(&compact_to_json(block, prefix)).json("}");
            }
        }
    }
}

fn read_inline(field: Field<'_>, prefix: AddressPrefix) -> Result<CompactBlock, WireError> {
    if field.json().len() > COMPACT_INLINE_MAX {
        return Err(WireError::Value {
            field: "compact",
            expected: format!("at most {COMPACT_INLINE_MAX} bytes"),
            got: shown(field.json()),
        });
    }
    read_compact(field, prefix)
}

/// `POST /announce`, and what goes over a live connection: what the sender has, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Who sends it, if it can be reached. A live connection says it itself, so that it is not
    /// written there.
    pub from: Option<Reach>,
    /// Blocks, at most [`ANNOUNCED_BLOCKS_MAX`].
    pub blocks: Vec<AnnouncedBlock>,
    /// Ids of transfers, at most [`ANNOUNCED_IDS_MAX`].
    pub transactions: Vec<Txid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnnouncement<'a> {
    #[serde(borrow, default)]
    from: Optional<'a>,
    #[serde(borrow, default)]
    blocks: Optional<'a>,
    #[serde(borrow, default)]
    transactions: Optional<'a>,
}

impl Announcement {
    /// Reads what [`Self::to_json`] writes.
    ///
    /// # Errors
    /// Any other shape, or too many blocks or ids.
    pub fn from_json(text: &str, prefix: AddressPrefix) -> Result<Self, WireError> {
        let raw = object::<RawAnnouncement<'_>>(text)?;
        let blocks = |field: Field<'_>| {
            let blocks = field.list::<ANNOUNCED_BLOCKS_MAX>("blocks")?;
            elements("blocks", blocks, |field| AnnouncedBlock::read(field, prefix))
        };
        Ok(Self {
            from: raw.from.read(|field| Reach::read(field, "from"))?,
            blocks: raw.blocks.read(blocks)?.unwrap_or_default(),
            transactions: raw.transactions.read(read_ids)?.unwrap_or_default(),
        })
    }

    /// Reads an announcement that came over a live connection.
    pub(super) fn read_on_link(field: Field<'_>, prefix: AddressPrefix) -> Result<Self, WireError> {
        let announcement = Self::from_json(field.json(), prefix)?;
        if announcement.from.is_some() {
            let known = "`blocks` and `transactions`".to_owned();
            return Err(WireError::Unknown { field: "from".to_owned(), known });
        }
        Ok(announcement)
    }

    /// `{"from","blocks","transactions"}`; what there is none of is left out.
    pub fn to_json(&self, prefix: AddressPrefix) -> String {
        let mut writer = Writer::with_capacity(self.size_guess());
        let mut mark = "{";
        if let Some(from) = &self.from {
            writer.json(r#"{"from":"#);
            from.write(&mut writer);
            mark = ",";
        }
        self.write_lists(&mut writer, mark, prefix);
        writer.finish()
    }

    /// Writes it as it goes over a live connection.
    pub(super) fn write_on_link(&self, writer: &mut Writer, prefix: AddressPrefix) {
        self.write_lists(writer, "{", prefix);
    }

    /// Writes blocks and ids; `mark` stands before the first.
    fn write_lists(&self, writer: &mut Writer, mut mark: &'static str, prefix: AddressPrefix) {
        if !self.blocks.is_empty() {
            writer.json(mark).json(r#""blocks":"#);
            writer.all(&self.blocks, |writer, block| block.write(writer, prefix));
            mark = ",";
        }
        if !self.transactions.is_empty() {
            let ids: Vec<u8> = self.transactions.iter().flat_map(|id| *id.as_bytes()).collect();
            writer.json(mark).json(r#""transactions":""#).base64(&ids).json("\"");
            mark = ",";
        }
        writer.json(if mark == "{" { "{}" } else { "}" });
    }

    fn size_guess(&self) -> usize {
        300 + self.transactions.len() * 43 + self.blocks.len() * (2 * HEADER_SIZE + 200)
    }
}

fn read_ids(field: Field<'_>) -> Result<Vec<Txid>, WireError> {
    let bytes = field.base64("transactions", ANNOUNCED_IDS_MAX * 32)?;
    let (ids, rest) = bytes.as_chunks();
    if rest.is_empty() {
        return Ok(ids.iter().map(|id| Txid::from_bytes(*id)).collect());
    }
    Err(WireError::Value {
        field: "transactions",
        expected: "a whole number of 32 bytes".to_owned(),
        got: format!("{} bytes", bytes.len()),
    })
}
