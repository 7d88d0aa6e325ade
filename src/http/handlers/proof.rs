//! Proofs for those who hold headers only.

use super::chain::key;
use super::transactions::{Mined, find, id};
use super::{Answer, json};
use crate::chain::accounts::{AccountTree, ProofEnd};
use crate::consensus::connect::disconnect_block;
use crate::consensus::merkle;
use crate::consensus::params::ChainParams;
use crate::http::api::{Api, BeforeTip};
use crate::http::errors::ApiError;
use crate::http::message::Request;
use crate::node::View;
use crate::primitives::{Hash256, Transaction};
use crate::wire::{AccountProof, AccountProofEnd, Address, ProvenBlock, TransactionProof};

/// `GET /proof/transaction/<id>`: that a block of the best chain holds a transaction, found as
/// `GET /transaction/<id>` finds it.
///
/// # Errors
/// No such transaction there, or one that is open.
pub fn transaction(api: &Api, request: &Request) -> Answer {
    let view = api.node.view();
    let id = id(request)?;
    let named = request.query("block");
    if named.is_none() && view.chain.pool().get(&id).is_some() {
        return Err(ApiError::StillOpen(id));
    }
    let found = find(api, &view, &id, named)?;
    let transaction = match found.transaction() {
        Mined::Coinbase(coinbase) => Transaction::Coinbase(coinbase.clone()),
        Mined::Transfer(transfer) => Transaction::Transfer(transfer.clone()),
    };
    let branch = merkle::branch(&found.txids, found.place).expect("the place is one of the block");
    let block = ProvenBlock::new(found.height, &found.block.header, &found.block.roots);
    Ok(json(200, &TransactionProof { block, transaction, branch }))
}

/// `GET /proof/account/<address>`: what an account had before the tip, or that there was none. A header
/// commits to the accounts after its parent, so nothing newer can be proved yet.
///
/// # Errors
/// No address of this network.
pub fn account(api: &Api, request: &Request) -> Answer {
    let key = key(api, request)?;
    let view = api.node.view();
    let before = api.before_tip(&view, || before_tip(api, &view))?;
    let proof = before.accounts.prove(&key);
    let end = match proof.end {
        ProofEnd::Account(account) => {
            AccountProofEnd::Account { balance: account.balance, nonce: account.nonce }
        }
        ProofEnd::Other { key, account } => {
            AccountProofEnd::Other { key, balance: account.balance, nonce: account.nonce }
        }
        ProofEnd::Empty => AccountProofEnd::Empty,
    };
    let tip = view.chain.tip();
    let answer = AccountProof {
        block: ProvenBlock::new(tip.height, &tip.header, &before.roots),
        tx_root: before.tx_root,
        address: Address { key, prefix: api.prefix() },
        siblings: proof.siblings,
        end,
    };
    Ok(json(200, &answer))
}

/// Undoes the tip. Costs one block read, and of the accounts what the block touched.
fn before_tip(api: &Api, view: &View) -> Result<BeforeTip, ApiError> {
    let (chain, tip) = (&view.chain, view.chain.tip().hash);
    let Some(body) = chain.body_of(&tip) else {
        let (tx_root, roots) = (Hash256::ZERO, ChainParams::genesis_roots());
        return Ok(BeforeTip { tip, tx_root, roots, accounts: AccountTree::new() });
    };
    let block = api.node.read_block(body)?;
    let undone = disconnect_block(&block, &|key| chain.accounts().get(key))
        .expect("these are the accounts that the tip was connected to");
    let accounts = chain.accounts().apply(undone);
    debug_assert_eq!(accounts.root(), block.roots.accounts, "undoing gives the old state");
    Ok(BeforeTip { tip, tx_root: merkle::tx_root(&block.txids()), roots: block.roots, accounts })
}
