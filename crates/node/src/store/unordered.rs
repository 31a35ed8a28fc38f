use std::collections::{BTreeMap, BTreeSet};

use hawser_crypto::Suite;
use hawser_execution::UnorderedMark;
use hawser_primitives::{B256, Time, limits::UNORDERED_LIFETIME_MS_MAX};

use super::ExecutedBlock;

/// Unordered transactions that could still be replayed: those executed whose expiry is ahead.
///
/// A function of the chain alone: each block adds what it executed and drops what expired by its
/// own time.
#[derive(Debug, Default)]
pub(super) struct UnorderedWindow {
    digests: BTreeSet<B256>,
    expiries: BTreeMap<Time, Vec<B256>>,
}

impl UnorderedWindow {
    pub(super) fn contains(&self, digest: &B256) -> bool {
        self.digests.contains(digest)
    }

    /// Whether everything executed at `block` has expired by `now`.
    pub(super) fn is_past(block: Time, now: Time) -> bool {
        now.since_ms(block) > UNORDERED_LIFETIME_MS_MAX
    }

    /// Takes in what a block at `now` executed.
    pub(super) fn add(&mut self, now: Time, marks: &[UnorderedMark]) {
        for mark in marks {
            self.insert(mark.digest, mark.expires);
        }
        // A later block's time is at least this one's, so nothing that expired by now can pass.
        while let Some(entry) = self.expiries.first_entry() {
            if *entry.key() > now {
                break;
            }
            for digest in entry.remove() {
                self.digests.remove(&digest);
            }
        }
    }

    /// Takes in a stored block.
    pub(super) fn add_block(&mut self, suite: Suite, block: &ExecutedBlock) {
        for (transaction, receipt) in block.transactions.iter().zip(&block.result.receipts) {
            let transaction = transaction.transaction();
            if let Some(expires) = transaction.expires()
                && receipt.is_executed()
                && let Some(digest) = transaction.native_digest(suite)
            {
                self.insert(digest, expires);
            }
        }
    }

    fn insert(&mut self, digest: B256, expires: Time) {
        if self.digests.insert(digest) {
            self.expiries.entry(expires).or_default().push(digest);
        }
    }
}
