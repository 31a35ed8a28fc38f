//! What a replica holds, so that bounds can be watched.

use super::{
    Replica,
    sync::{WINDOW_BLOCKS, WINDOW_BYTES},
};

/// 2^20 bytes.
const MEGABYTE: usize = 1024 * 1024;

/// Sizes of everything that peers and clients can make a replica hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Transactions in the pool.
    pub pool: usize,
    /// Bytes of them.
    pub pool_bytes: usize,
    /// Blocks that are looked at for the next height.
    pub candidates: usize,
    /// Bytes of their bodies, and of parts of bodies that are put together.
    pub candidate_bytes: usize,
    /// Bodies that are rebuilt from references, or came early.
    pub drafts: usize,
    /// Bytes that came for them.
    pub draft_bytes: usize,
    /// Batches that wait for attestations, and attestations that wait for batches.
    pub batches: usize,
    /// Bytes of those batches.
    pub batch_bytes: usize,
    /// Synced blocks that wait.
    pub synced: usize,
    /// What they take in memory, in bytes.
    pub synced_bytes: usize,
    /// Bytes of transactions remembered although the pool refused them, or to be sent again.
    pub remembered_bytes: usize,
    /// Hashes of transactions that were passed on.
    pub passed: usize,
    /// Messages that this validator signed at heights that are not decided.
    pub signed: usize,
    /// Peers.
    pub peers: usize,
    /// Roots of executed blocks.
    pub roots: usize,
}

impl Sizes {
    /// The most that a replica with `peers` peers may hold, whatever these send, with the default
    /// bounds of the pool. Sources: AG-22, AG-23, DI-70, SY-13, and the constants that those name.
    #[must_use]
    pub const fn bounds(peers: usize) -> Self {
        Self {
            pool: 100_000,
            pool_bytes: 128 * MEGABYTE,
            candidates: 64,
            // Four blocks under way of each peer, at 133 parts of 64 KiB, and the candidates.
            candidate_bytes: (4 * peers + 64) * 133 * 65_536,
            drafts: 8 + 16,
            draft_bytes: 8 * 9 * MEGABYTE + 16 * MEGABYTE,
            batches: 256 + 64 * peers,
            batch_bytes: 33 * MEGABYTE,
            synced: WINDOW_BLOCKS as usize,
            // The next block may come on top, with what its transactions and signatures take.
            synced_bytes: WINDOW_BYTES + 12 * MEGABYTE,
            remembered_bytes: 13 * MEGABYTE,
            passed: 2 * 32_768,
            signed: 4_096,
            peers,
            roots: 64,
        }
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let (mine, theirs) = (self.list(), other.list());
        let mut all = mine
            .into_iter()
            .zip(theirs)
            .map(|((_, a), (_, b))| a.max(b));
        let mut next = || all.next().unwrap_or_default();
        Self {
            pool: next(),
            pool_bytes: next(),
            candidates: next(),
            candidate_bytes: next(),
            drafts: next(),
            draft_bytes: next(),
            batches: next(),
            batch_bytes: next(),
            synced: next(),
            synced_bytes: next(),
            remembered_bytes: next(),
            passed: next(),
            signed: next(),
            peers: next(),
            roots: next(),
        }
    }

    /// Names and values, in the order of the fields.
    #[must_use]
    pub const fn list(&self) -> [(&'static str, usize); 15] {
        [
            ("pool", self.pool),
            ("pool_bytes", self.pool_bytes),
            ("candidates", self.candidates),
            ("candidate_bytes", self.candidate_bytes),
            ("drafts", self.drafts),
            ("draft_bytes", self.draft_bytes),
            ("batches", self.batches),
            ("batch_bytes", self.batch_bytes),
            ("synced", self.synced),
            ("synced_bytes", self.synced_bytes),
            ("remembered_bytes", self.remembered_bytes),
            ("passed", self.passed),
            ("signed", self.signed),
            ("peers", self.peers),
            ("roots", self.roots),
        ]
    }

    /// The first that is above its bound, in words.
    #[must_use]
    pub fn above(&self, bounds: &Self) -> Option<String> {
        let mut all = self.list().into_iter().zip(bounds.list());
        let over = all.find(|((_, found), (_, bound))| found > bound);
        over.map(|((name, found), (_, bound))| format!("{name} is {found}, over {bound}"))
    }
}

impl Replica {
    /// What this replica holds now.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let (candidates, candidate_bytes) = self.candidates.size();
        let (drafts, draft_bytes) = self.drafts.size();
        let (batches, batch_bytes) = self.batches.size();
        let (synced, synced_bytes) = self.sync.size();
        Sizes {
            pool: self.pool.len(),
            pool_bytes: self.pool.bytes(),
            candidates,
            candidate_bytes,
            drafts,
            draft_bytes,
            batches,
            batch_bytes,
            synced,
            synced_bytes,
            remembered_bytes: self.spare.bytes().saturating_add(self.introduced.bytes()),
            passed: self.passed.len(),
            signed: self.own.len(),
            peers: self.peers.len(),
            roots: self.roots.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sizes;

    #[test]
    fn what_is_above_its_bound_is_named_and_what_is_at_it_is_not() {
        let bounds = Sizes::bounds(3);
        assert_eq!(bounds.above(&bounds), None);
        let over = Sizes {
            signed: bounds.signed + 1,
            ..Sizes::default()
        };
        assert_eq!(
            over.above(&bounds).as_deref(),
            Some("signed is 4097, over 4096")
        );
        assert_eq!(over.max(bounds).signed, over.signed);
    }
}
