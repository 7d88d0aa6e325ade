//! What waits on each link in both directions, between the network and the thread that moves bytes.
//!
//! Owns the queues, their bounds and the count of all bytes held. Never touches a socket but the one that
//! wakes the thread. Invariants: a link has a mailbox from the moment it is named until its end was
//! taken; its events come out in order, none while a text is dealt with, and links that have any are
//! served in turn; a text is counted from its first byte until it was dealt with, or has left.

use super::{
    HOLD_MAX, How, INBOX_MAX, LINKS_MAX, LONG_MAX, LinkEnd, LinkEvent, LinkFull, SEND_MAX, SHARE,
    SMALL_MAX, TEXT_COST, TEXT_MAX, UNASKED_MAX,
};
use crate::primitives::LinkId;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{AddAssign, SubAssign};
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
    /// Of all queues and unfinished texts.
    held: Held,
    /// Whether a byte is on its way that wakes the thread.
    is_woken: bool,
    /// Whether the thread would read more if there were room.
    is_paused: bool,
    is_over: bool,
}

/// Bytes that are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Of texts up to [`UNASKED_MAX`].
    pub(super) small: usize,
    /// Of longer ones.
    pub(super) long: usize,
}

impl Held {
    /// So many bytes of a text of this length.
    pub(super) const fn of(length: usize, bytes: usize) -> Self {
        if length > UNASKED_MAX {
            Self { small: 0, long: bytes }
        } else {
            Self { small: bytes, long: 0 }
        }
    }

    /// All of them.
    pub(super) const fn bytes(self) -> usize {
        self.small + self.long
    }
}

impl AddAssign for Held {
    fn add_assign(&mut self, more: Self) {
        self.small += more.small;
        self.long += more.long;
    }
}

impl SubAssign for Held {
    fn sub_assign(&mut self, less: Self) {
        self.small -= less.small;
        self.long -= less.long;
    }
}

#[derive(Default)]
struct Mailbox {
    events: VecDeque<LinkEvent>,
    /// What the short texts among them count, and the one that is dealt with.
    arrived: usize,
    /// Bytes of the text that was taken and is not dealt with.
    taken: Option<usize>,
    outgoing: VecDeque<String>,
    /// What was sent here and the system has not taken: bytes and [`TEXT_COST`] a text.
    pending: Held,
    /// Bytes that have arrived of a text that is not whole.
    unfinished: usize,
    /// How long a text may be.
    text_max: usize,
    /// Bytes set aside for a long text, from when it is known to be one until it was dealt with.
    reserved: usize,
    /// Whether all of that text is here.
    is_long_here: bool,
    /// Since when it holds anything that is short.
    since: Option<Instant>,
    close: Option<LinkEnd>,
    has_ended: bool,
}

impl Mailbox {
    fn held(&self) -> Held {
        // What an unfinished text lies in grows by doubling.
        let unfinished = if self.reserved > 0 { 0 } else { 2 * self.unfinished };
        let mut held = Held { small: self.arrived + unfinished, long: self.reserved };
        held += self.pending;
        held
    }

    /// A whole text has come.
    fn arrive(&mut self, length: usize) {
        self.unfinished = 0;
        if length > UNASKED_MAX {
            self.is_long_here = true;
            self.reserved = self.reserved.max(length);
        } else {
            self.reserved = 0;
            self.arrived += length + TEXT_COST;
        }
    }

    /// The text that was taken is dealt with; false if none was.
    fn deal(&mut self) -> bool {
        match self.taken.take() {
            None => return false,
            Some(length) if length > UNASKED_MAX => {
                (self.reserved, self.is_long_here) = (0, false);
            }
            Some(length) => self.arrived -= length + TEXT_COST,
        }
        true
    }

    /// Whether more of it may be read as far as the link itself goes.
    fn has_room(&self) -> bool {
        self.arrived < INBOX_MAX && !self.is_long_here && !self.has_ended
    }
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
    pub(super) fn register(&self, id: LinkId, text_max: usize) -> bool {
        let mut state = self.lock();
        let has_room = state.boxes.len() < LINKS_MAX && !state.is_over;
        if has_room {
            state.boxes.insert(id, Mailbox { text_max, ..Mailbox::default() });
        }
        has_room
    }

