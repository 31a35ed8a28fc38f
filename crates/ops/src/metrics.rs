use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hawser_primitives::{ChainId, Height, Round};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::process::{process_usage, unix_seconds};
use crate::text::to_prometheus;

/// Most distinct values of a label that comes from outside; further ones count as `other`.
const OUTSIDE_VALUES_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChainLabels {
    chain: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChainStateLabels {
    chain: u64,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    chain: u64,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectedLabels {
    chain: u64,
    source: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabels {
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcLabels {
    method: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: String,
}

/// What identifies the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NodeInfo {
    /// Name for people.
    pub name: String,
    /// Its public key.
    pub id: String,
    /// Version of the program.
    pub version: String,
}

/// What identifies a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChainInfo {
    /// Chain id.
    pub chain: u64,
    /// Name for people.
    pub name: String,
    /// Cryptographic suite.
    pub suite: String,
    /// Genesis hash.
    pub genesis: String,
}

/// How a JSON-RPC call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcOutcome {
    /// With a result.
    Ok,
    /// With an error that is the caller's.
    Rejected,
    /// With an error of the node's own.
    Failed,
}

impl RpcOutcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// Buckets from 0.1 ms to about 26 s.
#[derive(Clone, Copy)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.000_1, 2.0, 18))
    }
}

/// Buckets from 1 by a factor of 4, as many as asked for.
#[derive(Clone, Copy)]
struct Sizes(u16);

impl MetricConstructor<Histogram> for Sizes {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(1.0, 4.0, self.0))
    }
}

type Seen = Mutex<BTreeSet<String>>;

