//! Pruning while running, on disks that lose what was not synced at every point.

use std::sync::Arc;

use crate::maker::{add, grow, open, options, transaction_of, transfers};
use hawser_crypto::Suite;
use hawser_ledger::{Transaction, state::StateOptions};
use hawser_node::{
    replica::PeerMessage,
    snapshot::{self, CreateOptions, Pace, Shelf},
    store::{ChainStore, KEEP_BLOCKS_MIN, StoreError, StoreOptions, Upkeep},
};
use hawser_primitives::{Height, encode};
use hawser_storage::{Disk, Kv, MemDisk, MemKv, PageStoreOptions};

const LENGTH: u64 = 1_700;
const SEGMENT_BYTES: u64 = 32 * 1024;

struct Base {
    disk: MemDisk,
    kv: Arc<MemKv>,
}

/// A chain of 1,700 blocks, a second apart, everything flushed that can be.
fn base() -> Base {
    let (disk, kv) = (MemDisk::new(3), Arc::new(MemKv::new()));
    let store = start(&disk, &kv, None).unwrap();
    grow(&store, LENGTH).unwrap();
    store.flush().unwrap();
    drop(store);
    kv.persist().unwrap();
    Base { disk, kv }
}

fn start(disk: &MemDisk, kv: &Arc<MemKv>, keep: Option<u64>) -> Result<ChainStore, StoreError> {
    let kv: Arc<dyn Kv> = Arc::<MemKv>::clone(kv);
    open(Arc::new(disk.clone()), kv, options(SEGMENT_BYTES, keep))
}

fn prune_all(store: &ChainStore) -> Result<(), StoreError> {
    while store.prune()? {}
    Ok(())
}

fn hash(height: u64) -> hawser_primitives::B256 {
    Transaction::hash_of(Suite::Intl, &transaction_of(height))
}

/// Everything from the first height on is there, everything before is said to be gone, and headers
/// are there of all.
fn whole(store: &ChainStore) {
    let first = store.first_height().0;
    let head = store.head().id().height.0;
    assert_eq!(head, LENGTH);
    for height in 1..=head {
        let found = store.block(Height(height));
        if height < first {
            assert!(
                matches!(found, Err(StoreError::Pruned { first: f, .. }) if f.0 == first),
                "{height}"
            );
        } else {
            let block = found.unwrap().unwrap();
            assert_eq!(block.block.header.height.0, height);
            assert!(store.roots(Height(height)).unwrap().is_some());
            if height % 4 == 0 {
                let at = store.position(&hash(height)).unwrap().unwrap();
                assert_eq!(at.height.0, height);
            }
        }
        let (header, certificate) = store.certified(Height(height)).unwrap().unwrap();
        assert_eq!((header.height.0, certificate.height.0), (height, height));
        assert_eq!(
            store.height_of(&header.hash(Suite::Intl)).unwrap(),
            Some(Height(height))
        );
    }
    let mut from = 1;
    while from <= head {
        let some = store.headers(Height(from), 500, 1 << 20).unwrap();
        assert_eq!(some[0].0.height.0, from);
        from += some.len() as u64;
    }
}

#[test]
fn what_is_behind_the_horizon_goes_and_the_rest_stays() {
    let base = base();
    let bytes = |kinds: &ChainStore, kind: &str| {
        let usage = kinds.usage().unwrap();
        usage.iter().find(|one| one.kind == kind).unwrap().bytes
    };
    let store = start(&base.disk, &base.kv, Some(KEEP_BLOCKS_MIN)).unwrap();
    assert_eq!(
        (store.first_height(), store.absence().is_ok()),
        (Height(1), true)
    );
    let before = (bytes(&store, "blocks"), bytes(&store, "receipts"));
    prune_all(&store).unwrap();
    // The newest heights are not certified yet.
    let checkpoint = store.certified_state_height().0;
    assert_eq!(store.first_height().0, checkpoint - KEEP_BLOCKS_MIN + 1);
    whole(&store);
    assert!(bytes(&store, "blocks") * 10 < before.0 * 8);
    assert!(bytes(&store, "receipts") * 10 < before.1 * 8);
    assert!(bytes(&store, "headers") > 0);
    // Rows of dropped transactions are gone, and that is not taken for absence.
    assert!(store.position(&hash(4)).unwrap().is_none());
    assert!(matches!(
        store.absence(),
        Err(StoreError::PerhapsPruned { .. })
    ));
    assert!(matches!(
        store.blooms(Height(1), Height(9), &|_| true),
        Err(StoreError::Pruned { .. })
    ));
    assert!(matches!(
        store.serve(Height(1), 9),
        Err(StoreError::Pruned { .. })
    ));
    let served = store.serve(store.first_height(), 9).unwrap();
    assert_eq!(served.len(), 9);
    let message = store.serve_encoded(store.first_height(), 9).unwrap();
    assert_eq!(message.to_vec(), encode(&PeerMessage::Blocks(served)));
    assert!(store.block(Height(0)).unwrap().is_some());
    // It goes on, also as an archive of what is left, and again pruned.
    add(&store, Vec::new(), 1_000).unwrap();
    drop(store);
    let first = start(&base.disk, &base.kv, None).unwrap().first_height();
    assert_eq!(first.0, checkpoint - KEEP_BLOCKS_MIN + 1);
}

