//! What goes into a replica and comes out of it.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_consensus::Record;
use hawser_ledger::{Block, Certificate, FalseAttestation, Roots, VerifiedTransaction};
use hawser_network::PeerId;
use hawser_primitives::{Address, B256, Bytes, ChainId, Height, Round, Time};

use super::{Audit, Batched, Intake, Relayed, VoteGuard};
use crate::{
    Rules,
    pool::{Candidate, PoolError},
};

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
        /// An encoded [`PeerMessage`](super::PeerMessage).
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
        /// An encoded [`PeerMessage`](super::PeerMessage).
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
    /// Send stored blocks to a peer as [`PeerMessage::Blocks`](super::PeerMessage::Blocks).
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
