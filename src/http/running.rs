//! Starting and stopping the HTTP interface.
//!
//! Owns the order: limits of the process, listening socket, server, private connections, door; and back.

use super::access::Policy;
use super::door::{Door, admission::Connections, body, lanes, listener, rates::Rates};
use super::routes::{Route, Table};
use super::server::Server;
use super::settings::Settings;
use crate::runtime::Spawner;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The descriptors asked of the system; more than all parts of the node together use.
const DESCRIPTORS: u64 = 4096;

/// Why the interface cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program, perhaps another node, has the port.
    #[error("port {} of {} is in use, choose another with --port", address.port(), address.ip())]
    PortInUse {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The address is not one of this machine, or the port is reserved.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The server behind the door.
    #[error("cannot start the HTTP server behind the door: {0}")]
    Server(io::Error),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl StartError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::PortInUse { .. } => "port-in-use",
            Self::Listen { .. } => "cannot-listen",
            Self::Server(_) => "server-not-started",
            Self::Thread(_) => "thread-not-started",
        }
    }
}

/// The HTTP interface before it runs: it has its port, which names the node's files, and answers
/// nobody yet.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    local_addr: SocketAddr,
}

/// The running HTTP interface; [`Running::stop`] ends it.
pub struct Running {
    /// Where it listens, with the port that the system chose when 0 was asked for.
    pub local_addr: SocketAddr,
    door: Arc<Door>,
    server: Server,
    /// Closed to end the listener.
    stop_listener: UnixStream,
    listener_ended: crossbeam_channel::Receiver<()>,
}

impl HttpServer {
    /// Takes the port; 0 takes a free one.
    ///
    /// # Errors
    /// When the port is in use or the address is not to be had.
    pub fn bind(address: SocketAddr) -> Result<Self, StartError> {
        let listener = listen(address)?;
        let local_addr =
            listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
        Ok(Self { listener, local_addr })
    }

    /// Where it will answer.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Starts answering with these routes.
    ///
    /// # Errors
    /// When a part cannot be started; nothing is left behind then.
    pub fn start<C: Send + Sync + 'static>(
        self,
        settings: Settings,
        routes: &'static [Route<C>],
        context: Arc<C>,
        spawner: &Spawner,
    ) -> Result<Running, StartError> {
        let Self { listener, local_addr } = self;
        let limits = settings.limits.clone().within(raise_descriptors());
        let calls = lanes::calls(&limits);
        let server = Server::start(routes, context, &calls, spawner).map_err(StartError::Server)?;
        let lanes = match lanes::Lanes::open(&server.path(), &limits, calls) {
            Ok(lanes) => lanes,
            Err(error) => {
                server.stop(limits.stop_time);
                return Err(StartError::Server(error));
            }
        };
        let door = Arc::new(Door {
            policy: policy(local_addr.port(), &settings),
            table: Table::new(routes),
            rates: Rates::new(&limits),
            memory: body::Memory::default(),
            lanes,
            connections: Arc::new(Connections::new(&limits)),
            live: settings.live,
            is_stopping: AtomicBool::new(false),
            limits,
        });
        let (stop_listener, stop) = UnixStream::pair().map_err(StartError::Server)?;
        let (ended, listener_ended) = crossbeam_channel::bounded(0);
        let (listener_door, guests) = (Arc::clone(&door), spawner.clone());
        let work = move || {
            listener::run(&listener, &stop, &listener_door, &guests);
            drop(ended);
        };
        spawner.spawn("http-listener", work).map_err(StartError::Thread)?;
        Ok(Running { local_addr, door, server, stop_listener, listener_ended })
    }
}

impl Running {
    /// Stops listening, lets current requests finish for a while, cuts the rest and ends all threads. Waiting
    /// requests (mining) are cancelled at once.
    pub fn stop(self) {
        let time = self.door.limits.stop_time;
        self.door.is_stopping.store(true, Ordering::Relaxed);
        drop(self.stop_listener);
        // Disconnected when the listener has ended.
        let _ = self.listener_ended.recv_timeout(time);
        self.door.connections.stop(time);
        drop(self.door);
        self.server.stop(time);
    }

    /// The connections that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.door.connections.count()
    }
}

fn policy(port: u16, settings: &Settings) -> Policy {
    Policy::new(port, &settings.allowed_hosts, &settings.allowed_origins, &settings.token)
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => StartError::PortInUse { address },
        _ => StartError::Listen { address, source },
    })
}

/// Raises the number of descriptors the process may open, and says what it is.
fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let soft = limit.current.unwrap_or(u64::MAX);
    let wanted = soft.max(DESCRIPTORS.min(hard));
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    let now =
        if wanted > soft && setrlimit(Resource::Nofile, raised).is_ok() { wanted } else { soft };
    usize::try_from(now).unwrap_or(usize::MAX)
}
