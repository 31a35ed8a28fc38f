//! Threads that do the heavy work: execution, and verification of signatures.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select_biased, unbounded};
use hawser_ledger::Certificate;
use hawser_network::PeerId;
use hawser_primitives::Height;
use tokio::sync::{broadcast, mpsc, watch};

use super::{
    ChainError, ChainObserver, Input, Source, Submission, SubmitError, Verified, Verifier,
    check::{CheckJob, Share},
};
use crate::{
    replica::{Audit, CheckedBlock, Event, Intake, Relayed},
    store::{ChainStore, ExecutedBlock, Upkeep},
};

/// How far threads step back where processors are scarce (the value of nice(2), from 0 to 19).
/// Agreement and execution hold up every transaction, verification only new ones: were they equal,
/// a load near the limit would delay votes.
const VERIFY_NICE: i32 = 5;
/// Writing out can wait longest, and so can snapshots. Not at the very end: who waits for a lock that such a
/// thread holds waits for its turn.
const FLUSH_NICE: i32 = 10;

/// Between two steps of upkeep that no flush asks for: what is to be dropped goes at five hundred blocks a
/// second, and everything else has the disk in between.
const UPKEEP_PAUSE: Duration = Duration::from_millis(500);

/// Submissions verified before the results are handed on.
const BATCH: usize = 256;
/// Messages of transactions from peers that may wait; more are dropped, the sender's pool keeps
/// them.
const GOSSIP_MAX: usize = 1_024;
/// Batches of which samples may wait for verification; more go unsampled.
const AUDITS_MAX: usize = 1_024;

/// Ways to the workers. The queues need no bound of their own: checks are bounded by the
/// candidates that a replica looks at, commits by its limit on blocks awaiting execution.
pub(super) struct Jobs {
    pub(super) commit: Sender<(CheckedBlock, Certificate)>,
    check: Sender<Share>,
    gossip: Sender<Gossip>,
    audit: Sender<Audit>,
    verifiers: usize,
}

impl Jobs {
    /// Queues a block for as many threads as it is worth.
    pub(super) fn check(&self, job: CheckJob) {
        for share in job.shares(self.verifiers) {
            // Closed only when the chain stops.
            let _ = self.check.send(share);
        }
    }

    /// Queues a peer's transactions; says whether there was room. This node's own always have it.
    pub(super) fn gossip(&self, gossip: Gossip) -> bool {
        let room = self.gossip.len() < GOSSIP_MAX || gossip.from.is_none();
        room && self.gossip.send(gossip).is_ok()
    }

    /// Queues samples, for when there is nothing else to verify; says whether there was room.
    pub(super) fn audit(&self, audit: Audit) -> bool {
        self.audit.try_send(audit).is_ok()
    }
}

/// Transactions from a peer, and what to do with them.
pub(super) struct Gossip {
    pub(super) from: Option<PeerId>,
    pub(super) transactions: Vec<Relayed>,
    pub(super) intake: Intake,
}

/// What all workers share.
pub(super) struct Context {
    pub(super) store: Arc<ChainStore>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) blocks: broadcast::Sender<Arc<ExecutedBlock>>,
    pub(super) observer: Arc<dyn ChainObserver>,
    pub(super) fail: Arc<dyn Fn(String) + Send + Sync>,
}

pub(super) struct Workers;

