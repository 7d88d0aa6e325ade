//! Chains of one's own: nodes with the same `[chain]` table are one network, with another they are two.

use crate::harness::{Node, Start, wait_until};
use farthing::testkit::TestKey;
use serde_json::json;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Runs the program with `words` in `dir` until it ends.
fn run(dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing"));
    command.args(words).current_dir(dir).env_remove("RUST_LOG").output().expect("it starts")
}

/// A directory with this configuration.
fn configured(chain: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let text = format!("[node]\nnetwork = \"custom\"\n[chain]\neasiest_bits = 252\n{chain}");
    std::fs::write(dir.path().join("config.toml"), text).expect("a file");
    dir
}

fn start(dir: &TempDir) -> Node {
    Start::default().network("custom").node_in(dir.path())
}

/// What `farthing chain` shows there.
fn shown(dir: &TempDir) -> String {
    let output = run(dir.path(), &["chain"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Two accounts with coins, in an order of one's own.
fn class_of(accounts: [&str; 2]) -> TempDir {
    let [one, two] = accounts.map(|account| format!("{account} = 12.5\n"));
    configured(&format!(
        "name = \"class-a\"\nsubsidy = 2.5\nhalving_interval = 1_000\n[chain.allocations]\n{one}{two}"
    ))
}

/// The keys of two accounts.
fn keys() -> [String; 2] {
    [1, 2].map(|number| TestKey::new(number).public.to_string())
}

#[test]
fn nodes_with_the_same_table_are_one_network() {
    let keys = keys();
    let [one, two] = keys.each_ref().map(String::as_str);
    let dirs = [class_of([one, two]), class_of([two, one])];
    assert_eq!(shown(&dirs[0]), shown(&dirs[1]));
    let [mut a, b] = dirs.each_ref().map(start);
    let mine = a.mine_for_a_wallet();
    assert!(mine.starts_with("farc1"), "{mine}");
    assert_eq!(a.funds(), 2.5);
    b.add_peer(&a);
    wait_until("the block to come", || b.tip() == a.tip());
    let theirs = b.create_wallet();
    a.send(&theirs, json!(0.5));
    wait_until("the transfer to come", || b.open_transactions().len() == 1);
    b.mine();
    wait_until("the block to come back", || b.tip() == a.tip());
    assert_eq!((a.funds(), b.funds()), (2.0, 3.0));
    assert_eq!(b.status()["network"], "class-a");
    assert_eq!(b.status()["issued"], 30.0);
    let id = a.status()["chain_id"].as_str().expect("an id").to_owned();
    assert!(a.said().contains(&id) && a.said().contains("[chain] table"), "{}", a.said());
    assert!(shown(&dirs[0]).contains(&id));

    assert!(a.stop().success());
    let file = a.file("blockchain");
    let config = dirs[0].path().join("config.toml");
    let words = ["verify", file.to_str().unwrap(), "--config", config.to_str().unwrap()];
    let elsewhere = tempfile::tempdir().unwrap();
    let verified = run(elsewhere.path(), &words);
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(said.contains(&id) && said.contains("height        2"), "{said}");
}

#[test]
fn the_table_that_is_shown_is_the_chain() {
    let first = class_of(keys().each_ref().map(String::as_str));
    let second = tempfile::tempdir().unwrap();
    let text = format!("[node]\nnetwork = \"custom\"\n{}", shown(&first));
    std::fs::write(second.path().join("config.toml"), text).unwrap();
    assert_eq!(shown(&second), shown(&first));
    let id = |dir: &TempDir| start(dir).status()["chain_id"].clone();
    assert_eq!(id(&first), id(&second));
}

#[test]
fn nodes_with_another_table_refuse_each_other_and_name_both_chains() {
    let dirs = ["class-a", "class-b"].map(|name| configured(&format!("name = \"{name}\"")));
    let nodes = dirs.each_ref().map(start);
    let named = |node: &Node| {
        let status = node.status();
        let part = |name: &str| status[name].as_str().expect("a text").to_owned();
        format!("\"{}\" (genesis {})", part("network"), part("chain_id"))
    };
    for (ours, theirs) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
        let answer = ours.post("/node", &json!({"node": theirs.address()}));
        assert_eq!((answer.status, &*answer.code()), (400, "other-chain"), "{}", answer.text);
        let expected = format!("is a node of the chain {}, ours is {}", named(theirs), named(ours));
        let said = answer.json()["message"].as_str().expect("a text").to_owned();
        assert!(said.contains(&expected), "{said}");
        assert_eq!(ours.status()["peers"], 0);
    }
}
