//! The node's routes: one line each, with who may call it, where it waits and how long its body may be.
//!
//! The first part is the contract of the original, the second is what was added.

use super::api::Api;
use super::handlers::{blocks, chain, miner, nodes, page, peer, proof, respond};
use super::handlers::{status, transactions, wallet};
use super::message::Method::{self, Delete, Get, Post};
use super::routes::Class::{self, Operator, Public};
use super::routes::Lane::{self, Bulk, Live, Small, Socket, Wait};
use super::routes::{Handler, Route, handed_over};
use crate::wire::{ANNOUNCEMENT_JSON_MAX, BLOCK_JSON_MAX, FETCH_JSON_MAX, TRANSFER_JSON_MAX};

/// For a request of a few short fields, however spelled.
const FEW_FIELDS: usize = 4 * 1024;

/// For a payment or a transfer, with every character written as an escape.
const ONE_TRANSFER: usize = 8 * TRANSFER_JSON_MAX;

/// For a block as nodes write it, and the name of who sends it.
const ONE_BLOCK: usize = BLOCK_JSON_MAX + 1024;

/// For requests that say everything in their line.
const NO_BODY: usize = 0;

/// Makes a handler of a function that may fail.
macro_rules! run {
    ($handler:path) => {
        |api, request| respond($handler(api, request))
    };
}

/// Every route of the node.
pub static ROUTES: [Route<Api>; 38] = [
    route(Get, "/", Public, Small, NO_BODY, run!(page::index)),
    route(Get, "/network", Public, Small, NO_BODY, run!(page::index)),
    route(Get, "/static/{file}", Public, Small, NO_BODY, run!(page::part)),
    route(Post, "/wallet", Operator, Small, NO_BODY, run!(wallet::create)),
    route(Get, "/wallet", Operator, Small, NO_BODY, run!(wallet::load)),
    route(Get, "/balance", Operator, Small, NO_BODY, run!(wallet::balance)),
    route(Post, "/transaction", Operator, Small, ONE_TRANSFER, run!(transactions::send)),
    route(Get, "/transactions", Public, Bulk, NO_BODY, run!(transactions::open)),
    route(Post, "/mine", Operator, Wait, NO_BODY, run!(miner::mine)),
    route(Get, "/chain", Public, Bulk, NO_BODY, run!(chain::chain)),
    // The peer is greeted before the answer, and conflicts are resolved before it: peers take their time.
    route(Post, "/node", Operator, Wait, FEW_FIELDS, run!(nodes::add)),
    route(Delete, "/node/{node}", Operator, Small, NO_BODY, run!(nodes::remove)),
    route(Get, "/nodes", Public, Small, NO_BODY, run!(nodes::list)),
    route(Post, "/resolve-conflicts", Operator, Wait, NO_BODY, run!(nodes::resolve)),
    route(
        Post,
        "/broadcast-transaction",
        Public,
        Small,
        ONE_TRANSFER,
        run!(transactions::broadcast),
    ),
    route(Post, "/broadcast-block", Public, Small, ONE_BLOCK, run!(peer::broadcast_block)),
    //
    route(Get, "/status", Public, Small, NO_BODY, run!(status::status)),
    route(Get, "/health", Public, Small, NO_BODY, run!(status::health)),
    route(Get, "/ready", Public, Small, NO_BODY, run!(status::ready)),
    route(Get, "/miner", Operator, Small, NO_BODY, run!(miner::show)),
    route(Post, "/miner", Operator, Small, FEW_FIELDS, run!(miner::switch)),
    route(Post, "/handshake", Public, Small, FEW_FIELDS, run!(peer::handshake)),
    route(Get, "/addresses", Public, Small, NO_BODY, run!(peer::addresses)),
    route(Post, "/announce", Public, Small, ANNOUNCEMENT_JSON_MAX, run!(peer::announce)),
    route(Get, "/headers", Public, Bulk, NO_BODY, run!(chain::headers)),
    route(Get, "/blocks", Public, Bulk, NO_BODY, run!(blocks::wanted)),
    route(Get, "/block/{block}", Public, Bulk, NO_BODY, run!(blocks::block)),
    route(Get, "/block/{block}/compact", Public, Bulk, NO_BODY, run!(blocks::compact)),
    route(Post, "/fetch-transactions", Public, Bulk, FETCH_JSON_MAX, run!(transactions::fetch)),
    route(Get, "/transactions/summary", Public, Small, NO_BODY, run!(transactions::summary)),
    route(Get, "/transactions/ids", Public, Bulk, NO_BODY, run!(transactions::ids)),
    // Both may read some megabytes of blocks.
    route(Get, "/transaction/{id}", Public, Bulk, NO_BODY, run!(transactions::info)),
    route(Get, "/proof/transaction/{id}", Public, Bulk, NO_BODY, run!(proof::transaction)),
    route(Get, "/proof/account/{address}", Public, Small, NO_BODY, run!(proof::account)),
    route(Get, "/address/{address}", Public, Small, NO_BODY, run!(chain::address)),
    route(Get, "/reorganization/{address}", Public, Small, NO_BODY, run!(chain::reorganization)),
    route(Get, "/events", Public, Live, NO_BODY, handed_over),
    route(Get, "/live", Public, Socket, NO_BODY, handed_over),
];

const fn route(
    method: Method,
    pattern: &'static str,
    class: Class,
    lane: Lane,
    body_max: usize,
    handler: Handler<Api>,
) -> Route<Api> {
    Route { method, pattern, class, lane, body_max, handler }
}
