use super::*;
use crate::audit::{Filter, Report, entries, verify, write_csv, write_json};

fn options(dir: &Path, segment_bytes_max: u64) -> AuditOptions {
    AuditOptions {
        dir: dir.to_owned(),
        node: "node0".to_owned(),
        suite: Suite::Sm,
        segment_bytes_max,
        sync: Sync::Within(Duration::from_millis(50)),
    }
}

fn event(i: u64) -> Event {
    Event {
        time_ms: 1_000 + i,
        chain: Some(7),
        who: format!("0x{i:040x}"),
        how: "token".to_owned(),
        method: if i.is_multiple_of(2) {
            "eth_call"
        } else {
            "debug_traceCall"
        }
        .to_owned(),
        resource: "chain".to_owned(),
        decision: if i.is_multiple_of(3) {
            "denied"
        } else {
            "allowed"
        }
        .to_owned(),
        rule: "reads.any-account".to_owned(),
        ..Event::default()
    }
}

fn fill(dir: &Path, segment_bytes_max: u64, range: std::ops::Range<u64>) -> Head {
    let log = AuditLog::open(options(dir, segment_bytes_max)).unwrap();
    for i in range {
        // A test is faster than a disk.
        while matches!(log.record(Kind::Read, event(i)), Err(AuditError::Behind(_))) {
            std::thread::yield_now();
        }
    }
    let last = log.record_waiting(Kind::Admin, event(999)).unwrap();
    last.blocking_recv().unwrap();
    log.head()
}

fn good(dir: &Path) -> Report {
    let report = verify(dir, None).unwrap();
    assert!(report.is_good(), "{report:?}");
    report
}

#[test]
fn the_chain_goes_on_over_files_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 2_000, 0..50);
    let first = good(dir.path());
    assert!(first.segments > 3, "{first:?}");
    let head = fill(dir.path(), 2_000, 50..100);
    let second = good(dir.path());
    assert_eq!(second.head, Some(head));
    assert_eq!((second.first, second.torn_bytes), (0, 0));
    // 100 reads, two closing entries, one entry for every file.
    assert_eq!(second.entries, 102 + second.segments);
    // What was noted before is still there.
    assert!(verify(dir.path(), first.head.as_ref()).unwrap().is_good());
    // Older files may be taken away.
    std::fs::remove_file(segment_path(dir.path(), 1)).unwrap();
    let report = good(dir.path());
    assert!(report.first > 0);
}

#[test]
fn both_sides_of_the_size_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), u64::MAX, 0..1);
    let size = std::fs::metadata(segment_path(dir.path(), 1))
        .unwrap()
        .len();
    for (max, files) in [(size + 1, 1), (size, 2)] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), u64::MAX, 0..1);
        let log = AuditLog::open(options(dir.path(), max)).unwrap();
        log.record_waiting(Kind::Read, event(1))
            .unwrap()
            .blocking_recv()
            .unwrap();
        assert_eq!(segments(dir.path()).unwrap().len(), files);
    }
}

