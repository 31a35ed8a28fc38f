//! Snapshots: the state of a chain after one block, with what a node needs to go on from there.
//!
//! For: making one while the chain runs ([`create`]), keeping some ([`Shelf`]), checking one against a
//! genesis ([`Manifest::verify`], [`verify`]), making a node's folder from one ([`restore`]), serving
//! them to peers ([`SnapshotService`]) and fetching one from peers ([`Joiner`]).
//! Not for: trusting anybody. Every chunk is checked against a header that a quorum signed, and the
//! committees are followed from the genesis. `docs/spec/snapshot.md` (SN-n).

mod check;
mod create;
mod error;
mod fetch;
mod format;
mod join;
mod restore;
mod serve;
mod shelf;
mod wire;

pub use check::{ChunkChecker, Contents, check_blocks, check_state};
pub use create::{CreateOptions, Pace, create};
pub use error::SnapshotError;
pub use fetch::JoinSetup;
pub(crate) use fetch::{JoinInput, fetch};
pub use format::{
    BLOCK_CHUNK_BYTES, BlockPart, BlocksChunk, CHUNK_BYTES_MAX, CHUNKS_MAX, CONTENT_CHUNK_BYTES,
    ChunkId, Content, ContentKind, ContentPart, FORMAT, MANIFEST_BYTES_MAX, Manifest, StatePart,
    StoredBlock,
};
pub use join::{JoinAction, JoinEvent, JoinLimits, JoinProgress, JoinReport, JoinStage, Joiner};
pub use restore::{clear_unfinished, is_empty, is_unfinished, restore, verify};
pub(crate) use serve::{REQUEST_TAG, SnapshotServer};
pub use serve::{SnapshotLimits, SnapshotService};
pub use shelf::{Shelf, SnapshotFacts};
pub use wire::{
    OFFERS_MAX, SnapshotAnswer, SnapshotAsk, SnapshotOffer, SnapshotRefusal, SnapshotReply,
    SnapshotRequest,
};

use hawser_primitives::{decode_exact, limits::FRAME_BYTES_MAX};

/// The tag of [`crate::replica::PeerMessage::SnapshotAnswer`].
pub(crate) const ANSWER_TAG: u8 = 20;

/// Reads an answer that comes without its tag.
pub(crate) fn read_answer(bytes: &[u8]) -> Option<SnapshotAnswer> {
    decode_exact(bytes, FRAME_BYTES_MAX).ok()
}
