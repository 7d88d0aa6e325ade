//! How the node is doing: `GET /status`, `/miner`, and the events of `GET /events`.

use super::shape::{self, Embedded, to_json};
use crate::primitives::{Amount, BlockHash, CompactTarget, Height, Target, UnixTime, Work};
use serde::{Serialize, Serializer};

/// `GET /status`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The network's name.
    pub network: String,
    /// The genesis hash.
    #[serde(serialize_with = "shape::shown")]
    pub chain_id: BlockHash,
    /// The program's version.
    pub version: &'static str,
    /// The tip's height.
    #[serde(serialize_with = "shape::number")]
    pub height: Height,
    /// The tip's hash.
    #[serde(serialize_with = "shape::shown")]
    pub tip: BlockHash,
    /// All work of the best chain, in hex.
    #[serde(serialize_with = "shape::shown")]
    pub work: Work,
    /// The spacing that blocks should have now, in seconds.
    pub spacing: u32,
    /// The next block's compact target, in hex.
    #[serde(serialize_with = "bits")]
    pub bits: CompactTarget,
    /// How much harder the next block is than the easiest; see [`difficulty`].
    pub difficulty: f64,
    /// Hashes per second of the whole network, estimated from the last blocks.
    pub hash_rate: f64,
    /// The continuous miner.
    pub miner: MinerStatus,
    /// Peers that answer.
    pub peers: usize,
    /// The open transactions.
    pub mempool: PoolStatus,
    /// Coins in circulation.
    #[serde(serialize_with = "shape::coins")]
    pub issued: Amount,
    /// Whether the tip is the best that is known of.
    pub synced: bool,
    /// The same with the reason: `synced`, `asking`, `behind`, `withheld` or `unanswered`.
    pub sync: &'static str,
    /// The greatest height that is known of: of headers, or said by a peer whose word counts.
    #[serde(serialize_with = "shape::number")]
    pub headers: Height,
    /// The port that is listened on.
    pub port: u16,
    /// Whether there is a wallet.
    pub wallet_set_up: bool,
    /// Blocks a second that were fetched lately; `null` unless the node catches up.
    pub blocks_per_second: Option<f64>,
    /// Seconds until the node has caught up at this rate; `null` if there is no telling.
    pub seconds_left: Option<u64>,
    /// The last reorganization since the start; `null` without one.
    pub last_reorganization: Option<LastReorganization>,
    /// Seconds that the peers' clocks are ahead of ours in the median; `null` with too few peers.
    pub clock_offset: Option<i64>,
    /// Seconds that our clock is behind what blocks of peers need to be taken, which are due by the clocks
    /// there; `null` if it is not.
    pub clock_behind: Option<u32>,
}

/// A reorganization in numbers; `GET /reorganization/<address>` says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LastReorganization {
    /// When it happened at this node.
    #[serde(serialize_with = "shape::number")]
    pub time: UnixTime,
    /// The height of the last block that stayed.
    #[serde(serialize_with = "shape::number")]
    pub fork: Height,
    /// Blocks that gave way.
    pub replaced: usize,
    /// Transfers of those blocks that wait again.
    pub waiting: usize,
    /// Transfers that can no longer be mined.
    pub dropped: usize,
}

/// The open transactions, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PoolStatus {
    /// How many.
    pub count: usize,
    /// Their canonical bytes.
    pub bytes: usize,
}

/// The continuous miner; also the answer of `/miner`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MinerStatus {
    /// Whether it mines.
    pub on: bool,
    /// With how many threads.
    pub threads: u32,
    /// Hashes per second, measured.
    pub hash_rate: f64,
    /// Blocks found since the start.
    pub blocks_found: u64,
}

fn bits<S: Serializer>(bits: &CompactTarget, serializer: S) -> Result<S::Ok, S::Error> {
    shape::hex(&bits.0.to_be_bytes(), serializer)
}

/// How many times the hashes a block at `target` takes of one at `easiest`: a figure to show, not
/// to reckon with.
pub fn difficulty(easiest: Target, target: Target) -> f64 {
    f64::from(easiest.value()) / f64::from(target.value())
}

/// Something that happened, as `GET /events` and `GET /live` tell it. Small: whoever wants more asks for it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The tip is another block.
    Block(BlockEvent),
    /// A transfer joined the pool.
    Transaction(Embedded),
    /// Peers came or went.
    Peers(PeersEvent),
    /// The miner was switched, or measured its hash rate again.
    Miner(MinerStatus),
    /// The node's state as a whole.
    Status(Box<Status>),
}

