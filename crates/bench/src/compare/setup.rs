//! Puts the token on a fresh chain and hands it out.

use std::time::Duration;

use hawser_crypto::{Scheme, SecretKey};
use hawser_primitives::{Address, ChainId};
use serde_json::{Value, json};

use crate::{
    error::Result,
    rpc::Client,
    seed::role_key,
    sign::{EthereumCall, Raw},
    token,
};

/// How long a transaction of the preparation may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Who deploys; the token's address follows from the seed.
fn deployer(seed: u64) -> Result<SecretKey> {
    role_key(Scheme::Secp256k1, seed, "deployer", 0)
}

/// Where the token will be on every chain that this seed is used on.
pub(crate) fn token_address(seed: u64) -> Result<Address> {
    Ok(deployer(seed)?.address().create(0))
}

/// The first transaction: creates the token.
pub(crate) fn creation(seed: u64, chain: ChainId) -> Result<Raw> {
    let call = EthereumCall {
        value: 0,
        chain,
        nonce: 0,
        gas_limit: token::DEPLOY_GAS,
        to: None,
        input: token::creation_code()?,
    };
    call.sign(&deployer(seed)?)
}

/// Mints to every account, one transaction after the other.
pub(crate) async fn mint(url: &str, seed: u64, chain: ChainId, to: &[Address]) -> Result<()> {
    let client = Client::new(url)?;
    let key = deployer(seed)?;
    let mut hashes = Vec::new();
    for (chunk, nonce) in to.chunks(token::MINT_CHUNK).zip(1..) {
        let call = EthereumCall {
            value: 0,
            chain,
            nonce,
            gas_limit: token::MINT_GAS,
            to: Some(token_address(seed)?),
            input: token::mint(chunk),
        };
        let raw = call.sign(&key)?;
        send(&client, &raw).await?;
        hashes.push(raw.hash);
    }
    for hash in hashes {
        client.success("minting", &hash, LIMIT).await?;
    }
    Ok(())
}

/// Sends a transaction that has to be accepted.
pub(crate) async fn send(client: &Client, raw: &Raw) -> Result<()> {
    let sent = client
        .call("eth_sendRawTransaction", json!([raw.bytes]))
        .await;
    sent.map(|_: Value| ())
}

/// Creates the token and waits for it.
pub(crate) async fn deploy(url: &str, seed: u64, chain: ChainId) -> Result<()> {
    let client = Client::new(url)?;
    let raw = creation(seed, chain)?;
    send(&client, &raw).await?;
    client
        .success("creating the token", &raw.hash, LIMIT)
        .await?;
    Ok(())
}

/// Gives the accounts of a development node a balance, which its pool may ask for even at a price of zero. `method` is
/// what that node calls it.
pub(crate) async fn fund(url: &str, method: &str, seed: u64, accounts: &[Address]) -> Result<()> {
    let client = Client::new(url)?;
    let deployer = deployer(seed)?.address();
    let all = accounts.iter().chain(std::iter::once(&deployer));
    let params = all
        .map(|address| json!([address, "0xde0b6b3a7640000"]))
        .collect();
    client.call_all(method, params).await?;
    Ok(())
}
