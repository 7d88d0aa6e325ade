//! Blocks with one thing wrong, as a peer's best chain: each is refused for its own reason, whoever
//! has it is dropped once, and neither the tip nor anybody else suffers.

use super::*;
use crate::primitives::{
    Amount, CompactBlock, CompactTarget, Expiry, Hash256, PeerId, Signature, Transfer,
};
use crate::testkit::{TestChain, seal};
use crate::wire::{AnnouncedBlock, Announcement, compact_to_json};

/// What becomes of the peer.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is refused, and the reason holds these words.
    Lies(&'static str),
    /// What it gives is no block at all: it is asked again later.
    Unreadable,
    /// It stays, as what it has may be good for others or at another time.
    Stays,
}

use Fate::{Lies, Stays, Unreadable};

/// Makes a good block a bad one.
type Spoil = fn(&TestChain, &mut Block);

const COIN: u64 = 100_000_000;

/// What a header commits to: after the change the block is sealed again.
const COMMITTED: &[(Spoil, Fate)] = &[
    (|_, b| b.header.time.0 -= 11, Lies("expected a time of at least the parent's")),
    (|_, b| b.header.time.0 = 0, Lies("expected a time of at least the parent's")),
    (|_, b| b.header.time.0 = u32::MAX, Stays),
    (|_, b| b.header.bits = CompactTarget(0x1f00_ffff), Lies("expected bits")),
    (|_, b| b.header.bits = CompactTarget(0x2100_ffff), Lies("expected bits")),
    (|_, b| b.header.bits = CompactTarget(0), Lies("expected bits")),
    (|_, b| b.header.bits = CompactTarget(0x2080_0001), Lies("expected bits")),
    (|_, b| b.header.bits = CompactTarget(0x2200_0100), Lies("expected bits")),
    (|_, b| b.header.bits = CompactTarget(u32::MAX), Lies("expected bits")),
    (|_, b| b.header.bits.0 += 1, Lies("expected bits")),
    (|_, b| b.header.bits.0 -= 1, Lies("expected bits")),
    (|_, b| b.roots.accounts = Hash256::ZERO, Lies("expected account root")),
    (|_, b| b.roots.history = Hash256::ZERO, Lies("expected account root")),
    (
        |_, b| (b.roots.accounts, b.roots.history) = (b.roots.history, b.roots.accounts),
        Lies("expected account root"),
    ),
    (|_, b| b.coinbase.height.0 -= 1, Lies("expected a coinbase for height 4, got 3")),
    (|_, b| b.coinbase.height.0 += 1, Lies("expected a coinbase for height 4, got 5")),
    (|_, b| b.coinbase.height.0 = u32::MAX, Lies("expected a coinbase for height 4")),
    (|_, b| b.coinbase.amount = units(0), Lies("expected a coinbase of")),
    (|_, b| b.coinbase.amount = units(1), Lies("expected a coinbase of")),
    (|_, b| b.coinbase.amount = units(10 * COIN), Lies("expected a coinbase of")),
    (|_, b| b.coinbase.amount = units(10 * COIN + 8), Lies("expected a coinbase of")),
    (|_, b| b.coinbase.amount = units(2_000 * COIN), Lies("expected a coinbase of")),
    (|_, b| b.coinbase.amount = units(u64::MAX), Unreadable),
    (|_, b| b.transfers.push(b.transfers[0].clone()), Lies("stands in the block twice")),
    (|_, b| b.transfers.insert(1, b.transfers[0].clone()), Lies("stands in the block twice")),
    (|_, b| b.transfers.swap(1, 2), Lies("expected nonce 1 in transfer 2")),
    (|_, b| drop(b.transfers.remove(1)), Lies("expected nonce 1 in transfer 2")),
    (|_, b| drop(b.transfers.pop()), Lies("expected a coinbase of")),
    (|_, b| b.transfers.clear(), Lies("expected a coinbase of")),
    (|_, b| b.transfers[0].signature = Signature::from_bytes([0; 64]), Lies("signature")),
    (|_, b| b.transfers[0].signature = b.transfers[1].signature, Lies("signature")),
    (|_, b| b.transfers[0].sender = TestKey::dev(3).public, Lies("signature")),
    (|_, b| b.transfers[0].recipient = TestKey::dev(3).public, Lies("signature")),
    (|_, b| b.transfers[0].amount = units(8 * COIN), Lies("signature")),
    (|_, b| b.transfers[0].nonce = 7, Lies("signature")),
    (|_, b| b.transfers[0].expiry = Expiry(9), Lies("signature")),
    (|_, b| b.transfers[0].memo = "x".parse().unwrap(), Lies("signature")),
    (
        |_, b| {
            let foreign = ChainParams::main().chain_id();
            b.transfers[0] = TestKey::dev(1).sign(b.transfers[0].clone(), &foreign);
        },
        Lies("signature"),
    ),
    (|test, b| put(test, b, |t| t.amount = units(0)), Lies("expected an amount above zero")),
    (|test, b| put(test, b, |t| t.recipient = t.sender), Lies("other than the sender")),
    (|test, b| put(test, b, |t| t.nonce = 0), Lies("expected nonce 1 in transfer 1")),
    (|test, b| put(test, b, |t| t.nonce = 2), Lies("expected nonce 1 in transfer 1")),
    (|test, b| put(test, b, |t| t.nonce = u64::MAX), Lies("expected nonce 1 in transfer 1")),
    (|test, b| put(test, b, |t| t.expiry = Expiry(3)), Lies("transfer 1 of the block has expired")),
    (|test, b| put(test, b, |t| t.amount = units(10_001 * COIN)), Lies("to spend at most")),
    (|test, b| put(test, b, |t| t.amount = units(u64::MAX)), Unreadable),
    (|test, b| put(test, b, |t| t.amount = units(21_000_000 * COIN)), Lies("to spend at most")),
    (
        |test, b| {
            let poor = TestKey::new(1).pay(b.coinbase.recipient, (1, 0), 0, &test.chain.chain_id());
            b.transfers.push(poor);
        },
        Lies("to spend at most"),
    ),
    (
        |test, b| {
            // Paid in this block, spent in this block.
            let (poor, id) = (TestKey::new(1), test.chain.chain_id());
            b.transfers.push(TestKey::dev(3).pay(poor.public, (9, 0), 0, &id));
            b.transfers.push(poor.pay(TestKey::dev(3).public, (1, 0), 0, &id));
        },
        Lies("to spend at most"),
    ),
    (
        |test, b| {
            b.coinbase.recipient = TestKey::new(1).public;
            let spend =
                TestKey::new(1).pay(TestKey::dev(3).public, (1, 0), 0, &test.chain.chain_id());
            b.transfers.push(spend);
        },
        Lies("to spend at most"),
    ),
    (
        |test, b| {
            let id = test.chain.chain_id();
            let third = |nonce| TestKey::dev(3).pay(stranger(), (4_000 * COIN, 0), nonce, &id);
            b.transfers.extend([third(0), third(1), third(2)]);
        },
        Lies("to spend at most"),
    ),
    (
        |test, b| {
            let id = test.chain.chain_id();
            let many = |nonce| TestKey::dev(3).pay(stranger(), (1, 0), nonce, &id);
            b.transfers.extend((0..1_500).map(many));
        },
        Lies("expected a block of at most"),
    ),
];

