//! Runs the binary in a folder of its own.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a run gave.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Both, for messages.
    pub(crate) text: String,
}

/// The binary, working in a temporary folder, without the environment's variables for it.
pub(crate) struct Hawser(tempfile::TempDir);

impl Hawser {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hawser"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().into_owned();
            if text.starts_with("HAWSER") || text.starts_with("LC_") || text == "LANG" {
                command.env_remove(name);
            }
        }
        let output = command
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Run {
            code: output.status.code().unwrap_or(-1),
            text: format!("{stdout}{stderr}"),
            stdout,
            stderr,
        }
    }

    /// Starts a node in the foreground; it dies with the value.
    pub(crate) fn node(&self, config: &str) -> Node {
        let log = std::fs::File::create(self.path(format!("{}.log", config.replace('/', "-"))));
        let log = log.unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_hawser"))
            .args(["start", "--config", config])
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Node(child)
    }

    /// Runs, and takes nothing but success; gives standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.text);
        run.stdout
    }
}

/// Ports of a network of this machine: of each kind as many in a row as there are nodes.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) rpc: u16,
    pub(crate) p2p: u16,
    pub(crate) metrics: u16,
}

impl Ports {
    /// Free ones for so many nodes.
    pub(crate) fn free(nodes: u16) -> Self {
        let rpc = free_ports(3 * nodes);
        let (p2p, metrics) = (rpc + nodes, rpc + 2 * nodes);
        Self { rpc, p2p, metrics }
    }

    /// Where the first node serves clients.
    pub(crate) fn url(self) -> String {
        format!("http://127.0.0.1:{}", self.rpc)
    }
}

impl Hawser {
    /// Runs `init` or `up` with these ports.
    pub(crate) fn run_at(&self, ports: Ports, arguments: &[&str]) -> Run {
        let [rpc, p2p, metrics] = [ports.rpc, ports.p2p, ports.metrics].map(|one| one.to_string());
        let ports = [
            "--rpc-port",
            &rpc,
            "--p2p-port",
            &p2p,
            "--metrics-port",
            &metrics,
        ];
        self.run(&[arguments, &ports[..]].concat())
    }

    /// Makes the folder of a network with ports of its own.
    pub(crate) fn init(&self, dir: &str, nodes: u16, more: &[&str]) -> Ports {
        let (ports, nodes) = (Ports::free(nodes), nodes.to_string());
        let init = ["init", "--dir", dir, "--nodes", &nodes];
        let run = self.run_at(ports, &[&init[..], more].concat());
        assert_eq!(run.code, 0, "{}", run.text);
        ports
    }
}

/// A network that is stopped whatever happens.
pub(crate) struct Net(pub(crate) Hawser);

impl Net {
    /// Nothing is started yet.
    pub(crate) fn new() -> Self {
        Self(Hawser::new())
    }

    /// Runs `up` with more arguments, answered as JSON.
    pub(crate) fn up(&self, more: &[&str]) -> Run {
        self.0.run(&[&["up", "--output", "json"], more].concat())
    }
}

impl std::ops::Deref for Net {
    type Target = Hawser;

    fn deref(&self) -> &Hawser {
        &self.0
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.0.run(&["down"]);
    }
}

/// A node that was started by [`Hawser::node`].
pub(crate) struct Node(std::process::Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a condition, at most a minute.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !done() {
        assert!(std::time::Instant::now() < end, "timed out until {what}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The first of so many ports that are free in a row. They lie below those that systems give to outgoing connections, so
/// that no connection of a test takes one before its node does, and no row is given out twice by one process.
pub(crate) fn free_ports(count: u16) -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    assert!(count <= 50, "rows are of 50 ports");
    let bind = |port| std::net::TcpListener::bind(("127.0.0.1", port));
    // Test programs that run at the same time begin at different rows.
    let start = std::process::id().wrapping_mul(37);
    for _ in 0..200 {
        let row = start.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % 200;
        let first = 10_000 + u16::try_from(row).unwrap() * 50;
        if (first..first + count).all(|port| bind(port).is_ok()) {
            return first;
        }
    }
    panic!("no {count} free ports in a row");
}

/// Asks a node without TLS by hand; gives the whole answer.
pub(crate) fn ask(url: &str, method: &str, params: &Value) -> Value {
    use std::io::{Read, Write};
    let host = url.strip_prefix("http://").unwrap();
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let body = body.to_string();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, answer) = text.split_once("\r\n\r\n").unwrap();
    json(answer)
}

/// The balance of an account in wei.
pub(crate) fn balance(url: &str, address: &str) -> u128 {
    let answer = ask(
        url,
        "eth_getBalance",
        &serde_json::json!([address, "latest"]),
    );
    let text = answer["result"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"));
    u128::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap()
}

/// Whether a file in a folder, or in one below it, holds these bytes.
pub(crate) fn holds(dir: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}