#[test]
fn every_kind_of_tampering_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let head = fill(dir.path(), 4_000, 0..40);
    let path = segment_path(dir.path(), 2);
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    assert!(lines.len() > 4);
    let edit = |lines: Vec<String>| {
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let report = verify(dir.path(), None).unwrap();
        assert!(!report.is_good(), "not found");
        let first = report.findings.first().unwrap().clone();
        assert_eq!(first.file, "audit-00000002.jsonl");
        first
    };
    let own = || {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    // One letter of an entry.
    let mut changed = own();
    changed[2] = changed[2]
        .replacen("allowed", "allowee", 1)
        .replacen("denied", "denies", 1);
    assert_eq!(edit(changed).line, 3);
    // A hash that is stated.
    let mut changed = own();
    let digit = if changed[2].as_bytes()[9] == b'0' {
        "1"
    } else {
        "0"
    };
    changed[2].replace_range(9..10, digit);
    assert_eq!(edit(changed).line, 3);
    // An entry left out, twice there, out of order, made up.
    let mut changed = own();
    changed.remove(2);
    assert_eq!(edit(changed).line, 3);
    let mut changed = own();
    changed.insert(2, changed[2].clone());
    assert_eq!(edit(changed).line, 4);
    let mut changed = own();
    changed.swap(2, 3);
    assert_eq!(edit(changed).line, 3);
    let mut changed = own();
    let (stated, text, _) = crate::audit::entry::read_line(lines[2]).unwrap();
    changed[2] = write_line(&hash(Suite::Sm, &stated, text), text);
    assert_eq!(edit(changed).line, 3);
    // The beginning taken away, nonsense, a line without end.
    let mut changed = own();
    changed.remove(0);
    assert_eq!(edit(changed).line, 1);
    let mut changed = own();
    changed[1] = "nonsense".to_owned();
    assert_eq!(edit(changed).line, 2);
    let mut changed = own();
    changed[1] = "x".repeat(100_000);
    assert_eq!(edit(changed).line, 2);
    // The end of a file in the middle cut off; the next file tells.
    std::fs::write(&path, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    let report = verify(dir.path(), None).unwrap();
    assert_eq!(report.findings[0].file, "audit-00000003.jsonl");
    // A whole file in the middle.
    std::fs::remove_file(&path).unwrap();
    let report = verify(dir.path(), None).unwrap();
    assert!(
        report.findings[0].what.contains("file 2 is missing"),
        "{report:?}"
    );
    std::fs::write(&path, &whole).unwrap();
    good(dir.path());
    // The end of all, which only a noted entry shows.
    let (_, last) = segments(dir.path()).unwrap().pop().unwrap();
    let text = std::fs::read_to_string(&last).unwrap();
    let kept: Vec<_> = text.lines().collect();
    std::fs::write(&last, kept[..kept.len() - 1].join("\n") + "\n").unwrap();
    good(dir.path());
    let report = verify(dir.path(), Some(&head)).unwrap();
    assert!(report.findings[0].what.contains("cut off"), "{report:?}");
}

#[test]
fn a_crash_within_a_line_is_recovered_and_on_the_record() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), u64::MAX, 0..3);
    let path = segment_path(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    for cut in 1..40 {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let log = AuditLog::open(options(dir.path(), u64::MAX)).unwrap();
        drop(log);
        let report = good(dir.path());
        let mut recovered = false;
        entries(dir.path(), &Filter::default(), &mut |_, entry| {
            recovered |= entry.event.method == "audit recovery";
            Ok(())
        })
        .unwrap();
        assert!(recovered, "{cut}: {report:?}");
    }
    // A file that was being begun.
    std::fs::write(&path, &whole).unwrap();
    std::fs::write(segment_path(dir.path(), 2), "{\"hash\":\"").unwrap();
    fill(dir.path(), u64::MAX, 3..4);
    assert_eq!(good(dir.path()).segments, 2);
}

#[test]
fn a_log_that_was_changed_is_not_continued() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), u64::MAX, 0..5);
    let path = segment_path(dir.path(), 1);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("eth_call", "eth_cal1", 1)).unwrap();
    let error = AuditLog::open(options(dir.path(), u64::MAX)).err().unwrap();
    assert!(
        matches!(error, AuditError::Broken { line: 2, .. }),
        "{error}"
    );
    std::fs::write(&path, text).unwrap();
    let other = AuditOptions {
        suite: Suite::Intl,
        ..options(dir.path(), u64::MAX)
    };
    assert!(matches!(
        AuditLog::open(other).err(),
        Some(AuditError::Suite { .. })
    ));
}

#[test]
fn a_disk_that_fails_stops_the_log_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("audit");
    // The next file cannot be made: something is in its place.
    let log = AuditLog::open(options(&inner, 1)).unwrap();
    std::fs::create_dir(segment_path(&inner, 2)).unwrap();
    let written = log.record_waiting(Kind::Read, event(0)).unwrap();
    assert!(written.blocking_recv().is_err());
    let deadline = Instant::now() + Duration::from_secs(10);
    while !matches!(log.record(Kind::Read, event(1)), Err(AuditError::Failed(_))) {
        assert!(Instant::now() < deadline);
    }
    std::fs::remove_dir(segment_path(&inner, 2)).unwrap();
    assert!(matches!(
        log.record(Kind::Read, event(2)),
        Err(AuditError::Failed(_))
    ));
}

