//! What nodes say to each other: when they meet, what they ask, what they tell, and what a node
//! remembers of the others.
//!
//! A [`Question`] travels as an HTTP request or, on a live connection, as a [`Frame`]; its answer
//! is the same text both ways.

mod announce;
mod compact;
mod frame;
mod handshake;
mod pool;
mod question;
mod record;

pub use announce::{
    ANNOUNCED_BLOCKS_MAX, ANNOUNCED_IDS_MAX, ANNOUNCEMENT_JSON_MAX, AnnouncedBlock, Announcement,
    BlockAnnouncement, COMPACT_INLINE_MAX, Reach, block_announcement_to_json,
};
pub use compact::{COMPACT_JSON_MAX, compact_from_json, compact_to_json};
pub use frame::{FRAME_JSON_MAX, Frame};
pub use handshake::{Handshake, PEER_VERSION};
pub use pool::{
    ADDRESSES_MAX, POOL_IDS_MAX, PoolSummary, addresses_from_json, addresses_to_json,
    pool_ids_from_json, pool_ids_to_json,
};
pub use question::{
    BUCKETS_MAX, FETCH_JSON_MAX, HttpForm, INDEXES_MAX, Question, TRANSFERS_ASKED_MAX,
    buckets_from_query,
};
pub use record::PeerRecord;

#[cfg(test)]
mod tests;
