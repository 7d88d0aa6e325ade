//! Each rule of a block, broken by an otherwise honest block: refused with its code, nothing
//! changed, and the honest block accepted afterwards.

use super::snapshot;
use crate::chain::accept::{AcceptError, Accepted};
use crate::consensus::params::ChainParams;
use crate::primitives::transaction::COINBASE_SIZE_MIN;
use crate::primitives::{
    Amount, Block, BlockHash, CompactTarget, Expiry, Hash256, PublicKey, Transfer,
};
use crate::testkit::{TestChain, TestKey, seal, unsigned};

/// Makes a block break a rule.
type Spoil = fn(&mut Block);

const COIN: u64 = 100_000_000;

/// A dev chain of three blocks, in which account 1 has sent once and account 2 twice.
fn start() -> TestChain {
    let mut test = TestChain::dev();
    let (one, two) = (TestKey::dev(1), TestKey::dev(2));
    let id = test.chain.chain_id();
    test.mine(vec![one.pay(two.public, (5, 1), 0, &id)]);
    test.mine(vec![two.pay(one.public, (5, 1), 0, &id), two.pay(one.public, (6, 0), 1, &id)]);
    test.mine(vec![]);
    test
}

/// A valid next block with a transfer of account 1 (nonce 1) and one of account 2 (nonce 2).
fn honest(test: &TestChain) -> Block {
    let (one, two) = (TestKey::dev(1), TestKey::dev(2));
    let id = test.chain.chain_id();
    let first = one.pay(two.public, (7 * COIN, 3), 1, &id);
    test.draft(vec![first, two.pay(stranger(), (8, 4), 2, &id)])
}

fn stranger() -> PublicKey {
    PublicKey::from_bytes([9; 32])
}

fn judge(test: &mut TestChain, block: Block) -> &'static str {
    match test.check(block) {
        Err(error) => error.code(),
        Ok(checked) => match test.accept(&checked) {
            Ok(Accepted::Best(_)) => "best",
            Ok(_) => "not best",
            Err(error) => error.code(),
        },
    }
}

/// Refuses the spoilt block, whatever its commitment and proof of work, then takes the honest one.
fn check(spoil: impl Fn(&TestChain, &mut Block), code: &str) {
    let mut test = start();
    let mut bad = honest(&test);
    spoil(&test, &mut bad);
    seal(&mut bad, test.chain.params().retarget.easiest);
    check_sealed(&mut test, bad, code);
}

fn check_sealed(test: &mut TestChain, bad: Block, code: &str) {
    let before = snapshot(&test.chain);
    assert_eq!(judge(test, bad.clone()), code);
    assert_eq!(
        judge(test, bad.clone()),
        if code_is_remembered(code) { "known-invalid" } else { code }
    );
    assert_eq!(snapshot(&test.chain), before, "{code}");
    let good = test.sealed(honest(test));
    assert_eq!(judge(test, good), "best", "after {code}");
}

/// Whether the refusal comes from executing the block, to which the header commits.
fn code_is_remembered(code: &str) -> bool {
    let connect = ["wrong-height", "wrong-roots", "transfer-expired", "wrong-nonce", "overspent"];
    connect.contains(&code) || code == "wrong-reward"
}

/// Puts another transfer of account 1 in the place of the first, and its fee into the reward.
fn put(test: &TestChain, block: &mut Block, change: impl Fn(&mut Transfer)) {
    let mut transfer = block.transfers[0].clone();
    let fee = transfer.fee.units();
    change(&mut transfer);
    let more = transfer.fee.units().wrapping_sub(fee);
    block.coinbase.amount = Amount::from_units(block.coinbase.amount.units().wrapping_add(more));
    block.transfers[0] = TestKey::dev(1).sign(transfer, &test.chain.chain_id());
}

fn units(amount: u64) -> Amount {
    Amount::from_units(amount)
}

