use std::io;

use hawser_crypto::cipher::CipherError;
use thiserror::Error;

use crate::TierError;

/// Why a key-value store could not do what it was asked.
#[derive(Debug, Error)]
pub enum KvError {
    /// The engine failed.
    #[error("key-value store: {operation} failed: {reason}")]
    Engine {
        /// What was being done.
        operation: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// The column was not named when the store was opened.
    #[error("key-value store has no column '{0}'")]
    UnknownColumn(&'static str),
    /// A key is empty or too long, or a value is too long.
    #[error("{what} of {len} bytes is outside the limit of {max} bytes")]
    Size {
        /// `key` or `value`.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The largest length accepted.
        max: usize,
    },
    /// A value does not decrypt, or could not be encrypted.
    #[error(
        "key-value store, column '{column}': {source}; restore the data from a backup, or remove it and let the node fetch it from its peers"
    )]
    Sealed {
        /// The column.
        column: &'static str,
        /// Why.
        source: CipherError,
    },
    /// An encrypted store of a version that left keys as they are.
    #[error(
        "the keys of this encrypted store lie open, as an earlier version left them; move the store away and start the node again: it is made anew from the blocks"
    )]
    OpenKeys,
    /// A range over keys that are hidden, and so have no order.
    #[error("key-value store: the keys of column '{0}' are hidden and cannot be listed in order")]
    HiddenOrder(&'static str),
    /// An earlier durable write failed; the process must stop and recover by restart.
    #[error("key-value store refuses calls since a durable write failed; restart the node")]
    Poisoned,
}

/// Why a file operation failed.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The operating system said no.
    #[error("{operation} '{file}': {source}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file, or the folder.
        file: String,
        /// The reason.
        source: io::Error,
    },
    /// A record does not decrypt, or could not be encrypted.
    #[error(
        "'{file}' at byte {offset}: {source}; restore the file from a backup, or remove the folder's data and let the node fetch it from its peers"
    )]
    Sealed {
        /// The file.
        file: String,
        /// Where the record stands.
        offset: u64,
        /// Why.
        source: CipherError,
    },
    /// The file was moved to an object store and cannot be had from there now.
    #[error(transparent)]
    Tier(#[from] TierError),
    /// The name is not a plain file name of 1 to 128 letters, digits, `.`, `_` and `-`.
    #[error("'{0}' is not a plain file name")]
    Name(String),
}

impl LogError {
    /// What is wrong with a file that was moved to an object store, if it is that.
    #[must_use]
    pub const fn tier(&self) -> Option<&TierError> {
        match self {
            Self::Disk(DiskError::Tier(error)) => Some(error),
            _ => None,
        }
    }
}

impl DiskError {
    /// An input or output error, with what was being done to which file.
    pub(crate) fn io(operation: &'static str, file: &str, source: io::Error) -> Self {
        Self::Io {
            operation,
            file: file.to_owned(),
            source,
        }
    }
}

/// Why a log or a segment store could not do what it was asked.
#[derive(Debug, Error)]
pub enum LogError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file holds something that was not written. Synced data is damaged.
    #[error("'{file}' is damaged at byte {offset}: {reason}; {advice}")]
    Corrupt {
        /// Name of the file within its folder.
        file: String,
        /// Offset in bytes of the first damaged record.
        offset: u64,
        /// What is wrong.
        reason: String,
        /// What an operator can do.
        advice: &'static str,
    },
    /// A record is empty or larger than the limit.
    #[error("record of {len} bytes is outside 1..={max} bytes")]
    RecordSize {
        /// Its length in bytes.
        len: usize,
        /// The largest length accepted.
        max: usize,
    },
    /// The log has reached its largest size and must be reset first.
    #[error("log '{file}' would exceed {max} bytes; reset it")]
    Full {
        /// Name of the file.
        file: String,
        /// The largest size in bytes.
        max: u64,
    },
    /// Items must be appended in order, and cannot be cut off before the first one kept.
    #[error("item {got} is out of order; expected {expected}")]
    Order {
        /// What would have been accepted.
        expected: u64,
        /// What was given.
        got: u64,
    },
    /// An option is outside what the format can hold.
    #[error("option {option} = {value} is outside {min}..={max}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// The value given.
        value: u64,
        /// Smallest value accepted.
        min: u64,
        /// Largest value accepted.
        max: u64,
    },
    /// An earlier durable write failed; the process must stop and recover by restart.
    #[error("'{0}' refuses calls since a durable write failed; restart the node")]
    Poisoned(String),
}

/// Refuses an option outside its range, both ends of which are allowed.
pub(crate) const fn check_option(
    option: &'static str,
    value: u64,
    (min, max): (u64, u64),
) -> Result<(), LogError> {
    if min <= value && value <= max {
        return Ok(());
    }
    Err(LogError::Option {
        option,
        value,
        min,
        max,
    })
}
