use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::PreparedKey;

/// Keeps prepared keys by their compressed form, so that a key that comes again needs neither a
/// square root nor a new table. Bounded: two generations of at most `half` keys each; when the
/// young one is full it becomes the old one, and what nobody asked for since then goes.
pub struct KeyCache {
    half: usize,
    generations: Mutex<Generations>,
}

type Keys = HashMap<[u8; 33], Arc<PreparedKey>>;

#[derive(Default)]
struct Generations {
    young: Keys,
    old: Keys,
}

impl KeyCache {
    /// A cache of at most `2 · half` keys. Each takes about 300 bytes, and 13 KiB more once it has
    /// verified several signatures.
    #[must_use]
    pub fn new(half: usize) -> Self {
        Self {
            half: half.max(1),
            generations: Mutex::default(),
        }
    }

    /// The key with this SEC 1 encoding, as [`PreparedKey::from_sec1`] decodes it. Only valid keys
    /// are kept.
    #[must_use]
    pub fn get(&self, sec1: &[u8]) -> Option<Arc<PreparedKey>> {
        let compressed = compress(sec1)?;
        if let Some(key) = self.find(&compressed) {
            // An uncompressed key names y in full; only its last bit went into the name.
            return match sec1 {
                [4, xy @ ..] if xy != key.xy() => None,
                _ => Some(key),
            };
        }
        let key = Arc::new(PreparedKey::from_sec1(sec1)?);
        self.insert(compressed, &key);
        Some(key)
    }

    fn find(&self, name: &[u8; 33]) -> Option<Arc<PreparedKey>> {
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = generations.young.get(name) {
            return Some(Arc::clone(key));
        }
        let key = generations.old.remove(name)?;
        generations.insert(self.half, *name, &key);
        Some(key)
    }

    fn insert(&self, name: [u8; 33], key: &Arc<PreparedKey>) {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.half, name, key);
    }

    /// Keys kept at the moment.
    #[must_use]
    pub fn len(&self) -> usize {
        let generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        generations.young.len() + generations.old.len()
    }

    /// Whether no key is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Generations {
    fn insert(&mut self, half: usize, name: [u8; 33], key: &Arc<PreparedKey>) {
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, Arc::clone(key));
    }
}

/// The compressed form that an encoding would have if it is one.
fn compress(sec1: &[u8]) -> Option<[u8; 33]> {
    let tag = match (sec1.len(), sec1.first()?, sec1.last()?) {
        (33, tag @ (2 | 3), _) => *tag,
        (65, 4, last) => 2 | (last & 1),
        _ => return None,
    };
    let mut out = [tag; 33];
    for (to, from) in out.iter_mut().zip(sec1).skip(1) {
        *to = *from;
    }
    Some(out)
}
