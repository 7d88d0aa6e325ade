//! One exchange over a private connection: a fresh request to the server, its answer to the client.
//!
//! Owns the translation. The client's head is never forwarded: the server sees method, target and a few
//! fields. The client never sees the server's framing: known lengths stay, chunks are opened and made
//! anew for HTTP/1.1 and left open for HTTP/1.0. Invariant: an answer is read to its end even when the
//! client has left, so that the private connection stays usable.

use super::chunked::{Chunks, Piece};
use super::head::{FORWARDED, Head};
use super::lanes::{Calls, Pool, Private};
use super::output::{AnswerHead, Output};
use crate::http::message::{CancelOnDrop, Method};
use crate::http::server::{CLIENT_FIELD, NUMBER_FIELD};
use crate::http::settings::HURRY_TIME;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

/// Bodies up to this size travel with their head in one write.
const TOGETHER_MAX: usize = 4 * 1024;

/// Fields of the server's answer that the door writes itself, or that nobody needs.
const REPLACED: [&str; 5] =
    ["connection", "content-length", "server", "transfer-encoding", "upgrade"];

/// What the client gets beside the answer.
#[derive(Debug)]
pub struct Manner<'a> {
    /// The request.
    pub head: &'a Head,
    /// Whether another request may follow.
    pub keep_alive: bool,
    /// The CORS fields.
    pub cors: &'a [(&'static str, String)],
}

/// How the end of the server's answer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Exact(u64),
    Chunked,
}

/// Sends a request to the server.
///
/// # Errors
/// When the private connection is broken.
pub fn send(private: &mut Private, head: &Head, client: SocketAddr, body: &[u8]) -> io::Result<()> {
    let mut bytes =
        Vec::with_capacity(512 + if body.len() <= TOGETHER_MAX { body.len() } else { 0 });
    write!(
        bytes,
        "{} {} HTTP/1.1\r\n{CLIENT_FIELD}: {client}\r\n{NUMBER_FIELD}: {}\r\ncontent-length: {}\r\n",
        head.method.as_str(),
        head.target.raw,
        private.number,
        body.len()
    )?;
    for (name, value) in head.headers.iter().filter(|(name, _)| FORWARDED.contains(name)) {
        write!(bytes, "{name}: {value}\r\n")?;
    }
    bytes.extend_from_slice(b"\r\n");
    let stream = stream(private)?;
    if body.len() <= TOGETHER_MAX {
        bytes.extend_from_slice(body);
        return stream.write_all(&bytes);
    }
    stream.write_all(&bytes)?;
    stream.write_all(body)
}

/// How an answer goes to the client.
pub struct Delivery<'t, 's> {
    /// Where to.
    pub output: &'t mut Output<'s>,
    /// What may be held until the private connection is free again.
    pub held_max: usize,
    /// The lane, whose waiting requests make a slow reader give way.
    pub pool: &'t Pool,
}

/// Reads the answer and passes it on, but for what may be held, which the caller writes when it
/// has given the private connection back. Cancels the request when the client does not take it.
///
/// # Errors
/// When the private connection is broken; nothing can be said of it then.
pub fn receive(
    private: &mut Private,
    calls: &Calls,
    manner: &Manner<'_>,
    delivery: Delivery<'_, '_>,
    guard: CancelOnDrop,
) -> io::Result<Ending> {
    let mut filled = 0;
    let answer = loop {
        let read = read(private, filled)?;
        filled += read;
        if let Some(found) = translate(&private.buffer[..filled], manner)? {
            break found;
        }
        if filled == private.buffer.len() {
            return Err(ErrorKind::InvalidData.into());
        }
    };
    let mut transfer = Transfer { out: answer.out, delivery, guard: Some(guard) };
    let read_so_far = (answer.head_length, filled);
    match answer.body {
        None => {}
        Some(Length::Exact(length)) => exact(private, read_so_far, length, &mut transfer)?,
        Some(Length::Chunked) => {
            let is_http11 = manner.head.is_http11;
            chunks(private, read_so_far, calls, (is_http11, &mut transfer))?;
        }
    }
    let is_whole = answer.body != Some(Length::Chunked) || !calls.is_broken(private.number);
    Ok(Ending { is_whole, keep_alive: answer.keep_alive, held: transfer.out })
}

/// How an answer ended.
#[derive(Debug)]
pub struct Ending {
    /// Whether the server sent all of it.
    pub is_whole: bool,
    /// Whether another request may follow.
    pub keep_alive: bool,
    /// What is still to be written.
    pub held: Vec<u8>,
}

/// What is on its way to the client.
struct Transfer<'t, 's> {
    out: Vec<u8>,
    delivery: Delivery<'t, 's>,
    guard: Option<CancelOnDrop>,
}

