//! The best chain: whole or in part, its headers, accounts.

use super::blocks::{Element, blocks};
use super::{Answer, json, json_text, number};
use crate::http::api::Api;
use crate::http::errors::ApiError;
use crate::http::message::Request;
use crate::node::answers;
use crate::primitives::{Height, PublicKey};
use crate::wire::{Address, AddressInfo, hashes_from_query};

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

/// The key of the address in the path. Any 32 bytes can hold coins, also those that nobody can spend from.
pub(super) fn key(api: &Api, request: &Request) -> Result<PublicKey, ApiError> {
    PublicKey::from_carried(request.param("address"), api.prefix()).map_err(ApiError::BadAddress)
}