/// The metrics of a node. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    methods: Seen,
    node_info: Family<NodeInfo, Gauge>,
    chain_info: Family<ChainInfo, Gauge>,
    height: Family<ChainLabels, Gauge>,
    executed: Family<ChainLabels, Gauge>,
    first: Family<ChainLabels, Gauge>,
    joining: Family<ChainStateLabels, Gauge>,
    storage: Family<KindLabels, Gauge>,
    tier_files: Family<KindLabels, Gauge>,
    tier: Family<KindLabels, Counter>,
    behind: Family<ChainLabels, Gauge>,
    behind_rate: Family<ChainLabels, Gauge>,
    behind_left: Family<ChainLabels, Gauge>,
    behind_peers: Family<ChainLabels, Gauge>,
    round: Family<ChainLabels, Gauge>,
    validators: Family<ChainLabels, Gauge>,
    ready: Gauge,
    pool: Family<ChainStateLabels, Gauge>,
    rejected: Family<RejectedLabels, Counter>,
    sent: Family<KindLabels, Counter>,
    rounds_failed: Family<ChainLabels, Counter>,
    blocks: Family<ChainLabels, Counter>,
    transactions: Family<ChainStateLabels, Counter>,
    gas: Family<ChainLabels, Counter>,
    block_transactions: Family<ChainLabels, Histogram, Sizes>,
    block_gas: Family<ChainLabels, Histogram, Sizes>,
    block_interval: Family<ChainLabels, Histogram, Seconds>,
    consensus: Family<ChainLabels, Histogram, Seconds>,
    execution: Family<ChainLabels, Histogram, Seconds>,
    fsync: Histogram,
    peers_connected: Gauge,
    peers_configured: Gauge,
    network_bytes: Family<DirectionLabels, Counter>,
    network_frames: Family<DirectionLabels, Counter>,
    network_refused: Family<RefusedLabels, Counter>,
    rpc_requests: Family<RpcLabels, Counter>,
    rpc_seconds: Family<MethodLabels, Histogram, Seconds>,
    rpc_refused: Family<RefusedLabels, Counter>,
    rpc_websockets: Gauge,
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge,
    virtual_memory: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    threads: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics with every count at 0.
    #[must_use]
    #[allow(clippy::too_many_lines)] // A list; parts of it would not be easier to read.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let r = registry.sub_registry_with_prefix("hawser");
        let inner = Inner {
            methods: Seen::default(),
            node_info: add(r, "node_info", "The node, always 1"),
            chain_info: add(r, "chain_info", "A chain that the node hosts, always 1"),
            height: add(r, "block_height", "Height of the newest final block"),
            executed: add(r, "executed_height", "Height of the newest executed block"),
            first: add(r, "first_height", "First block of which everything is kept"),
            joining: add(
                r,
                "join_chunks",
                "Chunks of the snapshot that a joining node fetches: here, and in all",
            ),
            behind: add(
                r,
                "catch_up_blocks",
                "Blocks that peers have and this node does not; 0 at the head",
            ),
            behind_rate: add(
                r,
                "catch_up_blocks_per_second",
                "Blocks taken up per second while catching up",
            ),
            behind_left: add_unit(
                r,
                "catch_up_left",
                "Time until the head is reached at this rate; 0 where that cannot be told",
                Unit::Seconds,
            ),
            behind_peers: add(r, "catch_up_peers", "Peers that are being asked for blocks"),
            storage: add_unit(
                r,
                "storage",
                "Chain data on the disk, by kind of file and column of the key-value store",
                Unit::Bytes,
            ),
            tier_files: add(
                r,
                "tier_files",
                "Files of chain data in the object store (kind remote)",
            ),
            tier: add(
                r,
                "tier",
                "What was done with the object store: cache hits, chunks fetched, bytes of them, failed reads, files uploaded, bytes of them, failed uploads",
            ),
            round: add(r, "consensus_round", "Present round of agreement"),
            validators: add(r, "validators", "Validators in the committee"),
            ready: add(r, "ready", "1 when the node can serve clients, else 0"),
            pool: add(r, "pool_transactions", "Waiting transactions"),
            rejected: add(
                r,
                "rejected",
                "Inputs refused, by where they came from and why",
            ),
            sent: add_unit(
                r,
                "chain_sent",
                "Bytes given to links for this chain, by kind of message; each peer counts",
                Unit::Bytes,
            ),
            rounds_failed: add(
                r,
                "consensus_rounds_failed",
                "Rounds that ended without a block",
            ),
            blocks: add(r, "blocks", "Blocks stored since start"),
            transactions: add(
                r,
                "transactions",
                "Transactions in stored blocks, by outcome",
            ),
            gas: add(r, "gas_used", "Gas used by executed transactions"),
            block_transactions: add_with(
                r,
                "block_transactions",
                "Transactions per block",
                Family::new_with_constructor(Sizes(9)),
            ),
            block_gas: add_with(
                r,
                "block_gas",
                "Gas used per block",
                Family::new_with_constructor(Sizes(15)),
            ),
            block_interval: add_seconds(r, "block_interval", "Time between two stored blocks"),
            consensus: add_seconds(r, "consensus_duration", "Start of a height to its decision"),
            execution: add_seconds(r, "execution_duration", "Execution of a block"),
            fsync: {
                let histogram = Seconds.new_metric();
                r.register_with_unit(
                    "fsync_duration",
                    "Time that a durable write took",
                    Unit::Seconds,
                    histogram.clone(),
                );
                histogram
            },
            peers_connected: add(r, "peers_connected", "Peers with a link"),
            peers_configured: add(r, "peers_configured", "Peers in the configuration"),
            network_bytes: add_unit(r, "network", "Bytes of frames on links", Unit::Bytes),
            network_frames: add(r, "network_frames", "Frames on links"),
            network_refused: add(r, "network_refused", "Connections and frames refused"),
            rpc_requests: add(r, "rpc_requests", "JSON-RPC calls, by method and outcome"),
            rpc_seconds: add_seconds(r, "rpc_request_duration", "Time that a call took"),
            rpc_refused: add(r, "rpc_refused", "Requests refused before they were calls"),
            rpc_websockets: add(r, "rpc_websockets", "Open WebSocket connections"),
            cpu: Counter::default(),
            resident: Gauge::default(),
            virtual_memory: Gauge::default(),
            open_fds: Gauge::default(),
            max_fds: Gauge::default(),
            threads: Gauge::default(),
            registry: Registry::default(),
        };
        // Names that every Prometheus client library uses, hence without our prefix.
        let start: Gauge<f64, AtomicU64> = Gauge::default();
        start.set(unix_seconds());
        let p = registry.sub_registry_with_prefix("process");
        let bytes = Unit::Bytes;
        p.register_with_unit(
            "cpu",
            "Processor time used",
            Unit::Seconds,
            inner.cpu.clone(),
        );
        p.register_with_unit(
            "start_time",
            "Start since the Unix epoch",
            Unit::Seconds,
            start,
        );
        p.register_with_unit(
            "resident_memory",
            "Memory in RAM",
            bytes.clone(),
            inner.resident.clone(),
        );
        p.register_with_unit(
            "virtual_memory",
            "Address space",
            bytes,
            inner.virtual_memory.clone(),
        );
        p.register("open_fds", "Open file descriptors", inner.open_fds.clone());
        p.register(
            "max_fds",
            "Most open file descriptors allowed",
            inner.max_fds.clone(),
        );
        p.register("threads", "Threads", inner.threads.clone());
        Self(Arc::new(Inner { registry, ..inner }))
    }

    /// Names the node.
    pub fn set_node(&self, info: &NodeInfo) {
        self.0.node_info.clear();
        self.0.node_info.get_or_create(info).set(1);
    }

    /// The handle of a chain.
    #[must_use]
    pub fn chain(&self, chain: ChainId) -> ChainMetrics {
        let labels = ChainLabels { chain: chain.0 };
        let inner = &self.0;
        ChainMetrics {
            chain,
            metrics: self.clone(),
            height: inner.height.get_or_create_owned(&labels),
            executed: inner.executed.get_or_create_owned(&labels),
            round: inner.round.get_or_create_owned(&labels),
        }
    }

    /// Whether the node can serve clients.
    pub fn set_ready(&self, ready: bool) {
        self.0.ready.set(i64::from(ready));
    }

    /// Links.
    pub fn set_peers(&self, connected: usize, configured: usize) {
        self.0.peers_connected.set(signed(connected as u64));
        self.0.peers_configured.set(signed(configured as u64));
    }

    /// Totals of the links since start, bytes and frames in and out.
    pub fn set_network(&self, bytes_in: u64, bytes_out: u64, frames_in: u64, frames_out: u64) {
        for (direction, bytes, frames) in
            [("in", bytes_in, frames_in), ("out", bytes_out, frames_out)]
        {
            let labels = DirectionLabels { direction };
            raise(&self.0.network_bytes.get_or_create(&labels), bytes);
            raise(&self.0.network_frames.get_or_create(&labels), frames);
        }
    }

    /// Total of connections or frames refused for a reason since start.
    pub fn set_network_refused(&self, reason: &'static str, total: u64) {
        raise(
            &self
                .0
                .network_refused
                .get_or_create(&RefusedLabels { reason }),
            total,
        );
    }

    /// A durable write.
    pub fn observe_fsync(&self, took: Duration) {
        self.0.fsync.observe(took.as_secs_f64());
    }

    /// A JSON-RPC call. Methods beyond a bound count as `other`, so that invented names cost
    /// nothing.
    pub fn observe_rpc(&self, method: &str, outcome: RpcOutcome, took: Duration) {
        let method = bounded(&self.0.methods, method);
        let labels = MethodLabels {
            method: method.clone(),
        };
        let outcome = outcome.label();
        self.0
            .rpc_seconds
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        self.0
            .rpc_requests
            .get_or_create(&RpcLabels { method, outcome })
            .inc();
    }

    /// A message or connection was refused before it was a call, by a reason in fixed words.
    pub fn rpc_refused(&self, reason: &'static str) {
        let labels = RefusedLabels { reason };
        self.0.rpc_refused.get_or_create_owned(&labels).inc();
    }

    /// Open WebSocket connections.
    pub fn set_rpc_websockets(&self, open: usize) {
        self.0.rpc_websockets.set(signed(open as u64));
    }

    /// The metrics as OpenMetrics text 1.0.
    #[must_use]
    pub fn open_metrics(&self) -> String {
        let usage = process_usage();
        let cpu = usage.cpu.as_secs_f64();
        self.0.cpu.inc_by((cpu - self.0.cpu.get()).max(0.0));
        self.0.resident.set(signed(usage.resident_bytes));
        self.0.virtual_memory.set(signed(usage.virtual_bytes));
        self.0.open_fds.set(signed(usage.open_fds));
        self.0.max_fds.set(signed(usage.max_fds));
        self.0.threads.set(signed(usage.threads));
        let mut out = String::new();
        match encode(&mut out, &self.0.registry) {
            Ok(()) => out,
            // Only a writer that fails can cause this, and a string does not.
            Err(_) => String::from("# EOF\n"),
        }
    }

    /// The metrics in the Prometheus text format 0.0.4.
    #[must_use]
    pub fn prometheus(&self) -> String {
        to_prometheus(&self.open_metrics())
    }
}