impl Transfer<'_, '_> {
    /// Writes what there is unless it may be held.
    fn flush(&mut self) {
        if self.out.len() <= self.delivery.held_max {
            return;
        }
        let output = &mut *self.delivery.output;
        output.write(&self.out);
        self.out.clear();
        if output.last_piece() > HURRY_TIME && self.delivery.pool.is_awaited() {
            output.fail();
        }
        if output.has_failed() {
            self.guard = None;
        }
    }
}

/// The head of the server's answer in the client's form.
struct Translated {
    /// The head, for the client.
    out: Vec<u8>,
    /// The bytes of the server's head.
    head_length: usize,
    /// How the body ends; `None` when there is none.
    body: Option<Length>,
    /// Whether the connection outlives this answer.
    keep_alive: bool,
}

/// Translates the server's head; `None` while it is not whole.
fn translate(bytes: &[u8], manner: &Manner<'_>) -> io::Result<Option<Translated>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut fields);
    let head_length = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::new(ErrorKind::InvalidData, error)),
    };
    let status = answer.code.unwrap_or(500);
    let find =
        |name: &str| answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let length = match find("content-length") {
        Some(field) => str::from_utf8(field.value)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .map(Length::Exact),
        None => find("transfer-encoding").map(|_| Length::Chunked),
    };
    let length = length.ok_or(ErrorKind::InvalidData)?;
    let mut head = AnswerHead::new(status, answer.reason.unwrap_or(""));
    for field in answer.headers.iter() {
        if !REPLACED.iter().any(|name| name.eq_ignore_ascii_case(field.name)) {
            head.field(field.name, field.value);
        }
    }
    let content_type =
        find("content-type").and_then(|field| str::from_utf8(field.value).ok()).unwrap_or("");
    head.browser_fields(content_type, manner.cors);
    let is_empty = matches!(status, 204 | 304);
    match length {
        _ if is_empty => {}
        Length::Exact(length) => head.field("Content-Length", length.to_string()),
        Length::Chunked if manner.head.is_http11 => head.field("Transfer-Encoding", "chunked"),
        Length::Chunked => {}
    }
    // Nothing but its end delimits an answer of unknown length in HTTP/1.0.
    let keep_alive = manner.keep_alive && (manner.head.is_http11 || length != Length::Chunked);
    head.connection(keep_alive, manner.head.is_http11);
    let has_body = !is_empty && manner.head.method != Method::Head;
    Ok(Some(Translated {
        out: head.end(),
        head_length,
        body: has_body.then_some(length),
        keep_alive,
    }))
}

fn exact(
    private: &mut Private,
    (mut start, mut filled): (usize, usize),
    mut left: u64,
    transfer: &mut Transfer<'_, '_>,
) -> io::Result<()> {
    loop {
        let data = &private.buffer[start..filled];
        left = u64::try_from(data.len())
            .ok()
            .and_then(|read| left.checked_sub(read))
            .ok_or(ErrorKind::InvalidData)?;
        transfer.out.extend_from_slice(data);
        transfer.flush();
        if left == 0 {
            return Ok(());
        }
        (start, filled) = (0, read(private, 0)?);
    }
}

fn chunks(
    private: &mut Private,
    (mut start, mut filled): (usize, usize),
    calls: &Calls,
    (is_http11, transfer): (bool, &mut Transfer<'_, '_>),
) -> io::Result<()> {
    let mut chunks = Chunks::default();
    loop {
        while start < filled {
            let step = chunks.step(&private.buffer[start..filled]);
            let (used, piece) = step.map_err(|_| ErrorKind::InvalidData)?;
            match piece {
                Piece::Data(data) if is_http11 => {
                    write!(transfer.out, "{:x}\r\n", data.len())?;
                    transfer.out.extend_from_slice(data);
                    transfer.out.extend_from_slice(b"\r\n");
                }
                Piece::Data(data) => transfer.out.extend_from_slice(data),
                Piece::More => {}
                Piece::End => {
                    if is_http11 && !calls.is_broken(private.number) {
                        transfer.out.extend_from_slice(b"0\r\n\r\n");
                    }
                    transfer.flush();
                    return Ok(());
                }
            }
            start += used;
        }
        transfer.flush();
        (start, filled) = (0, read(private, 0)?);
    }
}

fn stream(private: &mut Private) -> io::Result<&mut UnixStream> {
    private.stream.as_mut().ok_or_else(|| ErrorKind::NotConnected.into())
}

/// Reads some bytes into the buffer behind the first `filled`.
fn read(private: &mut Private, filled: usize) -> io::Result<usize> {
    let stream = private.stream.as_mut().ok_or(ErrorKind::NotConnected)?;
    loop {
        match stream.read(&mut private.buffer[filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
