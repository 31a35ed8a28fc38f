use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize, io};
use hawser_crypto::Suite;
use hawser_primitives::{
    Address, B256, Bytes, ChainId, Domain, Height, Time, U256, encode,
    limits::{BLOCK_BYTES_MAX, TRANSACTION_BYTES_MAX},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Block, GenesisGovernance, Header, Roots, Validator, ValidatorSet, ValidatorSetError};

/// The protocol version that this code implements.
pub const PROTOCOL_VERSION: u32 = 1;

/// Largest [`ChainParameters::root_lag`].
pub const ROOT_LAG_MAX: u64 = 16;

/// Longest name of a validator, in bytes.
pub const VALIDATOR_NAME_BYTES_MAX: usize = 128;

/// How a committee agrees on a block.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// Tendermint: final at once, fewer than a third of the weight may be faulty.
    Bft,
}

/// How the committee of an epoch is chosen.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Election {
    /// The validators that the genesis (later: governance) names.
    Fixed,
}

/// Who pays for gas.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum FeeMode {
    /// Nobody: fee fields are ignored, balances are checked against the value sent only.
    Zero,
}

/// Who verifies the signatures of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// Every node all of them.
    #[default]
    All,
    /// Each batch some validators, of whom one at least is honest as long as fewer than a third
    /// of the weight is faulty; the others take their word and verify samples.
    Quorum,
}

/// Rules that all replicas of a chain share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, default)]
pub struct ChainParameters {
    /// How the committee agrees.
    pub agreement: Agreement,
    /// How the committee is chosen.
    pub election: Election,
    /// Who pays for gas.
    pub fee_mode: FeeMode,
    /// A header commits to state and receipts of the block this many heights earlier; 1 to 16.
    pub root_lag: u64,
    /// Gas limit of a block.
    pub block_gas_max: u64,
    /// Gas limit of a transaction.
    pub transaction_gas_max: u64,
    /// Size limit of the transactions of a block, in bytes.
    pub block_bytes_max: u64,
    /// Gas (by limit) that one account can take of one block; floods are held back by this where
    /// no fee does it.
    pub account_block_gas_max: u64,
    /// An idle chain makes an empty block this often, in milliseconds; 0 for never.
    pub heartbeat_ms: u64,
    /// Least time between two blocks, in milliseconds: a proposer waits this long after its parent.
    pub block_interval_ms_min: u64,
    /// How far a proposer's clock may be ahead of a validator's, in milliseconds.
    pub clock_drift_ms_max: u64,
    /// Who verifies signatures.
    pub verification: Verification,
}

/// Set in the byte of the fee mode where [`Verification::Quorum`] holds: parameters that do not know
/// the choice keep their encoding, and a chain its genesis hash.
const QUORUM_BIT: u8 = 0x80;

impl BorshSerialize for ChainParameters {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        let fee_mode = match self.fee_mode {
            FeeMode::Zero => 0u8,
        };
        let verification = match self.verification {
            Verification::All => 0,
            Verification::Quorum => QUORUM_BIT,
        };
        let modes = (self.agreement, self.election, fee_mode | verification);
        BorshSerialize::serialize(&modes, writer)?;
        let numbers = [
            self.root_lag,
            self.block_gas_max,
            self.transaction_gas_max,
            self.block_bytes_max,
            self.account_block_gas_max,
            self.heartbeat_ms,
            self.block_interval_ms_min,
            self.clock_drift_ms_max,
        ];
        BorshSerialize::serialize(&numbers, writer)
    }
}

impl BorshDeserialize for ChainParameters {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let (agreement, election, modes) = <(Agreement, Election, u8)>::deserialize_reader(reader)?;
        let verification = if modes & QUORUM_BIT == 0 {
            Verification::All
        } else {
            Verification::Quorum
        };
        let fee_mode = match modes & !QUORUM_BIT {
            0 => FeeMode::Zero,
            other => {
                let text = format!("no fee mode has the number {other}");
                let kind = borsh::io::ErrorKind::InvalidData;
                return Err(borsh::io::Error::new(kind, text));
            }
        };
        let [
            root_lag,
            block_gas_max,
            transaction_gas_max,
            block_bytes_max,
            account_block_gas_max,
            heartbeat_ms,
            block_interval_ms_min,
            clock_drift_ms_max,
        ] = <[u64; 8]>::deserialize_reader(reader)?;
        Ok(Self {
            agreement,
            election,
            fee_mode,
            root_lag,
            block_gas_max,
            transaction_gas_max,
            block_bytes_max,
            account_block_gas_max,
            heartbeat_ms,
            block_interval_ms_min,
            clock_drift_ms_max,
            verification,
        })
    }
}

