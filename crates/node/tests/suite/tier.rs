//! Old files in an object store: which ones go, that everything is answered as before, and what is said
//! when the store does not give them.

use std::sync::Arc;

use crate::maker::{genesis, grow, open, transaction_of};
use hawser_crypto::Suite;
use hawser_ledger::{Transaction, state::StateOptions};
use hawser_node::light::{LightAsk, LightReads, LightRefusal, LightReply, answer};
use hawser_node::store::{
    ChainStore, KEEP_BLOCKS_MIN, StoreError, StoreOptions, TierRules,
    check::{CheckReport, Part, Plan, check},
};
use hawser_primitives::{Height, encode};
use hawser_storage::{
    Disk, Kv, MemDisk, MemKv, MemObjects, ObjectFault, ObjectStore, SegmentOptions, Tier, TierHash,
    TierOptions, TieredDisk,
};

const LENGTH: u64 = 900;
const RULES: TierRules = TierRules {
    after_blocks: 400,
    after_ms: 0,
};

struct Folder {
    disk: MemDisk,
    kv: Arc<MemKv>,
    objects: Arc<MemObjects>,
}

impl Folder {
    fn new() -> Self {
        let folder = Self {
            disk: MemDisk::new(3),
            kv: Arc::new(MemKv::new()),
            objects: Arc::new(MemObjects::new()),
        };
        let store = folder.start(None).unwrap();
        grow(&store, LENGTH).unwrap();
        store.flush().unwrap();
        folder.kv.persist().unwrap();
        folder
    }

    fn tiered(&self, configured: bool) -> Arc<dyn Disk> {
        let objects = Arc::clone(&self.objects) as Arc<dyn ObjectStore>;
        let options = TierOptions {
            prefix: "p".to_owned(),
            hash: TierHash::Sha256,
            cache_bytes: 0,
            bytes_per_s: 0,
        };
        let disk = Arc::new(self.disk.clone());
        let tier = Tier::open(disk, configured.then_some(objects), None, options).unwrap();
        Arc::new(TieredDisk::new(tier))
    }

    fn start(&self, keep_blocks: Option<u64>) -> Result<ChainStore, StoreError> {
        let options = StoreOptions {
            state: StateOptions {
                history_blocks: 64,
                ..StateOptions::default()
            },
            segments: SegmentOptions {
                segment_bytes: 16 * 1024,
                ..SegmentOptions::default()
            },
            keep_blocks,
            ..StoreOptions::default()
        };
        let kv: Arc<dyn Kv> = Arc::<MemKv>::clone(&self.kv);
        open(self.tiered(true), kv, options)
    }

    fn check(&self, remote: bool) -> CheckReport {
        check(&self.tiered(remote), Ok(&*self.kv), &genesis(), 1, &|_| {}).unwrap()
    }
}

fn move_all(store: &ChainStore, rules: TierRules) -> Vec<u64> {
    let mut lasts = Vec::new();
    while let Some(moved) = store.move_cold(rules, &|| false).unwrap() {
        assert!(moved.file.ends_with(".seg"), "{moved:?}");
        lasts.push(moved.last.0);
    }
    lasts
}

/// Everything of every block, in one value.
fn all(store: &ChainStore) -> Vec<Vec<u8>> {
    let one = |height: u64| {
        let block = store.block(Height(height)).unwrap().unwrap();
        encode(&(block.block.as_ref(), block.result.as_ref()))
    };
    (1..=LENGTH).map(one).collect()
}

fn word<T>(result: Result<T, StoreError>) -> &'static str {
    match result {
        Err(error) => error.tier().map_or("another", |cold| cold.word()),
        Ok(_) => "ok",
    }
}

