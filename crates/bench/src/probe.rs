//! Transactions that must not get through. A run in which one does is void: a chain that skips its
//! checks is fast for nothing.

use std::time::Duration;

use futures_util::future::try_join_all;
use hawser_crypto::{Scheme, Suite};
use hawser_ledger::Ordering;
use hawser_primitives::{Address, B256, Bytes, ChainId, Time};
use serde::Serialize;

use crate::{
    error::{BenchError, Result},
    rpc::Client,
    sign::{EthereumCall, NativeCall, Raw},
    token,
    workload::role_key,
};

/// How long one of two conflicting transactions may take to be executed.
const CONFLICT_LIMIT: Duration = Duration::from_secs(60);

/// Where and as whom the probes are sent.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) urls: Vec<String>,
    pub(crate) suite: Suite,
    pub(crate) chain: ChainId,
    pub(crate) token: Address,
    pub(crate) seed: u64,
    /// Tells the probes of one run on a chain from those of another.
    pub(crate) run: u64,
    pub(crate) now: Time,
}

/// What became of one kind of probe.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeResult {
    /// What was wrong with it.
    pub kind: &'static str,
    /// What the node said.
    pub answer: String,
}

/// What was sent, to be compared with what is in the blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probes {
    /// In no block.
    pub(crate) never: Vec<(&'static str, B256)>,
    /// Exactly one of each group in a block.
    pub(crate) exactly_one: Vec<Vec<B256>>,
    pub(crate) results: Vec<ProbeResult>,
}

/// Sends a transaction to every node at once; whether one took it, and what the first one said.
async fn everywhere(clients: &[Client], raw: &Raw) -> Result<(bool, String)> {
    let answers = try_join_all(clients.iter().map(|client| client.send(&raw.bytes))).await?;
    let taken = answers.iter().any(std::result::Result::is_ok);
    let text = match answers.into_iter().next() {
        Some(Err(error)) => error.message,
        Some(Ok(_)) => "accepted for later".to_owned(),
        None => String::new(),
    };
    Ok((taken, text))
}

impl Ground {
    fn native_scheme(&self) -> Scheme {
        match self.suite {
            Suite::Intl => Scheme::Ed25519,
            Suite::Sm => Scheme::Sm2,
        }
    }

    fn key(&self, scheme: Scheme, role: &str) -> Result<hawser_crypto::SecretKey> {
        role_key(scheme, self.seed, role, self.run)
    }

    /// A transfer of nothing, so that no balance depends on the probes.
    fn ethereum(&self, chain: ChainId, nonce: u64, to: Address) -> EthereumCall {
        EthereumCall {
            chain,
            nonce,
            gas_limit: token::TRANSFER_GAS,
            to: Some(self.token),
            input: token::transfer(to, 0),
        }
    }

    fn native(&self, ordering: Ordering) -> NativeCall {
        NativeCall {
            suite: self.suite,
            chain: self.chain,
            ordering,
            gas_limit: token::NATIVE_TRANSFER_GAS,
            to: self.token,
            input: token::transfer(self.token, 0),
        }
    }

    /// Sends all probes. `executed` is a transaction of the load that is in a block already.
    pub(crate) async fn send(&self, executed: Option<Bytes>) -> Result<Probes> {
        let clients = Client::all(&self.urls)?;
        let mut probes = Probes::default();
        for (kind, raw) in self.refused_at_once()? {
            let (taken, answer) = everywhere(&clients, &raw).await?;
            if taken {
                return Err(BenchError::Void(format!(
                    "a node accepted a transaction with {kind}"
                )));
            }
            probes.never.push((kind, raw.hash));
            probes.results.push(ProbeResult { kind, answer });
        }
        let gap = self.wrong_nonce()?;
        let (_, answer) = everywhere(&clients, &gap).await?;
        let kind = "a nonce that is not the account's next";
        probes.never.push((kind, gap.hash));
        probes.results.push(ProbeResult { kind, answer });
        if let Some(raw) = executed {
            let hash = hawser_ledger::Transaction::hash_of(self.suite, &raw);
            // A node that has yet to execute the block may take it; the blocks have the last word.
            let (_, answer) = everywhere(&clients, &Raw { hash, bytes: raw }).await?;
            let kind = "a replay of an executed transaction";
            probes.results.push(ProbeResult { kind, answer });
        }
        self.conflict(&clients, &mut probes).await?;
        Ok(probes)
    }

