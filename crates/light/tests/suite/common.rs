//! Full nodes, light nodes and strangers in one process, over real sockets and disks.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::address::address;
use hawser_consensus::Timeouts;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_execution::{
    CallEnv, ExecutionConfig, Executor, NativeContract, NativeRegistry, NativeResult, NativeState,
};
use hawser_ledger::{
    Call, ChainParameters, Genesis, GenesisAccount, GenesisValidator, Ordering, PROTOCOL_VERSION,
    SETTINGS_ACCOUNT, SETTINGS_SLOT, SettingsSchedule, UnsignedNative,
    state::{StateOptions, StateStore},
};
use hawser_light::{LightNode, LightSetup};
use hawser_network::{
    Lane, NetworkConfig, NetworkEvent, NetworkHandle, NodeIdentity, PeerAddress, PeerId,
};
use hawser_node::{
    Node,
    chain::{ChainHandle, ChainSetup, NoObserver},
    config::{NodeKind, PeerSection},
    light::{
        LightAnswer, LightAsk, LightLimits, LightReads, LightReply, LightRequest, LightService,
    },
    pool::PoolLimits,
    replica::PeerMessage,
    store::{StoreOptions, columns},
};
use hawser_primitives::{
    Address, B256, Bytes, ChainId, Domain, Height, Time, U256, decode_exact, encode,
};
use hawser_storage::{FjallKv, MemDisk, MemKv, OsDisk};
use tokio::sync::mpsc;

pub(crate) const CHAIN: ChainId = ChainId(5);
pub(crate) const TARGET: Address = Address::repeat_byte(0x77);

/// Puts the committee that it is called with into the schedule.
struct Changer(Arc<Genesis>);

impl NativeContract for Changer {
    fn address(&self) -> Address {
        SETTINGS_ACCOUNT
    }

    fn name(&self) -> &'static str {
        "changer"
    }

    fn call(&self, env: &CallEnv, state: &mut dyn NativeState) -> NativeResult {
        let validators: Vec<GenesisValidator> = decode_exact(&env.input, 1 << 16).unwrap();
        let hash = state.load(&SETTINGS_SLOT)?;
        let mut schedule = if hash.is_zero() {
            SettingsSchedule::of_genesis(&self.0)
        } else {
            let bytes = state.blob(&hash)?.unwrap();
            SettingsSchedule::from_bytes(env.suite, &bytes).unwrap()
        };
        let mut settings = schedule.latest().settings.clone();
        settings.validators = validators;
        schedule.change(env.suite, env.height, settings).unwrap();
        let hash = state.put_blob(Domain::Settings, schedule.to_bytes())?;
        state.store(&SETTINGS_SLOT, hash)?;
        Ok(Bytes::new())
    }
}

pub(crate) struct Member {
    identity: Vec<u8>,
    key: Arc<SecretKey>,
    address: SocketAddr,
}

impl Member {
    pub(crate) fn id(&self) -> PeerId {
        self.identity().peer_id()
    }

    fn identity(&self) -> NodeIdentity {
        NodeIdentity::from_pkcs8_der(&self.identity).unwrap()
    }

    pub(crate) fn validator(&self, i: usize) -> GenesisValidator {
        GenesisValidator {
            name: format!("node{i}"),
            public_key: self.key.public_key(),
            weight: 1,
        }
    }
}

/// The first members are validators; what the others are, each test says.
pub(crate) struct Mesh {
    pub(crate) members: Vec<Member>,
    pub(crate) genesis: Arc<Genesis>,
    folder: tempfile::TempDir,
}

fn client() -> SecretKey {
    SecretKey::from_seed(Scheme::Ed25519, &[9; 32]).unwrap()
}

