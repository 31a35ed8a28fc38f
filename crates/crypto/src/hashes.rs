use hawser_hash_fast::Messages;
use hawser_primitives::{B256, Domain};

use crate::Suite;

/// Messages to be hashed together: where the processor can, at a quarter of the cost of one after the other.
#[derive(Clone, Debug)]
pub struct HashBatch {
    suite: Suite,
    messages: Messages,
}

impl HashBatch {
    /// None yet.
    #[must_use]
    pub fn new(suite: Suite) -> Self {
        Self {
            suite,
            messages: Messages::default(),
        }
    }

    /// Adds what [`Suite::hash_domain`] would hash.
    pub fn push(&mut self, domain: Domain, parts: &[&[u8]]) {
        self.messages.begin(&domain.tag());
        self.messages.push(parts);
    }

    /// The hash of each, in order. The batch is empty afterwards.
    pub fn finish(&mut self) -> Vec<B256> {
        let hashes = match self.suite {
            Suite::Intl => self.messages.keccak256(),
            Suite::Sm => self.messages.sm3(),
        };
        self.messages.clear();
        hashes.into_iter().map(B256::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_what_each_gives_alone() {
        for suite in Suite::ALL {
            let mut batch = HashBatch::new(suite);
            for round in 0u8..3 {
                let list: Vec<Vec<u8>> = (0..40).map(|n| vec![round; n * 7]).collect();
                for message in &list {
                    batch.push(Domain::StateLeaf, &[message, b"end"]);
                }
                let alone =
                    |message: &Vec<u8>| suite.hash_domain(Domain::StateLeaf, &[message, b"end"]);
                assert_eq!(batch.finish(), list.iter().map(alone).collect::<Vec<_>>());
            }
            assert!(batch.finish().is_empty());
        }
    }
}
