//! Binary Merkle tree over an ordered list, after RFC 6962 section 2.1: a leaf and an inner node
//! hash under different domains, and a list of n leaves splits at the largest power of two below n,
//! so that no two lists share a root.

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::{HashBatch, Suite};
use hawser_primitives::{B256, Domain};
use serde::{Deserialize, Serialize};

/// Deepest path accepted: 2^32 leaves.
const DEPTH_MAX: usize = 32;

/// Hash of a leaf's bytes.
#[must_use]
pub fn leaf(suite: Suite, bytes: &[u8]) -> B256 {
    suite.hash_domain(Domain::Leaf, &[bytes])
}

fn node(suite: Suite, left: &B256, right: &B256) -> B256 {
    suite.hash_domain(Domain::Node, &[left.as_slice(), right.as_slice()])
}

/// Hashes of the bytes of leaves, in order.
#[must_use]
pub fn leaves<T: AsRef<[u8]>>(suite: Suite, list: impl IntoIterator<Item = T>) -> Vec<B256> {
    let mut batch = HashBatch::new(suite);
    for bytes in list {
        batch.push(Domain::Leaf, &[bytes.as_ref()]);
    }
    batch.finish()
}

/// The level above one of a tree: a node without a neighbour moves up as it is, which gives the same tree as
/// splitting from the root.
fn above(batch: &mut HashBatch, level: &[B256]) -> Vec<B256> {
    let (pairs, alone) = level.as_chunks::<2>();
    for [left, right] in pairs {
        batch.push(Domain::Node, &[left.as_slice(), right.as_slice()]);
    }
    let mut above = batch.finish();
    above.extend_from_slice(alone);
    above
}

/// Root of a list of leaf hashes; the zero hash for the empty list.
#[must_use]
pub fn root(suite: Suite, leaves: &[B256]) -> B256 {
    match leaves {
        [] => B256::ZERO,
        [only] => *only,
        _ => {
            let mut batch = HashBatch::new(suite);
            let mut level = above(&mut batch, leaves);
            while level.len() > 1 {
                level = above(&mut batch, &level);
            }
            level.first().copied().unwrap_or_default()
        }
    }
}

/// The largest power of two below `n`, for n ≥ 2.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

/// Path from a leaf to the root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MerkleProof {
    /// Position of the leaf, from 0.
    pub index: u32,
    /// Number of leaves under the root.
    pub count: u32,
    /// Sibling hashes, from the leaf upwards.
    pub siblings: Vec<B256>,
}

impl MerkleProof {
    /// Builds the proof of `leaves[index]`; `None` when there is no such leaf.
    #[must_use]
    pub fn build(suite: Suite, leaves: &[B256], index: usize) -> Option<Self> {
        if index >= leaves.len() {
            return None;
        }
        let mut siblings = Vec::new();
        let (mut slice, mut at) = (leaves, index);
        while slice.len() > 1 {
            let (left, right) = slice.split_at(split(slice.len()));
            if at < left.len() {
                siblings.push(root(suite, right));
                slice = left;
            } else {
                siblings.push(root(suite, left));
                at -= left.len();
                slice = right;
            }
        }
        siblings.reverse();
        Some(Self {
            index: u32::try_from(index).ok()?,
            count: u32::try_from(leaves.len()).ok()?,
            siblings,
        })
    }

    /// The root that `leaf` has under this path; `None` when the path does not fit its own index
    /// and count.
    #[must_use]
    pub fn root(&self, suite: Suite, leaf: &B256) -> Option<B256> {
        if self.index >= self.count || self.siblings.len() > DEPTH_MAX {
            return None;
        }
        // Which side each sibling stands on follows from index and count, from the root downwards.
        let mut sides = Vec::with_capacity(self.siblings.len());
        let (mut at, mut n) = (self.index as usize, self.count as usize);
        while n > 1 {
            let left = split(n);
            if at < left {
                sides.push(false);
                n = left;
            } else {
                sides.push(true);
                at -= left;
                n -= left;
            }
        }
        if sides.len() != self.siblings.len() {
            return None;
        }
        let path = self.siblings.iter().zip(sides.iter().rev());
        Some(path.fold(*leaf, |hash, (sibling, on_left)| {
            if *on_left {
                node(suite, sibling, &hash)
            } else {
                node(suite, &hash, sibling)
            }
        }))
    }
}

