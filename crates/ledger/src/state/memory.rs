use std::collections::BTreeMap;

use hawser_primitives::{B256, Bytes};

use super::{Changes, StateError, StateKey, StateRead};

/// State held in two maps: what offline tools and tests execute on. It commits to nothing.
#[derive(Clone, Debug, Default)]
pub struct MemoryState {
    entries: BTreeMap<StateKey, Bytes>,
    blobs: BTreeMap<B256, Bytes>,
}

impl MemoryState {
    /// An empty state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over what a block changed.
    pub fn apply(&mut self, changes: Changes) {
        for (key, value) in changes.entries {
            match value {
                Some(value) => self.entries.insert(key, value),
                None => self.entries.remove(&key),
            };
        }
        self.blobs.extend(changes.blobs);
    }

    /// All entries in key order.
    pub fn entries(&self) -> impl Iterator<Item = (&StateKey, &Bytes)> {
        self.entries.iter()
    }
}

impl StateRead for MemoryState {
    fn get(&self, key: &StateKey) -> Result<Option<Bytes>, StateError> {
        Ok(self.entries.get(key).cloned())
    }

    fn blob(&self, hash: &B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.blobs.get(hash).cloned())
    }
}
