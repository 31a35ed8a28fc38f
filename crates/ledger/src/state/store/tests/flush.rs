//! What a flush keeps, also where it breaks off.

use super::*;

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