/// A tree with all its nodes, for many paths: each takes as many steps as the tree has levels, where
/// [`MerkleProof::build`] hashes the whole list again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleTree {
    /// The leaves, then the nodes above them, level by level; the last level is the root.
    levels: Vec<Vec<B256>>,
}

impl MerkleTree {
    /// The tree over leaf hashes.
    #[must_use]
    pub fn new(suite: Suite, leaves: Vec<B256>) -> Self {
        let (mut levels, mut level) = (Vec::new(), leaves);
        let mut batch = HashBatch::new(suite);
        while level.len() > 1 {
            let above = above(&mut batch, &level);
            levels.push(std::mem::replace(&mut level, above));
        }
        levels.push(level);
        Self { levels }
    }

    /// As [`root`]: the zero hash for the empty list.
    #[must_use]
    pub fn root(&self) -> B256 {
        let top = self.levels.last().and_then(|level| level.first());
        top.copied().unwrap_or_default()
    }

    /// Number of leaves.
    #[must_use]
    pub fn count(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// As [`MerkleProof::build`]; `None` when there is no such leaf.
    #[must_use]
    pub fn proof(&self, index: usize) -> Option<MerkleProof> {
        if index >= self.count() {
            return None;
        }
        let mut at = index;
        let mut siblings = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            siblings.extend(level.get(at ^ 1));
            at /= 2;
        }
        Some(MerkleProof {
            index: u32::try_from(index).ok()?,
            count: u32::try_from(self.count()).ok()?,
            siblings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: usize) -> Vec<B256> {
        (0..n)
            .map(|i| leaf(Suite::Intl, &i.to_be_bytes()))
            .collect()
    }

    #[test]
    fn every_leaf_of_every_size_proves_and_no_other_leaf_does() {
        for suite in [Suite::Intl, Suite::Sm] {
            for n in 1..40 {
                let leaves = leaves(n);
                let expected = root(suite, &leaves);
                for i in 0..n {
                    let proof = MerkleProof::build(suite, &leaves, i).unwrap();
                    assert_eq!(proof.root(suite, &leaves[i]), Some(expected));
                    let wrong = leaf(suite, b"other");
                    assert_ne!(proof.root(suite, &wrong), Some(expected));
                    let mut moved = proof.clone();
                    moved.index = (moved.index + 1) % moved.count;
                    if n > 1 {
                        assert_ne!(moved.root(suite, &leaves[i]), Some(expected));
                    }
                }
            }
        }
    }

    #[test]
    fn a_kept_tree_has_the_root_and_the_paths_of_the_list() {
        for suite in [Suite::Intl, Suite::Sm] {
            for n in 0..70 {
                let leaves = leaves(n);
                let tree = MerkleTree::new(suite, leaves.clone());
                assert_eq!((tree.root(), tree.count()), (root(suite, &leaves), n));
                for i in 0..n {
                    assert_eq!(tree.proof(i), MerkleProof::build(suite, &leaves, i));
                }
                assert_eq!(tree.proof(n), None);
            }
        }
    }

    #[test]
    fn hostile_paths_are_refused() {
        let leaves = leaves(5);
        let mut proof = MerkleProof::build(Suite::Intl, &leaves, 2).unwrap();
        proof.siblings.push(B256::ZERO);
        assert_eq!(proof.root(Suite::Intl, &leaves[2]), None);
        proof.index = 9;
        assert_eq!(proof.root(Suite::Intl, &leaves[2]), None);
        assert_eq!(MerkleProof::build(Suite::Intl, &leaves, 5), None);
    }
}