/// What comes with a good header that commits to something else: only whoever gave it is to blame.
const BESIDE: &[Spoil] = &[
    |_, b| b.transfers.truncate(1),
    |_, b| b.transfers.clear(),
    |_, b| b.transfers.push(b.transfers[1].clone()),
    |_, b| b.transfers.swap(0, 1),
    |_, b| b.transfers[0].amount = units(1),
    |_, b| b.transfers[0].memo = "x".parse().unwrap(),
    |_, b| b.transfers[0].signature = b.transfers[1].signature,
    |_, b| b.coinbase.height.0 += 1,
    |_, b| b.coinbase.amount = units(1),
    |_, b| b.coinbase.recipient = stranger(),
    |_, b| b.coinbase.extra_nonce[0] ^= 1,
    |_, b| b.coinbase.extension[31] ^= 1,
    |_, b| b.coinbase.tag = "x".parse().unwrap(),
    |_, b| b.roots.accounts = Hash256::ZERO,
    |_, b| b.roots.history = Hash256::ZERO,
];

fn units(amount: u64) -> Amount {
    Amount::from_units(amount)
}

fn stranger() -> PublicKey {
    TestKey::new(9).public
}

/// Puts another transfer of account 1 in the place of the first, and its fee into the reward.
fn put(test: &TestChain, block: &mut Block, change: impl Fn(&mut Transfer)) {
    let mut transfer = block.transfers[0].clone();
    change(&mut transfer);
    block.transfers[0] = TestKey::dev(1).sign(transfer, &test.chain.chain_id());
}

