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
mod candidates;
mod compact;
mod fork;
mod guard;
mod late;
mod own;
mod pace;
mod share;
mod sizes;
mod spread;
mod sync;
mod voices;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_consensus::{Bft, BftConfig, BftError, Election as _, Record, Timeouts};
use hawser_crypto::{SecretKey, Suite};
use hawser_ledger::{
    Block, BlockId, Certificate, FalseAttestation, Genesis, Header, Roots, VerifiedTransaction,
};
use hawser_network::PeerId;
use hawser_primitives::{
    Address, B256, Bytes, ChainId, Height, Round, Time, decode_exact, encode, limits,
};
use thiserror::Error;

use crate::{
    Rules,
    pool::{Candidate, Pool, PoolError, PoolLimits},
};
use attest::Batches;
pub use attest::{Audit, AuditSampling, Batched, Intake};
use candidates::Candidates;
use compact::Drafts;
use fork::ForkWatch;
pub use fork::TwoFinal;
use guard::Guarded;
pub use guard::{GuardReason, VoteGuard};
use late::LateProposers;
use own::OwnVotes;
use pace::Pace;
use share::OwnShare;
pub use sizes::Sizes;
use spread::{Answers, Latest, RecentHashes};
pub use sync::CatchUp;
use sync::Sync;
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
/// How long transactions wait without a block before the chain counts as stalled, in milliseconds. Several rounds
/// without a proposer are over by then.
pub const STALLED_MS: u64 = 30_000;
/// How long a proposal from a wrong clock is news, in milliseconds.
const CLOCK_NEWS_MS: u64 = 60_000;

/// A block whose body is complete and whose signatures are good.
#[derive(Clone, Debug)]
pub struct CheckedBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its hash.
    pub hash: B256,
    /// Its transactions with their senders, in order.
    pub transactions: Arc<Vec<Arc<VerifiedTransaction>>>,
}

/// What the vote log holds: records of agreement, and the bodies that they name.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum LogEntry {
    /// A record of agreement.
    Record(Record) = 1,
    /// A proposed block: a vote for it must not outlive it.
    Block(Block) = 2,
}

/// A timer of the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerId {
    /// A timer of agreement.
    Agreement(hawser_consensus::Timer),
    /// Look whether a height should start: heartbeat, or the least interval between blocks.
    Wake,
    /// Tell the peers how far we are; send old transactions again.
    Status,
    /// Ask (again) for the body of a block.
    Fetch(B256),
    /// Ask (another peer) for decided blocks.
    Sync,
    /// Send what clients' transactions were gathered.
    Gather,
    /// Look for batches that were not attested in time.
    Batches,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The node is up.
    Started,
    /// A link to a peer is up.
    PeerUp(PeerId),
    /// It is down.
    PeerDown(PeerId),
    /// A peer sent bytes.
    Message {
        /// Who.
        from: PeerId,
        /// An encoded [`PeerMessage`].
        bytes: Bytes,
    },
    /// Clients of this node submitted transactions. The numbers come back in [`Action::Reply`].
    Submitted(Vec<(u64, Candidate)>),
    /// A peer's transactions have been verified.
    Gossiped {
        /// Those that may go into the pool.
        candidates: Vec<Candidate>,
        /// Who asked to pass them on to all peers but itself, if anyone did.
        spread: Option<PeerId>,
    },
    /// A peer's batch has been worked on.
    Batched(Batched),
    /// Verification found an attested transaction to be false.
    Audited(Box<FalseAttestation>),
    /// Answer to [`Action::Check`].
    Checked {
        /// The block.
        hash: B256,
        /// Its transactions, or what is wrong with one.
        result: Result<Arc<Vec<Arc<VerifiedTransaction>>>, String>,
    },
    /// A block has been executed.
    Executed {
        /// Its roots.
        roots: Roots,
        /// Nonces of the accounts that sent something in it.
        nonces: Vec<(Address, u64)>,
        /// Transactions of it that were skipped and may come again.
        skipped: Vec<B256>,
        /// The chain's rules as its state has them after this block.
        rules: Arc<Rules>,
    },
    /// A timer fired.
    Timer(TimerId),
}

