//! The node's HTTP interface: a front door of our own before `tiny_http`.
//!
//! Owns the sockets that face the network, the route table, the security classes and the form of answers.
//! Never decides anything about the chain. Read in this order: [`message`] is what handlers see, [`routes`]
//! is the table, [`access`] says who may call what, [`door`] faces the network, [`server`] calls the
//! handlers, [`running`] starts and stops it all.

pub mod access;
pub mod api;
pub mod door;
pub mod errors;
pub mod handlers;
pub mod live;
pub mod message;
pub mod routes;
pub mod running;
pub mod server;
pub mod settings;
pub mod table;

#[cfg(test)]
mod tests;

pub use api::Api;
pub use message::{Body, Cancelled, Headers, Method, Request, Response};
pub use routes::{Class, Lane, Route, Table, handed_over};
pub use running::{HttpServer, Running, StartError};
pub use settings::{Limits, Settings};
pub use table::ROUTES;
