//! One client of `GET /live` that listens to events: each is a text `{"event": name, "data": {...}}`.
//!
//! What the client sends is read and not looked at, up to a small bound; pings are answered.

use super::KEEP_ALIVE;
use super::outbox::{Outbox, PENDING_MAX};
use crate::http::door::upgrade::Upgrade;
use crate::wire;
use std::io::ErrorKind;
use std::time::Instant;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, WebSocket};

/// Bytes of messages that a client may send in all, which nobody looks at.
const NOISE_MAX: usize = 4 * 1024;

/// Messages, pings included, that are read each time it is looked after.
const MESSAGES_MAX: usize = 16;

/// Bytes that are read at once; what comes are pongs.
const READ_BUFFER: usize = 256;

/// What a client is told when it is over: a code (RFC 6455, 7.4.1) and why.
type End = (CloseCode, &'static str);

/// It left by itself.
const LEFT: End = (CloseCode::Normal, "");

/// More came than is read of who only listens.
const TOO_MUCH: &str = "too much was sent to a stream of events";

/// A client that gets messages.
pub(super) struct Socket {
    socket: WebSocket<Outbox>,
    told: Instant,
    noise: usize,
    is_over: bool,
}

impl Socket {
    /// Answers the handshake.
    pub(super) fn new(mut outbox: Outbox, upgrade: &Upgrade, now: Instant) -> Self {
        outbox.push(upgrade.answer().as_bytes());
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(PENDING_MAX)
            .max_message_size(Some(NOISE_MAX))
            .max_frame_size(Some(NOISE_MAX));
        let socket = WebSocket::from_raw_socket(outbox, Role::Server, Some(config));
        Self { socket, told: now, noise: 0, is_over: false }
    }

    pub(super) fn tell(&mut self, event: &wire::Event) {
        self.told = Instant::now();
        self.is_over |= self.socket.send(Message::text(event.message())).is_err();
    }

    /// Looks after the client; false when it is to be dropped.
    pub(super) fn tend(&mut self, now: Instant) -> bool {
        if !self.socket.get_mut().tend(now) || self.is_over {
            return false;
        }
        if now.saturating_duration_since(self.told) >= KEEP_ALIVE {
            self.told = now;
            self.is_over |= self.socket.send(Message::Ping(Bytes::new())).is_err();
        }
        if let Err((code, reason)) = self.read() {
            // After a close of theirs this sends the answer to it.
            let _ = self.socket.close(Some(CloseFrame { code, reason: reason.into() }));
            return false;
        }
        true
    }

    /// Reads what has come; an error when it is over, with what the client is told.
    fn read(&mut self) -> Result<(), End> {
        for _ in 0..MESSAGES_MAX {
            match self.socket.read() {
                Ok(Message::Text(text)) => self.noise += text.len() + 1,
                Ok(Message::Binary(bytes)) => self.noise += bytes.len() + 1,
                Ok(Message::Close(_)) => return Err(LEFT),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(end_of(&error)),
            }
        }
        if self.noise > NOISE_MAX {
            return Err((CloseCode::Policy, TOO_MUCH));
        }
        // A pong may wait.
        self.socket.flush().map_err(|_| LEFT)
    }

    /// Whether something is held for it.
    #[cfg(test)]
    pub(super) fn has_pending(&self) -> bool {
        self.socket.get_ref().has_pending()
    }
}

fn end_of(error: &Error) -> End {
    match error {
        Error::Capacity(_) => (CloseCode::Size, TOO_MUCH),
        Error::Utf8(_) => (CloseCode::Invalid, "a text must be UTF-8"),
        _ => (CloseCode::Protocol, "frames must be as in RFC 6455"),
    }
}
