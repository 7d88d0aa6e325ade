//! What the sync has others do: reading and judging what has come, and handing blocks to the owner,
//! in the thread that finishes the job.

use super::bodies::{End, Fault, Handed};
use super::download::Order;
use super::headers::{HeadersAsked, HeadersGiven};
use super::presync::{Presync, Stem, Taken, seconds_until};
use super::{Scene, Sync};
use crate::chain::accept::{AcceptError, Accepted};
use crate::consensus::check::CheckedBlock;
use crate::consensus::connect::HeaderError;
use crate::net::answer::{self, Answer, AskError};
use crate::net::blame::{Blame, blame};
use crate::net::{Network, lock};
use crate::node::{NodeError, NodeHandle, Origin};
use crate::primitives::{BlockHash, Header, PeerId};
use crate::wire::HEADERS_MAX;

impl Network {
    /// A peer was asked for headers.
    pub(in crate::net) fn headers_came(&self, asked: &HeadersAsked, answer: Answer) {
        let Some(node) = self.node() else { return };
        let given = match answer::headers(answer) {
            Ok(headers) => self.take_headers(&node, asked, headers),
            Err(AskError::Busy(_)) => HeadersGiven::Busy,
            Err(error) => HeadersGiven::Nothing(error.to_string()),
        };
        self.decide(&node, |sync, scene| sync.headers_given(&asked.peer, given, scene));
    }

    /// A peer was asked for bodies of the branch with this serial.
    pub(in crate::net) fn bodies_came(&self, serial: u64, order: &Order, answer: Answer) {
        let Some(node) = self.node() else { return };
        let given = self.judge_bodies(&node, order, answer);
        self.decide(&node, |sync, scene| sync.bodies_given((serial, order), given, scene));
        self.hand_over(&node);
    }

