//! The front door: every byte from the network is read here, and judged before anything else sees it.
//!
//! Owns the listening socket, the connections and the way of a request to the server behind. Never runs a
//! handler. Each admitted connection has a thread of its own with a small stack, and their number is
//! bounded. A request goes: [`listener`] and [`admission`] (who gets in), [`input`] and [`head`] (what is a
//! request), [`connection`] (the order of the rules: rate, route, class, length, type), [`body`],
//! [`lanes`] and [`relay`] (to the server and back), [`output`]; or, for a WebSocket after [`upgrade`], over [`live`] to the live part.
//!
//! Invariants: the server behind sees whole, well-formed, bounded requests only; no limit depends on what a
//! client claims; the work of one lane never waits for another's.

pub mod admission;
pub mod body;
pub mod chunked;
pub mod connection;
pub mod head;
pub mod input;
pub mod lanes;
pub mod listener;
pub mod live;
pub mod output;
pub mod rates;
pub mod refusal;
pub mod relay;
pub mod upgrade;
pub mod watch;

use super::access::Policy;
use super::routes::Table;
use super::settings::Limits;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What all connections share.
#[derive(Debug)]
pub struct Door {
    /// The bounds.
    pub limits: Limits,
    /// Who may call what.
    pub policy: Policy,
    /// The routes.
    pub table: Table,
    /// How fast an address may ask.
    pub rates: rates::Rates,
    /// The memory of all bodies.
    pub memory: body::Memory,
    /// The ways to the server.
    pub lanes: lanes::Lanes,
    /// Who is connected.
    pub connections: Arc<admission::Connections>,
    /// The way to the live part.
    pub live: Option<live::LiveWays>,
    /// Whether answers say that the connection ends.
    pub is_stopping: AtomicBool,
}
