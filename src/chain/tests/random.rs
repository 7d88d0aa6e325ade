//! Random operations on a chain, held against the naive model after every one of them.

use super::model::{Model, Place, SUBSIDY, State, debit, get};
use super::{assert_pool_is_sound, snapshot};
use crate::chain::accept::{AcceptError, Accepted, TipChange};
use crate::chain::pool::Admitted;
use crate::chain::side::SIDE_DEPTH_MAX;
use crate::consensus::check::{CheckedBlock, TransferError, check_transfer};
use crate::consensus::params::{ChainParams, TEMPLATE_VERSION};
use crate::primitives::{
    Amount, Block, Coinbase, Expiry, Hash256, Header, PublicKey, StateRoots, Tag, Transfer, Txid,
};
use crate::testkit::{Random, TestChain, TestKey, seal, unsigned};
use std::collections::{BTreeMap, BTreeSet};

/// Operations for each seed.
const OPERATIONS: usize = 10_000;

/// The deepest fork that is made on purpose.
const DEPTH_MAX: u64 = 50;

/// Transfers made lately, from which blocks choose.
const BAG_MAX: usize = 120;

/// What happened in a run.
#[derive(Debug, Default)]
struct Figures {
    operations: usize,
    blocks: usize,
    pending: usize,
    refused_transfers: usize,
    refused_blocks: usize,
    duplicates: usize,
    early: usize,
    reorganizations: usize,
    deepest: usize,
    by_depth: BTreeMap<usize, usize>,
    returned: usize,
    dropped: usize,
}

struct World {
    random: Random,
    test: TestChain,
    model: Model,
    keys: Vec<TestKey>,
    strangers: Vec<PublicKey>,
    /// Tips that may be mined on, beside the best.
    branches: Vec<Place>,
    bag: Vec<Transfer>,
    salt: u64,
    figures: Figures,
}

#[derive(Clone, Copy, Debug)]
enum Flaw {
    Reward,
    Height,
    AccountRoot,
    HistoryRoot,
    Nonce,
    Overspent,
    SpentInAdvance,
    Expired,
}

const FLAWS: [Flaw; 8] = [
    Flaw::Reward,
    Flaw::Height,
    Flaw::AccountRoot,
    Flaw::HistoryRoot,
    Flaw::Nonce,
    Flaw::Overspent,
    Flaw::SpentInAdvance,
    Flaw::Expired,
];

impl World {
    fn new(seed: u64) -> Self {
        let params = ChainParams::dev();
        let allocations: Vec<_> =
            params.allocations.iter().map(|(key, amount)| (*key, amount.units())).collect();
        let model = Model::new(&params.genesis(), &allocations);
        let keys = (1..=10).map(TestKey::dev).chain((1..=6).map(TestKey::new)).collect();
        let strangers = (0..20).map(|n| PublicKey::from_bytes([n; 32])).collect();
        Self {
            random: Random(seed),
            test: TestChain::new(params),
            model,
            keys,
            strangers,
            branches: Vec::new(),
            bag: Vec::new(),
            salt: 0,
            figures: Figures::default(),
        }
    }

    fn step(&mut self) {
        self.figures.operations += 1;
        match self.random.below(100) {
            0..46 => self.send(),
            46..64 => self.mine_best(),
            64..80 => self.extend_branch(),
            80..84 => self.start_branch(),
            84..89 => self.repeat_block(),
            89..93 => self.mine_flawed(),
            93..96 => self.arrive_out_of_order(),
            96..98 => self.overtake(),
            _ => self.rebuild_from_genesis(),
        }
    }

    fn recipient(&mut self) -> PublicKey {
        if self.random.percent(80) {
            self.random.pick(&self.keys).public
        } else {
            *self.random.pick(&self.strangers)
        }
    }

