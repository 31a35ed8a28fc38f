use hawser_crypto::cipher::Cipher;
use hawser_crypto::datakey::DataKey;
use hawser_primitives::Address;
use hawser_storage::{Batch, MemDisk, MemKv, SealedDisk, SealedKv, Sealer};

use super::convert::Earlier;
use super::testing::SMALL as OPTIONS;
use super::*;
use crate::state::StateRead;

fn key(n: u64) -> StateKey {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&n.to_be_bytes());
    match n % 3 {
        0 => StateKey::Account(Address::from_slice(&word[12..])),
        _ => StateKey::Storage(Address::repeat_byte(n as u8 & 3), B256::from(word)),
    }
}

fn value(n: u64, of: u64) -> Bytes {
    Bytes::from(vec![(n ^ of) as u8 | 1; 1 + (n % 90) as usize])
}

fn block(keys: std::ops::Range<u64>, of: u64) -> Changes {
    Changes {
        entries: keys.map(|n| (key(n), Some(value(n, of)))).collect(),
        ..Changes::default()
    }
}

/// Keys 0 to `count`, by parts.
struct Counted {
    suite: Suite,
    count: u64,
}

impl StateSource for Counted {
    fn entries(&self) -> u64 {
        self.count
    }

    fn part(&mut self, bits: u32, part: u64) -> Result<Vec<(StateKey, Bytes)>, StateError> {
        let all = (0..self.count).map(|n| (key(n), value(n, 0)));
        let of = |key: &StateKey| part_of(&key.path(self.suite), bits);
        Ok(all.filter(|(key, _)| of(key) == part).collect())
    }
}

#[test]
fn filling_gives_the_root_of_the_ordinary_path_and_a_store_that_goes_on() {
    for (suite, count) in [
        (Suite::Intl, 0),
        (Suite::Intl, 1),
        (Suite::Sm, 2),
        (Suite::Sm, 300),
        (Suite::Intl, 8_191),
        (Suite::Intl, 20_000),
    ] {
        let open = |kv: &Arc<MemKv>, disk: &MemDisk| {
            StateStore::open(kv.clone(), Arc::new(disk.clone()), suite, OPTIONS).unwrap()
        };
        let ordinary = open(&Arc::new(MemKv::new()), &MemDisk::new(1));
        let expected = ordinary.commit(Height(0), &block(0..count, 0)).unwrap();

        let (kv, disk) = (Arc::new(MemKv::new()), MemDisk::new(1));
        let source = &mut Counted { suite, count };
        let filled = StateStore::fill(
            &*kv,
            Arc::new(disk.clone()),
            suite,
            &OPTIONS,
            Height(0),
            source,
        );
        assert_eq!(filled.unwrap(), expected, "{suite} {count}");
        // Durable when it returns.
        let (kv, disk) = (Arc::new(kv.crash()), disk.crash(7));
        let store = open(&kv, &disk);
        assert_eq!(store.head(), Some((Height(0), expected)));
        assert_eq!(store.entries(), count);
        let view = store.view(Height(0)).unwrap();
        for n in (0..count).step_by(37) {
            assert_eq!(view.get(&key(n)).unwrap(), Some(value(n, 0)));
        }
        let next = block(count / 2..count + 9, 5);
        let root = store.commit(Height(1), &next).unwrap();
        assert_eq!(root, ordinary.commit(Height(1), &next).unwrap());
        store.flush(Height(1)).unwrap();
        let proof = store.prove(Height(1), &key(count)).unwrap();
        let proved = proof.verify(suite, &root, &key(count)).unwrap();
        assert_eq!(proved, Some(value(count, 5)));
        assert!(
            StateStore::fill(&*kv, Arc::new(disk), suite, &OPTIONS, Height(0), source).is_err(),
            "there is a state"
        );
    }
}

#[test]
fn a_part_that_holds_a_key_of_another_is_refused() {
    struct Wrong(Counted);
    impl StateSource for Wrong {
        fn entries(&self) -> u64 {
            self.0.count
        }
        fn part(&mut self, bits: u32, part: u64) -> Result<Vec<(StateKey, Bytes)>, StateError> {
            self.0.part(bits, part ^ 1)
        }
    }
    let source = &mut Wrong(Counted {
        suite: Suite::Intl,
        count: 10_000,
    });
    let disk = Arc::new(MemDisk::new(1));
    let filled = StateStore::fill(
        &MemKv::new(),
        disk,
        Suite::Intl,
        &OPTIONS,
        Height(0),
        source,
    );
    assert!(filled.is_err());
}

