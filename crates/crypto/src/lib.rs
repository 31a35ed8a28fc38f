//! Hashes, keys and signatures of the two cryptographic suites, and keys at rest.
//!
//! For: [`Suite`] (which hash and which schemes a chain uses), [`HashBatch`], [`PublicKey`], [`SecretKey`] and
//! [`Signature`] over three schemes, verified singly or many together ([`verify_many`]), public key
//! recovery for Ethereum envelopes ([`secp`]), DER
//! forms for X.509 and OpenSSL ([`der`]), encrypted key files ([`keystore`]), the suites' ciphers
//! ([`cipher`]), public-key encryption with SM2 ([`sm2pke`]) and SM2 signatures over raw points
//! ([`sm2raw`]).
//! Not for: certificates of votes, X.509, link encryption, or where a key file lies.
//!
//! # What is signed
//!
//! | scheme | public key | over the message `m` | signature |
//! |---|---|---|---|
//! | `secp256k1` | 33 bytes, SEC 1 compressed | ECDSA over Keccak-256(`m`), RFC 6979 nonce | `r ‖ s`, `s ≤ n/2` |
//! | `ed25519` | 32 bytes, RFC 8032 | pure Ed25519 over `m` | `R ‖ S`, strict rules |
//! | `sm2` | 33 bytes, SEC 1 compressed | GB/T 32918.2 over SM3(Z ‖ `m`), RFC 6979 nonce with SM3 | `r ‖ s` |
//!
//! `r` and `s` are 32 bytes each, big endian, and lie in `1 ..= n − 1`. `Z` is computed with the
//! identity `1234567812345678` ([`SM2_IDENTITY`]). Callers put a
//! [`Domain`](hawser_primitives::Domain) tag in front of what they sign; nothing here does.
//!
//! # Addresses
//!
//! The last 20 bytes of Keccak-256(x ‖ y) for secp256k1, of SM3(x ‖ y) for SM2, and of
//! Keccak-256(tag ‖ key) with the tag of `Domain::Ed25519Address` for Ed25519.
//!
//! # Invariants
//!
//! A [`PublicKey`] is a valid point of full order that has exactly one encoding; a [`Signature`]
//! has components in range (and low `s` on secp256k1). Both hold by construction, whether a value
//! came from bytes, text, borsh or serde, so two nodes never disagree about what decodes.
//! Secret keys are erased from memory when dropped and never appear in debug output.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod batch;
pub mod cipher;
pub mod datakey;
pub mod der;
mod ed25519;
mod error;
mod hashes;
pub mod keystore;
mod prf;
mod public;
mod scheme;
pub mod secp;
mod secret;
mod signature;
mod sm2dsa;
pub mod sm2pke;
pub mod sm2raw;
mod suite;
mod text;
mod verdicts;

pub use batch::{Check, verify_many};
pub use error::{KeyError, NameError, SignatureError, VerifyError};
pub use hashes::HashBatch;
pub use prf::{PRF_BYTES, Prf};
pub use public::PublicKey;
pub use scheme::Scheme;
pub use secret::SecretKey;
pub use signature::Signature;
pub use sm2dsa::SM2_IDENTITY;
pub use suite::Suite;
pub use verdicts::RememberVerdicts;
