//! The thread that runs the replica: events in, actions out, the vote log in between.

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use hawser_ledger::VerifiedTransaction;
use hawser_network::{Lane, NetworkHandle, PeerId};
use hawser_primitives::{B256, Bytes, Height, encode};
use hawser_storage::Disk;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    ChainError, ChainObserver, Command, Convictions, Input, SubmitError, Verified, VoteLog,
    check::CheckJob,
    clock::Clock,
    cold::ColdJob,
    conduct::{Conduct, DEAF_MS},
    explain,
    handle::Remarks,
    room::Room,
    timers::Timers,
    voteguard::write_vote_guard,
    worker::{Gossip, Jobs},
};
use crate::{
    blackbox::{DiskFile, Noted, Tap},
    light::LightPeers,
    peers::PeerNames,
    replica::{Action, Boot, Event, Filing, PeerMessage, Replica, Report, To, kind_of},
    store::{ChainStore, StoreError},
};

/// Events handled before their actions are carried out together, so that they share one sync.
const BATCH: usize = 128;

/// What a driver is made of.
pub(super) struct Parts {
    pub(super) boot: Boot,
    pub(super) log: VoteLog,
    pub(super) convictions: Convictions,
    pub(super) store: Arc<ChainStore>,
    pub(super) network: NetworkHandle,
    pub(super) jobs: Jobs,
    pub(super) pending: broadcast::Sender<Arc<VerifiedTransaction>>,
    pub(super) room: Arc<Room>,
    pub(super) observer: Arc<dyn ChainObserver>,
    pub(super) names: PeerNames,
    pub(super) light: LightPeers,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) remarks: Remarks,
    /// Where requests for blocks go that lie in an object store; `None` where none can.
    pub(super) cold: Option<Sender<ColdJob>>,
}

type Reply = oneshot::Sender<Result<B256, SubmitError>>;

pub(super) struct Driver {
    replica: Replica,
    log: VoteLog,
    convictions: Convictions,
    store: Arc<ChainStore>,
    network: NetworkHandle,
    jobs: Jobs,
    pending: broadcast::Sender<Arc<VerifiedTransaction>>,
    room: Arc<Room>,
    observer: Arc<dyn ChainObserver>,
    names: PeerNames,
    light: LightPeers,
    disk: Arc<dyn Disk>,
    remarks: Remarks,
    cold: Option<Sender<ColdJob>>,
    timers: Timers,
    clock: Clock,
    conduct: Conduct,
    replies: BTreeMap<u64, (Reply, Arc<VerifiedTransaction>)>,
    next_reply: u64,
    /// What turns events into a recording, where there is one.
    tap: Option<Tap>,
}

/// Starts the thread.
pub(super) fn spawn(
    mut driver: Driver,
    mut inputs: mpsc::Receiver<Input>,
    mut commands: mpsc::Receiver<Command>,
    mut stopped: watch::Receiver<bool>,
    fail: Arc<dyn Fn(String) + Send + Sync>,
) -> Result<JoinHandle<()>, ChainError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let name = format!("chain-{}", driver.store.genesis().chain_id);
    let run = async move {
        let ended = run(&mut driver, &mut inputs, &mut commands, &mut stopped).await;
        driver.ended(ended.as_ref().err());
        ended
    };
    let work = move || {
        if let Err(error) = runtime.block_on(run) {
            fail(error.to_string());
        }
    };
    Ok(thread::Builder::new().name(name).spawn(work)?)
}

/// Runs the replica until it is told to stop or cannot go on.
async fn run(
    driver: &mut Driver,
    inputs: &mut mpsc::Receiver<Input>,
    commands: &mut mpsc::Receiver<Command>,
    stopped: &mut watch::Receiver<bool>,
) -> Result<(), ChainError> {
    driver.events(vec![Event::Started])?;
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let (deadline, now) = (driver.timers.next(), driver.clock.now());
        let sleep = async move {
            match deadline {
                Some(at) => {
                    tokio::time::sleep(Duration::from_millis(at.since_ms(now))).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
            Some(command) = commands.recv() => driver.answer(command),
            count = inputs.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return Ok(());
                }
                let events = batch
                    .drain(..)
                    .filter_map(|input| driver.event(input))
                    .collect();
                driver.events(events)?;
            }
            () = sleep => {}
        }
        driver.fire()?;
        driver.room.note(driver.replica.pool());
    }
}

