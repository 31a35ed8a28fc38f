use std::{collections::BTreeMap, fmt, sync::Arc};

use hawser_crypto::Suite;
use hawser_ledger::Genesis;
use hawser_primitives::{Address, B256, Bytes, ChainId, Domain, Height, Time, U256};
use revm::precompile::{PrecompileSpecId, Precompiles};
use thiserror::Error;

use crate::{
    SPEC,
    gate::{Gate, padded},
};

/// A contract written in Rust. It has a fixed address, answers EVM and native calls alike, and its
/// storage is that of an EVM account, so reverts, gas and state proofs are the EVM's own.
///
/// An implementation must be a function of `env` and what it reads through `state`: no clock, no
/// randomness, no memory of its own between calls.
pub trait NativeContract: Send + Sync {
    /// The address it answers at.
    fn address(&self) -> Address;

    /// Name for people.
    fn name(&self) -> &'static str;

    /// Runs one call. Everything it changed is undone when it fails.
    fn call(&self, env: &CallEnv, state: &mut dyn NativeState) -> NativeResult;

    /// What its storage holds when a chain with this genesis starts.
    fn genesis(&self, genesis: &Genesis) -> NativeGenesis {
        let _ = genesis;
        NativeGenesis::default()
    }
}

/// Storage that a native contract starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NativeGenesis {
    /// Slots that are not zero.
    pub slots: BTreeMap<B256, B256>,
    /// Content by its hash.
    pub blobs: BTreeMap<B256, Bytes>,
}

/// Return data, or why there is none.
pub type NativeResult = Result<Bytes, NativeFailure>;

/// One call of a native contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnv {
    /// Who calls: an account or a contract.
    pub caller: Address,
    /// Wei sent along; already credited to the contract.
    pub value: U256,
    /// Call data.
    pub input: Bytes,
    /// Whether changes are forbidden (`STATICCALL`).
    pub is_static: bool,
    /// Height of the block.
    pub height: Height,
    /// Time of the block.
    pub time: Time,
    /// The chain's suite.
    pub suite: Suite,
    /// The chain.
    pub chain_id: ChainId,
    /// Hash of the transaction; zero in calls that are no transaction.
    pub transaction_hash: B256,
}

/// Why a native call failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NativeFailure {
    /// The contract refuses; the caller gets these bytes (ABI-encoded error) and its unused gas.
    #[error("reverted")]
    Revert(Bytes),
    /// The gas does not suffice; all of it is gone.
    #[error("out of gas")]
    OutOfGas,
    /// A change within a static call; all gas is gone.
    #[error("state change during static call")]
    StaticCall,
    /// The state could not be read. Comes from [`NativeState`] only; the block fails as a whole.
    #[error("state is not readable")]
    State,
}

/// What a native contract may do. Every method charges gas first; a failure sticks, so a contract
/// cannot go on by ignoring it.
pub trait NativeState {
    /// A slot of the contract's storage. Costs what `SLOAD` costs.
    fn load(&mut self, slot: &B256) -> Result<B256, NativeFailure>;

    /// Changes a slot. Costs and refunds what `SSTORE` does.
    fn store(&mut self, slot: &B256, value: B256) -> Result<(), NativeFailure>;

    /// Emits an event with at most four topics. Costs what `LOG` costs.
    fn log(&mut self, topics: Vec<B256>, data: Bytes) -> Result<(), NativeFailure>;

    /// Keeps content outside the tree under `suite.hash_domain(domain, content)`, which it returns;
    /// a slot should hold it. Costs [`BLOB_GAS`] and [`BLOB_BYTE_GAS`] per byte.
    fn put_blob(&mut self, domain: Domain, content: Bytes) -> Result<B256, NativeFailure>;

    /// Content by its hash. Costs [`BLOB_GAS`] and [`BLOB_READ_BYTE_GAS`] per byte.
    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, NativeFailure>;

    /// Charges for the contract's own work.
    fn charge(&mut self, gas: u64) -> Result<(), NativeFailure>;
}

/// Gas of putting or reading a blob, whatever its size.
pub const BLOB_GAS: u64 = 2_100;
/// Gas per byte put. Deployed code, the other content outside the tree, costs 200 per byte, for
/// code is loaded and analysed by callers; a blob only takes disk, like calldata.
pub const BLOB_BYTE_GAS: u64 = 8;
/// Gas per byte read.
pub const BLOB_READ_BYTE_GAS: u64 = 1;

/// Revert data with a reason: Solidity's `Error(string)`.
#[must_use]
pub fn revert_text(reason: &str) -> NativeFailure {
    let place = U256::from(32).to_be_bytes::<32>();
    let selector: &[u8] = &[0x08, 0xc3, 0x79, 0xa0];
    NativeFailure::Revert([selector, &place, &padded(reason)].concat().into())
}

/// Why contracts cannot be registered together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// Two at one address.
    #[error("native contracts {0} and {1} have the same address")]
    Duplicate(&'static str, &'static str),
    /// One at a precompile's address, or at zero.
    #[error("native contract {0} is at {1}, which is reserved")]
    Reserved(&'static str, Address),
}

/// The native contracts of a chain, and the gate of its transactions.
#[derive(Clone, Default)]
pub struct NativeRegistry {
    contracts: BTreeMap<Address, Arc<dyn NativeContract>>,
    gate: Option<Arc<dyn Gate>>,
}

impl NativeRegistry {
    /// Registers contracts; addresses must differ and be free.
    pub fn new(contracts: Vec<Arc<dyn NativeContract>>) -> Result<Self, RegistryError> {
        let precompiles = Precompiles::new(PrecompileSpecId::from_spec_id(SPEC));
        let mut registry = Self::default();
        for contract in contracts {
            let (address, name) = (contract.address(), contract.name());
            if address.is_zero()
                || precompiles.contains(&address)
                || crate::SM_PRECOMPILES.contains(&address)
                || address == crate::HISTORY_ADDRESS
            {
                return Err(RegistryError::Reserved(name, address));
            }
            if let Some(other) = registry.contracts.insert(address, contract) {
                return Err(RegistryError::Duplicate(other.name(), name));
            }
        }
        Ok(registry)
    }

    /// The same contracts, with a gate that every transaction passes.
    #[must_use]
    pub fn with_gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gate = Some(gate);
        self
    }

    /// The gate, if there is one.
    #[must_use]
    pub fn gate(&self) -> Option<&dyn Gate> {
        self.gate.as_deref()
    }

    /// Whether a native contract is at this address.
    #[must_use]
    pub fn contains(&self, address: &Address) -> bool {
        self.contracts.contains_key(address)
    }

    pub(crate) fn contracts(&self) -> impl Iterator<Item = &dyn NativeContract> {
        self.contracts.values().map(AsRef::as_ref)
    }

    pub(crate) fn get(&self, address: &Address) -> Option<&Arc<dyn NativeContract>> {
        self.contracts.get(address)
    }

    /// Addresses and names, in order of address.
    #[must_use]
    pub fn list(&self) -> Vec<(Address, &'static str)> {
        self.contracts
            .iter()
            .map(|(address, contract)| (*address, contract.name()))
            .collect()
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = Address> {
        self.contracts.keys().copied()
    }
}

impl fmt::Debug for NativeRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}
