use super::*;
use crate::primitives::Expiry;
use crate::testkit::{Random, TestChain, TestKey};

/// Bytes of a transfer without a memo.
const SIZE: usize = 158;

/// A pool over the accounts of a chain, without blocks.
struct Bench {
    test: TestChain,
    pool: Pool,
    now: Duration,
}

fn bench() -> Bench {
    Bench { test: TestChain::dev(), pool: Pool::new(POOL_BYTES_DEFAULT), now: Duration::ZERO }
}

fn small_bench(transfers: usize) -> Bench {
    Bench { pool: Pool::new(transfers * SIZE), ..bench() }
}

impl Bench {
    fn context(&self) -> PoolContext {
        PoolContext { now: self.now, ..self.test.chain.pool_context(self.now) }
    }

    /// Account `number` of the dev network pays a stranger.
    fn pay(&self, number: u32, amounts: (u64, u64), nonce: u64) -> CheckedTransfer {
        let id = self.test.chain.chain_id();
        self.test.checked(TestKey::dev(number).pay(key(99), amounts, nonce, &id))
    }

    fn with(
        &self,
        number: u32,
        mut transfer: Transfer,
        memo: usize,
        expiry: u32,
    ) -> CheckedTransfer {
        (transfer.memo, transfer.expiry) = ("m".repeat(memo).parse().unwrap(), Expiry(expiry));
        let id = self.test.chain.chain_id();
        self.test.checked(TestKey::dev(number).sign(transfer, &id))
    }

    fn admit(&mut self, transfer: &CheckedTransfer) -> Result<Admitted, &'static str> {
        let context = PoolContext { now: self.now, ..self.test.chain.pool_context(self.now) };
        let early = self.pool.precheck(transfer.transfer(), transfer.id(), &context);
        let admitted = self.pool.admit(transfer.clone(), &context);
        assert_eq!(early.err(), admitted.as_ref().err().cloned(), "the precheck says the same");
        admitted.map_err(|error| error.code())
    }

    /// Admits what must become pending alone.
    fn add(&mut self, transfer: &CheckedTransfer) {
        let only = Admitted::Pending { added: vec![transfer.id()], replaced: None };
        assert_eq!(self.admit(transfer), Ok(only));
        assert!(self.pool.get(&transfer.id()).is_some());
    }

    fn nonces(&self, number: u32) -> Vec<u64> {
        let sender = TestKey::dev(number).public;
        self.pool.of_sender(&sender).map(|pending| pending.transfer().nonce).collect()
    }
}

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

const BALANCE: u64 = 10_000 * 100_000_000;

#[test]
fn what_breaks_a_rule_is_refused_and_changes_nothing() {
    let mut b = bench();
    let first = b.pay(1, (5, 10), 0);
    b.add(&first);
    let expired = {
        b.test.mine_empty(3);
        b.with(2, b.pay(2, (1, 0), 0).transfer().clone(), 0, 3)
    };
    let table = [
        (first, "already-known"),
        (expired, "transfer-expired"),
        (b.pay(1, (6, 10), 0), "fee-too-low"),
        (b.pay(1, (1, 0), 18), "nonce-too-far"),
        (b.pay(1, (1, 0), u64::MAX), "nonce-too-far"),
        (b.pay(1, (BALANCE - 15, 1), 1), "insufficient-funds"),
        (b.pay(1, (BALANCE, 0), 2), "insufficient-funds"),
        (b.pay(2, (BALANCE, 1), 0), "insufficient-funds"),
        (b.pay(2, (u64::MAX - 1, 1), 0), "insufficient-funds"),
    ];
    for (transfer, code) in &table {
        assert_eq!(b.admit(transfer), Err(*code));
        assert_eq!((b.pool.len(), b.pool.waiting_len(), b.pool.bytes()), (1, 0, SIZE));
    }
    b.add(&b.pay(1, (BALANCE - 15, 0), 1));
    b.add(&b.pay(2, (BALANCE - 1, 1), 0));
    assert_eq!(b.pool.cost_of(&TestKey::dev(1).public).units(), BALANCE);
}

