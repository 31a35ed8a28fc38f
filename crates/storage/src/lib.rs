//! Durable storage: key-value columns, synced logs, numbered segments.
//!
//! For: everything that a node keeps. [`Kv`] holds state and indexes, [`SyncedLog`] what must be on
//! disk before a vote leaves, [`Segments`] the blocks, [`PageStore`] pages that are replaced again and
//! again. All of them run on seams ([`Kv`], [`Disk`])
//! with a real implementation ([`FjallKv`], [`OsDisk`]) and one for simulation with injectable
//! faults ([`MemKv`], [`MemDisk`]). [`SealedKv`] and [`SealedDisk`] encrypt what passes through them;
//! [`TieredDisk`] shows files that [`Tier`] moved to an object store ([`ObjectStore`]).
//! Not for: what the bytes mean.
//!
//! Entry types: [`Kv`], [`SyncedLog`], [`Segments`], [`PageStore`].
//!
//! Invariants: what was acknowledged by a sync or a persist survives any crash; a read returns what
//! was written or an error, never something else; after a durable write failed, the handle refuses
//! every further call and recovery is by restart.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod disk;
mod error;
mod kv;
mod log;
mod pages;
mod record;
mod sealed;
mod seed;
mod segments;
mod tier;

pub use disk::{Disk, DiskFaults, DiskFile, MemDisk, OsDisk, TrialDisk};
pub use error::{DiskError, KvError, LogError};
pub use kv::{
    Batch, Column, FjallKv, KEY_BYTES_MAX, KeyValue, Kv, MemKv, VALUE_BYTES_MAX, WriteOp,
    prefix_bounds,
};
pub use log::{LogOptions, LogRecovery, SyncedLog, WholeLog};
pub use pages::{
    PAGE_BYTES_MAX, PAGE_PART_BYTES_MAX, PageCommit, PageIndex, PageMove, PagePlace, PageStore,
    PageStoreOptions, PageUsage, PageWriter,
};
pub use record::TornTail;
pub use sealed::{KeyForm, SEALED_BYTES, SealedDisk, SealedKv, Sealer};
pub use segments::{
    ItemPlace, SealedSegment, SegmentFault, SegmentOptions, SegmentRecovery, Segments,
    SegmentsCheck,
};
pub use tier::{
    CHUNK_BYTES, CHUNKS_MAX, COLD_READS_MAX, ColdEntry, ColdFile, MemObjects, ObjectError,
    ObjectFault, ObjectStore, PutError, Tier, TierDigest, TierError, TierHash, TierOptions,
    TierStats, TieredDisk, Upload,
};
