use std::path::PathBuf;

use thiserror::Error;

/// Why the audit log cannot be kept or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuditError {
    /// The operating system refuses.
    #[error("audit log {}: {reason}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// The newest file does not verify, so nothing can be appended to it.
    #[error(
        "audit log {}, line {line}: {reason}. It was changed, or the disk failed. Keep the folder \
         for whoever audits, and give the node another one (audit.dir)",
        path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What does not fit.
        reason: String,
    },
    /// Another hash than the log was begun with.
    #[error(
        "audit log {} was begun with suite {found}, this node's is {expected}; give it another \
         folder (audit.dir)",
        path.display()
    )]
    Suite {
        /// The file.
        path: PathBuf,
        /// In the file.
        found: String,
        /// Of this node.
        expected: String,
    },
    /// A write failed before; nothing is known to be on disk since.
    #[error("the audit log has failed: {0}. Restart the node when the cause is gone")]
    Failed(String),
    /// Entries come faster than the disk takes them.
    #[error("the audit log is behind: {0} entries wait to be written; retry in a second")]
    Behind(usize),
    /// An entry over the limit.
    #[error("an audit entry of {0} bytes exceeds the limit of {max}", max = super::entry::ENTRY_BYTES_MAX)]
    TooLarge(usize),
}
