use std::collections::BTreeMap;

use hawser_primitives::{Address, B256, Bytes, U256};
use hawser_storage::{FjallKv, MemDisk, MemKv, OsDisk};
use proptest::prelude::*;

use super::*;
use crate::state::{Account, StateRead, StorageValue};

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

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(bool, u8, Option<u8>)>),
    Flush(u64),
    Persist,
    Crash(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let entry = (
        any::<bool>(),
        0u8..24,
        prop::option::weighted(0.7, 0u8..200),
    );
    let step = prop_oneof![
        6 => prop::collection::vec(entry, 0..16).prop_map(Step::Commit),
        2 => (0u64..5).prop_map(Step::Flush),
        1 => Just(Step::Persist),
        1 => any::<u64>().prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..50)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn every_height_kept_reads_and_proves_as_recorded_through_flushes_and_crashes(
        steps in steps(),
        sm in any::<bool>(),
    ) {
        let suite = if sm { Suite::Sm } else { Suite::Intl };
        let mut folder = Folder::new();
        let mut store = open(&folder, suite, SMALL);
        // Contents and root after each height so far.
        let mut recorded: Vec<(Contents, B256)> = Vec::new();
        let mut persisted = None;
        for step in steps {
            match step {
                Step::Commit(entries) => {
                    let mut contents = recorded.last().map(|r| r.0.clone()).unwrap_or_default();
                    let entries = entries
                        .into_iter()
                        .map(|(is_slot, n, v)| (if is_slot { slot(n) } else { account(n) }, v));
                    let changes = changes(entries);
                    apply(&mut contents, &changes);
                    let height = Height(recorded.len() as u64);
                    let root = store.commit(height, &changes).unwrap();
                    prop_assert_eq!(root, fresh_root(suite, &contents));
                    prop_assert_eq!(store.entries(), contents.len() as u64);
                    recorded.push((contents, root));
                }
                Step::Flush(behind) => {
                    if let Some((head, _)) = store.head() {
                        let target = head.back(behind);
                        let before = store.flushed().map(|f| f.0);
                        store.flush(target).unwrap();
                        let after = store.flushed().map(|f| f.0);
                        prop_assert_eq!(after, Some(target).max(before));
                    }
                }
                Step::Persist => {
                    store.persist().unwrap();
                    persisted = store.flushed().map(|f| f.0);
                }
                Step::Crash(kept) => {
                    folder = folder.crash(kept);
                    store = open(&folder, suite, SMALL);
                    let found = store.head();
                    prop_assert_eq!(found, store.flushed());
                    prop_assert!(found.map(|f| f.0) >= persisted);
                    recorded.truncate(found.map_or(0, |f| f.0.0 as usize + 1));
                    persisted = found.map(|f| f.0);
                }
            }
            let head = recorded.len().checked_sub(1).map(|head| {
                (Height(head as u64), recorded[head].1)
            });
            prop_assert_eq!(store.head(), head);
            let Some((head, _)) = head else {
                prop_assert!(store.view(Height(0)).is_err());
                continue;
            };
            let base = store.flushed().map_or(Height(0), |flushed| flushed.0);
            for (height, (contents, root)) in (0..).map(Height).zip(&recorded) {
                if height >= base {
                    prop_assert_eq!(store.root(height).unwrap(), *root);
                    assert_proofs(&store, height, root, contents);
                } else {
                    prop_assert!(store.root(height).is_err());
                    let refused = store.prove(height, &account(0));
                    let refused = matches!(refused, Err(StateError::NotKept { .. }));
                    prop_assert!(refused);
                }
                if height >= base.back(SMALL.history_blocks) {
                    assert_view(&store, height, contents);
                } else {
                    let refused = matches!(store.view(height), Err(StateError::NotKept { .. }));
                    prop_assert!(refused);
                }
            }
            prop_assert!(store.view(head.next()).is_err());
            prop_assert!(store.prove(head.next(), &account(0)).is_err());
        }
    }
}

