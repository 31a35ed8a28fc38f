//! Catching up by certified blocks from peers. No peer is trusted: every block carries its
//! certificate, and its execution must give the roots that later blocks certify.

use std::{collections::VecDeque, sync::Arc};

use hawser_consensus::Election as _;
use hawser_ledger::{
    VerifiedTransaction,
    mutants::{Rule, broken},
};
use hawser_network::PeerId;
use hawser_primitives::{B256, Height};

use super::{
    Action, CertifiedBlock, CheckedBlock, PeerMessage, Replica, ReplicaError, Report,
    SYNC_BLOCKS_MAX, TimerId, To,
};

/// Wait before asking for the one block that a peer is ahead: agreement usually brings it.
const GRACE_MS: u64 = 50;
/// Wait for an answer before another peer is asked, in milliseconds.
const ANSWER_MS: u64 = 1_000;
/// How long a peer's claims are not believed after it failed to send what it claimed to have.
const DISTRUST_MS: u64 = 10_000;
/// How long a peer is not asked again for blocks of which it said that it does not keep them.
const FIRST_MS: u64 = 60_000;

#[derive(Debug)]
struct Checking {
    hash: B256,
    block: CertifiedBlock,
    from: PeerId,
}

/// Why a block that a peer sent is not taken.
enum Refusal {
    /// The peer is wrong, for this reason.
    Bad(String),
    /// The block is final, and so is the one that it contradicts.
    Forked { height: Height, parent: B256 },
}

/// State of catching up.
#[derive(Debug, Default)]
pub(super) struct Sync {
    /// The highest height that a peer claims, while it is ahead.
    target: Option<Height>,
    asked: Option<PeerId>,
    timer: bool,
    queue: VecDeque<(PeerId, CertifiedBlock)>,
    checking: Option<Checking>,
    /// The first block that any peer keeps, where none keeps the one that is needed.
    missing: Option<Height>,
}

impl Sync {
    pub(super) const fn missing(&self) -> Option<Height> {
        self.missing
    }

    pub(super) const fn target(&self) -> Option<Height> {
        self.target
    }

    /// Blocks that wait, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let checking = self.checking.iter().map(|one| one.block.block.body_bytes());
        let queued = self.queue.iter().map(|(_, one)| one.block.body_bytes());
        (self.queue.len(), checking.chain(queued).sum())
    }
}

impl Replica {
    /// Takes note that `from` has decided `height`.
    pub(super) fn consider_sync(&mut self, from: PeerId, height: Height) {
        if height <= self.tip.height {
            return;
        }
        if !self.keeps_next(from) {
            return;
        }
        self.sync.target = self.sync.target.max(Some(height));
        if self.sync.asked.is_some() || self.is_sync_busy() {
            return;
        }
        // More than one block behind is no matter of patience any more, even if that has begun.
        if height > self.tip.height.next() {
            self.request_blocks(from);
        } else if !self.sync.timer {
            self.sync.timer = true;
            self.set_timer(TimerId::Sync, GRACE_MS);
        }
    }

    /// Whether a peer may have the block after the last one here, for all that it said.
    fn keeps_next(&self, peer: PeerId) -> bool {
        let next = self.tip.height.next();
        let peer = self.peers.get(&peer);
        peer.is_some_and(|peer| peer.first <= next || self.now >= peer.first_until)
    }

    fn is_sync_busy(&self) -> bool {
        self.sync.checking.is_some() || !self.sync.queue.is_empty()
    }

    fn request_blocks(&mut self, peer: PeerId) {
        if let Some(target) = self.sync.target
            && self.sync.asked.is_none()
            && target > self.tip.height.next()
        {
            self.report(Report::Syncing {
                at: self.tip.height,
                target,
            });
        }
        self.sync.asked = Some(peer);
        self.sync.timer = true;
        self.set_timer(TimerId::Sync, ANSWER_MS);
        let from = self.tip.height.next();
        let message = PeerMessage::BlocksRequest {
            from,
            count: SYNC_BLOCKS_MAX,
        };
        self.send(To::Peer(peer), false, &message);
    }

