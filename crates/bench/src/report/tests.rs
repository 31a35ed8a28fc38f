use std::time::Duration;

use hawser_crypto::Suite;

use super::*;
use crate::{
    drive::{Second, Submit},
    faults::{Events, Fault, FaultReport},
    measure::{
        indices,
        model::{
            Checked, Class, ClassReport, Level, NodeUsage, Overload, QueryReport, Saturation,
            Settings, Start, WorkloadRun,
        },
    },
    probe::ProbeResult,
    proc::Machine,
    sample::{Memory, Stage},
    stats::Percentiles,
    steady::{SeenBlock, steady},
};

fn latency(p50: f64) -> Percentiles {
    Percentiles::of(vec![p50, p50 * 2.0]).unwrap()
}

fn level(percent: u32) -> Level {
    Level {
        percent,
        offered_tps: 10.0,
        latency: latency(f64::from(percent)),
        success: 1.0,
        behind_p99_ms: 0.5,
    }
}

/// A run with everything but a noticed fault.
pub(crate) fn run() -> WorkloadRun {
    let block = |number: u64| SeenBlock {
        number,
        transactions: 100,
        seen: Duration::from_secs(number),
        time_ms: 0,
    };
    let blocks: Vec<_> = (1..5).map(block).collect();
    let seconds = vec![Second { executed: 100 }; 4];
    let memory = vec![Memory {
        at_s: 0.0,
        resident: vec![1 << 26, 1 << 27],
    }];
    let saturation = Saturation {
        steady: steady(&blocks, Duration::ZERO, Duration::from_secs(9)).unwrap(),
        window: 100,
        seconds: seconds.clone(),
        blocks_per_s: 1.0,
        block_interval_ms: 1_000.0,
        transactions_per_block: 100.0,
        offered: 400,
        succeeded: 396,
        busy: 4,
        latency: Some(latency(20.0)),
        ran_out: false,
        transaction_bytes: 175.0,
        request_bytes: 179.0,
        generator_cores: 0.2,
        nodes: Some(NodeUsage {
            cores: 1.7,
            cpu_us: 96.0,
            stages: vec![Stage {
                name: "verify".to_owned(),
                cpu_s: 20.0,
            }],
            disk_bytes: 700.0,
            written_bytes: 1_400.0,
            wire_bytes: 350.0,
            segments_again: 0.0,
            resident_max: 1 << 27,
            memory: memory.clone(),
            consistent_tps: 99.0,
            verified_per_cpu_s: Some(50_000.0),
        }),
    };
    let mut run = WorkloadRun {
        suite: Suite::Sm,
        workload: "erc20".to_owned(),
        envelope: "native, sm2".to_owned(),
        records: 1,
        validators: 4,
        start: Start {
            up_ms: Some(900.0),
            deploy_ms: Some(12.0),
            prepare_ms: 100.0,
            apart_ms: Some(latency(3.0)),
        },
        saturation: Some(saturation),
        levels: vec![level(10), level(50)],
        snapshots: None,
        classes: vec![ClassReport {
            class: Class::Spike,
            offered_tps: 200.0,
            committed_tps: 100.0,
            seconds: 2.0,
            success: 0.7,
            success_min: 0.75,
            passed: false,
            busy: 3,
            latency: None,
        }],
        overload: Some(Overload {
            offered_tps: 200.0,
            committed_tps: 100.0,
            seconds: 4.0,
            busy: 300,
            offered: 800,
            accepted: 500,
            resident_before: 1 << 26,
            resident_max: 1 << 27,
            resident_bound: 1 << 30,
            drained_s: 1.5,
            recovered_s: Some(0.2),
            after_tps: 98.0,
            executed: seconds.clone(),
            memory,
        }),
        faults: vec![FaultReport {
            fault: Fault::CrashLeader,
            events: Events {
                node: 2,
                down_s: 1.0,
                up_s: 3.0,
                caught_up_s: Some(0.4),
                noticed_s: None,
            },
            before_tps: 100.0,
            during_tps: 90.0,
            after_tps: 100.0,
            ratio: 0.9,
            gap_ms_max: 800.0,
            gap_before_ms_max: 210.0,
            recovered_s: Some(0.9),
            resubmitted: 7,
            accepted: 500,
            seconds,
        }],
        queries: Some(QueryReport {
            per_second: 20_000.0,
            success: 1.0,
            latency: Some(latency(1.0)),
            levels: Vec::new(),
        }),
        probes: vec![ProbeResult {
            kind: "a high s (EIP-2)",
            answer: "bad <signature>".to_owned(),
        }],
        checked: Checked {
            in_blocks: 400,
            receipts: 200,
            answers: 800,
        },
        indices: Vec::new(),
    };
    run.indices = indices::of(&run);
    run
}

fn report() -> MeasureReport {
    MeasureReport {
        valid: false,
        void_because: Some("a <reason>".to_owned()),
        quick: true,
        started_at: 1,
        took_s: 9.0,
        machine: Machine {
            cpu: "Some CPU".to_owned(),
            cores: 2,
            memory_mib: 1_024,
            kernel: "6".to_owned(),
            filesystem: "ext4".to_owned(),
            load_before: 0.1,
            fsync: Some(latency(0.2)),
        },
        hawser_version: "hawser 0.1.0".to_owned(),
        command: "hawser bench --workload erc20".to_owned(),
        settings: Settings {
            validators: Some(4),
            target: Vec::new(),
            submit: Submit::Binary,
            batch: 100,
            seconds: 60,
            accounts: 200,
            seed: 1,
        },
        runs: vec![run()],
    }
}

#[test]
fn the_page_stands_alone_and_has_everything_in_both_languages() {
    let page = html::page(&report(), Language::Zh);
    for part in [
        "id=\"zh\" checked",
        "prefers-color-scheme:dark",
        "JR/T 0193",
        "CIC 2021",
        "cross-chain throughput",
        "跨链吞吐量",
        "a &lt;reason&gt;",
        "bad &lt;signature&gt;",
        "Some CPU",
        "峰值测试",
        "the validator whose turn it is killed",
        "p50 0.200 ms",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for outside in ["<script", "http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    // Saturation, stages, memory, latency, overload, its memory, a fault.
    assert_eq!(page.matches("<svg").count(), 7);
    assert_eq!(
        page.matches("<span class=\"en\">").count(),
        page.matches("<span class=\"zh\"").count()
    );
}

#[test]
fn the_terminal_shows_figures_failures_and_why_a_report_is_void() {
    let text = table(&report(), Language::En);
    for part in [
        "sm · erc20",
        "✗ 70.00 % (≥ 75.00 %)",
        "VOID: a <reason>",
        "400 transactions",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = table(&report(), Language::Zh);
    assert!(
        text.contains("饱和吞吐量") && text.contains("无效: a <reason>"),
        "{text}"
    );
}

#[test]
fn both_files_are_written_and_the_json_has_the_indices() {
    let dir = tempfile::tempdir().unwrap();
    write(&report(), dir.path(), Language::En).unwrap();
    let json = std::fs::read_to_string(dir.path().join("report.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["runs"][0]["indices"].as_array().unwrap().len(), 20);
    assert_eq!(value["valid"], false);
    assert!(dir.path().join("report.html").is_file());
}
