//! Live connections between nodes: WebSockets that carry texts both ways, moved by one thread.
//!
//! Owns the sockets, what waits to leave on them and what has arrived and is not yet taken. Never reads
//! what a text means and never decides with whom to speak: that is the network's, which works through
//! [`LinkDriver`] and takes [`LinkEvent`]s, so that a simulator can stand in for all of this.
//!
//! | module | what it does |
//! |---|---|
//! | [`post`] | what waits on each link in both directions, and its bounds |
//! | [`live`] | the thread that serves all links in turn |
//! | [`link`](mod@link) | one link: frames, pings, and when it has to end |
//! | [`dial`] | opens connections, off that thread |
//!
//! Invariants: the thread never waits for one link alone; what a peer may send unasked is short, and
//! only who was asked for more may send more ([`LinkDriver::expect`]); of one link so much is held as
//! [`INBOX_MAX`], [`SEND_MAX`] and one text are, of all together no more than [`SMALL_MAX`] and
//! [`LONG_MAX`] but for what one turn reads; a link whose texts are not dealt with is not read
//! further, and one that does not take ours is closed. What was dialled or has opened ends with
//! exactly one [`LinkEvent::Closed`].

mod dial;
mod link;
mod live;
mod post;
#[cfg(test)]
mod tests;

use self::dial::Dialler;
use self::live::Live;
use self::post::{Fresh, Post};
use crate::primitives::{LinkId, PeerAddress};
use crate::runtime::Spawner;
use crate::wire::{ANNOUNCEMENT_JSON_MAX, BLOCK_JSON_MAX, FETCH_JSON_MAX, HEADERS_JSON_MAX};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// The subprotocol of nodes; without it `GET /live` is for those who only listen to events.
pub const SUBPROTOCOL: &str = "farthing-peer";

/// Links at once, dialled and accepted and about to open; the network's own bounds are lower.
pub const LINKS_MAX: usize = 128;

/// Bytes of a text at most: the longest legal answer, a full block or as many headers as one answer
/// has, with the frame of JSON around it.
pub const TEXT_MAX: usize =
    1024 + if BLOCK_JSON_MAX > HEADERS_JSON_MAX { BLOCK_JSON_MAX } else { HEADERS_JSON_MAX };

/// Bytes of the frame of JSON around a question or an announcement, at most.
const AROUND_MAX: usize = 128;

/// Bytes of a text that a peer sends unasked at most: the longest announcement, or the longest
/// question, which is one for transfers.
pub const UNASKED_MAX: usize = AROUND_MAX
    + if ANNOUNCEMENT_JSON_MAX > FETCH_JSON_MAX { ANNOUNCEMENT_JSON_MAX } else { FETCH_JSON_MAX };

/// Bytes of a text before hands were shaken, of whoever has opened the link: a handshake is a fifth
/// of it.
pub const GREETING_MAX: usize = 4 * 1024;

/// Bytes of one WebSocket frame at most, both ways. Longer texts travel in several, so that pings get
/// through between them and the buffers of a link, which never shrink, stay small.
pub const FRAME_MAX: usize = 16 * 1024;

/// Bytes that wait to leave on one link at most: a longest answer and announcements beside it. What is
/// more is refused: who sends keeps it or lets it be.
pub const SEND_MAX: usize = TEXT_MAX + 256 * 1024;

/// What a text counts beside its bytes while it waits, so that empty ones are bounded as well: its place
/// in the queue and the head of its frame.
const TEXT_COST: usize = 64;

/// Bytes of texts of one link that were not dealt with, beyond which it is not read further.
pub const INBOX_MAX: usize = 8 * 1024;

/// Bytes held for all links of what is short. Beyond them each link has only its [`SHARE`], and the
/// link with the most gives way, if it has held any for [`HOLD_MAX`]: who reads and finishes what it
/// says holds next to nothing.
pub const SMALL_MAX: usize = 4 * 1024 * 1024;

/// Of these, bytes that a link may hold whatever the others do.
const SHARE: usize = SMALL_MAX / LINKS_MAX;

/// Bytes held for all links of texts longer than [`UNASKED_MAX`], which are answers: a longest one
/// and some headers or transfers beside it. Without room one that comes is not read further, and one
/// that is to leave is refused.
pub const LONG_MAX: usize = TEXT_MAX + 1024 * 1024;

/// How long a link may hold any of what is short before it may have to give way.
pub const HOLD_MAX: Duration = Duration::from_secs(1);

