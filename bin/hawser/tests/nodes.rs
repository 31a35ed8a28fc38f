//! Nodes join a running network, are admitted, and are removed, by the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::process::Command;

use common::{Hawser, Net, Ports, free_ports, json, until};
use serde_json::Value;

const NODE0: &str = ".hawser/node0/node.toml";

fn list(net: &Net, config: &str) -> Vec<Value> {
    let text = net
        .0
        .ok(&["node", "list", "--config", config, "--output", "json"]);
    json(&text).as_array().unwrap().clone()
}

fn link(net: &Net, config: &str, name: &str) -> Option<bool> {
    let all = list(net, config);
    let one = all.iter().find(|peer| peer["name"] == name)?;
    one["connected"].as_bool()
}

/// Has the first node admit the one that joins.
fn admit(net: &Net) {
    let admit = ["node", "admit", "--config", NODE0];
    net.0
        .ok(&[&admit[..], &["--request", "late/request.json"]].concat());
}

#[test]
fn a_node_joins_by_one_file_follows_and_is_removed_again() {
    let net = Net::new();
    let (rpc, p2p) = (free_ports(2).to_string(), free_ports(2).to_string());
    let up = [
        "up",
        "--nodes",
        "2",
        "--rpc-port",
        &rpc,
        "--p2p-port",
        &p2p,
        "--suite",
        "sm",
    ];
    net.0.ok(&up);
    fs::write(net.0.path("file.txt"), "evidence").unwrap();
    let url = format!("http://127.0.0.1:{rpc}");
    net.0.ok(&[
        "evidence", "put", "file.txt", "--from", "test", "--rpc", &url,
    ]);

    // One file, which holds no secret.
    let invite = ["node", "invite", "--config", NODE0, "--role", "validator"];
    let invited = json(&net.0.ok(&[&invite[..], &["--output", "json"]].concat()));
    let bundle = fs::read_to_string(net.0.path("invitation.json")).unwrap();
    assert!(!bundle.contains("PRIVATE") && !bundle.contains("passphrase"));
    assert_eq!(json(&bundle)["peers"].as_array().unwrap().len(), 2);
    assert_eq!(net.0.run(&invite).code, 1, "no file is replaced");

    let ports = [free_ports(1), free_ports(1), free_ports(1)].map(|p| format!("127.0.0.1:{p}"));
    let hash = invited["hash"].as_str().unwrap();
    let join = |bundle: &str, home: &str, hash: &str| {
        net.0.run(&[
            "node",
            "join",
            bundle,
            "--home",
            home,
            "--name",
            "late",
            "--hash",
            hash,
            "--address",
            &ports[0],
            "--listen",
            &ports[0],
            "--rpc",
            &ports[1],
            "--metrics",
            &ports[2],
            "--output",
            "json",
        ])
    };
    // A file that was changed on its way is noticed.
    fs::write(
        net.0.path("changed.json"),
        bundle.replace("\"issuer\": \"node0\"", "\"issuer\": \"nodeX\""),
    )
    .unwrap();
    let refused = join("changed.json", "late", hash);
    assert_eq!(refused.code, 5, "{}", refused.text);
    assert!(!net.0.path("late").exists());
    let joined = join("invitation.json", "late", hash);
    assert_eq!(joined.code, 0, "{}", joined.text);
    let said = json(&joined.stdout);
    assert!(said["voteKey"].as_str().unwrap().starts_with("sm2:"));
    assert_eq!(join("invitation.json", "late", hash).code, 1);

    // Its organisation's authority certifies it, and the others learn of that authority.
    let secret = ["--passphrase-file", ".hawser/passphrase"];
    let create = ["cert", "create", "--dir", "ca", "--org", "late"];
    net.0.ok(&[&create[..], &secret].concat());
    let issue = [
        "cert",
        "issue",
        "--dir",
        "ca",
        "--request",
        "late/node.csr",
        "--profile",
        "node",
        "--to",
        "late/certs/node.pem",
    ];
    net.0.ok(&[&issue[..], &secret].concat());
    for home in [".hawser/node0", ".hawser/node1", "late"] {
        let roots = net.0.path(home).join("certs/trust/roots/late.pem");
        fs::copy(net.0.path("ca/certificate.pem"), roots).unwrap();
    }

    // Nobody has admitted it: it starts, and is alone.
    let config = "late/node.toml";
    let _late = net.0.node(config);
    let late_url = format!("http://{}", ports[1]);
    let height = || {
        let run = net
            .0
            .run(&["chain", "info", "--rpc", &late_url, "--output", "json"]);
        (run.code == 0).then(|| json(&run.stdout)["height"].as_u64().unwrap())
    };
    until("the new node answers", || height().is_some());
    assert_eq!(height(), Some(0));
    assert_eq!(link(&net, config, "node0"), Some(false));

    // Admitted by one node that runs, it follows.
    admit(&net);
    until("the new node has the chain", || height() > Some(0));
    until("the link shows", || link(&net, NODE0, "late") == Some(true));
    let verify = ["evidence", "verify", "file.txt", "--rpc", &late_url];
    until("the new node knows the record", || {
        net.0.run(&verify).code == 0
    });

    // Removed, its link is closed; a restart does not bring it back.
    net.0.ok(&["node", "remove", "--config", NODE0, "late"]);
    until("the link is gone", || {
        link(&net, config, "node0") == Some(false)
    });
    assert_eq!(link(&net, NODE0, "late"), None);
    let again = ["node", "remove", "--config", NODE0, "late"];
    assert_eq!(net.0.run(&again).code, 5);
}

