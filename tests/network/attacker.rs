//! Attackers with addresses of their own, who speak as nodes do: over HTTP and over live connections.
//!
//! They shake hands as the protocol wants it, and what they are asked they have not.

use crate::mirror::DEV;
use farthing::net::links::FRAME_MAX;
use farthing::primitives::{Height, UnixTime, Work};
use farthing::testkit::TestChain;
use farthing::wire::{Frame, Handshake, PEER_VERSION, Question, Reach};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tungstenite::protocol::Role;
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

/// How long an attacker waits for a node that takes nothing, before it comes again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where all who were called answer.
const PORT: u16 = 7_000;

/// Someone at an address, and the node that it turns to.
#[derive(Clone, Copy, Debug)]
pub struct Attacker {
    /// Its address.
    pub at: Ipv4Addr,
    /// Where the node listens.
    pub node: SocketAddrV4,
}

impl Attacker {
    /// A connection from its address.
    pub fn connect(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SockAddr::from(SocketAddrV4::new(self.at, 0)))?;
        socket.connect(&SockAddr::from(self.node))?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// What it says of itself: a node with the first block, which can be called back at its address.
    pub fn handshake(&self) -> Handshake {
        let chain = TestChain::dev();
        let tip = chain.chain.tip();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        Handshake {
            chain_id: chain.chain.chain_id(),
            chain: "dev".parse().expect("a short name"),
            version: PEER_VERSION,
            height: Height::GENESIS,
            tip: tip.hash,
            work: Work::ZERO,
            instance: u64::from(u32::from(self.at)),
            node: Some(Reach::Port(PORT)),
            linked: false,
            time: UnixTime(u32::try_from(time).expect("before 2106")),
        }
    }

    /// Answers calls at its address for as long as the test runs.
    pub fn answers_calls(self) {
        let listener = TcpListener::bind((self.at, PORT)).expect("an address of this machine");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Who calls and leaves is not missed.
                thread::spawn(move || drop(self.answer(&stream)));
            }
        });
    }

    fn answer(self, stream: &TcpStream) -> io::Result<()> {
        let (head, _) = read_message(&mut BufReader::new(stream))?;
        let (status, body) = match head.split(' ').nth(1) {
            Some("/handshake") => ("200 OK", self.handshake().to_json()),
            Some("/fetch-transactions") => ("200 OK", "[]".to_owned()),
            _ => ("404 Not Found", NOTHING.to_owned()),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
        let rest = format!("Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        (&mut &*stream).write_all((head + &rest).as_bytes())
    }

    /// A live connection on which hands were shaken.
    pub fn line(&self) -> io::Result<Line> {
        let uri = format!("ws://{}/live", self.node).parse().expect("an address");
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("farthing-peer");
        let stream = self.connect()?;
        let (mut socket, _) = tungstenite::client(request, stream.try_clone()?)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let hello = Handshake { node: None, ..self.handshake() };
        let ask = Frame::Ask { id: 0, question: Question::Handshake(hello) }.to_json(DEV);
        socket.send(Message::text(ask)).map_err(io::Error::other)?;
        let answer = socket.read().map_err(io::Error::other)?;
        let text = answer.to_text().map_err(io::Error::other)?;
        if !text.starts_with(r#"{"answer":0,"status":200"#) {
            return Err(io::Error::other(text.to_owned()));
        }
        Ok(Line { stream, sends: Mutex::new(()), attacker: *self })
    }
}

/// What is answered that is not there.
const NOTHING: &str = r#"{"message":"there is nothing here","code":"not-found"}"#;

/// Reads a head and a body over HTTP.
fn read_message(reader: &mut impl BufRead) -> io::Result<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let start = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = head[start..].trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

/// Requests over one connection for as long as the node keeps it, then over the next.
pub struct Requests {
    attacker: Attacker,
    open: Option<BufReader<TcpStream>>,
}

impl Requests {
    /// Of this attacker.
    pub fn of(attacker: &Attacker) -> Self {
        Self { attacker: *attacker, open: None }
    }

    /// Posts JSON, and returns the status.
    pub fn post(&mut self, path: &str, body: &str) -> io::Result<u16> {
        let mut reader = match self.open.take() {
            Some(reader) => reader,
            None => BufReader::new(self.attacker.connect()?),
        };
        let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n", self.attacker.node);
        let length = format!("Content-Length: {}\r\n", body.len());
        let text = format!("{head}{length}Content-Type: application/json\r\n\r\n{body}");
        reader.get_mut().write_all(text.as_bytes())?;
        let (head, _) = read_message(&mut reader)?;
        if !head.to_ascii_lowercase().contains("connection: close") {
            self.open = Some(reader);
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| io::Error::other(head))
    }
}

/// A live connection of an attacker.
pub struct Line {
    stream: TcpStream,
    /// Held while a text is sent.
    sends: Mutex<()>,
    attacker: Attacker,
}

/// Bytes around the payload of a frame.
const FRAME_HEAD: usize = 14;

impl Line {
    /// Sends a text, in frames as long as may be.
    pub fn send(&self, text: &str) -> io::Result<()> {
        let _turn = self.sends.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = text.as_bytes().chunks(FRAME_MAX);
        let last = pieces.len() - 1;
        for (place, piece) in pieces.enumerate() {
            let (kind, is_last) = (u8::from(place == 0), place == last);
            self.send_frame(kind | if is_last { 0x80 } else { 0 }, piece)?;
        }
        Ok(())
    }

    /// Begins a text and goes on with it for ever: a piece of it that is not the last.
    pub fn send_piece(&self, is_first: bool, piece: &[u8]) -> io::Result<()> {
        let _turn = self.sends.lock().unwrap_or_else(PoisonError::into_inner);
        self.send_frame(u8::from(is_first), piece)
    }

    /// Sends a frame whose first byte is given (RFC 6455, 5.2), under a mask of zeros.
    fn send_frame(&self, first: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + FRAME_HEAD);
        frame.extend([first, 0x80 | 127]);
        frame.extend((payload.len() as u64).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload);
        (&mut &self.stream).write_all(&frame)
    }

    /// Answers what it is asked until the connection ends.
    pub fn answer_all(&self) {
        let Ok(stream) = self.stream.try_clone() else { return };
        let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => {
                    let Ok(Frame::Ask { id, question }) = Frame::from_json(&text, DEV) else {
                        continue;
                    };
                    let (status, body) = match question {
                        Question::Handshake(_) => (200, self.attacker.handshake().to_json()),
                        Question::Transfers { .. } => (200, "[]".to_owned()),
                        _ => (404, NOTHING.to_owned()),
                    };
                    if self.send(&Frame::Answer { id, status, body }.to_json(DEV)).is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if is_patience(&error) => {}
                Err(_) => return,
            }
        }
    }

    /// Ends it for both sides.
    pub fn end(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