    /// Sends a transfer to the pool, valid or not, and says beforehand what must become of it.
    fn send(&mut self) {
        let key = self.random.pick(&self.keys).clone();
        let state = self.model.blocks[self.model.best].state.clone();
        let (balance, nonce) = get(&state, &key.public);
        let pending: Vec<_> = self.test.chain.pool().of_sender(&key.public).collect();
        let spent: u64 = pending.iter().map(|p| p.transfer.cost().units()).sum();
        let (next, left) = (nonce + pending.len() as u64, balance - spent);
        let mut transfer = unsigned(key.public, self.recipient(), (0, 0), next);
        transfer.amount = Amount::from_units(1 + self.random.below(left / 3 + 2));
        transfer.fee = Amount::from_units(self.random.below(1_000) * self.random.below(2));
        if self.random.percent(10) {
            let height = self.test.chain.height().0 + 1;
            transfer.expiry = Expiry(height + u32::try_from(self.random.below(30)).unwrap());
        }
        match self.random.below(100) {
            0..4 => transfer.nonce = nonce.wrapping_sub(1),
            4..7 => transfer.nonce = next + 1 + self.random.below(20),
            7..10 => transfer.amount = Amount::from_units(left + 1),
            10..13 => transfer.amount = Amount::ZERO,
            13..15 => transfer.recipient = key.public,
            15..17 => transfer.amount = Amount::from_units(u64::MAX),
            17..20 => transfer.expiry = Expiry(self.test.chain.height().0),
            20..26 if next > nonce => transfer.nonce = nonce + self.random.below(next - nonce),
            _ => {}
        }
        let mut signed = key.sign(transfer, &self.test.chain.chain_id());
        if self.random.percent(3) {
            signed.memo = "forged".parse().unwrap();
        }
        self.submit(signed, next, left);
    }

    fn submit(&mut self, transfer: Transfer, next: u64, left: u64) {
        let before = snapshot(&self.test.chain);
        let well_formed = transfer.amount > Amount::ZERO
            && transfer.sender != transfer.recipient
            && transfer.cost().is_some()
            && transfer.memo.as_str().is_empty();
        let checked = match check_transfer(transfer.clone(), &self.test.chain.chain_id()) {
            Ok(checked) => checked,
            Err(error) => {
                assert!(!well_formed, "{error}");
                let forged = error == TransferError::BadSignature;
                assert!(!forged || !transfer.memo.as_str().is_empty());
                self.figures.refused_transfers += 1;
                return;
            }
        };
        assert!(well_formed);
        let alive = transfer.expiry.allows(self.test.chain.height().next());
        let affordable = checked.cost().units() <= left;
        let admitted = self.test.chain.accept_transfer(checked, self.test.now);
        match &admitted {
            Ok(Admitted::Pending { added, replaced }) => {
                assert!(alive && transfer.nonce <= next);
                assert_eq!(replaced.is_some(), transfer.nonce < next);
                assert!(replaced.is_some() || affordable);
                assert!(added.iter().all(|id| self.test.chain.pool().get(id).is_some()));
                self.figures.pending += 1;
                self.bag.push(transfer);
                let surplus = self.bag.len().saturating_sub(BAG_MAX);
                self.bag.drain(..surplus);
            }
            Ok(Admitted::Waiting) => assert!(transfer.nonce > next),
            Err(error) => {
                assert!(transfer.nonce != next || !alive || !affordable, "{error}");
                assert_eq!(snapshot(&self.test.chain), before);
                self.figures.refused_transfers += 1;
            }
        }
    }

    /// A block on any parent, with transfers that are valid there.
    fn draft(&mut self, parent: Place) -> Block {
        let made = &self.model.blocks[parent];
        let (height, mut state) = (made.height + 1, made.state.clone());
        let (previous, hash) = (made.block.as_ref().map(|block| block.header), made.hash);
        let previous = previous.unwrap_or_else(|| self.test.chain.params().genesis());
        let transfers = self.transfers(&mut state, height);
        let fees: u64 = transfers.iter().map(|t| t.fee.units()).sum();
        let (accounts, history) = self.model.roots(parent);
        let (accounts, history) = (Hash256::from_bytes(accounts), Hash256::from_bytes(history));
        self.salt += 1;
        let coinbase = Coinbase {
            height: crate::primitives::Height(height),
            extra_nonce: self.salt.to_le_bytes(),
            recipient: self.recipient(),
            amount: Amount::from_units(SUBSIDY + fees),
            extension: [7; 32],
            tag: Tag::default(),
        };
        let header = Header {
            version: TEMPLATE_VERSION,
            previous: hash,
            commitment: Hash256::ZERO,
            time: previous.time.plus(u32::try_from(self.random.below(20)).unwrap()),
            bits: previous.bits,
            nonce: 0,
        };
        Block { header, roots: StateRoots { accounts, history }, coinbase, transfers }
    }

