//! Observers serve others: a node that knows no validator catches up from them, over real links.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::address::address;
use crate::maker::{self, grow, open};
use hawser_consensus::Timeouts;
use hawser_execution::NativeRegistry;
use hawser_network::{NetworkConfig, NodeIdentity, PeerAddress};
use hawser_node::{
    Node,
    chain::{ChainHandle, ChainSetup, NoObserver},
    pool::PoolLimits,
    store::StoreOptions,
};
use hawser_storage::{Kv, MemDisk, MemKv};

const LENGTH: u64 = 400;

struct Member {
    identity: NodeIdentity,
    address: SocketAddr,
}

impl Member {
    fn as_peer(&self) -> PeerAddress {
        PeerAddress {
            id: self.identity.peer_id(),
            address: self.address.to_string(),
        }
    }

    async fn start(&self, peers: &[&Self]) -> Node {
        let peers = peers.iter().map(|peer| peer.as_peer()).collect();
        let config = NetworkConfig::new(self.address, self.identity.clone(), peers);
        Node::start(config).await.unwrap()
    }
}

/// Adds the chain to a node that has no vote, with what a folder holds of it.
fn follow(node: &Node, disk: MemDisk, kv: MemKv) -> ChainHandle {
    let kv: Arc<dyn Kv> = Arc::new(kv);
    let setup = ChainSetup {
        genesis: maker::genesis(),
        key: None,
        natives: NativeRegistry::new(Vec::new()).unwrap_or_default(),
        timeouts: Timeouts::default(),
        pool: PoolLimits::default(),
        store: StoreOptions::default(),
        disk: Arc::new(disk),
        kv,
        verifiers: 1,
        observer: Arc::new(NoObserver),
    };
    node.add_chain(setup, &mut |_, _| {}).unwrap()
}

/// A folder with the chain.
fn made(seed: u64) -> (MemDisk, MemKv) {
    let (disk, kv) = (MemDisk::new(seed), Arc::new(MemKv::new()));
    let on_kv: Arc<dyn Kv> = Arc::<MemKv>::clone(&kv);
    let store = open(Arc::new(disk.clone()), on_kv, StoreOptions::default()).unwrap();
    grow(&store, LENGTH).unwrap();
    store.flush().unwrap();
    drop(store);
    kv.persist().unwrap();
    (disk, kv.crash())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_knows_observers_only_catches_up_from_them() {
    let members = [(); 3].map(|()| Member {
        identity: NodeIdentity::generate().unwrap(),
        address: address(),
    });
    let late = &members[2];
    let (mut nodes, mut observers) = (Vec::new(), Vec::new());
    for (i, member) in members.iter().take(2).enumerate() {
        let (disk, kv) = made(i as u64 + 1);
        let node = member.start(&[late]).await;
        observers.push(follow(&node, disk, kv));
        nodes.push(node);
    }
    let expected = observers[0].store().head().id();
    assert_eq!(expected.height.0, LENGTH);

    let node = late.start(&[&members[0], &members[1]]).await;
    let chain = follow(&node, MemDisk::new(9), MemKv::new());
    let deadline = Instant::now() + Duration::from_secs(60);
    while chain.store().head().id() != expected {
        let head = chain.store().head().id().height;
        assert!(Instant::now() < deadline, "at block {head}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let status = chain.status().await.unwrap();
    assert!(!status.syncing && status.catch_up.is_none());
    assert_eq!(status.validator, None);
    drop((chain, observers));
    for node in nodes.into_iter().chain([node]) {
        node.stop().await.unwrap();
    }
}
