//! How the node is doing.

use super::miner::miner_status;
use super::{Answer, json};
use crate::chain::Chain;
use crate::consensus::connect::{next_bits, proof_target};
use crate::http::api::Api;
use crate::http::errors::ApiError;
use crate::http::message::Request;
use crate::node::Reorganization;
use crate::node::ports::PeerState;
use crate::primitives::Height;
use crate::wire::{Done, LastReorganization, PoolStatus, Status, difficulty};

/// Blocks over which the network's hash rate is estimated: enough to smooth luck to a tenth.
const HASH_RATE_BLOCKS: u32 = 120;

/// `GET /status`.
///
/// # Errors
/// None.
pub fn status(api: &Api, _: &Request) -> Answer {
    Ok(json(200, &current(api)))
}

/// `GET /health`: that requests are answered.
///
/// # Errors
/// None.
pub fn health(_: &Api, _: &Request) -> Answer {
    Ok(json(200, &Done { message: "The node is running.".to_owned() }))
}

/// `GET /ready`: that the chain is as far as the peers'.
///
/// # Errors
/// 503 while blocks are missing, or while nobody answers who could tell.
pub fn ready(api: &Api, _: &Request) -> Answer {
    let sync = api.peers.sync_status();
    let height = api.node.view().chain.height();
    if !sync.is_synced() {
        let best = sync.best_height.max(height);
        return Err(ApiError::NotReady { height, best, state: sync.state });
    }
    Ok(json(200, &Done { message: format!("The node is ready at height {height}.") }))
}

/// The state of the node as `GET /status` and the events show it.
pub(crate) fn current(api: &Api) -> Status {
    let (view, params, sync) = (api.node.view(), api.node.params(), api.peers.sync_status());
    let (chain, tip) = (&view.chain, view.chain.tip());
    let facts = chain.tip_facts();
    let target = proof_target(params, &facts, api.node.now().unix.max(tip.header.time));
    let connected = |state| state == PeerState::Connected;
    Status {
        network: params.name.as_str().to_owned(),
        chain_id: api.node.chain_id(),
        version: env!("CARGO_PKG_VERSION"),
        height: tip.height,
        tip: tip.hash,
        work: tip.total_work,
        spacing: params.schedule.spacing(tip.height.next()),
        bits: next_bits(params, &facts),
        difficulty: difficulty(params.retarget.easiest, target),
        hash_rate: hash_rate(chain),
        miner: miner_status(api),
        peers: api.peers.list().iter().filter(|peer| connected(peer.state)).count(),
        mempool: PoolStatus { count: chain.pool().len(), bytes: chain.pool().bytes() },
        issued: chain.total(),
        synced: sync.is_synced(),
        sync: sync.state.as_str(),
        headers: sync.best_height.max(chain.headers().heaviest().height),
        port: api.port,
        wallet_set_up: view.wallet.is_some(),
        blocks_per_second: sync.blocks_per_second,
        seconds_left: sync.seconds_left,
        last_reorganization: view.reorganization.as_deref().map(in_numbers),
        clock_offset: sync.clock_offset,
        clock_behind: sync.clock_behind,
    }
}

fn in_numbers(reorganization: &Reorganization) -> LastReorganization {
    let Reorganization { time, fork, replaced, waiting, dropped, .. } = reorganization;
    let (time, fork, replaced) = (*time, *fork, *replaced);
    LastReorganization { time, fork, replaced, waiting: waiting.1, dropped: dropped.1 }
}

/// Hashes a second, estimated from the work and the times of the last blocks.
fn hash_rate(chain: &Chain) -> f64 {
    let tip = chain.tip();
    let first = Height(tip.height.0.saturating_sub(HASH_RATE_BLOCKS).max(1));
    let Some(first) = chain.headers().at(first).filter(|first| first.height < tip.height) else {
        return 0.0;
    };
    let seconds = u32::try_from(tip.header.time.seconds_since(first.header.time)).unwrap_or(0);
    f64::from((tip.total_work - first.total_work).value()) / f64::from(seconds.max(1))
}
