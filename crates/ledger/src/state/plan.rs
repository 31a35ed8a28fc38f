//! Hashes that follow from one another: planned first, then computed level by level, those of a level together.

use hawser_crypto::{HashBatch, Suite};
use hawser_primitives::B256;

use super::message::Message;

/// A hash that is known, or one that a plan will give.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hash {
    Known(B256),
    Planned(u32),
}

/// Hashes to be computed.
pub(super) struct Plan<'a> {
    suite: Suite,
    /// Each after those that it needs, with its level, which is above theirs.
    steps: Vec<(Message<'a, Hash>, u32)>,
}

/// The hashes of a plan.
pub(super) struct Solved(Vec<B256>);

impl<'a> Plan<'a> {
    pub(super) const fn new(suite: Suite) -> Self {
        Self {
            suite,
            steps: Vec::new(),
        }
    }

    pub(super) fn leaf(&mut self, path: &'a [u8; 32], value: &'a [u8]) -> Hash {
        let value = self.add(Message::Value(value), 0);
        self.add(Message::Leaf(path, value), 1)
    }

    pub(super) fn inner(&mut self, left: Hash, right: Hash) -> Hash {
        let level = self.above(left).max(self.above(right));
        self.add(Message::Inner(left, right), level)
    }

    fn above(&self, hash: Hash) -> u32 {
        let step = match hash {
            Hash::Known(_) => None,
            Hash::Planned(at) => self.steps.get(at as usize),
        };
        step.map_or(0, |(_, level)| level.saturating_add(1))
    }

    fn add(&mut self, step: Message<'a, Hash>, level: u32) -> Hash {
        let at = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        self.steps.push((step, level));
        Hash::Planned(at)
    }

    /// Computes all.
    pub(super) fn solve(self) -> Solved {
        let mut order: Vec<_> = (0u32..).zip(&self.steps).collect();
        order.sort_by_key(|(_, (_, level))| *level);
        let mut solved = Solved(vec![B256::ZERO; self.steps.len()]);
        let mut batch = HashBatch::new(self.suite);
        for level in order.chunk_by(|(_, (_, a)), (_, (_, b))| a == b) {
            for (_, (step, _)) in level {
                let message = step.map(|hash| solved.get(hash));
                message.with_parts(|domain, parts| batch.push(domain, parts));
            }
            for ((at, _), hash) in level.iter().zip(batch.finish()) {
                if let Some(place) = solved.0.get_mut(*at as usize) {
                    *place = hash;
                }
            }
        }
        solved
    }
}

impl Solved {
    pub(super) fn get(&self, hash: Hash) -> B256 {
        match hash {
            Hash::Known(hash) => hash,
            Hash::Planned(at) => self.0.get(at as usize).copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{Leaf, inner_hash, value_hash};
    use super::*;

    #[test]
    fn a_plan_gives_what_one_after_the_other_gives() {
        for suite in Suite::ALL {
            let paths: Vec<[u8; 32]> = (0..50).map(|n| [n; 32]).collect();
            let mut plan = Plan::new(suite);
            let (mut known, mut planned) = (B256::ZERO, Hash::Known(B256::ZERO));
            // As unbalanced as a tree can be: a leaf at every level.
            for path in &paths {
                let value = &path[..16];
                let leaf = Leaf {
                    path: B256::from(*path),
                    value_hash: value_hash(suite, value),
                };
                known = inner_hash(suite, &known, &leaf.hash(suite));
                let leaf = plan.leaf(path, value);
                planned = plan.inner(planned, leaf);
            }
            assert_eq!(plan.solve().get(planned), known);
        }
    }
}
