//! Opening live connections: the TCP connection and the client's half of the WebSocket handshake.
//!
//! Owns the few threads that wait for others to answer. Never speaks on a link. Bounds: so many at a
//! time, the rest waits in line, and each has a time in which it is open or is not.

use super::post::{Fresh, Post};
use super::{How, LinkEnd, SUBPROTOCOL, UNASKED_MAX};
use crate::primitives::{LinkId, PeerAddress};
use crate::runtime::{EndOnPanic, Spawner};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

/// Threads that dial at the same time.
pub(super) const DIALS_MAX: usize = 4;

/// Dials that wait for one of them; the next ends as busy.
pub(super) const WAITING_MAX: usize = 32;

/// How long a TCP connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long all of it may take, without the look-up of a name.
const DIAL_MAX: Duration = Duration::from_secs(5);

/// Bytes of the answer's head at most, as elsewhere.
const HEAD_MAX: usize = 8 * 1024;

/// Fields of the answer's head at most.
const FIELDS_MAX: usize = 64;

/// The stack of a thread that dials: the look-up of names is the deepest.
const STACK_BYTES: usize = 512 * 1024;

/// Those who dial.
pub(super) struct Dialler {
    post: Arc<Post>,
    spawner: Spawner,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(LinkId, PeerAddress)>,
    threads: usize,
}

impl Dialler {
    pub(super) fn new(post: Arc<Post>, spawner: Spawner) -> Self {
        Self { post, spawner, queue: Mutex::default() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a link, in a thread that does.
    pub(super) fn dial(self: &Arc<Self>, id: LinkId, address: PeerAddress) {
        if !self.post.register(id, UNASKED_MAX) {
            return self.post.turn_away(id);
        }
        let mut queue = self.queue();
        if queue.waiting.len() >= WAITING_MAX {
            drop(queue);
            return self.post.end(id, LinkEnd::Busy);
        }
        queue.waiting.push_back((id, address));
        if queue.threads == DIALS_MAX {
            return;
        }
        queue.threads += 1;
        drop(queue);
        let dialler = Arc::clone(self);
        let work = move || {
            let _guard = EndOnPanic::new("live connections");
            dialler.run();
        };
        if let Err(error) = self.spawner.spawn_guest("net-dial", STACK_BYTES, work) {
            log::warn!("no thread to dial with: {error}");
            self.queue().threads -= 1;
            self.end_waiting();
        }
    }

    /// Those who wait would wait for nobody if no thread is left.
    fn end_waiting(&self) {
        let mut queue = self.queue();
        if queue.threads == 0 {
            let waiting = std::mem::take(&mut queue.waiting);
            drop(queue);
            waiting.into_iter().for_each(|(id, _)| self.post.end(id, LinkEnd::Busy));
        }
    }

    /// Dials until nobody waits.
    fn run(&self) {
        while let Some((id, address)) = self.next() {
            match self.post.to_close(id) {
                Some(end) => self.post.end(id, end),
                None => match open(&address, DIAL_MAX) {
                    Ok((stream, early)) => {
                        let how = How::Dialled(address);
                        self.post.hand_over(Fresh { id, stream, how, early });
                    }
                    Err(end) => self.post.end(id, end),
                },
            }
        }
    }

    /// The next who waits. A thread that gets none is one less.
    fn next(&self) -> Option<(LinkId, PeerAddress)> {
        let mut queue = self.queue();
        let next = queue.waiting.pop_front().filter(|_| !self.post.is_over());
        if next.is_none() {
            queue.threads -= 1;
        }
        next
    }
}

/// Opens a connection and shakes hands; gives it with what came right behind the answer.
pub(super) fn open(
    address: &PeerAddress,
    limit: Duration,
) -> Result<(TcpStream, Vec<u8>), LinkEnd> {
    let places = address.to_string().to_socket_addrs().map_err(|_| unreachable("unknown name"))?;
    let deadline = Instant::now() + limit;
    let mut stream = connect(places, deadline)?;
    let key = generate_key();
    let request = format!(
        "GET /live HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\nUser-Agent: farthing/{}\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.set_write_timeout(Some(left_until(deadline)?)).map_err(end_of)?;
    stream.write_all(request.as_bytes()).map_err(end_of)?;
    let (head, early) = read_head(&mut stream, deadline)?;
    check(&head, &key)?;
    Ok((stream, early))
}

/// The first of the places that answers.
fn connect(
    places: impl Iterator<Item = SocketAddr>,
    deadline: Instant,
) -> Result<TcpStream, LinkEnd> {
    let mut end = unreachable("unknown name");
    for place in places {
        match TcpStream::connect_timeout(&place, left_until(deadline)?.min(CONNECT_MAX)) {
            Ok(stream) => return Ok(stream),
            Err(error) => end = end_of(error),
        }
    }
    Err(end)
}

/// Reads to the end of a head; gives it apart from what follows.
fn read_head(stream: &mut TcpStream, deadline: Instant) -> Result<(Vec<u8>, Vec<u8>), LinkEnd> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let early = bytes.split_off(end + 4);
            return Ok((bytes, early));
        }
        if bytes.len() >= HEAD_MAX {
            return Err(LinkEnd::NotANode);
        }
        stream.set_read_timeout(Some(left_until(deadline)?)).map_err(end_of)?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(LinkEnd::NotANode),
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(end_of(error)),
        }
    }
}

/// Checks the answer to a handshake with this key (RFC 6455, 4.1).
fn check(head: &[u8], key: &str) -> Result<(), LinkEnd> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut fields);
    let parsed = answer.parse(head);
    let Some(status) = answer.code.filter(|_| parsed.is_ok_and(|status| status.is_complete()))
    else {
        return Err(LinkEnd::NotANode);
    };
    if status != 101 {
        return Err(LinkEnd::Declined(status));
    }
    let values = |name: &str| -> Vec<&[u8]> {
        let fields = answer.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        fields.map(|field| field.value).collect()
    };
    let is_one = |name, value: &str| matches!(values(name)[..], [only] if only.eq_ignore_ascii_case(value.as_bytes()));
    let accept = derive_accept_key(key.as_bytes());
    let is_whole = is_one("upgrade", "websocket")
        && is_one("connection", "upgrade")
        && matches!(values("sec-websocket-accept")[..], [only] if only == accept.as_bytes())
        && matches!(values("sec-websocket-protocol")[..], [only] if only == SUBPROTOCOL.as_bytes())
        && values("sec-websocket-extensions").is_empty();
    if is_whole { Ok(()) } else { Err(LinkEnd::NotANode) }
}

fn left_until(deadline: Instant) -> Result<Duration, LinkEnd> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(LinkEnd::TimedOut) } else { Ok(left) }
}

fn unreachable(why: &str) -> LinkEnd {
    LinkEnd::Unreachable(why.to_owned())
}

fn end_of(error: io::Error) -> LinkEnd {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => LinkEnd::TimedOut,
        kind => LinkEnd::Unreachable(kind.to_string()),
    }
}
