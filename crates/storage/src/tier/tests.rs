use hawser_crypto::cipher::Cipher;
use hawser_crypto::datakey::DataKey;

use super::*;
use crate::{LogError, MemDisk, SealedDisk, Sealer, SegmentOptions, Segments};

const OPTIONS: SegmentOptions = SegmentOptions {
    segment_bytes: 1_500_000,
    item_bytes_max: 700_000,
};
/// Items of a store: two to a file, each larger than half a chunk.
const ITEMS: u64 = 9;
const FIRST_FILE: &str = "s-00000000000000000001.seg";

fn options(hash: TierHash) -> TierOptions {
    TierOptions {
        prefix: "net/chain-7".to_owned(),
        hash,
        cache_bytes: 3 << 20,
        bytes_per_s: 0,
    }
}

fn item(number: u64) -> Vec<u8> {
    let mut state = number;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    (0..600_000).map(next).collect()
}

/// A folder with a store of segments, none of them moved.
fn filled(disk: &MemDisk) {
    let (segments, _) = Segments::open(Arc::new(disk.clone()), "s", OPTIONS).unwrap();
    for number in 1..=ITEMS {
        segments.append(number, &item(number)).unwrap();
    }
    segments.sync().unwrap();
}

fn tier(disk: &MemDisk, objects: Option<&Arc<MemObjects>>, cache: Option<&MemDisk>) -> Arc<Tier> {
    let objects = objects.map(|objects| Arc::clone(objects) as Arc<dyn ObjectStore>);
    let cache = cache.map(|cache| Arc::new(cache.clone()) as Arc<dyn Disk>);
    let disk = Arc::new(disk.clone());
    Tier::open(disk, objects, cache, options(TierHash::Sha256)).unwrap()
}

fn segments(tier: &Arc<Tier>) -> Segments {
    let disk = Arc::new(TieredDisk::new(Arc::clone(tier)));
    Segments::open(disk, "s", OPTIONS).unwrap().0
}

/// Moves all sealed files; gives the store.
fn moved(disk: &MemDisk, objects: &Arc<MemObjects>) -> (Arc<Tier>, Segments) {
    let tier = tier(disk, Some(objects), None);
    let segments = segments(&tier);
    for sealed in segments.sealed_before(u64::MAX) {
        tier.push(&sealed.file, &|| false).unwrap();
        assert!(tier.drop_local(&sealed.file).unwrap());
        segments.close(sealed.first);
        assert!(segments.is_cold(sealed.first).unwrap());
    }
    (tier, segments)
}

fn all_there(segments: &Segments) {
    assert_eq!((segments.first(), segments.last()), (Some(1), Some(ITEMS)));
    for number in 1..=ITEMS {
        assert_eq!(
            segments.get(number).unwrap(),
            Some(item(number)),
            "{number}"
        );
    }
}

fn local(disk: &MemDisk, ending: &str) -> Vec<String> {
    let names = disk.list().unwrap().into_iter().map(|(name, _)| name);
    names.filter(|name| name.ends_with(ending)).collect()
}

fn why(segments: &Segments, number: u64) -> TierError {
    match segments.get(number) {
        Err(LogError::Disk(DiskError::Tier(error))) => error,
        other => panic!("{:?}", other.map(|item| item.map(|item| item.len()))),
    }
}

fn objects() -> Arc<MemObjects> {
    Arc::new(MemObjects::new())
}

#[test]
fn files_that_were_moved_are_read_as_if_they_were_here_and_after_a_restart_too() {
    let (disk, objects) = (MemDisk::new(1), objects());
    filled(&disk);
    let before = disk
        .open(FIRST_FILE)
        .unwrap()
        .unwrap()
        .read_at(0, 9 << 20)
        .unwrap();
    let (tier, segments) = moved(&disk, &objects);
    assert_eq!(
        local(&disk, ".seg").len(),
        1,
        "only what is appended to is here"
    );
    assert_eq!(objects.keys().len(), 4);
    all_there(&segments);
    // The object is the file byte for byte, under a key that has its digest.
    let digest = TierHash::Sha256.digest(&before);
    let key = format!(
        "net/chain-7/s-00000000000000000001-{}.seg",
        entry::hex(&digest)
    );
    assert_eq!(objects.object(&key), Some(before));
    assert_eq!(objects.keys()[0], key);
    let stats = tier.stats().unwrap();
    assert_eq!((stats.files, stats.uploads), (4, 4));
    assert_eq!(stats.bytes, stats.upload_bytes);
    assert!(stats.fetched >= 4 && stats.fetched_bytes > 0 && stats.read_failures == 0);
    // Appending goes on, and another process finds all of it.
    segments.append(ITEMS + 1, b"next").unwrap();
    segments.truncate_after(ITEMS).unwrap();
    drop(segments);
    let again = tier_segments(&disk, &objects);
    all_there(&again);
}

