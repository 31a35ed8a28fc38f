use std::collections::BTreeMap;

use hawser_crypto::cipher::Cipher;
use hawser_crypto::datakey::DataKey;
use proptest::prelude::*;

use super::*;
use crate::seed::Seed;
use crate::{MemDisk, OsDisk, SealedDisk, Sealer};

const SMALL: PageStoreOptions = PageStoreOptions {
    segment_bytes_min: 4096,
    segment_bytes_max: 16 * 1024,
    journal_bytes_min: 512,
};

type Contents = BTreeMap<u64, Vec<u8>>;

/// An owner that knows its pages by number.
struct Owner {
    store: PageStore,
    places: BTreeMap<u64, PagePlace>,
}

fn entry(key: u64, place: Option<PagePlace>) -> Vec<u8> {
    let mut out = key.to_le_bytes().to_vec();
    out.extend(place.unwrap_or_default().encode());
    out
}

impl Owner {
    fn open(disk: Arc<dyn Disk>) -> Result<(Self, Option<u64>), LogError> {
        let (store, commit) = PageStore::open(disk, "p", SMALL)?;
        let mut places = BTreeMap::new();
        let mut height = None;
        if let Some(commit) = commit {
            height = Some(u64::from_le_bytes(
                commit.meta.as_slice().try_into().unwrap(),
            ));
            for part in &commit.parts {
                for entry in part.chunks(20) {
                    let key = u64::from_le_bytes(entry[..8].try_into().unwrap());
                    let place = PagePlace::decode(entry[8..].try_into().unwrap());
                    match place.bytes {
                        0 => places.remove(&key),
                        _ => places.insert(key, place),
                    };
                }
            }
        }
        for place in places.values() {
            store.adopt(*place)?;
        }
        Ok((Self { store, places }, height))
    }

    fn commit(
        &mut self,
        height: u64,
        changes: &BTreeMap<u64, Option<Vec<u8>>>,
    ) -> Result<usize, LogError> {
        let mut writer = self.store.write()?;
        let mut places = self.places.clone();
        let mut parts = Vec::new();
        for (key, page) in changes {
            if let Some(old) = places.remove(key) {
                writer.retire(old);
            }
            let place = page
                .as_ref()
                .map(|page| writer.append(*key, page))
                .transpose()?;
            if let Some(place) = place {
                places.insert(*key, place);
            }
            parts.push(entry(*key, place));
        }
        let most = 2 * writer.appended_bytes() + 1024;
        let moved = writer.reclaim(most)?;
        self.places = end(writer, &moved, places, parts, height)?;
        Ok(moved.len())
    }

    /// A step of compaction, for the same height.
    fn compact(&mut self, height: u64, bytes_max: u64) -> Result<usize, LogError> {
        let mut writer = self.store.write()?;
        let moved = writer.compact(bytes_max)?;
        self.places = end(writer, &moved, self.places.clone(), Vec::new(), height)?;
        Ok(moved.len())
    }

    fn contents(&self) -> Result<Contents, LogError> {
        let read = |(key, place): (&u64, &PagePlace)| {
            Ok((*key, self.store.read(*place)?.expect("it stands there")))
        };
        self.places.iter().map(read).collect()
    }
}

/// Ends a commit; where pages stand then.
fn end(
    writer: PageWriter<'_>,
    moved: &[PageMove],
    mut places: BTreeMap<u64, PagePlace>,
    mut parts: Vec<Vec<u8>>,
    height: u64,
) -> Result<BTreeMap<u64, PagePlace>, LogError> {
    for PageMove { tag, from, to } in moved {
        assert_eq!(places.insert(*tag, *to), Some(*from));
        parts.push(entry(*tag, Some(*to)));
    }
    let meta = height.to_le_bytes();
    if writer.index_due() {
        let all = places.iter().map(|(key, place)| entry(*key, Some(*place)));
        writer.commit(
            PageIndex::Whole(&mut all.collect::<Vec<_>>().into_iter()),
            &meta,
        )?;
    } else {
        writer.commit(PageIndex::Changes(&mut parts.into_iter()), &meta)?;
    }
    Ok(places)
}

fn changes(seed: &mut Seed, keys: usize, count: usize) -> BTreeMap<u64, Option<Vec<u8>>> {
    (0..count)
        .map(|_| {
            let key = seed.up_to(keys) as u64;
            let len = 1 + seed.up_to(300);
            let page = (!seed.chance(100)).then(|| (0..len).map(|_| seed.next() as u8).collect());
            (key, page)
        })
        .collect()
}

