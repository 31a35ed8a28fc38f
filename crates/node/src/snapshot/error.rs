use hawser_ledger::{LightError, ValidatorSetError, state::StateError};
use hawser_primitives::{B256, DecodeError, Height};
use hawser_storage::LogError;
use thiserror::Error;

use crate::store::StoreError;

/// Why a snapshot cannot be made, read or used.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The chain's store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain's state.
    #[error("state: {0}")]
    State(#[from] StateError),
    /// Files of the snapshot.
    #[error("snapshot files: {0}")]
    File(#[from] LogError),
    /// The committees do not lead from the genesis to its block.
    #[error("the snapshot is not of this chain, or is forged: {0}")]
    Light(#[from] LightError),
    /// A committee of it cannot be.
    #[error("the snapshot is forged: {0}")]
    Validators(#[from] ValidatorSetError),
    /// What is there is not a snapshot.
    #[error("{what} cannot be read: {source}; make or fetch the snapshot again")]
    Decode {
        /// Which part.
        what: &'static str,
        /// What is wrong.
        source: DecodeError,
    },
    /// A format of another version.
    #[error(
        "the snapshot has format {found}; this program reads {expected}: use another program version"
    )]
    Format {
        /// In the manifest.
        found: u32,
        /// Understood here.
        expected: u32,
    },
    /// Another chain.
    #[error(
        "the snapshot is of genesis {found}, the configured one is {expected}: it is of another chain"
    )]
    WrongGenesis {
        /// In the manifest.
        found: B256,
        /// Configured.
        expected: B256,
    },
    /// A manifest or a chunk that is not what certified headers say.
    #[error("the snapshot is damaged or forged: {0}; make or fetch it again")]
    Wrong(String),
    /// Larger than the format allows.
    #[error("the state needs {0} chunks, and a snapshot has at most {max}", max = super::CHUNKS_MAX)]
    TooLarge(usize),
    /// No such snapshot.
    #[error("no snapshot of block {0} is here; `hawser snapshot list` shows those that are")]
    NotHere(Height),
    /// A chunk that the manifest names is not there.
    #[error("file {0} of the snapshot is missing; make or fetch the snapshot again")]
    Missing(String),
    /// A file that is there is not as it was written.
    #[error("file {file} of the snapshot is damaged: {reason}; make or fetch the snapshot again")]
    Damaged {
        /// Its name.
        file: String,
        /// How that is known.
        reason: String,
    },
    /// The height cannot be exported.
    #[error(
        "the state of block {wanted} cannot be had any more or yet; block {newest} is the newest that can"
    )]
    Height {
        /// Asked for.
        wanted: Height,
        /// What can be had.
        newest: Height,
    },
    /// Told to stop.
    #[error("stopped before it was complete; nothing is left of it")]
    Stopped,
    /// The folder holds a chain already.
    #[error(
        "the folder holds blocks or state already; begin with an empty one (move the folder away)"
    )]
    NotEmpty,
}

impl SnapshotError {
    /// What is wrong with a chunk or a manifest, in words.
    pub(crate) fn wrong(what: impl Into<String>) -> Self {
        Self::Wrong(what.into())
    }
}