#[test]
fn a_transfer_that_breaks_a_rule_makes_its_block_invalid() {
    type Change = fn(&mut Transfer);
    let balance = 10_000 * COIN + 5;
    let table: [(Change, &str); 11] = [
        (|t| t.amount = Amount::ZERO, "zero-amount"),
        (|t| t.recipient = t.sender, "self-transfer"),
        (|t| t.amount = units(u64::MAX), "amount-overflow"),
        (|t| t.fee = units(u64::MAX), "amount-overflow"),
        (|t| t.expiry = Expiry(3), "transfer-expired"),
        (|t| t.nonce = 0, "wrong-nonce"),
        (|t| t.nonce = 2, "wrong-nonce"),
        (|t| t.nonce = u64::MAX, "wrong-nonce"),
        (|t| t.amount = units(10_000 * COIN + 5 - 3 + 1), "overspent"),
        (|t| t.fee = units(10_000 * COIN), "overspent"),
        (|t| t.amount = units(u64::MAX - 3), "overspent"),
    ];
    for (change, code) in table {
        check(|test, block| put(test, block, change), code);
    }
    let mut test = start();
    assert_eq!(test.chain.account(&TestKey::dev(1).public).balance, units(balance));
    let mut all = honest(&test);
    put(&test, &mut all, |t| (t.amount, t.expiry) = (units(10_000 * COIN + 5 - 3), Expiry(4)));
    let all = test.sealed(all);
    assert_eq!(judge(&mut test, all), "best", "the whole balance, at the last moment");
}

#[test]
fn forged_and_foreign_signatures_are_refused() {
    let forge: [fn(&TestChain, &mut Block); 4] = [
        |test, block| {
            let theirs = block.transfers[0].clone();
            block.transfers[0] = TestKey::dev(3).sign(theirs, &test.chain.chain_id());
        },
        |_, block| block.transfers[1].amount = units(9),
        |_, block| {
            let id = ChainParams::main().chain_id();
            block.transfers[0] = TestKey::dev(1).sign(block.transfers[0].clone(), &id);
        },
        |_, block| {
            block.transfers[0] = unsigned(stranger(), TestKey::dev(1).public, (1, 3), 0);
        },
    ];
    for spoil in forge {
        check(spoil, "bad-signature");
    }
}

#[test]
fn a_transfer_is_never_executed_twice() {
    check(|_, block| block.transfers.push(block.transfers[0].clone()), "duplicate-transaction");
    // The same payment as another transaction, and one of an earlier block.
    check(
        |test, block| {
            let mut again = block.transfers[0].clone();
            again.memo = "again".parse().unwrap();
            block.coinbase.amount = block.coinbase.amount.checked_add(again.fee).unwrap();
            block.transfers.push(TestKey::dev(1).sign(again, &test.chain.chain_id()));
        },
        "wrong-nonce",
    );
    check(
        |test, block| {
            let replayed =
                TestKey::dev(1).pay(TestKey::dev(2).public, (5, 1), 0, &test.chain.chain_id());
            block.coinbase.amount = block.coinbase.amount.checked_add(replayed.fee).unwrap();
            block.transfers.insert(0, replayed);
        },
        "wrong-nonce",
    );
}

#[test]
fn debits_are_judged_against_the_balances_after_the_parent() {
    let poor = TestKey::new(1);
    let fund = |test: &TestChain, block: &mut Block| {
        let id = test.chain.chain_id();
        let mut gift = block.transfers[0].clone();
        gift.recipient = poor.public;
        block.transfers[0] = TestKey::dev(1).sign(gift, &id);
        block.transfers.push(poor.pay(stranger(), (1, 0), 0, &id));
    };
    check(fund, "overspent");
    check(
        |test, block| {
            block.coinbase.recipient = poor.public;
            block.transfers.push(poor.pay(stranger(), (1, 0), 0, &test.chain.chain_id()));
        },
        "overspent",
    );
    // Several transfers that only together exceed the balance; in pairs they do not.
    check(
        |test, block| {
            let id = test.chain.chain_id();
            let third = 4_000 * COIN;
            let three = TestKey::dev(3);
            let spend = |nonce| three.pay(stranger(), (third, 0), nonce, &id);
            block.transfers.extend([spend(0), spend(1), spend(2)]);
        },
        "overspent",
    );
    // What was received and mined is spendable in the next block.
    let mut test = start();
    let id = test.chain.chain_id();
    test.miner = poor.public;
    test.mine(vec![TestKey::dev(1).pay(poor.public, (5, 0), 1, &id)]);
    test.mine(vec![poor.pay(stranger(), (10 * COIN + 5, 0), 0, &id)]);
    assert_eq!(test.chain.account(&stranger()).balance, units(10 * COIN + 5));
    assert_eq!(test.chain.account(&poor.public).nonce, 1);
}

