//! What holds for the messages of nodes as text.

use super::super::samples::{PREFIX, any_coinbase, any_header, any_roots, block};
use super::*;
use crate::primitives::compact::ShortId;
use crate::primitives::{
    BlockHash, CompactBlock, Header, Height, PeerAddress, Txid, U256, UnixTime, Work,
};
use crate::wire::WireError;
use proptest::collection::vec;
use proptest::prelude::*;

fn any_node() -> impl Strategy<Value = PeerAddress> {
    "[a-z]{1,9}:[1-9][0-9]{0,3}".prop_map(|text| text.parse().unwrap())
}

fn any_reach() -> impl Strategy<Value = Option<Reach>> {
    let node = any_node().prop_map(Reach::Node);
    prop::option::of(prop_oneof![node, (1..=u16::MAX).prop_map(Reach::Port)])
}

fn any_work() -> impl Strategy<Value = Work> {
    (any::<[u8; 32]>(), 0..=256_usize).prop_map(|(work, shift)| {
        Work::new(U256::from_be_bytes(work).checked_shr(shift).unwrap_or(U256::ZERO))
    })
}

fn any_hash() -> impl Strategy<Value = BlockHash> {
    any::<[u8; 32]>().prop_map(BlockHash::from_bytes)
}

fn any_txid() -> impl Strategy<Value = Txid> {
    any::<[u8; 32]>().prop_map(Txid::from_bytes)
}

prop_compose! {
    fn any_handshake()(
        (chain_id, tip) in (any_hash(), any_hash()),
        chain in "[a-z\"-]{0,32}",
        (height, version, instance, time) in any::<(u32, u32, u64, u32)>(),
        (work, node, linked) in (any_work(), any_reach(), any::<bool>()),
    ) -> Handshake {
        Handshake {
            chain_id,
            chain: chain.parse().unwrap(),
            version,
            height: Height(height),
            tip,
            work,
            instance,
            node,
            linked,
            time: UnixTime(time),
        }
    }
}

prop_compose! {
    fn any_compact(max: usize)(
        (header, roots, coinbase) in (any_header(), any_roots(), any_coinbase()),
        salt in any::<u64>(),
        short_ids in vec(any::<[u8; 5]>().prop_map(ShortId::from_bytes), 0..=max),
    ) -> CompactBlock {
        CompactBlock { header, roots, coinbase, salt, short_ids }
    }
}

fn any_announced() -> impl Strategy<Value = AnnouncedBlock> {
    let header = (any_header(), any::<u32>(), any_work());
    prop_oneof![
        header.prop_map(|(header, height, work)| {
            AnnouncedBlock::Header { header, height: Height(height), work }
        }),
        (any_compact(400), any_work())
            .prop_map(|(block, work)| AnnouncedBlock::Compact { block, work }),
    ]
}

prop_compose! {
    fn any_news(from: BoxedStrategy<Option<Reach>>)(
        from in from,
        blocks in vec(any_announced(), 0..=ANNOUNCED_BLOCKS_MAX),
        transactions in vec(any_txid(), 0..20),
    ) -> Announcement {
        Announcement { from, blocks, transactions }
    }
}

fn ascending<T: Ord + Copy>(values: Vec<T>) -> Vec<T> {
    std::collections::BTreeSet::from_iter(values).into_iter().collect()
}

