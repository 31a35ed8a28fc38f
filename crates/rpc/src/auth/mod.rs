//! Who reads, and whether they may.
//!
//! A chain whose reads are `signed` answers authenticated readers only. A reader proves itself by
//! one of three means: an HTTP message signature (RFC 9421, `signature`), a short-lived token
//! obtained by signing a challenge (`token`), or a TLS client certificate that the listener has
//! checked ([`crate::ClientIdentity`]). Then the chain's [`ReadGate`] decides, and every decision
//! goes to the [`ReadAudit`]. `docs/spec/reads.md` is the specification.

mod access;
mod audit;
mod caller;
mod check;
mod error;
mod fields;
mod gate;
mod governed;
mod mac;
mod replay;
mod resource;
pub(crate) mod signature;
pub(crate) mod token;

pub use access::{Access, Reads};
pub use audit::{AuditUnavailable, Decision, Durable, ReadAudit, ReadEvent};
pub(crate) use caller::{Caller, Reader};
pub(crate) use check::{check, now_ms, record_login, still_allowed};
pub(crate) use error::AuthError;
pub use gate::{AnyAccount, Denied, ReadGate, ReadRequest, RevokedList};
pub use governed::Governed;
pub use resource::{Action, Resource};
pub use signature::{SignedHeaders, sign_request};
pub(crate) use token::{Authenticator, Realm};

/// The audience that credentials are bound to: this chain on this node.
#[must_use]
pub fn audience(
    chain: hawser_primitives::ChainId,
    genesis: &hawser_primitives::B256,
    node: &str,
) -> String {
    let genesis = hex::encode(genesis.get(..8).unwrap_or_default());
    format!("hawser:{chain}:{genesis}:{node}")
}
