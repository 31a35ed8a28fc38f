//! What a replica tells of itself; nothing here changes it.

use std::sync::Arc;

use hawser_consensus::Bft;
use hawser_ledger::BlockId;
use hawser_network::PeerId;
use hawser_primitives::{Address, Height};

use super::{FEATURE_FROM, PeerMessage, Replica};
use crate::{Rules, pool::Pool};

/// How long transactions wait without a block before the chain counts as stalled, in milliseconds. Several rounds
/// without a proposer are over by then.
pub const STALLED_MS: u64 = 30_000;
/// How long a proposal from a wrong clock is news, in milliseconds.
const CLOCK_NEWS_MS: u64 = 60_000;

impl Replica {
    /// The last decided block.
    #[must_use]
    pub const fn tip(&self) -> BlockId {
        BlockId {
            height: self.tip.height,
            hash: self.tip_hash,
        }
    }

    /// The last executed height.
    #[must_use]
    pub const fn executed(&self) -> Height {
        self.executed
    }

    /// What waits for a block.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The last height that agreement decided here; later ones were fetched from peers.
    #[must_use]
    pub const fn last_agreed(&self) -> Height {
        self.agreed
    }

    /// The agreement in progress, for people who ask what it waits for.
    #[must_use]
    pub const fn agreement(&self) -> &Bft {
        &self.bft
    }

    /// The chain's rules as the last executed block left them.
    #[must_use]
    pub const fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Newest protocol version that this program runs.
    #[must_use]
    pub const fn program_version(&self) -> u32 {
        self.program_version
    }

    /// This validator's address; `None` for an observer.
    #[must_use]
    pub const fn address(&self) -> Option<Address> {
        self.address
    }

    /// By how much the time of a proposal was ahead of this node's clock, in milliseconds, if that
    /// made this node refuse one within the last minute.
    #[must_use]
    pub fn clock_behind_ms(&self) -> Option<u64> {
        let (at, by) = self.ahead?;
        (self.now.since_ms(at) <= CLOCK_NEWS_MS).then_some(by)
    }

    /// Validators that let their last turn to propose pass, so that others wait for them briefly, and how many
    /// turns in a row it were.
    pub fn late_proposers(&self) -> impl Iterator<Item = (Address, u32)> {
        self.late.turns()
    }

    /// How long the height in progress has been in progress, in milliseconds.
    #[must_use]
    pub fn deciding_for_ms(&self) -> u64 {
        self.now.since_ms(self.height_started)
    }

    /// How long transactions have waited here while no block was decided, in milliseconds, if that is so long
    /// that nobody should count on the chain.
    #[must_use]
    pub fn stalled_ms(&self) -> Option<u64> {
        let (_, since) = self.waits?;
        Some(self.now.since_ms(since)).filter(|ms| *ms > STALLED_MS)
    }

    /// Heights that connected peers are known to have reached.
    pub fn peer_heights(&self) -> impl Iterator<Item = (PeerId, Height)> {
        let known = self.peers.iter().filter(|(_, peer)| !peer.foreign);
        known.map(|(id, peer)| (*id, peer.height))
    }

    /// The first block that any peer which is ahead keeps, where none keeps the next one that this
    /// node needs.
    #[must_use]
    pub fn history_missing(&self) -> Option<Height> {
        let missing = self.sync.missing();
        missing.filter(|first| *first > self.tip.height.next())
    }

    /// What to answer a peer that asked for blocks before `first`, the first one kept here.
    #[must_use]
    pub fn no_blocks(&self, to: PeerId, first: Height) -> PeerMessage {
        let features = self.peers.get(&to).and_then(|peer| peer.features);
        if features.is_some_and(|has| has & FEATURE_FROM != 0) {
            PeerMessage::BlocksFrom { first }
        } else {
            // Programs of before take it for what it is: there is nothing to be had here.
            PeerMessage::Blocks(Vec::new())
        }
    }

    /// Whether decided blocks are being fetched from peers.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.sync
            .target()
            .is_some_and(|target| target > self.tip.height.next())
    }
}
