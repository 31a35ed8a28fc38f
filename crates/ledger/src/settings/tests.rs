use hawser_crypto::{Scheme, SecretKey};
use hawser_primitives::{ChainId, Time};

use super::*;
use crate::{
    VALIDATOR_NAME_BYTES_MAX,
    state::{Changes, MemoryState, StateKey, StorageValue},
};

fn validator(i: u8, weight: u64) -> GenesisValidator {
    GenesisValidator {
        name: format!("v{i}"),
        public_key: SecretKey::from_seed(Scheme::Ed25519, &[i; 32])
            .unwrap()
            .public_key(),
        weight,
    }
}

fn genesis() -> Genesis {
    Genesis {
        protocol_version: 1,
        chain_id: ChainId(7),
        name: "settings".to_owned(),
        suite: Suite::Intl,
        time: Time(1),
        parameters: ChainParameters::default(),
        validators: (1..=4).map(|i| validator(i, 1)).collect(),
        accounts: std::collections::BTreeMap::default(),
        governance: None,
    }
}

fn with_weight(weight: u64) -> ChainSettings {
    let mut settings = ChainSettings::of_genesis(&genesis());
    settings.validators[0].weight = weight;
    settings
}

#[test]
fn a_change_governs_from_its_delay_on_and_not_before() {
    let mut schedule = SettingsSchedule::of_genesis(&genesis());
    let from = schedule
        .change(Suite::Intl, Height(5), with_weight(9))
        .unwrap();
    assert_eq!(from, Height(5 + SETTINGS_DELAY));
    assert_eq!(schedule.at(from.back(1)).validators[0].weight, 1);
    assert_eq!(schedule.at(from).validators[0].weight, 9);
    assert_eq!(schedule.at(Height(u64::MAX)).validators[0].weight, 9);
    assert_eq!(schedule.pending(from.back(1)).count(), 1);
    assert_eq!(schedule.pending(from).count(), 0);
}

#[test]
fn the_second_change_of_a_block_replaces_the_first_and_no_other() {
    let mut schedule = SettingsSchedule::of_genesis(&genesis());
    let mut change = |height, weight| {
        schedule
            .change(Suite::Intl, Height(height), with_weight(weight))
            .unwrap()
    };
    let first = change(5, 2);
    let second = change(6, 3);
    assert_eq!(change(6, 4), second);
    assert_eq!(schedule.at(first).validators[0].weight, 2);
    assert_eq!(schedule.at(second).validators[0].weight, 4);
    assert_eq!(schedule.entries().len(), 3);
}

#[test]
fn as_many_changes_wait_as_allowed_and_replaced_entries_go() {
    let mut schedule = SettingsSchedule::of_genesis(&genesis());
    let most = SETTINGS_ENTRIES_MAX as u64 - 1;
    for height in 1..=most {
        schedule
            .change(Suite::Intl, Height(height), with_weight(height + 1))
            .unwrap();
    }
    let refused = schedule.change(Suite::Intl, Height(most + 1), with_weight(99));
    let first = Height(1 + SETTINGS_DELAY);
    assert!(matches!(refused, Err(SettingsError::TooMany(at)) if at == first));
    schedule
        .change(Suite::Intl, first, with_weight(99))
        .unwrap();
    assert_eq!(schedule.entries().len(), SETTINGS_ENTRIES_MAX);
    assert_eq!(schedule.entries()[0].from, first);
}

