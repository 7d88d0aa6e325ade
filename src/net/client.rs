//! Calls to other nodes: what may be asked, and the one place that asks it over HTTP.
//!
//! Owns the limits of a question: how long it may take and how much it may answer. Never decides whom
//! to call, and never reads what an answer means. [`PeerClient`] is a trait so that a simulated
//! network can stand in for the real one.
//!
//! Invariants: plain HTTP to `host:port` and nowhere else: no redirect, no proxy, no compression,
//! no connection that outlives its call.

use super::place::is_spelling_of;
use super::reading::Reading;
use crate::primitives::{AddressPrefix, PeerAddress};
use crate::wire::{
    BLOCK_JSON_MAX, COMPACT_JSON_MAX, HEADERS_JSON_MAX, HttpForm, POOL_IDS_MAX, Question,
    TRANSFER_JSON_MAX,
};
use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;
use ureq::{Agent, Body, Timeout, http};

/// How long a connection may take to open; a node that is there answers in far less.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long a peer may take to begin its answer; one that is silent longer holds a thread.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(4);

/// How long a small exchange may take in all.
pub(super) const SMALL_MAX: Duration = Duration::from_secs(5);

/// How long a handshake may take while a person waits for it.
const QUICK_MAX: Duration = Duration::from_secs(2);

/// How long headers may take while a person waits for them, after a handshake.
const QUICK_HEADERS_MAX: Duration = Duration::from_secs(1);

/// How long headers may take: some 300 KB at 30 KB a second. Whoever drips holds up the sync.
const HEADERS_MAX: Duration = Duration::from_secs(10);

/// How long blocks or transfers may take: 4 MiB at 200 KB a second.
const BULK_MAX: Duration = Duration::from_secs(20);

/// Bytes of an answer that carries a handshake or an outcome at most.
const SMALL_BYTES_MAX: usize = 16 << 10;

/// Bytes of an answer of blocks at most: answers are cut near 2 MiB, after a block that is whole.
const BLOCKS_BYTES_MAX: usize = (2 << 20) + BLOCK_JSON_MAX;

/// Bytes of an answer of ids at most: each in quotes, with a comma.
const POOL_IDS_BYTES_MAX: usize = POOL_IDS_MAX * 67 + SMALL_BYTES_MAX;

/// Bytes of the longest head of an answer.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Whether a person waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One does: it has to come at once, or not at all.
    Quick,
    /// Nobody does.
    Usual,
}

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Why there is no answer. Nobody is blamed for any of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing listens there, or the name is unknown.
    #[error("{0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// It answered with more than was to be expected.
    #[error("its answer is longer than {0} bytes")]
    TooLong(usize),
    /// This node reads so much else just now that there is no room for its answer.
    #[error("there is no room for its answer just now")]
    Crowded,
    /// What it answered is no HTTP, or no text.
    #[error("what answers there is no farthing node")]
    Unreadable,
}

/// Calls peers.
pub trait PeerClient: Send + Sync {
    /// Asks one peer and waits for the answer, within the limits of the question.
    ///
    /// # Errors
    /// If there is no whole answer within them.
    fn call(&self, peer: &PeerAddress, question: &Question, pace: Pace)
    -> Result<Reply, CallError>;

    /// Whether two addresses are spellings of one place, as far as is known without asking.
    fn is_same_place(&self, one: &PeerAddress, other: &PeerAddress) -> bool {
        is_spelling_of(one, other)
    }
}

/// How long a question may take.
pub const fn duration_max(question: &Question, pace: Pace) -> Duration {
    match (question, pace) {
        (Question::Handshake(_), Pace::Quick) => QUICK_MAX,
        (Question::Headers { .. }, Pace::Quick) => QUICK_HEADERS_MAX,
        (Question::Handshake(_) | Question::Announce(_), _)
        | (Question::PoolSummary | Question::Addresses, _) => SMALL_MAX,
        (Question::Headers { .. } | Question::PoolIds { .. } | Question::Compact { .. }, _) => {
            HEADERS_MAX
        }
        (
            Question::Blocks { .. } | Question::Transfers { .. } | Question::BlockTransfers { .. },
            _,
        ) => BULK_MAX,
    }
}

