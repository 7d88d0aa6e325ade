//! Whichever door transfers come by, the same of them are taken.

use super::*;
use crate::primitives::{Transfer, Txid};
use crate::testkit::unsigned;
use crate::wire::{Announcement, PoolSummary, pool_ids_to_json, transfer_to_json};

const BALANCE: u64 = 10_000 * 100_000_000;

/// Good transfers among such as break each rule, the provable lie last: whoever tells it is heard no
/// further.
fn load() -> Vec<Transfer> {
    let id = ChainParams::dev().chain_id();
    let (one, two, three) = (TestKey::dev(1), TestKey::dev(2), TestKey::dev(3));
    let to = TestKey::new(1).public;
    let mut all: Vec<_> = (0..5).map(|nonce| one.pay(to, (1, 10), nonce, &id)).collect();
    // As high a nonce as any, a replacement for too little, one for enough, more than there is.
    all.push(one.pay(to, (1, 0), u64::MAX, &id));
    all.push(one.pay(to, (2, 10), 1, &id));
    all.push(one.pay(to, (3, 11), 2, &id));
    all.push(two.pay(to, (BALANCE, 1), 0, &id));
    all.push(two.pay(to, (BALANCE - 1, 0), 0, &id));
    all.push(two.pay(to, (2, 0), 1, &id));
    // Early ones, of which only so many may wait; and one sender's share and more.
    all.extend((1..=30).map(|nonce| three.pay(to, (1, 0), nonce, &id)));
    let four = TestKey::dev(4);
    all.extend((0..300).map(|nonce| four.pay(to, (1, 0), nonce, &id)));
    // Of an account that does not exist.
    all.push(TestKey::new(7).pay(to, (1, 0), 0, &id));
    all.push(unsigned(TestKey::dev(5).public, to, (1, 0), 0));
    all
}

/// What a node has taken.
fn taken(node: &TestNode) -> (Vec<Txid>, usize, usize) {
    let view = node.node.view();
    let pool = view.chain.pool();
    let mut ids: Vec<_> = pool.iter().map(|pending| pending.id()).collect();
    ids.sort_unstable();
    (ids, pool.waiting_len(), pool.bytes())
}

/// A peer that has these transfers; `shows` says whether they are in its pool as well.
fn with_transfers(world: &Arc<World>, behind: &Arc<TestNode>, shows: Shows) {
    let mut all = load();
    if shows == Shows::Pool {
        all.pop();
    }
    let ids: Vec<_> = all.iter().map(Transfer::id).collect();
    let prefix = behind.node.prefix();
    let lie: Lie = Arc::new(move |question| match question {
        Question::PoolSummary if shows == Shows::Pool => {
            Some(reply(200, ids.iter().copied().collect::<PoolSummary>().to_json()))
        }
        Question::PoolIds { buckets } => {
            let wanted = ids.iter().filter(|id| buckets.contains(&PoolSummary::bucket_of(id)));
            Some(reply(200, pool_ids_to_json(&wanted.copied().collect::<Vec<_>>())))
        }
        Question::Transfers { ids } => {
            let asked = all.iter().filter(|transfer| ids.contains(&transfer.id()));
            let texts: Vec<_> = asked.map(|transfer| transfer_to_json(transfer, prefix)).collect();
            Some(reply(200, format!("[{}]", texts.join(","))))
        }
        _ => None,
    });
    let server = Server::Liar(behind.network.clone(), behind.node.clone(), lie);
    world.serve(&address(behind.port), server);
}

/// Where a peer has its transfers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Pool,
    Nothing,
}

#[test]
fn one_admission_stands_behind_every_door() {
    let world = World::new();
    let by_hand = TestNode::start(&world, 1);
    for transfer in load() {
        // What is wrong with each is the pool's to say.
        let _ = by_hand.node.submit_transfer(transfer, Origin::Anyone);
    }
    let all_at_once = TestNode::start(&world, 2);
    all_at_once.node.submit_transfers(load(), &Origin::Anyone);

    let announcer = Arc::new(TestNode::start(&world, 3));
    with_transfers(&world, &announcer, Shows::Nothing);
    let told = TestNode::start(&world, 4);
    told.join(&announcer);
    wait("the announcer", || told.is_connected_to(&announcer));
    let news = Announcement {
        from: Some(Reach::Port(BASE + 3)),
        blocks: Vec::new(),
        transactions: load().iter().map(Transfer::id).collect(),
    };
    told.network.announced(news, LOCAL);

    let expected = taken(&by_hand);
    assert_eq!((expected.0.len(), expected.1), (5 + 1 + 256, 2 * 16));
    assert_eq!(taken(&all_at_once), expected);
    wait("what was announced", || taken(&told) == expected);

    // Pools are compared bucket by bucket, so the order is another: the bounds are the same.
    let shower = Arc::new(TestNode::start(&world, 5));
    with_transfers(&world, &shower, Shows::Pool);
    let pulls = TestNode::start(&world, 6);
    pulls.join(&shower);
    let of = |node: &TestNode, number| {
        let view = node.node.view();
        view.chain.pool().of_sender(&TestKey::dev(number).public).count()
    };
    wait("what is in its pool", || {
        world.advance(Duration::from_millis(200));
        of(&pulls, 1) == 5 && of(&pulls, 2) == 1
    });
    assert!(taken(&pulls).1 <= 4 * 16 && of(&pulls, 4) <= 256);
    assert_eq!((of(&pulls, 3), of(&pulls, 5)), (0, 0));
}
