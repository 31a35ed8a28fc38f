use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

/// Why a byte string is not the canonical encoding of a value.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The bytes exceed the limit that the caller named.
    #[error("{len} bytes exceed the limit of {max} bytes")]
    TooLarge {
        /// Length of the input in bytes.
        len: usize,
        /// Largest length accepted.
        max: usize,
    },
    /// The bytes end early, carry something after the value, or hold an invalid field.
    #[error("malformed encoding: {0}")]
    Malformed(#[from] std::io::Error),
}

/// The canonical encoding of a value.
///
/// # Panics
/// Never for the types of this project: writing to memory does not fail, and no encoded
/// collection reaches 2^32 elements.
pub fn encode<T: BorshSerialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    match value.serialize(&mut out) {
        Ok(()) => out,
        Err(error) => unreachable!("encoding into memory: {error}"),
    }
}

/// Decodes a value that fills `bytes` exactly, refusing inputs over `max` bytes unread.
pub fn decode_exact<T: BorshDeserialize>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLarge {
            len: bytes.len(),
            max,
        });
    }
    Ok(borsh::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&7u64);
        assert_eq!(decode_exact::<u64>(&bytes, 64).unwrap(), 7);
        bytes.push(0);
        assert!(matches!(
            decode_exact::<u64>(&bytes, 64),
            Err(DecodeError::Malformed(_))
        ));
    }

    #[test]
    fn both_sides_of_the_size_limit() {
        assert!(decode_exact::<u64>(&[0; 8], 8).is_ok());
        assert!(matches!(
            decode_exact::<u64>(&[0; 8], 7),
            Err(DecodeError::TooLarge { len: 8, max: 7 })
        ));
    }
}