impl Default for ChainParameters {
    fn default() -> Self {
        Self {
            agreement: Agreement::Bft,
            election: Election::Fixed,
            fee_mode: FeeMode::Zero,
            root_lag: 2,
            block_gas_max: 200_000_000,
            transaction_gas_max: 50_000_000,
            block_bytes_max: 4 * 1024 * 1024,
            account_block_gas_max: 100_000_000,
            heartbeat_ms: 0,
            block_interval_ms_min: 0,
            clock_drift_ms_max: 2_000,
            verification: Verification::All,
        }
    }
}

/// A validator as genesis names it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct GenesisValidator {
    /// Name for people.
    pub name: String,
    /// Key that signs votes.
    pub public_key: hawser_crypto::PublicKey,
    /// Share in votes.
    pub weight: u64,
}

/// An account that exists from the start.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case", deny_unknown_fields, default)]
pub struct GenesisAccount {
    /// Balance in wei.
    pub balance: U256,
    /// Nonce.
    pub nonce: u64,
    /// EVM code.
    pub code: Bytes,
    /// Storage.
    #[borsh(deserialize_with = "ascending")]
    pub storage: BTreeMap<B256, B256>,
}

/// Reads a map as it is written, each key once and in ascending order: one genesis has one encoding.
fn ascending<K, V, R>(reader: &mut R) -> io::Result<BTreeMap<K, V>>
where
    K: BorshDeserialize + Ord,
    V: BorshDeserialize,
    R: io::Read,
{
    let entries = Vec::<(K, V)>::deserialize_reader(reader)?;
    if !entries.is_sorted_by(|(before, _), (after, _)| before < after) {
        let text = "the keys of a map do not ascend";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(entries.into_iter().collect())
}

/// Everything that a chain starts from. Two nodes are on one chain when their genesis hashes agree.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Genesis {
    /// Version of the protocol from block 1 on.
    pub protocol_version: u32,
    /// EIP-155 chain id.
    pub chain_id: ChainId,
    /// Name for people.
    pub name: String,
    /// Hashes and signatures of blocks, state, votes.
    pub suite: Suite,
    /// Time of the genesis block.
    pub time: Time,
    /// The rules.
    #[serde(default)]
    pub parameters: ChainParameters,
    /// The first committee.
    pub validators: Vec<GenesisValidator>,
    /// Accounts that exist from the start.
    #[serde(default)]
    #[borsh(deserialize_with = "ascending")]
    pub accounts: BTreeMap<Address, GenesisAccount>,
    /// Who governs it; without, nobody does: everyone may do everything, and nothing can change.
    ///
    /// Encoded as nothing where there is none, so a chain without governance keeps its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[borsh(
        serialize_with = "trailing::serialize",
        deserialize_with = "trailing::deserialize"
    )]
    pub governance: Option<GenesisGovernance>,
}

/// A last field that takes no byte where it is absent.
mod trailing {
    use borsh::{
        BorshDeserialize, BorshSerialize,
        io::{Read, Result, Write},
    };

    pub(super) fn serialize<T: BorshSerialize, W: Write>(
        value: &Option<T>,
        writer: &mut W,
    ) -> Result<()> {
        match value {
            Some(value) => (1u8, value).serialize(writer),
            None => Ok(()),
        }
    }

    pub(super) fn deserialize<T: BorshDeserialize, R: Read>(reader: &mut R) -> Result<Option<T>> {
        let mut mark = [0u8; 1];
        if reader.read(&mut mark)? == 0 {
            return Ok(None);
        }
        if mark != [1] {
            return Err(borsh::io::Error::new(
                borsh::io::ErrorKind::InvalidData,
                "no section of a genesis begins like this",
            ));
        }
        T::deserialize_reader(reader).map(Some)
    }
}

/// Why a genesis cannot start a chain.
#[derive(Debug, Error)]
pub enum GenesisError {
    /// Not readable as a genesis.
    #[error("genesis is not readable: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The section on governance.
    #[error("governance: {0}")]
    Governance(String),
    /// Made for a newer or older program.
    #[error("genesis asks for protocol version {0}, this program implements {PROTOCOL_VERSION}")]
    Version(u32),
    /// EIP-155 needs a chain id that fits in 53 bits for JavaScript clients and is not 0.
    #[error("chain id {0} is outside 1..=9007199254740991")]
    ChainId(ChainId),
    /// A parameter is out of its range.
    #[error("parameter {name} is {found}; it must be within {range}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: u64,
        /// What is accepted.
        range: &'static str,
    },
    /// The committee is unusable.
    #[error("validators: {0}")]
    Validators(#[from] ValidatorSetError),
    /// A name over [`VALIDATOR_NAME_BYTES_MAX`].
    #[error(
        "a validator's name of {0} bytes is longer than {VALIDATOR_NAME_BYTES_MAX} bytes; shorten \
         it"
    )]
    NameTooLong(usize),
    /// A vote key of another scheme than the suite's.
    #[error("validator {name} has a {found} key; suite {suite} votes with {expected}")]
    VoteScheme {
        /// Whose key.
        name: String,
        /// Its scheme.
        found: hawser_crypto::Scheme,
        /// The chain's suite.
        suite: Suite,
        /// The scheme needed.
        expected: hawser_crypto::Scheme,
    },
}

