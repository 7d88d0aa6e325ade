//! What holds for blocks and transfers as text.

use super::samples::{PREFIX, any_block, any_header, any_roots, any_transfer, block, transfer};
use super::*;
use crate::primitives::Transfer;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_transfer_survives_its_text(transfer in any_transfer()) {
        let text = transfer_to_json(&transfer, PREFIX);
        prop_assert!(text.len() <= TRANSFER_JSON_MAX);
        let back = transfer_from_json(&text, PREFIX).unwrap();
        prop_assert_eq!(transfer_to_json(&back, PREFIX), text);
        prop_assert_eq!(back, transfer);
    }

    #[test]
    fn a_block_survives_its_text(block in any_block()) {
        let text = block_to_json(&block, PREFIX);
        prop_assert!(!text.contains('\n'));
        let back = block_from_json(&text, PREFIX).unwrap();
        prop_assert_eq!(block_to_json(&back, PREFIX), text);
        prop_assert_eq!(back, block);
    }

    #[test]
    fn genesis_is_a_block_without_transactions(header in any_header(), roots in any_roots()) {
        let text = genesis_to_json(&header, &roots);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&value["index"], 0);
        prop_assert_eq!(&value["hash"], &header.hash().to_string());
        prop_assert_eq!(value["transactions"].as_array().unwrap().len(), 0);
        prop_assert_eq!(block_from_json(&text, PREFIX), Err(WireError::NoCoinbase));
    }

    #[test]
    fn no_text_panics(text in ".{0,200}", cut in any::<prop::sample::Index>()) {
        let _ = block_from_json(&text, PREFIX);
        let _ = transfer_from_json(&text, PREFIX);
        let good = block_to_json(&block(1), PREFIX);
        let cut = cut.index(good.len());
        if let Some((head, tail)) = good.split_at_checked(cut) {
            prop_assert!(block_from_json(head, PREFIX).is_err());
            let _ = block_from_json(&format!("{head}{text}{tail}"), PREFIX);
        }
    }
}

#[test]
fn the_text_of_a_block_is_pinned() {
    let mut block = block(1);
    block.transfers[0].memo = "hi".parse().unwrap();
    let coinbase_address = block.coinbase.recipient.to_address(PREFIX);
    let (sender, recipient) = (
        block.transfers[0].sender.to_address(PREFIX),
        block.transfers[0].recipient.to_address(PREFIX),
    );
    let expected = format!(
        concat!(
            r#"{{"index":3,"hash":"{}","version":536870912,"previous_hash":"{}","#,
            r#""commitment":"{}","account_root":"{}","history_root":"{}","#,
            r#""timestamp":1800000000,"bits":"1d00ffff","proof":42,"transactions":["#,
            r#"{{"id":"{}","sender":"MINING","recipient":"{}","amount":10,"height":3,"#,
            r#""extra_nonce":"0808080808080808","extension":"{}","tag":"mined","signature":""}},"#,
            r#"{{"id":"{}","sender":"{}","recipient":"{}","amount":12.5,"fee":0.00000001,"#,
            r#""nonce":7,"expiry":9,"memo":"hi","signature":"{}"}}]}}"#,
        ),
        block.hash(),
        "04".repeat(32),
        "05".repeat(32),
        "06".repeat(32),
        "07".repeat(32),
        block.coinbase.id(),
        coinbase_address,
        "00".repeat(32),
        block.transfers[0].id(),
        sender,
        recipient,
        "03".repeat(64),
    );
    assert_eq!(block_to_json(&block, PREFIX), expected);
}

#[test]
fn the_longest_texts_fit_their_bounds() {
    let mut longest = transfer();
    longest.amount = "20999999.99999999".parse().unwrap();
    longest.fee = longest.amount;
    longest.nonce = u64::MAX;
    longest.expiry.0 = u32::MAX;
    longest.memo = "\"".repeat(64).parse().unwrap();
    assert_eq!(transfer_to_json(&longest, PREFIX).len(), TRANSFER_JSON_MAX);
    longest.memo = "".parse().unwrap();

    let mut block = block(0);
    block.header.version = u32::MAX;
    block.header.time.0 = u32::MAX;
    block.header.nonce = u32::MAX;
    block.coinbase.height.0 = u32::MAX;
    block.coinbase.amount = longest.amount;
    block.coinbase.tag = "\\".repeat(32).parse().unwrap();
    block.transfers = vec![longest; TRANSACTIONS_MAX - 1];
    let text = block_to_json(&block, PREFIX);
    assert!(text.len() <= BLOCK_JSON_MAX, "{} of {BLOCK_JSON_MAX}", text.len());
    assert_eq!(block_from_json(&text, PREFIX).as_ref(), Ok(&block));
    block.transfers.push(transfer());
    let text = block_to_json(&block, PREFIX);
    assert_eq!(block_from_json(&text, PREFIX), Err(WireError::TooMany(TRANSACTIONS_MAX)));
}