#[test]
fn a_used_nonce_is_refused() {
    let mut b = bench();
    let id = b.test.chain.chain_id();
    b.test.mine(vec![TestKey::dev(1).pay(key(1), (1, 0), 0, &id)]);
    assert_eq!(b.admit(&b.pay(1, (1, 0), 0)), Err("nonce-used"));
    b.add(&b.pay(1, (1, 0), 1));
}

#[test]
fn a_tenth_more_fee_replaces() {
    // old fee, offered fee, whether it is enough
    let table = [
        (0, 0, false),
        (0, 1, true),
        (1, 1, false),
        (1, 2, true),
        (9, 9, false),
        (9, 10, true),
        (10, 10, false),
        (10, 11, true),
        (11, 12, false),
        (11, 13, true),
        (1_000, 1_099, false),
        (1_000, 1_100, true),
    ];
    for (old, new, enough) in table {
        let mut b = bench();
        let (first, second) = (b.pay(1, (5, old), 0), b.pay(1, (6, new), 0));
        b.add(&first);
        b.add(&b.pay(1, (1, 0), 1));
        let expected = if enough {
            Ok(Admitted::Pending { added: vec![second.id()], replaced: Some(first.id()) })
        } else {
            Err("fee-too-low")
        };
        assert_eq!(b.admit(&second), expected, "{old} {new}");
        assert_eq!(b.pool.get(&first.id()).is_some(), !enough);
        assert_eq!((b.nonces(1), b.pool.bytes()), (vec![0, 1], 2 * SIZE));
    }
}

#[test]
fn a_replacement_must_leave_enough_for_those_that_follow() {
    let mut b = bench();
    b.add(&b.pay(1, (BALANCE / 2, 0), 0));
    b.add(&b.pay(1, (BALANCE / 2, 0), 1));
    assert_eq!(b.admit(&b.pay(1, (BALANCE / 2, 1), 0)), Err("insufficient-funds"));
    let cheaper = b.pay(1, (BALANCE / 2 - 1, 1), 0);
    assert!(b.admit(&cheaper).is_ok());
}

#[test]
fn an_early_transfer_waits_for_its_predecessors() {
    let mut b = bench();
    let transfers: Vec<_> = (0..4).map(|nonce| b.pay(1, (1, 0), nonce)).collect();
    for early in [3, 1, 2] {
        assert_eq!(b.admit(&transfers[early]), Ok(Admitted::Waiting));
        assert_eq!(b.admit(&transfers[early]), Err("already-known"));
    }
    assert_eq!((b.pool.len(), b.pool.waiting_len()), (0, 3));
    let added = transfers.iter().map(CheckedTransfer::id).collect();
    assert_eq!(b.admit(&transfers[0]), Ok(Admitted::Pending { added, replaced: None }));
    assert_eq!((b.nonces(1), b.pool.waiting_len()), (vec![0, 1, 2, 3], 0));
}

#[test]
fn the_waiting_place_is_bounded_in_number_and_time() {
    let mut b = bench();
    for nonce in 1..=16 {
        assert_eq!(b.admit(&b.pay(1, (1, 0), nonce)), Ok(Admitted::Waiting));
    }
    assert_eq!(b.admit(&b.pay(1, (1, 0), 17)), Err("nonce-too-far"));
    b.now = WAITING_TIME_MAX;
    b.pool.drop_overdue(b.now);
    assert_eq!(b.pool.waiting_len(), 16);
    assert_eq!(b.admit(&b.pay(2, (1, 0), 1)), Ok(Admitted::Waiting));
    b.now += Duration::from_millis(1);
    b.pool.drop_overdue(b.now);
    assert_eq!(b.pool.waiting_len(), 1);
}

