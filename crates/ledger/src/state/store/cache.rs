use std::hash::{BuildHasher, Hash};

use alloy_primitives::map::DefaultHashBuilder;
use lru::LruCache;
use parking_lot::Mutex;

const SHARDS: usize = 16;
/// Bytes that an entry costs besides what it names: key, links, table.
const ENTRY_BYTES: usize = 160;

/// The entries used last, bounded by bytes, for many threads.
pub(super) struct Cache<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    hasher: DefaultHashBuilder,
    shard_bytes_max: usize,
}

struct Shard<K, V> {
    entries: LruCache<K, (V, usize), DefaultHashBuilder>,
    bytes: usize,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// A cache of at most `bytes_max` bytes; 0 caches nothing.
    pub(super) fn new(bytes_max: usize) -> Self {
        let hasher = DefaultHashBuilder::default();
        let shard = || {
            let entries = LruCache::unbounded_with_hasher(hasher.clone());
            Mutex::new(Shard { entries, bytes: 0 })
        };
        let shards = (0..SHARDS).map(|_| shard()).collect();
        Self {
            shards,
            hasher,
            shard_bytes_max: bytes_max / SHARDS,
        }
    }

    fn shard(&self, key: &K) -> Option<&Mutex<Shard<K, V>>> {
        // High bits, since the table in the shard goes by the low ones.
        let shard = self.hasher.hash_one(key) >> 60;
        self.shards.get(shard as usize % SHARDS)
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.shard(key)?
            .lock()
            .entries
            .get(key)
            .map(|(value, _)| value.clone())
    }

    /// Adds or replaces an entry that names `bytes` bytes.
    pub(super) fn put(&self, key: K, value: V, bytes: usize) {
        let Some(shard) = self.shard(&key) else {
            return;
        };
        let mut shard = shard.lock();
        let bytes = bytes.saturating_add(ENTRY_BYTES);
        if let Some((_, old)) = shard.entries.put(key, (value, bytes)) {
            shard.bytes = shard.bytes.saturating_sub(old);
        }
        shard.bytes = shard.bytes.saturating_add(bytes);
        while shard.bytes > self.shard_bytes_max {
            let Some((_, (_, old))) = shard.entries.pop_lru() else {
                break;
            };
            shard.bytes = shard.bytes.saturating_sub(old);
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_stays_within_its_bytes_and_keeps_what_was_used_last() {
        let cache = Cache::new(SHARDS * 10 * (ENTRY_BYTES + 40));
        for key in 0..10_000u64 {
            cache.put(key, key, 40);
            cache.put(key, key + 1, 40);
            assert_eq!(cache.get(&0), Some(1), "used again and again");
            assert_eq!(cache.get(&key), Some(key + 1));
        }
        assert!(cache.bytes() <= SHARDS * 10 * (ENTRY_BYTES + 40));
        let kept = (0..10_000u64)
            .filter(|key| cache.get(key).is_some())
            .count();
        assert!((100..=160).contains(&kept), "{kept}");
        let none = Cache::new(0);
        none.put(1u64, 1u64, 0);
        assert_eq!(none.get(&1), None);
    }
}
