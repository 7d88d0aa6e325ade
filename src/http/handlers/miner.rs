//! Mining: one block on demand, and the continuous miner.

use super::peer::is_behind;
use super::{Answer, body, json};
use crate::http::api::Api;
use crate::http::errors::ApiError;
use crate::http::message::Request;
use crate::node::ports::SyncState;
use crate::primitives::Amount;
use crate::wire::{Embedded, Mined, MinerRequest, MinerStatus};

/// `POST /mine`: waits until this node finds a block.
///
/// # Errors
/// No wallet, a heavier chain that is known and not here yet, or no block in time.
pub fn mine(api: &Api, request: &Request) -> Answer {
    if api.node.view().wallet.is_none() {
        return Err(ApiError::NoWallet);
    }
    if is_behind(api) && api.peers.sync_status().state == SyncState::Behind {
        return Err(ApiError::ConflictFirst);
    }
    let cancelled = || request.cancelled.is_cancelled();
    let mined = api.miner.mine_one(api.mine_timeout, &cancelled)?;
    let view = api.node.view();
    let body = view.chain.body_of(&mined.hash).ok_or(ApiError::NoBody(mined.hash))?;
    let block = Embedded::new(super::blocks::read(api, body)?)
        .expect("the checksum of what was written as JSON holds");
    let answer = Mined {
        message: "Block added successfully.".to_owned(),
        funds: view.funds().unwrap_or(Amount::ZERO),
        block,
    };
    Ok(json(201, &answer))
}

/// `GET /miner`: what the continuous miner does.
///
/// # Errors
/// None.
pub fn show(api: &Api, _: &Request) -> Answer {
    Ok(json(200, &miner_status(api)))
}

/// `POST /miner`: switches it, and sets its threads; what is left out stays as it is.
///
/// # Errors
/// Another shape, or no wallet to mine for.
pub fn switch(api: &Api, request: &Request) -> Answer {
    let text = body(request, "an object with `on`, `threads` or both")?;
    let wanted = MinerRequest::from_json(text)?;
    if wanted.on == Some(true) && api.node.view().wallet.is_none() {
        return Err(ApiError::NoWallet);
    }
    if let Some(threads) = wanted.threads {
        api.miner.set_threads(usize::try_from(threads).unwrap_or(usize::MAX));
    }
    if let Some(on) = wanted.on {
        api.miner.switch(on);
    }
    Ok(json(200, &miner_status(api)))
}

/// The continuous miner as answers show it.
pub(crate) fn miner_status(api: &Api) -> MinerStatus {
    let status = api.miner.status();
    MinerStatus {
        on: status.on,
        threads: u32::try_from(status.threads).unwrap_or(u32::MAX),
        hash_rate: status.hash_rate,
        blocks_found: status.blocks_found,
    }
}
