//! What each height shows, also while others are committed and after crashes.

use hawser_storage::{FjallKv, OsDisk};
use proptest::prelude::*;

use super::*;

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
