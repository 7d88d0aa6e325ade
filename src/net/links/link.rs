//! One link: its frames both ways, its pings, and when it has to end.
//!
//! Owns a socket that never blocks. Never waits, and reads no clock: the time comes in. Invariants: one
//! turn reads and writes a bounded number of bytes; what it holds is counted in the [`Post`] but for
//! the WebSocket's own buffers, of [`READ_BUFFER`], [`GATHER`] and a frame each.

use super::post::{Fresh, Held, Post};
use super::{
    Code, FRAME_MAX, GREETING_MAX, How, LinkEnd, PING_EVERY, SILENCE_MAX, STUCK_MAX, TEXT_COST,
    TEXT_TIME_MAX, UNCONFIRMED_MAX,
};
use crate::primitives::LinkId;
use crate::primitives::ration::Rationed;
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, WebSocket};

/// Bytes that are read of one link in one turn.
const READ_TURN: usize = 16 * 1024;

/// Messages that are read of one link in one turn, however small.
const MESSAGES_TURN: usize = 64;

/// Bytes of frames that are gathered before the system is asked to take them.
const GATHER: usize = 16 * 1024;

/// How often that is done in one turn.
const GATHERS_TURN: usize = 8;

/// Bytes that the system is asked for at once. An idle link holds as much, one that gets longer frames
/// as much as these.
const READ_BUFFER: usize = 4 * 1024;

/// Bytes of a close frame's reason at most (RFC 6455, 5.5).
const REASON_MAX: usize = 120;

/// What a frame of a client has around its payload if that is short: two bytes and the mask.
const CONTROL_FRAME: usize = 6;

/// A link.
pub(super) struct Link {
    pub(super) id: LinkId,
    socket: WebSocket<Wire>,
    /// The text that is leaving in pieces, and how much of it has gone into the buffer.
    leaving: Option<(Bytes, usize)>,
    /// Since when that one leaves.
    leaving_since: Option<Instant>,
    /// Bytes that have gone into the buffer since the system last took all.
    gathered: usize,
    /// The texts that ended with them, as the post counts them: a text is held until all of it left.
    handed: Held,
    /// Whether there is more to write than the system takes now, or than one turn writes.
    has_unsent: bool,
    /// Whether there is more to read than one turn reads, also if the socket has nothing more.
    has_unread: bool,
    /// Whether it was not read because nobody has taken what it sent.
    is_paused: bool,
    heard: Instant,
    pinged: Instant,
    stuck_since: Option<Instant>,
    unfinished_since: Option<Instant>,
}