fn tier_segments(disk: &MemDisk, objects: &Arc<MemObjects>) -> Segments {
    segments(&tier(disk, Some(objects), None))
}

#[test]
fn of_an_encrypted_folder_ciphertext_is_uploaded_and_read_back() {
    for (cipher, hash) in [
        (Cipher::Aes256Gcm, TierHash::Sha256),
        (Cipher::Sm4Gcm, TierHash::Sm3),
    ] {
        let (disk, objects) = (MemDisk::new(2), objects());
        let sealer = Arc::new(Sealer::new(DataKey::generate(cipher).unwrap()).unwrap());
        let seal = |inner| Arc::new(SealedDisk::new(inner, Arc::clone(&sealer)));
        let store = Arc::clone(&objects) as Arc<dyn ObjectStore>;
        let open = Tier::open(Arc::new(disk.clone()), Some(store), None, options(hash));
        let tier = open.unwrap();
        let tiered = seal(Arc::new(TieredDisk::new(Arc::clone(&tier))));
        let (segments, _) = Segments::open(tiered, "s", OPTIONS).unwrap();
        for number in 1..=ITEMS {
            segments.append(number, &item(number)).unwrap();
        }
        segments.sync().unwrap();
        for sealed in segments.sealed_before(ITEMS) {
            tier.push(&sealed.file, &|| false).unwrap();
            tier.drop_local(&sealed.file).unwrap();
        }
        all_there(&segments);
        for key in objects.keys() {
            let object = objects.object(&key).unwrap();
            let needle = &item(1)[..64];
            assert!(!object.windows(64).any(|window| window == needle), "{key}");
        }
        // Another key opens nothing.
        drop(segments);
        let other = Arc::new(Sealer::new(DataKey::generate(cipher).unwrap()).unwrap());
        let tiered = Arc::new(TieredDisk::new(tier));
        let sealed = Arc::new(SealedDisk::new(tiered, other));
        assert!(Segments::open(sealed, "s", OPTIONS).is_err());
    }
}

#[test]
fn a_wrong_a_missing_and_a_longer_object_are_told_apart_and_never_handed_on() {
    let (disk, objects) = (MemDisk::new(3), objects());
    filled(&disk);
    moved(&disk, &objects);
    let key = objects.keys()[0].clone();
    let good = objects.object(&key).unwrap();
    let fresh = || {
        let tier = tier(&disk, Some(&objects), None);
        (segments(&tier), tier)
    };
    for at in [8, 700_000, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 4;
        objects.set(&key, Some(bad));
        let (segments, tier) = fresh();
        let number = if at < 600_000 { 1 } else { 2 };
        let error = why(&segments, number);
        assert!(
            matches!(&error, TierError::Wrong { key: of, .. } if *of == key),
            "{error}"
        );
        assert!(
            error.to_string().contains("not what this node uploaded"),
            "{error}"
        );
        assert_eq!(tier.stats().unwrap().read_failures, 1);
        assert!(tier.verify(FIRST_FILE, &|_| {}).is_err());
        // The other files are read as before.
        assert_eq!(segments.get(3).unwrap(), Some(item(3)));
    }
    objects.set(&key, Some(good[..good.len() - 1].to_vec()));
    assert_eq!(why(&fresh().0, 2).word(), "wrong");
    objects.set(&key, Some([good.as_slice(), b"x"].concat()));
    assert!(
        fresh().1.verify(FIRST_FILE, &|_| {}).is_err(),
        "something follows"
    );
    objects.set(&key, None);
    let (segments, _) = fresh();
    assert_eq!(why(&segments, 1).word(), "missing");
    assert_eq!(
        segments.get(3).unwrap(),
        Some(item(3)),
        "only that object is gone"
    );
    objects.set(&key, Some(good));
    all_there(&fresh().0);
}