    /// Transfers from the bag that are valid after `state`, and new ones that nobody else has seen.
    fn transfers(&mut self, state: &mut State, height: u32) -> Vec<Transfer> {
        let mut bag = self.bag.clone();
        bag.sort_by_key(|transfer| (transfer.sender, transfer.nonce));
        let share = self.random.below(101);
        let mut chosen = Vec::new();
        for transfer in bag {
            if self.random.percent(share) && debit(state, height, &transfer).is_ok() {
                chosen.push(transfer);
            }
        }
        for _ in 0..self.random.below(3) {
            let key = self.random.pick(&self.keys).clone();
            let (balance, nonce) = get(state, &key.public);
            let amount = 1 + self.random.below(balance / 2 + 1);
            let to = self.recipient();
            let id = self.test.chain.chain_id();
            let transfer = key.pay(to, (amount, self.random.below(3)), nonce, &id);
            if to != key.public && debit(state, height, &transfer).is_ok() {
                self.bag.push(transfer.clone());
                chosen.push(transfer);
            }
        }
        chosen
    }

    fn make(&mut self, parent: Place) -> Place {
        let mut block = self.draft(parent);
        seal(&mut block, self.test.chain.params().retarget.easiest);
        self.figures.blocks += 1;
        self.model.add(parent, block)
    }

    fn mine_best(&mut self) {
        let place = if self.random.percent(50) {
            self.salt += 1;
            self.test.salt = self.salt;
            self.test.miner = self.recipient();
            self.figures.blocks += 1;
            let block = self.test.from_template();
            self.model.add(self.model.best, block.block().clone())
        } else {
            self.make(self.model.best)
        };
        assert!(self.model.blocks[place].valid, "templates and drafts are valid");
        self.deliver(place);
    }

    fn start_branch(&mut self) {
        let depth = u32::try_from(1 + self.random.below(DEPTH_MAX)).unwrap();
        let fork = self.model.ancestor(self.model.best, depth);
        let place = self.make(fork);
        self.deliver(place);
        self.branches.push(place);
        if self.branches.len() > 4 {
            self.branches.remove(0);
        }
    }

    fn extend_branch(&mut self) {
        if self.branches.is_empty() {
            return self.start_branch();
        }
        let slot = usize::try_from(self.random.below(self.branches.len() as u64)).unwrap();
        let place = self.make(self.branches[slot]);
        self.deliver(place);
        self.branches[slot] = place;
    }

    /// Mines a branch from some depth until it is the best chain, or would be but for one flaw.
    fn overtake(&mut self) {
        let depth = u32::try_from(1 + self.random.below(DEPTH_MAX)).unwrap();
        let start = self.model.best;
        let mut at = self.model.ancestor(start, depth);
        let length = self.model.blocks[start].height - self.model.blocks[at].height + 1;
        let flawed = self.random.percent(25).then(|| self.random.below(u64::from(length)));
        for step in 0..u64::from(length) {
            self.figures.operations += 1;
            at = if flawed == Some(step) { self.make_flawed(at) } else { self.make(at) };
            self.deliver(at);
        }
        assert_eq!(self.model.best, if flawed.is_some() { start } else { at });
    }

