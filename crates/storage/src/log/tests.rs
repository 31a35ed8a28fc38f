use super::*;
use crate::record::HEADER_BYTES;
use crate::seed::Seed;
use crate::{DiskFaults, MemDisk, OsDisk};

fn open(disk: &MemDisk) -> Result<(SyncedLog, LogRecovery), LogError> {
    SyncedLog::open(Arc::new(disk.clone()), "votes", LogOptions::default())
}

#[test]
fn records_come_back_in_order_until_the_log_is_reset() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::new(folder.path()).unwrap());
    let open = || SyncedLog::open(disk.clone(), "votes", LogOptions::default()).unwrap();
    let (mut log, found) = open();
    assert!(found.records.is_empty());
    log.append(b"one").unwrap();
    log.append(b"two").unwrap();
    log.sync().unwrap();
    assert_eq!(
        open().1,
        LogRecovery {
            records: vec![b"one".into(), b"two".into()],
            torn: None
        }
    );
    log.reset().unwrap();
    log.append(b"three").unwrap();
    log.sync().unwrap();
    assert_eq!(log.len_bytes(), MAGIC_BYTES + HEADER_BYTES as u64 + 5);
    assert_eq!(open().1.records, [b"three"]);
}

#[test]
fn a_log_is_lost_where_nothing_but_a_torn_end_is_left() {
    let disk = MemDisk::new(0);
    let read = || {
        let found = SyncedLog::read(&disk, "votes", LogOptions::default());
        found.unwrap().unwrap()
    };
    let tear = || {
        let file = disk.open("votes").unwrap().unwrap();
        file.append(&[0; 64]).unwrap();
        file.sync().unwrap();
    };
    let (_, new) = open(&disk).unwrap();
    assert!(!new.is_lost(), "it was begun and not written to yet");
    tear();
    assert!(read().is_lost());
    let (mut log, _) = open(&disk).unwrap();
    log.append(b"one").unwrap();
    log.sync().unwrap();
    tear();
    let torn = read();
    assert!(torn.torn.is_some() && !torn.is_lost(), "{torn:?}");
}

#[test]
fn the_format_is_frozen() {
    let disk = MemDisk::new(0);
    let (mut log, _) = open(&disk).unwrap();
    log.append(b"a").unwrap();
    log.sync().unwrap();
    log.append(b"vote").unwrap();
    let bytes = disk
        .open("votes")
        .unwrap()
        .unwrap()
        .read_at(0, 999)
        .unwrap();
    assert_eq!(
        hex::encode(bytes),
        "4857534c4f473031\
         01000000dc5471ca0000000000000000080000000000000061\
         04000000c030285201000000000000002100000000000000766f7465"
    );
}

#[test]
fn both_sides_of_the_record_and_file_limits() {
    let disk = Arc::new(MemDisk::new(0));
    let file_bytes_max = MAGIC_BYTES + 2 * (HEADER_BYTES as u64 + 10);
    let options = LogOptions {
        record_bytes_max: 10,
        file_bytes_max,
    };
    let (mut log, _) = SyncedLog::open(disk, "votes", options).unwrap();
    assert!(matches!(
        log.append(b""),
        Err(LogError::RecordSize { len: 0, max: 10 })
    ));
    assert!(matches!(
        log.append(&[1; 11]),
        Err(LogError::RecordSize { len: 11, max: 10 })
    ));
    log.append(&[1; 10]).unwrap();
    log.append(&[1; 10]).unwrap();
    assert!(matches!(log.append(&[1]), Err(LogError::Full { .. })));
    log.reset().unwrap();
    log.append(&[1]).unwrap();
}

