//! What an address says of itself: its network, how near it is, and whether a node may be called
//! there at all.
//!
//! Pure. Owns the rules by which nobody can make us knock at others' doors: what strangers name has
//! to be an address of the open network or of their own, at a port where no other service lives
//! (threats: a list that names victims, an inner host, the metadata service of a cloud).

use super::dice::Dice;
use crate::primitives::PeerAddress;
use crate::primitives::peer_address::Host;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The lowest port at which a stranger's word has a node called (RFC 6335: those below belong to
/// services).
const STRANGERS_PORT_MIN: u16 = 1_024;

/// Ports of services that do something with what a node would send, or that take it for an attack:
/// shells, mail, files, printers, databases. After the list of ports that browsers do not call
/// (WHATWG Fetch, "port blocking"), with databases and the like, which that one lacks.
const SERVICE_PORTS: &[u16] = &[
    7, 9, 19, 20, 21, 22, 23, 25, 53, 110, 111, 119, 135, 137, 139, 143, 389, 443, 445, 465, 512,
    513, 514, 515, 548, 554, 587, 631, 636, 993, 995, 1433, 1521, 1723, 2049, 2375, 2376, 3306,
    3389, 5432, 5900, 6000, 6379, 6667, 9100, 9200, 11211, 27017,
];

/// How near an address is. Whoever is at one may name those that are as far or farther.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// This machine.
    Machine,
    /// A network that is not the Internet.
    Inner,
    /// The Internet.
    Open,
}

/// A network: the first 16 bits of an IPv4 address, the first 32 of an IPv6 address, or a name. Who
/// has one address of it can easily have more of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Group(Host);

/// A place: what one owner surely has, whatever the port. An IPv4 address, 64 bits of an IPv6
/// address, a name; on this machine, where many nodes are tried out, the port counts too.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place(Host, u16);

/// Why a person's address is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitError {
    /// Nobody is there, or everybody.
    #[error("expected the address of one node, this one stands for none or for many")]
    Special,
    /// Another service is there.
    #[error(
        "expected the port of a node: {0} belongs to another service, which what a node sends \
         could harm"
    )]
    Service(u16),
}

impl Group {
    /// The network of an address.
    pub fn of(address: &PeerAddress) -> Self {
        Self::of_host(address.host())
    }

    /// The network of an IP address.
    pub fn of_ip(ip: IpAddr) -> Self {
        Self(Host::Ip(masked(ip.to_canonical(), 16, 32)))
    }

    /// The network that [`Self::host`] has written down.
    pub fn of_host(host: &Host) -> Self {
        match host {
            Host::Ip(ip) => Self::of_ip(*ip),
            Host::Name(_) => Self(host.clone()),
        }
    }

    /// A number for it that nobody can foresee who does not know the `secret`.
    pub fn keyed(&self, secret: u64) -> u64 {
        let mix = |state: u64, byte: u8| Dice::new(state ^ u64::from(byte)).throw();
        self.0.to_string().bytes().fold(secret, mix)
    }

    /// What stands for it in a file: the address with all other bits zero, or the name.
    pub const fn host(&self) -> &Host {
        &self.0
    }
}

impl Place {
    /// The place of an address.
    pub fn of(address: &PeerAddress) -> Self {
        match address.host() {
            Host::Ip(ip) if ip.is_loopback() => Self(Host::Ip(*ip), address.port()),
            Host::Ip(ip) => Self(Host::Ip(masked(*ip, 32, 64)), 0),
            Host::Name(name) => Self(Host::Name(name.clone()), 0),
        }
    }

    /// The place from which a connection comes.
    pub fn of_ip(ip: IpAddr) -> Self {
        Self(Host::Ip(masked(ip.to_canonical(), 32, 64)), 0)
    }
}

/// An address with only its first bits.
fn masked(ip: IpAddr, bits_v4: u32, bits_v6: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from(u32::from(ip) & high_u32(bits_v4)).into(),
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - bits_v6).unwrap_or(0);
            Ipv6Addr::from(u128::from(ip) & mask).into()
        }
    }
}

fn high_u32(bits: u32) -> u32 {
    u32::MAX.checked_shl(32 - bits).unwrap_or(0)
}

/// How near an IP address is; `None` if no single node can be there.
pub fn scope(ip: IpAddr) -> Option<Scope> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => scope_v4(ip),
        IpAddr::V6(ip) => scope_v6(ip),
    }
}

