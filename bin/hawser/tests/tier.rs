//! Old blocks in an object store that speaks S3 and checks signatures, on a network that really runs: moved
//! while it runs, read by clients and by a peer, killed half-way, and each thing that can be wrong with a
//! store. Needs node and scripts/clients-setup; with CI set they must be there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Hawser, Node, Ports, Run, ask, free_ports, json, until};
use serde_json::{Value, json as value};

/// Bytes that pass a gate that stalls.
const STALL_AFTER: usize = 20_000;
const BUCKET: &str = "ledger";
/// The one account that the server knows.
const ACCOUNT: &str = "S3RVER";

const PASS: u8 = 0;
const STALL: u8 = 1;
const REFUSE: u8 = 2;

/// Stands between node and store: lets everything through, or a part, or nobody in.
struct Gate {
    port: u16,
    mode: Arc<AtomicU8>,
    stalled: Arc<AtomicU64>,
}

impl Gate {
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, stalled) = (Arc::new(AtomicU8::new(PASS)), Arc::new(AtomicU64::new(0)));
        let server = Arc::new(AtomicU16::new(server));
        let (modes, counted) = (Arc::clone(&mode), Arc::clone(&stalled));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(client), mode) = (stream, modes.load(Ordering::SeqCst)) else {
                    continue;
                };
                if mode == REFUSE {
                    drop(client);
                    continue;
                }
                let Ok(store) = TcpStream::connect(("127.0.0.1", server.load(Ordering::SeqCst)))
                else {
                    continue;
                };
                for (from, to) in [(&client, &store), (&store, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (modes, counted) = (Arc::clone(&modes), Arc::clone(&counted));
                    thread::spawn(move || pump(from, to, &modes, &counted));
                }
            }
        });
        Self {
            port,
            mode,
            stalled,
        }
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, mode: &AtomicU8, stalled: &AtomicU64) {
    let (mut bytes, mut passed, mut noted) = ([0u8; 4_096], 0usize, false);
    loop {
        let read = from.read(&mut bytes).unwrap_or(0);
        if read == 0 {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        passed += read;
        while mode.load(Ordering::SeqCst) == STALL && passed > STALL_AFTER {
            if !noted {
                stalled.fetch_add(1, Ordering::SeqCst);
                noted = true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        if mode.load(Ordering::SeqCst) == REFUSE || to.write_all(&bytes[..read]).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// A store of one's own: objects are files of a folder.
struct Store {
    child: Child,
    dir: PathBuf,
    port: u16,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Store {
    /// `None` where the server is not installed.
    fn start(dir: PathBuf) -> Option<Self> {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
        let program = clients.join("s3-server.mjs");
        let is_there = ["s3rver", "aws4"]
            .iter()
            .all(|name| clients.join("node_modules").join(name).is_dir());
        let node = Command::new("node")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if node.is_err() || !is_there {
            let on_ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
            assert!(
                !on_ci,
                "the object store is not installed: run scripts/clients-setup"
            );
            eprintln!("SKIPPED: the test of the object store needs node and scripts/clients-setup");
            return None;
        }
        fs::create_dir_all(&dir).unwrap();
        let port = free_ports(1);
        let child = Command::new("node")
            .arg(program)
            .arg(port.to_string())
            .arg(&dir)
            .arg(BUCKET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let store = Self { child, dir, port };
        until("the object store answers", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(store)
    }

    /// The files that hold objects of a kind, in order of their first block.
    fn objects(&self, kind: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.join(BUCKET)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name());
                let name = name.to_string_lossy();
                if path.is_dir() {
                    folders.push(path);
                } else if name.starts_with(kind) && name.ends_with("_object") {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

struct Net {
    hawser: Hawser,
    rpc: u16,
    metrics: u16,
    gate: Gate,
    plain: String,
}

impl Net {
    /// Two validators that make a block every 100 ms; the first one moves old files.
    fn make(gate: Gate) -> Self {
        let hawser = Hawser::new();
        let Ports { rpc, metrics, .. } = hawser.init(".hawser", 2, &[]);
        for place in ["", "node0/", "node1/"] {
            let path = hawser.path(format!(".hawser/{place}genesis.json"));
            let mut genesis = json(&fs::read_to_string(&path).unwrap());
            genesis["parameters"]["heartbeat_ms"] = value!(100);
            fs::write(&path, genesis.to_string()).unwrap();
        }
        let plain = fs::read_to_string(hawser.path(".hawser/node0/node.toml")).unwrap();
        let net = Self {
            hawser,
            rpc,
            metrics,
            gate,
            plain,
        };
        net.credentials(ACCOUNT);
        net.configure("s3", BUCKET);
        net
    }

    fn credentials(&self, secret: &str) {
        let path = self.hawser.path(".hawser/node0/s3");
        let text = format!("aws_access_key_id = {ACCOUNT}\naws_secret_access_key = {secret}\n");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn configure(&self, store: &str, bucket: &str) {
        let section = format!(
            "[tier]\nstore = \"{store}\"\nendpoint = \"http://127.0.0.1:{}\"\nbucket = \"{bucket}\"\n\
             prefix = \"net/a\"\ncredentials_file = \"s3\"\nafter_blocks = 300\nafter_s = 0\n\
             segment_kib = 64\ncache_mib = 1\ntimeout_ms = 1500\n",
            self.gate.port
        );
        assert!(self.plain.contains("[tier]\n"));
        let text = self.plain.replacen("[tier]\n", &section, 1);
        fs::write(self.hawser.path(".hawser/node0/node.toml"), text).unwrap();
    }

    fn node(&self, node: u16) -> Node {
        let started = self.hawser.node(&format!(".hawser/node{node}/node.toml"));
        let url = self.url(node);
        until("the node answers", || {
            TcpStream::connect(&url["http://".len()..]).is_ok()
        });
        started
    }

    fn url(&self, node: u16) -> String {
        format!("http://127.0.0.1:{}", self.rpc + node)
    }

    fn log(&self) -> PathBuf {
        let data = self.hawser.path(".hawser/node0/data");
        let chain = fs::read_dir(data)
            .unwrap()
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with("chain-"));
        chain.unwrap().path().join("log")
    }

    fn files(&self, kind: &str, ending: &str) -> Vec<String> {
        let names = fs::read_dir(self.log()).unwrap().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut found: Vec<_> = names
            .filter(|name| name.starts_with(kind) && name.ends_with(ending))
            .collect();
        found.sort();
        found
    }

    /// What was read from the store, forgotten. The node must not run.
    fn forget(&self) {
        let cache = self.log().parent().unwrap().join("tier-cache");
        let _ = fs::remove_dir_all(cache);
    }

    fn height(&self, node: u16) -> u64 {
        let answer = ask(&self.url(node), "eth_blockNumber", &value!([]));
        let text = answer["result"].as_str().unwrap();
        u64::from_str_radix(&text[2..], 16).unwrap()
    }

    fn block(&self, node: u16, height: u64) -> Value {
        let at = format!("{height:#x}");
        ask(&self.url(node), "eth_getBlockByNumber", &value!([at, true]))
    }

    fn receipts(&self, node: u16, height: u64) -> Value {
        let at = format!("{height:#x}");
        ask(&self.url(node), "eth_getBlockReceipts", &value!([at]))
    }

    /// All that a client sees of the first blocks.
    fn beginning(&self, node: u16, last: u64) -> Vec<[Value; 2]> {
        let one = |height| {
            let all = [self.block(node, height), self.receipts(node, height)];
            all.map(|answer| {
                assert!(answer["result"] != Value::Null, "block {height}: {answer}");
                answer["result"].clone()
            })
        };
        (1..=last).map(one).collect()
    }

    fn tier(&self, arguments: &[&str]) -> Run {
        let config = [".hawser/node0/node.toml"];
        let command = ["storage", "tier", arguments[0], "--config", config[0]];
        self.hawser
            .run(&[&command[..], &arguments[1..], &["--output", "json"]].concat())
    }

    /// The value of a metric of the first node.
    fn metric(&self, line: &str) -> Option<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics)).ok()?;
        let request = "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let found = text.lines().find(|one| one.starts_with(line))?;
        found.rsplit_once(' ')?.1.parse().ok()
    }

    /// Blocks of 25 KB and receipts of 30 KB, so that files fill up.
    fn fill(&self) {
        let url = self.url(0);
        let data = format!("0x{}", "5a".repeat(25_000));
        let to = "0x5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2";
        for _ in 0..8 {
            let from = ["--rpc", url.as_str(), "--from", "test"];
            let send = ["tx", "send", "--to", to, "--data", &data];
            self.hawser.ok(&[&send[..], &from].concat());
            // Code that logs 30,000 bytes and deploys nothing.
            let deploy = ["contract", "deploy", "0x620075306000a000"];
            self.hawser.ok(&[&deploy[..], &from].concat());
        }
    }
}

/// Waits for what takes some hundred blocks.
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(300);
    while !done() {
        assert!(Instant::now() < end, "timed out until {what}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn old_blocks_are_moved_to_a_store_and_read_from_it_whatever_happens_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let Some(store) = Store::start(dir.path().join("objects")) else {
        return;
    };
    let net = Net::make(Gate::before(store.port));

    // Killed in the middle of an upload: nothing is marked, nothing is dropped.
    net.gate.set(STALL);
    let (first, second) = (net.node(0), net.node(1));
    net.fill();
    let last = net.height(0);
    let expected = net.beginning(1, last);
    let large = |all: &[[Value; 2]]| {
        all.iter()
            .filter(|one| one[0].to_string().len() > 50_000)
            .count()
    };
    assert_eq!(large(&expected), 8);
    wait("an upload stands still", || {
        net.gate.stalled.load(Ordering::SeqCst) > 0
    });
    drop(first);
    assert!(net.files("", ".cold").is_empty());
    let local = net.files("blocks", ".seg");
    assert!(local.len() > 3, "{local:?}");
    // It goes on when it can.
    net.gate.set(PASS);
    let first = net.node(0);
    let cold = |kind: &str| net.files(kind, ".cold").len();
    wait("files of blocks and receipts are moved", || {
        cold("blocks") >= 2 && cold("receipts") >= 2
    });
    until("local copies are gone", || {
        !net.files("blocks", ".seg").contains(&local[0])
            && !net.files("blocks", ".seg").contains(&local[1])
    });
    assert_eq!(net.beginning(0, last), expected, "read from the store");
    until("the metrics say so", || {
        net.metric("hawser_tier_files{")
            .is_some_and(|files| files >= 4)
            && net
                .metric("hawser_tier_total{chain=\"429737\",kind=\"uploads\"}")
                .is_some_and(|n| n >= 2)
            && net
                .metric("hawser_tier_total{chain=\"429737\",kind=\"fetched\"}")
                .is_some_and(|n| n >= 2)
    });

    // Killed between the marker and the removal: the copy is compared, and then goes.
    drop(first);
    let object = store.objects("blocks")[0].clone();
    fs::copy(&object, net.log().join(&local[0])).unwrap();
    let first = net.node(0);
    until("the copy is gone", || {
        !net.files("blocks", ".seg").contains(&local[0])
    });
    assert_eq!(net.beginning(0, last), expected);
    let status = net.tier(&["status", "--files"]);
    let status = json(&status.stdout);
    assert!(status["remote"]["files"].as_u64().unwrap() >= 4, "{status}");
    assert_eq!(status["files"][0]["hash"], "SHA-256", "{status}");
    let verified = net.tier(&["verify"]);
    assert_eq!(verified.code, 0, "{}", verified.text);

    // One object with another bit, one that is not there: each is named, the rest is read.
    drop(first);
    let blocks = store.objects("blocks");
    let (kept, aside) = (fs::read(&blocks[0]).unwrap(), dir.path().join("aside"));
    flip(&blocks[0], 10_000);
    fs::rename(&blocks[1], &aside).unwrap();
    net.forget();
    // All of this chain is younger than the 600 s that a start looks back (SY-22, TI-1): it says what it lacks.
    let start = ["start", "--config", ".hawser/node0/node.toml"];
    let refused = net.hawser.run(&start);
    assert_ne!(refused.code, 0, "{}", refused.text);
    assert!(
        refused.text.contains("blocks-") && refused.text.contains("restore"),
        "{}",
        refused.text
    );
    let verified = net.tier(&["verify"]);
    assert_eq!(verified.code, 5, "{}", verified.text);
    assert_eq!(
        json(&verified.stdout)["failed"].as_array().unwrap().len(),
        2,
        "{}",
        verified.text
    );
    let check = |more: &[&str]| {
        let config = [
            "db",
            "check",
            "--config",
            ".hawser/node0/node.toml",
            "--output",
            "json",
        ];
        net.hawser.run(&[&config[..], more].concat())
    };
    let checked = check(&["--remote"]);
    assert_eq!(checked.code, 5, "{}", checked.text);
    assert!(
        checked.text.contains("object in the object store"),
        "{}",
        checked.text
    );
    let checked = check(&[]);
    assert_eq!(
        checked.code, 2,
        "what lies elsewhere was not read: {}",
        checked.text
    );
    fs::write(&blocks[0], kept).unwrap();
    fs::rename(&aside, &blocks[1]).unwrap();
    let checked = check(&["--remote"]);
    assert_eq!(checked.code, 0, "{}", checked.text);

    // A store that is slow, or away; then credentials and a bucket that are wrong.
    for (mode, secret, bucket) in [
        (STALL, ACCOUNT, BUCKET),
        (REFUSE, ACCOUNT, BUCKET),
        (PASS, "another", BUCKET),
        (PASS, ACCOUNT, "nowhere"),
    ] {
        net.credentials(secret);
        net.configure("s3", bucket);
        net.forget();
        net.gate.set(mode);
        let began = Instant::now();
        let verified = net.tier(&["verify"]);
        assert_ne!(verified.code, 0, "{mode} {bucket}: {}", verified.text);
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{:?}",
            began.elapsed()
        );
        println!("{}", verified.text);
        assert!(!verified.text.contains("Signature=") && !verified.text.contains("another&"));
    }
    net.credentials(ACCOUNT);
    net.configure("s3", BUCKET);
    let path = net.hawser.path(".hawser/node0/s3");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let open = net
        .hawser
        .run(&["start", "--config", ".hawser/node0/node.toml"]);
    assert_eq!(open.code, 3, "{}", open.text);
    assert!(open.text.contains("chmod 600"), "{}", open.text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

    // A peer that lost everything fetches all blocks from this one, which has to ask the store.
    net.gate.set(PASS);
    drop(second);
    net.forget();
    let first = net.node(0);
    let head = net.height(0);
    let data = net.hawser.path(".hawser/node1/data");
    for entry in fs::read_dir(&data).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("chain-") {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let second = net.node(1);
    wait("the peer has all blocks", || net.height(1) >= head);
    assert_eq!(net.beginning(1, last), expected);
    drop((first, second));

    // Brought back, and moved again by hand.
    let fetched = net.tier(&["fetch", "--height", "1"]);
    assert_eq!(fetched.code, 0, "{}", fetched.text);
    assert!(fetched.stdout.contains(&local[0]), "{}", fetched.text);
    let before = net.files("", ".cold").len();
    let fetched = net.tier(&["fetch", "--all"]);
    assert_eq!(fetched.code, 0, "{}", fetched.text);
    assert!(before > 0 && net.files("", ".cold").is_empty());
    let checked = check(&[]);
    assert_eq!(checked.code, 0, "{}", checked.text);
    let pushed = net.tier(&["push"]);
    assert_eq!(pushed.code, 0, "{}", pushed.text);
    assert!(net.files("", ".cold").len() >= before, "{}", pushed.text);
    net.configure("none", BUCKET);
    let refused = net.hawser.run(&start);
    assert_ne!(refused.code, 0, "{}", refused.text);
    assert!(refused.text.contains("tier"), "{}", refused.text);
}
