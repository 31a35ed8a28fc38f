//! One way to read and write the contract's storage, whoever does it: the contract itself, the gate,
//! a query, genesis, or a trial run that leaves no trace.

use std::collections::BTreeMap;

use hawser_crypto::Suite;
use hawser_execution::{GateState, GateStore, NativeFailure, NativeState};
use hawser_ledger::state::{StateError, StateRead};
use hawser_primitives::{B256, Bytes, Domain};
use thiserror::Error;

use crate::ADDRESS;

/// Why storage could not be used.
#[derive(Debug, Error)]
pub enum AccessError {
    /// Gas, or a change in a static call.
    #[error("{0}")]
    Native(NativeFailure),
    /// The state could not be read, or is damaged.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<NativeFailure> for AccessError {
    fn from(failure: NativeFailure) -> Self {
        Self::Native(failure)
    }
}

/// The contract's storage.
pub trait Store {
    /// A slot; zero when absent.
    fn load(&mut self, slot: &B256) -> Result<B256, AccessError>;
    /// Changes a slot.
    fn store(&mut self, slot: &B256, value: B256) -> Result<(), AccessError>;
    /// Content by its hash.
    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, AccessError>;
    /// Keeps content; gives its hash.
    fn put(&mut self, domain: Domain, content: Bytes) -> Result<B256, AccessError>;
}

/// Content that a slot names and that must be there.
pub(crate) fn named(store: &mut dyn Store, hash: &B256) -> Result<Bytes, AccessError> {
    store
        .blob(hash)?
        .ok_or_else(|| damaged(format!("content {hash} is missing")))
}

pub(crate) fn damaged(text: impl std::fmt::Display) -> AccessError {
    AccessError::State(StateError::Corrupt(format!("governance: {text}")))
}

/// Storage as the contract has it during a call.
pub struct CallStore<'a>(pub &'a mut dyn NativeState);

impl Store for CallStore<'_> {
    fn load(&mut self, slot: &B256) -> Result<B256, AccessError> {
        Ok(self.0.load(slot)?)
    }

    fn store(&mut self, slot: &B256, value: B256) -> Result<(), AccessError> {
        Ok(self.0.store(slot, value)?)
    }

    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, AccessError> {
        Ok(self.0.blob(hash)?)
    }

    fn put(&mut self, domain: Domain, content: Bytes) -> Result<B256, AccessError> {
        Ok(self.0.put_blob(domain, content)?)
    }
}

fn read_only<T>() -> Result<T, AccessError> {
    Err(damaged("this view cannot be written"))
}

/// Storage in a committed state.
pub struct StateView<'a>(pub &'a dyn StateRead);

impl Store for StateView<'_> {
    fn load(&mut self, slot: &B256) -> Result<B256, AccessError> {
        Ok(self.0.storage(&ADDRESS, slot)?)
    }

    fn store(&mut self, _: &B256, _: B256) -> Result<(), AccessError> {
        read_only()
    }

    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, AccessError> {
        Ok(self.0.blob(hash)?)
    }

    fn put(&mut self, _: Domain, _: Bytes) -> Result<B256, AccessError> {
        read_only()
    }
}

/// Storage as the gate reads it.
pub struct GateView<'a>(pub &'a mut dyn GateState);

impl Store for GateView<'_> {
    fn load(&mut self, slot: &B256) -> Result<B256, AccessError> {
        Ok(self.0.slot(&ADDRESS, slot)?)
    }

    fn store(&mut self, _: &B256, _: B256) -> Result<(), AccessError> {
        read_only()
    }

    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, AccessError> {
        Ok(self.0.blob(hash)?)
    }

    fn put(&mut self, _: Domain, _: Bytes) -> Result<B256, AccessError> {
        read_only()
    }
}

/// Storage as the gate writes it, in the name of the chain.
pub struct GateWriter<'a>(pub &'a mut dyn GateStore);

impl Store for GateWriter<'_> {
    fn load(&mut self, slot: &B256) -> Result<B256, AccessError> {
        Ok(self.0.slot(&ADDRESS, slot)?)
    }

    fn store(&mut self, slot: &B256, value: B256) -> Result<(), AccessError> {
        Ok(self.0.set_slot(&ADDRESS, slot, value)?)
    }

    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, AccessError> {
        Ok(self.0.blob(hash)?)
    }

    fn put(&mut self, domain: Domain, content: Bytes) -> Result<B256, AccessError> {
        Ok(self.0.put_blob(domain, content)?)
    }
}

/// What a state error is to the gate.
pub(crate) fn gate_error(error: AccessError) -> StateError {
    match error {
        AccessError::State(error) => error,
        AccessError::Native(failure) => StateError::Corrupt(failure.to_string()),
    }
}

/// Nothing below an [`Overlay`]: a chain that begins.
pub struct Empty;

impl Store for Empty {
    fn load(&mut self, _: &B256) -> Result<B256, AccessError> {
        Ok(B256::ZERO)
    }

    fn store(&mut self, _: &B256, _: B256) -> Result<(), AccessError> {
        read_only()
    }

    fn blob(&mut self, _: &B256) -> Result<Option<Bytes>, AccessError> {
        Ok(None)
    }

    fn put(&mut self, _: Domain, _: Bytes) -> Result<B256, AccessError> {
        read_only()
    }
}

/// Writes that stay in memory, over storage that is only read.
pub struct Overlay<'a> {
    below: &'a mut dyn Store,
    suite: Suite,
    /// Slots written.
    pub slots: BTreeMap<B256, B256>,
    /// Content put.
    pub blobs: BTreeMap<B256, Bytes>,
}

impl<'a> Overlay<'a> {
    /// Nothing written yet.
    pub fn new(suite: Suite, below: &'a mut dyn Store) -> Self {
        Self {
            below,
            suite,
            slots: BTreeMap::new(),
            blobs: BTreeMap::new(),
        }
    }
}

impl Store for Overlay<'_> {
    fn load(&mut self, slot: &B256) -> Result<B256, AccessError> {
        match self.slots.get(slot) {
            Some(value) => Ok(*value),
            None => self.below.load(slot),
        }
    }

    fn store(&mut self, slot: &B256, value: B256) -> Result<(), AccessError> {
        self.slots.insert(*slot, value);
        Ok(())
    }

    fn blob(&mut self, hash: &B256) -> Result<Option<Bytes>, AccessError> {
        match self.blobs.get(hash) {
            Some(content) => Ok(Some(content.clone())),
            None => self.below.blob(hash),
        }
    }

    fn put(&mut self, domain: Domain, content: Bytes) -> Result<B256, AccessError> {
        let hash = self.suite.hash_domain(domain, &[&content]);
        self.blobs.insert(hash, content);
        Ok(hash)
    }
}
