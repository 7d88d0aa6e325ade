//! A request head: where it ends and what it says, strictly as in RFC 9112.
//!
//! Owns the grammar checks that `httparse` leaves out, because a byte read in two ways is how one request is
//! smuggled inside another. Never reads a socket. Invariant: a [`Head`] has one host, one unambiguous body
//! length and a decoded target.

use super::refusal::Refusal;
use crate::http::access::Caller;
use crate::http::message::{Headers, Method, Target};
use crate::http::settings::{FIELDS_MAX, HEAD_MAX, LINE_MAX};
use std::net::IpAddr;

/// The fields that handlers see. Credentials and cookies are not among them.
pub const FORWARDED: [&str; 6] =
    ["accept", "content-type", "if-none-match", "last-event-id", "origin", "user-agent"];

/// Beside them, the fields that only the door and the live part look at.
const KEPT: [&str; 7] = [
    "access-control-request-method",
    "connection",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "upgrade",
];

/// Fields of which a second one would leave open which counts.
const SINGLE: [&str; 7] = [
    "host",
    "content-length",
    "transfer-encoding",
    "content-type",
    "origin",
    "authorization",
    "sec-fetch-site",
];

/// How the body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// This many bytes; 0 when the head says nothing.
    Exact(u64),
    /// Until the last chunk.
    Chunked,
}

/// One request head.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: Target,
    /// Whether the client speaks HTTP/1.1, so that an answer may be chunked.
    pub is_http11: bool,
    /// Whether the client wants to send another request afterwards.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before the body.
    pub expects_continue: bool,
    /// How the body's end is known.
    pub length: BodyLength,
    /// Fields for handlers and the live part.
    pub headers: Headers,
    forwarded: bool,
    host: Option<String>,
    fetch_site: Option<String>,
    authorization: Option<String>,
    /// Whether the body is said to be packed in some way.
    pub is_encoded: bool,
}

impl Head {
    /// What the security rules want to know.
    #[must_use]
    pub fn caller(&self, client: IpAddr) -> Caller<'_> {
        Caller {
            client,
            forwarded: self.forwarded,
            host: self.host.as_deref(),
            origin: self.headers.get("origin"),
            fetch_site: self.fetch_site.as_deref(),
            authorization: self.authorization.as_deref(),
        }
    }

    /// Whether bytes of a body may follow.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.length != BodyLength::Exact(0)
    }
}

/// Looks for the end of a head while it arrives, byte by byte and each byte once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanner {
    seen: usize,
    line_start: usize,
    lines: usize,
}

impl Scanner {
    /// Looks at what has arrived of a head so far; the length of the whole head once its empty line is there.
    ///
    /// # Errors
    /// As soon as a byte breaks a rule.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        while let Some(byte) = bytes.get(self.seen) {
            let after_cr = self.seen > self.line_start && bytes[self.seen - 1] == b'\r';
            match byte {
                b'\n' if after_cr => {
                    let is_empty = self.seen == self.line_start + 1;
                    self.seen += 1;
                    self.line_start = self.seen;
                    self.lines += 1;
                    match (is_empty, self.lines) {
                        (false, _) => {}
                        // One empty line before the request line is left over from old clients' bodies.
                        (true, 1) => {}
                        (true, _) if self.seen == 4 => return Err(Refusal::HeadForm),
                        (true, _) => return Ok(Some(self.seen)),
                    }
                    continue;
                }
                _ if after_cr => return Err(Refusal::ControlByte),
                b'\t' | b'\r' => {}
                byte if byte.is_ascii_control() => return Err(Refusal::ControlByte),
                _ => {}
            }
            self.seen += 1;
            if self.lines == 0 && self.seen > LINE_MAX {
                return Err(Refusal::LineTooLong);
            }
        }
        if self.seen >= HEAD_MAX { Err(Refusal::HeadTooLarge) } else { Ok(None) }
    }

    /// Whether nothing of a head has arrived yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }
}

/// Reads a whole head, as [`Scanner`] delimited it.
///
/// # Errors
/// With the rule it breaks.
pub fn parse(bytes: &[u8]) -> Result<Head, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(Refusal::Version),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Refusal::HeadForm),
    }
    let (Some(method), Some(path), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Refusal::HeadForm);
    };
    let fields = Fields::collect(parsed.headers)?;
    let method = Method::from_token(method).ok_or(Refusal::Method)?;
    let target = Target::parse(path)?;
    let is_http11 = version == 1;
    let host = fields.host(is_http11)?;
    Ok(Head {
        method,
        target,
        is_http11,
        keep_alive: fields.keep_alive(is_http11),
        expects_continue: fields.expects_continue(is_http11)?,
        length: fields.length(is_http11)?,
        forwarded: fields.forwarded,
        host,
        fetch_site: fields.owned("sec-fetch-site"),
        authorization: fields.owned("authorization"),
        is_encoded: fields.is_encoded(),
        headers: fields.kept(),
    })
}

