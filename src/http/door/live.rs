//! The hand-over of sockets to the live part (server-sent events, WebSocket).
//!
//! Such routes never enter `tiny_http`: it buffers 8 KiB before anything leaves and its upgraded stream can
//! neither be split nor timed. The door parses the head, checks class and rates, and sends the rest here:
//! those who listen and nodes each on a way of their own, so that a crowd of the one holds up none of the other.

use super::upgrade::Upgrade;
use crate::http::message::Request;
use crossbeam_channel::Sender;
use std::net::TcpStream;

/// Where the sockets of live routes go. The receivers end when all senders are gone.
#[derive(Clone, Debug)]
pub struct LiveWays {
    /// Clients that listen to what happens. They wait a moment for their turn.
    pub listeners: Sender<LiveCall>,
    /// Nodes that speak as such. They come again by themselves.
    pub nodes: Sender<LiveCall>,
}

/// A client of a live route. The receiver owns the socket from here on and keeps a quota of its own; the
/// door's place is free again. Nothing has been answered yet, so the receiver writes the head as well.
#[derive(Debug)]
pub struct LiveCall {
    /// The request; it has no body.
    pub request: Request,
    /// The socket: blocking, without delay, with the door's time-outs for reading and writing still set.
    pub stream: TcpStream,
    /// What the handshake of a WebSocket has come to; `None` for a stream of events.
    pub upgrade: Option<Upgrade>,
    /// CORS and security fields the answer's head must carry.
    pub fields: Vec<(&'static str, String)>,
    /// Whether it is someone at the machine itself, as [`Caller::is_local`] has it.
    ///
    /// [`Caller::is_local`]: crate::http::access::Caller::is_local
    pub is_local: bool,
}
