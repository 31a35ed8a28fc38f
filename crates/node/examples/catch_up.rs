//! How fast a node joins others that have a long chain: by blocks and by a snapshot, beside what the disk and a
//! TCP connection of this machine do.
//!
//! ```text
//! cargo run --release -p hawser-node --example catch_up -- \
//!     [--blocks 5000] [--transactions 50] [--sources 4] [--cache-mib 128] [--runs blocks,snapshot,restart,probe] [--folder DIR]
//! ```
//! Makes a chain of one validator with so many transfers to new accounts in each block, and a snapshot of it, unless the folder
//! has them; gives each source a copy; starts the sources as processes that only serve; and lets an empty node join, which
//! verifies and executes everything. Prints blocks and megabytes (of block files, of the snapshot) per second and the
//! processor time of the joining node by thread. Links are TLS over loopback as between nodes.
//!
//! `--load 127.0.0.1:8545 --chain 2026 --seconds 90 --transactions 5` instead hands transfers to a running node, so many in a
//! request every 10 ms, for the same measurement with the program itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement"
)]

#[path = "../tests/maker/mod.rs"]
mod maker;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use hawser_consensus::Timeouts;
use hawser_crypto::Suite;
use hawser_execution::NativeRegistry;
use hawser_ledger::{Call, Ordering, UnsignedNative};
use hawser_network::{NetworkConfig, NodeIdentity, PeerAddress};
use hawser_node::{
    Node,
    chain::{ChainHandle, ChainSetup, NoObserver},
    pool::PoolLimits,
    snapshot::{
        self, CreateOptions, JoinLimits, JoinSetup, Pace, Shelf, SnapshotLimits, SnapshotService,
    },
    store::{ChainStore, StoreOptions, columns},
};
use hawser_primitives::{Address, ChainId, Height, U256};
use hawser_storage::{Disk, FjallKv, Kv, OsDisk};

const CHUNKS: &str = "snapshots";
/// Between two looks at the memory of a node that has caught up.
const REST: Duration = Duration::from_secs(5);

struct Args {
    blocks: u64,
    transactions: u64,
    sources: usize,
    runs: Vec<String>,
    folder: PathBuf,
    /// This process is a source: its number.
    serve: Option<usize>,
    /// Address of a running node that gets transfers, its chain, and for how long.
    load: Option<String>,
    chain: u64,
    seconds: u64,
    /// `storage.cache_mib` of the joining node.
    cache_mib: usize,
}

fn args() -> Args {
    let mut parsed = Args {
        blocks: 5_000,
        transactions: 50,
        sources: 4,
        runs: ["probe", "blocks", "snapshot", "restart"]
            .map(str::to_owned)
            .to_vec(),
        folder: std::env::temp_dir().join("hawser-catch-up"),
        serve: None,
        load: None,
        chain: 0,
        seconds: 60,
        cache_mib: 128,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given
            .next()
            .unwrap_or_else(|| panic!("{name} needs a value"));
        match name.as_str() {
            "--blocks" => parsed.blocks = value.parse().unwrap(),
            "--transactions" => parsed.transactions = value.parse().unwrap(),
            "--sources" => parsed.sources = value.parse().unwrap(),
            "--runs" => parsed.runs = value.split(',').map(str::to_owned).collect(),
            "--folder" => parsed.folder = PathBuf::from(value),
            "--load" => parsed.load = Some(value),
            "--chain" => parsed.chain = value.parse().unwrap(),
            "--seconds" => parsed.seconds = value.parse().unwrap(),
            "--cache-mib" => parsed.cache_mib = value.parse().unwrap(),
            "--serve" => parsed.serve = Some(value.parse().unwrap()),
            _ => panic!("unknown {name}"),
        }
    }
    parsed
}

fn disk_and_kv(folder: &Path) -> (Arc<dyn Disk>, Arc<dyn Kv>) {
    std::fs::create_dir_all(folder).unwrap();
    let disk = OsDisk::new(&folder.join("log")).unwrap();
    let kv = FjallKv::open(&folder.join("kv"), &columns(), 32 << 20).unwrap();
    (Arc::new(disk), Arc::new(kv))
}

fn shelf(folder: &Path) -> Shelf {
    Shelf::of(
        Arc::new(OsDisk::new(&folder.join(CHUNKS)).unwrap()),
        Suite::Intl,
    )
}

