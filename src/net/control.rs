//! What the HTTP layer asks of the peer network.

use super::answer;
use super::book::Source;
use super::client::Pace;
use super::driver::TICK;
use super::exchange::Met;
use super::place::{check_added, may_call_back};
use super::table::{CALLS_MAX, Candidate, SUSPECT_CALLS_MAX, Times};
use super::{Network, lock};
use crate::node::ports::{GuestInfo, PeerControl, PeerError, PeerInfo, Resolved, SyncStatus};
use crate::node::{NodeHandle, View};
use crate::primitives::{Amount, Height, PeerAddress, PeerId, UnixTime, Work};
use crate::wire::{Announcement, Handshake, PEER_VERSION, Question, Reach};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long Resolve Conflicts waits for the peers to answer.
const RESOLVE_ASK_MAX: Duration = Duration::from_secs(5);

/// How long Resolve Conflicts waits for the sync, which then goes on by itself.
const RESOLVE_SYNC_MAX: Duration = Duration::from_secs(60);

/// How long Resolve Conflicts waits for a sync that brings nothing: with the time for the answers,
/// ten seconds in all if the peers only drip.
const RESOLVE_IDLE_MAX: Duration = Duration::from_secs(5);

/// Blocks that are looked through for what the wallet would lose; beyond it the sum says "at least".
const LOSSES_DEPTH_MAX: u32 = 1_000;

impl PeerControl for Network {
    fn list(&self) -> Vec<PeerInfo> {
        let table = self.table();
        let (mut infos, reaching) = (table.infos(), table.reaching_us());
        let lines = self.lines();
        for info in &mut infos {
            let id = PeerId::from(info.node.clone());
            info.outgoing = lines.of(&id).is_some();
            info.incoming = reaching.contains(&id);
        }
        infos
    }

    fn incoming(&self) -> usize {
        self.lines().inbound().len()
    }

    fn guests(&self) -> Vec<GuestInfo> {
        let Some(node) = self.node() else { return Vec::new() };
        let view = node.view();
        let height_of = |tip| view.chain.headers().get(&tip).map(|known| known.height);
        self.table().guests(height_of)
    }

    fn add(&self, address: PeerAddress) -> Result<Option<String>, PeerError> {
        check_added(&address).map_err(|why| PeerError::Unfit(why.to_string()))?;
        if self.table().find_at(&address).is_none() && !self.table().has_room() {
            return Err(PeerError::TooMany { max: super::PEERS_MAX });
        }
        let id = PeerId::from(address.clone());
        let Some(node) = self.node() else { return Ok(None) };
        // As it is before they meet: whoever is called may be quick to bring its chain.
        let before = node.view();
        let question = Question::Handshake(self.handshake_to(&node, None));
        drop(node);
        let met = self.met(&id, self.client.call(&address, &question, Pace::Quick));
        let Some(node) = self.node() else { return Ok(None) };
        let (theirs, silence) = match met {
            Err(Met::Refused(error)) => return Err(error),
            Ok(theirs) => (Some(theirs), String::new()),
            Err(Met::Busy) => (None, "it is busy".to_owned()),
            Err(Met::Failed(reason)) => (None, reason),
        };
        let twin =
            theirs.as_ref().and_then(|theirs| self.spelled_otherwise(&address, theirs.instance));
        if let Some(twin) = twin.clone().filter(|twin| self.is_manual(twin)) {
            self.table().add_alias(&twin, address.clone());
            return Ok(Some(format!("{address} is another address of the peer {twin}")));
        }
        let warning =
            theirs.as_ref().and_then(|theirs| self.warning((&node, &before), &address, theirs));
        let (mut table, times) = self.table_now(&node);
        table.add_manual(&address);
        if let Some(theirs) = &theirs {
            table.introduce(&id, theirs, times);
            let (mut book, times) = self.book_now(&node);
            book.answered(&address, times);
        } else {
            table.added_in_vain(&id, &silence, times.monotonic);
        }
        if let Some(twin) = twin {
            table.merge(&address, &twin);
        }
        drop(table);
        self.signal.tell();
        self.save();
        if let Some(theirs) = &theirs {
            self.sync_if_behind(&node, theirs);
        }
        if let Some(warning) = &warning {
            log::warn!("{warning}");
        }
        Ok(warning)
    }

    fn remove(&self, address: &PeerAddress) -> Option<PeerAddress> {
        let mut table = self.table();
        let listed_as = table.listed_as(address);
        if listed_as.is_some() {
            return listed_as;
        }
        let gone = table.remove(address);
        drop(table);
        if let Some(gone) = gone {
            self.part_with(&gone);
        }
        self.save();
        None
    }

