//! Server-sent events (WHATWG HTML, 9.2): one client of `GET /events`.

use super::outbox::Outbox;
use super::{KEEP_ALIVE, add_fields};
use crate::wire;
use std::io::{ErrorKind, Read};
use std::time::Instant;

/// Bytes that a client may send after its request, which nobody reads.
const NOISE_MAX: usize = 4 * 1024;

/// How long a browser waits before it comes again, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// A client that gets a stream of events.
pub(super) struct EventStream {
    outbox: Outbox,
    told: Instant,
    noise: usize,
}

impl EventStream {
    /// Answers the request with the head of a stream without an end.
    pub(super) fn new(outbox: Outbox, fields: &[(&'static str, String)], now: Instant) -> Self {
        let mut head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
             X-Accel-Buffering: no\r\nConnection: close\r\n"
                .to_owned();
        add_fields(&mut head, fields);
        head.push_str(&format!("retry: {RETRY_MS}\n\n"));
        let mut client = Self { outbox, told: now, noise: 0 };
        client.outbox.push(head.as_bytes());
        client
    }

    pub(super) fn tell(&mut self, event: &wire::Event) {
        self.told = Instant::now();
        let text = format!("event: {}\ndata: {}\n\n", event.name(), event.data());
        self.outbox.push(text.as_bytes());
    }

    /// Looks after the client; false when it is to be dropped.
    pub(super) fn tend(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.told) >= KEEP_ALIVE {
            self.told = now;
            self.outbox.push(b": alive\n\n");
        }
        self.outbox.tend(now) && !self.has_left()
    }

    /// Whether its side of the connection is closed, or it sends what nobody asked for.
    fn has_left(&mut self) -> bool {
        let mut noise = [0; 512];
        loop {
            match self.outbox.read(&mut noise) {
                Ok(0) => return true,
                Ok(read) => {
                    self.noise += read;
                    if self.noise > NOISE_MAX {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }
}
