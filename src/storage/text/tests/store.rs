//! What the store promises while nothing fails, and what it refuses.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn file_name(dir: &tempfile::TempDir) -> std::path::PathBuf {
    dir.path().join("blockchain-5000.txt")
}

fn open_at(path: &Path) -> Result<Opened, StoreError> {
    TextStore::open(path, &genesis(), &mut |_| Ok(()))
}

#[test]
fn what_was_committed_comes_back_in_order_from_a_real_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = file_name(&dir);
    let opened = open_at(&path).unwrap();
    assert!(opened.replayed.created);
    let mut store = opened.store;
    let one = store.stage("{\"n\":1}");
    assert_eq!(store.read(one).unwrap(), "{\"n\":1}");
    store.commit().unwrap();
    let two = store.stage("{\"n\":2}");
    let three = store.stage("{\"n\":\"drei ß\"}");
    store.commit().unwrap();
    assert_eq!(store.reader().read(two).unwrap(), "{\"n\":2}");
    let mut seen = Vec::new();
    let replayed = inspect(&path, &genesis(), &mut |block| {
        seen.push((block.json.to_owned(), block.body, block.line));
        Ok(())
    });
    let expected = [("{\"n\":1}", one, 2), ("{\"n\":2}", two, 3), ("{\"n\":\"drei ß\"}", three, 4)];
    assert_eq!(seen, expected.map(|(json, body, line)| (json.to_owned(), body, line)));
    let all = Replayed { blocks: 3, created: false, cut: None };
    assert_eq!(replayed.unwrap(), all);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o133, 0);
}

