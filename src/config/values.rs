//! Single values: the same checks for the file and for the command line.

use crate::consensus::params::ChainParams;
use crate::primitives::amount::AmountError;
use crate::primitives::peer_address::{Host, PeerAddress};
use crate::primitives::text::{ShortText, TextError};
use crate::primitives::{AddressPrefix, Amount, PublicKey, Tag};
use log::LevelFilter;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use toml::de::DeValue;

/// The most threads that search for a block. Beyond the machine's cores they gain nothing, and each
/// takes memory; no machine that runs a node has more.
pub const THREADS_MAX: usize = 256;

/// The longest that one request to mine may search, in seconds: a day. It holds a connection.
pub const MINE_TIMEOUT_S_MAX: u64 = 86_400;

/// The least room for open transactions, in bytes: about one of the largest blocks.
pub const POOL_BYTES_MIN: usize = 1 << 20;

/// The most room for open transactions, in bytes: 4 GiB, more than any node has use for.
pub const POOL_BYTES_MAX: usize = u32::MAX as usize;

/// The chain to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// The coin itself.
    Main,
    /// Development: easy blocks, funded accounts with public keys.
    Dev,
    /// A chain of one's own: its rules stand in the `[chain]` table of the configuration file.
    Custom,
}

impl Network {
    /// The name in the file and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Dev => "dev",
            Self::Custom => "custom",
        }
    }

    /// The rules that the program knows by the network's name.
    pub fn built_in(self) -> Option<ChainParams> {
        match self {
            Self::Main => Some(ChainParams::main()),
            Self::Dev => Some(ChainParams::dev()),
            Self::Custom => None,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    /// `expected ..., got ...`.
    pub(super) fn new(expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self(format!("expected {expected}, got {got}"))
    }

    /// As [`Self::new`], with a value of the file.
    pub(super) fn expected(expected: impl fmt::Display, got: &DeValue<'_>) -> Self {
        Self::new(expected, describe(got))
    }
}

/// A value as it is shown in an error: shortened, and without control characters.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => {
            let prefix = match number.radix() {
                2 => "0b",
                8 => "0o",
                16 => "0x",
                _ => "",
            };
            shortened(&format!("{prefix}{}", number.as_str()))
        }
        DeValue::Float(number) => shortened(number.as_str()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

fn shortened(text: &str) -> String {
    const SHOWN_MAX: usize = 80;
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}

/// A whole number of the file, in `range`.
pub(super) fn integer<T>(value: &DeValue<'_>, range: RangeInclusive<T>) -> Result<T, ValueError>
where
    T: TryFrom<i64> + PartialOrd + fmt::Display,
{
    let number = value.as_integer().and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok());
    number.and_then(|number| T::try_from(number).ok()).filter(|n| range.contains(n)).ok_or_else(
        || {
            let (from, to) = (range.start(), range.end());
            ValueError::expected(format!("a whole number from {from} to {to}"), value)
        },
    )
}

/// A yes or no of the file.
pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, ValueError> {
    value.as_bool().ok_or_else(|| ValueError::expected("true or false", value))
}

/// A text of the file.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, ValueError> {
    value.as_str().ok_or_else(|| ValueError::expected("text in quotes", value))
}

/// An amount of coins of the file: its digits are read as they stand, never as a binary fraction.
pub(super) fn coins(value: &DeValue<'_>) -> Result<Amount, ValueError> {
    let digits = match value {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        _ => return Err(ValueError::expected("an amount in coins such as 12.5", value)),
    };
    digits.parse().map_err(|error: AmountError| ValueError(error.to_string()))
}

/// A text of the file that stands in the rules of a chain.
pub(super) fn short_text<const MAX: usize>(
    value: &DeValue<'_>,
) -> Result<ShortText<MAX>, ValueError> {
    text(value)?.parse().map_err(|error: TextError| ValueError(error.to_string()))
}

/// The name of a custom chain: one that people can tell from the others when they see or say it.
pub(super) fn chain_name(value: &DeValue<'_>) -> Result<ShortText<32>, ValueError> {
    let name: ShortText<32> = short_text(value)?;
    if let Some(unseen) = name.as_str().chars().find(|c| is_unseen(*c)) {
        return Err(ValueError::new(
            "a name without marks that cannot be seen or that turn the text around",
            format_args!("U+{:04X}", u32::from(unseen)),
        ));
    }
    let is_start = |c: char| c.is_alphanumeric() && !matches!(c, '\u{300}'..='\u{36f}');
    if !name.as_str().starts_with(is_start) || name.as_str().ends_with(char::is_whitespace) {
        let expected = "a name that begins with a letter or digit and ends without blanks";
        return Err(ValueError::expected(expected, value));
    }
    let is_taken = |known: Network| name.as_str().to_lowercase() == known.as_str();
    if [Network::Main, Network::Dev].into_iter().any(is_taken) {
        return Err(ValueError::expected("a name other than main and dev, in any case", value));
    }
    Ok(name)
}

