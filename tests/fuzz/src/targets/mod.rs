//! The functions that read.

mod files;
mod messages;
mod texts;

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_primitives::{ChainId, decode_exact, encode};

pub(crate) use files::*;
pub(crate) use messages::*;
pub(crate) use texts::*;

/// The chain that all seeds are of.
pub(crate) const CHAIN: ChainId = ChainId(7);

/// Decodes; what is accepted must encode to the very bytes.
fn exact<T: BorshDeserialize + BorshSerialize>(bytes: &[u8], max: usize) -> Option<T> {
    let value = decode_exact::<T>(bytes, max).ok()?;
    assert_eq!(
        encode(&value),
        bytes,
        "accepted bytes that are not what the value encodes to"
    );
    Some(value)
}

/// Several byte strings as one, each behind its length (2 bytes, big endian).
pub(crate) fn join(parts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let parts = parts.into_iter().flat_map(|part| {
        let length = u16::try_from(part.len())
            .expect("seeds are small")
            .to_be_bytes();
        [length.to_vec(), part].concat()
    });
    parts.collect()
}

/// The inverse of [`join`]; a length beyond the end takes what is left.
fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (part, rest) = rest.split_at(length);
        parts.push(part);
        bytes = rest;
    }
    parts
}
