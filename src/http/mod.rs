//! The node's HTTP interface: a front door of our own before `tiny_http`.
//!
//! Owns the sockets that face the network, the route table, the security classes and the answers' form. Never
//! decides anything about the chain. Read from the top: [`message`] is what handlers see, [`routes`] is the
//! table, [`access`] says who may call what.

pub mod access;
pub mod message;
pub mod routes;
