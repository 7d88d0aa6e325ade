//! `tiny_http` behind the door: the only file that names it.
//!
//! Owns the private Unix socket, the workers and the calling of handlers. Never sees the network: whatever
//! arrives here was written by the door, whole and bounded. Invariants: there is a worker for every private
//! connection, so a request that blocks (mining) never takes the worker another lane needs, and nothing
//! ever queues here; a panic of a handler answers 500 and ends only that request.

use super::door::lanes::Calls;
use super::message::{Body, Cancelled, Headers, Method, Request, Response, Target};
use super::routes::{Match, Route, Table};
use crate::runtime::Spawner;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The field with the client's address; only the door writes it.
pub const CLIENT_FIELD: &str = "x-farthing-client";

/// The field with the private connection's number; only the door writes it.
pub const NUMBER_FIELD: &str = "x-farthing-connection";

/// The start of the directory's name in the system's directory for temporary files.
const DIRECTORY_PREFIX: &str = "farthing-http-";

/// The socket's name in it.
const SOCKET_NAME: &str = "http.sock";

/// The age below which a directory may belong to a node that is just starting.
const STARTING_TIME: Duration = Duration::from_secs(60);

/// Directories tried before giving up; only nodes of the same process id can collide.
const DIRECTORIES_MAX: u32 = 1000;

/// The running server.
pub struct Server {
    tiny: Arc<tiny_http::Server>,
    directory: PathBuf,
    is_stopping: Arc<AtomicBool>,
    workers: usize,
    worker_ended: Receiver<()>,
}

/// What a worker needs.
struct Worker<C: 'static> {
    tiny: Arc<tiny_http::Server>,
    is_stopping: Arc<AtomicBool>,
    table: Arc<Table>,
    routes: &'static [Route<C>],
    context: Arc<C>,
    calls: Arc<Calls>,
    /// Dropped when the worker ends.
    _ended: Sender<()>,
}

impl Server {
    /// Starts a server for as many private connections as `calls` knows, each with a worker.
    ///
    /// # Errors
    /// When the directory, the socket or a thread cannot be made.
    pub fn start<C: Send + Sync + 'static>(
        routes: &'static [Route<C>],
        context: Arc<C>,
        calls: &Arc<Calls>,
        spawner: &Spawner,
    ) -> io::Result<Self> {
        remove_stale(&std::env::temp_dir(), SystemTime::now());
        let directory = fresh_directory(&std::env::temp_dir())?;
        let tiny = tiny_http::Server::http_unix(&directory.join(SOCKET_NAME)).map_err(|error| {
            let _ = fs::remove_dir(&directory);
            io::Error::other(error.to_string())
        })?;
        let (sender, worker_ended) = bounded(0);
        let workers = calls.count();
        let tiny = Arc::new(tiny);
        let server = Self { tiny, directory, is_stopping: Arc::default(), workers, worker_ended };
        let table = Arc::new(Table::new(routes));
        for number in 0..workers {
            let worker = Worker {
                tiny: Arc::clone(&server.tiny),
                is_stopping: Arc::clone(&server.is_stopping),
                table: Arc::clone(&table),
                routes,
                context: Arc::clone(&context),
                calls: Arc::clone(calls),
                _ended: sender.clone(),
            };
            spawner.spawn(&format!("http-worker-{number}"), move || worker.run())?;
        }
        Ok(server)
    }

    /// Where the door connects.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join(SOCKET_NAME)
    }

    /// Ends the workers, waiting up to `time` for handlers that are still busy, and removes the socket.
    pub fn stop(self, time: Duration) {
        self.is_stopping.store(true, Ordering::Release);
        for _ in 0..self.workers {
            self.tiny.unblock();
        }
        // Disconnected when the last worker has ended; a handler that hangs is left behind.
        let _ = self.worker_ended.recv_deadline(Instant::now() + time);
        let directory = self.directory.clone();
        drop(self);
        remove(&directory);
    }
}

impl<C> Worker<C> {
    fn run(self) {
        while !self.is_stopping.load(Ordering::Acquire) {
            match self.tiny.recv() {
                Ok(call) => self.answer(call),
                Err(_) if self.is_stopping.load(Ordering::Acquire) => return,
                // Its accept loop has ended for good: better no node than one that answers nobody.
                Err(error) => panic!("the HTTP server behind the door has ended: {error}"),
            }
        }
    }

    fn answer(&self, mut call: tiny_http::Request) {
        if *call.method() == tiny_http::Method::Options {
            let _ = call.respond(tiny_http::Response::empty(204));
            return;
        }
        let number = field(&call, NUMBER_FIELD).and_then(|number| number.parse().ok());
        let (Some(number), Some((request, index))) = (number, self.request(&mut call, number))
        else {
            let _ = call.respond(
                convert(Response::failure(500, "internal-error", "the door sent no such request"))
                    .0,
            );
            return;
        };
        let handler = self.routes[index].handler;
        let run = AssertUnwindSafe(|| handler(&self.context, &request));
        let response = catch_unwind(run).unwrap_or_else(|_| {
            Response::failure(500, "internal-error", "the node failed to answer this")
        });
        let (response, stream) = convert(response);
        let Some(reader) = stream else {
            let _ = call.respond(response);
            return;
        };
        let calls = Arc::clone(&self.calls);
        let guarded = Guarded { reader, calls, number, cancelled: request.cancelled.clone() };
        let _ = call.respond(response.with_data(guarded, None).boxed());
    }

