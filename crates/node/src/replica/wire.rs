use borsh::{BorshDeserialize, BorshSerialize};
use hawser_consensus::Message;
use hawser_ledger::{
    Attestation, Block, Certificate, FalseAttestation, Header, VerifiedTransaction,
};
use hawser_primitives::{Address, B256, Bytes, Height};

use crate::{
    light::{LightAnswer, LightRequest},
    snapshot::{SnapshotAnswer, SnapshotRequest},
};

/// Most blocks asked for at once.
pub const SYNC_BLOCKS_MAX: u32 = 64;
/// Bytes after which an answer to such a request ends.
pub const SYNC_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of transactions sent in one message.
pub(super) const GOSSIP_BYTES: usize = 256 * 1024;
/// Bytes of transactions in one message that answers a request for some of a block's.
pub(super) const INDEXED_BYTES: usize = 256 * 1024;

/// A block with the proof that it is final.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertifiedBlock {
    /// The block.
    pub block: Block,
    /// Its certificate.
    pub certificate: Certificate,
}

/// First byte of an encoded [`PeerMessage::Blocks`].
const BLOCKS_TAG: u8 = 7;

/// The encoding of [`PeerMessage::Blocks`] with these encoded [`CertifiedBlock`]s.
pub(crate) fn blocks_message(items: &[Vec<u8>]) -> Bytes {
    let bytes = items.iter().map(Vec::len).sum::<usize>();
    let mut message = Vec::with_capacity(bytes.saturating_add(5));
    message.push(BLOCKS_TAG);
    let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
    message.extend_from_slice(&count.to_le_bytes());
    for item in items {
        message.extend_from_slice(item);
    }
    message.into()
}

/// A transaction that a peer passes on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Relayed {
    /// Who signed it, says the peer. Nobody believes it: a receiver that knows the account's key
    /// tries that key first, because verifying against a known key costs a fraction of recovering
    /// an unknown one.
    pub sender: Address,
    /// Its encoding.
    pub raw: Bytes,
}

impl From<&VerifiedTransaction> for Relayed {
    fn from(transaction: &VerifiedTransaction) -> Self {
        Self {
            sender: transaction.sender(),
            raw: transaction.transaction().raw().clone(),
        }
    }
}

/// Feature bit of [`PeerMessage::Hello`]: compact bodies and what completes them.
pub const FEATURE_COMPACT: u64 = 1;
/// Feature bit of [`PeerMessage::Hello`]: passing transactions on.
pub const FEATURE_SPREAD: u64 = 1 << 1;
/// Feature bit of [`PeerMessage::Hello`]: attested batches, and evidence against attesters.
pub const FEATURE_BATCH: u64 = 1 << 2;
/// Feature bit of [`PeerMessage::Hello`]: [`PeerMessage::BlocksFrom`].
pub const FEATURE_FROM: u64 = 1 << 3;
/// Feature bit of [`PeerMessage::Hello`]: [`PeerMessage::About`].
pub const FEATURE_ABOUT: u64 = 1 << 25;
/// What this program understands beyond messages 1 to 9.
pub(super) const FEATURES: u64 =
    FEATURE_COMPACT | FEATURE_SPREAD | FEATURE_BATCH | FEATURE_FROM | FEATURE_ABOUT;
/// Longest name of a program in [`About`], in bytes.
pub const PROGRAM_BYTES_MAX: usize = 64;
/// Bytes of a reference to a transaction in a compact body.
pub const REFERENCE_BYTES: usize = 6;

/// Which receivers a relay passes a compact body on to: those whose ids fall, under a hash keyed by
/// the block, into share `index` or the one after it, of `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Share {
    /// The share, below `of`.
    pub index: u16,
    /// Number of shares, at least 2.
    pub of: u16,
}

/// A proposed block without its transactions.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Compact {
    /// Its header, whose hash is the block's and whose transactions root judges what is rebuilt.
    pub header: Header,
    /// Whom the receiver passes it on to; `None` for nobody.
    pub share: Option<Share>,
    /// A reference of [`REFERENCE_BYTES`] to each transaction in order: the low 48 bits, little
    /// endian, of SipHash-2-4 over the transaction's hash, keyed by the first 16 bytes of the
    /// block's hash.
    pub references: Bytes,
}

/// Transactions that a validator vouches for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Batch {
    /// Digest of the batch ([`hawser_ledger::batch_digest`]).
    pub digest: B256,
    /// Its transactions, with their senders.
    pub transactions: Vec<Relayed>,
    /// The word of the validator that made it.
    pub attestation: Attestation,
    /// Whether the receiver is to pass it on to all its peers.
    pub pass_on: bool,
}

