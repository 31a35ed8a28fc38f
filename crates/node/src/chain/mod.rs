//! One chain running on this node: the replica's actions carried out on real clocks, disks and
//! links.
//!
//! Threads per chain: one runs the replica and its vote log, one executes final blocks, one writes
//! state out, one gathers submissions, one answers peers with blocks from an object store where there is one, a few
//! verify signatures. Channels between them are bounded, or bounded by what may be in flight.

mod check;
mod clock;
mod cold;
mod conduct;
mod convictions;
mod driver;
mod error;
mod explain;
mod handle;
mod readiness;
mod room;
mod status;
mod timers;
mod verify;
mod voteguard;
mod votelog;
mod worker;

use std::{collections::BTreeMap, sync::Arc, thread::JoinHandle};

use hawser_consensus::Timeouts;
use hawser_crypto::SecretKey;
use hawser_execution::NativeRegistry;
use hawser_ledger::{Genesis, Roots, VerifiedTransaction};
use hawser_network::{NetworkHandle, PeerId};
use hawser_primitives::{Address, B256, Bytes, Height};
use hawser_storage::{Disk, Kv};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub use convictions::Convictions;
pub use error::ChainError;
pub use handle::{ChainHandle, Denial, Source, Stopped, SubmitError};
pub use readiness::{ProtocolState, ValidatorState};
pub use status::{ChainStatus, PeerState};
pub use timers::Timers;
pub use verify::Verifier;
pub use voteguard::{allow_votes, read_vote_guard, votes_in_doubt, write_vote_guard};
pub use votelog::VoteLog;
pub use worker::work_in_background;

use room::Room;
use voteguard::clear_vote_guard;

use crate::{
    light::LightPeers,
    peers::PeerNames,
    pool::{AccountContent, Candidate, PoolCounts, PoolLimits},
    replica::{AuditSampling, Boot, CastVotes, CheckedBlock, Event, VoteGuard},
    snapshot,
    store::{ChainStore, ExecutedBlock, StoreOptions},
};

/// Events that may wait for the replica.
const INPUTS_MAX: usize = 4_096;
/// Submissions that may wait for verification.
const SUBMISSIONS_MAX: usize = 16_384;
/// Executed blocks that a slow subscriber may fall behind.
const BLOCKS_BUFFER: usize = 256;
/// Pending transactions that a slow subscriber may fall behind.
const PENDING_BUFFER: usize = 4_096;

/// A raw transaction on its way into the pool.
pub(crate) struct Submission {
    pub(crate) raw: Bytes,
    pub(crate) reply: oneshot::Sender<Result<B256, SubmitError>>,
}

/// A submission whose signature is good.
pub(crate) struct Verified {
    pub(crate) candidate: Candidate,
    pub(crate) reply: oneshot::Sender<Result<B256, SubmitError>>,
}

/// A question to the thread that runs the replica.
pub(crate) enum Command {
    Status(oneshot::Sender<ChainStatus>),
    PoolTransaction(B256, oneshot::Sender<Option<Arc<VerifiedTransaction>>>),
    PoolNonce(Address, oneshot::Sender<Option<u64>>),
    PoolCounts(oneshot::Sender<PoolCounts>),
    PoolContent(oneshot::Sender<BTreeMap<Address, AccountContent>>),
}

/// What wakes the thread that runs the replica.
pub(crate) enum Input {
    Event(Event),
    Verified(Vec<Verified>),
}

