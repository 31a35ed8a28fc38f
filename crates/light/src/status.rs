use hawser_crypto::Suite;
use hawser_network::PeerId;
use hawser_node::chain::PeerState;
use hawser_primitives::{B256, ChainId, Height};
use serde::Serialize;

use crate::handle::Shared;

/// A peer that was broken with, and why.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DroppedPeer {
    /// Its key.
    pub id: PeerId,
    /// Its name, where the operator gave one.
    pub name: Option<String>,
    /// What it sent.
    pub reason: String,
}

/// How a light node is doing, for people and monitors. The fields of a full node's status have the
/// same meaning here.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LightStatus {
    /// Always `light`.
    pub mode: &'static str,
    /// The chain.
    pub chain_id: ChainId,
    /// Its name.
    pub name: String,
    /// Hash of its genesis.
    pub genesis: B256,
    /// Its suite.
    pub suite: Suite,
    /// Last verified height.
    pub height: Height,
    /// Hash of that block; `None` where nothing tells it yet.
    pub hash: Option<B256>,
    /// The last block whose results a verified header commits to: what clients are answered for.
    pub executed: Height,
    /// Number of validators that decide the next block.
    pub validators: usize,
    /// First height whose header is kept.
    pub headers_from: Height,
    /// Connected peers and how far they claim to be.
    pub peers: Vec<PeerState>,
    /// Peers that were broken with.
    pub dropped: Vec<DroppedPeer>,
    /// A light node has no pool.
    pub pending: usize,
    /// A light node has no pool.
    pub queued: usize,
    /// Whether headers are being fetched.
    pub syncing: bool,
    /// The height that a peer claims.
    pub target: Height,
    /// Whether clients can rely on this node.
    pub ready: bool,
    /// What the node waits for, in sentences; empty when it waits for nothing.
    pub waiting: Vec<String>,
}

/// Blocks by which a node may be behind what most peers claim and still be relied upon.
const LAG_MAX: u64 = 5;

/// The state of a light node.
pub(crate) fn of(shared: &Shared) -> LightStatus {
    let view = shared.view.read().clone();
    let genesis = &shared.genesis;
    let tip = view.tip.as_ref();
    let height = tip.map_or(Height::GENESIS, |tip| tip.header.height);
    let target = target(&view.peers).max(height);
    let dropped = shared.admitter.dropped();
    let admitted = shared.admitter.admitted();
    let first = shared.first.as_ref().map(|first| first.hash(genesis.suite));
    let mut waiting = Vec::new();
    // A chain that nobody has used is followed as well as it can be.
    let mut ready = true;
    if let Some(reason) = &view.failed {
        ready = false;
        waiting.push(format!("headers cannot be kept: {reason}"));
    }
    if let Some(height) = view.forked {
        ready = false;
        waiting.push(format!(
            "two final headers for block {height} were seen: a third of the validators is faulty; \
             stop relying on this chain and compare the validators"
        ));
    }
    if view.peers.is_empty() {
        ready = false;
        waiting.push(format!(
            "links: none of {admitted} admitted peers is connected. Check that they run, that their \
             addresses are reachable, and that they admit this node as light"
        ));
    }
    if target.0 > height.0.saturating_add(LAG_MAX) {
        ready = false;
        waiting.push(format!(
            "catching up: header {height} of {target} is verified; headers are being fetched from \
             peers"
        ));
    }
    for one in &dropped {
        let name = one.name.clone().unwrap_or_else(|| one.id.to_string());
        waiting.push(format!("peer {name} was dropped: {}", one.reason));
    }
    let peers = view.peers.iter();
    LightStatus {
        mode: "light",
        chain_id: genesis.chain_id,
        name: genesis.name.clone(),
        genesis: shared.genesis_hash,
        suite: genesis.suite,
        height,
        hash: tip.map(|tip| tip.hash).or(first),
        executed: tip.map_or(Height::GENESIS, |tip| tip.header.executed.height),
        validators: view.validators,
        headers_from: shared.store.first().unwrap_or(Height::GENESIS),
        peers: peers
            .map(|(id, height)| PeerState {
                id: *id,
                name: shared.admitter.name(id),
                height: *height,
            })
            .collect(),
        dropped,
        pending: 0,
        queued: 0,
        syncing: target.0 > height.0.saturating_add(1),
        target,
        ready,
        waiting,
    }
}

/// What half of the peers claim at least: a single one cannot make the node look late.
fn target(peers: &[(PeerId, Height)]) -> Height {
    let mut heights: Vec<_> = peers.iter().map(|(_, height)| *height).collect();
    heights.sort_unstable();
    let middle = heights.len().saturating_sub(1) / 2;
    heights.get(middle).copied().unwrap_or(Height::GENESIS)
}
