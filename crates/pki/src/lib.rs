//! X.509 for a consortium: keys, certificates, requests, revocation lists, a small certificate
//! authority per organisation, and the validation of chains.
//!
//! For: SM2 (GM/T 0015, GB/T 20518), P-256 and Ed25519 certificates and everything that issues,
//! reads and checks them. Not for: TLS itself (`hawser-network`), accounts, or asking anybody over
//! a network: revocation lists are files.
//!
//! Entry types: [`Authority`] issues, [`Trust`] decides whether a chain of [`Certificate`]s is to
//! be believed, [`PrivateKey`] and [`Request`] are what an operator holds.
//!
//! # Invariants
//! - Everything parsed is bounded in size before it is read ([`limits`]).
//! - A certificate is recorded in its authority's index before it leaves the authority, so that
//!   every certificate that exists can be revoked.
//! - A private key is written encrypted, or not at all.
//! - Time is an argument. Nothing here reads a clock.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod authority;
mod build;
mod certificate;
mod crl;
mod distrust;
mod encode;
mod error;
mod files;
mod identity;
mod index;
mod key;
pub mod limits;
mod name;
mod oid;
mod pem;
mod profile;
mod request;
mod time;
mod trust;

pub use authority::{Authority, Issued};
pub use build::Template;
pub use certificate::{Certificate, parse_certificates};
pub use crl::{Crl, Reason, Revoked};
pub use distrust::Distrust;
pub use error::PkiError;
pub use files::{TrustFolder, write_atomic};
pub use identity::ClientIdentity;
pub use index::{Entry, Status};
pub use key::{Algorithm, PrivateKey, PublicKey};
pub use name::Subject;
pub use profile::Profile;
pub use request::Request;
pub use time::Moment;
pub use trust::{Purpose, Trust, Verified};