#[test]
fn blocks_that_replays_are_recognised_by_are_kept_whatever_their_number() {
    let (disk, kv) = (MemDisk::new(3), Arc::new(MemKv::new()));
    let store = start(&disk, &kv, Some(KEEP_BLOCKS_MIN)).unwrap();
    // 1,300 blocks within half the time that an unordered transaction may live.
    for _ in 0..1_300 {
        add(&store, Vec::new(), 200).unwrap();
    }
    store.flush().unwrap();
    prune_all(&store).unwrap();
    assert_eq!(store.first_height(), Height(1));
    add(&store, Vec::new(), 600_000).unwrap();
    for _ in 0..8 {
        add(&store, Vec::new(), 1).unwrap();
    }
    store.flush().unwrap();
    prune_all(&store).unwrap();
    assert!(store.first_height() > Height(200));
}

/// A few old blocks, then a busy chain that has not run for as long as an unordered transaction may live.
#[test]
fn a_pruned_node_makes_snapshots_whatever_lies_before_the_blocks_it_must_keep() {
    let (disk, kv) = (MemDisk::new(3), Arc::new(MemKv::new()));
    let store = start(&disk, &kv, Some(KEEP_BLOCKS_MIN)).unwrap();
    let files = Shelf::of(Arc::new(MemDisk::new(4)), Suite::Intl);
    let make = |all_blocks, during: &dyn Fn()| {
        let made = snapshot::create(
            &store,
            &files,
            &mut CreateOptions {
                height: None,
                all_blocks,
                pace: Pace::of(0),
                progress: &mut |_, _| during(),
                stop: &|| false,
            },
        );
        let manifest = made.unwrap();
        let height = manifest.height();
        snapshot::verify(&files, height, store.genesis(), &mut |_, _| {}).unwrap();
        manifest.first()
    };
    for _ in 0..25 {
        add(&store, Vec::new(), 100).unwrap();
    }
    add(&store, Vec::new(), 700_000).unwrap();
    for _ in 0..1_300 {
        add(&store, Vec::new(), 200).unwrap();
    }
    store.flush().unwrap();
    prune_all(&store).unwrap();
    assert_eq!(
        store.first_height(),
        Height(25),
        "the others of before are gone"
    );
    // Blocks come, are flushed and would be dropped while it is being made.
    let busy = || {
        add(&store, Vec::new(), 700_000).unwrap();
        for _ in 0..1_300 {
            add(&store, Vec::new(), 1).unwrap();
        }
        store.flush().unwrap();
        let _ = store.prune().unwrap();
    };
    let once = std::cell::Cell::new(true);
    let first = make(false, &|| {
        if once.take() {
            busy();
        }
    });
    assert_eq!(first, Height(25));
    prune_all(&store).unwrap();
    assert!(store.first_height() > Height(1_000));
    let first = make(true, &|| {});
    assert_eq!(first, store.first_height());
}