#[test]
fn what_no_genesis_may_say_no_change_may_say() {
    type Spoil = Box<dyn Fn(&mut ChainSettings)>;
    let mut schedule = SettingsSchedule::of_genesis(&genesis());
    let unchanged = schedule.clone();
    let good = ChainSettings::of_genesis(&genesis());
    let sm2 = SecretKey::from_seed(Scheme::Sm2, &[1; 32]).unwrap();
    let bad: Vec<Spoil> = vec![
        Box::new(|s| s.validators.clear()),
        Box::new(|s| s.validators[0].weight = 0),
        Box::new(|s| s.validators[1] = s.validators[0].clone()),
        Box::new(|s| s.validators[0].weight = u64::MAX),
        Box::new(move |s| s.validators[0].public_key = sm2.public_key()),
        Box::new(|s| s.validators[0].name = "x".repeat(VALIDATOR_NAME_BYTES_MAX + 1)),
        Box::new(|s| s.parameters.block_gas_max = 0),
        Box::new(|s| s.parameters.root_lag = 3),
        Box::new(|s| s.protocol_version = 0),
        Box::new(|s| s.protocol_version = 3),
    ];
    for (i, spoil) in bad.iter().enumerate() {
        let mut settings = good.clone();
        spoil(&mut settings);
        let refused = schedule.change(Suite::Intl, Height(1), settings);
        assert!(refused.is_err(), "change {i} passed");
    }
    assert_eq!(schedule, unchanged);
    let mut settings = good;
    settings.protocol_version = 2;
    settings.validators[0].name = "x".repeat(VALIDATOR_NAME_BYTES_MAX);
    schedule.change(Suite::Intl, Height(1), settings).unwrap();
}

#[test]
fn a_schedule_survives_the_state_and_nothing_else_is_read() {
    let genesis = genesis();
    let mut state = MemoryState::new();
    assert_eq!(
        SettingsSchedule::in_state(&state, &genesis).unwrap(),
        SettingsSchedule::of_genesis(&genesis)
    );
    let mut schedule = SettingsSchedule::of_genesis(&genesis);
    schedule
        .change(Suite::Intl, Height(5), with_weight(9))
        .unwrap();
    let bytes = schedule.to_bytes();
    let hash = SettingsSchedule::hash_of(Suite::Intl, &bytes);
    let mut changes = Changes::default();
    changes.entries.insert(
        StateKey::Storage(SETTINGS_ACCOUNT, SETTINGS_SLOT),
        StorageValue::encode(hash),
    );
    state.apply(changes.clone());
    assert!(matches!(
        SettingsSchedule::in_state(&state, &genesis),
        Err(SettingsError::Missing(missing)) if missing == hash
    ));
    changes.blobs.insert(hash, bytes.clone());
    state.apply(changes.clone());
    assert_eq!(
        SettingsSchedule::in_state(&state, &genesis).unwrap(),
        schedule
    );
    let read = |bytes: &[u8]| SettingsSchedule::from_bytes(Suite::Intl, bytes);
    assert!(read(&bytes[..bytes.len() - 1]).is_err());
    assert!(read(&[&bytes[..], &[0]].concat()).is_err());
    assert!(read(&encode(&Vec::<SettingsEntry>::new())).is_err());
    let reversed: Vec<_> = schedule.entries().iter().rev().cloned().collect();
    assert!(matches!(
        read(&encode(&reversed)),
        Err(SettingsError::Entries)
    ));
    let entry = |from| SettingsEntry {
        from: Height(from),
        settings: with_weight(1),
    };
    let many = |count: usize| encode(&(0..count as u64).map(entry).collect::<Vec<_>>());
    assert!(read(&many(SETTINGS_ENTRIES_MAX)).is_ok());
    assert!(matches!(
        read(&many(SETTINGS_ENTRIES_MAX + 1)),
        Err(SettingsError::Entries)
    ));
}

#[test]
fn the_largest_schedule_fits_its_limit() {
    let largest = GenesisValidator {
        name: "x".repeat(VALIDATOR_NAME_BYTES_MAX),
        ..validator(1, 1)
    };
    let one = encode(&largest).len() + 64;
    let committee = one * hawser_primitives::limits::VALIDATORS_MAX + 1_024;
    assert!(committee * SETTINGS_ENTRIES_MAX <= SETTINGS_BYTES_MAX);
}
