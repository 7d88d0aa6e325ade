//! Answers to clients: the original's, field by field, and the reads added to them.
//!
//! `funds`, `amount` and `balance` are numbers of coins. Whoever answers builds one of these and
//! passes it to [`super::to_json`]; blocks and transfers stand inside as their canonical text.

use super::error::{WireError, tame};
use super::field::{Field, Optional, object};
use super::shape::{self, Address, Embedded};
use crate::primitives::{Amount, BlockHash, Height, PeerAddress, PublicKey, Txid, UnixTime, Work};
use serde::{Deserialize, Serialize};

/// Characters of a peer's failure that are kept: enough to tell a person what it was, with the names
/// and ids of two chains.
const FAILURE_TEXT_MAX: usize = 400;

/// Every failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What went wrong, for people.
    pub message: String,
    /// The same for programs, in kebab case.
    pub code: String,
}

#[derive(Deserialize)]
struct RawFailure<'a> {
    #[serde(borrow)]
    message: Field<'a>,
    #[serde(borrow, default)]
    code: Optional<'a>,
}

impl Failure {
    /// Reads a peer's failure; it may have other fields beside these. The texts are cut short and
    /// freed of control characters, but they stay a stranger's words.
    ///
    /// # Errors
    /// No object, or one without a `message`.
    pub fn from_json(text: &str) -> Result<Self, WireError> {
        let raw = object::<RawFailure<'_>>(text)?;
        let code = raw.code.read(|field| field.string("code", "a string"))?;
        Ok(Self {
            message: tame(&raw.message.string("message", "a string")?, FAILURE_TEXT_MAX),
            code: tame(&code.unwrap_or_default(), FAILURE_TEXT_MAX),
        })
    }
}

/// A failure for want of a wallet.
#[derive(Clone, Debug, Serialize)]
pub struct NoWallet {
    /// For people.
    pub message: String,
    /// For programs.
    pub code: &'static str,
    /// Always false.
    pub wallet_set_up: bool,
}

/// A success with nothing to show: `POST /broadcast-block`.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// What was done.
    pub message: String,
}

/// `GET /wallet`.
#[derive(Clone, Debug, Serialize)]
pub struct Wallet {
    /// The wallet's address.
    pub public_key: Address,
    /// What it can spend.
    #[serde(serialize_with = "shape::coins")]
    pub funds: Amount,
}

/// `POST /wallet`: the one answer with a secret in it, so it has no `Debug`.
#[derive(Serialize)]
pub struct NewWallet<'a> {
    /// The wallet's address.
    pub public_key: Address,
    /// The private key in hex.
    pub private_key: &'a str,
    /// What it can spend.
    #[serde(serialize_with = "shape::coins")]
    pub funds: Amount,
}

/// `GET /balance`.
#[derive(Clone, Debug, Serialize)]
pub struct Balance {
    /// For people.
    pub message: String,
    /// What the wallet can spend.
    #[serde(serialize_with = "shape::coins")]
    pub funds: Amount,
}

/// `POST /transaction`.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    /// For people.
    pub message: String,
    /// What is left after it.
    #[serde(serialize_with = "shape::coins")]
    pub funds: Amount,
    /// The transfer.
    pub transaction: Embedded,
}

/// `POST /mine`.
#[derive(Clone, Debug, Serialize)]
pub struct Mined {
    /// For people.
    pub message: String,
    /// What the wallet has after it.
    #[serde(serialize_with = "shape::coins")]
    pub funds: Amount,
    /// The block.
    pub block: Embedded,
}

/// `POST /broadcast-transaction`.
#[derive(Clone, Debug, Serialize)]
pub struct TransferTaken {
    /// For people.
    pub message: String,
    /// The transfer.
    pub transaction: Embedded,
}

/// `POST /resolve-conflicts`.
#[derive(Clone, Debug, Serialize)]
pub struct Resolved {
    /// "Chain was replaced!" or "Local chain kept."
    pub message: String,
    /// What the wallet has after it; `null` without a wallet.
    #[serde(serialize_with = "funds_or_null")]
    pub funds: Option<Amount>,
    /// Whether another chain took the place of ours.
    pub replaced: bool,
}

fn funds_or_null<S: serde::Serializer>(
    funds: &Option<Amount>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match funds {
        Some(funds) => shape::coins(funds, serializer),
        None => serializer.serialize_none(),
    }
}

/// `POST /node` and `DELETE /node/<node>`.
#[derive(Clone, Debug, Serialize)]
pub struct NodesChanged {
    /// For people.
    pub message: String,
    /// All nodes that are kept now.
    #[serde(serialize_with = "shape::all_shown")]
    pub all_nodes: Vec<PeerAddress>,
}