impl Workers {
    pub(super) fn start(
        context: Context,
        submissions: mpsc::Receiver<Submission>,
        stopped: watch::Receiver<bool>,
        verifiers: usize,
    ) -> Result<(Vec<JoinHandle<()>>, Jobs), ChainError> {
        let context = Arc::new(context);
        let (commit, commits) = unbounded();
        let (check, checks) = unbounded();
        let (gossip, gossips) = unbounded();
        let (audit, audits) = crossbeam_channel::bounded(AUDITS_MAX);
        let (ingress, ingresses) = crossbeam_channel::bounded(verifiers.saturating_mul(4));
        let (flushes, due) = crossbeam_channel::bounded(1);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let id = context.store.genesis().chain_id;
        let mut threads = Vec::new();
        let mut spawn = |name: String, work: Box<dyn FnOnce() + Send>| {
            threads.push(thread::Builder::new().name(name).spawn(work)?);
            Ok::<_, ChainError>(())
        };
        let shared = Arc::clone(&context);
        spawn(
            format!("execute-{id}"),
            Box::new(move || execute(&shared, &commits, &flushes)),
        )?;
        let shared = Arc::clone(&context);
        spawn(
            format!("flush-{id}"),
            Box::new(move || {
                step_back(FLUSH_NICE);
                flush(&shared, &due);
            }),
        )?;
        spawn(
            format!("ingress-{id}"),
            Box::new(move || collect(&runtime, submissions, stopped, &ingress)),
        )?;
        for i in 0..verifiers {
            let shared = Arc::clone(&context);
            let queues = Queues {
                checks: checks.clone(),
                ingresses: ingresses.clone(),
                gossips: gossips.clone(),
                audits: audits.clone(),
            };
            let work = move || {
                step_back(VERIFY_NICE);
                verify(&shared, &queues);
            };
            spawn(format!("verify-{id}-{i}"), Box::new(work))?;
        }
        Ok((
            threads,
            Jobs {
                commit,
                check,
                gossip,
                audit,
                verifiers,
            },
        ))
    }
}

/// Lowers the priority of the calling thread, for work that nobody waits for.
pub fn work_in_background() {
    step_back(FLUSH_NICE);
}

/// Lowers the priority of the calling thread, below what the process has.
fn step_back(nice: i32) {
    // On Linux a thread has a priority of its own, and "the calling process" is the thread.
    #[cfg(target_os = "linux")]
    if let Ok(own) = rustix::process::getpriority_process(None) {
        // Refused: it works all the same.
        let _ = rustix::process::setpriority_process(None, own.saturating_add(nice).min(19));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}

/// Executes final blocks in order until the channel closes.
fn execute(
    context: &Context,
    commits: &Receiver<(CheckedBlock, Certificate)>,
    flushes: &Sender<Height>,
) {
    for (block, certificate) in commits {
        let started = Instant::now();
        let done = context
            .store
            .execute(&block, certificate)
            .and_then(|executed| {
                let nonces = context.store.nonces_after(&executed)?;
                Ok((executed, nonces))
            });
        match done {
            Ok((executed, nonces)) => {
                context
                    .observer
                    .executed(&executed, started.elapsed().as_secs_f64());
                let event = Event::Executed {
                    roots: executed.result.roots,
                    nonces,
                    skipped: executed.skipped(),
                    // This thread alone changes them, with the block it has just executed.
                    rules: context.store.rules(),
                };
                if let Some(height) = context.store.flush_due() {
                    // Full: a flush is under way, and the next block asks again.
                    let _ = flushes.try_send(height);
                }
                // No receiver: nobody subscribes.
                let _ = context.blocks.send(executed);
                if context.inputs.blocking_send(Input::Event(event)).is_err() {
                    return;
                }
            }
            Err(error) => return (context.fail)(error.to_string()),
        }
    }
}

/// Gathers submissions into batches, so that verification is worth a wake-up. Interfaces may hold
/// their end of the channel longer than the chain runs, hence the second way out.
fn collect(
    runtime: &tokio::runtime::Runtime,
    mut submissions: mpsc::Receiver<Submission>,
    mut stopped: watch::Receiver<bool>,
    ingress: &Sender<Vec<Submission>>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let count = runtime.block_on(async {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => 0,
                count = submissions.recv_many(&mut batch, BATCH) => count,
            }
        });
        if count == 0 || ingress.send(std::mem::take(&mut batch)).is_err() {
            return;
        }
    }
}

