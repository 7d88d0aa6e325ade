use super::*;
use crate::primitives::U256;
use proptest::prelude::*;

fn block(number: u32) -> LeafData {
    LeafData {
        hash: BlockHash::from_bytes(sha256(&[&number.to_le_bytes()])),
        work: Work::new(U256::from(1_000 + u64::from(number) * 7) << 70),
        time: UnixTime(1_700_000_000 + number * 13),
        bits: CompactTarget(0x1d00_0000 + number),
    }
}

fn history(count: u32) -> History {
    let mut history = History::new();
    (0..count).for_each(|number| history.append(&block(number)));
    history
}

/// A node's hash and encoded data, by the definition and with other code: peaks from the left
/// as the count's bits say, each a full tree, bagged from the right.
fn naive_root(blocks: &[LeafData]) -> Hash256 {
    let count = u64::try_from(blocks.len()).unwrap().to_le_bytes();
    let (mut rest, mut peaks) = (blocks, Vec::new());
    for bit in (0..32).rev() {
        if blocks.len() >> bit & 1 == 1 {
            let (peak, right) = rest.split_at(1 << bit);
            peaks.push((full_tree(peak), peak.len()));
            rest = right;
        }
    }
    let Some((mut bag, mut covered)) = peaks.pop() else {
        return Hash256::from_bytes(sha256(&[&[0x12], &[0; 8]]));
    };
    while let Some((peak, size)) = peaks.pop() {
        let right = data(&blocks[blocks.len() - covered..]);
        let left = data(&blocks[blocks.len() - covered - size..blocks.len() - covered]);
        bag = sha256(&[&[0x11], &peak, &left, &bag, &right]);
        covered += size;
    }
    Hash256::from_bytes(sha256(&[&[0x12], &count, &bag, &data(blocks)]))
}

fn full_tree(blocks: &[LeafData]) -> [u8; 32] {
    if let [block] = blocks {
        return sha256(&[&[0x10], block.hash.as_bytes(), &data(blocks)]);
    }
    let (left, right) = blocks.split_at(blocks.len() / 2);
    sha256(&[&[0x11], &full_tree(left), &data(left), &full_tree(right), &data(right)])
}

fn total_work(blocks: &[LeafData]) -> Work {
    blocks.iter().fold(Work::ZERO, |sum, block| sum + block.work)
}

fn data(blocks: &[LeafData]) -> Vec<u8> {
    let (first, last) = (blocks.first().unwrap(), blocks.last().unwrap());
    let work: Work = total_work(blocks);
    let mut bytes = work.to_le_bytes().to_vec();
    bytes.extend(u64::try_from(blocks.len()).unwrap().to_le_bytes());
    bytes.extend([first.time.0, last.time.0].map(u32::to_le_bytes).concat());
    bytes.extend([first.bits.0, last.bits.0].map(u32::to_le_bytes).concat());
    bytes
}

#[test]
fn every_root_is_that_of_the_definition() {
    let blocks: Vec<_> = (0..=300).map(block).collect();
    let mut history = History::new();
    for n in 0..=300 {
        let covered = &blocks[..Height(n).index()];
        assert_eq!(history.count(), n);
        assert_eq!(history.root(), naive_root(covered), "{n} blocks");
        assert_eq!(history.total_work(), total_work(covered));
        history.append(&blocks[Height(n).index()]);
    }
}

/// The smallest ranges, byte by byte: work 5, 7, 2^64 at times 1, 2, 3 with bits 16, 17, 18.
#[test]
fn the_smallest_ranges_hash_the_bytes_of_the_definition() {
    let bytes = |text: &str| hex::decode(text.replace([' ', '\n'], "")).unwrap();
    let zeros = |bytes: usize| "00".repeat(bytes);
    let (a, b, c) = ("aa".repeat(32), "bb".repeat(32), "cc".repeat(32));
    let data = |work: &str, count: &str, tail: &str| {
        let work = format!("{work}{}", zeros(32 - work.len() / 2));
        format!("{work} {count}00000000000000 {tail}")
    };
    let data_a = data("05", "01", "01000000 01000000 10000000 10000000");
    let data_b = data("07", "01", "02000000 02000000 11000000 11000000");
    let data_c = data("000000000000000001", "01", "03000000 03000000 12000000 12000000");
    let data_ab = data("0c", "02", "01000000 02000000 10000000 11000000");
    let data_abc = data("0c0000000000000001", "03", "01000000 03000000 10000000 12000000");
    let hash = |text: &str| hex::encode(sha256(&[&bytes(text)]));
    let leaf_a = hash(&format!("10 {a} {data_a}"));
    let leaf_b = hash(&format!("10 {b} {data_b}"));
    let leaf_c = hash(&format!("10 {c} {data_c}"));
    let ab = hash(&format!("11 {leaf_a} {data_a} {leaf_b} {data_b}"));
    let abc = hash(&format!("11 {ab} {data_ab} {leaf_c} {data_c}"));
    let expected = [
        hash("12 0000000000000000"),
        hash(&format!("12 0100000000000000 {leaf_a} {data_a}")),
        hash(&format!("12 0200000000000000 {ab} {data_ab}")),
        hash(&format!("12 0300000000000000 {abc} {data_abc}")),
    ];
    let works = [U256::from(5), U256::from(7), U256::from(1) << 64];
    let mut history = History::new();
    let mut got = vec![history.root().to_string()];
    for (i, (byte, work)) in [0xaa, 0xbb, 0xcc].into_iter().zip(works).enumerate() {
        let i = u32::try_from(i).unwrap();
        history.append(&LeafData {
            hash: BlockHash::from_bytes([byte; 32]),
            work: Work::new(work),
            time: UnixTime(1 + i),
            bits: CompactTarget(16 + i),
        });
        got.push(history.root().to_string());
    }
    assert_eq!(got, expected);
}

