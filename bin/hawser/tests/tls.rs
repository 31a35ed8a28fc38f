//! A node that serves clients with TLS of either kind, by the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Hawser, Run, json, until};

/// A network of one node with TLS towards clients; stopped whatever happens.
struct Net {
    hawser: common::Net,
    port: u16,
}

/// An authority, and certificates from it for what is asked.
fn authority(hawser: &Hawser, dir: &str, org: &str, algorithm: &str) {
    let created = [
        "cert",
        "create",
        "--dir",
        dir,
        "--org",
        org,
        "--algorithm",
        algorithm,
        "--passphrase-file",
        "p",
    ];
    hawser.ok(&created);
}

fn issue(hawser: &Hawser, ca: &str, org: &str, algorithm: &str, name: &str, more: &[&str]) {
    let (key, request, to) = (
        format!("{name}.key"),
        format!("{name}.csr"),
        format!("{name}.pem"),
    );
    hawser.ok(&[
        "cert",
        "request",
        "--new-key",
        algorithm,
        "--key",
        &key,
        "--name",
        name,
        "--org",
        org,
        "--to",
        &request,
        "--passphrase-file",
        "p",
    ]);
    let issued = [
        "cert",
        "issue",
        "--dir",
        ca,
        "--request",
        &request,
        "--to",
        &to,
        "--passphrase-file",
        "p",
    ];
    hawser.ok(&[&issued, more].concat());
}

impl Net {
    /// `clients` is what the configuration says of client certificates, beyond whom to trust.
    fn up(suite: &str, algorithm: &str, init: &[&str], more: &[(&str, &str)]) -> Self {
        let hawser = common::Net::new();
        fs::write(hawser.path("p"), "a passphrase\n").unwrap();
        let ports = hawser.init(".hawser", 1, &[&["--suite", suite][..], init].concat());
        authority(&hawser, "ca", "Harbour", algorithm);
        let server = [
            "--profile",
            "tls-server",
            "--san",
            "127.0.0.1",
            "--san",
            "rpc.example",
        ];
        issue(&hawser, "ca", "Harbour", algorithm, "rpc", &server);
        // The node opens all its keys with one passphrase.
        let own = hawser.path(".hawser/passphrase");
        fs::copy(hawser.path("p"), hawser.path("old")).unwrap();
        hawser.ok(&[
            "cert",
            "request",
            "--new-key",
            algorithm,
            "--key",
            "node-rpc.key",
            "--name",
            "node-rpc",
            "--org",
            "Harbour",
            "--to",
            "node-rpc.csr",
            "--passphrase-file",
            own.to_str().unwrap(),
        ]);
        let issued = [
            "cert",
            "issue",
            "--dir",
            "ca",
            "--request",
            "node-rpc.csr",
            "--to",
            "node-rpc.pem",
            "--passphrase-file",
            "p",
        ];
        hawser.ok(&[&issued[..], &server].concat());
        let certificate = hawser.path("node-rpc.pem");
        let key = hawser.path("node-rpc.key");
        let config = hawser.path(".hawser/node0/node.toml");
        let text = fs::read_to_string(&config).unwrap();
        let mut rpc_keys = format!(
            "[rpc]\ntls_certificate = \"{}\"\ntls_key = \"{}\"\n",
            certificate.display(),
            key.display()
        );
        for (name, value) in more {
            rpc_keys.push_str(&format!("{name} = \"{value}\"\n"));
        }
        assert!(text.contains("[rpc]\n"), "{text}");
        fs::write(&config, text.replacen("[rpc]\n", &rpc_keys, 1)).unwrap();
        Self {
            hawser,
            port: ports.rpc,
        }
    }