#[test]
fn files_go_by_blocks_and_by_age_and_everything_is_answered_as_before() {
    let folder = Folder::new();
    let store = folder.start(None).unwrap();
    let before = all(&store);
    let bytes = |kind: &str| {
        let usage = store.usage().unwrap();
        usage
            .iter()
            .find(|one| one.kind == kind)
            .map_or(0, |one| one.bytes)
    };
    let (blocks, receipts) = (bytes("blocks"), bytes("receipts"));
    assert_eq!(
        (bytes("remote"), store.first_local().unwrap()),
        (0, Height(1))
    );
    // Blocks are a second apart: none is that old.
    let never = TierRules {
        after_blocks: 300,
        after_ms: LENGTH * 1_000,
    };
    assert_eq!(move_all(&store, never), Vec::<u64>::new());
    let checkpoint = store.certified_state_height().0;
    let by_age = TierRules {
        after_blocks: 300,
        after_ms: 700_000,
    };
    let lasts = move_all(&store, by_age);
    assert!(
        !lasts.is_empty() && lasts.iter().all(|last| *last <= checkpoint - 700),
        "{lasts:?}"
    );
    let lasts = move_all(&store, RULES);
    let newest = lasts.iter().max().unwrap();
    assert!(
        (checkpoint - 480..=checkpoint - 400).contains(newest),
        "{newest} of {checkpoint}"
    );
    // Less than the least that stays is not obeyed.
    let least = TierRules {
        after_blocks: 0,
        after_ms: 0,
    };
    let lasts = move_all(&store, least);
    assert!(
        lasts.iter().all(|last| *last <= checkpoint - 300),
        "{lasts:?}"
    );

    assert_eq!(all(&store), before);
    assert!(bytes("blocks") < blocks && bytes("receipts") < receipts);
    assert!(bytes("remote") > blocks / 3, "{}", bytes("remote"));
    let first = store.first_local().unwrap();
    assert!(store.is_cold(Height(1)).unwrap() && !store.is_cold(first).unwrap());
    assert_eq!(store.first_height(), Height(1), "nothing is gone");
    let hash = Transaction::hash_of(Suite::Intl, &transaction_of(8));
    assert_eq!(store.position(&hash).unwrap().unwrap().height, Height(8));
    store
        .prove_receipt(store.position(&hash).unwrap().unwrap())
        .unwrap();
    // The chain goes on, and so does a start.
    drop(store);
    let store = folder.start(None).unwrap();
    grow(&store, LENGTH + 20).unwrap();
    assert_eq!(all(&store), before);
}

#[test]
fn a_start_and_new_blocks_do_not_need_the_store() {
    let folder = Folder::new();
    let store = folder.start(None).unwrap();
    // The ten minutes that a start looks back on stay.
    let rules = TierRules {
        after_blocks: 300,
        after_ms: 620_000,
    };
    assert!(!move_all(&store, rules).is_empty());
    drop(store);
    folder.objects.set_fault(Some(ObjectFault::Unreachable));
    let (gets, store) = (folder.objects.gets(), folder.start(None).unwrap());
    grow(&store, LENGTH + 20).unwrap();
    store.flush().unwrap();
    assert_eq!(folder.objects.gets(), gets, "nobody asked the store");
    assert_eq!(word(store.block(Height(1))), "unreachable");
    assert_eq!(word(store.certified(Height(2))), "unreachable");
    let first = store.first_local().unwrap();
    assert_eq!(word(store.block(first)), "ok");
    assert_eq!(store.head().id().height.0, LENGTH + 20);
    assert_eq!(word(store.move_cold(rules, &|| false)), "unreachable");
}