fn open(folder: &Path) -> ChainStore {
    let (disk, kv) = disk_and_kv(folder);
    maker::open(disk, kv, StoreOptions::default()).unwrap()
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn block_bytes(store: &ChainStore) -> u64 {
    let usage = store.usage().unwrap();
    usage
        .iter()
        .filter(|one| one.kind == "blocks")
        .map(|one| one.bytes)
        .sum()
}

/// Makes the chain and its snapshot in the folder of the first source.
fn make(args: &Args) {
    let folder = args.folder.join("source-0");
    let store = open(&folder);
    let begun = Instant::now();
    let from = store.head().id().height.0;
    for height in from + 1..=args.blocks {
        let list = maker::transfers((height - 1) * args.transactions, args.transactions);
        maker::add(&store, list, maker::BLOCK_MS).unwrap();
    }
    if from < args.blocks {
        store.flush().unwrap();
        println!(
            "made {} blocks in {:.1} s",
            args.blocks - from,
            begun.elapsed().as_secs_f64()
        );
    }
    let shelf = shelf(&folder);
    if shelf.heights().unwrap().is_empty() && args.runs.iter().any(|run| run == "snapshot") {
        let begun = Instant::now();
        let options = &mut CreateOptions {
            height: None,
            all_blocks: false,
            pace: Pace::of(0),
            progress: &mut |_, _| {},
            stop: &|| false,
        };
        let manifest = snapshot::create(&store, &shelf, options).unwrap();
        let (seconds, facts) = (
            begun.elapsed().as_secs_f64(),
            shelf.facts(manifest.height()).unwrap(),
        );
        println!(
            "snapshot of block {}: {} entries, {:.1} MB in {} chunks, made in {seconds:.2} s: {:.1} MB/s",
            facts.height,
            facts.entries,
            megabytes(facts.bytes),
            facts.chunks,
            megabytes(facts.bytes) / seconds,
        );
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.metadata().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Keys and addresses of all nodes; the joining one is the last.
fn introduce(args: &Args) {
    for i in 0..=args.sources {
        let identity = NodeIdentity::generate().unwrap();
        std::fs::write(
            args.folder.join(format!("identity-{i}")),
            identity.to_pkcs8_der(),
        )
        .unwrap();
        let address = free_address().to_string();
        std::fs::write(args.folder.join(format!("address-{i}")), address).unwrap();
    }
}

fn identity(args: &Args, i: usize) -> NodeIdentity {
    let der = std::fs::read(args.folder.join(format!("identity-{i}"))).unwrap();
    NodeIdentity::from_pkcs8_der(&der).unwrap()
}

fn address(args: &Args, i: usize) -> String {
    std::fs::read_to_string(args.folder.join(format!("address-{i}"))).unwrap()
}

async fn start(args: &Args, i: usize) -> Node {
    // Sources know the joining node only, as if they were far from one another.
    let known = if i == args.sources {
        0..args.sources
    } else {
        args.sources..args.sources + 1
    };
    let peers = known.map(|i| PeerAddress {
        id: identity(args, i).peer_id(),
        address: address(args, i),
    });
    let listen = address(args, i).parse().unwrap();
    let config = NetworkConfig::new(listen, identity(args, i), peers.collect());
    Node::start(config).await.unwrap()
}

fn setup(folder: &Path, cache_mib: usize) -> ChainSetup {
    let (disk, kv) = disk_and_kv(folder);
    let mut options = StoreOptions::default();
    options.state.page_cache_bytes = cache_mib << 19;
    options.state.value_cache_bytes = cache_mib << 18;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    ChainSetup {
        genesis: maker::genesis(),
        key: None,
        natives: NativeRegistry::new(Vec::new()).unwrap_or_default(),
        timeouts: Timeouts::default(),
        pool: PoolLimits::default(),
        store: options,
        disk,
        kv,
        verifiers: processors.saturating_sub(1).clamp(1, 8),
        observer: Arc::new(NoObserver),
    }
}

/// A process that serves until it is killed.
async fn serve(args: &Args, i: usize) {
    let folder = args.folder.join(format!("source-{i}"));
    let node = start(args, i).await;
    node.add_chain(setup(&folder, args.cache_mib), &mut |_, _| {})
        .unwrap();
    let shelf = shelf(&folder);
    let limits = SnapshotLimits::default();
    node.serve_snapshots(maker::CHAIN, SnapshotService { shelf, limits })
        .unwrap();
    println!("serving");
    std::future::pending::<()>().await;
}

struct Sources(Vec<Child>);

impl Sources {
    fn start(args: &Args) -> Self {
        let spawn = |i: usize| {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--serve",
                    &i.to_string(),
                    "--sources",
                    &args.sources.to_string(),
                ])
                .arg("--folder")
                .arg(&args.folder)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut said = [0; 7];
            child
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut said)
                .unwrap();
            child
        };
        Self((0..args.sources).map(spawn).collect())
    }

    fn cpu_seconds(&self) -> f64 {
        self.0
            .iter()
            .flat_map(|child| threads(&child.id().to_string()))
            .map(|(_, s)| s)
            .sum()
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Processor seconds of a process by name of thread.
fn threads(pid: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return found;
    };
    for task in tasks.flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else {
            continue;
        };
        let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
        let fields: Vec<_> = rest.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        *found.entry(name.to_owned()).or_insert(0.0) += ticks as f64 / 100.0;
    }
    found
}