/// `GET /nodes`.
#[derive(Clone, Debug, Serialize)]
pub struct Nodes {
    /// All nodes that are kept.
    #[serde(serialize_with = "shape::all_shown")]
    pub all_nodes: Vec<PeerAddress>,
    /// What is known of each.
    pub peers: Vec<Peer>,
    /// Live connections that others have opened to this node, also such as cannot be called.
    pub incoming: usize,
    /// Nodes that have opened one and are none of `peers`.
    pub guests: Vec<Guest>,
}

/// A node without an address as `GET /nodes` shows it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Guest {
    /// The number of its live connection since the start of this node.
    pub link: u64,
    /// The height of its tip; `null` if it has not shown the headers of that.
    #[serde(serialize_with = "shape::number_or_null")]
    pub height: Option<Height>,
    /// When it was last heard of.
    #[serde(serialize_with = "shape::number_or_null")]
    pub last_seen: Option<UnixTime>,
}

/// One node as `GET /nodes` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// Where it is.
    #[serde(serialize_with = "shape::shown")]
    pub node: PeerAddress,
    /// How it stands between us.
    pub state: PeerState,
    /// Its height, once it has said so.
    #[serde(serialize_with = "shape::number_or_null")]
    pub height: Option<Height>,
    /// The work of its best chain, once it has said so.
    #[serde(serialize_with = "shape::shown_or_null")]
    pub work: Option<Work>,
    /// When it was last heard of.
    #[serde(serialize_with = "shape::number_or_null")]
    pub last_seen: Option<UnixTime>,
    /// How often in a row it has not answered.
    pub failures: u32,
    /// Whether a person added it.
    pub manual: bool,
    /// Whether a live connection to it or from it is open; if not, it is called over HTTP.
    pub live: bool,
    /// Whether one to it is open.
    pub outgoing: bool,
    /// Whether one is open that it has opened.
    pub incoming: bool,
    /// What went wrong last; empty if nothing did.
    pub message: String,
}

/// How it stands between a node and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerState {
    /// Not met yet.
    New,
    /// It answers.
    Connected,
    /// It does not answer; it is tried again later.
    Unreachable,
    /// It is of another chain, or has lied, and is refused for a while.
    Refused,
}

/// `GET /transaction/<id>`.
#[derive(Clone, Debug, Serialize)]
pub struct TransactionInfo {
    /// The transfer or coinbase.
    pub transaction: Embedded,
    /// Where it stands.
    pub status: TransactionStatus,
    /// Blocks of the best chain from its own to the tip; 0 while it is open.
    pub confirmations: u32,
    /// Its block, once it is in one.
    #[serde(serialize_with = "shape::shown_or_null")]
    pub block_hash: Option<BlockHash>,
    /// The height of its block, once it is in one.
    #[serde(serialize_with = "shape::number_or_null")]
    pub block_index: Option<Height>,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransactionStatus {
    /// In the pool.
    Open,
    /// In a block of the best chain.
    Confirmed,
}

/// `GET /reorganization/<address>`: what concerns one account.
#[derive(Clone, Debug, Serialize)]
pub struct ReorganizationInfo {
    /// When it happened at this node.
    #[serde(serialize_with = "shape::number")]
    pub time: UnixTime,
    /// The height of the last block that stayed.
    #[serde(serialize_with = "shape::number")]
    pub fork: Height,
    /// Blocks that gave way.
    pub replaced: usize,
    /// The account's payments, either way, that wait again.
    pub waiting: Vec<ReorganizedPayment>,
    /// Those that can no longer be mined.
    pub dropped: Vec<DroppedPayment>,
    /// What those blocks had paid to the account.
    #[serde(serialize_with = "shape::coins")]
    pub rewards_lost: Amount,
}

/// A payment that a reorganization touched.
#[derive(Clone, Debug, Serialize)]
pub struct ReorganizedPayment {
    /// Its id.
    #[serde(serialize_with = "shape::shown")]
    pub id: Txid,
    /// Who pays.
    pub sender: Address,
    /// Who is paid.
    pub recipient: Address,
    /// How much.
    #[serde(serialize_with = "shape::coins")]
    pub amount: Amount,
}

/// One that can no longer be mined.
#[derive(Clone, Debug, Serialize)]
pub struct DroppedPayment {
    /// Which.
    #[serde(flatten)]
    pub payment: ReorganizedPayment,
    /// Why, for people.
    pub why: String,
}

/// `GET /address/<address>`.
#[derive(Clone, Debug, Serialize)]
pub struct AddressInfo {
    /// The address.
    pub address: Address,
    /// The same key in hex.
    #[serde(serialize_with = "shape::shown")]
    pub public_key: PublicKey,
    /// What it has after the tip.
    #[serde(serialize_with = "shape::coins")]
    pub balance: Amount,
    /// The nonce of its next transfer after the tip.
    pub nonce: u64,
}

#[cfg(test)]
mod tests {
    use super::super::samples::{PREFIX, block, transfer};
    use super::super::{to_json, transfer_to_json};
    use super::*;

    fn check<T: Serialize>(answer: &T, expected: &str) {
        assert_eq!(to_json(answer), expected);
    }

