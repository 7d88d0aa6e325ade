//! The command line and the configuration file: what starts, what does not, and how it ends.

use crate::harness::{Node, Start, wait_until};
use crate::raw::{Request, connect};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Runs the program, which is expected to end by itself, with `dir` as its working directory.
fn run(dir: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_farthing"))
        .args(words)
        .current_dir(dir)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// The words of one line.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Checks that a start ends with `code` and one line on standard error that mentions `mention`.
fn check(dir: &Path, line: &str, code: i32, mention: &str) {
    let output = run(dir, &words(line));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}: {said}");
    assert!(said.contains(mention), "{line}: expected {mention} in {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{line}: {said}");
    assert!(output.stdout.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stdout));
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn the_port_may_be_joined_by_an_equals_sign() {
    for spelled in ["-p=", "-p", "--port="] {
        let port = free_port();
        let flag = format!("{spelled}{port}");
        let node = Start::default().bare().flag(flag).flag("--network=dev").node();
        assert_eq!(node.port, port);
        assert_eq!(node.status()["port"], port);
        for file in ["blockchain", "mempool", "token"] {
            assert!(node.file(file).exists(), "{file}");
        }
    }
}

#[test]
fn mistakes_are_one_line_and_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let config = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    config("typo.toml", "[miner]\nthread = 2\n");
    config("value.toml", "[node]\nport = 70000\n");
    config("syntax.toml", "[node\n");
    config("section.toml", "[wallet]\n");
    for (line, mention) in [
        ("--config typo.toml", "typo.toml line 2: unknown key \"thread\" in [miner]"),
        ("--config value.toml", "value.toml line 2: port in [node]: expected a whole number"),
        ("--config syntax.toml", "syntax.toml line 1"),
        ("--config section.toml", "section.toml line 1: unknown section \"wallet\""),
        ("--config absent.toml", "absent.toml"),
        ("--config .", "."),
    ] {
        check(dir.path(), line, 2, mention);
    }
    config("config.toml", "[node]\nnetwork = \"moon\"\n");
    check(dir.path(), "", 2, "config.toml line 2: network in [node]: expected main, dev or custom");
}

#[test]
fn wrong_flags_end_with_code_2_and_say_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    for (line, mention) in [
        ("-p 65536", "65535"),
        ("-p=five", "five"),
        ("--network moon", "main, dev or custom"),
        ("--peer localhost", "port"),
        ("--bind localhost", "IP address"),
        ("--threads 257", "256"),
        ("--log loud", "error, warn, info"),
        ("--prot 5001", "--port"),
        ("mine", "mine"),
    ] {
        let output = run(dir.path(), &words(line));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.lines().next().unwrap_or_default().contains("error"), "{line}: {said}");
        assert!(said.contains(mention), "{line}: expected {mention} in {said}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was created");
}

#[test]
fn a_busy_port_is_one_line_and_code_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    check(dir.path(), &format!("--network dev -p {port}"), 2, &format!("port {port}"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was created");
    let node = Node::dev();
    let line = format!("--network dev -p {}", node.port);
    check(node.dir(), &line, 2, &format!("port {}", node.port));
    assert_eq!(node.get("/health").status, 200);
}

#[test]
fn a_second_process_on_the_same_files_is_one_line_and_code_1() {
    let mut node = Node::dev();
    // Another address with the same port, or the port alone would be what is in the way.
    let line = format!("--network dev -p {} --bind 127.0.0.2", node.port);
    check(node.dir(), &line, 1, "lock");
    node.mine_for_a_wallet();
    assert!(node.stop().success());
    node.restart();
    assert_eq!(node.height(), 1);
}

#[test]
fn files_of_another_chain_are_one_line_and_code_1() {
    let mut node = Node::dev();
    node.mine_for_a_wallet();
    assert!(node.stop().success());
    check(node.dir(), &format!("--network main -p {}", node.port), 1, "genesis");
    node.restart();
    assert_eq!(node.height(), 1);
}

#[test]
fn the_configuration_is_found_in_the_working_directory_and_flags_win() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[node]\nport = 0\nnetwork = \"dev\"\ndata_dir = \"files\"\nlog = \"debug\"\n\
                [miner]\nthreads = 2\n";
    std::fs::write(dir.path().join("config.toml"), text).unwrap();
    let node = Start::default().bare().node_in(dir.path());
    assert_eq!(node.status()["network"], "dev");
    assert_eq!(node.status()["miner"]["threads"], 2);
    assert!(dir.path().join("files").join(format!("blockchain-{}.txt", node.port)).exists());
    assert!(node.log().contains("DEBUG"), "{}", node.log());
    drop(node);
    let node = Start::default().bare().flag("--network=main").flag("--threads=1");
    let node = node.flag("--data-dir=others").node_in(dir.path());
    assert_eq!(node.status()["network"], "main");
    assert_eq!(node.status()["miner"]["threads"], 1);
    assert!(dir.path().join("others").exists());
}

#[test]
fn the_committed_configuration_is_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml");
    let node = Start::default().bare().flag(format!("--config={config}")).flag("-p=0");
    let node = node.node_in(dir.path());
    assert_eq!(node.status()["network"], "main");
}

