//! Headers of a branch that may be worth nothing: judged without being kept.
//!
//! Owns the walk along a peer's branch until it has shown enough work to be stored. Making headers
//! at the easiest target costs a peer nearly nothing, keeping them would cost us memory; so a branch
//! is walked twice. The first time each header is judged by the rules of [`check_header`] and
//! forgotten: of the branch remain the facts of its last two headers, its work, and a salted hash of
//! each batch. Once the work is enough the branch is asked for again, and each batch may be stored if
//! it is the one that was judged. Never asks anybody, keeps no header and reads no clock.
//!
//! Invariants: a batch is given out for storing only if it stands on what was given out before it (or
//! on the stem), and every header of the branch up to the needed work was judged; memory is that of
//! [`Presync`] and at most [`BATCHES_MAX`] x 8 bytes, whatever the peer sends.

use crate::consensus::connect::{HeaderError, ParentFacts, check_header};
use crate::consensus::params::ChainParams;
use crate::primitives::hash::sha256;
use crate::primitives::{BlockHash, Header, UnixTime, Work};
use crate::wire::HEADERS_MAX;

/// Batches whose hashes are remembered at most, 80 kB: 20 million headers, which at main's last
/// spacing are 38 years. A branch that takes more is passed over.
pub(in crate::net) const BATCHES_MAX: usize = 10_000;

/// How often a peer may answer with another branch than the one it began with: reorganizations
/// happen, but not over and over in the seconds that a walk takes.
pub(in crate::net) const RESTARTS_MAX: u32 = 3;

/// A header of which all is known that the next one needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Stem {
    /// Its hash.
    pub hash: BlockHash,
    /// What the rules need of it and its parent.
    pub facts: ParentFacts,
    /// The work of the whole chain up to it.
    pub work: Work,
}

/// What an answer of headers leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::net) enum Taken {
    /// Nothing may be stored yet: ask for what follows [`Presync::last`].
    More,
    /// These follow what was stored before and may be stored: then ask for what follows
    /// [`Presync::last`].
    Store(Vec<Header>),
    /// These may be stored, and with them the branch has enough work: what follows needs no presync.
    StoreLast(Vec<Header>),
    /// The branch ends, for now at least, with less work than is needed.
    TooLight(Work),
    /// Before it has enough work it is ahead of our clock, by so many seconds more than is allowed.
    Early(u32),
}

/// Why a branch is not followed any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::net) enum PresyncError {
    /// A header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Headers that do not stand on each other.
    #[error("expected headers that follow each other")]
    NotJoined,
    /// More headers than an answer holds.
    #[error("expected at most {HEADERS_MAX} headers, got {0}")]
    TooMany(usize),
    /// The branch has too little work for its length.
    #[error("expected enough work within {BATCHES_MAX} batches of headers")]
    TooLong,
    /// Another branch each time.
    #[error("expected one branch, got another one {RESTARTS_MAX} times")]
    Changing,
}

impl PresyncError {
    /// Whether the bytes themselves prove that who sent them made them up; otherwise the peer is
    /// only passed over.
    pub fn is_lie(&self) -> bool {
        match self {
            Self::Header(_) | Self::NotJoined | Self::TooMany(_) => true,
            Self::TooLong | Self::Changing => false,
        }
    }
}

/// The walk along one peer's branch.
#[derive(Clone, Debug)]
pub(in crate::net) struct Presync {
    stem: Stem,
    needed: Work,
    /// Unknown to the peer, so that it cannot prepare two batches with one hash.
    salt: u64,
    /// The last header of the branch in this pass; its work and facts in the first pass only.
    last: Stem,
    /// The most work that the branch has shown.
    shown: Work,
    /// Of each batch of the first pass.
    hashes: Vec<u64>,
    /// Headers of the last of these.
    last_len: usize,
    /// In the second pass, the batches that were given out.
    again: Option<usize>,
    restarts: u32,
}

impl Presync {
    /// A walk from `stem`, whose header is in the tree, until the branch has `needed` work in all.
    pub fn new(stem: Stem, needed: Work, salt: u64) -> Self {
        let hashes = Vec::new();
        let (last, shown) = (stem, stem.work);
        Self { stem, needed, salt, last, shown, hashes, last_len: 0, again: None, restarts: 0 }
    }

    /// The header behind which to ask on.
    pub fn last(&self) -> BlockHash {
        self.last.hash
    }

    /// The most work that the branch has shown so far, whether it is kept or not.
    pub fn shown(&self) -> Work {
        self.shown
    }

