//! The way from one node to another: a TCP proxy that delays, holds back, breaks and counts.
//!
//! A [`Link`] from x to y listens where x is told that y is, and calls y from the address at which y
//! is told that x is. So each node knows the other by one address, whoever opens the connection, and
//! calling back whoever shook hands leads through the link the other way. Nothing in a node knows of
//! it.
//!
//! A [`Wire`] is one direction between two nodes. All connections between them share it, those that
//! x opened and those that y opened: a wire that is cut holds back requests as well as answers.

use crate::hostility::Manner;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes read at once.
const PIECE_BYTES: usize = 16 << 10;

/// Pieces under way in one direction of one connection at most: what a window of TCP holds.
const PIECES_MAX: usize = 64;

/// When TCP first sends again what was not acknowledged; then it waits twice as long each time.
const SENT_AGAIN: Duration = Duration::from_secs(1);

/// The longest request that is looked into before it goes on.
const REQUEST_BYTES_MAX: usize = 8 << 10;

/// What becomes of the bytes of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They arrive.
    Whole,
    /// They are held back, and nobody is told: a cable that was pulled. Once it is mended they
    /// arrive when TCP sends again what was lost.
    Silent,
    /// Connections are reset, and new ones refused.
    Reset,
}

/// How fast a wire is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// How long a byte is under way.
    pub delay: Duration,
    /// How much longer at most; the order stays.
    pub jitter: Duration,
    /// Bytes a second; without a limit if 0.
    pub bytes_per_s: u64,
}

/// One direction between two nodes.
pub struct Wire {
    state: Mutex<State>,
    mended: Condvar,
    pace: Mutex<Pace>,
    bytes: AtomicU64,
    seed: AtomicU64,
}

impl Wire {
    fn new() -> Arc<Self> {
        let (state, pace) = (Mutex::new(State::Whole), Mutex::new(Pace::default()));
        let (bytes, seed) = (AtomicU64::new(0), AtomicU64::new(1));
        Arc::new(Self { state, mended: Condvar::new(), pace, bytes, seed })
    }

    /// Cuts or mends it.
    pub fn set_state(&self, state: State) {
        *lock(&self.state) = state;
        self.mended.notify_all();
    }

    /// Makes it slower or faster from now on.
    pub fn set_pace(&self, pace: Pace) {
        *lock(&self.pace) = pace;
    }

    /// Bytes that have arrived since the start.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    fn state(&self) -> State {
        *lock(&self.state)
    }

    fn delay(&self) -> Duration {
        lock(&self.pace).delay
    }

    /// How long a piece of this size is under way, which is a little random.
    fn under_way(&self, bytes: usize) -> (Duration, Duration) {
        let pace = *lock(&self.pace);
        let seed = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let share = f64::from(u32::try_from((seed ^ (seed >> 29)) & 0xffff).expect("16 bits"));
        let late = pace.jitter.mul_f64(share / 65_535.0);
        let sending = match pace.bytes_per_s {
            0 => Duration::ZERO,
            speed => Duration::from_secs(bytes as u64) / u32::try_from(speed).unwrap_or(u32::MAX),
        };
        (pace.delay + late, sending)
    }

    /// Waits while it is silent, and then until what was sent at `sent` is sent again: a second after
    /// it was lost, and later and later. False if it resets what is under way.
    fn passes(&self, sent: Instant) -> bool {
        let mut state = lock(&self.state);
        while *state == State::Silent {
            state = self.mended.wait(state).unwrap_or_else(PoisonError::into_inner);
            let mut tries = (0..).map(|tries| sent + SENT_AGAIN * (2_u32.pow(tries) - 1));
            let now = Instant::now();
            let again = tries.find(|at| *at >= now).expect("there is always a next");
            let whole = |state: &mut State| *state == State::Whole;
            let waited = self.mended.wait_timeout_while(state, again - now, whole);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *state == State::Whole
    }
}

/// Both directions between two nodes.
#[derive(Clone)]
pub struct Wires {
    /// From the one that opens a connection.
    pub there: Arc<Wire>,
    /// To the one that opens a connection.
    pub back: Arc<Wire>,
}

impl Wires {
    /// Between two nodes that are not yet linked.
    pub fn new() -> Self {
        Self { there: Wire::new(), back: Wire::new() }
    }

