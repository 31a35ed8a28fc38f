use std::{collections::BTreeMap, sync::Arc};

use hawser_node::chain::ChainHandle;
use hawser_primitives::ChainId;
use parking_lot::RwLock;

use crate::eth::filters::Filters;

/// A chain with what the interface keeps for its clients.
pub(crate) struct Entry {
    pub(crate) handle: ChainHandle,
    pub(crate) filters: Filters,
}

#[derive(Default)]
struct Registry {
    default: Option<ChainId>,
    chains: BTreeMap<ChainId, Arc<Entry>>,
}

/// The chains on offer: the default one at `/`, each at `/chain/<chainId>`. Clones share one list,
/// which may change while the interface runs.
#[derive(Clone, Default)]
pub struct Chains(Arc<RwLock<Registry>>);

impl Chains {
    /// No chains yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers a chain; the first one becomes the default. One with the same id is replaced, its
    /// filters forgotten.
    pub fn insert(&self, handle: ChainHandle) {
        let id = handle.store().genesis().chain_id;
        let entry = Arc::new(Entry {
            handle,
            filters: Filters::default(),
        });
        let mut registry = self.0.write();
        registry.chains.insert(id, entry);
        registry.default.get_or_insert(id);
    }

    /// No longer offers a chain; whether it was there. The default falls to the lowest id left.
    pub fn remove(&self, id: ChainId) -> bool {
        let mut registry = self.0.write();
        let removed = registry.chains.remove(&id).is_some();
        if registry.default == Some(id) {
            registry.default = registry.chains.keys().next().copied();
        }
        removed
    }

    /// Makes a chain the default; whether it is there.
    pub fn set_default(&self, id: ChainId) -> bool {
        let mut registry = self.0.write();
        let known = registry.chains.contains_key(&id);
        if known {
            registry.default = Some(id);
        }
        known
    }

    /// Ids on offer, ascending.
    #[must_use]
    pub fn ids(&self) -> Vec<ChainId> {
        self.0.read().chains.keys().copied().collect()
    }

    /// The chain at `/`.
    #[must_use]
    pub fn default_id(&self) -> Option<ChainId> {
        self.0.read().default
    }

    pub(crate) fn get(&self, id: Option<ChainId>) -> Option<Arc<Entry>> {
        let registry = self.0.read();
        registry.chains.get(&id.or(registry.default)?).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.0.read().chains.values().cloned().collect()
    }
}