/// Counters that the node's metrics show.
pub trait ChainObserver: Send + Sync {
    /// A block was executed.
    fn executed(&self, block: &ExecutedBlock, seconds: f64);
    /// The vote log was synced.
    fn synced(&self, seconds: f64);
    /// The replica has something to report.
    fn reported(&self, report: &crate::replica::Report);
    /// A submitted or gossiped transaction was refused, by a short reason.
    fn refused(&self, reason: &'static str);
    /// A message of a kind was given to so many peers, of so many bytes each.
    fn sent(&self, kind: &'static str, bytes: usize, peers: usize) {
        let _ = (kind, bytes, peers);
    }
    /// The chain's governance refused a transaction whose signatures are good. Called by threads
    /// that verify, so it must not wait.
    fn denied(&self, denial: &Denial, source: Source) {
        let _ = (denial, source);
    }
    /// Name of the node, where its consensus events are to be recorded; [`Self::recorded`] gets them.
    fn records(&self) -> Option<String> {
        None
    }
    /// Consensus events happened. Called by the thread that agrees, so it must not wait.
    fn recorded(&self, entries: Vec<crate::blackbox::Entry>) {
        let _ = entries;
    }
}

/// An observer that looks away.
pub struct NoObserver;

impl ChainObserver for NoObserver {
    fn executed(&self, _: &ExecutedBlock, _: f64) {}
    fn synced(&self, _: f64) {}
    fn reported(&self, _: &crate::replica::Report) {}
    fn refused(&self, _: &'static str) {}
}

/// What a chain needs to run.
pub struct ChainSetup {
    /// Its genesis.
    pub genesis: Arc<Genesis>,
    /// This node's vote key; `None` follows without voting.
    pub key: Option<Arc<SecretKey>>,
    /// Native contracts.
    pub natives: NativeRegistry,
    /// Waits of agreement.
    pub timeouts: Timeouts,
    /// Bounds of the pool.
    pub pool: PoolLimits,
    /// Sizes of the store.
    pub store: StoreOptions,
    /// Folder of blocks, receipts and vote log.
    pub disk: Arc<dyn Disk>,
    /// State and indexes.
    pub kv: Arc<dyn Kv>,
    /// Threads that verify signatures, at least 1.
    pub verifiers: usize,
    /// Who sees the numbers.
    pub observer: Arc<dyn ChainObserver>,
}

/// A chain that runs.
pub struct Chain {
    handle: ChainHandle,
    inputs: mpsc::Sender<Input>,
    stop: watch::Sender<bool>,
    failure: watch::Receiver<Option<String>>,
    threads: Vec<JoinHandle<()>>,
}

impl Chain {
    /// Opens the store, recovers, and starts the threads. `progress` follows re-execution.
    pub fn start(
        setup: ChainSetup,
        network: NetworkHandle,
        (names, light): (PeerNames, LightPeers),
        progress: &mut dyn FnMut(Height, Height),
    ) -> Result<Self, ChainError> {
        snapshot::clear_unfinished(setup.disk.as_ref()).map_err(Box::new)?;
        let store = Arc::new(ChainStore::open(
            Arc::clone(&setup.disk),
            Arc::clone(&setup.kv),
            Arc::clone(&setup.genesis),
            setup.natives,
            setup.store,
            progress,
        )?);
        let verifier = Arc::new(Verifier::new(Arc::clone(&store)));
        let (convictions, convicted) = Convictions::open(Arc::clone(&setup.disk), &setup.genesis)?;
        let (log, boot) = boot(
            &store,
            &verifier,
            Arc::clone(&setup.disk),
            setup.key,
            setup.timeouts,
            setup.pool,
        )?;
        let boot = Boot {
            convicted,
            audit: AuditSampling {
                key: hawser_crypto::cipher::random_bytes().map_err(|_| ChainError::Randomness)?,
                per_mille: setup.pool.audit_per_mille,
            },
            ..boot
        };
        let (inputs, inputs_rx) = mpsc::channel(INPUTS_MAX);
        let (commands, commands_rx) = mpsc::channel(64);
        let (submissions, submissions_rx) = mpsc::channel(SUBMISSIONS_MAX);
        let (blocks, _) = broadcast::channel(BLOCKS_BUFFER);
        let (pending, _) = broadcast::channel(PENDING_BUFFER);
        let (stop, stopped) = watch::channel(false);
        let (failed, failure) = watch::channel(None);
        let handle = ChainHandle {
            store: Arc::clone(&store),
            submissions,
            commands,
            blocks: blocks.clone(),
            pending: pending.clone(),
            room: Arc::new(Room::new(Arc::clone(&setup.observer))),
            remarks: Arc::default(),
        };
        let fail = Arc::new(move |reason: String| {
            tracing::error!(%reason, "the chain stops");
            failed.send_replace(Some(reason));
        });
        let (workers, jobs) = worker::Workers::start(
            worker::Context {
                store: Arc::clone(&store),
                verifier,
                inputs: inputs.clone(),
                blocks,
                observer: Arc::clone(&setup.observer),
                fail: fail.clone(),
            },
            submissions_rx,
            stopped.clone(),
            setup.verifiers.max(1),
        )?;
        let mut threads = workers;
        let cold = match store.tier() {
            Some(_) => {
                let (jobs, thread) =
                    cold::spawn(Arc::clone(&store), network.clone(), fail.clone())?;
                threads.push(thread);
                Some(jobs)
            }
            None => None,
        };
        let driver = driver::Driver::new(driver::Parts {
            boot,
            log,
            convictions,
            store,
            network,
            jobs,
            pending,
            room: Arc::clone(&handle.room),
            observer: setup.observer,
            names,
            light,
            disk: setup.disk,
            remarks: Arc::clone(&handle.remarks),
            cold,
        });
        threads.push(driver::spawn(
            driver,
            inputs_rx,
            commands_rx,
            stopped,
            fail,
        )?);
        Ok(Self {
            handle,
            inputs,
            stop,
            failure,
            threads,
        })
    }

