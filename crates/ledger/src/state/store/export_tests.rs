use hawser_primitives::Address;
use hawser_storage::{MemDisk, MemKv};

use super::testing::SMALL as OPTIONS;
use super::*;
use crate::state::StateRead;

fn key(n: u64) -> StateKey {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&n.to_be_bytes());
    StateKey::Storage(Address::repeat_byte(n as u8 & 3), B256::from(word))
}

fn block(keys: std::ops::Range<u64>, of: u64) -> Changes {
    let value = |n: u64| Bytes::from(vec![(n ^ of) as u8 | 1; 32]);
    Changes {
        entries: keys.map(|n| (key(n), Some(value(n)))).collect(),
        ..Changes::default()
    }
}

fn open(kv: &Arc<MemKv>, disk: &MemDisk, suite: Suite) -> StateStore {
    StateStore::open(kv.clone(), Arc::new(disk.clone()), suite, OPTIONS).unwrap()
}

fn all(export: &StateExport) -> Vec<(ExportPart, Vec<StateLeaf>)> {
    let parts = export.parts().enumerate();
    parts
        .map(|(at, part)| (part, export.read(at).unwrap().unwrap()))
        .collect()
}

fn fill(
    suite: Suite,
    root: B256,
    parts: &[(ExportPart, Vec<StateLeaf>)],
) -> Result<(Arc<MemKv>, MemDisk), StateError> {
    let (kv, disk) = (Arc::new(MemKv::new()), MemDisk::new(1));
    let mut parts = parts.iter().cloned();
    StateStore::fill_parts(
        &*kv,
        Arc::new(disk.clone()),
        suite,
        &OPTIONS,
        (Height(7), root),
        &mut || Ok(parts.next()),
    )?;
    Ok((kv, disk))
}

#[test]
fn a_state_made_from_its_parts_has_its_root_and_goes_on() {
    for (suite, count) in [
        (Suite::Intl, 0),
        (Suite::Sm, 1),
        (Suite::Sm, 300),
        (Suite::Intl, EXPORT_LEAVES_MAX),
        (Suite::Intl, EXPORT_LEAVES_MAX + 1),
        (Suite::Intl, 100_000),
    ] {
        let store = open(&Arc::new(MemKv::new()), &MemDisk::new(1), suite);
        let root = store.commit(Height(0), &block(0..count, 0)).unwrap();
        let export = store.export(Height(0)).unwrap();
        let parts = all(&export);
        assert_eq!(export.entries(), count);
        for (part, leaves) in &parts {
            assert_eq!(part_hash(suite, part, leaves), Some(part.hash));
        }
        let heads: Vec<_> = parts.iter().map(|(part, _)| *part).collect();
        assert_eq!(parts_root(suite, &heads), Some(root));
        assert_eq!(parts.len() > 1, count > EXPORT_LEAVES_MAX, "{count}");

        let (kv, disk) = fill(suite, root, &parts).unwrap();
        let made = open(&kv, &disk, suite);
        assert_eq!(made.head(), Some((Height(7), root)));
        assert_eq!(made.entries(), count);
        let next = block(count / 2..count + 9, 5);
        let expected = store.commit(Height(1), &next).unwrap();
        assert_eq!(made.commit(Height(8), &next).unwrap(), expected);
        let view = made.view(Height(8)).unwrap();
        assert_eq!(view.get(&key(count)).unwrap().unwrap().len(), 32);
    }
}

#[test]
fn an_export_stays_readable_while_blocks_flushes_and_reclaiming_go_on() {
    let suite = Suite::Intl;
    let (kv, disk) = (Arc::new(MemKv::new()), MemDisk::new(1));
    let store = open(&kv, &disk, suite);
    store.commit(Height(0), &block(0..20_000, 0)).unwrap();
    store.flush(Height(0)).unwrap();
    store.persist().unwrap();
    // One block that is not on the disk yet.
    let root = store.commit(Height(1), &block(100..700, 3)).unwrap();
    let export = store.export(Height(1)).unwrap();
    let files = |disk: &MemDisk| disk.list().unwrap().len();
    for height in 2..40 {
        let from = height * 400;
        store
            .commit(Height(height), &block(from..from + 4_000, height))
            .unwrap();
        store.flush(Height(height)).unwrap();
        store.persist().unwrap();
    }
    let held = files(&disk);
    let parts = all(&export);
    let heads: Vec<_> = parts.iter().map(|(part, _)| *part).collect();
    assert_eq!(parts_root(suite, &heads), Some(root));
    for (part, leaves) in &parts {
        assert_eq!(part_hash(suite, part, leaves), Some(part.hash));
    }
    drop(export);
    store.commit(Height(40), &block(0..10, 1)).unwrap();
    store.flush(Height(40)).unwrap();
    store.persist().unwrap();
    assert!(files(&disk) < held, "what was held is removed afterwards");
    drop(store);
    let (head, _) = open(&kv, &disk, suite).head().unwrap();
    assert_eq!(head, Height(40));
}