#[test]
fn heights_are_committed_one_after_another_from_genesis() {
    let store = open(&Folder::new(), Suite::Intl, SMALL);
    let none = Changes::default();
    let order = |got: u64, expected: u64| {
        let refused = store.commit(Height(got), &none).unwrap_err();
        assert!(matches!(refused, StateError::Order { expected: e, got: g }
            if e == Height(expected) && g == Height(got)));
    };
    order(1, 0);
    assert_eq!(store.commit(Height(0), &none).unwrap(), B256::ZERO);
    order(0, 1);
    order(2, 1);
    store.commit(Height(1), &none).unwrap();
    store.flush(Height(1)).unwrap();
    order(1, 2);
    order(0, 2);
    store.commit(Height(2), &none).unwrap();
}

#[test]
fn what_is_not_kept_is_said_in_words() {
    let store = open(&Folder::new(), Suite::Intl, SMALL);
    let said = |height| store.view(Height(height)).err().unwrap().to_string();
    assert_eq!(
        said(3),
        "state of block 3 is not kept; there is no state before genesis"
    );
    for height in 0..20 {
        store
            .commit(Height(height), &changes([(account(1), Some(height as u8))]))
            .unwrap();
    }
    store.flush(Height(18)).unwrap();
    assert_eq!(
        said(11),
        "state of block 11 is not kept; states of blocks 12 to 19 are"
    );
    assert!(store.view(Height(12)).is_ok());
    assert!(store.view(Height(19)).is_ok());
    assert_eq!(
        said(20),
        "state of block 20 is not kept; states of blocks 12 to 19 are"
    );
    let refused = store
        .prove(Height(17), &account(1))
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "state of block 17 is not kept; proofs of blocks 18 to 19 are"
    );
}

#[test]
fn a_caller_that_never_flushes_is_flushed_for() {
    let folder = Folder::new();
    let store = open(&folder, Suite::Intl, SMALL);
    for height in 0..50u64 {
        assert!(store.inner.overlay.read().layers.len() as u64 <= 2 * SMALL.overlay_blocks + 1);
        store
            .commit(Height(height), &changes([(account(1), Some(height as u8))]))
            .unwrap();
        if let Some(due) = store.flush_due() {
            assert_eq!(due, Height(height).back(SMALL.overlay_blocks / 2));
        }
    }
    assert!(store.flushed().unwrap().0 >= Height(40));

    let by_bytes = StateOptions {
        overlay_blocks: 64,
        overlay_bytes: 20_000,
        ..SMALL
    };
    let store = open(&Folder::new(), Suite::Intl, by_bytes);
    for height in 0..50u64 {
        let many = (0..20).map(|n| (account(n), Some(height as u8 + n)));
        store.commit(Height(height), &changes(many)).unwrap();
    }
    assert!(store.flushed().unwrap().0 > Height(40));
    assert!(store.flushed().unwrap().0 <= Height(49).back(SMALL.provable_blocks));
    assert!(store.overlay_bytes() < 100_000);
    store.flush(Height(49)).unwrap();
    assert_eq!(
        store.overlay_bytes(),
        0,
        "what was added is what is taken away"
    );
}

#[test]
fn a_block_that_changes_nothing_writes_nothing() {
    let store = open(&Folder::new(), Suite::Intl, SMALL);
    let same = changes([(account(1), Some(1)), (account(2), None)]);
    let root = store.commit(Height(0), &same).unwrap();
    let bytes = store.overlay_bytes();
    assert_eq!(store.commit(Height(1), &same).unwrap(), root);
    assert_eq!(store.overlay_bytes(), bytes);
}

#[test]
fn blobs_are_found_above_and_below_the_base() {
    let folder = Folder::new();
    let store = open(&folder, Suite::Intl, SMALL);
    let (hash, code) = (B256::repeat_byte(1), Bytes::from_static(b"code"));
    let mut with_blob = Changes::default();
    with_blob.blobs.insert(hash, code.clone());
    store.commit(Height(0), &with_blob).unwrap();
    store.commit(Height(1), &with_blob).unwrap();
    for flushed in 0..3 {
        let view = store.view(Height(1)).unwrap();
        assert_eq!(view.blob(&hash).unwrap(), Some(code.clone()));
        assert_eq!(view.blob(&B256::ZERO).unwrap(), None);
        store.flush(Height(flushed)).unwrap();
    }
    store.persist().unwrap();
    let again = open(&folder.crash(0), Suite::Intl, SMALL);
    assert_eq!(
        again.view(Height(1)).unwrap().blob(&hash).unwrap(),
        Some(code)
    );
}