/// How often a link is pinged, so that a dead one is noticed and routers keep it open.
pub const PING_EVERY: Duration = Duration::from_secs(15);

/// How long a link may be silent, pongs included, before it counts as dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How long what was sent may wait for the other side's system to confirm it (`TCP_USER_TIMEOUT`): a
/// line that is cut is noticed so early when something is to be told.
pub const UNCONFIRMED_MAX: Duration = Duration::from_secs(10);

/// How long a link may take nothing of what waits for it.
pub const STUCK_MAX: Duration = Duration::from_secs(20);

/// How long one text may take to arrive, and what waits to leave: the longest at 100 KB a second.
pub const TEXT_TIME_MAX: Duration = Duration::from_secs(30);

/// What the network does with links. Nothing of it waits.
pub trait LinkDriver: Send + Sync {
    /// Opens a link to a node; [`LinkEvent::Opened`] or [`LinkEvent::Closed`] follows.
    fn dial(&self, id: LinkId, address: &PeerAddress);

    /// Takes over a connection whose WebSocket handshake was answered already. It opens, or it is
    /// turned away without an event when there are [`LINKS_MAX`] links.
    fn accept(&self, id: LinkId, stream: TcpStream, client: SocketAddr);

    /// Closes such a connection instead: the other side is told that it may come again
    /// ([`Code::Busy`]), as far as the system takes that at once.
    fn turn_away(&self, stream: TcpStream, client: SocketAddr);

    /// Sends a text after those that wait already.
    ///
    /// # Errors
    /// When there is no room for it: nothing was sent, the link lives on.
    fn send(&self, id: LinkId, text: String) -> Result<(), LinkFull>;

    /// So long may texts of this link be from now on, and never less than [`UNASKED_MAX`]: it is asked
    /// for something whose answer may be as long. An accepted link begins with [`GREETING_MAX`]. A
    /// driver that holds no bytes need not know.
    fn expect(&self, id: LinkId, bytes: usize) {
        let _ = (id, bytes);
    }

    /// Ends a link and tells the other side why; [`LinkEvent::Closed`] with this `end` follows.
    fn close(&self, id: LinkId, end: LinkEnd);

    /// Bytes that wait to leave on this link; 0 for one that is not there.
    fn pending_bytes(&self, id: LinkId) -> usize;

    /// A text that has come on this link was dealt with, and the next may come: so a link that floods
    /// is read as slowly as it is served.
    fn done(&self, id: LinkId);
}

/// Why a text was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFull {
    /// There is no such link, or not any more.
    #[error("the link is closed")]
    Closed,
    /// This link has not taken what was sent before.
    #[error("the link has not taken what was sent before")]
    Behind,
    /// All links together hold too much.
    #[error("the live connections are busy")]
    Busy,
    /// No link takes as much.
    #[error("expected a text of at most {TEXT_MAX} bytes, got {0}")]
    TooLong(usize),
}

/// What happens on links. Those of one link come in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// It is open and may be written to.
    Opened {
        /// Which.
        id: LinkId,
        /// Who opened it.
        how: How,
    },
    /// A whole text has arrived.
    Frame {
        /// On which.
        id: LinkId,
        /// The text, at most [`TEXT_MAX`] bytes.
        text: String,
    },
    /// It is gone, or never opened.
    Closed {
        /// Which.
        id: LinkId,
        /// Why.
        reason: LinkEnd,
    },
}

impl LinkEvent {
    /// The link that it happened on.
    pub const fn id(&self) -> LinkId {
        match self {
            Self::Opened { id, .. } | Self::Frame { id, .. } | Self::Closed { id, .. } => *id,
        }
    }
}

/// Who opened a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// This node, to this address.
    Dialled(PeerAddress),
    /// The other side, from this address.
    Accepted(SocketAddr),
}

