//! Figures that follow from the rules alone: schedule, targets, roots of small trees.

use crate::example::Example;
use crate::markdown::{code, table};
use farthing::chain::accounts::AccountTree;
use farthing::chain::history::{History, LeafData};
use farthing::consensus::difficulty::{Solved, relief_shift};
use farthing::consensus::merkle::tx_root;
use farthing::consensus::params::ChainParams;
use farthing::primitives::{
    Account, Amount, BlockHash, CompactTarget, Height, Txid, U256, UnixTime, Work,
};

/// Subsidy, coins, spacing and largest block of the main network at chosen heights.
pub fn schedule(_: &Example) -> String {
    let schedule = ChainParams::main().schedule;
    let heights = [0, 1, 2, 2_100, 2_101, 105_000, 105_001, 1_050_000, 30_450_000, u32::MAX];
    let rows: Vec<_> = heights
        .into_iter()
        .map(|height| {
            let at = Height(height);
            vec![
                height.to_string(),
                schedule.subsidy(at).units().to_string(),
                schedule.issued(at).units().to_string(),
                schedule.spacing(at).to_string(),
                schedule.largest_block(at).to_string(),
            ]
        })
        .collect();
    let heads =
        ["height", "subsidy, base units", "issued, base units", "spacing, s", "largest, bytes"];
    table(&heads, &rows)
}

/// Compact bits with their targets and work, or why they are refused.
pub fn compact(_: &Example) -> String {
    let bits = [
        0x2100_ffff_u32,
        0x2010_0000,
        0x1e01_0000,
        0x1d00_ffff,
        0x0500_9234,
        0x0101_0000,
        0x1e00_00ff,
        0x0492_3456,
        0x2200_0100,
        0x0000_0000,
    ];
    let rows: Vec<_> = bits
        .into_iter()
        .map(|bits| {
            let (target, work) = match CompactTarget(bits).to_target() {
                Ok(target) => (code(format!("{target:?}")), code(target.work().to_string())),
                Err(why) => (format!("refused: {why}"), String::new()),
            };
            vec![code(format!("{bits:08x}")), target, work]
        })
        .collect();
    table(&["bits", "target", "work"], &rows)
}

/// Parent's bits, its spacing and solve time, and the next spacing to the next bits.
pub fn retarget(_: &Example) -> String {
    let retarget = ChainParams::main().retarget;
    let cases = [
        (0x1d00_ffff_u32, 10, 10, 10),
        (0x1d00_ffff, 10, 10, 0),
        (0x1d00_ffff, 10, 10, 21),
        (0x1d00_ffff, 10, 10, 400),
        (0x1d00_ffff, 10, 10, 2_419_200),
        (0x1d00_ffff, 10, 11, 10),
        (0x1c7f_ffff, 59, 60, 7),
        (0x1b04_04cb, 60, 60, 600),
        (0x1e01_0000, 10, 10, 11),
        (0x1e01_0000, 10, 10, 9),
        (0x0101_0000, 10, 10, 0),
    ];
    let rows: Vec<_> = cases
        .into_iter()
        .map(|(bits, spacing, next, solve_time): (u32, u32, u32, u32)| {
            let target = CompactTarget(bits).to_target().expect("a target");
            let got = retarget.next_target(Solved { target, solve_time, spacing }, next);
            vec![
                code(format!("{bits:08x}")),
                spacing.to_string(),
                next.to_string(),
                solve_time.to_string(),
                code(format!("{:08x}", got.0)),
            ]
        })
        .collect();
    table(&["bits(h)", "spacing(h)", "spacing(h+1)", "solve time(h)", "bits(h+1)"], &rows)
}

/// Proof-of-work targets of late blocks.
pub fn relief(_: &Example) -> String {
    let retarget = ChainParams::main().retarget;
    let cases = [
        (0x1b04_04cb_u32, 10, 799),
        (0x1b04_04cb, 10, 800),
        (0x1b04_04cb, 10, 1_199),
        (0x1b04_04cb, 10, 1_200),
        (0x1b04_04cb, 60, 12_000),
        (0x1b04_04cb, 10, 20_000),
    ];
    let rows: Vec<_> = cases
        .into_iter()
        .map(|(bits, spacing, solve_time): (u32, u32, u32)| {
            let target = CompactTarget(bits).to_target().expect("a target");
            let doublings = relief_shift(retarget.relief_step(spacing), solve_time);
            let relieved = retarget.proof_target(target, spacing, solve_time);
            vec![
                code(format!("{bits:08x}")),
                spacing.to_string(),
                solve_time.to_string(),
                doublings.to_string(),
                code(format!("{relieved:?}")),
            ]
        })
        .collect();
    table(&["bits(h)", "spacing(h)", "s", "k", "proof-of-work target"], &rows)
}

/// Roots of small trees.
pub fn trees(example: &Example) -> String {
    let rows: Vec<_> = (0..=5_u8)
        .map(|count| {
            let ids: Vec<_> = (1..=count).map(|i| Txid::from_bytes([i; 32])).collect();
            let account = Account { balance: Amount::from_units(1_000_000_000_000), nonce: 0 };
            let funded =
                (1..=usize::from(count)).map(|number| (example.key(number), Some(account)));
            let accounts = AccountTree::new().apply(funded);
            let mut history = History::new();
            for i in 1..=count {
                history.append(&LeafData {
                    hash: BlockHash::from_bytes([i; 32]),
                    work: Work::new(U256::from(i)),
                    time: UnixTime(1_000 + u32::from(i)),
                    bits: CompactTarget(0x1d00_ff00 + u32::from(i)),
                });
            }
            vec![
                count.to_string(),
                code(tx_root(&ids).to_string()),
                code(accounts.root().to_string()),
                code(history.root().to_string()),
            ]
        })
        .collect();
    table(&["n", "transaction root", "account root", "history root"], &rows)
}
