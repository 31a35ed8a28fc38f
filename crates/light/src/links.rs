//! Who is connected, who is admitted, and who was broken with.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hawser_network::{NetworkError, NetworkHandle, PeerId};
use hawser_node::{
    config::{NodeKind, PeerSection},
    peers,
};
use parking_lot::Mutex;

use crate::DroppedPeer;

/// How long a peer that sent something wrong is not dealt with.
const DROP: Duration = Duration::from_secs(600);

#[derive(Default)]
struct State {
    admitted: Vec<PeerSection>,
    dropped: BTreeMap<PeerId, (Instant, String)>,
}

/// Changes whom a light node asks. Cheap to clone.
#[derive(Clone)]
pub struct PeerAdmitter {
    network: NetworkHandle,
    state: Arc<Mutex<State>>,
}

impl PeerAdmitter {
    pub(crate) fn new(network: NetworkHandle) -> Self {
        Self {
            network,
            state: Arc::default(),
        }
    }

    /// Replaces the admitted peers. Light ones are left out: they serve nobody.
    ///
    /// # Errors
    /// [`NetworkError`] where an address is none; everything stays as it was then.
    pub fn set(&self, all: &[PeerSection]) -> Result<(), NetworkError> {
        let full = all.iter().filter(|one| one.kind != Some(NodeKind::Light));
        let mut state = self.state.lock();
        let admitted: Vec<_> = full.cloned().collect();
        self.apply(&admitted, &state.dropped)?;
        state.admitted = admitted;
        Ok(())
    }

    fn apply(
        &self,
        admitted: &[PeerSection],
        dropped: &BTreeMap<PeerId, (Instant, String)>,
    ) -> Result<(), NetworkError> {
        let wanted = admitted.iter().filter(|one| !dropped.contains_key(&one.id));
        let wanted: Vec<_> = wanted.cloned().collect();
        self.network.set_peers(peers::addresses(&wanted))
    }

    /// Breaks with a peer for a while: its link is closed. Says whether that is news.
    pub(crate) fn drop_peer(&self, peer: PeerId, reason: &str) -> bool {
        let mut state = self.state.lock();
        let entry = (Instant::now(), reason.to_owned());
        let news = state.dropped.insert(peer, entry).is_none();
        if let Err(error) = self.apply(&state.admitted, &state.dropped) {
            tracing::error!(%error, "admitted peers");
        }
        news
    }

    /// Deals again with peers whose time is over.
    pub(crate) fn forgive(&self) {
        let mut state = self.state.lock();
        let before = state.dropped.len();
        state.dropped.retain(|_, (since, _)| since.elapsed() < DROP);
        if state.dropped.len() < before
            && let Err(error) = self.apply(&state.admitted, &state.dropped)
        {
            tracing::error!(%error, "admitted peers");
        }
    }

    pub(crate) fn name(&self, peer: &PeerId) -> Option<String> {
        let state = self.state.lock();
        let one = state.admitted.iter().find(|one| one.id == *peer)?;
        one.name.clone()
    }

    pub(crate) fn admitted(&self) -> usize {
        self.state.lock().admitted.len()
    }

    pub(crate) fn dropped(&self) -> Vec<DroppedPeer> {
        let state = self.state.lock();
        let name = |id: &PeerId| {
            let one = state.admitted.iter().find(|one| one.id == *id)?;
            one.name.clone()
        };
        let all = state.dropped.iter();
        all.map(|(id, (_, reason))| DroppedPeer {
            id: *id,
            name: name(id),
            reason: reason.clone(),
        })
        .collect()
    }

    /// Connected peers, in the order of ids.
    pub(crate) fn connected(&self) -> Vec<PeerId> {
        let all = self.network.peers().into_iter();
        all.filter(|peer| peer.connected_since.is_some())
            .map(|peer| peer.id)
            .collect()
    }
}
