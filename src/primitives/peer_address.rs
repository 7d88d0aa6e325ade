//! Where a node can be reached: `host:port`, and nothing more.
//!
//! One spelling for each place, so that lists and bans cannot be dodged by another: lower case,
//! IPv6 as RFC 5952 writes it, IPv4-mapped IPv6 as IPv4, numbers that some resolvers would take for
//! an IPv4 address (`127.1`, `0x7f000001`, `2130706433`) not at all. No scheme, no path, no user.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The longest text that is looked at: a name of 253 characters (RFC 1035), a colon, five digits.
pub const PEER_ADDRESS_TEXT_MAX: usize = NAME_MAX + 6;

/// Characters of the longest DNS name (RFC 1035, without the final dot).
const NAME_MAX: usize = 253;

/// Characters of the longest part of a DNS name between dots (RFC 1035).
const LABEL_MAX: usize = 63;

/// A host and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    host: Host,
    port: u16,
}

/// The host part of a [`PeerAddress`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address; never IPv4-mapped IPv6.
    Ip(IpAddr),
    /// A DNS name in lower case; never one that reads as a number.
    Name(Box<str>),
}

/// Why a text is not a peer's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerAddressError {
    /// Longer than any address.
    #[error("expected host:port of at most {PEER_ADDRESS_TEXT_MAX} characters, got {0}")]
    TooLong(usize),
    /// A scheme, a path or a user name.
    #[error("expected host:port alone, without a scheme such as http://, a path or a user name")]
    Extra,
    /// No port.
    #[error("expected a port after the host, as in 127.0.0.1:5000")]
    NoPort,
    /// A port that is not one.
    #[error("expected a port from 1 to 65535 in digits")]
    Port,
    /// A host that is neither a name nor an address.
    #[error("expected a DNS name, an IPv4 address or an IPv6 address in brackets before the port")]
    Host,
}

impl PeerAddressError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "node-too-long",
            Self::Extra => "node-not-host-port",
            Self::NoPort => "node-without-port",
            Self::Port => "node-bad-port",
            Self::Host => "node-bad-host",
        }
    }
}

impl PeerAddress {
    /// The host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The host if it is an address; a name has to be resolved first.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ip(ip) => Some(ip),
            Host::Name(_) => None,
        }
    }

    /// The port, never 0.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address `ip` with `port`, or `None` for port 0.
    pub fn from_ip(ip: IpAddr, port: u16) -> Option<Self> {
        (port != 0).then(|| Self { host: Host::Ip(ip.to_canonical()), port })
    }

    /// Where a socket is bound or connected to, or `None` for port 0.
    pub fn from_socket(socket: SocketAddr) -> Option<Self> {
        Self::from_ip(socket.ip(), socket.port())
    }
}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        if text.len() > PEER_ADDRESS_TEXT_MAX {
            return Err(PeerAddressError::TooLong(text.len()));
        }
        if text.contains(['/', '@', '?', '#', '\\']) {
            return Err(PeerAddressError::Extra);
        }
        let (host, port) = text.rsplit_once(':').ok_or(PeerAddressError::NoPort)?;
        if host.starts_with('[') && !host.ends_with(']') {
            return Err(PeerAddressError::NoPort);
        }
        Ok(Self { host: host.parse()?, port: parse_port(port)? })
    }
}

/// One spelling for each port: digits alone, no leading zero.
fn parse_port(text: &str) -> Result<u16, PeerAddressError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let port = if digits { text.parse().ok() } else { None };
    port.ok_or(PeerAddressError::Port)
}

impl FromStr for Host {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let ip = inner.parse::<Ipv6Addr>().map_err(|_| PeerAddressError::Host)?;
            return Ok(Self::Ip(ip.to_canonical()));
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        if is_name(text) {
            Ok(Self::Name(text.to_ascii_lowercase().into()))
        } else {
            Err(PeerAddressError::Host)
        }
    }
}