impl ChainParameters {
    /// Checks that every parameter is within its range.
    pub fn check(&self) -> Result<(), GenesisError> {
        let p = self;
        let range = |name, found, ok: bool, range| {
            if ok {
                Ok(())
            } else {
                Err(GenesisError::Parameter { name, found, range })
            }
        };
        range(
            "root_lag",
            p.root_lag,
            (1..=ROOT_LAG_MAX).contains(&p.root_lag),
            "1..=16",
        )?;
        range(
            "block_gas_max",
            p.block_gas_max,
            (1_000_000..=100_000_000_000).contains(&p.block_gas_max),
            "1000000..=100000000000",
        )?;
        range(
            "transaction_gas_max",
            p.transaction_gas_max,
            (100_000..=p.block_gas_max).contains(&p.transaction_gas_max),
            "100000..=block_gas_max",
        )?;
        range(
            "account_block_gas_max",
            p.account_block_gas_max,
            (p.transaction_gas_max..=p.block_gas_max).contains(&p.account_block_gas_max),
            "transaction_gas_max..=block_gas_max",
        )?;
        let bytes = TRANSACTION_BYTES_MAX as u64..=BLOCK_BYTES_MAX as u64;
        range(
            "block_bytes_max",
            p.block_bytes_max,
            bytes.contains(&p.block_bytes_max),
            "524288..=8388608",
        )?;
        range(
            "heartbeat_ms",
            p.heartbeat_ms,
            p.heartbeat_ms == 0 || (100..=86_400_000).contains(&p.heartbeat_ms),
            "0 or 100..=86400000",
        )?;
        range(
            "block_interval_ms_min",
            p.block_interval_ms_min,
            p.block_interval_ms_min <= 60_000,
            "0..=60000",
        )?;
        range(
            "clock_drift_ms_max",
            p.clock_drift_ms_max,
            (100..=60_000).contains(&p.clock_drift_ms_max),
            "100..=60000",
        )?;
        Ok(())
    }
}

impl From<&GenesisValidator> for Validator {
    fn from(named: &GenesisValidator) -> Self {
        Self {
            public_key: named.public_key.clone(),
            weight: named.weight,
        }
    }
}

/// Checks names, vote keys and weights of a committee.
pub(crate) fn check_validators(
    suite: Suite,
    validators: &[GenesisValidator],
) -> Result<(), GenesisError> {
    for validator in validators {
        if validator.name.len() > VALIDATOR_NAME_BYTES_MAX {
            return Err(GenesisError::NameTooLong(validator.name.len()));
        }
        let (found, expected) = (validator.public_key.scheme(), suite.vote_scheme());
        if found != expected {
            return Err(GenesisError::VoteScheme {
                name: validator.name.clone(),
                found,
                suite,
                expected,
            });
        }
    }
    ValidatorSet::new(validators.iter().map(Into::into).collect())?;
    Ok(())
}

impl Genesis {
    /// Reads and checks a genesis document (JSON).
    pub fn from_json(text: &str) -> Result<Self, GenesisError> {
        let genesis: Self = serde_json::from_str(text)?;
        genesis.check()?;
        Ok(genesis)
    }

    /// The document as people read it.
    pub fn to_json(&self) -> Result<String, GenesisError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Checks that a chain can start from it.
    pub fn check(&self) -> Result<(), GenesisError> {
        if self.protocol_version != PROTOCOL_VERSION {
            return Err(GenesisError::Version(self.protocol_version));
        }
        if self.chain_id.0 == 0 || self.chain_id.0 > (1 << 53) - 1 {
            return Err(GenesisError::ChainId(self.chain_id));
        }
        self.parameters.check()?;
        if let Some(governance) = &self.governance {
            governance.check()?;
        }
        check_validators(self.suite, &self.validators)
    }

    /// The first committee.
    pub fn validator_set(&self) -> Result<ValidatorSet, ValidatorSetError> {
        ValidatorSet::new(self.validators.iter().map(Into::into).collect())
    }

    /// Hash of the document; names the chain beyond its id.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.suite.hash_domain(Domain::Genesis, &[&encode(self)])
    }

    /// The genesis block, given the state root of the genesis accounts. Its parent is the genesis
    /// hash, so every later block commits to the whole document.
    pub fn block(&self, state_root: B256) -> Result<Block, GenesisError> {
        let validators = self.validator_set()?.hash(self.suite);
        Ok(Block {
            header: Header {
                version: self.protocol_version,
                chain_id: self.chain_id,
                height: Height::GENESIS,
                parent: self.hash(),
                time: self.time,
                proposer: Address::ZERO,
                transactions_root: B256::ZERO,
                transactions_count: 0,
                executed: Roots {
                    height: Height::GENESIS,
                    state: state_root,
                    receipts: B256::ZERO,
                },
                validators,
                next_validators: validators,
            },
            transactions: Vec::new(),
        })
    }
}