struct Meter {
    begun: Instant,
    own: BTreeMap<String, f64>,
    sources: f64,
}

impl Meter {
    fn start(sources: &Sources) -> Self {
        Self {
            begun: Instant::now(),
            own: threads("self"),
            sources: sources.cpu_seconds(),
        }
    }

    fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Where the processor time went, in words.
    fn spent(&self, sources: &Sources) -> String {
        let mut parts: Vec<_> = threads("self")
            .into_iter()
            .map(|(name, seconds)| {
                let before = self.own.get(&name).copied().unwrap_or(0.0);
                (seconds - before, name)
            })
            .filter(|(seconds, _)| *seconds >= 0.02)
            .collect();
        parts.sort_by(|a, b| b.0.total_cmp(&a.0));
        let parts: Vec<_> = parts
            .iter()
            .map(|(s, name)| format!("{name} {s:.2}"))
            .collect();
        let sources = sources.cpu_seconds() - self.sources;
        format!(
            "processor seconds: {}; all sources {sources:.2}",
            parts.join(", ")
        )
    }
}

async fn reach(handle: &ChainHandle, height: Height) {
    while handle.store().head().id().height < height {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn by_blocks(args: &Args, sources: &Sources) {
    let folder = args.folder.join("joining");
    let _ = std::fs::remove_dir_all(&folder);
    let node = start(args, args.sources).await;
    let meter = Meter::start(sources);
    let handle = node
        .add_chain(setup(&folder, args.cache_mib), &mut |_, _| {})
        .unwrap();
    reach(&handle, Height(args.blocks)).await;
    let seconds = meter.seconds();
    let bytes = block_bytes(handle.store());
    println!(
        "by blocks from {} peers: {} blocks of {} transfers in {seconds:.2} s: {:.0} blocks/s, {:.0} transfers/s, {:.1} MB/s; {}",
        args.sources,
        args.blocks,
        args.transactions,
        args.blocks as f64 / seconds,
        (args.blocks * args.transactions) as f64 / seconds,
        megabytes(bytes) / seconds,
        meter.spent(sources),
    );
    let mut memory = vec![resident()];
    for _ in 0..4 {
        tokio::time::sleep(REST).await;
        memory.push(resident());
    }
    println!("memory at the end and every {REST:?} after it: {memory:?} MiB");
    drop(handle);
    node.stop().await.unwrap();
}

/// Memory of this process that is no file's, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.map_or(0, |kib| kib.parse::<u64>().unwrap() / 1024)
}

async fn by_snapshot(args: &Args, sources: &Sources) {
    let folder = args.folder.join("joining-by-snapshot");
    let _ = std::fs::remove_dir_all(&folder);
    let node = start(args, args.sources).await;
    while node
        .network()
        .peers()
        .iter()
        .filter(|one| one.connected_since.is_some())
        .count()
        < args.sources
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let chain = setup(&folder, args.cache_mib);
    let staging = Shelf::of(
        Arc::new(OsDisk::new(&folder.join("joining")).unwrap()),
        Suite::Intl,
    );
    let meter = Meter::start(sources);
    let fetched = node.fetch_snapshot(JoinSetup {
        genesis: maker::genesis(),
        staging: staging.clone(),
        limits: JoinLimits::default(),
        give_up: None,
        progress: Box::new(|_| {}),
    });
    let height = fetched.await.unwrap().unwrap();
    let fetch = meter.seconds();
    let bytes = staging.facts(height).unwrap().bytes;
    tokio::task::block_in_place(|| {
        let target = (Arc::clone(&chain.disk), Arc::clone(&chain.kv));
        let (genesis, natives) = (maker::genesis(), chain.natives.clone());
        snapshot::restore(
            (&staging, height),
            target,
            &genesis,
            natives,
            &chain.store,
            &mut |_, _| {},
        )
        .unwrap()
    });
    let restore = meter.seconds() - fetch;
    let handle = node.add_chain(chain, &mut |_, _| {}).unwrap();
    reach(&handle, Height(args.blocks)).await;
    let all = meter.seconds();
    println!(
        "by snapshot from {} peers: {:.1} MB in {all:.2} s: {:.1} MB/s (fetched and checked {fetch:.2} s: {:.1} MB/s; folder made {restore:.2} s: {:.1} MB/s; blocks after it {:.2} s); {}",
        args.sources,
        megabytes(bytes),
        megabytes(bytes) / all,
        megabytes(bytes) / fetch,
        megabytes(bytes) / restore,
        all - fetch - restore,
        meter.spent(sources),
    );
    drop(handle);
    node.stop().await.unwrap();
}

/// What the disk of the folder takes, in bytes per second: 256 MiB appended by 1 MiB and synced.
fn disk_rate(folder: &Path) -> f64 {
    let path = folder.join("probe");
    let piece: Vec<u8> = (0..1 << 20)
        .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let begun = Instant::now();
    let mut file = std::fs::File::create(&path).unwrap();
    for _ in 0..256 {
        file.write_all(&piece).unwrap();
    }
    file.sync_all().unwrap();
    let rate = 256.0 * piece.len() as f64 / begun.elapsed().as_secs_f64();
    std::fs::remove_file(path).unwrap();
    rate
}

/// What one TCP connection over loopback carries, in bytes per second.
fn loopback_rate() -> f64 {
    const PIECES: usize = 1_024;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reader = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 1 << 18];
        let mut all = 0usize;
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            all += count;
        }
        all
    });
    let piece = vec![7u8; 1 << 20];
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    for _ in 0..PIECES {
        stream.write_all(&piece).unwrap();
    }
    drop(stream);
    let all = reader.join().unwrap();
    all as f64 / begun.elapsed().as_secs_f64()
}

