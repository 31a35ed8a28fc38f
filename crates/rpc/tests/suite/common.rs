//! A chain of one validator with its interface, in this process, on real sockets and disks.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use futures_util::{SinkExt, StreamExt};
use hawser_consensus::Timeouts;
use hawser_crypto::{Scheme, SecretKey, Suite, secp};
use hawser_ledger::{
    ChainParameters, Genesis, GenesisAccount, GenesisGovernance, GenesisValidator, PROTOCOL_VERSION,
};
use hawser_network::{NetworkConfig, NodeIdentity};
use hawser_node::{
    Node,
    chain::{ChainHandle, ChainSetup, NoObserver},
    pool::PoolLimits,
    store::{StoreOptions, columns},
};
use hawser_primitives::{ChainId, Time};
use hawser_rpc::{Chains, RpcConfig, RpcLimits, RpcServer, auth::Access, serve};
use hawser_storage::{FjallKv, OsDisk};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Generous, because the machines that run tests are busy; a condition that holds ends the wait.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The first chain.
pub const CHAIN: u64 = 4207;

/// Emits an event without data whose topic is the first word of the call data.
pub const EMITTER: &str = "0x655f355f5fa1005f526006601af3";
/// Emits events without topics or data for as long as it has gas.
pub const FLOODER: &str = "0x600b600c600039600b6000f35b5f5fa05a6107d0105f5700";
/// Reverts with its call data.
pub const REVERTER: &str = "0x365f5f37365ffd";

pub struct Solo {
    pub node: Node,
    pub handle: ChainHandle,
    pub chains: Chains,
    pub server: RpcServer,
    pub url: String,
    pub folder: tempfile::TempDir,
    validator: Arc<SecretKey>,
    suite: Suite,
    http: reqwest::Client,
}

/// An account without funds.
pub fn account() -> SecretKey {
    SecretKey::from_seed(Scheme::Secp256k1, &[7; 32]).unwrap()
}

/// An account with 1,000 wei.
pub fn rich() -> SecretKey {
    SecretKey::from_seed(Scheme::Secp256k1, &[8; 32]).unwrap()
}

fn setup(genesis: Genesis, key: &Arc<SecretKey>, folder: &Path) -> ChainSetup {
    std::fs::create_dir_all(folder).unwrap();
    ChainSetup {
        genesis: Arc::new(genesis),
        key: Some(Arc::clone(key)),
        natives: hawser_services::registry().unwrap(),
        timeouts: Timeouts::default(),
        pool: PoolLimits::default(),
        store: StoreOptions::default(),
        disk: Arc::new(OsDisk::new(&folder.join("log")).unwrap()),
        kv: Arc::new(FjallKv::open(&folder.join("kv"), &columns(), 8 << 20).unwrap()),
        verifiers: 1,
        observer: Arc::new(NoObserver),
    }
}

fn genesis(chain: u64, suite: Suite, key: &SecretKey) -> Genesis {
    let balance = U256::from(1_000);
    let funded = GenesisAccount {
        balance,
        ..GenesisAccount::default()
    };
    Genesis {
        protocol_version: PROTOCOL_VERSION,
        chain_id: ChainId(chain),
        name: format!("solo {chain}"),
        suite,
        time: Time(1_700_000_000_000),
        parameters: ChainParameters::default(),
        validators: vec![GenesisValidator {
            name: "solo".to_owned(),
            public_key: key.public_key(),
            weight: 1,
        }],
        accounts: [(rich().address(), funded)].into(),
        governance: None,
    }
}

impl Solo {
    pub async fn start() -> Self {
        Self::with(Suite::Intl, RpcLimits::default()).await
    }

    pub async fn with(suite: Suite, limits: RpcLimits) -> Self {
        Self::guarded(suite, limits, Access::default()).await
    }

    pub async fn guarded(suite: Suite, limits: RpcLimits, access: Access) -> Self {
        Self::founded(suite, limits, None, |_| access).await
    }

    /// With a section on governance; how reads are guarded may depend on the chain.
    pub async fn founded(
        suite: Suite,
        limits: RpcLimits,
        governance: Option<GenesisGovernance>,
        access: impl FnOnce(&ChainHandle) -> Access,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Arc::new(SecretKey::from_seed(suite.vote_scheme(), &[1; 32]).unwrap());
        let identity = NodeIdentity::generate().unwrap();
        let network = NetworkConfig::new(([127, 0, 0, 1], 0).into(), identity, Vec::new());
        let node = Node::start(network).await.unwrap();
        let genesis = Genesis {
            governance,
            ..genesis(CHAIN, suite, &key)
        };
        let setup = setup(genesis, &key, &folder.path().join("first"));
        let handle = node.add_chain(setup, &mut |_, _| {}).unwrap();
        let chains = Chains::new();
        let access = access(&handle);
        chains.insert_guarded(handle.clone(), access);
        let port = std::env::var("SOLO_PORT")
            .ok()
            .map_or(0, |port| port.parse().unwrap());
        let config = RpcConfig {
            limits,
            ..RpcConfig::new(([127, 0, 0, 1], port).into())
        };
        let server = serve(config, chains.clone(), std::future::pending())
            .await
            .unwrap();
        let url = format!("http://{}", server.local_addr());
        let http = reqwest::Client::new();
        Self {
            node,
            handle,
            chains,
            server,
            url,
            folder,
            validator: key,
            suite,
            http,
        }
    }