impl Event {
    /// The event's name: `block`, `transaction`, `peers`, `miner`, `status`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Block(_) => "block",
            Self::Transaction(_) => "transaction",
            Self::Peers(_) => "peers",
            Self::Miner(_) => "miner",
            Self::Status(_) => "status",
        }
    }

    /// Name and data in one JSON text, as `GET /live` sends it.
    pub fn message(&self) -> String {
        format!(r#"{{"event":"{}","data":{}}}"#, self.name(), self.data())
    }

    /// Its JSON, on one line.
    pub fn data(&self) -> String {
        match self {
            Self::Block(event) => to_json(event),
            Self::Transaction(transfer) => transfer.as_str().to_owned(),
            Self::Peers(event) => to_json(event),
            Self::Miner(status) => to_json(status),
            Self::Status(status) => to_json(status),
        }
    }
}

/// The new tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BlockEvent {
    /// Its height.
    #[serde(serialize_with = "shape::number")]
    pub index: Height,
    /// Its hash.
    #[serde(serialize_with = "shape::shown")]
    pub hash: BlockHash,
    /// Its time.
    #[serde(serialize_with = "shape::number")]
    pub timestamp: UnixTime,
    /// How many transactions it holds.
    pub transactions: usize,
    /// How many blocks of the former best chain gave way.
    pub disconnected: u32,
    /// How many transfers of those blocks wait again.
    pub waiting_again: usize,
}

/// The peers, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PeersEvent {
    /// How many answer.
    pub count: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::U256;

    fn miner() -> MinerStatus {
        MinerStatus { on: true, threads: 2, hash_rate: 1.5e6, blocks_found: 3 }
    }

    #[test]
    fn the_text_of_a_status_is_pinned() {
        let status = Status {
            network: "dev".into(),
            chain_id: BlockHash::ZERO,
            version: "0.1.0",
            height: Height(7),
            tip: BlockHash::ZERO,
            work: Work::new(U256::from(255)),
            spacing: 10,
            bits: CompactTarget(0x1d00_ffff),
            difficulty: 1.0,
            hash_rate: 0.5,
            miner: miner(),
            peers: 2,
            mempool: PoolStatus { count: 1, bytes: 158 },
            issued: Amount::from_units(1),
            synced: true,
            sync: "synced",
            headers: Height(8),
            port: 5000,
            wallet_set_up: false,
            blocks_per_second: Some(2.5),
            seconds_left: None,
            last_reorganization: Some(LastReorganization {
                time: UnixTime(9),
                fork: Height(5),
                replaced: 2,
                waiting: 3,
                dropped: 1,
            }),
            clock_offset: Some(-1),
            clock_behind: Some(9),
        };
        let zero = BlockHash::ZERO;
        let expected = format!(
            concat!(
                r#"{{"network":"dev","chain_id":"{0}","version":"0.1.0","height":7,"tip":"{0}","#,
                r#""work":"ff","spacing":10,"bits":"1d00ffff","difficulty":1.0,"hash_rate":0.5,"#,
                r#""miner":{{"on":true,"threads":2,"hash_rate":1500000.0,"blocks_found":3}},"#,
                r#""peers":2,"mempool":{{"count":1,"bytes":158}},"issued":0.00000001,"#,
                r#""synced":true,"sync":"synced","headers":8,"port":5000,"wallet_set_up":false,"#,
                r#""blocks_per_second":2.5,"seconds_left":null,"last_reorganization":"#,
                r#"{{"time":9,"fork":5,"replaced":2,"waiting":3,"dropped":1}},"clock_offset":-1,"clock_behind":9}}"#
            ),
            zero
        );
        assert_eq!(to_json(&status), expected);
        let event = Event::Status(Box::new(status));
        assert_eq!((event.name(), event.data()), ("status", expected));
    }

    #[test]
    fn events_are_one_line() {
        let block = BlockEvent {
            index: Height(1),
            hash: BlockHash::ZERO,
            timestamp: UnixTime(2),
            transactions: 3,
            disconnected: 0,
            waiting_again: 0,
        };
        let transfer = super::super::samples::transfer();
        let prefix = super::super::samples::PREFIX;
        for (event, name, data) in [
            (
                Event::Block(block),
                "block",
                format!(
                    r#"{{"index":1,"hash":"{}","timestamp":2,"transactions":3,"disconnected":0,"waiting_again":0}}"#,
                    BlockHash::ZERO
                ),
            ),
            (
                Event::Transaction(Embedded::transfer(&transfer, prefix)),
                "transaction",
                super::super::transfer_to_json(&transfer, prefix),
            ),
            (Event::Peers(PeersEvent { count: 4 }), "peers", r#"{"count":4}"#.into()),
            (Event::Miner(miner()), "miner", to_json(&miner())),
        ] {
            assert_eq!((event.name(), event.data()), (name, data.clone()));
            assert!(!data.contains('\n'));
        }
    }

    #[test]
    fn difficulty_is_the_ratio_of_targets() {
        let target = |shift: usize| Target::new(U256::from(1) << shift).unwrap();
        assert!((difficulty(target(252), target(252)) - 1.0).abs() < 1e-12);
        assert!((difficulty(target(252), target(232)) - 1_048_576.0).abs() < 1e-6);
        assert!(difficulty(Target::MAX, target(0)).is_finite());
    }
}