impl Driver {
    pub(super) fn new(parts: Parts) -> Self {
        let replica = Replica::new(parts.boot);
        let mut clock = Clock::start();
        let tap = parts.observer.records().map(|node| {
            let (genesis, hash) = (parts.store.genesis(), parts.store.genesis_hash());
            let program = env!("CARGO_PKG_VERSION");
            let identity = Tap::identity(genesis, hash, &node, program, replica.address());
            Tap::new(clock.now(), identity, replica.tip().height)
        });
        Self {
            replica,
            log: parts.log,
            convictions: parts.convictions,
            store: parts.store,
            network: parts.network,
            jobs: parts.jobs,
            pending: parts.pending,
            room: parts.room,
            observer: parts.observer,
            names: parts.names,
            light: parts.light,
            disk: parts.disk,
            remarks: parts.remarks,
            cold: parts.cold,
            timers: Timers::default(),
            clock,
            conduct: Conduct::default(),
            replies: BTreeMap::new(),
            next_reply: 0,
            tap,
        }
    }

    /// What the replica is told; nothing of a peer that is not listened to.
    fn event(&mut self, input: Input) -> Option<Event> {
        Some(match input {
            Input::Event(Event::Message { from, .. })
                if !self.conduct.hears(&from, self.clock.now()) =>
            {
                return None;
            }
            Input::Event(event) => event,
            Input::Verified(list) => {
                let number = |Verified { candidate, reply }| {
                    let id = self.next_reply;
                    self.next_reply = id.wrapping_add(1);
                    self.replies
                        .insert(id, (reply, Arc::clone(&candidate.transaction)));
                    (id, candidate)
                };
                Event::Submitted(list.into_iter().map(number).collect())
            }
        })
    }

    /// Fires the timers that are due.
    fn fire(&mut self) -> Result<(), ChainError> {
        self.watch_time();
        while let Some(timer) = self.timers.due(self.clock.now()) {
            self.events(vec![Event::Timer(timer)])?;
        }
        Ok(())
    }

    fn events(&mut self, events: Vec<Event>) -> Result<(), ChainError> {
        let mut actions = Vec::new();
        for event in events {
            let (now, noted) = (self.clock.now(), Noted::of(&event));
            let new = self.replica.handle(now, event)?;
            if let Some(tap) = &mut self.tap {
                let names = &self.names;
                let name = |peer: &PeerId| names.read().get(peer).cloned().unwrap_or_default();
                tap.handled(now, noted, &new, &self.replica, &name);
            }
            actions.extend(new);
        }
        let performed = self.perform(actions);
        self.record();
        performed
    }

    /// Hands on what was recorded.
    fn record(&mut self) {
        if let Some(tap) = &mut self.tap {
            let entries = tap.take();
            if !entries.is_empty() {
                self.observer.recorded(entries);
            }
        }
    }

    /// Looks whether this thread is late, and whether the machine's clock was set.
    fn watch_time(&mut self) {
        let now = self.clock.now();
        let step = self.clock.take_step();
        let Some(tap) = &mut self.tap else {
            return;
        };
        tap.clock(now, step);
        let late = self.timers.next().map_or(0, |at| now.since_ms(at));
        // A clock that is set forward makes timers due at once.
        tap.held(now, late.saturating_sub(u64::try_from(step).unwrap_or(0)));
    }

    /// The thread ends.
    fn ended(&mut self, error: Option<&ChainError>) {
        let now = self.clock.now();
        if let Some(tap) = &mut self.tap {
            let reason = error.map(ToString::to_string).unwrap_or_default();
            tap.stopped(now, &reason);
        }
        self.record();
    }

    fn wrote(&mut self, file: DiskFile, took: Duration) {
        let now = self.clock.now();
        if let Some(tap) = &mut self.tap {
            tap.wrote(
                now,
                file,
                u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            );
        }
    }

    /// Carries actions out in order. All entries of the vote log go first and share one sync, which
    /// only makes them durable earlier than their order asks for. Where nothing is said that binds,
    /// the sync is left to the next time that something is.
    fn perform(&mut self, actions: Vec<Action>) -> Result<(), ChainError> {
        for action in &actions {
            if let Action::Log(entry) = action {
                self.log.append(entry)?;
            }
        }
        if actions.iter().any(Action::binds) {
            self.sync_votes()?;
        }
        for action in actions {
            self.act(action)?;
        }
        if let Some(old) = self.log.rotate(&self.store)? {
            // Should there be no thread to be had, it is dropped here.
            let _ = thread::Builder::new().spawn(move || drop(old));
        }
        Ok(())
    }