#[test]
fn help_and_version_are_told_on_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    let told = |words: &[&str]| {
        let output = run(dir.path(), words);
        assert!(output.status.success(), "{words:?}");
        assert!(output.stderr.is_empty(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = told(&["--help"]);
    for word in [
        "--port",
        "-p",
        "--bind",
        "--data-dir",
        "--config",
        "--peer",
        "--network",
        "--mine",
        "--threads",
        "--log",
        "verify",
    ] {
        assert!(help.contains(word), "{word} is missing in {help}");
    }
    assert!(told(&["verify", "--help"]).contains("--network"));
    assert_eq!(told(&["--version"]).trim(), format!("farthing {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_start_says_where_the_page_is_who_can_reach_it_and_the_public_keys_of_dev() {
    let node = Node::dev();
    let says = |words: &str| wait_until(words, || node.said().contains(words));
    says(&format!("http://127.0.0.1:{}/", node.port));
    says("this machine only");
    for account in farthing::wallet::dev_accounts() {
        says(&account.public_key().to_address(crate::mirror::DEV));
        says(account.secret_hex().as_str());
    }
    let main = Start::default().network("main").node();
    wait_until("the last line", || main.said().contains("wallet  "));
    assert!(!main.said().contains("private key"), "{}", main.said());
}

/// Sends a signal and checks that the node ends well and in time.
fn ends_well(mut node: Node, signal: Signal) {
    let started = Instant::now();
    node.signal(signal);
    let status = node.wait_for_end();
    let took = started.elapsed();
    assert_eq!(status.code(), Some(0), "{}", node.log());
    assert!(took < STOP_MAX, "{signal:?} took {took:?}; {}", node.log());
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn both_signals_end_an_idle_node() {
    for signal in [Signal::INT, Signal::TERM] {
        ends_well(Node::dev(), signal);
    }
}

#[test]
fn a_signal_ends_a_node_that_mines_without_end() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut node = Node::dev();
        node.create_wallet();
        let on = node.post("/miner", &serde_json::json!({"on": true})).expect(200);
        assert_eq!(on["on"], true);
        wait_until("some blocks", || node.height() >= 3);
        node.signal(signal);
        let started = Instant::now();
        assert_eq!(node.wait_for_end().code(), Some(0));
        assert!(started.elapsed() < STOP_MAX, "{:?}", started.elapsed());
        node.restart();
        assert!(node.height() >= 3);
    }
}

#[test]
fn a_signal_ends_a_node_whatever_its_clients_do() {
    let node = Start::default().network("main").node();
    node.create_wallet();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(connect(&node));
        let mut half = connect(&node);
        half.write_all(b"GET /status HTTP/1.1\r\nHost:").unwrap();
        held.push(half);
        let mut kept = connect(&node);
        let whole = format!("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", node.address());
        kept.write_all(whole.as_bytes()).unwrap();
        assert!(kept.read(&mut [0; 64]).unwrap() > 0);
        held.push(kept);
    }
    let mut events = Request::new("GET", "/events").begin(&node);
    assert!(events.read(&mut [0; 64]).unwrap() > 0);
    // A block of the main network takes millions of hashes: this one is still sought.
    let sought = Request::new("POST", "/mine").begin(&node);
    let searches = || node.status()["miner"]["hash_rate"].as_f64() > Some(0.0);
    wait_until("the search", || searches() || node.height() > 0);
    ends_well(node, Signal::TERM);
    drop((held, sought));
}

/// A block file of `dev` with three blocks, and the directory it lies in.
fn three_blocks() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Start::default().node_in(dir.path());
    node.mine_for_a_wallet();
    node.mine();
    node.mine();
    assert!(node.stop().success());
    let file = node.file("blockchain");
    (dir, file)
}

#[test]
fn verify_passes_a_good_file_and_changes_nothing() {
    let (dir, file) = three_blocks();
    let before = std::fs::read(&file).unwrap();
    let output = run(dir.path(), &["verify", "--network=dev", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("height        3"), "{said}");
    let port = file.file_stem().unwrap().to_str().unwrap().rsplit('-').next().unwrap();
    let named = run(dir.path(), &["verify", "--network=dev", "-p", port]);
    let named = String::from_utf8_lossy(&named.stdout);
    assert!(named.contains("height        3"), "{named}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn verify_names_the_line_of_the_first_damage() {
    let (dir, file) = three_blocks();
    let good = std::fs::read(&file).unwrap();
    let line = format!("verify --network dev {}", file.display());
    let breaks: Vec<usize> =
        good.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    for (number, end) in (1..).zip(&breaks) {
        let mut bad = good.clone();
        bad[end - 40] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        check(dir.path(), &line, 1, &format!("line {number}"));
        assert_eq!(std::fs::read(&file).unwrap(), bad, "verify changes nothing");
    }
    std::fs::write(&file, &good[..good.len() - 10]).unwrap();
    let output = run(dir.path(), &words(&line));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("At line 4"), "{said}");
    check(dir.path(), "verify --network dev absent.txt", 1, "absent.txt");
    std::fs::write(&file, &good).unwrap();
    check(dir.path(), &format!("verify --network main {}", file.display()), 1, "add --network dev");
}
