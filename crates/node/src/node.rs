//! A node: one mesh of peers, any number of chains.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hawser_network::{NetworkConfig, NetworkEvent, NetworkHandle, PeerId};
use hawser_primitives::{ChainId, Height};
use parking_lot::RwLock;
use thiserror::Error;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    chain::{self, Chain, ChainError, ChainHandle, ChainSetup, Input},
    config::{NodeKind, PeerSection},
    light::{LightPeers, LightServer, LightService, Received},
    peers::{self, PeerNames},
    replica::Event,
    snapshot::{
        ANSWER_TAG, JoinInput, JoinSetup, REQUEST_TAG, SnapshotError, SnapshotServer,
        SnapshotService, fetch,
    },
};

/// Frames of peers that may wait for a chain that joins: each is a chunk at most, and no more are
/// asked for at a time.
const JOIN_INPUTS_MAX: usize = 12;

/// Why a node or one of its chains cannot start or stop.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The links.
    #[error(transparent)]
    Network(#[from] hawser_network::NetworkError),
    /// A chain.
    #[error("chain {id}: {source}")]
    Chain {
        /// Which.
        id: ChainId,
        /// Why.
        source: Box<ChainError>,
    },
    /// Started twice.
    #[error("chain {0} runs on this node already")]
    AlreadyRuns(ChainId),
    /// Not hosted.
    #[error("chain {0} does not run on this node")]
    NotHosted(ChainId),
    /// Fetching a snapshot.
    #[error("chain {id}: {source}")]
    Snapshot {
        /// Which.
        id: ChainId,
        /// Why.
        source: Box<SnapshotError>,
    },
}

/// Ways to the chains, and to what serves light nodes beside them.
#[derive(Default)]
struct Table {
    chains: BTreeMap<ChainId, mpsc::Sender<Input>>,
    servers: BTreeMap<ChainId, Arc<LightServer>>,
    snapshots: BTreeMap<ChainId, Arc<SnapshotServer>>,
    /// Chains that fetch a snapshot before they run.
    joining: BTreeMap<ChainId, mpsc::Sender<JoinInput>>,
}

type Routes = Arc<RwLock<Table>>;

/// Changes who may connect to a running node.
#[derive(Clone)]
pub struct Admitter {
    network: NetworkHandle,
    names: PeerNames,
    light: LightPeers,
    routes: Routes,
}

impl Admitter {
    /// Replaces the admitted peers, their names and kinds: new ones are dialled, links to missing
    /// ones are closed, and what a peer is told follows its kind at once.
    pub fn set(&self, all: &[PeerSection]) -> Result<(), NodeError> {
        let light = all.iter().filter(|one| one.kind == Some(NodeKind::Light));
        let light: BTreeSet<PeerId> = light.map(|one| one.id).collect();
        // The kinds first: a peer that is new must not be taken for a full one for a moment.
        let before = std::mem::replace(&mut *self.light.write(), light.clone());
        self.network.set_peers(peers::addresses(all))?;
        *self.names.write() = peers::names(all);
        let linked = self.network.peers().into_iter();
        let linked = linked.filter(|peer| peer.connected_since.is_some());
        for id in linked.map(|peer| peer.id) {
            let (was, is) = (before.contains(&id), light.contains(&id));
            if was != is {
                for inputs in self.routes.read().chains.values() {
                    // Full only while thousands of events wait; the link's next status mends it.
                    let _ = inputs.try_send(chain::link(id, was));
                }
            }
        }
        Ok(())
    }
}

/// A running node.
pub struct Node {
    network: NetworkHandle,
    names: PeerNames,
    light: LightPeers,
    routes: Routes,
    chains: RwLock<BTreeMap<ChainId, Chain>>,
    router: JoinHandle<()>,
}

impl Node {
    /// Opens the links. Chains are added afterwards.
    pub async fn start(config: NetworkConfig) -> Result<Self, NodeError> {
        let (network, events) = hawser_network::start(config).await?;
        let routes = Routes::default();
        let light = LightPeers::default();
        let router = tokio::spawn(route(events, Arc::clone(&routes), Arc::clone(&light)));
        Ok(Self {
            network,
            names: PeerNames::default(),
            light,
            routes,
            chains: RwLock::default(),
            router,
        })
    }

