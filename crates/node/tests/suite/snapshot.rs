//! Snapshots: made from a chain, checked, served piece by piece to a node that trusts nobody, and made into
//! a folder that goes on as the others do.

use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::chain::*;
use hawser_crypto::Suite;
use hawser_ledger::{Outcome, SkipReason};
use hawser_node::snapshot::{
    self, BlocksChunk, ChunkChecker, ChunkId, Content, Contents, CreateOptions, Manifest, Pace,
    Shelf, SnapshotError, StatePart, check_blocks, check_state,
};
use hawser_primitives::{B256, Bytes, Height, decode_exact, encode};
use hawser_storage::{Disk, MemDisk, MemKv};

fn make(
    chain: &TestChain,
    shelf: &Shelf,
    height: Option<u64>,
    all_blocks: bool,
    stop: &dyn Fn() -> bool,
) -> Result<Manifest, SnapshotError> {
    snapshot::create(
        &chain.store,
        shelf,
        &mut CreateOptions {
            height: height.map(Height),
            all_blocks,
            pace: Pace::of(0),
            progress: &mut |_, _| {},
            stop,
        },
    )
}

fn shelf(suite: Suite) -> (MemDisk, Shelf) {
    let disk = MemDisk::new(4);
    (disk.clone(), Shelf::of(Arc::new(disk), suite))
}

fn restored(chain: &TestChain, shelf: &Shelf, height: Height) -> TestChain {
    let (disk, kv) = (MemDisk::new(2), Arc::new(MemKv::new()));
    snapshot::restore(
        (shelf, height),
        (Arc::new(disk.clone()), Arc::<MemKv>::clone(&kv)),
        &chain.genesis,
        natives(),
        &options(),
        &mut |_, _| {},
    )
    .unwrap();
    TestChain::open(Arc::clone(&chain.genesis), disk, kv)
}

#[test]
fn a_node_made_from_a_snapshot_goes_on_as_the_others_do() {
    for (suite, all_blocks) in [(Suite::Intl, false), (Suite::Sm, true)] {
        let chain = TestChain::new(suite);
        chain.grow(40);
        let (_, shelf) = shelf(suite);
        let manifest = make(&chain, &shelf, None, all_blocks, &|| false).unwrap();
        assert!(manifest.parts.len() > 1, "{}", manifest.parts.len());
        let contents = manifest.parts.iter().map(|part| part.contents.len());
        assert!(contents.sum::<usize>() > 0, "evidence comes along");
        let height = manifest.height();
        assert_eq!(height, chain.store.certified_state_height());
        snapshot::verify(&shelf, height, &chain.genesis, &mut |_, _| {}).unwrap();

        let node = restored(&chain, &shelf, height);
        assert_same(&chain.store, &node.store);
        assert_eq!(node.store.first_height(), manifest.first());
        assert_eq!(node.store.imported().unwrap(), Some(height));
        // Its blocks go on after its state, and that is told.
        let last = Some(manifest.last());
        assert!(manifest.last() > height && node.store.stored_height() == manifest.last());
        assert_eq!(shelf.facts(height).unwrap().last, manifest.last());
        let folder: Arc<dyn Disk> = Arc::new(node.disk.clone());
        assert_eq!(hawser_node::store::last_block(&folder).unwrap(), last);
        // What was executed within the last minutes is not executed again, nor is what is old.
        let old = unordered(
            40,
            chain.store.certified(Height(39)).unwrap().unwrap().0.time,
        );
        for raws in [vec![old], vec![register(41)], vec![]] {
            let (block, certificate) = chain.block(raws);
            chain.take(&block, &certificate);
            node.take(&block, &certificate);
            assert_same(&chain.store, &node.store);
        }
        let replayed = node.store.block(Height(41)).unwrap().unwrap();
        assert_eq!(
            replayed.result.receipts[0].outcome,
            Outcome::Skipped(SkipReason::Replayed)
        );
        // It proves, serves and is a source of snapshots in its turn.
        let changes = node.store.committee_changes(Height(42)).unwrap();
        assert!(changes.is_empty());
        let (_, second) = self::shelf(suite);
        let again = make(&node, &second, None, false, &|| false).unwrap();
        let (_, third) = self::shelf(suite);
        let same = make(&chain, &third, None, false, &|| false).unwrap();
        assert_eq!(again.digest(suite), same.digest(suite));
        // And comes back after a crash.
        let height = node.store.head().id().height;
        let disk = node.disk.crash(3);
        let kv = Arc::new(node.kv.crash_keeping(node.kv.unpersisted()));
        drop(node.store);
        let node = TestChain::open(Arc::clone(&chain.genesis), disk, kv);
        assert_eq!(node.store.head().id().height, height);
        assert_same(&chain.store, &node.store);
    }
}

