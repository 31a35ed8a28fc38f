//! `hawser db` on the folders of a network that really ran.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Run, free_ports, json, until};

const TO: &str = "0x5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2";

struct Net {
    hawser: common::Net,
    ports: [String; 2],
}

impl Net {
    fn up(&self) {
        let [rpc, p2p] = &self.ports;
        let up = ["up", "--nodes", "4", "--rpc-port", rpc, "--p2p-port", p2p];
        self.hawser.ok(&up);
    }

    fn pay(&self) {
        let url = format!("http://127.0.0.1:{}", self.ports[0]);
        let pay = ["tx", "send", "--from", "test", "--to", TO, "--value", "1"];
        self.hawser.ok(&[&pay[..], &["--rpc", &url]].concat());
    }

    fn db(&self, what: &str, node: u8, more: &[&str]) -> Run {
        let config = format!(".hawser/node{node}/node.toml");
        let run = ["db", what, "--config", &config];
        self.hawser.run(&[&run[..], more].concat())
    }

    fn log(&self, node: u8) -> PathBuf {
        let log = format!(".hawser/node{node}/data/chain-429737/log");
        self.hawser.path(log)
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn file(dir: &Path, begin: &str, end: &str) -> PathBuf {
    let files = fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let mut files: Vec<_> = files
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(begin) && name.ends_with(end)
        })
        .collect();
    files.sort();
    files.remove(0)
}

#[test]
fn a_damaged_node_is_told_what_is_wrong_mended_and_catches_up() {
    let net = Net {
        hawser: common::Net::new(),
        ports: [free_ports(4).to_string(), free_ports(4).to_string()],
    };
    net.up();
    for _ in 0..6 {
        net.pay();
    }
    let running = net.db("check", 0, &[]);
    assert!(
        running.code == 2 && running.text.contains("stop it first"),
        "{}",
        running.text
    );
    net.hawser.ok(&["down"]);
    for node in 0..4 {
        let sound = net.db("check", node, &["--all", "--output", "json"]);
        assert_eq!(sound.code, 0, "{}", sound.text);
        let chain = &json(&sound.stdout)["chains"][0];
        assert!(
            chain["fromGenesis"] == true && chain["sound"] == true,
            "{chain}"
        );
        assert!(chain["checked"]["blocks"].as_u64().unwrap() >= 6, "{chain}");
    }
    for (lang, words) in [("en", "nothing to repair"), ("zh", "无需修复")] {
        let idle = net.db("repair", 0, &["--yes", "--lang", lang]);
        assert!(
            idle.code == 0 && idle.stdout.contains(words) && !idle.stdout.contains("done"),
            "{}",
            idle.text
        );
    }

    // What follows from the blocks is made from them again.
    let receipts = file(&net.log(1), "receipts-", ".seg");
    flip(&receipts, 60);
    let damaged = net.db("check", 1, &["--lang", "zh"]);
    let name = receipts.file_name().unwrap().to_string_lossy().into_owned();
    assert!(
        damaged.code == 5 && damaged.text.contains("损坏  回执") && damaged.text.contains(&name),
        "{}",
        damaged.text
    );
    let unsaid = net.db("repair", 1, &[]);
    assert!(
        unsaid.code == 1 && unsaid.text.contains("--yes"),
        "{}",
        unsaid.text
    );
    let mended = net.db("repair", 1, &["--yes"]);
    assert_eq!(mended.code, 0, "{}", mended.text);
    assert!(
        unsaid.stderr.contains("repair would  put state"),
        "{}",
        unsaid.text
    );
    assert!(
        mended.stderr.contains("repair  put state") && mended.stdout.contains("done; start"),
        "{}",
        mended.text
    );
    assert!(net.log(1).join(format!("set-aside-{name}")).exists());

    // Blocks are cut off only where nobody votes.
    flip(&file(&net.log(2), "blocks-", ".seg"), 700);
    let damaged = net.db("check", 2, &[]);
    assert!(
        damaged.code == 5 && damaged.text.contains("DAMAGED  blocks: blocks-"),
        "{}",
        damaged.text
    );
    let refused = net.db("repair", 2, &["--yes"]);
    assert!(
        refused.code == 5 && refused.text.contains("vote_key"),
        "{}",
        refused.text
    );
    let config = net.hawser.path(".hawser/node2/node.toml");
    let with = fs::read_to_string(&config).unwrap();
    let without: Vec<_> = with
        .lines()
        .filter(|line| !line.starts_with("vote_key"))
        .collect();
    assert_ne!(without.len(), with.lines().count());
    fs::write(&config, without.join("\n")).unwrap();
    let mended = net.db("repair", 2, &["--yes"]);
    assert_eq!(mended.code, 0, "{}", mended.text);

    net.up();
    net.pay();
    until("all nodes are at one height", || {
        let status = json(&net.hawser.run(&["status", "--output", "json"]).stdout);
        let nodes = status["nodes"].as_array().unwrap();
        let heights: Vec<_> = nodes.iter().map(|node| node["executed"].as_u64()).collect();
        heights[0] > Some(6) && heights.iter().all(|height| *height == heights[0])
    });
    net.hawser.ok(&["down"]);
    for node in 0..4 {
        let sound = net.db("check", node, &["--all"]);
        assert_eq!(sound.code, 0, "{}", sound.text);
    }
}
