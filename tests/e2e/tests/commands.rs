//! The command line: what it reports, and what it answers to mistakes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hawser_e2e::load::Load;
use hawser_e2e::{Network, Options, Run, hawser};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_secs(30);

async fn start_of(network: &Network, node: u16) -> Run {
    let config = network
        .node_dir(node)
        .join("node.toml")
        .to_string_lossy()
        .into_owned();
    hawser(&["start", "--config", &config], SHORT)
        .await
        .unwrap()
}

fn refused(run: &Run, words: &[&str]) {
    assert!(
        run.code.is_some_and(|code| code != 0),
        "it was accepted: {run:?}"
    );
    assert!(!run.text().contains("panicked at"), "{run:?}");
    let text = run.text().to_lowercase();
    for word in words {
        assert!(
            text.contains(&word.to_lowercase()),
            "nothing about {word:?} in: {run:?}"
        );
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found
}

async fn network_with_some_blocks(home: &Path) -> Network {
    let network = Network::start(home, Options::default()).await.unwrap();
    let load = Load::start(&network, "commands", 8).await.unwrap();
    load.progress(16, Duration::from_secs(60)).await.unwrap();
    load.finish().await.unwrap();
    network
}

#[tokio::test(flavor = "multi_thread")]
async fn status_lists_every_node_and_down_leaves_nothing_running() {
    let home = tempfile::tempdir().unwrap();
    let network = network_with_some_blocks(home.path()).await;
    let path = home.path().to_string_lossy().into_owned();
    let status = hawser(&["status", "--home", &path, "--output", "json"], SHORT)
        .await
        .unwrap();
    assert_eq!(status.code, Some(0), "{status:?}");
    let parsed: Value = serde_json::from_str(&status.stdout)
        .expect("status --output json prints JSON and nothing else");
    for node in 0..network.nodes() {
        assert!(
            parsed.to_string().contains(&network.port(node).to_string()),
            "node {node} is not in {parsed}"
        );
    }
    let table = hawser(&["status", "--home", &path], SHORT).await.unwrap();
    assert_eq!(table.code, Some(0), "{table:?}");
    network.down().await.unwrap();
    let again = hawser(&["down", "--home", &path], SHORT).await.unwrap();
    assert!(!again.text().contains("panicked at"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_that_votes_are_missing_when_half_of_the_validators_are_down() {
    let home = tempfile::tempdir().unwrap();
    let network = network_with_some_blocks(home.path()).await;
    let path = home.path().to_string_lossy().into_owned();
    let well = hawser(&["doctor", "--home", &path], SHORT).await.unwrap();
    assert_eq!(well.code, Some(0), "{well:?}");
    network.kill(2).await.unwrap();
    network.kill(3).await.unwrap();
    let ill = hawser(&["doctor", "--home", &path], SHORT).await.unwrap();
    assert_ne!(ill.text(), well.text());
    let text = ill.text().to_lowercase();
    for node in ["node2", "node3"] {
        let spaced = node.replace("node", "node ");
        assert!(
            text.contains(node) || text.contains(&spaced),
            "{node} is not named in: {ill:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_refuses_an_unknown_key_a_taken_port_and_another_genesis_and_says_why() {
    let home = tempfile::tempdir().unwrap();
    let mut network = network_with_some_blocks(home.path()).await;
    network.kill(3).await.unwrap();
    let config = network.node_dir(3).join("node.toml");
    let original = fs::read_to_string(&config).unwrap();

    // A key with a letter too many, beside the right one.
    let (key, line) = original
        .lines()
        .find_map(|line| {
            let (key, _) = line.split_once('=')?;
            let key = key.trim();
            key.chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_')
                .then_some((key, line))
        })
        .expect("node.toml has a key");
    let wrong = format!("{key}x");
    let misspelt = line.replacen(key, &wrong, 1);
    fs::write(
        &config,
        original.replacen(line, &format!("{line}\n{misspelt}"), 1),
    )
    .unwrap();
    refused(&start_of(&network, 3).await, &[&wrong, &format!("`{key}`")]);
    fs::write(&config, "this is = = no toml").unwrap();
    refused(&start_of(&network, 3).await, &["node.toml"]);
    fs::write(&config, &original).unwrap();

    let taken = TcpListener::bind(("127.0.0.1", network.port(3))).unwrap();
    refused(
        &start_of(&network, 3).await,
        &[&network.port(3).to_string()],
    );
    drop(taken);

    // Another genesis than the one its data was made with.
    let genesis = files(&network.node_dir(3))
        .into_iter()
        .chain(files(home.path()))
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("genesis"))
        })
        .expect("there is a genesis file");
    let kept = fs::read(&genesis).unwrap();
    let id = network.chain_id().await.unwrap();
    let changed = String::from_utf8(kept.clone()).unwrap().replacen(
        &id.to_string(),
        &(id + 1).to_string(),
        1,
    );
    assert_ne!(
        changed.as_bytes(),
        kept,
        "the genesis file does not hold the chain id {id}"
    );
    fs::write(&genesis, changed).unwrap();
    refused(&start_of(&network, 3).await, &["genesis"]);
    fs::write(&genesis, &kept).unwrap();

    // With everything as it was, the node goes on.
    network.restart(3).await.unwrap();
    let height = network.height(0).await.unwrap();
    network.wait_for_height(3, height).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_damaged_data_file_stops_with_a_reason_or_heals_but_never_serves_something_else()
 {
    let home = tempfile::tempdir().unwrap();
    let mut network = network_with_some_blocks(home.path()).await;
    let top = network.height(0).await.unwrap();
    network.wait_for_height(3, top).await.unwrap();
    network.kill(3).await.unwrap();
    let skip = ["toml", "pem", "json", "key", "pid", "log", "crt", "sock"];
    let data: Vec<_> = files(&network.node_dir(3))
        .into_iter()
        .filter(|path| {
            !path
                .extension()
                .is_some_and(|kind| skip.iter().any(|other| kind == *other))
        })
        .filter(|path| fs::metadata(path).unwrap().len() > 64)
        .collect();
    assert!(!data.is_empty(), "no data file was found");
    for path in &data {
        let mut file = fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        let middle = file.metadata().unwrap().len() / 2;
        let mut bytes = [0_u8; 16];
        file.seek(SeekFrom::Start(middle)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        file.seek(SeekFrom::Start(middle)).unwrap();
        file.write_all(&bytes.map(|byte| !byte)).unwrap();
    }
    network.launch(3).unwrap();
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        if network.ask(3, "eth_blockNumber", &json!([])).await.is_ok() {
            break;
        }
        let said = fs::read_to_string(network.node_dir(3).join("restart.log")).unwrap_or_default();
        assert!(!said.contains("panicked at"), "{said}");
        let said = said.to_lowercase();
        if ["corrupt", "damaged", "checksum", "invalid", "broken"]
            .iter()
            .any(|word| said.contains(word))
        {
            return;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "neither an answer nor a reason: {said}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    network.wait_for_height(3, top).await.unwrap();
    for height in 0..=top {
        let block = json!([format!("{height:#x}"), true]);
        let good = network
            .rpc(0, "eth_getBlockByNumber", block.clone())
            .await
            .unwrap();
        // An error is honest; another block is not.
        if let Ok(other) = network.rpc(3, "eth_getBlockByNumber", block).await {
            assert!(
                other.is_null() || other == good,
                "height {height}: {other} instead of {good}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_on_the_command_line_end_with_two_and_a_hint() {
    for (arguments, hint) in [
        (&["statsu"][..], "status"),
        (&["up", "--suite", "klingon"], "sm"),
        (&["up", "--nodes", "many"], "nodes"),
        (&["start", "--confg", "x"], "--config"),
    ] {
        let run = hawser(arguments, SHORT).await.unwrap();
        assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
        refused(&run, &[hint]);
    }
    let missing = hawser(&["start", "--config", "/nonexistent/node.toml"], SHORT)
        .await
        .unwrap();
    refused(&missing, &["/nonexistent/node.toml"]);
    let version = hawser(&["--version"], SHORT).await.unwrap();
    assert_eq!(version.code, Some(0));
    assert!(version.stdout.starts_with("hawser "), "{version:?}");
}
