//! The command line: flags and subcommands, turned into [`Flags`] for the configuration.
//!
//! Only `app` and `main` use this. Values are checked by the same functions as those of the
//! configuration file. A mistake ends the program with exit code 2 and a message (clap's doing).

use crate::config::values::{
    parse_bind, parse_dir, parse_log, parse_network, parse_peer, parse_threads,
};
use crate::config::{Flags, Network};
use crate::primitives::PeerAddress;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::net::IpAddr;
use std::path::PathBuf;

/// Farthing: a small proof-of-work coin. Runs a node with a wallet page.
///
/// Without a subcommand, starts a node and serves its wallet page, at http://localhost:5000 unless
/// told otherwise. Stop it with Ctrl-C. A second node on the same machine takes another port:
/// `farthing -p 5001`.
#[derive(Clone, Debug, Parser)]
#[command(name = "farthing", version)]
#[command(after_help = "Everything here can also be set in config.toml; flags win over the file.")]
pub struct Cli {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the program is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Run a node.
    Run(Flags),
    /// Show the rules of the chain.
    Chain(Flags),
    /// Check a chain file without running a node.
    Verify {
        /// Where the settings come from; they name the file if `file` does not.
        flags: Flags,
        /// The file to check.
        file: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Check a chain file, every block from the first, without running a node
    ///
    /// Reads the file and changes nothing. Shows how far it is, and names the line of the first
    /// block that is damaged or breaks a rule.
    Verify(VerifyArgs),
    /// Show the chain's rules and its id
    ///
    /// Prints the rules as a `[chain]` table, with every key. Whoever copies it into a configuration
    /// file and sets network = \"custom\" joins the same chain; equal ids are equal rules.
    Chain,
}

/// What only a running node needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
struct RunArgs {
    /// Address to listen on: 127.0.0.1 for this machine alone, 0.0.0.0 for all [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR", display_order = 5, value_parser = parse_bind)]
    bind: Option<IpAddr>,

    /// Node to join at start; may be given several times, in place of the peers in the file
    #[arg(long, value_name = "HOST:PORT", display_order = 2, value_parser = parse_peer)]
    peer: Vec<PeerAddress>,

    /// Node to ask for others while few are known; may be given several times, in place of the seeds
    /// in the file
    #[arg(long, value_name = "HOST:PORT", display_order = 2, value_parser = parse_peer)]
    seed: Vec<PeerAddress>,

    /// Mine from the start; without it mining begins when you ask for it on the page
    #[arg(long, display_order = 3)]
    mine: bool,

    /// Threads that mine, 1 to 256; 0 for all cores but one [default: 0]
    #[arg(long, value_name = "N", display_order = 4, value_parser = parse_threads)]
    threads: Option<usize>,
}

#[derive(Clone, Debug, Args)]
struct VerifyArgs {
    /// The chain file [default: blockchain-PORT.txt in the data directory]
    file: Option<PathBuf>,
}

/// What names the node's files and chain, before a subcommand or after it.
#[derive(Clone, Debug, Args)]
struct CommonArgs {
    /// Port the node listens on, which also names its files; 0 takes a free one [default: 5000]
    #[arg(short, long, global = true, display_order = 1)]
    port: Option<u16>,

    /// Directory of the node's files [default: the current directory]
    #[arg(long, global = true, value_name = "DIR", display_order = 7, value_parser = parse_dir)]
    data_dir: Option<PathBuf>,

    /// Configuration file [default: config.toml in the current directory, if there is one]
    #[arg(long, global = true, value_name = "FILE", display_order = 8)]
    config: Option<PathBuf>,

    /// Chain: main, dev for trying things out with worthless coins, or custom for one of your own,
    /// whose rules stand in the configuration file [default: main]
    #[arg(long, global = true, value_name = "NAME", display_order = 6, value_parser = parse_network)]
    network: Option<Network>,

