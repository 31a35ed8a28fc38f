//! Keys that sign often, with the tables that make verification cheap.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hawser_primitives::Address;
use hawser_secp_fast::PreparedKey;

use crate::PublicKey;

/// What an entry needs beside its table: key, address, map and queue, generously.
const ENTRY_OVERHEAD_BYTES: usize = 1024;

/// Addresses whose last sighting is remembered; a newer one takes the place of an older one.
const SIGHTINGS: usize = 4096;

/// Keys that wait for their tables at the same time.
const PENDING_MAX: usize = 64;

/// Tables are made eight at a time, which costs as much as one: wait until as many keys have been
/// seen again, or until the same ones have been seen again as often.
pub(super) const PREPARE_BATCH: usize = 8;

/// A key with its tables.
pub(super) struct CachedKey {
    pub(super) key: PublicKey,
    pub(super) prepared: PreparedKey,
    /// Used since eviction last came by.
    used: AtomicBool,
}

/// Prepared keys by address, of bounded size. Keys not used since the last round go first.
pub struct KeyCache {
    entries_max: usize,
    entries: RwLock<Entries>,
    /// First eight bytes of addresses, by their last bytes: keys that were recovered once.
    sightings: Box<[AtomicU64]>,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Entries {
    by_address: HashMap<Address, Arc<CachedKey>>,
    /// Every address of the map once, in the order in which eviction considers them.
    clock: VecDeque<Address>,
}

#[derive(Default)]
struct Pending {
    keys: Vec<(Address, PublicKey)>,
    sightings: usize,
}

impl KeyCache {
    /// A cache of at most `bytes_max` bytes, about 46 KiB to a key. Room for none makes it useless
    /// but not wrong.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            entries_max: bytes_max / (PreparedKey::BYTES + ENTRY_OVERHEAD_BYTES),
            entries: RwLock::default(),
            sightings: (0..SIGHTINGS).map(|_| AtomicU64::new(0)).collect(),
            pending: Mutex::default(),
        }
    }

    /// Keys with tables.
    #[must_use]
    pub fn len(&self) -> usize {
        let entries = self.entries.read();
        entries
            .unwrap_or_else(PoisonError::into_inner)
            .by_address
            .len()
    }

    /// Whether no key has tables.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys of these addresses, where known, under one lock.
    pub(super) fn get_many(
        &self,
        addresses: impl Iterator<Item = Option<Address>>,
    ) -> Vec<Option<Arc<CachedKey>>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let find = |address: Option<Address>| {
            let found = entries.by_address.get(&address?)?;
            found.used.store(true, Ordering::Relaxed);
            Some(Arc::clone(found))
        };
        addresses.map(find).collect()
    }

    /// Takes note of a key that had to be recovered. A key is worth tables from its second time.
    pub(super) fn saw(&self, address: Address, key: &PublicKey) {
        let Some((tag, rest)) = address.split_first_chunk::<8>() else {
            return;
        };
        let tag = u64::from_be_bytes(*tag);
        let place = rest
            .iter()
            .rev()
            .take(2)
            .fold(0, |place, byte| place << 8 | usize::from(*byte));
        let Some(place) = self.sightings.get(place % SIGHTINGS) else {
            return;
        };
        // A wrong answer, by chance or by a race, costs time only.
        if place.swap(tag, Ordering::Relaxed) != tag || self.entries_max == 0 {
            return;
        }
        let mut pending = self.lock_pending();
        pending.sightings = pending.sightings.saturating_add(1);
        let known = pending.keys.iter().any(|(known, _)| *known == address);
        if !known && pending.keys.len() < PENDING_MAX {
            pending.keys.push((address, key.clone()));
        }
    }

    /// Up to [`PREPARE_BATCH`] keys whose tables are worth making now.
    pub(super) fn due(&self) -> Vec<(Address, PublicKey)> {
        let mut pending = self.lock_pending();
        if pending.sightings < PREPARE_BATCH {
            return Vec::new();
        }
        let count = pending.keys.len().min(PREPARE_BATCH);
        let due = pending.keys.drain(..count).collect();
        if pending.keys.is_empty() {
            pending.sightings = 0;
        }
        due
    }

    /// Puts a key in and others out until it fits.
    pub(super) fn insert(&self, address: Address, key: PublicKey, prepared: PreparedKey) {
        let cached = Arc::new(CachedKey {
            key,
            prepared,
            used: AtomicBool::new(false),
        });
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.by_address.insert(address, cached).is_none() {
            entries.clock.push_back(address);
        }
        while entries.by_address.len() > self.entries_max {
            let Some(candidate) = entries.clock.pop_front() else {
                return;
            };
            let used = entries
                .by_address
                .get(&candidate)
                .is_some_and(|cached| cached.used.swap(false, Ordering::Relaxed));
            if used {
                // Ends: every round clears the marks that keep entries in, and nobody sets them
                // while the lock is held.
                entries.clock.push_back(candidate);
            } else {
                entries.by_address.remove(&candidate);
            }
        }
    }

    fn lock_pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
