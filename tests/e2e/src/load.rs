//! Load from accounts that own nothing, and the record of what nodes have acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Signature, TxKind, U256, keccak256};
use anyhow::{Context, Result, anyhow};
use secp256k1::{All, Message, Secp256k1, SecretKey};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::network::{Network, ask};

/// How long a sender waits for a receipt before it offers the transaction to the next node: a pool dies with its node.
const RESEND_AFTER: Duration = Duration::from_secs(3);

/// A receipt that some node has handed out. From then on the chain has promised it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The transaction.
    pub hash: B256,
    /// The sender.
    pub from: Address,
    /// Its nonce.
    pub nonce: u64,
    /// The receipt's `blockHash`.
    pub block_hash: String,
    /// The receipt's `blockNumber`.
    pub block_number: String,
}

/// An account of the load.
#[derive(Debug)]
pub struct Account {
    key: SecretKey,
    curve: Secp256k1<All>,
    /// Its address.
    pub address: Address,
}

impl Account {
    /// The account number `index` of a family named `seed`: the same in every run.
    ///
    /// # Errors
    /// In the one case in 2¹²⁸ that the hash is no key.
    pub fn derive(seed: &str, index: usize) -> Result<Self> {
        let key = SecretKey::from_byte_array(keccak256(format!("{seed} {index}")).0)?;
        let curve = Secp256k1::new();
        let public = key.public_key(&curve).serialize_uncompressed();
        let (_, point) = public.split_first().context("an empty public key")?;
        Ok(Self {
            key,
            curve,
            address: Address::from_raw_public_key(point),
        })
    }

    /// A transfer of nothing to an address of its own, signed: the raw transaction and its hash.
    ///
    /// # Errors
    /// When the signature cannot be encoded, which no input should cause.
    pub fn transfer(&self, chain_id: u64, nonce: u64) -> Result<(String, B256)> {
        let transaction = TxEip1559 {
            chain_id,
            nonce,
            gas_limit: 50_000,
            max_fee_per_gas: 0,
            max_priority_fee_per_gas: 0,
            to: TxKind::Call(Address::from_word(keccak256(nonce.to_be_bytes()))),
            value: U256::ZERO,
            access_list: Default::default(),
            input: nonce.to_be_bytes().to_vec().into(),
        };
        self.sign(transaction)
    }

    /// Any transaction of type 2, signed: the raw transaction and its hash.
    ///
    /// # Errors
    /// When the signature cannot be encoded, which no input should cause.
    pub fn sign(&self, transaction: TxEip1559) -> Result<(String, B256)> {
        let digest = Message::from_digest(transaction.signature_hash().0);
        let (id, bytes) = self
            .curve
            .sign_ecdsa_recoverable(digest, &self.key)
            .serialize_compact();
        let signature = Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1);
        let signed = transaction.into_signed(signature);
        Ok((
            format!("0x{}", hex::encode(signed.encoded_2718())),
            *signed.hash(),
        ))
    }
}

/// Load that runs until it is stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    record: Arc<Mutex<Vec<Acknowledged>>>,
    senders: Vec<JoinHandle<Result<()>>>,
}

impl Load {
    /// Starts `senders` accounts; each has one transaction under way and sends the next after its receipt.
    ///
    /// # Errors
    /// When the network does not tell its chain id.
    pub async fn start(network: &Network, seed: &str, senders: usize) -> Result<Self> {
        let chain_id = network.chain_id().await?;
        let urls: Arc<[String]> = (0..network.nodes())
            .map(|node| network.http(node))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let record = Arc::new(Mutex::new(Vec::new()));
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .no_proxy()
            .build()?;
        let mut tasks = Vec::new();
        for index in 0..senders {
            let account = Account::derive(seed, index)?;
            let sender = Sender {
                account,
                chain_id,
                urls: Arc::clone(&urls),
                client: client.clone(),
                stop: Arc::clone(&stop),
                record: Arc::clone(&record),
                turn: index,
            };
            tasks.push(tokio::spawn(sender.run()));
        }
        Ok(Self {
            stop,
            record,
            senders: tasks,
        })
    }