    fn refused_at_once(&self) -> Result<Vec<(&'static str, Raw)>> {
        let secp = self.key(Scheme::Secp256k1, "bad signer")?;
        let native = self.key(self.native_scheme(), "victim")?;
        let forger = self.key(self.native_scheme(), "forger")?;
        let other = ChainId(self.chain.0.saturating_add(1));
        let own = self.ethereum(self.chain, 0, self.token);
        let unordered = |expires| Ordering::Unordered { expires, salt: 1 };
        let late = Time(self.now.0.saturating_sub(60_000));
        Ok(vec![
            ("a high s (EIP-2)", own.clone().sign_with_high_s(&secp)?),
            (
                "a signature for another chain",
                self.ethereum(other, 0, self.token).sign(&secp)?,
            ),
            (
                "another account's signature",
                self.native(Ordering::Sequential { nonce: 0 })
                    .forge(&native, &forger),
            ),
            (
                "another account's signature, unordered",
                self.native(unordered(self.now.plus_ms(60_000)))
                    .forge(&native, &forger),
            ),
            (
                "an expiry in the past",
                self.native(unordered(late)).sign(&native),
            ),
        ])
    }

    fn wrong_nonce(&self) -> Result<Raw> {
        let key = self.key(Scheme::Secp256k1, "gap")?;
        self.ethereum(self.chain, 1, self.token).sign(&key)
    }

    /// Two different transactions with one nonce, each to other nodes at the same time; then a
    /// third one when the nonce is used up. And one unordered transaction to all nodes twice.
    async fn conflict(&self, clients: &[Client], probes: &mut Probes) -> Result<()> {
        let key = self.key(Scheme::Secp256k1, "double spender")?;
        let make = |to| self.ethereum(self.chain, 0, to).sign(&key);
        let (one, two) = (make(self.token)?, make(Address::repeat_byte(0x22))?);
        let sent = clients
            .iter()
            .enumerate()
            .map(|(i, client)| client.send(if i % 2 == 0 { &one.bytes } else { &two.bytes }));
        try_join_all(sent).await?;
        let first = clients
            .first()
            .ok_or_else(|| BenchError::Void("no node".to_owned()))?;
        let pair = vec![one.hash, two.hash];
        wait_for_one(first, &pair).await?;
        probes.exactly_one.push(pair);

        let third = make(Address::repeat_byte(0x33))?;
        let (_, answer) = everywhere(clients, &third).await?;
        let kind = "a nonce that is used up (double spend)";
        probes.never.push((kind, third.hash));
        probes.results.push(ProbeResult { kind, answer });

        let signer = self.key(self.native_scheme(), "unordered")?;
        let expires = self.now.plus_ms(5 * 60_000);
        let raw = self
            .native(Ordering::Unordered { expires, salt: 2 })
            .sign(&signer);
        everywhere(clients, &raw).await?;
        wait_for_one(first, &[raw.hash]).await?;
        let (_, answer) = everywhere(clients, &raw).await?;
        let kind = "a replay of an unordered transaction";
        probes.exactly_one.push(vec![raw.hash]);
        probes.results.push(ProbeResult { kind, answer });
        Ok(())
    }
}

async fn wait_for_one(client: &Client, hashes: &[B256]) -> Result<()> {
    let waited = tokio::time::timeout(CONFLICT_LIMIT, async {
        loop {
            for hash in hashes {
                if client.receipt(hash).await?.is_some() {
                    return Ok::<_, BenchError>(());
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.map_err(|_| {
        BenchError::Void(format!(
            "a good transaction of a fresh account was not executed within {} s",
            CONFLICT_LIMIT.as_secs()
        ))
    })?
}

impl Probes {
    /// Transactions of the probes that have their place in a block.
    pub(crate) fn executed(&self) -> u64 {
        self.exactly_one.len() as u64
    }
}
