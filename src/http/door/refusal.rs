//! What the door refuses by itself, one variant a rule, and what the client is told.

use crate::http::access::Denied;
use crate::http::message::TargetFault;

/// A request that goes no further than the door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A control byte, a lone carriage return or line feed.
    #[error("the head must have lines that end with CR LF and no other control bytes")]
    ControlByte,
    /// Not the grammar of a head.
    #[error("the head must be a request line and fields as in RFC 9112")]
    HeadForm,
    /// The request target.
    #[error(transparent)]
    Target(#[from] TargetFault),
    /// None, several, or no host name at all.
    #[error("the request must have exactly one Host field that names a host")]
    Host,
    /// A field of which there may be one stands twice.
    #[error("the field {0} must stand once")]
    Repeated(&'static str),
    /// A field whose value is no visible ASCII.
    #[error("the field {0} must be visible ASCII")]
    NotAscii(&'static str),
    /// `Content-Length` that is not digits.
    #[error("the Content-Length must be digits")]
    Length,
    /// Both ways to say a body's length.
    #[error("a request must not have both Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    /// An encoding other than `chunked`, or any of HTTP/1.0.
    #[error("the Transfer-Encoding must be chunked, in HTTP/1.1")]
    Encoding,
    /// Chunks that cannot be told apart.
    #[error("the chunked body must be as in RFC 9112, without trailers and long extensions")]
    Chunks,
    /// Who may call what.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No such path.
    #[error("there is no such route")]
    NotFound,
    /// The path has other methods; the value is `Allow`.
    #[error("this route allows {0}")]
    MethodNotAllowed(String),
    /// The head did not end in time.
    #[error("the request head must arrive within its time")]
    HeadTooSlow,
    /// The body did not end in time.
    #[error("the request body must arrive within its time")]
    BodyTooSlow,
    /// More than the route takes.
    #[error("the body must be at most {0} bytes")]
    BodyTooLarge(usize),
    /// The request line.
    #[error("the request line is too long")]
    LineTooLong,
    /// A body that is not said to be JSON.
    #[error("the body must be application/json")]
    ContentType,
    /// A body that is packed.
    #[error("the body must be sent as it is, without a Content-Encoding such as gzip")]
    ContentEncoding,
    /// An expectation other than `100-continue`.
    #[error("the only expectation that is met is 100-continue")]
    Expectation,
    /// The address asks faster than it may; the value is the seconds to wait.
    #[error("too many requests or bytes from this address, try again in {0} s")]
    TooMany(u32),
    /// The fields.
    #[error("the request head is too large")]
    HeadTooLarge,
    /// A method the node does not know.
    #[error("the method is not known")]
    Method,
    /// A WebSocket route without a WebSocket's handshake, or of another version.
    #[error("this route is a WebSocket: expected Upgrade: websocket and Sec-WebSocket-Version: 13")]
    UpgradeNeeded,
    /// A handshake that breaks RFC 6455; the value says what was expected.
    #[error("expected {0}")]
    Handshake(&'static str),
    /// A WebSocket where there is none.
    #[error("this route is no WebSocket: only /live is")]
    NoUpgrade,
    /// HTTP other than 1.0 and 1.1.
    #[error("the version must be HTTP/1.1 or HTTP/1.0")]
    Version,
    /// No place in the lane, the memory for bodies, or the live part.
    #[error("the node is busy, try again")]
    Busy,
    /// The handlers' side did not answer as it should.
    #[error("the request could not be answered")]
    Internal,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::ControlByte
            | Self::HeadForm
            | Self::Target(_)
            | Self::Host
            | Self::Repeated(_)
            | Self::NotAscii(_)
            | Self::Length
            | Self::LengthAndEncoding
            | Self::Encoding
            | Self::Chunks
            | Self::Handshake(_)
            | Self::NoUpgrade => 400,
            Self::Denied(denied) => denied.status(),
            Self::NotFound => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::HeadTooSlow | Self::BodyTooSlow => 408,
            Self::BodyTooLarge(_) => 413,
            Self::LineTooLong => 414,
            Self::ContentType | Self::ContentEncoding => 415,
            Self::Expectation => 417,
            Self::UpgradeNeeded => 426,
            Self::TooMany(_) => 429,
            Self::HeadTooLarge => 431,
            Self::Internal => 500,
            Self::Method => 501,
            Self::Busy => 503,
            Self::Version => 505,
        }
    }

    /// The stable code of the answer.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ControlByte => "control-byte",
            Self::HeadForm => "malformed-head",
            Self::Target(_) => "malformed-target",
            Self::Host => "malformed-host",
            Self::Repeated(_) => "repeated-field",
            Self::NotAscii(_) => "field-not-ascii",
            Self::Length => "malformed-content-length",
            Self::LengthAndEncoding => "length-and-encoding",
            Self::Encoding => "unsupported-transfer-encoding",
            Self::Chunks => "malformed-chunks",
            Self::Denied(denied) => denied.code(),
            Self::NotFound => "not-found",
            Self::MethodNotAllowed(_) => "method-not-allowed",
            Self::HeadTooSlow | Self::BodyTooSlow => "request-too-slow",
            Self::BodyTooLarge(_) => "body-too-large",
            Self::LineTooLong => "target-too-long",
            Self::ContentType => "unsupported-content-type",
            Self::ContentEncoding => "unsupported-content-encoding",
            Self::Expectation => "expectation-failed",
            Self::TooMany(_) => "too-many-requests",
            Self::HeadTooLarge => "head-too-large",
            Self::Internal => "internal-error",
            Self::Method => "method-not-known",
            Self::Busy => "busy",
            Self::Version => "version-not-supported",
            Self::UpgradeNeeded => "upgrade-needed",
            Self::Handshake(_) => "malformed-handshake",
            Self::NoUpgrade => "no-upgrade-here",
        }
    }

    /// The fields that belong to the status.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::MethodNotAllowed(allow) => vec![("Allow", allow.clone())],
            Self::TooMany(seconds) => vec![("Retry-After", seconds.to_string())],
            Self::Busy => vec![("Retry-After", "1".to_owned())],
            Self::ContentType => vec![("Accept", "application/json".to_owned())],
            Self::ContentEncoding => vec![("Accept-Encoding", "identity".to_owned())],
            Self::UpgradeNeeded => vec![
                ("Upgrade", "websocket".to_owned()),
                ("Sec-WebSocket-Version", "13".to_owned()),
            ],
            Self::Denied(denied) if denied.status() == 401 => {
                vec![("WWW-Authenticate", "Bearer".to_owned())]
            }
            _ => Vec::new(),
        }
    }

    /// Whether the connection can still be trusted to be at the start of a request, given that the refused
    /// one had no body.
    #[must_use]
    pub fn keeps_connection(&self) -> bool {
        match self {
            Self::Denied(_)
            | Self::NotFound
            | Self::MethodNotAllowed(_)
            | Self::TooMany(_)
            | Self::ContentType
            | Self::ContentEncoding
            | Self::Busy
            | Self::Internal => true,
            Self::BodyTooLarge(_)
            | Self::Target(_)
            | Self::ControlByte
            | Self::HeadForm
            | Self::Host
            | Self::Repeated(_)
            | Self::NotAscii(_)
            | Self::Length
            | Self::LengthAndEncoding
            | Self::Encoding
            | Self::Chunks
            | Self::HeadTooSlow
            | Self::BodyTooSlow
            | Self::LineTooLong
            | Self::Expectation
            | Self::HeadTooLarge
            | Self::Method
            | Self::UpgradeNeeded
            | Self::Handshake(_)
            | Self::NoUpgrade
            | Self::Version => false,
        }
    }
}
