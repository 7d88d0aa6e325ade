//! What holds for blocks and transfers as text.

use super::samples::{PREFIX, any_block, any_header, any_roots, any_transfer, block, transfer};
use super::*;
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
