//! What encryption of the data folder costs: `cargo run --release -p hawser-storage --example sealed`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::Instant;

use hawser_crypto::cipher::Cipher;
use hawser_crypto::datakey::DataKey;
use hawser_storage::{
    Batch, Column, Disk, FjallKv, KeyForm, Kv, OsDisk, SealedDisk, SealedKv, Sealer,
    SegmentOptions, Segments,
};

const PAGES: Column = Column("pages");
const ITEMS: u64 = 2_000;
const ITEM_BYTES: usize = 64 * 1024;
const BATCHES: u64 = 40;
const BATCH: u64 = 5_000;
const VALUE_BYTES: usize = 400;

fn main() {
    for cipher in [None, Some(Cipher::Aes256Gcm), Some(Cipher::Sm4Gcm)] {
        let name = cipher.map_or("none", Cipher::name);
        let sealer =
            cipher.map(|cipher| Arc::new(Sealer::new(DataKey::generate(cipher).unwrap()).unwrap()));
        let folder = tempfile::tempdir().unwrap();

        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(&folder.path().join("log")).unwrap());
        let disk = match &sealer {
            Some(sealer) => Arc::new(SealedDisk::new(disk, Arc::clone(sealer))),
            None => disk,
        };
        let (segments, _) = Segments::open(disk, "blocks", SegmentOptions::default()).unwrap();
        let item = vec![7; ITEM_BYTES];
        let start = Instant::now();
        for number in 0..ITEMS {
            segments.append(number, &item).unwrap();
        }
        let appended = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for number in 0..ITEMS {
            assert!(segments.get(number).unwrap().is_some());
        }
        let read = start.elapsed().as_secs_f64();

        let kv = FjallKv::open(
            &folder.path().join("kv"),
            &[PAGES, SealedKv::COLUMN],
            64 << 20,
        )
        .unwrap();
        let kv: Arc<dyn Kv> = match &sealer {
            Some(sealer) => {
                let forms = [(PAGES, KeyForm::Hidden { tail: 0 })];
                Arc::new(SealedKv::open(Arc::new(kv), Arc::clone(sealer), &forms).unwrap())
            }
            None => Arc::new(kv),
        };
        let key = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let start = Instant::now();
        for batch in 0..BATCHES {
            let mut changes = Batch::new();
            for n in 0..BATCH {
                changes.put(PAGES, key(batch * BATCH + n), [3; VALUE_BYTES]);
            }
            kv.write(changes).unwrap();
        }
        kv.persist().unwrap();
        let written = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for n in 0..BATCH * 10 {
            assert!(kv.get(PAGES, &key(n * 4)).unwrap().is_some());
        }
        let got = start.elapsed().as_secs_f64();
        let mib = |seconds: f64| (ITEMS as f64 * ITEM_BYTES as f64) / seconds / (1 << 20) as f64;
        println!(
            "{name:12} segments append {:>6.0} MiB/s, read {:>6.0} MiB/s; store write {:>8.0}/s, \
             get {:>8.0}/s ({VALUE_BYTES} bytes)",
            mib(appended),
            mib(read),
            (BATCHES * BATCH) as f64 / written,
            (BATCH * 10) as f64 / got,
        );
    }
}
