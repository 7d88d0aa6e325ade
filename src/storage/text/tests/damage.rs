//! Files cut, flipped, smeared and rearranged: recovered or named, never silently different.

use proptest::prelude::*;

use super::*;

#[test]
fn a_file_cut_at_any_byte_keeps_exactly_its_whole_batches() {
    let file = file_of(BATCHES);
    let (bytes, (_, _, all)) = (file.bytes(), open_good(&file));
    let breaks = line_breaks(&bytes);
    for cut_at in 0..=bytes.len() {
        let file = MemoryFile::with(&bytes[..cut_at]);
        let (mut store, replayed, seen) = open_good(&file);
        let lines = breaks.iter().filter(|at| **at < cut_at).count();
        let (blocks, good_lines) = if lines == 0 { (0, 0) } else { whole(lines) };
        let good_end = good_lines.checked_sub(1).map_or(0, |last| breaks[last] + 1);
        assert_eq!(seen, all[..blocks], "cut at {cut_at}");
        assert_eq!(replayed.created, lines == 0, "cut at {cut_at}");
        let cut = (cut_at > good_end).then(|| Cut {
            line: as_offset(good_lines + 1),
            offset: as_offset(good_end),
            bytes: as_offset(cut_at - good_end),
        });
        assert_eq!(replayed.cut, cut, "cut at {cut_at}");

        store.stage("{\"new\":1}");
        store.commit().unwrap();
        let (_, replayed, again) = open_good(&file);
        assert_eq!(replayed.cut, None);
        assert_eq!(again[..blocks], all[..blocks]);
        assert_eq!(again[blocks].0, "{\"new\":1}", "cut at {cut_at}");
    }
}

#[test]
fn a_cut_exactly_before_the_last_line_break_is_a_torn_write() {
    let bytes = file_of(BATCHES).bytes();
    let (_, replayed, seen) = open_good(&MemoryFile::with(&bytes[..bytes.len() - 1]));
    assert_eq!(seen.len(), 5);
    assert_eq!(replayed.cut.map(|cut| cut.line), Some(7));
}

/// Flips every bit of a file of acknowledged batches in a range of bytes: each flip is named with
/// the line it is in.
fn every_flip_is_named(bytes: &[u8], range: std::ops::Range<usize>) {
    let breaks = line_breaks(bytes);
    let mut damaged = bytes.to_vec();
    for at in range {
        let line = 1 + as_offset(breaks.iter().filter(|end| **end < at).count());
        for bit in 0..8 {
            damaged[at] ^= 1 << bit;
            assert_eq!(damaged_line(&damaged), Some(line), "bit {bit} of byte {at}");
            damaged[at] ^= 1 << bit;
        }
    }
}

#[test]
fn one_flipped_bit_anywhere_in_a_small_file_is_named_with_its_line() {
    let bytes = file_of(BATCHES).bytes();
    every_flip_is_named(&bytes, 0..bytes.len());
    let first_line_alone = file_of(&[]).bytes();
    every_flip_is_named(&first_line_alone, 0..first_line_alone.len());
}

#[test]
fn one_flipped_bit_in_the_first_4096_bytes_of_a_larger_file_is_named_with_its_line() {
    let long = format!("{{\"memo\":\"{}\"}}", "J*".repeat(700));
    let batch: &[&str] = &[&long, "{}"];
    let bytes = file_of(&[BATCHES[0], batch, BATCHES[1], batch, batch, BATCHES[3]]).bytes();
    assert!(bytes.len() > 4096);
    every_flip_is_named(&bytes, 0..4096);
    every_flip_is_named(&bytes, bytes.len() - 600..bytes.len());
}