/// Latent overdraft and early nonces by many senders (DETER): what is pending stays.
#[test]
fn a_flood_of_early_transfers_throws_nothing_out() {
    let mut b = bench();
    let id = b.test.chain.chain_id();
    let rich = TestKey::dev(1);
    let flooders: Vec<_> = (100..200).map(TestKey::new).collect();
    let gifts = flooders.iter().zip(0..).map(|(to, nonce)| rich.pay(to.public, (9, 0), nonce, &id));
    b.test.mine(gifts.collect());
    for nonce in 0..PER_SENDER_MAX as u64 {
        b.add(&b.pay(2, (1, 0), nonce));
    }
    assert_eq!(b.admit(&b.pay(2, (1, 9), 256)), Err("sender-full"));
    b.pool.bytes_max = b.pool.bytes();
    let mut waiting = 0;
    for nonce in 1..=30 {
        for flooder in &flooders {
            // Each could be paid alone; together they could not.
            let transfer = b.test.checked(flooder.pay(key(3), (1, 8), nonce, &id));
            match b.admit(&transfer) {
                Ok(Admitted::Waiting) => waiting += 1,
                other => {
                    assert!(matches!(other, Err("waiting-full" | "nonce-too-far")), "{other:?}")
                }
            }
        }
    }
    assert_eq!((waiting, b.pool.waiting_len()), (WAITING_MAX, WAITING_MAX));
    assert_eq!(b.nonces(2).len(), PER_SENDER_MAX);
    // The one that comes in lets only one of its followers in: the others cannot be paid.
    let paying = b.test.checked(flooders[0].pay(key(3), (1, 1), 0, &id));
    b.pool.bytes_max *= 2;
    let Ok(Admitted::Pending { added, .. }) = b.admit(&paying) else { panic!("it is in order") };
    assert_eq!(added.len(), 1);
    assert!(b.pool.waiting_len() < WAITING_MAX);
}

#[test]
fn a_full_pool_throws_out_the_lowest_fee_rate_with_its_followers() {
    let mut b = small_bench(4);
    for (number, fee, nonce) in [(1, 5, 0), (1, 1, 1), (1, 9, 2), (2, 3, 0)] {
        b.add(&b.pay(number, (1, fee), nonce));
    }
    for fee in [0, 1] {
        assert_eq!(b.admit(&b.pay(3, (1, fee), 0)), Err("pool-full"));
    }
    b.add(&b.pay(3, (1, 2), 0));
    assert_eq!((b.nonces(1), b.nonces(2), b.nonces(3)), (vec![0], vec![0], vec![0]));
    assert_eq!(b.pool.bytes(), 3 * SIZE);
    assert_eq!(b.pool.cost_of(&TestKey::dev(1).public).units(), 6);
}

#[test]
fn of_equal_fee_rates_the_youngest_gives_way() {
    let mut b = small_bench(2);
    for number in [1, 2] {
        b.add(&b.pay(number, (1, 1), 0));
    }
    b.add(&b.pay(3, (1, 2), 0));
    assert_eq!((b.nonces(1), b.nonces(2), b.nonces(3)), (vec![0], vec![], vec![0]));
}

#[test]
fn a_transfer_that_would_be_thrown_out_itself_is_refused() {
    // It needs the room of two, and the second pays more than it does.
    let mut b = small_bench(2);
    b.add(&b.pay(1, (1, 1), 0));
    b.add(&b.pay(2, (1, 1_000), 0));
    let large = b.with(3, b.pay(3, (1, 9), 0).transfer().clone(), 64, 0);
    let error = b.admit(&large);
    assert_eq!(error, Err("pool-full"));
    assert_eq!((b.nonces(1), b.nonces(2)), (vec![0], vec![0]));
    // Its own predecessor is the cheapest.
    let mut b = small_bench(2);
    b.add(&b.pay(1, (1, 0), 0));
    b.add(&b.pay(2, (1, 5), 0));
    assert_eq!(b.admit(&b.pay(1, (1, 9), 1)), Err("pool-full"));
    // Larger than the whole pool.
    let mut b = small_bench(0);
    assert_eq!(b.admit(&b.pay(1, (1, 9), 0)), Err("pool-full"));
}

