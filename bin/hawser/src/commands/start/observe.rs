//! Feeds what the node does into its metrics.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hawser_ledger::Outcome;
use hawser_light::LightHandle;
use hawser_node::blackbox::{self, Entry, Recorder, RingOptions};
use hawser_node::chain::{ChainHandle, ChainObserver, Denial, Source};
use hawser_node::replica::Report;
use hawser_node::store::ExecutedBlock;
use hawser_ops::audit::{Refusal as Refused, RefusalSink};
use hawser_ops::{ChainMetrics, Metrics, Readiness, RpcOutcome};
use hawser_rpc::{CallOutcome, Refusal, RpcObserver};
use hawser_storage::TierStats;
use parking_lot::{Mutex, RwLock};

/// A chain's numbers on their way into the metrics.
pub(super) struct Observer {
    metrics: Metrics,
    chain: ChainMetrics,
    /// What governance refuses, on its way to the audit log.
    refusals: RefusalSink,
    /// Time of the last block in milliseconds, for the interval.
    last_time_ms: AtomicU64,
    blackbox: Blackbox,
}

/// The recording of a chain's consensus events: where it goes, and it itself once the chain runs.
pub(super) struct Blackbox {
    /// Name of the node.
    pub(super) node: String,
    /// The folder.
    pub(super) folder: PathBuf,
    /// Size in MiB; 0 for none.
    pub(super) mib: u64,
    recorder: OnceLock<Recorder>,
}

impl Blackbox {
    pub(super) fn new(node: &str, chain: &Path, mib: u64) -> Self {
        Self {
            node: node.to_owned(),
            folder: chain.join(blackbox::FOLDER),
            mib,
            recorder: OnceLock::new(),
        }
    }

    /// Opens it. A node without a recording is a node all the same.
    fn open(&self) -> Option<String> {
        let defaults = RingOptions::default();
        let segments = u64::try_from(defaults.segments).unwrap_or(1).max(1);
        let options = RingOptions {
            segment_bytes: self.mib.saturating_mul(1024 * 1024) / segments,
            ..defaults
        };
        if self.mib == 0 {
            return None;
        }
        match Recorder::open(&self.folder, options) {
            Ok(recorder) => {
                // Opened once, before the first entry.
                let _ = self.recorder.set(recorder);
                Some(self.node.clone())
            }
            Err(error) => {
                tracing::warn!(%error, "consensus events are not recorded");
                None
            }
        }
    }
}

impl Observer {
    pub(super) fn new(
        metrics: &Metrics,
        chain: ChainMetrics,
        refusals: RefusalSink,
        blackbox: Blackbox,
    ) -> Self {
        Self {
            metrics: metrics.clone(),
            chain,
            refusals,
            last_time_ms: AtomicU64::new(0),
            blackbox,
        }
    }
}

