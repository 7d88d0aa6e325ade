//! The node: one thread owns the chain, everybody else talks to it through [`NodeHandle`].
//!
//! Owns the chain with its files, the wallet, the published [`View`] and the events. Judges nothing
//! itself: consensus and chain do. Never blocks on anyone outward: a slow listener loses events.
//!
//! A turn of the owner: take what waits, judge it on a copy of the chain, write and flush the files
//! once, publish the view, reply, tell the listeners. If the disk is full the copy is dropped, and
//! nothing has happened; if a flush fails the process ends, because nobody can know any more what
//! is on the disk.

pub mod answers;
mod bodies;
mod command;
mod error;
mod events;
mod handle;
mod inline;
mod open;
mod owner;
mod pool_file;
pub mod ports;
mod reorganization;
mod verify;
mod view;
pub mod wallet_file;

pub use command::{BlockOutcome, CreatedWallet, Origin, TransferOutcome};
pub use error::NodeError;
pub use events::{EVENTS_MAX, Event};
pub use handle::NodeHandle;
pub use inline::Inline;
pub use open::{Aux, Machine, OpenError, Opened, Opening, open, open_on};
pub use owner::Owner;
pub use reorganization::{Affected, Reorganization};
pub use verify::{Verified, VerifyError, verify};
pub use view::View;
