//! Data folders that released formats left open in this program and go on: `fixtures/datafolders` has a
//! network of one node per format, suite and kind of storage, with what it said of itself.
//!
//! Whoever changes a format of the data folder runs
//! `cargo test --release -p hawser --test datafolders -- --ignored make_fixtures`
//! *before* the change, with `HAWSER_FIXTURES=state-N` naming the present format, and keeps what that writes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Net, ask, balance, free_ports, json};
use serde_json::{Value, json as object};

/// What the fixtures' payments go to.
const TO: &str = "0x5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2";
/// Ports in the fixtures' configurations, which no running test has.
const PORTS: [u16; 3] = [61, 62, 63];
const KINDS: [(&str, &[&str]); 4] = [
    ("intl-plain", &["--suite", "intl"]),
    ("sm-plain", &["--suite", "sm"]),
    ("intl-encrypted", &["--suite", "intl", "--encrypt"]),
    ("sm-encrypted", &["--suite", "sm", "--encrypt"]),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/datafolders")
}

fn tar(arguments: &[&str], folder: &Path) {
    let status = Command::new("tar")
        .args(arguments)
        .current_dir(folder)
        .status();
    assert!(status.unwrap().success(), "tar {arguments:?}");
}

fn result(url: &str, method: &str, params: &Value) -> Value {
    let answer = ask(url, method, params);
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

fn pay(net: &Net, url: &str, wei: &str) -> String {
    let sent = net.0.ok(&[
        "tx", "send", "--from", "test", "--to", TO, "--value", wei, "--rpc", url, "--output",
        "json",
    ]);
    let sent = json(&sent);
    let hash = ["hash", "transactionHash"]
        .into_iter()
        .find_map(|name| sent[name].as_str());
    hash.unwrap_or_else(|| panic!("{sent}")).to_owned()
}

/// Replaces the ports in the configuration of the only node.
fn ports(net: &Net, from: [u16; 3], to: [u16; 3]) {
    let path = net.0.path(".hawser/node0/node.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (from, to) in from.into_iter().zip(to) {
        let old = format!("127.0.0.1:{from}\"");
        assert!(text.contains(&old), "{old}: {text}");
        text = text.replace(&old, &format!("127.0.0.1:{to}\""));
    }
    fs::write(path, text).unwrap();
}

fn three_ports() -> [u16; 3] {
    let first = free_ports(3);
    [first, first + 1, first + 2]
}

/// What has to be the same for ever: the head, its state, and a receipt.
fn facts(url: &str, transaction: &str) -> Value {
    let block = result(url, "eth_getBlockByNumber", &object!(["latest", false]));
    let receipt = result(url, "eth_getTransactionReceipt", &object!([transaction]));
    object!({
        "height": block["number"], "hash": block["hash"], "stateRoot": block["stateRoot"],
        "transaction": transaction, "receipt": receipt, "balance": balance(url, TO),
    })
}

#[test]
fn data_folders_of_every_released_format_open_and_go_on() {
    let mut opened = 0;
    let formats = fs::read_dir(fixtures())
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    for format in formats.filter(|path| path.is_dir()) {
        for (kind, _) in KINDS {
            let what = format!("{} {kind}", format.display());
            let archive = format.join(format!("{kind}.tar.gz"));
            assert!(
                fs::metadata(&archive).unwrap().len() < 300_000,
                "{what} is large"
            );
            let net = Net::new();
            tar(&["-xzf", archive.to_str().unwrap()], &net.0.path("."));
            let [rpc, p2p, metrics] = three_ports();
            ports(&net, PORTS, [rpc, p2p, metrics]);
            let kept = json(&fs::read_to_string(net.0.path("facts.json")).unwrap());
            let run = net.up(&[]);
            assert_eq!(run.code, 0, "{what}: {}", run.text);
            let url = format!("http://127.0.0.1:{rpc}");
            // The head may have moved on by blocks that certify it; the block of then is what it was.
            let height = kept["height"].clone();
            let block = result(&url, "eth_getBlockByNumber", &object!([height, false]));
            assert_eq!(block["hash"], kept["hash"], "{what}");
            assert_eq!(block["stateRoot"], kept["stateRoot"], "{what}");
            let transaction = kept["transaction"].as_str().unwrap();
            let receipt = result(&url, "eth_getTransactionReceipt", &object!([transaction]));
            assert_eq!(receipt, kept["receipt"], "{what}");
            let before = u128::from(kept["balance"].as_u64().unwrap());
            assert_eq!(balance(&url, TO), before, "{what}");
            let sent = pay(&net, &url, "5");
            assert_eq!(balance(&url, TO), before + 5, "{what}");
            let new = facts(&url, &sent);
            assert_ne!(new["receipt"]["blockNumber"], kept["height"], "{what}");
            assert_eq!(net.0.run(&["down"]).code, 0);
            let check = net
                .0
                .run(&["db", "check", "--config", ".hawser/node0/node.toml"]);
            assert_eq!(check.code, 0, "{what}: {}", check.text);
            opened += 1;
        }
    }
    assert!(opened >= KINDS.len(), "{opened} fixtures");
}

#[test]
#[ignore = "makes the fixtures of the present format"]
fn make_fixtures() {
    let format = std::env::var("HAWSER_FIXTURES").expect("HAWSER_FIXTURES=state-N");
    let folder = fixtures().join(format);
    fs::create_dir_all(&folder).unwrap();
    for (kind, arguments) in KINDS {
        let net = Net::new();
        let [rpc, p2p, metrics] = three_ports();
        let given = [rpc.to_string(), p2p.to_string(), metrics.to_string()];
        let names = ["--rpc-port", "--p2p-port", "--metrics-port"];
        let mut more: Vec<&str> = vec!["--nodes", "1"];
        more.extend(
            names
                .into_iter()
                .zip(&given)
                .flat_map(|(name, port)| [name, port.as_str()]),
        );
        more.extend(arguments);
        let run = net.up(&more);
        assert_eq!(run.code, 0, "{}", run.text);
        let url = format!("http://127.0.0.1:{rpc}");
        let mut last = String::new();
        for wei in 1..=6 {
            last = pay(&net, &url, &wei.to_string());
        }
        let told = facts(&url, &last);
        assert_eq!(net.0.run(&["down"]).code, 0);
        fs::write(
            net.0.path("facts.json"),
            serde_json::to_string_pretty(&told).unwrap(),
        )
        .unwrap();
        ports(&net, [rpc, p2p, metrics], PORTS);
        let archive = folder.join(format!("{kind}.tar.gz"));
        let home = net.0.path(".");
        let excluded = [
            "--exclude=hawser.log",
            "--exclude=hawser.pid",
            "--exclude=blackbox",
        ];
        let mut all = vec![
            "-czf",
            archive.to_str().unwrap(),
            "--numeric-owner",
            "--owner=0",
            "--group=0",
        ];
        all.extend(excluded);
        all.extend([".hawser", "facts.json"]);
        tar(&all, &home);
    }
}
