use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hawser_primitives::ChainId;

use crate::frame::CONTROL_CHAIN;
use crate::peer::Peer;
use crate::queue::Outgoing;
use crate::service::Inner;
use crate::{Counters, Lane, NetworkError, PeerAddress, PeerId, PeerStatus, SendError};

/// The way into a running network. Cheap to clone, never blocks, usable from any thread.
///
/// When the last clone is dropped the network stops.
#[derive(Clone)]
pub struct NetworkHandle {
    inner: Arc<Inner>,
    _stop: Arc<StopOnDrop>,
}

struct StopOnDrop(Arc<Inner>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl fmt::Debug for NetworkHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkHandle")
            .field("own", &self.inner.own)
            .field("local_address", &self.inner.local_address)
            .finish_non_exhaustive()
    }
}

impl NetworkHandle {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        let stop = Arc::new(StopOnDrop(Arc::clone(&inner)));
        Self { inner, _stop: stop }
    }

    /// Queues a frame for one peer. Delivered at most once, in order within its lane, and lost if
    /// the link goes down first.
    pub fn send(
        &self,
        to: PeerId,
        chain: ChainId,
        lane: Lane,
        bytes: Bytes,
    ) -> Result<(), SendError> {
        self.check(chain, &bytes)?;
        let peer = self
            .inner
            .peers
            .read()
            .get(&to)
            .cloned()
            .ok_or(SendError::NotConnected)?;
        self.push(&peer, chain, lane, bytes)
    }

    /// Queues a frame for every connected peer. Those whose queue is full miss it, which the
    /// counters show; so does a payload that [`NetworkHandle::send`] would refuse.
    pub fn broadcast(&self, chain: ChainId, lane: Lane, bytes: Bytes) {
        self.broadcast_to(chain, lane, bytes, |_| true);
    }

    /// As [`NetworkHandle::broadcast`], to those peers only that `wanted` names; to how many it was given.
    pub fn broadcast_to(
        &self,
        chain: ChainId,
        lane: Lane,
        bytes: Bytes,
        wanted: impl Fn(&PeerId) -> bool,
    ) -> usize {
        let peers: Vec<Arc<Peer>> = {
            let all = self.inner.peers.read();
            let wanted = all.iter().filter(|(id, _)| wanted(id));
            wanted.map(|(_, peer)| Arc::clone(peer)).collect()
        };
        if let Err(error) = self.check(chain, &bytes) {
            self.inner.counters.dropped_invalid.add(1);
            tracing::warn!(%error, "a frame was not broadcast");
            return 0;
        }
        // Failures are counted where it matters; peers without a link are not addressed.
        let push = |peer: &Arc<Peer>| self.push(peer, chain, lane, bytes.clone());
        peers.iter().filter(|peer| push(peer).is_ok()).count()
    }

    /// Every configured peer in the order of ids.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.inner
            .peers
            .read()
            .values()
            .map(|peer| peer.status())
            .collect()
    }

    /// Replaces the set of admitted peers while running: new ones are dialled, links to missing
    /// ones are closed, and changed addresses count from the next dial.
    pub fn set_peers(&self, peers: Vec<PeerAddress>) -> Result<(), NetworkError> {
        self.inner.set_peers(peers)
    }

    /// This node's public key.
    #[must_use]
    pub fn own_id(&self) -> PeerId {
        self.inner.own
    }

    /// Where this node listens, with the port that the operating system chose if the
    /// configuration left it open.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.inner.local_address
    }

    /// Counts since start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner.counters.snapshot()
    }

    /// Closes every link and the listening socket, and returns when all of it has ended. The
    /// channel of events ends after the last `Down`. Further calls have no effect.
    pub async fn shutdown(&self) {
        self.inner.stop();
        self.inner.idle().await;
        self.inner.gate.close().await;
    }

    fn check(&self, chain: ChainId, bytes: &Bytes) -> Result<(), SendError> {
        let max = self.inner.limits.frame_bytes_max;
        if bytes.len() > max {
            return Err(SendError::Oversize {
                len: bytes.len(),
                max,
            });
        }
        if chain == CONTROL_CHAIN {
            return Err(SendError::ReservedChain(chain));
        }
        Ok(())
    }

    fn push(&self, peer: &Peer, chain: ChainId, lane: Lane, bytes: Bytes) -> Result<(), SendError> {
        let link = peer.link().ok_or(SendError::NotConnected)?;
        let pushed = link.push(lane, Outgoing { chain, bytes });
        let dropped = match pushed {
            Ok(evicted) => evicted,
            Err(SendError::Full) => 1,
            Err(_) => 0,
        };
        if dropped > 0 {
            self.inner.counters.dropped_queue_full.add(dropped);
        }
        pushed.map(|_| ())
    }
}
