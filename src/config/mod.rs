//! Settings: what `config.toml` and the command line say, checked.
//!
//! Owns the keys, their defaults, meaning and limits ([`mod@file`] reads them, [`values`] checks each
//! one) and the rule that flags win over the file. Two types keep the stages apart: [`ConfigFile`]
//! is what a file says, [`Settings`] is complete and checked. Reads the one file that it is given
//! and nothing else. A mistake is one line that names file, line, key and what was expected.

pub mod chain;
mod document;
mod error;
pub mod file;
pub mod values;

pub use error::ConfigError;
pub use file::ConfigFile;
pub use values::{Network, ValueError};

use crate::consensus::params::ChainParams;
use crate::primitives::PeerAddress;
use crate::primitives::Tag;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file that is read when no flag names one, if it is there.
pub const DEFAULT_FILE: &str = "config.toml";

/// The most bytes of a configuration file. The commented default has a few thousand, so anything
/// near this is another file given by mistake; it is refused.
pub const CONFIG_FILE_SIZE_MAX: usize = 1 << 20;

/// What the command line says; `None`, `false` and empty mean that it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The configuration file, which must then exist.
    pub config: Option<PathBuf>,
    /// As [`NodeSettings::port`].
    pub port: Option<u16>,
    /// As [`NodeSettings::bind`].
    pub bind: Option<IpAddr>,
    /// As [`NodeSettings::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// As [`NodeSettings::network`].
    pub network: Option<Network>,
    /// As [`NodeSettings::peers`]; any here take the place of all in the file.
    pub peers: Vec<PeerAddress>,
    /// As [`NodeSettings::seeds`]; any here take the place of all in the file.
    pub seeds: Vec<PeerAddress>,
    /// As [`NodeSettings::log`].
    pub log: Option<String>,
    /// Mine from the start, whatever the file says.
    pub mine: bool,
    /// As in the file: 0 for all cores but one.
    pub threads: Option<usize>,
}

/// Everything the node lets its user choose, checked and complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The node itself.
    pub node: NodeSettings,
    /// Mining.
    pub miner: MinerSettings,
    /// The HTTP interface.
    pub http: HttpSettings,
    /// Open transactions.
    pub pool: PoolSettings,
    /// The rules of the chain to join: those of [`NodeSettings::network`].
    pub chain: ChainParams,
}

/// Section `[node]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// The TCP port to listen on; 0 for any free one.
    pub port: u16,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The directory of the node's files.
    pub data_dir: PathBuf,
    /// The chain to join.
    pub network: Network,
    /// Peers to join at start.
    pub peers: Vec<PeerAddress>,
    /// Nodes to ask for others while few peers are known.
    pub seeds: Vec<PeerAddress>,
    /// What to log, in env_logger's filter syntax.
    pub log: String,
}

/// Section `[miner]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinerSettings {
    /// Whether to mine without end from the start.
    pub on: bool,
    /// Threads that search.
    pub threads: NonZeroUsize,
    /// The words in the coinbase of blocks mined here.
    pub tag: Tag,
    /// How long one `POST /mine` searches at most.
    pub mine_timeout: Duration,
}

/// Section `[http]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Names, in lower case and without port, by which the node may be addressed beside 127.0.0.1,
    /// `[::1]` and localhost.
    pub allowed_hosts: Vec<String>,
    /// Other origins, as `scheme://host[:port]` in lower case, whose pages may use the wallet with
    /// the token.
    pub allowed_origins: Vec<String>,
}

/// Section `[pool]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// The most bytes of open transactions.
    pub max_bytes: usize,
}

impl Settings {
    /// The settings that the flags and the file they name, or `config.toml`, give together.
    ///
    /// # Errors
    /// A file that cannot be read or has a mistake in it. Only `config.toml` may be absent.
    pub fn load(flags: Flags) -> Result<Self, ConfigError> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self::load_with(flags, Path::new(DEFAULT_FILE), cores)
    }

    fn load_with(flags: Flags, default: &Path, cores: NonZeroUsize) -> Result<Self, ConfigError> {
        let file = match &flags.config {
            Some(path) => read_file(path)?,
            None => match read_file(default) {
                Err(ConfigError::Unreadable { error, .. })
                    if error.kind() == io::ErrorKind::NotFound =>
                {
                    ConfigFile::default()
                }
                read => read?,
            },
        };
        Self::new(file, flags, cores)
    }

    /// Puts the flags over the file and the file over the defaults, on a machine of `cores` cores.
    ///
    /// # Errors
    /// A custom network without a `[chain]` table, or such a table for another network.
    pub fn new(file: ConfigFile, flags: Flags, cores: NonZeroUsize) -> Result<Self, ConfigError> {
        let network = flags.network.or(file.node.network).unwrap_or(Network::Main);
        let chain = match (network.built_in(), file.chain) {
            (Some(known), None) => known,
            (None, Some((own, _))) => own,
            (None, None) => return Err(ConfigError::NoChain),
            (Some(_), Some((_, place))) => {
                return Err(ConfigError::UnusedChain { place, network });
            }
        };
        let peers =
            if flags.peers.is_empty() { file.node.peers.unwrap_or_default() } else { flags.peers };
        let seeds =
            if flags.seeds.is_empty() { file.node.seeds.unwrap_or_default() } else { flags.seeds };
        let node = NodeSettings {
            port: flags.port.or(file.node.port).unwrap_or(5000),
            bind: flags.bind.or(file.node.bind).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            data_dir: flags.data_dir.or(file.node.data_dir).unwrap_or_else(|| ".".into()),
            network,
            peers,
            seeds,
            log: flags.log.or(file.node.log).unwrap_or_else(|| "info".into()),
        };
        let miner = MinerSettings {
            on: flags.mine || file.miner.on.unwrap_or(false),
            threads: threads(flags.threads.or(file.miner.threads).unwrap_or(0), cores),
            tag: file.miner.tag.unwrap_or_default(),
            mine_timeout: file.miner.mine_timeout.unwrap_or(Duration::from_mins(10)),
        };
        let http = HttpSettings {
            allowed_hosts: file.http.allowed_hosts.unwrap_or_default(),
            allowed_origins: file.http.allowed_origins.unwrap_or_default(),
        };
        let pool = PoolSettings { max_bytes: file.pool.max_bytes.unwrap_or(64 << 20) };
        Ok(Self { node, miner, http, pool, chain })
    }
}

