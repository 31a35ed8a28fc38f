use super::*;
use crate::record::HEADER_BYTES;
use crate::seed::Seed;
use crate::{DiskFaults, MemDisk, OsDisk};

const SMALL: SegmentOptions = SegmentOptions {
    segment_bytes: 300,
    item_bytes_max: 500,
};

fn open(disk: &MemDisk) -> Result<(Segments, SegmentRecovery), LogError> {
    Segments::open(Arc::new(disk.clone()), "blocks", SMALL)
}

fn item(number: u64) -> Vec<u8> {
    let len = 1 + (number.wrapping_mul(0x9e37_79b9) % 90) as usize;
    (0..len)
        .map(|i| (number as u8).wrapping_add(i as u8))
        .collect()
}

/// A disk with `count` items, all synced.
fn filled(count: u64) -> (MemDisk, Segments) {
    let disk = MemDisk::new(0);
    let (segments, _) = open(&disk).unwrap();
    for number in 1..=count {
        segments.append(number, &item(number)).unwrap();
    }
    segments.sync().unwrap();
    (disk, segments)
}

fn data_files(disk: &MemDisk) -> Vec<String> {
    let files = disk.list().unwrap().into_iter().map(|(name, _)| name);
    files.filter(|name| name.ends_with(".seg")).collect()
}

#[test]
fn items_are_read_back_across_segments_and_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::new(folder.path()).unwrap());
    let open = || Segments::open(disk.clone(), "blocks", SMALL).unwrap();
    let (segments, _) = open();
    assert_eq!(
        (segments.first(), segments.last(), segments.get(1).unwrap()),
        (None, None, None)
    );
    for number in 1..=200 {
        segments.append(number, &item(number)).unwrap();
    }
    segments.sync().unwrap();
    for segments in [segments, open().0] {
        assert_eq!((segments.first(), segments.last()), (Some(1), Some(200)));
        for number in 1..=200 {
            assert_eq!(segments.get(number).unwrap().unwrap(), item(number));
        }
        assert_eq!(segments.get(0).unwrap(), None);
        assert_eq!(segments.get(201).unwrap(), None);
    }
    assert!(disk.list().unwrap().len() > 40);
}

#[test]
fn items_must_come_in_order_and_within_the_size_limit() {
    let (_, segments) = filled(5);
    for wrong in [0, 5, 7] {
        let refused = segments.append(wrong, b"x");
        assert!(matches!(refused, Err(LogError::Order { expected: 6, got }) if got == wrong));
    }
    assert!(matches!(
        segments.append(6, b""),
        Err(LogError::RecordSize { len: 0, .. })
    ));
    assert!(matches!(
        segments.append(6, &[0; 501]),
        Err(LogError::RecordSize { len: 501, .. })
    ));
    segments.append(6, &[9; 500]).unwrap();
    segments.append(7, b"x").unwrap();
    assert_eq!(
        segments.get(6).unwrap().unwrap(),
        [9; 500],
        "larger than a segment"
    );
}

#[test]
fn options_outside_the_format_are_refused_on_both_sides() {
    let open = |segment_bytes, item_bytes_max| {
        let options = SegmentOptions {
            segment_bytes,
            item_bytes_max,
        };
        Segments::open(Arc::new(MemDisk::new(0)), "b", options).map(|_| ())
    };
    open(64, 1).unwrap();
    open(2 << 30, 1 << 30).unwrap();
    for (segment, item) in [(63, 1), ((2 << 30) + 1, 1), (64, 0), (64, (1 << 30) + 1)] {
        assert!(
            matches!(open(segment, item), Err(LogError::Option { .. })),
            "{segment} {item}"
        );
    }
}

#[test]
fn a_store_may_begin_anywhere_and_two_share_a_folder() {
    let disk = MemDisk::new(0);
    let (a, _) = open(&disk).unwrap();
    let (b, _) = Segments::open(Arc::new(disk.clone()), "blocks-x", SMALL).unwrap();
    a.append(1000, b"a").unwrap();
    b.append(1, b"b").unwrap();
    assert_eq!(
        (a.first(), a.last(), a.get(999).unwrap()),
        (Some(1000), Some(1000), None)
    );
    assert_eq!(open(&disk).unwrap().0.get(1000).unwrap().unwrap(), b"a");
}

