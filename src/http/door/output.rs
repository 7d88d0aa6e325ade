//! What goes back to a client, at a least pace.
//!
//! Owns the writing and the form of an answer's head. A client that does not read would hold a place for
//! ever, so each piece of an answer has its time; only the time spent in writing counts, not the handler's.

use super::refusal::Refusal;
use crate::http::access::security_fields;
use crate::http::message::Response;
use crate::http::settings::PIECE;
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

/// The head of an answer while it is put together.
#[derive(Debug)]
pub struct AnswerHead {
    bytes: Vec<u8>,
}

impl AnswerHead {
    /// A status line.
    #[must_use]
    pub fn new(status: u16, reason: &str) -> Self {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend_from_slice(format!("HTTP/1.1 {status} {reason}\r\n").as_bytes());
        Self { bytes }
    }

    /// A status line of the door's own, with the date that every answer must have (RFC 9110, 6.6.1).
    #[must_use]
    pub fn of_door(status: u16) -> Self {
        let mut head = Self::new(status, reason(status));
        head.field("Date", httpdate::fmt_http_date(SystemTime::now()));
        head
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value.as_ref());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Adds the fields for browsers: security, by what is sent, and CORS.
    pub fn browser_fields(&mut self, content_type: &str, cors: &[(&'static str, String)]) {
        for (name, value) in security_fields(content_type) {
            self.field(name, value);
        }
        for (name, value) in cors {
            self.field(name, value);
        }
    }

    /// Says whether another request may follow. HTTP/1.1 takes it for granted, HTTP/1.0 must be told.
    pub fn connection(&mut self, keep_alive: bool, is_http11: bool) {
        match (keep_alive, is_http11) {
            (false, _) => self.field("Connection", "close"),
            (true, false) => self.field("Connection", "keep-alive"),
            (true, true) => {}
        }
    }

    /// The whole head, to which the body may be appended.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes
    }
}

/// A whole answer to a refused request.
#[must_use]
pub fn refusal(
    refusal: &Refusal,
    keep_alive: bool,
    is_head: bool,
    cors: &[(&'static str, String)],
) -> Vec<u8> {
    let status = refusal.status();
    let response = Response::failure(status, refusal.code(), &refusal.to_string());
    let mut head = AnswerHead::of_door(status);
    head.field("Content-Type", "application/json");
    let crate::http::message::Body::Bytes(body) = response.body else {
        unreachable!("a failure has a body of known bytes");
    };
    head.field("Content-Length", body.len().to_string());
    for (name, value) in refusal.fields() {
        head.field(name, value);
    }
    head.browser_fields("application/json", cors);
    head.connection(keep_alive, false);
    let mut bytes = head.end();
    if !is_head {
        bytes.extend_from_slice(&body);
    }
    bytes
}

/// The reason phrases of what the door answers by itself.
fn reason(status: u16) -> &'static str {
    match status {
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

/// The writing end of a client's socket during one answer. After a failure it swallows what is written, so
/// that whoever produces the answer can go on to its end.
#[derive(Debug)]
pub struct Output<'s> {
    stream: &'s TcpStream,
    piece_time: Duration,
    piece_left: usize,
    spent: Duration,
    last_piece: Duration,
    sent: u64,
    has_failed: bool,
}

impl<'s> Output<'s> {
    /// Writes to this socket, whose write time-out is `piece_time`.
    #[must_use]
    pub fn new(stream: &'s TcpStream, piece_time: Duration) -> Self {
        Self {
            stream,
            piece_time,
            piece_left: PIECE,
            spent: Duration::ZERO,
            last_piece: Duration::ZERO,
            sent: 0,
            has_failed: false,
        }
    }

    /// The bytes that went out.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether the client left or was too slow.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// How long the client took for the last whole piece.
    #[must_use]
    pub fn last_piece(&self) -> Duration {
        self.last_piece
    }

    /// Gives up on the client.
    pub fn fail(&mut self) {
        self.has_failed = true;
    }

    /// Writes all, or fails for good.
    pub fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.has_failed {
            let now = bytes.len().min(self.piece_left);
            match self.write_some(&bytes[..now]) {
                Ok(written) => bytes = &bytes[written..],
                Err(_) => self.has_failed = true,
            }
        }
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = Instant::now();
        let written = loop {
            match self.stream.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.spent += before.elapsed();
        if written == 0 || self.spent > self.piece_time {
            return Err(ErrorKind::TimedOut.into());
        }
        self.sent += u64::try_from(written).unwrap_or(u64::MAX);
        self.piece_left -= written;
        if self.piece_left == 0 {
            self.last_piece = self.spent;
            (self.piece_left, self.spent) = (PIECE, Duration::ZERO);
        }
        Ok(written)
    }
}
