use hawser_ledger::LightError;
use hawser_primitives::{B256, DecodeError, Height};
use hawser_storage::LogError;
use thiserror::Error;

/// Why headers cannot be kept or read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The files.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The folder is another chain's.
    #[error(
        "the folder holds headers of genesis {found}, not of {expected}; restore the genesis file, \
         or move the folder away to begin anew"
    )]
    OtherGenesis {
        /// In the folder.
        found: B256,
        /// Configured.
        expected: B256,
    },
    /// What is stored does not fit together.
    #[error("{0}; move the folder away: the headers are fetched and verified again")]
    Inconsistent(String),
    /// A header or a change that cannot be read.
    #[error("a stored {what} is unreadable: {source}; move the folder away to fetch all again")]
    Decode {
        /// What.
        what: &'static str,
        /// Why.
        source: DecodeError,
    },
    /// The genesis or a stored change of the committee does not verify.
    #[error(transparent)]
    Light(#[from] LightError),
}

/// Why a light node cannot start or go on.
#[derive(Debug, Error)]
pub enum LightNodeError {
    /// The links.
    #[error(transparent)]
    Network(#[from] hawser_network::NetworkError),
    /// The headers.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The genesis document.
    #[error("genesis: {0}")]
    Genesis(String),
    /// A thread or its runtime.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// It ended by a fault.
    #[error("a thread of the light node ended by a fault; see the log")]
    Panicked,
}

/// Why a question has no answer.
#[derive(Clone, Debug, Error)]
pub enum ReadError {
    /// No verified header yet.
    #[error(
        "header not found: no header is verified yet; see hawser_status for what the node waits for"
    )]
    Empty,
    /// Nobody to ask.
    #[error(
        "no peer is connected, and a light node answers this with what peers prove; check that full \
         nodes run and admit this one"
    )]
    NoPeers,
    /// Every peer asked failed to answer.
    #[error("no peer answered; the last said: {0}")]
    Unanswered(String),
    /// A height without a header here.
    #[error("header not found: there is no header {wanted} here; kept are {first} to {last}")]
    NoHeader {
        /// Wanted.
        wanted: Height,
        /// First one kept.
        first: Height,
        /// Last one verified.
        last: Height,
    },
    /// No later header commits to the results of the block yet.
    #[error("no final header has the roots of block {0} yet; ask for an earlier one or `latest`")]
    NotCertified(Height),
    /// A full node refuses what it was asked.
    #[error("{0}")]
    Refused(String),
    /// A transaction was not taken.
    #[error("{0}")]
    Transaction(String),
    /// The rules of an old block are not provable any more.
    #[error(
        "the settings that governed block {0} changed since, and peers no longer prove the state of \
         that time; ask a full node for this block"
    )]
    OldSettings(Height),
    /// Too much at once.
    #[error("the node is busy: {0} questions to peers wait; retry in a second")]
    Busy(usize),
    /// This node's own fault.
    #[error("{0}")]
    Store(String),
    /// The node stops.
    #[error("the node is stopping")]
    Stopped,
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}