/// What program a node runs, for people who prepare an upgrade. Nothing depends on it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct About {
    /// Version of the program, at most [`PROGRAM_BYTES_MAX`] bytes of text.
    pub program: String,
    /// Newest protocol version that it runs.
    pub protocol: u32,
    /// The validator that its vote key belongs to, says the sender; `None` for an observer.
    pub validator: Option<Address>,
}

/// What replicas of one chain say to one another.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum PeerMessage {
    /// Which chain the sender is on and how far it is.
    Status {
        /// Hash of its genesis.
        genesis: B256,
        /// Its last decided height.
        height: Height,
    } = 1,
    /// Votes, proposals, certificates.
    Agreement(Message) = 2,
    /// A piece of a proposed block's encoding.
    Part {
        /// Height of the block.
        height: Height,
        /// Hash of the block.
        block: B256,
        /// Position of the piece, from 0.
        index: u16,
        /// Number of pieces.
        total: u16,
        /// The piece, [`hawser_primitives::limits::PART_BYTES`] long except the last.
        bytes: Bytes,
    } = 3,
    /// Asks for the pieces of a block that the receiver should have.
    BodyRequest {
        /// Height of the block.
        height: Height,
        /// Hash of the block.
        block: B256,
    } = 4,
    /// Transactions that wait at the sender.
    Transactions(Vec<Relayed>) = 5,
    /// Asks for decided blocks.
    BlocksRequest {
        /// First height wanted.
        from: Height,
        /// How many, at most [`SYNC_BLOCKS_MAX`].
        count: u32,
    } = 6,
    /// Decided blocks in order of height.
    Blocks(Vec<CertifiedBlock>) = 7,
    /// A light node asks. Answered beside the replica, by [`crate::light`].
    LightRequest(LightRequest) = 8,
    /// The answer, for light nodes only.
    LightAnswer(LightAnswer) = 9,
    /// What the sender understands beyond messages 1 to 9.
    Hello {
        /// Feature bits; unknown ones are ignored.
        features: u64,
        /// Whether the sender knows the receiver's.
        heard: bool,
    } = 10,
    /// Transactions that wait at the sender, for the receiver to pass on to all its peers.
    Spread(Vec<Relayed>) = 11,
    /// A proposed block by references.
    Compact(Compact) = 12,
    /// Asks for some transactions of a proposed block.
    IndexRequest {
        /// Height of the block.
        height: Height,
        /// Hash of the block.
        block: B256,
        /// Their positions, strictly ascending.
        indices: Vec<u32>,
    } = 13,
    /// Transactions of a proposed block.
    Indexed {
        /// Height of the block.
        height: Height,
        /// Hash of the block.
        block: B256,
        /// Positions and encodings.
        transactions: Vec<(u32, Bytes)>,
    } = 14,
    /// A batch.
    Batch(Batch) = 15,
    /// A validator vouches for a batch.
    Attested {
        /// Digest of the batch.
        digest: B256,
        /// The validator's word.
        attestation: Attestation,
    } = 16,
    /// Proof that validators vouched for a false claim.
    Evidence(FalseAttestation) = 17,
    /// Answer to a [`PeerMessage::BlocksRequest`] for blocks that the sender no longer keeps.
    BlocksFrom {
        /// The first block that it keeps.
        first: Height,
    } = 18,
    /// Asks for snapshots. Answered beside the replica, by [`crate::snapshot`].
    SnapshotRequest(SnapshotRequest) = 19,
    /// The answer, for a node that is joining.
    SnapshotAnswer(SnapshotAnswer) = 20,
    /// What program the sender runs, for peers that understand it.
    About(About) = 25,
}

/// A fixed word for the kind of an encoded [`PeerMessage`], for counters.
#[must_use]
pub fn kind_of(message: &[u8]) -> &'static str {
    match message.first() {
        Some(1 | 10 | 25) => "status",
        Some(2) => "agreement",
        Some(3) => "body",
        Some(12) => "references",
        Some(4 | 13) => "body_request",
        Some(14) => "body_answer",
        Some(5) => "transactions",
        Some(11) => "relays",
        Some(15..=17) => "batches",
        Some(6 | 7 | 18) => "sync",
        Some(19 | 20) => "snapshot",
        Some(8 | 9) => "light",
        _ => "other",
    }
}