/// Who gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// All connected peers.
    All,
    /// All connected peers but one.
    Except(PeerId),
    /// One.
    Peer(PeerId),
}

/// When the file of a final block is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filing {
    /// At once, with all that was stored before.
    Now,
    /// Later: the vote log has the block and this validator's precommit for it durably, and all
    /// blocks before it are in their files or logged alike. A restart that misses it there decides it
    /// again from the logs, and no other block can take its place.
    Logged,
    /// Later: it was fetched from peers, who still have it, and more of them wait here.
    Later,
}

/// Something to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Append to the vote log.
    Log(LogEntry),
    /// Send to peers. `urgent` messages overtake others.
    Send {
        /// Who gets it.
        to: To,
        /// Whether it overtakes.
        urgent: bool,
        /// An encoded [`PeerMessage`].
        bytes: Bytes,
    },
    /// Call back with [`Event::Timer`] at a time; replaces an earlier timer of the same name.
    SetTimer(TimerId, Time),
    /// Forget a timer.
    ClearTimer(TimerId),
    /// Decode and verify a peer's transactions, as [`Intake`] says.
    Verify {
        /// Who sent them; `None` for this node's own.
        from: Option<PeerId>,
        /// What they sent.
        transactions: Vec<Relayed>,
        /// What to do with them.
        intake: Intake,
    },
    /// Verify attested transactions when there is nothing else to verify, and give
    /// [`Event::Audited`] for those that are false.
    Audit(Audit),
    /// Keep evidence against validators for good.
    Convict(FalseAttestation),
    /// Verify the transactions of a block that are not known yet, then give [`Event::Checked`].
    Check {
        /// Hash of the block.
        hash: B256,
        /// The block.
        block: Arc<Block>,
        /// Its transactions as far as the pool has verified them.
        known: Vec<Option<Arc<VerifiedTransaction>>>,
    },
    /// Store a final block, then execute it and give [`Event::Executed`]. The vote log of its height
    /// is no longer needed once it is stored durably.
    Commit {
        /// The block.
        block: CheckedBlock,
        /// Proof that it is final.
        certificate: Certificate,
        /// When the block's own file is synced.
        filing: Filing,
    },
    /// Send stored blocks to a peer as [`PeerMessage::Blocks`].
    Serve {
        /// Who asks.
        to: PeerId,
        /// First height.
        from: Height,
        /// How many.
        count: u32,
    },
    /// Keep durably what is known of forgotten votes.
    Guard(VoteGuard),
    /// Answer a submission.
    Reply(u64, Result<B256, PoolError>),
    /// Something that people should know.
    Report(Report),
}

impl Action {
    /// Whether all that was logged before must be durable before this takes effect: it tells others
    /// something that this node must not forget. What a node logs of others' votes can wait for the
    /// next such action, for a node that forgets it hears it again.
    #[must_use]
    pub const fn binds(&self) -> bool {
        matches!(self, Self::Send { urgent: true, .. })
    }
}

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A peer sent what no correct peer sends.
    BadMessage {
        /// Who.
        from: PeerId,
        /// What is wrong with it.
        reason: String,
    },
    /// A peer is on another chain with our chain's id.
    WrongGenesis {
        /// Who.
        from: PeerId,
        /// Its genesis.
        genesis: B256,
    },
    /// A proposed block was refused.
    BlockRefused {
        /// Height of the block.
        height: Height,
        /// Its hash.
        hash: B256,
        /// Why.
        reason: String,
    },
    /// A validator signed two conflicting messages.
    Misbehaviour {
        /// Who.
        validator: Address,
        /// What, in words.
        what: String,
    },
    /// Another node signs with this node's vote key; this node votes no more.
    KeyElsewhere {
        /// Who brought the message.
        from: PeerId,
        /// The validator that this node was.
        validator: Address,
        /// What was signed elsewhere, in words.
        what: String,
    },
    /// A final block carries a vote of this node that it does not know of; it does not vote until that
    /// is safe.
    VotesForgotten {
        /// The block.
        height: Height,
        /// Its hash.
        block: B256,
    },
    /// It is known from which height on this node votes again.
    VotesFrom {
        /// The first such height.
        from: Height,
    },
    /// A validator vouched for a transaction that does not verify. Its word counts no more.
    FalseAttestation {
        /// On which chain.
        chain: ChainId,
        /// Who.
        validator: Address,
        /// Hash of the transaction.
        transaction: B256,
    },
    /// A round failed and another begins.
    Round {
        /// Height.
        height: Height,
        /// The new round.
        round: Round,
        /// Who proposes in it.
        proposer: Address,
    },
    /// This node fell behind and catches up.
    Syncing {
        /// Where it is.
        at: Height,
        /// Where a peer is.
        target: Height,
        /// Blocks taken up per second lately.
        blocks_per_second: u64,
        /// Seconds until it is there if it goes on like this; `None` while that cannot be told.
        seconds_left: Option<u64>,
    },
    /// No peer has the blocks that this node needs next.
    HistoryMissing {
        /// The first block that is needed.
        next: Height,
        /// The first block that any of the peers keeps.
        first: Height,
    },
}

