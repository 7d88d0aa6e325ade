//! Requests written byte by byte, with whatever fields a client may send, and answers read whole.

use crate::harness::{DEADLINE, Node};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;

/// A request that is not yet sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without a body, with no fields but the ones it cannot do without.
    pub fn new(method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, fields: Vec::new(), body: Vec::new() }
    }

    /// One more field. A `Host` or `Content-Length` given here takes the place of the right one.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body that says it is JSON.
    pub fn json(self, body: impl Into<Vec<u8>>) -> Self {
        self.field("Content-Type", "application/json").body(body)
    }

    /// With a body of no stated type.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and reads the whole answer.
    pub fn send(&self, node: &Node) -> Reply {
        let mut answer = Vec::new();
        // A refused body ends in a reset, after the answer.
        let _ = self.begin(node).read_to_end(&mut answer);
        Reply::parse(&answer)
    }

    /// Sends it and leaves the answer to the caller.
    pub fn begin(&self, node: &Node) -> TcpStream {
        let mut stream = connect(node);
        let mut head = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", self.method, self.path);
        if !self.has("Host") {
            head += &format!("Host: {}\r\n", node.address());
        }
        if !self.has("Content-Length") && !self.body.is_empty() {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.fields {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("a head can be sent");
        // Who refuses a body may close before it has all arrived.
        let _ = stream.write_all(&self.body);
        stream
    }

    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

/// Checks status and code of a failure, and that it is told as all failures are.
pub fn failed(reply: &Reply, expected: (u16, &str), context: &str) {
    assert_eq!((reply.status, &*reply.code()), expected, "{context}: {reply:?}");
    let message = reply.json()["message"].as_str().map(str::len);
    assert!(message > Some(0), "{context}: {reply:?}");
    assert_eq!(reply.field("Content-Type"), Some("application/json"), "{context}: {reply:?}");
}

/// A request without a body.
pub fn call(node: &Node, method: &str, path: &str) -> Reply {
    Request::new(method, path).send(node)
}

/// A request with a body of JSON.
pub fn post(node: &Node, path: &str, body: &str) -> Reply {
    Request::new("POST", path).json(body).send(node)
}

/// Checks the status and that all these fields are there.
pub fn has(reply: &Reply, status: u16, fields: &[&str]) -> Value {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.field("Content-Type"), Some("application/json"), "{reply:?}");
    let json = reply.json();
    for field in fields {
        assert!(json.get(field).is_some(), "{field} is missing in {}", reply.text);
    }
    json
}

/// A connection to a node.
pub fn connect(node: &Node) -> TcpStream {
    let stream = TcpStream::connect(node.address()).expect("the node takes connections");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time that is not zero");
    stream
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The fields, in order.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub text: String,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut fields);
        let parsed = head.parse(bytes).expect("an HTTP answer");
        let httparse::Status::Complete(length) = parsed else {
            panic!("half an answer: {}", String::from_utf8_lossy(bytes));
        };
        let fields = head
            .headers
            .iter()
            .map(|field| (field.name.to_owned(), String::from_utf8_lossy(field.value).into_owned()))
            .collect();
        let status = head.code.expect("a status");
        let mut reply = Self { status, fields, text: String::new() };
        let body = &bytes[length..];
        let body = if reply.field("Transfer-Encoding") == Some("chunked") {
            dechunk(body)
        } else {
            body.to_vec()
        };
        reply.text = String::from_utf8(body).expect("an answer in UTF-8");
        reply
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "the field {name} stands twice");
        value
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The stable code of a failure; empty if there is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("the length of a chunk");
        let digits = std::str::from_utf8(&rest[..end]).expect("digits");
        let length = usize::from_str_radix(digits, 16).expect("hex digits");
        rest = &rest[end + 2..];
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[..length]);
        rest = &rest[length + 2..];
    }
}
