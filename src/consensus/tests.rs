//! Tests of parameters and of the rules that a chain's blocks cannot easily reach: the others are
//! tested where blocks are accepted.

use super::check::{BlockError, Signatures, TransferError, check_block, check_transfer_form};
use super::connect::{
    ConnectError, HeaderError, ParentFacts, ParentState, check_header, connect_block,
    disconnect_block, next_bits, proof_target,
};
use super::params::{ALLOCATIONS_MAX, ChainParams};
use crate::primitives::amount::SUPPLY_MAX;
use crate::primitives::pow::CompactTarget;
use crate::primitives::{Account, Amount, Block, Height, PublicKey, Target, U256, UnixTime};
use crate::testkit::{Random, TestChain, TestKey, unsigned};
use std::collections::BTreeMap;

fn units(amount: u64) -> Amount {
    Amount::from_units(amount)
}

#[test]
fn unsound_parameters_are_named() {
    type Change = fn(&mut ChainParams);
    let table: [(Change, &str); 18] = [
        (|p| p.allocations[0].1 = Amount::ZERO, "empty-allocation"),
        (|p| p.allocations[1].0 = p.allocations[0].0, "repeated-allocation"),
        (|p| p.allocations[0].1 = SUPPLY_MAX, "allocations-too-large"),
        (|p| p.allocations.iter_mut().for_each(|a| a.1 = units(u64::MAX)), "allocations-too-large"),
        (|p| p.allocations.truncate(9), "allocations-differ"),
        (|p| p.schedule.emission.allocations = Amount::ZERO, "allocations-differ"),
        (|p| p.allocations = vec![p.allocations[0]; ALLOCATIONS_MAX + 1], "too-many-allocations"),
        (|p| p.schedule.emission.halving_interval = 0, "bad-halving-interval"),
        (|p| p.schedule.emission.halving_interval *= 3, "supply-above-cap"),
        (|p| p.schedule.spacing.start = 0, "bad-spacing-start"),
        (|p| p.schedule.spacing.end = 1, "bad-spacing-end"),
        (|p| p.schedule.largest_block = 4_000, "largest-block-too-small"),
        (|p| p.schedule.largest_block = 1_000_001, "largest-block-too-large"),
        (|p| p.retarget.half_life = 0, "bad-retarget"),
        (|p| p.retarget.solve_time_cap = 0, "bad-retarget"),
        (
            |p| p.retarget.easiest = Target::new(U256::from(0x1234_5678)).unwrap(),
            "bad-easiest-target",
        ),
        (|p| p.future_limit.seconds = 0, "bad-future-limit"),
        (|p| p.future_limit.spacings = 0, "bad-future-limit"),
    ];
    for (change, code) in table {
        let mut params = ChainParams::dev();
        change(&mut params);
        assert_eq!(params.check().map_err(|error| error.code()), Err(code));
    }
}

#[test]
fn the_form_of_a_transfer_is_judged_without_its_signature() {
    let (a, b) = (PublicKey::from_bytes([1; 32]), PublicKey::from_bytes([2; 32]));
    let overflow = |amount, fee| TransferError::Overflow { amount: units(amount), fee: units(fee) };
    let table = [
        (a, b, (1, 0), Ok(1)),
        (a, b, (u64::MAX, 0), Ok(u64::MAX)),
        (a, b, (0, 0), Err(TransferError::ZeroAmount)),
        (a, b, (0, 5), Err(TransferError::ZeroAmount)),
        (a, a, (0, 0), Err(TransferError::ZeroAmount)),
        (a, a, (1, 0), Err(TransferError::SelfTransfer)),
        (a, b, (u64::MAX, 1), Err(overflow(u64::MAX, 1))),
        (a, b, (1, u64::MAX), Err(overflow(1, u64::MAX))),
    ];
    for (sender, recipient, amounts, expected) in table {
        let transfer = unsigned(sender, recipient, amounts, 0);
        assert_eq!(check_transfer_form(&transfer), expected.map(units), "{amounts:?}");
    }
}

#[test]
fn the_first_bad_transfer_is_named_whatever_the_number_of_threads() {
    let test = TestChain::dev();
    let (key, id) = (TestKey::dev(1), test.chain.chain_id());
    let to = PublicKey::from_bytes([9; 32]);
    let mut transfers: Vec<_> = (0..200).map(|nonce| key.pay(to, (1, 0), nonce, &id)).collect();
    for bad in [70, 90, 199] {
        transfers[bad].fee = units(1);
    }
    let block = test.sealed(test.draft(transfers));
    let expected = BlockError::Transfer { index: 71, error: TransferError::BadSignature };
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for _ in 0..5 {
            let got = pool.install(|| test.check(block.clone()).unwrap_err());
            assert_eq!(got, expected);
        }
    }
}

#[test]
fn signatures_verified_before_are_not_verified_again() {
    let test = TestChain::dev();
    let (key, id) = (TestKey::dev(1), test.chain.chain_id());
    let mut forged = key.pay(PublicKey::from_bytes([9; 32]), (1, 0), 0, &id);
    forged.amount = units(2);
    let txid = forged.id();
    let block = test.sealed(test.draft(vec![forged]));
    let check = |signatures: &Signatures<'_>| {
        check_block(block.clone(), test.chain.params(), signatures).map_err(|error| error.code())
    };
    assert!(check(&Signatures::Trust).is_ok());
    assert!(check(&Signatures::Verify { chain_id: &id, known: &|id| *id == txid }).is_ok());
    assert_eq!(check(&Signatures::all(&id)).err(), Some("bad-signature"));
}