#[test]
fn the_reward_is_exactly_subsidy_and_fees() {
    let table: [fn(&mut Block); 5] = [
        |b| b.coinbase.amount = units(b.coinbase.amount.units() + 1),
        |b| b.coinbase.amount = units(b.coinbase.amount.units() - 1),
        |b| b.coinbase.amount = units(10 * COIN),
        |b| b.coinbase.amount = units(u64::MAX),
        |b| b.coinbase.amount = Amount::ZERO,
    ];
    for spoil in table {
        check(|_, block| spoil(block), "wrong-reward");
    }
}

#[test]
fn place_and_roots_are_those_of_the_chain() {
    let table: [(Spoil, &str); 6] = [
        (|b| b.coinbase.height.0 = 3, "wrong-height"),
        (|b| b.coinbase.height.0 = 5, "wrong-height"),
        (|b| b.coinbase.height.0 = u32::MAX, "wrong-height"),
        (|b| b.roots.accounts = Hash256::ZERO, "wrong-roots"),
        (|b| b.roots.history = Hash256::ZERO, "wrong-roots"),
        (
            |b| (b.roots.accounts, b.roots.history) = (b.roots.history, b.roots.accounts),
            "wrong-roots",
        ),
    ];
    for (spoil, code) in table {
        check(|_, block| spoil(block), code);
    }
    check(|_, block| block.header.previous = BlockHash::from_bytes([3; 32]), "unknown-parent");
    let foreign = ChainParams::main().chain_id();
    check(|_, block| block.header.previous = foreign, "unknown-parent");
}

#[test]
fn headers_keep_time_bits_and_work() {
    let table: [(Spoil, &str); 7] = [
        (|b| b.header.time.0 -= 11, "time-before-parent"),
        (|b| b.header.time.0 = u32::MAX, "block-from-the-future"),
        (|b| b.header.bits = CompactTarget(0x1f00_ffff), "wrong-bits"),
        (|b| b.header.bits = CompactTarget(0x2100_ffff), "target-too-easy"),
        (|b| b.header.bits = CompactTarget(0), "bad-bits"),
        (|b| b.header.bits = CompactTarget(0x2080_0001), "bad-bits"),
        (|b| b.header.bits = CompactTarget(0x2200_0100), "bad-bits"),
    ];
    for (spoil, code) in table {
        check(|_, block| spoil(block), code);
    }
    let mut test = start();
    let mut lazy = test.sealed(honest(&test));
    while test.chain.params().retarget.easiest.is_met_by(&lazy.hash()) {
        lazy.header.nonce += 1;
    }
    check_sealed(&mut test, lazy, "no-proof-of-work");
    // Any version, and the very second of the parent, are fine.
    let mut odd = test.draft(vec![]);
    (odd.header.version, odd.header.time.0) = (u32::MAX, odd.header.time.0 - 10);
    let odd = test.sealed(odd);
    assert_eq!(judge(&mut test, odd), "best");
}

#[test]
fn a_block_from_the_future_is_taken_when_its_time_has_come() {
    let mut test = start();
    let spacing = test.chain.params().schedule.spacing(test.chain.height().next());
    let mut early = test.draft(vec![]);
    early.header.time = test.now.unix.plus(3 * spacing + 1);
    let early = test.sealed(early);
    let before = snapshot(&test.chain);
    assert_eq!(judge(&mut test, early.clone()), "block-from-the-future");
    assert_eq!(snapshot(&test.chain), before);
    assert!(test.chain.headers().get(&early.hash()).is_none());
    assert!(!test.chain.is_invalid(&early.hash()), "nobody is to blame");
    test.now.unix = test.now.unix.plus(1);
    assert_eq!(judge(&mut test, early), "best");
}

