//! What the routes do: a function of the context and a request each, split by topic.
//!
//! Owns the turning of requests into questions to the node, and of what it says into answers. Never
//! decides anything about the chain, and takes no JSON apart: that is `wire`'s. Each handler looks at one
//! view of the node, so that an answer never mixes two states.

pub mod blocks;
pub mod chain;
pub mod miner;
pub mod nodes;
pub mod page;
pub mod peer;
pub mod proof;
pub mod status;
pub mod transactions;
pub mod wallet;

use super::errors::ApiError;
use super::message::{Request, Response};
use crate::node::answers::{self, Stream};
use crate::wire::{self, WireError, shown};
use serde::Serialize;

/// What a handler comes to.
pub type Answer = Result<Response, ApiError>;

/// The answer that is sent for what a handler came to.
#[must_use]
pub fn respond(answer: Answer) -> Response {
    answer.unwrap_or_else(|error| {
        let response = error.response();
        log::debug!("{}: {error}", response.status);
        response
    })
}

/// A value as JSON. Answers are of the moment they are made, so nothing on the way keeps them.
fn json<T: Serialize>(status: u16, value: &T) -> Response {
    json_text(status, wire::to_json(value))
}

/// JSON that is written already.
fn json_text(status: u16, json: String) -> Response {
    Response::json(status, json).with_header("Cache-Control", "no-store")
}

/// JSON that is written while it is sent.
fn json_stream(stream: Stream) -> Response {
    Response::stream(200, "application/json", stream).with_header("Cache-Control", "no-store")
}

/// The answer to a question of another node.
fn answered(answer: answers::Answer) -> Response {
    match answer {
        answers::Answer::Text(text) => json_text(200, text),
        answers::Answer::Stream(stream) => json_stream(stream),
    }
}

/// The text of the body; `expected` says what belongs there.
fn body<'r>(request: &'r Request, expected: &'static str) -> Result<&'r str, ApiError> {
    if request.body.is_empty() {
        return Err(ApiError::NoData(expected));
    }
    std::str::from_utf8(&request.body).map_err(|_| ApiError::NotText)
}

/// A whole number in the query, if it is there.
fn number(request: &Request, name: &'static str) -> Result<Option<u32>, ApiError> {
    let Some(text) = request.query(name) else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    let wrong =
        || WireError::Number { field: name, min: 0, max: u32::MAX.into(), got: shown(text) };
    number.map(Some).ok_or_else(|| wrong().into())
}
