//! The request and the answer as handlers see them.
//!
//! Owns their types, percent-decoding and the JSON helpers. Never touches a socket and knows no HTTP library.
//! Invariant: every request a handler sees is whole, its path and query are decoded and free of control bytes.

use crate::wire::{Failure, to_json};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, never};
use std::borrow::Cow;
use std::io::Read;
use std::net::SocketAddr;

/// The methods the node knows by name; any other is answered 501.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// A read without its body.
    Head,
    /// Does something.
    Post,
    /// Replaces; no route of the node uses it.
    Put,
    /// Removes.
    Delete,
    /// Asks what is allowed; answered by the door for every route.
    Options,
    /// Changes; no route of the node uses it.
    Patch,
}

impl Method {
    /// The method of a token of a request line, exact in case; `None` for one the node does not know.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Some(match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "PATCH" => Self::Patch,
            _ => return None,
        })
    }

    /// The token of a request line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
        }
    }

    /// Whether the method promises to change nothing (RFC 9110, 9.2.1).
    #[must_use]
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options)
    }
}

/// A few header fields, names in lower case. Only those the node has a use for are kept of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Adds a field; the name is kept in lower case.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_ascii_lowercase(), value.to_owned()));
    }

    /// The value of the first field of this name, which is given in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All fields in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Why a request target cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// Not `/path` or `/path?query`, or a byte that may not stand there.
    #[error("the request target must be a path that starts with a slash, in visible ASCII")]
    Form,
    /// A percent sign without two hex digits, or bytes that are no UTF-8, or a control byte.
    #[error("the request target has a wrong percent-encoding")]
    Encoding,
}

/// The target of a request line: where it points, decoded and as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `/path?query` as it came.
    pub raw: String,
    /// The decoded segments of the path; none for `/`.
    pub segments: Vec<String>,
    /// The decoded pairs of the query, in order.
    pub query: Vec<(String, String)>,
}

impl Target {
    /// Decodes an origin-form target.
    ///
    /// # Errors
    /// When it is of another form or wrongly encoded.
    pub fn parse(raw: &str) -> Result<Self, TargetFault> {
        if !raw.starts_with('/') || !raw.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            return Err(TargetFault::Form);
        }
        let (path, query) = raw.split_once('?').unwrap_or((raw, ""));
        let segments = match &path[1..] {
            "" => Vec::new(),
            rest => {
                rest.split('/').map(|segment| decode(segment, false)).collect::<Result<_, _>>()?
            }
        };
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name, true)?, decode(value, true)?))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { raw: raw.to_owned(), segments, query })
    }
}

