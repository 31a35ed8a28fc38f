//! The real binary: exit codes, what it refuses, and what it writes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{Hawser, json};

#[test]
fn exit_codes_tell_failures_apart() {
    let hawser = Hawser::new();
    for (arguments, code) in [
        (&["--version"][..], 0),
        (&["help-me"], 2),
        (&["up", "--suite", "klingon"], 2),
        (&["start", "--config", "missing.toml"], 3),
        (&["chain", "info", "--rpc", "http://127.0.0.1:1"], 4),
        (&["status"], 5),
        (&["keys", "show", "nobody"], 5),
        (&["evidence", "check", "missing.json"], 5),
        (&["chain", "info", "--rpc", "ftp://127.0.0.1:1"], 2),
        (&["chain", "info", "--rpc", "https://127.0.0.1:1"], 4),
        (
            &[
                "tx",
                "send",
                "--to",
                "0x00000000000000000000000000000000000000aa",
                "--rpc",
                "http://127.0.0.1:1",
            ],
            4,
        ),
    ] {
        let run = hawser.run(arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.text);
        assert!(!run.text.contains("panicked"), "{}", run.text);
    }
    let run = hawser.run(&["status", "--output", "json"]);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(error["error"]["code"], 5);
    assert_eq!(run.stdout, "");
}

#[test]
fn help_shows_examples_and_the_exit_codes() {
    let hawser = Hawser::new();
    let help = hawser.ok(&["--help"]);
    assert!(
        help.contains("Exit codes:") && help.contains("hawser evidence put"),
        "{help}"
    );
    let start = hawser.ok(&["start", "--help"]);
    assert!(start.contains("--rpc-http") && start.contains("--storage-history-blocks"));
    assert!(
        !hawser
            .ok(&["start", "-h"])
            .contains("--storage-history-blocks")
    );
    assert!(hawser.ok(&["completions", "bash"]).contains("_hawser"));
}

