//! A local network by the real binary: up, status, work, kill, down, up again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::process::Command;

use common::{Net, free_ports, json};

fn height(net: &Net) -> u64 {
    let status = json(&net.0.ok(&["status", "--output", "json"]));
    status["nodes"][0]["height"].as_u64().unwrap()
}

#[test]
fn a_network_comes_up_works_stops_and_resumes_the_same_chain() {
    for suite in ["intl", "sm"] {
        let net = Net::new();
        let (rpc, p2p) = (free_ports(2).to_string(), free_ports(2).to_string());
        let ports = ["--rpc-port", &rpc, "--p2p-port", &p2p];
        let run = net.up(&[&["--nodes", "2", "--suite", suite], &ports[..]].concat());
        assert_eq!(run.code, 0, "{}", run.text);
        let said = json(&run.stdout);
        let url = said["http"][1].as_str().unwrap().to_owned();
        assert_eq!(
            url,
            format!("http://127.0.0.1:{}", rpc.parse::<u16>().unwrap() + 1)
        );
        assert!(height(&net) >= 1, "agreement was seen");
        let second = json(&net.up(&[]).stdout);
        assert_eq!(second["alreadyRunning"], true);
        assert_eq!(second["account"], said["account"]);
        assert_eq!(
            net.up(&["--nodes", "3"]).code,
            2,
            "a network does not change its size"
        );

        // Evidence from one node, proved by the other, checked by nobody.
        fs::write(net.0.path("file.txt"), suite).unwrap();
        let put = net.0.ok(&[
            "evidence", "put", "file.txt", "--rpc", &url, "--from", "test", "--output", "json",
        ]);
        let id = json(&put)[0]["id"].as_str().unwrap().to_owned();
        let first = said["http"][0].as_str().unwrap();
        net.0
            .ok(&["evidence", "verify", "file.txt", "--rpc", first]);
        // The proof needs the blocks that certify the roots, which follow at once.
        let exported = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            net.0
                .run(&[
                    "evidence",
                    "export",
                    &id,
                    "--to",
                    "bundle.json",
                    "--rpc",
                    first,
                ])
                .code
                == 0
        });
        assert!(exported);
        net.0.ok(&["doctor"]);
        let top = height(&net);

        // One node dies hard; its pid file stays behind and deceives nobody.
        let status = json(&net.0.ok(&["status", "--output", "json"]));
        let pid = status["nodes"][1]["pid"].to_string();
        assert!(
            Command::new("kill")
                .args(["-9", &pid])
                .status()
                .unwrap()
                .success()
        );
        let gone = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            net.0.run(&["status"]).code == 4
        });
        assert!(gone && net.0.path(".hawser/node1/hawser.pid").exists());
        let ill = net.0.run(&["doctor"]);
        assert!(
            ill.code == 1 && ill.stdout.contains("node1 does not run"),
            "{}",
            ill.text
        );
        assert_eq!(net.up(&[]).code, 0);
        assert_eq!(net.0.run(&["doctor"]).code, 0);

        assert_eq!(
            json(&net.0.ok(&["down", "--output", "json"]))["killed"],
            json("[]")
        );
        assert_eq!(net.0.run(&["status"]).code, 4);
        // The check asks no node: none runs.
        let check = net.0.ok(&[
            "evidence",
            "check",
            "bundle.json",
            "--file",
            "file.txt",
            "--genesis",
            ".hawser/genesis.json",
            "--output",
            "json",
        ]);
        assert_eq!(json(&check)["proved"], true);
        fs::write(net.0.path("file.txt"), "changed").unwrap();
        assert_eq!(
            net.0
                .run(&["evidence", "check", "bundle.json", "--file", "file.txt"])
                .code,
            5
        );

        // On other ports, the same chain.
        let (rpc, p2p) = (free_ports(2).to_string(), free_ports(2).to_string());
        let resumed = net.up(&["--rpc-port", &rpc, "--p2p-port", &p2p]);
        assert_eq!(resumed.code, 0, "{}", resumed.text);
        assert_eq!(json(&resumed.stdout)["genesis"], said["genesis"]);
        assert!(height(&net) >= top);
    }
}

#[test]
fn a_port_in_use_and_a_dying_node_are_explained() {
    let net = Net::new();
    let (rpc, p2p) = (free_ports(2), free_ports(2).to_string());
    let taken = std::net::TcpListener::bind(("127.0.0.1", rpc + 1)).unwrap();
    let rpc = rpc.to_string();
    let run = net.up(&["--nodes", "2", "--rpc-port", &rpc, "--p2p-port", &p2p]);
    assert_eq!(run.code, 1, "{}", run.text);
    for part in [
        "node1 cannot listen",
        "--rpc-port",
        &format!("(pid {})", std::process::id()),
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.text);
    }
    drop(taken);
    let genesis = net.0.path(".hawser/node1/genesis.json");
    let text = fs::read_to_string(&genesis).unwrap();
    fs::write(&genesis, "{").unwrap();
    let run = net.up(&[]);
    assert_eq!(run.code, 1, "{}", run.text);
    assert!(
        run.stderr.contains("node1 ended") && run.stderr.contains("genesis"),
        "{}",
        run.text
    );
    let log = fs::read_to_string(net.0.path(".hawser/node1/hawser.log")).unwrap();
    let told = log.lines().find_map(|line| line.split_once(" error: "));
    let (at, _) = told.unwrap_or_else(|| panic!("{log}"));
    assert!(
        at.starts_with("20") && at.len() == 24 && at.ends_with('Z') && at.contains('T'),
        "when it was: {at}"
    );
    fs::write(&genesis, text).unwrap();
    assert_eq!(net.up(&[]).code, 0);
}

#[test]
fn a_node_whose_configuration_was_broken_meanwhile_is_stopped() {
    let net = Net::new();
    let (rpc, p2p) = (free_ports(2).to_string(), free_ports(2).to_string());
    net.0
        .ok(&["up", "--nodes", "2", "--rpc-port", &rpc, "--p2p-port", &p2p]);
    let whole = |node: u8| net.0.path(format!(".hawser/node{node}/node.toml"));
    let texts = [0, 1].map(|node| fs::read_to_string(whole(node)).unwrap());
    // A value that is refused, and a file that is no TOML.
    let invalid = texts[0].replace(
        "#keep_blocks = 100000",
        "mode = \"pruned\"\nkeep_blocks = 1024",
    );
    assert_ne!(invalid, texts[0]);
    fs::write(whole(0), invalid).unwrap();
    fs::write(whole(1), "[node\n").unwrap();
    let down = net.0.run(&["down", "--output", "json"]);
    assert_eq!(down.code, 0, "{}", down.text);
    let stopped = &json(&down.stdout)["stopped"];
    assert_eq!(*stopped, serde_json::json!(["node0", "node1"]));
    for part in ["warning: ", "keep_blocks", "node1/node.toml"] {
        assert!(down.stderr.contains(part), "{part}: {}", down.stderr);
    }
    for node in [0, 1] {
        let pid_file = net.0.path(format!(".hawser/node{node}/hawser.pid"));
        assert!(!pid_file.exists(), "node{node}");
    }
    // Whether one that cannot be found runs is not known.
    let again = net.0.run(&["down"]);
    assert!(
        again.code == 3 && again.text.contains("keep_blocks"),
        "{}",
        again.text
    );
    for (node, text) in [0, 1].iter().zip(texts) {
        fs::write(whole(*node), text).unwrap();
    }
}