/// Whether a character has no look of its own and changes that of others: joiners, marks of direction,
/// separators of lines, tags (Unicode, "Default_Ignorable_Code_Point" and "Bidi_Control"), empty Braille.
const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// An account of a custom chain.
pub(super) fn account(address: &str) -> Result<PublicKey, ValueError> {
    PublicKey::from_address(address, AddressPrefix::Custom)
        .map_err(|error| ValueError(format!("{}: {error}", quoted(address))))
}

/// The address to listen on.
///
/// # Errors
/// Anything but an IP address.
pub fn parse_bind(text: &str) -> Result<IpAddr, ValueError> {
    text.parse().map_err(|_| {
        let expected = "an IP address, such as 127.0.0.1 (this machine alone) or 0.0.0.0 (all)";
        ValueError::new(expected, quoted(text))
    })
}

/// A directory.
///
/// # Errors
/// An empty text.
pub fn parse_dir(text: &str) -> Result<PathBuf, ValueError> {
    if text.is_empty() || text.contains('\0') {
        return Err(ValueError::new("the path of a directory", quoted(text)));
    }
    Ok(text.into())
}

/// The name of a network.
///
/// # Errors
/// Anything but `main`, `dev` and `custom`.
pub fn parse_network(text: &str) -> Result<Network, ValueError> {
    match text {
        "main" => Ok(Network::Main),
        "dev" => Ok(Network::Dev),
        "custom" => Ok(Network::Custom),
        _ => Err(ValueError::new("main, dev or custom", quoted(text))),
    }
}

/// The number of threads of the miner; 0 for all cores but one.
///
/// # Errors
/// Anything but a number up to [`THREADS_MAX`].
pub fn parse_threads(text: &str) -> Result<usize, ValueError> {
    let number = text.parse().ok().filter(|count| *count <= THREADS_MAX);
    number.ok_or_else(|| {
        ValueError::new(format!("a whole number from 0 to {THREADS_MAX}"), quoted(text))
    })
}

/// The words in the coinbase.
///
/// # Errors
/// More than 32 bytes, or control characters.
pub fn parse_tag(text: &str) -> Result<Tag, ValueError> {
    text.parse().map_err(|error: crate::primitives::text::TextError| ValueError(error.to_string()))
}

/// What to log: levels and `module=level`, separated by commas; `/text` at the end keeps lines that
/// hold the text.
///
/// # Errors
/// A level that does not exist. A logger would take a mistyped one for the name of a module, and
/// go silent.
pub fn parse_log(text: &str) -> Result<String, ValueError> {
    let directives = text.split_once('/').map_or(text, |(directives, _)| directives);
    let is_level = |word: &str| word.trim().parse::<LevelFilter>().is_ok();
    let is_module = |word: &str| {
        let word = word.trim();
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c))
    };
    let is_directive = |part: &str| match part.split_once('=') {
        Some((module, level)) => is_module(module) && is_level(level),
        None => is_level(part) || (is_module(part) && part.trim().starts_with("farthing")),
    };
    if !text.contains(['\0', '\n', '\r']) && directives.split(',').all(is_directive) {
        return Ok(text.into());
    }
    let expected = "error, warn, info, debug, trace or off, or a list such as \
                    info,farthing::net=debug";
    Err(ValueError::new(expected, quoted(text)))
}

/// A peer, as `host:port`.
///
/// # Errors
/// Anything that [`PeerAddress`] refuses.
pub fn parse_peer(text: &str) -> Result<PeerAddress, ValueError> {
    text.parse().map_err(|error| ValueError(format!("{error}, got {}", quoted(text))))
}

/// A name by which the node may be addressed, in lower case.
///
/// # Errors
/// Anything but the name or address of a host, without a port.
pub fn parse_host(text: &str) -> Result<String, ValueError> {
    text.parse::<Host>().map(|host| host.to_string()).map_err(|_| {
        let expected = "the name of a host without scheme, port and path, such as node.example";
        ValueError::new(expected, quoted(text))
    })
}

