//! The JSON shapes: everything that the node reads or writes as JSON, and nothing else does.
//!
//! Owns the text form of blocks and transfers (which is also what the block file holds), the
//! requests and answers of the HTTP interface, and what peers say to each other.
//! Never judges what it has read beyond its form, and never hashes or signs JSON text: ids,
//! signatures and proof of work are over the canonical binary encoding alone.
//!
//! Invariants:
//! - One canonical text for each value, compact and on one line. Whatever was received is written
//!   again from the decoded value, never passed on as it came.
//! - Only typed decoding. A field that is unknown, stands twice or is missing is an error, and so
//!   is an array in the place of an object; hex is lower case and of fixed length; coins and
//!   integers never pass through floating point. Only lines of the peers file, which nobody else
//!   writes, may say more.
//! - Decoding takes memory in proportion to the text and bounded by the `..._MAX` of each list.
//!   Fields are cut out of the text without recursion; serde_json's depth limit stays on.

mod answer;
mod array;
mod block;
mod error;
mod field;
mod list;
mod peer;
mod proof;
mod request;
mod shape;
mod status;
mod transfer;
mod write;

pub use answer::{
    AddressInfo, Balance, Done, DroppedPayment, Failure, Guest, Mined, NewWallet, NoWallet, Nodes,
    NodesChanged, Peer, PeerState, ReorganizationInfo, ReorganizedPayment, Resolved, Sent,
    TransactionInfo, TransactionStatus, TransferTaken, Wallet,
};
pub use array::ArrayReader;
pub use block::{
    BLOCK_JSON_MAX, TRANSACTIONS_MAX, block_from_json, block_to_json, genesis_to_json,
};
pub use error::{WireError, shown};
pub use list::{
    ArrayFrame, BLOCKS_MAX, HASHES_MAX, HEADERS_JSON_MAX, HEADERS_MAX, TRANSFERS_MAX,
    blocks_from_json, hashes_from_query, hashes_to_query, headers_from_json, headers_to_json,
    transfers_from_json,
};
pub use peer::{
    ADDRESSES_MAX, ANNOUNCED_BLOCKS_MAX, ANNOUNCED_IDS_MAX, ANNOUNCEMENT_JSON_MAX, AnnouncedBlock,
    Announcement, BUCKETS_MAX, BlockAnnouncement, COMPACT_INLINE_MAX, COMPACT_JSON_MAX,
    FETCH_JSON_MAX, FRAME_JSON_MAX, Frame, Handshake, HttpForm, INDEXES_MAX, PEER_VERSION,
    POOL_IDS_MAX, PeerRecord, PoolSummary, Question, Reach, TRANSFERS_ASKED_MAX,
    addresses_from_json, addresses_to_json, block_announcement_to_json, buckets_from_query,
    compact_from_json, compact_to_json, pool_ids_from_json, pool_ids_to_json,
};
pub use proof::{AccountProof, AccountProofEnd, ProvenBlock, TransactionProof};
pub use request::{MINER_THREADS_MAX, MinerRequest, RequestId, SendRequest, node_from_json};
pub use shape::{Address, Embedded, to_json};
pub use status::{
    BlockEvent, Event, LastReorganization, MinerStatus, PeersEvent, PoolStatus, Status, difficulty,
};
pub use transfer::{
    TRANSFER_JSON_MAX, gone_from_json, gone_to_json, transfer_from_json, transfer_to_json,
};

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
