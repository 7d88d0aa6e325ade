//! The wallet: create, load, funds.

use super::{Answer, json};
use crate::http::api::Api;
use crate::http::errors::ApiError;
use crate::http::message::Request;
use crate::wire::{Address, Balance, NewWallet, Wallet};

/// `POST /wallet`: a new wallet, the one before it kept. The only answer with a private key in it.
///
/// # Errors
/// A wallet that could not be written down.
pub fn create(api: &Api, _: &Request) -> Answer {
    let created = api.node.create_wallet()?;
    let answer = NewWallet {
        public_key: Address { key: created.public_key, prefix: api.prefix() },
        private_key: &created.secret_hex,
        funds: api.node.view().chain.spendable(&created.public_key),
    };
    Ok(json(201, &answer))
}

/// `GET /wallet`: loads the wallet file; 201, as the original answers.
///
/// # Errors
/// No wallet file, or one that cannot be used.
pub fn load(api: &Api, _: &Request) -> Answer {
    let key = api.node.load_wallet()?;
    let funds = api.node.view().chain.spendable(&key);
    Ok(json(201, &Wallet { public_key: Address { key, prefix: api.prefix() }, funds }))
}

/// `GET /balance`: what the loaded wallet can spend.
///
/// # Errors
/// No wallet.
pub fn balance(api: &Api, _: &Request) -> Answer {
    let funds = api.node.view().funds().ok_or(ApiError::NoWallet)?;
    Ok(json(200, &Balance { message: "Fetched balance successfully.".to_owned(), funds }))
}
