//! The best chain: whole or in part, its headers, accounts.

use super::blocks::{Element, blocks};
use super::{Answer, json, json_text, number};
use crate::http::api::Api;
use crate::http::errors::ApiError;
use crate::http::message::Request;
use crate::node::{Affected, answers};
use crate::primitives::{Amount, Height, PublicKey};
use crate::wire::{
    Address, AddressInfo, DroppedPayment, ReorganizationInfo, ReorganizedPayment, hashes_from_query,
};

/// Payments of each kind in one answer at most: more than a page shows.
const PAYMENTS_SHOWN_MAX: usize = 100;

/// `GET /chain?from=&count=`: blocks from genesis on, upwards. Streamed from the block file in constant
/// memory; a reorganization meanwhile does not touch what was begun.
///
/// # Errors
/// A parameter that is no number.
pub fn chain(api: &Api, request: &Request) -> Answer {
    let from = number(request, "from")?.unwrap_or(0);
    let count = number(request, "count")?.unwrap_or(u32::MAX);
    let view = api.node.view();
    let last = from.saturating_add(count).min(view.chain.height().next().0);
    let elements = (from..last).filter_map(move |height| {
        view.chain
            .block_at(Height(height))
            .map(|best| best.body.map_or(Element::Genesis, Element::Body))
    });
    Ok(blocks(api, elements))
}

/// `GET /headers?locator=`: headers of the best chain above the highest that stands in the locator, from
/// height 1 on without one.
///
/// # Errors
/// A locator with a wrong hash, or of another chain.
pub fn headers(api: &Api, request: &Request) -> Answer {
    let locator = hashes_from_query("locator", request.query("locator").unwrap_or(""))?;
    Ok(json_text(200, answers::headers(&api.node, &locator)?))
}

/// `GET /address/<address>`: what an account has after the tip; nothing where none exists.
///
/// # Errors
/// No address of this network.
pub fn address(api: &Api, request: &Request) -> Answer {
    let key = key(api, request)?;
    let account = api.node.view().chain.account(&key);
    let answer = AddressInfo {
        address: Address { key, prefix: api.prefix() },
        public_key: key,
        balance: account.balance,
        nonce: account.nonce,
    };
    Ok(json(200, &answer))
}

/// `GET /reorganization/<address>`: what the last reorganization did to an account's payments and
/// rewards. All of it was public before; only the account's own page knows whose it is.
///
/// # Errors
/// No address of this network, or no reorganization since the start.
pub fn reorganization(api: &Api, request: &Request) -> Answer {
    let key = key(api, request)?;
    let view = api.node.view();
    let happened = view.reorganization.as_deref().ok_or(ApiError::NoReorganization)?;
    let payment = |one: &Affected| ReorganizedPayment {
        id: one.id,
        sender: Address { key: one.sender, prefix: api.prefix() },
        recipient: Address { key: one.recipient, prefix: api.prefix() },
        amount: one.amount,
    };
    let waiting = happened.waiting.0.iter().filter(|one| one.concerns(&key)).map(payment);
    let dropped = happened.dropped.0.iter().filter(|(one, _)| one.concerns(&key));
    let dropped =
        dropped.map(|(one, why)| DroppedPayment { payment: payment(one), why: why.clone() });
    let rewards = happened.rewards_lost.iter().filter(|(account, _)| *account == key);
    let rewards_lost = Amount::checked_sum(rewards.map(|(_, amount)| *amount));
    let answer = ReorganizationInfo {
        time: happened.time,
        fork: happened.fork,
        replaced: happened.replaced,
        waiting: waiting.take(PAYMENTS_SHOWN_MAX).collect(),
        dropped: dropped.take(PAYMENTS_SHOWN_MAX).collect(),
        rewards_lost: rewards_lost.unwrap_or(Amount::ZERO),
    };
    Ok(json(200, &answer))
}

/// The key of the address in the path. Any 32 bytes can hold coins, also those that nobody can spend from.
pub(super) fn key(api: &Api, request: &Request) -> Result<PublicKey, ApiError> {
    PublicKey::from_carried(request.param("address"), api.prefix()).map_err(ApiError::BadAddress)
}