    /// Headers of a new branch, then its bodies in any order; and at first some too early.
    fn arrive_out_of_order(&mut self) {
        let depth = u32::try_from(self.random.below(12)).unwrap();
        let mut branch = vec![self.model.ancestor(self.model.best, depth)];
        for _ in 0..self.random.below(20) + 2 {
            let parent = branch
                [branch.len() - 1 - usize::from(self.random.percent(15)).min(branch.len() - 1)];
            let place =
                if self.random.percent(3) { self.make_flawed(parent) } else { self.make(parent) };
            branch.push(place);
        }
        branch.remove(0);
        for place in branch.iter().skip(1).take(2) {
            self.deliver(*place);
        }
        let known = self.random.percent(70);
        for place in &branch {
            if known || self.random.percent(50) {
                self.deliver_header(*place);
            }
        }
        for last in (1..branch.len()).rev() {
            let other = usize::try_from(self.random.below(last as u64 + 1)).unwrap();
            branch.swap(last, other);
        }
        for place in branch {
            self.figures.operations += 1;
            self.deliver(place);
        }
    }

    fn repeat_block(&mut self) {
        let count = self.model.blocks.len() as u64;
        let recent = count - 1 - self.random.below(count.min(200));
        let place = usize::try_from(recent).unwrap();
        if place != 0 {
            self.figures.duplicates += 1;
            self.deliver(place);
        }
    }

    fn mine_flawed(&mut self) {
        let parent = match self.branches.last() {
            Some(branch) if self.random.percent(50) => *branch,
            _ => self.model.best,
        };
        let place = self.make_flawed(parent);
        self.deliver(place);
        if self.random.percent(50) {
            let child = self.make(place);
            self.deliver(child);
        }
    }

    fn make_flawed(&mut self, parent: Place) -> Place {
        let mut block = self.draft(parent);
        let flaw = *self.random.pick(&FLAWS);
        self.spoil(&mut block, flaw, parent);
        seal(&mut block, self.test.chain.params().retarget.easiest);
        self.figures.blocks += 1;
        let place = self.model.add(parent, block);
        assert!(!self.model.blocks[place].valid, "{flaw:?}");
        place
    }

    fn spoil(&mut self, block: &mut Block, flaw: Flaw, parent: Place) {
        let made = &self.model.blocks[parent];
        let id = self.test.chain.chain_id();
        let key = self.random.pick(&self.keys).clone();
        let (balance, nonce) = get(&made.state, &key.public);
        let to = *self.random.pick(&self.strangers);
        block.transfers.retain(|transfer| transfer.sender != key.public);
        match flaw {
            Flaw::Reward => {}
            Flaw::Height => block.coinbase.height.0 += 1,
            Flaw::AccountRoot => block.roots.accounts = Hash256::from_bytes([1; 32]),
            Flaw::HistoryRoot => block.roots.history = block.roots.accounts,
            Flaw::Nonce => block.transfers.push(key.pay(to, (1, 0), nonce + 1, &id)),
            Flaw::Overspent => {
                block.transfers.push(key.pay(to, (balance / 2 + 1, 0), nonce, &id));
                block.transfers.push(key.pay(
                    to,
                    ((balance - balance / 2).max(1), 0),
                    nonce + 1,
                    &id,
                ));
            }
            Flaw::SpentInAdvance => {
                block.transfers.push(key.pay(to, (balance + SUBSIDY, 0), nonce, &id));
                block.coinbase.recipient = key.public;
            }
            Flaw::Expired => {
                let mut late = unsigned(key.public, to, (1, 0), nonce);
                late.expiry = Expiry(made.height.max(1) - u32::from(made.height > 1));
                late.amount = Amount::from_units(if made.height == 0 { balance + 1 } else { 1 });
                block.transfers.push(key.sign(late, &id));
            }
        }
        let fees: u64 = block.transfers.iter().map(|t| t.fee.units()).sum();
        let forged = u64::from(matches!(flaw, Flaw::Reward));
        block.coinbase.amount = Amount::from_units(SUBSIDY + fees + forged);
    }

