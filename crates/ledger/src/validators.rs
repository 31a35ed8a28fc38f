use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::{PublicKey, Suite};
use hawser_primitives::{Address, B256, Domain, encode, limits::VALIDATORS_MAX};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One member of a committee.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validator {
    /// Key that signs votes and proposals.
    pub public_key: PublicKey,
    /// Share in votes, at least 1.
    pub weight: u64,
}

impl Validator {
    /// Address derived from the vote key; names the validator in votes and headers.
    #[must_use]
    pub fn address(&self) -> Address {
        self.public_key.address()
    }
}

/// Why a list of validators is no committee.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ValidatorSetError {
    /// A committee needs a member.
    #[error("a validator set needs at least one validator")]
    Empty,
    /// Over [`VALIDATORS_MAX`].
    #[error("{0} validators exceed the limit of {VALIDATORS_MAX}")]
    TooMany(usize),
    /// The same key twice.
    #[error("validator {0} is listed twice")]
    Duplicate(Address),
    /// A member without a vote.
    #[error("validator {0} has weight 0; give it at least 1 or remove it")]
    ZeroWeight(Address),
    /// The weights do not add up within 63 bits.
    #[error("the weights of the validators add up to more than 2^63")]
    WeightOverflow,
}

/// A committee: validators sorted by address, each once, with their weights.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct ValidatorSet {
    validators: Vec<Validator>,
    #[borsh(skip)]
    addresses: Vec<Address>,
    #[borsh(skip)]
    total: u64,
}

impl ValidatorSet {
    /// Sorts and checks a list of validators.
    pub fn new(mut validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        if validators.is_empty() {
            return Err(ValidatorSetError::Empty);
        }
        if validators.len() > VALIDATORS_MAX {
            return Err(ValidatorSetError::TooMany(validators.len()));
        }
        validators.sort_by_key(Validator::address);
        let addresses: Vec<_> = validators.iter().map(Validator::address).collect();
        let mut total = 0u64;
        for (i, (validator, address)) in validators.iter().zip(&addresses).enumerate() {
            if i > 0 && addresses.get(i - 1) == Some(address) {
                return Err(ValidatorSetError::Duplicate(*address));
            }
            if validator.weight == 0 {
                return Err(ValidatorSetError::ZeroWeight(*address));
            }
            total = total
                .checked_add(validator.weight)
                .filter(|sum| *sum <= 1 << 63)
                .ok_or(ValidatorSetError::WeightOverflow)?;
        }
        Ok(Self {
            validators,
            addresses,
            total,
        })
    }

    /// The members, sorted by address.
    #[must_use]
    pub fn validators(&self) -> &[Validator] {
        &self.validators
    }

    /// Sum of all weights.
    #[must_use]
    pub const fn total_weight(&self) -> u64 {
        self.total
    }

    /// The least weight that is more than two thirds of the total.
    #[must_use]
    pub fn quorum_weight(&self) -> u64 {
        // In 128 bits: 2 × total may exceed 64.
        u64::try_from(u128::from(self.total) * 2 / 3 + 1).unwrap_or(u64::MAX)
    }

    /// Position of a member.
    #[must_use]
    pub fn index_of(&self, address: &Address) -> Option<usize> {
        self.addresses.binary_search(address).ok()
    }

    /// A member by address.
    #[must_use]
    pub fn get(&self, address: &Address) -> Option<&Validator> {
        self.validators.get(self.index_of(address)?)
    }

    /// A member's address by position.
    #[must_use]
    pub fn address_at(&self, index: usize) -> Option<Address> {
        self.addresses.get(index).copied()
    }

    /// Hash that headers carry.
    #[must_use]
    pub fn hash(&self, suite: Suite) -> B256 {
        suite.hash_domain(Domain::ValidatorSet, &[&encode(&self.validators)])
    }
}

impl BorshDeserialize for ValidatorSet {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let listed = Vec::<Validator>::deserialize_reader(reader)?;
        let invalid = |text: String| borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, text);
        let set = Self::new(listed.clone()).map_err(|error| invalid(error.to_string()))?;
        if set.validators != listed {
            return Err(invalid("validators are not sorted by address".to_owned()));
        }
        Ok(set)
    }
}
