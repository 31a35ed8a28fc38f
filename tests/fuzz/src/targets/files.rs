//! What is found on a disk that somebody else wrote to, or that forgot.

use std::sync::Arc;

use hawser_node::chain::VoteLog;
use hawser_primitives::Height;
use hawser_storage::{
    Disk, LogOptions, MemDisk, PageStore, PageStoreOptions, SegmentOptions, Segments, SyncedLog,
};

use super::split;

/// Bytes before the first record of a file.
const MAGIC_BYTES: usize = 8;
/// Bytes before the payload of a record: length, checksum, tag, synced.
const RECORD_HEAD_BYTES: usize = 24;
/// Most files of one input.
const FILES_MAX: usize = 16;

/// Small files, so that seeds have several.
pub(crate) const PAGES: PageStoreOptions = PageStoreOptions {
    segment_bytes_min: 4096,
    segment_bytes_max: 16 * 1024,
    journal_bytes_min: 64,
};

/// Sets the checksums of records right, so that what lies behind them is reached too.
fn fixed(mut file: Vec<u8>) -> Vec<u8> {
    let mut at = MAGIC_BYTES;
    while let Some(head) = file.get(at..at + RECORD_HEAD_BYTES) {
        let word = |from: usize| head.get(from..from + 4).unwrap_or_default();
        let length = u32::from_le_bytes(word(0).try_into().expect("four bytes"));
        let start = at + RECORD_HEAD_BYTES;
        let Some(payload) = file.get(start..start + length as usize) else {
            break;
        };
        let mut covered = (at as u64).to_le_bytes().to_vec();
        covered.extend_from_slice(word(0));
        covered.extend_from_slice(head.get(8..).unwrap_or_default());
        covered.extend_from_slice(payload);
        let sum = crc32c::crc32c(&covered).to_le_bytes();
        let end = start + length as usize;
        for (byte, new) in file.iter_mut().skip(at + 4).zip(sum) {
            *byte = new;
        }
        at = end;
    }
    file
}

fn write(disk: &dyn Disk, name: &str, content: &[u8]) -> bool {
    let Ok(file) = disk.create(name) else {
        return false;
    };
    file.append(content).expect("memory takes it");
    file.sync().expect("memory takes it");
    disk.sync().expect("memory takes it");
    true
}

/// A disk with the files of an input: pairs of name and content.
fn disk(input: &[u8]) -> Arc<dyn Disk> {
    let disk = MemDisk::new(1);
    let (fix, rest) = input
        .split_first()
        .map_or((false, input), |(flag, rest)| (flag & 1 == 1, rest));
    for pair in split(rest).chunks(2).take(FILES_MAX) {
        let [name, content] = pair else { continue };
        let content = if fix {
            fixed(content.to_vec())
        } else {
            content.to_vec()
        };
        write(&disk, &String::from_utf8_lossy(name), &content);
    }
    Arc::new(disk)
}

fn one_file(name: &str, content: &[u8]) -> Arc<dyn Disk> {
    let disk = MemDisk::new(1);
    assert!(write(&disk, name, content));
    Arc::new(disk)
}

/// What opening a log gives once, it gives again; and what is added to it is there afterwards.
pub(crate) fn log_recovery(input: &[u8]) {
    let Some((fix, content)) = input.split_first() else {
        return;
    };
    let content = if fix & 1 == 1 {
        fixed(content.to_vec())
    } else {
        content.to_vec()
    };
    let disk = one_file("log", &content);
    let open = || SyncedLog::open(Arc::clone(&disk), "log", LogOptions::default());
    let Ok((mut log, found)) = open() else {
        return;
    };
    log.append(b"added").expect("an open log takes records");
    log.sync().expect("memory takes it");
    drop(log);
    let (_, again) = open().expect("what was mended opens");
    assert!(again.torn.is_none(), "mended once");
    let (last, before) = again.records.split_last().expect("at least one");
    assert_eq!(
        (before, last.as_slice()),
        (found.records.as_slice(), &b"added"[..])
    );
}

pub(crate) fn segment_recovery(input: &[u8]) {
    let disk = disk(input);
    let options = SegmentOptions {
        segment_bytes: 128,
        ..SegmentOptions::default()
    };
    let open = || Segments::open(Arc::clone(&disk), "s", options);
    let Ok((segments, _)) = open() else {
        return;
    };
    let (first, last) = (segments.first(), segments.last());
    let numbers = first.zip(last).map(|(first, last)| {
        assert!(first <= last);
        first..=last.min(first.saturating_add(64))
    });
    for number in numbers.into_iter().flatten() {
        // Damage to an older file shows when it is read.
        let _ = segments.get(number);
    }
    let next = last.map_or(Some(3), |last| last.checked_add(1));
    let Some(next) = next else { return };
    if segments.append(next, b"added").is_ok() && segments.sync().is_ok() {
        drop(segments);
        let (again, found) = open().expect("what was mended opens");
        assert!(found.torn.is_none(), "mended once");
        assert_eq!(again.last(), Some(next));
        assert_eq!(
            again.get(next).expect("just written"),
            Some(b"added".to_vec())
        );
    }
}

pub(crate) fn page_recovery(input: &[u8]) {
    let disk = disk(input);
    let open = || PageStore::open(Arc::clone(&disk), "p", PAGES);
    let Ok((store, commit)) = open() else {
        return;
    };
    drop(store);
    let (store, again) = open().expect("what was mended opens");
    assert_eq!(again, commit, "the same commit twice");
    for part in commit.iter().flat_map(|commit| &commit.parts) {
        for place in part.chunks_exact(12) {
            let place = place.try_into().expect("twelve bytes");
            let place = hawser_storage::PagePlace::decode(place);
            if store.adopt(place).is_ok() {
                let _ = store.read(place);
            }
        }
    }
}

/// A vote log whose records are damaged and whose checksums are right.
pub(crate) fn vote_log_recovery(input: &[u8]) {
    let disk = one_file("votes.log", &fixed(input.to_vec()));
    for tip in [Height::GENESIS, Height(1), Height(u64::MAX)] {
        if let Ok((log, recovered)) = VoteLog::open(Arc::clone(&disk), tip) {
            assert!(recovered.keys().all(|height| *height > tip));
            drop(log);
        }
    }
}
