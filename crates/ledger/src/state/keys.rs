use alloy_primitives::{KECCAK256_EMPTY, b256};
use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::{HashBatch, Suite};
use hawser_primitives::{Address, B256, Bytes, Domain, U256, decode_exact, encode};

use super::StateError;

/// A key of the state. The order of the encodings keeps an account's storage together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKey {
    /// An account.
    Account(Address),
    /// A storage slot of an account.
    Storage(Address, B256),
}

impl StateKey {
    /// Canonical bytes: a domain byte, then the fields (21 or 53 bytes).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Account(address) => [&[1u8], address.as_slice()].concat(),
            Self::Storage(address, slot) => [&[2u8], address.as_slice(), slot.as_slice()].concat(),
        }
    }

    /// Inverse of [`Self::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let bad = || StateError::Corrupt(format!("key of {} bytes", bytes.len()));
        let (domain, rest) = bytes.split_first().ok_or_else(bad)?;
        match (domain, rest.len()) {
            (1, 20) => Ok(Self::Account(Address::from_slice(rest))),
            (2, 52) => {
                let (address, slot) = rest.split_at(20);
                Ok(Self::Storage(
                    Address::from_slice(address),
                    B256::from_slice(slot),
                ))
            }
            _ => Err(bad()),
        }
    }

    /// Path of the key in the state tree.
    #[must_use]
    pub fn path(&self, suite: Suite) -> B256 {
        self.with_parts(|parts| suite.hash_domain(Domain::StateKey, parts))
    }

    /// The paths of many keys, in their order.
    pub(super) fn paths<'a>(suite: Suite, keys: impl Iterator<Item = &'a Self>) -> Vec<B256> {
        let mut batch = HashBatch::new(suite);
        for key in keys {
            key.with_parts(|parts| batch.push(Domain::StateKey, parts));
        }
        batch.finish()
    }

    fn with_parts<T>(&self, hash: impl FnOnce(&[&[u8]]) -> T) -> T {
        match self {
            Self::Account(address) => hash(&[&[1], address.as_slice()]),
            Self::Storage(address, slot) => hash(&[&[2], address.as_slice(), slot.as_slice()]),
        }
    }
}

/// An account of the EVM domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Account {
    /// Transactions sent, or contracts created by a contract.
    pub nonce: u64,
    /// Balance in wei, big endian.
    balance: [u8; 32],
    /// Keccak-256 of the code; [`KECCAK256_EMPTY`] for none.
    pub code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self::new(0, U256::ZERO, KECCAK256_EMPTY)
    }
}

impl Account {
    /// An account from its parts.
    #[must_use]
    pub fn new(nonce: u64, balance: U256, code_hash: B256) -> Self {
        Self {
            nonce,
            balance: balance.to_be_bytes(),
            code_hash,
        }
    }

    /// Balance in wei.
    #[must_use]
    pub fn balance(&self) -> U256 {
        U256::from_be_bytes(self.balance)
    }

    /// Whether the account has code.
    #[must_use]
    pub fn has_code(&self) -> bool {
        self.code_hash != KECCAK256_EMPTY
    }

    /// Whether EIP-161 calls it empty; an empty account is not stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance() == U256::ZERO && !self.has_code()
    }

    /// Canonical bytes (72).
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode(self).into()
    }

    /// Inverse of [`Self::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        decode_exact(bytes, 72).map_err(|error| StateError::Corrupt(format!("account: {error}")))
    }
}

/// Encoding of storage values: 32 bytes, never zero (zero is absence).
pub struct StorageValue;

impl StorageValue {
    /// The stored form; `None` for zero.
    #[must_use]
    pub fn encode(value: B256) -> Option<Bytes> {
        (value != B256::ZERO).then(|| Bytes::copy_from_slice(value.as_slice()))
    }

    /// Inverse of [`Self::encode`].
    pub fn decode(bytes: &[u8]) -> Result<B256, StateError> {
        B256::try_from(bytes)
            .map_err(|_| StateError::Corrupt(format!("storage value of {} bytes", bytes.len())))
    }
}

const _: () = assert!(
    KECCAK256_EMPTY.const_eq(&b256!(
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    )),
    "Keccak-256 of nothing, as the Yellow Paper has it"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_encoding_and_nothing_else_decodes() {
        let address = Address::repeat_byte(7);
        for key in [
            StateKey::Account(address),
            StateKey::Storage(address, B256::repeat_byte(9)),
        ] {
            let bytes = key.encode();
            assert_eq!(StateKey::decode(&bytes).unwrap(), key);
            assert_eq!(
                StateKey::paths(Suite::Sm, [&key].into_iter()),
                [key.path(Suite::Sm)]
            );
            assert_eq!(
                key.path(Suite::Sm),
                Suite::Sm.hash_domain(Domain::StateKey, &[&bytes])
            );
            assert!(StateKey::decode(&bytes[1..]).is_err());
        }
        assert!(StateKey::decode(&[]).is_err());
    }

    #[test]
    fn accounts_survive_their_encoding() {
        let account = Account::new(3, U256::from(1u64) << 200, B256::repeat_byte(1));
        let bytes = account.encode();
        assert_eq!(bytes.len(), 72);
        assert_eq!(Account::decode(&bytes).unwrap(), account);
        assert!(Account::decode(&bytes[..71]).is_err());
        assert!(Account::default().is_empty());
    }
}
