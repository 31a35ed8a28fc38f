//! Identifiers, units and limits that every layer shares.
//!
//! For: newtypes that keep a height from being added to a round, the canonical byte encoding
//! ([borsh](https://borsh.io)) with bounded decoding, the domain tags that separate hashes, and opening a file that a
//! person names without waiting for ever ([`open_file`]).
//! Not for: anything that hashes, signs, stores or sends.
//!
//! Invariants: every type here encodes to exactly one byte string, and [`decode_exact`] accepts
//! that byte string and no other.

mod codec;
mod domain;
mod file;
pub mod limits;
mod units;

pub use alloy_primitives::{Address, B256, Bytes, U256, address, b256};
pub use codec::{DecodeError, decode_exact, encode};
pub use domain::Domain;
pub use file::{give_to_owner_of, open_file};
pub use units::{ChainId, Gas, Height, Round, Time};
