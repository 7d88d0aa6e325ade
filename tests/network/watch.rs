//! When something reached a node, by the clock of the test: its `/events`, read as they come.

use crate::harness::{DEADLINE, Node, wait};
use crate::raw::Request;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Ids of blocks and transfers with the moment at which a node first told of each.
type Seen = Arc<Mutex<HashMap<String, Instant>>>;

/// Listens to one node until it is dropped.
pub struct Watch {
    seen: Seen,
    stream: TcpStream,
}

impl Watch {
    /// Begins to listen, and returns once the node tells.
    pub fn of(node: &Node) -> Self {
        let stream = Request::new("GET", "/events").begin(node);
        stream.set_read_timeout(None).expect("a socket");
        let seen = Seen::default();
        let watch = Self { seen: seen.clone(), stream: stream.try_clone().expect("a socket") };
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let mut head = Vec::new();
        while head.last().is_none_or(|line| line != "event: status") {
            let line = lines.next().unwrap_or_else(|| panic!("no events begin: {head:?}"));
            head.push(line);
        }
        thread::spawn(move || note(&seen, lines));
        watch
    }

    /// When the node told of this block or transfer; waits for it.
    pub fn when(&self, id: &str) -> Instant {
        wait(&format!("{id} to be told of"), || self.seen().get(id).copied())
    }

    /// How long after `from` the last of `watches` told of it; none if one never does.
    pub fn spread(id: &str, from: &Self, watches: &[Self]) -> Duration {
        let told = from.when(id);
        let last = watches.iter().map(|watch| watch.when(id)).max().expect("a node");
        let spread = last.saturating_duration_since(told);
        assert!(spread < DEADLINE);
        spread
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The node may have ended it.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn note(seen: &Seen, mut lines: impl Iterator<Item = String>) {
    while let Some(line) = lines.next() {
        let field = match line.as_str() {
            "event: block" => "\"hash\":\"",
            "event: transaction" => "\"id\":\"",
            _ => continue,
        };
        let now = Instant::now();
        let Some(data) = lines.next() else { return };
        let id = data.split_once(field).and_then(|(_, rest)| rest.split('"').next());
        let id = id.expect("an id").to_owned();
        seen.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_insert(now);
    }
}
