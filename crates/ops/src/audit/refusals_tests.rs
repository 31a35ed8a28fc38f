use super::*;
use crate::audit::{AuditOptions, Entry, Filter, Sync, entries, verify};

const LIMITS: RefusalLimits = RefusalLimits {
    interval_ms: 10_000,
    remembered_max: 6,
    per_second_max: 4,
};

fn refusal(who: u64, transaction: u8) -> Refusal {
    Refusal {
        chain: 7,
        who: format!("0x{who:040x}"),
        from: "client",
        action: "deploy".to_owned(),
        resource: "any".to_owned(),
        rule: "role".to_owned(),
        reason: "no role of this account may deploy".to_owned(),
        code: "denied",
        transaction: B256::repeat_byte(transaction),
    }
}

#[test]
fn the_first_of_a_kind_has_a_line_and_the_same_ones_have_one_together() {
    let mut tally = Tally::new(LIMITS);
    let first = tally.refused(1_000, refusal(1, 1)).unwrap();
    assert_eq!(first.times, None);
    assert_eq!(first.transaction, Some(B256::repeat_byte(1)));
    assert_eq!(
        (first.method.as_str(), first.code.as_str()),
        ("deploy", "denied")
    );
    for n in 2..=9 {
        assert_eq!(tally.refused(1_000 + u64::from(n), refusal(1, n)), None);
    }
    assert!(tally.due(10_999).is_empty(), "the interval lasts");
    let lines = tally.due(11_000);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].times, Some(8));
    assert_eq!(
        lines[0].transaction,
        Some(B256::repeat_byte(9)),
        "the newest"
    );
    assert!(tally.due(50_000).is_empty(), "said once");
    assert!(
        tally.refused(50_000, refusal(1, 1)).is_some(),
        "a new interval"
    );
    assert!(tally.due(70_000).is_empty(), "nothing came again");
}

#[test]
fn another_account_action_resource_or_rule_is_another_refusal() {
    let mut tally = Tally::new(RefusalLimits {
        per_second_max: 100,
        remembered_max: 100,
        ..LIMITS
    });
    let base = refusal(1, 1);
    let mut others = vec![base.clone(); 5];
    others[0].who.push('f');
    others[1].action = "call".to_owned();
    others[2].resource = "contract".to_owned();
    others[3].rule = "rule:9".to_owned();
    others[4].chain = 8;
    assert!(tally.refused(0, base.clone()).is_some());
    for other in others {
        assert!(tally.refused(0, other).is_some());
    }
    let again = Refusal {
        reason: "other words".to_owned(),
        from: "peer",
        ..base
    };
    assert_eq!(tally.refused(0, again), None);
}

#[test]
fn lines_of_a_second_are_bounded_and_what_exceeds_is_counted() {
    let mut tally = Tally::new(LIMITS);
    let mut lines = 0;
    for who in 0..10 {
        lines += usize::from(tally.refused(1_999, refusal(who, 1)).is_some());
    }
    assert_eq!(lines, 4);
    assert!(
        tally.refused(2_000, refusal(20, 1)).is_some(),
        "another second"
    );
    let over: Vec<_> = tally.due(12_000).into_iter().collect();
    assert_eq!(over.len(), 1);
    assert_eq!(
        (over[0].rule.as_str(), over[0].times),
        (OVERFLOW_RULE, Some(6))
    );
    assert_eq!(over[0].who, "");
}

#[test]
fn kinds_that_are_remembered_are_bounded() {
    let mut tally = Tally::new(LIMITS);
    for who in 0..6 {
        assert!(tally.refused(who * 1_000, refusal(who, 1)).is_some());
    }
    assert_eq!(tally.refused(6_000, refusal(6, 1)), None, "one over");
    assert_eq!(tally.refused(6_000, refusal(0, 2)), None, "remembered");
    let lines = tally.finish(7_000);
    let times: Vec<_> = lines.iter().map(|line| line.times).collect();
    assert_eq!(times, [Some(1), Some(1)]);
    assert_eq!(lines[1].rule, OVERFLOW_RULE);
    assert!(tally.refused(8_000, refusal(6, 1)).is_some(), "room again");
}

#[test]
fn texts_are_cut_to_their_bound() {
    let mut tally = Tally::new(LIMITS);
    let long = |bytes: usize| Refusal {
        reason: "é".repeat(bytes / 2),
        ..refusal(1, 1)
    };
    let fits = tally.refused(0, long(TEXT_BYTES_MAX)).unwrap();
    assert_eq!(fits.reason.len(), TEXT_BYTES_MAX);
    let mut tally = Tally::new(LIMITS);
    let over = tally.refused(0, long(TEXT_BYTES_MAX + 2)).unwrap();
    assert_eq!(over.reason.len(), TEXT_BYTES_MAX);
}

fn log(dir: &std::path::Path) -> Arc<AuditLog> {
    let options = AuditOptions {
        dir: dir.to_owned(),
        node: "node0".to_owned(),
        suite: hawser_crypto::Suite::Sm,
        segment_bytes_max: 1 << 20,
        sync: Sync::Always,
    };
    Arc::new(AuditLog::open(options).unwrap())
}

fn written(dir: &std::path::Path) -> Vec<Entry> {
    let filter = Filter {
        kind: Some(Kind::Refusal),
        ..Filter::default()
    };
    let mut all = Vec::new();
    entries(dir, &filter, &mut |_, entry| {
        all.push(entry.clone());
        Ok(())
    })
    .unwrap();
    all
}

#[test]
fn what_came_before_the_log_was_open_and_what_is_counted_at_the_end_is_on_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, source) = refusals();
    for n in 0..5 {
        sink.refused(refusal(1, n));
    }
    let log = log(dir.path());
    let writer = RefusalWriter::start(source, Arc::clone(&log), RefusalLimits::default()).unwrap();
    sink.refused(refusal(2, 9));
    drop(writer);
    sink.refused(refusal(3, 9));
    drop(log);
    let all = written(dir.path());
    let seen: Vec<_> = all
        .iter()
        .map(|entry| (entry.event.who.chars().last().unwrap(), entry.event.times))
        .collect();
    assert_eq!(seen, [('1', None), ('2', None), ('1', Some(4))]);
    assert!(verify(dir.path(), None).unwrap().is_good());
}

#[test]
fn more_than_the_queue_holds_is_counted_and_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, source) = refusals();
    for _ in 0..QUEUE_MAX + 10 {
        sink.refused(refusal(1, 1));
    }
    let log = log(dir.path());
    drop(RefusalWriter::start(source, Arc::clone(&log), RefusalLimits::default()).unwrap());
    drop(log);
    let all = written(dir.path());
    let times: u64 = all.iter().map(|entry| entry.event.times.unwrap_or(1)).sum();
    assert_eq!(times, QUEUE_MAX as u64 + 10);
    let over: Vec<_> = all
        .iter()
        .filter(|entry| entry.event.rule == OVERFLOW_RULE)
        .collect();
    assert_eq!(over.len(), 1);
    assert_eq!(over[0].event.times, Some(10));
}