/// Bytes of the answer to a question at most.
pub const fn bytes_max(question: &Question) -> usize {
    match question {
        Question::Handshake(_)
        | Question::Announce(_)
        | Question::PoolSummary
        | Question::Addresses => SMALL_BYTES_MAX,
        Question::Headers { .. } => HEADERS_JSON_MAX,
        Question::Blocks { .. } => BLOCKS_BYTES_MAX,
        Question::Compact { .. } => COMPACT_JSON_MAX,
        Question::Transfers { ids } => ids.len() * (TRANSFER_JSON_MAX + 1) + SMALL_BYTES_MAX,
        Question::BlockTransfers { .. } => BLOCK_JSON_MAX,
        Question::PoolIds { .. } => POOL_IDS_BYTES_MAX,
    }
}

/// Calls peers over HTTP.
pub struct HttpClient {
    agent: Agent,
    prefix: AddressPrefix,
    reading: Reading,
}

impl HttpClient {
    /// A client on the network with this prefix; it holds no connection between calls.
    pub fn new(prefix: AddressPrefix) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .max_response_header_size(HEAD_BYTES_MAX)
            .user_agent(concat!("farthing/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT_MAX))
            .timeout_connect(Some(CONNECT_MAX))
            .timeout_recv_response(Some(FIRST_BYTE_MAX));
        Self { agent: config.build().new_agent(), prefix, reading: Reading::default() }
    }

    fn send(
        &self,
        (url, body): (&str, Option<String>),
        limit: Duration,
    ) -> Result<http::Response<Body>, ureq::Error> {
        match body {
            None => self.agent.get(url).config().timeout_global(Some(limit)).build().call(),
            Some(text) => {
                let request = self.agent.post(url).config().timeout_global(Some(limit)).build();
                request.content_type("application/json").send(text)
            }
        }
    }
}

impl PeerClient for HttpClient {
    fn call(
        &self,
        peer: &PeerAddress,
        question: &Question,
        pace: Pace,
    ) -> Result<Reply, CallError> {
        let HttpForm { path, body } = question.http(self.prefix);
        let url = format!("http://{peer}{path}");
        let max = bytes_max(question);
        let limit = duration_max(question, pace);
        let sent = self.send((&url, body), limit);
        let mut response = sent.map_err(|error| CallError::of(error, max))?;
        let status = response.status().as_u16();
        let body = self.reading.read(response.body_mut().as_reader(), max)?;
        Ok(Reply { status, body })
    }

    /// Names are looked up, as those that compose networks give: a peer that is added by name comes
    /// back by its number.
    fn is_same_place(&self, one: &PeerAddress, other: &PeerAddress) -> bool {
        if is_spelling_of(one, other) {
            return true;
        }
        if one.port() != other.port() || (one.ip().is_some() && other.ip().is_some()) {
            return false;
        }
        let sockets = |address: &PeerAddress| address.to_string().to_socket_addrs();
        let (Ok(one), Ok(other)) = (sockets(one), sockets(other)) else { return false };
        let places: Vec<_> = one.map(|socket| socket.ip().to_canonical()).collect();
        other.into_iter().any(|socket| places.contains(&socket.ip().to_canonical()))
    }
}

impl CallError {
    /// Why a call has failed whose answer may have `max` bytes.
    pub(super) fn of(error: ureq::Error, max: usize) -> Self {
        match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                Self::Unreachable("no connection in time".to_owned())
            }
            ureq::Error::Timeout(_) => Self::TimedOut,
            ureq::Error::BodyExceedsLimit(_) => Self::TooLong(max),
            ureq::Error::Io(error) => Self::Unreachable(reason(&error)),
            ureq::Error::HostNotFound => Self::Unreachable("unknown name".to_owned()),
            ureq::Error::ConnectionFailed => Self::Unreachable("no connection".to_owned()),
            // Whatever else there is, and the enum grows, means that what came is no answer.
            _ => Self::Unreadable,
        }
    }
}

/// What an error of the system says to a person, as "connection refused".
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => error.kind().to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        // The look-up of a name has numbers of its own, and says nothing else.
        None => "unknown name or no connection".to_owned(),
    }
}