#[test]
fn accounts_and_slots_are_read_through_the_view() {
    let store = open(&Folder::new(), Suite::Sm, SMALL);
    let address = Address::repeat_byte(3);
    let account = Account::new(7, U256::from(9), B256::repeat_byte(2));
    let (slot, word) = (B256::repeat_byte(4), B256::repeat_byte(5));
    let mut changes = Changes::default();
    changes
        .entries
        .insert(StateKey::Account(address), Some(account.encode()));
    changes
        .entries
        .insert(StateKey::Storage(address, slot), StorageValue::encode(word));
    store.commit(Height(0), &changes).unwrap();
    let view = store.view(Height(0)).unwrap();
    assert_eq!(view.account(&address).unwrap(), Some(account));
    assert_eq!(view.storage(&address, &slot).unwrap(), word);
    assert_eq!(view.storage(&address, &word).unwrap(), B256::ZERO);
}

#[test]
fn both_sides_of_the_value_limit() {
    let store = open(&Folder::new(), Suite::Intl, SMALL);
    let value = |len| Changes {
        entries: [(account(1), Some(Bytes::from(vec![1; len])))].into(),
        blobs: BTreeMap::new(),
    };
    let refused = store.commit(Height(0), &value(STATE_VALUE_BYTES_MAX + 1));
    assert!(matches!(refused, Err(StateError::ValueSize { .. })));
    store
        .commit(Height(0), &value(STATE_VALUE_BYTES_MAX))
        .unwrap();
    let proof = store.prove(Height(0), &account(1)).unwrap();
    let proof = StateProof::decode(&proof.encode()).unwrap();
    let (_, root) = store.head().unwrap();
    assert!(
        proof
            .verify(Suite::Intl, &root, &account(1))
            .unwrap()
            .is_some()
    );
}

#[test]
fn the_wrong_suite_and_pages_that_do_not_lead_to_the_root_are_refused() {
    let folder = Folder::new();
    let store = open(&folder, Suite::Intl, SMALL);
    store
        .commit(Height(0), &changes((0..9).map(|n| (account(n), Some(n)))))
        .unwrap();
    store.flush(Height(0)).unwrap();
    store.persist().unwrap();
    let wrong = folder.try_open(Suite::Sm, SMALL).err().unwrap();
    assert!(wrong.to_string().contains("suite intl, not sm"), "{wrong}");
    // The key-value store of another folder.
    let mixed = Folder {
        kv: Arc::new(MemKv::new()),
        disk: folder.disk.clone(),
    };
    let wrong = mixed.try_open(Suite::Intl, SMALL).err().unwrap();
    let said = wrong.to_string();
    assert!(
        said.contains("do not belong together") && said.contains("move"),
        "{said}"
    );
}

#[test]
fn a_folder_of_an_unknown_version_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let mut batch = hawser_storage::Batch::new();
    batch.put(META, b"base", [&9u32.to_le_bytes()[..], &[0; 73]].concat());
    folder.kv.write(batch).unwrap();
    let wrong = folder
        .try_open(Suite::Intl, SMALL)
        .err()
        .unwrap()
        .to_string();
    assert!(
        wrong.contains("format 9") && wrong.contains("Move the key-value folder"),
        "{wrong}"
    );
}