    fn sync_votes(&mut self) -> Result<(), ChainError> {
        let started = Instant::now();
        let waiting = self.store.gate().sync_begins();
        if !self.log.sync()? {
            waiting.was_none();
            return Ok(());
        }
        drop(waiting);
        let took = started.elapsed();
        self.observer.synced(took.as_secs_f64());
        self.wrote(DiskFile::VoteLog, took);
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<(), ChainError> {
        match action {
            Action::Log(_) => {}
            Action::Send { to, urgent, bytes } => self.send(to, urgent, bytes),
            Action::SetTimer(timer, at) => self.timers.set(timer, at),
            Action::ClearTimer(timer) => self.timers.clear(timer),
            Action::Verify {
                from,
                transactions,
                intake,
            } => {
                let gossip = Gossip {
                    from,
                    transactions,
                    intake,
                };
                if !self.jobs.gossip(gossip) {
                    tracing::debug!(?from, "too many transactions from peers wait; dropped some");
                    self.observer.refused("gossip_overflow");
                }
            }
            Action::Audit(audit) => {
                if !self.jobs.audit(audit) {
                    self.observer.refused("audit_overflow");
                }
            }
            Action::Convict(evidence) => self.convictions.keep(&evidence)?,
            Action::Guard(guard) => write_vote_guard(Arc::clone(&self.disk), guard)?,
            Action::Check { hash, block, known } => {
                self.jobs.check(CheckJob { hash, block, known });
            }
            Action::Commit {
                block,
                certificate,
                filing,
            } => {
                let started = Instant::now();
                self.store.append(&block.block, &certificate)?;
                if filing == Filing::Now {
                    let _waiting = self.store.gate().sync_begins();
                    self.store.sync_blocks()?;
                }
                self.wrote(DiskFile::Blocks, started.elapsed());
                let _ = self.jobs.commit.send((block, certificate));
            }
            Action::Serve { to, from, count } => {
                if self.is_cold(from)? {
                    self.serve_cold(to, from, count);
                    return Ok(());
                }
                let bytes = match self.store.serve_encoded(from, count) {
                    Ok(bytes) => bytes,
                    Err(StoreError::Pruned { first, .. }) => {
                        encode(&self.replica.no_blocks(to, first)).into()
                    }
                    Err(error) => return Err(error.into()),
                };
                self.send(To::Peer(to), false, bytes);
            }
            Action::Reply(id, result) => self.reply(id, result),
            Action::Report(report) => self.report(&report),
        }
        Ok(())
    }

    /// Whether reading a block may take a while.
    fn is_cold(&self, height: Height) -> Result<bool, ChainError> {
        match self.cold {
            Some(_) => Ok(self.store.is_cold(height)?),
            None => Ok(false),
        }
    }

    /// Leaves a request to the thread that may wait for the object store. Where too many wait there, the
    /// peer is told that there is nothing to be had, and asks another one.
    fn serve_cold(&self, to: PeerId, from: Height, count: u32) {
        let refusal = self.replica.no_blocks(to, from);
        let job = ColdJob {
            to,
            from,
            count,
            refusal,
        };
        let sent = self
            .cold
            .as_ref()
            .is_some_and(|cold| cold.try_send(job).is_ok());
        if !sent {
            let nothing = PeerMessage::Blocks(Vec::new());
            self.send(To::Peer(to), false, Bytes::from(encode(&nothing)));
        }
    }

    fn send(&self, to: To, urgent: bool, bytes: Bytes) {
        let chain = self.store.genesis().chain_id;
        let lane = if urgent { Lane::Consensus } else { Lane::Bulk };
        let (kind, size) = (kind_of(&bytes), bytes.len());
        let peers = match to {
            To::All => {
                let light = self.light.read();
                let full = |peer: &_| !light.contains(peer);
                self.network.broadcast_to(chain, lane, bytes.0, full)
            }
            To::Except(other) => {
                let light = self.light.read();
                let wanted = |peer: &_| *peer != other && !light.contains(peer);
                self.network.broadcast_to(chain, lane, bytes.0, wanted)
            }
            // Not connected or full: the replica asks or tells again by timer.
            To::Peer(peer) => usize::from(self.network.send(peer, chain, lane, bytes.0).is_ok()),
        };
        self.observer.sent(kind, size, peers);
    }

    fn reply(&mut self, id: u64, result: Result<B256, crate::pool::PoolError>) {
        let Some((reply, transaction)) = self.replies.remove(&id) else {
            return;
        };
        match &result {
            Ok(_) => {
                // No receiver: nobody subscribes.
                let _ = self.pending.send(transaction);
            }
            Err(error) => self.observer.refused(error.reason()),
        }
        // The client has gone if nobody listens.
        let _ = reply.send(result.map_err(SubmitError::Pool));
    }

    fn report(&mut self, report: &Report) {
        self.observer.reported(report);
        match report {
            Report::BadMessage { from, reason } => {
                tracing::warn!(%from, %reason, "a peer sent what no correct peer sends");
                if self.conduct.bad(*from, self.clock.now()) {
                    tracing::error!(
                        %from, seconds = DEAF_MS / 1_000,
                        "a peer sends too much that no correct peer sends and is not listened to for a while; \
                         look at its log and version, or remove it"
                    );
                }
            }
            Report::WrongGenesis { from, genesis } => tracing::warn!(
                %from, %genesis,
                "a peer runs another chain under our chain id; compare the genesis files"
            ),
            Report::BlockRefused {
                height,
                hash,
                reason,
            } => {
                tracing::warn!(%height, %hash, %reason, "refused a proposed block");
            }
            Report::Misbehaviour { validator, what } => {
                tracing::error!(%validator, %what, "a validator signed two conflicting messages");
            }
            Report::KeyElsewhere {
                from,
                validator,
                what,
            } => tracing::error!(
                %from, %validator, %what,
                "ANOTHER NODE SIGNS WITH THIS NODE'S VOTE KEY. This node votes no more and follows. \
                 Find the other one: a copy of this folder, a standby, or a thief. Stop one of the \
                 two and restart this node; if the key was stolen, have a new one voted in"
            ),
            Report::VotesForgotten { height, block } => tracing::error!(
                %height, %block,
                "A FINAL BLOCK CARRIES A VOTE OF THIS NODE THAT ITS VOTE LOG DOES NOT KNOW: the data folder \
                 is an older copy. This node does not vote until that is safe, and follows meanwhile"
            ),
            Report::VotesFrom { from } => tracing::warn!(
                %from,
                "votes of before may be forgotten, but the others have shown how far they are: this node \
                 votes again from that block on"
            ),
            Report::FalseAttestation {
                validator,
                transaction,
                ..
            } => tracing::error!(
                %validator, %transaction,
                "A VALIDATOR VOUCHED FOR A TRANSACTION THAT DOES NOT VERIFY. Its attestations count \
                 no more on this node. The evidence is kept in attesters.log of the chain's folder \
                 and was sent to all peers; have the validator examined, and replaced by a proposal"
            ),
            Report::Round {
                height,
                round,
                proposer,
            } => {
                tracing::info!(%height, %round, %proposer, "a round failed, another begins");
            }
            Report::HistoryMissing { next, first } => tracing::warn!(
                %next, %first,
                "no peer that can be reached keeps the next block that this node needs: they have \
                 blocks from the later one on. Join from a snapshot, or connect this node to one \
                 that keeps all blocks (storage.mode = \"archive\")"
            ),
            Report::Syncing {
                at,
                target,
                blocks_per_second,
                seconds_left,
            } => {
                tracing::info!(
                    %at, %target, blocks_per_second, seconds_left,
                    "behind; fetching blocks from peers"
                );
            }
        }
    }

    fn answer(&self, command: Command) {
        // Whoever asked may have gone.
        match command {
            Command::Status(reply) => {
                let light = self.light.read();
                let peers = self.network.peers();
                let full = peers.iter().filter(|peer| !light.contains(&peer.id));
                let admitted = full.count();
                drop(light);
                let names = self.names.read().clone();
                let mut status = explain::status(&self.replica, &self.store, admitted, &names);
                status.remark(self.remarks.read().values().flatten());
                let _ = reply.send(status);
            }
            Command::PoolTransaction(hash, reply) => {
                let _ = reply.send(self.replica.pool().get(&hash).cloned());
            }
            Command::PoolNonce(account, reply) => {
                let _ = reply.send(self.replica.pool().next_nonce(&account));
            }
            Command::PoolCounts(reply) => {
                let _ = reply.send(self.replica.pool().counts());
            }
            Command::PoolContent(reply) => {
                let _ = reply.send(self.replica.pool().content());
            }
        }
    }
}
