//! `farthing verify`: checks a block file offline and shows how far it is.

use crate::config::Settings;
use crate::consensus::params::ChainParams;
use crate::node::{Verified, VerifyError, verify as verify_file};
use crate::storage::StoreError;
use crate::storage::files::DataDir;
use anyhow::{Context, Result, bail};
use std::io::{IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Checks `file`, or the block file that the settings name, and prints what it holds.
pub(super) fn verify(settings: &Settings, file: Option<PathBuf>) -> Result<()> {
    let path = match file {
        Some(path) => path,
        None => DataDir::open(&settings.node.data_dir, settings.node.port)?.blockchain(),
    };
    let size = path.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
    let mut progress = Progress { size, shown: Instant::now(), any: false };
    let verified = verify_file(&path, settings.chain.clone(), &mut |blocks, bytes| {
        progress.show(blocks, bytes);
    });
    progress.clear();
    match verified {
        Ok(verified) => print(&path, &settings.chain, &verified),
        Err(VerifyError::Store(StoreError::Genesis { found, .. }))
            if other_network(&found).is_some() =>
        {
            let network = other_network(&found).unwrap_or_default();
            bail!("{} is of network {network}: add --network {network}", path.display());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The network whose chain id is `genesis`, if it is one of ours.
fn other_network(genesis: &str) -> Option<&'static str> {
    let mut known = [ChainParams::main(), ChainParams::dev()].into_iter().zip(["main", "dev"]);
    known.find(|(params, _)| params.chain_id().to_string() == genesis).map(|(_, name)| name)
}

fn print(path: &Path, chain: &ChainParams, verified: &Verified) {
    println!("{} is good: every block, every signature", path.display());
    println!("chain         {}, id {}", chain.name, chain.chain_id());
    println!("blocks        {}", verified.blocks);
    println!("height        {}", verified.height);
    println!("tip           {}", verified.tip);
    println!("account root  {}", verified.account_root);
    println!("coins         {}", verified.total);
    if let Some(cut) = verified.cut {
        println!(
            "At line {} begins a write that was interrupted ({} bytes); the node cuts it off.",
            cut.line, cut.bytes
        );
    }
}

/// A line on standard error that is written over again and again; none if nobody watches.
struct Progress {
    size: u64,
    shown: Instant,
    any: bool,
}

impl Progress {
    fn show(&mut self, blocks: u64, bytes: u64) {
        if self.shown.elapsed() < PROGRESS_EVERY || !stderr().is_terminal() {
            return;
        }
        self.shown = Instant::now();
        self.any = true;
        let percent = bytes.saturating_mul(100).checked_div(self.size).unwrap_or(100);
        eprint!("\r{blocks} blocks, {percent}% ");
        // What cannot be shown is not worth stopping for.
        let _ = stderr().flush();
    }

    fn clear(&self) {
        if self.any {
            eprint!("\r{:40}\r", "");
        }
    }
}
