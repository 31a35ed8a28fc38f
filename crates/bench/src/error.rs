use std::{io, path::PathBuf};

use thiserror::Error;

/// Why there is no valid measurement.
#[derive(Debug, Error)]
pub enum BenchError {
    /// Arguments that do not go together.
    #[error("{0}")]
    Usage(String),
    /// A file or a process of this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// How it failed.
        source: io::Error,
    },
    /// A folder that must not be overwritten.
    #[error("{0} exists already and is no folder")]
    NotAFolder(PathBuf),
    /// The network or anvil did not start, stop or answer.
    #[error("{0}")]
    Target(String),
    /// A node answered a call with an error.
    #[error("{method}: {message} (code {code})")]
    Rpc {
        /// The method called.
        method: String,
        /// JSON-RPC error code.
        code: i64,
        /// In the node's words.
        message: String,
    },
    /// No answer, or one that is not JSON-RPC.
    #[error("{method}: {reason}")]
    Transport {
        /// The method called.
        method: String,
        /// What went wrong.
        reason: String,
    },
    /// A check failed, so the figures of the run mean nothing.
    #[error("the run is void: {0}")]
    Void(String),
    /// The time that was announced is over.
    #[error("the announced limit of {0} s is over; everything was stopped")]
    TimeIsUp(u64),
    /// Ctrl-C or a request to terminate.
    #[error("interrupted; everything was stopped")]
    Interrupted,
    /// A key could not be derived, or does not sign.
    #[error("key: {0}")]
    Key(#[from] hawser_crypto::KeyError),
    /// The report could not be written as JSON.
    #[error("report: {0}")]
    Json(#[from] serde_json::Error),
}

/// What most of this crate returns.
pub(crate) type Result<T> = std::result::Result<T, BenchError>;

impl BenchError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