#[test]
fn both_sides_of_the_length_of_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(options(dir.path(), u64::MAX)).unwrap();
    let sized = |bytes: usize| Event {
        reason: "x".repeat(bytes),
        ..Event::default()
    };
    let frame = serde_json::to_string(&Entry {
        n: 1,
        kind: Kind::Read,
        segment: None,
        event: sized(1),
    });
    let room = ENTRY_BYTES_MAX - frame.unwrap().len() + 1;
    let fits = log.record_waiting(Kind::Read, sized(room)).unwrap();
    fits.blocking_recv().unwrap();
    let too_long = log.record_waiting(Kind::Read, sized(room + 1)).unwrap();
    assert!(too_long.blocking_recv().is_err());
    // Refused, and the log goes on.
    log.record_waiting(Kind::Read, event(1))
        .unwrap()
        .blocking_recv()
        .unwrap();
    drop(log);
    assert_eq!(good(dir.path()).entries, 3);
}

#[test]
fn with_sync_always_an_entry_is_there_when_the_wait_ends() {
    let dir = tempfile::tempdir().unwrap();
    let always = AuditOptions {
        sync: Sync::Always,
        ..options(dir.path(), u64::MAX)
    };
    let log = AuditLog::open(always).unwrap();
    let written = log.record(Kind::Read, event(0)).unwrap().unwrap();
    written.blocking_recv().unwrap();
    // Read from disk while the log is open.
    assert_eq!(good(dir.path()).entries, 2);
}

#[test]
fn filters_and_exports_agree() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1_000, 0..30);
    let count = |filter: &Filter| {
        let mut count = 0;
        entries(dir.path(), filter, &mut |_, _| {
            count += 1;
            Ok(())
        })
        .unwrap();
        let mut csv = Vec::new();
        assert_eq!(write_csv(dir.path(), filter, &mut csv).unwrap(), count);
        assert_eq!(
            String::from_utf8(csv).unwrap().lines().count() as u64,
            count + 1
        );
        let mut json = Vec::new();
        write_json(dir.path(), filter, &mut json).unwrap();
        let parsed: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
        assert_eq!(parsed.len() as u64, count);
        count
    };
    let none = Filter::default;
    assert_eq!(count(&none()), 31);
    assert_eq!(
        count(&Filter {
            kind: Some(Kind::Admin),
            ..none()
        }),
        1
    );
    assert_eq!(
        count(&Filter {
            decision: Some("denied".to_owned()),
            ..none()
        }),
        10 + 1
    );
    assert_eq!(
        count(&Filter {
            method: Some("debug_".to_owned()),
            ..none()
        }),
        15 + 1
    );
    assert_eq!(
        count(&Filter {
            who: Some(format!("0X{:040X}", 10)),
            ..none()
        }),
        1
    );
    assert_eq!(
        count(&Filter {
            since_ms: Some(1_010),
            until_ms: Some(1_020),
            ..none()
        }),
        10
    );
    assert_eq!(
        count(&Filter {
            chain: Some(8),
            ..none()
        }),
        0
    );
    assert_eq!(
        count(&Filter {
            rule: Some("reads.".to_owned()),
            ..none()
        }),
        31
    );
    assert!(
        count(&Filter {
            kind: Some(Kind::Segment),
            ..none()
        }) > 2
    );
}

#[test]
fn a_file_overwritten_whole_is_found_and_put_aside() {
    for content in [vec![], vec![0; 1_500], vec![0xff; 1_500]] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), u64::MAX, 0..5);
        let path = segment_path(dir.path(), 1);
        std::fs::write(&path, &content).unwrap();
        let report = verify(dir.path(), None).unwrap();
        assert!(!report.is_good(), "{} bytes", content.len());
        fill(dir.path(), u64::MAX, 0..5);
        good(dir.path());
        let kept = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
        let kept: Vec<_> = kept
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "aside"))
            .map(|path| std::fs::read(path).unwrap())
            .collect();
        assert_eq!(
            kept,
            Vec::from_iter((!content.is_empty()).then_some(content))
        );
    }
}

#[test]
fn an_end_that_is_no_entry_is_told_apart_from_one_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), u64::MAX, 0..5);
    let path = segment_path(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    assert!(good(dir.path()).torn_bytes > 0);
    std::fs::write(&path, [&whole[..], &[0; 40]].concat()).unwrap();
    let report = verify(dir.path(), None).unwrap();
    assert!(report.findings[0].what.contains("no entry"), "{report:?}");
}
