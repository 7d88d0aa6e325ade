//! Who is in the table: added, come by itself, removed, the same as another.

use super::{
    CANDIDATES_MAX, CANDIDATES_OF_ONE_MAX, Candidate, LEARNED_MAX, LIE_PAUSE, MISSED_FOR,
    PAUSED_MAX, PEERS_MAX, REMOVED_MAX, Table, Target, Times, ask_soon, meet, push_bounded,
};
use crate::net::outbound::backoff;
use crate::net::peer::Peer;
use crate::net::place::{Place, is_of_internet, is_spelling_of, of_same_network};
use crate::node::ports::PeerState;
use crate::primitives::peer_address::Host;
use crate::primitives::{PeerAddress, PeerId, UnixTime};
use crate::wire::{Handshake, PeerRecord, Reach};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Learned peers that have named themselves to us, so that there is always room for those that we look
/// for. One that has not answered for long gives way.
pub(in crate::net) const CAME_MAX: usize = LEARNED_MAX / 4 * 3;

/// Learned peers of one place of the Internet: a household has a few nodes.
const OF_PLACE_MAX: usize = 2;

/// Learned peers of one network of the Internet, so that none has all places.
const OF_NETWORK_MAX: usize = LEARNED_MAX / 4;

impl Table {
    /// Whether a person may add one more.
    pub fn has_room(&self) -> bool {
        self.peers().filter(|peer| peer.id.address().is_some()).count() < PEERS_MAX
    }

    /// Adds what a person wants, or makes it that; its handshake is due.
    pub fn add_manual(&mut self, address: &PeerAddress) {
        self.removed.retain(|removed| !is_spelling_of(removed, address));
        self.paused.retain(|(paused, _)| paused != address);
        let id = PeerId::from(address.clone());
        match self.find_mut(&id) {
            Some(known) => (known.manual, known.unbacked) = (true, 0),
            None => self.insert(Peer::new(id, 0, true)),
        }
    }

    /// A peer that a person has just added did not answer; whoever was a peer before is judged by its
    /// exchanges alone.
    pub fn added_in_vain(&mut self, id: &PeerId, reason: &str, now: Duration) {
        if let Some(peer) = self.find_mut(id).filter(|peer| peer.state == PeerState::New) {
            peer.tried = Some(now);
            self.fail(id, format!("it has not answered yet: {reason}"), now);
        }
    }

    /// The address under which the list has the place of another that it does not have.
    pub fn listed_as(&self, address: &PeerAddress) -> Option<PeerAddress> {
        if self.find_at(address).is_some() {
            return None;
        }
        let mut listed = self.peers().filter_map(|peer| peer.id.address());
        listed.find(|listed| is_spelling_of(listed, address)).cloned()
    }

    pub(super) fn insert(&mut self, mut peer: Peer) {
        self.serials += 1;
        peer.serial = self.serials;
        self.peers.insert(peer.id.clone(), peer);
    }

    /// Removes the peer at `address` and keeps it away, whatever it says, until it is added again: at all
    /// addresses that are known of it, and, as long as it runs, at any other. Returns what it was.
    pub fn remove(&mut self, address: &PeerAddress) -> Option<Peer> {
        let known = self.find_at(address).map(|peer| peer.id.clone());
        let gone = known.and_then(|known| self.peers.remove(&known));
        self.candidates.retain(|candidate| candidate.address != *address);
        let spellings = gone.iter().flat_map(Peer::addresses).chain([address]);
        for spelling in spellings {
            if !self.removed.contains(spelling) {
                push_bounded(&mut self.removed, spelling.clone(), REMOVED_MAX);
            }
        }
        if let Some(run) = gone.as_ref().and_then(|gone| gone.instance)
            && !self.removed_runs.contains(&run)
        {
            push_bounded(&mut self.removed_runs, run, REMOVED_MAX);
        }
        gone
    }

    /// Whether a person has removed the peer at an address, however that is spelled.
    pub(super) fn is_removed(&self, address: &PeerAddress) -> bool {
        self.removed.iter().any(|removed| is_spelling_of(removed, address))
    }