/// A chain of three blocks, in which accounts 1 and 2 have sent once.
fn start() -> (TestChain, [Block; 3]) {
    let mut test = TestChain::dev();
    let (one, two) = (TestKey::dev(1), TestKey::dev(2));
    let id = test.chain.chain_id();
    let first = vec![one.pay(two.public, (5, 1), 0, &id)];
    let second = vec![two.pay(one.public, (5, 1), 0, &id)];
    let blocks = [first, second, vec![]].map(|transfers| test.mine(transfers).block().clone());
    (test, blocks)
}

/// A good next block: one transfer of account 1 and two of account 2.
fn honest(test: &TestChain) -> Block {
    let (one, two) = (TestKey::dev(1), TestKey::dev(2));
    let id = test.chain.chain_id();
    let first = one.pay(two.public, (7 * COIN, 3), 1, &id);
    let rest = [1, 2].map(|nonce| two.pay(stranger(), (8, 2), nonce, &id));
    test.sealed(test.draft(std::iter::once(first).chain(rest).collect()))
}

/// A node that stands for others: at each of its addresses somebody else seems to be.
struct Front {
    world: Arc<World>,
    behind: Arc<TestNode>,
    next: std::cell::Cell<u16>,
}

impl Front {
    fn new(world: &Arc<World>, behind: &Arc<TestNode>) -> Self {
        Self { world: world.clone(), behind: behind.clone(), next: std::cell::Cell::new(100) }
    }

    /// Somebody whose best chain ends with the header of `block`, and who gives `text` for it.
    fn with_block(&self, block: &Block, text: String) -> PeerAddress {
        let port = self.next.replace(self.next.get() + 1);
        let (header, behind) = (block.header, self.behind.clone());
        let lie: Lie = Arc::new(move |question| match question {
            Question::Handshake(_) => {
                let mut said = behind.network.handshake_to(&behind.node, None);
                let easiest = ChainParams::dev().retarget.easiest;
                (said.instance, said.node) = (port.into(), Some(Reach::Port(BASE + port)));
                (said.height, said.tip) = (said.height.next(), header.hash());
                said.work = said.work + easiest.work();
                Some(reply(200, said.to_json()))
            }
            Question::Headers { .. } => Some(reply(200, headers_to_json(&[header]))),
            Question::Blocks { hashes } if hashes.contains(&header.hash()) => {
                Some(reply(200, format!("[{text}]")))
            }
            Question::Blocks { .. } => Some(reply(200, "[]")),
            Question::Compact { .. } => Some(refusal(404, "not-found", &"no such block")),
            Question::Announce(_) => Some(reply(200, "{}")),
            _ => None,
        });
        let server = Server::Liar(self.behind.network.clone(), self.behind.node.clone(), lie);
        self.world.serve(&address(port), server);
        address(port).parse().unwrap()
    }
}