/// The members of the sample transfer, as name and JSON text.
fn members() -> Vec<(String, String)> {
    let text = transfer_to_json(&transfer(), PREFIX);
    let raw: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(&text).unwrap();
    raw.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()
}

fn assemble(members: &[(String, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect()
}

fn read(text: &str) -> Result<Transfer, WireError> {
    transfer_from_json(text, PREFIX)
}

/// The code of the error, or "" for the sample transfer itself.
fn code(result: Result<Transfer, WireError>) -> &'static str {
    match result {
        Ok(read) => {
            assert_eq!(read, transfer());
            ""
        }
        Err(error) => error.code(),
    }
}

#[test]
fn spelling_does_not_matter_to_a_transfer() {
    let good = members();
    assert_eq!(code(read(&assemble(&good))), "");
    let reversed: Vec<_> = good.iter().rev().cloned().collect();
    assert_eq!(code(read(&assemble(&reversed))), "");
    let spaced = assemble(&good).replace("\":", "\" \t:\r\n ");
    assert_eq!(code(read(&format!(" {spaced} \n"))), "");
    for place in 0..good.len() {
        let mut other = good.clone();
        other[place].0 = escaped(&other[place].0);
        assert_eq!(code(read(&assemble(&other))), "", "{other:?}");
        let value: serde_json::Value = serde_json::from_str(&other[place].1).unwrap();
        if let Some(text) = value.as_str() {
            other[place].1 = format!("\"{}\"", escaped(text));
            assert_eq!(code(read(&assemble(&other))), "", "{other:?}");
        }
    }
    let key = transfer().sender;
    for spelling in [key.to_string(), key.to_address(PREFIX), key.to_address(PREFIX).to_uppercase()]
    {
        assert_eq!(code(read(&replaced("sender", &format!("\"{spelling}\"")))), "", "{spelling}");
    }
    for spelling in ["12.50", "125e-1", "1.25E+1", "0.125e2"] {
        assert_eq!(code(read(&replaced("amount", spelling))), "", "{spelling}");
    }
}

fn replaced(field: &str, value: &str) -> String {
    let mut members = members();
    let member = members.iter_mut().find(|(name, _)| name == field).unwrap();
    member.1 = value.to_owned();
    assemble(&members)
}

#[test]
fn every_field_stands_once() {
    for place in 0..members().len() {
        for name in [members()[place].0.clone(), escaped(&members()[place].0)] {
            let mut twice = members();
            twice.push((name, twice[place].1.clone()));
            assert_eq!(code(read(&assemble(&twice))), "field-duplicate", "{twice:?}");
        }
        let mut missing = members();
        let (name, _) = missing.remove(place);
        let expected = match name.as_str() {
            "id" => "",
            "fee" | "expiry" | "memo" => "field-mismatch",
            _ => "field-missing",
        };
        assert_eq!(code(read(&assemble(&missing))), expected, "{name}");
    }
    let mut more = members();
    more.push(("hash".to_owned(), "[[[[]]]]".to_owned()));
    assert_eq!(code(read(&assemble(&more))), "field-unknown");
}

#[test]
fn what_is_left_out_of_a_transfer_is_nothing() {
    let kept: Vec<_> = members()
        .into_iter()
        .filter(|(name, _)| !["id", "fee", "expiry", "memo"].contains(&name.as_str()))
        .collect();
    let bare = read(&assemble(&kept)).unwrap();
    assert_eq!((bare.fee.units(), bare.expiry.0, bare.memo.as_str()), (0, 0, ""));
}

#[test]
fn wrong_values_are_refused_by_name() {
    for (field, value, expected) in [
        ("id", "null", "field-wrong-type"),
        ("id", "\"00\"", "field-bad-hex"),
        ("sender", "\"MINING\"", "address-malformed"),
        ("sender", "5", "field-wrong-type"),
        ("recipient", "\"\"", "address-malformed"),
        ("amount", "\"12.5\"", "field-wrong-type"),
        ("amount", "[12.5]", "field-wrong-type"),
        ("amount", "-12.5", "amount-negative"),
        ("amount", "12.500000001", "amount-too-fine"),
        ("amount", "21000000.00000001", "amount-too-large"),
        ("amount", "1e400", "amount-too-large"),
        ("amount", "+12.5", "json-syntax"),
        ("amount", "012.5", "json-syntax"),
        ("amount", ".5", "json-syntax"),
        ("amount", "12.", "json-syntax"),
        ("amount", "NaN", "json-syntax"),
        ("amount", "Infinity", "json-syntax"),
        ("amount", "0x1", "json-syntax"),
        ("nonce", "7.0", "field-bad-number"),
        ("nonce", "7e0", "field-bad-number"),
        ("nonce", "-0", "field-bad-number"),
        ("nonce", "-1", "field-bad-number"),
        ("nonce", "18446744073709551616", "field-bad-number"),
        ("nonce", "\"7\"", "field-wrong-type"),
        ("nonce", "true", "field-wrong-type"),
        ("nonce", "07", "json-syntax"),
        ("expiry", "4294967296", "field-bad-number"),
        ("memo", "null", "field-wrong-type"),
        ("memo", "\"\\u0000\"", "text-control-character"),
        ("memo", "\"\\u001b[2J\"", "text-control-character"),
        ("memo", "\"\\u0085\"", "text-control-character"),
        ("memo", "\"\\ud800\"", "json-syntax"),
        ("memo", "\"\n\"", "json-syntax"),
        ("memo", "\"\\x\"", "json-syntax"),
        ("memo", "'hi'", "json-syntax"),
        ("signature", "\"\"", "field-bad-hex"),
        ("signature", "{}", "field-wrong-type"),
    ] {
        assert_eq!(code(read(&replaced(field, value))), expected, "{field}: {value}");
    }
    let long = replaced("memo", &format!("\"{}\"", "a".repeat(65)));
    assert_eq!(code(read(&long)), "text-too-long");
    for signature in ["0A".repeat(64), "0a".repeat(63), "0a".repeat(65), "0x".repeat(64)] {
        let text = replaced("signature", &format!("\"{signature}\""));
        assert_eq!(code(read(&text)), "field-bad-hex");
    }
    let other_network = transfer().sender.to_address(crate::primitives::AddressPrefix::Main);
    let text = replaced("sender", &format!("\"{other_network}\""));
    assert_eq!(code(read(&text)), "address-wrong-network");
}

#[test]
fn only_an_object_is_a_transfer() {
    let good = assemble(&members());
    let values: Vec<_> = members().into_iter().map(|(_, value)| value).collect();
    for (text, expected) in [
        (format!("[{}]", values.join(",")), "json-wrong-shape"),
        (format!("[{good}]"), "json-wrong-shape"),
        ("null".to_owned(), "json-wrong-shape"),
        ("7".to_owned(), "json-wrong-shape"),
        (format!("{good}{good}"), "json-syntax"),
        (format!("{good},"), "json-syntax"),
        (format!("\u{feff}{good}"), "json-syntax"),
        (good.replace('}', ",}"), "json-syntax"),
        (good.replace("{\"", "{/**/\""), "json-syntax"),
        (String::new(), "json-syntax"),
    ] {
        assert_eq!(code(read(&text)), expected, "{text}");
    }
    let error = read("[]").unwrap_err().to_string();
    assert_eq!(error, "expected an object, got sequence at line 1 column 0");
    let error = read("{\"id\":\n  tru}").unwrap_err().to_string();
    assert_eq!(error, "expected JSON: expected ident at line 2 column 6");
}

#[test]
fn what_follows_from_a_block_must_be_right() {
    let good = block_to_json(&block(1), PREFIX);
    let read = |text: &str| block_from_json(text, PREFIX).map_err(|error| error.code());
    for (from, to, expected) in [
        (r#""index":3,"#, "", Ok(block(1))),
        (r#""index":3"#, r#""index":4"#, Err("field-mismatch")),
        (r#""height":3"#, r#""height":4"#, Err("field-mismatch")),
        (r#""proof":42"#, r#""proof":43"#, Err("field-mismatch")),
        (r#""amount":10,"#, r#""amount":10.0,"#, Ok(block(1))),
        (r#""amount":10,"#, r#""amount":11,"#, Err("field-mismatch")),
        (r#""amount":12.5"#, r#""amount":12.6"#, Err("field-mismatch")),
        (r#""MINING""#, r#""mining""#, Err("field-bad-value")),
        (r#""signature":"""#, r#""signature":"00""#, Err("field-bad-value")),
        (r#""bits":"1d00ffff""#, r#""bits":"1D00FFFF""#, Err("field-bad-hex")),
        (r#""bits":"1d00ffff""#, r#""bits":486604799"#, Err("field-wrong-type")),
        (r#""timestamp":1800000000"#, r#""timestamp":1800000000.5"#, Err("field-bad-number")),
        (r#""version":536870912,"#, "", Err("field-missing")),
        (r#""transactions":["#, r#""transactions":[[],"#, Err("json-wrong-shape")),
        (r#""transactions":["#, r#""transactions":[7,"#, Err("json-wrong-shape")),
        (r#""transactions":["#, r#""size":1,"transactions":["#, Err("field-unknown")),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        assert_eq!(read(&text), expected, "{from} -> {to}");
    }
    let empty = format!("{}[]}}", good.split_once('[').unwrap().0);
    assert_eq!(read(&empty), Err("block-without-coinbase"));
    let object = format!("{}{{}}}}", good.split_once('[').unwrap().0);
    assert_eq!(read(&object), Err("json-wrong-shape"));
    let error = block_from_json(&good.replacen("12.5", "-1", 1), PREFIX).unwrap_err().to_string();
    assert!(error.starts_with("in element 1 of field `transactions`: field `amount`: "), "{error}");
}

#[test]
fn depth_costs_no_stack() {
    const DEPTH: usize = 1_000_000;
    let check = || {
        for deep in ["[".repeat(DEPTH), "{\"a\":".repeat(DEPTH)] {
            let closed = if deep.starts_with('[') {
                format!("{deep}{}", "]".repeat(DEPTH))
            } else {
                format!("{deep}1{}", "}".repeat(DEPTH))
            };
            for value in [deep, closed] {
                assert!(read(&value).is_err());
                for field in ["memo", "amount", "sender"] {
                    assert!(read(&replaced(field, &value)).is_err());
                }
                let unknown = format!("{{\"x\":{value}}}");
                assert!(matches!(read(&unknown), Err(WireError::Unknown { .. })));
                assert!(block_from_json(&unknown, PREFIX).is_err());
                let known = format!("{{\"transactions\":{value}}}");
                assert!(block_from_json(&known, PREFIX).is_err());
                let inner = format!("{{\"transactions\":[{{\"tag\":{value}}}]}}");
                assert!(block_from_json(&inner, PREFIX).is_err());
                let around = format!("{{\"block\":{value}}}");
                assert!(BlockAnnouncement::from_json(&around, PREFIX).is_err());
                assert!(headers_from_json(&format!("{{\"headers\":[{value}]}}")).is_err());
            }
        }
    };
    let small = std::thread::Builder::new().stack_size(256 * 1024);
    std::thread::scope(|scope| {
        small.spawn_scoped(scope, check).unwrap().join().unwrap();
    });
}

#[test]
fn naughty_words_survive_exactly() {
    for words in [
        "",
        "\"",
        "\\",
        "\\\"",
        "\\u0000",
        "\\n",
        "</script><script>alert(1)</script>",
        "' OR 1=1; --",
        "{\"a\":[1]}",
        "$(rm -rf /) `id` %s %n",
        "\u{a0}\u{feff}\u{2028}\u{2029}\u{200f}\u{202e}txt.exe",
        "Ω≈ç√∫˜µ≤≥÷ 田中さん",
        "🇺🇸👩‍👩‍👧",
        "Z̮̞̠͙͔ͅḀ̗̞͈̻̗",
        "\u{fffd}\u{ffff}\u{10ffff}",
        "null",
    ] {
        let mut transfer = transfer();
        transfer.memo = words.parse().unwrap();
        let text = transfer_to_json(&transfer, PREFIX);
        assert_eq!(read(&text).as_ref(), Ok(&transfer), "{words}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["memo"], words);
    }
}

#[test]
fn errors_repeat_little_and_nothing_that_forges_a_line() {
    let name = "x\\u000a\\u001b[2J`, expected `".to_owned() + &"y".repeat(100_000);
    for text in [
        format!("{{\"{name}\":1}}"),
        replaced("sender", &format!("\"{name}\"")),
        replaced("id", &format!("\"{name}\"")),
        replaced("amount", &format!("1{}", "0".repeat(100_000))),
        replaced("nonce", &format!("1{}", "0".repeat(100_000))),
        format!("\"{name}\""),
    ] {
        let message = read(&text).unwrap_err().to_string();
        assert!(message.len() < 400, "{} bytes", message.len());
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}
