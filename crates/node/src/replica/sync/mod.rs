//! Catching up by certified blocks from peers. No peer is trusted: every block carries its
//! certificate, and its execution must give the roots that later blocks certify.
//!
//! [`ask`] decides who is asked for what, [`window`] keeps what came until its turn, [`take`] proves
//! blocks and takes them up in order, [`progress`] says how fast. Rules: `docs/spec/sync.md`.

mod ask;
mod progress;
mod take;
mod window;

use std::collections::BTreeMap;

use hawser_network::PeerId;
use hawser_primitives::{Height, Time, limits};

use super::{CertifiedBlock, Replica, ReplicaError, Report, SYNC_BLOCKS_MAX};
#[cfg(test)]
pub(super) use ask::{ANSWER_MS, BLOCKS_FIRST, HEAD_MS, REQUESTS_MAX};
use ask::{Request, Source};
pub use progress::CatchUp;
use progress::Progress;
use window::{Held, Window};
pub(super) use window::{WINDOW_BLOCKS, WINDOW_BYTES};

/// Wait before asking for the one block that a peer is ahead: agreement usually brings it.
const GRACE_MS: u64 = 50;
/// How long a peer's claims are not believed after it failed to send what it claimed to have.
const DISTRUST_MS: u64 = 10_000;
/// How long a peer is not asked again for blocks of which it said that it does not keep them.
const FIRST_MS: u64 = 60_000;
/// Answers that nobody asked for, since the last one that was, after which they are reported: a few
/// may belong to questions on an earlier link.
const UNASKED_MAX: u32 = 8;

/// State of catching up.
#[derive(Debug, Default)]
pub(super) struct Sync {
    /// The highest height that a peer claims, while it is ahead.
    target: Option<Height>,
    /// Until then nobody is asked, because only one block is missing.
    grace: Option<Time>,
    /// When the timer goes off.
    timer: Option<Time>,
    requests: Vec<Request>,
    sources: BTreeMap<PeerId, Source>,
    window: Window,
    /// Fetched blocks taken up since their file was last synced.
    unsynced: u32,
    progress: Progress,
    /// When people were last told.
    said: Option<Time>,
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

    /// Blocks that wait, and what they take in memory, in bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.window.len(), self.window.bytes())
    }
}

impl Replica {
    /// How far catching up is; `None` while this node is at most a block behind.
    #[must_use]
    pub fn catching_up(&self) -> Option<CatchUp> {
        let target = self.sync.target.filter(|_| self.is_syncing())?;
        let behind = target.0.saturating_sub(self.tip.height.0);
        let (blocks_per_second, bytes_per_second, seconds_left) =
            self.sync.progress.rate(self.now, behind);
        let mut peers: Vec<_> = self.sync.requests.iter().map(|one| one.peer).collect();
        peers.sort_unstable();
        peers.dedup();
        Some(CatchUp {
            target,
            behind,
            blocks_per_second,
            bytes_per_second,
            seconds_left,
            peers,
            held: self.sync.window.len(),
            held_bytes: self.sync.window.bytes(),
        })
    }

    /// Takes note that `from` has decided `height`. [`Self::advance_sync`] asks for what is missing.
    pub(super) fn consider_sync(&mut self, from: PeerId, height: Height) {
        let next = self.tip.height.next();
        if height < next || !self.keeps(from, next) {
            return;
        }
        let idle = self.sync.target.is_none() && self.sync.window.is_empty();
        self.sync.target = self.sync.target.max(Some(height));
        // More than one block behind is no matter of patience any more, even if that has begun.
        if height > next {
            self.sync.grace = None;
        } else if idle {
            self.sync.grace = Some(self.now.plus_ms(GRACE_MS));
        }
    }

    /// Whether a peer may have a block, for all that it said of what it keeps.
    fn keeps(&self, peer: PeerId, height: Height) -> bool {
        let peer = self.peers.get(&peer);
        peer.is_some_and(|peer| peer.first <= height || self.now >= peer.first_until)
    }

