//! Single blocks and those a peer lacks, as they lie in the block file.

use super::{Answer, json_stream, json_text};
use crate::chain::BestBlock;
use crate::consensus::params::ChainParams;
use crate::http::api::Api;
use crate::http::errors::ApiError;
use crate::http::message::{Request, Response};
use crate::node::{View, answers};
use crate::primitives::{BlockHash, BodyRef, Height};
use crate::wire::{ArrayReader, WireError, genesis_to_json, hashes_from_query, shown};

/// A block of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Element {
    /// The first, which lies in no file.
    Genesis,
    /// Any other.
    Body(BodyRef),
}

/// An array of blocks, read from the block file while it is sent.
pub(super) fn blocks(
    api: &Api,
    elements: impl Iterator<Item = Element> + Send + 'static,
) -> Response {
    let (reader, genesis) = (api.node.reader().clone(), genesis(api));
    let reader = ArrayReader::new(elements, move |element, out: &mut Vec<u8>| match element {
        Element::Genesis => {
            out.extend_from_slice(genesis.as_bytes());
            Ok(())
        }
        Element::Body(body) => answers::copy_body(&*reader, body, out),
    });
    json_stream(Box::new(reader))
}

fn genesis(api: &Api) -> String {
    genesis_to_json(&api.node.params().genesis(), &ChainParams::genesis_roots())
}

/// The text of a block in the block file.
pub(super) fn read(api: &Api, body: BodyRef) -> Result<String, ApiError> {
    Ok(api.node.reader().read(body)?)
}

/// `GET /block/<hash|height>`: a block by its height on the best chain, or any block by its hash.
///
/// # Errors
/// No such block, or one whose body is not here.
pub fn block(api: &Api, request: &Request) -> Answer {
    let (view, name) = (api.node.view(), request.param("block"));
    let hash = match Name::parse(name)? {
        Name::Height(_) => best_block(&view, name)?.node.hash,
        Name::Hash(hash) => hash,
    };
    if hash == view.chain.chain_id() {
        return Ok(json_text(200, genesis(api)));
    }
    let body = answers::body_of(&view, &hash)?;
    Ok(json_text(200, read(api, body)?))
}

/// `GET /blocks?hashes=`: those of the blocks asked for that are here, in the order asked for, until the
/// answer is long enough.
///
/// # Errors
/// No hashes, a wrong one, or too many.
pub fn wanted(api: &Api, request: &Request) -> Answer {
    let missing = || WireError::Missing("hashes".to_owned());
    let text = request.query("hashes").filter(|text| !text.is_empty()).ok_or_else(missing)?;
    let hashes = hashes_from_query("hashes", text)?;
    Ok(json_stream(answers::blocks(&api.node, &hashes)?))
}

/// `GET /block/<hash>/compact`: a block with short ids in the place of its transfers.
///
/// # Errors
/// Not a hash, or no such block here.
pub fn compact(api: &Api, request: &Request) -> Answer {
    let name = request.param("block");
    let Ok(Name::Hash(hash)) = Name::parse(name) else {
        return Err(ApiError::BadBlockHash(shown(name)));
    };
    Ok(json_text(200, answers::compact(&api.node, &hash, api.salt)?))
}

/// How a client names a block.
enum Name {
    Height(Height),
    Hash(BlockHash),
}

impl Name {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let wrong = || ApiError::BadBlockName(shown(text));
        if text.len() == 2 * 32 {
            return text.parse().map(Self::Hash).map_err(|_| wrong());
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let height = if digits { text.parse().ok() } else { None };
        height.map(|height| Self::Height(Height(height))).ok_or_else(wrong)
    }
}

/// The block of the best chain with this height or hash.
pub(super) fn best_block(view: &View, name: &str) -> Result<BestBlock, ApiError> {
    let height = match Name::parse(name)? {
        Name::Height(height) => height,
        Name::Hash(hash) => {
            let node = view.chain.headers().get(&hash);
            let node = node.ok_or_else(|| ApiError::NoBlock(shown(name)))?;
            if !view.chain.headers().is_best(node) {
                return Err(ApiError::NotBest(hash));
            }
            node.height
        }
    };
    view.chain.block_at(height).ok_or_else(|| ApiError::NoBlock(shown(name)))
}
