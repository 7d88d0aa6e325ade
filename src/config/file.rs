//! The keys of `config.toml`.

use super::chain;
use super::document::{Document, Sections};
use super::error::{ConfigError, Place};
use super::values::{self, Network};
use crate::consensus::params::ChainParams;
use crate::primitives::PeerAddress;
use crate::primitives::Tag;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Every section and key that exists; the committed `config.toml` explains each.
pub(super) const SECTIONS: &Sections = &[
    ("node", &["port", "bind", "data_dir", "network", "peers", "seeds", "log"]),
    ("miner", &["on", "threads", "tag", "mine_timeout"]),
    ("http", &["allowed_hosts", "allowed_origins"]),
    ("pool", &["max_bytes"]),
    ("chain", chain::KEYS),
];

/// What a file says; `None` where it says nothing. Each value is checked, and has the meaning of
/// the field of the same name in [`Settings`](super::Settings).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// Section `[node]`.
    pub node: NodeSection,
    /// Section `[miner]`.
    pub miner: MinerSection,
    /// Section `[http]`.
    pub http: HttpSection,
    /// Section `[pool]`.
    pub pool: PoolSection,
    /// Section `[chain]`, and where it begins.
    pub chain: Option<(ChainParams, Place)>,
}

/// Section `[node]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is explained in NodeSettings")]
pub struct NodeSection {
    pub port: Option<u16>,
    pub bind: Option<IpAddr>,
    pub data_dir: Option<PathBuf>,
    pub network: Option<Network>,
    pub peers: Option<Vec<PeerAddress>>,
    pub seeds: Option<Vec<PeerAddress>>,
    pub log: Option<String>,
}

/// Section `[miner]`; `threads` may be 0, for all cores but one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is explained in MinerSettings")]
pub struct MinerSection {
    pub on: Option<bool>,
    pub threads: Option<usize>,
    pub tag: Option<Tag>,
    pub mine_timeout: Option<Duration>,
}

/// Section `[http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is explained in HttpSettings")]
pub struct HttpSection {
    pub allowed_hosts: Option<Vec<String>>,
    pub allowed_origins: Option<Vec<String>>,
}

/// Section `[pool]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is explained in PoolSettings")]
pub struct PoolSection {
    pub max_bytes: Option<usize>,
}

