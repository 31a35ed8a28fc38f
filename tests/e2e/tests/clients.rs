//! Everyday Ethereum clients against a network of each suite.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::env;
use std::process::Stdio;
use std::time::Duration;

use hawser_e2e::{Network, Options, Suite, binary, repository};
use tokio::process::Command;
use tokio::time::timeout;

async fn clients_pass_on(suite: Suite) {
    binary().unwrap();
    let clients = repository().join("tests/clients");
    let on_ci = env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    let node = Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .await;
    if node.is_err() || !clients.join("node_modules/ethers").is_dir() {
        assert!(
            !on_ci,
            "the clients are not installed: run scripts/clients-setup"
        );
        eprintln!("SKIPPED: the client tests need node and scripts/clients-setup");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let network = Network::start(
        home.path(),
        Options {
            suite,
            ..Options::default()
        },
    )
    .await
    .unwrap();
    let status = Command::new("node")
        .arg("run.mjs")
        .current_dir(&clients)
        .env("HAWSER_RPC", network.http(0))
        .env("HAWSER_WS", network.ws(0))
        .env(
            "HAWSER_CHAIN_ID",
            network.chain_id().await.unwrap().to_string(),
        )
        .env_remove("HAWSER_REFERENCE")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status();
    let status = timeout(Duration::from_secs(900), status)
        .await
        .expect("the clients have not ended")
        .unwrap();
    assert!(
        status.success(),
        "some client failed on suite {}, see its output above",
        suite.name()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ethereum_clients_work_unmodified_on_the_intl_suite() {
    clients_pass_on(Suite::Intl).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ethereum_clients_work_unmodified_on_the_sm_suite() {
    clients_pass_on(Suite::Sm).await;
}