    fn greet(&self, theirs: &Handshake, client: IpAddr) -> Result<Handshake, PeerError> {
        let client = client.to_canonical();
        let address = match &theirs.node {
            Some(Reach::Node(node)) => Some(node.clone()),
            Some(Reach::Port(port)) => PeerAddress::from_ip(client, *port),
            None => None,
        };
        let shown = || address.as_ref().map_or_else(|| client.to_string(), PeerAddress::to_string);
        self.judge(theirs, shown)?;
        let Some(node) = self.node() else { return Ok(self.farewell(theirs.time)) };
        let ours = self.handshake_to(&node, Some(theirs.instance));
        if let Some(address) = address.filter(|address| may_call_back(address, client)) {
            let is_news = theirs.work > ours.work;
            let (pace, instance) = (self.book().pace(&address), theirs.instance);
            let candidate = Candidate { address: address.clone(), instance, client, pace };
            let (mut table, times) = self.table_now(&node);
            let is_put_off = table.heard_of(candidate, is_news, times.monotonic);
            drop(table);
            if is_put_off {
                self.book().hear(&[address], &Source::from_ip(client));
            }
            self.signal.tell();
        }
        Ok(ours)
    }

    fn addresses(&self, client: IpAddr) -> Vec<PeerAddress> {
        self.known_addresses(client)
    }

    fn announced(&self, mut news: Announcement, client: IpAddr) {
        let from = news.from.take();
        let sender = from.and_then(|reach| self.table().sender(&reach, client.to_canonical()));
        if let Some(sender) = sender {
            self.hear_named(&sender, news);
        }
    }

    fn take_link(&self, stream: TcpStream, client: SocketAddr) {
        self.let_in(stream, client);
    }

    fn is_ahead(&self, from: Option<&Reach>, client: IpAddr) {
        let Some(node) = self.node() else { return };
        let (mut table, Times { monotonic: now, .. }) = self.table_now(&node);
        // Someone who is no peer will shake hands by itself, and then be called back.
        match from.and_then(|reach| table.sender(reach, client.to_canonical())) {
            Some(peer) => table.ask_soon(&peer, now),
            None => table.ask_all_soon(now),
        }
        drop(table);
        self.signal.tell();
    }

    fn resolve(&self) -> Resolved {
        let (before, adopted) = (self.tip(), self.adopted());
        let (asked, answered) = self.ask_everyone();
        self.wait_for_sync(self.request_sync());
        let replaced = self.adopted() > adopted && self.tip() != before;
        Resolved { replaced, answered, asked }
    }

    fn sync_status(&self) -> SyncStatus {
        let Some(node) = self.node() else { return SyncStatus::default() };
        let view = node.view();
        let chain = &view.chain;
        let has_seeds = self.book().has_seeds();
        let sync = lock(&self.sync);
        let (table, times) = self.table_now(&node);
        // Heights are shown of those only whom a person trusts; what others say counts once it is shown.
        let said = table.credible_claims(chain.tip().total_work).filter(|peer| peer.manual);
        let said = said.filter_map(|peer| peer.claim);
        let shown = chain.headers().heaviest().height;
        let best_height = said.map(|claim| claim.height).fold(shown, Height::max);
        let left = best_height.0.saturating_sub(chain.height().0);
        let (blocks_per_second, seconds_left) = sync.pace(left, times.monotonic);
        SyncStatus {
            height: chain.height(),
            best_height,
            blocks_per_second,
            seconds_left,
            state: sync.state(chain, &table, (times.monotonic, has_seeds)),
            clock_offset: table.clock_offset(times),
            clock_behind: table.clock_behind(times),
        }
    }
}

impl Network {
    fn is_manual(&self, address: &PeerAddress) -> bool {
        self.table().find_at(address).is_some_and(|peer| peer.manual)
    }

    /// What a node says of itself that is stopping: nothing that anyone would act upon.
    fn farewell(&self, time: UnixTime) -> Handshake {
        Handshake {
            chain_id: self.chain.id,
            chain: self.chain.name.clone(),
            version: PEER_VERSION,
            height: Height::GENESIS,
            tip: self.chain.id,
            work: Work::ZERO,
            instance: self.instance,
            node: None,
            linked: false,
            time,
        }
    }

    fn tip(&self) -> Option<crate::primitives::BlockHash> {
        self.node().map(|node| node.view().chain.tip().hash)
    }