    /// Tells that a link never opened, for want of room.
    pub(super) fn turn_away(&self, id: LinkId) {
        self.lock().boxes.insert(id, Mailbox::default());
        self.end(id, LinkEnd::Busy);
    }

    pub(super) fn send(&self, id: LinkId, mut text: String) -> Result<(), LinkFull> {
        let length = text.len();
        // What it was made in may be twice as large, and is not counted.
        text.shrink_to_fit();
        if length > TEXT_MAX {
            return Err(LinkFull::TooLong(length));
        }
        let cost = Held::of(length, length + TEXT_COST);
        let mut state = self.lock();
        let (small, long) = (state.held.small + cost.small, state.held.long + cost.long);
        let mailbox = state.boxes.get(&id).filter(|mailbox| !mailbox.has_ended);
        let mailbox = mailbox.ok_or(LinkFull::Closed)?;
        if mailbox.pending.bytes() + cost.bytes() > SEND_MAX {
            return Err(LinkFull::Behind);
        }
        let is_within_share = mailbox.held().small + cost.small <= SHARE;
        if (small > SMALL_MAX && !is_within_share) || long > LONG_MAX {
            return Err(LinkFull::Busy);
        }
        state.change(id, |mailbox| {
            mailbox.pending += cost;
            mailbox.outgoing.push_back(text);
        });
        self.wake(state);
        Ok(())
    }

    /// Texts of this link may be so long.
    pub(super) fn expect(&self, id: LinkId, bytes: usize) {
        if let Some(mailbox) = self.lock().boxes.get_mut(&id) {
            mailbox.text_max = bytes.clamp(UNASKED_MAX, TEXT_MAX);
        }
    }

    /// How long texts of this link may be.
    pub(super) fn text_max(&self, id: LinkId) -> usize {
        self.lock().boxes.get(&id).map_or(UNASKED_MAX, |mailbox| mailbox.text_max)
    }

    pub(super) fn close(&self, id: LinkId, end: LinkEnd) {
        let mut state = self.lock();
        if let Some(mailbox) = state.boxes.get_mut(&id) {
            mailbox.close.get_or_insert(end);
            self.wake(state);
        }
    }

    pub(super) fn pending(&self, id: LinkId) -> usize {
        self.lock().boxes.get(&id).map_or(0, |mailbox| mailbox.pending.bytes())
    }

    pub(super) fn held(&self) -> Held {
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
        if state.change(id, Mailbox::deal) != Some(true) {
            return;
        }
        if state.boxes.get(&id).is_some_and(|mailbox| !mailbox.events.is_empty()) {
            state.ready.push_back(id);
            self.arrived.notify_one();
        }
        self.freed(state);
    }