    /// Hears of a node that speaks to us. A peer is called soon if that may bring something; any
    /// other node is called back, to see whether it is where it says. Nothing of what it says is
    /// believed before. True if it is to be written down instead: there is no room, or it may be a
    /// victim's address, which only the book can have called.
    pub fn heard_of(&mut self, candidate: Candidate, is_news: bool, now: Duration) -> bool {
        let is_same = |peer: &&Peer| peer.instance == Some(candidate.instance);
        let by_instance = self.peers.values().find(is_same);
        let known = by_instance.or_else(|| self.find_at(&candidate.address)).map(|peer| &peer.id);
        match known.cloned() {
            Some(known) => {
                let peer = self.peers.get_mut(&known).expect("just found");
                let missed = matches!(peer.state, PeerState::Unreachable | PeerState::New);
                if missed || is_news || peer.instance != Some(candidate.instance) {
                    ask_soon(peer, now);
                }
                let is_other_run = peer.instance != Some(candidate.instance);
                let is_other_place = peer.id.address() != Some(&candidate.address)
                    && (is_other_run || !peer.is_at(&candidate.address));
                is_other_place && self.consider(candidate, now)
            }
            None => self.consider(candidate, now),
        }
    }

    /// As [`Self::heard_of`], of one that is no peer.
    fn consider(&mut self, candidate: Candidate, now: Duration) -> bool {
        self.paused.retain(|(_, until)| *until > now);
        let away = self.is_removed(&candidate.address)
            || self.removed_runs.contains(&candidate.instance)
            || self.paused.iter().any(|(paused, _)| *paused == candidate.address);
        let waits = self.candidates.iter().any(|other| other.address == candidate.address);
        if away || waits || !self.has_room_for(&candidate.address) {
            return false;
        }
        let of_one = self.candidates.iter().filter(|other| other.client == candidate.client);
        // Only the place it calls from itself: any other might be a victim's.
        let is_source = candidate.address.ip() == Some(candidate.client);
        let has_place =
            self.candidates.len() < CANDIDATES_MAX && of_one.count() < CANDIDATES_OF_ONE_MAX;
        let has_room = self.has_learned_room(now) && self.has_room_to_come(now);
        let is_called_back = is_source && has_place && has_room;
        if is_called_back {
            self.candidates.push_back(candidate);
        }
        !is_called_back
    }

    /// The peer that says it can be reached at `reach`, if its words fit the address it calls from: or
    /// anyone could speak in its name.
    pub fn sender(&self, reach: &Reach, client: IpAddr) -> Option<PeerId> {
        let is_client = |address: &PeerAddress| match address.host() {
            Host::Ip(ip) => *ip == client,
            Host::Name(name) => **name == *"localhost" && client.is_loopback(),
        };
        let is_meant = |address: &PeerAddress| match reach {
            Reach::Node(named) => address == named,
            Reach::Port(port) => address.port() == *port,
        };
        let is_it = |address: &PeerAddress| is_meant(address) && is_client(address);
        let sender = self.peers().find(|peer| peer.addresses().any(is_it));
        sender.map(|peer| peer.id.clone())
    }

    pub(super) fn has_learned_room(&self, now: Duration) -> bool {
        let learned = self.peers().filter(|peer| peer.is_learned()).count();
        (learned < LEARNED_MAX && self.has_room())
            || self.most_missed(Peer::is_learned, now).is_some()
    }

    /// Whether one more that has named itself may become a peer.
    pub(super) fn has_room_to_come(&self, now: Duration) -> bool {
        self.has_place_to_come() || self.most_missed(Peer::has_come, now).is_some()
    }

    fn has_place_to_come(&self) -> bool {
        self.peers().filter(|peer| peer.has_come()).count() < CAME_MAX
    }

    /// Whether a place and a network have fewer learned peers than may be of them.
    fn has_room_for(&self, address: &PeerAddress) -> bool {
        if !is_of_internet(address) {
            return true;
        }
        let learned = || {
            let learned = self.peers().filter(|peer| peer.is_learned());
            learned.filter_map(|peer| peer.id.address())
        };
        let place = Place::of(address);
        let of_place = learned().filter(|other| Place::of(other) == place).count();
        of_place < OF_PLACE_MAX && of_same_network(address, learned()) < OF_NETWORK_MAX
    }

    /// One of these peers that has not answered for long.
    fn most_missed(&self, among: impl Fn(&Peer) -> bool, now: Duration) -> Option<PeerId> {
        let missed = self.peers().filter(|peer| among(peer) && !peer.busy);
        let since = |peer: &&Peer| {
            peer.failing_since.filter(|since| now.saturating_sub(*since) > MISSED_FOR)
        };
        let oldest = missed.filter_map(|peer| Some((since(&peer)?, &peer.id))).min();
        oldest.map(|(_, id)| id.clone())
    }

