//! A committee that changes while nodes run, over real sockets and disks.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{address::address, awake::Awake};
use hawser_consensus::Timeouts;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_execution::{CallEnv, NativeContract, NativeRegistry, NativeResult, NativeState};
use hawser_ledger::{
    Call, CertifiedHeader, ChainParameters, Genesis, GenesisAccount, GenesisValidator, LightClient,
    Ordering, PROTOCOL_VERSION, SETTINGS_ACCOUNT, SETTINGS_SLOT, SettingsSchedule, UnsignedNative,
};
use hawser_network::{NetworkConfig, NodeIdentity, PeerId};
use hawser_node::{
    Node,
    chain::{ChainHandle, ChainSetup, NoObserver},
    config::PeerSection,
    pool::PoolLimits,
    store::{StoreOptions, columns},
};
use hawser_primitives::{
    Address, Bytes, ChainId, Domain, Height, Time, U256, decode_exact, encode,
};
use hawser_storage::{FjallKv, OsDisk};
use tokio::sync::broadcast::error::RecvError;

const CHAIN: ChainId = ChainId(5);

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

struct Member {
    identity: Vec<u8>,
    key: Arc<SecretKey>,
    address: SocketAddr,
}

impl Member {
    fn id(&self) -> PeerId {
        NodeIdentity::from_pkcs8_der(&self.identity)
            .unwrap()
            .peer_id()
    }

    fn validator(&self, i: usize) -> GenesisValidator {
        GenesisValidator {
            name: format!("node{i}"),
            public_key: self.key.public_key(),
            weight: 1,
        }
    }
}

struct Mesh {
    members: Vec<Member>,
    genesis: Arc<Genesis>,
    folder: tempfile::TempDir,
}

fn client() -> SecretKey {
    SecretKey::from_seed(Scheme::Ed25519, &[9; 32]).unwrap()
}

impl Mesh {
    /// Five nodes, of which the first four are validators.
    fn new(suite: Suite) -> Self {
        let members: Vec<_> = (1u8..=5)
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
            name: "changing".to_owned(),
            suite,
            time: Time(1),
            parameters: ChainParameters::default(),
            validators: (0..4).map(|i| members[i].validator(i)).collect(),
            governance: None,
            accounts: [(client().address(), account)].into(),
        });
        Self {
            members,
            genesis,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn peers(&self, which: &[usize]) -> Vec<PeerSection> {
        let peer = |i: &usize| PeerSection {
            id: self.members[*i].id(),
            address: self.members[*i].address.to_string(),
            name: Some(format!("node{i}")),
            kind: None,
        };
        which.iter().map(peer).collect()
    }

    async fn start(&self, i: usize, peers: &[usize]) -> (Node, ChainHandle) {
        let member = &self.members[i];
        let identity = NodeIdentity::from_pkcs8_der(&member.identity).unwrap();
        let config = NetworkConfig::new(member.address, identity, Vec::new());
        let node = Node::start(config).await.unwrap();
        node.admitter().set(&self.peers(peers)).unwrap();
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
        (node, chain)
    }
}

