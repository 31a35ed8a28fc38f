//! The subset of faults that every run of the tests can afford, in about a minute and a half. The first test needs no
//! privilege; the second says so and does nothing where there are no network namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Duration;

use hawser_survival::bed::Mode;
use hawser_survival::faults::Fault;
use hawser_survival::run::{Settings, network};
use tokio::sync::Mutex;

/// One network at a time: what a run compares with its own beginning must not change because another one starts or ends.
static MACHINE: Mutex<()> = Mutex::const_new(());

async fn survives(mode: Mode, faults: &[Fault], suite: &'static str, backlog: bool) {
    let _alone = MACHINE.lock().await;
    let settings = Settings {
        nodes: 4,
        faults: faults.to_vec(),
        hold: Duration::from_secs(3),
        clients: 8,
        think: Duration::from_millis(100),
        seed: 1,
        suite,
        mode,
        backlog,
        circumstances: String::new(),
    };
    let report = network(&settings, &mut |row| println!("{row:?}"))
        .await
        .unwrap();
    println!("{:?}\n{:?}", report.judgement, report.backlog);
    assert!(report.is_clean(), "{report:#?}");
    assert!(report.rows.iter().all(|row| row.skipped.is_none()));
    assert!(report.judgement.acknowledged > 100);
    assert!(report.judgement.linearisable > 0 && report.judgement.reads > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_stop_partition_and_delay_lose_nothing_and_double_nothing() {
    let faults = [
        Fault::KillLeader,
        Fault::Split,
        Fault::StopLeader,
        Fault::Delay,
    ];
    survives(Mode::Loopback, &faults, "intl", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_packets_and_a_node_that_nobody_hears_lose_nothing_on_the_sm_suite() {
    if let (Mode::Loopback, reason) = Mode::best() {
        // Said where it can be seen: packets cannot be lost from a stream.
        println!(
            "NOT RUN, no network namespaces: {}",
            reason.unwrap_or_default()
        );
        return;
    }
    survives(Mode::Namespaces, &[Fault::Loss, Fault::CutOut], "sm", false).await;
}
