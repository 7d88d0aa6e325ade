//! One transfer and one block, field by field.

use crate::example::Example;
use crate::markdown::{block as code_block, code, field, fields, table, text_field, values};
use farthing::chain::history::{LeafData, RangeNode};
use farthing::consensus::merkle::{state_digest, tx_root};
use farthing::primitives::hash::sha256;
use farthing::primitives::{AddressPrefix, Hash256};
use farthing::wire::{block_to_json, transfer_to_json};

/// The transfer.
pub fn transfer(example: &Example) -> String {
    let transfer = &example.transfer;
    let encoding = transfer.encode();
    let mut all = vec![
        field("kind", [1], "transfer"),
        field("sender", transfer.sender.as_bytes(), "account 1"),
        field("recipient", transfer.recipient.as_bytes(), "account 2"),
        field(
            "amount",
            transfer.amount.units().to_le_bytes(),
            format!("{} coins", transfer.amount),
        ),
        field("fee", transfer.fee.units().to_le_bytes(), format!("{} coins", transfer.fee)),
        field("nonce", transfer.nonce.to_le_bytes(), transfer.nonce),
        field("expiry", transfer.expiry.0.to_le_bytes(), format!("height {}", transfer.expiry.0)),
    ];
    all.push(text_field("memo", transfer.memo.as_str()));
    all.push(field("signature", transfer.signature.as_bytes(), "by account 1"));
    let made = values(&[
        ("SHA-256 of the tag `farthing/transfer`", hex::encode(sha256(&[b"farthing/transfer"]))),
        ("signed hash", hex::encode(transfer.signing_hash(&example.chain_id))),
        ("whole encoding", hex::encode(&encoding)),
        ("length", format!("{} bytes", encoding.len())),
        ("id, as bytes", hex::encode(transfer.id().as_bytes())),
        ("id as it is shown", transfer.id().to_string()),
    ]);
    let json = code_block("json", &transfer_to_json(transfer, AddressPrefix::Dev));
    format!("{}\n{made}\nAs JSON:\n{json}", fields(&encoding, &all))
}

/// The coinbase.
pub fn coinbase(example: &Example) -> String {
    let coinbase = &example.block.coinbase;
    let encoding = coinbase.encode();
    let mut all = vec![
        field("kind", [0], "coinbase"),
        field("height", coinbase.height.0.to_le_bytes(), coinbase.height),
        field("extra nonce", coinbase.extra_nonce, 0),
        field("recipient", coinbase.recipient.as_bytes(), "account 3"),
        field(
            "amount",
            coinbase.amount.units().to_le_bytes(),
            format!("{} coins: subsidy 10 and fee {}", coinbase.amount, example.transfer.fee),
        ),
        field("extension", coinbase.extension, "zeros"),
    ];
    all.push(text_field("tag", coinbase.tag.as_str()));
    let made = values(&[
        ("length", format!("{} bytes", encoding.len())),
        ("id, as bytes", hex::encode(coinbase.id().as_bytes())),
        ("id as it is shown", coinbase.id().to_string()),
    ]);
    format!("{}\n{made}", fields(&encoding, &all))
}

/// What the header commits to, the header, and the whole block.
pub fn block(example: &Example) -> String {
    let (block, header) = (&example.block, &example.block.header);
    let leaf = genesis_leaf(example);
    let tree = tx_root(&block.txids());
    let commitments = values(&[
        ("transaction root", tree.to_string()),
        ("account root (the ten allocations)", block.roots.accounts.to_string()),
        ("data of the leaf of genesis", hex::encode(leaf.data.encode())),
        ("leaf of genesis", leaf.hash.to_string()),
        ("history root (count 1)", block.roots.history.to_string()),
        ("sha256d(account root, history root)", state_digest(&block.roots).to_string()),
        ("commitment", header.commitment.to_string()),
    ]);
    let header_fields = fields(
        &header.encode(),
        &[
            field("version", header.version.to_le_bytes(), format!("{:#010x}", header.version)),
            field("previous hash", header.previous.as_bytes(), "genesis of `dev`"),
            field("commitment", header.commitment.as_bytes(), "as above"),
            field("time", header.time.0.to_le_bytes(), header.time),
            field("bits", header.bits.0.to_le_bytes(), format!("{:?}", header.bits)),
            field("nonce", header.nonce.to_le_bytes(), header.nonce),
        ],
    );
    let made = values(&[
        ("target", format!("{:?}", header.bits.to_target().expect("a target"))),
        ("hash, as bytes", hex::encode(block.hash().as_bytes())),
        ("hash as it is shown", block.hash().to_string()),
        ("whole block", hex::encode(block.encode())),
        ("length", format!("{} bytes", block.size())),
    ]);
    format!("{commitments}\nThe header:\n\n{header_fields}\n{made}")
}

/// The block as it travels and lies in the file.
pub fn block_json(example: &Example) -> String {
    code_block("json", &block_to_json(&example.block, AddressPrefix::Dev))
}

/// The accounts that block 1 changed, and what block 2 commits to.
pub fn after(example: &Example) -> String {
    let rows: Vec<_> = (1..=3)
        .map(|number| {
            let key = example.key(number);
            let account = example.chain.account(&key);
            let place = sha256(&[key.as_bytes()]);
            let (balance, nonce) =
                (account.balance.units().to_le_bytes(), account.nonce.to_le_bytes());
            let leaf = sha256(&[&[0], &place, &balance, &nonce]);
            vec![
                number.to_string(),
                account.balance.to_string(),
                account.nonce.to_string(),
                code(hex::encode(place)),
                code(Hash256::from_bytes(leaf).to_string()),
            ]
        })
        .collect();
    let accounts = table(&["account", "coins", "nonce", "SHA-256 of the key", "leaf"], &rows);
    let roots = example.next_roots();
    let made = values(&[
        ("account root", roots.accounts.to_string()),
        ("history root (count 2)", roots.history.to_string()),
        ("total work of the chain", example.chain.tip().total_work.to_string()),
    ]);
    format!("{accounts}\n{made}")
}

fn genesis_leaf(example: &Example) -> RangeNode {
    let genesis = example.params.genesis();
    RangeNode::leaf(&LeafData {
        hash: genesis.hash(),
        work: example.params.retarget.easiest.work(),
        time: genesis.time,
        bits: genesis.bits,
    })
}
