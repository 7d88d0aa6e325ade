//! What a newcomer reads when the node has started.

use crate::config::chain::to_toml;
use crate::config::{Network, Settings};
use crate::consensus::params::ChainParams;
use crate::node::NodeHandle;
use crate::wallet::dev_accounts;
use std::io::{self, Write, stdout};
use std::net::SocketAddr;

/// Says where the page is, who can reach the node and what it holds. A node goes on if nobody
/// listens any more.
pub(super) fn welcome(settings: &Settings, address: SocketAddr, node: &NodeHandle) {
    let mut out = stdout().lock();
    let said = write_welcome(&mut out, settings, address, node).and_then(|()| out.flush());
    if let Err(error) = said {
        log::debug!("standard output is closed: {error}");
    }
}

fn write_welcome(
    out: &mut dyn Write,
    settings: &Settings,
    address: SocketAddr,
    node: &NodeHandle,
) -> io::Result<()> {
    let (network, name) = (settings.node.network, &settings.chain.name);
    let view = node.view();
    writeln!(out, "Farthing {} on network {name}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "wallet page  http://{}/", page_address(address))?;
    writeln!(out, "reached by   {}", reach(address))?;
    writeln!(out, "files        {}", files(settings, address.port()))?;
    writeln!(out, "chain        {} blocks, tip {}", view.chain.height(), view.chain.tip().hash)?;
    if network == Network::Custom {
        writeln!(out, "chain id     {}", node.chain_id())?;
        writeln!(out, "joined by    nodes with the same [chain] table: `farthing chain` shows it")?;
    }
    match view.wallet {
        Some(key) => writeln!(out, "wallet       {}", key.to_address(node.prefix()))?,
        None => writeln!(out, "wallet       none yet: create one on the page")?,
    }
    if network == Network::Dev {
        write_dev(out, node)?;
    }
    Ok(())
}

/// Shows the rules of a chain as others need them in their configuration file, and its id, by which
/// two people can tell whether they have the same.
pub(super) fn chain(params: &ChainParams) {
    let (id, mut out) = (params.chain_id(), stdout().lock());
    let said = writeln!(out, "# chain {:?}, id {id}", params.name.as_str())
        .and_then(|()| out.write_all(to_toml(params).as_bytes()));
    if let Err(error) = said {
        log::debug!("standard output is closed: {error}");
    }
}

/// A page is opened under a name that its own machine knows.
fn page_address(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback =
        if address.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1_u16].into() };
    SocketAddr::new(loopback, address.port())
}

fn reach(address: SocketAddr) -> String {
    let ip = address.ip();
    if ip.is_loopback() {
        "this machine only (--bind 0.0.0.0 lets other nodes in)".into()
    } else if ip.is_unspecified() {
        "everyone who can reach this machine; the wallet by this machine, or with the token".into()
    } else {
        format!("everyone who can reach {ip}; the wallet by this machine, or with the token")
    }
}

fn files(settings: &Settings, port: u16) -> String {
    let dir = &settings.node.data_dir;
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.clone());
    format!("{}/*-{port}.txt", dir.display())
}

fn write_dev(out: &mut dyn Write, node: &NodeHandle) -> io::Result<()> {
    writeln!(
        out,
        "Ten accounts hold coins that are worth nothing; their private keys are public:"
    )?;
    for (number, account) in (1..).zip(dev_accounts()) {
        let address = account.public_key().to_address(node.prefix());
        writeln!(out, "  {number:2}  {address}  {}", *account.secret_hex())?;
    }
    Ok(())
}