#[test]
fn no_header_stands_above_the_last_height() {
    let params = ChainParams::dev();
    let facts = ParentFacts {
        height: Height(u32::MAX),
        time: params.genesis_time,
        bits: params.easiest_bits(),
        grandparent_time: Some(params.genesis_time),
    };
    let got = check_header(&params, &params.genesis(), &facts, params.genesis_time);
    assert_eq!(got, Err(HeaderError::NoHeightLeft));
    assert_eq!(HeaderError::NoHeightLeft.code(), "no-height-left");
}

/// Times and heights at their ends overflow nothing, and give a target within the easiest.
#[test]
fn every_parent_has_a_next_target() {
    let mut random = Random(1);
    for params in [ChainParams::main(), ChainParams::dev()] {
        for _ in 0..2_000 {
            let mut number = || match random.below(4) {
                0 => 0,
                1 => u32::MAX,
                2 => u32::try_from(random.below(1_000)).unwrap(),
                _ => u32::try_from(random.below(1 << 32)).unwrap(),
            };
            let facts = ParentFacts {
                height: Height(number()),
                time: UnixTime(number()),
                bits: CompactTarget(number()),
                grandparent_time: Some(UnixTime(number())),
            };
            let easiest = params.retarget.easiest;
            assert!(
                next_bits(&params, &facts).to_target().unwrap() <= easiest
                    || !params.retarget.enabled
            );
            let target = proof_target(&params, &facts, UnixTime(number()));
            assert!(target <= easiest);
        }
    }
}

/// Executes a block with one transfer of account 1 on any accounts.
fn execute(block: Block, accounts: &BTreeMap<PublicKey, Account>) -> Result<(), &'static str> {
    let test = TestChain::dev();
    let checked = test.check(test.sealed(block)).unwrap();
    let account = |key: &PublicKey| accounts.get(key).copied();
    let height = Height(1);
    let parent = ParentState { height, roots: test.chain.roots(), account: &account };
    match connect_block(test.chain.params(), &checked, &parent) {
        Err(error) => Err(error.code()),
        Ok(changes) => {
            let mut after = accounts.clone();
            for (key, account) in changes {
                account.map(|account| after.insert(key, account));
            }
            let account = |key: &PublicKey| after.get(key).copied();
            let undone = disconnect_block(checked.block(), &account).unwrap();
            for (key, account) in undone {
                assert_eq!(account, accounts.get(&key).copied(), "undoing restores {key}");
            }
            Ok(())
        }
    }
}

#[test]
fn sums_that_overflow_are_refused() {
    let test = TestChain::dev();
    let (key, to) = (TestKey::dev(1), PublicKey::from_bytes([9; 32]));
    let id = test.chain.chain_id();
    let block = |nonce| test.draft(vec![key.pay(to, (5, 0), nonce, &id)]);
    let accounts = |nonce, held: u64| {
        BTreeMap::from([
            (key.public, Account { balance: units(5), nonce }),
            (to, Account { balance: units(held), nonce: 0 }),
        ])
    };
    assert_eq!(execute(block(0), &accounts(0, 7)), Ok(()));
    assert_eq!(execute(block(u64::MAX - 1), &accounts(u64::MAX - 1, 7)), Ok(()));
    assert_eq!(execute(block(u64::MAX), &accounts(u64::MAX, 7)), Err("amount-overflow"));
    assert_eq!(execute(block(0), &accounts(0, u64::MAX - 5)), Ok(()));
    assert_eq!(execute(block(0), &accounts(0, u64::MAX - 4)), Err("amount-overflow"));
}

#[test]
fn a_block_that_was_never_connected_cannot_be_undone() {
    let test = TestChain::dev();
    let (key, id) = (TestKey::dev(1), test.chain.chain_id());
    let transfer = key.pay(PublicKey::from_bytes([9; 32]), (5, 0), 0, &id);
    let block = test.draft(vec![transfer]);
    assert_eq!(disconnect_block(&block, &|_| None), Err(ConnectError::Overflow));
}

/// The last coins are mined, and a block that pays nobody creates no account.
#[test]
fn a_coinbase_of_nothing_creates_no_account() {
    let mut params = ChainParams::dev();
    params.schedule.emission.halving_interval = 1;
    params.schedule.emission.subsidy = units(4);
    let mut test = TestChain::new(params);
    let before = test.chain.total();
    test.mine_empty(2);
    assert_eq!(test.chain.total().units(), before.units() + 2 + 1);
    test.miner = PublicKey::from_bytes([9; 32]);
    test.mine_empty(2);
    assert!(test.chain.accounts().get(&test.miner).is_none());
    assert_eq!(test.chain.total().units(), before.units() + 3);
    let (key, id) = (TestKey::dev(1), test.chain.chain_id());
    let other = PublicKey::from_bytes([8; 32]);
    test.mine(vec![key.pay(other, (1, 6), 0, &id)]);
    assert_eq!(test.chain.account(&test.miner).balance, units(6), "the fees are paid for ever");
    // Undone, the account is gone again.
    let mut side = TestChain::new((**test.chain.params()).clone()).fork(7);
    for block in side.mine_empty(6) {
        test.accept(&block).unwrap();
    }
    assert_eq!(test.chain.roots(), side.chain.roots());
    assert!(test.chain.accounts().get(&other).is_none());
}
