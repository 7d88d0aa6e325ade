//! The list of peers, and Resolve Conflicts.

use super::{Answer, body, json};
use crate::http::api::Api;
use crate::http::errors::ApiError;
use crate::http::message::Request;
use crate::node::ports::{GuestInfo, PeerInfo, PeerState};
use crate::wire::{self, Guest, Nodes, NodesChanged, Peer, Resolved, node_from_json};

/// `POST /node`: adds a peer; adding one twice is harmless.
///
/// # Errors
/// Another shape, or a peer that is not taken.
pub fn add(api: &Api, request: &Request) -> Answer {
    let text = body(request, "an object with `node`, as in {\"node\":\"localhost:5001\"}")?;
    let warning = api.peers.add(node_from_json(text)?).map_err(ApiError::NotAdded)?;
    let message = match warning {
        None => "Node added successfully.".to_owned(),
        Some(warning) => format!("Node added successfully. {warning}"),
    };
    Ok(json(201, &changed(api, message)))
}

/// `DELETE /node/<host:port>`: removes a peer; removing one that is unknown is harmless. Of one that is
/// listed under another spelling the message tells that.
///
/// # Errors
/// Not `host:port`.
pub fn remove(api: &Api, request: &Request) -> Answer {
    let node = request.param("node").parse().map_err(ApiError::BadNode)?;
    let message = match api.peers.remove(&node) {
        None => "Node removed.".to_owned(),
        Some(listed) => format!(
            "Nothing was removed: {node} is listed as {listed}, which is the name to remove it by."
        ),
    };
    Ok(json(200, &changed(api, message)))
}

fn changed(api: &Api, message: String) -> NodesChanged {
    let all_nodes = api.peers.list().into_iter().map(|peer| peer.node).collect();
    NodesChanged { message, all_nodes }
}

/// `GET /nodes`: all peers, and how each stands.
///
/// # Errors
/// None.
pub fn list(api: &Api, _: &Request) -> Answer {
    let known = api.peers.list();
    let all_nodes = known.iter().map(|peer| peer.node.clone()).collect();
    let peers = known.into_iter().map(shown).collect();
    let guests = api.peers.guests().into_iter();
    let guests = guests.map(|GuestInfo { link, height, last_seen }| Guest {
        link: link.0,
        height,
        last_seen,
    });
    let (guests, incoming) = (guests.collect(), api.peers.incoming());
    Ok(json(200, &Nodes { all_nodes, peers, incoming, guests }))
}

fn shown(peer: PeerInfo) -> Peer {
    let state = match peer.state {
        PeerState::New => wire::PeerState::New,
        PeerState::Connected => wire::PeerState::Connected,
        PeerState::Unreachable => wire::PeerState::Unreachable,
        PeerState::Refused => wire::PeerState::Refused,
    };
    let PeerInfo { node, reason: message, height, work, last_seen, failures, manual, .. } = peer;
    let (outgoing, incoming) = (peer.outgoing, peer.incoming);
    let live = outgoing || incoming;
    Peer {
        node,
        state,
        height,
        work,
        last_seen,
        failures,
        manual,
        live,
        outgoing,
        incoming,
        message,
    }
}

/// `POST /resolve-conflicts`: asks all peers at once and takes over the best chain among them.
///
/// # Errors
/// None.
pub fn resolve(api: &Api, _: &Request) -> Answer {
    let replaced = api.peers.resolve().replaced;
    let message = if replaced { "Chain was replaced!" } else { "Local chain kept." };
    let funds = api.node.view().funds();
    Ok(json(200, &Resolved { message: message.to_owned(), funds, replaced }))
}
