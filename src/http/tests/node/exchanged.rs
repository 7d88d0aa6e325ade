//! What nodes ask each other: compact blocks, transfers of blocks and pools, pools in short.

use super::{Node, dev_accounts, next_block};
use crate::node::Origin;
use crate::node::answers::{self, AnswerError};
use crate::primitives::{Block, BlockHash, CompactBlock, Transfer, Txid};
use crate::wire::{
    Announcement, PoolSummary, Question, block_from_json, compact_from_json, pool_ids_from_json,
    transfers_from_json,
};

/// A node whose pool holds three transfers.
fn node() -> (Node, Vec<Transfer>) {
    let node = Node::new();
    node.wallet();
    let from = &dev_accounts()[0];
    let transfers: Vec<_> = (0..3).map(|nonce| node.transfer(from, 1, nonce)).collect();
    for transfer in &transfers {
        node.handle().submit_transfer(transfer.clone(), Origin::Anyone).unwrap();
    }
    (node, transfers)
}

impl Node {
    fn mined(&self) -> Block {
        self.ok(201, "POST /mine", "");
        let height = self.handle().view().chain.height();
        let answer = self.call(&format!("GET /block/{height}"), "");
        block_from_json(answer.text(), self.handle().prefix()).unwrap()
    }

    /// The answer to the HTTP form of a question.
    fn asked(&self, question: &Question) -> String {
        let form = question.http(self.handle().prefix());
        let method = if form.body.is_some() { "POST" } else { "GET" };
        let line = format!("{method} {}", form.path);
        let answer = self.call(&line, &form.body.unwrap_or_default());
        assert_eq!(answer.status, 200, "{line}: {answer:?}");
        answer.text().to_owned()
    }

    fn refuses(&self, expected: (u16, &str), question: &Question) {
        let form = question.http(self.handle().prefix());
        let method = if form.body.is_some() { "POST" } else { "GET" };
        self.fails(expected, &format!("{method} {}", form.path), &form.body.unwrap_or_default());
        let error: AnswerError = match answers::answer(self.handle(), question, 0).unwrap() {
            Ok(_) => panic!("{question:?} is answered"),
            Err(error) => error,
        };
        assert_eq!((error.status(), error.code()), expected, "{question:?}");
    }

    fn transfers(&self, question: &Question) -> Vec<Transfer> {
        transfers_from_json(&self.asked(question), self.handle().prefix()).unwrap()
    }
}

#[test]
fn a_block_comes_in_compact_form_and_its_transfers_by_their_places() {
    let (node, transfers) = node();
    let block = node.mined();
    assert_eq!(block.transfers, transfers);
    let hash = block.hash();
    let text = node.asked(&Question::Compact { block: hash });
    let compact = compact_from_json(&text, node.handle().prefix()).unwrap();
    assert_eq!(compact, CompactBlock::of(&block, compact.salt));

    let ask =
        |block, indexes: &[u32]| Question::BlockTransfers { block, indexes: indexes.to_vec() };
    assert_eq!(node.transfers(&ask(hash, &[])), []);
    assert_eq!(node.transfers(&ask(hash, &[0, 2])), [transfers[0].clone(), transfers[2].clone()]);
    node.refuses((404, "transaction-not-found"), &ask(hash, &[0, 3]));

    let elsewhere = next_block(Node::new().handle(), dev_accounts()[1].public_key());
    let other = Node::new();
    other.handle().submit_headers(vec![elsewhere.header]).unwrap();
    for (node, block, code) in [
        (&node, BlockHash::ZERO, "block-not-found"),
        (&node, node.handle().chain_id(), "block-not-kept"),
        (&other, elsewhere.hash(), "block-not-kept"),
    ] {
        node.refuses((404, code), &Question::Compact { block });
        node.refuses((404, code), &ask(block, &[0]));
    }
    node.fails((400, "bad-block-name"), "GET /block/1/compact", "");
    node.fails((400, "bad-block-name"), "GET /block/x/compact", "");
    let told = node.call("GET /block/1/compact", "").json()["message"].clone();
    assert_eq!(told, "expected a block hash of 64 lower-case hex digits, got 1");
}

