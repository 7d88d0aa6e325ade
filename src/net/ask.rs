//! What is asked of a peer, with the answer read: texts in, values out.

use super::client::{Call, CallError, PeerClient, Reply};
use crate::primitives::{AddressPrefix, Block, BlockHash, Header, PeerId, Transfer};
use crate::wire::{
    Failure, Handshake, WireError, blocks_from_json, headers_from_json, transfers_from_json,
};

/// Why a question has no answer that can be used. Nobody is blamed for any of these: they all may
/// be the network's fault, or the other program's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// There is no whole answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It has too much to do.
    #[error("it is busy (status {0})")]
    Busy(u16),
    /// It refuses, with a reason.
    #[error("it refuses with status {status} ({code}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its code, a stranger's word.
        code: String,
        /// Its message, a stranger's words, cut short and without control characters.
        message: String,
    },
    /// The answer has another shape.
    #[error("what answers there is no farthing node of this version")]
    Shape(#[from] WireError),
}

/// Asks questions over a client, on one network.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// How peers are called.
    pub client: &'a dyn PeerClient,
    /// How addresses begin on this network.
    pub prefix: AddressPrefix,
}

impl Asker<'_> {
    /// Exchanges handshakes; `text` is ours, and `quick` if a person waits.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn handshake(&self, peer: &PeerId, text: &str, quick: bool) -> Result<Handshake, AskError> {
        let body = self.get(peer, &Call::Handshake { text, quick })?;
        Ok(Handshake::from_json(&body)?)
    }

    /// The headers that follow the highest of `locator` on the peer's best chain; `quick` if a
    /// person waits.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn headers(
        &self,
        peer: &PeerId,
        locator: &[BlockHash],
        quick: bool,
    ) -> Result<Vec<Header>, AskError> {
        Ok(headers_from_json(&self.get(peer, &Call::Headers { locator, quick })?)?)
    }

    /// Some of the blocks named `hashes`.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn blocks(&self, peer: &PeerId, hashes: &[BlockHash]) -> Result<Vec<Block>, AskError> {
        Ok(blocks_from_json(&self.get(peer, &Call::Blocks(hashes))?, self.prefix)?)
    }

    /// The peer's open transactions.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn pool(&self, peer: &PeerId) -> Result<Vec<Transfer>, AskError> {
        Ok(transfers_from_json(&self.get(peer, &Call::Pool)?, self.prefix)?)
    }

    /// Sends a block or transfer; the status tells what became of it.
    ///
    /// # Errors
    /// No answer, or the peer is busy.
    pub fn tell(&self, peer: &PeerId, call: &Call<'_>) -> Result<u16, AskError> {
        let reply = self.call(peer, call)?;
        if is_busy(reply.status) { Err(AskError::Busy(reply.status)) } else { Ok(reply.status) }
    }

    fn call(&self, peer: &PeerId, call: &Call<'_>) -> Result<Reply, CallError> {
        let no_address = || CallError::Unreachable("it has no address".to_owned());
        self.client.call(peer.address().ok_or_else(no_address)?, call)
    }

    fn get(&self, peer: &PeerId, call: &Call<'_>) -> Result<String, AskError> {
        let Reply { status, body } = self.call(peer, call)?;
        match status {
            200 => Ok(body),
            busy if is_busy(busy) => Err(AskError::Busy(busy)),
            status => {
                let Failure { message, code } = Failure::from_json(&body)?;
                Err(AskError::Refused { status, code, message })
            }
        }
    }
}

const fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 503)
}
