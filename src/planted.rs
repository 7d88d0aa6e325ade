//! Bugs put in on purpose, one at a time, to show that the simulator finds such bugs.
//!
//! Only with the cargo feature `planted-bugs`, which no build of the node has. Without it, [`planted`] is a
//! constant and nothing is left of a bug in the program.

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// What was written is acknowledged before it is flushed.
    EarlyAcknowledgement,
    /// The longest chain is the best, whatever its work.
    LongestChain,
    /// The room for announced transfers is one for all and not for each peer: whoever announces many that
    /// do not exist keeps out those that others announce.
    OrphanFlood,
    /// What a reorganization takes out of blocks does not go back to the pool.
    LostPool,
    /// A peer that passes on what only breaks rules of the moment is blamed for it.
    BlamedRelayer,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::EarlyAcknowledgement,
        Self::LongestChain,
        Self::OrphanFlood,
        Self::LostPool,
        Self::BlamedRelayer,
    ];
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in everything that the calling thread does, or none.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted.
#[cfg(feature = "planted-bugs")]
pub fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether this bug is planted: none is.
#[cfg(not(feature = "planted-bugs"))]
pub const fn planted(_: Bug) -> bool {
    false
}