    /// As the other node sees them.
    pub fn reversed(&self) -> Self {
        Self { there: self.back.clone(), back: self.there.clone() }
    }
}

/// Where a link begins and ends.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Where the caller finds the called.
    pub listens: SocketAddrV4,
    /// From where the called is called, which is where it finds the caller.
    pub calls_from: Ipv4Addr,
    /// Where the called really listens.
    pub called: SocketAddrV4,
    /// Where the caller really listens; a handshake of anybody else is not let through.
    pub caller_port: u16,
}

/// What a link shares with its connections.
struct Shared {
    ends: Ends,
    wires: Wires,
    manner: Mutex<Manner>,
    faults: Arc<AtomicU64>,
    is_over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// The way by which one node calls another. Ends with all its connections when dropped.
pub struct Link {
    shared: Arc<Shared>,
}

impl Link {
    /// Opens the way.
    pub fn open(ends: Ends, wires: Wires) -> io::Result<Self> {
        let listener = TcpListener::bind(ends.listens)?;
        let (manner, open) = (Mutex::default(), Mutex::new(Vec::new()));
        let (faults, is_over) = (Arc::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { ends, wires, manner, faults, is_over, open });
        let link = Self { shared: shared.clone() };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = shared.clone();
                thread::spawn(move || shared.connect(stream));
            }
        });
        Ok(link)
    }

    /// Where the caller finds the called.
    pub fn address(&self) -> SocketAddrV4 {
        self.shared.ends.listens
    }

    /// Makes the called lie or dawdle as the caller sees it.
    pub fn set_manner(&self, manner: Manner) {
        *lock(&self.shared.manner) = manner;
    }

    /// How often it has lied or dawdled.
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }

    /// Resets all connections that are open.
    pub fn reset(&self) {
        for stream in lock(&self.shared.open).drain(..) {
            reset(&stream);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for wire in [&self.shared.wires.there, &self.shared.wires.back] {
            wire.set_state(State::Reset);
        }
        self.reset();
        // Wakes the one that accepts, which then sees that it is over.
        drop(TcpStream::connect(self.shared.ends.listens));
    }
}

impl Shared {
    /// Carries one connection until it ends. What fails here is an end like any other.
    fn connect(self: Arc<Self>, caller: TcpStream) {
        let accepted = Instant::now();
        if [&self.wires.there, &self.wires.back].iter().any(|wire| wire.state() == State::Reset) {
            return reset(&caller);
        }
        self.keep(&caller);
        let Some((request, read)) = self.first_request(&caller) else { return reset(&caller) };
        let manner = lock(&self.manner).clone();
        if manner.refuses(&request) {
            return reset(&caller);
        }
        if let Some(answer) = manner.instead(&request) {
            self.faults.fetch_add(1, Ordering::SeqCst);
            return answer.send(&caller);
        }
        // A call that was given up while the wire was cut never arrives.
        if !self.wires.there.passes(accepted) || has_left(&caller) {
            return reset(&caller);
        }
        let Ok(called) = self.call() else { return reset(&caller) };
        self.keep(&called);
        let (Ok(from), Ok(to)) = (caller.try_clone(), called.try_clone()) else { return };
        // A connection that opens costs a way there and back before anything is sent.
        let begins = accepted.max(read) + 2 * self.wires.there.delay();
        let there = Pipe { wire: self.wires.there.clone(), begins, forged: None };
        let forges = request.starts_with(b"GET /blocks") && matches!(manner, Manner::ForgesBlocks);
        let forged = forges.then(|| self.faults.clone());
        let back = Pipe { wire: self.wires.back.clone(), begins: accepted, forged };
        thread::spawn(move || there.run(request, from, to));
        back.run(Vec::new(), called, caller);
    }

    fn keep(&self, stream: &TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut open = lock(&self.open);
        open.retain(|stream| stream.peer_addr().is_ok());
        open.extend(stream.try_clone());
        if self.is_over.load(Ordering::SeqCst) {
            open.iter().for_each(reset);
        }
    }

