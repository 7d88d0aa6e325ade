//! Taking connections from the network.
//!
//! Owns the listening socket. Invariant: no error of accepting ends the loop; only the stop does.

use super::Door;
use super::connection::Connection;
use crate::http::settings::CONNECTION_STACK;
use crate::runtime::Spawner;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The pause after an error of accepting, mostly for want of descriptors: some become free meanwhile.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The answer to a connection that finds no place. It always fits the socket's buffer.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 74\r\n\
    Retry-After: 1\r\nConnection: close\r\n\r\n\
    {\"message\":\"the node has no place for another connection\",\"code\":\"busy\"}\r\n";

/// Takes connections until the other end of `stop` closes.
pub fn run(listener: &TcpListener, stop: &UnixStream, door: &Arc<Door>, spawner: &Spawner) {
    loop {
        let mut sockets = [PollFd::new(stop, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
        // Without a poll, accept tells.
        let _ = poll(&mut sockets, None);
        if !sockets[0].revents().is_empty() {
            return;
        }
        match listener.accept() {
            Ok((stream, client)) => take(stream, client, door, spawner),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => {
                log::warn!("cannot take a connection, trying again: {error}");
                let _ = poll(&mut [PollFd::new(stop, PollFlags::IN)], Some(&PAUSE));
            }
        }
    }
}

/// Gives a newcomer a place and a thread, or turns it away.
fn take(stream: TcpStream, client: SocketAddr, door: &Arc<Door>, spawner: &Spawner) {
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    let stream = Arc::new(stream);
    let Some(place) = door.connections.admit(client.ip(), &stream) else {
        turn_away(&stream);
        return;
    };
    if stream.set_nonblocking(false).is_err() {
        return;
    }
    let worker_door = Arc::clone(door);
    let worker_stream = Arc::clone(&stream);
    let work = move || Connection::new(&worker_door, worker_stream, client, place).run();
    if let Err(error) = spawner.spawn_guest("http-connection", CONNECTION_STACK, work) {
        log::warn!("no thread for a connection: {error}");
        turn_away(&stream);
    }
}

fn turn_away(mut stream: &TcpStream) {
    // Best effort: the next thing is the close.
    let _: io::Result<usize> = stream.set_nonblocking(true).and_then(|()| stream.write(FULL));
}

#[cfg(test)]
mod tests {
    use super::FULL;

    #[test]
    fn the_answer_of_a_full_door_states_its_length() {
        let text = str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
        assert!(body.contains("\"code\":\"busy\""));
    }
}