    /// The timer went off; `advance_sync` looks after every event.
    pub(super) const fn sync_timeout(&mut self) {
        self.sync.timer = None;
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

    /// Takes the request that an answer beginning with a height is for, the oldest one if the height
    /// is not known. An answer that nobody asked for is let pass a few times.
    fn answered_request(&mut self, from: PeerId, first: Option<Height>) -> Option<Request> {
        let is_it = |one: &Request| one.peer == from && first.is_none_or(|first| one.is_for(first));
        if let Some(at) = self.sync.requests.iter().position(is_it) {
            return Some(self.sync.requests.remove(at));
        }
        let source = self.sync.sources.entry(from).or_default();
        // Later than it was waited for, and welcome.
        if let Some(request) = source.given_up.take_if(|one| is_it(&*one)) {
            return Some(request);
        }
        source.unasked = source.unasked.saturating_add(1);
        if source.unasked > UNASKED_MAX {
            let reason = "sent blocks that it was not asked for".to_owned();
            self.report(Report::BadMessage { from, reason });
        }
        None
    }

    /// A peer no longer keeps the blocks that it was asked for.
    pub(super) fn on_blocks_from(&mut self, from: PeerId, first: Height) {
        let Some(asked) = self.answered_request(from, None) else {
            return;
        };
        let until = self.now.plus_ms(FIRST_MS);
        if first <= asked.from {
            // It says that it has what it did not send.
            self.distrust(from);
        } else if let Some(peer) = self.peers.get_mut(&from) {
            (peer.first, peer.first_until) = (first, until);
        }
    }

    /// Stops believing that a peer is ahead, for a while.
    fn distrust(&mut self, peer: PeerId) {
        let Sync {
            requests, sources, ..
        } = &mut self.sync;
        requests.retain(|request| {
            let others = request.peer != peer;
            if !others {
                sources.entry(peer).or_default().give_up(request);
            }
            others
        });
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
        let highest = heights.max().filter(|height| *height > self.tip.height);
        self.sync.target = self.sync.target.min(highest);
    }

    pub(super) fn sync_peer_down(&mut self, peer: PeerId) {
        self.sync.requests.retain(|request| request.peer != peer);
        self.sync.sources.remove(&peer);
    }

    /// Takes in blocks, in whatever order the answers come.
    pub(super) fn on_blocks(&mut self, from: PeerId, blocks: Vec<CertifiedBlock>) {
        let Some(first) = blocks.first().map(|block| block.block.header.height) else {
            // It has not what it claimed to have; asked again at once, it would say so again.
            if self.answered_request(from, None).is_some() {
                self.distrust(from);
            }
            return;
        };
        let Some(asked) = self.answered_request(from, Some(first)) else {
            return;
        };
        match self.checked_chain(from, blocks) {
            Ok(chain) => self.keep(from, &asked, chain),
            Err(reason) => self.refuse(from, reason),
        }
    }

    /// What can be told of an answer before any of its blocks has its turn, cheaply: each block
    /// follows the one before and has a certificate for itself.
    fn checked_chain(
        &self,
        from: PeerId,
        blocks: Vec<CertifiedBlock>,
    ) -> Result<Vec<Held>, String> {
        let most = usize::try_from(SYNC_BLOCKS_MAX).unwrap_or(usize::MAX);
        let mut chain: Vec<Held> = Vec::with_capacity(blocks.len().min(most));
        for block in blocks.into_iter().take(most) {
            let (header, certificate) = (&block.block.header, &block.certificate);
            let height = header.height;
            if let Some(before) = chain.last() {
                let follows = before.block.header.height.next();
                if height != follows || header.parent != before.hash {
                    return Err(format!("sent block {height} where {follows} follows"));
                }
            }
            if block.block.transactions.len() > limits::BLOCK_TRANSACTIONS_MAX
                || certificate.signatures.len() > limits::VALIDATORS_MAX
            {
                return Err(format!("block {height} is larger than any can be"));
            }
            let hash = header.hash(self.suite);
            chain.push(Held::new(from, hash, block));
        }
        Ok(chain)
    }

    fn keep(&mut self, from: PeerId, asked: &Request, chain: Vec<Held>) {
        let next = self.tip.height.next();
        let (mut got, mut bytes, mut last) = (0u32, 0usize, Height::GENESIS);
        for held in chain {
            got = got.saturating_add(1);
            bytes = bytes.saturating_add(held.block.body_bytes());
            last = held.block.header.height;
            self.sync.window.insert(next, held);
        }
        self.sync.missing = None;
        let ms = asked.age_ms(self.now);
        if let Some(source) = self.sync.sources.get_mut(&from) {
            source.answered(asked, got, bytes, ms);
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            // It lives up to its claims after all.
            peer.distrusted_until = Time(0);
            peer.height = peer.height.max(last);
            let claimed = peer.height;
            if last >= next {
                self.sync.target = self.sync.target.max(Some(claimed));
            }
        }
    }

    /// A peer sent what no correct peer sends.
    fn refuse(&mut self, from: PeerId, reason: String) {
        self.report(Report::BadMessage { from, reason });
        self.sync.window.drop_from(from);
        self.distrust(from);
    }

    /// Takes up the next fetched block if nothing stands in its way, and asks for what is missing.
    pub(super) fn advance_sync(&mut self) -> Result<(), ReplicaError> {
        // Agreement may have decided meanwhile what was asked for.
        self.sync.window.drop_below(self.tip.height.next());
        self.prove_ahead();
        self.take_up()?;
        self.fetch_blocks();
        Ok(())
    }
}
