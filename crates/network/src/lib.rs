//! Authenticated, encrypted links between the nodes of a small permissioned mesh (4–100 nodes),
//! shared by all chains that a node hosts.
//!
//! For: peer identity, admission, transport, and delivery of opaque frames per chain with two
//! lanes of priority. Not for: what the frames mean, gossip, discovery of unknown nodes, and
//! retries: a frame is delivered at most once, in order within its lane, while a link is up.
//!
//! Entry: [`start`] takes a [`NetworkConfig`] and returns a [`NetworkHandle`] for sending and a
//! bounded channel of [`NetworkEvent`]s.
//!
//! Invariants:
//! - No byte of a frame is read from, or written to, anyone whose key is not admitted.
//! - Between two nodes at most one link is up. `Up` comes before the first message of a link and
//!   `Down` after its last; the next `Up` of the same peer comes after that `Down`.
//! - Everything that a peer or stranger can make this node hold is bounded (see [`Limits`]).
//! - TLS library types do not appear in the public interface. The provider of RFC 8998 and the
//!   usual one serve behind the same types.
//! - In certificate mode a link lives only as long as the peer's chain is believed: it is judged
//!   again whenever a certificate file, root or revocation list changes, and when it expires.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod chain_verifier;
mod chains;
mod client;
mod config;
mod counters;
mod credential;
mod error;
mod event;
mod frame;
mod gate;
mod gm;
mod handle;
mod handshake;
mod identity;
mod link;
mod listener;
mod peer;
mod pending;
mod probe;
mod queue;
mod raw;
mod runs;
mod service;
mod tls;

pub use client::{ClientProblem, ClientStream, ClientTls, ClientTrust};
pub use config::{Limits, NetworkConfig, PeerAddress, is_peer_address};
pub use counters::{Counters, RefusalReason};
pub use credential::{CertificateFiles, Credential, NodeCertificate};
pub use error::{IdentityError, NetworkError, SendError};
pub use event::{Direction, DownReason, Lane, NetworkEvent, PeerStatus, Twins};
pub use handle::NetworkHandle;
pub use identity::{NodeIdentity, PeerId};
pub use listener::{ListenerStream, ListenerTls};
pub use probe::{Probe, ProbeReport, ProbeSuite, probe, probe_raw_key};
pub use service::start;

// The payload type of this interface, so that users need not name the crate it comes from.
pub use bytes::Bytes;
