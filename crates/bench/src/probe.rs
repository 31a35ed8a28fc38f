//! Transactions that must not get through. A run in which one does is void: a chain that skips its
//! checks is fast for nothing.

use std::time::Duration;

use futures_util::future::try_join_all;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::Ordering;
use hawser_primitives::{Address, B256, Bytes, ChainId, Time, limits::TRANSACTION_BYTES_MAX};
use serde::Serialize;

use crate::{
    drive::{Connection, Fate, Submit, host_of},
    error::{BenchError, Result},
    rpc::Client,
    seed::role_key,
    sign::{EthereumCall, NativeCall, Raw},
    token,
    work::Tx,
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
    /// Whether the nodes take transactions as bytes, too (`POST /raw`).
    pub(crate) binary: bool,
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

/// Voids a run in which a node took what it has to refuse.
fn judge(kind: &str, taken: bool) -> Result<()> {
    if taken {
        return Err(BenchError::Void(format!(
            "a node accepted a transaction with {kind}"
        )));
    }
    Ok(())
}

/// Hands a transaction to every node as bytes; whether one took it.
async fn as_bytes(urls: &[String], raw: &Raw) -> Result<bool> {
    const LIMIT: Duration = Duration::from_secs(20);
    let tx = Tx {
        hash: raw.hash,
        raw: raw.bytes.clone(),
    };
    let body = Submit::Binary.body(std::iter::once(&tx));
    let (path, kind) = Submit::Binary.place();
    let mut taken = false;
    for url in urls {
        let host = host_of(url).map_err(BenchError::Target)?;
        let answer = Connection::new(&host, LIMIT).post(path, kind, &body).await;
        let answer =
            answer.map_err(|_| BenchError::Target(format!("{url} does not answer at {path}")))?;
        let fates = Submit::Binary.fates(&answer, 1).unwrap_or_default();
        taken |= fates.contains(&Fate::Accepted);
    }
    Ok(taken)
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

    fn key(&self, scheme: Scheme, role: &str) -> Result<SecretKey> {
        role_key(scheme, self.seed, role, self.run)
    }

    /// A transfer of nothing, so that no balance depends on the probes.
    fn ethereum(&self, chain: ChainId, nonce: u64, to: Address) -> EthereumCall {
        EthereumCall {
            value: 0,
            chain,
            nonce,
            gas_limit: token::TRANSFER_GAS,
            to: Some(self.token),
            input: token::transfer(to, 0),
        }
    }

    fn native(&self, ordering: Ordering) -> NativeCall {
        NativeCall {
            value: 0,
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
            judge(kind, taken)?;
            if self.binary {
                judge(kind, as_bytes(&self.urls, &raw).await?)?;
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
            ("more bytes than allowed", self.oversized(&secp)?),
            ("bytes cut off", self.cut(&own, &secp)?),
            ("a flipped bit in its signature", self.flipped(&native)),
            ("no form at all", self.of_bytes(vec![0xc0; 100])),
        ])
    }

    fn of_bytes(&self, bytes: Vec<u8>) -> Raw {
        let hash = hawser_ledger::Transaction::hash_of(self.suite, &bytes);
        let bytes = bytes.into();
        Raw { hash, bytes }
    }

    /// A good transaction with more input than fits.
    fn oversized(&self, key: &SecretKey) -> Result<Raw> {
        let call = EthereumCall {
            gas_limit: 40_000_000,
            input: vec![0; TRANSACTION_BYTES_MAX].into(),
            ..self.ethereum(self.chain, 0, self.token)
        };
        call.sign(key)
    }

    /// A good transaction without its end.
    fn cut(&self, own: &EthereumCall, key: &SecretKey) -> Result<Raw> {
        let mut bytes = own.clone().sign(key)?.bytes.to_vec();
        bytes.truncate(bytes.len().saturating_sub(9));
        Ok(self.of_bytes(bytes))
    }

    /// A good native transaction with a bit of its signature turned round. (In Ethereum's envelope the signature names
    /// the sender, so that such a one is good, only somebody else's.)
    fn flipped(&self, key: &SecretKey) -> Raw {
        let good = self.native(Ordering::Sequential { nonce: 0 }).sign(key);
        let mut bytes = good.bytes.to_vec();
        let at = bytes.len().saturating_sub(9);
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        self.of_bytes(bytes)
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

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
