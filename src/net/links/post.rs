//! What waits on each link in both directions, between the network and the thread that moves bytes.
//!
//! Owns the queues, their bounds and the count of all bytes held. Never touches a socket but the one that
//! wakes the thread. Invariants: a link has a mailbox from the moment it is named until its end was
//! taken; its events come out in order, none while a text is dealt with, and links that have any are
//! served in turn.

use super::{
    BULK_MIN, HELD_MAX, How, INBOX_MAX, INBOX_TEXTS_MAX, LINKS_MAX, LinkEnd, LinkEvent, LinkFull,
    SEND_MAX, SMALL_RESERVE, TEXT_COST, TEXT_MAX,
};
use crate::primitives::LinkId;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A connection that has become a link.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) id: LinkId,
    pub(super) stream: TcpStream,
    pub(super) how: How,
    /// Bytes that came right behind the answer to the handshake.
    pub(super) early: Vec<u8>,
}

impl Fresh {
    pub(super) fn accepted(id: LinkId, stream: TcpStream, client: SocketAddr) -> Self {
        Self { id, stream, how: How::Accepted(client), early: Vec::new() }
    }
}

/// All mailboxes.
pub(super) struct Post {
    state: Mutex<State>,
    /// An event has come, or it is over.
    arrived: Condvar,
    /// A byte on it wakes the thread.
    waker: UnixStream,
}

#[derive(Default)]
struct State {
    boxes: BTreeMap<LinkId, Mailbox>,
    /// Links with events that may be taken, each once, in the order of their turns.
    ready: VecDeque<LinkId>,
    fresh: Vec<Fresh>,
    /// Bytes of all queues and unfinished texts.
    held: usize,
    /// Whether a byte is on its way that wakes the thread.
    is_woken: bool,
    /// Whether the thread would read more if there were room.
    is_paused: bool,
    is_over: bool,
}

#[derive(Default)]
struct Mailbox {
    events: VecDeque<LinkEvent>,
    /// Bytes of the texts among them.
    arrived: usize,
    /// Whether a text was taken that is not dealt with.
    is_taken: bool,
    outgoing: VecDeque<String>,
    /// What was sent here and the system has not taken: bytes and [`TEXT_COST`] a text.
    pending: usize,
    /// Bytes that have arrived of a text that is not whole.
    unfinished: usize,
    close: Option<String>,
    has_ended: bool,
}

impl Post {
    /// Empty, and the end that becomes readable when the thread is woken.
    pub(super) fn new() -> io::Result<(Self, UnixStream)> {
        let (waker, wake) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        Ok((Self { state: Mutex::default(), arrived: Condvar::new(), waker }, wake))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread unless that was done since it last looked.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let was_woken = std::mem::replace(&mut state.is_woken, true);
        drop(state);
        if !was_woken {
            // A full socket is one that wakes it already.
            let _ = (&self.waker).write(&[0]);
        }
    }

    // What the network asks.

    /// Opens the mailbox of a new link; false if there are too many.
    pub(super) fn register(&self, id: LinkId) -> bool {
        let mut state = self.lock();
        let has_room = state.boxes.len() < LINKS_MAX && !state.is_over;
        if has_room {
            state.boxes.insert(id, Mailbox::default());
        }
        has_room
    }

    /// Tells that a link never opened, for want of room.
    pub(super) fn turn_away(&self, id: LinkId) {
        self.lock().boxes.insert(id, Mailbox::default());
        self.end(id, LinkEnd::Busy);
    }

    pub(super) fn send(&self, id: LinkId, text: String) -> Result<(), LinkFull> {
        let length = text.len();
        if length > TEXT_MAX {
            return Err(LinkFull::TooLong(length));
        }
        let mut state = self.lock();
        let held_max = if length >= BULK_MIN { HELD_MAX - SMALL_RESERVE } else { HELD_MAX };
        let cost = length + TEXT_COST;
        let held = state.held + cost;
        let mailbox = state.boxes.get_mut(&id).filter(|mailbox| !mailbox.has_ended);
        let mailbox = mailbox.ok_or(LinkFull::Closed)?;
        if mailbox.pending + cost > SEND_MAX {
            return Err(LinkFull::Behind);
        }
        if held > held_max {
            return Err(LinkFull::Busy);
        }
        mailbox.pending += cost;
        mailbox.outgoing.push_back(text);
        state.held = held;
        self.wake(state);
        Ok(())
    }

    pub(super) fn close(&self, id: LinkId, reason: &str) {
        let mut state = self.lock();
        if let Some(mailbox) = state.boxes.get_mut(&id) {
            mailbox.close.get_or_insert_with(|| reason.to_owned());
            self.wake(state);
        }
    }

    pub(super) fn pending(&self, id: LinkId) -> usize {
        self.lock().boxes.get(&id).map_or(0, |mailbox| mailbox.pending)
    }

    pub(super) fn held(&self) -> usize {
        self.lock().held
    }