    fn deliver_header(&mut self, place: Place) {
        let made = &self.model.blocks[place];
        let header = made.block.as_ref().expect("not genesis").header;
        let parent_known = self.model.has_header(made.parent);
        match self.test.chain.accept_header(&header, self.test.now) {
            Ok(_) => self.model.header_arrives(place),
            Err(error) => assert!(!parent_known || !made.valid, "{error}"),
        }
        self.verify();
    }

    fn deliver(&mut self, place: Place) {
        let made = &self.model.blocks[place];
        let (valid, parent, old_best) = (made.valid, made.parent, self.model.best);
        let block = made.block.clone().expect("not genesis");
        let known = self.model.has_header(place) || self.model.has_header(parent);
        let repeated = made.body;
        let checked = self.test.check(block).expect("every block made here is well-formed");
        let before = snapshot(&self.test.chain);
        match self.test.accept(&checked) {
            Ok(accepted) => {
                assert!(known && (!repeated || matches!(accepted, Accepted::Known)));
                self.note(place, &checked, accepted);
            }
            Err(error) => {
                assert!(!known || !valid, "{place}: {error}");
                let early = matches!(error, AcceptError::UnknownParent(_));
                assert!(!valid || early, "{error}");
                self.figures.early += usize::from(early);
                self.figures.refused_blocks += usize::from(!early);
                assert_eq!(snapshot(&self.test.chain), before, "a refused block changes nothing");
            }
        }
        if self.model.best == old_best {
            assert_eq!(self.test.chain.tip().hash, before.tip);
        }
        self.verify();
    }

    fn note(&mut self, place: Place, block: &CheckedBlock, accepted: Accepted) {
        let (valid, old) = (self.model.blocks[place].valid, self.model.best);
        self.model.header_arrives(place);
        match accepted {
            Accepted::Known => {}
            Accepted::Side { kept: false } => {
                let lag = self.model.blocks[old].height - self.model.blocks[place].height;
                assert!(lag > SIDE_DEPTH_MAX, "lag {lag}");
            }
            Accepted::Side { kept: true } => {
                self.model.body_arrives(place);
                assert_eq!(self.model.best, old, "{}", block.hash());
            }
            Accepted::Best(change) => {
                assert!(valid);
                self.model.body_arrives(place);
                self.note_change(old, &change);
            }
        }
    }

    /// Holds a change of the tip against the model's, and sees that no transfer is lost by it.
    fn note_change(&mut self, old: Place, change: &TipChange) {
        let (was, is) = (self.model.path(old), self.model.path(self.model.best));
        let common = was.iter().zip(&is).take_while(|(a, b)| a == b).count();
        let hashes = |places: &[Place]| -> Vec<_> {
            places.iter().map(|place| self.model.blocks[*place].hash).collect()
        };
        let mut left = hashes(&was[common..]);
        left.reverse();
        assert_eq!(change.disconnected.iter().map(|n| n.hash).collect::<Vec<_>>(), left);
        let joined: Vec<_> = change.connected.iter().map(|node| node.hash).collect();
        assert_eq!(joined, hashes(&is[common..]));
        let depth = was.len() - common;
        if depth > 0 {
            self.figures.reorganizations += 1;
            self.figures.deepest = self.figures.deepest.max(depth);
            *self.figures.by_depth.entry(depth).or_default() += 1;
            assert_eq!(
                self.model.replayed(self.model.best),
                self.model.blocks[self.model.best].state
            );
        }
        let body = |place: &Place| self.model.blocks[*place].block.clone().expect("not genesis");
        let confirmed: BTreeSet<Txid> =
            is[common..].iter().flat_map(|place| body(place).txids()).collect();
        self.figures.returned += change.returned.len();
        self.figures.dropped += change.dropped.len();
        let pool = self.test.chain.pool();
        assert!(change.returned.iter().all(|id| pool.get(id).is_some()), "returned are pending");
        let dropped: BTreeSet<_> = change.dropped.iter().map(|(t, _)| t.id()).collect();
        for transfer in was[common..].iter().flat_map(|place| body(place).transfers) {
            let id = transfer.id();
            let found = [pool.get(&id).is_some(), confirmed.contains(&id), dropped.contains(&id)];
            assert_eq!(found.into_iter().filter(|found| *found).count(), 1, "{found:?}");
        }
        for (transfer, _) in &change.dropped {
            self.assert_cannot_be_mined(transfer.transfer());
        }
    }