#[test]
fn after_a_failed_flush_every_call_is_refused_and_a_restart_recovers() {
    let folder = Folder::new();
    let store = open(&folder, Suite::Intl, SMALL);
    let first = changes([(account(1), Some(1))]);
    let root = store.commit(Height(0), &first).unwrap();
    store.flush(Height(0)).unwrap();
    store.persist().unwrap();
    store
        .commit(Height(1), &changes([(account(1), Some(2))]))
        .unwrap();
    let view = store.view(Height(1)).unwrap();
    folder.kv.fail_after(0);
    assert!(matches!(store.flush(Height(1)), Err(StateError::Store(_))));
    assert!(matches!(
        store.commit(Height(2), &first),
        Err(StateError::Store(_))
    ));
    assert!(matches!(store.flush(Height(1)), Err(StateError::Store(_))));
    assert!(matches!(store.persist(), Err(StateError::Store(_))));
    assert!(matches!(view.get(&account(1)), Err(StateError::Store(_))));
    assert!(store.view(Height(1)).is_err());
    let again = open(&folder.crash(0), Suite::Intl, SMALL);
    assert_eq!(again.head(), Some((Height(0), root)));
}

#[test]
fn a_shorter_window_is_pruned_and_a_longer_one_fills_again() {
    let folder = Folder::new();
    let mut recorded = Vec::new();
    let mut contents = Contents::new();
    let (mut height, mut from) = (0u64, 0u64);
    for window in [6u64, 0, 3, 10] {
        let store = open(
            &folder,
            Suite::Intl,
            StateOptions {
                history_blocks: window,
                ..SMALL
            },
        );
        for _ in 0..8 {
            let changes = changes((0..6).map(|n| (account(n), Some((height as u8) * 6 + n))));
            apply(&mut contents, &changes);
            store.commit(Height(height), &changes).unwrap();
            recorded.push(contents.clone());
            store.flush(Height(height)).unwrap();
            store.persist().unwrap();
            from = from.max(height.saturating_sub(window));
            for (at, expected) in (0..).zip(&recorded) {
                match at >= from {
                    true => assert_view(&store, Height(at), expected),
                    false => assert!(store.view(Height(at)).is_err()),
                }
            }
            height += 1;
        }
        let kept = folder.kv.prefix(CHANGED, &[], false, 999).unwrap().len() as u64;
        let window = (height - 1) - from;
        assert!(
            (window..=window + 1).contains(&kept),
            "one list for each height of the window, and what the last flush outdated"
        );
        assert_eq!(
            folder.kv.prefix(HISTORY, &[], false, 999).unwrap().len() as u64,
            6 * kept
        );
    }
}

#[test]
fn views_and_proofs_hold_still_while_blocks_are_committed_and_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let kv = FjallKv::open(&folder.path().join("kv"), &StateStore::COLUMNS, 1 << 20).unwrap();
    let disk = OsDisk::new(&folder.path().join("log")).unwrap();
    let options = StateOptions {
        history_blocks: 40,
        overlay_blocks: 16,
        ..SMALL
    };
    let store = StateStore::open(Arc::new(kv), Arc::new(disk), Suite::Intl, options).unwrap();
    // Every key of a height has the same value, so a mixed view shows.
    let all = |height: u64| {
        let value = Bytes::from(height.to_be_bytes().to_vec());
        let entries = (0..40).flat_map(|n| [account(n), slot(n)]);
        Changes {
            entries: entries.map(|key| (key, Some(value.clone()))).collect(),
            blobs: BTreeMap::new(),
        }
    };
    store.commit(Height(0), &all(0)).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3u64)
        .map(|reader| {
            let (store, done) = (store.clone(), done.clone());
            std::thread::spawn(move || {
                let (mut views, mut proofs, mut round) = (0, 0, reader);
                while !done.load(Ordering::Relaxed) {
                    round += 1;
                    let (head, _) = store.head().unwrap();
                    let height = head.back(round % 45);
                    if let Ok(view) = store.view(height) {
                        for n in 0..40 {
                            match view.get(&account(n)) {
                                Ok(value) => assert_eq!(value.unwrap()[..], height.0.to_be_bytes()),
                                Err(StateError::NotKept { .. }) => break,
                                Err(error) => panic!("{error}"),
                            }
                        }
                        views += 1;
                    }
                    let key = account((round % 40) as u8);
                    if let (Ok(root), Ok(proof)) = (store.root(height), store.prove(height, &key)) {
                        let value = proof.verify(Suite::Intl, &root, &key).unwrap().unwrap();
                        assert_eq!(value[..], height.0.to_be_bytes());
                        proofs += 1;
                    }
                }
                (views, proofs)
            })
        })
        .collect();
    let flusher = {
        let (store, done) = (store.clone(), done.clone());
        std::thread::spawn(move || {
            let mut flushes = 0;
            while !done.load(Ordering::Relaxed) {
                if let Some(due) = store.flush_due() {
                    store.flush(due).unwrap();
                    flushes += 1;
                }
                std::thread::yield_now();
            }
            flushes
        })
    };
    for height in 1..=600 {
        store.commit(Height(height), &all(height)).unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(flusher.join().unwrap() > 0);
    for reader in readers {
        let (views, proofs) = reader.join().unwrap();
        assert!(views > 0 && proofs > 0, "{views} views, {proofs} proofs");
    }
}

