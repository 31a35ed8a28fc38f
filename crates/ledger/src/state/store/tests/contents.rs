//! What a block puts in is what is read, and makes the root.

use hawser_primitives::U256;

use super::*;
use crate::state::{Account, StorageValue};

#[test]
fn a_block_that_changes_nothing_writes_nothing() {
    let store = open(&Folder::new(), Suite::Intl, SMALL);
    let same = changes([(account(1), Some(1)), (account(2), None)]);
    let root = store.commit(Height(0), &same).unwrap();
    let bytes = store.overlay_bytes();
    assert_eq!(store.commit(Height(1), &same).unwrap(), root);
    assert_eq!(store.overlay_bytes(), bytes);
}

#[test]
fn blobs_are_found_above_and_below_the_base() {
    let folder = Folder::new();
    let store = open(&folder, Suite::Intl, SMALL);
    let (hash, code) = (B256::repeat_byte(1), Bytes::from_static(b"code"));
    let mut with_blob = Changes::default();
    with_blob.blobs.insert(hash, code.clone());
    store.commit(Height(0), &with_blob).unwrap();
    store.commit(Height(1), &with_blob).unwrap();
    for flushed in 0..3 {
        let view = store.view(Height(1)).unwrap();
        assert_eq!(view.blob(&hash).unwrap(), Some(code.clone()));
        assert_eq!(view.blob(&B256::ZERO).unwrap(), None);
        store.flush(Height(flushed)).unwrap();
    }
    store.persist().unwrap();
    let again = open(&folder.crash(0), Suite::Intl, SMALL);
    assert_eq!(
        again.view(Height(1)).unwrap().blob(&hash).unwrap(),
        Some(code)
    );
}

#[test]
fn accounts_and_slots_are_read_through_the_view() {
    let store = open(&Folder::new(), Suite::Sm, SMALL);
    let address = Address::repeat_byte(3);
    let account = Account::new(7, U256::from(9), B256::repeat_byte(2));
    let (slot, word) = (B256::repeat_byte(4), B256::repeat_byte(5));
    let mut changes = Changes::default();
    changes
        .entries
        .insert(StateKey::Account(address), Some(account.encode()));
    changes
        .entries
        .insert(StateKey::Storage(address, slot), StorageValue::encode(word));
    store.commit(Height(0), &changes).unwrap();
    let view = store.view(Height(0)).unwrap();
    assert_eq!(view.account(&address).unwrap(), Some(account));
    assert_eq!(view.storage(&address, &slot).unwrap(), word);
    assert_eq!(view.storage(&address, &word).unwrap(), B256::ZERO);
}

#[test]
fn both_sides_of_the_value_limit() {
    let store = open(&Folder::new(), Suite::Intl, SMALL);
    let value = |len| Changes {
        entries: [(account(1), Some(Bytes::from(vec![1; len])))].into(),
        blobs: BTreeMap::new(),
    };
    let refused = store.commit(Height(0), &value(STATE_VALUE_BYTES_MAX + 1));
    assert!(matches!(refused, Err(StateError::ValueSize { .. })));
    store
        .commit(Height(0), &value(STATE_VALUE_BYTES_MAX))
        .unwrap();
    let proof = store.prove(Height(0), &account(1)).unwrap();
    let proof = StateProof::decode(&proof.encode()).unwrap();
    let (_, root) = store.head().unwrap();
    assert!(
        proof
            .verify(Suite::Intl, &root, &account(1))
            .unwrap()
            .is_some()
    );
}

#[test]
fn roots_are_frozen_for_both_suites() {
    for (suite, expected) in [
        (
            Suite::Intl,
            "01fa9fe1df175a6421a09f4f5cf1db1eac5c7d30d60df3cadedb75d62d3ba263",
        ),
        (
            Suite::Sm,
            "419a8649646bb18fc6763aa3db9d456254f449d93b6f99edfc88b845954b801c",
        ),
    ] {
        let store = open(&Folder::new(), suite, SMALL);
        let entries = (0..200).flat_map(|n| [(account(n), Some(n)), (slot(n), Some(n))]);
        assert_eq!(
            hex::encode(store.commit(Height(0), &changes(entries)).unwrap()),
            expected
        );
    }
}
