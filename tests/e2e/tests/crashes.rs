//! `kill -9` under load: what was acknowledged stays, everywhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::time::Duration;

use hawser_e2e::load::{Acknowledged, Load};
use hawser_e2e::{Network, Options, Suite};
use serde_json::json;

const SENDERS: usize = 12;
const STEP: usize = 24;
const PROGRESS_LIMIT: Duration = Duration::from_secs(90);

async fn highest(network: &Network) -> u64 {
    let mut top = 0;
    for node in 0..network.nodes() {
        top = top.max(network.height(node).await.unwrap());
    }
    top
}

/// The greatest height of two nodes once neither has said another in four looks, a second apart: one alone proves nothing
/// on a machine that stood still meanwhile. Nodes that make blocks never come to rest.
async fn at_rest(network: &Network, nodes: [u16; 2]) -> u64 {
    let (mut before, mut looks) = ([0; 2], 0);
    for _ in 0..PROGRESS_LIMIT.as_secs() {
        let mut now = [0; 2];
        for (height, node) in now.iter_mut().zip(nodes) {
            *height = network.height(node).await.unwrap();
        }
        looks = if now == before { looks + 1 } else { 1 };
        if looks == 4 {
            return now[0].max(now[1]);
        }
        before = now;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("nodes without a quorum do not come to rest: {before:?}");
}

/// Every acknowledged receipt is on every node, in the same block, and that block is the one at its height.
async fn every_node_keeps(network: &Network, acknowledged: &[Acknowledged]) {
    let top = highest(network).await;
    for node in 0..network.nodes() {
        network.wait_for_height(node, top).await.unwrap();
        let mut nonces = BTreeMap::new();
        for promised in acknowledged {
            let receipt = network
                .rpc(node, "eth_getTransactionReceipt", json!([promised.hash]))
                .await
                .unwrap();
            assert!(!receipt.is_null(), "node {node} has lost {promised:?}");
            assert_eq!(
                receipt["blockHash"],
                promised.block_hash.as_str(),
                "node {node} moved {promised:?}"
            );
            assert_eq!(
                receipt["blockNumber"],
                promised.block_number.as_str(),
                "node {node} moved {promised:?}"
            );
            assert_eq!(receipt["status"], "0x1", "node {node}: {promised:?}");
            let next = nonces.entry(promised.from).or_insert(0);
            *next = (*next).max(promised.nonce + 1);
        }
        for (account, next) in nonces {
            let count = network
                .rpc(node, "eth_getTransactionCount", json!([account, "latest"]))
                .await
                .unwrap();
            let count =
                u64::from_str_radix(count.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
            assert!(
                count >= next,
                "node {node} has nonce {count} for {account}, at least {next} were acknowledged"
            );
        }
    }
    let block = json!([format!("{top:#x}"), false]);
    let first = network
        .rpc(0, "eth_getBlockByNumber", block.clone())
        .await
        .unwrap();
    for node in 1..network.nodes() {
        let other = network
            .rpc(node, "eth_getBlockByNumber", block.clone())
            .await
            .unwrap();
        assert_eq!(
            other["hash"], first["hash"],
            "node {node} has another block at height {top}"
        );
        assert_eq!(
            other["stateRoot"], first["stateRoot"],
            "node {node} has another state at height {top}"
        );
    }
}

async fn acknowledged_receipts_survive(suite: Suite) {
    let home = tempfile::tempdir().unwrap();
    let mut network = Network::start(
        home.path(),
        Options {
            suite,
            ..Options::default()
        },
    )
    .await
    .unwrap();
    let load = Load::start(&network, "crashes", SENDERS).await.unwrap();
    load.progress(STEP, PROGRESS_LIMIT).await.unwrap();

    for node in 0..network.nodes() {
        network.kill(node).await.unwrap();
        // Three of four go on without the one that is down.
        load.progress(STEP, PROGRESS_LIMIT)
            .await
            .unwrap_or_else(|error| panic!("with node {node} down: {error}"));
        network.restart(node).await.unwrap();
        let other = (node + 1) % network.nodes();
        let height = network.height(other).await.unwrap();
        network.wait_for_height(node, height).await.unwrap();
    }

    load.progress(STEP, PROGRESS_LIMIT).await.unwrap();
    for node in 0..network.nodes() {
        network.kill(node).await.unwrap();
    }
    for node in 0..network.nodes() {
        network.launch(node).unwrap();
    }
    for node in 0..network.nodes() {
        network.wait_for(node).await.unwrap();
    }
    load.progress(STEP, PROGRESS_LIMIT)
        .await
        .unwrap_or_else(|error| panic!("after all were killed: {error}"));

    let acknowledged = load.finish().await.unwrap();
    assert!(
        acknowledged.len() >= 7 * STEP,
        "only {} receipts",
        acknowledged.len()
    );
    every_node_keeps(&network, &acknowledged).await;
    network.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_one_after_another_then_all_under_load_keeps_every_acknowledged_receipt() {
    acknowledged_receipts_survive(Suite::Intl).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_one_after_another_then_all_under_load_keeps_every_acknowledged_receipt_on_the_sm_suite()
 {
    acknowledged_receipts_survive(Suite::Sm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_four_down_stop_the_chain_and_their_return_starts_it_again() {
    let home = tempfile::tempdir().unwrap();
    let mut network = Network::start(home.path(), Options::default())
        .await
        .unwrap();
    let load = Load::start(&network, "half", SENDERS).await.unwrap();
    load.progress(STEP, PROGRESS_LIMIT).await.unwrap();
    network.kill(2).await.unwrap();
    network.kill(3).await.unwrap();
    // A certificate needs three of four: what was decided before may still be reported, and then nothing more is.
    let before = at_rest(&network, [0, 1]).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    for node in [0, 1] {
        let height = network.height(node).await.unwrap();
        assert!(height <= before, "the chain went on without a quorum");
    }
    network.launch(2).unwrap();
    network.launch(3).unwrap();
    network.wait_for(2).await.unwrap();
    network.wait_for(3).await.unwrap();
    load.progress(STEP, PROGRESS_LIMIT).await.unwrap();
    let acknowledged = load.finish().await.unwrap();
    every_node_keeps(&network, &acknowledged).await;
}

/// Longest time without a new block while one of four is replaced. Its turn to propose costs the others
/// 600 ms; the rest is a machine on which other tests run.
const ROLLING_GAP_MAX: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_stops_nothing_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut network = Network::start(home.path(), Options::default())
        .await
        .unwrap();
    let load = Load::start(&network, "rolling", SENDERS).await.unwrap();
    load.progress(STEP, PROGRESS_LIMIT).await.unwrap();
    // A client counts blocks, of whichever node answers.
    let urls: Vec<_> = (0..network.nodes())
        .map(|node| network.http(node))
        .collect();
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let watch = tokio::spawn(async move {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(500))
            .no_proxy()
            .build()
            .unwrap();
        let (mut highest, mut since) = (0, std::time::Instant::now());
        let mut longest = Duration::ZERO;
        while !*stopped.borrow_and_update() {
            for url in &urls {
                let asked = hawser_e2e::ask(&client, url, "eth_blockNumber", &json!([])).await;
                let Ok(height) = asked.and_then(|it| hawser_e2e::quantity(&it)) else {
                    continue;
                };
                if height > highest {
                    longest = longest.max(since.elapsed());
                    (highest, since) = (height, std::time::Instant::now());
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        longest.max(since.elapsed())
    });
    for node in 0..network.nodes() {
        network.stop(node).await.unwrap();
        network.restart(node).await.unwrap();
        let other = (node + 1) % network.nodes();
        let height = network.height(other).await.unwrap();
        network.wait_for_height(node, height).await.unwrap();
        load.progress(STEP, PROGRESS_LIMIT).await.unwrap();
    }
    stop.send_replace(true);
    let longest = watch.await.unwrap();
    let acknowledged = load.finish().await.unwrap();
    assert!(
        longest <= ROLLING_GAP_MAX,
        "{longest:?} without a block while nodes were restarted one by one"
    );
    assert!(
        acknowledged.len() >= 5 * STEP,
        "{} receipts",
        acknowledged.len()
    );
    every_node_keeps(&network, &acknowledged).await;
    network.down().await.unwrap();
}