#[test]
fn a_store_that_fails_is_not_asked_by_every_reader() {
    let (disk, objects) = (MemDisk::new(4), objects());
    filled(&disk);
    moved(&disk, &objects);
    for (fault, word) in [
        (ObjectFault::Unreachable, "unreachable"),
        (ObjectFault::TimedOut, "timeout"),
        (ObjectFault::Denied, "denied"),
        (ObjectFault::NoBucket, "no_bucket"),
    ] {
        let tier = tier(&disk, Some(&objects), None);
        let segments = segments(&tier);
        objects.set_fault(Some(fault));
        assert_eq!(why(&segments, 1).word(), word);
        let asked = objects.gets();
        for number in 1..=4 {
            assert_eq!(why(&segments, number).word(), word);
        }
        assert_eq!(objects.gets(), asked, "refused at once");
        objects.set_fault(None);
        assert_eq!(
            segments.get(ITEMS).unwrap(),
            Some(item(ITEMS)),
            "what is here is read"
        );
        // After the pause the store is asked again.
        tier.breaker.lock().pause = Duration::ZERO;
        all_there(&segments);
        assert_eq!(tier.breaker.lock().failed, None);
    }
    let unset = segments(&tier(&disk, None, None));
    assert_eq!(why(&unset, 1).word(), "not_configured");
    assert_eq!(unset.get(ITEMS).unwrap(), Some(item(ITEMS)));
}

#[test]
fn a_pause_after_failures_grows_and_has_a_bound() {
    let disk = MemDisk::new(5);
    let tier = tier(&disk, None, None);
    let place = String::new();
    let mut last = Duration::ZERO;
    for _ in 0..10 {
        tier.noted(
            "f",
            ObjectError::NoBucket {
                place: place.clone(),
            },
        );
        let pause = tier.breaker.lock().pause;
        assert!(pause > last || pause == PAUSE_MAX, "{pause:?}");
        last = pause;
    }
    assert_eq!(last, PAUSE_MAX);
    let key = String::new();
    tier.breaker.lock().failed = None;
    tier.noted("f", ObjectError::Missing { place, key });
    assert_eq!(
        tier.breaker.lock().failed,
        None,
        "one object is not the store"
    );
}

#[test]
fn readers_beyond_the_bound_are_refused_and_the_turn_is_given_back() {
    let disk = MemDisk::new(6);
    let tier = tier(&disk, None, None);
    let mut turns = Vec::new();
    for i in 0..COLD_READS_MAX {
        turns.push(tier.enter("f", [i as u8; 32]).unwrap().unwrap());
    }
    let busy = tier.enter("f", [99; 32]).map(|turn| turn.is_some());
    assert_eq!(busy.unwrap_err().word(), "busy");
    turns.pop();
    assert!(tier.enter("f", [99; 32]).unwrap().is_some());
}

#[test]
fn an_upload_that_the_store_spoils_or_cuts_off_costs_nothing() {
    for fault in [
        ObjectFault::WrongUpload,
        ObjectFault::HalfUpload,
        ObjectFault::Denied,
        ObjectFault::NoBucket,
    ] {
        let (disk, objects) = (MemDisk::new(7), objects());
        filled(&disk);
        let tier = tier(&disk, Some(&objects), None);
        objects.set_fault(Some(fault));
        tier.push(FIRST_FILE, &|| false).unwrap_err();
        assert!(local(&disk, ".cold").is_empty(), "no marker: {fault:?}");
        assert!(
            !tier.drop_local(FIRST_FILE).unwrap(),
            "nothing is dropped: {fault:?}"
        );
        assert_eq!(local(&disk, ".seg").len(), 5);
        assert_eq!(tier.stats().unwrap().upload_failures, 1);
        // The next try mends what was left there.
        objects.set_fault(None);
        tier.push(FIRST_FILE, &|| false).unwrap();
        assert!(tier.drop_local(FIRST_FILE).unwrap());
        all_there(&segments(&tier));
    }
}

#[test]
fn what_an_earlier_try_uploaded_is_not_uploaded_again_but_compared() {
    let (disk, objects) = (MemDisk::new(8), objects());
    filled(&disk);
    let first = tier(&disk, Some(&objects), None);
    first.push(FIRST_FILE, &|| false).unwrap();
    disk.remove("s-00000000000000000001.cold").unwrap();
    let again = tier(&disk, Some(&objects), None);
    let (puts, gets) = (objects.puts(), objects.gets());
    again.push(FIRST_FILE, &|| false).unwrap();
    assert_eq!(objects.puts(), puts);
    assert!(objects.gets() > gets, "it was read back");
}

