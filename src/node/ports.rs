//! What the HTTP layer asks of the miner and of the peer network, as traits, because those layers
//! never name each other. `app` plugs them together.

use crate::primitives::text::ShortText;
use crate::primitives::{BlockHash, Height, LinkId, PeerAddress, UnixTime, Work};
use crate::wire::{Announcement, Handshake, Reach};
use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// What the miner is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MinerStatus {
    /// Whether it mines without end.
    pub on: bool,
    /// Threads that search.
    pub threads: usize,
    /// Hashes a second over the last seconds; 0 while nothing is searched.
    pub hash_rate: f64,
    /// Blocks found since the start.
    pub blocks_found: u64,
}

/// Why a block was not mined on demand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MineError {
    /// No wallet is loaded to pay.
    #[error("no wallet is set up: create one first")]
    NoWallet,
    /// The time was over first.
    #[error("no block was found within {} s: try again, or switch the miner on", .0.as_secs())]
    TimedOut(Duration),
    /// Whoever asked has left.
    #[error("mining was cancelled")]
    Cancelled,
    /// The peers' clocks are so many seconds ahead of this node's, or behind: too much to stamp a block.
    #[error(
        "the clock is {} s {} those of the peers: set it right before mining",
        .0.unsigned_abs(), if *.0 > 0 { "behind" } else { "ahead of" }
    )]
    ClockOff(i64),
    /// The node is stopping or could not keep the block.
    #[error("mining failed: {0}")]
    Failed(String),
}

impl MineError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoWallet => "no-wallet",
            Self::TimedOut(_) => "mine-timeout",
            Self::Cancelled => "cancelled",
            Self::ClockOff(_) => "clock-off",
            Self::Failed(_) => "mining-failed",
        }
    }
}

/// A block that this node has mined and that is on its best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mined {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: Height,
}

/// The miner, as others use it.
pub trait MinerControl: Send + Sync {
    /// What it is doing.
    fn status(&self) -> MinerStatus;

    /// Switches endless mining on or off.
    fn switch(&self, on: bool);

    /// Sets the number of threads, from 1 on; more than the machine is worth is cut back.
    fn set_threads(&self, threads: usize);

    /// Waits until this node finds one block; calls at the same time share one search.
    ///
    /// # Errors
    /// No wallet, the time limit, or `cancelled`, which is asked now and then.
    fn mine_one(&self, limit: Duration, cancelled: &dyn Fn() -> bool) -> Result<Mined, MineError>;
}

/// How a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Not spoken with yet.
    New,
    /// The last exchange went well.
    Connected,
    /// The last exchange failed; it is tried again later.
    Unreachable,
    /// It is of another chain, or this very node.
    Refused,
}

impl PeerState {
    /// The state as the API names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Connected => "connected",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
        }
    }
}

/// What is known of a peer.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Where it is reached.
    pub node: PeerAddress,
    /// How it stands.
    pub state: PeerState,
    /// Why it was refused or could not be reached; empty otherwise.
    pub reason: String,
    /// Its height when last heard of.
    pub height: Option<Height>,
    /// The work of its best chain when last heard of, as it says.
    pub work: Option<Work>,
    /// When it was last heard of.
    pub last_seen: Option<UnixTime>,
    /// How often in a row it has not answered.
    pub failures: u32,
    /// Whether a person added it; otherwise it came by itself.
    pub manual: bool,
    /// Whether a live connection to it is open.
    pub outgoing: bool,
    /// Whether one that it has opened is.
    pub incoming: bool,
}

/// A node that has opened a live connection and is none of the peers with an address. Where it is
/// stays between it and us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestInfo {
    /// Its connection.
    pub link: LinkId,
    /// The height of its tip when last heard of; `None` if it has not shown the headers of that.
    pub height: Option<Height>,
    /// When it was last heard of.
    pub last_seen: Option<UnixTime>,
}

/// A chain, by the name that people know and by the id that nodes go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainName {
    /// Its name; two chains may have the same.
    pub name: ShortText<32>,
    /// Its genesis.
    pub id: BlockHash,
}