    /// A handshake was answered by a node of our chain. True if it is another run than before,
    /// so that it may turn out to be a peer that is in the list under another spelling.
    pub fn answered(&mut self, target: &Target, theirs: &Handshake, times: Times) -> bool {
        self.release(target);
        self.target(target).is_some() && self.introduce(&target.id, theirs, times)
    }

    /// As [`Self::answered`], for a peer that answered outside of any task.
    pub fn introduce(&mut self, id: &PeerId, theirs: &Handshake, times: Times) -> bool {
        let wait = self.spread(self.exchange_every);
        let Some(peer) = self.find_mut(id) else { return false };
        let is_new_run = peer.instance != Some(theirs.instance);
        let is_wanted = peer.manual;
        meet(peer, theirs, times);
        peer.due = times.monotonic + wait;
        if is_wanted {
            self.removed_runs.retain(|run| *run != theirs.instance);
        }
        is_new_run
    }

    /// The peers at other addresses that name the same instance. That alone proves nothing:
    /// instances are public, and anyone can answer with another's.
    pub fn twins(&self, address: &PeerAddress, instance: u64) -> Vec<PeerAddress> {
        let twins = self.peers().filter(|peer| peer.instance == Some(instance));
        let addresses = twins.filter_map(|peer| peer.id.address());
        addresses.filter(|twin| *twin != address).cloned().collect()
    }

    /// Makes one peer of two whose addresses are spellings of the same place; one that a person
    /// added stays. Returns the address that is kept.
    pub fn merge(&mut self, address: &PeerAddress, twin: &PeerAddress) -> Option<PeerAddress> {
        let ids = (PeerId::from(address.clone()), PeerId::from(twin.clone()));
        let (one, other) = (self.peers.get(&ids.0)?, self.peers.get(&ids.1)?);
        let (manual, came) = (one.manual || other.manual, one.came && other.came);
        let is_first = one.manual && !other.manual;
        let (keep, drop) = if is_first { (ids.0, ids.1) } else { (ids.1, ids.0) };
        self.peers.remove(&drop);
        let kept = self.peers.get_mut(&keep)?;
        kept.add_alias(drop.address()?.clone());
        (kept.manual, kept.came) = (manual, came);
        keep.address().cloned()
    }

    /// `alias` was seen to be another spelling of the address of a peer.
    pub fn add_alias(&mut self, address: &PeerAddress, alias: PeerAddress) {
        if let Some(peer) = self.find_mut(&address.clone().into()) {
            peer.add_alias(alias);
        }
    }

    /// Our tip has changed while a peer was told of the one before: it is told again.
    pub fn ask_again(&mut self, id: &PeerId, now: Duration) {
        if let Some(peer) = self.find_mut(id).filter(|peer| peer.is_connected()) {
            peer.due = now;
        }
    }

    /// A candidate was called back; `theirs` is what it answered, unless it turned out to be a peer
    /// in another spelling. True if it is now a peer. Whoever has answered is not kept out because
    /// another has named the same instance, as an impostor can.
    pub fn called_back(
        &mut self,
        candidate: &Candidate,
        theirs: Option<&Handshake>,
        times: Times,
    ) -> bool {
        self.calls -= 1;
        self.suspect_calls -= 1;
        self.call_backs -= 1;
        let theirs = theirs.filter(|theirs| theirs.instance == candidate.instance);
        theirs.is_some_and(|theirs| self.let_come(&candidate.address, theirs, times))
    }

    /// As [`Self::take_in`], of one that nobody has named but callers.
    pub(super) fn let_come(
        &mut self,
        address: &PeerAddress,
        theirs: &Handshake,
        times: Times,
    ) -> bool {
        let now = times.monotonic;
        let is_taken = self.has_room_to_come(now) && self.take_in(address, theirs, times);
        if is_taken {
            let missed =
                self.most_missed(Peer::has_come, now).filter(|_| !self.has_place_to_come());
            missed.map(|missed| self.peers.remove(&missed));
            let newcomer = self.peers.get_mut(&address.clone().into());
            newcomer.expect("just taken in").came = true;
        }
        is_taken
    }