#[test]
fn every_forged_part_is_refused() {
    let suite = Suite::Sm;
    let store = open(&Arc::new(MemKv::new()), &MemDisk::new(1), suite);
    let root = store.commit(Height(0), &block(0..90_000, 0)).unwrap();
    let parts = all(&store.export(Height(0)).unwrap());
    let (part, leaves) = parts.first().unwrap().clone();
    let is_good =
        |part: &ExportPart, leaves: &[StateLeaf]| part_hash(suite, part, leaves) == Some(part.hash);
    assert!(is_good(&part, &leaves));
    let mut changed = leaves.clone();
    changed[5].1 = Bytes::from(vec![9; 32]);
    assert!(!is_good(&part, &changed), "another value");
    let mut missing = leaves.clone();
    missing.pop();
    assert!(!is_good(&part, &missing), "a leaf less");
    let fewer = ExportPart {
        leaves: part.leaves - 1,
        ..part
    };
    assert!(!is_good(&fewer, &missing), "a leaf less, and said so");
    let mut twice = leaves.clone();
    twice[1] = twice[0].clone();
    assert!(!is_good(&part, &twice), "a leaf twice");
    let mut swapped = leaves.clone();
    swapped.swap(0, 1);
    assert!(!is_good(&part, &swapped), "out of order");
    let mut foreign = leaves.clone();
    *foreign.last_mut().unwrap() = parts.last().unwrap().1.last().unwrap().clone();
    assert!(!is_good(&part, &foreign), "a leaf of another part");

    let heads: Vec<_> = parts.iter().map(|(part, _)| *part).collect();
    let root_of = |parts: &[ExportPart]| parts_root(suite, parts);
    assert_eq!(root_of(&heads), Some(root));
    assert_ne!(root_of(&heads[1..]), Some(root), "a part less");
    let mut swapped = heads.clone();
    swapped.swap(0, 1);
    assert_ne!(root_of(&swapped), Some(root), "out of order");
    let mut twice = heads.clone();
    twice.insert(0, heads[0]);
    assert_eq!(root_of(&twice), None, "a part twice");
    let whole = ExportPart {
        prefix: 0,
        depth: 0,
        hash: root,
        leaves: 90_000,
    };
    assert_eq!(root_of(&[whole]), None, "a part larger than any may be");
    let mut deep = heads.clone();
    deep[0].depth = 65;
    assert_eq!(root_of(&deep), None, "deeper than any page");
    assert!(fill(suite, root, &parts[1..]).is_err());
    assert!(fill(suite, B256::repeat_byte(1), &parts).is_err());
}

#[test]
fn parts_that_are_smaller_than_they_need_to_be_are_refused() {
    let suite = Suite::Intl;
    let store = open(&Arc::new(MemKv::new()), &MemDisk::new(1), suite);
    let root = store.commit(Height(0), &block(0..1_000, 0)).unwrap();
    let export = store.export(Height(0)).unwrap();
    let leaves = export.read(0).unwrap().unwrap();
    let mid = leaves.partition_point(|(path, _)| path[0] < 128);
    let half = |prefix: u64, leaves: &[StateLeaf]| {
        let part = ExportPart {
            prefix,
            depth: 1,
            hash: B256::ZERO,
            leaves: leaves.len() as u32,
        };
        let hash = part_hash(suite, &part, leaves).unwrap();
        ExportPart { hash, ..part }
    };
    let halves = [half(0, &leaves[..mid]), half(1 << 63, &leaves[mid..])];
    // The hashes would lead to the root; that there are two parts is what is wrong.
    assert_eq!(
        crate::state::message::inner_hash(suite, &halves[0].hash, &halves[1].hash),
        root
    );
    assert_eq!(parts_root(suite, &halves), None);
}

#[test]
fn a_part_that_is_not_what_it_says_is_refused_wherever_it_stands() {
    let suite = Suite::Intl;
    let store = open(&Arc::new(MemKv::new()), &MemDisk::new(1), suite);
    let root = store.commit(Height(0), &block(0..200_000, 0)).unwrap();
    let parts = all(&store.export(Height(0)).unwrap());
    assert!(parts.len() > 4);
    let check = |parts: &[(ExportPart, Vec<StateLeaf>)]| {
        let mut parts = parts.iter().cloned();
        StateStore::check_parts(suite, &mut || Ok(parts.next()))
    };
    check(&parts).unwrap();
    for at in 0..parts.len() {
        let mut forged = parts.clone();
        forged[at].1[7].1 = Bytes::from(vec![9; 32]);
        check(&forged).unwrap_err();
        fill(suite, root, &forged).unwrap_err();
    }
    // What gives the parts fails: so does who takes them.
    let mut first = parts.first().cloned();
    let mut source = || match first.take() {
        Some(part) => Ok(Some(part)),
        None => Err(StateError::Corrupt("torn".to_owned())),
    };
    let error = StateStore::check_parts(suite, &mut source).unwrap_err();
    assert!(error.to_string().contains("torn"), "{error}");
}
