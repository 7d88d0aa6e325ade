//! The server's half of a WebSocket's handshake (RFC 6455, 4.2), strictly.
//!
//! Owns the check of the head and the key of the answer. Never writes: the live part sends the answer. No
//! extension is ever agreed on, so no frame is compressed.

use super::head::Head;
use super::refusal::Refusal;
use crate::http::message::Headers;
use tungstenite::handshake::derive_accept_key;

/// The subprotocol that nodes speak with each other; without it a client listens to events.
pub const PEER_PROTOCOL: &str = "farthing-peer";

/// A handshake that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: String,
    /// Whether it is a node that wants to speak as one.
    pub is_peer: bool,
}

impl Upgrade {
    /// The head of the answer.
    #[must_use]
    pub fn answer(&self) -> String {
        let protocol = if self.is_peer {
            format!("Sec-WebSocket-Protocol: {PEER_PROTOCOL}\r\n")
        } else {
            String::new()
        };
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{protocol}\r\n",
            self.accept
        )
    }
}

/// Whether a head asks for a WebSocket, rightly or not.
#[must_use]
pub fn is_asked(head: &Head) -> bool {
    has_token(&head.headers, "upgrade", "websocket")
}

/// Checks the head of a request for a WebSocket. Method, host and that there is no body are the route's.
///
/// # Errors
/// With the first rule that it breaks.
pub fn check(head: &Head) -> Result<Upgrade, Refusal> {
    let headers = &head.headers;
    if !is_asked(head) || only(headers, "sec-websocket-version") != Some("13") {
        return Err(Refusal::UpgradeNeeded);
    }
    if !head.is_http11 {
        return Err(Refusal::Handshake("a handshake in HTTP/1.1"));
    }
    if !has_token(headers, "connection", "upgrade") {
        return Err(Refusal::Handshake("Connection: Upgrade"));
    }
    let key = only(headers, "sec-websocket-key").filter(|key| is_key(key));
    let key = key.ok_or(Refusal::Handshake("one Sec-WebSocket-Key of 16 bytes in base64"))?;
    // Names of subprotocols are told apart by case, unlike the two above (RFC 6455, 4.1 and 4.2.1).
    let is_peer = parts(headers, "sec-websocket-protocol").any(|part| part == PEER_PROTOCOL);
    if !is_peer && values(headers, "sec-websocket-protocol").next().is_some() {
        return Err(Refusal::Handshake("no Sec-WebSocket-Protocol, or farthing-peer"));
    }
    Ok(Upgrade { accept: derive_accept_key(key.as_bytes()), is_peer })
}

fn values<'h>(headers: &'h Headers, name: &str) -> impl Iterator<Item = &'h str> {
    headers.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value)
}

/// The value of a field that stands once.
fn only<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    let mut values = values(headers, name);
    values.next().filter(|_| values.next().is_none())
}

/// The parts of a list, which may stand in several fields.
fn parts<'h>(headers: &'h Headers, name: &str) -> impl Iterator<Item = &'h str> {
    values(headers, name).flat_map(|value| value.split(',')).map(str::trim)
}

fn has_token(headers: &Headers, name: &str, token: &str) -> bool {
    parts(headers, name).any(|part| part.eq_ignore_ascii_case(token))
}

/// Whether a text is 16 bytes in base64: 22 digits, of which the last says two bits, and the padding.
fn is_key(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let Some(digits) = key.strip_suffix("==") else { return false };
    digits.len() == 22 && digits.bytes().all(is_digit) && digits.ends_with(['A', 'Q', 'g', 'w'])
}