#[test]
fn what_cannot_be_a_request_or_an_invitation_is_refused() {
    let net = Hawser::new();
    let (rpc, p2p) = (free_ports(1).to_string(), free_ports(1).to_string());
    let ports = ["--rpc-port", &rpc, "--p2p-port", &p2p];
    net.ok(&[&["init", "--dir", "net", "--nodes", "1"], &ports[..]].concat());
    net.ok(&[&["init", "--dir", "other", "--nodes", "1"], &ports[..]].concat());
    let config = "net/node0/node.toml";
    for (name, text) in [
        ("empty.json", ""),
        ("list.json", "[]"),
        (
            "genesis.json",
            &fs::read_to_string(net.path("net/genesis.json")).unwrap(),
        ),
    ] {
        fs::write(net.path(name), text).unwrap();
        let join = [
            "node",
            "join",
            name,
            "--home",
            "new",
            "--address",
            "127.0.0.1:1",
        ];
        assert_eq!(net.run(&join).code, 3, "{name}");
        let admit = ["node", "admit", "--config", config, "--request", name];
        assert_eq!(net.run(&admit).code, 3, "{name}");
    }
    // A request for another chain than this node hosts.
    net.ok(&["node", "invite", "--config", "other/node0/node.toml"]);
    net.ok(&[
        "node",
        "join",
        "invitation.json",
        "--home",
        "new",
        "--address",
        "127.0.0.1:1",
    ]);
    let admit = [
        "node",
        "admit",
        "--config",
        config,
        "--request",
        "new/request.json",
    ];
    let run = net.run(&admit);
    assert_eq!(run.code, 3, "{}", run.text);
    assert!(run.text.contains("does not host"), "{}", run.text);
    // Half a peer, no address, the node itself.
    let id = "ab".repeat(32);
    let bad: [&[&str]; 3] = [
        &["--id", &id],
        &["--id", &id, "--address", "nowhere"],
        &["--id", "zz", "--address", "127.0.0.1:1"],
    ];
    for arguments in bad {
        let run = net.run(&[&["node", "admit", "--config", config], arguments].concat());
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.text);
    }
    assert!(!net.path("net/node0/data/peers.json").exists());
}

#[test]
fn an_observer_is_no_part_of_a_quorum_and_keeps_nothing_from_coming_up() {
    let net = Net::new();
    let ports = Ports::free(4);
    let up = || net.0.run_at(ports, &["up", "--nodes", "4"]);
    let first = up();
    assert_eq!(first.code, 0, "{}", first.text);
    net.0
        .ok(&["node", "invite", "--config", NODE0, "--role", "observer"]);
    let own = [free_ports(1), free_ports(1), free_ports(1)].map(|p| format!("127.0.0.1:{p}"));
    let join = [
        "node",
        "join",
        "invitation.json",
        "--home",
        "late",
        "--name",
        "late",
        "--address",
        &own[0],
        "--listen",
        &own[0],
        "--rpc",
        &own[1],
        "--metrics",
        &own[2],
    ];
    net.0.ok(&join);
    let _observer = net.0.node("late/node.toml");
    admit(&net);
    until("the observer is linked", || {
        link(&net, NODE0, "late") == Some(true)
    });
    let status = || json(&net.0.run(&["status", "--output", "json"]).stdout);
    let kill = |node: usize| {
        let pid = status()["nodes"][node]["pid"].to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        until("it is stopped", || {
            status()["nodes"][node]["state"] == "stopped"
        });
    };
    kill(3);
    let again = up();
    assert_eq!(again.code, 0, "{}", again.text);
    let node0 = &status()["nodes"][0];
    assert_eq!(
        (&node0["peers"], &node0["peersConfigured"]),
        (&4.into(), &4.into())
    );

    for node in [2, 3] {
        kill(node);
    }
    for node in [0, 1] {
        until("the lost quorum is told", || {
            let report = status()["nodes"][node].clone();
            let waiting = report["waiting"].to_string();
            report["state"] == "waiting"
                && waiting.contains("2 of the 3 validators that a quorum needs")
        });
    }
}