#[test]
fn blocks_that_go_on_change_nothing_about_a_snapshot_that_is_being_made() {
    let suite = Suite::Intl;
    let chain = TestChain::new(suite);
    chain.grow(20);
    let wanted = chain.store.certified_state_height();
    let (_, still) = shelf(suite);
    let expected = make(&chain, &still, None, false, &|| false).unwrap();
    let (_, busy) = shelf(suite);
    let made = snapshot::create(
        &chain.store,
        &busy,
        &mut CreateOptions {
            height: Some(wanted),
            all_blocks: false,
            pace: Pace::of(0),
            // Between the chunks the chain moves on, far beyond what it keeps of old states in memory.
            progress: &mut |_, _| chain.grow(chain.store.stored_height().0 + 30),
            stop: &|| false,
        },
    )
    .unwrap();
    assert_eq!(made.digest(suite), expected.digest(suite));
    snapshot::verify(&busy, wanted, &chain.genesis, &mut |_, _| {}).unwrap();
    // What has gone out of reach is said to have.
    let (_, late) = shelf(suite);
    let error = make(&chain, &late, Some(wanted.0), false, &|| false).unwrap_err();
    assert!(error.to_string().contains("not kept"), "{error}");
    let newest = chain.store.certified_state_height();
    let error = make(&chain, &late, Some(newest.0 + 1), false, &|| false).unwrap_err();
    assert!(matches!(error, SnapshotError::Height { .. }), "{error}");
}

#[test]
fn a_creation_that_is_stopped_or_crashes_leaves_nothing_that_looks_like_a_snapshot() {
    let suite = Suite::Intl;
    let chain = TestChain::new(suite);
    chain.grow(6);
    for chunks in 0..3 {
        let (disk, shelf) = shelf(suite);
        let left = Cell::new(chunks);
        let stop = || left.replace(left.get() - 1) == 0;
        let error = make(&chain, &shelf, None, false, &stop).unwrap_err();
        assert!(matches!(error, SnapshotError::Stopped), "{error}");
        assert_eq!(disk.list().unwrap(), []);
    }
    // As a crash leaves it: chunks and no manifest.
    let (disk, shelf) = shelf(suite);
    let manifest = make(&chain, &shelf, None, false, &|| false).unwrap();
    let name = disk.list().unwrap().into_iter().map(|(name, _)| name);
    let name = name.into_iter().find(|name| name.ends_with(".manifest"));
    disk.remove(&name.unwrap()).unwrap();
    let opened = Shelf::open(Arc::new(disk.clone()), suite).unwrap();
    assert_eq!(opened.heights().unwrap(), []);
    assert_eq!(disk.list().unwrap(), []);
    let error = opened.manifest(manifest.height()).unwrap_err();
    assert!(matches!(error, SnapshotError::NotHere(_)), "{error}");
}

#[test]
fn a_restore_that_is_interrupted_begins_anew_and_a_full_folder_is_not_touched() {
    let suite = Suite::Intl;
    let chain = TestChain::new(suite);
    chain.grow(8);
    let (_, shelf) = shelf(suite);
    let height = make(&chain, &shelf, None, false, &|| false)
        .unwrap()
        .height();
    let restore = |disk: &MemDisk, kv: &Arc<MemKv>, shelf: &Shelf| {
        snapshot::restore(
            (shelf, height),
            (Arc::new(disk.clone()), Arc::<MemKv>::clone(kv)),
            &chain.genesis,
            natives(),
            &options(),
            &mut |_, _| {},
        )
    };
    let (disk, kv) = (MemDisk::new(2), Arc::new(MemKv::new()));
    // A chunk is missing: everything before it was written.
    let torn = Shelf::of(Arc::new(MemDisk::new(1)), suite);
    let manifest = shelf.manifest(height).unwrap();
    let all: Vec<_> = manifest.chunks().collect();
    for id in &all[..all.len() - 1] {
        let bytes = shelf.whole_chunk(height, *id).unwrap();
        torn.put_chunk(height, *id, &bytes).unwrap();
    }
    torn.put_manifest(&manifest).unwrap();
    let error = restore(&disk, &kv, &torn).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(snapshot::is_unfinished(&disk).unwrap());
    restore(&disk, &kv, &shelf).unwrap();
    assert!(!snapshot::is_unfinished(&disk).unwrap());
    let node = TestChain::open(Arc::clone(&chain.genesis), disk.clone(), Arc::clone(&kv));
    assert_same(&chain.store, &node.store);
    drop(node);
    let before = disk.list().unwrap();
    let error = restore(&disk, &kv, &shelf).unwrap_err();
    assert!(matches!(error, SnapshotError::NotEmpty), "{error}");
    assert_eq!(disk.list().unwrap(), before);
}

