//! What encryption of the data folder costs in committed state and in blocks. Run with
//! `cargo test --release -p hawser --test encryption_cost -- --ignored --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Hawser, free_ports, json};
use hawser_crypto::Suite;
use hawser_crypto::cipher::Cipher;
use hawser_crypto::datakey::DataKey;
use hawser_ledger::state::{Changes, StateKey, StateOptions, StateRead, StateStore};
use hawser_node::store;
use hawser_primitives::{Address, B256, Bytes, Height};
use hawser_storage::{Disk, FjallKv, Kv, OsDisk, SealedDisk, SealedKv, Sealer};

const PAIRS: usize = 5;
const BLOCKS: u64 = 60;
const CHANGES: u64 = 2_000;

/// Spreads numbers over all bits.
fn spread(n: u64) -> [u8; 32] {
    let mut out = [0; 32];
    let mut x = n.wrapping_add(1);
    for part in out.chunks_mut(8) {
        x = (x ^ (x >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        part.copy_from_slice(&x.to_be_bytes());
    }
    out
}

fn key(n: u64) -> StateKey {
    let bytes = spread(n);
    match n % 2 {
        0 => StateKey::Account(Address::from_slice(&bytes[..20])),
        _ => StateKey::Storage(
            Address::from_slice(&spread(n % 64)[..20]),
            B256::from(bytes),
        ),
    }
}

/// Changes committed and durable, and reads of the store without caches, per second.
fn state(suite: Suite, sealed: bool) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let mut columns = store::columns();
    columns.push(SealedKv::COLUMN);
    let kv: Arc<dyn Kv> =
        Arc::new(FjallKv::open(&folder.path().join("kv"), &columns, 64 << 20).unwrap());
    let sealer = sealed.then(|| {
        let key = DataKey::generate(Cipher::of(suite)).unwrap();
        Arc::new(Sealer::new(key).unwrap())
    });
    let kv = match &sealer {
        Some(sealer) => {
            let sealer = Arc::clone(sealer);
            Arc::new(SealedKv::open(kv, sealer, &store::key_forms()).unwrap())
        }
        None => kv,
    };
    let options = StateOptions {
        overlay_blocks: 8,
        provable_blocks: 4,
        page_cache_bytes: 8 << 20,
        value_cache_bytes: 1 << 20,
        ..StateOptions::default()
    };
    let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(&folder.path().join("log")).unwrap());
    let disk = match sealer {
        Some(sealer) => Arc::new(SealedDisk::new(disk, sealer)),
        None => disk,
    };
    let state = StateStore::open(kv, disk, suite, options).unwrap();
    state.commit(Height(0), &Changes::default()).unwrap();
    let start = Instant::now();
    for block in 1..=BLOCKS {
        let first = (block - 1) * CHANGES;
        let entries = (first..first + CHANGES)
            // Half of them are new, half were there before.
            .map(|n| if n % 4 < 2 { n } else { n / 2 })
            .map(|n| (key(n), Some(Bytes::from(vec![block as u8; 72]))))
            .collect();
        let changes = Changes {
            entries,
            ..Changes::default()
        };
        state.commit(Height(block), &changes).unwrap();
        if let Some(height) = state.flush_due() {
            state.flush(height).unwrap();
        }
    }
    state.flush(Height(BLOCKS)).unwrap();
    state.persist().unwrap();
    let committed = start.elapsed().as_secs_f64();
    let view = state.view(Height(BLOCKS)).unwrap();
    let reads = 20_000;
    let start = Instant::now();
    for n in 0..reads {
        let n = u64::from_be_bytes(spread(n)[..8].try_into().unwrap()) % (BLOCKS * CHANGES);
        view.get(&key(n)).unwrap();
    }
    let read = start.elapsed().as_secs_f64();
    ((BLOCKS * CHANGES) as f64 / committed, reads as f64 / read)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "a measurement"]
fn state_commits_with_and_without() {
    for suite in Suite::ALL {
        let mut found = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
        for pair in 0..PAIRS {
            // Whoever comes first alternates.
            for turn in 0..2 {
                let sealed = (pair + turn) % 2 == 1;
                let (committed, read) = state(suite, sealed);
                let of = &mut found[usize::from(sealed)];
                of.0.push(committed);
                of.1.push(read);
            }
        }
        let [open, sealed] = found.map(|(committed, read)| (median(committed), median(read)));
        println!(
            "{suite}: changes/s {:.0} open, {:.0} encrypted ({:.2}); reads/s {:.0} open, {:.0} \
             encrypted ({:.2}); medians of {PAIRS} pairs",
            open.0,
            sealed.0,
            sealed.0 / open.0,
            open.1,
            sealed.1,
            sealed.1 / open.1
        );
    }
}

/// A network of one node; stopped whatever happens.
struct Net(Hawser, String);

impl Drop for Net {
    fn drop(&mut self) {
        self.0.run(&["down"]);
    }
}

impl Net {
    fn up(suite: Suite, sealed: bool) -> Self {
        let hawser = Hawser::new();
        let (rpc, p2p) = (free_ports(1).to_string(), free_ports(1).to_string());
        let up = [
            "up",
            "--nodes",
            "1",
            "--suite",
            suite.name(),
            "--rpc-port",
            &rpc,
            "--p2p-port",
            &p2p,
        ];
        let encrypt: &[&str] = if sealed { &["--encrypt"] } else { &[] };
        hawser.ok(&[&up[..], encrypt].concat());
        let url = format!("http://127.0.0.1:{rpc}");
        Self(hawser, url)
    }

    /// Registers files as evidence, many to a transaction, until the time is over; per second.
    fn evidence(&self, files: usize) -> f64 {
        for n in 0..files {
            std::fs::write(self.0.path(format!("file{n}")), spread(n as u64)).unwrap();
        }
        let names: Vec<_> = (0..files).map(|n| format!("file{n}")).collect();
        let mut put = vec![
            "evidence", "put", "--from", "test", "--rpc", &self.1, "--output", "json",
        ];
        put.extend(names.iter().map(String::as_str));
        let start = Instant::now();
        let said = json(&self.0.ok(&put));
        let took = start.elapsed();
        assert!(!said.is_null() && took > Duration::ZERO);
        files as f64 / took.as_secs_f64()
    }
}

#[test]
#[ignore = "a measurement"]
fn blocks_with_and_without() {
    for suite in Suite::ALL {
        let mut found = [Vec::new(), Vec::new()];
        for pair in 0..PAIRS {
            for turn in 0..2 {
                let sealed = (pair + turn) % 2 == 1;
                found[usize::from(sealed)].push(Net::up(suite, sealed).evidence(3_000));
            }
        }
        let [open, sealed] = found.map(median);
        println!(
            "{suite}: pieces of evidence put on the chain per second, one node: {open:.0} open, \
             {sealed:.0} encrypted ({:.2}); medians of {PAIRS} pairs",
            sealed / open
        );
    }
}
