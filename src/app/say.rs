//! What a newcomer reads when the node has started.

use crate::config::{Network, Settings};
use crate::node::NodeHandle;
use crate::wallet::dev_accounts;
use std::net::SocketAddr;

/// Says where the page is, who can reach the node and what it holds.
pub(super) fn welcome(settings: &Settings, address: SocketAddr, node: &NodeHandle) {
    let network = settings.node.network;
    let view = node.view();
    println!("Farthing {} on network {}", env!("CARGO_PKG_VERSION"), network.as_str());
    println!("wallet page  http://{}/", page_address(address));
    println!("reached by   {}", reach(address));
    println!("files        {}", files(settings, address.port()));
    println!("chain        {} blocks, tip {}", view.chain.height(), view.chain.tip().hash);
    match view.wallet {
        Some(key) => println!("wallet       {}", key.to_address(node.prefix())),
        None => println!("wallet       none yet: create one on the page"),
    }
    if network == Network::Dev {
        dev(node);
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

fn dev(node: &NodeHandle) {
    println!("Ten accounts hold coins that are worth nothing; their private keys are public:");
    for (number, account) in (1..).zip(dev_accounts()) {
        let address = account.public_key().to_address(node.prefix());
        println!("  {number:2}  {address}  {}", *account.secret_hex());
    }
}