#[test]
fn a_flipped_bit_beside_a_torn_end_changes_no_block_unsaid() {
    let whole_file = file_of(BATCHES);
    let (bytes, (_, _, all)) = (whole_file.bytes(), open_good(&whole_file));
    let good_end = line_breaks(&bytes)[5] + 1;
    for cut_at in [good_end + 1, good_end + 30, bytes.len() - 20, bytes.len() - 1] {
        let mut torn = bytes[..cut_at].to_vec();
        for at in 0..cut_at {
            for bit in 0..8 {
                torn[at] ^= 1 << bit;
                match open(&MemoryFile::with(&torn)) {
                    (Err(StoreError::Damaged { .. }), _) => {}
                    (Err(other), _) => panic!("{other}"),
                    (Ok(opened), seen) => {
                        assert!(at >= good_end, "bit {bit} of byte {at} was overlooked");
                        assert_eq!(seen, all[..5]);
                        assert!(opened.replayed.cut.is_some());
                    }
                }
                torn[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn a_lost_line_break_before_a_torn_write_is_damage_and_not_a_longer_torn_write() {
    let bytes = file_of(BATCHES).bytes();
    let breaks = line_breaks(&bytes);
    let mut lost = bytes.clone();
    lost[breaks[5]] = 0;
    for cut_at in breaks[5] + 1..bytes.len() {
        let broken = lost[breaks[5] + 1..cut_at].contains(&b'\n');
        assert_eq!(damaged_line(&lost[..cut_at]), Some(6), "cut at {cut_at}, {broken}");
    }
}

#[test]
fn lines_doubled_swapped_or_missing_are_damage() {
    let bytes = file_of(BATCHES).bytes();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let count = lines.len();
    for at in 0..count {
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        assert_eq!(damaged_line(&doubled.concat()), Some(as_offset(at + 2)), "doubled {at}");

        for other in at + 1..count {
            let mut swapped = lines.clone();
            swapped.swap(at, other);
            assert_eq!(damaged_line(&swapped.concat()), Some(as_offset(at + 1)), "{at} {other}");
        }
        if at + 1 < count {
            let mut missing = lines.clone();
            missing.remove(at);
            assert_eq!(damaged_line(&missing.concat()), Some(as_offset(at + 1)), "missing {at}");
        }
    }
}

#[test]
fn lines_of_another_place_are_damage_even_with_a_good_checksum() {
    let bytes = file_of(BATCHES).bytes();
    let good = Place { batch: 5, index: 0, count: 1 };
    let cases = [
        (good, None),
        (Place { batch: 4, ..good }, Some(9)),
        (Place { batch: 6, ..good }, Some(9)),
        (Place { batch: u64::MAX, ..good }, Some(9)),
        (Place { index: 1, ..good }, Some(9)),
        (Place { index: 0xffff, ..good }, Some(9)),
        (Place { count: 0, ..good }, Some(9)),
        (Place { index: 0xffff, count: 0, ..good }, Some(9)),
    ];
    for (place, expected) in cases {
        let mut line = Vec::new();
        record::push(&mut line, "{}");
        record::finish(&mut line, place);
        let damaged = [bytes.clone(), line].concat();
        assert_eq!(damaged_line(&damaged), expected, "{place}");
    }
    let mut open_batch = Vec::new();
    for (index, count) in [(0, 3), (1, 2)] {
        let begins = open_batch.len();
        record::push(&mut open_batch, "{}");
        record::finish(&mut open_batch[begins..], Place { index, count, ..good });
    }
    assert_eq!(damaged_line(&[bytes, open_batch].concat()), Some(10), "count changed");
}

#[test]
fn a_line_longer_than_the_longest_is_damage_and_is_not_read_to_its_end() {
    let mut bytes = file_of(BATCHES).bytes();
    bytes.resize(bytes.len() + LINE_MAX, b'a');
    let (_, replayed, _) = open_good(&MemoryFile::with(&bytes));
    assert_eq!(replayed.cut.map(|cut| cut.bytes), Some(as_offset(LINE_MAX)));
    bytes.push(b'a');
    assert_eq!(damaged_line(&bytes), Some(9));
    assert_eq!(damaged_line(&vec![b'a'; LINE_MAX + 1]), Some(1));
}

/// What may come of bytes that were changed at random: refused with the line, or let in with a
/// first part of the blocks, and then it is said that something was cut.
fn recovered_or_named(bytes: &[u8], all: &[Seen]) -> Result<(), TestCaseError> {
    match open(&MemoryFile::with(bytes)) {
        (Err(StoreError::Damaged { .. }), _) => {}
        (Err(other), _) => return Err(TestCaseError::fail(other.to_string())),
        (Ok(opened), seen) => {
            prop_assert_eq!(&seen[..], &all[..seen.len()]);
            prop_assert!(seen.len() == all.len() || opened.replayed.cut.is_some());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_smear_of_up_to_64_bytes_is_recovered_or_named(
        at in 0usize..800,
        smear in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        let file = file_of(BATCHES);
        let (mut bytes, (_, _, all)) = (file.bytes(), open_good(&file));
        let at = at % bytes.len();
        let end = bytes.len().min(at + smear.len());
        bytes[at..end].copy_from_slice(&smear[..end - at]);
        recovered_or_named(&bytes, &all)?;
    }

    #[test]
    fn anything_appended_is_cut_if_it_has_no_line_break_and_named_if_it_has(
        tail in prop::collection::vec(any::<u8>(), 1..4096),
    ) {
        let file = file_of(BATCHES);
        let (bytes, (_, _, all)) = (file.bytes(), open_good(&file));
        let broken = tail.contains(&b'\n');
        let damaged = [bytes, tail].concat();
        recovered_or_named(&damaged, &all)?;
        prop_assert_eq!(damaged_line(&damaged), broken.then_some(9));
    }

    #[test]
    fn any_bytes_at_all_are_read_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..4096),
        ours in any::<bool>(),
    ) {
        let begin = if ours { file_of(&[]).bytes() } else { Vec::new() };
        let _ = open(&MemoryFile::with(&[begin, bytes].concat()));
    }
}
