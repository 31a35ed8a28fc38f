use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hawser_light::LightHandle;
use hawser_node::chain::ChainHandle;
use hawser_primitives::{B256, ChainId};
use parking_lot::{Mutex, RwLock};

use crate::{auth::Access, eth::filters::Filters};

/// A chain with what the interface keeps for its clients.
pub(crate) struct Entry {
    pub(crate) handle: ChainHandle,
    pub(crate) filters: Filters,
    pub(crate) recent: Recent,
    pub(crate) access: Access,
    /// Allowed reads so far.
    allowed: AtomicU64,
}

impl Entry {
    /// Whether the next allowed read is one that is recorded.
    pub(crate) fn sampled(&self) -> bool {
        let one_in = self.access.audit_one_in.max(1);
        let before = self.allowed.fetch_add(1, Ordering::Relaxed);
        before.is_multiple_of(one_in)
    }
}

/// Transactions that were lately sent through this interface.
#[derive(Default)]
pub(crate) struct Recent(Mutex<(BTreeMap<B256, Instant>, VecDeque<B256>)>);

impl Recent {
    /// How many are remembered.
    const MAX: usize = 16_384;

    pub(crate) fn insert(&self, hash: B256) {
        let mut recent = self.0.lock();
        let (known, order) = &mut *recent;
        if known.insert(hash, Instant::now()).is_none() {
            order.push_back(hash);
        }
        if order.len() > Self::MAX
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
    }

    /// How long ago it was sent; `None` when it is not among the latest.
    pub(crate) fn age(&self, hash: &B256) -> Option<Duration> {
        self.0.lock().0.get(hash).map(Instant::elapsed)
    }
}

#[derive(Default)]
struct Registry {
    default: Option<ChainId>,
    chains: BTreeMap<ChainId, Arc<Entry>>,
    light: BTreeMap<ChainId, LightHandle>,
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

    /// Offers a chain to everybody who reaches the listener.
    pub fn insert(&self, handle: ChainHandle) {
        self.insert_guarded(handle, Access::default());
    }

    /// Offers a chain to those whom `access` lets in; the first one becomes the default. One with
    /// the same id is replaced, its filters forgotten.
    pub fn insert_guarded(&self, handle: ChainHandle, access: Access) {
        let id = handle.store().genesis().chain_id;
        let entry = Arc::new(Entry {
            handle,
            filters: Filters::default(),
            recent: Recent::default(),
            access,
            allowed: AtomicU64::new(0),
        });
        let mut registry = self.0.write();
        registry.chains.insert(id, entry);
        registry.default.get_or_insert(id);
    }

    /// Offers a chain that this node follows by headers. The first chain becomes the default.
    pub fn insert_light(&self, handle: LightHandle) {
        let id = handle.genesis().chain_id;
        let mut registry = self.0.write();
        registry.light.insert(id, handle);
        registry.default.get_or_insert(id);
    }

    pub(crate) fn light(&self, id: Option<ChainId>) -> Option<LightHandle> {
        let registry = self.0.read();
        registry.light.get(&id.or(registry.default)?).cloned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_are_remembered() {
        let recent = Recent::default();
        let hash = |n: usize| B256::from(alloy_primitives::U256::from(n));
        for n in 0..=Recent::MAX {
            recent.insert(hash(n));
            recent.insert(hash(n));
        }
        assert!(recent.age(&hash(0)).is_none());
        assert!(recent.age(&hash(1)).is_some() && recent.age(&hash(Recent::MAX)).is_some());
    }
}