/// The metrics of one chain. Cheap to clone.
#[derive(Clone)]
pub struct ChainMetrics {
    chain: ChainId,
    metrics: Metrics,
    height: Gauge,
    executed: Gauge,
    round: Gauge,
}

impl ChainMetrics {
    /// Names the chain.
    pub fn set_info(&self, name: &str, suite: &str, genesis: &str) {
        let info = ChainInfo {
            chain: self.chain.0,
            name: name.to_owned(),
            suite: suite.to_owned(),
            genesis: genesis.to_owned(),
        };
        self.metrics.0.chain_info.get_or_create(&info).set(1);
    }

    /// Height of the newest final block.
    pub fn set_height(&self, height: Height) {
        self.height.set(signed(height.0));
    }

    /// Height of the newest executed block.
    pub fn set_executed(&self, height: Height) {
        self.executed.set(signed(height.0));
    }

    /// First block of which everything is kept.
    pub fn set_first(&self, height: Height) {
        let first = self.metrics.0.first.get_or_create_owned(&self.labels());
        first.set(signed(height.0));
    }

    /// Chunks of a snapshot that are here, and all of them; both 0 when none is fetched.
    pub fn set_joining(&self, here: u64, all: u64) {
        for (state, count) in [("here", here), ("all", all)] {
            let labels = ChainStateLabels {
                chain: self.chain.0,
                state,
            };
            let gauge = self.metrics.0.joining.get_or_create_owned(&labels);
            gauge.set(signed(count));
        }
    }