#[test]
fn any_range_can_be_cut_back_to_any_other() {
    let full = history(150);
    let roots: Vec<_> = (0..=150).map(|n| history(n).root()).collect();
    for n in 0..=150 {
        let mut cut = full.clone();
        cut.truncate(n);
        assert_eq!((cut.count(), cut.root()), (n, roots[Height(n).index()]));
        cut.truncate(n + 1);
        assert_eq!(cut.count(), n, "cutting never lengthens");
        (n..150).for_each(|number| cut.append(&block(number)));
        assert_eq!(cut.root(), full.root());
    }
    assert_eq!(full.root(), roots[150]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn appending_and_cutting_at_random_follow_the_definition(
        steps in proptest::collection::vec((0..200_u32, 0..120_u32), 1..20),
    ) {
        let mut history = History::new();
        let mut blocks = Vec::new();
        let mut versions = Vec::new();
        for (number, (keep, more)) in (1_u32..).zip(steps) {
            blocks.truncate(Height(keep).index());
            history.truncate(keep);
            for i in 0..more {
                let next = block(number * 1_000 + i);
                blocks.push(next);
                history.append(&next);
            }
            versions.push((history.clone(), blocks.clone()));
        }
        for (history, blocks) in versions {
            prop_assert_eq!(history.root(), naive_root(&blocks));
            prop_assert_eq!(Height(history.count()).index(), blocks.len());
        }
    }
}

#[test]
fn every_branch_reaches_the_root_and_no_other_block_place_or_sibling_does() {
    for n in 1..=40 {
        let history = history(n);
        let root = history.root();
        for index in 0..n {
            let branch = history.branch(index).unwrap();
            for number in 0..n {
                assert_eq!(branch.root(&block(number)) == Ok(root), number == index);
            }
            let own = block(index);
            for (i, c) in (0..=n).map(|i| (i, n)).chain([(index, n + 1), (index, n - 1)]) {
                let moved = HistoryBranch { index: i, count: c, ..branch.clone() };
                assert_eq!(moved.root(&own) == Ok(root), (i, c) == (index, n));
            }
            for i in 0..branch.siblings.len() {
                check_wrong_siblings(&branch, i, root);
            }
        }
        assert_eq!(history.branch(n), None);
    }
}

fn check_wrong_siblings(branch: &HistoryBranch, i: usize, root: Hash256) {
    let own = block(branch.index);
    let changes: [fn(&mut RangeNode); 8] = [
        |node| node.hash = Hash256::ZERO,
        |node| node.data.work = node.data.work + Work::new(U256::from(1)),
        |node| node.data.count += 1,
        |node| node.data.count = u64::MAX,
        |node| node.data.first_time.0 ^= 1,
        |node| node.data.last_time.0 ^= 1,
        |node| node.data.first_bits.0 ^= 1,
        |node| node.data.last_bits.0 ^= 1,
    ];
    for change in changes {
        let mut wrong = branch.clone();
        change(&mut wrong.siblings[i]);
        assert_ne!(wrong.root(&own), Ok(root));
    }
    let mut shorter = branch.clone();
    shorter.siblings.remove(i);
    assert!(matches!(shorter.root(&own), Err(BranchError::Length { .. })));
}

#[test]
fn long_ranges_are_cut_and_grown_again_without_a_trace() {
    let full = history(9_000);
    let blocks: Vec<_> = (0..9_000).map(block).collect();
    assert_eq!(full.root(), naive_root(&blocks));
    let mut history = full.clone();
    for (keep, grow) in [(8_999, 0), (8_192, 5), (4_097, 900), (4_096, 1), (4_095, 70), (63, 9_000)]
    {
        history.truncate(keep);
        assert_eq!(history.root(), naive_root(&blocks[..Height(keep).index()]), "{keep} kept");
        let end = (keep + grow).min(9_000);
        (keep..end).for_each(|number| history.append(&block(number)));
        assert_eq!(history.root(), naive_root(&blocks[..Height(end).index()]), "{end} again");
    }
    assert_eq!(full.root(), naive_root(&blocks));
    assert_eq!(full.branch(8_191).unwrap().root(&block(8_191)), Ok(full.root()));
}