    /// How many receipts have been acknowledged so far.
    pub async fn count(&self) -> usize {
        self.record.lock().await.len()
    }

    /// Waits until `more` further receipts have been acknowledged: the chain makes progress.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub async fn progress(&self, more: usize, limit: Duration) -> Result<()> {
        let begin = self.count().await;
        let end = Instant::now() + limit;
        loop {
            let now = self.count().await;
            if now >= begin + more {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(anyhow!(
                    "only {} of {more} receipts within {limit:?}",
                    now - begin
                ));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops, and returns every acknowledged receipt.
    ///
    /// # Errors
    /// When a sender has met an answer that no honest node gives.
    pub async fn finish(self) -> Result<Vec<Acknowledged>> {
        self.stop.store(true, Ordering::Relaxed);
        for sender in self.senders {
            sender.await??;
        }
        Ok(self.record.lock().await.clone())
    }
}

struct Sender {
    account: Account,
    chain_id: u64,
    urls: Arc<[String]>,
    client: reqwest::Client,
    stop: Arc<AtomicBool>,
    record: Arc<Mutex<Vec<Acknowledged>>>,
    turn: usize,
}

impl Sender {
    async fn run(mut self) -> Result<()> {
        for nonce in 0.. {
            let (raw, hash) = self.account.transfer(self.chain_id, nonce)?;
            let Some(receipt) = self.deliver(&raw, hash).await? else {
                return Ok(());
            };
            let field = |name: &str| receipt.get(name).and_then(Value::as_str).map(str::to_owned);
            let acknowledged = Acknowledged {
                hash,
                from: self.account.address,
                nonce,
                block_hash: field("blockHash").context("a receipt without blockHash")?,
                block_number: field("blockNumber").context("a receipt without blockNumber")?,
            };
            self.record.lock().await.push(acknowledged);
        }
        Ok(())
    }

    /// Offers the transaction to one node after the other until one has its receipt; `None` when the load was stopped.
    async fn deliver(&mut self, raw: &str, hash: B256) -> Result<Option<Value>> {
        while !self.stop.load(Ordering::Relaxed) {
            self.turn += 1;
            let Some(url) = self.urls.get(self.turn % self.urls.len()) else {
                return Ok(None);
            };
            if let Err(error) =
                ask(&self.client, url, "eth_sendRawTransaction", &json!([raw])).await
            {
                let reached = error.downcast_ref::<reqwest::Error>().is_none();
                let text = error.to_string().to_lowercase();
                // A copy that was sent before, or is mined already, is no surprise after a resend.
                let expected = [
                    "known",
                    "already",
                    "nonce too low",
                    "pool",
                    "syncing",
                    "busy",
                    "limit",
                    "quota",
                ];
                if reached && !expected.iter().any(|word| text.contains(word)) {
                    return Err(error);
                }
                if !reached {
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            }
            let end = Instant::now() + RESEND_AFTER;
            while Instant::now() < end && !self.stop.load(Ordering::Relaxed) {
                match ask(
                    &self.client,
                    url,
                    "eth_getTransactionReceipt",
                    &json!([hash]),
                )
                .await
                {
                    Ok(receipt) if !receipt.is_null() => return Ok(Some(receipt)),
                    Ok(_) => sleep(Duration::from_millis(50)).await,
                    Err(_) => break,
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    /// Address and hash as Foundry's `cast decode-transaction` recovers them from the raw bytes.
    #[test]
    fn a_transfer_is_signed_as_other_tools_read_it() {
        let account = Account::derive("vector", 0).unwrap();
        let (raw, hash) = account.transfer(7310, 3).unwrap();
        assert_eq!(
            account.address.to_string(),
            "0xb1d5d98D27efA5a63B5715dc7205DdE6D6d1AF15"
        );
        assert!(raw.starts_with("0x02f86c821c8e0380"), "{raw}");
        assert_eq!(
            hash.to_string(),
            "0x245cfb7bad5ee2c2c4fa30592d61682e7a4b771439f796659b6dea80d9f8cc74"
        );
    }
}