    /// Wakes the thread if it waits for room.
    fn freed(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::take(&mut state.is_paused) {
            self.wake(state);
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

    /// Whether this link may be read further. A text that turns out to be long is first given its
    /// room: of two that had half of what they need neither would ever be whole.
    pub(super) fn has_room(&self, id: LinkId) -> bool {
        let mut state = self.lock();
        let Held { small, long } = state.held;
        let found = state.change(id, |mailbox| {
            let is_long = mailbox.unfinished > UNASKED_MAX;
            if is_long && mailbox.reserved == 0 && long + mailbox.text_max <= LONG_MAX {
                mailbox.reserved = mailbox.text_max;
            }
            let has_room = small < SMALL_MAX || mailbox.held().small < SHARE;
            has_room && mailbox.has_room() && (!is_long || mailbox.reserved > 0)
        });
        let has_room = found == Some(true);
        state.is_paused |= !has_room;
        has_room
    }

    /// Whether what is short has no room.
    pub(super) fn is_full(&self) -> bool {
        self.lock().held.small >= SMALL_MAX
    }

    /// The link that gives way when there is no room for what is short.
    pub(super) fn gives_way(&self, now: Instant) -> Option<LinkId> {
        let state = self.lock();
        if state.held.small < SMALL_MAX {
            return None;
        }
        let is_old = |since: Instant| now.saturating_duration_since(since) >= HOLD_MAX;
        let holders = state
            .boxes
            .iter()
            .filter(|(_, mailbox)| !mailbox.has_ended && mailbox.since.is_some_and(is_old));
        holders.max_by_key(|(_, mailbox)| mailbox.held().small).map(|(id, _)| *id)
    }

    /// Events that were not taken yet.
    #[cfg(test)]
    pub(super) fn waiting(&self, id: LinkId) -> usize {
        self.lock().boxes.get(&id).map_or(0, |mailbox| mailbox.events.len())
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
    pub(super) fn to_close(&self, id: LinkId) -> Option<LinkEnd> {
        self.lock().boxes.get(&id).and_then(|mailbox| mailbox.close.clone())
    }

    /// The next text that is to leave.
    pub(super) fn outgoing(&self, id: LinkId) -> Option<String> {
        self.lock().boxes.get_mut(&id)?.outgoing.pop_front()
    }

    /// The system has taken so much.
    pub(super) fn sent(&self, id: LinkId, taken: Held) {
        if taken == Held::default() {
            return;
        }
        let mut state = self.lock();
        state.change(id, |mailbox| mailbox.pending -= taken);
        self.freed(state);
    }

    /// So much has arrived of a text that is not whole.
    pub(super) fn set_unfinished(&self, id: LinkId, bytes: usize) {
        self.lock().change(id, |mailbox| mailbox.unfinished = bytes);
    }

    /// Ends a link: what waits to leave is given up, what has arrived may still be taken.
    pub(super) fn end(&self, id: LinkId, reason: LinkEnd) {
        let mut state = self.lock();
        if state.boxes.get(&id).is_none_or(|mailbox| mailbox.has_ended) {
            return;
        }
        state.change(id, |mailbox| {
            mailbox.has_ended = true;
            (mailbox.outgoing, mailbox.pending) = Default::default();
            mailbox.unfinished = 0;
            if !mailbox.is_long_here {
                mailbox.reserved = 0;
            }
        });
        state.push(LinkEvent::Closed { id, reason });
        self.arrived.notify_one();
        self.freed(state);
    }
}

impl State {
    /// Changes a mailbox and counts what it holds.
    fn change<T>(&mut self, id: LinkId, change: impl FnOnce(&mut Mailbox) -> T) -> Option<T> {
        let mailbox = self.boxes.get_mut(&id)?;
        self.held -= mailbox.held();
        let result = change(mailbox);
        let held = mailbox.held();
        self.held += held;
        let since = mailbox.since.or_else(|| Some(Instant::now()));
        mailbox.since = since.filter(|_| held.small > 0);
        Some(result)
    }

    fn push(&mut self, event: LinkEvent) {
        let id = event.id();
        self.change(id, |mailbox| {
            if let LinkEvent::Frame { text, .. } = &event {
                mailbox.arrive(text.len());
            }
        });
        let Some(mailbox) = self.boxes.get_mut(&id) else { return };
        if mailbox.events.is_empty() && mailbox.taken.is_none() {
            self.ready.push_back(id);
        }
        mailbox.events.push_back(event);
    }

    fn pop(&mut self) -> Option<LinkEvent> {
        let id = self.ready.pop_front()?;
        let mailbox = self.boxes.get_mut(&id)?;
        let event = mailbox.events.pop_front()?;
        match &event {
            LinkEvent::Frame { text, .. } => mailbox.taken = Some(text.len()),
            LinkEvent::Closed { .. } => {
                self.boxes.remove(&id);
            }
            LinkEvent::Opened { .. } if !mailbox.events.is_empty() => self.ready.push_back(id),
            LinkEvent::Opened { .. } => {}
        }
        Some(event)
    }
}
