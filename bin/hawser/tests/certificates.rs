//! `hawser cert` by the real binary, and certificates on a running network.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Hawser, Net, Ports, json};

#[test]
fn an_organisation_runs_its_authority_from_the_root_to_a_revoked_node() {
    let hawser = Hawser::new();
    fs::write(hawser.path("p"), "a passphrase\n").unwrap();
    let with = ["--passphrase-file", "p"];
    let cert = |args: &[&str]| hawser.ok(&[&["cert"], args, &with[..]].concat());
    let plain = |args: &[&str]| hawser.run(&[&["cert"], args].concat());
    cert(&[
        "create",
        "--dir",
        "ca",
        "--org",
        "港口银行",
        "--country",
        "CN",
    ]);
    cert(&[
        "create",
        "--dir",
        "nodes",
        "--parent",
        "ca",
        "--name",
        "Nodes",
        "--path-len",
        "0",
    ]);
    let again = hawser.run(&[
        "cert", "create", "--dir", "ca", "--org", "x", with[0], with[1],
    ]);
    assert!(
        again.code == 2 && again.stderr.contains("holds an authority already"),
        "{}",
        again.text
    );
    let request = json(&cert(&[
        "request",
        "--new-key",
        "sm2",
        "--key",
        "key.pem",
        "--name",
        "node0",
        "--org",
        "港口银行",
        "--to",
        "node0.csr",
        "--output",
        "json",
    ]));
    assert!(
        !fs::read_to_string(hawser.path("key.pem"))
            .unwrap()
            .contains("BEGIN PRIVATE")
    );
    let issued = json(&cert(&[
        "issue",
        "--dir",
        "nodes",
        "--request",
        "node0.csr",
        "--profile",
        "node",
        "--to",
        "node0.pem",
        "--output",
        "json",
    ]));
    assert_eq!(issued["nodeId"], request["nodeId"]);
    assert_eq!(issued["profile"], "node");
    let inspected = json(&plain(&["inspect", "node0.pem", "--output", "json"]).stdout);
    assert_eq!(
        inspected.as_array().unwrap().len(),
        2,
        "the leaf and the intermediate"
    );
    assert_eq!(inspected[0]["serial"], issued["serial"]);
    let shown = plain(&["inspect", "node0.csr", "--lang", "zh"]).stdout;
    assert!(
        shown.contains("请求主体") && shown.contains("港口银行"),
        "{shown}"
    );

    // Trusted by its root, not without it, and not for everything.
    fs::create_dir_all(hawser.path("trust/roots")).unwrap();
    fs::create_dir_all(hawser.path("trust/crls")).unwrap();
    let judged = |code: i32, args: &[&str], words: &str| {
        let run = plain(&[&["check", "node0.pem"], args].concat());
        assert_eq!(run.code, code, "{}", run.text);
        assert!(run.text.contains(words), "{words}: {}", run.text);
    };
    judged(5, &[], "--trust");
    judged(3, &["--trust", "trust"], "no root certificate");
    fs::copy(
        hawser.path("ca/certificate.pem"),
        hawser.path("trust/roots/a.pem"),
    )
    .unwrap();
    judged(
        0,
        &["--trust", "trust"],
        "leads to the root of organisation `港口银行`",
    );
    judged(0, &["--trust", "trust", "--lang", "zh"], "证书链通向机构");
    cert(&[
        "request",
        "--key",
        "key.pem",
        "--name",
        "alice",
        "--org",
        "港口银行",
        "--to",
        "alice.csr",
    ]);
    cert(&[
        "issue",
        "--dir",
        "nodes",
        "--request",
        "alice.csr",
        "--profile",
        "user",
        "--to",
        "node0.pem",
    ]);
    judged(5, &["--trust", "trust"], "serverAuth");
    judged(
        0,
        &["--trust", "trust", "--purpose", "client"],
        "leads to the root",
    );

    // Renewed, revoked, listed.
    cert(&[
        "renew",
        "--dir",
        "nodes",
        "node0",
        "--days",
        "9",
        "--to",
        "node0.pem",
    ]);
    judged(0, &["--trust", "trust"], "leads to the root");
    cert(&[
        "revoke",
        "--dir",
        "nodes",
        "node0",
        "--reason",
        "key-compromise",
        "--to",
        "trust/crls/a.pem",
    ]);
    judged(5, &["--trust", "trust"], "was revoked at");
    judged(5, &["--trust", "trust", "--lang", "zh"], "吊销");
    let list = json(&plain(&["list", "--dir", "nodes", "--output", "json"]).stdout);
    let status: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["status"])
        .collect();
    // All of them are for one key.
    assert_eq!(status, ["revoked", "revoked", "revoked"]);
    let table = plain(&["list", "--dir", "nodes", "--lang", "zh"]).stdout;
    assert!(table.contains("已吊销"), "{table}");
    let crl = json(&cert(&["crl", "--dir", "nodes", "--output", "json"]));
    assert_eq!(
        (
            crl["number"].as_str(),
            crl["revoked"].as_array().unwrap().len()
        ),
        (Some("02"), 3)
    );
    let shown = plain(&["inspect", "nodes/crl.pem"]).stdout;
    assert!(shown.contains("key-compromise"), "{shown}");

    // What cannot be is refused with its own exit code.
    for (args, code, words) in [
        (&["list", "--dir", "nowhere"][..], 5, "holds no authority"),
        (
            &["inspect", "p"],
            3,
            "no certificate, request or revocation list",
        ),
        (&["inspect", "missing.pem"], 5, "cannot read"),
        (&["check", "127.0.0.1:1"], 4, "nobody answers"),
        (
            &[
                "revoke",
                "--dir",
                "nodes",
                "nobody",
                "--passphrase-file",
                "p",
            ],
            5,
            "no certificate `nobody`",
        ),
        (
            &[
                "create",
                "--dir",
                "x",
                "--org",
                "",
                "--passphrase-file",
                "p",
            ],
            2,
            "organisation",
        ),
    ] {
        let run = plain(args);
        assert_eq!(run.code, code, "{args:?}: {}", run.text);
        assert!(run.text.contains(words), "{args:?}: {}", run.text);
    }
}

