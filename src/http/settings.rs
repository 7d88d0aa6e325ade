//! What the HTTP interface is started with.
//!
//! Owns the defaults of every limit, each with its reason. Never reads a file: the configuration is given.

use super::door::live::LiveWays;
use std::time::Duration;

/// A request head: line and fields. The value other nodes and servers use; ours are about 300 bytes.
pub const HEAD_MAX: usize = 8 * 1024;

/// A request line: the longest target of ours (a locator of 101 hashes goes in a body) stays far below.
pub const LINE_MAX: usize = 4 * 1024;

/// The fields of a head; browsers send about 20.
pub const FIELDS_MAX: usize = 64;

/// What a refused request may still send before its connection is cut. Reading it lets the answer arrive:
/// closing a socket with unread bytes resets it.
pub const DRAIN_MAX: usize = 64 * 1024;

/// The bytes of all bodies that are being received at once. A body above it is answered 503.
pub const BODIES_MAX: usize = 32 * 1024 * 1024;

/// The addresses whose rates are remembered; the one that rested longest is forgotten first.
pub const ADDRESSES_MAX: usize = 4096;

/// What it counts to open a live connection as a node, in requests: threads, a handshake and a place in tables
/// go with it. An address may open 16 at once, as nodes of one school do, and then 4 a second.
pub const NODE_COST: u32 = 25;

/// A body counts as a request more for each so many bytes: it is read, parsed and judged, which costs as
/// much. The longest block counts no more than may be saved up.
pub const BODY_OF_A_REQUEST: usize = 16 * 1024;

/// The unit in which an answer's pace is measured: each piece of it must leave within [`Limits::piece_time`].
pub const PIECE: usize = 64 * 1024;

/// For a [`PIECE`] of an answer while others wait for its place: who reads slower gives way to them.
pub const HURRY_TIME: Duration = Duration::from_secs(1);

/// What is held of an answer, except of bulk, so that its place is free again before a slow client has read it.
/// Longer answers belong in the lane for bulk; here they keep their place while they are read.
pub const HELD_MAX: usize = 256 * 1024;

/// The stack of a connection's thread: it holds a head's field table and calls nothing deep.
pub const CONNECTION_STACK: usize = 256 * 1024;

/// Places of a lane: how many of its requests may be with the handlers at once, and how many may wait for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Requests with handlers.
    pub busy_max: usize,
    /// Requests that wait behind them; a further one is answered 503 with `Retry-After`.
    pub waiting_max: usize,
}

/// The bounds of the door that depend on the machine or that tests make small.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; lowered to a quarter of the descriptors the process may open. When it is reached
    /// the connection that has gone longest without completing a request gives way.
    pub connections_max: usize,
    /// Connections of one address, so that no single machine takes the places of all.
    pub per_address_max: usize,
    /// Connections of one loopback address: a browser, the command line and tests at once.
    pub per_loopback_max: usize,
    /// Places that only 127.0.0.1 and ::1 may take, so that the person at the machine always gets in.
    pub home_places: usize,
    /// From a request's first byte to the end of its head.
    pub head_time: Duration,
    /// From the end of the head to the end of the body.
    pub body_time: Duration,
    /// For each [`PIECE`] of an answer.
    pub piece_time: Duration,
    /// Between an answer and the next request's first byte.
    pub idle_time: Duration,
    /// For reading what a refused request still sends.
    pub drain_time: Duration,
    /// For a place in a lane, or for the live part to take a listener, before 503.
    pub queue_time: Duration,
    /// From the stop to the cut of what is still being answered.
    pub stop_time: Duration,
    /// Places for requests that are answered at once.
    pub small: Places,
    /// Places for requests that stream much.
    pub bulk: Places,
    /// Places for requests that may block for minutes.
    pub wait: Places,
    /// Requests for bulk of one address at once, or one that reads slowly takes all places. Loopback is exempt.
    pub bulk_per_address_max: usize,
    /// Requests a second of one address, and how many it may save up. Loopback is exempt.
    pub requests_per_second: u32,
    /// See [`Limits::requests_per_second`].
    pub requests_burst: u32,
    /// Bytes of answers a second to one address, and how many it may save up. Loopback is exempt.
    pub bytes_per_second: u32,
    /// See [`Limits::bytes_per_second`].
    pub bytes_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 128,
            per_address_max: 8,
            per_loopback_max: 64,
            home_places: 8,
            head_time: Duration::from_secs(5),
            body_time: Duration::from_secs(10),
            piece_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(1),
            queue_time: Duration::from_secs(5),
            stop_time: Duration::from_secs(2),
            small: Places { busy_max: 16, waiting_max: 64 },
            bulk: Places { busy_max: 4, waiting_max: 16 },
            wait: Places { busy_max: 8, waiting_max: 8 },
            bulk_per_address_max: 2,
            requests_per_second: 100,
            requests_burst: 400,
            bytes_per_second: 8 * 1024 * 1024,
            bytes_burst: 128 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// The same limits for a process that may open `descriptors` files and sockets: each private connection
    /// takes three of them, each client one.
    #[must_use]
    pub fn within(mut self, descriptors: usize) -> Self {
        self.connections_max = self.connections_max.min(descriptors / 4).max(2);
        self.home_places = self.home_places.min(self.connections_max / 2);
        if descriptors < 512 {
            self.small.busy_max = self.small.busy_max.min(3);
            self.bulk.busy_max = 1;
            self.wait.busy_max = 1;
        }
        self
    }
}

/// What the interface is started with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Host names beside the loopback ones under which the operator may reach the node, with or without port.
    pub allowed_hosts: Vec<String>,
    /// Pages of other origins, `scheme://host[:port]`, that may work with this node.
    pub allowed_origins: Vec<String>,
    /// The operator's bearer token; when empty no token opens anything.
    pub token: String,
    /// The limits.
    pub limits: Limits,
    /// Where the sockets of [`super::routes::Lane::Live`] and `Socket` go; without it such routes are answered 503.
    pub live: Option<LiveWays>,
}
