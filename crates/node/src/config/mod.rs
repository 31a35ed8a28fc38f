//! A node's configuration: one TOML file, under environment variables, under flags.
//!
//! For: reading and checking it ([`load`]), the list of keys ([`KEYS`]) from which flags, variables
//! and documentation are made, and writing a file ([`document`]).
//! Not for: opening the files that it names.
//!
//! Entry: [`load`] takes a file and [`Overrides`] and gives a [`Loaded`]: the typed [`NodeConfig`]
//! and, per key, the value in effect and where it came from.

mod check;
mod document;
mod error;
mod keys;
mod layers;
mod sections;
#[cfg(test)]
mod tests;

pub use document::{document, quote};
pub use error::{ConfigError, Problem, Source};
pub use keys::{CHAIN_FIELDS, Field, KEYS, Key, Kind, PEER_FIELDS, find};
pub use layers::{FILE_BYTES_MAX, Loaded, Overrides, Setting, load, load_text};
pub use sections::{
    AuditSection, ChainSection, ClientsKind, ConsensusSection, CredentialKind, Encryption,
    LogFormat, LogSection, MetricsSection, NetworkSection, NodeConfig, NodeKind, NodeMode,
    NodeSection, PeerSection, PoolSection, ReadsMode, RevocationKind, RpcSection, SnapshotSection,
    SnapshotServe, StorageMode, StorageSection, SyncMode, SyncSection, TierAddressing, TierSection,
    TierStore,
};
