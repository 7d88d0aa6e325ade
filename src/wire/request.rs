//! What clients ask for: the bodies of their requests.

use super::error::WireError;
use super::field::{Field, Optional, object};
use crate::primitives::text::ShortText;
use crate::primitives::{AddressPrefix, Amount, Expiry, Memo, PeerAddress, PublicKey};
use serde::Deserialize;

/// Threads that the miner may be told to use at most: more than machines have is a slip of typing.
pub const MINER_THREADS_MAX: u32 = 256;

/// A client's name for a request, so that asking again does not pay again.
pub type RequestId = ShortText<64>;

/// `POST /transaction`: what the wallet is to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendRequest {
    /// Who is paid; a key on the curve.
    pub recipient: PublicKey,
    /// What the recipient gets.
    pub amount: Amount,
    /// What the miner gets; nothing if left out.
    pub fee: Amount,
    /// The sender's words; none if left out.
    pub memo: Memo,
    /// Until when it may be mined; for ever if left out.
    pub expiry: Expiry,
    /// The client's name for this request; never empty.
    pub request_id: Option<RequestId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSendRequest<'a> {
    #[serde(borrow)]
    recipient: Field<'a>,
    #[serde(borrow)]
    amount: Field<'a>,
    #[serde(borrow, default)]
    fee: Optional<'a>,
    #[serde(borrow, default)]
    memo: Optional<'a>,
    #[serde(borrow, default)]
    expiry: Optional<'a>,
    #[serde(borrow, default)]
    request_id: Optional<'a>,
}

impl SendRequest {
    /// Reads `{"recipient","amount"}` with optional `fee`, `memo`, `expiry`, `request_id`.
    ///
    /// # Errors
    /// Any other shape; a recipient that could never spend.
    pub fn from_json(text: &str, prefix: AddressPrefix) -> Result<Self, WireError> {
        let raw = object::<RawSendRequest<'_>>(text)?;
        let expiry = raw.expiry.read(|field| field.u32("expiry"))?;
        Ok(Self {
            recipient: raw.recipient.spendable_key("recipient", prefix)?,
            amount: raw.amount.amount("amount")?,
            fee: raw.fee.read(|field| field.amount("fee"))?.unwrap_or_default(),
            memo: raw.memo.read(|field| field.short_text("memo"))?.unwrap_or_default(),
            expiry: expiry.map_or(Expiry::NEVER, Expiry),
            request_id: raw.request_id.read(read_request_id)?,
        })
    }
}

fn read_request_id(field: Field<'_>) -> Result<RequestId, WireError> {
    let id: RequestId = field.short_text("request_id")?;
    if id.as_str().is_empty() {
        let expected = "a text that is not empty".to_owned();
        return Err(WireError::Value { field: "request_id", expected, got: "\"\"".to_owned() });
    }
    Ok(id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNodeRequest<'a> {
    #[serde(borrow)]
    node: Field<'a>,
}

/// Reads `POST /node`: `{"node":"host:port"}`.
///
/// # Errors
/// Any other shape.
pub fn node_from_json(text: &str) -> Result<PeerAddress, WireError> {
    object::<RawNodeRequest<'_>>(text)?.node.node("node")
}

/// `POST /miner`: what the continuous miner is to do; what is left out stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MinerRequest {
    /// Whether it mines.
    pub on: Option<bool>,
    /// With how many threads, 1 to [`MINER_THREADS_MAX`].
    pub threads: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMinerRequest<'a> {
    #[serde(borrow, default)]
    on: Optional<'a>,
    #[serde(borrow, default)]
    threads: Optional<'a>,
}