#[test]
fn a_damaged_file_is_told_from_a_missing_one_and_stays_as_it_is() {
    let suite = Suite::Intl;
    let chain = TestChain::new(suite);
    chain.grow(8);
    let (disk, shelf) = shelf(suite);
    let height = make(&chain, &shelf, None, false, &|| false)
        .unwrap()
        .height();
    let verify = || snapshot::verify(&shelf, height, &chain.genesis, &mut |_, _| {});
    let names = disk.list().unwrap().into_iter().map(|(name, _)| name);
    for name in names.collect::<Vec<_>>() {
        let file = disk.open(&name).unwrap().unwrap();
        let whole = file.read_at(0, 1 << 24).unwrap();
        let put = |bytes: &[u8]| {
            let file = disk.create(&name).unwrap();
            file.append(bytes).unwrap();
        };
        for at in [0, 40, whole.len() - 1] {
            let mut wrong = whole.clone();
            wrong[at] ^= 1;
            put(&wrong);
            let error = verify().unwrap_err().to_string();
            let damaged = format!("file {name} of the snapshot is damaged");
            assert!(error.contains(&damaged), "{error}");
            let file = disk.open(&name).unwrap().unwrap();
            assert_eq!(file.read_at(0, 1 << 24).unwrap(), wrong);
        }
        disk.remove(&name).unwrap();
        let error = verify().unwrap_err().to_string();
        let missing = [
            format!("file {name} of the snapshot is missing"),
            format!("no snapshot of block {height} is here"),
        ];
        assert!(missing.iter().any(|one| error.contains(one)), "{error}");
        put(&whole);
    }
    verify().unwrap();
}

#[test]
fn every_forged_manifest_is_refused() {
    let suite = Suite::Intl;
    let chain = TestChain::new(suite);
    chain.grow(12);
    let (_, shelf) = shelf(suite);
    let good = make(&chain, &shelf, None, false, &|| false).unwrap();
    good.verify(&chain.genesis).unwrap();
    type Forge = Box<dyn Fn(&mut Manifest)>;
    let forgeries: Vec<(&str, Forge)> = vec![
        ("format", Box::new(|m| m.format += 1)),
        ("genesis", Box::new(|m| m.genesis = B256::ZERO)),
        ("entries", Box::new(|m| m.entries += 1)),
        (
            "another hash",
            Box::new(|m| m.parts[0].part.hash = B256::ZERO),
        ),
        ("a part less", Box::new(|m| drop(m.parts.pop()))),
        ("more leaves", Box::new(|m| m.parts[0].part.leaves += 1)),
        ("no bytes", Box::new(|m| m.parts[0].bytes = 0)),
        ("endless", Box::new(|m| m.parts[0].bytes = u32::MAX)),
        (
            "endless content",
            Box::new(|m| {
                for part in &mut m.parts {
                    part.contents
                        .iter_mut()
                        .for_each(|one| one.bytes = u32::MAX);
                }
            }),
        ),
        (
            "more chunks than there may be",
            Box::new(|m| {
                let one = hawser_node::snapshot::ContentPart { count: 1, bytes: 1 };
                m.parts[0].contents = vec![one; hawser_node::snapshot::CHUNKS_MAX];
            }),
        ),
        (
            "another state",
            Box::new(|m| m.certifier.header.executed.state = B256::ZERO),
        ),
        (
            "too few signatures",
            Box::new(|m| m.certifier.certificate.signatures.truncate(2)),
        ),
        ("another block", Box::new(|m| m.block = m.certifier.clone())),
        ("a gap", Box::new(|m| m.blocks[0].from = Height(2))),
        ("no blocks", Box::new(|m| m.blocks.clear())),
        (
            "blocks that do not end",
            Box::new(|m| m.blocks.last_mut().unwrap().to = Height(u64::MAX)),
        ),
    ];
    for (what, forge) in forgeries {
        let mut forged = good.clone();
        forge(&mut forged);
        assert!(forged.verify(&chain.genesis).is_err(), "{what}");
    }
    // Another chain's operator is told so.
    let mut other = (*chain.genesis).clone();
    other.name = "other".to_owned();
    let error = good.verify(&other).unwrap_err();
    assert!(
        matches!(error, SnapshotError::WrongGenesis { .. }),
        "{error}"
    );
    assert!(Manifest::decode(&good.encode()[1..]).is_err());
    assert!(Manifest::decode(&[]).is_err());
}