impl ChainName {
    /// The chains that the words of another node name, with their quotes as they are or escaped.
    pub fn all_in(words: &str) -> Vec<Self> {
        let mut chains = Vec::new();
        for (at, _) in words.match_indices(GENESIS) {
            let (before, after) = (&words[..at], &words[at + GENESIS.len()..]);
            let name = before.trim_end_matches(['"', '\\']).rsplit('"').next();
            let name = name.and_then(|name| name.parse().ok()).unwrap_or_default();
            let id = after.get(..2 * 32).and_then(|id| id.parse().ok());
            chains.extend(id.map(|id| Self { name, id }));
        }
        chains
    }
}

/// What stands between the name of a chain and its id.
const GENESIS: &str = " (genesis ";

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{GENESIS}{})", self.name, self.id)
    }
}

/// Why a peer is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It is of another chain.
    #[error("{node} is a node of the chain {theirs}, ours is {ours}")]
    OtherChain {
        /// The peer.
        node: String,
        /// Its chain.
        theirs: ChainName,
        /// Our chain.
        ours: ChainName,
    },
    /// It speaks another version.
    #[error("{node} speaks version {theirs} of the peer protocol, this node speaks {ours}")]
    OtherVersion {
        /// The peer.
        node: String,
        /// Its version.
        theirs: u32,
        /// Our version.
        ours: u32,
    },
    /// It will not speak with this node, for a reason of its own.
    #[error("{node} refuses this node: {reason}")]
    Refused {
        /// The peer.
        node: String,
        /// Its reason, a stranger's words, cut short and without control characters.
        reason: String,
    },
    /// It is this node.
    #[error("{0} is this node itself")]
    Myself(String),
    /// No node is or should be called there, and why.
    #[error("{0}")]
    Unfit(String),
    /// There are too many.
    #[error("expected at most {max} peers: remove one first")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// It would replace coins of this node, and that was not confirmed.
    #[error("{0}")]
    WouldReplace(String),
}

impl PeerError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherChain { .. } => "other-chain",
            Self::OtherVersion { .. } => "other-version",
            Self::Refused { .. } => "refused-by-peer",
            Self::Myself(_) => "own-address",
            Self::Unfit(_) => "node-not-allowed",
            Self::TooMany { .. } => "too-many-peers",
            Self::WouldReplace(_) => "would-replace",
        }
    }
}

/// What Resolve Conflicts has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Whether the best chain has changed.
    pub replaced: bool,
    /// Peers that answered.
    pub answered: usize,
    /// Peers that were asked.
    pub asked: usize,
}

/// Whether this node has what its peers have, and if not why it cannot say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncState {
    /// Not every peer was asked yet.
    #[default]
    Asking,
    /// There is more, and it is being fetched.
    Behind,
    /// A peer that a person added says that it has more, and does not give it.
    Withheld,
    /// None of the peers that this node calls has answered lately.
    Unanswered,
    /// Nothing more is known of, and somebody has been asked unless there is nobody to ask.
    Synced,
}

impl SyncState {
    /// The state as the API names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Behind => "behind",
            Self::Withheld => "withheld",
            Self::Unanswered => "unanswered",
            Self::Synced => "synced",
        }
    }

    /// The state in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Asking => "it has not asked all its peers yet",
            Self::Behind => "it is catching up",
            Self::Withheld => "a peer says that it has more blocks and does not give them",
            Self::Unanswered => "none of its peers answers",
            Self::Synced => "it is synced",
        }
    }
}

/// How far the node is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SyncStatus {
    /// The height of the best chain.
    pub height: Height,
    /// Blocks a second that joined it in the last half minute; `None` while none are fetched.
    pub blocks_per_second: Option<f64>,
    /// Seconds until it has [`Self::best_height`] at this rate; `None` if there is no telling.
    pub seconds_left: Option<u64>,
    /// Whether it has all there is, as far as it can tell.
    pub state: SyncState,
    /// The greatest height that headers were shown for, or that a peer says to have whose word counts.
    pub best_height: Height,
    /// Seconds by which the clocks of the peers that we call are ahead of ours, as their median; `None` with
    /// fewer than 4 places of such, unless one that a person added has shown blocks that bear it out.
    pub clock_offset: Option<i64>,
    /// Seconds that our clock has to go on for blocks that peers have shown to be taken, if these are due
    /// by the clocks there; `None` without such. A single liar can cause this: it is a warning.
    pub clock_behind: Option<u32>,
}