/// Whether `text` is a DNS name whose last part does not read as a number: resolvers take such
/// "names" for IPv4 addresses in old spellings (as WHATWG's URL standard, "ends in a number").
fn is_name(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or(text).as_bytes();
    let hex = last.strip_prefix(b"0x").or_else(|| last.strip_prefix(b"0X"));
    let number = last.iter().all(u8::is_ascii_digit)
        || hex.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    text.len() <= NAME_MAX && !number && text.split('.').all(is_label)
}

/// Letters, digits, hyphens inside; underscores too, as names of containers have them.
fn is_label(label: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let hyphen_at_an_end = label.starts_with('-') || label.ends_with('-');
    (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(allowed) && !hyphen_at_an_end
}

impl fmt::Display for Host {
    /// As it stands before the port: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let got = text.parse::<PeerAddress>().map(|address| address.to_string());
        assert_eq!(got.as_deref().map_err(|error| error.code()), expected, "{text:?}");
    }

    #[test]
    fn every_place_has_one_spelling() {
        check("127.0.0.1:5000", Ok("127.0.0.1:5000"));
        check("localhost:5001", Ok("localhost:5001"));
        check("Node-1.Example.ORG:65535", Ok("node-1.example.org:65535"));
        check("farthing_node_1:80", Ok("farthing_node_1:80"));
        check("[2001:DB8:0:0::1]:1", Ok("[2001:db8::1]:1"));
        check("[::ffff:10.0.0.1]:5000", Ok("10.0.0.1:5000"));
        check("[::ffff:a00:1]:5000", Ok("10.0.0.1:5000"));
        check("[::1]:5000", Ok("[::1]:5000"));
        check("xn--bcher-kva.example:7", Ok("xn--bcher-kva.example:7"));
        check("0x7f.example:7", Ok("0x7f.example:7"));
        check(&format!("{}:1", "a".repeat(63)), Ok(&format!("{}:1", "a".repeat(63))));
    }

    #[test]
    fn anything_else_is_refused() {
        for extra in [
            "http://127.0.0.1:5000",
            "127.0.0.1:5000/",
            "user@127.0.0.1:5000",
            "127.0.0.1:5000?x",
            "127.0.0.1:5000#x",
            "a\\b:1",
            "gopher://x:1",
        ] {
            check(extra, Err("node-not-host-port"));
        }
        for no_port in ["", "localhost", "[::1]"] {
            check(no_port, Err("node-without-port"));
        }
        for port in ["", "0", "00080", "65536", "+80", "-1", "80 ", "8o", "٣", "99999999999"] {
            check(&format!("localhost:{port}"), Err("node-bad-port"));
        }
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(50).as_str(); 6].join(".");
        for host in [
            "",
            ".",
            "a..b",
            "a.",
            ".a",
            "-a",
            "a-",
            "a b",
            "a\r\nX: y",
            "bücher.example",
            "::1",
            "[::1%eth0]",
            "[127.0.0.1]",
            "[]",
            "[::1",
            "127.1",
            "127.0.0.01",
            "256.0.0.1",
            "2130706433",
            "0x7f000001",
            "0X7F.0x1",
            "a.0x",
            "017700000001",
            &long_label,
        ] {
            let text = format!("{host}:80");
            assert!(
                matches!(
                    text.parse::<PeerAddress>(),
                    Err(PeerAddressError::Host | PeerAddressError::NoPort)
                ),
                "{text:?}"
            );
        }
        check(&format!("{long_name}:1"), Err("node-too-long"));
    }

    #[test]
    fn sockets_are_addresses_unless_their_port_is_zero() {
        let mapped = PeerAddress::from_socket("[::ffff:10.0.0.1]:9".parse().unwrap()).unwrap();
        assert_eq!((mapped.to_string().as_str(), mapped.port()), ("10.0.0.1:9", 9));
        assert_eq!(mapped.ip(), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(PeerAddress::from_socket("10.0.0.1:0".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_back_the_same(
            text in "[\\[\\]a-fA-F0-9x:._-]{0,24}:[0-9]{1,5}",
        ) {
            if let Ok(address) = text.parse::<PeerAddress>() {
                prop_assert_eq!(address.to_string().parse::<PeerAddress>(), Ok(address));
            }
        }
    }
}
