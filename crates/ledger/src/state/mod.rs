//! The authenticated state: what a key is, how it is read, changed and committed to.
//!
//! One tree per chain holds all domains. A key's path in the tree is the suite's hash of the key, a
//! leaf binds path and value hash. Code and other large content lie outside the tree as *blobs*
//! under their hash, which a value in the tree names.

mod keys;
mod memory;
mod message;
mod page;
mod plan;
mod proof;
mod store;
mod tree;
#[cfg(test)]
mod tree_tests;
mod trunk;

pub use keys::{Account, StateKey, StorageValue};
pub use memory::MemoryState;
pub use proof::{ProofEnd, ProofError, STATE_PROOF_BYTES_MAX, StateProof};
pub use store::{
    EXPORT_LEAVES_MAX, ExportPart, PartSource, STATE_VALUE_BYTES_MAX, StateCheck, StateExport,
    StateLeaf, StateOptions, StateProgress, StateSource, StateStore, StateView, part_hash, part_of,
    parts_root,
};

use std::collections::BTreeMap;

use hawser_primitives::{B256, Bytes};
use thiserror::Error;

/// Why state could not be read or written.
#[derive(Debug, Error)]
pub enum StateError {
    /// The store failed; the node must stop and recover by restart.
    #[error("state store: {0}")]
    Store(String),
    /// What is stored is not what was written.
    #[error("state is corrupt: {0}")]
    Corrupt(String),
    /// The height is ahead of the state or no longer kept.
    #[error("state of block {height} is not kept; {kept}")]
    NotKept {
        /// Height asked for.
        height: hawser_primitives::Height,
        /// What is kept, in words.
        kept: String,
    },
    /// Heights must be committed one after another.
    #[error("state of block {got} cannot be committed; expected block {expected}")]
    Order {
        /// What would have been accepted.
        expected: hawser_primitives::Height,
        /// What was given.
        got: hawser_primitives::Height,
    },
    /// A value is longer than a key may hold.
    #[error("value of {len} bytes exceeds the limit of {max} bytes")]
    ValueSize {
        /// Its length in bytes.
        len: usize,
        /// The largest length accepted.
        max: usize,
    },
}

/// Read access to the state after some block. Implementations are cheap to clone or share and do
/// not change while they are read.
pub trait StateRead: Send + Sync {
    /// Value of a key; `None` when absent.
    fn get(&self, key: &StateKey) -> Result<Option<Bytes>, StateError>;

    /// Content by its hash (for code: Keccak-256, as the EVM has it).
    fn blob(&self, hash: &B256) -> Result<Option<Bytes>, StateError>;

    /// The account, or `None` when there is none.
    fn account(&self, address: &hawser_primitives::Address) -> Result<Option<Account>, StateError> {
        self.get(&StateKey::Account(*address))?
            .map(|bytes| Account::decode(&bytes))
            .transpose()
    }

    /// A storage slot; zero when absent.
    fn storage(
        &self,
        address: &hawser_primitives::Address,
        slot: &B256,
    ) -> Result<B256, StateError> {
        let value = self.get(&StateKey::Storage(*address, *slot))?;
        value.map_or(Ok(B256::ZERO), |bytes| StorageValue::decode(&bytes))
    }
}

impl<T: StateRead + ?Sized> StateRead for std::sync::Arc<T> {
    fn get(&self, key: &StateKey) -> Result<Option<Bytes>, StateError> {
        (**self).get(key)
    }

    fn blob(&self, hash: &B256) -> Result<Option<Bytes>, StateError> {
        (**self).blob(hash)
    }
}

/// What a block changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New value of each key; `None` removes it.
    pub entries: BTreeMap<StateKey, Option<Bytes>>,
    /// New content by hash. Content is never removed by a block.
    pub blobs: BTreeMap<B256, Bytes>,
}