#[test]
fn every_forged_chunk_is_refused() {
    let suite = Suite::Sm;
    let chain = TestChain::new(suite);
    chain.grow(12);
    let (_, shelf) = shelf(suite);
    let manifest = make(&chain, &shelf, None, false, &|| false).unwrap();
    let client = manifest.verify(&chain.genesis).unwrap();
    let height = manifest.height();
    let bytes = |id| shelf.whole_chunk(height, id).unwrap();

    let state = bytes(ChunkId::State(0));
    let part = &manifest.parts[0];
    let leaves = check_state(suite, part, &state).unwrap();
    for at in [0, 4, 40, state.len() - 1] {
        let mut forged = state.clone();
        forged[at] ^= 1;
        assert!(check_state(suite, part, &forged).is_err(), "byte {at}");
    }
    assert!(check_state(suite, part, &state[1..]).is_err());
    let longer = [&state[..], &[0]].concat();
    assert!(check_state(suite, part, &longer).is_err());
    assert!(check_state(suite, &manifest.parts[1], &state).is_err());

    let (at, with) = manifest
        .parts
        .iter()
        .enumerate()
        .find(|(_, part)| !part.contents.is_empty())
        .unwrap();
    let own = check_state(suite, with, &bytes(ChunkId::State(at as u32))).unwrap();
    let content = bytes(ChunkId::Content(at as u32, 0));
    let check = |leaves: &[_], bytes: &[u8]| {
        let mut contents = Contents::of(suite, leaves);
        let found = contents.check(with, 0, bytes)?;
        contents.finish()?;
        Ok::<_, SnapshotError>(found)
    };
    let found = check(&own, &content).unwrap();
    assert!(!found.is_empty());
    let mut forged = content.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(check(&own, &forged).is_err(), "content that nothing names");
    assert!(
        check(&leaves[..10], &content).is_err(),
        "content of another part"
    );
    let mut list: Vec<Content> = decode_exact(&content, 1 << 24).unwrap();
    list.push(list[0].clone());
    assert!(check(&own, &encode(&list)).is_err(), "content twice");

    let blocks = bytes(ChunkId::Blocks(0));
    let lag = chain.genesis.parameters.root_lag;
    let check = |bytes: &[u8]| check_blocks(&client, suite, lag, &manifest, 0, bytes);
    assert_eq!(check(&blocks).unwrap().len(), 12);
    let chunk: BlocksChunk = decode_exact(&blocks, 1 << 24).unwrap();
    type Forge = Box<dyn Fn(&mut BlocksChunk)>;
    let forgeries: Vec<(&str, Forge)> = vec![
        ("a block less", Box::new(|c| drop(c.blocks.pop()))),
        ("order", Box::new(|c| c.blocks.swap(3, 4))),
        (
            "another body",
            Box::new(|c| drop(c.blocks[2].certified.block.transactions.pop())),
        ),
        (
            "no certificate",
            Box::new(|c| c.blocks[2].certified.certificate.signatures.truncate(1)),
        ),
        ("no receipts", Box::new(|c| c.blocks[2].result = None)),
        (
            "a receipt less",
            Box::new(|c| drop(c.blocks[2].result.as_mut().unwrap().receipts.pop())),
        ),
        (
            "another sender",
            Box::new(|c| {
                let result = c.blocks[2].result.as_mut().unwrap();
                result.receipts[0].sender = hawser_primitives::Address::ZERO;
            }),
        ),
        (
            "other gas",
            Box::new(|c| c.blocks[2].result.as_mut().unwrap().gas_used += 1),
        ),
        (
            "another bloom filter",
            Box::new(|c| c.blocks[2].result.as_mut().unwrap().logs_bloom[7] ^= 1),
        ),
        (
            "another root",
            Box::new(|c| c.blocks[2].result.as_mut().unwrap().roots.state = B256::ZERO),
        ),
    ];
    for (what, forge) in forgeries {
        let mut forged = chunk.clone();
        forge(&mut forged);
        assert!(check(&encode(&forged)).is_err(), "{what}");
    }
    assert!(check(&[]).is_err());
}

