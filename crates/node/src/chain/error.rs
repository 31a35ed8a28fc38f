use hawser_ledger::GenesisError;
use hawser_storage::LogError;
use thiserror::Error;

use crate::{replica::ReplicaError, store::StoreError};

/// Why a chain cannot run.
#[derive(Debug, Error)]
pub enum ChainError {
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its replica.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// Its genesis.
    #[error("genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// The file of the vote log.
    #[error("vote log: {0}")]
    Log(#[from] LogError),
    /// The vote log cannot be read.
    #[error(
        "vote log: {0}. It holds what this validator voted for; no backup has it, and no copy of it may be \
         put in its place. `hawser db repair --forget-votes` puts it aside: the node then follows, and votes \
         again when that is safe, which it finds out by itself"
    )]
    VoteLog(String),
    /// What is known of forgotten votes cannot be read or written.
    #[error(
        "votes.guard: {0}. If it is damaged, move it and votes.log away with the node stopped: the node then \
         follows, and votes again when that is safe, which it finds out by itself"
    )]
    VoteGuard(String),
    /// The evidence kept against validators.
    #[error("evidence against validators (attesters.log): {0}")]
    Convictions(String),
    /// A folder that was being made from a snapshot.
    #[error(transparent)]
    Snapshot(#[from] Box<crate::snapshot::SnapshotError>),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no randomness")]
    Randomness,
    /// A thread that cannot be started.
    #[error("cannot start a thread: {0}")]
    Spawn(#[from] std::io::Error),
    /// A thread that ended badly.
    #[error("{0}; see the log")]
    Thread(&'static str),
}