/// A folder as the version before left it, its head, and the roots of its heights.
struct Before {
    kv: Arc<MemKv>,
    roots: Vec<B256>,
    entries: u64,
}

const BLOCKS: u64 = 12;
const KEYS: u64 = 9_000;

/// History and blobs are written by this version, which has not changed them; values and the record
/// are put where the version before had them.
fn before(suite: Suite) -> Before {
    let (kv, disk) = (Arc::new(MemKv::new()), Arc::new(MemDisk::new(1)));
    let store = StateStore::open(kv.clone(), disk, suite, OPTIONS).unwrap();
    let mut roots = vec![store.commit(Height(0), &block(0..KEYS, 0)).unwrap()];
    for height in 1..=BLOCKS {
        let mut changes = block(height * 40..height * 40 + 100, height);
        changes.entries.insert(key(7_000 + height), None);
        roots.push(store.commit(Height(height), &changes).unwrap());
    }
    store.flush(Height(BLOCKS)).unwrap();
    store.persist().unwrap();
    let view = store.view(Height(BLOCKS)).unwrap();
    let mut batch = Batch::new();
    for n in 0..KEYS {
        if let Some(value) = view.get(&key(n)).unwrap() {
            batch.put(VALUES, key(n).encode(), value);
        }
    }
    batch.put(PAGES, b"a page of format 2", [1; 99]);
    let record = Earlier {
        format: 2,
        suite,
        height: Height(BLOCKS),
        root: roots[BLOCKS as usize],
        entries: store.entries(),
        history_from: Height(0),
        pruned_to: Height(0),
    };
    batch.put(META, base::KEY, hawser_primitives::encode(&record));
    kv.write(batch).unwrap();
    kv.persist().unwrap();
    Before {
        entries: store.entries(),
        kv,
        roots,
    }
}

fn check(store: &StateStore, before: &Before, suite: Suite) {
    let root = before.roots[BLOCKS as usize];
    assert_eq!(store.head(), Some((Height(BLOCKS), root)));
    assert_eq!(store.entries(), before.entries);
    let proof = store.prove(Height(BLOCKS), &key(1)).unwrap();
    let proved = proof.verify(suite, &root, &key(1)).unwrap();
    assert_eq!(proved, Some(value(1, 0)));
    for height in [0, 1, BLOCKS / 2, BLOCKS] {
        let view = store.view(Height(height)).unwrap();
        let gone = view.get(&key(7_000 + BLOCKS / 2)).unwrap();
        assert_eq!(gone.is_none(), height >= BLOCKS / 2);
        let changed = view.get(&key(45)).unwrap().unwrap();
        let by = u64::from(height >= 1);
        assert_eq!(changed, value(45, by), "history at {height}");
    }
}

fn is_empty(kv: &MemKv, column: Column) -> bool {
    kv.prefix(column, &[], false, 1).unwrap().is_empty()
}

#[test]
fn a_folder_of_format_2_is_converted_whole_at_its_first_opening() {
    for suite in [Suite::Intl, Suite::Sm] {
        let before = before(suite);
        let disk = MemDisk::new(3);
        let mut told = Vec::new();
        let open = |told: &mut Vec<(u64, u64)>| {
            let disk = Arc::new(disk.clone());
            StateStore::open_any(before.kv.clone(), disk, suite, OPTIONS, &mut |done, all| {
                told.push((done, all));
            })
        };
        check(&open(&mut told).unwrap(), &before, suite);
        let entries = before.entries;
        assert_eq!(told.first(), Some(&(0, entries)));
        assert_eq!(told.last(), Some(&(entries, entries)));
        told.clear();
        let store = open(&mut told).unwrap();
        check(&store, &before, suite);
        assert!(told.is_empty(), "once");
        assert!(is_empty(&before.kv, VALUES) && is_empty(&before.kv, PAGES));
        store.commit(Height(BLOCKS + 1), &block(0..50, 9)).unwrap();
        store.flush(Height(BLOCKS + 1)).unwrap();
    }
}

