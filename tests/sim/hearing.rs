//! What the nodes write into their logs: heard for accusations, and for errors that must not be.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::RefCell;

thread_local! {
    static HEARD: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Words of every accusation.
const ACCUSED: &str = " sent what no honest node sends";

/// Errors that follow from faults of disks.
const FAULTS: [&str; 5] = [
    "nothing was changed",
    "flush failed",
    "list of peers could not be",
    "cannot be passed on",
    "cannot be read: could not read",
];

struct Ear;

impl Log for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("farthing")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let heard = (record.level(), record.args().to_string());
            HEARD.with_borrow_mut(|all| all.push(heard));
        }
    }

    fn flush(&self) {}
}

/// Listens from now on: to everything if the world is traced.
pub fn listen(is_traced: bool) {
    // It is installed once, whichever test comes first.
    let _ = log::set_logger(&Ear);
    log::set_max_level(if is_traced { LevelFilter::Debug } else { LevelFilter::Warn });
    HEARD.take();
}

/// What was written since this was last asked.
pub fn heard() -> Vec<(Level, String)> {
    HEARD.take()
}

/// Whom a line accuses of a lie.
pub fn accused(line: &str) -> Option<&str> {
    line.find(ACCUSED).map(|end| &line[..end])
}

/// Whether an error in the log is one that a fault of a disk explains.
pub fn is_explained(line: &str) -> bool {
    FAULTS.iter().any(|fault| line.contains(fault))
}
