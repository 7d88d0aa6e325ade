//! The files as they are written, and what nodes say to each other.

use crate::example::Example;
use crate::markdown::block;
use farthing::chain::accounts::AccountTree;
use farthing::consensus::merkle;
use farthing::consensus::params::ChainParams;
use farthing::primitives::{Account, AddressPrefix, CompactBlock, Height, Transaction, UnixTime};
use farthing::storage::BlockStore;
use farthing::storage::journal::{Bounds, Journal};
use farthing::storage::text::TextStore;
use farthing::wire::{
    AccountProof, AccountProofEnd, Address, Failure, Handshake, PEER_VERSION, PeerRecord,
    ProvenBlock, Reach, TransactionProof, block_announcement_to_json, block_to_json,
    compact_to_json, genesis_to_json, headers_to_json, pool_ids_to_json, to_json, transfer_to_json,
};
use std::path::Path;

const PREFIX: AddressPrefix = AddressPrefix::Dev;

/// One example of each file.
pub fn files(example: &Example) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let chain = blockchain(example, dir.path());
    let transfer = transfer_to_json(&example.transfer, PREFIX);
    let node = "192.0.2.7:5000".parse().expect("host and port");
    let last_seen = example.block.header.time;
    let record = PeerRecord { manual: true, last_seen, ..PeerRecord::new(node) };

    let wallet = example.accounts[0].to_text().to_string();
    [
        ("blockchain-5000.txt", chain),
        ("mempool-5000.txt", journal(dir.path(), &transfer)),
        ("peers-5000.txt", record.to_json() + "\n"),
        ("wallet-5000.txt", wallet),
    ]
    .map(|(name, text)| format!("`{name}`:\n{}", block("text", &text)))
    .concat()
}

fn blockchain(example: &Example, dir: &Path) -> String {
    let path = dir.join("chain");
    let opened = TextStore::open(&path, &example.chain_id, &mut |_| Ok(()));
    let mut store = opened.expect("a new file").store;
    store.stage(&block_to_json(&example.block, PREFIX));
    store.commit().expect("a write");
    std::fs::read_to_string(path).expect("the file")
}

fn journal(dir: &Path, entry: &str) -> String {
    let path = dir.join("journal");
    let bounds = Bounds { entry_bytes_max: 2_048, entries_max: 1 };
    let mut journal = Journal::open(&path, bounds, &mut |_| ()).expect("a new file").journal;
    journal.stage(entry).expect("a short entry");
    journal.commit().expect("a write");
    drop(journal);
    let text = std::fs::read_to_string(&path).expect("the file");
    std::fs::remove_file(path).expect("it can be removed");
    text
}

/// What two nodes say to each other.
pub fn messages(example: &Example) -> String {
    let tip = example.chain.tip();
    let handshake = Handshake {
        chain_id: example.chain_id,
        chain: example.params.name.clone(),
        version: PEER_VERSION,
        height: Height(1),
        tip: tip.hash,
        work: tip.total_work,
        instance: 0x0123_4567_89ab_cdef,
        node: Some(Reach::Port(5_000)),
        linked: false,
        time: UnixTime(example.block.header.time.0 + 3),
    };
    let announcement = block_announcement_to_json("{…the block…}", Some(&Reach::Port(5_000)));
    let compact = CompactBlock::of(&example.block, 0x0123_4567_89ab_cdef);
    let failure = Failure {
        message: "expected an amount above zero".to_owned(),
        code: "zero-amount".to_owned(),
    };
    let genesis = genesis_to_json(&example.params.genesis(), &ChainParams::genesis_roots());
    [
        ("`POST /handshake`, both ways", handshake.to_json()),
        ("The answer of `GET /headers` with one header", headers_to_json(&[example.block.header])),
        ("The body of `POST /broadcast-block`", announcement),
        ("The answer of `GET /block/<hash>/compact`", compact_to_json(&compact, PREFIX)),
        ("The answer of `GET /transactions/ids`", pool_ids_to_json(&[example.transfer.id()])),
        ("Genesis, as `GET /chain` shows it first", genesis),
        ("Any failure", to_json(&failure)),
    ]
    .map(|(what, text)| format!("{what}:\n{}", block("json", &text)))
    .concat()
}

/// That block 1 holds the transfer, and what account 3 had before it.
pub fn proofs(example: &Example) -> String {
    let Example { block: holder, params, .. } = example;
    let proven = || ProvenBlock::new(Height(1), &holder.header, &holder.roots);
    let (ids, key) = (holder.txids(), example.key(3));
    let branch = merkle::branch(&ids, 1).expect("the transfer is the second");
    assert_eq!(branch.root(&ids[1]), Ok(merkle::tx_root(&ids)));
    let transaction = TransactionProof {
        block: proven(),
        transaction: Transaction::Transfer(example.transfer.clone()),
        branch,
    };
    let funded = |(key, balance): &_| (*key, Some(Account { balance: *balance, nonce: 0 }));
    let accounts = AccountTree::new().apply(params.allocations.iter().map(funded));
    let proof = accounts.prove(&key);
    let found = proof.verify(&holder.roots.accounts, &key).expect("a good proof");
    let Account { balance, nonce } = found.expect("a funded account");
    let account = AccountProof {
        block: proven(),
        tx_root: merkle::tx_root(&ids),
        address: Address { key, prefix: PREFIX },
        siblings: proof.siblings,
        end: AccountProofEnd::Account { balance, nonce },
    };
    [to_json(&transaction), to_json(&account)].map(|text| block("json", &text)).concat()
}
