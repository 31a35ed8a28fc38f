use super::*;

fn both(test: impl Fn(&dyn Disk)) {
    let folder = tempfile::tempdir().unwrap();
    test(&OsDisk::new(&folder.path().join("a/b")).unwrap());
    test(&MemDisk::new(1));
}

#[test]
fn files_are_appended_to_read_cut_renamed_and_removed() {
    both(|disk| {
        let file = disk.create("one").unwrap();
        assert!(file.is_empty().unwrap());
        file.append(b"hello ").unwrap();
        file.append(b"world").unwrap();
        assert_eq!(file.read_at(4, 3).unwrap(), b"o w");
        assert_eq!(file.read_at(9, 100).unwrap(), b"ld");
        assert_eq!(file.read_at(100, 1).unwrap(), b"");
        file.truncate(5).unwrap();
        file.append(b"!").unwrap();
        file.sync().unwrap();
        assert_eq!(file.len().unwrap(), 6);
        disk.create("two").unwrap();
        disk.rename("one", "two").unwrap();
        assert_eq!(disk.list().unwrap(), [("two".to_owned(), 6)]);
        let again = disk.open("two").unwrap().unwrap();
        again.append(b"?").unwrap();
        assert_eq!(again.read_at(0, 99).unwrap(), b"hello!?");
        disk.remove("two").unwrap();
        disk.remove("two").unwrap();
        disk.sync().unwrap();
        assert!(disk.open("two").unwrap().is_none());
        assert_eq!(
            again.read_at(0, 5).unwrap(),
            b"hello",
            "open handles outlive the name"
        );
        assert!(disk.rename("two", "one").is_err());
    });
}

#[test]
fn creating_over_a_file_leaves_its_old_handle_alone() {
    both(|disk| {
        let old = disk.create("f").unwrap();
        old.append(b"old").unwrap();
        let new = disk.create("f").unwrap();
        new.append(b"newer").unwrap();
        assert_eq!(old.read_at(0, 9).unwrap(), b"old");
        assert_eq!(
            disk.open("f").unwrap().unwrap().read_at(0, 9).unwrap(),
            b"newer"
        );
    });
}

#[test]
fn only_plain_names_are_accepted() {
    both(|disk| {
        let longest = "n".repeat(NAME_BYTES_MAX);
        disk.create(&longest).unwrap();
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "\u{e9}",
            &"n".repeat(NAME_BYTES_MAX + 1),
        ] {
            assert!(
                matches!(disk.create(bad), Err(DiskError::Name(_))),
                "{bad:?}"
            );
            assert!(matches!(disk.open(bad), Err(DiskError::Name(_))), "{bad:?}");
            assert!(
                matches!(disk.rename(&longest, bad), Err(DiskError::Name(_))),
                "{bad:?}"
            );
        }
    });
}

#[test]
fn a_crash_keeps_what_was_synced_and_may_lose_any_part_of_the_rest() {
    let mut lengths = std::collections::BTreeSet::new();
    let mut lost_name = 0;
    for seed in 0..300 {
        let disk = MemDisk::new(0);
        let file = disk.create("f").unwrap();
        disk.sync().unwrap();
        file.append(b"synced").unwrap();
        file.sync().unwrap();
        file.append(b"unsynced").unwrap();
        disk.create("g").unwrap();
        let after = disk.crash(seed);
        assert!(file.append(b"x").is_err(), "the old handle is dead");
        let bytes = after.open("f").unwrap().unwrap().read_at(0, 99).unwrap();
        assert_eq!(&bytes[..6], b"synced");
        lengths.insert(bytes.len().min(14));
        lost_name += usize::from(after.open("g").unwrap().is_none());
    }
    assert_eq!(
        lengths.len(),
        9,
        "every tear from nothing to everything occurs: {lengths:?}"
    );
    assert!((1..300).contains(&lost_name));
}

#[test]
fn faults_are_injected_and_the_same_seed_repeats_them() {
    let run = |seed| {
        let disk = MemDisk::new(seed);
        let file = disk.create("f").unwrap();
        disk.set_faults(DiskFaults {
            append_per_mille: 200,
            read_per_mille: 200,
            sync_per_mille: 200,
            ..DiskFaults::default()
        });
        (0..100)
            .map(|_| {
                let append = file.append(b"0123456789").is_err();
                (
                    append,
                    file.sync().is_err(),
                    file.read_at(0, 1).is_err(),
                    disk.sync().is_err(),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
    let failed = run(5);
    for count in [
        failed.iter().filter(|step| step.0).count(),
        failed.iter().filter(|step| step.1).count(),
        failed.iter().filter(|step| step.2).count(),
        failed.iter().filter(|step| step.3).count(),
    ] {
        assert!(
            (5..50).contains(&count),
            "{count} of 100 failed where 20 should"
        );
    }
}

#[test]
fn an_inverted_bit_is_in_what_was_not_synced_and_calls_are_counted() {
    for seed in 0..64 {
        let disk = MemDisk::new(seed);
        let file = disk.create("log").unwrap();
        file.append(&[0; 64]).unwrap();
        file.sync().unwrap();
        disk.sync().unwrap();
        file.append(&[0; 64]).unwrap();
        assert_eq!(disk.calls(), 5);
        disk.set_faults(DiskFaults {
            flip_per_mille: 1000,
            ..DiskFaults::default()
        });
        let found = disk.crash(seed);
        let file = found.open("log").unwrap().unwrap();
        let bytes = file.read_at(0, 256).unwrap();
        assert!(bytes[..64].iter().all(|byte| *byte == 0));
        let ones: u32 = bytes[64..].iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(ones, u32::from(bytes.len() > 64), "seed {seed}");
    }
}

#[test]
fn a_disk_that_lies_about_syncs_loses_what_it_acknowledged() {
    let lost = (0..16).any(|seed| {
        let disk = MemDisk::new(seed);
        let file = disk.create("log").unwrap();
        disk.sync().unwrap();
        disk.set_faults(DiskFaults {
            lost_sync_per_mille: 1000,
            ..DiskFaults::default()
        });
        file.append(&[1; 8]).unwrap();
        file.sync().unwrap();
        let found = disk.crash(seed).open("log").unwrap().unwrap();
        found.len().unwrap() == 0
    });
    assert!(lost);
}