    pub(super) fn take(&self, timeout: Duration) -> Option<LinkEvent> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if state.is_over {
                return None;
            }
            if let Some(event) = state.pop() {
                if std::mem::take(&mut state.is_paused) {
                    self.wake(state);
                }
                return Some(event);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.arrived.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The text that was taken last is dealt with.
    pub(super) fn done(&self, id: LinkId) {
        let mut state = self.lock();
        let Some(mailbox) = state.boxes.get_mut(&id) else { return };
        if std::mem::take(&mut mailbox.is_taken) && !mailbox.events.is_empty() {
            state.ready.push_back(id);
            self.arrived.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.is_over = true;
        self.wake(state);
        self.arrived.notify_all();
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    // What the thread asks, and those who dial.

    /// Gives a connection to the thread; it is dropped if the link was ended meanwhile.
    pub(super) fn hand_over(&self, fresh: Fresh) {
        let mut state = self.lock();
        if state.boxes.get(&fresh.id).is_some_and(|mailbox| !mailbox.has_ended) {
            state.fresh.push(fresh);
            self.wake(state);
        }
    }

    /// New connections; `None` once it is over. What changes from here on wakes the thread again.
    pub(super) fn fresh(&self) -> Option<Vec<Fresh>> {
        let mut state = self.lock();
        state.is_woken = false;
        (!state.is_over).then(|| std::mem::take(&mut state.fresh))
    }

    /// Whether this link may be read further.
    pub(super) fn has_room(&self, id: LinkId) -> bool {
        let mut state = self.lock();
        let has_room = state.held < HELD_MAX
            && state.boxes.get(&id).is_some_and(|mailbox| {
                mailbox.arrived < INBOX_MAX && mailbox.events.len() < INBOX_TEXTS_MAX
            });
        state.is_paused |= !has_room;
        has_room
    }

    /// Events that were not taken yet.
    #[cfg(test)]
    pub(super) fn waiting(&self, id: LinkId) -> usize {
        self.lock().boxes.get(&id).map_or(0, |mailbox| mailbox.events.len())
    }

    pub(super) fn is_full(&self) -> bool {
        self.lock().held >= HELD_MAX
    }

    pub(super) fn opened(&self, id: LinkId, how: How) {
        self.push(LinkEvent::Opened { id, how });
    }

    pub(super) fn deliver(&self, id: LinkId, text: String) {
        self.push(LinkEvent::Frame { id, text });
    }

    fn push(&self, event: LinkEvent) {
        self.lock().push(event);
        self.arrived.notify_one();
    }

    /// Why this link is to be closed, if it is.
    pub(super) fn to_close(&self, id: LinkId) -> Option<String> {
        self.lock().boxes.get(&id).and_then(|mailbox| mailbox.close.clone())
    }

    /// The next text that is to leave.
    pub(super) fn outgoing(&self, id: LinkId) -> Option<String> {
        self.lock().boxes.get_mut(&id)?.outgoing.pop_front()
    }

    /// The system has taken what counted so much.
    pub(super) fn sent(&self, id: LinkId, bytes: usize) {
        let mut state = self.lock();
        if let Some(mailbox) = state.boxes.get_mut(&id) {
            mailbox.pending -= bytes;
            state.held -= bytes;
        }
    }

    /// So much has arrived of a text that is not whole.
    pub(super) fn set_unfinished(&self, id: LinkId, bytes: usize) {
        let mut state = self.lock();
        if let Some(mailbox) = state.boxes.get_mut(&id) {
            let before = std::mem::replace(&mut mailbox.unfinished, bytes);
            state.held = state.held + bytes - before;
        }
    }

    /// Ends a link: what waits to leave is given up, what has arrived may still be taken.
    pub(super) fn end(&self, id: LinkId, reason: LinkEnd) {
        let mut state = self.lock();
        let Some(mailbox) = state.boxes.get_mut(&id).filter(|mailbox| !mailbox.has_ended) else {
            return;
        };
        mailbox.has_ended = true;
        mailbox.outgoing = VecDeque::new();
        let freed = std::mem::take(&mut mailbox.pending) + std::mem::take(&mut mailbox.unfinished);
        state.held -= freed;
        state.push(LinkEvent::Closed { id, reason });
        drop(state);
        self.arrived.notify_one();
    }
}

impl State {
    fn push(&mut self, event: LinkEvent) {
        let id = event.id();
        let Some(mailbox) = self.boxes.get_mut(&id) else { return };
        if mailbox.events.is_empty() && !mailbox.is_taken {
            self.ready.push_back(id);
        }
        if let LinkEvent::Frame { text, .. } = &event {
            mailbox.arrived += text.len();
            self.held += text.len();
        }
        mailbox.events.push_back(event);
    }

    fn pop(&mut self) -> Option<LinkEvent> {
        let id = self.ready.pop_front()?;
        let mailbox = self.boxes.get_mut(&id)?;
        let event = mailbox.events.pop_front()?;
        mailbox.is_taken = matches!(event, LinkEvent::Frame { .. });
        if !mailbox.events.is_empty() && !mailbox.is_taken {
            self.ready.push_back(id);
        }
        match &event {
            LinkEvent::Frame { text, .. } => {
                mailbox.arrived -= text.len();
                self.held -= text.len();
            }
            LinkEvent::Closed { .. } => {
                self.boxes.remove(&id);
            }
            LinkEvent::Opened { .. } => {}
        }
        Some(event)
    }
}