#[test]
fn no_crash_loses_a_synced_record_or_brings_back_garbage() {
    let (mut torn, mut kept_unsynced) = (0, 0);
    for seed in 0..1500u64 {
        let mut random = Seed::new(seed);
        let mut disk = MemDisk::new(seed);
        // Records that were synced, and those that may have survived.
        let (mut sure, mut written): (Vec<Vec<u8>>, Vec<Vec<u8>>) = Default::default();
        for life in 0..4u64 {
            let (mut log, found) = open(&disk).unwrap();
            assert!(
                found.records.starts_with(&sure),
                "seed {seed}: a synced record is lost"
            );
            assert!(written.starts_with(&found.records), "seed {seed}: garbage");
            torn += usize::from(found.torn.is_some());
            kept_unsynced += found.records.len() - sure.len();
            (sure, written) = (found.records.clone(), found.records);
            disk.set_faults(DiskFaults {
                append_per_mille: 10,
                sync_per_mille: 20,
                ..DiskFaults::default()
            });
            for step in 0..random.up_to(30) {
                match random.up_to(12) {
                    0..7 => {
                        let filler = random.up_to(60);
                        let record = [&[life as u8, step as u8], &vec![7; filler][..]].concat();
                        written.push(record.clone());
                        if log.append(&record).is_err() {
                            break;
                        }
                    }
                    7..12 => {
                        if log.sync().is_err() {
                            break;
                        }
                        sure.clone_from(&written);
                    }
                    _ => {
                        // Until a reset returns, either the old or the new log may be found.
                        let old = std::mem::take(&mut sure);
                        if log.reset().is_err() {
                            disk.set_faults(DiskFaults::default());
                            let found = open(&disk.crash(0)).unwrap().1.records;
                            assert!(found.is_empty() || found.starts_with(&old));
                            written.clear();
                            disk = MemDisk::new(seed);
                            break;
                        }
                        written.clear();
                    }
                }
            }
            disk = disk.crash(random.next());
        }
    }
    assert!(
        torn > 100 && kept_unsynced > 100,
        "the crashes are worth their name: {torn}"
    );
}

#[test]
fn a_flipped_bit_in_a_synced_record_is_reported_with_file_and_offset() {
    let second = MAGIC_BYTES as usize + HEADER_BYTES + 20;
    for at in 0..second + HEADER_BYTES + 20 {
        let disk = MemDisk::new(0);
        let (mut log, _) = open(&disk).unwrap();
        for record in 0..3u8 {
            log.append(&[record; 20]).unwrap();
            log.sync().unwrap();
        }
        assert!(disk.flip_bit("votes", at, at as u8));
        let Err(LogError::Corrupt { file, offset, .. }) = open(&disk) else {
            panic!("damage at {at} went unnoticed");
        };
        let expected = if at < 8 {
            0
        } else if at < second {
            8
        } else {
            second as u64
        };
        assert_eq!((file.as_str(), offset), ("votes", expected));
    }
}

#[test]
fn damage_to_the_last_record_looks_like_a_torn_tail_and_is_reported_as_one() {
    let disk = MemDisk::new(0);
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[1; 20]).unwrap();
    log.append(&[2; 20]).unwrap();
    log.sync().unwrap();
    assert!(disk.flip_bit("votes", 60, 0));
    let (_, found) = open(&disk).unwrap();
    assert_eq!(found.records, [[1; 20]]);
    assert_eq!(
        found.torn,
        Some(TornTail {
            file: "votes".into(),
            offset: 52,
            bytes: 44
        })
    );
    assert_eq!(open(&disk).unwrap().1.torn, None, "it was cut off");
}

#[test]
fn a_copy_of_a_record_within_a_torn_payload_is_not_taken_for_one() {
    let disk = MemDisk::new(0);
    let (mut log, _) = open(&disk).unwrap();
    log.append(b"first").unwrap();
    log.sync().unwrap();
    // Valid where it claims to stand, which is not where it stands.
    let (len, plain) = (log.len_bytes(), Keeping::of(&disk, "votes"));
    let copy = record::encode(&plain, len, 9, len + 1, b"copy", 99).unwrap();
    log.append(&copy).unwrap();
    let file = disk.open("votes").unwrap().unwrap();
    file.truncate(file.len().unwrap() - 1).unwrap();
    let (_, found) = open(&disk).unwrap();
    assert_eq!(found.records, [b"first"]);
    assert!(found.torn.is_some());
}

#[test]
fn after_a_failed_append_or_sync_every_call_is_refused() {
    for faults in [
        DiskFaults {
            append_per_mille: 1000,
            ..DiskFaults::default()
        },
        DiskFaults {
            sync_per_mille: 1000,
            ..DiskFaults::default()
        },
    ] {
        let disk = MemDisk::new(0);
        let (mut log, _) = open(&disk).unwrap();
        disk.set_faults(faults);
        assert!(log.append(b"x").and_then(|()| log.sync()).is_err());
        disk.set_faults(DiskFaults::default());
        assert!(matches!(log.append(b"x"), Err(LogError::Poisoned(_))));
        assert!(matches!(log.sync(), Err(LogError::Poisoned(_))));
        assert!(matches!(log.reset(), Err(LogError::Poisoned(_))));
    }
}