/// How a peer stands, and why.
fn standing(node: &TestNode, peer: &PeerAddress) -> (PeerState, String) {
    let found = node.network.list().into_iter().find(|known| known.node == *peer);
    found.map_or((PeerState::New, String::new()), |peer| (peer.state, peer.reason))
}

/// A victim with an honest peer, and the chain that both have.
fn stage() -> (Arc<World>, Arc<TestNode>, TestNode, TestChain) {
    let (world, (test, blocks)) = (World::new(), start());
    let honest = Arc::new(TestNode::start(&world, 1));
    for block in blocks {
        honest.node.submit_block(block, Origin::Own).unwrap();
    }
    let victim = TestNode::start(&world, 9);
    victim.join(&honest);
    wait("the chain", || victim.tip() == honest.tip() && honest.is_connected_to(&victim));
    (world, honest, victim, test)
}

#[test]
fn every_mutation_of_a_block_is_refused_for_its_own_reason() {
    let (world, peer, victim, test) = stage();
    let front = Front::new(&world, &peer);
    let (tip, good) = (victim.tip(), honest(&test));
    let committed = COMMITTED.iter().map(|(spoil, fate)| {
        let mut bad = good.clone();
        spoil(&test, &mut bad);
        seal(&mut bad, test.chain.params().retarget.easiest);
        (bad.clone(), bad, *fate)
    });
    let beside = BESIDE.iter().map(|spoil| {
        let mut bad = good.clone();
        spoil(&test, &mut bad);
        (good.clone(), bad, Lies("the header commits to"))
    });
    let mut lazy = good.clone();
    while test.chain.params().retarget.easiest.is_met_by(&lazy.hash()) {
        lazy.header.nonce += 1;
    }
    let lazy = (lazy.clone(), lazy, Lies("no proof of work"));
    let cases: Vec<_> = committed.chain(beside).chain([lazy]).collect();
    assert!(cases.len() >= 60, "{}", cases.len());
    for (number, (shown, given, fate)) in cases.into_iter().enumerate() {
        let liar = front.with_block(&shown, block_text(&peer, &given));
        victim.network.add(liar.clone()).unwrap();
        let (state, words) = match fate {
            Lies(words) => (PeerState::Refused, words),
            Unreadable => (PeerState::Unreachable, "no farthing node"),
            Stays => (PeerState::Connected, ""),
        };
        wait(&format!("{number}: {fate:?}"), || standing(&victim, &liar).0 == state);
        // Who shows the header once more meanwhile is refused for that first.
        let (_, reason) = standing(&victim, &liar);
        let is_its_own = reason.contains(words) || reason.contains("is known to be invalid");
        assert!(is_its_own, "{number}: {fate:?}, not {reason}");
        if matches!(fate, Lies(_)) {
            let own = peer.node.submit_block(given, Origin::Own).unwrap_err().to_string();
            assert!(own.contains(words), "{number}: {fate:?}, not {own}");
        }
        assert_eq!(victim.tip(), tip, "{number}: {fate:?}");
        assert!(victim.is_connected_to(&peer), "{number}: {fate:?}");
        // What the header itself commits to is not asked for again.
        let missing = victim.node.view().chain.missing_bodies(usize::MAX);
        let is_wanted = missing.iter().any(|node| node.hash == shown.hash());
        let may_be_good = shown == good || matches!(fate, Unreadable);
        assert_eq!(is_wanted, may_be_good, "{number}: {fate:?}");
        victim.network.remove(&liar);
    }
    peer.node.submit_block(good.clone(), Origin::Own).unwrap();
    wait("the honest block", || victim.tip() == good.hash());
}

