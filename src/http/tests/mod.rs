//! The whole interface over real sockets: a toy context behind the door and the server.

mod classes;
mod framing;
mod lanes;
mod limits;
mod node;
mod upgrade;

use super::access::security_fields;
use super::door::live::{LiveCall, LiveWays};
use super::{
    Class, HttpServer, Lane, Limits, Method, Request, Response, Route, Running, Settings,
    handed_over,
};
use crate::runtime::Spawner;
use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Nothing in these tests takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

const TOKEN: &str = "0123456789abcdef";

/// What the toy handlers share.
struct Toy {
    /// Told by handlers that wait.
    events: Sender<&'static str>,
    /// Lets one waiting handler go.
    release: Receiver<()>,
    /// The bytes that streams have been asked for.
    produced: Arc<AtomicUsize>,
}

static ROUTES: [Route<Toy>; 15] = [
    route(Method::Get, "/hello", Class::Public, Lane::Small, 0, hello),
    route(Method::Get, "/page", Class::Public, Lane::Small, 0, page),
    route(Method::Get, "/secret", Class::Operator, Lane::Small, 0, hello),
    route(Method::Post, "/secret", Class::Operator, Lane::Small, 0, hello),
    route(Method::Get, "/who/{name}", Class::Public, Lane::Small, 0, who),
    route(Method::Post, "/echo", Class::Public, Lane::Small, 100_000, echo),
    route(Method::Delete, "/node/{node}", Class::Operator, Lane::Small, 0, who),
    route(Method::Get, "/big/{bytes}", Class::Public, Lane::Small, 0, big),
    route(Method::Get, "/bulk/{bytes}", Class::Public, Lane::Bulk, 0, bulk),
    route(Method::Get, "/broken", Class::Public, Lane::Bulk, 0, broken),
    route(Method::Get, "/panic", Class::Public, Lane::Small, 0, panics),
    route(Method::Get, "/slow", Class::Public, Lane::Small, 0, wait),
    route(Method::Post, "/wait", Class::Operator, Lane::Wait, 0, wait),
    route(Method::Get, "/live", Class::Public, Lane::Live, 0, handed_over),
    route(Method::Get, "/socket", Class::Public, Lane::Socket, 0, handed_over),
];

const fn route(
    method: Method,
    pattern: &'static str,
    class: Class,
    lane: Lane,
    body_max: usize,
    handler: fn(&Toy, &Request) -> Response,
) -> Route<Toy> {
    Route { method, pattern, class, lane, body_max, handler }
}

fn hello(_: &Toy, _: &Request) -> Response {
    Response::json(200, r#"{"hello":true}"#.to_owned())
}

fn page(_: &Toy, _: &Request) -> Response {
    Response::new(200, "text/html; charset=utf-8", &b"<!doctype html>"[..])
}

/// Shows what the handler was given.
fn who(_: &Toy, request: &Request) -> Response {
    let headers: Vec<_> = request.headers.iter().collect();
    let param = request.params.first().map(|(_, value)| value.as_str());
    let value = serde_json::json!({
        "client": request.client, "headers": headers, "param": param, "query": request.target.query,
    });
    Response::json(200, value.to_string())
}

fn echo(_: &Toy, request: &Request) -> Response {
    Response::new(201, "application/json", request.body.clone())
}

fn big(_: &Toy, request: &Request) -> Response {
    Response::new(200, "application/json", vec![b'x'; request.param("bytes").parse().unwrap()])
}

fn bulk(toy: &Toy, request: &Request) -> Response {
    struct Counted(io::Take<io::Repeat>, Arc<AtomicUsize>);
    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1.fetch_add(read, Ordering::Relaxed);
            Ok(read)
        }
    }
    let bytes = io::repeat(b'x').take(request.param("bytes").parse().unwrap());
    Response::stream(200, "application/json", Box::new(Counted(bytes, Arc::clone(&toy.produced))))
}

fn broken(_: &Toy, _: &Request) -> Response {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
    Response::stream(200, "application/json", Box::new(io::repeat(b'x').take(100_000).chain(Fails)))
}

fn panics(_: &Toy, _: &Request) -> Response {
    std::panic::resume_unwind(Box::new("quiet"))
}