    /// Has the sync decide on what has come.
    fn decide(&self, node: &NodeHandle, decide: impl FnOnce(&mut Sync, &mut Scene<'_>)) {
        let view = node.view();
        let mut sync = lock(&self.sync);
        let (mut table, times) = self.table_now(node);
        decide(&mut sync, &mut Scene::new(times, &view.chain, &mut table));
        drop((table, sync));
        self.signal.tell();
    }

    /// Judges all that needs no chain.
    fn judge_bodies(
        &self,
        node: &NodeHandle,
        order: &Order,
        answer: Answer,
    ) -> Result<Vec<CheckedBlock>, Fault> {
        let blocks = answer::blocks(answer, self.prefix).map_err(|error| match error {
            AskError::Busy(_) => Fault::Busy,
            other => Fault::LetDown(other.to_string()),
        })?;
        if blocks.iter().any(|block| !order.hashes.contains(&block.hash())) {
            return Err(Fault::LetDown("it gave other blocks than it was asked for".to_owned()));
        }
        let judged = blocks.into_iter().map(|block| node.judge_block(block, &node.view()));
        judged.collect::<Result<_, _>>().map_err(|error| match blame(&error) {
            Blame::Lie => Fault::Lie(error.to_string()),
            Blame::Nobody => Fault::Busy,
        })
    }

    /// Judges headers by what needs no chain, and hands those that are worth keeping to the owner.
    fn take_headers(
        &self,
        node: &NodeHandle,
        asked: &HeadersAsked,
        headers: Vec<Header>,
    ) -> HeadersGiven {
        if headers.first().is_some_and(|first| !asked.locator.contains(&first.previous)) {
            return HeadersGiven::Nothing("its headers do not follow what we have".to_owned());
        }
        let joined = headers.windows(2).all(|pair| pair[1].previous == pair[0].hash());
        let easiest = node.params().retarget.easiest;
        if !joined || !headers.iter().all(|header| easiest.is_met_by(&header.hash())) {
            let what = "headers that do not join or have no proof of work";
            return HeadersGiven::Lie(what.to_owned());
        }
        match walk_of(node, asked, &headers, self.seed) {
            Some(presync) => self.walk(node, asked, (headers, presync)),
            None => self.store(node, asked, (headers, None)),
        }
    }

    /// Walks on along a branch, and keeps what has turned out to be worth it.
    fn walk(
        &self,
        node: &NodeHandle,
        asked: &HeadersAsked,
        (headers, mut presync): (Vec<Header>, Box<Presync>),
    ) -> HeadersGiven {
        match presync.take(node.params(), headers, node.now().unix) {
            Ok(Taken::More) => HeadersGiven::Walked(presync),
            Ok(Taken::Store(headers)) => self.store(node, asked, (headers, Some(presync))),
            Ok(Taken::StoreLast(headers)) => self.store(node, asked, (headers, None)),
            Ok(Taken::Early(seconds)) => HeadersGiven::Early(seconds),
            Ok(Taken::TooLight(work)) => {
                let peer = self.table().shown(&asked.peer);
                log::info!("headers of {peer} are not kept: their branch has a work of {work}");
                HeadersGiven::TooLight
            }
            Err(error) if error.is_lie() => HeadersGiven::Lie(error.to_string()),
            Err(error) => HeadersGiven::Nothing(error.to_string()),
        }
    }

    /// Hands headers to the owner.
    fn store(
        &self,
        node: &NodeHandle,
        asked: &HeadersAsked,
        (headers, presync): (Vec<Header>, Option<Box<Presync>>),
    ) -> HeadersGiven {
        let full = headers.len() >= HEADERS_MAX;
        let Some(last) = headers.last().map(Header::hash) else {
            return HeadersGiven::Taken { last: None, full, gained: 0, presync };
        };
        let before = node.view().chain.headers().len();
        match node.submit_headers(headers) {
            Ok(_) => {
                let gained = node.view().chain.headers().len().saturating_sub(before);
                HeadersGiven::Taken { last: Some(last), full, gained, presync }
            }
            Err(error) if blame(&error) == Blame::Lie => HeadersGiven::Lie(error.to_string()),
            Err(NodeError::Accept(AcceptError::Header(HeaderError::FromTheFuture {
                latest,
                got,
            }))) => HeadersGiven::Early(seconds_until(latest, got)),
            Err(error) => {
                let peer = self.table().shown(&asked.peer);
                log::info!("headers of {peer} are not taken: {error}");
                HeadersGiven::NotTaken
            }
        }
    }

    /// Hands what has arrived without a gap to the owner, until there is no more or another does.
    fn hand_over(&self, node: &NodeHandle) {
        loop {
            let ready = lock(&self.sync).take_ready();
            if ready.is_empty() {
                return;
            }
            let handed = submit(node, ready);
            self.decide(node, |sync, scene| sync.handed(&handed, scene));
        }
    }
}

/// The walk along a branch that has not shown enough work yet; `None` if it has. Enough is what our
/// chain had some blocks ago: a lighter branch is never taken up, and keeping it would cost its maker
/// nothing.
fn walk_of(
    node: &NodeHandle,
    asked: &HeadersAsked,
    headers: &[Header],
    salt: u64,
) -> Option<Box<Presync>> {
    if asked.presync.is_some() {
        return asked.presync.clone();
    }
    let view = node.view();
    let tree = view.chain.headers();
    let stem = tree.get(&headers.first()?.previous)?;
    let needed = tree.work_back();
    (stem.total_work < needed).then(|| {
        let facts = tree.parent_facts(stem);
        let stem = Stem { hash: stem.hash, facts, work: stem.total_work };
        Box::new(Presync::new(stem, needed, salt))
    })
}

/// Hands blocks to the owner, in order.
fn submit(node: &NodeHandle, ready: Vec<(CheckedBlock, PeerId)>) -> Handed {
    let hashes: Vec<BlockHash> = ready.iter().map(|(block, _)| block.hash()).collect();
    let blocks = ready.into_iter().map(|(block, peer)| (block, Origin::Peer(peer))).collect();
    let mut adopted = 0;
    for (hash, result) in hashes.iter().zip(node.submit_all_checked(blocks)) {
        match result {
            Ok(Accepted::Best(change)) => adopted += change.connected.len(),
            Ok(Accepted::Known | Accepted::Side { kept: true }) => {}
            Ok(Accepted::Side { kept: false }) => return Handed { adopted, end: Some(End::Here) },
            Err(error) => {
                log::warn!("sync: block {hash} is not taken: {error}");
                let end = match blame(&error) {
                    Blame::Lie => End::Invalid(*hash, error.to_string()),
                    Blame::Nobody => End::Here,
                };
                return Handed { adopted, end: Some(end) };
            }
        }
    }
    Handed { adopted, end: None }
}
