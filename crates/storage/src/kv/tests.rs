use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;

use super::*;

const A: Column = Column("a");
const B: Column = Column("b");

fn fjall(folder: &std::path::Path) -> FjallKv {
    FjallKv::open(folder, &[A, B], 1 << 20).unwrap()
}

fn both(test: impl Fn(&dyn Kv)) {
    let folder = tempfile::tempdir().unwrap();
    test(&fjall(folder.path()));
    test(&MemKv::new());
}

#[test]
fn a_batch_takes_effect_across_columns_and_the_later_change_wins() {
    both(|kv| {
        let mut batch = Batch::new();
        batch.put(A, *b"k", *b"1");
        batch.put(B, *b"k", *b"2");
        batch.put(B, *b"gone", *b"x");
        batch.delete(B, *b"gone");
        batch.delete(A, *b"never there");
        kv.write(batch).unwrap();
        assert_eq!(kv.get(A, b"k").unwrap().unwrap(), b"1");
        assert_eq!(kv.get(B, b"k").unwrap().unwrap(), b"2");
        assert_eq!(kv.get(B, b"gone").unwrap(), None);
        assert_eq!(kv.get(A, b"other").unwrap(), None);
    });
}

#[test]
fn ranges_and_prefixes_in_both_directions() {
    both(|kv| {
        let mut batch = Batch::new();
        for key in [
            &b"a"[..],
            b"a\x00",
            b"a\xff",
            b"a\xff\xff",
            b"b",
            b"\xff",
            b"\xff\xff",
        ] {
            batch.put(A, key, key);
        }
        kv.write(batch).unwrap();
        let keys = |found: Vec<KeyValue>| found.into_iter().map(|(k, _)| k).collect::<Vec<_>>();
        assert_eq!(
            keys(kv.prefix(A, b"a", false, 10).unwrap()),
            [&b"a"[..], b"a\x00", b"a\xff", b"a\xff\xff"]
        );
        assert_eq!(
            keys(kv.prefix(A, b"a\xff", true, 1).unwrap()),
            [b"a\xff\xff"]
        );
        assert_eq!(
            keys(kv.prefix(A, b"\xff", false, 9).unwrap()),
            [&b"\xff"[..], b"\xff\xff"]
        );
        assert_eq!(
            keys(kv.prefix(A, b"", false, 2).unwrap()),
            [&b"a"[..], b"a\x00"]
        );
        let (a, b) = (Bound::Excluded(&b"a"[..]), Bound::Included(&b"b"[..]));
        assert_eq!(
            keys(kv.range(A, a, b, true, 2).unwrap()),
            [&b"b"[..], b"a\xff\xff"]
        );
        assert!(kv.range(A, b, a, false, 9).unwrap().is_empty());
        assert!(kv.range(A, a, a, false, 9).unwrap().is_empty());
        assert!(kv.prefix(A, b"a", false, 0).unwrap().is_empty());
    });
}

#[test]
fn both_sides_of_the_key_and_value_limits() {
    both(|kv| {
        let write = |key: Vec<u8>, value: Vec<u8>| {
            let mut batch = Batch::new();
            batch.put(A, key, value);
            kv.write(batch)
        };
        write(vec![1; KEY_BYTES_MAX], vec![]).unwrap();
        assert_eq!(kv.get(A, &[1; KEY_BYTES_MAX]).unwrap().unwrap(), b"");
        for key in [vec![], vec![1; KEY_BYTES_MAX + 1]] {
            assert!(matches!(
                kv.get(A, &key),
                Err(KvError::Size { what: "key", .. })
            ));
            assert!(matches!(
                write(key, vec![]),
                Err(KvError::Size { what: "key", .. })
            ));
        }
        write(vec![1], vec![0; VALUE_BYTES_MAX]).unwrap();
        assert!(matches!(
            write(vec![1], vec![0; VALUE_BYTES_MAX + 1]),
            Err(KvError::Size { what: "value", .. })
        ));
    });
}

#[test]
fn an_unnamed_column_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let kv = fjall(folder.path());
    assert!(matches!(
        kv.get(Column("c"), b"k"),
        Err(KvError::UnknownColumn("c"))
    ));
}

#[test]
fn persisted_batches_are_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    {
        let kv = fjall(folder.path());
        let mut batch = Batch::new();
        batch.put(A, *b"k", vec![7; 100_000]);
        kv.write(batch).unwrap();
        kv.persist().unwrap();
        assert!(kv.disk_bytes().unwrap() > 0);
        assert!(
            FjallKv::open(folder.path(), &[A], 1 << 20).is_err(),
            "locked while open"
        );
    }
    assert_eq!(
        fjall(folder.path()).get(A, b"k").unwrap().unwrap(),
        vec![7; 100_000]
    );
}

#[test]
fn after_a_failed_write_every_call_is_refused() {
    for calls in 0..4 {
        let kv = MemKv::new();
        kv.fail_after(calls);
        let mut failed = None;
        for step in 0..4u64 {
            let mut batch = Batch::new();
            batch.put(A, *b"k", [step as u8]);
            let done = if step % 2 == 0 {
                kv.write(batch)
            } else {
                kv.persist()
            };
            if done.is_err() {
                failed = Some(step);
                break;
            }
        }
        assert_eq!(failed, Some(calls));
        assert!(matches!(kv.get(A, b"k"), Err(KvError::Poisoned)));
        assert!(matches!(
            kv.prefix(A, b"k", false, 1),
            Err(KvError::Poisoned)
        ));
        assert!(matches!(kv.write(Batch::new()), Err(KvError::Poisoned)));
        assert!(matches!(kv.persist(), Err(KvError::Poisoned)));
    }
}

proptest! {
    #[test]
    fn a_crash_leaves_a_prefix_of_the_batches_from_the_last_persist_on(
        steps in prop::collection::vec(
            prop_oneof![
                4 => prop::collection::vec((0u8..8, prop::option::of(any::<u8>())), 1..4).prop_map(Some),
                1 => Just(None),
            ], 0..40),
        keep in 0usize..6,
    ) {
        let kv = MemKv::new();
        let mut model = BTreeMap::new();
        let mut states = vec![model.clone()];
        for step in steps {
            match step {
                Some(ops) => {
                    let mut batch = Batch::new();
                    for (key, value) in ops {
                        match value {
                            Some(value) => { batch.put(A, [key], [value]); model.insert(key, value); }
                            None => { batch.delete(A, [key]); model.remove(&key); }
                        }
                    }
                    kv.write(batch).unwrap();
                    states.push(model.clone());
                }
                None => { kv.persist().unwrap(); states = vec![model.clone()]; }
            }
        }
        prop_assert_eq!(kv.unpersisted(), states.len() - 1);
        let contents = |kv: &MemKv| kv.prefix(A, b"", false, 99).unwrap().into_iter()
            .map(|(k, v)| (k[0], v[0])).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(contents(&kv), model);
        prop_assert_eq!(&contents(&kv.crash()), &states[0]);
        prop_assert_eq!(&contents(&kv.crash_keeping(keep)), &states[keep.min(states.len() - 1)]);
    }
}
