//! The structure of the source, held to what the documentation says of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which layers each layer may name. An arrow only ever points down this list.
const LAYERS: &[(&str, &[&str])] = &[
    ("primitives", &[]),
    ("runtime", &[]),
    ("consensus", &["primitives"]),
    ("storage", &["primitives"]),
    ("wallet", &["primitives"]),
    ("wire", &["primitives", "consensus"]),
    ("config", &["primitives", "consensus"]),
    ("chain", &["primitives", "consensus"]),
    ("node", &["primitives", "consensus", "chain", "storage", "wallet", "wire"]),
    ("miner", &["primitives", "consensus", "chain", "node", "runtime"]),
    ("net", &["primitives", "consensus", "chain", "storage", "wire", "node", "runtime"]),
    ("http", &["primitives", "consensus", "chain", "storage", "wire", "node", "runtime"]),
    ("cli", &["primitives", "config"]),
    (
        "app",
        &[
            "primitives",
            "consensus",
            "storage",
            "wallet",
            "wire",
            "config",
            "cli",
            "node",
            "miner",
            "net",
            "http",
            "runtime",
            "chain",
        ],
    ),
];

/// Names that belong to one place, with the files in which they may stand.
const PLACES: &[(&str, &[&str])] = &[
    ("tiny_http::", &["http/server.rs"]),
    ("ureq::", &["net/"]),
    ("tungstenite::", &["net/links/", "http/"]),
    ("thread::spawn(", &["runtime.rs"]),
    ("thread::Builder", &["runtime.rs"]),
    ("serde_json::", &["wire/"]),
    ("process::exit(", &["runtime.rs", "app.rs"]),
    ("std::time::SystemTime", &["app.rs"]),
];

/// Crates that bring an async runtime along.
const ASYNC_RUNTIMES: &[&str] = &["tokio", "async-std", "smol", "futures-executor", "hyper"];

/// Lines that a file may have: a longer one is split by meaning.
const FILE_LINES_MAX: usize = 520;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every source file below `src`, by its path there, without its tests.
fn sources() -> BTreeMap<String, String> {
    let src = root().join("src");
    let mut open = vec![src.clone()];
    let mut files = BTreeMap::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a directory").map(|entry| entry.expect("one")) {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&src).expect("below src").display().to_string();
                let text = fs::read_to_string(&path).expect("readable");
                files.insert(name, text);
            }
        }
    }
    files.retain(|name, _| !is_test(name));
    files.values_mut().for_each(|text| {
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        text.truncate(end);
    });
    assert!(files.len() > 50, "the sources were found");
    files
}

fn is_test(name: &str) -> bool {
    let parts = ["/tests/", "/tests.rs", "_tests.rs", "testing.rs", "testkit", "test_vectors.rs"];
    parts.iter().any(|part| name.contains(part)) || name.ends_with("samples.rs")
}

fn layer_of(name: &str) -> &str {
    name.split('/').next().expect("a first part").trim_end_matches(".rs")
}

/// The layers that a text names in its code: `crate::layer`, also inside braces after `crate::`.
fn named_layers(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            assert!(!rest.starts_with('{'), "name layers one by one: {line}");
            found.push((number, rest[..end].to_owned()));
        }
    }
    found
}

#[test]
fn each_layer_names_only_those_below_it() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let own = layer_of(&file);
        if matches!(own, "lib" | "main" | "planted") {
            continue;
        }
        let allowed = LAYERS.iter().find(|(layer, _)| *layer == own).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("{file} belongs to no layer"));
        for (line, named) in named_layers(&text) {
            // Bugs for the simulator sit where they would; they are no layer.
            if named != own && named != "planted" && !allowed.contains(&named.as_str()) {
                wrong.push(format!("src/{file}:{line}: {own} may not use {named}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_layers_have_no_circle() {
    for (place, (layer, allowed)) in LAYERS.iter().enumerate() {
        for below in *allowed {
            let other = LAYERS.iter().position(|(name, _)| name == below).expect("a layer");
            let circle = LAYERS[other].1.contains(layer);
            assert!(other != place && !circle, "{layer} and {below} name each other");
        }
    }
}

/// A time that is read before a lock is taken may be earlier than the last one used under it.
#[test]
fn the_network_reads_its_clock_once_it_has_the_lock() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let is_elsewhere = file.starts_with("net/") && file != "net/mod.rs";
        let reads = |line: &str| {
            ["now().monotonic", "times(node)", "times(&node)"]
                .iter()
                .any(|read| line.contains(read))
        };
        for (number, _) in (1..).zip(text.lines()).filter(|(_, line)| is_elsewhere && reads(line)) {
            wrong.push(format!("src/{file}:{number}: take the times from `lock_now`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_belongs_to_one_place_stands_only_there() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for (name, places) in PLACES {
                if line.contains(name) && !places.iter().any(|place| file.starts_with(place)) {
                    wrong.push(format!("src/{file}:{number}: {name} belongs in {places:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(file, text)| (file, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn nothing_brings_an_async_runtime_along() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file");
    for name in ASYNC_RUNTIMES {
        assert!(!lock.contains(&format!("name = \"{name}\"\n")), "{name} is in Cargo.lock");
    }
}

#[test]
fn arithmetic_is_checked_and_unsafe_code_forbidden() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    assert!(manifest.contains("overflow-checks = true"));
    assert!(manifest.contains("unsafe_code = \"forbid\""));
}
