//! A network whose reads are signed, by the real binary: commands, proxy, audit log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Hawser, Run, free_ports, json};
use serde_json::Value;

const SIGNED: (&str, &str) = ("HAWSER_RPC_READS", "signed");
const DEADLINE: Duration = Duration::from_secs(30);

/// A network of one node whose reads are signed; stopped whatever happens.
struct Net {
    hawser: Hawser,
    url: String,
}

impl Net {
    fn up(suite: &str) -> Self {
        let hawser = Hawser::new();
        let (rpc, p2p) = (free_ports(1), free_ports(1).to_string());
        let port = rpc.to_string();
        let run = hawser.run_with(
            &[
                "up",
                "--nodes",
                "1",
                "--suite",
                suite,
                "--rpc-port",
                &port,
                "--p2p-port",
                &p2p,
            ],
            &[SIGNED],
        );
        assert_eq!(run.code, 0, "{}", run.text);
        Self {
            hawser,
            url: format!("http://127.0.0.1:{rpc}"),
        }
    }

    /// Runs a command with the test account as reader.
    fn read(&self, arguments: &[&str]) -> Run {
        self.hawser
            .run(&[arguments, &["--rpc", &self.url, "--reader", "test"]].concat())
    }

    fn audit(&self, arguments: &[&str]) -> Run {
        self.hawser.run(&[&["audit"], arguments].concat())
    }

    fn log(&self) -> PathBuf {
        self.hawser.path(".hawser/node0/data/audit")
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.hawser.run(&["down"]);
    }
}

/// A running proxy; killed whatever happens.
struct Proxy {
    child: Child,
    url: String,
}