impl ChainObserver for Observer {
    fn executed(&self, block: &ExecutedBlock, seconds: f64) {
        let header = &block.block.header;
        let count = |wanted: fn(&Outcome) -> bool| {
            block
                .result
                .receipts
                .iter()
                .filter(|receipt| wanted(&receipt.outcome))
                .count()
        };
        self.chain.block(
            count(|outcome| matches!(outcome, Outcome::Success)),
            count(|outcome| matches!(outcome, Outcome::Reverted | Outcome::Halted)),
            count(|outcome| matches!(outcome, Outcome::Skipped(_))),
            block.result.gas_used,
        );
        self.chain
            .observe_execution(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        self.chain.set_executed(header.height);
        let last = self.last_time_ms.swap(header.time.0, Ordering::Relaxed);
        if last != 0 {
            self.chain
                .observe_interval(Duration::from_millis(header.time.0.saturating_sub(last)));
        }
    }

    fn synced(&self, seconds: f64) {
        self.metrics
            .observe_fsync(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    }

    fn reported(&self, report: &Report) {
        match report {
            Report::BadMessage { .. } => self.chain.rejected("peer", "malformed"),
            Report::WrongGenesis { .. } => self.chain.rejected("peer", "wrong_genesis"),
            Report::BlockRefused { .. } => self.chain.rejected("block", "refused"),
            Report::Misbehaviour { .. } => self.chain.rejected("block", "misbehaviour"),
            Report::KeyElsewhere { .. } => self.chain.rejected("vote", "key_elsewhere"),
            Report::VotesForgotten { .. } => self.chain.rejected("vote", "forgotten"),
            Report::VotesFrom { .. } => {}
            Report::FalseAttestation {
                chain,
                validator,
                transaction,
            } => {
                self.chain.rejected("batch", "false_attestation");
                self.refusals.refused(Refused {
                    chain: chain.0,
                    who: validator.to_string(),
                    from: Source::Peer.name(),
                    action: "attest".to_owned(),
                    resource: transaction.to_string(),
                    rule: "verification".to_owned(),
                    reason: "vouched for a transaction that does not verify".to_owned(),
                    code: "false_attestation",
                    transaction: *transaction,
                });
            }
            Report::Round { .. } => self.chain.round_failed(),
            Report::Syncing { .. } | Report::HistoryMissing { .. } => {}
        }
    }

    fn refused(&self, reason: &'static str) {
        self.chain.rejected("transaction", reason);
    }

    fn sent(&self, kind: &'static str, bytes: usize, peers: usize) {
        self.chain.sent(kind, bytes, peers);
    }

    fn records(&self) -> Option<String> {
        self.blackbox.open()
    }

    fn recorded(&self, entries: Vec<Entry>) {
        if let Some(recorder) = self.blackbox.recorder.get() {
            recorder.put(entries);
        }
    }

    fn denied(&self, denial: &Denial, source: Source) {
        let transaction = &denial.transaction;
        self.refusals.refused(Refused {
            chain: transaction.block.chain_id.0,
            who: transaction.sender.to_string(),
            from: source.name(),
            action: hawser_governance::actions(transaction),
            resource: hawser_governance::targets(transaction),
            rule: denial.finding.rule.clone(),
            reason: denial.finding.reason.clone(),
            code: "denied",
            transaction: transaction.hash,
        });
    }
}

/// The calls of clients on their way into the metrics.
pub(super) struct Calls(pub(super) Metrics);

impl RpcObserver for Calls {
    fn called(&self, method: &'static str, outcome: CallOutcome, duration: Duration) {
        let outcome = match outcome {
            CallOutcome::Ok => RpcOutcome::Ok,
            CallOutcome::ClientError | CallOutcome::Limited => RpcOutcome::Rejected,
            CallOutcome::ServerError => RpcOutcome::Failed,
        };
        self.0.observe_rpc(method, outcome, duration);
    }

    fn refused(&self, refusal: Refusal) {
        self.0.rpc_refused(match refusal {
            Refusal::Connections => "connections",
            Refusal::Address => "address",
            Refusal::WebSockets => "websockets",
            Refusal::Body => "body",
            Refusal::Parse => "parse",
            Refusal::Request => "request",
            Refusal::Batch => "batch",
            Refusal::SlowClient => "slow_client",
            Refusal::Memory => "memory",
            Refusal::Accept => "accept",
        });
    }

    fn websockets(&self, open: usize) {
        self.0.set_rpc_websockets(open);
    }
}

/// What the node is doing, for the health listener.
#[derive(Clone)]
pub(super) enum Phase {
    /// Opening its chains.
    Starting,
    /// Filling an empty folder from a snapshot; how far that is, in words.
    Joining(String),
    /// Serving.
    Running(Vec<(ChainHandle, ChainMetrics)>),
    /// Serving as a light node.
    Light(LightHandle, ChainMetrics),
    /// Closing.
    Stopping,
}

/// The phase, shared with the health listener.
#[derive(Clone)]
pub(super) struct Health {
    phase: Arc<RwLock<Phase>>,
    /// When the folders were last measured.
    measured: Arc<Mutex<Option<Instant>>>,
}

/// Notes what was done with the object store.
fn note_tier(chain: &ChainMetrics, stats: &TierStats) {
    chain.set_tier_files([("remote", stats.files)]);
    chain.set_tier([
        ("hits", stats.hits),
        ("fetched", stats.fetched),
        ("fetched_bytes", stats.fetched_bytes),
        ("read_failures", stats.read_failures),
        ("uploads", stats.uploads),
        ("upload_bytes", stats.upload_bytes),
        ("upload_failures", stats.upload_failures),
    ]);
}

/// How often the folders are measured, which reads the length of every file.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

impl Health {
    pub(super) fn new() -> Self {
        Self {
            phase: Arc::new(RwLock::new(Phase::Starting)),
            measured: Arc::default(),
        }
    }

    pub(super) fn set(&self, phase: Phase) {
        *self.phase.write() = phase;
    }

    /// Measures what the chains take on the disk, if it is time.
    async fn measure(&self, chains: &[(ChainHandle, ChainMetrics)]) {
        {
            let mut measured = self.measured.lock();
            if measured.is_some_and(|at| at.elapsed() < MEASURE_EVERY) {
                return;
            }
            *measured = Some(Instant::now());
        }
        for (handle, chain) in chains {
            let store = Arc::clone(handle.store());
            let measured = move || (store.usage(), store.tier().map(|tier| tier.stats()));
            let usage = tokio::task::spawn_blocking(measured).await;
            if let Ok((_, Some(Ok(stats)))) = &usage {
                note_tier(chain, stats);
            }
            match usage.map(|(usage, _)| usage) {
                Ok(Ok(kinds)) => {
                    chain.set_storage(kinds.into_iter().map(|one| (one.kind, one.bytes)));
                }
                Ok(Err(error)) => tracing::warn!(%error, "cannot measure the data folder"),
                Err(error) => tracing::warn!(%error, "cannot measure the data folder"),
            }
        }
    }

    /// Asks every chain how it is doing, and notes it in the metrics.
    pub(super) async fn probe(&self) -> Readiness {
        let phase = self.phase.read().clone();
        let chains = match phase {
            Phase::Joining(text) => return Readiness::waiting(vec![text]),
            Phase::Starting => return Readiness::waiting(vec!["the node is starting".to_owned()]),
            Phase::Stopping => return Readiness::waiting(vec!["the node is stopping".to_owned()]),
            Phase::Light(handle, chain) => {
                let status = handle.status();
                chain.set_height(status.height);
                chain.set_executed(status.executed);
                chain.set_validators(status.validators);
                let waiting = status.waiting.iter();
                let named = |text| format!("chain {}: {text}", status.chain_id);
                return Readiness {
                    ready: status.ready,
                    reasons: waiting.map(named).collect(),
                    reasons_zh: Vec::new(),
                };
            }
            Phase::Running(chains) => chains,
        };
        self.measure(&chains).await;
        let (mut reasons, mut reasons_zh) = (Vec::new(), Vec::new());
        let mut ready = true;
        for (handle, chain) in &chains {
            let Ok(status) = handle.status().await else {
                ready = false;
                reasons.push("a chain has stopped; see the log".to_owned());
                reasons_zh.push("有一条链已停止；请查看日志".to_owned());
                continue;
            };
            chain.set_height(status.height);
            chain.set_executed(status.executed);
            chain.set_round(status.round);
            chain.set_validators(status.validators);
            chain.set_first(status.first_height);
            chain.set_pool(status.pending, status.queued);
            let (blocks, rate, left, peers) = match &status.catch_up {
                Some(state) => (
                    state.behind,
                    state.blocks_per_second,
                    state.seconds_left.unwrap_or(0),
                    state.peers.len(),
                ),
                None => (0, 0, 0, 0),
            };
            chain.set_catch_up(blocks, rate, left, peers);
            ready &= status.ready;
            let waiting = status.waiting.iter();
            reasons.extend(waiting.map(|text| format!("chain {}: {text}", status.chain_id)));
            let waiting = status.waiting_zh.iter();
            reasons_zh.extend(waiting.map(|text| format!("链 {}：{text}", status.chain_id)));
        }
        Readiness {
            ready,
            reasons,
            reasons_zh,
        }
    }
}
