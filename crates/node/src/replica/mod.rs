//! One chain's replica as a pure state machine.
//!
//! For: deciding what to do when something happens. [`Replica::handle`] takes the time and an
//! event and returns actions; it reads no clock, draws no random number, touches no disk and sends
//! nothing. Pool, agreement, dissemination of blocks and catching up are its parts.
//! Not for: executing transactions, verifying them, or keeping blocks: those are actions, whose
//! results come back as events.
//!
//! Invariants:
//! - actions are in the order in which they must take effect; what [`Action::Log`] appends is
//!   durable before any later [`Action::Send`] leaves, and a block is stored before the next height
//!   starts;
//! - everything that a peer can make the replica keep is bounded;
//! - the same events in the same order give the same actions.

mod agreement;
mod attest;
mod boot;
mod candidates;
mod compact;
mod error;
mod fork;
mod guard;
mod io;
mod late;
mod own;
mod pace;
mod receive;
mod share;
mod sizes;
mod spread;
mod sync;
mod view;
mod voices;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use hawser_consensus::{Bft, BftConfig, Election as _};
use hawser_crypto::{SecretKey, Suite};
use hawser_ledger::{Genesis, Header, Roots};
use hawser_network::PeerId;
use hawser_primitives::{Address, B256, Bytes, Height, Round, Time, encode};

use crate::{
    Rules,
    pool::{Candidate, Pool, PoolError},
};
use attest::Batches;
pub use attest::{Audit, AuditSampling, Batched, Intake};
pub use boot::{Boot, CastVotes};
use candidates::Candidates;
use compact::Drafts;
pub use error::{DivergedRoots, ReplicaError};
use fork::ForkWatch;
pub use fork::TwoFinal;
use guard::Guarded;
pub use guard::{GuardReason, VoteGuard};
pub use io::{Action, CheckedBlock, Event, Filing, LogEntry, Report, TimerId, To};
use late::LateProposers;
use own::OwnVotes;
use pace::Pace;
use share::OwnShare;
pub use sizes::Sizes;
use spread::{Answers, Latest, RecentHashes};
pub use sync::CatchUp;
use sync::Sync;
pub use view::STALLED_MS;
use voices::Voices;
pub use voices::{SILENT_BLOCKS, SILENT_MS, Silence, Voice};
pub(crate) use wire::blocks_message;
pub use wire::{
    About, Batch, CertifiedBlock, Compact, FEATURE_ABOUT, FEATURE_BATCH, FEATURE_COMPACT,
    FEATURE_FROM, FEATURE_SPREAD, PROGRAM_BYTES_MAX, PeerMessage, REFERENCE_BYTES, Relayed,
    SYNC_BLOCKS_MAX, SYNC_BYTES, Share, kind_of,
};

/// How often a node tells its peers how far it is, in milliseconds.
const STATUS_INTERVAL_MS: u64 = 2_000;
/// Age after which a waiting transaction is sent to the peers again, in milliseconds.
const REGOSSIP_MS: u64 = 1_000;
/// Longest time between two blocks of a chain under load, of which three are waited for, in milliseconds.
const SLOW_BLOCK_MS: u64 = 2_000;
/// What a peer is known to have.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    height: Height,
    last_status_sent: Time,
    foreign: bool,
    /// When it last said how far it is; `None` before.
    status_at: Option<Time>,
    /// Until then its claims to be ahead are not believed: it did not live up to one.
    distrusted_until: Time,
    /// What it understands, once it has said so.
    features: Option<u64>,
    /// How often it was told what this node understands.
    hellos: u8,
    /// Bytes of bodies that it was sent on request since the last status message.
    served: usize,
    /// The first block that it keeps, as far as it has said so.
    first: Height,
    /// When that is asked about again: an operator may have given it more.
    first_until: Time,
}

/// One chain's replica.
pub struct Replica {
    genesis: Arc<Genesis>,
    genesis_hash: B256,
    rules: Arc<Rules>,
    address: Option<Address>,
    /// The vote key, also while it rests.
    key: Option<Arc<SecretKey>>,
    /// Set while this node must not vote, as it may have forgotten votes.
    guarded: Option<Guarded>,
    suite: Suite,
    bft: Bft,
    pool: Pool,
    tip: Header,
    tip_hash: B256,
    last_busy: Height,
    roots: BTreeMap<Height, Roots>,
    program_version: u32,
    executed: Height,
    candidates: Candidates,
    drafts: Drafts,
    passed: RecentHashes,
    batches: Batches,
    spare: Latest,
    answers: Answers,
    introduced: Latest,
    share: OwnShare,
    /// Time between the last two blocks, by their headers.
    interval_ms: u64,
    relay_turn: usize,
    build: Option<(Height, Round)>,
    peers: BTreeMap<PeerId, Peer>,
    sync: Sync,
    fork: ForkWatch,
    /// Votes of an earlier run for heights that are not started yet.
    cast: BTreeMap<Height, CastVotes>,
    own: OwnVotes,
    late: LateProposers,
    /// The last proposal whose time was too far ahead: when it came, and by how much, in
    /// milliseconds.
    ahead: Option<(Time, u64)>,
    voices: Voices,
    /// The next height, and since when transactions wait for it.
    waits: Option<(Height, Time)>,
    /// The last height that agreement decided here.
    agreed: Height,
    height_started: Time,
    /// The highest height for which a committee member's message has come.
    spoken: Height,
    pace: Pace,
    now: Time,
    actions: Vec<Action>,
}