    /// What comes first; a handshake whole. `None` if it is one of a node that this is not the way
    /// of: addresses that nodes tell each other make no new ways.
    fn first_request(&self, mut caller: &TcpStream) -> Option<(Vec<u8>, Instant)> {
        let mut request = Vec::new();
        let mut piece = [0; PIECE_BYTES];
        loop {
            let count = caller.read(&mut piece).ok().filter(|count| *count > 0)?;
            request.extend_from_slice(&piece[..count]);
            if !request.starts_with(b"POST /handshake") {
                return Some((request, Instant::now()));
            }
            if request.ends_with(b"}") {
                let own = format!("\"node\":{},", self.ends.caller_port);
                let is_own = String::from_utf8_lossy(&request).contains(&own);
                return is_own.then(|| (request, Instant::now()));
            }
            if request.len() > REQUEST_BYTES_MAX {
                return None;
            }
        }
    }

    fn call(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // Or a link that opens later might find its port taken by a connection that is over.
        socket.set_reuse_address(true)?;
        socket.bind(&SockAddr::from(SocketAddrV4::new(self.ends.calls_from, 0)))?;
        socket.connect(&SockAddr::from(SocketAddr::V4(self.ends.called)))?;
        Ok(socket.into())
    }
}

/// Bytes with the moment at which they arrive.
type Piece = (Instant, Vec<u8>);

/// One direction of one connection.
struct Pipe {
    wire: Arc<Wire>,
    begins: Instant,
    /// Counts what is forged, if anything is.
    forged: Option<Arc<AtomicU64>>,
}

impl Pipe {
    fn run(self, first: Vec<u8>, from: TcpStream, to: TcpStream) {
        let (sender, pieces) = sync_channel(PIECES_MAX);
        let Self { wire, begins, forged } = self;
        let arrives = wire.clone();
        let reader = thread::spawn(move || {
            let mut reading = Reading { wire, free: begins, arrived: begins, sender };
            if first.is_empty() || reading.put(first) {
                reading.run(from, forged.as_deref());
            }
        });
        deliver(&arrives, &pieces, &to);
        drop(pieces);
        let _ = reader.join();
    }
}

/// The end of a pipe at which bytes come in.
struct Reading {
    wire: Arc<Wire>,
    /// When the wire has sent all before it.
    free: Instant,
    /// When the last piece arrives.
    arrived: Instant,
    sender: SyncSender<Piece>,
}

impl Reading {
    fn run(mut self, mut from: TcpStream, forged: Option<&AtomicU64>) {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            let mut bytes = piece[..count].to_vec();
            if let Some(forged) = forged {
                forged.fetch_add(forge(&mut bytes), Ordering::SeqCst);
            }
            if !self.put(bytes) {
                return;
            }
        }
    }

    fn put(&mut self, bytes: Vec<u8>) -> bool {
        let (under_way, sending) = self.wire.under_way(bytes.len());
        self.free = self.free.max(Instant::now()) + sending;
        self.arrived = self.arrived.max(self.free + under_way);
        self.sender.send((self.arrived, bytes)).is_ok()
    }
}

/// The end of a pipe at which bytes come out.
fn deliver(wire: &Wire, pieces: &Receiver<Piece>, mut to: &TcpStream) {
    for (arrives, bytes) in pieces {
        thread::sleep(arrives.saturating_duration_since(Instant::now()));
        if !wire.passes(arrives) || to.write_all(&bytes).is_err() {
            return reset(to);
        }
        wire.bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    }
    if wire.passes(Instant::now()) {
        let _ = to.shutdown(Shutdown::Write);
    } else {
        reset(to);
    }
}

/// Puts other digits into the signatures, and returns into how many.
fn forge(bytes: &mut [u8]) -> u64 {
    const NAME: &[u8] = b"\"signature\":\"";
    let found: Vec<usize> = (NAME.len()..bytes.len())
        .filter(|at| bytes[..*at].ends_with(NAME) && bytes[*at].is_ascii_hexdigit())
        .collect();
    for &at in &found {
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    }
    found.len() as u64
}

/// Whether whoever opened a connection has closed it.
fn has_left(stream: &TcpStream) -> bool {
    let wait = |wait: bool| stream.set_nonblocking(!wait).is_err();
    let left = wait(false) || matches!(stream.peek(&mut [0]), Ok(0));
    wait(true) || left
}

/// Ends a connection so that both sides notice.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Both);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