/// Decodes percent-encoding, and `+` as a space where the text comes from a query.
fn decode(text: &str, plus_is_space: bool) -> Result<String, TargetFault> {
    if !text.contains(['%', '+']) {
        return Ok(text.to_owned());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let high = digit().ok_or(TargetFault::Encoding)?;
                let low = digit().ok_or(TargetFault::Encoding)?;
                u8::try_from(high * 16 + low).expect("two hex digits make a byte")
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    let text = String::from_utf8(decoded).map_err(|_| TargetFault::Encoding)?;
    if text.chars().any(char::is_control) { Err(TargetFault::Encoding) } else { Ok(text) }
}

/// Tells a handler that nobody waits for its answer any more: the client left, or the node stops.
#[derive(Clone, Debug)]
pub struct Cancelled(Receiver<()>);

/// The other end of [`Cancelled`]: dropping it cancels.
#[derive(Debug)]
pub struct CancelOnDrop {
    _alive: Sender<()>,
}

impl Cancelled {
    /// A handle and the guard whose drop turns it.
    #[must_use]
    pub fn pair() -> (CancelOnDrop, Self) {
        let (sender, receiver) = bounded(0);
        (CancelOnDrop { _alive: sender }, Self(receiver))
    }

    /// A handle that never turns.
    #[must_use]
    pub fn never() -> Self {
        Self(never())
    }

    /// Whether it has turned. Cheap enough to ask in a loop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// A channel that disconnects when it turns and never carries a message, for `select!` beside a reply.
    #[must_use]
    pub fn channel(&self) -> &Receiver<()> {
        &self.0
    }
}

/// One whole request, already admitted by the door.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method; a HEAD arrives at the handler of the GET route.
    pub method: Method,
    /// Path and query.
    pub target: Target,
    /// The fields on the door's list, names in lower case.
    pub headers: Headers,
    /// Who sent it, as the door saw the socket, IPv4-mapped addresses as IPv4.
    pub client: SocketAddr,
    /// The body, at most the route's `body_max` bytes.
    pub body: Vec<u8>,
    /// Turns true when nobody waits any more.
    pub cancelled: Cancelled,
    /// The values of the pattern's `{names}`.
    pub params: Vec<(&'static str, String)>,
}

impl Request {
    /// The decoded path segment that stood at `{name}` in the route's pattern; empty when the pattern has none.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// The first value of a name in the query.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        self.target.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is sent after the head of an answer.
pub enum Body {
    /// Known bytes; sent with a Content-Length.
    Bytes(Cow<'static, [u8]>),
    /// Bytes of unknown number, read while they are sent; an error of the reader cuts the connection, so
    /// that nobody takes a part for the whole.
    Stream(Box<dyn Read + Send>),
}

/// An answer of a handler.
pub struct Response {
    /// The status code, 200 to 599.
    pub status: u16,
    /// Fields beside those the server and the door write themselves (length, connection, CORS, security).
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
}

impl Response {
    /// An answer of this content type.
    #[must_use]
    pub fn new(status: u16, content_type: &str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", content_type.to_owned())],
            body: Body::Bytes(body.into()),
        }
    }

    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Cow::Borrowed(&[])) }
    }

    /// A text that is JSON already.
    #[must_use]
    pub fn json(status: u16, json: String) -> Self {
        Self::new(status, "application/json", json.into_bytes())
    }

    /// The one shape of every failure: `{"message", "code"}`, the code in kebab-case.
    #[must_use]
    pub fn failure(status: u16, code: &str, message: &str) -> Self {
        let failure = Failure { message: message.to_owned(), code: code.to_owned() };
        Self::json(status, to_json(&failure))
    }

    /// An answer of unknown length that is read while it is sent.
    #[must_use]
    pub fn stream(status: u16, content_type: &str, reader: Box<dyn Read + Send>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", content_type.to_owned())],
            body: Body::Stream(reader),
        }
    }

    /// The same answer with one more field. Values that are not visible ASCII are left out when it is sent.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{Cancelled, Target, TargetFault};

    type Parts = (&'static [&'static str], &'static [(&'static str, &'static str)]);

    fn check(raw: &str, expected: Result<Parts, TargetFault>) {
        let found = Target::parse(raw);
        match (found, expected) {
            (Ok(target), Ok((segments, query))) => {
                assert_eq!(target.segments, segments, "{raw}");
                let pairs: Vec<_> = target
                    .query
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                assert_eq!(pairs, query, "{raw}");
            }
            (found, expected) => assert_eq!(found.err(), expected.err(), "{raw}"),
        }
    }

    #[test]
    fn targets_are_decoded_or_refused() {
        check("/", Ok((&[], &[])));
        check("/node/127.0.0.1:5001", Ok((&["node", "127.0.0.1:5001"], &[])));
        check("/node/127.0.0.1%3A5001", Ok((&["node", "127.0.0.1:5001"], &[])));
        check("/node/[::1]:5001", Ok((&["node", "[::1]:5001"], &[])));
        check(
            "/a+b%2Bc?x=1+2&y&&z=%C3%A9",
            Ok((&["a+b+c"], &[("x", "1 2"), ("y", ""), ("z", "\u{e9}")])),
        );
        check("/wallet/", Ok((&["wallet", ""], &[])));
        check("/..%2f..%2fwallet.json", Ok((&["../../wallet.json"], &[])));
        for raw in ["", "*", "wallet", "http://a/b", "a:80", "/a#b", "/a b", "/\u{e9}", "/a\0"] {
            check(raw, Err(TargetFault::Form));
        }
        for raw in ["/%", "/%4", "/%zz", "/%00", "/%0a", "/%ff", "/a?x=%", "/a?%7f=1"] {
            check(raw, Err(TargetFault::Encoding));
        }
    }

    #[test]
    fn a_handle_turns_when_its_guard_goes() {
        let (guard, cancelled) = Cancelled::pair();
        assert!(!cancelled.is_cancelled());
        drop(guard);
        assert!(cancelled.is_cancelled());
        assert!(!Cancelled::never().is_cancelled());
    }
}