/// The fields the door looks at, checked one by one.
struct Fields<'a> {
    known: Vec<(&'static str, &'a str)>,
    forwarded: bool,
}

/// The fields that are read here, beside those that are passed on.
const READ: [&str; 7] = [
    "host",
    "content-encoding",
    "content-length",
    "transfer-encoding",
    "authorization",
    "sec-fetch-site",
    "expect",
];

impl<'a> Fields<'a> {
    fn collect(headers: &[httparse::Header<'a>]) -> Result<Self, Refusal> {
        let mut fields = Fields { known: Vec::with_capacity(headers.len()), forwarded: false };
        for header in headers {
            if is_proxy_field(header.name) {
                fields.forwarded = true;
            }
            let mut names = READ.iter().chain(&FORWARDED).chain(&KEPT);
            let Some(name) = names.find(|name| name.eq_ignore_ascii_case(header.name)) else {
                continue;
            };
            if SINGLE.contains(name) && fields.get(name).is_some() {
                return Err(if *name == "host" { Refusal::Host } else { Refusal::Repeated(name) });
            }
            if !header
                .value
                .iter()
                .all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t'))
            {
                return Err(Refusal::NotAscii(name));
            }
            let value = str::from_utf8(header.value).map_err(|_| Refusal::NotAscii(name))?;
            fields.known.push((name, value));
        }
        Ok(fields)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn kept(&self) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in
            self.known.iter().filter(|(name, _)| FORWARDED.contains(name) || KEPT.contains(name))
        {
            headers.push(name, value);
        }
        headers
    }

    fn host(&self, is_http11: bool) -> Result<Option<String>, Refusal> {
        match self.get("host") {
            None if !is_http11 => Ok(None),
            Some(host) if is_host(host) => Ok(Some(host.to_owned())),
            _ => Err(Refusal::Host),
        }
    }

    fn length(&self, is_http11: bool) -> Result<BodyLength, Refusal> {
        match (self.get("content-length"), self.get("transfer-encoding")) {
            (None, None) => Ok(BodyLength::Exact(0)),
            (Some(_), Some(_)) => Err(Refusal::LengthAndEncoding),
            (None, Some(coding)) if is_http11 && coding.eq_ignore_ascii_case("chunked") => {
                Ok(BodyLength::Chunked)
            }
            (None, Some(_)) => Err(Refusal::Encoding),
            (Some(digits), None)
                if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                // More than 64 bits are too many bytes for every route, and are answered as such.
                Ok(BodyLength::Exact(digits.parse().unwrap_or(u64::MAX)))
            }
            (Some(_), None) => Err(Refusal::Length),
        }
    }

    fn keep_alive(&self, is_http11: bool) -> bool {
        let mut options = self
            .known
            .iter()
            .filter(|(name, _)| *name == "connection")
            .flat_map(|(_, value)| value.split(',').map(str::trim));
        if is_http11 {
            !options.any(|option| option.eq_ignore_ascii_case("close"))
        } else {
            options.any(|option| option.eq_ignore_ascii_case("keep-alive"))
        }
    }

    /// `identity` is no coding, only the name of there being none (RFC 9110, 12.5.3).
    fn is_encoded(&self) -> bool {
        let mut codings = self.known.iter().filter(|(name, _)| *name == "content-encoding");
        codings.any(|(_, value)| !value.eq_ignore_ascii_case("identity"))
    }

    fn expects_continue(&self, is_http11: bool) -> Result<bool, Refusal> {
        let mut expectations =
            self.known.iter().filter(|(name, _)| *name == "expect").map(|(_, value)| *value);
        let Some(first) = expectations.next() else {
            return Ok(false);
        };
        if !first.eq_ignore_ascii_case("100-continue") || expectations.next().is_some() {
            return Err(Refusal::Expectation);
        }
        // HTTP/1.0 knows no interim answers (RFC 9110, 10.1.1).
        Ok(is_http11)
    }
}

fn is_proxy_field(name: &str) -> bool {
    const PREFIX: &str = "x-forwarded";
    ["forwarded", "x-real-ip", "via"].iter().any(|known| known.eq_ignore_ascii_case(name))
        || name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Whether a value is `host`, `host:port` or `[address]:port` by its characters.
fn is_host(host: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    !host.is_empty() && host.len() <= 255 && host.bytes().all(allowed)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
