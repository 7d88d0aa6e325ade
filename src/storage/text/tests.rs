use super::*;

fn genesis() -> BlockHash {
    BlockHash::from_bytes([0x5a; 32])
}

#[test]
fn what_was_committed_comes_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blockchain-5000.txt");
    let mut store = TextStore::open(&path, &genesis(), &mut |_| Ok(())).unwrap().store;
    let one = store.stage("{\"n\":1}");
    assert_eq!(store.read(one).unwrap(), "{\"n\":1}");
    store.commit().unwrap();
    let two = store.stage("{\"n\":2}");
    let three = store.stage("{\"n\":\"drei\"}");
    store.commit().unwrap();
    assert_eq!(store.reader().read(two).unwrap(), "{\"n\":2}");
    let mut seen = Vec::new();
    let replayed = inspect(&path, &genesis(), &mut |block| {
        seen.push((block.json.to_owned(), block.body, block.line));
        Ok(())
    })
    .unwrap();
    let expected = [("{\"n\":1}", one, 2), ("{\"n\":2}", two, 3), ("{\"n\":\"drei\"}", three, 4)];
    assert_eq!(seen, expected.map(|(json, body, line)| (json.to_owned(), body, line)));
    assert_eq!(replayed, Replayed { blocks: 3, created: false, cut: None });
}
