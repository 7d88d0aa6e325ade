//! Transfers: pay, take from others, list, look up.

use super::{Answer, answered, body, json, json_stream, json_text};
use crate::chain::pool::PoolError;
use crate::http::api::Api;
use crate::http::errors::ApiError;
use crate::http::handlers::blocks::{best_block, read};
use crate::http::message::Request;
use crate::node::{NodeError, Origin, TransferOutcome, View, answers};
use crate::primitives::{Amount, Block, Coinbase, Height, Transfer, Txid};
use crate::wire::{
    Embedded, Question, SendRequest, Sent, TransactionInfo, TransactionStatus, TransferTaken,
    WireError, buckets_from_query, shown, transfer_from_json,
};

/// The newest blocks that are searched for a transaction: there is no index of all of them.
const SEARCHED_BLOCKS_MAX: usize = 100;

/// Bytes of stored blocks that are searched at most: anyone may ask, and reading them takes some 10 ms.
const SEARCHED_BYTES_MAX: u64 = 8 << 20;

/// `POST /transaction`: pays from the wallet.
///
/// # Errors
/// No wallet, another shape, or a payment that is refused.
pub fn send(api: &Api, request: &Request) -> Answer {
    if api.node.view().wallet.is_none() {
        return Err(ApiError::NoSender);
    }
    let text = body(request, "an object with `recipient` and `amount`")?;
    let wanted = SendRequest::from_json(text, api.prefix())?;
    let transfer = api.node.send(wanted)?;
    let answer = Sent {
        message: "Successfully added transaction.".to_owned(),
        funds: api.node.view().funds().unwrap_or(Amount::ZERO),
        transaction: Embedded::transfer(transfer.transfer(), api.prefix()),
    };
    Ok(json(201, &answer))
}

/// `POST /broadcast-transaction`: takes a signed transfer. One that is known already is taken again with
/// the same answer; one that waits for its predecessor is answered 202, because it is not passed on yet.
///
/// # Errors
/// Another shape, or a transfer that is refused.
pub fn broadcast(api: &Api, request: &Request) -> Answer {
    let text = body(request, "a transaction object")?;
    let transfer = transfer_from_json(text, api.prefix())?;
    let transaction = Embedded::transfer(&transfer, api.prefix());
    let (status, message) = match api.node.submit_transfer(transfer, Origin::Anyone) {
        Ok(TransferOutcome::Pending(_)) => (201, "Successfully added transaction."),
        Ok(TransferOutcome::Waiting(_)) => {
            (202, "The transaction waits for the one with the nonce before it.")
        }
        Err(NodeError::Pool(PoolError::AlreadyKnown(_))) => {
            (201, "The transaction is already known.")
        }
        Err(error) => return Err(error.into()),
    };
    Ok(json(status, &TransferTaken { message: message.to_owned(), transaction }))
}

/// `GET /transactions`: the open ones, the first to arrive first, streamed.
///
/// # Errors
/// None.
pub fn open(api: &Api, _: &Request) -> Answer {
    Ok(json_stream(answers::pool(&api.node)))
}

/// `GET /transactions/summary`: the open ones in short, for nodes that compare theirs.
///
/// # Errors
/// None.
pub fn summary(api: &Api, _: &Request) -> Answer {
    Ok(json_text(200, answers::pool_summary(&api.node)))
}

/// `GET /transactions/ids?buckets=`: the ids of the open ones that begin with some bytes.
///
/// # Errors
/// No buckets, a wrong one, or too many.
pub fn ids(api: &Api, request: &Request) -> Answer {
    let missing = || WireError::Missing("buckets".to_owned());
    let buckets = request.query("buckets").filter(|text| !text.is_empty()).ok_or_else(missing)?;
    Ok(json_text(200, answers::pool_ids(&api.node, &buckets_from_query(buckets)?)))
}

/// `POST /fetch-transactions`: open ones by their ids, or transfers of a block by their places.
///
/// # Errors
/// Another shape, no such block, or a place that it does not have.
pub fn fetch(api: &Api, request: &Request) -> Answer {
    let text = body(request, "an object with `ids`, or with `block` and `indexes`")?;
    let question = Question::fetch_from_json(text)?;
    let answer = answers::answer(&api.node, &question, api.salt);
    Ok(answered(answer.expect("both are of the chain and the pool")?))
}

