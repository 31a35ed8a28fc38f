//! Snapshots and backups of a network that runs, by the real binary: made, checked, fetched by a node that
//! lost its data, and a restored validator that does not vote until it is safe.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{free_ports, json};
use serde_json::Value;

struct Net(common::Net);

impl Net {
    fn status(&self, node: usize) -> Value {
        // Its exit code tells whether all of them answer.
        let status = json(&self.0.run(&["status", "--output", "json"]).stdout);
        status["nodes"][node].clone()
    }

    fn waiting(&self, node: usize) -> String {
        self.status(node)["waiting"].to_string()
    }

    /// Registers a file by the first node.
    fn put(&self, name: &str, url: &str) {
        fs::write(self.0.path(name), name).unwrap();
        self.0
            .ok(&["evidence", "put", name, "--rpc", url, "--from", "test"]);
    }

    /// Stops a node and takes its data away.
    fn lose(&self, node: usize) {
        let pid = self.status(node)["pid"].to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        self.until("the node stops", || self.status(node)["state"] == "stopped");
        let data = self.0.path(format!(".hawser/node{node}/data"));
        let chain = fs::read_dir(&data).unwrap().flatten().find(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("chain-")
        });
        fs::remove_dir_all(chain.unwrap().path()).unwrap();
    }

    /// Takes the vote log of a stopped node away.
    fn lose_votes(&self, node: usize) {
        let data = self.0.path(format!(".hawser/node{node}/data"));
        let chain = fs::read_dir(&data).unwrap().flatten().find(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("chain-")
        });
        fs::remove_file(chain.unwrap().path().join("log/votes.log")).unwrap();
    }

    fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(90);
        while !done() {
            let all = || self.0.run(&["status"]).text;
            assert!(Instant::now() < deadline, "timed out: {what}\n{}", all());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Blocks come until the node votes again; it said that it does not before.
    fn comes_back(&self, node: usize, url: &str) {
        self.until("it says that it does not vote", || {
            self.waiting(node).contains("votes: ")
        });
        let mut i = 0;
        self.until("it votes again", || {
            i += 1;
            self.put(&format!("after-{node}-{i}.txt"), url);
            !self.waiting(node).contains("votes: ") && self.status(node)["state"] == "ready"
        });
        assert!(self.status(node)["hash"].is_string());
    }
}

#[test]
fn a_network_is_backed_up_restored_and_joined_by_snapshot_while_it_runs() {
    let net = Net(common::Net::new());
    let (rpc, p2p) = (free_ports(4).to_string(), free_ports(4).to_string());
    let ports = ["--rpc-port", &rpc, "--p2p-port", &p2p];
    let run = net
        .0
        .run(&[&["up", "--output", "json", "--nodes", "4"], &ports[..]].concat());
    assert_eq!(run.code, 0, "{}", run.text);
    let url = json(&run.stdout)["http"][0].as_str().unwrap().to_owned();
    for i in 0..4 {
        net.put(&format!("{i}.txt"), &url);
    }
    let config = |node: usize| format!(".hawser/node{node}/node.toml");
    let (first, second, third) = (config(0), config(1), config(2));

    // Made by the running node, checked by anyone who has the genesis.
    let of = |arguments: &[&str]| {
        let output = ["--output", "json"];
        json(&net.0.ok(&[arguments, &output[..]].concat()))
    };
    let made = of(&["snapshot", "create", "--config", &first]);
    let listed = of(&["snapshot", "list", "--config", &first]);
    assert_eq!(listed[0]["digest"], made["digest"]);
    let checked = of(&["snapshot", "verify", "--config", &first]);
    assert_eq!(checked["height"], made["height"]);
    let shelf = net.0.path(".hawser/node0/data");
    let chain = fs::read_dir(shelf).unwrap().flatten().find(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("chain-")
    });
    let shelf = chain.unwrap().path().join("snapshots");
    let spoilt = net.0.path("spoilt");
    fs::create_dir(&spoilt).unwrap();
    for entry in fs::read_dir(&shelf).unwrap().flatten() {
        let mut bytes = fs::read(entry.path()).unwrap();
        if entry.file_name().to_string_lossy().contains("-s000000") {
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
        }
        fs::write(spoilt.join(entry.file_name()), bytes).unwrap();
    }
    let run = net
        .0
        .run(&["snapshot", "verify", "--config", &first, "--from", "spoilt"]);
    assert_eq!(run.code, 5, "{}", run.text);

    // A backup while blocks go on; then the node loses everything and is restored to it.
    let admitted = net.0.path(".hawser/node1/data/peers.json");
    let peers = "{\"admitted\":[],\"removed\":[]}";
    fs::write(&admitted, peers).unwrap();
    of(&["backup", "create", "--config", &second, "--to", "backup"]);
    fs::remove_file(&admitted).unwrap();
    net.put("later.txt", &url);
    let busy = net
        .0
        .run(&["backup", "restore", "--config", &second, "--from", "backup"]);
    assert_ne!(busy.code, 0, "a node that runs is not restored");
    net.lose(1);
    // A damaged one ends as a check that finds damage does, and leaves room for a good one.
    let damaged = net
        .0
        .run(&["backup", "restore", "--config", &second, "--from", "spoilt"]);
    assert_eq!(damaged.code, 5, "{}", damaged.text);
    let text = net
        .0
        .ok(&["backup", "restore", "--config", &second, "--from", "backup"]);
    assert!(text.contains("not vote"), "{text}");
    let last =
        of(&["snapshot", "list", "--config", &second, "--from", "backup"])[0]["last"].clone();
    assert!(text.contains(&format!("to {last}, ")), "{text}");
    // No height below its own last block.
    let allow = ["node", "allow-votes", "--config", &second, "--after-height"];
    let low = (last.as_u64().unwrap() - 1).to_string();
    let refused = net.0.run(&[&allow[..], &[&low]].concat());
    assert!(
        refused.code != 0 && refused.text.contains(&format!("is {last}, ")),
        "{}",
        refused.text
    );
    assert_eq!(
        fs::read_to_string(&admitted).unwrap(),
        peers,
        "who was admitted comes along"
    );
    net.0.ok(&["up", "--output", "json"]);
    net.comes_back(1, &url);

    // Another one fetches the snapshot from its peers.
    net.lose(2);
    let path = net.0.path(&third);
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("#mode = \"blocks\"", "mode = \"snapshot\"");
    fs::write(&path, &text).unwrap();
    net.0.ok(&["up", "--output", "json"]);
    net.comes_back(2, &url);
    let log = fs::read_to_string(net.0.path(".hawser/node2/node.log")).unwrap_or_default();
    assert!(text.contains("mode = \"snapshot\""), "{text}");
    assert!(
        log.is_empty() || log.contains("that of the snapshot"),
        "{log}"
    );

    // Nobody may say so while it is not needed.
    let node = ["node", "allow-votes", "--config", &second];
    let run = net.0.run(&[&node[..], &["--after-height", "9"]].concat());
    assert_ne!(run.code, 0, "{}", run.text);
}