#[test]
fn the_file_is_plain_lines_of_json_under_their_checksums() {
    let bytes = file_of(&[&["{\"n\":1}"], &["{}", "[2]"]]).bytes();
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let genesis = "5a".repeat(32);
    assert!(lines[0].ends_with(&format!("\",\"format\":1,\"genesis\":\"{genesis}\"}}")));
    let expected = [
        ",\"batch\":\"0000000000000001-0000-0001\",\"block\":{\"n\":1}}",
        ",\"batch\":\"0000000000000002-0000-0002\",\"block\":{}}",
        ",\"batch\":\"0000000000000002-0001-0002\",\"block\":[2]}",
    ];
    for (line, covered) in lines[1..].iter().zip(expected) {
        let crc = crc32c::crc32c(covered.as_bytes());
        assert_eq!(*line, format!("{{\"crc32c\":\"{crc:08x}\"{covered}"));
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn a_committed_batch_can_be_empty_and_writes_nothing() {
    let file = file_of(BATCHES);
    let before = file.bytes();
    let (mut store, ..) = open_good(&file);
    store.commit().unwrap();
    store.stage("{}");
    store.discard();
    store.commit().unwrap();
    assert_eq!(file.bytes(), before);
}

#[test]
fn what_cannot_be_stored_is_refused_with_its_batch_and_the_store_goes_on() {
    let longest = LINE_MAX + 1 - PAYLOAD_AT - AFTER_PAYLOAD.len();
    let cases = [
        ("two\nlines".to_owned(), false),
        ("x".repeat(longest + 1), false),
        ("x".repeat(longest), true),
    ];
    for (json, storable) in cases {
        let file = file_of(&BATCHES[..1]);
        let (mut store, ..) = open_good(&file);
        store.stage("{}");
        store.stage(&json);
        let stored = store.commit();
        assert_eq!(
            stored.as_ref().err().map(StoreError::code),
            (!storable).then_some("not-storable")
        );
        store.stage("{\"after\":1}");
        store.commit().unwrap();
        let (_, replayed, _) = open_good(&file);
        assert_eq!(replayed.blocks, if storable { 4 } else { 2 });
    }
}

#[test]
fn a_batch_has_at_most_as_many_lines_as_its_count_can_say() {
    let file = MemoryFile::default();
    let (mut store, ..) = open_good(&file);
    for _ in 0..BATCH_LINES_MAX {
        store.stage("{}");
    }
    store.commit().unwrap();
    for _ in 0..=BATCH_LINES_MAX {
        store.stage("{}");
    }
    assert_eq!(store.commit().unwrap_err().code(), "not-storable");
    let (_, replayed, seen) = open_good(&file);
    assert_eq!(replayed.blocks, as_offset(BATCH_LINES_MAX));
    assert_eq!(seen.len(), BATCH_LINES_MAX);
}

#[test]
fn a_refusal_of_the_callback_names_the_line_and_leaves_the_file_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = file_name(&dir);
    let mut bytes = file_of(BATCHES).bytes();
    bytes.extend_from_slice(b"torn");
    fs::write(&path, &bytes).unwrap();
    let opened = TextStore::open(&path, &genesis(), &mut |block| match block.line {
        5 => Err("its parent is unknown".to_owned()),
        _ => Ok(()),
    });
    let error = opened.err().expect("the callback refused");
    let expected = format!("{} is damaged in line 5: its parent is unknown", path.display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn the_file_of_another_chain_or_format_is_named_as_such() {
    let other = BlockHash::from_bytes([1; 32]);
    let foreign = [record::first_line(&other), b"\n".to_vec()].concat();
    let error = open(&MemoryFile::with(&foreign)).0.err().unwrap();
    assert_eq!(error.code(), "foreign-genesis");
    assert!(error.to_string().contains(&other.to_string()));
    assert!(error.to_string().contains(&genesis().to_string()));

    let mut newer = Vec::new();
    lines::begin(&mut newer);
    newer.extend_from_slice(b",\"format\":27,\"anything\":{}}");
    lines::seal(&mut newer);
    newer.push(b'\n');
    newer.extend_from_slice(b"whatever follows\n");
    let error = open(&MemoryFile::with(&newer)).0.err().unwrap();
    assert_eq!(error.code(), "file-format");
    assert!(error.to_string().ends_with("has format 27, this program reads format 1"));
}

#[test]
fn a_file_that_is_no_block_file_is_left_alone() {
    for text in ["hello", "hello\n", "\n", "{}\n", "{\"crc32c\":\"\n"] {
        assert_eq!(damaged_line(text.as_bytes()), Some(1), "{text:?}");
    }
}

#[test]
fn links_directories_and_pipes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    fs::write(&target, "").unwrap();
    let path = file_name(&dir);
    symlink(&target, &path).unwrap();
    assert_eq!(open_at(&path).err().unwrap().code(), "not-a-plain-file");
    assert_eq!(fs::read(&target).unwrap(), b"");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(open_at(&path).err().unwrap().code(), "not-a-plain-file");
}

#[test]
fn a_reader_copies_blocks_of_any_length_in_pieces() {
    let around = COPY_CHUNK - PAYLOAD_AT - 2;
    let lengths = [0, 1, 100, 300_000].into_iter();
    let lengths =
        lengths.chain(around - 130..around + 130).chain(2 * around - 70..2 * around + 140);
    for len in lengths {
        let json: String = ('a'..='z').cycle().take(len).collect();
        let file = file_of(&[&["{}", &json, "{}"]]);
        let (store, _, seen) = open_good(&file);
        let mut out = Vec::new();
        store.reader().copy_to(seen[1].1, &mut out).unwrap();
        assert!(out == json.as_bytes(), "length {len}");
    }
}

#[test]
fn a_block_that_was_damaged_after_opening_is_never_delivered_whole() {
    let long = "y".repeat(150_000);
    let file = file_of(&[&["{\"n\":1}"], &[&long]]);
    let (store, _, seen) = open_good(&file);
    let reader = store.reader();
    for (_, body, line) in &seen {
        let begins = usize::try_from(body.offset()).unwrap() - PAYLOAD_AT;
        let len = PAYLOAD_AT + usize::try_from(body.payload_len()).unwrap() + AFTER_PAYLOAD.len();
        for at in (begins..begins + len)
            .step_by(if len > 1000 { 997 } else { 1 })
            .chain([begins + len - 1])
        {
            let flip = |file: &MemoryFile| {
                let flipped = [file.bytes()[at] ^ 1];
                crate::storage::append::Medium::write_all_at(file, &flipped, as_offset(at))
                    .unwrap();
            };
            flip(&file);
            let (read, mut out) = (reader.read(*body), Vec::new());
            let copied = reader.copy_to(*body, &mut out);
            assert!(matches!(read, Err(StoreError::Damaged { line: named, .. }) if named == *line));
            assert_eq!(copied.unwrap_err().code(), "file-damaged", "byte {at}");
            assert!(out.len() < usize::try_from(body.payload_len()).unwrap());
            flip(&file);
        }
        reader.read(*body).unwrap();
    }
    let short = Log::new(Box::new(MemoryFile::default()), Path::new("x"), 1_000_000);
    assert_eq!(BlockReader::read(&short, seen[0].1).unwrap_err().code(), "file-damaged");
}

#[test]
fn references_that_point_nowhere_are_missing_blocks() {
    let file = file_of(BATCHES);
    let (mut store, _, seen) = open_good(&file);
    let end = as_offset(file.bytes().len());
    let staged = store.stage("{}");
    let (body, reader) = (seen[0].1, store.reader());
    let nowhere = [
        BodyRef::new(0, 3),
        BodyRef::new(end, 3),
        BodyRef::new(u64::MAX, 3),
        BodyRef::new(u64::MAX - 200, u32::MAX),
        BodyRef::new(body.offset(), u32::MAX),
        BodyRef::new(staged.offset() + 1, 2),
        BodyRef::new(staged.offset(), 1),
    ];
    for body in nowhere {
        assert_eq!(reader.read(body).unwrap_err().code(), "block-missing", "{body:?}");
        assert_eq!(store.read(body).unwrap_err().code(), "block-missing", "{body:?}");
    }
    for body in [BodyRef::new(body.offset() + 1, 5), BodyRef::new(body.offset(), 4)] {
        assert_eq!(reader.read(body).unwrap_err().code(), "file-damaged", "{body:?}");
    }
}

#[test]
fn many_threads_read_while_the_owner_writes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_at(&file_name(&dir)).unwrap().store;
    let (send, receive) = crossbeam_channel::unbounded::<(BodyRef, String)>();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (reader, receive) = (store.reader(), receive.clone());
            scope.spawn(move || {
                for (body, json) in receive {
                    assert_eq!(reader.read(body).unwrap(), json);
                }
            });
        }
        for turn in 0..50 {
            let blocks = [0, 1, 2].map(|n| format!("{{\"n\":\"{turn}.{n}\"}}"));
            let bodies = blocks.each_ref().map(|json| store.stage(json));
            store.commit().unwrap();
            for block in bodies.into_iter().zip(blocks) {
                send.send(block).unwrap();
            }
        }
        drop(send);
    });
}