#[test]
fn a_local_sm_network_links_by_rfc_8998_and_drops_a_revoked_node() {
    let net = Net::new();
    let hawser = &net.0;
    let ports = Ports::free(2);
    let run = hawser.run_at(ports, &["up", "--suite", "sm", "--nodes", "2"]);
    assert_eq!(run.code, 0, "{}", run.text);
    let status = |until: &dyn Fn(&serde_json::Value) -> bool| {
        let started = Instant::now();
        loop {
            let run = hawser.run(&["status", "--output", "json"]);
            let value = json(&run.stdout);
            if until(&value) {
                return started.elapsed();
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{value}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let suite = serde_json::json!(["TLS_SM4_GCM_SM3"]);
    status(&|value| (0..2).all(|i| value["nodes"][i]["cipherSuites"] == suite));
    let table = hawser.ok(&["status"]);
    assert!(table.contains("TLS_SM4_GCM_SM3"), "{table}");
    // The check explains both success and failure.
    let at = format!("127.0.0.1:{}", ports.p2p);
    let trust = ".hawser/node1/certs/trust";
    let check =
        |more: &[&str]| hawser.run(&[&["cert", "check", &at, "--trust", trust], more].concat());
    let good = check(&[
        "--certificate",
        ".hawser/node1/certs/node.pem",
        "--key",
        ".hawser/node1/keys/identity.pem",
    ]);
    assert!(
        good.code == 0 && good.text.contains("TLS_SM4_GCM_SM3"),
        "{}",
        good.text
    );
    let bare = check(&["--lang", "zh"]);
    assert!(
        bare.code == 5 && bare.text.contains("要求出示证书"),
        "{}",
        bare.text
    );
    // Renewal while running.
    let ca = ".hawser/authorities/org1";
    hawser.ok(&[
        "cert",
        "renew",
        "--dir",
        ca,
        "node1",
        "--to",
        ".hawser/node1/certs/node.pem",
    ]);
    // Revocation takes the renewed certificate and the first one, which are for the same key.
    hawser.ok(&[
        "cert",
        "revoke",
        "--dir",
        ca,
        "node1",
        "--to",
        ".hawser/node0/certs/trust/crls/org1.pem",
    ]);
    let none = serde_json::json!([]);
    let took = status(&|value| value["nodes"][0]["cipherSuites"] == none);
    println!(
        "from revocation to disconnection as `hawser status` sees it: {} ms",
        took.as_millis()
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
}
