//! How fast segments go to a store and how long a cold read takes.
//!
//! `AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… cargo run --release -p hawser-s3 --example tier_speed -- http://127.0.0.1:4568 ledger`
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use hawser_s3::{S3Credentials, S3Options, S3Store};
use hawser_storage::{
    Disk, ObjectStore, OsDisk, SegmentOptions, Segments, Tier, TierHash, TierOptions, TieredDisk,
};

/// Blocks of 20 KB in files of 64 MiB.
const ITEM_BYTES: usize = 20_000;
const FILES: u64 = 4;
const READS: u64 = 400;

fn item(number: u64) -> Vec<u8> {
    let mut state = number;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    (0..ITEM_BYTES).map(|_| next()).collect()
}

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at =
        |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!(
        "{what}: p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms",
        at(50),
        at(95),
        at(99)
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().expect("the address of a store");
    let bucket = arguments.next().expect("a bucket");
    let options = S3Options {
        endpoint,
        bucket,
        region: "us-east-1".to_owned(),
        path_style: true,
        ca_file: None,
        timeout_ms: 30_000,
    };
    let credentials = S3Credentials::from_variables(&|name| std::env::var(name).ok()).unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(S3Store::open(&options, credentials).unwrap());
    let dir = tempfile::tempdir().unwrap();
    for hash in [TierHash::Sha256, TierHash::Sm3] {
        let place = |name: &str| dir.path().join(hash.name()).join(name);
        let folder: Arc<dyn Disk> = Arc::new(OsDisk::new(&place("log")).unwrap());
        let cache: Arc<dyn Disk> = Arc::new(OsDisk::new(&place("cache")).unwrap());
        let open = |cache: Option<Arc<dyn Disk>>| {
            let options = TierOptions {
                prefix: format!("speed/{}", std::process::id()),
                hash,
                cache_bytes: 1 << 30,
                bytes_per_s: 0,
            };
            Tier::open(
                Arc::clone(&folder),
                Some(Arc::clone(&store)),
                cache,
                options,
            )
            .unwrap()
        };
        let segments = |tier: Arc<Tier>| {
            let options = SegmentOptions::default();
            Segments::open(Arc::new(TieredDisk::new(tier)), "blocks", options)
                .unwrap()
                .0
        };
        let tier = open(None);
        let filled = segments(Arc::clone(&tier));
        let mut number = 0;
        while (filled.sealed_before(u64::MAX).len() as u64) < FILES {
            number += 1;
            filled.append(number, &item(number)).unwrap();
        }
        filled.sync().unwrap();
        let began = Instant::now();
        let mut bytes = 0;
        for sealed in filled.sealed_before(u64::MAX) {
            bytes += tier.push(&sealed.file, &|| false).unwrap().bytes;
            tier.drop_local(&sealed.file).unwrap();
            filled.close(sealed.first);
        }
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{}: {FILES} files, {:.0} MB, uploaded, read back and compared in {seconds:.2} s: {:.0} MB/s",
            hash.name(),
            bytes as f64 / 1e6,
            bytes as f64 / 1e6 / seconds
        );
        let last = filled.sealed_before(u64::MAX).last().unwrap().last;
        drop((filled, tier));
        let read = |segments: &Segments| {
            let mut state = 1u64;
            let one = |_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let number = 1 + (state >> 20) % last;
                let began = Instant::now();
                assert_eq!(segments.get(number).unwrap().unwrap().len(), ITEM_BYTES);
                began.elapsed()
            };
            (0..READS).map(one).collect::<Vec<_>>()
        };
        // Without a folder, and with so many chunks that memory has few of them.
        told(
            "  cold read, no cache on the disk",
            read(&segments(open(None))),
        );
        let warm = open(Some(Arc::clone(&cache)));
        read(&segments(warm));
        told(
            "  the same, from the cache on the disk",
            read(&segments(open(Some(cache)))),
        );
    }
}
