//! Sets: many digests under one root.

use alloy_primitives::keccak256;
use alloy_sol_types::SolValue;
use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::{HashBatch, Suite};
use hawser_ledger::merkle::{self, MerkleProof, MerkleTree};
use hawser_primitives::{
    Address, B256, DecodeError, Domain, Height, Time, U256, decode_exact, encode,
    limits::EVIDENCE_SET_MAX,
};
use serde::{Deserialize, Serialize};

use super::Algorithm;

/// Longest encoded set, in bytes; what the limits of its fields add up to, with room.
const STORED_BYTES_MAX: usize = 2_048;
/// Keeps these slots apart from those of records.
const SLOT_TAG: &[u8] = b"hawser.evidence.set";
/// Leaves hashed in one search for the digests of a set, so that call data made to look like them
/// many times costs little.
const SEARCH_LEAVES_MAX: usize = 8 * EVIDENCE_SET_MAX;

/// What an owner registers as a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestSet {
    /// Number of the [`Algorithm`] of all digests.
    pub algorithm: u8,
    /// The digests, one after another.
    pub digests: Vec<u8>,
    /// Media type of the contents, at most [`super::MEDIA_TYPE_BYTES_MAX`] bytes.
    pub media_type: String,
    /// For people, at most [`super::DESCRIPTION_BYTES_MAX`] bytes.
    pub description: String,
    /// The owner's particulars as the owner encrypted them, at most
    /// [`super::SEALED_OWNER_BYTES_MAX`] bytes.
    pub sealed_owner: Vec<u8>,
}

/// A set as the chain keeps it. The digests are in the call data of its transaction.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredSet {
    /// Account or contract that registered it.
    pub owner: Address,
    /// Time of the block.
    pub time: Time,
    /// Height of the block.
    pub height: Height,
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// Number of the [`Algorithm`] of all digests.
    pub algorithm: u8,
    /// Number of digests, at most [`EVIDENCE_SET_MAX`].
    pub count: u32,
    /// Root of the tree over the digests, see [`set_leaves`].
    pub root: B256,
    /// Media type of the contents.
    pub media_type: String,
    /// For people.
    pub description: String,
    /// The owner's particulars, encrypted.
    pub sealed_owner: Vec<u8>,
}

/// Id of a set: Keccak-256 of the Solidity ABI encoding of owner, algorithm and root. It is never a
/// record's, which is over more bytes.
#[must_use]
pub fn set_id(owner: Address, algorithm: u8, root: &B256) -> B256 {
    keccak256((owner, U256::from(algorithm), *root).abi_encode_params())
}

/// The storage slot that holds a set's hash: Keccak-256 of the id and the bytes
/// `hawser.evidence.set`.
#[must_use]
pub fn set_slot(id: &B256) -> B256 {
    keccak256([id.as_slice(), SLOT_TAG].concat())
}

/// Leaf of the `index`th digest: the suite's hash in the domain `EvidenceLeaf` of the index, four
/// bytes, big endian, and the digest.
#[must_use]
pub fn set_leaf(suite: Suite, index: u32, digest: &[u8]) -> B256 {
    suite.hash_domain(Domain::EvidenceLeaf, &[&index.to_be_bytes(), digest])
}

/// The leaves of a list of digests, one after another in `digests`, over which the set's tree
/// ([`merkle`]) stands; `None` where `digests` is no whole number of digests.
#[must_use]
pub fn set_leaves(suite: Suite, algorithm: Algorithm, digests: &[u8]) -> Option<Vec<B256>> {
    let parts = digests.chunks_exact(algorithm.digest_len());
    if !parts.remainder().is_empty() {
        return None;
    }
    let mut batch = HashBatch::new(suite);
    for (index, digest) in (0u32..).zip(parts) {
        batch.push(Domain::EvidenceLeaf, &[&index.to_be_bytes(), digest]);
    }
    Some(batch.finish())
}

impl DigestSet {
    /// The tree over the digests; `None` where they are no whole number of digests of a known
    /// algorithm.
    #[must_use]
    pub fn tree(&self, suite: Suite) -> Option<MerkleTree> {
        let algorithm = Algorithm::from_number(self.algorithm)?;
        let leaves = set_leaves(suite, algorithm, &self.digests)?;
        Some(MerkleTree::new(suite, leaves))
    }

    /// Id of the set when `owner` registers it on a chain of this suite; `None` as in
    /// [`Self::tree`].
    #[must_use]
    pub fn id(&self, suite: Suite, owner: Address) -> Option<B256> {
        let root = self.tree(suite)?.root();
        Some(set_id(owner, self.algorithm, &root))
    }
}

impl StoredSet {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> B256 {
        set_id(self.owner, self.algorithm, &self.root)
    }

    /// The hash that the state holds.
    #[must_use]
    pub fn hash(&self, suite: Suite) -> B256 {
        suite.hash_domain(Domain::EvidenceSet, &[&encode(self)])
    }

    /// Reads the canonical encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_exact(bytes, STORED_BYTES_MAX)
    }

    /// Whether `digest` is number `index` of the set; `siblings` are the neighbours on its path from
    /// the leaf upwards.
    #[must_use]
    pub fn has(&self, suite: Suite, index: u32, digest: &[u8], siblings: Vec<B256>) -> bool {
        let length = Algorithm::from_number(self.algorithm).map(Algorithm::digest_len);
        let path = MerkleProof {
            index,
            count: self.count,
            siblings,
        };
        length == Some(digest.len())
            && path.root(suite, &set_leaf(suite, index, digest)) == Some(self.root)
    }

    /// Whether these are the digests of the set, all of them and in order.
    #[must_use]
    pub fn is_of(&self, suite: Suite, digests: &[u8]) -> bool {
        let Some(algorithm) = Algorithm::from_number(self.algorithm) else {
            return false;
        };
        digests.len() == self.digests_len(algorithm)
            && set_leaves(suite, algorithm, digests)
                .is_some_and(|leaves| merkle::root(suite, &leaves) == self.root)
    }

    fn digests_len(&self, algorithm: Algorithm) -> usize {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        count.saturating_mul(algorithm.digest_len())
    }

    /// The digests of the set within the bytes of its transaction. They are looked for behind
    /// their length, as the Solidity ABI writes it, so they are found in a call of the contract and
    /// in one of another contract that passes them on. `None` where they are not in there: a
    /// contract may have put them together itself.
    #[must_use]
    pub fn find_digests<'a>(&self, suite: Suite, transaction: &'a [u8]) -> Option<&'a [u8]> {
        let algorithm = Algorithm::from_number(self.algorithm)?;
        let len = self.digests_len(algorithm);
        let word = U256::from(len).to_be_bytes::<32>();
        let count = usize::try_from(self.count).ok()?.max(1);
        let mut rest = transaction;
        for _ in 0..SEARCH_LEAVES_MAX / count {
            let at = rest.windows(32).position(|window| window == word)?;
            let content = rest.get(at.saturating_add(32)..)?;
            let digests = content.get(..len)?;
            if self.is_of(suite, digests) {
                return Some(digests);
            }
            rest = rest.get(at.saturating_add(1)..)?;
        }
        None
    }
}