/// 0 leaves one core to the node and to the user, if there is more than one.
fn threads(asked: usize, cores: NonZeroUsize) -> NonZeroUsize {
    let all_but_one = || NonZeroUsize::new(cores.get() - 1).unwrap_or(NonZeroUsize::MIN);
    NonZeroUsize::new(asked).unwrap_or_else(all_but_one)
}

fn read_file(path: &Path) -> Result<ConfigFile, ConfigError> {
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    let limit = u64::try_from(CONFIG_FILE_SIZE_MAX + 1).expect("a small number");
    let read = File::open(path).and_then(|open| open.take(limit).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(ConfigError::Unreadable { file, error });
    }
    if bytes.len() > CONFIG_FILE_SIZE_MAX {
        return Err(ConfigError::TooLarge { file });
    }
    ConfigFile::parse(&file, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::schedule::Schedule;

    fn cores(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn settings(text: &str, flags: Flags) -> Settings {
        let file = ConfigFile::parse("config.toml", text.as_bytes()).unwrap();
        Settings::new(file, flags, cores(4)).unwrap()
    }

    #[test]
    fn the_committed_file_says_the_defaults() {
        let committed = settings(include_str!("../../config.toml"), Flags::default());
        assert_eq!(committed, settings("", Flags::default()));
    }

    #[test]
    fn the_defaults_are_safe_and_plain() {
        let Settings { node, miner, http, pool, chain } = settings("", Flags::default());
        assert_eq!((node.port, node.network, miner.on), (5000, Network::Main, false));
        assert!(node.bind.is_loopback() && node.peers.is_empty() && node.seeds.is_empty());
        assert_eq!(node.data_dir, Path::new("."));
        assert!(http.allowed_hosts.is_empty() && http.allowed_origins.is_empty());
        assert_eq!((miner.mine_timeout.as_secs(), pool.max_bytes), (600, 67_108_864));
        assert_eq!(chain, ChainParams::main());
    }

    #[test]
    fn every_key_of_the_file_has_an_effect_and_stands_in_the_committed_one() {
        let changes = [
            ("node", "port", "5001"),
            ("node", "bind", "\"::\""),
            ("node", "data_dir", "\"data\""),
            ("node", "network", "\"dev\""),
            ("node", "peers", "[\"localhost:5001\"]"),
            ("node", "seeds", "[\"localhost:5001\"]"),
            ("node", "log", "\"debug\""),
            ("miner", "on", "true"),
            ("miner", "threads", "7"),
            ("miner", "tag", "\"mine\""),
            ("miner", "mine_timeout", "5"),
            ("http", "allowed_hosts", "[\"node.example\"]"),
            ("http", "allowed_origins", "[\"https://node.example\"]"),
            ("pool", "max_bytes", "1_048_576"),
        ];
        let known: Vec<_> = file::SECTIONS
            .iter()
            .filter(|(section, _)| *section != "chain")
            .flat_map(|(s, keys)| keys.iter().map(move |k| (*s, *k)))
            .collect();
        assert_eq!(known, changes.map(|(section, key, _)| (section, key)));

        let committed: toml::Table = toml::from_str(include_str!("../../config.toml")).unwrap();
        for (section, key, value) in changes {
            let changed = settings(&format!("[{section}]\n{key} = {value}"), Flags::default());
            assert_ne!(changed, settings("", Flags::default()), "{key}");
            assert!(committed[section].get(key).is_some(), "[{section}] {key}");
        }
    }

    #[test]
    fn the_committed_example_of_a_chain_says_the_defaults() {
        let committed = include_str!("../../config.toml").replace("network = \"main\"", "");
        let own = committed.replace("\n#", "\n").replace("\n ", "\n# ");
        let flags = Flags { network: Some(Network::Custom), ..Flags::default() };
        let example = settings(&own, flags.clone());
        let name = settings("[chain]\nname = \"class-a\"", flags);
        let chain = ChainParams {
            allocations: Vec::new(),
            schedule: Schedule { emission: name.chain.schedule.emission, ..example.chain.schedule },
            ..example.chain.clone()
        };
        assert_eq!(chain, name.chain);
        assert!(!example.chain.allocations.is_empty());
        let keys: toml::Table = toml::from_str(&own).unwrap();
        assert_eq!(keys["chain"].as_table().unwrap().len(), chain::KEYS.len());
    }

    #[test]
    fn the_example_of_the_readme_is_a_chain() {
        let readme = include_str!("../../README.md");
        let (_, example) = readme.split_once("```toml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let own = settings(example, Flags::default());
        assert_eq!((own.node.network, own.chain.name.as_str()), (Network::Custom, "class-a"));
        assert_eq!(own.chain.allocations.len(), 1);
    }

    #[test]
    fn a_custom_network_and_its_table_need_each_other() {
        let load = |text: &str, network| {
            let file = ConfigFile::parse("config.toml", text.as_bytes()).unwrap();
            let flags = Flags { network, ..Flags::default() };
            Settings::new(file, flags, cores(4)).map(|settings| settings.chain.name.to_string())
        };
        let (table, custom) = ("[chain]\nname = \"a\"\n", "[node]\nnetwork = \"custom\"\n");
        let both = format!("{custom}{table}");
        let unused = "config.toml line 3: [chain] holds the rules of network \"custom\", and the \
                      network is dev";
        let missing = "a custom network needs its rules in a [chain] table of the configuration \
                       file, which has none";
        let cases = [
            (&*both, None, Ok("a")),
            (table, Some(Network::Custom), Ok("a")),
            (custom, Some(Network::Dev), Ok("dev")),
            (&both, Some(Network::Dev), Err(unused)),
            (
                table,
                None,
                Err(
                    "config.toml line 1: [chain] holds the rules of network \"custom\", and the network is main",
                ),
            ),
            (custom, None, Err(missing)),
            ("", Some(Network::Custom), Err(missing)),
        ];
        for (text, network, expected) in cases {
            let got = load(text, network).map_err(|error| error.to_string());
            assert_eq!(got.as_deref().map_err(|error| &**error), expected, "{text} {network:?}");
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let text = "[node]\nport = 1\nbind = '::'\ndata_dir = 'a'\nnetwork = 'main'\n\
                    peers = ['a:1', 'b:2']\nseeds = ['c:1']\nlog = 'warn'\n[miner]\non = false\nthreads = 1\n";
        let flags = Flags {
            config: None,
            port: Some(0),
            bind: Some("0.0.0.0".parse().unwrap()),
            data_dir: Some("b".into()),
            network: Some(Network::Dev),
            peers: vec!["c:3".parse().unwrap()],
            seeds: vec!["d:4".parse().unwrap()],
            log: Some("trace".into()),
            mine: true,
            threads: Some(2),
        };
        let Settings { node, miner, .. } = settings(text, flags.clone());
        assert_eq!(Some(node.port), flags.port);
        assert_eq!(Some(node.bind), flags.bind);
        assert_eq!(Some(node.data_dir), flags.data_dir);
        assert_eq!(Some(node.network), flags.network);
        assert_eq!((node.peers, node.seeds), (flags.peers, flags.seeds));
        assert_eq!(Some(node.log), flags.log);
        assert_eq!((miner.on, miner.threads.get()), (true, 2));

        let Settings { node, miner, .. } = settings(text, Flags::default());
        assert_eq!((node.port, node.peers.len(), miner.threads.get()), (1, 2, 1));
    }

    #[test]
    fn no_number_of_threads_means_all_cores_but_one() {
        for (asked, have, expected) in [(0, 1, 1), (0, 2, 1), (0, 8, 7), (3, 2, 3), (256, 1, 256)] {
            assert_eq!(threads(asked, cores(have)).get(), expected, "{asked} of {have}");
        }
    }

    #[test]
    fn only_the_default_file_may_be_absent() {
        let dir = tempfile::tempdir().unwrap();
        let default = dir.path().join("config.toml");
        let load = |flags| Settings::load_with(flags, &default, cores(4));
        let named = Flags { config: Some(dir.path().join("other.toml")), ..Flags::default() };

        assert_eq!(load(Flags::default()).unwrap(), settings("", Flags::default()));
        let error = load(named.clone()).unwrap_err();
        assert_eq!(error.code(), "config-unreadable");
        assert!(error.to_string().contains("other.toml"), "{error}");

        std::fs::write(&default, "[node]\nport = 7\n").unwrap();
        assert_eq!(load(Flags::default()).unwrap().node.port, 7);
        std::fs::write(dir.path().join("other.toml"), "[node]\nport = 8\n").unwrap();
        assert_eq!(load(named.clone()).unwrap().node.port, 8);
        std::fs::write(dir.path().join("other.toml"), vec![b'#'; CONFIG_FILE_SIZE_MAX + 1])
            .unwrap();
        assert_eq!(load(named).unwrap_err().code(), "config-too-large");
    }
}
