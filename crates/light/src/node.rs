//! A light node: links, the thread that follows, and the way to ask.

use std::{collections::BTreeMap, sync::Arc, thread::JoinHandle};

use hawser_ledger::Genesis;
use hawser_network::{NetworkConfig, NetworkEvent, NetworkHandle};
use hawser_node::{light::LIGHT_BODY_BYTES_MAX, replica::PeerMessage};
use hawser_primitives::{B256, ChainId, Height, decode_exact};
use hawser_storage::Disk;
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle as Task,
};

use crate::{
    Event, Follower, HeaderStore, LightHandle, LightNodeError, PeerAdmitter,
    ask::Asker,
    driver,
    handle::{Shared, View},
};

/// Events that may wait for the thread that follows.
const EVENTS_MAX: usize = 256;
/// Largest message taken from a peer, in bytes: the largest answer and its frame.
const MESSAGE_BYTES_MAX: usize = LIGHT_BODY_BYTES_MAX + 1024 * 1024;
/// Tag of [`PeerMessage::LightAnswer`].
const ANSWER_TAG: u8 = 9;

/// What a light node needs to run.
pub struct LightSetup {
    /// The chain that it trusts.
    pub genesis: Arc<Genesis>,
    /// Its links. Peers are admitted through [`LightHandle::admitter`].
    pub network: NetworkConfig,
    /// Folder of the headers.
    pub disk: Arc<dyn Disk>,
    /// Newest headers to keep; 0 for all.
    pub headers_kept: u64,
    /// Works out the state root of the genesis document; asked where no header tells it yet.
    pub genesis_root: GenesisRoot,
}

/// Works out the state root of a genesis document, or says in words why it cannot.
pub type GenesisRoot = Box<dyn FnOnce() -> Result<B256, String> + Send>;

/// A light node that runs.
pub struct LightNode {
    handle: LightHandle,
    network: NetworkHandle,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    router: Task<()>,
}

impl LightNode {
    /// Opens the headers and the links, and begins to follow.
    ///
    /// # Errors
    /// [`LightNodeError`] where the folder is another chain's, or an address is taken.
    pub async fn start(setup: LightSetup) -> Result<Self, LightNodeError> {
        let LightSetup {
            genesis,
            network,
            disk,
            headers_kept,
            genesis_root,
        } = setup;
        let (store, restored) = HeaderStore::open(disk, &genesis, headers_kept)?;
        let first = match &restored.tip {
            Some(_) => None,
            None => {
                let root = genesis_root().map_err(LightNodeError::Genesis)?;
                let block = genesis.block(root);
                Some(block.map_err(|error| LightNodeError::Genesis(error.to_string()))?)
            }
        };
        let (network, arrivals) = hawser_network::start(network).await?;
        let follower = Follower::new(restored.client, genesis.suite, restored.tip);
        let genesis_hash = genesis.hash();
        let chain = genesis.chain_id;
        let (height, _) = watch::channel(Height::GENESIS);
        let handle = LightHandle(Arc::new(Shared {
            genesis,
            genesis_hash,
            first: first.map(|block| block.header),
            store,
            asker: Asker::new(network.clone(), chain, genesis_hash),
            admitter: PeerAdmitter::new(network.clone()),
            view: RwLock::new(View::default()),
            height,
            schedule: Mutex::new(None),
            blocks: Mutex::new(BTreeMap::new()),
            turn: std::sync::atomic::AtomicUsize::new(0),
        }));
        let (events, waiting) = mpsc::channel(EVENTS_MAX);
        let (stop, stopped) = watch::channel(false);
        let thread = driver::spawn(handle.clone(), follower, waiting, stopped)?;
        let router = tokio::spawn(route(arrivals, chain, handle.clone(), events));
        Ok(Self {
            handle,
            network,
            stop,
            thread,
            router,
        })
    }

    /// Access for interfaces.
    #[must_use]
    pub const fn handle(&self) -> &LightHandle {
        &self.handle
    }

    /// The links.
    #[must_use]
    pub const fn network(&self) -> &NetworkHandle {
        &self.network
    }

    /// Resolves with the reason when the node follows no further by its own fault.
    pub async fn failed(&self) -> String {
        loop {
            if let Some(reason) = self.handle.0.view.read().failed.clone() {
                return reason;
            }
            if self.thread.is_finished() {
                return LightNodeError::Panicked.to_string();
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// Stops. Every header that was shown is on the disk already.
    ///
    /// # Errors
    /// [`LightNodeError::Panicked`] where the thread ended by a fault.
    pub async fn stop(self) -> Result<(), LightNodeError> {
        self.stop.send_replace(true);
        self.network.shutdown().await;
        self.router.abort();
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await;
        match joined {
            Ok(Ok(())) => Ok(()),
            _ => Err(LightNodeError::Panicked),
        }
    }
}

/// Hands answers to whom they are for. Everything else that full nodes say is not for a light one.
async fn route(
    mut arrivals: mpsc::Receiver<NetworkEvent>,
    own: ChainId,
    handle: LightHandle,
    events: mpsc::Sender<Event>,
) {
    while let Some(arrival) = arrivals.recv().await {
        let event = match arrival {
            NetworkEvent::Up(peer) => {
                tracing::info!(%peer, name = handle.0.admitter.name(&peer).unwrap_or_default(), "link up");
                Event::Up(peer)
            }
            NetworkEvent::Down(peer, reason) => {
                tracing::info!(%peer, %reason, "link down");
                Event::Down(peer)
            }
            NetworkEvent::Message { from, chain, bytes } => {
                if chain != own || bytes.first() != Some(&ANSWER_TAG) {
                    continue;
                }
                match decode_exact::<PeerMessage>(&bytes, MESSAGE_BYTES_MAX) {
                    Ok(PeerMessage::LightAnswer(answer)) if Follower::is_own(answer.id) => {
                        Event::Answer {
                            from,
                            id: answer.id,
                            head: answer.head,
                            reply: answer.reply,
                        }
                    }
                    Ok(PeerMessage::LightAnswer(answer)) => {
                        handle.0.asker.answered(from, answer);
                        continue;
                    }
                    Ok(_) => continue,
                    Err(error) => {
                        handle.drop_peer(from, &format!("sent an answer that is none: {error}"));
                        continue;
                    }
                }
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}