#[test]
fn a_network_for_this_machine_is_complete_and_consistent() {
    let hawser = Hawser::new();
    let made = json(&hawser.ok(&[
        "init", "--dir", "net", "--nodes", "3", "--suite", "sm", "--output", "json",
    ]));
    assert_eq!(
        (made["nodes"].as_u64(), made["suite"].as_str()),
        (Some(3), Some("sm"))
    );
    for node in 0..3 {
        let checked = hawser.ok(&[
            "config",
            "check",
            &format!("net/node{node}/node.toml"),
            "--output",
            "json",
        ]);
        assert_eq!(json(&checked)["problems"], serde_json::json!([]));
    }
    let again = hawser.run(&["init", "--dir", "net"]);
    assert_eq!(again.code, 1);
    assert!(
        again.stderr.contains("exists already; nothing was changed"),
        "{}",
        again.stderr
    );
    // Nothing secret lies open.
    for file in [
        "passphrase",
        "node0/keys/vote.pem",
        "node0/keys/identity.pem",
        "keystore/test.json",
    ] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(hawser.path("net").join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
}

#[test]
fn a_network_for_other_hosts_needs_a_passphrase_and_knows_its_peers() {
    let hawser = Hawser::new();
    let hosts = [
        "init",
        "--dir",
        "net",
        "--hosts",
        "10.0.0.1,10.0.0.2,b.example",
    ];
    let refused = hawser.run(&hosts);
    assert_eq!(refused.code, 2, "{}", refused.text);
    assert!(refused.stderr.contains("--passphrase-file"));
    fs::write(hawser.path("p"), "a passphrase\n").unwrap();
    let text = hawser.ok(&[&hosts[..], &["--passphrase-file", "p"]].concat());
    assert!(
        text.contains("scp -rp") && text.contains("b.example:hawser"),
        "{text}"
    );
    assert!(!hawser.path("net/passphrase").exists());
    let config = fs::read_to_string(hawser.path("net/node1/node.toml")).unwrap();
    assert!(config.contains("\"10.0.0.1:9545\"") && config.contains("\"b.example:9545\""));
    assert!(
        !config.contains("\"10.0.0.2:9545\""),
        "a node is not its own peer"
    );
    let run = hawser.run_with(
        &["config", "check", "net/node1/node.toml"],
        &[("HAWSER_PASSPHRASE_FILE", "p")],
    );
    assert_eq!(run.code, 0, "{}", run.text);
    fs::write(hawser.path("wrong"), "another one\n").unwrap();
    let run = hawser.run_with(
        &["config", "check", "net/node1/node.toml"],
        &[("HAWSER_PASSPHRASE_FILE", "wrong")],
    );
    assert_eq!(run.code, 3);
    assert!(run.stdout.contains("wrong passphrase"), "{}", run.text);
    let odd = hawser.run(&[
        "init",
        "--dir",
        "other",
        "--hosts",
        "a b",
        "--passphrase-file",
        "p",
    ]);
    assert_eq!(odd.code, 2);
    // A file that is there is named, and stays.
    let export = ["keys", "export", "net/node0/keys/vote.pem", "--to", "p"];
    let more = ["--passphrase-file", "p", "--new-passphrase-file", "p"];
    let export = hawser.run(&[&export[..], &more].concat());
    assert!(
        export.code == 1 && export.text.contains("p is there already"),
        "{}",
        export.text
    );
}

#[test]
fn one_broken_configuration_does_not_hide_the_other_nodes() {
    let hawser = Hawser::new();
    hawser.ok(&["init", "--dir", "net", "--nodes", "2"]);
    let broken = hawser.path("net/node0/node.toml");
    let text = fs::read_to_string(&broken).unwrap();
    fs::write(&broken, format!("colour = \"red\"\n{text}")).unwrap();
    let run = |command: &str| hawser.run(&[command, "--home", "net"]);
    for (command, code, known) in [
        ("status", 3, "node1  "),
        ("doctor", 1, "node1 does not run"),
        ("down", 3, "No node was running"),
    ] {
        let run = run(command);
        assert_eq!(run.code, code, "{command}: {}", run.text);
        assert!(
            run.text.contains("colour") && run.stdout.contains(known),
            "{command}: {}",
            run.text
        );
    }
    let up = run("up");
    assert!(up.code == 3 && up.text.contains("colour"), "{}", up.text);
}

#[test]
fn a_wrong_passphrase_beside_the_keystore_is_named() {
    let hawser = Hawser::new();
    hawser.ok(&["init", "--dir", "net", "--nodes", "1"]);
    let export = ["keys", "export", "test", "--reveal", "--home", "net"];
    hawser.ok(&export);
    fs::write(hawser.path("net/passphrase"), "another one\n").unwrap();
    let run = hawser.run(&export);
    assert!(
        run.code == 3
            && run.text.contains("wrong passphrase")
            && run.text.contains("net/passphrase"),
        "{}",
        run.text
    );
}

#[test]
fn a_node_goes_on_where_nobody_reads_its_log() {
    let hawser = Hawser::new();
    let ports = hawser.init("net", 1, &[]);
    let mut node = std::process::Command::new(env!("CARGO_BIN_EXE_hawser"))
        .args(["start", "--config", "net/node0/node.toml"])
        .current_dir(hawser.path("."))
        .env_remove("HAWSER_LOG")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(node.stderr.take());
    let url = ports.url();
    common::until("it answers", || {
        assert_eq!(node.try_wait().unwrap(), None, "it runs");
        hawser.run(&["chain", "info", "--rpc", &url]).code == 0
    });
    let pid = node.id().to_string();
    let kill = std::process::Command::new("kill").arg(pid).status();
    assert!(kill.unwrap().success());
    assert!(node.wait().unwrap().success(), "it stops cleanly");
}

#[test]
fn config_check_finds_what_keeps_a_node_from_starting() {
    let hawser = Hawser::new();
    hawser.ok(&["init", "--dir", "net", "--nodes", "2"]);
    let node = hawser.path("net/node0");
    let problems = || {
        let run = hawser.run(&["config", "check", "net/node0/node.toml", "--output", "json"]);
        assert_eq!(run.code, 3, "{}", run.text);
        json(&run.stdout)["problems"].to_string()
    };
    let vote = fs::read_to_string(node.join("keys/vote.pem")).unwrap();
    fs::copy(node.join("keys/identity.pem"), node.join("keys/vote.pem")).unwrap();
    // A key that is not in the genesis may become a validator's by a later proposal.
    hawser.ok(&["config", "check", "net/node0/node.toml"]);
    fs::write(node.join("keys/vote.pem"), "rubbish").unwrap();
    assert!(problems().contains("not a key file"));
    fs::remove_file(node.join("keys/vote.pem")).unwrap();
    assert!(problems().contains("is missing"));
    fs::write(node.join("keys/vote.pem"), vote).unwrap();
    // What only a start looked at.
    let with = |variables: &[(&str, &str)]| {
        let check = ["config", "check", "net/node0/node.toml"];
        let run = hawser.run_with(&check, variables);
        assert_eq!(run.code, 3, "{}", run.text);
        run.stdout
    };
    let told = with(&[("HAWSER_LOG_LEVEL", "verbose")]);
    assert!(
        told.contains("problem: log.level: ") && told.contains("names no level"),
        "{told}"
    );
    let secret = hawser.path("secret");
    let tier = [
        ("HAWSER_TIER_STORE", "s3"),
        ("HAWSER_TIER_ENDPOINT", "http://127.0.0.1:1"),
        ("HAWSER_TIER_BUCKET", "bucket"),
        ("HAWSER_TIER_PREFIX", "node0"),
        ("HAWSER_TIER_CREDENTIALS_FILE", secret.to_str().unwrap()),
    ];
    let told = with(&tier);
    assert!(
        told.contains("problem: tier: ") && told.contains("No such file"),
        "{told}"
    );
    let lines = "aws_access_key_id = a\naws_secret_access_key = b\n";
    fs::write(&secret, lines).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let told = with(&tier);
    assert!(told.contains("chmod 600"), "{told}");
    let told = with(&[("HAWSER_NETWORK_LISTEN", "192.0.2.1:1")]);
    assert!(told.contains("no address of this machine"), "{told}");
    fs::write(node.join("genesis.json"), "{").unwrap();
    assert!(problems().contains("genesis is not readable"));
    fs::remove_file(node.join("genesis.json")).unwrap();
    assert!(problems().contains("cannot read"));
    let template = hawser.ok(&["config", "template"]);
    fs::write(hawser.path("t.toml"), template).unwrap();
    assert_eq!(
        hawser.run(&["config", "check", "t.toml"]).code,
        3,
        "it names no chain yet"
    );
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_not_waited_for() {
    let hawser = Hawser::new();
    hawser.init("net", 1, &[]);
    let pipe = hawser.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    // Whoever waits for a writer all the same gets one in the end.
    let (_done, ended) = std::sync::mpsc::channel::<()>();
    let writer = pipe.clone();
    std::thread::spawn(move || {
        while ended.recv_timeout(std::time::Duration::from_secs(20))
            == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            drop(fs::OpenOptions::new().write(true).open(&writer));
        }
    });
    let refused = |arguments: &[&str], variables: &[(&str, &str)], code: i32| {
        let run = hawser.run_with(arguments, variables);
        assert!(
            run.code == code && run.text.contains("not a regular file"),
            "{arguments:?}: {} {}",
            run.code,
            run.text
        );
    };
    for (arguments, code) in [
        (&["config", "check", "pipe"][..], 3),
        (&["start", "--config", "pipe"], 3),
        (&["evidence", "check", "pipe"], 3),
        (&["policy", "check", "pipe"], 3),
        (&["cert", "inspect", "pipe"], 3),
        (
            &["node", "join", "pipe", "--home", "new", "--address", "h:1"],
            3,
        ),
    ] {
        refused(arguments, &[], code);
    }
    let start = ["start", "--config", "net/node0/node.toml"];
    let passphrase = [("HAWSER_PASSPHRASE_FILE", "pipe")];
    refused(&start, &passphrase, 3);
    let genesis = hawser.path("net/node0/genesis.json");
    fs::remove_file(&genesis).unwrap();
    fs::hard_link(&pipe, genesis).unwrap();
    refused(&start, &[], 3);
    let check = ["config", "check", "net/node0/node.toml"];
    refused(&check, &[], 3);
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let hawser = Hawser::new();
    hawser.init("net", 1, &[]);
    let start = |name: &str, value: &str| {
        let run = hawser.run_with(
            &["start", "--config", "net/node0/node.toml"],
            &[(name, value)],
        );
        (run.code, run.text)
    };
    let (code, text) = start("HAWSER_RPC_HTPP", "x");
    assert!(
        code == 3 && text.contains("did you mean `HAWSER_RPC_HTTP`?"),
        "{text}"
    );
    let (code, text) = start("HAWSER_LOG", "inof");
    assert!(code == 3 && text.contains("names no level"), "{text}");
    let (code, text) = start("HAWSER_PASSPHRASE_FILE", "nowhere");
    assert!(code == 3 && text.contains("nowhere"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = start("HAWSER_RPC_HTTP", &address);
    assert!(
        code == 1 && text.contains(&address) && text.contains("--rpc-http"),
        "{text}"
    );
    assert!(
        text.contains(&format!("(pid {})", std::process::id())),
        "{text}"
    );
    let other = Hawser::new();
    other.ok(&["init", "--dir", "net", "--nodes", "1", "--suite", "sm"]);
    fs::copy(
        other.path("net/genesis.json"),
        hawser.path("net/node0/genesis.json"),
    )
    .unwrap();
    let (code, text) = start("HAWSER_LOG", "info");
    assert!(code == 3 && text.contains("votes with sm2"), "{text}");
}

#[test]
fn keys_are_made_listed_exported_and_imported() {
    let hawser = Hawser::new();
    fs::write(hawser.path("p"), "passphrase one\n").unwrap();
    fs::write(hawser.path("q"), "passphrase two\n").unwrap();
    let with = ["--passphrase-file", "p"];
    for scheme in ["sm2", "ed25519"] {
        let made = json(
            &hawser.ok(&[
                &[
                    "keys", "new", "--name", scheme, "--scheme", scheme, "--output", "json",
                ],
                &with[..],
            ]
            .concat()),
        );
        let secret = hawser.ok(&[&["keys", "export", scheme, "--reveal"], &with[..]].concat());
        assert!(
            secret.starts_with(&format!("{scheme}:0x")),
            "only --reveal prints a secret"
        );
        let digits = secret.trim().rsplit("0x").next().unwrap().to_owned();
        assert!(!made.to_string().contains(&digits));
        hawser.ok(&[
            &[
                "keys",
                "export",
                scheme,
                "--to",
                "out.pem",
                "--new-passphrase-file",
                "q",
            ],
            &with[..],
        ]
        .concat());
        let copy = format!("{scheme}-copy");
        let imported = json(&hawser.ok(&[
            "keys",
            "import",
            "out.pem",
            "--old-passphrase-file",
            "q",
            "--name",
            &copy,
            "--passphrase-file",
            "p",
            "--output",
            "json",
        ]));
        assert_eq!(imported["address"], made["address"]);
        fs::remove_file(hawser.path("out.pem")).unwrap();
    }
    let listed = json(&hawser.ok(&["keys", "list", "--output", "json"]));
    assert_eq!(listed.as_array().unwrap().len(), 4);
    let wrong = hawser.run(&[
        "keys",
        "export",
        "sm2",
        "--reveal",
        "--passphrase-file",
        "q",
    ]);
    assert_eq!(wrong.code, 3);
    let taken = hawser.run(
        &[
            &["keys", "new", "--name", "sm2", "--scheme", "sm2"],
            &with[..],
        ]
        .concat(),
    );
    assert_eq!(taken.code, 1, "{}", taken.text);
}

#[test]
fn hostile_bundles_and_keys_are_refused_in_words() {
    let hawser = Hawser::new();
    for text in [
        "",
        "{",
        "[]",
        "{\"format\":\"hawser-evidence\"}",
        &"[".repeat(100_000),
        "\u{0}",
    ] {
        fs::write(hawser.path("b.json"), text).unwrap();
        let run = hawser.run(&["evidence", "check", "b.json"]);
        assert_eq!(run.code, 3, "{}", run.text);
        fs::write(hawser.path("k.json"), text).unwrap();
        let run = hawser.run(&["keys", "show", "k.json"]);
        assert_eq!(run.code, 3, "{}", run.text);
    }
}
