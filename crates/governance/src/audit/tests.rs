use super::*;
use crate::access::{Empty, Overlay};

fn trail(count: u64) -> (Vec<Entry>, B256) {
    let mut empty = Empty;
    let mut store = Overlay::new(Suite::Sm, &mut empty);
    for n in 0..count {
        let moment = Moment {
            height: Height(n),
            time: Time(n * 1_000),
            transaction: B256::with_last_byte(9),
        };
        let kind = EntryKind::ALL[usize::try_from(n % 16).unwrap()];
        let remark = Remark::new(kind, Address::with_last_byte(1), "account:x", "why, \"so\"");
        append(&mut store, &moment, remark).unwrap();
    }
    let (number, head) = head(&mut store).unwrap();
    assert_eq!(number, count);
    let (all, rest) = entries(&mut store, &Filter::default(), 1, 100, 100).unwrap();
    assert_eq!(rest, None);
    (all, head)
}

#[test]
fn a_trail_verifies_and_every_change_of_it_is_found() {
    let (all, head) = trail(5);
    assert_eq!(verify(Suite::Sm, &all, Some(head)), Ok(head));
    assert_eq!(verify(Suite::Sm, &all[1..4], None), Ok(all[4].previous));
    let mut changed = all.clone();
    changed[2].detail.push('!');
    assert_eq!(
        verify(Suite::Sm, &changed, None),
        Err(TrailError::Broken(4))
    );
    let mut changed = all.clone();
    changed[4].actor = Address::with_last_byte(2);
    assert!(matches!(
        verify(Suite::Sm, &changed, Some(head)),
        Err(TrailError::Head { .. })
    ));
    let mut removed = all.clone();
    removed.remove(2);
    let gap = TrailError::Gap {
        before: 2,
        found: 4,
    };
    assert_eq!(verify(Suite::Sm, &removed, None), Err(gap));
    let mut swapped = all.clone();
    swapped.swap(1, 2);
    assert!(verify(Suite::Sm, &swapped, None).is_err());
    assert_eq!(verify(Suite::Sm, &[], None), Err(TrailError::Empty));
    let mut begun = all;
    begun[0].previous = B256::with_last_byte(1);
    assert_eq!(verify(Suite::Sm, &begun, None), Err(TrailError::Broken(1)));
}

#[test]
fn filters_narrow_and_pages_go_on() {
    let mut empty = Empty;
    let mut store = Overlay::new(Suite::Intl, &mut empty);
    for n in 1..=20u8 {
        let moment = Moment {
            height: Height(1),
            time: Time(u64::from(n)),
            transaction: B256::ZERO,
        };
        let actor = Address::with_last_byte(n % 2);
        append(
            &mut store,
            &moment,
            Remark::new(EntryKind::Voted, actor, n, ""),
        )
        .unwrap();
    }
    let odd = Filter {
        actor: Some(Address::with_last_byte(1)),
        since: Some(5),
        until: Some(15),
        ..Filter::default()
    };
    let (found, rest) = entries(&mut store, &odd, 1, 3, 1_000).unwrap();
    assert_eq!(
        found.iter().map(|e| e.number).collect::<Vec<_>>(),
        [5, 7, 9]
    );
    let (more, _) = entries(&mut store, &odd, rest.unwrap(), 100, 1_000).unwrap();
    assert_eq!(more.iter().map(|e| e.number).collect::<Vec<_>>(), [11, 13]);
    let (none, rest) = entries(&mut store, &odd, 1, 100, 4).unwrap();
    assert!(none.is_empty() && rest == Some(5), "the scan is bounded");
}

#[test]
fn exported_fields_are_quoted_and_formulas_disarmed() {
    assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
    assert_eq!(field("=1+1"), "\"'=1+1\"");
    let (all, _) = trail(2);
    let csv = to_csv(Suite::Sm, &all);
    assert_eq!(csv.lines().count(), 3);
    assert!(csv.contains("\"why, \"\"so\"\"\""));
}

#[test]
fn the_newest_come_first_and_older_pages_go_on_to_the_beginning() {
    let mut empty = Empty;
    let mut store = Overlay::new(Suite::Intl, &mut empty);
    let nothing = entries_below(&mut store, &Filter::default(), u64::MAX, 5, 5).unwrap();
    assert_eq!(nothing, (Vec::new(), None));
    for n in 1..=20u8 {
        let moment = Moment {
            height: Height(1),
            time: Time(u64::from(n)),
            transaction: B256::ZERO,
        };
        let actor = Address::with_last_byte(n % 2);
        let remark = Remark::new(EntryKind::Voted, actor, n, "");
        append(&mut store, &moment, remark).unwrap();
    }
    let numbers = |found: &[Entry]| found.iter().map(|e| e.number).collect::<Vec<_>>();
    let odd = Filter {
        actor: Some(Address::with_last_byte(1)),
        ..Filter::default()
    };
    let (found, rest) = entries_below(&mut store, &odd, u64::MAX, 3, 100).unwrap();
    assert_eq!((numbers(&found), rest), (vec![19, 17, 15], Some(15)));
    let (more, rest) = entries_below(&mut store, &odd, 15, 100, 100).unwrap();
    assert_eq!((numbers(&more), rest), (vec![13, 11, 9, 7, 5, 3, 1], None));
    let (few, rest) = entries_below(&mut store, &odd, 21, 100, 4).unwrap();
    assert_eq!((numbers(&few), rest), (vec![19, 17], Some(17)), "bounded");
    for below in [0, 1] {
        let (none, rest) = entries_below(&mut store, &odd, below, 3, 9).unwrap();
        assert!(none.is_empty() && rest.is_none());
    }
}
