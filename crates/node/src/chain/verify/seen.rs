use std::{collections::HashMap, sync::Arc};

use hawser_ledger::VerifiedTransaction;
use hawser_primitives::B256;

/// Bytes of raw transactions after which the older half is forgotten; twice as many are held at
/// most, some seconds' worth at full speed.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Transactions that were verified lately, by hash. The hash covers the signature, so what is found
/// here is valid.
#[derive(Debug, Default)]
pub(super) struct Seen {
    young: HashMap<B256, Arc<VerifiedTransaction>>,
    old: HashMap<B256, Arc<VerifiedTransaction>>,
    /// Bytes of the young ones.
    bytes: usize,
}

impl Seen {
    pub(super) fn get(&self, hash: &B256) -> Option<Arc<VerifiedTransaction>> {
        self.young.get(hash).or_else(|| self.old.get(hash)).cloned()
    }

    pub(super) fn insert(&mut self, transaction: &Arc<VerifiedTransaction>) {
        let bytes = transaction.transaction().raw().len();
        if self.bytes.saturating_add(bytes) > BYTES_MAX {
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

#[cfg(test)]
mod tests {
    use hawser_crypto::{Scheme, SecretKey};
    use hawser_primitives::ChainId;

    use super::*;
    use crate::testing;

    const INPUT_BYTES: usize = 100_000;

    fn transaction(nonce: u64) -> Arc<VerifiedTransaction> {
        let key = SecretKey::from_seed(Scheme::Ed25519, &[1; 32]).unwrap();
        testing::transaction(&key, ChainId(7), nonce, INPUT_BYTES)
    }

    #[test]
    fn the_latest_are_remembered_and_the_bytes_are_bounded() {
        let mut seen = Seen::default();
        let each = transaction(0).transaction().raw().len();
        let half = u64::try_from(BYTES_MAX / each).unwrap();
        let mut hashes = Vec::new();
        for nonce in 0..=3 * half {
            let transaction = transaction(nonce);
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
}
