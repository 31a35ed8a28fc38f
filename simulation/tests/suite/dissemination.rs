//! What nodes send for a block, at sizes that no machine here runs as processes.

use hawser_crypto::Suite;
use hawser_simulation::{Faults, Load, Outcome, Plan, World};

/// 100 Mbit/s.
const EGRESS: u64 = 12_500_000;

fn plan(nodes: usize, transactions: usize) -> Plan {
    Plan {
        nodes,
        suite: Suite::Intl,
        faults: Faults::default(),
        faulty_ms: 200,
        healing_ms: 60_000,
        transactions: 0,
        candidates: 0,
        observers: 0,
        changes: 0,
        egress_bytes_per_s: EGRESS,
        // Blocks of about a thousand transactions: votes do not depend on the size of blocks.
        block_interval_ms_min: 80,
        load: Some(Load {
            node: 0,
            transactions,
            at_once: 250,
            every_ms: 20,
        }),
        ..Plan::calm(1)
    }
}

fn run(plan: Plan) -> Outcome {
    let outcome = World::new(plan.clone()).and_then(World::run);
    let outcome = outcome.unwrap_or_else(|violation| panic!("{violation}"));
    let expected = plan.load.map_or(0, |load| load.transactions);
    assert_eq!(outcome.executed, expected);
    outcome
}

/// Bytes that left leaders, and the busiest node, per byte of blocks, in hundredths.
fn ratios(outcome: &Outcome) -> (u64, u64) {
    let sent = outcome.sent;
    let ratio = |bytes: u64| bytes * 100 / sent.block_bytes.max(1);
    let (leaders, busiest) = (ratio(sent.by_leaders), ratio(sent.by_busiest));
    println!(
        "leaders {leaders} %, busiest {busiest} % of {} block bytes in {} blocks, settled {} ms after the start",
        sent.block_bytes, outcome.height, outcome.healed_ms
    );
    (leaders, busiest)
}

#[test]
fn with_100_replicas_and_one_ingress_no_node_sends_more_than_four_times_the_blocks() {
    // Votes of a hundred count for more the smaller the blocks are: 3.5 times with blocks of 600.
    let (leaders, busiest) = ratios(&run(plan(100, 3_000)));
    assert!(leaders <= 400, "leaders sent {leaders} %");
    assert!(busiest <= 400, "the busiest node sent {busiest} %");
}

#[test]
fn with_16_and_32_replicas_the_bound_holds() {
    for nodes in [16, 32] {
        let (leaders, busiest) = ratios(&run(plan(nodes, 3_000)));
        assert!(leaders <= 350, "{nodes} nodes: leaders sent {leaders} %");
        assert!(
            busiest <= 350,
            "{nodes} nodes: the busiest sent {busiest} %"
        );
    }
}

#[test]
fn with_4_replicas_bodies_travel_once() {
    // Each transaction to three peers once; references and votes on top of that.
    let (leaders, _) = ratios(&run(plan(4, 3_000)));
    assert!(leaders <= 350, "leaders sent {leaders} %");
}

#[test]
fn relays_that_pass_nothing_on_break_neither_the_bound_nor_progress() {
    let faulty = |idle_relays| Plan {
        idle_relays,
        ..plan(16, 3_000)
    };
    let (leaders, busiest) = ratios(&run(faulty(1)));
    assert!(leaders <= 350, "leaders sent {leaders} %");
    assert!(busiest <= 350, "the busiest sent {busiest} %");
    // A third of them: what both relays of a piece withhold is sent again by the first node.
    let (leaders, _) = ratios(&run(faulty(5)));
    assert!(leaders <= 350, "leaders sent {leaders} %");
}

#[test]
fn a_load_repeats_to_the_same_audit_hash() {
    let once = || run(plan(7, 500));
    assert_eq!(once(), once());
}
