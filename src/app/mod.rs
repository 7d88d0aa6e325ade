//! From the command line to a running node, and back down.
//!
//! Owns the order in which the parts start and stop, the signals, what the program prints and its
//! exit code: 0 after a clean stop, 1 if the node cannot start or go on, 2 for a mistake in the
//! command line or the configuration, and for a port that is in use.

mod run;
mod say;
mod verify;

use crate::cli::{Cli, Request};
use crate::config::{Flags, Settings};
use crate::http::StartError;
use clap::Parser;
use std::fmt::Display;
use std::process::ExitCode;

/// The node cannot start or go on.
const FAILED: u8 = 1;

/// Whoever started it can mend it with other words.
const MISUSED: u8 = 2;

/// Why the program ends before its time.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    #[error(transparent)]
    Listen(#[from] StartError),
    #[error("{}", told(.0))]
    Other(#[from] anyhow::Error),
}

impl Stopped {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Listen(StartError::PortInUse { .. } | StartError::Listen { .. }) => MISUSED,
            Self::Listen(StartError::Server(_) | StartError::Thread(_)) | Self::Other(_) => FAILED,
        }
    }
}

/// An error with its causes, each said once: some already repeat the next.
fn told(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |said, cause| {
        let cause = cause.to_string();
        if said.contains(&cause) { said } else { format!("{said}: {cause}") }
    })
}

/// Runs the program.
pub fn main() -> ExitCode {
    let done = match Cli::parse().into_request().unwrap_or_else(|error| error.exit()) {
        Request::Run(flags) => load(flags).and_then(run::run),
        Request::Chain(flags) => load(flags).map(|settings| say::chain(&settings.chain)),
        Request::Verify { flags, file } => load(flags).and_then(|settings| {
            verify::verify(&settings, file)?;
            Ok(())
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(stopped) => {
            complain(&stopped);
            ExitCode::from(stopped.exit_code())
        }
    }
}

fn complain(error: &impl Display) {
    eprintln!("farthing: {error}");
}

fn load(flags: Flags) -> Result<Settings, Stopped> {
    let settings = Settings::load(flags)?;
    env_logger::Builder::new()
        .parse_filters(&settings.node.log)
        .format_timestamp_secs()
        .format_target(false)
        .init();
    Ok(settings)
}
