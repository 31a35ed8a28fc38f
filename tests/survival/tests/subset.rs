//! The subset of faults that every run of the tests can afford: no privilege is needed, and it ends in about a minute.

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

async fn survives(mode: Mode, faults: &[Fault], suite: &'static str, backlog: bool) {
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
#[ignore = "needs root, ip and socat; part of `make faults`"]
async fn lost_packets_in_namespaces_lose_nothing() {
    let faults = [Fault::Loss, Fault::Disorder, Fault::CutOut];
    survives(Mode::Namespaces, &faults, "sm", false).await;
}
