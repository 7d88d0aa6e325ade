//! What is held for a client that does not take it at once.
//!
//! Owns the socket, which never blocks. Never knows what the bytes mean. Invariants: at most
//! [`PENDING_MAX`] bytes are held; whoever would need more, or takes nothing for
//! [`PENDING_TIME_MAX`], has fallen behind for good.

use crate::primitives::ration::Rationed;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bytes that are held for a client that does not read; when they are more, it is dropped.
pub(super) const PENDING_MAX: usize = 64 * 1024;

/// What a client may hold up its bytes, before it is dropped.
pub(super) const PENDING_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of a client that are read each time it is looked after.
const READ_MAX: usize = 8 * 1024;

/// A socket and what it has not taken yet. Writing to it never fails: see [`Outbox::tend`].
pub(super) struct Outbox {
    stream: Rationed<TcpStream>,
    pending: Vec<u8>,
    /// Since when it takes nothing, while something is pending.
    stuck_since: Option<Instant>,
    is_gone: bool,
}

impl Outbox {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = Rationed::new(stream);
        Ok(Self { stream, pending: Vec::new(), stuck_since: None, is_gone: false })
    }

    /// Sends, or holds what the socket does not take.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.is_gone {
            return;
        }
        if self.pending.len() + bytes.len() > PENDING_MAX {
            self.is_gone = true;
            return;
        }
        self.pending.extend_from_slice(bytes);
        self.send();
    }

    fn send(&mut self) {
        while !self.pending.is_empty() {
            match self.stream.source().write(&self.pending) {
                Ok(0) => return self.is_gone = true,
                Ok(written) => {
                    self.pending.drain(..written);
                    self.stuck_since = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stuck_since.get_or_insert_with(Instant::now);
                    return;
                }
                Err(_) => return self.is_gone = true,
            }
        }
        self.stuck_since = None;
    }

    /// Sends what is held; false when the client left or has fallen behind for good.
    pub(super) fn tend(&mut self, now: Instant) -> bool {
        self.send();
        self.stream.allow(READ_MAX);
        let is_stuck = |since: Instant| now.saturating_duration_since(since) >= PENDING_TIME_MAX;
        !self.is_gone && !self.stuck_since.is_some_and(is_stuck)
    }

    /// Whether something is held.
    #[cfg(test)]
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }
}

impl Read for Outbox {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
