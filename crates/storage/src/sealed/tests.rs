use std::ops::Bound;

use hawser_crypto::cipher::CipherError;

use super::*;
use crate::{
    Batch, Column, Disk, DiskError, Kv, KvError, LogError, LogOptions, MemDisk, MemKv,
    SegmentOptions, Segments, SyncedLog,
};

fn keys() -> [DataKey; 2] {
    Cipher::ALL.map(|cipher| DataKey::generate(cipher).unwrap())
}

fn sealer(key: &DataKey) -> Arc<Sealer> {
    Arc::new(Sealer::new(key.clone()).unwrap())
}

/// The disk as a new run of the program sees it.
fn sealed(disk: &MemDisk, key: &DataKey) -> Arc<dyn Disk> {
    Arc::new(SealedDisk::new(Arc::new(disk.clone()), sealer(key)))
}

fn contains(disk: &MemDisk, needle: &[u8]) -> bool {
    disk.list().unwrap().iter().any(|(name, len)| {
        let file = disk.open(name).unwrap().unwrap();
        let bytes = file.read_at(0, usize::try_from(*len).unwrap()).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

fn open_log(disk: Arc<dyn Disk>) -> Result<(SyncedLog, crate::LogRecovery), LogError> {
    SyncedLog::open(disk, "votes", LogOptions::default())
}

#[test]
fn content_opens_at_its_place_in_every_later_run_and_nowhere_else() {
    for key in keys() {
        let first = sealer(&key);
        let one = first.seal(&[b"a", b"b"], b"content").unwrap();
        let two = first.seal(&[b"a", b"b"], b"content").unwrap();
        assert_ne!(one, two, "the same content is sealed differently each time");
        assert_eq!(one.len(), b"content".len() + SEALED_BYTES);
        for run in [&first, &sealer(&key), &sealer(&key)] {
            assert_eq!(run.open(&[b"a", b"b"], &one).unwrap(), b"content");
            for place in [&[b"a".as_slice(), b"c"][..], &[b"ab"], &[b"ab", b""], &[]] {
                assert_eq!(run.open(place, &one), Err(CipherError::Tag));
            }
            for at in 0..one.len() {
                let mut bad = one.clone();
                bad[at] ^= 1;
                assert_eq!(run.open(&[b"a", b"b"], &bad), Err(CipherError::Tag));
            }
            for len in 0..one.len() {
                assert!(run.open(&[b"a", b"b"], &one[..len]).is_err());
            }
        }
        let empty = first.seal(&[], b"").unwrap();
        assert_eq!(first.open(&[], &empty).unwrap(), b"");
    }
}

#[test]
fn a_log_comes_back_and_nothing_of_it_lies_open() {
    for key in keys() {
        let disk = MemDisk::new(0);
        let (mut log, _) = open_log(sealed(&disk, &key)).unwrap();
        log.append(b"a secret vote").unwrap();
        log.append(&[7; 5_000]).unwrap();
        log.sync().unwrap();
        assert!(!contains(&disk, b"secret"));
        let (mut log, found) = open_log(sealed(&disk, &key)).unwrap();
        assert_eq!(found.records, [b"a secret vote".to_vec(), vec![7; 5_000]]);
        log.append(b"one more").unwrap();
        log.sync().unwrap();
        let (_, found) = open_log(sealed(&disk, &key)).unwrap();
        assert_eq!(found.records.len(), 3);
        assert_eq!(found.torn, None);
    }
}

#[test]
fn a_torn_tail_is_torn_at_every_length_and_damage_is_damage() {
    for key in keys() {
        let disk = MemDisk::new(0);
        let (mut log, _) = open_log(sealed(&disk, &key)).unwrap();
        log.append(b"first").unwrap();
        log.sync().unwrap();
        let durable = log.len_bytes();
        log.append(b"second").unwrap();
        let whole = log.len_bytes();
        let file = disk.open("votes").unwrap().unwrap();
        let bytes = file.read_at(0, usize::try_from(whole).unwrap()).unwrap();
        for cut in durable..whole {
            let copy = MemDisk::new(0);
            let to = copy.create("votes").unwrap();
            to.append(&bytes[..usize::try_from(cut).unwrap()]).unwrap();
            let (_, found) = open_log(sealed(&copy, &key)).unwrap();
            assert_eq!(found.records, [b"first"]);
            assert_eq!(found.torn.is_some(), cut > durable);
        }
        // A byte of the durable record: its checksum no longer fits, and a later record knows it
        // was durable.
        let copy = MemDisk::new(0);
        let mut bad = bytes.clone();
        bad[40] ^= 1;
        copy.create("votes").unwrap().append(&bad).unwrap();
        let error = open_log(sealed(&copy, &key)).err().unwrap();
        assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
    }
}

#[test]
fn the_wrong_key_is_refused_and_touches_nothing() {
    let [key, _] = keys();
    let disk = MemDisk::new(0);
    let (mut log, _) = open_log(sealed(&disk, &key)).unwrap();
    log.append(b"record").unwrap();
    log.sync().unwrap();
    let before = disk.list().unwrap();
    let other = DataKey::generate(key.cipher()).unwrap();
    let error = open_log(sealed(&disk, &other)).err().unwrap();
    assert!(
        matches!(error, LogError::Disk(DiskError::Sealed { .. })),
        "{error}"
    );
    // Neither is an encrypted file taken for a plain one, nor the other way.
    let error = open_log(Arc::new(disk.clone())).err().unwrap().to_string();
    assert!(error.contains("not a plain log"), "{error}");
    assert_eq!(disk.list().unwrap(), before);
    let plain = MemDisk::new(0);
    open_log(Arc::new(plain.clone())).unwrap();
    let error = open_log(sealed(&plain, &key)).err().unwrap().to_string();
    assert!(error.contains("not an encrypted log"), "{error}");
}

#[test]
fn segments_are_read_by_number_and_records_cannot_change_files() {
    let options = SegmentOptions {
        segment_bytes: 300,
        item_bytes_max: 500,
    };
    for key in keys() {
        let disk = MemDisk::new(0);
        let open = |disk: &MemDisk| Segments::open(sealed(disk, &key), "blocks", options);
        let (segments, _) = open(&disk).unwrap();
        let item = |n: u64| vec![u8::try_from(n).unwrap(); 100];
        for n in 1..=20 {
            segments.append(n, &item(n)).unwrap();
        }
        segments.append(21, &[1; 500]).unwrap();
        assert!(segments.append(22, &[1; 501]).is_err());
        segments.sync().unwrap();
        drop(segments);
        assert!(!contains(&disk, &item(3)[..20]));
        let (segments, _) = open(&disk).unwrap();
        for n in 1..=20 {
            assert_eq!(segments.get(n).unwrap(), Some(item(n)));
        }
        assert_eq!(segments.get(21).unwrap(), Some(vec![1; 500]));
        drop(segments);
        // The file of one segment under the name of another.
        let names = disk.list().unwrap();
        let data: Vec<_> = names
            .iter()
            .filter(|(name, _)| name.ends_with("seg"))
            .collect();
        let (one, two) = (&data[0].0, &data[1].0);
        disk.rename(one, two).unwrap();
        let (segments, _) = match open(&disk) {
            Ok(opened) => opened,
            Err(_) => continue,
        };
        assert!((1..=20).any(|n| segments.get(n).is_err()));
    }
}

const OPEN: Column = Column("heights");
const POINTS: Column = Column("points");
const PLACES: Column = Column("places");
const FORMS: [(Column, KeyForm); 3] = [
    (OPEN, KeyForm::Open),
    (POINTS, KeyForm::Hidden { tail: 0 }),
    (PLACES, KeyForm::Hidden { tail: 2 }),
];

fn sealed_kv(inner: &Arc<MemKv>, key: &DataKey) -> SealedKv {
    SealedKv::open(inner.clone(), sealer(key), &FORMS).unwrap()
}

fn raw_keys(inner: &MemKv, column: Column) -> Vec<Vec<u8>> {
    let all = inner.range(column, Bound::Unbounded, Bound::Unbounded, false, 1_000);
    all.unwrap().into_iter().map(|(key, _)| key).collect()
}

#[test]
fn a_store_keeps_order_where_it_may_and_hides_values() {
    for key in keys() {
        let inner = Arc::new(MemKv::new());
        let kv = sealed_kv(&inner, &key);
        let mut batch = Batch::new();
        for n in [3u8, 1, 2] {
            batch.put(OPEN, [b'k', n], [n; 40]);
        }
        batch.put(OPEN, b"empty", b"");
        batch.put(OPEN, b"gone", b"x");
        batch.delete(OPEN, b"gone");
        kv.write(batch).unwrap();
        kv.persist().unwrap();
        // Another run reads what this one wrote.
        let kv = sealed_kv(&inner, &key);
        assert_eq!(kv.get(OPEN, &[b'k', 2]).unwrap(), Some(vec![2; 40]));
        assert_eq!(kv.get(OPEN, b"empty").unwrap(), Some(Vec::new()));
        assert_eq!(kv.get(OPEN, b"gone").unwrap(), None);
        let found = kv.prefix(OPEN, b"k", false, 10).unwrap();
        let expected: Vec<_> = (1..=3).map(|n| (vec![b'k', n], vec![n; 40])).collect();
        assert_eq!(found, expected);
        let last = kv
            .range(OPEN, Bound::Unbounded, Bound::Unbounded, true, 1)
            .unwrap();
        assert_eq!(last, expected[2..]);
        let raw = inner.get(OPEN, &[b'k', 2]).unwrap().unwrap();
        assert!(!raw.windows(8).any(|window| window == [2; 8]));

        // A value under another key or in another column does not open.
        let mut moved = Batch::new();
        moved.put(OPEN, b"other", &raw);
        moved.put(SealedKv::COLUMN, [b'k', 2], &raw);
        inner.write(moved).unwrap();
        for (column, key) in [(OPEN, &b"other"[..]), (SealedKv::COLUMN, &[b'k', 2])] {
            let refused = kv.get(column, key);
            assert!(matches!(refused, Err(KvError::Sealed { .. })));
        }
    }
}

#[test]
fn hidden_keys_are_found_whole_and_leave_nothing_to_guess() {
    for key in keys() {
        let inner = Arc::new(MemKv::new());
        let kv = sealed_kv(&inner, &key);
        let address = |n: u8| [&b"an account "[..], &[n; 10]].concat();
        let mut batch = Batch::new();
        for n in 0..50 {
            batch.put(POINTS, address(n), [n]);
            for place in 0..5 {
                batch.put(PLACES, [&address(n)[..], &[place, n]].concat(), [place]);
            }
        }
        batch.delete(POINTS, address(7));
        kv.write(batch).unwrap();
        let kv = sealed_kv(&inner, &key);
        assert_eq!(kv.get(POINTS, &address(8)).unwrap(), Some(vec![8]));
        assert_eq!(kv.get(POINTS, &address(7)).unwrap(), None);
        assert_eq!(kv.get(POINTS, &address(51)).unwrap(), None);
        assert_eq!(raw_keys(&inner, POINTS).len(), 49);

        // What lies there does not hold the key, differs between columns, and needs the data key.
        let other = keys();
        for column in [POINTS, PLACES] {
            for raw in raw_keys(&inner, column) {
                assert!(
                    !raw.windows(4)
                        .any(|part| b"an account ".windows(4).any(|x| x == part))
                );
            }
        }
        let heads: std::collections::BTreeSet<_> = raw_keys(&inner, PLACES)
            .iter()
            .map(|raw| raw[..24].to_vec())
            .collect();
        assert_eq!(heads.len(), 50);
        assert!(
            raw_keys(&inner, POINTS)
                .iter()
                .all(|raw| !heads.contains(raw))
        );
        let stranger = Arc::new(MemKv::new());
        let kv2 = sealed_kv(&stranger, &other[0]);
        let mut batch = Batch::new();
        batch.put(POINTS, address(8), [8]);
        kv2.write(batch).unwrap();
        let guess = raw_keys(&stranger, POINTS);
        assert!(!raw_keys(&inner, POINTS).contains(&guess[0]));

        // Keys with one hidden part keep their order and come back whole.
        let of = |n: u8| -> Vec<_> {
            (0..5)
                .map(|place| ([&address(n)[..], &[place, n]].concat(), vec![place]))
                .collect()
        };
        assert_eq!(kv.prefix(PLACES, &address(3), false, 10).unwrap(), of(3));
        let (from, to) = (
            [&address(3)[..], &[1, 0]].concat(),
            [&address(3)[..], &[3, 3]].concat(),
        );
        let range = |start, end, reverse, limit| kv.range(PLACES, start, end, reverse, limit);
        let (start, end) = (Bound::Included(&from[..]), Bound::Included(&to[..]));
        assert_eq!(range(start, end, false, 9).unwrap(), of(3)[1..4]);
        assert_eq!(
            range(start, Bound::Excluded(&to[..]), true, 1).unwrap(),
            of(3)[2..3]
        );

        // There is no order among different hidden parts.
        let far = [&address(4)[..], &[3, 3]].concat();
        for refused in [
            range(start, Bound::Included(&far[..]), false, 9),
            range(start, Bound::Unbounded, false, 9),
            kv.range(POINTS, start, end, false, 9),
        ] {
            assert!(
                matches!(refused, Err(KvError::HiddenOrder(_))),
                "{refused:?}"
            );
        }
        assert!(matches!(
            kv.get(Column("unknown"), b"x"),
            Err(KvError::UnknownColumn("unknown"))
        ));
    }
}

#[test]
fn a_store_whose_keys_lie_open_is_refused() {
    for key in keys() {
        let inner = Arc::new(MemKv::new());
        let mut batch = Batch::new();
        let sealed = sealer(&key)
            .seal(&[b"points", b"an address"], b"v")
            .unwrap();
        batch.put(POINTS, b"an address", sealed);
        inner.write(batch).unwrap();
        let refused = SealedKv::open(inner, sealer(&key), &FORMS);
        assert!(matches!(refused, Err(KvError::OpenKeys)));
        let inner = Arc::new(MemKv::new());
        drop(sealed_kv(&inner, &key));
        let refused = SealedKv::open(inner, sealer(&keys()[0]), &FORMS);
        assert!(matches!(refused, Err(KvError::Sealed { .. })));
    }
}