#[test]
fn a_log_written_whole_is_the_one_that_appending_makes() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::new(folder.path()).unwrap());
    let options = LogOptions::default();
    let read = |name: &str| {
        disk.open(name)
            .unwrap()
            .unwrap()
            .read_at(0, 1 << 20)
            .unwrap()
    };
    for bytes in [1, PIECE_BYTES - HEADER_BYTES, 2 * PIECE_BYTES + 7] {
        let payload = vec![7u8; bytes];
        let mut turns = Vec::new();
        // Twice: the second takes the place of the first.
        for fill in [9u8, 7] {
            turns.clear();
            let payload = vec![fill; bytes];
            let turn = &mut |bytes| turns.push(bytes);
            SyncedLog::write_whole(&*disk, "whole", options, &payload, turn).unwrap();
        }
        assert!(turns.iter().all(|turn| *turn <= PIECE_BYTES), "{turns:?}");
        assert_eq!(turns.iter().sum::<usize>(), bytes + HEADER_BYTES);
        let whole = read("whole");
        disk.remove("whole").unwrap();
        let (mut log, _) = SyncedLog::open(disk.clone(), "whole", options).unwrap();
        log.append(&payload).unwrap();
        log.sync().unwrap();
        assert_eq!(whole, read("whole"));
        assert_eq!(disk.list().unwrap().len(), 1, "nothing is left beside it");
    }
}

#[test]
fn a_log_written_whole_is_there_whole_or_not_at_all_after_a_crash() {
    let payload = vec![5u8; 3 * PIECE_BYTES];
    for seed in 0..40 {
        let disk = MemDisk::new(seed);
        // The last calls are the sync of the file, its renaming, and the sync of the folder.
        disk.fail_after(seed % 8);
        let write =
            SyncedLog::write_whole(&disk, "votes", LogOptions::default(), &payload, &mut |_| {})
                .and_then(|()| Ok(disk.sync()?));
        let disk = disk.crash(seed);
        let there = disk.open("votes").unwrap().is_some();
        assert!(there || write.is_err(), "what was durable is there");
        let (_, found) = open(&disk).unwrap();
        assert_eq!(found.torn, None);
        match there {
            true => assert_eq!(found.records, std::slice::from_ref(&payload)),
            false => assert!(found.records.is_empty()),
        }
    }
}

#[test]
fn both_sides_of_the_limits_of_a_log_written_whole() {
    let disk = MemDisk::new(0);
    let options = LogOptions {
        record_bytes_max: 10,
        file_bytes_max: MAGIC_BYTES + HEADER_BYTES as u64 + 8,
    };
    let write = |bytes: usize, options| {
        SyncedLog::write_whole(&disk, "a", options, &vec![1; bytes], &mut |_| {})
    };
    write(8, options).unwrap();
    let error = write(9, options).unwrap_err();
    assert!(matches!(error, LogError::Full { .. }), "{error}");
    let roomy = LogOptions {
        file_bytes_max: 1_000,
        ..options
    };
    write(10, roomy).unwrap();
    let error = write(11, roomy).unwrap_err();
    assert!(matches!(error, LogError::RecordSize { .. }), "{error}");
}

#[test]
fn reading_leaves_a_log_as_it_is() {
    let disk = MemDisk::new(5);
    let read = || SyncedLog::read(&disk, "votes", LogOptions::default());
    assert_eq!(read().unwrap(), None);
    assert!(disk.open("votes").unwrap().is_none(), "none was made");
    let (mut log, _) = open(&disk).unwrap();
    log.append(b"first").unwrap();
    log.append(b"second").unwrap();
    log.sync().unwrap();
    let (_, whole) = open(&disk).unwrap();
    assert_eq!(read().unwrap(), Some(whole));
    let file = disk.open("votes").unwrap().unwrap();
    let len = file.len().unwrap();
    file.truncate(len - 1).unwrap();
    let found = read().unwrap().unwrap();
    assert_eq!(found.records, [b"first"]);
    assert!(found.torn.is_some());
    assert_eq!(file.len().unwrap(), len - 1, "nothing was cut off");
}