    /// The request as the handler sees it, and its route's index.
    fn request(
        &self,
        call: &mut tiny_http::Request,
        number: Option<usize>,
    ) -> Option<(Request, usize)> {
        let method = Method::from_token(call.method().as_str())?;
        let target = Target::parse(call.url()).ok()?;
        let Match::Route { index, params, .. } = self.table.find(method, &target.segments) else {
            return None;
        };
        let client = field(call, CLIENT_FIELD)?.parse().ok()?;
        let cancelled = self.calls.cancelled(number?)?;
        let mut headers = Headers::default();
        for header in call.headers() {
            let name = header.field.as_str().as_str();
            if ![CLIENT_FIELD, NUMBER_FIELD, "content-length"].contains(&name) {
                headers.push(name, header.value.as_str());
            }
        }
        let mut body = vec![0; call.body_length().unwrap_or(0)];
        call.as_reader().read_exact(&mut body).ok()?;
        Some((Request { method, target, headers, client, body, cancelled, params }, index))
    }
}

/// A field that the door wrote.
fn field<'r>(call: &'r tiny_http::Request, name: &'static str) -> Option<&'r str> {
    call.headers()
        .iter()
        .find(|header| header.field.equiv(name))
        .map(|header| header.value.as_str())
}

type Stream = Box<dyn Read + Send>;

/// The answer in the server's types, and its body apart when that is a stream.
fn convert(response: Response) -> (tiny_http::ResponseBox, Option<Stream>) {
    let mut headers = Vec::with_capacity(response.headers.len());
    for (name, value) in response.headers {
        let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        match tiny_http::Header::from_bytes(name, value.as_bytes()) {
            Ok(header) if is_plain => headers.push(header),
            _ => log::error!("the field {name} of an answer is not visible ASCII and was left out"),
        }
    }
    let (bytes, stream) = match response.body {
        Body::Bytes(bytes) => (bytes, None),
        Body::Stream(reader) => (Vec::new().into(), Some(reader)),
    };
    let length = bytes.len();
    let status = tiny_http::StatusCode(response.status);
    let boxed =
        tiny_http::Response::new(status, headers, io::Cursor::new(bytes), Some(length), None)
            // A known length is always sent as such.
            .with_chunked_threshold(usize::MAX)
            .boxed();
    (boxed, stream)
}

/// A handler's stream that ends when nobody reads any more, and tells the door when it fails: the server
/// would end a failed answer as if it were whole.
struct Guarded {
    reader: Stream,
    calls: Arc<Calls>,
    number: usize,
    cancelled: Cancelled,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancelled.is_cancelled() {
            self.calls.set_broken(self.number);
            return Ok(0);
        }
        match catch_unwind(AssertUnwindSafe(|| self.reader.read(buffer))) {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => Err(error),
            Ok(Err(error)) => {
                log::warn!("an answer breaks off: {error}");
                self.calls.set_broken(self.number);
                Ok(0)
            }
            Err(_) => {
                self.calls.set_broken(self.number);
                Ok(0)
            }
        }
    }
}

/// Makes a directory that no other user can look into.
fn fresh_directory(parent: &Path) -> io::Result<PathBuf> {
    for number in 0..DIRECTORIES_MAX {
        let path = parent.join(format!("{DIRECTORY_PREFIX}{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => return other.map(|()| path),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Removes the directories of nodes that were killed: nobody listens on their sockets any more. A young one may
/// belong to a node that is just starting, whose socket does not listen yet, so it is left for another time.
fn remove_stale(parent: &Path, now: SystemTime) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(DIRECTORY_PREFIX) {
            continue;
        }
        let made = entry.metadata().and_then(|data| data.modified());
        let is_old =
            made.is_ok_and(|made| now.duration_since(made).is_ok_and(|age| age > STARTING_TIME));
        if is_old && UnixStream::connect(entry.path().join(SOCKET_NAME)).is_err() {
            remove(&entry.path());
        }
    }
}

/// Removes a socket and its directory, and nothing else that might be there.
fn remove(directory: &Path) {
    let _ = fs::remove_file(directory.join(SOCKET_NAME));
    let _ = fs::remove_dir(directory);
}

#[cfg(test)]
mod tests {
    use super::{SOCKET_NAME, STARTING_TIME, fresh_directory, remove_stale};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::time::SystemTime;

    #[test]
    fn directories_are_private_and_only_stale_ones_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let [alive, stale, starting] = [(); 3].map(|()| fresh_directory(parent.path()).unwrap());
        let mode = alive.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let _listener = UnixListener::bind(alive.join(SOCKET_NAME)).unwrap();
        drop(UnixListener::bind(stale.join(SOCKET_NAME)).unwrap());
        std::fs::create_dir(parent.path().join("other")).unwrap();
        let now = SystemTime::now();
        let left =
            || [&alive, &stale, &starting, &parent.path().join("other")].map(|path| path.exists());
        remove_stale(parent.path(), now);
        assert_eq!(left(), [true; 4]);
        remove_stale(parent.path(), now + 2 * STARTING_TIME);
        assert_eq!(left(), [true, false, false, true]);
    }
}