#[test]
fn roots_are_frozen_for_both_suites() {
    for (suite, expected) in [
        (
            Suite::Intl,
            "01fa9fe1df175a6421a09f4f5cf1db1eac5c7d30d60df3cadedb75d62d3ba263",
        ),
        (
            Suite::Sm,
            "419a8649646bb18fc6763aa3db9d456254f449d93b6f99edfc88b845954b801c",
        ),
    ] {
        let store = open(&Folder::new(), suite, SMALL);
        let entries = (0..200).flat_map(|n| [(account(n), Some(n)), (slot(n), Some(n))]);
        assert_eq!(
            hex::encode(store.commit(Height(0), &changes(entries)).unwrap()),
            expected
        );
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

#[test]
fn a_crash_at_every_write_of_a_flush_leaves_a_state_that_the_same_blocks_bring_to_the_same_root() {
    const KEYS: u32 = 400;
    // Roots and contents as they are without any crash.
    let calm = open(&Folder::new(), Suite::Intl, SMALL);
    let (mut roots, mut contents) = (Vec::new(), Contents::new());
    for height in 0..16 {
        let changes = wide_changes(height, KEYS, 120);
        apply(&mut contents, &changes);
        roots.push(calm.commit(Height(height), &changes).unwrap());
    }
    let (mut boundary, mut done) = (0, false);
    while !done {
        for seed in [1, 2, 3] {
            let folder = Folder::new();
            let store = open(&folder, Suite::Intl, SMALL);
            for height in 0..12 {
                store
                    .commit(Height(height), &wide_changes(height, KEYS, 120))
                    .unwrap();
                if height % 4 == 3 && height < 11 {
                    store.flush(Height(height)).unwrap();
                    store.persist().unwrap();
                }
            }
            folder.disk.fail_after(boundary);
            let flushed = store.flush(Height(11)).and_then(|_| store.persist());
            done = flushed.is_ok();
            if !done {
                assert!(store.view(Height(11)).is_err(), "it refuses from here on");
            }
            let folder = folder.crash(seed);
            let store = open(&folder, Suite::Intl, SMALL);
            let (found, root) = store.head().unwrap();
            assert!(found == Height(7) || found == Height(11), "{found}");
            assert_eq!(root, roots[found.0 as usize]);
            for height in found.0 + 1..16 {
                let changes = wide_changes(height, KEYS, 120);
                let root = store.commit(Height(height), &changes).unwrap();
                assert_eq!(
                    root, roots[height as usize],
                    "write {boundary}, seed {seed}"
                );
            }
            store.flush(Height(15)).unwrap();
            assert_wide(&store, KEYS, &contents);
        }
        boundary += 1;
    }
    assert!(boundary > 3, "{boundary} writes");
}

#[test]
fn the_index_read_at_start_is_the_one_in_memory_and_waste_is_reclaimed() {
    const KEYS: u32 = 2_000;
    let folder = Folder::new();
    let mut store = open(&folder, Suite::Sm, SMALL);
    let mut contents = Contents::new();
    for height in 0..160u64 {
        let changes = wide_changes(height, KEYS, 200);
        apply(&mut contents, &changes);
        store.commit(Height(height), &changes).unwrap();
        if height % 3 == 2 {
            store.flush(Height(height - 1)).unwrap();
            store.persist().unwrap();
            let usage = store.page_usage();
            let most = 2 * usage.live_bytes + 6 * SMALL.pages.segment_bytes_max;
            assert!(usage.bytes <= most, "{usage:?}");
            let cached = store.inner.overlay.read().trunk.cached_bytes();
            assert!(cached <= SMALL.page_cache_bytes, "{cached} bytes of pages");
        }
        if height % 40 == 39 {
            store.flush(Height(height)).unwrap();
            store.persist().unwrap();
            let (index, usage) = (index_of(&store), store.page_usage());
            drop(store);
            store = open(&folder, Suite::Sm, SMALL);
            assert_eq!(index_of(&store), index);
            assert_eq!(store.page_usage(), usage);
            let (inners, pages) = store.nodes();
            assert!(pages > 50 && inners >= pages - 1, "{pages} pages");
            assert_wide(&store, KEYS, &contents);
        }
    }
    // No version of a node is kept that no height needs.
    store.flush(Height(159)).unwrap();
    let (_, root) = store.head().unwrap();
    assert_eq!(root, fresh_root(Suite::Sm, &contents));
    let in_memory = store.nodes();
    store.persist().unwrap();
    drop(store);
    assert_eq!(open(&folder, Suite::Sm, SMALL).nodes(), in_memory);
}

/// All keys in the first block, a page in ten in each flush's later ones.
fn sparse_changes(height: u64, keys: u32) -> Changes {
    if height > 0 {
        return wide_changes(height, keys, keys / 1_600);
    }
    let entry = |n| (wide(n), Some(Bytes::from(vec![1; 32])));
    Changes {
        entries: (0..keys).map(entry).collect(),
        blobs: BTreeMap::new(),
    }
}

/// A store with waste: 60 blocks, of which the last two are not flushed.
fn wasteful(folder: &Folder, keys: u32) -> (StateStore, Contents) {
    let store = open(folder, Suite::Intl, SMALL);
    let mut contents = Contents::new();
    for height in 0..60 {
        let changes = sparse_changes(height, keys);
        apply(&mut contents, &changes);
        store.commit(Height(height), &changes).unwrap();
        if height % 4 == 3 {
            store.flush(Height(height - 2)).unwrap();
            store.persist().unwrap();
        }
    }
    (store, contents)
}

#[test]
fn compaction_changes_nothing_but_where_pages_stand() {
    const KEYS: u32 = 20_000;
    let folder = Folder::new();
    let (store, mut contents) = wasteful(&folder, KEYS);
    let (before, head) = (store.page_usage(), store.head());
    assert!(store.is_compaction_due(), "{before:?}");
    {
        // An export holds the files, so nothing would be gained.
        store.inner.pages.hold();
        assert!(!store.compact().unwrap());
        store.inner.pages.release();
    }
    while store.compact().unwrap() {}
    let after = store.page_usage();
    assert_eq!(after.live_bytes, before.live_bytes);
    assert!(after.bytes < before.bytes, "{before:?} {after:?}");
    assert!(!store.is_compaction_due());
    assert_eq!(store.head(), head);
    assert_wide(&store, KEYS, &contents);
    // Blocks go on, also those that replace pages which moved.
    for height in 60..72 {
        let changes = sparse_changes(height, KEYS);
        apply(&mut contents, &changes);
        store.commit(Height(height), &changes).unwrap();
        if height % 4 == 3 {
            store.flush(Height(height - 1)).unwrap();
            while store.compact().unwrap() {}
        }
    }
    store.flush(Height(71)).unwrap();
    // Changes make the index longer until it is written anew, and compaction does that sooner.
    let journal = || {
        let files = folder.disk.list().unwrap();
        let journals = files.iter().filter(|(name, _)| name.ends_with(".jnl"));
        journals.map(|(_, bytes)| *bytes).sum::<u64>()
    };
    let index = |store| index_of(store).iter().map(Vec::len).sum::<usize>() as u64;
    let mut height = 72;
    while journal() * 2 < index(&store) * 3 {
        let changes = sparse_changes(height, KEYS);
        apply(&mut contents, &changes);
        store.commit(Height(height), &changes).unwrap();
        store.flush(Height(height)).unwrap();
        height += 1;
        assert!(height < 200, "{} {}", journal(), index(&store));
    }
    while store.compact().unwrap() {}
    assert!(journal() * 4 <= index(&store) * 5 + 16 * 1024);
    store.persist().unwrap();
    let (index, usage, head) = (index_of(&store), store.page_usage(), store.head());
    assert_eq!(head.unwrap().1, fresh_root(Suite::Intl, &contents));
    drop(store);
    let store = open(&folder, Suite::Intl, SMALL);
    assert_eq!((index_of(&store), store.head()), (index, head));
    assert_eq!(store.page_usage().live_bytes, usage.live_bytes);
    assert_wide(&store, KEYS, &contents);
}

#[test]
fn a_crash_at_every_write_of_compaction_leaves_the_state_of_the_last_flush() {
    const KEYS: u32 = 8_000;
    let base = Folder::new();
    let (store, contents) = wasteful(&base, KEYS);
    let flushed = store.flushed();
    drop(store);
    let again = |store: &StateStore| {
        for height in flushed.unwrap().0.0 + 1..60 {
            let changes = sparse_changes(height, KEYS);
            store.commit(Height(height), &changes).unwrap();
        }
    };
    let (mut boundary, mut done) = (0, false);
    while !done {
        for seed in [1, 2, 3] {
            let folder = base.crash(seed);
            let store = open(&folder, Suite::Intl, SMALL);
            again(&store);
            folder.disk.fail_after(boundary);
            let ended = store.compact();
            done = ended.is_ok();
            if !done {
                assert!(store.view(Height(59)).is_err(), "it refuses from here on");
            }
            let store = open(&folder.crash(seed), Suite::Intl, SMALL);
            assert_eq!(store.head(), flushed, "write {boundary}, seed {seed}");
            again(&store);
            assert_wide(&store, KEYS, &contents);
        }
        boundary += 1;
    }
    assert!(boundary > 3, "{boundary} writes");
}

#[test]
fn reads_beside_compaction_find_every_page() {
    const KEYS: u32 = 20_000;
    let (store, contents) = wasteful(&Folder::new(), KEYS);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                assert_wide(&store, KEYS, &contents);
            }
        });
        while store.compact().unwrap() {}
        assert_wide(&store, KEYS, &contents);
        done.store(true, Ordering::Release);
    });
}

