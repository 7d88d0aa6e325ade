//! What a link answers in place of the node behind it.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How the node at the end of a link is, as its caller sees it.
#[derive(Clone, Debug, Default)]
pub enum Manner {
    /// As it is.
    #[default]
    Honest,
    /// The signatures in blocks are other ones.
    ForgesBlocks,
    /// Requests of this path are answered by something else, and live connections refused, so that
    /// requests are made.
    Instead(&'static str, Answer),
}

/// What comes in place of an answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Nothing, for ever.
    Silence,
    /// A beginning, and then the same piece for ever, as fast as it is taken.
    Endless(Arc<str>, Arc<str>),
    /// The same, but a byte now and then.
    Drip(Arc<str>, Arc<str>),
}

/// How long a byte that drips lets wait.
const DRIP: Duration = Duration::from_millis(100);

impl Manner {
    /// What a request is answered in place of the node.
    pub fn instead(&self, request: &[u8]) -> Option<&Answer> {
        let Self::Instead(path, answer) = self else { return None };
        let begin = format!("GET {path}");
        request.starts_with(begin.as_bytes()).then_some(answer)
    }

    /// Whether a request is refused.
    pub fn refuses(&self, request: &[u8]) -> bool {
        matches!(self, Self::Instead(..)) && request.starts_with(b"GET /live")
    }
}

impl Answer {
    /// Answers until the caller has enough of it.
    pub fn send(&self, mut caller: &TcpStream) {
        let (begin, piece) = match self {
            Self::Silence => return,
            Self::Endless(begin, piece) | Self::Drip(begin, piece) => (begin, piece),
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
        let mut goes_on = caller.write_all(format!("{head}{begin}").as_bytes()).is_ok();
        while goes_on {
            goes_on = match self {
                Self::Drip(..) => piece.as_bytes().chunks(1).all(|byte| {
                    thread::sleep(DRIP);
                    caller.write_all(byte).is_ok()
                }),
                Self::Silence | Self::Endless(..) => caller.write_all(piece.as_bytes()).is_ok(),
            };
        }
    }
}