    /// Starts a chain over the node's links. Blocks while unflushed blocks are executed again.
    pub fn add_chain(
        &self,
        setup: ChainSetup,
        progress: &mut dyn FnMut(Height, Height),
    ) -> Result<ChainHandle, NodeError> {
        let id = setup.genesis.chain_id;
        if self.chains.read().contains_key(&id) {
            return Err(NodeError::AlreadyRuns(id));
        }
        let peers = (Arc::clone(&self.names), Arc::clone(&self.light));
        let chain =
            Chain::start(setup, self.network.clone(), peers, progress).map_err(|source| {
                NodeError::Chain {
                    id,
                    source: Box::new(source),
                }
            })?;
        let (handle, inputs) = (chain.handle().clone(), chain.inputs());
        self.routes.write().chains.insert(id, inputs.clone());
        let light = self.light.read().clone();
        for peer in self.network.peers() {
            if peer.connected_since.is_some() && !light.contains(&peer.id) {
                // Full only if the chain has thousands of events to digest at its first moment.
                let _ = inputs.try_send(chain::link(peer.id, true));
            }
        }
        self.chains.write().insert(id, chain);
        Ok(handle)
    }

    /// Lets a chain answer light nodes. Without this their requests are not answered.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve_light(&self, id: ChainId, service: LightService) -> Result<(), NodeError> {
        let handle = {
            let chains = self.chains.read();
            let chain = chains.get(&id).ok_or(NodeError::NotHosted(id))?;
            chain.handle().clone()
        };
        let server = LightServer::start(handle, self.network.clone(), service);
        self.routes.write().servers.insert(id, server);
        Ok(())
    }

    /// Serves a chain's snapshots to the peers that are no light nodes.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve_snapshots(&self, id: ChainId, service: SnapshotService) -> Result<(), NodeError> {
        let genesis = {
            let chains = self.chains.read();
            let chain = chains.get(&id).ok_or(NodeError::NotHosted(id))?;
            Arc::clone(chain.handle().store().genesis())
        };
        let server = SnapshotServer::start(genesis, self.network.clone(), service);
        self.routes.write().snapshots.insert(id, server);
        Ok(())
    }

    /// Fetches a snapshot of a chain that does not run here yet into the staging folder; gives its block,
    /// or `None` when no peer offers one and the chain is to go on with blocks.
    pub async fn fetch_snapshot(&self, setup: JoinSetup) -> Result<Option<Height>, NodeError> {
        let id = setup.genesis.chain_id;
        if self.chains.read().contains_key(&id) {
            return Err(NodeError::AlreadyRuns(id));
        }
        let (inputs, waiting) = mpsc::channel(JOIN_INPUTS_MAX);
        self.routes.write().joining.insert(id, inputs);
        let light = self.light.read().clone();
        let linked = self.network.peers().into_iter();
        let linked = linked.filter(|peer| peer.connected_since.is_some());
        let linked = linked.map(|peer| peer.id).filter(|id| !light.contains(id));
        let fetched = fetch(setup, self.network.clone(), linked.collect(), waiting).await;
        self.routes.write().joining.remove(&id);
        fetched.map_err(|source| NodeError::Snapshot {
            id,
            source: Box::new(source),
        })
    }

    /// Stops one chain; the others and the links go on.
    pub fn stop_chain(&self, id: ChainId) -> Result<(), NodeError> {
        {
            let mut routes = self.routes.write();
            routes.chains.remove(&id);
            routes.servers.remove(&id);
            routes.snapshots.remove(&id);
        }
        let chain = self
            .chains
            .write()
            .remove(&id)
            .ok_or(NodeError::NotHosted(id))?;
        chain.stop().map_err(|source| NodeError::Chain {
            id,
            source: Box::new(source),
        })
    }

    /// The chains that run.
    #[must_use]
    pub fn chains(&self) -> Vec<ChainHandle> {
        self.chains
            .read()
            .values()
            .map(|chain| chain.handle().clone())
            .collect()
    }

    /// Admits and removes peers while the node runs.
    #[must_use]
    pub fn admitter(&self) -> Admitter {
        Admitter {
            network: self.network.clone(),
            names: Arc::clone(&self.names),
            light: Arc::clone(&self.light),
            routes: Arc::clone(&self.routes),
        }
    }

    /// The links.
    #[must_use]
    pub const fn network(&self) -> &NetworkHandle {
        &self.network
    }

    /// Resolves with chain and reason when a chain stops by itself.
    pub async fn failed(&self) -> (ChainId, String) {
        loop {
            let watched: Vec<_> = self
                .chains
                .read()
                .iter()
                .map(|(id, chain)| (*id, chain.failure()))
                .collect();
            for (id, failure) in &watched {
                if let Some(reason) = failure.borrow().as_ref() {
                    return (*id, reason.clone());
                }
            }
            // Chains come and go: look again now and then rather than track the set.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// Stops all chains and the links.
    pub async fn stop(self) -> Result<(), NodeError> {
        let ids: Vec<_> = self.chains.read().keys().copied().collect();
        let mut first = Ok(());
        for id in ids {
            let stopped = tokio::task::block_in_place(|| self.stop_chain(id));
            first = first.and(stopped);
        }
        self.network.shutdown().await;
        self.router.abort();
        first
    }
}

/// Hands what the links bring to the chain that it is for. Requests of light nodes go to what
/// answers them; nothing else that a light peer sends is taken, and chains do not know it as a peer.
async fn route(mut events: mpsc::Receiver<NetworkEvent>, routes: Routes, light: LightPeers) {
    while let Some(event) = events.recv().await {
        match event {
            NetworkEvent::Up(peer) if light.read().contains(&peer) => {
                tracing::debug!(%peer, "link to a light node up");
            }
            NetworkEvent::Up(peer) => {
                to_joining(&routes, peer, true).await;
                to_all(&routes, || chain::link(peer, true)).await;
            }
            NetworkEvent::Down(peer, reason) => {
                tracing::debug!(%peer, ?reason, "link down");
                to_joining(&routes, peer, false).await;
                to_all(&routes, || chain::link(peer, false)).await;
            }
            NetworkEvent::Message { from, chain, bytes } => {
                let (inputs, server, snapshots, joining) = {
                    let routes = routes.read();
                    (
                        routes.chains.get(&chain).cloned(),
                        routes.servers.get(&chain).cloned(),
                        routes.snapshots.get(&chain).cloned(),
                        routes.joining.get(&chain).cloned(),
                    )
                };
                let served = server.map(|server| server.receive(from, &bytes));
                if served == Some(Received::Request) {
                    continue;
                }
                if light.read().contains(&from) {
                    tracing::debug!(%from, "a light node sent what only full nodes say");
                    continue;
                }
                match (bytes.split_first(), snapshots, joining) {
                    (Some((&REQUEST_TAG, request)), Some(server), _) => {
                        server.receive(from, request);
                        continue;
                    }
                    (Some((&ANSWER_TAG, answer)), _, Some(joining)) => {
                        // Full: more than was asked for. What is missed is asked for again.
                        let _ = joining.try_send(JoinInput::Message(from, answer.to_vec()));
                        continue;
                    }
                    _ => {}
                }
                // A chain that does not run here is not our business.
                if let Some(inputs) = inputs {
                    let event = Event::Message {
                        from,
                        bytes: bytes.into(),
                    };
                    let _ = inputs.send(Input::Event(event)).await;
                }
            }
        }
    }
}

async fn to_joining(routes: &Routes, peer: PeerId, up: bool) {
    let all: Vec<_> = routes.read().joining.values().cloned().collect();
    for inputs in all {
        let _ = inputs.send(JoinInput::Link(peer, up)).await;
    }
}

async fn to_all(routes: &Routes, input: impl Fn() -> Input) {
    let all: Vec<_> = routes.read().chains.values().cloned().collect();
    for inputs in all {
        let _ = inputs.send(input()).await;
    }
}
