//! The private connections over which whole requests go to `tiny_http`, a fixed number for each lane.
//!
//! Owns those connections and the waiting for one. Invariants: a connection carries one request at a
//! time; connections are opened one at a time and each is confirmed by an answer before it is used, because
//! the server's thread pool may lose one of several that come at once; a lane never takes another's place.

use super::refusal::Refusal;
use crate::http::message::Cancelled;
use crate::http::routes::Lane;
use crate::http::settings::{Limits, Places};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is read at once from a private connection of the lane for bulk: a piece of an answer.
const BULK_BUFFER: usize = 64 * 1024;

/// The same for the other lanes: holds most answers whole.
const SMALL_BUFFER: usize = 16 * 1024;

/// How long the confirmation of a new connection may take.
const CONFIRM_TIME: Duration = Duration::from_secs(5);

/// What confirms a connection; the server answers it without any handler.
const PROBE: &[u8] = b"OPTIONS /probe HTTP/1.1\r\n\r\n";

/// What door and server share about the request on each private connection, by the connection's number.
#[derive(Debug)]
pub struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    cancelled: Mutex<Cancelled>,
    is_broken: AtomicBool,
}

impl Calls {
    fn new(count: usize) -> Self {
        let call = || Call {
            cancelled: Mutex::new(Cancelled::never()),
            is_broken: AtomicBool::new(false),
        };
        Self(std::iter::repeat_with(call).take(count).collect())
    }

    /// The number of private connections.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Begins a request on a connection.
    pub fn begin(&self, number: usize, cancelled: Cancelled) {
        self.0[number].is_broken.store(false, Ordering::Release);
        *self.0[number].cancelled.lock().unwrap_or_else(PoisonError::into_inner) = cancelled;
    }

    /// The handle of the request on a connection; `None` for a number that is none of ours.
    #[must_use]
    pub fn cancelled(&self, number: usize) -> Option<Cancelled> {
        Some(self.0.get(number)?.cancelled.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Notes that the answer on a connection ends before it is whole.
    pub fn set_broken(&self, number: usize) {
        self.0[number].is_broken.store(true, Ordering::Release);
    }

    /// Whether the answer on a connection ended before it was whole.
    #[must_use]
    pub fn is_broken(&self, number: usize) -> bool {
        self.0[number].is_broken.load(Ordering::Acquire)
    }
}

/// One private connection.
#[derive(Debug)]
pub struct Private {
    /// Its number, under which [`Calls`] knows it.
    pub number: usize,
    /// The socket; `None` when it must be opened again.
    pub stream: Option<UnixStream>,
    /// What was read of an answer.
    pub buffer: Vec<u8>,
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes {
    /// What is shared with the server.
    pub calls: Arc<Calls>,
    path: PathBuf,
    opening: Mutex<()>,
    small: Pool,
    bulk: Pool,
    wait: Pool,
}

/// The places of one lane.
#[derive(Debug)]
pub struct Pool {
    waiting_max: usize,
    queue_time: Duration,
    state: Mutex<Waiting>,
    freed: Condvar,
}

#[derive(Debug)]
struct Waiting {
    /// The last one given back is taken first: its thread is the most awake.
    idle: Vec<Private>,
    waiting: usize,
}

/// A private connection in use; it goes back to its lane when dropped.
#[derive(Debug)]
pub struct Lease<'l> {
    pool: &'l Pool,
    private: Option<Private>,
}

/// The number of private connections that these limits ask for.
#[must_use]
pub fn connections(limits: &Limits) -> usize {
    limits.small.busy_max + limits.bulk.busy_max + limits.wait.busy_max
}

/// The shared state for these limits.
#[must_use]
pub fn calls(limits: &Limits) -> Arc<Calls> {
    Arc::new(Calls::new(connections(limits)))
}

impl Lanes {
    /// Opens every private connection to the server at this path.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer.
    pub fn open(path: &Path, limits: &Limits, calls: Arc<Calls>) -> io::Result<Self> {
        let mut number = 0;
        let mut pool = |places: Places, buffer: usize| {
            let mut idle = Vec::with_capacity(places.busy_max);
            for _ in 0..places.busy_max {
                let stream = Some(open(path)?);
                idle.push(Private { number, stream, buffer: vec![0; buffer] });
                number += 1;
            }
            io::Result::Ok(Pool {
                waiting_max: places.waiting_max,
                queue_time: limits.queue_time,
                state: Mutex::new(Waiting { idle, waiting: 0 }),
                freed: Condvar::new(),
            })
        };
        let small = pool(limits.small, SMALL_BUFFER)?;
        let bulk = pool(limits.bulk, BULK_BUFFER)?;
        let wait = pool(limits.wait, SMALL_BUFFER)?;
        Ok(Self { calls, path: path.to_owned(), opening: Mutex::default(), small, bulk, wait })
    }

    /// A connection of a lane, opened again if it broke; waits for one as long as the limits say.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when too many wait or none came free, [`Refusal::Internal`] when it cannot be opened.
    pub fn take(&self, lane: Lane) -> Result<Lease<'_>, Refusal> {
        let pool = match lane {
            Lane::Small => &self.small,
            Lane::Bulk => &self.bulk,
            Lane::Wait => &self.wait,
            Lane::Live | Lane::Socket => return Err(Refusal::Internal),
        };
        let mut lease = Lease { pool, private: Some(pool.take()?) };
        if lease.private_mut().stream.is_none() {
            let _one_at_a_time = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            match open(&self.path) {
                Ok(stream) => lease.private_mut().stream = Some(stream),
                Err(error) => {
                    log::error!("cannot reach the HTTP server behind the door: {error}");
                    return Err(Refusal::Internal);
                }
            }
        }
        Ok(lease)
    }
}

impl Pool {
    /// Whether requests wait for a place.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.lock().waiting > 0
    }

    fn take(&self) -> Result<Private, Refusal> {
        let mut state = self.lock();
        if let Some(private) = state.idle.pop() {
            return Ok(private);
        }
        if state.waiting >= self.waiting_max {
            return Err(Refusal::Busy);
        }
        state.waiting += 1;
        let (mut state, _) = self
            .freed
            .wait_timeout_while(state, self.queue_time, |state| state.idle.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.idle.pop().ok_or(Refusal::Busy)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'l> Lease<'l> {
    /// The lane it belongs to.
    #[must_use]
    pub fn pool(&self) -> &'l Pool {
        self.pool
    }

    /// The connection.
    pub fn private_mut(&mut self) -> &mut Private {
        self.private.as_mut().expect("it is taken only by drop")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(private) = self.private.take() {
            let mut state = self.pool.lock();
            state.idle.push(private);
            let is_awaited = state.waiting > 0;
            drop(state);
            if is_awaited {
                self.pool.freed.notify_one();
            }
        }
    }
}

/// Opens a connection and waits for its first answer.
fn open(path: &Path) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(CONFIRM_TIME))?;
    stream.write_all(PROBE)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 256];
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    stream.set_read_timeout(None)?;
    Ok(stream)
}
