//! Snapshots for peers.

use std::sync::{Arc, Weak};

use hawser_ledger::Genesis;
use hawser_network::{Lane, NetworkHandle, PeerId};
use hawser_primitives::{B256, Bytes, decode_exact, encode};
use tokio::sync::mpsc;

use super::{
    OFFERS_MAX, Shelf, SnapshotAnswer, SnapshotAsk, SnapshotError, SnapshotOffer, SnapshotRefusal,
    SnapshotReply, SnapshotRequest, wire::REQUEST_BYTES_MAX,
};
use crate::{
    light::{LightLimits, Meters},
    peers::PEERS_MAX,
    replica::PeerMessage,
};

/// The tag of [`PeerMessage::SnapshotRequest`].
pub(crate) const REQUEST_TAG: u8 = 19;

/// Bounds on what one peer gets of a node's snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Requests per second, and at once after a silence. Default 100 and 200.
    pub requests: (u64, u64),
    /// Bytes of answers per second, and at once after a silence; the last one may go over it. Default
    /// 64 MiB each.
    pub bytes: (u64, u64),
    /// Requests of one peer that are worked on or wait. Default 8.
    pub waiting_max: usize,
    /// Requests of all peers that wait. Default 64. One is worked on at a time.
    pub queue_max: usize,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self {
            requests: (100, 200),
            bytes: (64 * 1024 * 1024, 64 * 1024 * 1024),
            waiting_max: 8,
            queue_max: 64,
        }
    }
}

impl From<SnapshotLimits> for LightLimits {
    fn from(limits: SnapshotLimits) -> Self {
        Self {
            requests_per_s: limits.requests.0,
            requests_burst: limits.requests.1,
            bytes_per_s: limits.bytes.0,
            bytes_burst: limits.bytes.1,
            waiting_max: limits.waiting_max,
            queue_max: limits.queue_max,
            workers: 1,
        }
    }
}

/// What a chain serves to its peers.
#[derive(Clone)]
pub struct SnapshotService {
    /// Its snapshots.
    pub shelf: Shelf,
    /// How much of them.
    pub limits: SnapshotLimits,
}

struct Job {
    from: PeerId,
    request: SnapshotRequest,
}

/// One chain's snapshots, for its peers.
pub(crate) struct SnapshotServer {
    genesis: Arc<Genesis>,
    genesis_hash: B256,
    network: NetworkHandle,
    service: SnapshotService,
    meters: Meters,
    jobs: mpsc::Sender<Job>,
}

impl SnapshotServer {
    /// Starts answering; ends when the last clone of the server is dropped.
    pub(crate) fn start(
        genesis: Arc<Genesis>,
        network: NetworkHandle,
        service: SnapshotService,
    ) -> Arc<Self> {
        let (jobs, waiting) = mpsc::channel(service.limits.queue_max.max(1));
        let server = Arc::new(Self {
            genesis_hash: genesis.hash(),
            genesis,
            network,
            meters: Meters::new(service.limits.into(), PEERS_MAX),
            service,
            jobs,
        });
        tokio::spawn(work(Arc::downgrade(&server), waiting));
        server
    }

    /// Takes a request without its tag. Never waits.
    pub(crate) fn receive(&self, from: PeerId, bytes: &[u8]) {
        let id = bytes.first_chunk().map_or(0, |id| u64::from_le_bytes(*id));
        if self.meters.admit(from).is_err() {
            return self.reply(
                from,
                id,
                SnapshotReply::Refused(SnapshotRefusal::Busy),
                false,
            );
        }
        let Ok(request) = decode_exact::<SnapshotRequest>(bytes, REQUEST_BYTES_MAX) else {
            tracing::warn!(%from, "a peer asked for a snapshot in a way that cannot be read");
            let reply = SnapshotReply::Refused(SnapshotRefusal::Malformed);
            return self.reply(from, id, reply, true);
        };
        let id = request.id;
        if self.jobs.try_send(Job { from, request }).is_err() {
            self.reply(
                from,
                id,
                SnapshotReply::Refused(SnapshotRefusal::Busy),
                true,
            );
        }
    }

    fn reply(&self, to: PeerId, id: u64, reply: SnapshotReply, admitted: bool) {
        let bytes = encode(&PeerMessage::SnapshotAnswer(SnapshotAnswer { id, reply }));
        if admitted {
            self.meters.answered(to, bytes.len());
        }
        let chain = self.genesis.chain_id;
        // Gone or full: the peer asks another one.
        let _ = self
            .network
            .send(to, chain, Lane::Bulk, Bytes::from(bytes).0);
    }
}

async fn work(server: Weak<SnapshotServer>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(Job { from, request }) = jobs.recv().await {
        let Some(server) = server.upgrade() else {
            return;
        };
        let id = request.id;
        let reply = match request.genesis == server.genesis_hash {
            false => SnapshotReply::Refused(SnapshotRefusal::WrongChain),
            true => {
                let shelf = server.service.shelf.clone();
                let ask = request.ask;
                let answered = tokio::task::spawn_blocking(move || answer(&shelf, ask)).await;
                answered.unwrap_or(SnapshotReply::Refused(SnapshotRefusal::Failed))
            }
        };
        server.reply(from, id, reply, true);
    }
}

/// The answer to a question, from what is on the shelf.
fn answer(shelf: &Shelf, ask: SnapshotAsk) -> SnapshotReply {
    let answered = match ask {
        SnapshotAsk::List => offers(shelf).map(SnapshotReply::Offers),
        SnapshotAsk::Manifest { height } => shelf
            .manifest(height)
            .map(|manifest| SnapshotReply::Manifest(manifest.encode().into())),
        SnapshotAsk::Chunk { height, id } => shelf
            .whole_chunk(height, id)
            .map(|bytes| SnapshotReply::Chunk(bytes.into())),
    };
    answered.unwrap_or_else(|error| {
        SnapshotReply::Refused(match error {
            SnapshotError::NotHere(_) | SnapshotError::Missing(_) => SnapshotRefusal::NotHere,
            other => {
                tracing::error!(error = %other, "answering a peer that asked for a snapshot");
                SnapshotRefusal::Failed
            }
        })
    })
}

fn offers(shelf: &Shelf) -> Result<Vec<SnapshotOffer>, SnapshotError> {
    let facts = shelf.list()?.into_iter().take(OFFERS_MAX);
    Ok(facts
        .map(|one| SnapshotOffer {
            height: one.height,
            digest: one.digest,
        })
        .collect())
}