fn signed(nonce: u64, to: Address, value: u64, input: Bytes) -> Bytes {
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

fn transfer(nonce: u64) -> Bytes {
    signed(nonce, Address::repeat_byte(0x77), 1, Bytes::new())
}

fn change(nonce: u64, validators: &[GenesisValidator]) -> Bytes {
    let input = Bytes::from(encode(&validators.to_vec()));
    signed(nonce, SETTINGS_ACCOUNT, 0, input)
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Everything that a light client needs leads from genesis to the newest certified header.
fn check_light(chain: &ChainHandle, genesis: &Genesis, changes: usize) {
    let store = chain.store();
    let (header, certificate) = store.certified(store.head().id().height).unwrap().unwrap();
    let steps = store.committee_changes(header.height).unwrap();
    assert_eq!(steps.len(), changes);
    let certified = CertifiedHeader {
        header,
        certificate,
    };
    let mut light = LightClient::new(genesis).unwrap();
    assert!(light.verify_header(&certified).is_err());
    for step in &steps {
        light.follow(step).unwrap();
    }
    light.verify_header(&certified).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_is_replaced_under_load_without_a_pause() {
    let mesh = Mesh::new(Suite::Intl);
    let mut nodes = Vec::new();
    let mut chains = Vec::new();
    // The fifth is unknown to the others at first.
    for i in 0..5 {
        let peers: &[usize] = if i < 4 {
            &[0, 1, 2, 3]
        } else {
            &[0, 1, 2, 3, 4]
        };
        let (node, chain) = mesh.start(i, peers).await;
        nodes.push(node);
        chains.push(chain);
    }
    let hash = chains[1].submit(transfer(0)).await.unwrap();
    until("the four have it", || {
        let has = |c: &ChainHandle| c.store().position(&hash).unwrap().is_some();
        chains[..4].iter().all(has)
    })
    .await;
    assert_eq!(chains[4].store().head().id().height, Height::GENESIS);
    // Admitted while everything runs.
    for node in &nodes {
        node.admitter().set(&mesh.peers(&[0, 1, 2, 3, 4])).unwrap();
    }
    until("the fifth follows", || {
        chains[4].store().position(&hash).unwrap().is_some()
    })
    .await;

    // Load, and in the middle of it the change: node 4 for node 0.
    let mut blocks = chains[2].subscribe_blocks();
    // Pauses before blocks, by height, until a block without transactions after the change. Only time in which this
    // process runs counts: the machine may stand still as well.
    let awake = Awake::start(Duration::from_millis(2), Duration::from_millis(200));
    let gaps = tokio::spawn(async move {
        let (mut last, mut gaps, mut from) = (awake.elapsed(), Vec::new(), None);
        loop {
            let block = match blocks.recv().await {
                Ok(block) => block,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => break,
            };
            let height = block.id().height;
            gaps.push((height, awake.elapsed() - last));
            last = awake.elapsed();
            if block.settings.validators.iter().all(|v| v.name != "node0") {
                from.get_or_insert(height);
                if block.transactions.is_empty() {
                    break;
                }
            }
        }
        (gaps, from.unwrap())
    });
    let new: Vec<_> = (1..5).map(|i| mesh.members[i].validator(i)).collect();
    let started = Instant::now();
    let mut changed = None;
    let mut nonce = 1;
    while started.elapsed() < Duration::from_secs(4) {
        let now = changed.is_none() && started.elapsed() > Duration::from_secs(1);
        let raw = if now {
            change(nonce, &new)
        } else {
            transfer(nonce)
        };
        let hash = chains[1].submit(raw).await.unwrap();
        if now {
            changed = Some(hash);
        }
        nonce += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    until("all have the change and what followed", || {
        chains.iter().all(|c| {
            let head = c.store().head();
            head.settings.validators == new && c.store().certified_state_height() > Height(0)
        })
    })
    .await;
    let (gaps, from) = gaps.await.unwrap();
    let at_change = |height: &Height| height.0 + 3 >= from.0 && height.0 <= from.0 + 10;
    let longest = |change: bool| {
        let some = gaps
            .iter()
            .filter(|(height, _)| at_change(height) == change);
        some.map(|(_, gap)| *gap).max().unwrap()
    };
    let (there, elsewhere) = (longest(true), longest(false));
    println!("longest pause between blocks: {there:?} at the change, {elsewhere:?} elsewhere");
    // A busy machine pauses anywhere.
    assert!(there < Duration::from_secs(1).max(2 * elsewhere));

    // Node 0 has no vote any more and is not needed; node 4 is.
    let last = chains[1].submit(transfer(nonce)).await.unwrap();
    until("all five have it", || {
        let has = |c: &ChainHandle| c.store().position(&last).unwrap().is_some();
        chains.iter().all(has)
    })
    .await;
    let set = chains[0]
        .store()
        .committee(chains[0].store().head().id().height);
    assert!(set.unwrap().get(&mesh.members[0].key.address()).is_none());
    let status = chains[0].status().await.unwrap();
    assert_eq!(status.validator, None);
    assert!(chains[4].status().await.unwrap().validator.is_some());
    let names: Vec<_> = status.peers.iter().filter_map(|p| p.name.clone()).collect();
    assert_eq!(names.len(), 4);
    for chain in &chains {
        check_light(chain, &mesh.genesis, 1);
    }
    let first = nodes.remove(0);
    drop((chains.remove(0), first.stop().await.unwrap()));
    let hash = chains[0].submit(transfer(nonce + 1)).await.unwrap();
    until("the new committee decides alone", || {
        let has = |c: &ChainHandle| c.store().position(&hash).unwrap().is_some();
        chains.iter().all(has)
    })
    .await;

    // A restart finds the same committee.
    drop(chains);
    for node in nodes {
        node.stop().await.unwrap();
    }
    let mut again = Vec::new();
    for i in 1..5 {
        again.push(mesh.start(i, &[0, 1, 2, 3, 4]).await);
    }
    let hash = again[3].1.submit(transfer(nonce + 2)).await.unwrap();
    until("the restarted committee decides", || {
        let has = |(_, c): &(Node, ChainHandle)| c.store().position(&hash).unwrap().is_some();
        again.iter().all(has)
    })
    .await;
    for (node, chain) in again {
        check_light(&chain, &mesh.genesis, 1);
        drop(chain);
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_chain_puts_a_change_into_effect_by_itself() {
    let mesh = Mesh::new(Suite::Sm);
    let all = [0, 1, 2, 3, 4];
    let mut running = Vec::new();
    for i in 0..5 {
        running.push(mesh.start(i, &all).await);
    }
    let new: Vec<_> = (0..5).map(|i| mesh.members[i].validator(i)).collect();
    let hash = running[0].1.submit(change(0, &new)).await.unwrap();
    until("the fifth is a member everywhere", || {
        running
            .iter()
            .all(|(_, c)| c.store().head().settings.validators == new)
    })
    .await;
    let made = running[0].1.store().position(&hash).unwrap().unwrap();
    let from = Height(made.height.0 + hawser_ledger::SETTINGS_DELAY);
    // And then it is idle again.
    until("it is in effect everywhere", || {
        running
            .iter()
            .all(|(_, c)| c.store().stored_height() >= from)
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (_, chain) in &running {
        assert_eq!(chain.store().stored_height(), from);
    }
}