#[test]
fn pools_are_compared_in_short_and_then_by_ids() {
    let (node, transfers) = node();
    let mut ids: Vec<_> = transfers.iter().map(Transfer::id).collect();
    let summary = || PoolSummary::from_json(&node.asked(&Question::PoolSummary)).unwrap();
    assert_eq!(summary(), ids.iter().copied().collect());
    let mut buckets: Vec<_> = ids.iter().map(PoolSummary::bucket_of).collect();
    buckets.sort_unstable();
    buckets.dedup();
    assert_eq!(summary().differing(&PoolSummary::default()), buckets);
    let in_buckets =
        |buckets| pool_ids_from_json(&node.asked(&Question::PoolIds { buckets })).unwrap();
    let mut found = in_buckets(buckets.clone());
    found.sort_unstable();
    ids.sort_unstable();
    assert_eq!(found, ids);
    let other: Vec<_> = (0..=u8::MAX).filter(|bucket| !buckets.contains(bucket)).take(16).collect();
    assert_eq!(in_buckets(other), []);
    assert_eq!(in_buckets(buckets[..1].to_vec()), in_bucket(&ids, buckets[0]));

    let wanted = vec![transfers[1].id(), Txid::ZERO, transfers[0].id()];
    let found = [transfers[1].clone(), transfers[0].clone()];
    assert_eq!(node.transfers(&Question::Transfers { ids: wanted }), found);
    node.mined();
    assert_eq!(summary(), PoolSummary::default());
    assert_eq!(node.transfers(&Question::Transfers { ids }), []);
    for (query, code) in [
        ("", "field-missing"),
        ("?buckets=", "field-missing"),
        ("?buckets=0", "field-bad-hex"),
        ("?buckets=01,00", "field-bad-value"),
    ] {
        node.fails((400, code), &format!("GET /transactions/ids{query}"), "");
    }
}

fn in_bucket(ids: &[Txid], bucket: u8) -> Vec<Txid> {
    ids.iter().copied().filter(|id| PoolSummary::bucket_of(id) == bucket).collect()
}

#[test]
fn a_question_has_one_answer_whichever_way_it_comes() {
    let (node, _) = node();
    let block = node.mined();
    node.handle().submit_transfer(node.transfer(&dev_accounts()[0], 2, 3), Origin::Anyone).unwrap();
    let (hash, id) = (block.hash(), block.transfers[0].id());
    let text = node.asked(&Question::Compact { block: hash });
    let salt = compact_from_json(&text, node.handle().prefix()).unwrap().salt;
    for question in [
        Question::Headers { locator: vec![] },
        Question::Headers { locator: vec![hash] },
        Question::Blocks { hashes: vec![BlockHash::ZERO, hash] },
        Question::Compact { block: hash },
        Question::Transfers { ids: vec![id] },
        Question::BlockTransfers { block: hash, indexes: vec![1] },
        Question::PoolSummary,
        Question::PoolIds { buckets: vec![0, 255] },
    ] {
        let answer = answers::answer(node.handle(), &question, salt).unwrap().unwrap();
        assert_eq!(answer.into_text().unwrap(), node.asked(&question), "{question:?}");
    }
    for question in [
        Question::Handshake(node.handshake()),
        Question::Addresses,
        Question::Announce(Announcement::default()),
    ] {
        assert!(answers::answer(node.handle(), &question, salt).is_none(), "{question:?}");
    }
    node.refuses((409, "other-chain"), &Question::Headers { locator: vec![BlockHash::ZERO] });
    node.refuses((400, "list-too-long"), &Question::Blocks { hashes: vec![hash; 17] });
}