impl Mesh {
    pub(crate) fn new(validators: usize, count: u8, suite: Suite) -> Self {
        let members: Vec<_> = (1..=count)
            .map(|i| Member {
                identity: NodeIdentity::generate().unwrap().to_pkcs8_der().to_vec(),
                key: Arc::new(SecretKey::from_seed(suite.vote_scheme(), &[i; 32]).unwrap()),
                address: address(),
            })
            .collect();
        let account = GenesisAccount {
            balance: U256::from(1_000_000),
            ..GenesisAccount::default()
        };
        let genesis = Arc::new(Genesis {
            protocol_version: PROTOCOL_VERSION,
            chain_id: CHAIN,
            name: "light".to_owned(),
            suite,
            time: Time(1),
            parameters: ChainParameters::default(),
            validators: (0..validators).map(|i| members[i].validator(i)).collect(),
            governance: None,
            accounts: [(client().address(), account)].into(),
        });
        Self {
            members,
            genesis,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn peers(&self, full: &[usize], light: &[usize]) -> Vec<PeerSection> {
        let peer = |i: &usize, kind| PeerSection {
            id: self.members[*i].id(),
            address: self.members[*i].address.to_string(),
            name: Some(format!("node{i}")),
            kind,
        };
        let full = full.iter().map(|i| peer(i, None));
        let light = light.iter().map(|i| peer(i, Some(NodeKind::Light)));
        full.chain(light).collect()
    }

    pub(crate) async fn start(
        &self,
        i: usize,
        peers: &[PeerSection],
        reads: LightReads,
    ) -> (Node, ChainHandle) {
        let member = &self.members[i];
        let config = NetworkConfig::new(member.address, member.identity(), Vec::new());
        let node = Node::start(config).await.unwrap();
        node.admitter().set(peers).unwrap();
        let folder = self.folder.path().join(i.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let setup = ChainSetup {
            genesis: Arc::clone(&self.genesis),
            key: Some(Arc::clone(&member.key)),
            natives: NativeRegistry::new(vec![Arc::new(Changer(Arc::clone(&self.genesis)))])
                .unwrap(),
            timeouts: Timeouts::default(),
            pool: PoolLimits::default(),
            store: StoreOptions::default(),
            disk: Arc::new(OsDisk::new(&folder.join("log")).unwrap()),
            kv: Arc::new(FjallKv::open(&folder.join("kv"), &columns(), 8 << 20).unwrap()),
            verifiers: 1,
            observer: Arc::new(NoObserver),
        };
        let chain = node.add_chain(setup, &mut |_, _| {}).unwrap();
        let limits = LightLimits::default();
        node.serve_light(CHAIN, LightService { reads, limits })
            .unwrap();
        (node, chain)
    }

    /// State root of the genesis.
    fn root(&self) -> B256 {
        let natives =
            NativeRegistry::new(vec![Arc::new(Changer(Arc::clone(&self.genesis)))]).unwrap();
        let config = ExecutionConfig::from(self.genesis.as_ref());
        let changes = Executor::new(config, natives).genesis_changes(&self.genesis);
        let kv = Arc::new(MemKv::new());
        let disk = Arc::new(MemDisk::new(0));
        let suite = self.genesis.suite;
        let state = StateStore::open(kv, disk, suite, StateOptions::default()).unwrap();
        state.commit(Height::GENESIS, &changes).unwrap()
    }

    pub(crate) async fn light(&self, i: usize, peers: &[usize]) -> LightNode {
        let root = self.root();
        let member = &self.members[i];
        let network = NetworkConfig::new(member.address, member.identity(), Vec::new());
        let folder = self.folder.path().join(format!("light{i}"));
        let node = LightNode::start(LightSetup {
            genesis: Arc::clone(&self.genesis),
            network,
            disk: Arc::new(OsDisk::new(&folder).unwrap()),
            headers_kept: 0,
            genesis_root: Box::new(move || Ok(root)),
        })
        .await
        .unwrap();
        node.handle()
            .admitter()
            .set(&self.peers(peers, &[]))
            .unwrap();
        node
    }

    /// Something that has a link and says what it likes.
    pub(crate) async fn stranger(&self, i: usize, peers: &[usize]) -> Stranger {
        let member = &self.members[i];
        let peers = peers.iter().map(|i| PeerAddress {
            id: self.members[*i].id(),
            address: self.members[*i].address.to_string(),
        });
        let config = NetworkConfig::new(member.address, member.identity(), peers.collect());
        let (network, events) = hawser_network::start(config).await.unwrap();
        Stranger { network, events }
    }
}

pub(crate) struct Stranger {
    pub(crate) network: NetworkHandle,
    pub(crate) events: mpsc::Receiver<NetworkEvent>,
}

impl Stranger {
    pub(crate) async fn linked(&mut self) {
        loop {
            if let NetworkEvent::Up(_) = self.events.recv().await.unwrap() {
                return;
            }
        }
    }

    pub(crate) fn send(&self, to: PeerId, bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes).0;
        self.network.send(to, CHAIN, Lane::Bulk, bytes).unwrap();
    }

    pub(crate) fn request(&self, to: PeerId, id: u64, genesis: B256, ask: LightAsk) {
        let request = LightRequest { id, genesis, ask };
        self.send(to, encode(&PeerMessage::LightRequest(request)));
    }

    /// The next answer; everything else that arrives before it is given, too.
    pub(crate) async fn answer(&mut self) -> (LightAnswer, Vec<PeerMessage>) {
        let mut others = Vec::new();
        loop {
            let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv());
            let NetworkEvent::Message { bytes, .. } = event.await.unwrap().unwrap() else {
                continue;
            };
            match decode_exact(&bytes, 1 << 24).unwrap() {
                PeerMessage::LightAnswer(answer) => return (answer, others),
                other => others.push(other),
            }
        }
    }

    pub(crate) async fn ask(&mut self, to: PeerId, genesis: B256, ask: LightAsk) -> LightReply {
        self.request(to, 77, genesis, ask);
        let (answer, _) = self.answer().await;
        assert_eq!(answer.id, 77);
        answer.reply
    }
}

pub(crate) fn signed(nonce: u64, to: Address, value: u64, input: Bytes) -> Bytes {
    UnsignedNative {
        chain_id: CHAIN,
        signer: client().public_key(),
        ordering: Ordering::Sequential { nonce },
        gas_limit: 500_000,
        calls: vec![Call::Call {
            to,
            value: U256::from(value),
            input,
        }],
    }
    .sign(&client())
    .encode_2718()
}

pub(crate) fn transfer(nonce: u64) -> Bytes {
    signed(nonce, TARGET, 1, Bytes::new())
}

pub(crate) fn change(nonce: u64, validators: &[GenesisValidator]) -> Bytes {
    let input = Bytes::from(encode(&validators.to_vec()));
    signed(nonce, SETTINGS_ACCOUNT, 0, input)
}

pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(150);
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