/// The socket, which gives so much in one turn and counts.
struct Wire {
    stream: Rationed<TcpStream>,
    /// Bytes read since the last whole text, without control frames.
    unfinished: usize,
    has_read: bool,
    has_written: bool,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.unfinished += read;
        self.has_read |= read > 0;
        Ok(read)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.source().write(bytes)?;
        self.has_written |= written > 0;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Link {
    /// A link over a connection that has shaken hands.
    pub(super) fn new(fresh: Fresh, now: Instant) -> io::Result<Self> {
        let Fresh { id, stream, how, early } = fresh;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_user_timeout(Some(UNCONFIRMED_MAX))?;
        let role = match how {
            How::Dialled(_) => Role::Client,
            How::Accepted(_) => Role::Server,
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(GATHER)
            // More than is ever put there: texts stop at GATHER and a frame, pongs are few.
            .max_write_buffer_size(2 * (GATHER + FRAME_MAX))
            .max_message_size(Some(GREETING_MAX))
            .max_frame_size(Some(FRAME_MAX));
        let has_unread = !early.is_empty();
        let wire = Wire {
            stream: Rationed::new(stream),
            unfinished: early.len(),
            has_read: false,
            has_written: false,
        };
        Ok(Self {
            id,
            socket: WebSocket::from_partially_read(wire, early, role, Some(config)),
            leaving: None,
            leaving_since: None,
            gathered: 0,
            handed: Held::default(),
            has_unsent: false,
            has_unread,
            is_paused: false,
            heard: now,
            pinged: now,
            stuck_since: None,
            unfinished_since: None,
        })
    }

    /// The socket, to wait for.
    pub(super) fn stream(&self) -> &TcpStream {
        self.socket.get_ref().stream.source()
    }

    /// Whether it waits until the system takes more.
    pub(super) fn has_unsent(&self) -> bool {
        self.has_unsent
    }

    /// Whether it waits for nothing but its next turn.
    pub(super) fn has_unread(&self) -> bool {
        self.has_unread && !self.is_paused
    }

    /// Whether it may not be read now.
    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Bytes that have arrived of a text that is not whole.
    pub(super) fn unfinished(&self) -> usize {
        self.socket.get_ref().unfinished
    }

    /// One turn: takes what is there and gives what waits.
    ///
    /// # Errors
    /// When the link has to end.
    pub(super) fn turn(
        &mut self,
        post: &Post,
        is_readable: bool,
        now: Instant,
    ) -> Result<(), LinkEnd> {
        if let Some(end) = post.to_close(self.id) {
            // What was sent before it may still leave.
            let _ = self.write(post, now);
            return Err(end);
        }
        self.look_for_room(post, now);
        let read = if (is_readable || self.has_unread) && !self.is_paused {
            self.read(post, now)
        } else {
            Ok(())
        };
        post.set_unfinished(self.id, self.unfinished());
        read?;
        self.ping(now)?;
        self.write(post, now)?;
        self.check(now)
    }

    fn look_for_room(&mut self, post: &Post, now: Instant) {
        let was_paused = std::mem::replace(&mut self.is_paused, !post.has_room(self.id));
        if was_paused || self.is_paused {
            // Whoever is not read cannot be heard.
            self.heard = now;
            self.unfinished_since = self.unfinished_since.map(|_| now);
        }
    }

    fn read(&mut self, post: &Post, now: Instant) -> Result<(), LinkEnd> {
        let text_max = post.text_max(self.id);
        self.socket.set_config(|config| config.max_message_size = Some(text_max));
        self.wire().stream.allow(READ_TURN);
        self.has_unread = true;
        for _ in 0..MESSAGES_TURN {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    self.wire().unfinished = 0;
                    self.unfinished_since = None;
                    post.deliver(self.id, text.as_str().to_owned());
                    self.look_for_room(post, now);
                    if self.is_paused {
                        break;
                    }
                }
                Ok(Message::Ping(data) | Message::Pong(data)) => {
                    let wire = self.wire();
                    wire.unfinished = wire.unfinished.saturating_sub(data.len() + CONTROL_FRAME);
                }
                Ok(Message::Binary(_)) => {
                    let what = "messages must be text";
                    return Err(LinkEnd::Broke { code: Code::Kind, what });
                }
                Ok(Message::Close(told)) => return Err(end_told(told.as_ref())),
                Ok(Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    self.has_unread = self.wire().stream.is_spent();
                    break;
                }
                Err(error) => return Err(end_of(error)),
            }
        }
        if std::mem::take(&mut self.wire().has_read) {
            self.heard = now;
        }
        if self.unfinished() > 0 {
            self.unfinished_since.get_or_insert(now);
        } else {
            self.unfinished_since = None;
        }
        Ok(())
    }

    fn ping(&mut self, now: Instant) -> Result<(), LinkEnd> {
        if self.has_unsent || now.saturating_duration_since(self.pinged) < PING_EVERY {
            return Ok(());
        }
        self.pinged = now;
        accepted(self.socket.write(Message::Ping(Bytes::new())))
    }

    /// Gives the system what it takes.
    fn write(&mut self, post: &Post, now: Instant) -> Result<(), LinkEnd> {
        self.has_unsent = true;
        for _ in 0..GATHERS_TURN {
            let is_all = self.gather(post, now)?;
            match self.socket.flush() {
                Ok(()) => {
                    self.gathered = 0;
                    post.sent(self.id, std::mem::take(&mut self.handed));
                    if is_all {
                        self.has_unsent = false;
                        break;
                    }
                }
                Err(error) => {
                    accepted(Err(error))?;
                    break;
                }
            }
        }
        let has_written = std::mem::take(&mut self.wire().has_written);
        match self.stuck_since {
            _ if !self.has_unsent => self.stuck_since = None,
            Some(_) if !has_written => {}
            _ => self.stuck_since = Some(now),
        }
        Ok(())
    }

    /// Fills the buffer; true when nothing more waits.
    fn gather(&mut self, post: &Post, now: Instant) -> Result<bool, LinkEnd> {
        while self.gathered < GATHER {
            let next = || Some((Bytes::from(post.outgoing(self.id)?), 0));
            let Some((text, start)) = self.leaving.take().or_else(next) else { return Ok(true) };
            let end = text.len().min(start + FRAME_MAX);
            let kind = if start == 0 { Data::Text } else { Data::Continue };
            let is_last = end == text.len();
            let frame = Frame::message(text.slice(start..end), OpCode::Data(kind), is_last);
            self.gathered += end - start + 1;
            if is_last {
                self.handed += Held::of(text.len(), text.len() + TEXT_COST);
                self.leaving_since = None;
            } else {
                self.leaving_since.get_or_insert(now);
                self.leaving = Some((text, end));
            }
            accepted(self.socket.write(Message::Frame(frame)))?;
        }
        Ok(false)
    }