#[test]
fn no_crash_loses_a_synced_item_or_brings_back_garbage() {
    let (mut torn, mut kept_unsynced) = (0, 0);
    for seed in 0..600u64 {
        let mut random = Seed::new(seed);
        let mut disk = MemDisk::new(seed);
        let (mut sure, mut next, mut dropped) = (0u64, 1u64, 0u64);
        for _life in 0..4 {
            let (segments, found) = open(&disk).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            torn += usize::from(found.torn.is_some());
            let last = segments.last().unwrap_or(0);
            assert!(last >= sure, "seed {seed}: {last} of {sure} items");
            assert!(last < next, "seed {seed}: items appeared");
            kept_unsynced += last - sure;
            if last > 0 {
                assert!(
                    segments.first().unwrap() <= dropped.max(1),
                    "seed {seed}: dropped early"
                );
                for number in segments.first().unwrap()..=last {
                    assert_eq!(segments.get(number).unwrap().unwrap(), item(number));
                }
            }
            (sure, next) = (last, last + 1);
            disk.set_faults(DiskFaults {
                append_per_mille: 5,
                sync_per_mille: 5,
                ..DiskFaults::default()
            });
            for _ in 0..random.up_to(60) {
                let done = match random.up_to(9) {
                    0..6 => {
                        next += 1;
                        segments.append(next - 1, &item(next - 1))
                    }
                    6..9 => segments.sync().map(|()| sure = next - 1),
                    _ => {
                        dropped = dropped.max(random.up_to(next as usize) as u64);
                        segments.drop_before(dropped).map(|_| ())
                    }
                };
                if done.is_err() {
                    assert!(matches!(segments.get(1), Err(LogError::Poisoned(_))));
                    assert!(matches!(
                        segments.append(next, b"x"),
                        Err(LogError::Poisoned(_))
                    ));
                    break;
                }
            }
            disk = disk.crash(random.next());
        }
    }
    assert!(
        torn > 50 && kept_unsynced > 50,
        "the crashes are worth their name: {torn}"
    );
}

#[test]
fn readers_see_whole_items_while_others_are_appended_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::new(folder.path()).unwrap());
    let segments = Arc::new(Segments::open(disk, "blocks", SMALL).unwrap().0);
    segments.append(1, &item(1)).unwrap();
    let readers: Vec<_> = (0..3)
        .map(|seed| {
            let segments = segments.clone();
            std::thread::spawn(move || {
                let mut random = Seed::new(seed);
                let mut found = 0;
                while segments.last().unwrap() < 2000 {
                    let number = random.up_to(segments.last().unwrap() as usize) as u64;
                    match segments.get(number).unwrap() {
                        Some(bytes) => {
                            assert_eq!(bytes, item(number));
                            found += 1;
                        }
                        None => assert!(number < segments.first().unwrap(), "{number} vanished"),
                    }
                }
                found
            })
        })
        .collect();
    for number in 2..=2000 {
        segments.append(number, &item(number)).unwrap();
        if number % 100 == 0 {
            segments.drop_before(number / 2).unwrap();
        }
    }
    assert!(
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum::<i32>()
            > 0
    );
}

#[test]
fn damage_to_any_item_is_noticed_when_it_is_read_or_opened() {
    let (disk, _) = filled(30);
    let files = data_files(&disk);
    assert!(files.len() > 3);
    for file in &files {
        let len = disk
            .list()
            .unwrap()
            .iter()
            .find(|(name, _)| name == file)
            .unwrap()
            .1;
        for offset in 8..len as usize {
            assert!(disk.flip_bit(file, offset, 3));
            match open(&disk) {
                Ok((segments, found)) => {
                    // The last record of the last file may pass for a torn tail, as reported.
                    let bad = (1..=segments.last().unwrap())
                        .filter(|n| !segments.get(*n).is_ok_and(|i| i == Some(item(*n))))
                        .collect::<Vec<_>>();
                    assert_eq!(
                        bad.len() + usize::from(found.torn.is_some()),
                        1,
                        "{file} {offset}"
                    );
                    if let Some(number) = bad.first() {
                        let error = segments.get(*number).unwrap_err().to_string();
                        assert!(error.contains(file.as_str()), "{error}");
                    } else {
                        return;
                    }
                }
                Err(LogError::Corrupt {
                    file: named,
                    offset: at,
                    ..
                }) => {
                    assert!(&named == file && at as usize <= offset);
                }
                Err(error) => panic!("{error}"),
            }
            assert!(disk.flip_bit(file, offset, 3));
        }
    }
}