impl Replica {
    /// A replica that continues from what is stored. Nothing happens before [`Event::Started`].
    #[must_use]
    pub fn new(boot: Boot) -> Self {
        let suite = boot.genesis.suite;
        let next = boot.tip.height.next();
        let (mut voting, mut guarded, mut cast) = (boot.key.clone(), None, boot.cast);
        if let Some(guard) = boot.guard.filter(|guard| !guard.allows(next))
            && let Some(key) = voting.take()
        {
            guarded = Some(Guarded { key, guard });
            // What an older log says of votes is not all that was voted.
            cast.clear();
        }
        let address = voting.as_ref().map(|key| key.address());
        let bft = Bft::new(
            BftConfig {
                chain: boot.genesis.chain_id,
                key: voting.clone(),
                timeouts: boot.timeouts,
            },
            next,
            boot.rules.committee(next),
        );
        let executed = boot
            .roots
            .last()
            .map_or(Height::GENESIS, |roots| roots.height);
        Self {
            genesis_hash: boot.genesis.hash(),
            pool: Pool::new(boot.pool, boot.rules.parameters(next).clone()),
            tip_hash: boot.tip.hash(suite),
            genesis: boot.genesis,
            rules: boot.rules,
            address,
            key: boot.key,
            guarded,
            suite,
            bft,
            tip: boot.tip,
            last_busy: boot.last_busy,
            roots: boot
                .roots
                .into_iter()
                .map(|roots| (roots.height, roots))
                .collect(),
            executed,
            candidates: Candidates::default(),
            drafts: Drafts::default(),
            passed: RecentHashes::default(),
            batches: Batches::new(voting, boot.audit, boot.convicted),
            spare: Latest::spare(),
            answers: Answers::default(),
            introduced: Latest::introduced(),
            share: OwnShare::default(),
            interval_ms: 0,
            relay_turn: 0,
            build: None,
            peers: BTreeMap::new(),
            sync: Sync::default(),
            fork: ForkWatch::of(boot.certificate),
            program_version: boot.program_version,
            own: OwnVotes::of_earlier_run(&cast, address),
            late: LateProposers::default(),
            ahead: None,
            voices: Voices::new(),
            waits: None,
            agreed: Height::GENESIS,
            cast,
            height_started: Time(0),
            spoken: Height::GENESIS,
            pace: Pace::default(),
            now: Time(0),
            actions: Vec::new(),
        }
    }

    /// Takes in an event and gives what must be done, in order. An error stops the node.
    pub fn handle(&mut self, now: Time, event: Event) -> Result<Vec<Action>, ReplicaError> {
        if self.is_outdated() {
            let height = self.tip.height.next();
            let version = self.rules.version(height);
            return Err(ReplicaError::Outdated {
                height,
                version,
                program: self.program_version,
            });
        }
        if let Some(stopping) = self.fork.stopping(now) {
            return stopping;
        }
        // A clock that is set back must not shrink waits or block times.
        self.now = self.now.max(now);
        match event {
            Event::Started => {
                self.voices.begin(self.now, self.tip.height);
                self.on_started()?;
            }
            Event::PeerUp(peer) => {
                self.peers.insert(peer, Peer::default());
                self.send_status(To::Peer(peer));
                self.send_hello(peer, false);
            }
            Event::PeerDown(peer) => {
                self.peers.remove(&peer);
                self.voices.forget_peer(&peer);
                self.candidates.forget_peer(&peer);
                self.drafts.forget_peer(&peer);
                self.batches.forget_peer(&peer);
                self.sync_peer_down(peer);
            }
            Event::Message { from, bytes } => self.on_message(from, &bytes)?,
            Event::Submitted(list) => self.on_submitted(list),
            Event::Gossiped { candidates, spread } => self.on_gossiped(candidates, spread),
            Event::Batched(batched) => self.on_batched(batched),
            Event::Audited(evidence) => {
                self.convict(*evidence);
            }
            Event::Checked { hash, result } => self.on_checked(hash, result)?,
            Event::Executed {
                roots,
                nonces,
                skipped,
                rules,
            } => {
                self.executed = roots.height;
                self.pace.executed(roots.height, self.now);
                self.rules = rules;
                self.roots.insert(roots.height, roots);
                // No further back than what the next blocks commit to.
                let keep = self.root_lag();
                self.roots = self.roots.split_off(&roots.height.back(keep));
                self.pool.executed(roots.height, nonces, &skipped);
            }
            Event::Timer(timer) => self.on_timer(timer)?,
        }
        self.advance()?;
        self.note_wait();
        Ok(std::mem::take(&mut self.actions))
    }

