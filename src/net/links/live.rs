//! The thread that serves all links in turn.
//!
//! Owns the links. Never blocks on one of them: it waits for all sockets at once, for the [`Post`], and
//! for the next time that a link has to be looked after. Each round begins with another link, and each
//! link has one bounded turn in it.

use super::link::Link;
use super::post::{Fresh, Post};
use super::{Code, HOLD_MAX, LinkEnd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sockets that are read for a moment after their close frame; the oldest gives way.
const LEAVING_MAX: usize = 16;

/// How long they are read, so that the other side gets the reason before the end.
const LEAVING_TIME: Duration = Duration::from_secs(1);

/// Bytes that are read of each meanwhile: what may have been under way when it was told.
const LEAVING_BYTES: usize = 128 * 1024;

/// How long the thread sleeps at most.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// A connection whose other side was told goodbye.
struct Leaving {
    stream: TcpStream,
    until: Instant,
    /// Bytes that may still be read of it.
    left: usize,
}

/// The thread's state.
pub(super) struct Live {
    post: Arc<Post>,
    wake: UnixStream,
    links: Vec<Link>,
    leaving: Vec<Leaving>,
    /// Counts the rounds, so that each begins with another link.
    round: usize,
}

impl Live {
    pub(super) const fn new(post: Arc<Post>, wake: UnixStream) -> Self {
        Self { post, wake, links: Vec::new(), leaving: Vec::new(), round: 0 }
    }

    /// Serves until the post is stopped.
    pub(super) fn run(mut self) {
        loop {
            let mut readable = self.wait(Instant::now());
            // In this order: what changes from here on wakes the thread again.
            self.drain_wake();
            let Some(fresh) = self.post.fresh() else { break };
            let now = Instant::now();
            fresh.into_iter().for_each(|fresh| self.open(fresh, now));
            readable.resize(self.links.len(), true);
            self.serve(&readable, now);
        }
        for link in self.links.drain(..) {
            let id = link.id;
            let end = LinkEnd::ours(Code::Away, "the node is stopping");
            drop(link.farewell(&end));
            self.post.end(id, end);
        }
    }

    fn open(&mut self, fresh: Fresh, now: Instant) {
        let (id, how) = (fresh.id, fresh.how.clone());
        match Link::new(fresh, now) {
            Ok(link) => {
                self.post.opened(id, how);
                self.links.push(link);
            }
            Err(error) => self.post.end(id, LinkEnd::Lost(error.kind().to_string())),
        }
    }

    /// Sleeps until something is to be done; says which links can be read, by their places.
    fn wait(&self, now: Instant) -> Vec<bool> {
        let mut readable = vec![false; self.links.len()];
        let mut places = Vec::with_capacity(self.links.len());
        let mut sockets = vec![PollFd::new(&self.wake, PollFlags::IN)];
        for (place, link) in self.links.iter().enumerate() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, !link.is_paused());
            flags.set(PollFlags::OUT, link.has_unsent());
            // Of one that waits for neither, a hang-up would be told again and again.
            if !flags.is_empty() {
                sockets.push(PollFd::new(link.stream(), flags));
                places.push(place);
            }
        }
        let first_leaving = sockets.len();
        let leaving =
            self.leaving.iter().map(|leaving| PollFd::new(&leaving.stream, PollFlags::IN));
        sockets.extend(leaving);
        let sleep = self.sleep(now);
        let sleep = Timespec {
            tv_sec: i64::try_from(sleep.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: sleep.subsec_nanos().into(),
        };
        // If it fails the links are looked at all the same, and tell.
        let _ = poll(&mut sockets, Some(&sleep));
        for (socket, place) in sockets[1..first_leaving].iter().zip(places) {
            readable[place] = !socket.revents().difference(PollFlags::OUT).is_empty();
        }
        readable
    }

    fn sleep(&self, now: Instant) -> Duration {
        if self.links.iter().any(Link::has_unread) {
            return Duration::ZERO;
        }
        let due = self.links.iter().map(Link::due);
        let leaving = self.leaving.iter().map(|leaving| leaving.until);
        // Who gives way is not known before that.
        let longest = if self.post.is_full() { HOLD_MAX } else { SLEEP_MAX };
        due.chain(leaving)
            .min()
            .map_or(longest, |due| due.saturating_duration_since(now))
            .min(longest)
    }

    fn drain_wake(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.wake.read(&mut bytes), Ok(read) if read == bytes.len()) {}
    }

    /// Gives each link its turn.
    fn serve(&mut self, readable: &[bool], now: Instant) {
        let count = self.links.len();
        let first = if count == 0 { 0 } else { self.round % count };
        self.round = self.round.wrapping_add(1);
        let mut ended = Vec::new();
        for place in (first..count).chain(0..first) {
            if let Err(end) = self.links[place].turn(&self.post, readable[place], now) {
                ended.push((place, end));
            }
        }
        let gives_way = self.post.gives_way(now);
        if let Some(place) = self.links.iter().position(|link| Some(link.id) == gives_way)
            && ended.iter().all(|(other, _)| *other != place)
        {
            ended.push((place, LinkEnd::Busy));
        }
        ended.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        for (place, end) in ended {
            let link = self.links.swap_remove(place);
            let id = link.id;
            if let Some(stream) = link.farewell(&end) {
                let until = now + LEAVING_TIME;
                self.leaving.push(Leaving { stream, until, left: LEAVING_BYTES });
            }
            self.post.end(id, end);
        }
        self.see_off(now);
    }

    /// Reads what those who were told goodbye still send, for a moment.
    fn see_off(&mut self, now: Instant) {
        let surplus = self.leaving.len().saturating_sub(LEAVING_MAX);
        self.leaving.drain(..surplus);
        let mut bytes = [0; 16 * 1024];
        self.leaving.retain_mut(|leaving| {
            let is_there = match leaving.stream.read(&mut bytes) {
                Ok(read) => {
                    leaving.left = leaving.left.saturating_sub(read);
                    read > 0
                }
                Err(error) => {
                    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
                }
            };
            is_there && leaving.left > 0 && now < leaving.until
        });
    }
}