fn scope_v4(ip: Ipv4Addr) -> Option<Scope> {
    let [first, second, ..] = ip.octets();
    match first {
        // "This network", multicast, reserved, broadcast (RFC 6890).
        0 | 224.. => None,
        127 => Some(Scope::Machine),
        // Shared by the customers of one provider (RFC 6598).
        100 if (64..128).contains(&second) => Some(Scope::Inner),
        _ if ip.is_private() || ip.is_link_local() => Some(Scope::Inner),
        _ => Some(Scope::Open),
    }
}

fn scope_v6(ip: Ipv6Addr) -> Option<Scope> {
    // 6to4 (RFC 3056) carries an IPv4 address, which may be an inner one.
    let is_6to4 = ip.segments()[0] == 0x2002;
    // What is given out to the Internet (RFC 4291): all else is translation, multicast or unused.
    let is_global = ip.segments()[0] >> 13 == 1;
    if ip.is_loopback() {
        Some(Scope::Machine)
    } else if ip.is_unique_local() || ip.is_unicast_link_local() {
        Some(Scope::Inner)
    } else {
        (is_global && !is_6to4).then_some(Scope::Open)
    }
}

/// Whether an address is one of the Internet, as far as it tells: whoever has one there easily has many of
/// its network. Of an inner network all peers may be.
pub fn is_of_internet(address: &PeerAddress) -> bool {
    address.ip().is_none_or(|ip| scope(ip) == Some(Scope::Open))
}

/// How many of these are of the same network of the Internet as an address; none if that is of an inner
/// one.
pub fn of_same_network<'a>(
    address: &PeerAddress,
    others: impl Iterator<Item = &'a PeerAddress>,
) -> usize {
    if !is_of_internet(address) {
        return 0;
    }
    let network = Group::of(address);
    others.filter(|other| Group::of(other) == network).count()
}

/// How near the one who names others is, as far as its address tells. A name without a dot exists in
/// one's own network only.
pub fn scope_of_source(source: &PeerAddress) -> Scope {
    match source.host() {
        Host::Ip(ip) => scope(*ip).unwrap_or(Scope::Open),
        Host::Name(name) if **name == *"localhost" => Scope::Machine,
        Host::Name(name) if name.contains('.') => Scope::Open,
        Host::Name(_) => Scope::Inner,
    }
}

/// Whether a node that someone names who is as near as `source` may be called to see whether it is
/// there. Names are not, nor ports of other services, nor addresses nearer than who names them.
pub fn may_call(address: &PeerAddress, source: Scope) -> bool {
    let near = address.ip().and_then(scope);
    let port = address.port();
    near.is_some_and(|near| near >= source)
        && port >= STRANGERS_PORT_MIN
        && !SERVICE_PORTS.contains(&port)
}

/// As [`may_call`], for a client that names where it can be reached itself.
pub fn may_call_back(address: &PeerAddress, client: IpAddr) -> bool {
    may_call(address, scope(client).unwrap_or(Scope::Open))
}

/// Whether two addresses lead to one place whatever names mean.
pub fn is_spelling_of(one: &PeerAddress, other: &PeerAddress) -> bool {
    let both_here = is_this_machine(one) && is_this_machine(other);
    one == other || (one.port() == other.port() && both_here)
}

/// Whether an address says that it is of this machine.
fn is_this_machine(address: &PeerAddress) -> bool {
    match address.host() {
        Host::Ip(ip) => *ip == Ipv4Addr::LOCALHOST || *ip == Ipv6Addr::LOCALHOST,
        Host::Name(name) => **name == *"localhost",
    }
}