    fn address() -> Address {
        Address { key: transfer().sender, prefix: PREFIX }
    }

    fn funds() -> Amount {
        Amount::from_units(2_099_999_999_999_999)
    }

    #[test]
    fn the_answers_of_the_original_keep_their_fields() {
        let (key, message) = (address().to_string(), "m".to_owned());
        check(
            &Wallet { public_key: address(), funds: funds() },
            &format!(r#"{{"public_key":"{key}","funds":20999999.99999999}}"#),
        );
        check(
            &NewWallet { public_key: address(), private_key: "00", funds: Amount::ZERO },
            &format!(r#"{{"public_key":"{key}","private_key":"00","funds":0}}"#),
        );
        check(
            &Balance { message: message.clone(), funds: Amount::from_units(1) },
            r#"{"message":"m","funds":0.00000001}"#,
        );
        check(
            &NoWallet { message: message.clone(), code: "no-wallet", wallet_set_up: false },
            r#"{"message":"m","code":"no-wallet","wallet_set_up":false}"#,
        );
        check(&Done { message: message.clone() }, r#"{"message":"m"}"#);
        let resolved = Resolved { message: message.clone(), funds: None, replaced: false };
        check(&resolved, r#"{"message":"m","funds":null,"replaced":false}"#);
        let nodes = vec!["localhost:5001".parse().unwrap(), "[::1]:5002".parse().unwrap()];
        check(
            &NodesChanged { message, all_nodes: nodes },
            r#"{"message":"m","all_nodes":["localhost:5001","[::1]:5002"]}"#,
        );
    }

    #[test]
    fn transactions_and_blocks_stand_inside_answers_as_they_are() {
        let transaction = Embedded::transfer(&transfer(), PREFIX);
        let text = transfer_to_json(&transfer(), PREFIX);
        let sent = Sent { message: "m".into(), funds: Amount::ZERO, transaction };
        check(&sent, &format!(r#"{{"message":"m","funds":0,"transaction":{text}}}"#));
        let info = TransactionInfo {
            transaction: Embedded::coinbase(&block(0).coinbase, PREFIX),
            status: TransactionStatus::Confirmed,
            confirmations: 2,
            block_hash: Some(BlockHash::ZERO),
            block_index: Some(Height(3)),
        };
        let coinbase = info.transaction.as_str();
        assert!(super::super::block_to_json(&block(0), PREFIX).contains(coinbase));
        check(
            &info,
            &format!(
                concat!(
                    r#"{{"transaction":{},"status":"confirmed","confirmations":2,"#,
                    r#""block_hash":"{}","block_index":3}}"#
                ),
                coinbase,
                BlockHash::ZERO
            ),
        );
        for bad in ["", "{", "{}{}", "{},"] {
            assert!(Embedded::new(bad.to_owned()).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_account_shows_its_key_in_both_forms() {
        let info = AddressInfo {
            address: address(),
            public_key: transfer().sender,
            balance: Amount::from_units(150_000_000),
            nonce: u64::MAX,
        };
        check(
            &info,
            &format!(
                r#"{{"address":"{}","public_key":"{}","balance":1.5,"nonce":18446744073709551615}}"#,
                address(),
                "01".repeat(32)
            ),
        );
    }

    #[test]
    fn nodes_are_shown_with_the_ways_to_them() {
        let node: PeerAddress = "localhost:5001".parse().unwrap();
        let peer = Peer {
            node: node.clone(),
            state: PeerState::Connected,
            height: Some(Height(5)),
            work: None,
            last_seen: None,
            failures: 0,
            manual: true,
            live: true,
            outgoing: false,
            incoming: true,
            message: String::new(),
        };
        let guests = vec![Guest { link: 3, height: None, last_seen: Some(UnixTime(9)) }];
        let text =
            to_json(&Nodes { all_nodes: vec![node], peers: vec![peer], incoming: 2, guests });
        let expected = concat!(
            r#"{"all_nodes":["localhost:5001"],"peers":[{"node":"localhost:5001","#,
            r#""state":"connected","height":5,"work":null,"last_seen":null,"#,
            r#""failures":0,"manual":true,"live":true,"outgoing":false,"incoming":true,"message":""}],"#,
            r#""incoming":2,"guests":[{"link":3,"height":null,"last_seen":9}]}"#
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_strangers_failure_is_tamed() {
        let failure = Failure { message: "no".into(), code: "never".into() };
        assert_eq!(Failure::from_json(&to_json(&failure)), Ok(failure));
        let text = format!(r#"{{"message":"a\nb\u001b{}","other":[[]]}}"#, "c".repeat(1_000));
        let failure = Failure::from_json(&text).unwrap();
        assert_eq!(failure.message.len(), FAILURE_TEXT_MAX);
        assert!(failure.message.starts_with(r"a\nb\u{1b}ccc"), "{}", failure.message);
        assert_eq!(failure.code, "");
        assert!(Failure::from_json("<html>").is_err());
    }
}