#[test]
fn a_stop_ends_an_upload_and_a_rate_holds_it_up() {
    let (disk, objects) = (MemDisk::new(9), objects());
    filled(&disk);
    let store = Arc::clone(&objects) as Arc<dyn ObjectStore>;
    let slow = TierOptions {
        bytes_per_s: 4 << 20,
        ..options(TierHash::Sha256)
    };
    let tier = Tier::open(Arc::new(disk.clone()), Some(store), None, slow).unwrap();
    let began = Instant::now();
    tier.push(FIRST_FILE, &|| false).unwrap();
    assert!(
        began.elapsed() >= Duration::from_millis(200),
        "{:?}",
        began.elapsed()
    );
    let second = "s-00000000000000000003.seg";
    let stopped = tier.push(second, &|| true).unwrap_err();
    assert!(
        matches!(stopped, DiskError::Tier(TierError::Stopped { .. })),
        "{stopped}"
    );
    assert_eq!(
        tier.stats().unwrap().upload_failures,
        0,
        "a stop is no failure"
    );
}

/// Every change of the folder and every sync may be the last one before the power fails, and what was
/// not synced may be gone: all items are there afterwards, and the move comes to its end.
#[test]
fn a_crash_at_any_point_of_a_move_loses_nothing() {
    let whole = {
        let (disk, objects) = (MemDisk::new(10), objects());
        filled(&disk);
        let before = disk.calls();
        let tier = tier(&disk, Some(&objects), None);
        tier.push(FIRST_FILE, &|| false).unwrap();
        tier.drop_local(FIRST_FILE).unwrap();
        disk.calls() - before
    };
    assert!(whole >= 6, "{whole}");
    let mut ends = BTreeSet::new();
    for point in 0..=whole {
        for seed in 0..6 {
            let (disk, objects) = (MemDisk::new(10), objects());
            filled(&disk);
            let first = tier(&disk, Some(&objects), None);
            disk.fail_after(point);
            let done = first
                .push(FIRST_FILE, &|| false)
                .and_then(|_| first.drop_local(FIRST_FILE));
            let disk = disk.crash(seed);
            ends.insert((
                done.is_ok(),
                local(&disk, ".cold").len(),
                local(&disk, ".seg").len(),
            ));
            let tier = tier(&disk, Some(&objects), None);
            let segments = segments(&tier);
            all_there(&segments);
            tier.push(FIRST_FILE, &|| false).unwrap();
            tier.drop_local(FIRST_FILE).unwrap();
            segments.close(1);
            assert!(segments.is_cold(1).unwrap());
            all_there(&segments);
        }
    }
    // Before the marker, between marker and removal, and after it.
    for expected in [(false, 0, 5), (false, 1, 5), (false, 1, 4), (true, 1, 4)] {
        assert!(
            ends.contains(&expected),
            "{expected:?} never came about: {ends:?}"
        );
    }
}

#[test]
fn a_crash_at_any_point_of_the_way_back_loses_nothing() {
    for point in 0..16 {
        for seed in 0..4 {
            let (disk, objects) = (MemDisk::new(11), objects());
            filled(&disk);
            let (first, segments_before) = moved(&disk, &objects);
            drop(segments_before);
            disk.fail_after(point);
            let _ = first.fetch(FIRST_FILE, &|_| {});
            let disk = disk.crash(seed);
            let tier = tier(&disk, Some(&objects), None);
            all_there(&segments(&tier));
            tier.fetch(FIRST_FILE, &|_| {}).unwrap();
            assert!(!tier.is_marked(FIRST_FILE));
            assert_eq!(tier.stats().unwrap().files, 3);
            all_there(&segments(&tier));
        }
    }
}

#[test]
fn a_file_does_not_come_back_from_a_wrong_object() {
    let (disk, objects) = (MemDisk::new(12), objects());
    filled(&disk);
    let (tier, _) = moved(&disk, &objects);
    let key = objects.keys()[0].clone();
    let mut bad = objects.object(&key).unwrap();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    objects.set(&key, Some(bad));
    tier.fetch(FIRST_FILE, &|_| {}).unwrap_err();
    assert!(tier.is_marked(FIRST_FILE));
    assert!(local(&disk, ".new").is_empty() && disk.open(FIRST_FILE).unwrap().is_none());
}