/// Whether a person may add a node at `address`: inner addresses and low ports too, but nothing
/// where what a node sends does harm or reaches nobody.
///
/// # Errors
/// What is wrong with it.
pub fn check_added(address: &PeerAddress) -> Result<(), UnfitError> {
    if address.ip().is_some_and(|ip| scope(ip).is_none()) {
        return Err(UnfitError::Special);
    }
    let port = address.port();
    if SERVICE_PORTS.contains(&port) { Err(UnfitError::Service(port)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> PeerAddress {
        text.parse().unwrap()
    }

    #[test]
    fn strangers_do_not_make_us_knock_at_inner_doors() {
        let cases = [
            ("203.0.113.5:5000", "203.0.113.5", true),
            ("198.51.100.1:5000", "203.0.113.5", true),
            ("203.0.113.5:5000", "127.0.0.1", true),
            ("203.0.113.5:22", "203.0.113.5", false),
            ("203.0.113.5:1023", "203.0.113.5", false),
            ("203.0.113.5:6379", "203.0.113.5", false),
            ("printer.lan:5000", "203.0.113.5", false),
            ("localhost:5000", "127.0.0.1", false),
            ("192.168.1.9:5000", "203.0.113.5", false),
            ("100.64.0.1:5000", "203.0.113.5", false),
            ("192.168.1.9:5000", "10.0.0.1", true),
            ("192.168.1.9:5000", "127.0.0.1", true),
            ("127.0.0.1:5000", "203.0.113.5", false),
            ("127.0.0.1:5000", "192.168.1.9", false),
            ("127.0.0.1:5000", "127.0.0.2", true),
            ("[::1]:5000", "127.0.0.1", true),
            ("169.254.169.254:8080", "203.0.113.5", false),
            ("[fe80::1]:5000", "203.0.113.5", false),
            ("[fd00::1]:5000", "2001:db8::5", false),
            ("[fd00::1]:5000", "fd00::2", true),
            ("[2001:db8::1]:5000", "203.0.113.5", true),
            // An IPv4 address in the clothes of another: mapped, 6to4, translated, compatible.
            ("[::ffff:127.0.0.1]:5000", "203.0.113.5", false),
            ("[2002:7f00:1::1]:5000", "203.0.113.5", false),
            ("[64:ff9b::7f00:1]:5000", "203.0.113.5", false),
            ("[::127.0.0.1]:5000", "203.0.113.5", false),
            ("0.0.0.0:5000", "127.0.0.1", false),
            ("0.1.2.3:5000", "127.0.0.1", false),
            ("[::]:5000", "127.0.0.1", false),
            ("224.0.0.1:5000", "127.0.0.1", false),
            ("[ff02::1]:5000", "127.0.0.1", false),
            ("240.0.0.1:5000", "127.0.0.1", false),
            ("255.255.255.255:5000", "127.0.0.1", false),
        ];
        for (said, client, expected) in cases {
            let client = client.parse().unwrap();
            assert_eq!(may_call_back(&at(said), client), expected, "{said} {client}");
        }
    }

    #[test]
    fn what_a_name_names_is_as_near_as_the_name() {
        for (source, expected) in [
            ("localhost:5000", Scope::Machine),
            ("farthing-node-1:5000", Scope::Inner),
            ("node.example:5000", Scope::Open),
            ("[::1]:5000", Scope::Machine),
            ("192.168.7.7:5000", Scope::Inner),
            ("203.0.113.5:5000", Scope::Open),
            ("0.0.0.0:5000", Scope::Open),
        ] {
            assert_eq!(scope_of_source(&at(source)), expected, "{source}");
        }
    }

    #[test]
    fn a_person_may_add_all_but_what_harms_or_is_nobody() {
        for good in
            ["192.168.1.9:80", "127.0.0.1:81", "localhost:5000", "a.example:8080", "[::1]:1"]
        {
            assert_eq!(check_added(&at(good)), Ok(()), "{good}");
        }
        for special in ["0.0.0.0:5000", "[::]:5000", "224.0.0.251:5000", "255.255.255.255:5000"] {
            assert_eq!(check_added(&at(special)), Err(UnfitError::Special), "{special}");
        }
        for (service, port) in [("203.0.113.5:25", 25), ("printer:9100", 9100), ("[::1]:22", 22)] {
            assert_eq!(check_added(&at(service)), Err(UnfitError::Service(port)), "{service}");
        }
    }

    #[test]
    fn networks_and_places_have_their_bits() {
        for (address, group, place) in [
            ("203.0.113.5:5000", "203.0.0.0", "203.0.113.5"),
            ("127.0.0.1:5001", "127.0.0.0", "127.0.0.1"),
            ("[2001:db8:1:2:3::4]:5000", "[2001:db8::]", "[2001:db8:1:2::]"),
            ("[::ffff:10.1.2.3]:5000", "10.1.0.0", "10.1.2.3"),
            ("node.example:5000", "node.example", "node.example"),
        ] {
            let address = at(address);
            assert_eq!(Group::of(&address).host().to_string(), group);
            assert_eq!(Group::of_host(Group::of(&address).host()), Group::of(&address));
            assert_eq!(Place::of(&address).0.to_string(), place);
        }
        assert_eq!(Place::of(&at("203.0.113.5:1")), Place::of(&at("203.0.113.5:2")));
        assert_ne!(Place::of(&at("127.0.0.1:1")), Place::of(&at("127.0.0.1:2")));
        assert_ne!(Place::of(&at("[2001:db8:1:2::1]:1")), Place::of(&at("[2001:db8:1:3::1]:1")));
    }
}