    /// A second chain on the same node.
    pub fn add_chain(&self, chain: u64) -> ChainHandle {
        let folder = self.folder.path().join(format!("chain-{chain}"));
        let setup = setup(
            genesis(chain, self.suite, &self.validator),
            &self.validator,
            &folder,
        );
        let handle = self.node.add_chain(setup, &mut |_, _| {}).unwrap();
        self.chains.insert(handle.clone());
        handle
    }

    /// Posts a body; gives status and answer.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let url = format!("{}{path}", self.url);
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Calls a method; gives the whole response.
    pub async fn raw(&self, path: &str, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let (status, text) = self.post(path, body.to_string()).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Calls a method that succeeds.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let mut response = self.raw("/", method, params.clone()).await;
        assert!(
            response.get("error").is_none(),
            "{method}{params} → {response}"
        );
        response["result"].take()
    }

    /// Calls a method that fails; gives code and message.
    pub async fn fail(&self, method: &str, params: Value) -> (i64, String) {
        let response = self.raw("/", method, params.clone()).await;
        let error = response
            .get("error")
            .unwrap_or_else(|| panic!("{method}{params} → {response}"));
        (
            error["code"].as_i64().unwrap(),
            error["message"].as_str().unwrap().to_owned(),
        )
    }

    /// Sends a transaction and waits for its receipt.
    pub async fn mine(&self, raw: Bytes) -> Value {
        let hash = self.call("eth_sendRawTransaction", json!([raw])).await;
        self.receipt(&hash).await
    }

    pub async fn receipt(&self, hash: &Value) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let receipt = self.call("eth_getTransactionReceipt", json!([hash])).await;
            if !receipt.is_null() {
                return receipt;
            }
            assert!(Instant::now() < deadline, "{hash} was not executed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn socket(&self) -> Socket {
        let url = self.url.replace("http", "ws");
        let (stream, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Socket(stream)
    }
}

type Stream =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

pub struct Socket(pub Stream);

impl Socket {
    pub async fn send(&mut self, method: &str, params: Value) {
        let body = json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params });
        self.0.send(Message::text(body.to_string())).await.unwrap();
    }

    /// The next message; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(DEADLINE, self.0.next())
                .await
                .expect("in time");
            match next? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Calls a method when no subscription is open.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params).await;
        let mut response = self.next().await.unwrap();
        assert!(response.get("error").is_none(), "{response}");
        response["result"].take()
    }
}

fn sign<T: SignableTransaction<Signature>>(key: &SecretKey, transaction: &T) -> Signature {
    let prehash = transaction.signature_hash();
    let (r_s, parity) = secp::sign_prehash(key, &prehash).unwrap();
    Signature::from_bytes_and_parity(&r_s, parity)
}

/// A legacy transaction.
pub fn legacy(key: &SecretKey, nonce: u64, to: TxKind, input: Bytes) -> Bytes {
    let transaction = TxLegacy {
        chain_id: Some(CHAIN),
        nonce,
        gas_price: 0,
        gas_limit: 1_000_000,
        to,
        value: U256::ZERO,
        input,
    };
    let signature = sign(key, &transaction);
    transaction.into_signed(signature).encoded_2718().into()
}

/// A transaction with an access list.
pub fn eip2930(key: &SecretKey, nonce: u64, to: Address) -> Bytes {
    let transaction = TxEip2930 {
        chain_id: CHAIN,
        nonce,
        gas_price: 5,
        gas_limit: 100_000,
        to: TxKind::Call(to),
        value: U256::ZERO,
        access_list: vec![alloy_eips::eip2930::AccessListItem {
            address: to,
            storage_keys: vec![B256::repeat_byte(1)],
        }]
        .into(),
        input: Bytes::new(),
    };
    let signature = sign(key, &transaction);
    transaction.into_signed(signature).encoded_2718().into()
}

/// A dynamic-fee transaction with a tip, as wallets send it.
pub fn eip1559(key: &SecretKey, nonce: u64, to: Address, value: u64) -> Bytes {
    let transaction = TxEip1559 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        value: U256::from(value),
        access_list: Default::default(),
        input: Bytes::new(),
    };
    let signature = sign(key, &transaction);
    transaction.into_signed(signature).encoded_2718().into()
}

/// A transaction that lets `key`'s account run the code at `delegate`.
pub fn eip7702(key: &SecretKey, nonce: u64, to: Address, delegate: Address) -> Bytes {
    let authorization = alloy_eips::eip7702::Authorization {
        chain_id: U256::from(CHAIN),
        address: delegate,
        nonce: nonce + 1,
    };
    let (r_s, parity) = secp::sign_prehash(key, &authorization.signature_hash()).unwrap();
    let signed = authorization.into_signed(Signature::from_bytes_and_parity(&r_s, parity));
    let transaction = TxEip7702 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
        to,
        value: U256::ZERO,
        access_list: Default::default(),
        authorization_list: vec![signed],
        input: Bytes::new(),
    };
    let signature = sign(key, &transaction);
    transaction.into_signed(signature).encoded_2718().into()
}
