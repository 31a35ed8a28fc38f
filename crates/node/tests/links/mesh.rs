//! Nodes in one process over real sockets and disks.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::address::address;
use hawser_consensus::Timeouts;
use hawser_crypto::{Scheme, SecretKey, Suite};
use hawser_ledger::{
    Call, ChainParameters, Genesis, GenesisAccount, GenesisValidator, Ordering, PROTOCOL_VERSION,
    UnsignedNative, state::StateRead,
};
use hawser_network::{NetworkConfig, NodeIdentity, PeerAddress};
use hawser_node::{
    Node,
    chain::{ChainHandle, ChainSetup, NoObserver},
    pool::PoolLimits,
    store::{StoreOptions, columns},
};
use hawser_primitives::{Address, Bytes, ChainId, Height, Time, U256};
use hawser_storage::{FjallKv, OsDisk};

struct Member {
    identity: Vec<u8>,
    key: Arc<SecretKey>,
    address: SocketAddr,
}

struct Mesh {
    members: Vec<Member>,
    folder: tempfile::TempDir,
    suite: Suite,
}

fn client() -> SecretKey {
    SecretKey::from_seed(Scheme::Ed25519, &[9; 32]).unwrap()
}

impl Mesh {
    fn new(count: u8, suite: Suite) -> Self {
        let members = (0..count)
            .map(|i| Member {
                identity: NodeIdentity::generate().unwrap().to_pkcs8_der().to_vec(),
                key: Arc::new(SecretKey::from_seed(suite.vote_scheme(), &[i + 1; 32]).unwrap()),
                address: address(),
            })
            .collect();
        Self {
            members,
            folder: tempfile::tempdir().unwrap(),
            suite,
        }
    }

    fn genesis(&self, chain: u64) -> Arc<Genesis> {
        let validators = self
            .members
            .iter()
            .enumerate()
            .map(|(i, member)| GenesisValidator {
                name: format!("node{i}"),
                public_key: member.key.public_key(),
                weight: 1,
            })
            .collect();
        let balance = U256::from(1_000);
        let account = GenesisAccount {
            balance,
            ..GenesisAccount::default()
        };
        Arc::new(Genesis {
            protocol_version: PROTOCOL_VERSION,
            chain_id: ChainId(chain),
            name: format!("chain {chain}"),
            suite: self.suite,
            time: Time(1),
            parameters: ChainParameters::default(),
            validators,
            accounts: [(client().address(), account)].into(),
            governance: None,
        })
    }

    async fn start(&self, i: usize) -> Node {
        let peers = self
            .members
            .iter()
            .map(|member| PeerAddress {
                id: NodeIdentity::from_pkcs8_der(&member.identity)
                    .unwrap()
                    .peer_id(),
                address: member.address.to_string(),
            })
            .collect();
        let member = &self.members[i];
        let identity = NodeIdentity::from_pkcs8_der(&member.identity).unwrap();
        Node::start(NetworkConfig::new(member.address, identity, peers))
            .await
            .unwrap()
    }

    fn add_chain(&self, node: &Node, i: usize, chain: u64) -> ChainHandle {
        let folder = self.folder.path().join(format!("{i}/{chain}"));
        node.add_chain(self.setup(i, chain, &folder), &mut |_, _| {})
            .unwrap()
    }