    fn start(&self) {
        let run = self.hawser.run(&["up"]);
        assert_eq!(run.code, 0, "{}", run.text);
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn info(&self, url: &str, more: &[&str]) -> Run {
        let info = ["chain", "info", "--rpc", url];
        // Elsewhere, where no network of this machine vouches for the node.
        let away = [("HAWSER_HOME", "nowhere")];
        self.hawser.run_with(&[&info, more].concat(), &away)
    }
}

#[test]
fn commands_reach_a_node_with_tls_of_either_suite_and_name_what_is_wrong() {
    for (suite, algorithm) in [("sm", "sm2"), ("intl", "p256")] {
        let net = Net::up(suite, algorithm, &[], &[]);
        net.start();
        let hawser = &net.hawser;
        authority(hawser, "stranger", "Stranger", algorithm);
        let other = if algorithm == "sm2" { "p256" } else { "sm2" };
        authority(hawser, "other", "Harbour", other);

        // On the node's machine nothing needs to be said.
        let status = hawser.ok(&["status"]);
        assert!(status.contains(&net.url()), "{status}");
        assert_eq!(hawser.run(&["doctor"]).code, 0);
        hawser.ok(&["chain", "info", "--rpc", &net.url()]);
        let addressed = format!("https://localhost:{}", net.port);
        hawser.ok(&["chain", "info", "--rpc", &addressed]);

        // Elsewhere the authority has to be named.
        let known = net.info(&net.url(), &["--ca", "ca/certificate.pem"]);
        assert_eq!(known.code, 0, "{}", known.text);
        let by_variable = hawser.run_with(
            &["chain", "info", "--rpc", &net.url()],
            &[
                ("HAWSER_HOME", "nowhere"),
                ("HAWSER_CA", "ca/certificate.pem"),
            ],
        );
        assert_eq!(by_variable.code, 0, "{}", by_variable.text);
        let wss = format!("wss://127.0.0.1:{}", net.port);
        assert_eq!(net.info(&wss, &["--ca", "ca/certificate.pem"]).code, 0);
        let doctor = hawser.run(&["doctor", "--node", &net.url(), "--ca", "ca/certificate.pem"]);
        assert_eq!(doctor.code, 0, "{}", doctor.text);

        let plain = format!("http://127.0.0.1:{}", net.port);
        let serial = json(&hawser.ok(&["cert", "inspect", "node-rpc.pem", "--output", "json"]));
        let serial = serial[0]["serial"].as_str().unwrap().to_owned();
        hawser.ok(&[
            "cert",
            "revoke",
            "--dir",
            "ca",
            &serial,
            "--to",
            "crl.pem",
            "--passphrase-file",
            "p",
        ]);
        let with_list = "ca/certificate.pem,crl.pem";
        let cases: [(&str, &[&str], i32, &str); 7] = [
            (&net.url(), &[], 5, "--ca or HAWSER_CA"),
            (
                &net.url(),
                &["--ca", "stranger/certificate.pem"],
                5,
                "no trusted authority issued",
            ),
            (
                &net.url(),
                &["--ca", "other/certificate.pem"],
                5,
                "this network uses",
            ),
            (
                &addressed,
                &["--ca", "ca/certificate.pem"],
                5,
                "not for `localhost`",
            ),
            (&net.url(), &["--ca", with_list], 5, "was revoked"),
            (&plain, &[], 4, "speaks TLS: write https://"),
            (&net.url(), &["--ca", "p"], 3, "no certificate in PEM form"),
        ];
        for (url, more, code, words) in cases {
            let run = net.info(url, more);
            assert_eq!(run.code, code, "{words}: {}", run.text);
            assert!(run.stderr.contains(words), "{words}: {}", run.text);
        }
        let chinese = net.info(&plain, &["--lang", "zh"]);
        assert!(chinese.stderr.contains("使用 TLS"), "{}", chinese.text);

        // A port without TLS, and one for peers.
        let metrics = json(&hawser.ok(&["status", "--output", "json"]));
        assert_eq!(metrics["nodes"][0]["state"], "ready", "{metrics}");

        proxied(&net);

        // A certificate of the past.
        hawser.run(&["down"]);
    }
}

/// Ethereum tools reach the node through the proxy, HTTP and WebSocket alike.
fn proxied(net: &Net) {
    let mut child = Proxy(
        Command::new(env!("CARGO_BIN_EXE_hawser"))
            .args(["proxy", "--to", &net.url(), "--ca", "ca/certificate.pem"])
            .args([
                "--from",
                "test",
                "--listen",
                "127.0.0.1:0",
                "--output",
                "json",
            ])
            .current_dir(net.hawser.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    let out = child.0.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    let url = json(&line)["listen"].as_str().unwrap().to_owned();
    let info = net.info(&url, &[]);
    assert_eq!(info.code, 0, "{}", info.text);
    let https = url.replacen("http", "https", 1);
    let plain = net.info(&https, &["--ca", "ca/certificate.pem"]);
    assert_eq!(plain.code, 4, "{}", plain.text);
    assert!(
        plain.stderr.contains("answers without TLS"),
        "{}",
        plain.text
    );
}

struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Certificates of the key `name` in the network's keystore.
fn member(hawser: &Hawser, ca: &str, org: &str, name: &str, to: &str) {
    let key = format!(".hawser/keystore/{name}.pem");
    hawser.ok(&[
        "cert",
        "request",
        "--key",
        &key,
        "--name",
        name,
        "--org",
        org,
        "--to",
        "member.csr",
        "--passphrase-file",
        ".hawser/passphrase",
    ]);
    hawser.ok(&[
        "cert",
        "issue",
        "--dir",
        ca,
        "--request",
        "member.csr",
        "--profile",
        "user",
        "--to",
        to,
        "--passphrase-file",
        "p",
    ]);
}

#[test]
fn a_member_reads_by_certificate_and_others_are_told_why_not() {
    let signed = [("reads", "signed"), ("tls_client_trust_dir", "clients")];
    let net = Net::up("sm", "sm2", &["--governance"], &signed);
    let hawser = &net.hawser;
    let clients = hawser.path(".hawser/node0/clients");
    fs::create_dir_all(clients.join("roots")).unwrap();
    fs::create_dir_all(clients.join("crls")).unwrap();
    fs::copy(
        hawser.path("ca/certificate.pem"),
        clients.join("roots/a.pem"),
    )
    .unwrap();
    net.start();
    authority(hawser, "stranger", "Stranger", "sm2");
    member(hawser, "ca", "Harbour", "governor1", "governor.pem");
    member(hawser, "stranger", "Stranger", "governor1", "foreign.pem");
    issue(
        hawser,
        "ca",
        "Harbour",
        "sm2",
        "guest",
        &["--profile", "user"],
    );
    past(
        &hawser.path("ca"),
        &hawser.path("member.csr"),
        &hawser.path("old.pem"),
    );

    let ca = ["--ca", "ca/certificate.pem"];
    let governor = ".hawser/keystore/governor1.pem";
    let read = |certificate: &str, key: &str, passphrase: &str| {
        let own = [
            "--client-cert",
            certificate,
            "--client-key",
            key,
            "--client-passphrase-file",
            passphrase,
        ];
        net.info(&net.url(), &[&ca[..], &own].concat())
    };
    let nobody = net.info(&net.url(), &ca);
    assert!(
        nobody.code == 7 && nobody.stderr.contains("--reader"),
        "{}",
        nobody.text
    );
    let good = read("governor.pem", governor, ".hawser/passphrase");
    assert_eq!(good.code, 0, "{}", good.text);
    for (certificate, key, passphrase, code, words) in [
        // Believed, and not a member of the chain.
        ("guest.pem", "guest.key", "p", 7, "[-3204"),
        (
            "foreign.pem",
            governor,
            ".hawser/passphrase",
            7,
            "does not trust the authority",
        ),
        (
            "old.pem",
            governor,
            ".hawser/passphrase",
            7,
            "expired or not yet valid",
        ),
        ("governor.pem", "guest.key", "p", 3, "for another key"),
        ("governor.pem", governor, "p", 3, "passphrase"),
    ] {
        let run = read(certificate, key, passphrase);
        assert_eq!(run.code, code, "{certificate} {key}: {}", run.text);
        assert!(run.stderr.contains(words), "{words}: {}", run.text);
    }
    let half = net.info(&net.url(), &["--client-cert", "governor.pem"]);
    assert!(
        half.code == 2 && half.stderr.contains("--client-key"),
        "{}",
        half.text
    );

    // Revoked while the node runs.
    let shown = json(&hawser.ok(&["cert", "inspect", "governor.pem", "--output", "json"]));
    let serial = shown[0]["serial"].as_str().unwrap();
    let crl = clients.join("crls/a.pem");
    hawser.ok(&[
        "cert",
        "revoke",
        "--dir",
        "ca",
        serial,
        "--to",
        crl.to_str().unwrap(),
        "--passphrase-file",
        "p",
    ]);
    until("the revoked certificate is refused", || {
        read("governor.pem", governor, ".hawser/passphrase").code != 0
    });
    let gone = read("governor.pem", governor, ".hawser/passphrase");
    assert!(
        gone.code == 7 && gone.stderr.contains("is revoked"),
        "{}",
        gone.text
    );
}

/// A certificate for a request that has expired already.
fn past(ca: &Path, request: &Path, to: &Path) {
    use hawser_pki::{Authority, Moment, Profile, Request, Subject, Template, write_atomic};
    let mut authority = Authority::load(ca).unwrap();
    authority.unlock("a passphrase").unwrap();
    let request = Request::from_pem(&fs::read_to_string(request).unwrap()).unwrap();
    let template = Template {
        subject: Subject::new("governor1", "Harbour"),
        profile: Profile::User,
        names: Vec::new(),
        days: 1,
        path_len: None,
    };
    let then = Moment::now().minus_seconds(10 * 86_400);
    let issued = authority.issue(&request, &template, then).unwrap();
    write_atomic(to, &issued.to_pem(), false).unwrap();
}
