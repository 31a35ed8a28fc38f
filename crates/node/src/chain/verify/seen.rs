use std::{collections::HashMap, sync::Arc};

use hawser_ledger::{Transaction, VerifiedTransaction};
use hawser_primitives::B256;

/// What an entry takes beside the transaction and its bytes: the sender, counters of references, the table at its fullest
/// and just after it doubled.
const ENTRY_BYTES: usize = 256;

/// Transactions that were verified lately, by hash. The hash covers the signature, so what is found
/// here is valid.
#[derive(Debug)]
pub(super) struct Seen {
    young: HashMap<B256, Arc<VerifiedTransaction>>,
    old: HashMap<B256, Arc<VerifiedTransaction>>,
    /// Memory of the young ones.
    bytes: usize,
    /// Memory after which the older half is forgotten.
    bytes_max: usize,
}

impl Seen {
    /// Remembers transactions in about `bytes_max` of memory, twice as much at most.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub(super) fn get(&self, hash: &B256) -> Option<Arc<VerifiedTransaction>> {
        self.young.get(hash).or_else(|| self.old.get(hash)).cloned()
    }

    pub(super) fn insert(&mut self, transaction: &Arc<VerifiedTransaction>) {
        let bytes = memory(transaction);
        if self.bytes.saturating_add(bytes) > self.bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        if self
            .young
            .insert(transaction.hash(), Arc::clone(transaction))
            .is_none()
        {
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }
}

/// What a remembered transaction takes: a payment's own bytes are the smallest part.
fn memory(transaction: &VerifiedTransaction) -> usize {
    let raw = transaction.transaction().raw().len();
    raw.saturating_add(size_of::<Transaction>() + ENTRY_BYTES)
}

#[cfg(test)]
mod tests {
    use hawser_crypto::{Scheme, SecretKey};
    use hawser_primitives::ChainId;

    use super::*;
    use crate::testing;

    const BYTES_MAX: usize = 8 * 1024 * 1024;
    const INPUT_BYTES: usize = 100_000;

    fn transaction(nonce: u64, input: usize) -> Arc<VerifiedTransaction> {
        let key = SecretKey::from_seed(Scheme::Ed25519, &[1; 32]).unwrap();
        testing::transaction(&key, ChainId(7), nonce, input)
    }

    #[test]
    fn the_latest_are_remembered_and_the_bytes_are_bounded() {
        let mut seen = Seen::new(BYTES_MAX);
        let each = memory(&transaction(0, INPUT_BYTES));
        let half = u64::try_from(BYTES_MAX / each).unwrap();
        let mut hashes = Vec::new();
        for nonce in 0..=3 * half {
            let transaction = transaction(nonce, INPUT_BYTES);
            seen.insert(&transaction);
            // Twice the same is once.
            seen.insert(&transaction);
            hashes.push(transaction.hash());
            let held = seen.young.len() + seen.old.len();
            assert!(held * each <= 2 * BYTES_MAX, "{held} after {nonce}");
        }
        let latest = hashes.iter().rev().take(usize::try_from(half).unwrap());
        assert!(latest.copied().all(|hash| seen.get(&hash).is_some()));
        assert!(seen.get(hashes.first().unwrap()).is_none());
    }

    #[test]
    fn small_transactions_count_with_what_they_take_in_memory() {
        // A payment has some 110 bytes, and takes several times as much.
        let bytes_max = 100_000;
        let mut seen = Seen::new(bytes_max);
        for nonce in 0..1_000 {
            seen.insert(&transaction(nonce, 0));
            let held = seen.young.len() + seen.old.len();
            assert!(held * 600 <= 2 * bytes_max, "{held} after {nonce}");
        }
    }
}
