//! Feeds what the node does into its metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hawser_ledger::Outcome;
use hawser_node::chain::{ChainHandle, ChainObserver};
use hawser_node::replica::Report;
use hawser_node::store::ExecutedBlock;
use hawser_ops::{ChainMetrics, Metrics, Readiness, RpcOutcome};
use hawser_primitives::{Height, Round};
use hawser_rpc::{CallOutcome, Refusal, RpcObserver};
use parking_lot::RwLock;

/// A chain's numbers on their way into the metrics.
pub(super) struct Observer {
    metrics: Metrics,
    chain: ChainMetrics,
    /// Time of the last block in milliseconds, for the interval.
    last_time_ms: AtomicU64,
}

impl Observer {
    pub(super) fn new(metrics: &Metrics, chain: ChainMetrics) -> Self {
        Self {
            metrics: metrics.clone(),
            chain,
            last_time_ms: AtomicU64::new(0),
        }
    }
}

impl ChainObserver for Observer {
    fn executed(&self, block: &ExecutedBlock, seconds: f64) {
        let header = &block.block.header;
        let count = |wanted: fn(&Outcome) -> bool| {
            block.result.receipts.iter().filter(|receipt| wanted(&receipt.outcome)).count()
        };
        self.chain.block(
            count(|outcome| matches!(outcome, Outcome::Success)),
            count(|outcome| matches!(outcome, Outcome::Reverted | Outcome::Halted)),
            count(|outcome| matches!(outcome, Outcome::Skipped(_))),
            block.result.gas_used,
        );
        self.chain.observe_execution(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        self.chain.set_executed(header.height);
        let last = self.last_time_ms.swap(header.time.0, Ordering::Relaxed);
        if last != 0 {
            self.chain.observe_interval(Duration::from_millis(header.time.0.saturating_sub(last)));
        }
    }

    fn synced(&self, seconds: f64) {
        self.metrics.observe_fsync(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    }

    fn reported(&self, report: &Report) {
        match report {
            Report::BadMessage { .. } => self.chain.rejected("peer", "malformed"),
            Report::WrongGenesis { .. } => self.chain.rejected("peer", "wrong_genesis"),
            Report::BlockRefused { .. } => self.chain.rejected("block", "refused"),
            Report::Misbehaviour { .. } => self.chain.rejected("block", "misbehaviour"),
            Report::Round { .. } => self.chain.round_failed(),
            Report::Syncing { .. } => {}
        }
    }

    fn refused(&self, reason: &'static str) {
        self.chain.rejected("transaction", reason);
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
            Refusal::WebSockets => "websockets",
            Refusal::Body => "body",
            Refusal::Parse => "parse",
            Refusal::Request => "request",
            Refusal::Batch => "batch",
            Refusal::SlowClient => "slow_client",
        });
    }

    fn websockets(&self, open: usize) {
        self.0.set_rpc_websockets(open);
    }
}

/// What the health listener answers, kept up to date by [`watch`].
#[derive(Clone, Default)]
pub(super) struct Health(Arc<RwLock<Readiness>>);

impl Health {
    pub(super) fn get(&self) -> Readiness {
        self.0.read().clone()
    }

    pub(super) fn set(&self, readiness: Readiness) {
        *self.0.write() = readiness;
    }
}

/// Asks every chain how it is doing, now and then, for metrics and health.
pub(super) async fn watch(
    chains: Vec<(ChainHandle, ChainMetrics)>,
    metrics: Metrics,
    health: Health,
) {
    loop {
        let mut reasons = Vec::new();
        let mut ready = true;
        for (handle, chain) in &chains {
            let Ok(status) = handle.status().await else {
                ready = false;
                reasons.push("a chain has stopped; see the log".to_owned());
                continue;
            };
            chain.set_height(status.height);
            chain.set_executed(Height(status.executed.0));
            chain.set_round(Round(status.round.0));
            chain.set_validators(status.validators);
            chain.set_pool(status.pending, status.queued);
            ready &= status.ready;
            let waiting = status.waiting.iter();
            reasons.extend(waiting.map(|text| format!("chain {}: {text}", status.chain_id)));
        }
        metrics.set_ready(ready);
        health.set(Readiness { ready, reasons });
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