impl ConfigFile {
    /// Reads the text of a file; `file` names it in errors.
    ///
    /// # Errors
    /// The first mistake found: syntax, then names, then values.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ConfigError> {
        let toml = Document::parse(file, bytes, SECTIONS)?;
        let text = values::text;
        Ok(Self {
            node: NodeSection {
                port: toml.value("node", "port", |v| values::integer(v, 0..=u16::MAX))?,
                bind: toml.value("node", "bind", |v| values::parse_bind(text(v)?))?,
                data_dir: toml.value("node", "data_dir", |v| values::parse_dir(text(v)?))?,
                network: toml.value("node", "network", |v| values::parse_network(text(v)?))?,
                peers: toml.list("node", "peers", |v| values::parse_peer(text(v)?))?,
                seeds: toml.list("node", "seeds", |v| values::parse_peer(text(v)?))?,
                log: toml.value("node", "log", |v| values::parse_log(text(v)?))?,
            },
            miner: MinerSection {
                on: toml.value("miner", "on", values::boolean)?,
                threads: toml
                    .value("miner", "threads", |v| values::integer(v, 0..=values::THREADS_MAX))?,
                tag: toml.value("miner", "tag", |v| values::parse_tag(text(v)?))?,
                mine_timeout: toml.value("miner", "mine_timeout", |v| {
                    values::integer(v, 1..=values::MINE_TIMEOUT_S_MAX).map(Duration::from_secs)
                })?,
            },
            http: HttpSection {
                allowed_hosts: toml
                    .list("http", "allowed_hosts", |v| values::parse_host(text(v)?))?,
                allowed_origins: toml
                    .list("http", "allowed_origins", |v| values::parse_origin(text(v)?))?,
            },
            pool: PoolSection {
                max_bytes: toml.value("pool", "max_bytes", |v| {
                    values::integer(v, values::POOL_BYTES_MIN..=values::POOL_BYTES_MAX)
                })?,
            },
            chain: chain::read(&toml)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first mistake of a text, without the name of the file.
    fn check(text: &str, expected: &str) {
        let message = match ConfigFile::parse("config.toml", text.as_bytes()) {
            Ok(_) => "fine".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(!message.contains('\n'), "{message:?}");
        let message = message.strip_prefix("config.toml ").unwrap_or(&message);
        assert_eq!(message, expected, "{text}");
    }

    #[test]
    fn unknown_names_are_named_with_their_line_and_what_they_could_be() {
        let miner = "expected one of on, threads, tag, mine_timeout";
        let sections = "expected one of node, miner, http, pool, chain";
        let table = [
            (
                "[miner]\non = true\n\n# a comment\nthread = 2\n",
                format!(
                    "line 5: unknown key \"thread\" in [miner]: {miner}; did you mean \"threads\"?"
                ),
            ),
            ("[miner]\nspeed = 2", format!("line 2: unknown key \"speed\" in [miner]: {miner}")),
            ("[miner]\nport = 2", "line 2: unknown key \"port\" in [miner]: it belongs in [node]".into()),
            ("\nport = 5001", "line 2: unknown section \"port\": it belongs in [node]".into()),
            (
                "[nod]",
                format!("line 1: unknown section \"nod\": {sections}; did you mean \"node\"?"),
            ),
            ("\n\n[wallet]\n", format!("line 3: unknown section \"wallet\": {sections}")),
            (
                "[node]\n\"a\\nb\" = 1",
                "line 2: unknown key \"a\\nb\" in [node]: expected one of port, bind, data_dir, network, peers, seeds, log".into(),
            ),
        ];
        for (text, expected) in table {
            check(text, &expected);
        }
    }

    #[test]
    fn wrong_types_and_values_are_named_with_their_line_and_what_was_expected() {
        let port = "line 2: port in [node]: expected a whole number from 0 to 65535, got";
        let threads = "line 2: threads in [miner]: expected a whole number from 0 to 256, got";
        let table = [
            ("[node]\nport = 65535", "fine".into()),
            ("[node]\nport = 0x1388", "fine".into()),
            ("[node]\nport = 65536", format!("{port} 65536")),
            ("[node]\nport = 0x10000", format!("{port} 0x10000")),
            ("[node]\nport = -1", format!("{port} -1")),
            ("[node]\nport = 5000.0", format!("{port} 5000.0")),
            ("[node]\nport = \"5000\"", format!("{port} \"5000\"")),
            ("[node]\nport = 99999999999999999999999", format!("{port} 99999999999999999999999")),
            ("[node]\nport = []", format!("{port} a list")),
            ("[node.port]\n", "line 1: port in [node]: expected a whole number from 0 to 65535, got a table".into()),
            ("[miner]\nthreads = 256", "fine".into()),
            ("[miner]\nthreads = 257", format!("{threads} 257")),
            ("[miner]\nthreads = true", format!("{threads} true")),
            ("[miner]\non = 1", "line 2: on in [miner]: expected true or false, got 1".into()),
            ("[miner]\non = 1979-05-27", "line 2: on in [miner]: expected true or false, got 1979-05-27".into()),
            ("[miner]\nmine_timeout = 0", "line 2: mine_timeout in [miner]: expected a whole number from 1 to 86400, got 0".into()),
            ("[miner]\ntag = 5", "line 2: tag in [miner]: expected text in quotes, got 5".into()),
            ("[miner]\ntag = \"123456789012345678901234567890123\"", "line 2: tag in [miner]: expected at most 32 bytes of text, got 33".into()),
            ("[pool]\nmax_bytes = 5", "line 2: max_bytes in [pool]: expected a whole number from 1048576 to 4294967295, got 5".into()),
            ("[node]\npeers = \"a:1\"", "line 2: peers in [node]: expected a list, such as [\"one\", \"two\"], got \"a:1\"".into()),
            ("[node]\npeers = [\n  \"a:1\",\n  5,\n]", "line 4: peers in [node]: expected text in quotes, got 5".into()),
            ("node = 5", "line 1: expected a section, written [node] on its own line".into()),
            ("[[node]]", "line 1: expected a section, written [node] on its own line".into()),
            ("[node]\nnetwork = \"test\"", "line 2: network in [node]: expected main, dev or custom, got \"test\"".into()),
        ];
        for (text, expected) in table {
            check(text, &expected);
        }
        let many = format!("[node]\npeers = [{}]", "\"a:1\",".repeat(257));
        check(&many, "line 2: peers in [node]: expected at most 256 entries, got 257 entries");
    }

    #[test]
    fn what_is_not_toml_is_named_with_its_line() {
        check("[node]\nport = 1\nport = 2\n", "line 3: duplicate key");
        let table: [(&[u8], &str); 4] = [
            (b"[node]\nport = \n", "config.toml line 2: "),
            (b"# fine\n[node\n", "config.toml line 2: "),
            (b"[node]\nlog = \"\xff\"\n", "config.toml line 2: expected text in UTF-8"),
            (b"\0", "config.toml line 1: "),
        ];
        for (bytes, expected) in table {
            let error = ConfigFile::parse("config.toml", bytes).unwrap_err();
            assert_eq!(error.code(), "config-syntax");
            let message = error.to_string();
            assert!(message.starts_with(expected) && !message.contains('\n'), "{message:?}");
        }
    }
}