/// `GET /transaction/<id>`: an open one, one of the newest blocks, or one of the block that `?block=` names.
///
/// # Errors
/// No such transaction there.
pub fn info(api: &Api, request: &Request) -> Answer {
    let view = api.node.view();
    let id = id(request)?;
    if let (Some(pending), None) = (view.chain.pool().get(&id), request.query("block")) {
        let answer = TransactionInfo {
            transaction: Embedded::transfer(pending.transfer(), api.prefix()),
            status: TransactionStatus::Open,
            confirmations: 0,
            block_hash: None,
            block_index: None,
        };
        return Ok(json(200, &answer));
    }
    let found = find(api, &view, &id, request.query("block"))?;
    let transaction = match found.transaction() {
        Mined::Coinbase(coinbase) => Embedded::coinbase(coinbase, api.prefix()),
        Mined::Transfer(transfer) => Embedded::transfer(transfer, api.prefix()),
    };
    let answer = TransactionInfo {
        transaction,
        status: TransactionStatus::Confirmed,
        confirmations: view.chain.height().0 - found.height.0 + 1,
        block_hash: Some(found.block.hash()),
        block_index: Some(found.height),
    };
    Ok(json(200, &answer))
}

/// The id in the path.
pub(super) fn id(request: &Request) -> Result<Txid, ApiError> {
    let text = request.param("id");
    text.parse().map_err(|_| ApiError::BadTransactionId(shown(text)))
}

/// A transaction in its block of the best chain.
pub(super) struct Found {
    /// The block's height.
    pub(super) height: Height,
    /// The block.
    pub(super) block: Block,
    /// The ids of its transactions.
    pub(super) txids: Vec<Txid>,
    /// The transaction's place among them.
    pub(super) place: usize,
}

/// A transaction of a block.
pub(super) enum Mined<'b> {
    /// The first.
    Coinbase(&'b Coinbase),
    /// Any other.
    Transfer(&'b Transfer),
}

impl Found {
    /// The transaction itself.
    pub(super) fn transaction(&self) -> Mined<'_> {
        match self.place.checked_sub(1) {
            None => Mined::Coinbase(&self.block.coinbase),
            Some(index) => Mined::Transfer(&self.block.transfers[index]),
        }
    }

    fn new(height: Height, block: Block, id: &Txid) -> Option<Self> {
        let txids = block.txids();
        let place = txids.iter().position(|known| known == id)?;
        Some(Self { height, block, txids, place })
    }
}

/// Looks a transaction up in the block that `named` names, or in the newest ones.
pub(super) fn find(
    api: &Api,
    view: &View,
    id: &Txid,
    named: Option<&str>,
) -> Result<Found, ApiError> {
    let Some(named) = named else { return find_in_newest(api, view, id) };
    let best = best_block(view, named)?;
    let hash = best.node.hash;
    let found = match best.body {
        Some(body) => Found::new(best.node.height, api.node.read_block(body)?, id),
        None => None,
    };
    found.ok_or(ApiError::NotInBlock { id: *id, block: hash })
}

fn find_in_newest(api: &Api, view: &View, id: &Txid) -> Result<Found, ApiError> {
    let wanted = id.to_string();
    let (mut blocks, mut bytes) = (0, 0_u64);
    let mut height = view.chain.height();
    while let (Some(below), true) =
        (height.previous(), blocks < SEARCHED_BLOCKS_MAX && bytes < SEARCHED_BYTES_MAX)
    {
        let body = view.chain.block_at(height).and_then(|best| best.body);
        let body = body.ok_or_else(|| ApiError::NoBlock(height.to_string()))?;
        // Most blocks do not hold it, and are not taken apart to see that.
        if read(api, body)?.contains(&wanted)
            && let Some(found) = Found::new(height, api.node.read_block(body)?, id)
        {
            return Ok(found);
        }
        blocks += 1;
        bytes += u64::from(body.payload_len());
        height = below;
    }
    Err(ApiError::NoTransaction { id: *id, blocks })
}
