//! A network with everything that a workload needs on it, and where a run of several parts stands.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use hawser_crypto::{Scheme, SecretKey, Suite, keystore};
use hawser_primitives::{Address, B256, ChainId, U256};
use serde_json::{Value, json};

use super::model::Start;
use crate::{
    args::MeasureArgs,
    error::{BenchError, Result},
    network::Hawser,
    rpc::{Client, quantity},
    seed::{native_scheme, role_key},
    sign::{EthereumCall, Raw},
    work::{Envelope, Op, Scene, Signing, Workload},
};

/// How long a transaction of the preparation may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Transactions of the preparation on their way at once.
const AT_ONCE: usize = 50;
/// Gas of a contract's creation.
const CREATION_GAS: u64 = 3_000_000;
/// Gas of a transfer.
const TRANSFER_GAS: u64 = 21_000;

/// A network to measure.
pub(crate) struct Bed {
    pub(crate) urls: Vec<String>,
    /// None for a network that runs elsewhere.
    pub(crate) network: Option<Hawser>,
    pub(crate) suite: Suite,
    pub(crate) chain: ChainId,
    pub(crate) start: Start,
}

impl Bed {
    /// Starts a network, or looks at the one that runs.
    pub(crate) async fn make(
        args: &MeasureArgs,
        out: &Path,
        binary: &Path,
        suite: Suite,
    ) -> Result<Self> {
        if args.target.is_empty() {
            let network = Hawser::start(binary, out, suite, args.nodes).await?;
            return Ok(Self {
                urls: network.urls.clone(),
                suite,
                chain: network.chain,
                start: Start {
                    up_ms: Some(network.up_time.as_secs_f64() * 1_000.0),
                    ..Start::default()
                },
                network: Some(network),
            });
        }
        let urls: Vec<_> = args
            .target
            .iter()
            .map(|url| url.trim_end_matches('/').to_owned())
            .collect();
        let client = Client::new(urls.first().map_or("", String::as_str))?;
        let status = client.call("hawser_status", json!([])).await?;
        let name = status
            .get("suite")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let found = Suite::ALL.into_iter().find(|suite| suite.name() == name);
        let chain = status.get("chainId").and_then(Value::as_u64);
        match (found, chain) {
            (Some(suite), Some(chain)) => Ok(Self {
                urls,
                network: None,
                suite,
                chain: ChainId(chain),
                start: Start::default(),
            }),
            _ => Err(BenchError::Target(format!(
                "{} does not say which chain it has; is it a Hawser node?",
                client.url()
            ))),
        }
    }

    pub(crate) fn first(&self) -> Result<Client> {
        Client::new(self.urls.first().map_or("", String::as_str))
    }