    /// Takes the answer to what follows [`Self::last`].
    ///
    /// # Errors
    /// Headers that no honest peer gives, too light a branch, or one that changes again and again.
    /// The walk is over then.
    pub fn take(
        &mut self,
        params: &ChainParams,
        headers: Vec<Header>,
        now: UnixTime,
    ) -> Result<Taken, PresyncError> {
        if headers.len() > HEADERS_MAX {
            return Err(PresyncError::TooMany(headers.len()));
        }
        if headers.first().is_some_and(|first| first.previous != self.last.hash) {
            return self.restart();
        }
        match self.again {
            None => self.judge(params, headers, now),
            Some(place) => self.compare(place, headers),
        }
    }

    /// First pass: judges and forgets.
    fn judge(
        &mut self,
        params: &ChainParams,
        mut headers: Vec<Header>,
        now: UnixTime,
    ) -> Result<Taken, PresyncError> {
        let is_full = headers.len() == HEADERS_MAX;
        let (good, early) = self.walk(params, &headers, now)?;
        headers.truncate(good);
        self.shown = self.shown.max(self.last.work);
        if self.last.work >= self.needed {
            if self.hashes.is_empty() {
                return Ok(Taken::StoreLast(headers));
            }
            self.remember(&headers)?;
            self.again = Some(0);
            self.last = self.stem;
            return Ok(Taken::More);
        }
        if let Some(seconds) = early {
            return Ok(Taken::Early(seconds));
        }
        if !is_full {
            return Ok(Taken::TooLight(self.last.work));
        }
        self.remember(&headers)?;
        Ok(Taken::More)
    }

    /// Walks along headers; returns how many are good as far as our clock tells, and by how much the next
    /// one is too early for it. That ends the branch for now, and nobody is to blame.
    fn walk(
        &mut self,
        params: &ChainParams,
        headers: &[Header],
        now: UnixTime,
    ) -> Result<(usize, Option<u32>), PresyncError> {
        for (place, header) in headers.iter().enumerate() {
            if header.previous != self.last.hash {
                return Err(PresyncError::NotJoined);
            }
            let work = match check_header(params, header, &self.last.facts, now) {
                Ok(work) => work,
                Err(HeaderError::FromTheFuture { latest, got }) => {
                    return Ok((place, Some(seconds_until(latest, got))));
                }
                Err(error) => return Err(error.into()),
            };
            self.last = Stem {
                hash: header.hash(),
                facts: self.last.facts.child(header),
                work: self.last.work + work,
            };
        }
        Ok((headers.len(), None))
    }

    fn remember(&mut self, headers: &[Header]) -> Result<(), PresyncError> {
        if self.hashes.len() >= BATCHES_MAX {
            return Err(PresyncError::TooLong);
        }
        self.hashes.push(self.hash(headers));
        self.last_len = headers.len();
        Ok(())
    }

    /// Second pass: gives out what was judged.
    fn compare(&mut self, place: usize, headers: Vec<Header>) -> Result<Taken, PresyncError> {
        let is_last = place + 1 == self.hashes.len();
        let judged = if is_last { self.last_len } else { HEADERS_MAX };
        // The branch may have grown since; what is above the judged part is judged when stored.
        let is_same =
            headers.get(..judged).is_some_and(|judged| self.hash(judged) == self.hashes[place]);
        if !is_same {
            return self.restart();
        }
        self.again = Some(place + 1);
        self.last.hash = headers.last().map_or(self.last.hash, Header::hash);
        Ok(if is_last { Taken::StoreLast(headers) } else { Taken::Store(headers) })
    }

    /// Begins anew at the stem: the peer has another branch than before.
    fn restart(&mut self) -> Result<Taken, PresyncError> {
        self.restarts += 1;
        if self.restarts > RESTARTS_MAX {
            return Err(PresyncError::Changing);
        }
        (self.last, self.shown) = (self.stem, self.stem.work);
        self.hashes = Vec::new();
        self.again = None;
        Ok(Taken::More)
    }

    fn hash(&self, headers: &[Header]) -> u64 {
        let mut bytes = self.salt.to_le_bytes().to_vec();
        headers.iter().for_each(|header| bytes.extend_from_slice(&header.encode()));
        let [a, b, c, d, e, f, g, h, ..] = sha256(&[&bytes]);
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// The seconds from one time of day to a later one.
pub(super) fn seconds_until(latest: UnixTime, got: UnixTime) -> u32 {
    got.0.saturating_sub(latest.0)
}

#[cfg(test)]
mod tests;