#[test]
fn a_conversion_stopped_anywhere_is_finished_by_the_next_opening() {
    let suite = Suite::Intl;
    let before = before(suite);
    let mut whole = false;
    for calls in 0..200u64 {
        let (kv, disk) = (Arc::new(before.kv.crash()), MemDisk::new(calls));
        // Either of the two fails first.
        if calls % 2 == 0 {
            disk.fail_after(calls / 2);
        } else {
            kv.fail_after(calls / 2);
        }
        let opened = StateStore::open(kv.clone(), Arc::new(disk.clone()), suite, OPTIONS);
        whole = opened.is_ok();
        drop(opened);
        let kept = calls as usize % (kv.unpersisted() + 1);
        let (kv, disk) = (Arc::new(kv.crash_keeping(kept)), disk.crash(calls));
        let store = StateStore::open(kv.clone(), Arc::new(disk), suite, OPTIONS).unwrap();
        check(&store, &before, suite);
        assert!(is_empty(&kv, VALUES) && is_empty(&kv, PAGES));
    }
    assert!(whole, "the last runs went through");
}

#[test]
fn values_that_lead_elsewhere_are_not_converted() {
    let before = before(Suite::Intl);
    let mut batch = Batch::new();
    batch.put(VALUES, key(5).encode(), b"another value");
    before.kv.write(batch).unwrap();
    let open = |disk| {
        let opened = StateStore::open(before.kv.clone(), disk, Suite::Intl, OPTIONS);
        opened.err().map(|error| error.to_string()).unwrap()
    };
    let disk = Arc::new(MemDisk::new(1));
    let error = open(disk.clone());
    assert!(error.contains("lead to root"), "{error}");
    assert!(error.contains("made anew from the blocks"), "{error}");
    assert!(open(disk).contains("lead to root"), "again the same");
    assert!(!is_empty(&before.kv, VALUES), "nothing is removed");
}

#[test]
fn an_encrypted_folder_of_format_2_is_refused_with_what_to_do() {
    let sealer = Arc::new(Sealer::new(DataKey::generate(Cipher::Aes256Gcm).unwrap()).unwrap());
    let plain = before(Suite::Intl).kv;
    let inner = Arc::new(MemKv::new());
    let kv = SealedKv::open(inner, sealer.clone(), &StateStore::KEY_FORMS).unwrap();
    let mut batch = Batch::new();
    for column in [META, VALUES] {
        for (key, value) in plain.prefix(column, &[], false, usize::MAX).unwrap() {
            batch.put(column, key, value);
        }
    }
    kv.write(batch).unwrap();
    let disk = Arc::new(SealedDisk::new(Arc::new(MemDisk::new(1)), sealer));
    let error = StateStore::open(Arc::new(kv), disk, Suite::Intl, OPTIONS).err();
    let error = error.unwrap().to_string();
    assert!(error.contains("format 2"), "{error}");
    assert!(error.contains("Move the key-value folder"), "{error}");
}

#[test]
fn pages_are_carried_to_an_encrypted_disk_and_the_state_goes_on_there() {
    let suite = Suite::Sm;
    let (kv, from) = (Arc::new(MemKv::new()), MemDisk::new(1));
    let store = StateStore::open(kv.clone(), Arc::new(from.clone()), suite, OPTIONS).unwrap();
    store.commit(Height(0), &block(0..2_000, 0)).unwrap();
    for height in 1..20 {
        store
            .commit(
                Height(height),
                &block(height * 50..height * 50 + 300, height),
            )
            .unwrap();
        store.flush(Height(height)).unwrap();
    }
    store.persist().unwrap();
    let root = store.head().unwrap().1;
    drop(store);
    let sealer = Arc::new(Sealer::new(DataKey::generate(Cipher::Sm4Gcm).unwrap()).unwrap());
    let inner = MemDisk::new(2);
    let to = Arc::new(SealedDisk::new(Arc::new(inner.clone()), sealer.clone()));
    let copy = || StateStore::copy_pages(Arc::new(from.clone()), to.clone(), &|_| {});
    assert!(copy().unwrap());
    assert!(copy().is_err(), "there is a state already");
    let after = Arc::new(SealedDisk::new(Arc::new(inner.crash(5)), sealer));
    let store = StateStore::open(kv, after, suite, OPTIONS).unwrap();
    assert_eq!(store.head().unwrap().1, root);
    let next = block(0..2_000, 77);
    store.commit(Height(20), &next).unwrap();
    store.flush(Height(20)).unwrap();
    let empty = StateStore::copy_pages(
        Arc::new(MemDisk::new(1)),
        Arc::new(MemDisk::new(1)),
        &|_| {},
    );
    assert!(!empty.unwrap(), "nothing to copy");
}