/// An origin, in the form in which browsers send it.
///
/// # Errors
/// Anything but `http://` or `https://`, a host and perhaps a port.
pub fn parse_origin(text: &str) -> Result<String, ValueError> {
    read_origin(&text.to_ascii_lowercase()).ok_or_else(|| {
        let expected = "an origin as scheme://host or scheme://host:port without a path, such as \
                        https://wallet.example";
        ValueError::new(expected, quoted(text))
    })
}

fn read_origin(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let own_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    if let Ok(host) = rest.parse::<Host>() {
        return Some(format!("{scheme}://{host}"));
    }
    let place = rest.parse::<PeerAddress>().ok()?;
    // A browser leaves the scheme's own port out.
    let shown = if place.port() == own_port { place.host().to_string() } else { place.to_string() };
    Some(format!("{scheme}://{shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: fmt::Debug>(
        read: fn(&str) -> Result<T, ValueError>,
        good: &[&str],
        bad: &[&str],
        mention: &str,
    ) {
        for text in good {
            assert!(read(text).is_ok(), "{text:?}: {:?}", read(text));
        }
        for text in bad {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(mention) && !error.contains('\n'), "{text:?}: {error}");
        }
    }

    #[test]
    fn bind_is_an_ip_address() {
        let good = ["127.0.0.1", "0.0.0.0", "::", "::1"];
        check(
            parse_bind,
            &good,
            &["", "localhost", "127.0.0.1:80", "1.2.3", "[::1]"],
            "IP address",
        );
    }

    #[test]
    fn a_network_is_main_dev_or_custom() {
        let (good, bad) = (["main", "dev", "custom"], ["", "Main", "test"]);
        check(parse_network, &good, &bad, "expected main, dev or custom, got");
        for network in [Network::Main, Network::Dev, Network::Custom] {
            assert_eq!(parse_network(network.as_str()), Ok(network));
            let rules = network.built_in();
            assert!(rules.is_none_or(|rules| rules.name.as_str() == network.as_str()));
        }
    }

    #[test]
    fn threads_have_a_limit() {
        check(parse_threads, &["0", "1", "256"], &["257", "-1", "two", "1.5", ""], "from 0 to 256");
    }

    #[test]
    fn peers_are_host_and_port() {
        let good = ["localhost:5000", "192.0.2.1:1", "a-b.example:65535", "[::1]:5000"];
        let bad = [
            "localhost",
            "localhost:",
            ":5000",
            "localhost:0",
            "localhost:65536",
            "a:5000/",
            "a b:5",
            "http://a:5000",
            "user@a:5000",
            "::1:5000",
            "[::1:5000",
            "a:+5",
            "a:05",
            "a\n:5",
            "",
        ];
        check(parse_peer, &good, &bad, "expected ");
        assert_eq!(parse_peer("LocalHost:5000").unwrap().to_string(), "localhost:5000");
    }

    #[test]
    fn hosts_are_names_alone() {
        let long = "a".repeat(64);
        let good = ["node", "node.example", "192.0.2.1", "[2001:db8::1]", "my_node"];
        let bad = ["", "node:80", "http://node", "a/b", "*", "a..b", ".a", "-a", "a b", "ä", &long];
        check(parse_host, &good, &bad, "without scheme, port and path");
        assert_eq!(parse_host("Node.Example").unwrap(), "node.example");
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        let good =
            ["http://localhost:3000", "https://a.example", "https://[::1]:8443", "https://a:80"];
        let bad = [
            "*",
            "null",
            "",
            "a.example",
            "https://",
            "https://a/",
            "https://a/b",
            "ftp://a",
            "https://a:x",
            "https://u@a",
            "https://*.a.example",
        ];
        check(parse_origin, &good, &bad, "an origin as scheme://host");
        let table = [
            ("HTTPS://A.Example", "https://a.example"),
            ("https://a:443", "https://a"),
            ("http://a:80", "http://a"),
            ("http://[0::1]:443", "http://[::1]:443"),
        ];
        for (text, expected) in table {
            assert_eq!(parse_origin(text).unwrap(), expected);
        }
    }

    #[test]
    fn a_mistyped_log_level_is_refused() {
        let good = [
            "info",
            "TRACE",
            "off",
            "info,farthing::net=debug",
            "farthing::node",
            "farthing=trace",
            "warn, ureq=error",
            "debug/peer",
        ];
        let bad =
            ["", "inof", "info,", "farthing=loud", "=info", "a=b=info", "info,\ndebug", "ureq"];
        check(parse_log, &good, &bad, "expected error, warn, info");
    }

    #[test]
    fn long_values_are_shortened_in_errors() {
        let error = parse_bind(&"x".repeat(10_000)).unwrap_err().to_string();
        assert!(error.len() < 250 && error.contains("..."), "{error}");
    }
}
