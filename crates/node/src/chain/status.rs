use hawser_crypto::Suite;
use hawser_network::PeerId;
use hawser_primitives::{Address, B256, ChainId, Height, Round};
use serde::Serialize;

use super::{ProtocolState, ValidatorState};
use crate::{Words, pool::PoolCounts, replica::CatchUp};

/// A peer as one chain sees it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerState {
    /// Its key.
    pub id: PeerId,
    /// Its name, where the operator gave one.
    pub name: Option<String>,
    /// The last height that it is known to have decided.
    pub height: Height,
}

/// How a chain is doing on this node, for people and monitors.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainStatus {
    /// The chain.
    pub chain_id: ChainId,
    /// Its name.
    pub name: String,
    /// Hash of its genesis.
    pub genesis: B256,
    /// Its suite.
    pub suite: Suite,
    /// Last decided height.
    pub height: Height,
    /// Hash of that block.
    pub hash: B256,
    /// Last executed height.
    pub executed: Height,
    /// The first block of which this node keeps everything; 1 where nothing was dropped.
    pub first_height: Height,
    /// This node's validator address; `None` for an observer.
    pub validator: Option<Address>,
    /// Number of validators that decide the next block.
    pub validators: usize,
    /// Height that agreement works on; `None` while the chain is idle.
    pub deciding: Option<Height>,
    /// Its round.
    pub round: Round,
    /// Its step, in words.
    pub step: String,
    /// Validators whose votes of this round have arrived.
    pub heard: Vec<Address>,
    /// Connected peers.
    pub peers: Vec<PeerState>,
    /// What waits in the pool.
    pub pending: usize,
    /// What waits in the pool behind a gap of nonces.
    pub queued: usize,
    /// Whether blocks are being fetched from peers.
    pub syncing: bool,
    /// How far that is, while more than one block is missing.
    pub catch_up: Option<CatchUp>,
    /// Whether clients can rely on this node: it follows the chain and reaches a quorum.
    pub ready: bool,
    /// What the node waits for, in sentences; empty when it waits for nothing.
    pub waiting: Vec<String>,
    /// The same in Chinese.
    pub waiting_zh: Vec<String>,
    /// The protocol versions of the chain and of this program.
    pub protocol: ProtocolState,
    /// The validators that decide the next block, as this node knows them.
    pub validator_states: Vec<ValidatorState>,
}

impl ChainStatus {
    /// Adds what the node has to say beside the chain.
    pub(super) fn remark<'a>(&mut self, remarks: impl Iterator<Item = &'a Words>) {
        for one in remarks {
            self.waiting.push(one.en.clone());
            self.waiting_zh.push(one.zh.clone());
        }
    }

    /// Sets the pool's numbers.
    #[must_use]
    pub fn with_pool(mut self, counts: PoolCounts) -> Self {
        (self.pending, self.queued) = (counts.pending, counts.queued);
        self
    }
}