    /// Catching up: blocks that are missing, blocks taken up per second, seconds left, and peers
    /// asked; all 0 at the head.
    pub fn set_catch_up(&self, blocks: u64, per_second: u64, left_seconds: u64, peers: usize) {
        let (inner, labels) = (&self.metrics.0, self.labels());
        for (family, value) in [
            (&inner.behind, blocks),
            (&inner.behind_rate, per_second),
            (&inner.behind_left, left_seconds),
            (&inner.behind_peers, peers as u64),
        ] {
            family.get_or_create_owned(&labels).set(signed(value));
        }
    }

    /// Bytes of chain data by kind, in fixed words.
    pub fn set_storage(&self, kinds: impl IntoIterator<Item = (&'static str, u64)>) {
        for (kind, bytes) in kinds {
            let labels = KindLabels {
                chain: self.chain.0,
                kind,
            };
            let gauge = self.metrics.0.storage.get_or_create_owned(&labels);
            gauge.set(signed(bytes));
        }
    }

    /// Files in the object store.
    pub fn set_tier_files(&self, kinds: impl IntoIterator<Item = (&'static str, u64)>) {
        for (kind, count) in kinds {
            let labels = KindLabels {
                chain: self.chain.0,
                kind,
            };
            let gauge = self.metrics.0.tier_files.get_or_create_owned(&labels);
            gauge.set(signed(count));
        }
    }

    /// What was done with the object store since the start, by kind.
    pub fn set_tier(&self, kinds: impl IntoIterator<Item = (&'static str, u64)>) {
        for (kind, total) in kinds {
            let labels = KindLabels {
                chain: self.chain.0,
                kind,
            };
            raise(&self.metrics.0.tier.get_or_create_owned(&labels), total);
        }
    }

    /// Present round of agreement.
    pub fn set_round(&self, round: Round) {
        self.round.set(i64::from(round.0));
    }

    /// Members of the committee.
    pub fn set_validators(&self, count: usize) {
        let labels = self.labels();
        self.metrics
            .0
            .validators
            .get_or_create(&labels)
            .set(signed(count as u64));
    }

    /// Waiting transactions.
    pub fn set_pool(&self, pending: usize, queued: usize) {
        for (state, count) in [("pending", pending), ("queued", queued)] {
            let labels = ChainStateLabels {
                chain: self.chain.0,
                state,
            };
            let gauge = self.metrics.0.pool.get_or_create_owned(&labels);
            gauge.set(signed(count as u64));
        }
    }

    /// An input was refused: where it came from (`client`, `peer`, `block`) and why, both in fixed
    /// words.
    pub fn rejected(&self, source: &'static str, reason: &'static str) {
        let labels = RejectedLabels {
            chain: self.chain.0,
            source,
            reason,
        };
        self.metrics.0.rejected.get_or_create(&labels).inc();
    }

    /// A message was given to so many peers, of so many bytes each, by a fixed word for its kind.
    pub fn sent(&self, kind: &'static str, bytes: usize, peers: usize) {
        let labels = KindLabels {
            chain: self.chain.0,
            kind,
        };
        let bytes = bytes.saturating_mul(peers) as u64;
        self.metrics.0.sent.get_or_create(&labels).inc_by(bytes);
    }

    /// A round ended without a block.
    pub fn round_failed(&self) {
        self.metrics
            .0
            .rounds_failed
            .get_or_create(&self.labels())
            .inc();
    }

    /// A block was stored and executed: its transactions that took effect, failed and were
    /// skipped, and its gas.
    pub fn block(&self, succeeded: usize, failed: usize, skipped: usize, gas_used: u64) {
        let (inner, labels) = (&self.metrics.0, self.labels());
        inner.blocks.get_or_create(&labels).inc();
        for (state, count) in [
            ("success", succeeded),
            ("failed", failed),
            ("skipped", skipped),
        ] {
            let labels = ChainStateLabels {
                chain: self.chain.0,
                state,
            };
            inner
                .transactions
                .get_or_create(&labels)
                .inc_by(count as u64);
        }
        inner.gas.get_or_create(&labels).inc_by(gas_used);
        let count = succeeded.saturating_add(failed).saturating_add(skipped);
        inner
            .block_transactions
            .get_or_create(&labels)
            .observe(count as f64);
        inner
            .block_gas
            .get_or_create(&labels)
            .observe(gas_used as f64);
    }

    /// Time between two stored blocks.
    pub fn observe_interval(&self, took: Duration) {
        let labels = self.labels();
        self.metrics
            .0
            .block_interval
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Time from the start of a height to its decision.
    pub fn observe_consensus(&self, took: Duration) {
        let labels = self.labels();
        self.metrics
            .0
            .consensus
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Time that executing a block took.
    pub fn observe_execution(&self, took: Duration) {
        let labels = self.labels();
        self.metrics
            .0
            .execution
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    fn labels(&self) -> ChainLabels {
        ChainLabels {
            chain: self.chain.0,
        }
    }
}

fn add<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: prometheus_client::registry::Metric + Clone + Default,
{
    add_with(registry, name, help, M::default())
}

fn add_with<M>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M
where
    M: prometheus_client::registry::Metric + Clone,
{
    registry.register(name, help, metric.clone());
    metric
}

fn add_unit<M>(registry: &mut Registry, name: &str, help: &str, unit: Unit) -> M
where
    M: prometheus_client::registry::Metric + Clone + Default,
{
    let metric = M::default();
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}

fn add_seconds<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Histogram, Seconds>
where
    L: EncodeLabelSet + Clone + Eq + std::hash::Hash + Send + Sync + std::fmt::Debug + 'static,
{
    let metric = Family::new_with_constructor(Seconds);
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

/// Brings a counter up to a total that is counted elsewhere.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The value itself while few distinct ones were seen, `other` after that.
fn bounded(seen: &Seen, value: &str) -> String {
    let mut seen = seen.lock();
    if seen.contains(value) {
        return value.to_owned();
    }
    if seen.len() >= OUTSIDE_VALUES_MAX || value.len() > 64 {
        return "other".to_owned();
    }
    seen.insert(value.to_owned());
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> Metrics {
        let metrics = Metrics::new();
        metrics.set_node(&NodeInfo {
            name: "n".into(),
            id: "ab".into(),
            version: "1".into(),
        });
        metrics.set_ready(true);
        metrics.set_peers(3, 4);
        metrics.set_network(10, 20, 1, 2);
        metrics.set_network(15, 20, 1, 2);
        metrics.set_network_refused("unknown_peer", 2);
        metrics.observe_fsync(Duration::from_millis(1));
        metrics.observe_rpc("eth_call", RpcOutcome::Ok, Duration::from_millis(2));
        metrics.rpc_refused("body");
        metrics.set_rpc_websockets(1);
        let chain = metrics.chain(ChainId(7));
        chain.set_info("c", "intl", "0x1");
        chain.set_height(Height(9));
        chain.set_executed(Height(8));
        chain.set_first(Height(3));
        chain.set_joining(1, 2);
        chain.set_catch_up(11, 12, 13, 2);
        chain.set_storage([("blocks", 10)]);
        chain.set_tier_files([("remote", 3)]);
        chain.set_tier([("fetched", 4)]);
        chain.set_round(Round(1));
        chain.set_validators(4);
        chain.set_pool(5, 6);
        chain.rejected("client", "nonce_too_low");
        chain.sent("agreement", 100, 3);
        chain.round_failed();
        chain.block(1, 2, 3, 21_000);
        chain.observe_interval(Duration::from_secs(1));
        chain.observe_consensus(Duration::from_secs(1));
        chain.observe_execution(Duration::from_secs(1));
        metrics
    }

    #[test]
    fn what_is_set_is_what_a_scraper_reads() {
        let text = busy().prometheus();
        for line in [
            "hawser_block_height{chain=\"7\"} 9",
            "hawser_executed_height{chain=\"7\"} 8",
            "hawser_first_height{chain=\"7\"} 3",
            "hawser_catch_up_blocks{chain=\"7\"} 11",
            "hawser_catch_up_left_seconds{chain=\"7\"} 13",
            "hawser_storage_bytes{chain=\"7\",kind=\"blocks\"} 10",
            "hawser_tier_files{chain=\"7\",kind=\"remote\"} 3",
            "hawser_tier_total{chain=\"7\",kind=\"fetched\"} 4",
            "hawser_pool_transactions{chain=\"7\",state=\"queued\"} 6",
            "hawser_rejected_total{chain=\"7\",source=\"client\",reason=\"nonce_too_low\"} 1",
            "hawser_chain_sent_bytes_total{chain=\"7\",kind=\"agreement\"} 300",
            "hawser_network_bytes_total{direction=\"in\"} 15",
            "hawser_transactions_total{chain=\"7\",state=\"skipped\"} 3",
            "hawser_rpc_requests_total{method=\"eth_call\",outcome=\"ok\"} 1",
            "hawser_consensus_duration_seconds_count{chain=\"7\"} 1",
            "hawser_peers_connected 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    /// The rules of `promtool check metrics` that can be told from the text.
    #[test]
    fn names_follow_the_convention() {
        let text = busy().prometheus();
        let mut families = 0;
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("# TYPE ") else {
                continue;
            };
            families += 1;
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(
                text.contains(&format!("# HELP {name} ")),
                "{name} has no help"
            );
            let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(valid), "{name}");
            for wrong in [
                "_ms",
                "_milliseconds",
                "_mib",
                "_count_",
                "_gauge",
                "_counter",
            ] {
                assert!(!name.contains(wrong), "{name}");
            }
            assert!(
                text.lines().any(|l| l.starts_with(name)),
                "{name} has no sample"
            );
        }
        assert!(families > 30, "{families}");
    }

    #[test]
    fn invented_methods_do_not_grow_the_registry() {
        let metrics = Metrics::new();
        for i in 0..=OUTSIDE_VALUES_MAX {
            metrics.observe_rpc(&format!("m{i}"), RpcOutcome::Rejected, Duration::ZERO);
        }
        metrics.observe_rpc(&"x".repeat(65), RpcOutcome::Failed, Duration::ZERO);
        let text = metrics.prometheus();
        assert!(text.contains("method=\"m255\"") && !text.contains("method=\"m256\""));
        assert!(
            text.contains("hawser_rpc_requests_total{method=\"other\",outcome=\"rejected\"} 1")
        );
        assert!(text.contains("hawser_rpc_requests_total{method=\"other\",outcome=\"failed\"} 1"));
    }
}