#[test]
fn a_marker_beside_another_file_never_costs_that_file() {
    let (disk, objects) = (MemDisk::new(13), objects());
    filled(&disk);
    tier(&disk, Some(&objects), None)
        .push(FIRST_FILE, &|| false)
        .unwrap();
    // Written anew, as a repair does, by a program that knew nothing of the marker.
    let file = disk.create(FIRST_FILE).unwrap();
    file.append(b"another content").unwrap();
    let tier = tier(&disk, Some(&objects), None);
    assert!(!tier.drop_local(FIRST_FILE).unwrap());
    assert!(!tier.is_marked(FIRST_FILE));
    assert!(disk.open(FIRST_FILE).unwrap().is_some());
}

#[test]
fn a_damaged_marker_is_named_and_is_harmless_while_the_file_is_here() {
    let (disk, objects) = (MemDisk::new(14), objects());
    filled(&disk);
    let (tier_before, _) = moved(&disk, &objects);
    drop(tier_before);
    let marker = "s-00000000000000000001.cold";
    let len = disk.open(marker).unwrap().unwrap().len().unwrap();
    for at in 0..usize::try_from(len).unwrap() {
        assert!(disk.flip_bit(marker, at, 2));
        let tier = tier(&disk, Some(&objects), None);
        let files = tier.files().unwrap();
        assert!(files[0].entry.is_err(), "byte {at}");
        if at == 9 {
            let error = why(&segments(&tier), 1);
            assert!(error.to_string().contains(marker), "{error}");
        }
        assert!(disk.flip_bit(marker, at, 2));
    }
    all_there(&tier_segments(&disk, &objects));
}

#[test]
fn the_cache_has_a_bound_survives_restarts_and_is_not_believed() {
    let (disk, cache, objects) = (MemDisk::new(15), MemDisk::new(16), objects());
    filled(&disk);
    moved(&disk, &objects);
    let first = tier(&disk, Some(&objects), Some(&cache));
    all_there(&segments(&first));
    let kept: u64 = cache.list().unwrap().iter().map(|(_, len)| len).sum();
    assert!(kept > 1 << 20 && kept <= 3 << 20, "{kept}");
    assert_eq!(first.stats().unwrap().cache_bytes, kept);
    // Another process: memory is empty, the folder is not.
    let again = tier(&disk, Some(&objects), Some(&cache));
    let gets = objects.gets();
    assert_eq!(segments(&again).get(8).unwrap(), Some(item(8)));
    assert_eq!(objects.gets(), gets, "it was in the cache");
    // Damage there costs a fetch.
    for (name, _) in cache.list().unwrap() {
        assert!(cache.flip_bit(&name, 1_000, 0));
    }
    let third = tier(&disk, Some(&objects), Some(&cache));
    all_there(&segments(&third));
    assert!(objects.gets() > gets);
    // A smaller bound next time.
    let small = TierOptions {
        cache_bytes: 1 << 20,
        ..options(TierHash::Sha256)
    };
    let dyn_cache = Arc::new(cache.clone()) as Arc<dyn Disk>;
    Tier::open(Arc::new(disk.clone()), None, Some(dyn_cache), small).unwrap();
    let kept: u64 = cache.list().unwrap().iter().map(|(_, len)| len).sum();
    assert!(kept <= 1 << 20, "{kept}");
}