impl MinerRequest {
    /// Reads `{"on","threads"}`, both optional.
    ///
    /// # Errors
    /// Any other shape.
    pub fn from_json(text: &str) -> Result<Self, WireError> {
        let raw = object::<RawMinerRequest<'_>>(text)?;
        let threads =
            raw.threads.read(|field| field.whole("threads", 1, MINER_THREADS_MAX.into()))?;
        Ok(Self {
            on: raw.on.read(|field| field.truth("on"))?,
            threads: threads.map(|count| u32::try_from(count).expect("within its range")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::PREFIX;
    use super::*;

    fn key() -> PublicKey {
        // The generator's x coordinate: a key surely on the curve.
        let hex = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        PublicKey::from_address(hex, PREFIX).unwrap()
    }

    fn send(rest: &str) -> Result<SendRequest, WireError> {
        let text = format!(r#"{{"recipient":"{}",{rest}}}"#, key().to_address(PREFIX));
        SendRequest::from_json(&text, PREFIX)
    }

    #[test]
    fn what_a_client_leaves_out_is_nothing() {
        let plain = SendRequest {
            recipient: key(),
            amount: Amount::from_units(1),
            fee: Amount::ZERO,
            memo: Memo::default(),
            expiry: Expiry::NEVER,
            request_id: None,
        };
        assert_eq!(send(r#""amount":1e-8"#), Ok(plain.clone()));
        let full = SendRequest {
            fee: Amount::from_units(2),
            memo: "für dich".parse().unwrap(),
            expiry: Expiry(9),
            request_id: Some("a-1".parse().unwrap()),
            ..plain
        };
        let rest = r#""amount":0.00000001,"fee":2E-8,"memo":"f\u00fcr dich","expiry":9,"request_id":"a-1""#;
        assert_eq!(send(rest), Ok(full));
    }

    #[test]
    fn what_is_wrong_with_a_payment_is_named() {
        for (rest, message) in [
            (r#""amount":"5""#, "expected a number of coins in field `amount`, got a string"),
            (r#""amount":null"#, "expected a number of coins in field `amount`, got null"),
            (r#""fee":1"#, "expected a field `amount`, it is missing"),
            (r#""amount":1,"fee":null"#, "expected a number of coins in field `fee`, got null"),
            (r#""amount":1,"memo":7"#, "expected a string in field `memo`, got a number"),
            (
                r#""amount":1,"memo":"a\nb""#,
                "field `memo`: expected text without control characters, got U+000A",
            ),
            (
                r#""amount":1,"expiry":1.0"#,
                "expected a whole number from 0 to 4294967295 in field `expiry`, got 1.0",
            ),
            (
                r#""amount":1,"request_id":"""#,
                "expected a text that is not empty in field `request_id`, got \"\"",
            ),
            (
                r#""amount":1,"to":"x""#,
                "field `to` does not belong here: expected one of `recipient`, `amount`, `fee`, \
                 `memo`, `expiry`, `request_id`",
            ),
        ] {
            assert_eq!(send(rest).unwrap_err().to_string(), message, "{rest}");
        }
        let off_curve = "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34";
        let text = format!(r#"{{"recipient":"{off_curve}","amount":1}}"#);
        let error = SendRequest::from_json(&text, PREFIX).unwrap_err();
        assert_eq!(error.code(), "address-not-on-curve");
    }

    #[test]
    fn a_node_is_a_host_and_a_port() {
        let node = node_from_json(r#"{"node":"LOCALHOST:5001"}"#).unwrap();
        assert_eq!(node.to_string(), "localhost:5001");
        for (text, code) in [
            (r#"{"node":"http://a:1"}"#, "node-not-host-port"),
            (r#"{"node":5001}"#, "field-wrong-type"),
            ("{}", "field-missing"),
            ("", "json-syntax"),
        ] {
            assert_eq!(node_from_json(text).unwrap_err().code(), code, "{text}");
        }
    }

    #[test]
    fn the_miner_is_told_what_changes_only() {
        for (text, on, threads) in [
            ("{}", None, None),
            (r#"{"on":true}"#, Some(true), None),
            (r#"{"on":false,"threads":4}"#, Some(false), Some(4)),
        ] {
            assert_eq!(MinerRequest::from_json(text), Ok(MinerRequest { on, threads }), "{text}");
        }
        for (text, code) in [
            (r#"{"on":1}"#, "field-wrong-type"),
            (r#"{"on":null}"#, "field-wrong-type"),
            (r#"{"threads":0}"#, "field-bad-number"),
            (r#"{"threads":1025}"#, "field-bad-number"),
        ] {
            assert_eq!(MinerRequest::from_json(text).unwrap_err().code(), code, "{text}");
        }
    }
}
