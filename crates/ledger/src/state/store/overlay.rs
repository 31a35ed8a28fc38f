use alloy_primitives::map::HashMap;
use hawser_primitives::{B256, Bytes, Height};
use std::collections::VecDeque;

use super::base::Base;
use super::{Caches, StateError, value_len};
use crate::state::StateKey;
use crate::state::trunk::{NodeRef, Position, Trunk};

/// The tree in the version of each height from the base on, and the values that changed above it.
///
/// A version is never changed, only added by a commit or removed after it reached the base, so what
/// a reader of some height finds does not depend on what is committed meanwhile.
pub(super) struct Overlay {
    pub(super) base: Option<Base>,
    /// Oldest height that can be read and that can be proved. Raised before a flush touches what
    /// they rest on.
    pub(super) readable_from: Height,
    pub(super) provable_from: Height,
    pub(super) layers: VecDeque<Layer>,
    pub(super) values: HashMap<StateKey, Value>,
    pub(super) trunk: Trunk,
    /// The tree at the base.
    pub(super) base_node: NodeRef,
    pub(super) blobs: HashMap<B256, Bytes>,
    /// Bytes held, about.
    pub(super) bytes: usize,
}

/// What one height changed.
pub(super) struct Layer {
    pub(super) height: Height,
    pub(super) root: B256,
    pub(super) node: NodeRef,
    pub(super) entries: u64,
    pub(super) keys: Vec<StateKey>,
    /// Buckets that it added to the tree, and what it no longer needs of the version before.
    pub(super) buckets: Vec<(u32, Position)>,
    pub(super) gone_inners: Vec<u32>,
    pub(super) gone_buckets: Vec<(u32, Position)>,
    pub(super) blobs: Vec<B256>,
    pub(super) bytes: usize,
}

/// Versions in height order; `None` where there is nothing. Most keys have one between two flushes,
/// so the first needs no allocation.
pub(super) struct Versions<T> {
    first: Option<(Height, Option<T>)>,
    more: Vec<(Height, Option<T>)>,
}

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self {
            first: None,
            more: Vec::new(),
        }
    }
}

impl<T> Versions<T> {
    pub(super) fn push(&mut self, height: Height, version: Option<T>) {
        match self.first {
            None => self.first = Some((height, version)),
            Some(_) => self.more.push((height, version)),
        }
    }

    fn newest_first(&self) -> impl Iterator<Item = &(Height, Option<T>)> {
        self.more.iter().rev().chain(&self.first)
    }

    /// The latest version that is not above a height.
    pub(super) fn at(&self, height: Height) -> Option<&Option<T>> {
        self.newest_first()
            .find(|(at, _)| *at <= height)
            .map(|(_, version)| version)
    }

    /// Removes the versions up to the base and returns the last of them.
    fn drain(&mut self, base: Height) -> Option<Option<T>> {
        let first = self.first.take_if(|(height, _)| *height <= base)?;
        let count = self.more.partition_point(|(height, _)| *height <= base);
        let last = self.more.drain(..count).next_back().unwrap_or(first);
        if !self.more.is_empty() {
            self.first = Some(self.more.remove(0));
        }
        Some(last.1)
    }

    const fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

/// Versions of a value above the base, and its value at the base.
pub(super) struct Value {
    pub(super) before: Option<Bytes>,
    pub(super) versions: Versions<Bytes>,
}

impl Value {
    /// The value after a height, which is not below the base.
    pub(super) fn at(&self, height: Height) -> &Option<Bytes> {
        self.versions.at(height).unwrap_or(&self.before)
    }
}

impl Overlay {
    pub(super) fn new(base: Option<Base>, trunk: Trunk, base_node: NodeRef) -> Self {
        Self {
            readable_from: base.as_ref().map_or(Height(0), |base| base.history_from),
            provable_from: base.as_ref().map_or(Height(0), |base| base.height),
            base,
            layers: VecDeque::new(),
            values: HashMap::default(),
            trunk,
            base_node,
            blobs: HashMap::default(),
            bytes: 0,
        }
    }

