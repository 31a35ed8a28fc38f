//! Data folders of earlier formats open in this version. `fixtures/state-format-2` is what the
//! version before the page store left of a chain of one validator: `chain.tar.gz` its folder, after
//! twelve payments of 1 to 12 wei.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hawser_ledger::Genesis;
use hawser_ledger::state::{StateKey, StateRead};
use hawser_node::store::{self, ChainStore, StoreOptions};
use hawser_primitives::{Address, Height, U256};
use hawser_storage::{Column, FjallKv, Kv, OsDisk};

const VALUES: Column = Column("state.values");

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/state-format-2")
        .join(name)
}

fn payee(n: u8) -> Address {
    let mut bytes = [0x5e, 0xc2, 0xe7, 0xc0, 0xff, 0xee].repeat(3);
    // The last digits count in decimal.
    bytes.extend([0, n / 10 * 16 + n % 10]);
    Address::from_slice(&bytes)
}

struct Opened {
    store: ChainStore,
    kv: Arc<FjallKv>,
    again: Vec<Height>,
}

fn open(folder: &Path) -> Opened {
    let genesis = std::fs::read_to_string(fixture("genesis.json")).unwrap();
    let genesis = Arc::new(Genesis::from_json(&genesis).unwrap());
    let kv = Arc::new(FjallKv::open(&folder.join("kv"), &store::columns(), 8 << 20).unwrap());
    let disk = Arc::new(OsDisk::new(&folder.join("log")).unwrap());
    let natives = hawser_services::registry().unwrap();
    let (options, mut again) = (StoreOptions::default(), Vec::new());
    let store = ChainStore::open(disk, kv.clone(), genesis, natives, options, &mut |at, _| {
        again.push(at);
    });
    Opened {
        store: store.unwrap(),
        kv,
        again,
    }
}

#[test]
fn a_chain_whose_state_has_format_2_is_converted_without_executing_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(fixture("chain.tar.gz"))
        .arg("-C")
        .arg(folder.path())
        .status();
    assert!(unpacked.unwrap().success());
    for first in [true, false] {
        if first {
            let kv = FjallKv::open(&folder.path().join("kv"), &store::columns(), 8 << 20).unwrap();
            assert!(!kv.prefix(VALUES, &[], false, 1).unwrap().is_empty());
        }
        let Opened { store, kv, again } = open(folder.path());
        // State was written up to block 37; what follows was not certified and is in no version's folder.
        assert_eq!(again, [Height(38), Height(39)]);
        assert!(kv.prefix(VALUES, &[], false, 1).unwrap().is_empty());
        let head = store.head();
        assert!(head.id().height >= Height(12));
        let state = store.state(head.id().height).unwrap();
        for n in 1..=12 {
            let account = state.account(&payee(n)).unwrap().unwrap();
            assert_eq!(account.balance(), U256::from(n));
        }
        let root = store.roots(head.id().height).unwrap().unwrap().state;
        let key = StateKey::Account(payee(3));
        let proof = store.prove_state(head.id().height, &key).unwrap();
        let suite = hawser_crypto::Suite::Intl;
        assert!(proof.verify(suite, &root, &key).unwrap().is_some());
        let before = store.state(Height::GENESIS).unwrap();
        assert!(before.account(&payee(1)).unwrap().is_none(), "history");
    }
}
