//! Integration tests: real processes, real sockets, real files.
//!
//! Each test starts nodes on free ports in directories of its own and waits on conditions with a
//! deadline, never for a time.

mod access;
mod browser;
mod chains;
mod cli;
mod contract;
mod crash;
mod files;
mod harness;
mod layers;
mod limits;
mod made_up;
mod mirror;
mod notices;
mod peers;
mod raw;
mod reflector;
mod refusals;
mod requests;
mod webdriver;
mod workflow;