    /// Waits until a request was served, as long as the sync makes progress.
    fn wait_for_sync(&self, request: u64) {
        let end = Instant::now() + RESOLVE_SYNC_MAX;
        let known = || (self.adopted(), self.node().map(|node| node.view().chain.headers().len()));
        let (mut last, mut idle_end) = (known(), Instant::now() + RESOLVE_IDLE_MAX);
        loop {
            let seen = self.signal.seen();
            let (now, found) = (Instant::now(), known());
            if found != last {
                (last, idle_end) = (found, now + RESOLVE_IDLE_MAX);
            }
            let served = lock(&self.sync).served() >= request;
            if served || now >= end.min(idle_end) || self.waits_no_more() {
                return;
            }
            self.signal.wait(seen, TICK);
        }
    }

    /// Blocks that syncs have brought onto the best chain so far.
    fn adopted(&self) -> u64 {
        lock(&self.sync).adopted()
    }

    /// Asks every peer for its tip and waits for the answers, for a while; returns how many were
    /// asked and how many answered.
    fn ask_everyone(&self) -> (usize, usize) {
        let Some(node) = self.node() else { return (0, 0) };
        let deadline = Instant::now() + RESOLVE_ASK_MAX;
        let (mut table, times) = self.table_now(&node);
        drop(node);
        let before = table.ask_all(times.monotonic);
        // While a person waits, those that may not answer may hold all calls but two.
        table.suspect_calls_max = CALLS_MAX - SUSPECT_CALLS_MAX;
        drop(table);
        self.signal.tell();
        let is_open = |(id, ended, _): &(PeerId, u64, u64)| {
            self.table().find(id).is_some_and(|peer| peer.ended <= *ended)
        };
        loop {
            let seen = self.signal.seen();
            let over = Instant::now() >= deadline || self.waits_no_more();
            if over || !before.iter().any(is_open) {
                break;
            }
            self.signal.wait(seen, TICK);
        }
        let mut table = self.table();
        table.suspect_calls_max = SUSPECT_CALLS_MAX;
        let answered = before.iter().filter(|(id, _, answered)| {
            table.find(id).is_some_and(|peer| peer.answered > *answered)
        });
        (before.len(), answered.count())
    }

    /// What to warn of when joining a node whose chain will replace blocks that paid our wallet.
    fn warning(
        &self,
        (node, view): (&NodeHandle, &View),
        address: &PeerAddress,
        theirs: &Handshake,
    ) -> Option<String> {
        let tip = view.chain.tip().clone();
        view.wallet?;
        let known = view.chain.headers().get(&theirs.tip).is_some();
        if theirs.work <= tip.total_work || known || tip.height == Height::GENESIS {
            return None;
        }
        let locator = view.chain.headers().locator(&tip);
        let answer = self.client.call(address, &Question::Headers { locator }, Pace::Quick);
        // What it gives costs it the work of one block at least; all else is its word.
        let first = *answer::headers(answer).ok()?.first()?;
        let (parent, _) = view.chain.judge_header(&first, node.now().unix).ok()?;
        let fork = parent.height;
        let (received, whole) = received_above(node, view, fork);
        if received == Amount::ZERO {
            return None;
        }
        let (count, at_least) = (tip.height.0 - fork.0, if whole { "" } else { "at least " });
        Some(format!(
            "{address} says that its chain has more work: if so, it replaces the last {count} blocks of \
             this node, in which its wallet received {at_least}{received} coins; coins mined in them \
             are then lost"
        ))
    }
}

/// What the wallet received in the blocks of the best chain above `fork`, and whether all of them
/// were looked at.
fn received_above(node: &NodeHandle, view: &View, fork: Height) -> (Amount, bool) {
    let (mut sum, tip) = (Amount::ZERO, view.chain.height());
    let Some(wallet) = view.wallet else { return (sum, true) };
    for height in (fork.0 + 1..=tip.0).take(LOSSES_DEPTH_MAX as usize) {
        let body = view.chain.block_at(Height(height)).and_then(|block| block.body);
        let Some(block) = body.and_then(|body| node.read_block(body).ok()) else { continue };
        let mined = (block.coinbase.recipient == wallet).then_some(block.coinbase.amount);
        let transfers = block.transfers.iter().filter(|transfer| transfer.recipient == wallet);
        let amounts = mined.into_iter().chain(transfers.map(|transfer| transfer.amount));
        sum = amounts.fold(sum, |sum, amount| sum.checked_add(amount).unwrap_or(sum));
    }
    (sum, tip.0.saturating_sub(fork.0) <= LOSSES_DEPTH_MAX)
}