/// The same header with another body: refused for the body alone, and the honest one taken.
#[test]
fn a_wrong_body_never_spoils_a_good_header() {
    let table: [fn(&mut Block); 9] = [
        |b| b.transfers.truncate(1),
        |b| b.transfers.clear(),
        |b| b.transfers.push(b.transfers[1].clone()),
        |b| b.transfers.swap(0, 1),
        |b| b.transfers[0].amount = units(1),
        |b| b.transfers[0].signature = b.transfers[1].signature,
        |b| b.coinbase.height.0 += 1,
        |b| b.coinbase.amount = units(1),
        |b| b.roots.accounts = Hash256::ZERO,
    ];
    for headers_first in [false, true] {
        for spoil in table {
            let mut test = start();
            let good = test.sealed(honest(&test));
            if headers_first {
                test.chain.accept_header(&good.header, test.now).unwrap();
            }
            let mut bad = good.clone();
            spoil(&mut bad);
            let error = test.check(bad.clone()).unwrap_err();
            assert_eq!((error.code(), error.is_final()), ("wrong-commitment", false));
            assert_eq!(test.chain.missing_bodies(9).len(), usize::from(headers_first));
            assert_eq!(judge(&mut test, good), "best");
        }
    }
}

#[test]
fn a_body_with_a_bad_signature_is_refused_for_good() {
    let mut test = start();
    let mut bad = honest(&test);
    bad.transfers[0].amount = units(1);
    let bad = test.sealed(bad);
    let error = test.check(bad.clone()).unwrap_err();
    assert_eq!((error.code(), error.is_final()), ("bad-signature", true));
    test.chain.accept_header(&bad.header, test.now).unwrap();
    assert_eq!(test.chain.missing_bodies(9).len(), 1);
    test.chain.refuse_block(&bad.header, test.now);
    assert!(test.chain.missing_bodies(9).is_empty(), "nobody is asked for it any more");
    assert!(test.chain.is_invalid(&bad.hash()));
    let again = test.chain.accept_header(&bad.header, test.now);
    assert!(matches!(again, Err(AcceptError::KnownInvalid(_))));
    // A block of the best chain cannot be refused any more.
    let good = test.mine(vec![]);
    let before = snapshot(&test.chain);
    test.chain.refuse_block(&good.block().header, test.now);
    assert_eq!(snapshot(&test.chain), before);
    assert!(!test.chain.is_invalid(&good.hash()));
}

/// A dev chain with blocks of at most 2,333 bytes.
fn small_blocks() -> TestChain {
    let mut params = ChainParams::dev();
    params.schedule.largest_block = 10_000;
    TestChain::new(params)
}

#[test]
fn a_block_of_the_limit_is_taken_and_one_byte_more_is_not() {
    let limit = 2_333;
    let mut test = small_blocks();
    assert_eq!(test.chain.params().schedule.largest_block(test.chain.height().next()), limit);
    let (key, id) = (TestKey::dev(1), test.chain.chain_id());
    for over in [1_i64, 0, -1] {
        let mut transfers: Vec<_> = (0..13)
            .map(|n| key.pay(stranger(), (1, 0), test.chain.account(&key.public).nonce + n, &id))
            .collect();
        let size = test.draft(transfers.clone()).size();
        let mut missing = usize::try_from(i64::from(limit) + over).unwrap() - size;
        for transfer in &mut transfers[..2] {
            transfer.memo = "m".repeat(missing.min(60)).parse().unwrap();
            missing = missing.saturating_sub(60);
            *transfer = key.sign(transfer.clone(), &id);
        }
        let block = test.sealed(test.draft(transfers));
        assert_eq!(i64::try_from(block.size()).unwrap(), i64::from(limit) + over);
        let expected = if over > 0 { "block-too-large" } else { "best" };
        assert_eq!(judge(&mut test, block), expected);
    }
}

#[test]
fn a_template_fills_a_block_to_its_limit_and_no_further() {
    for extra in 0..64 {
        let mut test = small_blocks();
        let (key, id) = (TestKey::dev(1), test.chain.chain_id());
        for nonce in 0..40 {
            let mut transfer = key.pay(stranger(), (1, 5), nonce, &id);
            transfer.memo = "m".repeat(extra).parse().unwrap();
            test.submit(key.sign(transfer, &id)).unwrap();
        }
        let block = test.from_template();
        let (size, one) = (block.block().size(), 158 + extra);
        assert!(size <= 2_333 && size + one > 2_333, "{size}");
        assert_eq!(block.block().transfers.len(), (2_333 - 84 - COINBASE_SIZE_MIN) / one);
        test.accept(&block).unwrap();
        assert_eq!(test.chain.pool().len(), 40 - block.block().transfers.len());
    }
}