    /// What to log: error, warn, info, debug, trace, off, or a list such as
    /// info,farthing::net=debug [default: info]
    #[arg(long, global = true, value_name = "LEVEL", display_order = 9, value_parser = parse_log)]
    log: Option<String>,
}

impl Cli {
    /// What the command line asks for.
    ///
    /// # Errors
    /// Flags of a running node beside a subcommand, which runs none.
    pub fn into_request(self) -> Result<Request, clap::Error> {
        let Self { common, run, command } = self;
        let flags = common.into_flags();
        let Some(command) = command else { return Ok(Request::Run(run.into_flags(flags))) };
        if run != RunArgs::default() {
            let message = "verify and chain run no node: expected none of --bind, --peer, --seed, \
                           --mine and --threads";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        Ok(match command {
            Command::Chain => Request::Chain(flags),
            Command::Verify(VerifyArgs { file }) => Request::Verify { flags, file },
        })
    }
}

impl RunArgs {
    fn into_flags(self, common: Flags) -> Flags {
        let Self { bind, peer, seed, mine, threads } = self;
        Flags { bind, peers: peer, seeds: seed, mine, threads, ..common }
    }
}

impl CommonArgs {
    fn into_flags(self) -> Flags {
        let Self { port, data_dir, config, network, log } = self;
        Flags { port, data_dir, config, network, log, ..Flags::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, clap::Error> {
        let words = std::iter::once("farthing").chain(line.split_whitespace());
        Cli::try_parse_from(words).and_then(Cli::into_request)
    }

    fn run(change: impl FnOnce(&mut Flags)) -> Request {
        let mut flags = Flags::default();
        change(&mut flags);
        Request::Run(flags)
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_spelling_of_the_port_works() {
        for line in ["-p 5001", "-p=5001", "-p5001", "--port 5001", "--port=5001"] {
            assert_eq!(parse(line).unwrap(), run(|flags| flags.port = Some(5001)), "{line}");
        }
        assert_eq!(parse("-p 0").unwrap(), run(|flags| flags.port = Some(0)));
        assert_eq!(parse("").unwrap(), run(|_| ()));
    }

    #[test]
    fn each_flag_arrives() {
        let line = "--bind 0.0.0.0 --data-dir d --config c.toml --peer a:1 --peer b:2 --seed c:3 \
                    --network dev --mine --threads 3 --log farthing=debug";
        let expected = run(|flags| {
            flags.bind = Some("0.0.0.0".parse().unwrap());
            flags.data_dir = Some("d".into());
            flags.config = Some("c.toml".into());
            flags.peers = ["a:1", "b:2"].map(|peer| peer.parse().unwrap()).to_vec();
            flags.seeds = vec!["c:3".parse().unwrap()];
            flags.network = Some(Network::Dev);
            flags.mine = true;
            flags.threads = Some(3);
            flags.log = Some("farthing=debug".into());
        });
        assert_eq!(parse(line).unwrap(), expected);
    }

    #[test]
    fn verify_takes_a_file_or_what_names_it() {
        let (file, flags) = (None, Flags::default());
        assert_eq!(parse("verify").unwrap(), Request::Verify { flags, file });
        let flags = Flags {
            port: Some(5001),
            data_dir: Some("d".into()),
            network: Some(Network::Dev),
            ..Flags::default()
        };
        let expected = Request::Verify { flags, file: Some("chain.txt".into()) };
        assert_eq!(parse("verify chain.txt --network dev -p 5001 --data-dir d").unwrap(), expected);
    }

    #[test]
    fn the_chain_is_shown_from_any_configuration() {
        let flags = Flags { config: Some("c.toml".into()), ..Flags::default() };
        for line in ["chain --config c.toml", "--config c.toml chain"] {
            assert_eq!(parse(line).unwrap(), Request::Chain(flags.clone()), "{line}");
        }
    }

    #[test]
    fn what_names_files_and_chain_may_stand_before_a_subcommand_and_after_it() {
        let words = ["-p 5001", "--network dev", "--data-dir d", "--log off"];
        for cut in 0..=words.len() {
            let (before, after) = words.split_at(cut);
            let line = format!("{} verify c.txt {}", before.join(" "), after.join(" "));
            let flags = Flags {
                port: Some(5001),
                network: Some(Network::Dev),
                data_dir: Some("d".into()),
                log: Some("off".into()),
                ..Flags::default()
            };
            let file = Some("c.txt".into());
            assert_eq!(parse(&line).unwrap(), Request::Verify { flags, file }, "{line}");
        }
    }

    #[test]
    fn mistakes_end_with_code_2_and_say_what_was_expected() {
        let table = [
            ("-p 65536", "65535"),
            ("-p -1", "-1"),
            ("-p five", "five"),
            ("--bind localhost", "an IP address"),
            ("--peer localhost", "expected a port"),
            ("--seed localhost", "expected a port"),
            ("--network test", "main, dev or custom"),
            ("--threads 257", "from 0 to 256"),
            ("--log loud", "error, warn, info"),
            ("--data-dir=", "directory"),
            ("--prot 5001", "--port"),
            ("mine", "mine"),
            ("chain --mine", "--mine"),
            ("--mine verify", "verify"),
            ("--peer a:1 chain", "--peer"),
            ("-p 5001 chain -p five", "five"),
            ("verify --mine", "--mine"),
            ("verify a b", "b"),
        ];
        for (line, mention) in table {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(mention), "{line}: {error}");
        }
        assert_eq!(parse("--help").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn the_help_explains_every_flag() {
        for mut command in
            [Cli::command(), Cli::command().find_subcommand("verify").unwrap().clone()]
        {
            for argument in command.clone().get_arguments() {
                assert!(argument.get_help().is_some(), "{}", argument.get_id());
            }
            assert!(command.render_help().to_string().contains("Usage"));
        }
    }
}