fn restart(args: &Args) {
    for name in ["joining", "joining-by-snapshot"] {
        let folder = args.folder.join(name);
        if folder.join("kv").exists() {
            let begun = Instant::now();
            let store = open(&folder);
            let seconds = begun.elapsed().as_secs_f64();
            println!(
                "restart of {name}: block {} after {seconds:.2} s",
                store.head().id().height
            );
        }
    }
}

fn post(stream: &mut TcpStream, body: &str) -> String {
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the node closed the connection");
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head
                .split("content-length:")
                .nth(1)
                .and_then(|rest| rest.lines().next());
            let length: usize = length.unwrap().trim().parse().unwrap();
            if body.len() >= length {
                return body.to_owned();
            }
        }
    }
}

/// Hands transfers to a running node.
fn load(args: &Args, address: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    let (begun, mut nonce) = (Instant::now(), 0);
    while begun.elapsed().as_secs() < args.seconds {
        let next = Instant::now() + Duration::from_millis(10);
        let call = |i: u64| {
            let raw = hex::encode(transfer(args.chain, nonce + i));
            format!(
                r#"{{"jsonrpc":"2.0","id":{i},"method":"eth_sendRawTransaction","params":["0x{raw}"]}}"#
            )
        };
        let calls: Vec<_> = (0..args.transactions).map(call).collect();
        let answer = post(&mut stream, &format!("[{}]", calls.join(",")));
        assert!(!answer.contains("error"), "{answer}");
        nonce += args.transactions;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    println!(
        "{nonce} transfers in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

fn transfer(chain: u64, nonce: u64) -> hawser_primitives::Bytes {
    let mut to = [0x77; 20];
    to[..8].copy_from_slice(&nonce.to_le_bytes());
    UnsignedNative {
        chain_id: ChainId(chain),
        signer: maker::client().public_key(),
        ordering: Ordering::Sequential { nonce },
        gas_limit: 100_000,
        calls: vec![Call::Call {
            to: Address::from(to),
            value: U256::ZERO,
            input: hawser_primitives::Bytes::new(),
        }],
    }
    .sign(&maker::client())
    .encode_2718()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let args = args();
    std::fs::create_dir_all(&args.folder).unwrap();
    if let Some(i) = args.serve {
        return serve(&args, i).await;
    }
    if let Some(address) = &args.load {
        return load(&args, address);
    }
    make(&args);
    let first = args.folder.join("source-0");
    for i in 1..args.sources {
        let folder = args.folder.join(format!("source-{i}"));
        if !folder.exists() {
            copy(&first, &folder);
        }
    }
    introduce(&args);
    let sources = Sources::start(&args);
    for run in &args.runs {
        match run.as_str() {
            "probe" => println!(
                "disk {:.0} MB/s (256 MiB appended and synced), loopback {:.0} MB/s (one TCP connection)",
                disk_rate(&args.folder) / 1e6,
                loopback_rate() / 1e6
            ),
            "blocks" => by_blocks(&args, &sources).await,
            "snapshot" => by_snapshot(&args, &sources).await,
            "restart" => restart(&args),
            "make" => {}
            _ => panic!("unknown run {run}"),
        }
    }
}
