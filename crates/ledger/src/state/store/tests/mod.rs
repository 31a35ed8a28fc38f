use std::collections::BTreeMap;

use hawser_primitives::{Address, B256, Bytes};
use hawser_storage::{MemDisk, MemKv};

use super::*;
use crate::state::StateRead;

mod compaction;
mod contents;
mod flush;
mod heights;
mod refusals;

type Contents = BTreeMap<StateKey, Bytes>;

const SMALL: StateOptions = StateOptions {
    history_blocks: 6,
    page_cache_bytes: 20_000,
    ..super::testing::SMALL
};

/// What survives a crash.
#[derive(Clone)]
struct Folder {
    kv: Arc<MemKv>,
    disk: MemDisk,
}

impl Folder {
    fn new() -> Self {
        Self {
            kv: Arc::new(MemKv::new()),
            disk: MemDisk::new(1),
        }
    }

    fn crash(&self, seed: u64) -> Self {
        let kept = seed as usize % (self.kv.unpersisted() + 1);
        Self {
            kv: Arc::new(self.kv.crash_keeping(kept)),
            disk: self.disk.crash(seed),
        }
    }

    fn try_open(&self, suite: Suite, options: StateOptions) -> Result<StateStore, StateError> {
        StateStore::open(self.kv.clone(), Arc::new(self.disk.clone()), suite, options)
    }
}

fn account(n: u8) -> StateKey {
    StateKey::Account(Address::repeat_byte(n))
}

fn slot(n: u8) -> StateKey {
    StateKey::Storage(Address::repeat_byte(n & 1), B256::repeat_byte(n))
}

fn open(folder: &Folder, suite: Suite, options: StateOptions) -> StateStore {
    folder.try_open(suite, options).unwrap()
}

fn changes(entries: impl IntoIterator<Item = (StateKey, Option<u8>)>) -> Changes {
    let value = |byte: u8| Bytes::from(vec![byte; 1 + usize::from(byte)]);
    Changes {
        entries: entries
            .into_iter()
            .map(|(key, byte)| (key, byte.map(value)))
            .collect(),
        blobs: BTreeMap::new(),
    }
}

fn apply(contents: &mut Contents, changes: &Changes) {
    for (key, value) in &changes.entries {
        match value {
            Some(value) => contents.insert(*key, value.clone()),
            None => contents.remove(key),
        };
    }
}

/// The root of a store that got everything at once.
fn fresh_root(suite: Suite, contents: &Contents) -> B256 {
    let all = Changes {
        entries: contents
            .iter()
            .map(|(key, value)| (*key, Some(value.clone())))
            .collect(),
        blobs: BTreeMap::new(),
    };
    let store = open(&Folder::new(), suite, StateOptions::default());
    store.commit(Height(0), &all).unwrap()
}

fn all_keys() -> impl Iterator<Item = StateKey> {
    (0..24).flat_map(|n| [account(n), slot(n)])
}

fn assert_view(store: &StateStore, height: Height, expected: &Contents) {
    let view = store.view(height).unwrap();
    assert_eq!(view.height(), height);
    for key in all_keys() {
        assert_eq!(
            view.get(&key).unwrap().as_ref(),
            expected.get(&key),
            "{key:?} at {height}"
        );
    }
}

fn assert_proofs(store: &StateStore, height: Height, root: &B256, expected: &Contents) {
    for key in all_keys() {
        let proof = store.prove(height, &key).unwrap();
        let proven = proof.verify(store.suite(), root, &key).unwrap();
        assert_eq!(proven.as_ref(), expected.get(&key), "{key:?} at {height}");
        let other = B256::repeat_byte(0x77);
        assert!(proof.verify(store.suite(), &other, &key).is_err());
    }
}

/// Enough keys for many pages.
fn wide(n: u32) -> StateKey {
    let mut slot = B256::ZERO;
    slot[..4].copy_from_slice(&n.to_be_bytes());
    StateKey::Storage(Address::repeat_byte(9), slot)
}

/// Changes of a block among `keys` keys, in an order that depends on the height alone.
fn wide_changes(height: u64, keys: u32, count: u32) -> Changes {
    let entry = |i: u32| {
        let n = (height as u32)
            .wrapping_mul(2_654_435_761)
            .wrapping_add(i.wrapping_mul(40_503));
        let value = (!n.is_multiple_of(11)).then(|| Bytes::from(vec![(height + 1) as u8; 32]));
        (wide(n % keys), value)
    };
    Changes {
        entries: (0..count).map(entry).collect(),
        blobs: BTreeMap::new(),
    }
}

fn assert_wide(store: &StateStore, keys: u32, expected: &Contents) {
    let (head, root) = store.head().unwrap();
    let view = store.view(head).unwrap();
    for key in (0..keys).map(wide) {
        assert_eq!(view.get(&key).unwrap().as_ref(), expected.get(&key));
    }
    for key in (0..keys).step_by(17).map(wide) {
        let proof = store.prove(head, &key).unwrap();
        let proven = proof.verify(store.suite(), &root, &key).unwrap();
        assert_eq!(proven.as_ref(), expected.get(&key));
    }
}

/// The index as a journal would hold it whole.
fn index_of(store: &StateStore) -> Vec<Vec<u8>> {
    let node = store.inner.overlay.read().base_node;
    let parts = store.inner.whole_index(node, &|_| None);
    parts.finish().collect()
}
