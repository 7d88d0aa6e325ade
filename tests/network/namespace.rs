//! A network of its own for one test, in which packets get lost.
//!
//! The test starts itself once more inside of a user and network namespace, where it may set up
//! what it likes. It needs `unshare` (util-linux) and `nft` (nftables). Where they are missing or
//! forbidden the test fails, unless `FARTHING_NO_NAMESPACES` says that this is known.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// Tells the test that it runs inside.
const INSIDE: &str = "FARTHING_INSIDE";

/// All links have addresses in here; see `world.rs`.
const LINKS: &str = "127.16.0.0/12";

/// Whether this is inside of a namespace. If not, `test` is run there to its end, and passed what
/// it says; it fails if that fails.
pub fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"]);
        return true;
    }
    if std::env::var_os("FARTHING_NO_NAMESPACES").is_some() {
        println!("NOT RUN: {test}: FARTHING_NO_NAMESPACES is set");
        return false;
    }
    assert!(
        works("unshare", &["-rn", "nft", "list", "ruleset"]),
        "this test needs namespaces (unshare -rn) and nftables (apt install nftables); \
         set FARTHING_NO_NAMESPACES=1 where there are none"
    );
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new("unshare")
        .arg("-rn")
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare is there");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    false
}

/// Gives this machine more addresses.
pub fn add_addresses(addresses: &[Ipv4Addr]) {
    for address in addresses {
        run("ip", &["address", "add", &format!("{address}/32"), "dev", "lo"]);
    }
}

/// Loses so many percent of the packets between the nodes that listen at `ports`, each way.
///
/// Between a node and the listening end of a link, that is: the calls of the test go to other
/// addresses, and what goes from the other end of a link to a node is not lost a second time.
pub fn lose_packets(percent: u32, ports: &[u16]) {
    let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let lost = format!("numgen random mod 100 < {percent} counter drop");
    let rules = format!(
        "table ip loss {{
            chain input {{
                type filter hook input priority 0; policy accept;
                ip daddr {LINKS} tcp dport {{ {ports} }} {lost}
                ip saddr {LINKS} tcp sport {{ {ports} }} {lost}
            }}
        }}"
    );
    run("nft", &[&rules]);
}

/// How many packets have been lost.
pub fn lost_packets() -> u64 {
    let output = Command::new("nft").args(["list", "table", "ip", "loss"]).output();
    let text = String::from_utf8(output.expect("nft is there").stdout).expect("text");
    let counts = text.split("counter packets ").skip(1);
    let count = |rest: &str| rest.split(' ').next().and_then(|count| count.parse::<u64>().ok());
    counts.map(|rest| count(rest).expect("a number")).sum()
}

fn run(program: &str, arguments: &[&str]) {
    assert!(works(program, arguments), "{program} {arguments:?} fails");
}

fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let status = command.args(arguments).stdout(Stdio::null()).stdin(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