impl Proxy {
    fn start(net: &Net, to: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hawser"))
            .args([
                "proxy",
                "--to",
                to,
                "--from",
                "test",
                "--listen",
                "127.0.0.1:0",
            ])
            .args(["--output", "json"])
            .current_dir(net.hawser.path("."))
            .env_remove("HAWSER_RPC")
            .env_remove("HAWSER_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let url = json(&line)["listen"].as_str().unwrap().to_owned();
        Self { child, url }
    }

    /// Posts a body; gives status and answer.
    fn post(&self, body: &str, headers: &str) -> (u16, Value) {
        post(&self.url, body, headers)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A request by hand, so that every header is as it says here.
fn post(url: &str, body: &str, headers: &str) -> (u16, Value) {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let host_line = if headers.contains("host:") {
        String::new()
    } else {
        format!("host: {host}\r\n")
    };
    let request = format!(
        "POST / HTTP/1.1\r\n{host_line}connection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

/// A page, with its headers.
fn get(url: &str, path: &str) -> String {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

const JSON: &str = "content-type: application/json\r\n";
const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":7,"method":"eth_chainId"}"#;

#[test]
fn commands_read_with_a_key_and_the_log_shows_who_was_refused() {
    for suite in ["intl", "sm"] {
        let net = Net::up(suite);
        // The commands of a local network find their key by themselves.
        assert_eq!(net.hawser.run(&["status"]).code, 0);
        assert_eq!(net.hawser.run(&["doctor"]).code, 0);
        let refused = net.hawser.run(&["chain", "info", "--rpc", &net.url]);
        assert_eq!(refused.code, 7, "{}", refused.text);
        assert!(refused.stderr.contains("--reader"), "{}", refused.text);
        let read = net.read(&["chain", "info"]);
        assert_eq!(read.code, 0, "{}", read.text);

        // An account that is shut out while the node runs.
        let test = net.hawser.ok(&["keys", "show", "test", "--output", "json"]);
        let account = json(&test)["address"].as_str().unwrap().to_owned();
        fs::write(
            net.hawser.path(".hawser/node0/revoked-readers"),
            format!("{account} left\n"),
        )
        .unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            let run = net.read(&["chain", "info"]);
            if run.code == 7 && run.stderr.contains("revoked") {
                break;
            }
            assert!(Instant::now() < end, "{}", run.text);
        }
        fs::remove_file(net.hawser.path(".hawser/node0/revoked-readers")).unwrap();

        assert_eq!(net.hawser.run(&["down"]).code, 0);
        let denied = net.audit(&["list", "--decision", "denied", "--output", "json"]);
        let denied = json(&denied.stdout);
        let rules: Vec<_> = denied
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["entry"]["rule"].as_str().unwrap())
            .collect();
        assert!(
            rules.contains(&"auth.unsigned") && rules.contains(&"reads.revoked"),
            "{rules:?}"
        );
        let admin = net.audit(&["list", "--kind", "admin"]);
        assert!(
            admin.stdout.contains("node start") && admin.stdout.contains("node stop"),
            "{}",
            admin.text
        );
        assert!(admin.stdout.contains("reads signed"), "{}", admin.text);
        let chinese = net.audit(&["list", "--who", &account, "--lang", "zh"]);
        assert!(
            chinese.stdout.contains("允许") && chinese.stdout.contains("拒绝"),
            "{}",
            chinese.text
        );

        let good = net.audit(&["verify", "--output", "json"]);
        assert_eq!(good.code, 0, "{}", good.text);
        let head = &json(&good.stdout)["report"]["head"];
        let head = format!("{}:{}", head["n"], head["hash"].as_str().unwrap());
        assert_eq!(net.audit(&["verify", "--head", &head]).code, 0);
        let csv = net.hawser.path("out.csv");
        let to = csv.to_str().unwrap();
        assert_eq!(
            net.audit(&[
                "export",
                "--format",
                "csv",
                "--to",
                to,
                "--decision",
                "denied"
            ])
            .code,
            0
        );
        assert!(fs::read_to_string(&csv).unwrap().contains("auth.unsigned"));
        let exported = net.audit(&["export", "--format", "json"]);
        assert!(json(&exported.stdout).as_array().unwrap().len() > 5);

        tamper(&net.log());
        let bad = net.audit(&["verify"]);
        assert_eq!(bad.code, 5, "{}", bad.text);
        assert!(bad.stdout.contains("was changed"), "{}", bad.text);
        // The node does not go on with it, and says what to do.
        let again = net.hawser.run_with(&["up"], &[SIGNED]);
        assert_eq!(again.code, 1, "{}", again.text);
        assert!(again.stderr.contains("audit.dir"), "{}", again.text);
    }
}

/// Changes one decision in the log.
fn tamper(dir: &Path) {
    let path = dir.join("audit-00000001.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"denied\"", "\"allowed\"", 1)).unwrap();
}

#[test]
fn a_printed_token_reads_until_it_is_given_back_and_never_on_another_node() {
    let net = Net::up("sm");
    let login = ["login", "--from", "test", "--rpc", &net.url];
    let run = net.hawser.run(&login);
    assert_eq!(run.code, 0, "{}", run.text);
    // Nothing but the token on standard output; what it is good for beside it, without it.
    let token = run.stdout.trim();
    assert!(!token.contains(char::is_whitespace) && token.len() > 100);
    assert!(run.stderr.contains("UTC") && !run.stderr.contains(token));
    let bearer = format!("authorization: Bearer {token}\r\n{JSON}");
    let (status, answer) = post(&net.url, CHAIN_ID, &bearer);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(post(&net.url, CHAIN_ID, JSON).0, 401);

    let other = Net::up("sm");
    assert_eq!(post(&other.url, CHAIN_ID, &bearer).0, 401);

    let logout = r#"{"jsonrpc":"2.0","id":1,"method":"hawser_logout"}"#;
    assert_eq!(post(&net.url, logout, &bearer).0, 200);
    let (status, answer) = post(&net.url, CHAIN_ID, &bearer);
    assert_eq!(status, 401);
    assert_eq!(answer["error"]["data"]["rule"], "auth.token-revoked");

    let run = net
        .hawser
        .run(&[&login[..], &["--output", "json"]].concat());
    let json = json(&run.stdout);
    assert!(
        json["token"].is_string() && json["expires"].is_u64(),
        "{json}"
    );
    let nobody = net
        .hawser
        .run(&["login", "--from", "nobody", "--rpc", &net.url]);
    assert_ne!(nobody.code, 0);
}

#[test]
fn ethereum_tools_reach_the_chain_through_the_proxy() {
    let net = Net::up("intl");
    let (status, answer) = post(&net.url, CHAIN_ID, JSON);
    assert_eq!(
        (status, answer["error"]["code"].as_i64()),
        (401, Some(-32040))
    );
    let mut proxy = Proxy::start(&net, &net.url);
    let (status, answer) = proxy.post(CHAIN_ID, JSON);
    assert_eq!((status, &answer["id"]), (200, &Value::from(7)), "{answer}");
    assert!(answer["result"].is_string(), "{answer}");
    let own = format!(
        "host: localhost:{}\r\n{JSON}",
        proxy.url.rsplit(':').next().unwrap()
    );
    assert_eq!(proxy.post(CHAIN_ID, &own).0, 200);
    // What a browser would send for a page elsewhere.
    for foreign in [
        format!("origin: https://evil.example\r\n{JSON}"),
        format!("origin: null\r\n{JSON}"),
        format!("host: evil.example\r\n{JSON}"),
    ] {
        let (status, answer) = proxy.post(CHAIN_ID, &foreign);
        assert_eq!(status, 403, "{foreign}: {answer}");
    }
    assert_eq!(proxy.post(CHAIN_ID, "content-type: text/plain\r\n").0, 415);
    assert_eq!(
        proxy
            .post(
                CHAIN_ID,
                &format!("origin: chrome-extension://abc\r\n{JSON}")
            )
            .0,
        200
    );
    // The node's own pages come through, and may ask here, as nobody else's may.
    let page = get(&proxy.url, "/");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.to_ascii_lowercase().contains("<!doctype html"));
    assert!(page.contains("content-security-policy: "), "{page}");
    let ours = format!("origin: {}\r\n{JSON}", proxy.url);
    assert_eq!(proxy.post(CHAIN_ID, &ours).0, 200);
    let other = format!("origin: http://127.0.0.1:1\r\n{JSON}");
    assert_eq!(proxy.post(CHAIN_ID, &other).0, 403);
    assert!(get(&proxy.url, "/../etc/passwd").starts_with("HTTP/1.1 404"));
    ethers(&proxy);

    // A restart of the node ends all tokens; the proxy gets another one.
    assert_eq!(net.hawser.run(&["down"]).code, 0);
    let (status, answer) = proxy.post(CHAIN_ID, JSON);
    assert_eq!((status, &answer["id"]), (200, &Value::from(7)));
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(
        said.contains("does not answer") && said.contains(&net.url),
        "{said}"
    );
    let up = net.hawser.run_with(&["up"], &[SIGNED]);
    assert_eq!(up.code, 0, "{}", up.text);
    let (_, answer) = proxy.post(CHAIN_ID, JSON);
    assert!(answer["result"].is_string(), "{answer}");
    assert!(proxy.child.try_wait().unwrap().is_none());

    let remote = net
        .hawser
        .run(&["proxy", "--from", "test", "--listen", "0.0.0.0:0"]);
    assert_eq!(remote.code, 2, "{}", remote.text);
    assert!(remote.stderr.contains("--allow-remote"));
    assert_eq!(
        net.hawser
            .run(&["proxy", "--from", "test", "--to", "ftp://h"])
            .code,
        2
    );
}

/// The tests of ethers against the proxy, where it is installed.
fn ethers(proxy: &Proxy) {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
    if !clients.join("node_modules/ethers").is_dir() {
        let on_ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        assert!(
            !on_ci,
            "the clients are not installed: run scripts/clients-setup"
        );
        eprintln!("SKIPPED: ethers is not installed; scripts/clients-setup does it");
        return;
    }
    let (_, answer) = proxy.post(CHAIN_ID, JSON);
    let digits = answer["result"]
        .as_str()
        .unwrap()
        .strip_prefix("0x")
        .unwrap();
    let chain_id = u64::from_str_radix(digits, 16).unwrap();
    let run = Command::new("node")
        .args(["run.mjs", "ethers"])
        .current_dir(&clients)
        .env("HAWSER_RPC", &proxy.url)
        .env("HAWSER_WS", proxy.url.replace("http", "ws"))
        .env("HAWSER_CHAIN_ID", chain_id.to_string())
        .env_remove("HAWSER_REFERENCE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}");
}