    /// Access for interfaces.
    #[must_use]
    pub const fn handle(&self) -> &ChainHandle {
        &self.handle
    }

    /// Where the network delivers.
    pub(crate) fn inputs(&self) -> mpsc::Sender<Input> {
        self.inputs.clone()
    }

    /// Becomes `Some` with the reason when the chain has stopped by itself.
    #[must_use]
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.clone()
    }

    /// Stops cleanly: everything executed is flushed.
    pub fn stop(self) -> Result<(), ChainError> {
        self.stop.send_replace(true);
        let Self {
            handle,
            inputs,
            threads,
            ..
        } = self;
        let store = Arc::clone(handle.store());
        drop((handle, inputs));
        for thread in threads {
            thread
                .join()
                .map_err(|_| ChainError::Thread("a thread of the chain panicked"))?;
        }
        store.flush()?;
        Ok(())
    }
}

/// Reads back what the replica needs to go on: the tip, the last roots, and the votes that were
/// cast for the heights after it. The caller sets the key of the samples, and who is convicted.
pub fn boot(
    store: &ChainStore,
    verifier: &Verifier,
    disk: Arc<dyn Disk>,
    key: Option<Arc<SecretKey>>,
    timeouts: Timeouts,
    pool: PoolLimits,
) -> Result<(VoteLog, Boot), ChainError> {
    let (tip, _) = store.tip()?;
    let lag = store.genesis().parameters.root_lag;
    let mut roots: Vec<Roots> = Vec::new();
    for height in tip.height.back(lag).0..=tip.height.0 {
        roots.extend(store.roots(Height(height))?);
    }
    // Only blocks within the lag matter: an older busy block is certified already.
    let mut last_busy = Height::GENESIS;
    for height in tip.height.back(lag).0.max(1)..=tip.height.0 {
        if let Some(block) = store.block(Height(height))?
            && !block.transactions.is_empty()
        {
            last_busy = Height(height);
        }
    }
    let guard = vote_guard(&disk, key.is_some(), tip.height)?;
    let next = tip.height.next();
    if let Some(guard) = guard.filter(|guard| key.is_some() && !guard.allows(next)) {
        let words = explain::forgotten(guard, next, false);
        tracing::warn!(chain = %store.genesis().chain_id, next = %next, "{}", words.en);
    }
    let (log, recovered) = VoteLog::open(disk, tip.height)?;
    let mut cast = BTreeMap::new();
    for (height, found) in recovered {
        let mut blocks = Vec::new();
        for block in found.blocks {
            let block = Arc::new(block);
            let hash = block.hash(store.genesis().suite);
            match verifier.check(&block, &[]) {
                Ok(transactions) => blocks.push(CheckedBlock {
                    block,
                    hash,
                    transactions,
                }),
                Err(reason) => return Err(ChainError::VoteLog(format!("block {hash}: {reason}"))),
            }
        }
        let records = found.records;
        cast.insert(height, CastVotes { records, blocks });
    }
    let boot = Boot {
        genesis: Arc::clone(store.genesis()),
        rules: store.rules(),
        key,
        timeouts,
        pool,
        certificate: store
            .certified(tip.height)
            .ok()
            .flatten()
            .map(|(_, one)| one),
        tip,
        last_busy,
        roots,
        cast,
        program_version: store.program_version(),
        audit: AuditSampling {
            key: [0; 16],
            per_mille: pool.audit_per_mille,
        },
        convicted: Vec::new(),
        guard,
    };
    Ok((log, boot))
}

/// What is known of forgotten votes, and the folder's mark brought up to date with it.
fn vote_guard(
    disk: &Arc<dyn Disk>,
    votes: bool,
    tip: Height,
) -> Result<Option<VoteGuard>, ChainError> {
    let marked = read_vote_guard(disk.as_ref())?;
    let guard = votes_in_doubt(disk.as_ref(), votes, tip)?;
    match guard {
        Some(guard) if marked != Some(guard) => write_vote_guard(Arc::clone(disk), guard)?,
        None if marked.is_some() => clear_vote_guard(disk.as_ref())?,
        _ => {}
    }
    Ok(guard)
}

/// Tells a chain about a link.
pub(crate) fn link(peer: PeerId, up: bool) -> Input {
    Input::Event(if up {
        Event::PeerUp(peer)
    } else {
        Event::PeerDown(peer)
    })
}

#[cfg(test)]
mod tests {
    use hawser_storage::MemDisk;

    use super::*;
    use crate::replica::GuardReason;