/// Two results of executing one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DivergedRoots {
    /// What a quorum certified.
    pub certified: Roots,
    /// What this node computed.
    pub computed: Roots,
}

/// What stops a replica for good.
#[derive(Debug, Error)]
pub enum ReplicaError {
    /// Agreement broke one of its own invariants.
    #[error(transparent)]
    Agreement(#[from] BftError),
    /// A quorum certified what this node computes differently.
    #[error(
        "block {height} is final but commits to {:?} after block {}, where this node computed \
         {:?}: this node's state or program differs from the others'. Restore its data folder \
         from a healthy node, and compare program versions",
        roots.certified, roots.certified.height, roots.computed
    )]
    Diverged {
        /// The final block.
        height: Height,
        /// What it commits to, and what this node has.
        roots: Box<DivergedRoots>,
    },
    /// The chain has moved on to a protocol that this program does not know.
    #[error(
        "from block {height} on the chain runs protocol version {version}, this program implements \
         version {program}: install a newer one and start the node again"
    )]
    Outdated {
        /// The next block.
        height: Height,
        /// Its version.
        version: u32,
        /// The program's.
        program: u32,
    },
    /// A quorum certified a block that follows another one than this node has as final.
    #[error(
        "block {height} is final and follows {parent}, but the final block {} of this node is {tip}: \
         two conflicting blocks are final, so a third of the validators is faulty or their keys are \
         stolen. Keep this data folder; compare the certificates of block {} with the other nodes': \
         validators that signed both are the culprits",
        height.back(1), height.back(1)
    )]
    Forked {
        /// Height of the block.
        height: Height,
        /// What it follows.
        parent: B256,
        /// What this node has in that place.
        tip: B256,
    },
    /// Two blocks of one height are final.
    #[error("{0}")]
    TwoFinal(Box<TwoFinal>),
    /// A certified block has a transaction that does not verify.
    #[error("block {height} is final but invalid ({reason}): a third of the validators is faulty")]
    InvalidFinalBlock {
        /// The block.
        height: Height,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a replica starts from.
pub struct Boot {
    /// The chain.
    pub genesis: Arc<Genesis>,
    /// The chain's rules as its state has them after the last executed block.
    pub rules: Arc<Rules>,
    /// This validator's vote key; `None` follows without voting.
    pub key: Option<Arc<SecretKey>>,
    /// Waits of agreement.
    pub timeouts: Timeouts,
    /// Bounds of the pool.
    pub pool: PoolLimits,
    /// Header of the last stored block.
    pub tip: Header,
    /// Its certificate; `None` for the genesis block, or where it is not kept.
    pub certificate: Option<Certificate>,
    /// Height of the last stored block that has transactions.
    pub last_busy: Height,
    /// Roots after each of the last executed blocks, `root_lag` of them and more, up to the tip.
    pub roots: Vec<Roots>,
    /// What the vote log holds of the heights after the tip.
    pub cast: BTreeMap<Height, CastVotes>,
    /// Newest protocol version that this program runs.
    pub program_version: u32,
    /// How many attested transactions this node verifies all the same.
    pub audit: AuditSampling,
    /// Evidence kept against validators.
    pub convicted: Vec<(Address, FalseAttestation)>,
    /// Whether votes of before are unknown, so that this node must not vote yet.
    pub guard: Option<VoteGuard>,
}

/// What this validator logged of one height before it stopped. It binds when the height is started
/// again: votes that differ from these would be double votes.
#[derive(Clone, Debug, Default)]
pub struct CastVotes {
    /// Records of agreement, in order.
    pub records: Vec<Record>,
    /// Blocks named by those records.
    pub blocks: Vec<CheckedBlock>,
}

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

    /// The last decided block.
    #[must_use]
    pub const fn tip(&self) -> BlockId {
        BlockId {
            height: self.tip.height,
            hash: self.tip_hash,
        }
    }

    /// The last executed height.
    #[must_use]
    pub const fn executed(&self) -> Height {
        self.executed
    }

    /// What waits for a block.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The last height that agreement decided here; later ones were fetched from peers.
    #[must_use]
    pub const fn last_agreed(&self) -> Height {
        self.agreed
    }

    /// The agreement in progress, for people who ask what it waits for.
    #[must_use]
    pub const fn agreement(&self) -> &Bft {
        &self.bft
    }

    /// The chain's rules as the last executed block left them.
    #[must_use]
    pub const fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Newest protocol version that this program runs.
    #[must_use]
    pub const fn program_version(&self) -> u32 {
        self.program_version
    }

    /// This validator's address; `None` for an observer.
    #[must_use]
    pub const fn address(&self) -> Option<Address> {
        self.address
    }

    /// By how much the time of a proposal was ahead of this node's clock, in milliseconds, if that
    /// made this node refuse one within the last minute.
    #[must_use]
    pub fn clock_behind_ms(&self) -> Option<u64> {
        let (at, by) = self.ahead?;
        (self.now.since_ms(at) <= CLOCK_NEWS_MS).then_some(by)
    }

    /// Validators that let their last turn to propose pass, so that others wait for them briefly.
    pub fn late_proposers(&self) -> impl Iterator<Item = &Address> {
        self.late.addresses()
    }

    /// How long the height in progress has been in progress, in milliseconds.
    #[must_use]
    pub fn deciding_for_ms(&self) -> u64 {
        self.now.since_ms(self.height_started)
    }

    /// How long transactions have waited here while no block was decided, in milliseconds, if that is so long
    /// that nobody should count on the chain.
    #[must_use]
    pub fn stalled_ms(&self) -> Option<u64> {
        let (_, since) = self.waits?;
        Some(self.now.since_ms(since)).filter(|ms| *ms > STALLED_MS)
    }

    /// Notes since when transactions wait for the next block.
    fn note_wait(&mut self) {
        let next = self.tip.height.next();
        let same = self.waits.filter(|(height, _)| *height == next);
        let waits = self.pool.has_ready();
        self.waits = waits.then(|| same.unwrap_or((next, self.now)));
    }

    /// Heights that connected peers are known to have reached.
    pub fn peer_heights(&self) -> impl Iterator<Item = (PeerId, Height)> {
        let known = self.peers.iter().filter(|(_, peer)| !peer.foreign);
        known.map(|(id, peer)| (*id, peer.height))
    }

    /// The first block that any peer which is ahead keeps, where none keeps the next one that this
    /// node needs.
    #[must_use]
    pub fn history_missing(&self) -> Option<Height> {
        let missing = self.sync.missing();
        missing.filter(|first| *first > self.tip.height.next())
    }

    /// What to answer a peer that asked for blocks before `first`, the first one kept here.
    #[must_use]
    pub fn no_blocks(&self, to: PeerId, first: Height) -> PeerMessage {
        let features = self.peers.get(&to).and_then(|peer| peer.features);
        if features.is_some_and(|has| has & FEATURE_FROM != 0) {
            PeerMessage::BlocksFrom { first }
        } else {
            // Programs of before take it for what it is: there is nothing to be had here.
            PeerMessage::Blocks(Vec::new())
        }
    }

    /// Whether decided blocks are being fetched from peers.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.sync
            .target()
            .is_some_and(|target| target > self.tip.height.next())
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

    fn on_message(&mut self, from: PeerId, bytes: &[u8]) -> Result<(), ReplicaError> {
        let message = match decode_exact::<PeerMessage>(bytes, limits::FRAME_BYTES_MAX) {
            Ok(message) => message,
            Err(error) => {
                let reason = error.to_string();
                self.report(Report::BadMessage { from, reason });
                return Ok(());
            }
        };
        if self.peers.get(&from).is_none_or(|peer| peer.foreign)
            && !matches!(message, PeerMessage::Status { .. })
        {
            return Ok(());
        }
        match message {
            PeerMessage::Status { genesis, height } => self.on_status(from, genesis, height),
            PeerMessage::Agreement(message) => {
                self.fork.speaks(Some(from));
                self.on_agreement(from, message)?;
                self.fork.speaks(None);
            }
            PeerMessage::Part {
                height,
                block,
                index,
                total,
                bytes,
            } => {
                self.on_part(from, height, block, (index, total), bytes)?;
            }
            PeerMessage::BodyRequest { height, block } => self.on_body_request(from, height, block),
            PeerMessage::Transactions(transactions) => self.actions.push(Action::Verify {
                from: Some(from),
                transactions,
                intake: Intake::Verify { spread: false },
            }),
            PeerMessage::Spread(transactions) => self.actions.push(Action::Verify {
                from: Some(from),
                transactions,
                intake: Intake::Verify { spread: true },
            }),
            PeerMessage::Batch(batch) => self.on_batch(from, batch),
            PeerMessage::Attested {
                digest,
                attestation,
            } => self.on_attested(from, digest, attestation),
            PeerMessage::Evidence(evidence) => self.on_evidence(from, evidence),
            PeerMessage::Hello { features, heard } => self.on_hello(from, features, heard),
            PeerMessage::About(about) => self.on_about(from, about),
            PeerMessage::Compact(compact) => self.on_compact(from, compact),
            PeerMessage::IndexRequest {
                height,
                block,
                indices,
            } => self.on_index_request(from, (height, block), &indices),
            PeerMessage::Indexed {
                height,
                block,
                transactions,
            } => self.on_indexed(from, (height, block), &transactions),
            PeerMessage::BlocksRequest { from: first, count } => {
                let count = count.min(SYNC_BLOCKS_MAX);
                if first > Height::GENESIS && first <= self.tip.height && count > 0 {
                    self.actions.push(Action::Serve {
                        to: from,
                        from: first,
                        count,
                    });
                }
            }
            PeerMessage::Blocks(blocks) => {
                self.look_for_fork(from, &blocks);
                self.on_blocks(from, blocks);
            }
            PeerMessage::BlocksFrom { first } => self.on_blocks_from(from, first),
            PeerMessage::LightRequest(_) => {
                let reason = "asked what is answered beside the replica".to_owned();
                self.report(Report::BadMessage { from, reason });
            }
            // Where no snapshots are served, or late: nobody's fault.
            PeerMessage::SnapshotRequest(_) | PeerMessage::SnapshotAnswer(_) => {}
            PeerMessage::LightAnswer(_) => {
                let reason = "answered a question that a full node does not ask".to_owned();
                self.report(Report::BadMessage { from, reason });
            }
        }
        Ok(())
    }

    fn on_status(&mut self, from: PeerId, genesis: B256, height: Height) {
        let foreign = genesis != self.genesis_hash;
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let news = foreign && !peer.foreign;
        peer.foreign = foreign;
        peer.status_at = Some(self.now);
        if foreign {
            if news {
                self.report(Report::WrongGenesis { from, genesis });
            }
        } else {
            self.heard_height(from, height);
        }
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
