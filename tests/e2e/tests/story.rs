//! The story of five organisations on one chain, told by `examples/sovereignty/story.mjs`: every step is
//! a command of the program, and is checked there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::process::Stdio;
use std::time::Duration;

use hawser_e2e::{binary, repository};
use tokio::process::Command;
use tokio::time::timeout;

/// Two free ranges of ports, for clients and for peers.
fn ports() -> (u16, u16) {
    let offset = u16::try_from(std::process::id() % 200).unwrap() * 20;
    (20_000 + offset, 26_000 + offset)
}

#[tokio::test]
async fn five_organisations_found_govern_supervise_and_audit_a_chain() {
    let home = tempfile::tempdir().unwrap();
    let (rpc, p2p) = ports();
    let story = Command::new("node")
        .arg(repository().join("examples/sovereignty/story.mjs"))
        .arg("--home")
        .arg(home.path().join("net"))
        .args(["--rpc-port", &rpc.to_string()])
        .args(["--p2p-port", &p2p.to_string()])
        .env("HAWSER_BIN", binary().unwrap())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let story = timeout(Duration::from_secs(600), story)
        .await
        .expect("the story does not end")
        .expect("node is not installed");
    let told = String::from_utf8_lossy(&story.stdout);
    let broken = String::from_utf8_lossy(&story.stderr);
    assert!(story.status.success(), "{told}\n{broken}");
    println!("{told}");
}