    fn setup(&self, i: usize, chain: u64, folder: &Path) -> ChainSetup {
        std::fs::create_dir_all(folder).unwrap();
        ChainSetup {
            genesis: self.genesis(chain),
            key: Some(Arc::clone(&self.members[i].key)),
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
}

fn transfer(chain: u64, nonce: u64) -> Bytes {
    UnsignedNative {
        chain_id: ChainId(chain),
        signer: client().public_key(),
        ordering: Ordering::Sequential { nonce },
        gas_limit: 100_000,
        calls: vec![Call::Call {
            to: Address::repeat_byte(0x77),
            value: U256::from(1),
            input: Bytes::new(),
        }],
    }
    .sign(&client())
    .encode_2718()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn balance(handle: &ChainHandle) -> U256 {
    let head = handle.store().head().id().height;
    let state = handle.store().state(head).unwrap();
    state
        .account(&Address::repeat_byte(0x77))
        .unwrap()
        .map_or(U256::ZERO, |a| a.balance())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_agree_restart_and_go_on() {
    for suite in [Suite::Intl, Suite::Sm] {
        let mesh = Mesh::new(4, suite);
        let mut hashes = Vec::new();
        for round in 0..2u64 {
            let mut nodes = Vec::new();
            for i in 0..4 {
                nodes.push(mesh.start(i).await);
            }
            let chains: Vec<_> = nodes
                .iter()
                .enumerate()
                .map(|(i, node)| mesh.add_chain(node, i, 5))
                .collect();
            for (height, hash) in &hashes {
                let block = chains[0].store().block(*height).unwrap().unwrap();
                assert_eq!(block.hash, *hash, "the chain resumes as it was");
            }
            let hash = chains[1].submit(transfer(5, round)).await.unwrap();
            until("all executed it", || {
                chains
                    .iter()
                    .all(|c| c.store().position(&hash).unwrap().is_some())
            })
            .await;
            assert!(
                chains
                    .iter()
                    .all(|chain| balance(chain) == U256::from(round + 1))
            );
            until("its roots are certified", || {
                chains.iter().all(|c| {
                    let at = c.store().position(&hash).unwrap().unwrap().height;
                    c.store().certified_state_height() >= at
                })
            })
            .await;
            let head = chains[0].store().head().id();
            hashes.push((head.height, head.hash));
            drop(chains);
            for node in nodes {
                node.stop().await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_chain_stays_where_it_is() {
    let mesh = Mesh::new(4, Suite::Intl);
    let mut nodes = Vec::new();
    for i in 0..4 {
        nodes.push(mesh.start(i).await);
    }
    let chains: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| mesh.add_chain(node, i, 5))
        .collect();
    let hash = chains[0].submit(transfer(5, 0)).await.unwrap();
    until("settled", || {
        chains.iter().all(|c| {
            c.store()
                .position(&hash)
                .unwrap()
                .is_some_and(|p| c.store().certified_state_height() >= p.height)
        })
    })
    .await;
    let height = chains[0].store().stored_height();
    // Longer than every timer of an idle chain.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(chains[0].store().stored_height(), height);
    assert!(height <= Height(1 + 2 * ChainParameters::default().root_lag));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_chains_share_nodes_and_nothing_else() {
    let mesh = Mesh::new(4, Suite::Intl);
    let mut nodes = Vec::new();
    for i in 0..4 {
        nodes.push(mesh.start(i).await);
    }
    let first: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| mesh.add_chain(node, i, 5))
        .collect();
    let second: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| mesh.add_chain(node, i, 6))
        .collect();
    let hash = first[0].submit(transfer(5, 0)).await.unwrap();
    until("the first chain has it", || {
        first
            .iter()
            .all(|c| c.store().position(&hash).unwrap().is_some())
    })
    .await;
    assert!(
        second
            .iter()
            .all(|chain| chain.store().head().id().height == Height(0))
    );
    assert!(
        second[0].submit(transfer(5, 1)).await.is_err(),
        "a transaction of the other chain"
    );
    drop(first);
    for node in &nodes {
        tokio::task::block_in_place(|| node.stop_chain(ChainId(5))).unwrap();
    }
    let hash = second[2].submit(transfer(6, 0)).await.unwrap();
    until("the second chain goes on alone", || {
        second
            .iter()
            .all(|c| c.store().position(&hash).unwrap().is_some())
    })
    .await;
    assert!(second.iter().all(|chain| balance(chain) == U256::from(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_catches_up() {
    let mesh = Mesh::new(4, Suite::Intl);
    let mut nodes = Vec::new();
    for i in 0..3 {
        nodes.push(mesh.start(i).await);
    }
    let chains: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| mesh.add_chain(node, i, 5))
        .collect();
    let mut last = None;
    for nonce in 0..40 {
        let hash = chains[0].submit(transfer(5, nonce)).await.unwrap();
        until("executed", || {
            chains[0].store().position(&hash).unwrap().is_some()
        })
        .await;
        last = Some(hash);
    }
    let late = mesh.start(3).await;
    let chain = mesh.add_chain(&late, 3, 5);
    until("the late node has it", || {
        chain.store().position(&last.unwrap()).unwrap().is_some()
    })
    .await;
    assert_eq!(balance(&chain), U256::from(40));
}