#[test]
fn a_flipped_bit_of_a_page_is_an_error_with_what_to_do_and_never_another_value() {
    let folder = Folder::new();
    let store = open(&folder, Suite::Intl, SMALL);
    let mut contents = Contents::new();
    let changes = wide_changes(0, 60, 60);
    apply(&mut contents, &changes);
    store.commit(Height(0), &changes).unwrap();
    store.flush(Height(0)).unwrap();
    store.persist().unwrap();
    drop(store);
    let (name, len) = hawser_storage::Disk::list(&folder.disk).unwrap().remove(1);
    assert!(name.ends_with(".pag"), "{name}");
    let mut found = 0;
    for offset in (8..len as usize).step_by(61) {
        let damaged = Folder {
            kv: folder.kv.clone(),
            disk: folder.disk.clone(),
        };
        damaged.disk.flip_bit(&name, offset, 3);
        let store = open(&damaged, Suite::Intl, SMALL);
        let view = store.view(Height(0)).unwrap();
        for key in (0..60).map(wide) {
            match view.get(&key) {
                Ok(value) => assert_eq!(value.as_ref(), contents.get(&key)),
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        said.contains("damaged") && said.contains("made anew"),
                        "{said}"
                    );
                    found += 1;
                }
            }
        }
        damaged.disk.flip_bit(&name, offset, 3);
    }
    assert!(found > 50, "{found}");
}
