use std::hash::{BuildHasher, Hash};

use alloy_primitives::map::{DefaultHashBuilder, HashMap};
use parking_lot::Mutex;

const SHARDS: usize = 16;
/// Bytes that an entry costs besides what it names: key, value, table.
const ENTRY_BYTES: usize = 128;

/// Entries used lately, bounded by bytes, for many threads.
///
/// Two generations: what is used goes into the young one; when that is half of the bytes it becomes
/// the old one, and the old one is dropped. A list in order of use would touch more memory for each
/// hit than the entry itself.
pub(super) struct Cache<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    hasher: DefaultHashBuilder,
    generation_bytes_max: usize,
}

struct Shard<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    young_bytes: usize,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// A cache of at most `bytes_max` bytes; 0 caches nothing.
    pub(super) fn new(bytes_max: usize) -> Self {
        let shard = || {
            let (young, old) = (HashMap::default(), HashMap::default());
            Mutex::new(Shard {
                young,
                old,
                young_bytes: 0,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: DefaultHashBuilder::default(),
            generation_bytes_max: bytes_max / SHARDS / 2,
        }
    }

    fn shard(&self, key: &K) -> Option<&Mutex<Shard<K, V>>> {
        // The hasher is not that of the tables, so a shard is not crowded into a part of its own.
        let shard = self.hasher.hash_one(key) >> 60;
        self.shards.get(shard as usize % SHARDS)
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let mut shard = self.shard(key)?.lock();
        if let Some((value, _)) = shard.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, bytes)) = shard.old.remove_entry(key)?;
        let found = value.clone();
        shard.add(key, value, bytes, self.generation_bytes_max);
        Some(found)
    }

    /// Adds or replaces an entry that names `bytes` bytes.
    pub(super) fn put(&self, key: K, value: V, bytes: usize) {
        let Some(shard) = self.shard(&key) else {
            return;
        };
        let mut shard = shard.lock();
        shard.old.remove(&key);
        if let Some((_, replaced)) = shard.young.remove(&key) {
            shard.young_bytes = shard.young_bytes.saturating_sub(replaced);
        }
        let bytes = bytes.saturating_add(ENTRY_BYTES);
        shard.add(key, value, bytes, self.generation_bytes_max);
    }

    #[cfg(test)]
    #[expect(
        clippy::disallowed_methods,
        reason = "a sum does not depend on the order"
    )]
    pub(super) fn bytes(&self) -> usize {
        let sum = |shard: &Mutex<Shard<K, V>>| {
            let shard = shard.lock();
            shard
                .young
                .values()
                .chain(shard.old.values())
                .map(|(_, bytes)| bytes)
                .sum::<usize>()
        };
        self.shards.iter().map(sum).sum()
    }
}

impl<K: Hash + Eq, V> Shard<K, V> {
    fn add(&mut self, key: K, value: V, bytes: usize, max: usize) {
        if bytes > max {
            return;
        }
        self.young.insert(key, (value, bytes));
        self.young_bytes = self.young_bytes.saturating_add(bytes);
        if self.young_bytes > max {
            std::mem::swap(&mut self.old, &mut self.young);
            // Keeps its table, which the next generation will need again.
            self.young.clear();
            self.young_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_stays_within_its_bytes_and_keeps_what_is_used() {
        let max = SHARDS * 20 * (ENTRY_BYTES + 40);
        let cache = Cache::new(max);
        for key in 0..10_000u64 {
            cache.put(key, key, 40);
            cache.put(key, key + 1, 40);
            assert_eq!(cache.get(&0), Some(1), "used again and again");
            assert_eq!(cache.get(&key), Some(key + 1), "used last");
            // Each shard may exceed a generation by one entry.
            assert!(cache.bytes() <= max + SHARDS * (ENTRY_BYTES + 40));
        }
        let kept = (0..10_000u64)
            .filter(|key| cache.get(key).is_some())
            .count();
        assert!((100..=336).contains(&kept), "{kept}");
        cache.put(1, 1, 10 * max);
        assert_eq!(cache.get(&1), None);
        assert!(
            cache.bytes() <= max + SHARDS * (ENTRY_BYTES + 40),
            "too large to be kept"
        );
        let none = Cache::new(0);
        none.put(1u64, 1u64, 0);
        assert_eq!(none.get(&1), None);
    }
}