    /// Whether a time is over.
    fn check(&self, now: Instant) -> Result<(), LinkEnd> {
        let is_over = |since: Option<Instant>, max| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= max)
        };
        if is_over(self.stuck_since, STUCK_MAX) || is_over(self.leaving_since, TEXT_TIME_MAX) {
            return Err(LinkEnd::Stuck);
        }
        if self.is_paused {
            return Ok(());
        }
        if is_over(Some(self.heard), SILENCE_MAX) {
            return Err(LinkEnd::Silent);
        }
        if is_over(self.unfinished_since, TEXT_TIME_MAX) {
            return Err(LinkEnd::Dripped);
        }
        Ok(())
    }

    /// When it needs a turn even if nothing happens.
    pub(super) fn due(&self) -> Instant {
        let stuck = self.stuck_since.map(|since| since + STUCK_MAX);
        let leaving = self.leaving_since.map(|since| since + TEXT_TIME_MAX);
        let unfinished = self.unfinished_since.map(|since| since + TEXT_TIME_MAX);
        // A ping that is due waits for what is stuck.
        let ping = (!self.has_unsent).then(|| self.pinged + PING_EVERY);
        let silent = Some(self.heard + SILENCE_MAX);
        let read = [silent, unfinished].into_iter().filter(|_| !self.is_paused).flatten();
        read.chain(stuck).chain(leaving).chain(ping).min().unwrap_or(self.heard + SILENCE_MAX)
    }

    /// Tells the other side why it ends, as far as the system takes that at once. The socket that is
    /// left is to be read for a moment, or the reason would be lost with it.
    pub(super) fn farewell(mut self, end: &LinkEnd) -> Option<TcpStream> {
        // After a close of theirs this sends the reply to it.
        let said = self.socket.close(Some(close_frame(end)));
        let stream = self.socket.into_inner().stream.into_source();
        let was_said = matches!(said, Ok(()) | Err(Error::ConnectionClosed));
        (was_said && stream.shutdown(Shutdown::Write).is_ok()).then_some(stream)
    }

    fn wire(&mut self) -> &mut Wire {
        self.socket.get_mut()
    }
}

/// Tells the other side of a connection that has become no link that there is no room for it. A fresh
/// socket takes so little at once, or its client is gone.
pub(super) fn turn_away(stream: TcpStream) {
    let config = WebSocketConfig::default().read_buffer_size(0).write_buffer_size(0);
    let _ = stream.set_nonblocking(true);
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let _ = socket.close(Some(close_frame(&LinkEnd::Busy)));
    let _ = socket.get_ref().shutdown(Shutdown::Write);
}

fn close_frame(end: &LinkEnd) -> CloseFrame {
    let mut reason = end.to_string();
    reason.truncate(reason.floor_char_boundary(REASON_MAX));
    CloseFrame { code: (end.code() as u16).into(), reason: reason.into() }
}

/// What it means that the other side has closed a link, saying this.
fn end_told(told: Option<&CloseFrame>) -> LinkEnd {
    match told {
        Some(frame) if u16::from(frame.code) == Code::Busy as u16 => LinkEnd::Busy,
        _ => LinkEnd::Left,
    }
}

/// Lets pass that the system takes nothing now: what was written waits in the buffer.
fn accepted(result: Result<(), Error>) -> Result<(), LinkEnd> {
    match result {
        Err(Error::Io(error))
            if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
        {
            Ok(())
        }
        other => other.map_err(end_of),
    }
}

fn end_of(error: Error) -> LinkEnd {
    let broke = |code, what| LinkEnd::Broke { code, what };
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => LinkEnd::Left,
        Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing,
        ) => LinkEnd::Left,
        // Full of pongs, which it asks for and does not take.
        Error::WriteBufferFull(_) => LinkEnd::Stuck,
        Error::Io(error) => LinkEnd::Lost(error.kind().to_string()),
        Error::Capacity(_) => broke(Code::Length, "a frame or message is longer than allowed"),
        Error::Utf8(_) => broke(Code::Data, "a text must be UTF-8"),
        Error::Protocol(ProtocolError::NonZeroReservedBits) => {
            broke(Code::Protocol, "no extension such as compression was agreed on")
        }
        Error::Protocol(
            ProtocolError::UnknownControlFrameType(_)
            | ProtocolError::UnknownDataFrameType(_)
            | ProtocolError::InvalidOpcode(_),
        ) => broke(Code::Protocol, "a frame is of no known kind"),
        Error::Protocol(
            ProtocolError::UnmaskedFrameFromClient | ProtocolError::MaskedFrameFromServer,
        ) => broke(Code::Protocol, "frames must be masked from the client and not to it"),
        _ => broke(Code::Protocol, "frames must be as in RFC 6455"),
    }
}
