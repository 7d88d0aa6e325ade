//! What nodes tell each other: who they are, and new blocks.

use super::{Answer, body, json, json_text};
use crate::chain::accept::{AcceptError, Accepted};
use crate::http::api::Api;
use crate::http::errors::ApiError;
use crate::http::message::Request;
use crate::node::{NodeError, Origin};
use crate::wire::{Announcement, BlockAnnouncement, Done, Handshake, addresses_to_json};

/// `POST /handshake`: answers a node that introduces itself.
///
/// # Errors
/// Another shape, another chain or version, this node itself, or too many peers.
pub fn handshake(api: &Api, request: &Request) -> Answer {
    let theirs = Handshake::from_json(body(request, "a handshake object")?)?;
    let ours = api.peers.greet(&theirs, request.client.ip());
    Ok(json_text(200, ours.map_err(ApiError::NotGreeted)?.to_json()))
}

/// `GET /addresses`: some nodes that have answered lately, for others to find more peers.
///
/// # Errors
/// None.
pub fn addresses(api: &Api, request: &Request) -> Answer {
    Ok(json_text(200, addresses_to_json(&api.peers.addresses(request.client.ip()))))
}

/// `POST /announce`: hears of new blocks and transactions. What is wanted of them is fetched from whoever
/// tells.
///
/// # Errors
/// Another shape.
pub fn announce(api: &Api, request: &Request) -> Answer {
    let news = Announcement::from_json(body(request, "an announcement object")?, api.prefix())?;
    api.peers.announced(news, request.client.ip());
    Ok(json(200, &Done { message: "The announcement was heard.".to_owned() }))
}

/// `POST /broadcast-block`: takes a block. One that is ahead of ours is answered 200, and its chain is
/// fetched in the background.
///
/// # Errors
/// Another shape, or a block that is invalid or too old to be kept.
pub fn broadcast_block(api: &Api, request: &Request) -> Answer {
    let text = body(request, "an object with `block`")?;
    let BlockAnnouncement { block, from } = BlockAnnouncement::from_json(text, api.prefix())?;
    let hash = block.hash();
    let tell_of = || api.peers.is_ahead(from.as_ref(), request.client.ip());
    // Nobody can show who sends: a block that came from a peer would not be passed on to it.
    let (status, message) = match api.node.submit_block(block, Origin::Anyone) {
        Ok(Accepted::Best(_)) => (201, "Block added."),
        Ok(Accepted::Known) => (201, "The block is already known."),
        Ok(Accepted::Side { kept: true }) => {
            if is_behind(api) {
                tell_of();
            }
            (201, "Block added to a side branch: the best chain stays as it is.")
        }
        Ok(Accepted::Side { kept: false }) => return Err(ApiError::OldBlock(hash)),
        Err(NodeError::Accept(AcceptError::UnknownParent(_))) => {
            tell_of();
            (200, "The block is ahead of this node, which now fetches those before it.")
        }
        Err(error) => return Err(error.into()),
    };
    Ok(json(status, &Done { message: message.to_owned() }))
}

/// Whether headers of a heavier chain are known whose blocks are not here.
pub(super) fn is_behind(api: &Api) -> bool {
    !api.node.view().chain.missing_bodies(1).is_empty()
}