fn apply(contents: &mut Contents, changes: &BTreeMap<u64, Option<Vec<u8>>>) {
    for (key, page) in changes {
        match page {
            Some(page) => contents.insert(*key, page.clone()),
            None => contents.remove(key),
        };
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit(u64),
    Compact(u64),
    Persist,
    Reopen,
    Crash(u64),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_crash_leaves_a_commit_that_is_not_older_than_the_last_durable_one(
        steps in prop::collection::vec(prop_oneof![
            6 => any::<u64>().prop_map(Step::Commit),
            2 => (1..20_000u64).prop_map(Step::Compact),
            2 => Just(Step::Persist),
            1 => Just(Step::Reopen),
            1 => any::<u64>().prop_map(Step::Crash),
        ], 1..60),
    ) {
        let mut disk = MemDisk::new(7);
        let (mut owner, found) = Owner::open(Arc::new(disk.clone())).unwrap();
        prop_assert!(found.is_none());
        let mut recorded = vec![Contents::new()];
        let mut durable = 0;
        for step in steps {
            match step {
                Step::Commit(seed) => {
                    let changes = changes(&mut Seed::new(seed), 60, 20);
                    let mut contents = recorded.last().unwrap().clone();
                    apply(&mut contents, &changes);
                    owner.commit(recorded.len() as u64, &changes).unwrap();
                    recorded.push(contents);
                }
                Step::Compact(bytes) => {
                    owner.compact(recorded.len() as u64 - 1, bytes).unwrap();
                }
                Step::Persist => {
                    owner.store.persist().unwrap();
                    durable = recorded.len() - 1;
                }
                Step::Reopen => {
                    let before = owner.places.clone();
                    let usage = owner.store.usage().live_bytes;
                    drop(owner);
                    owner = Owner::open(Arc::new(disk.clone())).unwrap().0;
                    prop_assert_eq!(&owner.places, &before, "the index is the same");
                    prop_assert_eq!(owner.store.usage().live_bytes, usage);
                    durable = recorded.len() - 1;
                }
                Step::Crash(seed) => {
                    disk = disk.crash(seed);
                    let found;
                    (owner, found) = Owner::open(Arc::new(disk.clone())).unwrap();
                    let height = found.unwrap_or(0) as usize;
                    prop_assert!(durable <= height && height < recorded.len());
                    recorded.truncate(height + 1);
                    durable = height;
                }
            }
            prop_assert_eq!(&owner.contents().unwrap(), recorded.last().unwrap());
        }
    }
}

#[test]
fn a_crash_at_every_write_of_a_commit_leaves_the_one_before_or_the_one_after() {
    // Commits that only change the index, begin a journal, begin segments, and reclaim.
    for commits in [0u64, 1, 7, 30] {
        let mut done = false;
        let mut boundary = 0;
        while !done {
            for seed in 0..6 {
                let disk = MemDisk::new(seed);
                let (mut owner, _) = Owner::open(Arc::new(disk.clone())).unwrap();
                let mut contents = Contents::new();
                let mut random = Seed::new(commits);
                for height in 1..=commits {
                    let changes = changes(&mut random, 80, 30);
                    apply(&mut contents, &changes);
                    owner.commit(height, &changes).unwrap();
                    owner.store.persist().unwrap();
                }
                let changes = changes(&mut random, 80, 30);
                let mut after = contents.clone();
                apply(&mut after, &changes);
                disk.fail_after(boundary);
                let ended = owner
                    .commit(commits + 1, &changes)
                    .and_then(|_| owner.store.persist());
                done = ended.is_ok();
                if !done {
                    assert!(matches!(owner.store.write(), Err(LogError::Poisoned(_))));
                }
                let disk = disk.crash(seed);
                let (owner, height) = Owner::open(Arc::new(disk)).unwrap();
                let height = height.unwrap_or(0);
                let found = owner.contents().unwrap();
                let expected = if height > commits { &after } else { &contents };
                assert_eq!(
                    &found, expected,
                    "{commits} commits, write {boundary}, seed {seed}"
                );
                assert!(height >= commits && (!done || height == commits + 1));
            }
            boundary += 1;
        }
        assert!(boundary > 4, "{boundary} writes");
    }
}

#[test]
fn what_is_replaced_is_reclaimed_and_what_is_live_stays_readable() {
    let disk = MemDisk::new(3);
    let (mut owner, _) = Owner::open(Arc::new(disk.clone())).unwrap();
    let mut contents = Contents::new();
    let mut random = Seed::new(5);
    let (mut moved, mut journals) = (0, 0);
    for height in 0..400 {
        let changes = changes(&mut random, 400, 40);
        apply(&mut contents, &changes);
        moved += owner.commit(height, &changes).unwrap();
        owner.store.persist().unwrap();
        assert_eq!(owner.contents().unwrap(), contents);
        let usage = owner.store.usage();
        let live: u64 = owner
            .places
            .values()
            .map(|place| u64::from(place.bytes))
            .sum();
        assert_eq!(usage.live_bytes, live);
        assert!(
            usage.bytes <= 2 * live + 6 * SMALL.segment_bytes_max,
            "{usage:?}"
        );
        let files = disk.list().unwrap();
        let stored: u64 = files
            .iter()
            .filter(|(name, _)| name.ends_with(".pag"))
            .map(|(_, len)| len)
            .sum();
        assert_eq!(stored, usage.bytes, "no file is left over");
        let mut of_journal = files.iter().filter(|(name, _)| name.ends_with(".jnl"));
        let (name, len) = of_journal.next().unwrap();
        journals = journals.max(name[2..12].parse().unwrap());
        assert!(of_journal.next().is_none());
        assert!(*len < 60_000, "{len}");
    }
    assert!(moved > 1000, "{moved} pages moved");
    assert!(journals > 5, "{journals} journals");
}

#[test]
fn a_page_that_moved_is_where_it_was_until_the_owner_asks_for_durability() {
    // A whole index, which is durable at once, and changes.
    for whole in [true, false] {
        let (mut owner, _) = Owner::open(Arc::new(MemDisk::new(1))).unwrap();
        let mut random = Seed::new(5);
        for height in 0..100 {
            let changes = changes(&mut random, 900, 60);
            owner.commit(height, &changes).unwrap();
        }
        owner.store.persist().unwrap();
        let mut writer = owner.store.write().unwrap();
        let moved = writer.compact(u64::MAX).unwrap();
        assert!(moved.len() > 10, "{} pages moved", moved.len());
        let mut places = owner.places.clone();
        places.extend(moved.iter().map(|page| (page.tag, page.to)));
        let all = places.iter().map(|(key, place)| entry(*key, Some(*place)));
        let mut all = all.collect::<Vec<_>>().into_iter();
        let index = if whole {
            PageIndex::Whole(&mut all)
        } else {
            PageIndex::Changes(&mut all)
        };
        writer.commit(index, &99u64.to_le_bytes()).unwrap();
        owner.places = places;
        for page in &moved {
            assert!(
                owner.store.read(page.from).unwrap().is_some(),
                "whole: {whole}"
            );
        }
        owner.store.persist().unwrap();
        let gone = moved
            .iter()
            .any(|page| owner.store.read(page.from).unwrap().is_none());
        assert!(gone, "whole: {whole}");
        owner.contents().unwrap();
    }
}

#[test]
fn compaction_goes_on_until_little_waste_is_left_and_leaves_every_page_readable() {
    let disk = MemDisk::new(3);
    let (mut owner, _) = Owner::open(Arc::new(disk.clone())).unwrap();
    let mut contents = Contents::new();
    let mut random = Seed::new(5);
    for height in 0..200 {
        let changes = changes(&mut random, 900, 60);
        apply(&mut contents, &changes);
        owner.commit(height, &changes).unwrap();
    }
    owner.store.persist().unwrap();
    let before = owner.store.usage();
    assert!(owner.store.is_compaction_due(), "{before:?}");
    // Who relies on earlier pages keeps the files, so there is nothing to gain.
    owner.store.hold();
    assert!(!owner.store.is_compaction_due());
    owner.store.release();
    let mut steps = 0;
    while owner.compact(199, 8_000).unwrap() > 0 {
        owner.store.persist().unwrap();
        assert_eq!(owner.contents().unwrap(), contents);
        steps += 1;
        assert!(steps < 200, "it ends");
    }
    assert!(steps > 2, "a bounded number of bytes at a time: {steps}");
    let after = owner.store.usage();
    assert_eq!(after.live_bytes, before.live_bytes);
    let bound = after.live_bytes * 108 / 100 + 3 * SMALL.segment_bytes_min;
    assert!(
        after.bytes <= bound && after.bytes < before.bytes,
        "{after:?}"
    );
    assert!(!owner.store.is_compaction_due());
    drop(owner);
    let (owner, height) = Owner::open(Arc::new(disk)).unwrap();
    assert_eq!((owner.contents().unwrap(), height), (contents, Some(199)));
}

#[test]
fn a_page_that_moved_is_not_where_it_was() {
    let (mut owner, _) = Owner::open(Arc::new(MemDisk::new(1))).unwrap();
    let page = |byte: u8| Some(vec![byte; 1500]);
    let all = (0..20u64).map(|key| (key, page(key as u8))).collect();
    owner.commit(1, &all).unwrap();
    let old = owner.places[&1];
    let mut random = Seed::new(2);
    for height in 2..240u8 {
        // Any but the first: its segment comes to hold nothing else that is live.
        let key = match random.up_to(18) as u64 {
            0 => 0,
            key => key + 1,
        };
        owner
            .commit(height.into(), &[(key, page(height))].into())
            .unwrap();
        owner.store.persist().unwrap();
    }
    assert_ne!(owner.places[&1], old);
    assert_eq!(owner.store.read(old).unwrap(), None);
    assert_eq!(owner.contents().unwrap()[&1], vec![1; 1500]);
}

#[test]
fn a_flipped_bit_is_found_and_named_with_what_to_do() {
    let disk = MemDisk::new(1);
    let (mut owner, _) = Owner::open(Arc::new(disk.clone())).unwrap();
    let mut random = Seed::new(9);
    let mut contents = Contents::new();
    for height in 1..6 {
        let changes = changes(&mut random, 12, 6);
        apply(&mut contents, &changes);
        owner.commit(height, &changes).unwrap();
        owner.store.persist().unwrap();
    }
    drop(owner);
    let files = disk.list().unwrap();
    let (mut refused, mut harmless) = (0, 0);
    for (name, len) in files {
        for offset in (0..len as usize).step_by(3) {
            let copy = disk.crash(0);
            disk_again(&disk, &copy);
            assert!(copy.flip_bit(&name, offset, (offset % 8) as u8));
            let opened = Owner::open(Arc::new(copy))
                .and_then(|(owner, height)| Ok((owner.contents()?, height)));
            match opened {
                Ok((found, Some(5))) => {
                    // What is waste now is not read.
                    assert_eq!(found, contents, "{name} at {offset}");
                    harmless += 1;
                }
                // The end of the journal looks as a torn write does.
                Ok((_, height)) => assert!(name.ends_with("jnl") && height < Some(5)),
                Err(LogError::Corrupt { file, advice, .. }) => {
                    assert_eq!(file, name);
                    assert!(advice.contains("away and start it again"));
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(
        refused > 300 && harmless > 0,
        "{refused} refused, {harmless} harmless"
    );
}

/// A crash of a disk on which all is synced leaves all of it.
fn disk_again(disk: &MemDisk, copy: &MemDisk) {
    let names = |disk: &MemDisk| disk.list().map_or(0, |files| files.len());
    assert!(
        names(copy) > 0 && names(disk) == 0,
        "the first is dead, the copy lives"
    );
}

#[test]
fn pages_index_and_tags_are_encrypted_on_a_sealed_disk() {
    const TAG: u64 = 0x5ec2_e7c0_ffee_a100;
    for cipher in Cipher::ALL {
        let key = DataKey::generate(cipher).unwrap();
        let plain = MemDisk::new(1);
        let sealed = || {
            let sealer = Arc::new(Sealer::new(key.clone()).unwrap());
            Arc::new(SealedDisk::new(Arc::new(plain.clone()), sealer))
        };
        let (mut owner, _) = Owner::open(sealed()).unwrap();
        let secret = b"nobody reads this".repeat(20);
        let mut all = Contents::new();
        for height in 1..60u64 {
            let changes = [(TAG | (height % 7), Some(secret.clone()))].into();
            apply(&mut all, &changes);
            owner.commit(height, &changes).unwrap();
            owner.store.persist().unwrap();
        }
        drop(owner);
        for (name, len) in plain.list().unwrap() {
            let file = plain.open(&name).unwrap().unwrap();
            let bytes = file.read_at(0, len as usize).unwrap();
            assert!(
                !bytes.windows(17).any(|window| window == &secret[..17]),
                "{name}"
            );
            assert!(
                !bytes
                    .windows(7)
                    .any(|window| window == &TAG.to_le_bytes()[1..]),
                "the tag in {name}"
            );
        }
        let refused = Owner::open(Arc::new(plain.clone()))
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains("storage.encryption"), "{refused}");
        let (owner, height) = Owner::open(sealed()).unwrap();
        assert_eq!((owner.contents().unwrap(), height), (all, Some(59)));
    }
}

#[test]
fn both_sides_of_the_limits() {
    let disk = || Arc::new(MemDisk::new(1));
    let options = |min, max| PageStoreOptions {
        segment_bytes_min: min,
        segment_bytes_max: max,
        ..SMALL
    };
    for (min, max, fits) in [
        (4096, 4096, true),
        (4095, 4096, false),
        (4096, 1 << 30, true),
        (4096, (1 << 30) + 1, false),
        (8192, 8191, false),
    ] {
        assert_eq!(
            PageStore::open(disk(), "p", options(min, max)).is_ok(),
            fits
        );
    }
    for (len, fits) in [
        (0, false),
        (1, true),
        (PAGE_BYTES_MAX, true),
        (PAGE_BYTES_MAX + 1, false),
    ] {
        let (mut owner, _) = Owner::open(disk()).unwrap();
        let done = owner.commit(1, &[(1, Some(vec![1; len]))].into());
        assert_eq!(done.is_ok(), fits, "{len}");
        if fits {
            assert_eq!(owner.contents().unwrap()[&1].len(), len);
        }
    }
    for (len, fits) in [
        (0, false),
        (PAGE_PART_BYTES_MAX, true),
        (PAGE_PART_BYTES_MAX + 1, false),
    ] {
        let (store, _) = PageStore::open(disk(), "p", SMALL).unwrap();
        let writer = store.write().unwrap();
        let parts = &mut std::iter::once(vec![0; len]);
        assert_eq!(
            writer.commit(PageIndex::Whole(parts), b"").is_ok(),
            fits,
            "{len}"
        );
    }
}

#[test]
fn a_writer_that_gives_up_leaves_a_store_that_refuses() {
    let (owner, _) = Owner::open(Arc::new(MemDisk::new(1))).unwrap();
    drop(owner.store.write().unwrap());
    assert!(matches!(owner.store.persist(), Err(LogError::Poisoned(_))));
    assert!(matches!(
        owner.store.read(PagePlace::default()),
        Err(LogError::Poisoned(_))
    ));
}

#[test]
fn readers_beside_the_writer_find_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::new(folder.path()).unwrap());
    let (store, _) = PageStore::open(disk, "p", SMALL).unwrap();
    let places = RwLock::new(BTreeMap::<u64, PagePlace>::new());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (store, places, done) = (&store, &places, &done);
            scope.spawn(move || {
                let mut random = Seed::new(reader);
                while !done.load(Ordering::Relaxed) {
                    let key = random.up_to(49) as u64;
                    let place = places.read().get(&key).copied();
                    // Nothing: the page moved and its segment is gone; it would be looked up again.
                    if let Some(page) = place.and_then(|place| store.read(place).unwrap()) {
                        assert_eq!(page[..8], key.to_le_bytes());
                    }
                }
            });
        }
        let mut random = Seed::new(77);
        for _ in 0..300 {
            let mut next = places.read().clone();
            let mut writer = store.write().unwrap();
            for _ in 0..10 {
                let key = random.up_to(49) as u64;
                if let Some(old) = next.remove(&key) {
                    writer.retire(old);
                }
                let page = [&key.to_le_bytes()[..], &[1; 200]].concat();
                next.insert(key, writer.append(key, &page).unwrap());
            }
            let moved = writer.reclaim(8192).unwrap();
            next.extend(moved.iter().map(|page| (page.tag, page.to)));
            let parts = next.iter().map(|(key, place)| entry(*key, Some(*place)));
            let parts: Vec<_> = parts.collect();
            writer
                .commit(PageIndex::Whole(&mut parts.into_iter()), b"")
                .unwrap();
            *places.write() = next;
        }
        done.store(true, Ordering::Relaxed);
    });
}
