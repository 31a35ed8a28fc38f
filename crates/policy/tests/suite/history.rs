//! The windows that rules read.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use hawser_crypto::Suite;
use hawser_policy::{
    Found, History, Slots, Subject,
    facts::{AssetKind, Facts, TransferFact},
    tokens,
};
use hawser_primitives::{Address, B256, Time, U256};
use proptest::prelude::*;

#[derive(Default)]
struct Memory(BTreeMap<B256, B256>);

impl Slots for Memory {
    type Error = Infallible;

    fn load(&mut self, slot: &B256) -> Result<B256, Infallible> {
        Ok(self.0.get(slot).copied().unwrap_or_default())
    }

    fn store(&mut self, slot: &B256, value: B256) -> Result<(), Infallible> {
        self.0.insert(*slot, value);
        Ok(())
    }
}

const MINUTE: u64 = 60_000;
const START: u64 = 1_795_156_200_000;

fn sends(time_ms: u64, asset: Option<Address>, amount: U256) -> Facts {
    let sender = Address::with_last_byte(1);
    Facts {
        sender,
        time_ms,
        transfers: vec![TransferFact {
            kind: AssetKind::Native,
            asset,
            source: sender,
            target: Address::with_last_byte(2),
            amount,
            token_id: None,
        }],
        ..Facts::default()
    }
}

fn record(memory: &mut Memory, facts: &Facts) {
    History::new(Suite::Sm)
        .record(memory, Some("7"), facts)
        .unwrap();
}

fn hour(memory: &mut Memory, time_ms: u64) -> (u64, U256) {
    let subject = Subject::Account(Address::with_last_byte(1));
    let fact = History::new(Suite::Sm)
        .subject(memory, &subject, &BTreeSet::new(), Time(time_ms))
        .unwrap();
    (fact.hour.count, fact.hour.amount)
}

#[test]
fn what_leaves_the_window_no_longer_counts() {
    let mut memory = Memory::default();
    record(&mut memory, &sends(START, None, U256::from(100)));
    record(
        &mut memory,
        &sends(START + 30 * MINUTE, None, U256::from(7)),
    );
    assert_eq!(hour(&mut memory, START + 30 * MINUTE), (2, U256::from(107)));
    assert_eq!(hour(&mut memory, START + 50 * MINUTE), (2, U256::from(107)));
    assert_eq!(hour(&mut memory, START + 60 * MINUTE), (1, U256::from(7)));
    assert_eq!(hour(&mut memory, START + 90 * MINUTE), (0, U256::ZERO));
    // Far later than a whole ring.
    record(
        &mut memory,
        &sends(START + 10_000 * MINUTE, None, U256::from(1)),
    );
    assert_eq!(
        hour(&mut memory, START + 10_000 * MINUTE),
        (1, U256::from(1))
    );
}

#[test]
fn accounts_organisations_and_tokens_are_apart() {
    let mut memory = Memory::default();
    let token = Address::with_last_byte(9);
    let facts = sends(START, Some(token), U256::from(5));
    record(&mut memory, &facts);
    let history = History::new(Suite::Sm);
    let mut read = |subject: Subject| {
        history
            .subject(&mut memory, &subject, &tokens(&facts), Time(START))
            .unwrap()
    };
    for subject in [
        Subject::Account(facts.sender),
        Subject::Organisation("7".to_owned()),
    ] {
        let fact = read(subject);
        assert_eq!((fact.day.count, fact.day.amount), (1, U256::ZERO));
        let tracked = fact.tokens.get(&token).unwrap().month;
        assert_eq!((tracked.count, tracked.amount), (1, U256::from(5)));
    }
    assert_eq!(read(Subject::Organisation("8".to_owned())).day.count, 0);
    assert_eq!(read(Subject::Account(token)).day.count, 0);
}

#[test]
fn amounts_that_are_too_large_stay_what_they_can_be() {
    let mut memory = Memory::default();
    for _ in 0..3 {
        record(&mut memory, &sends(START, None, U256::MAX));
    }
    let most = (U256::from(1) << 184) - U256::from(1);
    assert_eq!(hour(&mut memory, START), (3, most));
    record(&mut memory, &sends(START + 5 * MINUTE, None, U256::from(9)));
    assert_eq!(
        hour(&mut memory, START + 5 * MINUTE),
        (4, most + U256::from(9))
    );
    assert_eq!(hour(&mut memory, START + 60 * MINUTE), (1, U256::from(9)));
}

#[test]
fn a_subject_takes_a_bounded_number_of_slots() {
    let mut memory = Memory::default();
    for n in 0..3_000u64 {
        record(
            &mut memory,
            &sends(START + n * 37 * MINUTE, None, U256::from(1)),
        );
    }
    // Three rings for the account and three for its organisation.
    assert!(memory.0.len() <= 2 * 69, "{}", memory.0.len());
}

#[test]
fn findings_are_counted_and_the_first_time_is_kept() {
    let mut memory = Memory::default();
    let history = History::new(Suite::Intl);
    let account = Address::with_last_byte(3);
    let mut note = |time, found| {
        history
            .note(&mut memory, account, Some("1"), Time(time), found)
            .unwrap();
    };
    note(5_000, Found::default());
    note(
        6_000,
        Found {
            flags: 2,
            denied: false,
        },
    );
    note(
        7_000,
        Found {
            flags: 0,
            denied: true,
        },
    );
    for subject in [
        Subject::Account(account),
        Subject::Organisation("1".to_owned()),
    ] {
        let fact = history
            .subject(&mut memory, &subject, &BTreeSet::new(), Time(8_000))
            .unwrap();
        assert_eq!(
            (fact.first_seen_ms, fact.flags, fact.denials),
            (Some(5_000), 2, 1)
        );
    }
    assert_eq!(
        history.first_seen(&mut memory, account).unwrap(),
        Some(5_000)
    );
}

proptest! {
    #[test]
    fn windows_agree_with_a_list_of_everything(
        steps in prop::collection::vec((0u64..400, 0u64..1_000), 1..120)
    ) {
        let mut memory = Memory::default();
        let mut all: Vec<(u64, u64)> = Vec::new();
        let mut now = START;
        for (minutes, amount) in steps {
            now += minutes * MINUTE / 7;
            record(&mut memory, &sends(now, None, U256::from(amount)));
            all.push((now, amount));
            let subject = Subject::Account(Address::with_last_byte(1));
            let fact = History::new(Suite::Sm).subject(&mut memory, &subject, &BTreeSet::new(), Time(now)).unwrap();
            for (window, buckets, width) in [(fact.hour, 12, 5 * MINUTE), (fact.day, 24, 60 * MINUTE), (fact.month, 30, 1440 * MINUTE)] {
                let first = (now / width).saturating_sub(buckets - 1);
                let within: Vec<u64> = all.iter().filter(|(time, _)| time / width >= first).map(|(_, amount)| *amount).collect();
                prop_assert_eq!(window.count, within.len() as u64);
                prop_assert_eq!(window.amount, U256::from(within.iter().sum::<u64>()));
            }
        }
    }
}