/// Stops the disk or the key-value store at every one of its writes and syncs during pruning.
#[test]
fn a_crash_at_any_write_of_pruning_opens_again_and_loses_nothing_above_the_horizon() {
    let base = base();
    let mut undisturbed = None;
    for (on_disk, every) in [(true, 11), (false, 1)] {
        for k in (0..).step_by(every) {
            let seed = k * 2 + u64::from(on_disk);
            let disk = base.disk.crash(seed);
            let kv = Arc::new(base.kv.crash());
            let store = start(&disk, &kv, Some(KEEP_BLOCKS_MIN)).unwrap();
            if on_disk {
                disk.fail_after(k);
            } else {
                kv.fail_after(k);
            }
            let done = prune_all(&store);
            let seen = store.first_height();
            drop(store);
            let disk = disk.crash(seed);
            let batches = kv.unpersisted();
            let kv = Arc::new(kv.crash_keeping(if seed % 3 == 0 { batches } else { 0 }));
            let store = start(&disk, &kv, Some(KEEP_BLOCKS_MIN)).unwrap();
            assert!(store.first_height() <= seen);
            if k % 7 == 0 || done.is_ok() {
                whole(&store);
            }
            prune_all(&store).unwrap();
            let first = store.first_height();
            assert_eq!(*undisturbed.get_or_insert(first), first);
            if k % 7 == 0 {
                whole(&store);
            }
            // Files of what is gone are gone as well.
            let blocks = disk.list().unwrap();
            let blocks = blocks
                .iter()
                .filter(|(name, _)| name.starts_with("blocks-"));
            let oldest = blocks
                .map(|(name, _)| name[7..27].parse::<u64>().unwrap())
                .min();
            assert!(oldest.unwrap() <= first.0 && oldest.unwrap() + 100 > first.0);
            if done.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn a_state_that_is_gone_cannot_be_made_from_blocks_that_are_gone() {
    let base = base();
    let store = start(&base.disk, &base.kv, Some(KEEP_BLOCKS_MIN)).unwrap();
    prune_all(&store).unwrap();
    let first = store.first_height();
    drop(store);
    for (name, _) in base.disk.list().unwrap() {
        if name.starts_with("state-") {
            base.disk.remove(&name).unwrap();
        }
    }
    let refused = start(&base.disk, &Arc::new(MemKv::new()), None);
    assert!(
        matches!(refused.err().unwrap(), StoreError::Unreachable { state: Height(0), first: f }
            if f <= first)
    );
}

/// The state's files of a pruned node that has nothing else to do come near what is live in them, an archive's stay.
#[test]
fn upkeep_takes_the_waste_out_of_a_pruned_state_once_nothing_is_left_to_drop() {
    let (disk, kv) = (MemDisk::new(3), Arc::new(MemKv::new()));
    let start = |keep| {
        let base = options(SEGMENT_BYTES, keep);
        let options = StoreOptions {
            state: StateOptions {
                pages: PageStoreOptions {
                    segment_bytes_min: 16 * 1024,
                    ..PageStoreOptions::default()
                },
                ..base.state
            },
            ..base
        };
        let kv: Arc<dyn Kv> = Arc::<MemKv>::clone(&kv);
        open(Arc::new(disk.clone()), kv, options).unwrap()
    };
    let rest = |store: &ChainStore| {
        let mut upkeep = Upkeep::default();
        upkeep.flush(store, store.certified_state_height()).unwrap();
        let mut pauses = 0;
        while upkeep.has_more() {
            upkeep.pause(store).unwrap();
            pauses += 1;
            assert!(pauses < 1_000, "it ends");
        }
    };
    let bytes = || {
        let files = disk.list().unwrap();
        let pages = files.iter().filter(|(name, _)| name.ends_with(".pag"));
        pages.map(|(_, len)| len).sum::<u64>()
    };
    let store = start(None);
    for height in 0..KEEP_BLOCKS_MIN + 400 {
        add(&store, transfers(height * 8, 8), 1_000).unwrap();
    }
    rest(&store);
    let (before, live) = (bytes(), store.live_state_bytes());
    assert!(before > live * 130 / 100, "{before} bytes, {live} live");
    let head = store.head().id();
    drop(store);
    let store = start(Some(KEEP_BLOCKS_MIN));
    rest(&store);
    assert!(store.first_height() > Height(1), "dropping comes first");
    let (after, live) = (bytes(), store.live_state_bytes());
    assert!(
        after <= live * 110 / 100 + 48 * 1024,
        "{after} bytes, {live} live"
    );
    drop(store);
    assert_eq!(start(Some(KEEP_BLOCKS_MIN)).head().id(), head);
}