impl SyncStatus {
    /// Whether this node may say that it is synced.
    pub fn is_synced(&self) -> bool {
        self.state == SyncState::Synced
    }
}

/// The peer network, as others use it.
pub trait PeerControl: Send + Sync {
    /// All peers that were added, in the order of their addresses.
    fn list(&self) -> Vec<PeerInfo>;

    /// Adds a peer; adding one twice is harmless. It is greeted at once, for two seconds at most;
    /// if it does not answer, it is added all the same and tried again in the background. Returns
    /// a warning to show if joining it replaces coins of this node's own.
    ///
    /// # Errors
    /// Another chain or version, this node's own address, an address at which no node should be
    /// called, or too many peers.
    fn add(&self, node: PeerAddress) -> Result<Option<String>, PeerError>;

    /// Removes a peer, also one that is unknown, and closes the live connections with it. It does not come
    /// back until it is added again here, whatever it says: not at any spelling of its address, nor, as
    /// long as it runs, elsewhere. It may open a live connection like anyone, and is a guest then.
    /// If the list has the same place under another spelling only, nothing is done, and that is
    /// returned.
    fn remove(&self, node: &PeerAddress) -> Option<PeerAddress>;

    /// Answers a handshake from `client`, and takes the peer in if it can be reached where it
    /// says, if it was not removed here, and if there is room.
    ///
    /// # Errors
    /// Another chain or version, or this node itself.
    fn greet(&self, theirs: &Handshake, client: IpAddr) -> Result<Handshake, PeerError>;

    /// Live connections that others have opened.
    fn incoming(&self) -> usize {
        0
    }

    /// Those nodes among them that are none of [`Self::list`].
    fn guests(&self) -> Vec<GuestInfo> {
        Vec::new()
    }

    /// Takes over a connection of another node at `client`, whose WebSocket handshake has been
    /// answered. Never waits; closes it when there is no room. A network without live connections
    /// closes every one.
    fn take_link(&self, stream: TcpStream, client: SocketAddr) {
        drop((stream, client));
    }

    /// Some nodes that a node asking from `client` may call, for it to find more peers.
    fn addresses(&self, client: IpAddr) -> Vec<PeerAddress>;

    /// Hears what is new at a node that calls from `client`. Who that is must be one of the peers: from
    /// others nothing is fetched, and they are called back when they shake hands.
    fn announced(&self, news: Announcement, client: IpAddr);

    /// Tells that a node that calls from `client` has a block whose parent is unknown here. It is asked in
    /// the background if it is the peer that is reached where it says; otherwise all are.
    fn is_ahead(&self, from: Option<&Reach>, client: IpAddr);

    /// Asks every peer at once and takes over the best chain among them; waits for the end.
    fn resolve(&self) -> Resolved;

    /// How far this node is behind.
    fn sync_status(&self) -> SyncStatus;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_found_in_what_a_node_says_of_them() {
        let chain = |name: &str, id| ChainName {
            name: name.parse().unwrap(),
            id: BlockHash::from_bytes([id; 32]),
        };
        let (theirs, ours) = (chain("class-b", 1), chain("", 2));
        let node = "a:1".to_owned();
        let error = PeerError::OtherChain { node, theirs: theirs.clone(), ours: ours.clone() };
        let message = format!(
            "a:1 is a node of the chain \"class-b\" (genesis {}), ours is \"\" (genesis {})",
            theirs.id, ours.id
        );
        assert_eq!(error.to_string(), message);
        for words in [&message, &message.escape_debug().to_string()] {
            assert_eq!(ChainName::all_in(words), [theirs.clone(), ours.clone()], "{words}");
        }
        let turned = chain("a\u{202e}b", 3).to_string();
        assert!(turned.starts_with(r#""a\u{202e}b" (genesis 03"#), "{turned}");
        assert_eq!(ChainName::all_in(&turned).remove(0).id, chain("", 3).id);
        for words in ["", " (genesis ", "x (genesis 00)", &message[..90]] {
            assert_eq!(ChainName::all_in(words), [], "{words}");
        }
    }
}