    /// Notes since when transactions wait for the next block.
    fn note_wait(&mut self) {
        let next = self.tip.height.next();
        let same = self.waits.filter(|(height, _)| *height == next);
        let waits = self.pool.has_ready();
        self.waits = waits.then(|| same.unwrap_or((next, self.now)));
    }

    fn on_started(&mut self) -> Result<(), ReplicaError> {
        self.set_timer(TimerId::Status, STATUS_INTERVAL_MS);
        if self.cast.contains_key(&self.tip.height.next()) {
            self.start_height()?;
        }
        Ok(())
    }

    fn on_submitted(&mut self, list: Vec<(u64, Candidate)>) {
        let mut accepted = Vec::new();
        for (id, candidate) in list {
            let transaction = Arc::clone(&candidate.transaction);
            let result = if self.pool.has_room_for_clients() {
                self.pool.insert(candidate, self.now)
            } else {
                let waiting = self.pool.len();
                Err(PoolError::Full { waiting })
            };
            if result.is_ok() {
                accepted.push(transaction);
            }
            self.actions.push(Action::Reply(id, result));
        }
        self.share
            .own(accepted.iter().map(|one| spread::bytes_of(one)).sum());
        self.disseminate(&accepted);
        self.introduce(&accepted);
        self.fill_drafts(&accepted);
    }

    /// Notes that a peer has decided a height, and catches up if that is ahead.
    fn heard_height(&mut self, from: PeerId, height: Height) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if now >= peer.distrusted_until {
            peer.height = peer.height.max(height);
            self.consider_sync(from, height);
        }
    }

    fn on_timer(&mut self, timer: TimerId) -> Result<(), ReplicaError> {
        match timer {
            TimerId::Agreement(timer) => {
                let outputs = self.bft.on_timeout(timer)?;
                self.apply(outputs)?;
            }
            // `advance` looks after every event.
            TimerId::Wake => {}
            TimerId::Status => {
                self.set_timer(TimerId::Status, STATUS_INTERVAL_MS);
                self.pool.expire(self.now);
                self.send_status(To::All);
                self.repeat_hellos();
                self.repeat_about();
                if !self.spread_again() {
                    self.regossip();
                }
            }
            TimerId::Fetch(block) => self.fetch(block),
            TimerId::Sync => self.sync_timeout(),
            TimerId::Gather => self.send_gathered(),
            TimerId::Batches => self.on_batch_timer(),
        }
        Ok(())
    }

    /// Sends what has waited for long to the peers again: the first time may have been lost.
    fn regossip(&mut self) {
        // Slow blocks are no reason: under load all nodes would send the same to all.
        let patience = match self.interval_ms {
            slow @ 0..=SLOW_BLOCK_MS => REGOSSIP_MS.max(slow.saturating_mul(3)),
            // No load for a while: what waits now is news.
            _ => REGOSSIP_MS,
        };
        let waiting_since = self.tip.time.plus_ms(patience);
        if self.now < waiting_since && self.tip.height > Height::GENESIS {
            return;
        }
        let old = self.pool.oldest_ready(wire::GOSSIP_BYTES);
        self.gossip(&old);
    }

    fn send_status(&mut self, to: To) {
        let message = PeerMessage::Status {
            genesis: self.genesis_hash,
            height: self.tip.height,
        };
        self.send(to, true, &message);
    }

    fn send(&mut self, to: To, urgent: bool, message: &PeerMessage) {
        self.send_bytes(to, urgent, encode(message).into());
    }

    fn send_bytes(&mut self, to: To, urgent: bool, bytes: Bytes) {
        self.actions.push(Action::Send { to, urgent, bytes });
    }

    fn set_timer(&mut self, timer: TimerId, after_ms: u64) {
        self.actions
            .push(Action::SetTimer(timer, self.now.plus_ms(after_ms)));
    }

    fn report(&mut self, report: Report) {
        self.actions.push(Action::Report(report));
    }

    /// Does whatever has become possible.
    fn advance(&mut self) -> Result<(), ReplicaError> {
        loop {
            // What is decided is still stored; the next event stops the replica.
            if self.is_outdated() {
                return Ok(());
            }
            let before = self.tip.height;
            self.advance_sync()?;
            self.advance_candidates()?;
            // Before the block: starting a height may make this validator its proposer.
            self.advance_height()?;
            self.advance_build()?;
            if self.tip.height == before {
                return Ok(());
            }
        }
    }

    /// The same for all heights of a chain.
    fn root_lag(&self) -> u64 {
        self.genesis.parameters.root_lag
    }

    /// Roots that the header of a height must carry; `None` while they are being computed.
    ///
    /// No height is decided before they are known, so agreement is never more than `root_lag`
    /// ahead of execution, and the rules of the next heights are always final.
    fn roots_for(&self, height: Height) -> Option<Roots> {
        self.roots.get(&height.back(self.root_lag())).copied()
    }

    /// Whether the next block needs a newer program.
    fn is_outdated(&self) -> bool {
        self.rules.version(self.tip.height.next()) > self.program_version
    }
}

#[cfg(test)]
mod tests;