#[test]
fn a_network_that_lost_all_vote_logs_votes_on_after_its_highest_last_block() {
    let net = Net(common::Net::new());
    let (rpc, p2p) = (free_ports(4).to_string(), free_ports(4).to_string());
    let ports = ["--rpc-port", &rpc, "--p2p-port", &p2p];
    let run = net.0.up(&[&["--nodes", "4"], &ports[..]].concat());
    assert_eq!(run.code, 0, "{}", run.text);
    let url = json(&run.stdout)["http"][0].as_str().unwrap().to_owned();
    net.put("before.txt", &url);
    net.0.ok(&["down"]);
    let config = |node: usize| format!(".hawser/node{node}/node.toml");
    let check = |node: usize| net.0.run(&["db", "check", "--config", &config(node)]);
    let last = |node: usize| {
        let arguments = ["db", "check", "--config", &config(node), "--output", "json"];
        let told = json(&net.0.run(&arguments).stdout);
        told["chains"][0]["lastHeight"].as_u64().unwrap()
    };
    let allow = |node: usize, after: u64| {
        let after = after.to_string();
        let command = ["node", "allow-votes", "--config", &config(node)];
        net.0
            .run(&[&command[..], &["--after-height", &after]].concat())
    };
    // With its votes there is nothing to allow.
    let highest = (0..4).map(last).max().unwrap();
    let run = allow(0, highest);
    assert!(run.text.contains("not in doubt"), "{}", run.text);
    for node in 0..4 {
        net.lose_votes(node);
        let run = check(node);
        assert!(run.text.contains("MISSING"), "{}", run.text);
        assert_eq!(run.code, 2, "{}", run.text);
    }
    // Nobody has the blocks after the highest last one, so nobody could vote for them.
    let run = allow(0, highest + 43);
    assert!(
        run.code != 0
            && run
                .text
                .contains(&format!("give --after-height {highest} ")),
        "{}",
        run.text
    );
    for node in 0..4 {
        let run = allow(node, highest);
        assert_eq!(run.code, 0, "{}", run.text);
        let run = check(node);
        assert_eq!(run.code, 0, "{}", run.text);
    }
    // A log that is lost after that is a later loss.
    net.lose_votes(0);
    let run = check(0);
    assert!(
        run.code == 2 && run.text.contains("MISSING"),
        "{}",
        run.text
    );
    net.0.ok(&["up", "--output", "json"]);
    net.comes_back(0, &url);
    let log = |node: usize| {
        let path = net.0.path(format!(".hawser/node{node}/hawser.log"));
        fs::read_to_string(path).unwrap()
    };
    let resting = "this node follows and does not vote";
    assert!(log(0).contains(resting), "{}", log(0));
    assert!(!log(1).contains(resting), "{}", log(1));
}
