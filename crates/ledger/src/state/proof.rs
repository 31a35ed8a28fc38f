use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{B256, Bytes, DecodeError, decode_exact, encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::StateKey;
use super::message::{Leaf, inner_hash, value_hash};
use super::page::bit;
use super::store::STATE_VALUE_BYTES_MAX;

/// Levels of the tree: bits of a path.
const LEVELS_MAX: usize = 256;
/// Largest encoded proof, in bytes: a value of the largest size below 256 siblings.
pub const STATE_PROOF_BYTES_MAX: usize = STATE_VALUE_BYTES_MAX + 256 * 32 + 256;

/// Why a proof shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// It has more levels, siblings or bytes than a proof can have, or a redundant form.
    #[error("state proof is malformed: {0}")]
    Malformed(&'static str),
    /// It belongs to another key.
    #[error("state proof is about another key")]
    OtherKey,
    /// It leads to another root than the one to be proved.
    #[error("state proof leads to root {computed}, not {expected}")]
    OtherRoot {
        /// The root that the proof leads to.
        computed: B256,
        /// The root it was checked against.
        expected: B256,
    },
}

/// What a proof shows about its key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ProofEnd {
    /// The key has this value.
    Value(Bytes),
    /// The key is absent: nothing is where it would be.
    Empty,
    /// The key is absent: the leaf of another path is where it would be.
    #[serde(rename_all = "camelCase")]
    OtherLeaf {
        /// The other path.
        path: B256,
        /// Hash of the value there.
        value_hash: B256,
    },
}

/// Shows the value of a key, or its absence, under a state root.
///
/// Encoding (borsh): the end (tag, fields); the number of levels (u16); one bit for each level, the
/// root's first and highest in its byte, set where the sibling is not empty (byte vector); the
/// siblings that are not empty, the root's first (vector of 32 bytes each).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateProof {
    end: ProofEnd,
    levels: u16,
    present: Bytes,
    siblings: Vec<B256>,
}

impl StateProof {
    /// A proof from all siblings on the way, the root's first, zero where empty.
    pub(super) fn new(end: ProofEnd, all: &[B256]) -> Self {
        let mut present = vec![0u8; all.len().div_ceil(8)];
        for (level, _) in all
            .iter()
            .enumerate()
            .filter(|(_, sibling)| !sibling.is_zero())
        {
            if let Some(byte) = present.get_mut(level / 8) {
                *byte |= 0x80 >> (level % 8);
            }
        }
        let siblings = all
            .iter()
            .filter(|sibling| !sibling.is_zero())
            .copied()
            .collect();
        let levels = u16::try_from(all.len()).unwrap_or(u16::MAX);
        Self {
            end,
            levels,
            present: present.into(),
            siblings,
        }
    }

    /// What it claims about its key; only [`Self::verify`] makes it true.
    #[must_use]
    pub const fn end(&self) -> &ProofEnd {
        &self.end
    }

    /// Canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Inverse of [`Self::encode`], for at most [`STATE_PROOF_BYTES_MAX`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_exact(bytes, STATE_PROOF_BYTES_MAX)
    }

    /// Checks the proof and returns the value of `key` under `root`; `None` when it is absent.
    ///
    /// Needs no store. `root` must come from a trusted place: a header with its certificate.
    pub fn verify(
        &self,
        suite: Suite,
        root: &B256,
        key: &StateKey,
    ) -> Result<Option<Bytes>, ProofError> {
        self.verify_path(suite, root, &key.path(suite))
    }

    pub(super) fn verify_path(
        &self,
        suite: Suite,
        root: &B256,
        path: &B256,
    ) -> Result<Option<Bytes>, ProofError> {
        let levels = usize::from(self.levels);
        self.check_form(levels)?;
        let (mut node, value) = match &self.end {
            ProofEnd::Value(value) => {
                let leaf = Leaf {
                    path: *path,
                    value_hash: value_hash(suite, value),
                };
                (leaf.hash(suite), Some(value.clone()))
            }
            ProofEnd::Empty => (B256::ZERO, None),
            ProofEnd::OtherLeaf {
                path: other,
                value_hash,
            } => {
                // It excludes the key only if it is another leaf on the key's way.
                if other == path || (0..levels).any(|level| bit(other, level) != bit(path, level)) {
                    return Err(ProofError::OtherKey);
                }
                (
                    Leaf {
                        path: *other,
                        value_hash: *value_hash,
                    }
                    .hash(suite),
                    None,
                )
            }
        };
        let mut siblings = self.siblings.iter().rev();
        for level in (0..levels).rev() {
            let sibling = match self.is_present(level) {
                true => siblings.next().copied().unwrap_or_default(),
                false => B256::ZERO,
            };
            node = match bit(path, level) {
                false => inner_hash(suite, &node, &sibling),
                true => inner_hash(suite, &sibling, &node),
            };
        }
        if node != *root {
            return Err(ProofError::OtherRoot {
                computed: node,
                expected: *root,
            });
        }
        Ok(value)
    }

    /// One proof has one form; all costs are bounded before anything is hashed.
    fn check_form(&self, levels: usize) -> Result<(), ProofError> {
        if levels > LEVELS_MAX {
            return Err(ProofError::Malformed("more than 256 levels"));
        }
        if self.present.len() != levels.div_ceil(8) {
            return Err(ProofError::Malformed("the bits do not match the levels"));
        }
        let set: u32 = self.present.iter().map(|byte| byte.count_ones()).sum();
        let within = (0..levels).filter(|level| self.is_present(*level)).count();
        if set as usize != within || self.siblings.len() != within {
            return Err(ProofError::Malformed("the siblings do not match the bits"));
        }
        if self.siblings.iter().any(|sibling| sibling.is_zero()) {
            return Err(ProofError::Malformed("an empty sibling is spelt out"));
        }
        if levels > 0 && !self.is_present(levels.saturating_sub(1)) {
            return Err(ProofError::Malformed(
                "a node stands lower than it needs to",
            ));
        }
        match &self.end {
            ProofEnd::Value(value) if value.len() > STATE_VALUE_BYTES_MAX => {
                Err(ProofError::Malformed("the value is too long"))
            }
            _ => Ok(()),
        }
    }

    fn is_present(&self, level: usize) -> bool {
        self.present
            .get(level / 8)
            .is_some_and(|byte| byte & (0x80 >> (level % 8)) != 0)
    }
}