fn any_question() -> impl Strategy<Value = Question> {
    prop_oneof![
        any_handshake().prop_map(Question::Handshake),
        vec(any_hash(), 0..5).prop_map(|locator| Question::Headers { locator }),
        vec(any_hash(), 0..5).prop_map(|hashes| Question::Blocks { hashes }),
        any_hash().prop_map(|block| Question::Compact { block }),
        vec(any_txid(), 0..5).prop_map(|ids| Question::Transfers { ids }),
        (any_hash(), vec(0..u32::try_from(INDEXES_MAX).unwrap(), 0..9)).prop_map(
            |(block, indexes)| Question::BlockTransfers { block, indexes: ascending(indexes) }
        ),
        Just(Question::PoolSummary),
        vec(any::<u8>(), 0..=BUCKETS_MAX)
            .prop_map(|buckets| Question::PoolIds { buckets: ascending(buckets) }),
        Just(Question::Addresses),
        any_news(Just(None).boxed()).prop_map(Question::Announce),
    ]
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let body = prop_oneof![Just("[]"), Just(r#"{"a":[1,"\u0041"]}"#), Just("null")];
    prop_oneof![
        (any::<u32>(), any_question()).prop_map(|(id, question)| Frame::Ask { id, question }),
        (any::<u32>(), 100..=599_u16, body).prop_map(|(id, status, body)| Frame::Answer {
            id,
            status,
            body: body.to_owned()
        }),
        any_news(Just(None).boxed()).prop_map(Frame::Tell),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_handshake_survives_its_text(handshake in any_handshake()) {
        prop_assert_eq!(Handshake::from_json(&handshake.to_json()), Ok(handshake));
    }

    #[test]
    fn a_block_announcement_survives_its_text(from in any_reach()) {
        let announcement = BlockAnnouncement { block: block(2), from };
        let text = announcement.to_json(PREFIX);
        prop_assert_eq!(BlockAnnouncement::from_json(&text, PREFIX), Ok(announcement));
    }

    #[test]
    fn an_announcement_survives_its_text(news in any_news(any_reach().boxed())) {
        let text = news.to_json(PREFIX);
        prop_assert!(text.len() <= ANNOUNCEMENT_JSON_MAX);
        prop_assert_eq!(Announcement::from_json(&text, PREFIX), Ok(news));
    }

    #[test]
    fn a_compact_block_survives_its_text(compact in any_compact(40)) {
        let text = compact_to_json(&compact, PREFIX);
        prop_assert_eq!(compact_from_json(&text, PREFIX), Ok(compact));
    }

    #[test]
    fn a_frame_survives_its_text(frame in any_frame()) {
        let text = frame.to_json(PREFIX);
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(Frame::from_json(&text, PREFIX), Ok(frame));
    }

    #[test]
    fn no_frame_panics(text in ".{0,200}", frame in any_frame(), cut in any::<prop::sample::Index>()) {
        let good = frame.to_json(PREFIX);
        if let Some((head, tail)) = good.split_at_checked(cut.index(good.len())) {
            prop_assert!(Frame::from_json(head, PREFIX).is_err());
            let _ = Frame::from_json(&format!("{head}{text}{tail}"), PREFIX);
        }
    }

    #[test]
    fn a_pool_summary_survives_its_text(ids in vec(any_txid(), 0..300)) {
        let summary: PoolSummary = ids.iter().copied().collect();
        prop_assert_eq!(PoolSummary::from_json(&summary.to_json()), Ok(summary.clone()));
        prop_assert_eq!(pool_ids_from_json(&pool_ids_to_json(&ids)), Ok(ids.clone()));
        let fewer: PoolSummary = ids.iter().skip(1).copied().collect();
        let buckets: Vec<_> = ids.first().map(PoolSummary::bucket_of).into_iter().collect();
        prop_assert_eq!(summary.differing(&fewer), buckets);
    }

    #[test]
    fn addresses_survive_their_text(addresses in vec(any_node(), 0..=ADDRESSES_MAX)) {
        prop_assert_eq!(addresses_from_json(&addresses_to_json(&addresses)), Ok(addresses));
    }
}

#[test]
fn what_is_wrong_with_a_handshake_is_named() {
    let good = format!(
        r#"{{"chain_id":"{0}","chain":"dev","version":2,"height":5,"tip":"{0}","work":"ff","instance":"{1}","node":5000,"linked":false,"time":7}}"#,
        "00".repeat(32),
        "0a".repeat(8),
    );
    let handshake = Handshake::from_json(&good).unwrap();
    assert_eq!(
        (handshake.node.clone(), handshake.to_json()),
        (Some(Reach::Port(5000)), good.clone())
    );
    for (from, to, code) in [
        (r#""work":"ff""#, r#""work":"0ff""#, "field-bad-hex"),
        (r#""work":"ff""#, r#""work":"FF""#, "field-bad-hex"),
        (r#""work":"ff""#, r#""work":"""#, "field-bad-hex"),
        (r#""work":"ff""#, r#""work":255"#, "field-wrong-type"),
        (r#""node":5000"#, r#""node":0"#, "field-bad-number"),
        (r#""node":5000"#, r#""node":65536"#, "field-bad-number"),
        (r#""node":5000"#, r#""node":"5000""#, "node-without-port"),
        (r#""node":5000"#, r#""node":null"#, "field-wrong-type"),
        (r#""height":5"#, r#""height":-0"#, "field-bad-number"),
        ("0a0a", "0a", "field-bad-hex"),
        (r#","time":7"#, "", "field-missing"),
        (r#""linked":false"#, r#""linked":0"#, "field-wrong-type"),
        (r#","linked":false"#, "", "field-missing"),
        (r#","chain":"dev""#, "", "field-missing"),
        (r#""dev""#, r#""a chain with a name of 33 letters""#, "text-too-long"),
        (r#""dev""#, r#""a\nb""#, "text-control-character"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert_eq!(Handshake::from_json(&bad).unwrap_err().code(), code, "{bad}");
    }
}

fn id(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

/// Checks the code of what is wrong with a frame.
fn frame_fails(text: &str, code: &str) {
    let error = Frame::from_json(text, PREFIX).unwrap_err();
    assert_eq!(error.code(), code, "{text}: {error}");
}

/// So many ids in a list.
fn ids(count: usize) -> String {
    vec![format!("\"{}\"", id(7)); count].join(",")
}

#[test]
fn what_is_wrong_with_a_question_is_named() {
    let hash = id(7);
    let numbers = |count: u32| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for (text, code) in [
        ("".to_owned(), "json-syntax"),
        ("[]".to_owned(), "json-wrong-shape"),
        ("{}".to_owned(), "field-missing"),
        (r#"{"ask":1}"#.to_owned(), "field-missing"),
        (r#"{"ask":1,"what":"addresses"} "#.to_owned() + "1", "json-syntax"),
        (r#"{"ask":-1,"what":"addresses"}"#.to_owned(), "field-bad-number"),
        (r#"{"ask":4294967296,"what":"addresses"}"#.to_owned(), "field-bad-number"),
        (r#"{"ask":"1","what":"addresses"}"#.to_owned(), "field-wrong-type"),
        (r#"{"ask":1,"what":"wallet"}"#.to_owned(), "field-bad-value"),
        (r#"{"ask":1,"what":7}"#.to_owned(), "field-wrong-type"),
        (r#"{"ask":1,"what":"addresses","what":"addresses"}"#.to_owned(), "field-duplicate"),
        (r#"{"ask":1,"what":"addresses","ids":[]}"#.to_owned(), "field-unknown"),
        (r#"{"ask":1,"what":"addresses","tell":{}}"#.to_owned(), "field-unknown"),
        (r#"{"ask":1,"answer":1,"what":"addresses"}"#.to_owned(), "field-unknown"),
        (r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}"#.to_owned(), "list-too-long"),
        (r#"{"ask":1,"what":"headers"}"#.to_owned(), "field-missing"),
        (r#"{"ask":1,"what":"headers","locator":{}}"#.to_owned(), "field-wrong-type"),
        (r#"{"ask":1,"what":"headers","locator":["00"]}"#.to_owned(), "field-bad-hex"),
        (format!(r#"{{"ask":1,"what":"headers","locator":[{}]}}"#, ids(45)), "list-too-long"),
        (format!(r#"{{"ask":1,"what":"blocks","hashes":[{}]}}"#, ids(45)), "list-too-long"),
        (
            format!(r#"{{"ask":1,"what":"compact","block":"{}"}}"#, id(0xab).to_uppercase()),
            "field-bad-hex",
        ),
        (format!(r#"{{"ask":1,"what":"transfers","ids":[{}]}}"#, ids(513)), "list-too-long"),
        (r#"{"ask":1,"what":"block-transfers","indexes":[1]}"#.to_owned(), "field-missing"),
        (
            format!(r#"{{"ask":1,"what":"block-transfers","block":"{hash}","indexes":[1,1]}}"#),
            "field-bad-value",
        ),
        (
            format!(r#"{{"ask":1,"what":"block-transfers","block":"{hash}","indexes":[2,1]}}"#),
            "field-bad-value",
        ),
        (
            format!(r#"{{"ask":1,"what":"block-transfers","block":"{hash}","indexes":[99999]}}"#),
            "field-bad-number",
        ),
        (
            format!(
                r#"{{"ask":1,"what":"block-transfers","block":"{hash}","indexes":[{}]}}"#,
                numbers(6329)
            ),
            "list-too-long",
        ),
        (r#"{"ask":1,"what":"pool-ids","buckets":["1"]}"#.to_owned(), "field-bad-hex"),
        (r#"{"ask":1,"what":"pool-ids","buckets":["1F"]}"#.to_owned(), "field-bad-hex"),
        (r#"{"ask":1,"what":"pool-ids","buckets":["02","01"]}"#.to_owned(), "field-bad-value"),
    ] {
        frame_fails(&text, code);
    }
}

#[test]
fn what_is_wrong_with_an_answer_or_announcement_is_named() {
    let header = "ab".repeat(80);
    let announced = |block: &str| format!(r#"{{"tell":{{"blocks":[{block}]}}}}"#);
    let by_header = format!(r#"{{"work":"1","header":"{header}","height":1}}"#);
    let many = |count| announced(&vec![&*by_header; count].join(","));
    for (text, code) in [
        (r#"{"answer":1,"status":200}"#.to_owned(), "field-missing"),
        (r#"{"answer":1,"status":99,"body":1}"#.to_owned(), "field-bad-number"),
        (r#"{"answer":1,"status":600,"body":1}"#.to_owned(), "field-bad-number"),
        (r#"{"answer":1,"status":200,"body":x}"#.to_owned(), "json-syntax"),
        (r#"{"tell":[]}"#.to_owned(), "json-wrong-shape"),
        (r#"{"tell":{"from":5000}}"#.to_owned(), "field-unknown"),
        (r#"{"tell":{"transactions":[]}}"#.to_owned(), "field-wrong-type"),
        (r#"{"tell":{"transactions":"AAAA"}}"#.to_owned(), "field-bad-value"),
        (format!(r#"{{"tell":{{"transactions":"{}"}}}}"#, "A".repeat(42_668)), "field-bad-value"),
        (many(9), "list-too-long"),
        (announced("7"), "json-wrong-shape"),
        (announced(r#"{"work":"1"}"#), "field-missing"),
        (announced(&format!(r#"{{"work":"1","header":"{header}"}}"#)), "field-missing"),
        (announced(r#"{"work":"1","height":1}"#), "field-missing"),
        (announced(&format!(r#"{{"work":"01","header":"{header}","height":1}}"#)), "field-bad-hex"),
    ] {
        frame_fails(&text, code);
    }
    assert!(Frame::from_json(&many(8), PREFIX).is_ok());
}

fn compact(short_ids: usize) -> CompactBlock {
    CompactBlock {
        short_ids: vec![ShortId::from_bytes([0xff; 5]); short_ids],
        ..CompactBlock::of(&block(0), 9)
    }
}

#[test]
fn what_is_wrong_with_a_compact_block_is_named() {
    let good = compact_to_json(&compact(1), PREFIX);
    assert!(good.ends_with(r#","salt":"0000000000000009","short_ids":"______8"}"#), "{good}");
    for (from, to, code) in [
        ("______8", "______8=", "field-bad-base64"),
        ("______8", "/////+8", "field-bad-base64"),
        ("______8", "______9", "field-bad-base64"),
        ("______8", "____", "field-bad-value"),
        ("______8", "______", "field-bad-base64"),
        (r#""______8""#, "[]", "field-wrong-type"),
        ("0000000000000009", "9", "field-bad-hex"),
        (r#""signature":"""#, r#""signature":"00""#, "field-bad-value"),
        (r#""sender":"MINING""#, r#""sender":"""#, "field-bad-value"),
        (r#""coinbase":{"#, r#""coinbase":[{"#, "json-syntax"),
        (r#","salt""#, r#","hash":"","salt""#, "field-unknown"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let error = compact_from_json(&bad, PREFIX).unwrap_err();
        assert_eq!(error.code(), code, "{bad}: {error}");
    }
}

#[test]
fn compact_blocks_end_where_they_may() {
    let longest = compact_to_json(&compact(INDEXES_MAX), PREFIX);
    assert!(longest.len() <= COMPACT_JSON_MAX, "{}", longest.len());
    assert_eq!(compact_from_json(&longest, PREFIX).unwrap().short_ids.len(), INDEXES_MAX);
    let longer = compact_to_json(&compact(INDEXES_MAX + 1), PREFIX);
    assert_eq!(compact_from_json(&longer, PREFIX).unwrap_err().code(), "field-bad-value");

    let room = (COMPACT_INLINE_MAX - compact_to_json(&compact(0), PREFIX).len()) * 3 / 4 / 5;
    let inline = AnnouncedBlock::new(compact(room), Work::ZERO, PREFIX);
    assert_eq!(inline, AnnouncedBlock::Compact { block: compact(room), work: Work::ZERO });
    let long = AnnouncedBlock::new(compact(room + 1), Work::ZERO, PREFIX);
    let header: Header = compact(0).header;
    assert_eq!(long, AnnouncedBlock::Header { header, height: Height(3), work: Work::ZERO });
    let both = |block: CompactBlock, before: &str| {
        let text = compact_to_json(&block, PREFIX);
        format!(r#"{{"blocks":[{{{before}"work":"0","compact":{text}}}]}}"#)
    };
    for (text, code) in [
        (both(compact(room + 1), ""), "field-bad-value"),
        (both(compact(1), r#""height":3,"#), "field-unknown"),
        (both(compact(1), &format!(r#""header":"{}","#, "00".repeat(80))), "field-unknown"),
    ] {
        assert_eq!(Announcement::from_json(&text, PREFIX).unwrap_err().code(), code, "{text}");
    }
}

#[test]
fn a_question_has_one_http_form() {
    let (hash, txid) = (BlockHash::from_bytes([7; 32]), Txid::from_bytes([8; 32]));
    let (block, indexes) = (hash, vec![0, 5]);
    let news = Announcement { from: Some(Reach::Port(5)), ..Announcement::default() };
    let form = |question: Question| {
        let HttpForm { path, body } = question.http(PREFIX);
        (path, body.unwrap_or_default())
    };
    for (question, path, body) in [
        (
            Question::Headers { locator: vec![hash; 2] },
            format!("/headers?locator={hash},{hash}"),
            "",
        ),
        (Question::Blocks { hashes: vec![hash] }, format!("/blocks?hashes={hash}"), ""),
        (Question::Compact { block }, format!("/block/{hash}/compact"), ""),
        (
            Question::Transfers { ids: vec![txid] },
            "/fetch-transactions".to_owned(),
            &*format!(r#"{{"ids":["{txid}"]}}"#),
        ),
        (
            Question::BlockTransfers { block, indexes },
            "/fetch-transactions".to_owned(),
            &format!(r#"{{"block":"{hash}","indexes":[0,5]}}"#),
        ),
        (Question::PoolSummary, "/transactions/summary".to_owned(), ""),
        (
            Question::PoolIds { buckets: vec![0, 0x1f] },
            "/transactions/ids?buckets=00,1f".to_owned(),
            "",
        ),
        (Question::Addresses, "/addresses".to_owned(), ""),
        (Question::Announce(news), "/announce".to_owned(), r#"{"from":5}"#),
    ] {
        assert_eq!(form(question.clone()), (path, body.to_owned()), "{question:?}");
        if let Question::Transfers { .. } | Question::BlockTransfers { .. } = question {
            assert_eq!(Question::fetch_from_json(body), Ok(question));
        }
    }
    assert_eq!(buckets_from_query("00,1f"), Ok(vec![0, 0x1f]));
}

#[test]
fn what_is_wrong_with_a_request_is_named() {
    let hash = id(7);
    for (text, code) in [
        ("{}".to_owned(), "field-missing"),
        ("[]".to_owned(), "json-wrong-shape"),
        (r#"{"ids":7}"#.to_owned(), "field-wrong-type"),
        (format!(r#"{{"ids":["{hash}"],"block":"{hash}"}}"#), "field-unknown"),
        (format!(r#"{{"ids":["{hash}"],"ids":[]}}"#), "field-duplicate"),
        (format!(r#"{{"block":"{hash}"}}"#), "field-missing"),
        (format!(r#"{{"block":"{hash}","indexes":[1.0]}}"#), "field-bad-number"),
        (format!(r#"{{"block":"{hash}","indexes":[6328]}}"#), "field-bad-number"),
    ] {
        assert_eq!(Question::fetch_from_json(&text).unwrap_err().code(), code, "{text}");
    }
    let indexes = (0..u32::try_from(INDEXES_MAX).unwrap()).collect();
    let longest = Question::BlockTransfers { block: BlockHash::ZERO, indexes };
    assert!(longest.http(PREFIX).body.unwrap().len() <= FETCH_JSON_MAX);
    let longest = Question::Transfers { ids: vec![Txid::ZERO; TRANSFERS_ASKED_MAX] };
    assert!(longest.http(PREFIX).body.unwrap().len() <= FETCH_JSON_MAX);

    let all: Vec<_> = (0..=u8::MAX).map(|bucket| format!("{bucket:02x}")).collect();
    assert_eq!(buckets_from_query(&all[..16].join(",")).unwrap().len(), 16);
    for (query, code) in [
        (String::new(), "field-bad-hex"),
        ("0".to_owned(), "field-bad-hex"),
        ("0A".to_owned(), "field-bad-hex"),
        ("00,".to_owned(), "field-bad-hex"),
        ("01,00".to_owned(), "field-bad-value"),
        (all[..17].join(","), "list-too-long"),
    ] {
        assert_eq!(buckets_from_query(&query).unwrap_err().code(), code, "{query}");
    }
}

#[test]
fn answers_of_peers_end_where_they_may() {
    let ids = |count| pool_ids_to_json(&vec![Txid::ZERO; count]);
    assert_eq!(pool_ids_from_json(&ids(POOL_IDS_MAX)).unwrap().len(), POOL_IDS_MAX);
    assert_eq!(pool_ids_from_json(&ids(POOL_IDS_MAX + 1)), Err(WireError::TooMany(POOL_IDS_MAX)));
    let node: PeerAddress = "a:1".parse().unwrap();
    let addresses = addresses_to_json(&vec![node; ADDRESSES_MAX + 1]);
    assert_eq!(addresses_from_json(&addresses), Err(WireError::TooMany(ADDRESSES_MAX)));
    let summary = PoolSummary::default().to_json();
    assert_eq!(summary.len(), r#"{"buckets":""}"#.len() + 2731);
    for (text, code) in [
        (summary.replacen("AAAA", "", 1), "field-bad-value"),
        (summary.replacen("AAAA", "AAAAAAAA", 1), "field-bad-value"),
        (summary.replacen("AAAA", "AA+A", 1), "field-bad-base64"),
    ] {
        assert_eq!(PoolSummary::from_json(&text).unwrap_err().code(), code, "{text}");
    }
}