/// Writes state and indexes out beside execution, whenever enough has gathered, and does the rest of the
/// store's upkeep in between.
fn flush(context: &Context, due: &Receiver<Height>) {
    let mut upkeep = Upkeep::default();
    loop {
        let next = if upkeep.has_more() {
            due.recv_timeout(UPKEEP_PAUSE)
        } else {
            due.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let done = match next {
            Ok(height) => upkeep.flush(&context.store, height),
            Err(RecvTimeoutError::Timeout) => upkeep.pause(&context.store),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Err(error) = done {
            return (context.fail)(error.to_string());
        }
    }
}

/// What waits for a thread that verifies.
struct Queues {
    checks: Receiver<Share>,
    ingresses: Receiver<Vec<Submission>>,
    gossips: Receiver<Gossip>,
    audits: Receiver<Audit>,
}

/// Messages of peers that are verified before a batch of clients.
const PEERS_FIRST: usize = 8;

/// Verifies signatures: blocks under agreement first, then clients, before each of their batches some of
/// what peers passed on, since that may be proposed next, then samples of what others vouch for.
fn verify(context: &Context, queues: &Queues) {
    loop {
        let input = select_biased! {
            recv(queues.checks) -> job => match job {
                Ok(share) => share.verify(&context.verifier),
                Err(_) => return,
            },
            recv(queues.ingresses) -> batch => match batch {
                Ok(batch) => {
                    for gossip in queues.gossips.try_iter().take(PEERS_FIRST) {
                        if context.inputs.blocking_send(gossiped(context, gossip)).is_err() {
                            return;
                        }
                    }
                    submitted(context, batch)
                }
                Err(_) => return,
            },
            recv(queues.gossips) -> gossip => match gossip {
                Ok(gossip) => Some(gossiped(context, gossip)),
                Err(_) => return,
            },
            recv(queues.audits) -> audit => match audit {
                Ok(audit) => {
                    let found = context.verifier.audit(audit);
                    found.map(|evidence| Input::Event(Event::Audited(Box::new(evidence))))
                }
                Err(_) => return,
            },
        };
        if let Some(input) = input
            && context.inputs.blocking_send(input).is_err()
        {
            return;
        }
    }
}

fn refused(context: &Context, error: &SubmitError, source: Source) {
    context.observer.refused(error.reason());
    if let SubmitError::Denied(denial) = error {
        context.observer.denied(denial, source);
    }
}

fn submitted(context: &Context, batch: Vec<Submission>) -> Option<Input> {
    let (raws, replies): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|Submission { raw, reply }| (raw, reply))
        .unzip();
    let mut verified = Vec::with_capacity(raws.len());
    for (result, reply) in context.verifier.submitted(raws).into_iter().zip(replies) {
        match result {
            Ok(candidate) => verified.push(Verified { candidate, reply }),
            Err(error) => {
                refused(context, &error, Source::Client);
                // The client has gone if nobody listens.
                let _ = reply.send(Err(error));
            }
        }
    }
    (!verified.is_empty()).then_some(Input::Verified(verified))
}

fn gossiped(context: &Context, gossip: Gossip) -> Input {
    let Gossip {
        from,
        transactions: list,
        intake,
    } = gossip;
    let spread = match intake {
        Intake::Verify { spread } => from.filter(|_| spread),
        Intake::Attest { digest } | Intake::Trust { digest } => {
            let trust = matches!(intake, Intake::Trust { .. });
            let (batched, errors) = context.verifier.batch(list, digest, trust);
            for error in &errors {
                refused(context, error, Source::Peer);
            }
            return Input::Event(Event::Batched(batched));
        }
    };
    let mut candidates = Vec::with_capacity(list.len());
    for result in context.verifier.relayed(list) {
        match result {
            Ok(candidate) => candidates.push(candidate),
            Err(error) => refused(context, &error, Source::Peer),
        }
    }
    Input::Event(Event::Gossiped { candidates, spread })
}