#[test]
fn a_missing_segment_is_reported_and_a_missing_index_is_built_again() {
    let (disk, _) = filled(60);
    let files = data_files(&disk);
    let index = files[1].replace(".seg", ".idx");
    disk.remove(&index).unwrap();
    let (segments, found) = open(&disk).unwrap();
    assert_eq!(found.rebuilt, std::slice::from_ref(&index));
    assert!((1..=60).all(|n| segments.get(n).unwrap().unwrap() == item(n)));
    assert!(open(&disk).unwrap().1.rebuilt.is_empty());

    let file = disk.open(&index).unwrap().unwrap();
    file.truncate(file.len().unwrap() - 4).unwrap();
    assert!(
        matches!(open(&disk), Err(LogError::Corrupt { .. })),
        "one item fewer is a gap"
    );
    disk.remove(&index).unwrap();

    disk.remove(&files[1]).unwrap();
    let Err(error) = open(&disk) else {
        panic!("a gap went unnoticed")
    };
    assert!(error.to_string().contains(&files[2]), "{error}");
    assert!(error.to_string().contains("are missing"), "{error}");
}

#[test]
fn opening_reads_only_the_last_segment() {
    let (disk, _) = filled(200);
    // Damage in an old segment is not seen by opening, which is what keeps it fast.
    assert!(disk.flip_bit(&data_files(&disk)[0], 20, 0));
    let (segments, _) = open(&disk).unwrap();
    assert!(segments.get(1).is_err());
    assert_eq!(segments.get(200).unwrap().unwrap(), item(200));
}

#[test]
fn cutting_off_and_going_on_at_every_length() {
    for keep in 0..=40u64 {
        let (disk, segments) = filled(40);
        segments.truncate_after(keep).unwrap();
        for (last, segments) in [(keep, segments), (keep, open(&disk).unwrap().0)] {
            assert_eq!(segments.last(), (last > 0).then_some(last));
            assert_eq!(segments.get(last + 1).unwrap(), None);
        }
        let (segments, found) = open(&disk.crash(keep)).unwrap();
        assert_eq!(found.torn, None);
        for number in keep + 1..=60 {
            segments.append(number, &item(number + 1)).unwrap();
        }
        for number in 1..=60 {
            let expected = item(if number > keep { number + 1 } else { number });
            assert_eq!(segments.get(number).unwrap().unwrap(), expected);
        }
    }
    let (_, segments) = filled(40);
    segments.drop_before(20).unwrap();
    let first = segments.first().unwrap();
    assert!(matches!(
        segments.truncate_after(first - 2),
        Err(LogError::Order { .. })
    ));
    segments.truncate_after(first - 1).unwrap();
    assert_eq!(segments.last(), None);
}

#[test]
fn dropping_removes_whole_old_segments_and_never_the_last() {
    let (disk, segments) = filled(100);
    let files = data_files(&disk).len();
    let first = segments.drop_before(50).unwrap().unwrap();
    assert!(first <= 50 && first > 30);
    assert!(data_files(&disk).len() < files);
    assert_eq!(segments.get(first - 1).unwrap(), None);
    assert!((first..=100).all(|n| segments.get(n).unwrap().unwrap() == item(n)));
    let first = segments.drop_before(u64::MAX).unwrap().unwrap();
    assert!(first <= 100);
    assert_eq!(data_files(&disk).len(), 1);
    let (segments, _) = open(&disk).unwrap();
    assert_eq!(
        (segments.first(), segments.last()),
        (Some(first), Some(100))
    );
    segments.append(101, b"x").unwrap();
}

#[test]
fn the_format_is_frozen() {
    let disk = MemDisk::new(0);
    let options = SegmentOptions {
        segment_bytes: 64,
        item_bytes_max: 500,
    };
    let (segments, _) = Segments::open(Arc::new(disk.clone()), "b", options).unwrap();
    segments.append(7, b"block 7").unwrap();
    segments.append(8, b"block 8").unwrap();
    segments.append(9, &[9; HEADER_BYTES]).unwrap();
    let read = |name: &str| hex::encode(disk.open(name).unwrap().unwrap().read_at(0, 999).unwrap());
    assert_eq!(
        read("b-00000000000000000007.seg"),
        "4857535345473031\
         07000000f30a3e2007000000000000000800000000000000626c6f636b2037"
    );
    assert_eq!(
        read("b-00000000000000000007.idx"),
        "4857534944583031\
         07000000000000000100000000000000080000002700000084871584"
    );
}

#[test]
fn items_appended_while_others_are_synced_are_synced_by_the_next_call() {
    let disk = MemDisk::new(3);
    let (segments, _) = open(&disk).unwrap();
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| {
            while segments.last().unwrap_or(0) < 400 {
                segments.sync().unwrap();
            }
        });
        for number in 1..=400 {
            segments.append(number, &item(number)).unwrap();
        }
        syncing.join().unwrap();
    });
    segments.sync().unwrap();
    for seed in 0..20 {
        let (found, recovery) = open(&disk.crash(seed)).unwrap();
        assert_eq!((found.last(), recovery.torn), (Some(400), None));
        for number in 1..=400 {
            assert_eq!(found.get(number).unwrap().unwrap(), item(number));
        }
    }
}