#[test]
fn a_good_header_with_a_bad_body_before_it_holds_up_no_honest_block() {
    for attackers in [1, 8, 32] {
        let (world, peer, victim, test) = stage();
        let (front, good) = (Front::new(&world, &peer), honest(&test));
        let mut bad = good.clone();
        bad.coinbase.recipient = stranger();
        let text = block_text(&peer, &bad);
        let shown = AnnouncedBlock::Header {
            header: good.header,
            height: good.coinbase.height,
            work: test.chain.tip().total_work + test.chain.params().retarget.easiest.work(),
        };
        let liars: Vec<_> = (0..attackers).map(|_| front.with_block(&good, text.clone())).collect();
        liars.iter().for_each(|liar| victim.network.table().add_manual(liar));
        let start = Instant::now();
        for liar in &liars {
            let news =
                Announcement { from: None, blocks: vec![shown.clone()], transactions: Vec::new() };
            victim.network.hear(&PeerId::At(liar.clone()), news);
        }
        peer.node.submit_block(good.clone(), Origin::Own).unwrap();
        wait("the honest block", || victim.tip() == good.hash());
        let took = start.elapsed();
        println!("{attackers} ahead: {took:?}");
        assert!(took < crate::net::incoming::LATE, "{attackers} ahead: {took:?}");
        assert!(victim.is_connected_to(&peer));
    }
}

/// A peer whose blocks are only had by asking it for their compact forms: no sync finds anything there.
/// It gives `block` for them once the gate is open, and `whole` when asked for whole ones.
fn with_compact(
    front: &Front,
    (block, whole): (&Block, &str),
    gate: &Arc<Mutex<()>>,
) -> PeerAddress {
    let port = front.next.replace(front.next.get() + 1);
    let (behind, block, gate) = (front.behind.clone(), block.clone(), gate.clone());
    let whole = format!("[{whole}]");
    let lie: Lie = Arc::new(move |question| match question {
        Question::Handshake(_) => {
            let mut said = behind.network.handshake_to(&behind.node, None);
            (said.instance, said.node) = (port.into(), Some(Reach::Port(BASE + port)));
            Some(reply(200, said.to_json()))
        }
        Question::Compact { .. } => {
            drop(gate.lock().unwrap());
            let compact = CompactBlock::of(&block, 7);
            Some(reply(200, compact_to_json(&compact, behind.node.prefix())))
        }
        Question::Announce(_) => Some(reply(200, "{}")),
        Question::Blocks { .. } => Some(reply(200, whole.clone())),
        Question::PoolSummary => None,
        _ => Some(reply(200, "[]")),
    });
    let server = Server::Liar(front.behind.network.clone(), front.behind.node.clone(), lie);
    front.world.serve(&address(port), server);
    address(port).parse().unwrap()
}

#[test]
fn after_a_wrong_body_those_are_asked_who_have_announced_the_block_as_well() {
    let (world, peer, victim, test) = stage();
    let front = Front::new(&world, &peer);
    let good = test.sealed(test.draft(Vec::new()));
    let mut bad = good.clone();
    bad.coinbase.recipient = stranger();
    let gate = Arc::<Mutex<()>>::default();
    let bad = (&bad, block_text(&peer, &bad));
    let liar = with_compact(&front, (bad.0, &bad.1), &gate);
    let honest = with_compact(&front, (&good, ""), &gate);
    let work = test.chain.tip().total_work + test.chain.params().retarget.easiest.work();
    let (header, height) = (good.header, good.coinbase.height);
    let shut = gate.lock().unwrap();
    for address in [&liar, &honest] {
        victim.network.add(address.clone()).unwrap();
        wait("a peer", || standing(&victim, address).0 == PeerState::Connected);
    }
    for address in [&liar, &honest] {
        let blocks = vec![AnnouncedBlock::Header { header, height, work }];
        let news = Announcement { from: None, blocks, transactions: Vec::new() };
        victim.network.hear(&PeerId::At(address.clone()), news);
    }
    drop(shut);
    wait("the honest block", || victim.tip() == good.hash());
    assert_eq!(standing(&victim, &liar).0, PeerState::Refused);
}