/// Waits for its release or its cancellation.
fn wait(toy: &Toy, request: &Request) -> Response {
    toy.events.send("started").unwrap();
    select! {
        recv(toy.release) -> _ => Response::json(201, r#""released""#.to_owned()),
        recv(request.cancelled.channel()) -> _ => {
            toy.events.send("cancelled").unwrap();
            Response::failure(503, "cancelled", "nobody waits")
        }
    }
}

/// A running interface and the other ends of what its handlers share.
struct World {
    running: Option<Running>,
    address: SocketAddr,
    spawner: Spawner,
    events: Receiver<&'static str>,
    release: Sender<()>,
    live: Receiver<LiveCall>,
    produced: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let (event_sender, events) = unbounded();
        let (release, release_receiver) = unbounded();
        let (live_sender, live) = bounded(1);
        let produced = Arc::new(AtomicUsize::new(0));
        let toy = Toy {
            events: event_sender,
            release: release_receiver,
            produced: Arc::clone(&produced),
        };
        let settings = Settings {
            allowed_origins: vec!["https://wallet.example".to_owned()],
            token: TOKEN.to_owned(),
            limits,
            live: Some(LiveWays { listeners: live_sender.clone(), nodes: live_sender }),
            ..Settings::default()
        };
        let spawner = Spawner::new();
        let server = HttpServer::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let running = server.start(settings, &ROUTES, Arc::new(toy), &spawner).unwrap();
        Self {
            address: running.local_addr,
            running: Some(running),
            spawner,
            events,
            release,
            live,
            produced,
        }
    }

    fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    /// A connection from another address of the loopback network, which no place is kept for.
    fn connect_from(&self, address: [u8; 4]) -> Client {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Client::new(socket.into())
    }

    /// One request on a connection of its own.
    fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.send(request);
        client.answer()
    }

    /// The host field that makes a caller one by place.
    fn host(&self) -> String {
        format!("Host: 127.0.0.1:{}\r\n", self.address.port())
    }

    /// Waits for what a handler tells.
    fn event(&self) -> &'static str {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// Waits until a condition holds.
    fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::yield_now();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            self.spawner.join_all();
        }
    }
}

/// A client that sends exactly what it is told.
struct Client {
    stream: TcpStream,
    /// Received and not yet taken.
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    /// The body, without chunks.
    body: Vec<u8>,
}

impl Answer {
    /// The values of a field, given in lower case.
    fn fields(&self, name: &str) -> Vec<String> {
        let named = |line: &str| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        self.head.lines().filter_map(named).collect()
    }

    fn field(&self, name: &str) -> Option<String> {
        let fields = self.fields(name);
        assert!(fields.len() <= 1, "{name} stands {} times in {}", fields.len(), self.head);
        fields.into_iter().next()
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a failure, which must have the one form of all failures.
    fn code(&self) -> String {
        let json = self.json();
        assert_eq!(self.field("content-type").as_deref(), Some("application/json"), "{self:?}");
        assert!(json["message"].is_string() && json.as_object().unwrap().len() == 2, "{json}");
        json["code"].as_str().unwrap().to_owned()
    }
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Sends what the other side may no longer want.
    fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads more; false at the end of the connection, however it came.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.buffer.extend_from_slice(&buffer[..read]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the client waited in vain: {error}"),
        }
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.fill() {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(end + 2)?;
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn head(&mut self) -> Option<Answer> {
        let mut head = self.line()?;
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {head}"));
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(Answer { status, head, body: Vec::new() });
            }
            head = head + "\n" + &line;
        }
    }

    /// The next answer, or `None` when the connection ends before it is whole.
    fn try_answer(&mut self) -> Option<Answer> {
        let mut answer = self.head()?;
        if let Some(length) = answer.field("content-length") {
            answer.body = self.take(length.parse().unwrap())?;
        } else if answer.field("transfer-encoding").as_deref() == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).unwrap();
                let chunk = self.take(size + 2)?;
                if size == 0 {
                    break;
                }
                answer.body.extend_from_slice(&chunk[..size]);
            }
        }
        Some(answer)
    }

    fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer and not the end of the connection")
    }

    /// Everything until the connection ends.
    fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// Checks that nothing more comes and the connection ends.
    fn assert_closed(&mut self, why: &str) {
        let rest = self.rest();
        assert!(rest.is_empty(), "{why}: {}", String::from_utf8_lossy(&rest));
    }

    /// Whether the other side is still there and silent.
    fn is_open(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
