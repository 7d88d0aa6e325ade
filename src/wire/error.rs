//! What can be wrong with a JSON document.

use crate::primitives::amount::AmountError;
use crate::primitives::keys::AddressError;
use crate::primitives::peer_address::PeerAddressError;
use crate::primitives::text::TextError;
use serde_json::error::Category;

/// Characters of received text that an error repeats at most, so that errors stay short in logs.
const SHOWN_MAX: usize = 80;

/// How a list says that it is too long; [`WireError::from_json`] recognises it.
pub(super) const TOO_MANY: &str = "more elements than ";

/// Why a text is not the JSON shape that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not JSON.
    #[error("expected JSON: {reason} at line {line} column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// JSON, but not an object or array where one belongs.
    #[error("{reason} at line {line} column {column}")]
    Shape {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What was expected and found.
        reason: String,
    },
    /// A field is missing.
    #[error("expected a field `{0}`, it is missing")]
    Missing(String),
    /// A field does not belong here.
    #[error("field `{field}` does not belong here: expected {known}")]
    Unknown {
        /// Its name.
        field: String,
        /// The names that do belong here.
        known: String,
    },
    /// A field stands twice.
    #[error("expected field `{0}` once, it stands there twice")]
    Duplicate(String),
    /// A field holds a value of another type.
    #[error("expected {expected} in field `{field}`, got {got}")]
    Type {
        /// Its name.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
        /// The type of JSON value found.
        got: &'static str,
    },
    /// A number that is not whole, or out of range.
    #[error("expected a whole number from {min} to {max} in field `{field}`, got {got}")]
    Number {
        /// Its name.
        field: &'static str,
        /// The least that is allowed.
        min: u64,
        /// The most that is allowed.
        max: u64,
        /// The start of what was found.
        got: String,
    },
    /// Hex of another length or spelling.
    #[error("expected {digits} lower-case hex digits in field `{field}`, got {got}")]
    Hex {
        /// Its name.
        field: &'static str,
        /// How many digits belong there: `64`, or `1 to 64`.
        digits: &'static str,
        /// The start of what was found.
        got: String,
    },
    /// Another text than base64url without padding, in its one spelling.
    #[error("expected base64url without padding in field `{field}`, got {got}")]
    Base64 {
        /// Its name.
        field: &'static str,
        /// The start of what was found.
        got: String,
    },
    /// A number that is not an amount of coins.
    #[error("field `{field}`: {source}")]
    Amount {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        source: AmountError,
    },
    /// A text that is not an address.
    #[error("field `{field}`: {source}")]
    Address {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        source: AddressError,
    },
    /// A text that is not `host:port`.
    #[error("field `{field}`: {source}")]
    Node {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        source: PeerAddressError,
    },
    /// A text that may not stand in a transaction.
    #[error("field `{field}`: {source}")]
    Text {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        source: TextError,
    },
    /// A text that breaks the rules of its field.
    #[error("expected {expected} in field `{field}`, got {got}")]
    Value {
        /// Its name.
        field: &'static str,
        /// What belongs there.
        expected: String,
        /// The start of what was found.
        got: String,
    },
    /// A field that follows from the others says something else.
    #[error("expected {expected} in field `{field}`, as follows from the others, got {got}")]
    Mismatch {
        /// Its name.
        field: &'static str,
        /// What follows from the others.
        expected: String,
        /// The start of what was found.
        got: String,
    },
    /// A list longer than it can ever be.
    #[error("expected a list of at most {0} elements, got more")]
    TooMany(usize),
    /// A block without any transaction.
    #[error("expected a coinbase as first element of field `transactions`, got an empty list")]
    NoCoinbase,
    /// One element of a list is wrong.
    #[error("in element {index} of field `{field}`: {source}")]
    Element {
        /// The list's name.
        field: &'static str,
        /// Its place, from 0.
        index: usize,
        /// What is wrong with it.
        source: Box<WireError>,
    },
}

impl WireError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "json-syntax",
            Self::Shape { .. } => "json-wrong-shape",
            Self::Missing(_) => "field-missing",
            Self::Unknown { .. } => "field-unknown",
            Self::Duplicate(_) => "field-duplicate",
            Self::Type { .. } => "field-wrong-type",
            Self::Number { .. } => "field-bad-number",
            Self::Hex { .. } => "field-bad-hex",
            Self::Base64 { .. } => "field-bad-base64",
            Self::Amount { source, .. } => source.code(),
            Self::Address { source, .. } => source.code(),
            Self::Node { source, .. } => source.code(),
            Self::Text { source, .. } => source.code(),
            Self::Value { .. } => "field-bad-value",
            Self::Mismatch { .. } => "field-mismatch",
            Self::TooMany(_) => "list-too-long",
            Self::NoCoinbase => "block-without-coinbase",
            Self::Element { source, .. } => source.code(),
        }
    }

    /// Sorts out what serde_json reports as text alone; the tests pin its wording.
    pub(super) fn from_json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let mut reason = error.to_string();
        if let Some(cut) = reason.rfind(" at line ") {
            reason.truncate(cut);
        }
        if error.classify() != Category::Data {
            return Self::Syntax { line, column, reason };
        }
        let named = |start: &str| reason.strip_prefix(start)?.strip_suffix('`').map(shown);
        if let Some(field) = named("missing field `") {
            return Self::Missing(field);
        }
        if let Some(field) = named("duplicate field `") {
            return Self::Duplicate(field);
        }
        let unknown = reason.strip_prefix("unknown field `");
        if let Some((field, known)) = unknown.and_then(|rest| rest.rsplit_once("`, expected ")) {
            return Self::Unknown { field: shown(field), known: known.to_owned() };
        }
        if let Some(max) = reason.strip_prefix(TOO_MANY).and_then(|max| max.parse().ok()) {
            return Self::TooMany(max);
        }
        let parts =
            reason.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "));
        let reason = match parts {
            Some((got, expected)) => format!("expected {expected}, got {}", shown(got)),
            None => shown(&reason),
        };
        Self::Shape { line, column, reason }
    }
}

/// The start of a received text, to stand in a message: see [`tame`].
pub fn shown(text: &str) -> String {
    let mut shown = tame(text, SHOWN_MAX);
    if text.len() > SHOWN_MAX {
        shown.push_str("...");
    }
    shown
}

/// At most so many characters of a received text, without those that could forge a line of a log or turn
/// its direction. Quotes and backslashes stay: whoever puts the text into JSON escapes them, once.
pub(super) fn tame(text: &str, max: usize) -> String {
    let plain = |character| matches!(character, '"' | '\'' | '\\');
    let mut tame = String::new();
    for character in text.chars().take(max) {
        if plain(character) {
            tame.push(character);
        } else {
            tame.extend(character.escape_debug());
        }
    }
    tame.chars().take(max).collect()
}