    #[test]
    fn a_lost_vote_log_is_noticed_also_where_an_earlier_loss_was_over() {
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::new(1));
        let over = VoteGuard {
            reason: GuardReason::Restored,
            from: Some(Height(5)),
        };
        write_vote_guard(Arc::clone(&disk), over).unwrap();
        let lost = Some(VoteGuard::unknown(GuardReason::NoVoteLog));
        assert_eq!(vote_guard(&disk, true, Height(9)).unwrap(), lost);
        assert_eq!(read_vote_guard(disk.as_ref()).unwrap(), lost);
        // With the log of all votes since, it is over.
        write_vote_guard(Arc::clone(&disk), over).unwrap();
        VoteLog::open(Arc::clone(&disk), Height(9)).unwrap();
        assert_eq!(vote_guard(&disk, true, Height(4)).unwrap(), Some(over));
        assert_eq!(vote_guard(&disk, true, Height(9)).unwrap(), None);
        assert_eq!(read_vote_guard(disk.as_ref()).unwrap(), None);
    }

    #[test]
    fn a_vote_log_that_is_lost_after_votes_were_allowed_is_noticed() {
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::new(1));
        let tip = Height(9);
        let restored = VoteGuard::unknown(GuardReason::Restored);
        write_vote_guard(Arc::clone(&disk), restored).unwrap();
        // A restored folder has no vote log; its mark says more than that.
        assert_eq!(vote_guard(&disk, true, tip).unwrap(), Some(restored));
        assert_eq!(allow_votes(&disk, restored, tip).unwrap(), Height(10));
        let allowed = VoteGuard {
            from: Some(Height(10)),
            ..restored
        };
        for _ in 0..2 {
            assert_eq!(vote_guard(&disk, true, tip).unwrap(), Some(allowed));
        }
        // It may have voted for block 10 since.
        disk.remove(crate::store::VOTE_LOG).unwrap();
        let lost = Some(VoteGuard::unknown(GuardReason::NoVoteLog));
        assert_eq!(
            votes_in_doubt(disk.as_ref(), true, tip).unwrap(),
            lost,
            "and nothing was changed"
        );
        assert_eq!(read_vote_guard(disk.as_ref()).unwrap(), Some(allowed));
        assert_eq!(vote_guard(&disk, true, tip).unwrap(), lost);
        assert_eq!(read_vote_guard(disk.as_ref()).unwrap(), lost);
        // Who has no vote key has nothing to lose.
        let unmarked: Arc<dyn Disk> = Arc::new(MemDisk::new(1));
        assert_eq!(votes_in_doubt(unmarked.as_ref(), true, tip).unwrap(), lost);
        assert_eq!(votes_in_doubt(unmarked.as_ref(), false, tip).unwrap(), None);
    }

    /// One bit of the last byte of a file is another.
    fn flip_last(disk: &dyn Disk, name: &str) {
        let file = disk.open(name).unwrap().unwrap();
        let len = file.len().unwrap();
        let last = file.read_at(len - 1, 1).unwrap()[0] ^ 1;
        file.truncate(len - 1).unwrap();
        file.append(&[last]).unwrap();
        file.sync().unwrap();
    }

    #[test]
    fn a_guard_that_cannot_be_read_still_guards() {
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::new(1));
        VoteLog::open(Arc::clone(&disk), Height(9)).unwrap();
        write_vote_guard(Arc::clone(&disk), VoteGuard::unknown(GuardReason::Restored)).unwrap();
        flip_last(disk.as_ref(), crate::store::VOTE_GUARD);
        let unknown = Some(VoteGuard::unknown(GuardReason::NoVoteLog));
        for _ in 0..2 {
            assert_eq!(vote_guard(&disk, true, Height(9)).unwrap(), unknown);
        }
    }

    #[test]
    fn a_vote_log_of_which_nothing_is_left_is_a_lost_one() {
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::new(1));
        VoteLog::open(Arc::clone(&disk), Height(9)).unwrap();
        // Begun anew and not written to yet.
        assert_eq!(vote_guard(&disk, true, Height(9)).unwrap(), None);
        let file = disk.open(crate::store::VOTE_LOG).unwrap().unwrap();
        file.append(&[0; 4_096]).unwrap();
        file.sync().unwrap();
        // At genesis nobody has voted.
        assert_eq!(vote_guard(&disk, true, Height::GENESIS).unwrap(), None);
        let lost = Some(VoteGuard::unknown(GuardReason::NoVoteLog));
        assert_eq!(vote_guard(&disk, true, Height(9)).unwrap(), lost);
        // Also after its end was cut off.
        VoteLog::open(Arc::clone(&disk), Height(9)).unwrap();
        assert_eq!(vote_guard(&disk, true, Height(9)).unwrap(), lost);
    }
}
