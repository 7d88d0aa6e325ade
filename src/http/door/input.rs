//! What a client sends, read through a bounded buffer against absolute deadlines.
//!
//! Owns the client's socket for reading and whatever of the next request has already arrived. An idle
//! time-out is not enough: a client that sends one byte a second never idles, so each part of a request
//! has a time by which it must be whole.

use super::head::{Head, Scanner, parse};
use super::refusal::Refusal;
use crate::http::settings::{DRAIN_MAX, HEAD_MAX};
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How reading a head ended.
#[derive(Debug)]
pub enum Arrival {
    /// A whole head.
    Head(Box<Head>),
    /// A head that is refused.
    Refused(Refusal),
    /// The client left or idled too long: nothing to answer.
    Gone,
}

/// A client's bytes.
#[derive(Debug)]
pub struct Input {
    stream: Arc<TcpStream>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    time_out: Option<Duration>,
}

impl Input {
    /// Reads from this socket.
    #[must_use]
    pub fn new(stream: Arc<TcpStream>) -> Self {
        Self {
            stream,
            buffer: vec![0; HEAD_MAX].into_boxed_slice(),
            start: 0,
            end: 0,
            time_out: None,
        }
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether bytes beyond the current request have arrived.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.start < self.end
    }

    /// Waits up to `idle_time` for a request, then up to `head_time` for the end of its head.
    pub fn head(&mut self, idle_time: Duration, head_time: Duration) -> Arrival {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let mut scanner = Scanner::default();
        let mut deadline = None;
        loop {
            if self.end > 0 {
                match scanner.scan(&self.buffer[..self.end]) {
                    Err(refusal) => return Arrival::Refused(refusal),
                    Ok(Some(length)) => {
                        self.start = length;
                        return match parse(&self.buffer[..length]) {
                            Ok(head) => Arrival::Head(Box::new(head)),
                            Err(refusal) => Arrival::Refused(refusal),
                        };
                    }
                    Ok(None) => {}
                }
                if deadline.is_none() {
                    deadline = Some(Instant::now() + head_time);
                }
            }
            match self.read_more(deadline, idle_time) {
                Ok(0) => return Arrival::Gone,
                Ok(read) => self.end += read,
                Err(error) if is_time_out(&error) && !scanner.is_empty() => {
                    return Arrival::Refused(Refusal::HeadTooSlow);
                }
                Err(_) => return Arrival::Gone,
            }
        }
    }

    /// Reads into the free part of the buffer, until the deadline or for the idle time.
    fn read_more(&mut self, deadline: Option<Instant>, idle_time: Duration) -> io::Result<usize> {
        let time_out = match deadline {
            Some(deadline) => left_until(deadline)?,
            None => idle_time,
        };
        set_time_out(&self.stream, &mut self.time_out, time_out)?;
        read_some(&self.stream, &mut self.buffer[self.end..])
    }

    /// Some bytes of the body: what has arrived already, or at most `scratch.len()` from the socket.
    ///
    /// # Errors
    /// At the deadline ([`is_time_out`]) and when the socket fails.
    pub fn body<'a>(
        &'a mut self,
        scratch: &'a mut [u8],
        deadline: Instant,
    ) -> io::Result<&'a [u8]> {
        if self.start < self.end {
            let length = scratch.len().min(self.end - self.start);
            let taken = self.start..self.start + length;
            self.start += length;
            return Ok(&self.buffer[taken]);
        }
        set_time_out(&self.stream, &mut self.time_out, left_until(deadline)?)?;
        let read = read_some(&self.stream, scratch)?;
        Ok(&scratch[..read])
    }

    /// Puts back the last `count` bytes of what [`Input::body`] gave: they belong to the next request.
    pub fn put_back(&mut self, bytes: &[u8]) {
        // They came either out of this buffer, just before `start`, or from a scratch no larger than it.
        if self.start >= bytes.len() && self.buffer[self.start - bytes.len()..self.start] == *bytes
        {
            self.start -= bytes.len();
        } else {
            self.buffer[..bytes.len()].copy_from_slice(bytes);
            self.start = 0;
            self.end = bytes.len();
        }
    }

    /// Ends the connection so that the last answer arrives: says that no more will be sent, then reads for a
    /// while what is still coming. Closing at once would reset the connection and take the answer with it.
    pub fn close_gently(&mut self, drain_time: Duration) {
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + drain_time;
        let mut left = DRAIN_MAX;
        while let Ok(time_out) = left_until(deadline) {
            if set_time_out(&self.stream, &mut self.time_out, time_out).is_err() {
                return;
            }
            match read_some(&self.stream, &mut self.buffer) {
                Ok(read) if read > 0 && read < left => left -= read,
                _ => return,
            }
        }
    }
}

/// Whether an error of reading says that the time is over.
#[must_use]
pub fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The time left; an error of kind `TimedOut` when there is none.
fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Sets the time-out of reads unless it is set already: most requests arrive whole and cost no call here.
fn set_time_out(
    stream: &TcpStream,
    current: &mut Option<Duration>,
    wanted: Duration,
) -> io::Result<()> {
    if *current != Some(wanted) {
        stream.set_read_timeout(Some(wanted))?;
        *current = Some(wanted);
    }
    Ok(())
}

fn read_some(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