    /// Puts a workload's contract on the chain and brings it into its first state.
    pub(crate) async fn prepare(
        &mut self,
        args: &MeasureArgs,
        seed: u64,
        accounts: u32,
        workload: Arc<dyn Workload>,
    ) -> Result<Signing> {
        let envelope = match args.envelope_of(self.suite, workload.unordered()) {
            super::EnvelopeChoice::Ethereum => Envelope::Ethereum,
            super::EnvelopeChoice::Native => Envelope::Native(native_scheme(self.suite)),
        };
        let keys: Result<Vec<_>> = (0..u64::from(accounts))
            .map(|i| role_key(envelope.scheme(), seed, "sender", i))
            .collect();
        let keys = keys?;
        let addresses: Vec<Address> = keys.iter().map(SecretKey::address).collect();
        let client = self.first()?;
        let deployer = role_key(Scheme::Secp256k1, seed, "deployer", 0)?;
        let mut nonce = nonce_of(&client, deployer.address()).await?;
        let mut scene = Scene {
            suite: self.suite,
            chain: self.chain,
            seed,
            addresses,
            balances: Vec::new(),
            contract: Address::ZERO,
        };
        if let Some(code) = workload.creation() {
            let code = hex::decode(code.trim())
                .map_err(|error| BenchError::Target(format!("a contract's code: {error}")))?;
            scene.contract = deployer.address().create(nonce);
            let raw = EthereumCall {
                chain: self.chain,
                nonce,
                gas_limit: CREATION_GAS,
                value: 0,
                to: None,
                input: code.into(),
            }
            .sign(&deployer)?;
            let sent = Instant::now();
            send(&client, &raw).await?;
            while !client.is_in_block(&raw.hash).await? {
                if sent.elapsed() > LIMIT {
                    return Err(BenchError::Target("a contract was not created".to_owned()));
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            self.start.deploy_ms = Some(sent.elapsed().as_secs_f64() * 1_000.0);
            client
                .success("creating the contract", &raw.hash, LIMIT)
                .await?;
            nonce += 1;
        }
        let begun = Instant::now();
        self.call_all(&client, &deployer, nonce, workload.preparation(&scene))
            .await?;
        if workload.funds() > 0 {
            self.fund(&client, args, &scene.addresses, workload.funds())
                .await?;
            scene.balances = balances(&client, &scene.addresses).await?;
        }
        self.start.prepare_ms = begun.elapsed().as_secs_f64() * 1_000.0;
        let mut nonces = Vec::with_capacity(scene.addresses.len());
        for chunk in scene.addresses.chunks(200) {
            let params = chunk
                .iter()
                .map(|address| json!([address, "latest"]))
                .collect();
            let answers = client.call_all("eth_getTransactionCount", params).await?;
            nonces.extend(answers.iter().map(|answer| quantity(answer).unwrap_or(0)));
        }
        Ok(Signing {
            scene: Arc::new(scene),
            workload,
            envelope,
            keys: Arc::new(keys),
            nonces: Arc::new(nonces),
        })
    }

    async fn call_all(
        &self,
        client: &Client,
        key: &SecretKey,
        nonce: u64,
        ops: Vec<Op>,
    ) -> Result<()> {
        let raws: Result<Vec<_>> = ops
            .into_iter()
            .zip(nonce..)
            .map(|(op, nonce)| {
                let call = EthereumCall {
                    chain: self.chain,
                    nonce,
                    gas_limit: op.gas,
                    value: op.value,
                    to: Some(op.to),
                    input: op.input,
                };
                call.sign(key)
            })
            .collect();
        for chunk in raws?.chunks(AT_ONCE) {
            for raw in chunk {
                send(client, raw).await?;
            }
            let waiting = chunk
                .iter()
                .map(|raw| client.success("preparing", &raw.hash, LIMIT));
            try_join_all(waiting).await?;
        }
        Ok(())
    }

    /// Gives every account what it needs, from the account that the network's keystore has for this.
    async fn fund(
        &self,
        client: &Client,
        args: &MeasureArgs,
        accounts: &[Address],
        wei: u64,
    ) -> Result<()> {
        let home = match (&self.network, &args.keys) {
            (Some(network), _) => network.home(),
            (None, Some(keys)) => keys.clone(),
            (None, None) => {
                let text = "this workload moves value: name the folder with a keystore and its \
                            passphrase by --keys, and the account in it by --from";
                return Err(BenchError::Target(text.to_owned()));
            }
        };
        let name = self.network.as_ref().map_or(args.from.as_str(), |_| "test");
        let faucet = open_key(&home, name)?;
        let nonce = nonce_of(client, faucet.address()).await?;
        let ops = accounts.iter().map(|to| Op {
            value: wei,
            ..Op::call(*to, hawser_primitives::Bytes::new(), TRANSFER_GAS)
        });
        self.call_all(client, &faucet, nonce, ops.collect()).await
    }
}

/// Opens `keystore/NAME.json` of a network's folder, a key of secp256k1, with the passphrase beside it.
fn open_key(home: &Path, name: &str) -> Result<SecretKey> {
    let path = home.join("keystore").join(format!("{name}.json"));
    let read = |path: &Path| {
        let what = format!("cannot read {}", path.display());
        std::fs::read_to_string(path).map_err(BenchError::io(what))
    };
    let text = read(&path)?;
    let passphrase = zeroize::Zeroizing::new(read(&home.join("passphrase"))?);
    let passphrase = passphrase.lines().next().unwrap_or_default();
    let key = keystore::decrypt(&text, passphrase)
        .map_err(|error| BenchError::Target(format!("{}: {error}", path.display())))?;
    if key.scheme() == Scheme::Secp256k1 {
        Ok(key)
    } else {
        let text = format!(
            "{}: the faucet's key has to be of secp256k1",
            path.display()
        );
        Err(BenchError::Target(text))
    }
}

async fn nonce_of(client: &Client, address: Address) -> Result<u64> {
    client
        .quantity("eth_getTransactionCount", json!([address, "pending"]))
        .await
}

pub(crate) async fn balances(client: &Client, addresses: &[Address]) -> Result<Vec<U256>> {
    let params = addresses
        .iter()
        .map(|address| json!([address, "latest"]))
        .collect();
    let answers = client.call_all("eth_getBalance", params).await?;
    answers
        .into_iter()
        .map(|answer| Ok(serde_json::from_value(answer)?))
        .collect()
}

async fn send(client: &Client, raw: &Raw) -> Result<()> {
    let sent = client
        .call("eth_sendRawTransaction", json!([raw.bytes]))
        .await?;
    let sent: B256 = serde_json::from_value(sent)?;
    if sent == raw.hash {
        Ok(())
    } else {
        Err(BenchError::Void(format!(
            "{} was taken as {sent}",
            raw.hash
        )))
    }
}