#[test]
fn a_chunk_that_is_refused_does_not_stand_in_the_way_of_the_right_one() {
    let suite = Suite::Intl;
    let chain = TestChain::new(suite);
    chain.grow(20);
    let (_, shelf) = shelf(suite);
    let manifest = make(&chain, &shelf, None, false, &|| false).unwrap();
    let height = manifest.height();
    let several = |part: &StatePart| part.contents.iter().any(|one| one.count > 1);
    assert!(manifest.parts.iter().any(several));
    let ids: Vec<ChunkId> = manifest.chunks().collect();
    let checker = ChunkChecker::new(Arc::clone(&chain.genesis), Arc::new(manifest)).unwrap();
    for id in ids {
        let right = shelf.whole_chunk(height, id).unwrap();
        // Begins right: what is wrong comes last.
        let mut wrong = right.clone();
        *wrong.last_mut().unwrap() ^= 1;
        checker.check(id, &wrong).unwrap_err();
        checker.check(id, &wrong[1..]).unwrap_err();
        checker.check(id, &right).unwrap();
    }
}

#[test]
fn content_that_only_other_content_names_comes_along() {
    use hawser_node::snapshot::ContentKind;
    let suite = Suite::Intl;
    // A script is named by a policy, the policy by a slot.
    let script = Bytes::from_static(b"def check(): pass");
    let inner = ContentKind::Governance.hash(suite, &script);
    let policy = Bytes::from([&[7u8][..], inner.as_slice(), b"rest"].concat());
    let outer = ContentKind::Governance.hash(suite, &policy);
    let leaves = vec![(B256::repeat_byte(1), Bytes::from(outer.to_vec()))];
    let content = |bytes: &Bytes| Content {
        kind: ContentKind::Governance,
        bytes: bytes.clone(),
    };
    let part = |list: &[Content]| StatePart {
        part: hawser_ledger::state::ExportPart {
            prefix: 0,
            depth: 0,
            hash: B256::ZERO,
            leaves: 1,
        },
        bytes: 1,
        contents: vec![hawser_node::snapshot::ContentPart {
            count: list.len() as u32,
            bytes: encode(list).len() as u32,
        }],
    };
    let good = [content(&policy), content(&script)];
    let found = Contents::of(suite, &leaves)
        .check(&part(&good), 0, &encode(&good[..]))
        .unwrap();
    assert_eq!(found.len(), 2);
    // In two chunks, these come in their order.
    let two = StatePart {
        contents: good
            .iter()
            .flat_map(|one| part(std::slice::from_ref(one)).contents)
            .collect(),
        ..part(&good)
    };
    let mut contents = Contents::of(suite, &leaves);
    let mut check = |n: u32| {
        let chunk = encode(std::slice::from_ref(&good[n as usize]));
        contents.check(&two, n, &chunk).map(|found| found.len())
    };
    check(1).unwrap_err();
    assert_eq!(check(0).unwrap(), 1);
    check(0).unwrap_err();
    assert_eq!(check(1).unwrap(), 1);
    let alone = [content(&script)];
    let refused = Contents::of(suite, &leaves).check(&part(&alone), 0, &encode(&alone[..]));
    assert!(refused.is_err());
}

#[test]
fn a_snapshot_waits_for_syncs_that_are_late_and_ends_all_the_same() {
    let suite = Suite::Intl;
    let chain = TestChain::new(suite);
    chain.grow(20);
    let gate = Arc::clone(chain.store.gate());
    let (_, shelf) = shelf(suite);
    // A sync that never ends, as on a disk that is stuck.
    let stuck = gate.sync_begins();
    std::thread::sleep(Duration::from_millis(30));
    let began = Instant::now();
    let manifest = snapshot::create(
        &chain.store,
        &shelf,
        &mut CreateOptions {
            height: None,
            all_blocks: false,
            pace: Pace::behind(Arc::clone(&gate), 0),
            progress: &mut |_, _| {},
            stop: &|| false,
        },
    )
    .unwrap();
    let (took, chunks) = (began.elapsed(), manifest.chunk_count());
    drop(stuck);
    snapshot::verify(&shelf, manifest.height(), &chain.genesis, &mut |_, _| {}).unwrap();
    // Each piece waits a quarter of a second for it, and no longer.
    let least = Duration::from_millis(200) * chunks as u32;
    assert!(took >= least, "{took:?} for {chunks} chunks");
    assert!(
        took < Duration::from_secs(120),
        "{took:?} for {chunks} chunks"
    );
}