#[test]
fn what_lies_in_the_store_is_dropped_renamed_and_not_changed() {
    let (disk, objects) = (MemDisk::new(17), objects());
    filled(&disk);
    let (tier_before, segments) = moved(&disk, &objects);
    let error = segments.truncate_after(3).unwrap_err();
    assert!(error.tier().is_some(), "{error}");
    drop((segments, tier_before));
    let segments = tier_segments(&disk, &objects);
    assert_eq!(segments.drop_before(3).unwrap(), Some(3));
    assert!(!local(&disk, ".cold").contains(&"s-00000000000000000001.cold".to_owned()));
    assert_eq!(
        objects.keys().len(),
        4,
        "objects are nobody's to remove but the operator's"
    );
    drop(segments);
    let tier = tier(&disk, Some(&objects), None);
    let tiered = TieredDisk::new(Arc::clone(&tier));
    tiered
        .rename("s-00000000000000000003.seg", "aside-s-3.seg")
        .unwrap();
    assert!(tier.is_marked("aside-s-3.seg") && !tier.is_marked("s-00000000000000000003.seg"));
    let listed = tiered.list().unwrap();
    assert!(
        listed.iter().all(|(name, _)| !name.ends_with(".cold")),
        "{listed:?}"
    );
    assert!(
        listed
            .iter()
            .any(|(name, len)| name == "aside-s-3.seg" && *len > 1_000_000)
    );
    let file = tiered.open("aside-s-3.seg").unwrap().unwrap();
    assert!(file.append(b"x").is_err() && file.truncate(1).is_err());
    assert_eq!(file.read_at(u64::MAX, 9).unwrap(), b"");
}

#[test]
fn a_check_reads_the_store_where_it_can_and_says_what_it_did_not_look_at() {
    let (disk, objects) = (MemDisk::new(18), objects());
    filled(&disk);
    moved(&disk, &objects);
    let check = |tier: Arc<Tier>| {
        let tiered = Arc::new(TieredDisk::new(tier));
        let mut seen = Vec::new();
        let visit = &mut |number: u64, bytes: &[u8], _: crate::ItemPlace<'_>| {
            assert_eq!(bytes, item(number));
            seen.push(number);
            Ok(())
        };
        let max = OPTIONS.item_bytes_max;
        let found = Segments::check(tiered, "s", max, visit, &|_| {}).unwrap();
        (found, seen)
    };
    let (found, seen) = check(tier(&disk, Some(&objects), None));
    assert!(
        found.faults.is_empty() && found.cold.is_empty(),
        "{found:?}"
    );
    assert_eq!(seen, (1..=ITEMS).collect::<Vec<_>>());
    let (found, seen) = check(tier(&disk, None, None));
    assert!(found.faults.is_empty(), "{found:?}");
    assert_eq!(found.cold, [(1, 2), (3, 4), (5, 6), (7, 8)]);
    assert_eq!((found.first, found.last), (Some(1), Some(ITEMS)));
    assert_eq!(seen, [ITEMS]);
    // An object that is gone is named; the files after it are read.
    let keys = objects.keys();
    objects.set(&keys[1], None);
    let (found, seen) = check(tier(&disk, Some(&objects), None));
    assert_eq!(found.remote.len(), 1, "{found:?}");
    assert_eq!(found.remote[0].item, Some(3));
    assert!(found.faults.is_empty() && found.last == Some(ITEMS));
    assert_eq!(seen, [1, 2, 5, 6, 7, 8, 9]);
}

#[test]
fn the_marker_has_a_golden_vector() {
    let entry = ColdEntry {
        hash: TierHash::Sm3,
        key: "a/b-1.seg".to_owned(),
        bytes: 1_048_577,
        chunk_bytes: CHUNK_BYTES,
        digest: [1; 32],
        chunks: vec![[2; 32], [3; 32]],
    };
    let marker = entry.to_marker();
    let expected = format!(
        "48575354494552310462e3bb0209000000612f622d312e736567010010000000000000001000{}02000000{}{}",
        "01".repeat(32),
        "02".repeat(32),
        "03".repeat(32)
    );
    assert_eq!(entry::hex(&marker), expected);
    assert_eq!(ColdEntry::from_marker(&marker), Ok(entry.clone()));
    assert_eq!(entry.chunk(1), Some((1_048_576, 1, [3; 32])));
    assert_eq!(entry.chunk(2), None);
    for bad in [
        ColdEntry {
            bytes: 0,
            ..entry.clone()
        },
        ColdEntry {
            bytes: 2_097_153,
            ..entry.clone()
        },
        ColdEntry {
            chunk_bytes: 0,
            ..entry.clone()
        },
        ColdEntry {
            chunk_bytes: CHUNK_BYTES + 1,
            ..entry.clone()
        },
        ColdEntry {
            key: String::new(),
            ..entry.clone()
        },
        ColdEntry {
            key: "k".repeat(KEY_BYTES_MAX + 1),
            ..entry.clone()
        },
    ] {
        assert!(ColdEntry::from_marker(&bad.to_marker()).is_err(), "{bad:?}");
    }
}
