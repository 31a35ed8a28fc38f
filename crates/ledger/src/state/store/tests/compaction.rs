//! Compaction moves pages and changes nothing else.

use super::*;

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
