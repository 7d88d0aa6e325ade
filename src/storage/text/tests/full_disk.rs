//! The real thing beside the simulated one: a process that reaches the largest file size it may
//! write, and a file system that is full. Both in a process of its own, since a limit is the whole
//! process's and mounting needs a namespace.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

/// Tells the test below that it is the child, and where to work.
const CHILD_DIR: &str = "FARTHING_TEST_FULL_DISK_DIR";
/// Tells the child that its directory is on a small file system with this file in the way.
const FILLER: &str = "FARTHING_TEST_FULL_DISK_FILLER";
const CHILD: &str = "storage::text::tests::full_disk::child";

/// Commits until the disk is full, makes room, goes on, and opens the file again: everything
/// acknowledged is there, nothing else, and no line is glued.
fn fill_up(path: &Path, json: &str, make_room: &dyn Fn()) {
    let mut store = TextStore::open(path, &genesis(), &mut |_| Ok(())).unwrap().store;
    let mut acknowledged = 0;
    let error = loop {
        store.stage(json);
        match store.commit() {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), "disk-full", "{error}");
    let full = inspect(path, &genesis(), &mut |_| Ok(())).unwrap();
    assert_eq!((full.blocks, full.cut), (acknowledged, None));
    store.stage(json);
    assert_eq!(store.commit().unwrap_err().code(), "disk-full");
    make_room();
    store.stage(json);
    store.commit().unwrap();
    let after = inspect(path, &genesis(), &mut |_| Ok(())).unwrap();
    assert_eq!((after.blocks, after.cut), (acknowledged + 1, None));
}

#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD_DIR).map(PathBuf::from) else {
        return;
    };
    if let Some(filler) = std::env::var_os(FILLER) {
        fill_up(&dir.join("blockchain-1.txt"), &"x".repeat(3000), &|| {
            fs::remove_file(&filler).unwrap();
        });
        println!("was full");
        return;
    }
    // The default is to end the process.
    let told = Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::clone(&told)).unwrap();
    let unlimited = getrlimit(Resource::Fsize);
    let set = |current| {
        let maximum = unlimited.maximum;
        setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
    };
    for limit in 400..520 {
        set(Some(limit));
        let path = dir.join(format!("blockchain-{limit}.txt"));
        fill_up(&path, "{\"n\":1}", &|| set(unlimited.current));
    }
    assert!(told.load(std::sync::atomic::Ordering::Relaxed), "the limit was never met");
    println!("was full");
}

fn assert_was_full(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("was full"), "{text}\n{errors}");
}

#[test]
fn the_store_survives_the_largest_file_size_at_every_byte_of_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", CHILD, "--nocapture"]).env(CHILD_DIR, dir.path());
    assert_was_full(&child.output().unwrap());
}

#[test]
fn the_store_survives_a_full_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=512k tmpfs \"$DIR\"";
    let in_namespace = |then: &str| {
        let mut shell = Command::new("unshare");
        shell.args(["-rm", "sh", "-ec", &format!("{mount}\n{then}")]).env("DIR", dir.path());
        shell
    };
    if !in_namespace("true").output().is_ok_and(|tried| tried.status.success()) {
        eprintln!("no right to mount a small file system here: only the simulated one is tested");
        return;
    }
    let run = "dd if=/dev/zero of=\"$FILL\" bs=4k count=64 2>&1\nexec \"$EXE\" --exact \"$TEST\" --nocapture";
    let mut child = in_namespace(&run.replace("$FILL", &format!("${FILLER}")));
    child.env("EXE", std::env::current_exe().unwrap()).env("TEST", CHILD);
    child.env(CHILD_DIR, dir.path()).env(FILLER, dir.path().join("filler"));
    assert_was_full(&child.output().unwrap());
}
