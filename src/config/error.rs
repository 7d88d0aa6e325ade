//! What can be wrong with a configuration file.

use super::{CONFIG_FILE_SIZE_MAX, Network, ValueError};
use crate::consensus::params::ParamsError;
use std::fmt;
use std::io;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.file, self.line)
    }
}

/// Why there are no settings; always one line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file, no rights, a failing disk.
    #[error("{file}: cannot be read: {error}")]
    Unreadable {
        /// The file, as it was named.
        file: String,
        /// What the operating system says.
        error: io::Error,
    },
    /// Surely another file.
    #[error("{file}: expected a configuration of at most {CONFIG_FILE_SIZE_MAX} bytes")]
    TooLarge {
        /// The file, as it was named.
        file: String,
    },
    /// Not TOML.
    #[error("{place}: {why}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong with it.
        why: String,
    },
    /// A section, or a key outside of all sections, that does not exist.
    #[error("{place}: unknown section {name:?}: {hint}")]
    UnknownSection {
        /// Where.
        place: Place,
        /// What it is called.
        name: String,
        /// What it could have been.
        hint: Box<Hint>,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key {key:?} in [{section}]: {hint}")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The section it stands in.
        section: &'static str,
        /// What it is called.
        key: String,
        /// What it could have been.
        hint: Box<Hint>,
    },
    /// A custom network without rules.
    #[error(
        "a custom network needs its rules in a [chain] table of the configuration file, which has none"
    )]
    NoChain,
    /// Rules that would be ignored.
    #[error("{place}: [chain] holds the rules of network \"custom\", and the network is {network}")]
    UnusedChain {
        /// Where.
        place: Place,
        /// The chosen network, whose rules are known.
        network: Network,
    },
    /// Values that are good one by one and make no chain together.
    #[error("{place}: [chain] makes no chain: {why}")]
    UnsoundChain {
        /// Where.
        place: Place,
        /// What is wrong with them.
        why: ParamsError,
    },
    /// A value that the key cannot have.
    #[error("{place}: {key} in [{section}]: {why}")]
    Value {
        /// Where.
        place: Place,
        /// The section.
        section: &'static str,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        why: ValueError,
    },
}

impl ConfigError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "config-unreadable",
            Self::TooLarge { .. } => "config-too-large",
            Self::Syntax { .. } => "config-syntax",
            Self::UnknownSection { .. } => "config-unknown-section",
            Self::UnknownKey { .. } => "config-unknown-key",
            Self::NoChain => "config-no-chain",
            Self::UnusedChain { .. } => "config-unused-chain",
            Self::UnsoundChain { why, .. } => why.code(),
            Self::Value { .. } => "config-bad-value",
        }
    }
}

/// What an unknown name could have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The names that exist there.
    pub known: Vec<&'static str>,
    /// The one that looks most like it.
    pub nearest: Option<&'static str>,
    /// The other section that has a key of this very name.
    pub home: Option<&'static str>,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(home) = self.home {
            return write!(f, "it belongs in [{home}]");
        }
        write!(f, "expected one of {}", self.known.join(", "))?;
        self.nearest.map_or(Ok(()), |name| write!(f, "; did you mean {name:?}?"))
    }
}
