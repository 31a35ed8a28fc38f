//! What a block's transactions have written so far, by version.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hash},
};

use alloy_primitives::map::{DefaultHashBuilder, HashMap};
use hawser_ledger::state::Account;
use hawser_primitives::{Address, B256, Bytes, U256};
use parking_lot::{Mutex, RwLock};
use revm::state::Bytecode;

use super::view::Writes;
use crate::error::DbError;

/// Locks per map; a power of two. Threads wait for one another only at the same lock.
const SHARDS: usize = 64;

/// When something was written: 0 by the block itself before its first transaction, `i + 1` by
/// transaction `i`. Who runs at version `v` sees what lower versions wrote.
pub(super) type Version = u32;

/// The version of a transaction.
pub(super) fn version_of(index: usize) -> Version {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}

/// Values of one key.
struct Cell<V> {
    /// Before the block; `None` until somebody has read it.
    base: Option<V>,
    /// In ascending order of version.
    versions: Vec<(Version, V)>,
}

impl<V> Default for Cell<V> {
    fn default() -> Self {
        Self {
            base: None,
            versions: Vec::new(),
        }
    }
}

impl<V: Copy> Cell<V> {
    fn below(&self, at: Version) -> Option<V> {
        let place = self.versions.partition_point(|(version, _)| *version < at);
        match place
            .checked_sub(1)
            .and_then(|last| self.versions.get(last))
        {
            Some((_, value)) => Some(*value),
            None => self.base,
        }
    }
}

/// A map of versioned values that many threads read and write.
pub(super) struct Versioned<K, V> {
    shards: Vec<Mutex<HashMap<K, Cell<V>>>>,
    hasher: DefaultHashBuilder,
}

impl<K, V> Default for Versioned<K, V> {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<K: Hash + Eq + Copy, V: Copy> Versioned<K, V> {
    /// Runs `work` on the map that holds a key.
    fn at<R>(&self, key: &K, work: impl FnOnce(&mut HashMap<K, Cell<V>>) -> R) -> Option<R> {
        let hash = self.hasher.hash_one(key);
        // Upper bits: the maps themselves use the lower ones.
        let place = usize::try_from(hash >> 48).unwrap_or_default() % SHARDS;
        self.shards.get(place).map(|shard| work(&mut shard.lock()))
    }

    /// The value that a reader at `at` sees; `load` gives the one before the block where nobody has
    /// asked for it yet. It runs without a lock held.
    pub(super) fn read(
        &self,
        key: K,
        at: Version,
        load: impl FnOnce() -> Result<V, DbError>,
    ) -> Result<V, DbError> {
        if let Some(value) = self.known(&key, at) {
            return Ok(value);
        }
        let base = load()?;
        let value = self.at(&key, |map| {
            let cell = map.entry(key).or_default();
            cell.base.get_or_insert(base);
            cell.below(at)
        });
        Ok(value.flatten().unwrap_or(base))
    }

    /// The same without asking the state.
    pub(super) fn known(&self, key: &K, at: Version) -> Option<V> {
        self.at(key, |map| map.get(key).and_then(|cell| cell.below(at)))
            .flatten()
    }

    fn write(&self, key: K, at: Version, value: V) {
        self.at(&key, |map| {
            let versions = &mut map.entry(key).or_default().versions;
            let place = versions.partition_point(|(version, _)| *version < at);
            match versions.get_mut(place) {
                Some(entry) if entry.0 == at => entry.1 = value,
                _ => versions.insert(place, (at, value)),
            }
        });
    }

    fn remove(&self, key: &K, at: Version) {
        self.at(key, |map| {
            if let Some(cell) = map.get_mut(key)
                && let Ok(place) = cell
                    .versions
                    .binary_search_by_key(&at, |(version, _)| *version)
            {
                cell.versions.remove(place);
            }
        });
    }

    /// Shows every key that has a version below `at`: its value there, and before the block if that
    /// was read. In no order.
    pub(super) fn written(&self, at: Version, show: &mut dyn FnMut(K, V, Option<V>)) {
        for shard in &self.shards {
            for (key, cell) in &*shard.lock() {
                let place = cell.versions.partition_point(|(version, _)| *version < at);
                if let Some((_, value)) = place
                    .checked_sub(1)
                    .and_then(|last| cell.versions.get(last))
                {
                    show(*key, *value, cell.base);
                }
            }
        }
    }
}

type Blobs = BTreeMap<B256, BTreeMap<Version, Bytes>>;

/// All that a block's transactions have written.
#[derive(Default)]
pub(super) struct Memory {
    /// `None`: not in the state before the block. An account that a transaction leaves empty is
    /// `Some` and empty: the engine tells the two apart where an EIP-7702 authority is concerned.
    pub(super) accounts: Versioned<Address, Option<Account>>,
    pub(super) slots: Versioned<(Address, U256), U256>,
    /// Code that the block brings, whether it stays or not: who asks for it has its hash.
    codes: RwLock<HashMap<B256, Bytecode>>,
    blobs: RwLock<Blobs>,
}

impl Memory {
    /// Publishes what a transaction wrote.
    pub(super) fn publish(&self, at: Version, writes: &Writes) {
        // Code before the accounts that name it.
        self.add_codes(writes.codes.iter().cloned());
        if !writes.blobs.is_empty() {
            let mut blobs = self.blobs.write();
            for (hash, content) in &writes.blobs {
                let versions = blobs.entry(*hash).or_default();
                versions.insert(at, content.clone());
            }
        }
        for (address, account) in &writes.accounts {
            self.accounts.write(*address, at, Some(*account));
        }
        for (key, value) in &writes.slots {
            self.slots.write(*key, at, *value);
        }
    }

    /// Takes back what [`Self::publish`] did.
    pub(super) fn withdraw(&self, at: Version, writes: &Writes) {
        if !writes.blobs.is_empty() {
            let mut blobs = self.blobs.write();
            for hash in writes.blobs.keys() {
                if let Some(versions) = blobs.get_mut(hash) {
                    versions.remove(&at);
                }
            }
        }
        for (address, _) in &writes.accounts {
            self.accounts.remove(address, at);
        }
        for (key, _) in &writes.slots {
            self.slots.remove(key, at);
        }
    }

    /// Makes code known.
    pub(super) fn add_codes(&self, codes: impl IntoIterator<Item = (B256, Bytecode)>) {
        let mut codes = codes.into_iter().peekable();
        if codes.peek().is_some() {
            self.codes.write().extend(codes);
        }
    }

    pub(super) fn code(&self, hash: &B256) -> Option<Bytecode> {
        self.codes.read().get(hash).cloned()
    }

    /// Content put by a lower version.
    pub(super) fn blob(&self, hash: &B256, at: Version) -> Option<Bytes> {
        let blobs = self.blobs.read();
        let versions = blobs.get(hash)?;
        versions
            .range(..at)
            .next()
            .map(|(_, content)| content.clone())
    }

    /// All content put by lower versions.
    pub(super) fn blobs_below(&self, at: Version) -> BTreeMap<B256, Bytes> {
        let blobs = self.blobs.read();
        let kept = blobs.iter().filter_map(|(hash, versions)| {
            let (_, content) = versions.range(..at).next()?;
            Some((*hash, content.clone()))
        });
        kept.collect()
    }
}
