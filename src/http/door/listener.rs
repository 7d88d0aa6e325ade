//! Taking connections from the network.
//!
//! Owns the listening socket. Invariant: no error of accepting ends the loop; only the stop does.

use super::Door;
use super::connection::Connection;
use super::output;
use super::rates::Rates;
use super::refusal::Refusal;
use crate::http::settings::CONNECTION_STACK;
use crate::runtime::Spawner;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

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
    if let Some(answer) = too_many(client.ip(), &door.rates, Instant::now()) {
        return turn_away(&stream, &answer);
    }
    let stream = Arc::new(stream);
    let Some(place) = door.connections.admit(client.ip(), &stream) else {
        turn_away(&stream, FULL);
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
        turn_away(&stream, FULL);
    }
}

/// The answer to whoever has spent its rate, which so costs no thread: connections that are refused could
/// be what wears a node out. Loopback may be someone at the machine, whom no rate counts.
fn too_many(address: IpAddr, rates: &Rates, now: Instant) -> Option<Vec<u8>> {
    let wait = if address.is_loopback() { None } else { rates.wait(address, now) };
    wait.map(|seconds| output::refusal(&Refusal::TooMany(seconds), false, false, &[]))
}

fn turn_away(mut stream: &TcpStream, answer: &[u8]) {
    // Best effort: the next thing is the close.
    let _: io::Result<usize> = stream.set_nonblocking(true).and_then(|()| stream.write(answer));
}

#[cfg(test)]
mod tests {
    use super::{FULL, too_many};
    use crate::http::door::rates::Rates;
    use crate::http::settings::Limits;
    use std::time::{Duration, Instant};

    #[test]
    fn who_has_spent_its_rate_is_told_before_it_costs_a_thread() {
        let limits = Limits { requests_per_second: 1, requests_burst: 2, ..Limits::default() };
        let (rates, now) = (Rates::new(&limits), Instant::now());
        let [guest, home] = [[10, 0, 0, 1], [127, 0, 0, 1]].map(Into::into);
        for address in [guest, home] {
            assert_eq!(too_many(address, &rates, now), None);
            rates.charge_requests(address, 10, now);
        }
        let answer = String::from_utf8(too_many(guest, &rates, now).unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        assert!(answer.contains("Retry-After: 9\r\n"), "{answer}");
        assert_eq!(too_many(home, &rates, now), None);
        assert_eq!(too_many(guest, &rates, now + Duration::from_secs(9)), None);
    }

    #[test]
    fn the_answer_of_a_full_door_states_its_length() {
        let text = str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
        assert!(body.contains("\"code\":\"busy\""));
    }
}
