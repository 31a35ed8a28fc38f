//! `hawser bench` with workloads: every one runs on both suites with its effects checked, and mistakes are refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;
use std::time::Duration;

use hawser_e2e::{Network, Options, Run, Suite, hawser};
use serde_json::Value;
use tokio::sync::Mutex;

const LIMIT: Duration = Duration::from_secs(1_800);

/// One load at a time: what a run compares with its own beginning must not change because another one starts.
static MACHINE: Mutex<()> = Mutex::const_new(());

async fn bench(out: &Path, arguments: &[&str]) -> Run {
    let _alone = MACHINE.lock().await;
    let out = out.to_string_lossy().into_owned();
    let line = [&["bench", "--quick", "--out", &out], arguments].concat();
    hawser(&line, LIMIT).await.unwrap()
}

fn report(out: &Path) -> Value {
    let text = std::fs::read_to_string(out.join("report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A valid report whose runs all have figures, refusals and compared state.
fn good(run: &Run, out: &Path) -> Value {
    assert_eq!(run.code, Some(0), "{}", run.text());
    let report = report(out);
    assert_eq!(report["valid"], true, "{}", report["void_because"]);
    for one in report["runs"].as_array().unwrap() {
        let name = &one["workload"];
        assert!(one["probes"].as_array().unwrap().len() >= 12, "{name}");
        assert_eq!(one["indices"].as_array().unwrap().len(), 20, "{name}");
        let queries = one["queries"]["per_second"].as_f64().unwrap();
        assert!(queries > 0.0, "{name}");
        if name != "read" {
            assert!(
                one["saturation"]["steady"]["tps"].as_f64().unwrap() > 0.0,
                "{name}"
            );
            assert!(
                one["saturation"]["nodes"]["cpu_us"].as_f64().unwrap() > 0.0,
                "{name}"
            );
            assert_eq!(one["levels"].as_array().unwrap().len(), 2, "{name}");
            assert!(one["checked"]["in_blocks"].as_u64().unwrap() > 0, "{name}");
            assert!(one["checked"]["receipts"].as_u64().unwrap() > 0, "{name}");
        }
        // What an empty call leaves behind is its receipt.
        if name != "nothing" {
            assert!(one["checked"]["answers"].as_u64().unwrap() > 0, "{name}");
        }
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("JR/T 0193") && page.contains("交易吞吐率"));
    let left: Vec<_> = std::fs::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("report."))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    report
}

/// Runs workloads on a suite and gives the report.
async fn workloads(names: &str, suite: &str) -> Value {
    let out = tempfile::tempdir().unwrap();
    let arguments = ["--workload", names, "--suite", suite, "--class", "none"];
    good(&bench(out.path(), &arguments).await, out.path())
}

#[tokio::test]
async fn workloads_run_on_intl_and_their_effects_are_right() {
    // ERC-20 runs with faults below; all of them with `make long-tests`.
    let report = workloads("smallbank,evidence-100", "intl").await;
    assert_eq!(report["runs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn workloads_run_on_sm_and_their_effects_are_right() {
    let report = workloads("transfer", "sm").await;
    assert_eq!(report["runs"].as_array().unwrap().len(), 1);
    assert_eq!(report["runs"][0]["envelope"], "native, sm2");
}

#[tokio::test]
#[ignore = "takes a quarter of an hour: run it when workloads change"]
async fn every_workload_runs_on_both_suites() {
    for suite in ["intl", "sm"] {
        let report = workloads("all", suite).await;
        assert_eq!(report["runs"].as_array().unwrap().len(), 18);
    }
}

/// A benchmark of transfers of a token with faults, whose report is good.
async fn under_faults(out: &Path, class: &str, faults: &str) -> Value {
    let arguments = [
        "--workload",
        "erc20",
        "--suite",
        "intl",
        "--class",
        class,
        "--fault",
        faults,
        "--submit",
        "batch",
    ];
    good(&bench(out, &arguments).await, out)
}

/// The chain went on during the fault, and was as quick as before after it.
fn survived(fault: &Value) -> bool {
    fault["during_tps"].as_f64().unwrap() > 0.0 && fault["recovered_s"].as_f64().is_some()
}

/// Where something else takes the machine in the seconds after a fault, the chain is not as quick as before it either:
/// each of two more runs may show that. What a chain does not recover from, it does not recover from in any of them.
async fn survives_again(seen: &Value) {
    let mut all = vec![seen.clone()];
    for _ in 0..2 {
        let out = tempfile::tempdir().unwrap();
        let name = seen["fault"].as_str().unwrap();
        let report = under_faults(out.path(), "none", name).await;
        let fault = report["runs"][0]["faults"][0].clone();
        if survived(&fault) {
            return;
        }
        all.push(fault);
    }
    panic!("in no run: {all:#?}");
}

#[tokio::test]
async fn faults_and_overload_lose_nothing() {
    let out = tempfile::tempdir().unwrap();
    let report = under_faults(out.path(), "all", "crash-one,crash-leader,stop2s").await;
    let run = &report["runs"][0];
    let faults = run["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 3);
    for fault in faults {
        assert!(fault["gap_ms_max"].as_f64().unwrap() > 0.0, "{fault}");
        if !survived(fault) {
            survives_again(fault).await;
        }
    }
    let overload = &run["overload"];
    assert!(
        overload["resident_max"].as_u64().unwrap() < overload["resident_bound"].as_u64().unwrap()
    );
    assert_eq!(run["classes"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_running_network_is_measured_by_its_keystore_and_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let network = Network::start(
        home.path(),
        Options {
            suite: Suite::Intl,
            ..Options::default()
        },
    )
    .await
    .unwrap();
    let out = tempfile::tempdir().unwrap();
    let target = format!("{},{}", network.http(0), network.http(1));
    let keys = home.path().to_string_lossy().into_owned();
    let arguments = [
        "--workload",
        "transfer",
        "--target",
        &target,
        "--keys",
        &keys,
        "--class",
        "none",
        "--submit",
        "single",
    ];
    let run = bench(out.path(), &arguments).await;
    assert_eq!(run.code, Some(0), "{}", run.text());
    let report = report(out.path());
    assert_eq!(report["runs"][0]["saturation"]["nodes"], Value::Null);
    assert!(network.height(0).await.unwrap() > 0);
}

#[tokio::test]
async fn mistakes_are_refused_before_anything_starts() {
    let out = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (&["--workload", "klingon"][..], "--list"),
        (&["--nodes", "7"], "needs a workload"),
        (
            &[
                "--workload",
                "erc20",
                "--target",
                "http://127.0.0.1:1",
                "--fault",
                "crash-one",
            ],
            "--target",
        ),
        (
            &[
                "--workload",
                "erc20",
                "--nodes",
                "3",
                "--fault",
                "crash-one",
            ],
            "--nodes 4",
        ),
        (&["--workload", "erc20", "--fault", "flood"], "crash-one"),
    ] {
        let run = bench(out.path(), arguments).await;
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.text());
        assert!(run.text().contains(said), "{arguments:?}: {}", run.text());
    }
    let list = hawser(&["bench", "--list", "--lang", "zh"], LIMIT)
        .await
        .unwrap();
    assert!(
        list.stdout.contains("ycsb-f") && list.stdout.contains("存证"),
        "{}",
        list.stdout
    );
}
