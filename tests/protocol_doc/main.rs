//! Holds `docs/protocol.md` to the code: the parts of the page with bytes in them are made here.
//!
//! Each such part stands between `<!-- made: name -->` and `<!-- /made -->`. A test makes all of
//! them anew and compares; `FARTHING_PROTOCOL=write` writes them into the page instead.

mod example;
mod genesis;
mod markdown;
mod messages;
mod rules;
mod worked;

use example::Example;
use std::fmt::Write as _;
use std::path::PathBuf;

/// One part of the page: its name and what makes it.
type Part = (&'static str, fn(&Example) -> String);

const PARTS: [Part; 17] = [
    ("addresses", genesis::addresses),
    ("dev-accounts", genesis::dev_accounts),
    ("main-parameters", genesis::main_parameters),
    ("dev-parameters", genesis::dev_parameters),
    ("schedule", rules::schedule),
    ("compact", rules::compact),
    ("retarget", rules::retarget),
    ("relief", rules::relief),
    ("trees", rules::trees),
    ("transfer", worked::transfer),
    ("coinbase", worked::coinbase),
    ("block", worked::block),
    ("block-json", worked::block_json),
    ("after", worked::after),
    ("files", messages::files),
    ("messages", messages::messages),
    ("proofs", messages::proofs),
];

const END: &str = "<!-- /made -->";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md")
}

fn begin(name: &str) -> String {
    format!("<!-- made: {name} -->")
}

/// The page with every part made anew.
fn made(page: &str, example: &Example) -> String {
    PARTS.iter().fold(page.to_owned(), |page, (name, make)| {
        let begin = begin(name);
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no part {name}"));
        let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{name} has no end"));
        format!("{before}{begin}\n{}\n{END}{after}", make(example).trim_end())
    })
}

#[test]
fn every_byte_on_the_page_is_what_the_code_makes() {
    let page = std::fs::read_to_string(path()).expect("docs/protocol.md is there");
    let made = made(&page, &Example::new());
    if std::env::var_os("FARTHING_PROTOCOL").is_some_and(|value| value == "write") {
        std::fs::write(path(), &made).expect("the page can be written");
        return;
    }
    let mut differing = String::new();
    for (there, here) in page.lines().zip(made.lines()).filter(|(a, b)| a != b).take(5) {
        let _ = writeln!(differing, "page: {there}\ncode: {here}");
    }
    assert!(page == made, "write docs/protocol.md anew with FARTHING_PROTOCOL=write:\n{differing}");
}

#[test]
fn the_page_has_each_part_once_and_no_other() {
    let page = std::fs::read_to_string(path()).expect("docs/protocol.md is there");
    for (name, _) in PARTS {
        assert_eq!(page.matches(&begin(name)).count(), 1, "{name}");
    }
    assert_eq!(page.matches("<!-- made: ").count(), PARTS.len());
    assert_eq!(page.matches(END).count(), PARTS.len());
}

#[test]
fn every_link_within_the_page_has_its_heading() {
    let page = std::fs::read_to_string(path()).expect("docs/protocol.md is there");
    let anchors: Vec<String> = page
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| markdown::anchor(line.trim_start_matches('#').trim()))
        .collect();
    for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(anchors.iter().any(|anchor| anchor == link), "no heading for #{link}");
    }
}