    /// Asks a peer that is ahead, another one than last time if there is one.
    pub(super) fn sync_timeout(&mut self) {
        self.sync.timer = false;
        let last = self.sync.asked.take();
        if self.is_sync_busy() || self.sync.target.is_none_or(|t| t <= self.tip.height) {
            return;
        }
        if let Some(peer) = last {
            self.distrust(peer);
        }
        let ahead: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.foreign && peer.height > self.tip.height)
            .map(|(id, _)| *id)
            .filter(|id| self.keeps_next(*id))
            .collect();
        let next = ahead
            .iter()
            .find(|id| last.is_none_or(|l| **id > l))
            .or(ahead.first());
        match next {
            Some(peer) => self.request_blocks(*peer),
            None => {
                self.sync.target = None;
                self.note_missing();
            }
        }
    }

    /// Nobody who is ahead has the next block: if some say that they no longer keep it, the
    /// operator has to know.
    fn note_missing(&mut self) {
        let next = self.tip.height.next();
        let beyond = self
            .peers
            .values()
            .filter(|peer| !peer.foreign && peer.height > self.tip.height && peer.first > next);
        let first = beyond.map(|peer| peer.first).min();
        if let Some(first) = first
            && self.sync.missing.is_none()
        {
            self.report(Report::HistoryMissing { next, first });
        }
        self.sync.missing = first;
    }

    /// A peer no longer keeps the blocks that it was asked for.
    pub(super) fn on_blocks_from(&mut self, from: PeerId, first: Height) {
        if self.sync.asked != Some(from) || self.is_sync_busy() {
            return;
        }
        self.sync.asked = None;
        self.sync.timer = false;
        self.actions.push(Action::ClearTimer(TimerId::Sync));
        let until = self.now.plus_ms(FIRST_MS);
        if first <= self.tip.height.next() {
            // It says that it has what it did not send.
            self.distrust(from);
        } else if let Some(peer) = self.peers.get_mut(&from) {
            (peer.first, peer.first_until) = (first, until);
        }
        self.sync_timeout();
    }

    /// Stops believing that a peer is ahead, for a while.
    fn distrust(&mut self, peer: PeerId) {
        let until = self.now.plus_ms(DISTRUST_MS);
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.height = Height::GENESIS;
            peer.distrusted_until = until;
        }
        let heights = self
            .peers
            .values()
            .filter(|peer| !peer.foreign)
            .map(|peer| peer.height);
        self.sync.target = heights.max().filter(|height| *height > self.tip.height);
    }

    pub(super) fn sync_peer_down(&mut self, peer: PeerId) {
        if self.sync.asked == Some(peer) {
            self.sync_timeout();
        }
    }

    pub(super) fn on_blocks(&mut self, from: PeerId, blocks: Vec<CertifiedBlock>) {
        if self.sync.asked != Some(from) || self.is_sync_busy() {
            return;
        }
        // Answered: whatever is still missing can be asked for at once.
        self.sync.asked = None;
        self.sync.timer = false;
        self.actions.push(Action::ClearTimer(TimerId::Sync));
        let wanted = usize::try_from(SYNC_BLOCKS_MAX).unwrap_or(usize::MAX);
        self.sync
            .queue
            .extend(blocks.into_iter().take(wanted).map(|block| (from, block)));
        if let Some((_, last)) = self.sync.queue.back() {
            self.sync.missing = None;
            let height = last.block.header.height;
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.height = peer.height.max(height);
            }
        } else {
            // It has not what it claimed to have; asked again at once, it would say so again.
            self.distrust(from);
            self.sync_timeout();
        }
    }

    /// Takes up the next received block if nothing stands in its way.
    pub(super) fn advance_sync(&mut self) -> Result<(), ReplicaError> {
        if self.sync.checking.is_some() {
            return Ok(());
        }
        let next = self.tip.height.next();
        // Agreement may have decided meanwhile what was asked for.
        while self
            .sync
            .queue
            .front()
            .is_some_and(|(_, b)| b.block.header.height < next)
        {
            self.sync.queue.pop_front();
        }
        // Wait until the roots that the header must carry are computed. The committee that signed
        // the block is known then, too.
        if self.roots_for(next).is_none() {
            return Ok(());
        }
        if let Some((from, block)) = self.sync.queue.pop_front() {
            match self.check_certified(&block) {
                Ok(hash) => {
                    let mut known = self.known(&block.block);
                    // What is final is verified here, whoever vouched for it.
                    for one in &mut known {
                        *one = one.take().filter(|found| !found.is_attested());
                    }
                    let body = Arc::new(block.block.clone());
                    self.sync.checking = Some(Checking { hash, block, from });
                    self.actions.push(Action::Check {
                        hash,
                        block: body,
                        known,
                    });
                }
                Err(Refusal::Forked { height, parent }) => {
                    let tip = self.tip_hash;
                    return Err(ReplicaError::Forked {
                        height,
                        parent,
                        tip,
                    });
                }
                Err(Refusal::Bad(reason)) => {
                    self.report(Report::BadMessage { from, reason });
                    self.sync.queue.clear();
                    self.distrust(from);
                    self.sync_timeout();
                }
            }
            return Ok(());
        }
        self.continue_sync();
        Ok(())
    }

    /// After the last received block: asks for more while a peer is ahead.
    fn continue_sync(&mut self) {
        let Some(target) = self.sync.target else {
            return;
        };
        if target <= self.tip.height {
            self.sync.target = None;
        } else if self.sync.asked.is_none() && !self.sync.timer {
            self.sync_timeout();
        }
    }

    fn check_certified(&self, block: &CertifiedBlock) -> Result<B256, Refusal> {
        let (header, certificate) = (&block.block.header, &block.certificate);
        let height = self.tip.height.next();
        if header.height != height {
            return Err(Refusal::Bad(format!(
                "sent block {} where {height} follows",
                header.height
            )));
        }
        let hash = header.hash(self.suite);
        if !broken(Rule::SyncCertificate) {
            if certificate.height != height || certificate.block_hash != hash {
                let reason = format!("certificate is for another block than {height}");
                return Err(Refusal::Bad(reason));
            }
            certificate
                .verify(self.genesis.chain_id, &self.rules.committee(height))
                .map_err(|error| Refusal::Bad(format!("certificate of block {height}: {error}")))?;
        }
        // A quorum stands behind it: nobody can make this up alone.
        if header.parent != self.tip_hash {
            let parent = header.parent;
            return Err(if broken(Rule::SyncCertificate) {
                Refusal::Bad("another parent".to_owned())
            } else {
                Refusal::Forked { height, parent }
            });
        }
        block
            .block
            .check_body(self.suite)
            .map_err(|error| Refusal::Bad(error.to_string()))?;
        Ok(hash)
    }

    /// Takes the verdict on a synced block; says whether it was one.
    pub(super) fn sync_checked(
        &mut self,
        hash: B256,
        result: &Result<Arc<Vec<Arc<VerifiedTransaction>>>, String>,
    ) -> Result<bool, ReplicaError> {
        let Some(checking) = self.sync.checking.take_if(|checking| checking.hash == hash) else {
            return Ok(false);
        };
        let height = checking.block.block.header.height;
        if height != self.tip.height.next() {
            // Agreement was faster.
            return Ok(false);
        }
        match result {
            Ok(transactions) => {
                let CertifiedBlock { block, certificate } = checking.block;
                let block = CheckedBlock {
                    block: Arc::new(block),
                    hash,
                    transactions: Arc::clone(transactions),
                };
                let count = block.transactions.len();
                self.pace.decided(height, self.now, count, false);
                self.watch_certificate(&certificate)?;
                self.commit(block, certificate)?;
                Ok(true)
            }
            Err(reason) => {
                let reason = format!("{reason}, sent by {}", checking.from);
                Err(ReplicaError::InvalidFinalBlock { height, reason })
            }
        }
    }
}
