use borsh::{BorshDeserialize, BorshSerialize};
use hawser_primitives::{B256, Bytes, Height};

use super::ChunkId;

/// Most snapshots in one answer, the newest.
pub const OFFERS_MAX: usize = 16;
/// Largest request, in bytes.
pub(crate) const REQUEST_BYTES_MAX: usize = 128;

/// A node asks for a snapshot, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SnapshotRequest {
    /// Comes back in the answer. First, so that a request that is refused unread can be answered.
    pub id: u64,
    /// Hash of the genesis that the asker has.
    pub genesis: B256,
    /// What it wants.
    pub ask: SnapshotAsk,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SnapshotAsk {
    /// Which snapshots there are.
    List = 1,
    /// The manifest of one.
    Manifest {
        /// Its block.
        height: Height,
    } = 2,
    /// A chunk of one.
    Chunk {
        /// Its block.
        height: Height,
        /// Which chunk.
        id: ChunkId,
    } = 3,
}

/// A snapshot that a node has. A claim, until its manifest is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SnapshotOffer {
    /// Its block.
    pub height: Height,
    /// What it consists of ([`super::Manifest::digest`]).
    pub digest: B256,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SnapshotAnswer {
    /// That of the request.
    pub id: u64,
    /// The answer proper.
    pub reply: SnapshotReply,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SnapshotReply {
    /// The snapshots that there are, newest first, at most [`OFFERS_MAX`].
    Offers(Vec<SnapshotOffer>) = 1,
    /// An encoded [`super::Manifest`].
    Manifest(Bytes) = 2,
    /// A chunk.
    Chunk(Bytes) = 3,
    /// No answer.
    Refused(SnapshotRefusal) = 4,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SnapshotRefusal {
    /// The asker has another genesis.
    WrongChain = 1,
    /// The request cannot be read.
    Malformed = 2,
    /// The peer asked for too much lately; the same may succeed later.
    Busy = 3,
    /// It is not here, or not any more.
    NotHere = 4,
    /// A fault of the answering node.
    Failed = 5,
}