    /// A dropped transfer is one that could not follow those that are pending.
    fn assert_cannot_be_mined(&self, transfer: &Transfer) {
        let state = &self.model.blocks[self.model.best].state;
        let (balance, nonce) = get(state, &transfer.sender);
        let pending: Vec<_> = self.test.chain.pool().of_sender(&transfer.sender).collect();
        let spent: u64 = pending.iter().map(|p| p.transfer.cost().units()).sum();
        let next = nonce + pending.len() as u64;
        let cost = transfer.cost().expect("it was pending").units();
        let alive = transfer.expiry.allows(self.test.chain.height().next());
        let minable = transfer.nonce == next && spent + cost <= balance && alive;
        assert!(!minable, "a transfer was dropped that could be mined");
    }

    fn verify(&self) {
        let (chain, best) = (&self.test.chain, &self.model.blocks[self.model.best]);
        assert_eq!(chain.tip().hash, best.hash, "the tip is the model's");
        let (accounts, history) = self.model.roots(self.model.best);
        assert_eq!(*chain.roots().accounts.as_bytes(), accounts);
        assert_eq!(*chain.roots().history.as_bytes(), history);
        let theirs: State = chain
            .accounts()
            .iter()
            .map(|(key, account)| (*key.as_bytes(), (account.balance.units(), account.nonce)))
            .collect();
        assert_eq!(theirs, best.state);
        let issued = 10 * 10_000 * 100_000_000 + u64::from(best.height) * SUBSIDY;
        assert_eq!(best.state.values().map(|(balance, _)| balance).sum::<u64>(), issued);
        assert_eq!(chain.total().units(), issued);
        let next = chain.height().next();
        assert_eq!(chain.params().schedule.issued(next).units(), issued);
        assert_pool_is_sound(chain, self.test.now);
        for pending in chain.pool().iter() {
            assert!(pending.transfer().nonce >= get(&best.state, &pending.transfer().sender).1);
        }
    }

    /// Another node that hears only the best chain, in order, agrees.
    fn rebuild_from_genesis(&self) {
        if !self.figures.operations.is_multiple_of(10) {
            return;
        }
        let mut other = TestChain::dev();
        for place in self.model.path(self.model.best) {
            let block = self.model.blocks[place].block.clone().expect("not genesis");
            let checked = other.check(block).expect("it is on the best chain");
            other.accept(&checked).expect("it is on the best chain");
        }
        assert_eq!(other.chain.roots(), self.test.chain.roots());
        assert_eq!(other.chain.tip().hash, self.test.chain.tip().hash);
    }
}

fn run(seed: u64) -> Figures {
    let mut world = World::new(seed);
    while world.figures.operations < OPERATIONS {
        world.step();
    }
    world.figures
}

/// Runs seeds 1 to `FARTHING_SEEDS` (2 unless set) and prints what happened; the seed of a failure
/// is in its message.
#[test]
fn random_operations_leave_the_chain_where_the_model_is() {
    let seeds = std::env::var("FARTHING_SEEDS").ok().and_then(|text| text.parse().ok());
    for seed in 1..=seeds.unwrap_or(2) {
        let started = std::time::Instant::now();
        let figures = std::panic::catch_unwind(|| run(seed))
            .unwrap_or_else(|_| panic!("seed {seed} failed: see the message above"));
        println!("seed {seed}: {figures:?} in {:?}", started.elapsed());
        assert!(figures.reorganizations >= 50, "{figures:?}");
        assert!(figures.deepest >= 45, "{figures:?}");
        assert!(figures.by_depth.len() >= 20, "{figures:?}");
        assert!(figures.returned > 0 && figures.dropped > 0 && figures.early > 0);
        assert!(figures.refused_blocks > 0 && figures.refused_transfers > 0);
    }
}