    pub(super) fn base_height(&self) -> Height {
        self.base.as_ref().map_or(Height(0), |base| base.height)
    }

    pub(super) fn head(&self) -> Option<(Height, B256)> {
        let head = self.layers.back().map(|layer| (layer.height, layer.root));
        head.or_else(|| self.base.as_ref().map(|base| (base.height, base.root)))
    }

    pub(super) fn entries(&self) -> u64 {
        let base = || self.base.as_ref().map_or(0, |base| base.entries);
        self.layers.back().map_or_else(base, |layer| layer.entries)
    }

    pub(super) fn root(&self, height: Height) -> Option<B256> {
        if let Some(base) = self.base.as_ref().filter(|base| base.height == height) {
            return Some(base.root);
        }
        let layer = self
            .layers
            .binary_search_by_key(&height, |layer| layer.height)
            .ok()?;
        self.layers.get(layer).map(|layer| layer.root)
    }

    /// Number of keys after a height between the base and the head.
    pub(super) fn entries_at(&self, height: Height) -> Option<u64> {
        if let Some(base) = self.base.as_ref().filter(|base| base.height == height) {
            return Some(base.entries);
        }
        let layer = self
            .layers
            .binary_search_by_key(&height, |layer| layer.height)
            .ok()?;
        self.layers.get(layer).map(|layer| layer.entries)
    }

    /// The tree after a height that is not below the base.
    pub(super) fn node(&self, height: Height) -> Option<NodeRef> {
        if self.base.as_ref().is_some_and(|base| base.height == height) {
            return Some(self.base_node);
        }
        let layer = self
            .layers
            .binary_search_by_key(&height, |layer| layer.height)
            .ok()?;
        self.layers.get(layer).map(|layer| layer.node)
    }

    /// The tree after the latest height.
    pub(super) fn head_node(&self) -> NodeRef {
        self.layers
            .back()
            .map_or(self.base_node, |layer| layer.node)
    }

    pub(super) fn check_readable(&self, height: Height) -> Result<(), StateError> {
        self.check(height, "states", self.readable_from)
    }

    pub(super) fn check_provable(&self, height: Height) -> Result<(), StateError> {
        self.check(height, "proofs", self.provable_from)
    }

    fn check(&self, height: Height, what: &str, from: Height) -> Result<(), StateError> {
        match self.head() {
            Some((head, _)) if from <= height && height <= head => Ok(()),
            _ => Err(self.not_kept(height, what, from)),
        }
    }

    pub(super) fn not_kept(&self, height: Height, what: &str, from: Height) -> StateError {
        let kept = match self.head() {
            Some((head, _)) => format!("{what} of blocks {from} to {head} are"),
            None => "there is no state before genesis".into(),
        };
        StateError::NotKept { height, kept }
    }

    /// The value after a height that is not below the base, if the key changed above the base.
    pub(super) fn value(&self, key: &StateKey, height: Height) -> Option<Option<Bytes>> {
        self.values.get(key).map(|value| value.at(height).clone())
    }

    /// Forgets what the base now holds of its oldest layer, handing it to the caches.
    /// False when there is no such layer.
    pub(super) fn trim(&mut self, caches: &Caches) -> bool {
        let base = self.base_height();
        let Some(layer) = self.layers.pop_front_if(|layer| layer.height <= base) else {
            return false;
        };
        for key in layer.keys {
            let Some(value) = self.values.get_mut(&key) else {
                continue;
            };
            let Some(last) = value.versions.drain(base) else {
                continue;
            };
            if value.versions.is_empty() {
                let bytes = value_len(&last);
                caches.values.put(key, last, bytes);
                self.values.remove(&key);
            } else {
                value.before = last;
            }
        }
        for id in layer.gone_inners {
            self.trunk.remove_inner(id);
        }
        for (id, _) in layer.gone_buckets {
            self.trunk.remove_bucket(id);
        }
        for hash in layer.blobs {
            self.blobs.remove(&hash);
        }
        self.bytes = self.bytes.saturating_sub(layer.bytes);
        true
    }
}
