//! Whoever has no time is told the same again: in order, nothing lost and nothing twice.

use super::relay::{has, pay};
use super::*;
use crate::primitives::Txid;
use std::sync::atomic::AtomicBool;

/// What was told in one go, and whether it was taken.
#[derive(Debug)]
struct Told {
    is_taken: bool,
    blocks: Vec<BlockHash>,
    transfers: Vec<Txid>,
}

/// A node that is told things by the first one, and now and then has no time.
struct Listener {
    node: TestNode,
    is_busy: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Listener {
    fn start(world: &Arc<World>) -> Self {
        let node = TestNode::start(world, 2);
        let (is_busy, told) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default());
        let (busy, tells) = (is_busy.clone(), told.clone());
        let lie: Lie = Arc::new(move |call| {
            let Question::Announce(news) = call else { return None };
            let is_busy = busy.load(Ordering::SeqCst);
            tells.lock().unwrap().push(Told {
                is_taken: !is_busy,
                blocks: news.blocks.iter().map(|block| block.header().hash()).collect(),
                transfers: news.transactions.clone(),
            });
            is_busy.then(|| reply(503, ""))
        });
        world.serve(&address(2), Server::Liar(node.network.clone(), node.node.clone(), lie));
        Self { node, is_busy, told }
    }

    /// Waits until it was told once more, of so much.
    fn is_told(&self, world: &World, (blocks, transfers): (usize, usize)) {
        let before = self.told.lock().unwrap().len();
        wait("the same once more", || {
            world.advance(Duration::from_millis(100));
            let told = self.told.lock().unwrap();
            let is_all =
                |told: &Told| (told.blocks.len(), told.transfers.len()) == (blocks, transfers);
            told[before..].iter().any(is_all)
        });
    }
}

#[test]
fn whoever_is_busy_is_told_the_same_again_in_order() {
    let world = World::new();
    world.wires.lock().unwrap().closed.extend([1, 2]);
    let one = TestNode::start(&world, 1);
    let listener = Listener::start(&world);
    let other = &listener.node;
    one.join(other);
    wait("mutual peers", || other.is_connected_to(&one) && one.is_connected_to(other));
    listener.is_busy.store(true, Ordering::SeqCst);
    let mut ids = vec![pay(&one, 0)];
    listener.is_told(&world, (0, 1));
    listener.is_told(&world, (0, 1));
    ids.extend([pay(&one, 1), pay(&one, 2)]);
    let blocks = [one.mine(), one.mine()];
    listener.is_told(&world, (2, 3));
    listener.is_told(&world, (2, 3));
    listener.is_busy.store(false, Ordering::SeqCst);
    wait("the blocks", || {
        world.advance(Duration::from_millis(100));
        other.tip() == blocks[1]
    });
    // Whatever was still to be told comes before what is new.
    ids.push(pay(&one, 3));
    wait("the last transfer", || {
        world.advance(Duration::from_millis(100));
        has(other, &ids[3])
    });
    let told = listener.told.lock().unwrap();
    for pair in told.windows(2).filter(|pair| !pair[0].is_taken) {
        assert!(pair[1].blocks.starts_with(&pair[0].blocks), "{told:?}");
        assert!(pair[1].transfers.starts_with(&pair[0].transfers), "{told:?}");
    }
    let taken = || told.iter().filter(|told| told.is_taken);
    assert_eq!(taken().flat_map(|told| told.blocks.clone()).collect::<Vec<_>>(), blocks);
    assert_eq!(taken().flat_map(|told| told.transfers.clone()).collect::<Vec<_>>(), ids);
}

/// Lets the owner of a node do nothing, and fills its queue.
fn stall(world: &World, node: &TestNode) -> Vec<thread::JoinHandle<()>> {
    world.stalled.lock().unwrap().insert(node.port);
    let ask = |_| {
        let (handle, thread) = (node.node.clone(), thread::Builder::new().stack_size(256 << 10));
        // Those for whom there is no room are told so.
        thread.spawn(move || drop(handle.submit_headers(Vec::new()))).unwrap()
    };
    (0..1_030).map(ask).collect()
}

#[test]
fn what_is_told_while_the_owner_has_no_time_is_asked_for_again() {
    let world = World::new();
    world.wires.lock().unwrap().closed.extend([1, 2]);
    let (one, other) = (TestNode::start(&world, 1), TestNode::start(&world, 2));
    one.join(&other);
    wait("mutual peers", || other.is_connected_to(&one) && one.is_connected_to(&other));
    let waiting = stall(&world, &one);
    let ids: Vec<_> = (0..3).map(|nonce| pay(&other, nonce)).collect();
    wait("the transfers to be asked for", || world.count(1, "transfers") > 0);
    // The queue is full for longer than anybody waits for a place in it.
    wait("them to be asked for again", || world.count(1, "transfers") > 1);
    assert!(!ids.iter().any(|id| has(&one, id)));
    world.stalled.lock().unwrap().clear();
    waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
    wait("the transfers", || ids.iter().all(|id| has(&one, id)));
    assert!(one.is_connected_to(&other), "nobody is blamed");
    let tip = other.mine();
    wait("the block", || one.tip() == tip);
}
