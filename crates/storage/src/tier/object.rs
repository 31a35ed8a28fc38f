//! The seam to an object store, and what can go wrong there.

use thiserror::Error;

use crate::DiskError;

/// Gives the next bytes of an upload; `None` after the last.
pub type Upload<'a> = &'a mut dyn FnMut() -> Result<Option<Vec<u8>>, DiskError>;

/// A store of objects by key that lies elsewhere, S3-compatible or not.
///
/// Every call ends within a bounded time, whatever the other side does, and may be made from any
/// thread that is allowed to wait. Nothing that it gives is believed: whoever reads compares it with
/// a digest.
pub trait ObjectStore: Send + Sync {
    /// Stores an object of `len` bytes under a key, replacing one that is there. Waits as long as
    /// bytes go on.
    fn put(&self, key: &str, len: u64, next: Upload<'_>) -> Result<(), PutError>;

    /// `len` bytes of an object from `offset` on; fewer where it ends.
    fn get(&self, key: &str, offset: u64, len: usize) -> Result<Vec<u8>, ObjectError>;

    /// Length of an object in bytes; `None` where there is none.
    fn size(&self, key: &str) -> Result<Option<u64>, ObjectError>;

    /// Where it is, for people: address and bucket, nothing secret.
    fn place(&self) -> String;
}

/// Why an upload did not come to its end.
#[derive(Debug, Error)]
pub enum PutError {
    /// The store.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// What was to be uploaded could not be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why an object store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ObjectError {
    /// Nobody answers there, or not with TLS that can be believed.
    #[error(
        "the object store {place} cannot be reached: {reason}; check that it runs, tier.endpoint, \
         the network, and tier.ca_file"
    )]
    Unreachable {
        /// Where.
        place: String,
        /// What the operating system or TLS says.
        reason: String,
    },
    /// It took too long.
    #[error(
        "the object store {place} did not answer within {ms} ms; check its load and the network, \
         or raise tier.timeout_ms"
    )]
    TimedOut {
        /// Where.
        place: String,
        /// The bound.
        ms: u64,
    },
    /// It does not let this node in.
    #[error(
        "the object store {place} refuses this node: {reason}; check tier.credentials_file (or \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), the rights of that key, tier.region, and \
         this machine's clock"
    )]
    Denied {
        /// Where.
        place: String,
        /// The store's own code.
        reason: String,
    },
    /// The bucket is not there.
    #[error("the object store {place} has no such bucket; create it, or correct tier.bucket")]
    NoBucket {
        /// Where.
        place: String,
    },
    /// The object is not there.
    #[error(
        "the object store {place} does not have '{key}'; restore the object there, or restore this \
         node's data from a backup or its peers"
    )]
    Missing {
        /// Where.
        place: String,
        /// Which.
        key: String,
    },
    /// Anything else it says.
    #[error("the object store {place} failed: {reason}; look at its own log")]
    Failed {
        /// Where.
        place: String,
        /// What it said.
        reason: String,
    },
}

impl ObjectError {
    /// One word, for metrics and programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timeout",
            Self::Denied { .. } => "denied",
            Self::NoBucket { .. } => "no_bucket",
            Self::Missing { .. } => "missing",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether asking for another object would fail as well.
    pub(super) const fn is_of_store(&self) -> bool {
        !matches!(self, Self::Missing { .. })
    }
}

/// Why a file that was moved to an object store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TierError {
    /// No object store is configured.
    #[error(
        "'{file}' was moved to an object store, and none is configured; set the section [tier] as it \
         was, or ask another archive node"
    )]
    NotConfigured {
        /// The file.
        file: String,
    },
    /// The store does not give it.
    #[error("'{file}': {source}")]
    Store {
        /// The file.
        file: String,
        /// Why.
        source: ObjectError,
    },
    /// The store gives something else.
    #[error(
        "'{file}': the object '{key}' is not what this node uploaded, from byte {offset} on; it was \
         changed or damaged there. Restore the object, or restore this node's data from a backup or \
         its peers"
    )]
    Wrong {
        /// The file.
        file: String,
        /// The object.
        key: String,
        /// Where the chunk begins that has another digest.
        offset: u64,
    },
    /// What tells where the object is, is unreadable.
    #[error(
        "'{file}' was moved to an object store, and the file '{marker}' that tells where is damaged: \
         {reason}; restore it from a backup"
    )]
    Marker {
        /// The file.
        file: String,
        /// The marker.
        marker: String,
        /// What is wrong.
        reason: String,
    },
    /// Too many wait for the store already.
    #[error("'{file}': {waiting} reads wait for the object store already; ask again in a second")]
    Busy {
        /// The file.
        file: String,
        /// How many.
        waiting: usize,
    },
    /// What lies in an object store is not changed.
    #[error(
        "'{file}' lies in an object store; bring it back with `hawser storage tier fetch` first"
    )]
    ReadOnly {
        /// The file.
        file: String,
    },
    /// Whoever asked does not want it any more.
    #[error("'{file}': stopped")]
    Stopped {
        /// The file.
        file: String,
    },
}

impl TierError {
    /// Whether this one object is the trouble, and not the way to the store.
    #[must_use]
    pub const fn is_of_object(&self) -> bool {
        matches!(
            self,
            Self::Wrong { .. }
                | Self::Store {
                    source: ObjectError::Missing { .. },
                    ..
                }
        )
    }

    /// One word, for metrics and programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotConfigured { .. } => "not_configured",
            Self::Store { source, .. } => source.word(),
            Self::Wrong { .. } => "wrong",
            Self::Marker { .. } => "marker",
            Self::Busy { .. } => "busy",
            Self::ReadOnly { .. } => "read_only",
            Self::Stopped { .. } => "stopped",
        }
    }
}