#[test]
fn the_cheapest_in_a_full_pool_can_be_replaced() {
    let mut b = small_bench(2);
    b.add(&b.pay(1, (1, 0), 0));
    b.add(&b.pay(2, (1, 5), 0));
    let raised = b.pay(1, (1, 1), 0);
    assert!(matches!(b.admit(&raised), Ok(Admitted::Pending { replaced: Some(_), .. })));
    // A longer memo needs more room: at the cost of a cheaper one, never of itself.
    let longer = b.with(1, b.pay(1, (1, 2), 0).transfer().clone(), 1, 0);
    assert_eq!(b.admit(&longer), Err("pool-full"));
    let longer = b.with(1, b.pay(1, (1, 50), 0).transfer().clone(), 1, 0);
    assert!(b.admit(&longer).is_ok());
    assert_eq!((b.nonces(1), b.nonces(2)), (vec![0], vec![]));
}

#[test]
fn the_pool_never_holds_more_bytes_than_it_may() {
    for seed in 0..20 {
        let (mut b, mut random) = (small_bench(6), Random(seed));
        for _ in 0..200 {
            let number = 1 + u32::try_from(random.below(5)).unwrap();
            let next = b.nonces(number).len() as u64;
            let nonce = if random.percent(20) { random.below(next + 1) } else { next };
            let plain = b.pay(number, (1, random.below(40)), nonce);
            let memo = usize::try_from(random.below(65)).unwrap();
            let transfer = b.with(number, plain.transfer().clone(), memo, 0);
            let before: Vec<_> = b.pool.iter().map(|pending| pending.id()).collect();
            let admitted = b.admit(&transfer);
            let after: Vec<_> = b.pool.iter().map(|pending| pending.id()).collect();
            assert!(b.pool.bytes() <= 6 * SIZE);
            let sizes: usize = b.pool.iter().map(|pending| pending.transfer().size()).sum();
            assert_eq!(sizes, b.pool.bytes());
            match admitted {
                Ok(Admitted::Pending { added, .. }) => {
                    assert!(added.iter().all(|id| after.contains(id)))
                }
                _ => assert_eq!(before, after),
            }
            for number in 1..=5 {
                let nonces = b.nonces(number);
                assert_eq!(nonces, (0..nonces.len() as u64).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn an_expired_transfer_goes_with_those_that_follow_it() {
    let mut b = bench();
    let dated =
        |b: &Bench, nonce, expiry| b.with(1, b.pay(1, (1, 0), nonce).transfer().clone(), 0, expiry);
    for (nonce, expiry) in [(0, 0), (1, 9), (2, 2), (3, 0)] {
        b.add(&dated(&b, nonce, expiry));
    }
    b.add(&b.pay(2, (1, 0), 0));
    let early = b.pay(1, (1, 0), 5);
    assert_eq!(b.admit(&early), Ok(Admitted::Waiting));
    b.test.mine_empty(1);
    let settle = |b: &mut Bench| {
        let context = PoolContext { now: b.now, ..b.test.chain.pool_context(b.now) };
        b.pool.settle([TestKey::dev(1).public], &|_| false, &context)
    };
    assert!(settle(&mut b).dropped.is_empty());
    b.test.mine_empty(1);
    let settled = settle(&mut b);
    let dropped: Vec<_> = settled.dropped.iter().map(|p| p.transfer().nonce).collect();
    assert_eq!((dropped, settled.promoted), (vec![2, 3], vec![]));
    assert_eq!((b.nonces(1), b.nonces(2)), (vec![0, 1], vec![0]));
}

#[test]
fn a_transfer_mined_at_its_last_moment_takes_no_other_with_it() {
    let mut test = TestChain::dev();
    let (key_one, id) = (TestKey::dev(1), test.chain.chain_id());
    let mut last = key_one.pay(key(1), (1, 0), 0, &id);
    last.expiry = Expiry(1);
    let last = key_one.sign(last, &id);
    let next = key_one.pay(key(1), (1, 0), 1, &id);
    test.submit(last).unwrap();
    test.submit(next.clone()).unwrap();
    let early = key_one.pay(key(1), (1, 0), 3, &id);
    assert_eq!(test.submit(early.clone()), Ok(Admitted::Waiting));
    let block = test.from_template();
    assert_eq!(block.block().transfers.len(), 2);
    let mut one_only = block.block().clone();
    one_only.transfers.truncate(1);
    let one_only = test.check(test.sealed(one_only)).unwrap();
    test.accept(&one_only).unwrap();
    let ids: Vec<_> = test.chain.pool().iter().map(|pending| pending.id()).collect();
    assert_eq!(ids, [next.id()]);
    // A block by others brings the early one's turn, and says so.
    let third = key_one.pay(key(1), (1, 0), 2, &id);
    let mined = test.draft(vec![next, third]);
    let mined = test.check(test.sealed(mined)).unwrap();
    let Ok(crate::chain::accept::Accepted::Best(change)) = test.accept(&mined) else { panic!() };
    assert_eq!(change.returned, [early.id()]);
    assert_eq!(test.chain.pool().waiting_len(), 0);
}

#[test]
fn a_block_goes_by_fee_rate_then_age_each_sender_in_order() {
    let mut b = bench();
    // sender, fee, nonce, in order of arrival
    let sent = [(1, 0, 0), (2, 7, 0), (3, 0, 0), (1, 99, 1), (4, 7, 0), (2, 1, 1), (5, 8, 0)];
    for (number, fee, nonce) in sent {
        b.add(&b.pay(number, (1, fee), nonce));
    }
    let sender = |pending: &Arc<Pending>| {
        (1..=5).find(|n| TestKey::dev(*n).public == pending.transfer().sender).unwrap()
    };
    let order = |b: &Bench, room| -> Vec<_> {
        let chosen = b.pool.select(room, &b.context());
        chosen.iter().map(|p| (sender(p), p.transfer().nonce)).collect()
    };
    let all = [(5, 0), (2, 0), (4, 0), (2, 1), (1, 0), (1, 1), (3, 0)];
    assert_eq!(order(&b, 10_000), all);
    for count in 0..=7 {
        assert_eq!(order(&b, count * SIZE), all[..count]);
        assert_eq!(order(&b, count * SIZE + SIZE - 1), all[..count]);
    }
}

#[test]
fn the_rate_counts_and_not_the_fee() {
    let mut b = bench();
    let long = b.with(1, b.pay(1, (1, 110), 0).transfer().clone(), 64, 0);
    b.add(&long);
    b.add(&b.pay(2, (1, 100), 0));
    let chosen = b.pool.select(10_000, &b.context());
    assert_eq!(chosen[1].id(), long.id());
    // What does not fit is passed over.
    assert_eq!(b.pool.select(SIZE + 63, &b.context()).len(), 1);
}

#[test]
fn free_new_accounts_are_rationed() {
    let mut b = bench();
    let id = b.test.chain.chain_id();
    let one = TestKey::dev(1);
    for nonce in 0..30 {
        let to = key(u8::try_from(nonce).unwrap());
        b.add(&b.test.checked(one.pay(to, (1, 0), nonce, &id)));
    }
    // To an account that exists, to one that the block creates anyway, and for a fee.
    let two = TestKey::dev(2);
    b.add(&b.test.checked(two.pay(one.public, (1, 0), 0, &id)));
    b.add(&b.test.checked(two.pay(key(5), (1, 0), 1, &id)));
    let three = TestKey::dev(3);
    for nonce in 0..10 {
        let to = key(100 + u8::try_from(nonce).unwrap());
        b.add(&b.test.checked(three.pay(to, (1, 1), nonce, &id)));
    }
    let chosen = b.pool.select(1_000_000, &b.context());
    let of = |key: &TestKey| chosen.iter().filter(|p| p.transfer().sender == key.public).count();
    assert_eq!((of(&one), of(&two), of(&three)), (20, 2, 10));
}