#[test]
fn peers_get_blocks_from_the_store_up_to_a_time_and_what_is_here_without_it() {
    let folder = Folder::new();
    let store = folder.start(None).unwrap();
    move_all(&store, RULES);
    let first = store.first_local().unwrap();
    let some = store.serve_cold(Height(1), 50, &|| false).unwrap();
    assert_eq!(some.len(), 50);
    assert_eq!(some[49].block.header.height, Height(50));
    // Late: one block is an answer.
    assert_eq!(store.serve_cold(Height(60), 50, &|| true).unwrap().len(), 1);
    // From the store into what is here.
    let across = store.serve_cold(first.back(3), 10, &|| false).unwrap();
    assert_eq!(across.len(), 10);
    // The thread that must not wait ends before what is not here: a file between two that came back.
    let tier = store.tier().unwrap();
    let files = tier.files().unwrap();
    let blocks: Vec<_> = files
        .iter()
        .filter(|one| one.file.starts_with("blocks"))
        .collect();
    tier.fetch(&blocks[0].file, &|_| {}).unwrap();
    drop(store);
    let store = folder.start(None).unwrap();
    assert!(!store.is_cold(Height(1)).unwrap());
    let gets = folder.objects.gets();
    let served = store.serve(Height(1), 10_000).unwrap();
    let next = served.last().unwrap().block.header.height.next();
    assert!(store.is_cold(next).unwrap(), "{next}");
    assert_eq!(folder.objects.gets(), gets, "it did not ask the store");
    // Out of reach: nothing of what lies there, all of what is here.
    folder.objects.set_fault(Some(ObjectFault::TimedOut));
    assert_eq!(word(store.serve_cold(next, 10, &|| false)), "timeout");
    assert_eq!(store.serve(first, 10).unwrap().len(), 10);
    let refused = answer(&store, LightReads::Open, &LightAsk::Body { height: next });
    assert!(
        matches!(&refused, LightReply::Refused { why: LightRefusal::NotHere, text } if text.contains("another")),
        "{refused:?}"
    );
}

#[test]
fn a_pruned_node_does_not_drop_what_lies_elsewhere_unasked() {
    let folder = Folder::new();
    let store = folder.start(None).unwrap();
    move_all(&store, RULES);
    drop(store);
    let refused = folder.start(Some(KEEP_BLOCKS_MIN)).map(|_| ());
    assert!(
        matches!(refused, Err(StoreError::TieredAndPruned)),
        "{refused:?}"
    );
    assert!(folder.start(None).is_ok());
}

#[test]
fn a_check_reads_the_store_or_says_what_it_did_not_read() {
    let folder = Folder::new();
    assert!(folder.check(true).cold.is_empty());
    let whole = folder.check(true).counts;
    let store = folder.start(None).unwrap();
    move_all(&store, RULES);
    let first = store.first_local().unwrap();
    drop(store);
    let remote = folder.check(true);
    assert!(remote.is_sound() && remote.cold.is_empty(), "{remote:?}");
    assert_eq!((remote.counts, remote.from_genesis), (whole, true));
    let local = folder.check(false);
    assert!(local.is_sound(), "{:?}", local.findings);
    let cold = local.cold.iter().filter(|(part, ..)| *part == Part::Blocks);
    assert_eq!(cold.map(|(_, _, last)| *last).max(), Some(first.back(1)));
    assert!(!local.from_genesis && local.last == remote.last);
    assert!(local.counts.blocks < whole.blocks);
    // One object is not what it was.
    let blocks = |key: &String| key.contains("blocks-");
    let key = folder.objects.keys().into_iter().find(blocks).unwrap();
    let mut bytes = folder.objects.object(&key).unwrap();
    bytes[5_000] ^= 1;
    folder.objects.set(&key, Some(bytes));
    let spoilt = folder.check(true);
    assert_eq!(spoilt.findings.len(), 1, "{:?}", spoilt.findings);
    let found = &spoilt.findings[0];
    assert!(
        found.part == Part::Object && found.reason.contains(&key),
        "{found:?}"
    );
    assert_eq!(spoilt.last, remote.last, "the other files were read");
    // Nothing here is damaged, so nothing here is mended.
    let plan = spoilt.plan(true);
    let nothing = Plan::Steps {
        steps: Vec::new(),
        votes: false,
    };
    assert_eq!(plan, nothing);
    folder.objects.set(&key, None);
    assert!(folder.check(true).has(Part::Object));
    folder.objects.set_fault(Some(ObjectFault::Denied));
    let disk = folder.tiered(true);
    let denied = check(&disk, Ok(&*folder.kv), &genesis(), 1, &|_| {});
    assert_eq!(word(denied), "denied");
}
