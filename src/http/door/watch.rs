//! Waiting for a slow answer while looking whether the client is still there.

use super::lanes::Private;
use crate::http::message::CancelOnDrop;
use rustix::event::{PollFd, PollFlags, poll};
use std::net::TcpStream;

/// Waits until the answer begins, without a thought of the client. A plain read would do, but a thread that
/// sleeps in one on a Unix socket is also woken when its request is taken: a switch for nothing.
pub fn wait_for_begin(private: &Private) {
    if let Some(answer) = &private.stream {
        // Whatever goes wrong here shows in the read that follows.
        let _ = poll(&mut [PollFd::new(answer, PollFlags::IN)], None);
    }
}

/// Waits until the answer begins. Drops the guard, which cancels the request, as soon as the client's side of
/// the connection closes; the answer is waited for all the same, because its place is taken until then.
pub fn wait_for_answer(private: &Private, client: &TcpStream, guard: &mut Option<CancelOnDrop>) {
    let Some(answer) = &private.stream else {
        return;
    };
    // A client that sends more before it has its answer can be watched for a reset only.
    let mut watched = PollFlags::IN;
    while guard.is_some() {
        let mut sockets = [PollFd::new(answer, PollFlags::IN), PollFd::new(client, watched)];
        match poll(&mut sockets, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        }
        if !sockets[0].revents().is_empty() {
            return;
        }
        let seen = sockets[1].revents();
        if seen.intersects(PollFlags::HUP | PollFlags::ERR) {
            *guard = None;
        } else if seen.contains(PollFlags::IN) {
            match client.peek(&mut [0]) {
                Ok(1..) => watched = PollFlags::empty(),
                Ok(0) | Err(_) => *guard = None,
            }
        }
    }
}
