//! The rules of the chain, as functions of values.
//!
//! Owns parameters, schedule, difficulty and the rules that judge a block.
//! Never does I/O or reads a clock: time comes in as a value.

pub mod check;
pub mod connect;
pub mod difficulty;
pub mod merkle;
pub mod params;
pub mod schedule;
#[cfg(test)]
mod tests;
pub mod verified;
