//! What the recording costs the thread that agrees, and the disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::{Duration, Instant};

use hawser_ledger::VoteKind;
use hawser_node::blackbox::{Entry, Member, Recorder, RingOptions, Short, What, read};
use hawser_primitives::{Address, Height, Round, Time};

/// What a block of so many validators leaves, all of which vote.
fn block(height: u64, validators: u16) -> Vec<Entry> {
    let (round, block) = (Round(0), Short([7; 4]));
    let mut all = vec![
        What::Round { round, proposer: 0 },
        What::Proposal {
            round,
            proposer: 0,
            block,
        },
        What::Body {
            round,
            block,
            valid: true,
        },
    ];
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        all.extend((0..validators).map(|validator| What::Vote {
            kind,
            round,
            validator,
            block: Some(block),
        }));
    }
    all.push(What::Decided {
        round,
        block,
        transactions: 9,
    });
    all.push(What::Executed);
    let entry = |what| Entry {
        at: Time(1_000 + 20 * height),
        height: Height(height),
        what,
    };
    all.into_iter().map(entry).collect()
}

/// A second's worth of blocks, or more than any chain decides; they fit into the queue, two of them do not.
const BURST: u64 = 50;
/// What a put counts for at most: a machine may stand still in one, and a recording that waits does so in many.
const STANDSTILL: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(60);

/// The bytes written, once there are so many.
fn grown(recorder: &Recorder, least: u64) -> u64 {
    let end = Instant::now() + LIMIT;
    loop {
        let bytes = recorder.stats().bytes;
        if bytes >= least {
            return bytes;
        }
        assert!(Instant::now() < end, "{bytes} of {least} bytes are written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The bytes written, once they have not grown for half a second.
fn at_rest(recorder: &Recorder) -> u64 {
    let (mut bytes, mut looks) = (grown(recorder, 1), 0);
    while looks < 50 {
        std::thread::sleep(Duration::from_millis(10));
        let now = recorder.stats().bytes;
        looks = if now == bytes { looks + 1 } else { 0 };
        bytes = now;
    }
    bytes
}

/// A bound far above what is measured (docs/spec/blackbox.md): it fails when recording begins to wait.
#[test]
fn recording_a_block_costs_little_and_never_waits() {
    for (validators, blocks, bytes_max) in [(4u16, 4_000u64, 600), (100, 400, 8_000)] {
        let folder = tempfile::tempdir().unwrap();
        let options = RingOptions {
            segment_bytes: 64 << 20,
            ..RingOptions::default()
        };
        let recorder = Recorder::open(folder.path(), options).unwrap();
        let member = |i: u16| Member {
            address: Address::left_padding_from(&i.to_be_bytes()),
            name: format!("validator{i}"),
            weight: 1,
        };
        recorder.put(vec![Entry {
            at: Time(1),
            height: Height(0),
            what: What::Committee((0..validators).map(member).collect()),
        }]);
        let (mut spent, mut lost) = (Duration::ZERO, 0);
        let (mut before, mut burst) = (0, None);
        for height in 1..=blocks {
            let entries = block(height, validators);
            let started = Instant::now();
            recorder.put(entries);
            spent += started.elapsed().min(STANDSTILL);
            if height % BURST == 0 {
                // The next burst comes when this one is written, however long a busy disk takes for that.
                let written = match burst {
                    None => at_rest(&recorder),
                    Some(least) => grown(&recorder, before + least),
                };
                // Heights get longer by a byte now and then.
                burst.get_or_insert(written / 20 * 19);
                before = written;
            }
            lost = recorder.stats().lost;
        }
        let stats = recorder.stats();
        drop(recorder);
        assert_eq!(lost, 0);
        let size = read::folder(folder.path()).unwrap().bytes;
        let each = size / blocks;
        let micros = spent.as_micros() as f64 / blocks as f64;
        println!(
            "{validators} validators: {each} bytes and {micros:.2} us of the agreeing thread per block ({stats:?})"
        );
        assert!(each < bytes_max, "{each} bytes per block of {validators}");
        assert!(micros < 500.0, "{micros} us per block");
    }
}
