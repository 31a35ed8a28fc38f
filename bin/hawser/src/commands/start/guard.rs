//! Guards the node's interface: who may read, and the record of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hawser_node::chain::ChainHandle;
use hawser_node::config::{ChainSection, Loaded, NodeConfig, ReadsMode};
use hawser_ops::audit::{
    AuditLog, AuditOptions, Event, Kind, RefusalLimits, RefusalSource, RefusalWriter, Sync,
};
use hawser_rpc::auth::{
    Access, AnyAccount, AuditUnavailable, Decision, Durable, Governed, ReadAudit, ReadEvent,
    ReadGate, Reads, RevokedList,
};

use super::inventory::Stock;
use super::record::{Record, Watch};
use crate::exit::{Code, OrFail, Result};

/// The audit log, what is needed to guard chains with it, and what writes to it by itself.
pub(super) struct Guard {
    log: Arc<AuditLog>,
    /// Writes what governance refuses at the pools.
    refusals: RefusalWriter,
    /// Watches what operators change.
    watch: Watch,
}

/// Puts decisions about reads into the node's log.
struct ReadLog(Arc<AuditLog>);

impl ReadAudit for ReadLog {
    fn record(&self, event: ReadEvent) -> std::result::Result<Option<Durable>, AuditUnavailable> {
        let event = Event {
            time_ms: event.time_ms,
            chain: Some(event.chain.0),
            who: event.who.map(|who| who.to_string()).unwrap_or_default(),
            how: event.how.to_owned(),
            from: event.from.map(|from| from.to_string()).unwrap_or_default(),
            method: event.method,
            resource: event.resource,
            decision: match event.decision {
                Decision::Allowed => "allowed",
                Decision::Denied => "denied",
            }
            .to_owned(),
            rule: event.rule.into_owned(),
            reason: event.reason,
            request: Some(event.request),
            ..Event::default()
        };
        let recorded = self.0.record(Kind::Read, event);
        recorded.map_err(|error| AuditUnavailable(error.to_string()))
    }
}

impl Guard {
    /// Opens the log. The first chain's suite hashes it.
    pub(super) fn open(
        (file, loaded): (&Path, &Loaded),
        node: &str,
        (chains, folders): (&[ChainHandle], Vec<PathBuf>),
        refused: RefusalSource,
    ) -> Result<Self> {
        let config = &loaded.config;
        let suite = chains.first().map_or(hawser_crypto::Suite::Intl, |chain| {
            chain.store().genesis().suite
        });
        let options = AuditOptions {
            dir: config.audit_dir(),
            node: node.to_owned(),
            suite,
            segment_bytes_max: config.audit.segment_bytes_max,
            sync: match config.audit.sync_ms {
                0 => Sync::Always,
                ms => Sync::Within(Duration::from_millis(ms)),
            },
        };
        let log = Arc::new(AuditLog::open(options).or_fail(Code::Failed)?);
        let head = log.head();
        tracing::info!(entry = head.n, hash = %head.hash, "audit log");
        let refusals = RefusalWriter::start(refused, Arc::clone(&log), RefusalLimits::default());
        let refusals = refusals.context(Code::Failed, "cannot start a thread")?;
        let version = env!("CARGO_PKG_VERSION");
        let chains: Vec<_> = config
            .chains
            .iter()
            .zip(chains)
            .map(|(section, chain)| {
                let reads = match config.reads_of(section) {
                    ReadsMode::Open => "open",
                    ReadsMode::Signed => "signed",
                };
                format!("chain {}: reads {reads}", chain.store().genesis().chain_id)
            })
            .collect();
        let stock = Stock::new(file, loaded, folders, suite);
        let data_dir = &config.node.data_dir;
        let (record, inventory) = Record::begin(Arc::clone(&log), data_dir, suite, stock)?;
        let reason = format!("version {version}; {}; {inventory}", chains.join(", "));
        act(&log, "node start", &reason)?;
        Ok(Self {
            log,
            refusals,
            watch: Watch::start(record)?,
        })
    }

    /// How a chain's reads are guarded.
    pub(super) fn access(
        &self,
        config: &NodeConfig,
        section: &ChainSection,
        chain: &ChainHandle,
    ) -> Access {
        let law: Arc<dyn ReadGate> = Arc::new(Governed::new(
            Arc::clone(chain.store()),
            Arc::new(AnyAccount),
        ));
        let gate = match &config.rpc.revoked_readers {
            Some(path) => Arc::new(RevokedList::new(path.clone(), law)),
            None => law,
        };
        Access {
            reads: match config.reads_of(section) {
                ReadsMode::Open => Reads::Open,
                ReadsMode::Signed => Reads::Signed,
            },
            gate,
            audit: Some(Arc::new(ReadLog(Arc::clone(&self.log)))),
            audit_one_in: section.audit_one_in,
        }
    }

    /// Notes why the node stops, and writes what waits.
    pub(super) fn stopped(self, why: &str) {
        let inventory = match self.watch.stop() {
            Some(digest) => format!("{why}; inventory is {digest}"),
            None => why.to_owned(),
        };
        // Writes what is counted so far, so that the stop is the last line.
        drop(self.refusals);
        if let Err(failure) = act(&self.log, "node stop", &inventory) {
            tracing::error!(%failure, "audit log");
        }
    }
}

/// Puts an administrative act on the record.
fn act(log: &AuditLog, command: &str, reason: &str) -> Result<()> {
    let event = Event {
        time_ms: now_ms(),
        how: "operator".to_owned(),
        method: command.to_owned(),
        decision: "done".to_owned(),
        reason: reason.to_owned(),
        ..Event::default()
    };
    log.record(Kind::Admin, event).or_fail(Code::Failed)?;
    Ok(())
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}