    /// A peer that has named itself is one that we look for as well.
    pub fn looked_for(&mut self, address: &PeerAddress) {
        if let Some(peer) = self.find_mut(&address.clone().into()) {
            peer.came = false;
        }
    }

    /// Takes in who has answered at an address, unless a person wants it away or there is no room.
    pub fn take_in(&mut self, address: &PeerAddress, theirs: &Handshake, times: Times) -> bool {
        let id = PeerId::from(address.clone());
        let is_settled = self.is_removed(address)
            || self.removed_runs.contains(&theirs.instance)
            || self.peers.contains_key(&id);
        if is_settled || !self.has_room_for(address) || !self.has_learned_room(times.monotonic) {
            return false;
        }
        // Whoever answers here is another node than the peer that once had this address too.
        self.peers.values_mut().for_each(|peer| peer.drop_alias(address));
        let learned = self.peers().filter(|peer| peer.is_learned()).count();
        if (learned >= LEARNED_MAX || !self.has_room())
            && let Some(missed) = self.most_missed(Peer::is_learned, times.monotonic)
        {
            self.peers.remove(&missed);
        }
        let mut peer = Peer::new(id, 0, false);
        meet(&mut peer, theirs, times);
        peer.due = times.monotonic + self.spread(self.exchange_every);
        self.insert(peer);
        true
    }

    /// What is to be remembered over a restart.
    pub fn records(&self, times: Times) -> Vec<PeerRecord> {
        let anchors = self.anchors();
        let peers = self.peers().filter_map(|peer| {
            let address = peer.id.address()?;
            Some(PeerRecord {
                manual: peer.manual,
                last_seen: peer.last_seen.unwrap_or_default(),
                last_tried: peer.tried.map(|tried| times.unix_at(tried)).unwrap_or_default(),
                failures: peer.failures,
                anchor: anchors.contains(address),
                came: peer.has_come(),
                ..PeerRecord::new(address.clone())
            })
        });
        let removed = self.removed.iter();
        let removed =
            removed.map(|node| PeerRecord { removed: true, ..PeerRecord::new(node.clone()) });
        let refused = self.paused.iter().filter(|(_, until)| *until > times.monotonic);
        let refused = refused.map(|(node, until)| PeerRecord {
            refused_until: times.unix_at(*until),
            ..PeerRecord::new(node.clone())
        });
        peers.chain(removed).chain(refused).collect()
    }

    /// Takes up what was remembered; what is there twice is made one. Peers that a person added and
    /// anchors are called at once, the others after what is left of their pauses.
    ///
    /// # Errors
    /// Why there is no room for it.
    pub fn restore(&mut self, record: &PeerRecord, times: Times) -> Result<(), &'static str> {
        let node = &record.node;
        if record.removed {
            if !self.removed.contains(node) {
                push_fitting(&mut self.removed, node.clone(), REMOVED_MAX)?;
            }
        } else if record.refused_until != UnixTime(0) {
            self.paused.retain(|(paused, _)| paused != node);
            let until = times.monotonic_at(record.refused_until, LIE_PAUSE);
            push_fitting(&mut self.paused, (node.clone(), until), PAUSED_MAX)?;
        } else if let Some(known) = self.find_mut(&node.clone().into()) {
            known.remember(remembered(record, times));
        } else if self.has_room() {
            self.insert(remembered(record, times));
        } else {
            return Err("there are as many peers as there can be");
        }
        Ok(())
    }
}

/// A peer as the file knows it.
fn remembered(record: &PeerRecord, times: Times) -> Peer {
    let mut peer = Peer::new(record.node.clone().into(), 0, record.manual);
    peer.last_seen = (record.last_seen != UnixTime(0)).then_some(record.last_seen);
    (peer.anchor, peer.came) = (record.anchor, record.came);
    if !peer.manual && !peer.anchor && record.failures > 0 {
        peer.failures = record.failures;
        let pause = backoff(record.failures);
        let seconds = u32::try_from(pause.as_secs()).expect("ten minutes at most");
        peer.due = times.monotonic_at(record.last_tried.plus(seconds), pause);
    }
    peer
}

fn push_fitting<T>(list: &mut VecDeque<T>, item: T, max: usize) -> Result<(), &'static str> {
    if list.len() >= max {
        return Err("there are as many like it as can be remembered");
    }
    list.push_back(item);
    Ok(())
}