/// Why a link ended, or did not open. Only [`LinkEnd::Broke`] is anybody's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnd {
    /// Nothing listens there, or the name is unknown.
    #[error("{0}")]
    Unreachable(String),
    /// It was not open in time.
    #[error("no live connection in time")]
    TimedOut,
    /// It answers, but with this status.
    #[error("no live connection there: it answers {0}")]
    Declined(u16),
    /// What answers there speaks something else.
    #[error("what answers there is no farthing node")]
    NotANode,
    /// The other side closed it.
    #[error("closed by the other side")]
    Left,
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Nothing was heard for [`SILENCE_MAX`].
    #[error("nothing was heard for {} s", SILENCE_MAX.as_secs())]
    Silent,
    /// Nothing was taken for [`STUCK_MAX`].
    #[error("took nothing for {} s", STUCK_MAX.as_secs())]
    Stuck,
    /// A text was not whole within [`TEXT_TIME_MAX`].
    #[error("a message was not whole within {} s", TEXT_TIME_MAX.as_secs())]
    Dripped,
    /// It broke a rule of the protocol.
    #[error("{what}")]
    Broke {
        /// The close code it is told.
        code: Code,
        /// The rule.
        what: &'static str,
    },
    /// There is no room for it, here or, as that says, on the other side. It may be opened again.
    #[error("there is no room for another live connection")]
    Busy,
    /// This node closed it.
    #[error("{reason}")]
    Ours {
        /// The close code that the other side is told.
        code: Code,
        /// Why.
        reason: String,
    },
}

impl LinkEnd {
    /// This node closes it, for this reason.
    pub fn ours(code: Code, reason: &str) -> Self {
        Self::Ours { code, reason: reason.to_owned() }
    }

    /// The close code that the other side is told.
    const fn code(&self) -> Code {
        match self {
            Self::Broke { code, .. } | Self::Ours { code, .. } => *code,
            Self::Busy => Code::Busy,
            Self::Left => Code::Done,
            _ => Code::Policy,
        }
    }
}

/// What the other side is told when a link ends (RFC 6455, 7.4.1; the last one is IANA's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It is not needed any more.
    Done = 1000,
    /// The node is stopping.
    Away = 1001,
    /// Frames that are not as in RFC 6455, or messages whose turn it is not.
    Protocol = 1002,
    /// A message that is not text.
    Kind = 1003,
    /// A text that is not UTF-8, or no message of this protocol.
    Data = 1007,
    /// Well said, but not served here: another chain, or a time that is over.
    Policy = 1008,
    /// A frame or message that is too long.
    Length = 1009,
    /// There is no room for it: it may come again.
    Busy = 1013,
}

/// The live connections of a node. Clones are the same.
#[derive(Clone)]
pub struct Links {
    post: Arc<Post>,
    dialler: Arc<Dialler>,
}

impl Links {
    /// Starts the thread that serves them, which [`Links::stop`] ends.
    ///
    /// # Errors
    /// When the system has no thread or no sockets to give.
    pub fn start(spawner: &Spawner) -> io::Result<Self> {
        let (post, wake) = Post::new()?;
        let post = Arc::new(post);
        let dialler = Arc::new(Dialler::new(Arc::clone(&post), spawner.clone()));
        let live = Live::new(Arc::clone(&post), wake);
        spawner.spawn("net-live", move || live.run())?;
        Ok(Self { post, dialler })
    }

    /// The next event, each link in its turn; waits for one at most `timeout`. `None` also when it is
    /// over. After a text nothing more of its link comes until [`LinkDriver::done`].
    pub fn next(&self, timeout: Duration) -> Option<LinkEvent> {
        self.post.take(timeout)
    }

    /// Whether they were stopped.
    pub fn is_over(&self) -> bool {
        self.post.is_over()
    }

    /// Closes all links and ends the thread. What is being dialled is left to itself.
    pub fn stop(&self) {
        self.post.stop();
    }

    /// Bytes held for all links, at most about [`SMALL_MAX`] and [`LONG_MAX`].
    pub fn held_bytes(&self) -> usize {
        self.post.held().bytes()
    }
}

impl LinkDriver for Links {
    fn dial(&self, id: LinkId, address: &PeerAddress) {
        self.dialler.dial(id, address.clone());
    }

    fn accept(&self, id: LinkId, stream: TcpStream, client: SocketAddr) {
        if self.post.register(id, GREETING_MAX) {
            self.post.hand_over(Fresh::accepted(id, stream, client));
        } else {
            self.turn_away(stream, client);
        }
    }

    fn turn_away(&self, stream: TcpStream, _: SocketAddr) {
        link::turn_away(stream);
    }

    fn send(&self, id: LinkId, text: String) -> Result<(), LinkFull> {
        self.post.send(id, text)
    }

    fn expect(&self, id: LinkId, bytes: usize) {
        self.post.expect(id, bytes);
    }

    fn close(&self, id: LinkId, end: LinkEnd) {
        self.post.close(id, end);
    }

    fn pending_bytes(&self, id: LinkId) -> usize {
        self.post.pending(id)
    }

    fn done(&self, id: LinkId) {
        self.post.done(id);
    }
}
