//! The history's slots, in the storage of the governance contract.

use hawser_execution::{GateState, GateStore};
use hawser_governance::ADDRESS;
use hawser_ledger::state::{StateError, StateRead};
use hawser_policy::Slots;
use hawser_primitives::B256;

/// Slots as the gate reads them.
pub(crate) struct Reader<'a>(pub(crate) &'a mut dyn GateState);

/// Slots as the gate writes them.
pub(crate) struct Writer<'a>(pub(crate) &'a mut dyn GateStore);

/// Slots of a committed state.
pub(crate) struct Committed<'a>(pub(crate) &'a dyn StateRead);

fn read_only() -> Result<(), StateError> {
    Err(StateError::Corrupt(
        "supervision: this view cannot be written".to_owned(),
    ))
}

impl Slots for Reader<'_> {
    type Error = StateError;

    fn load(&mut self, slot: &B256) -> Result<B256, StateError> {
        self.0.slot(&ADDRESS, slot)
    }

    fn store(&mut self, _: &B256, _: B256) -> Result<(), StateError> {
        read_only()
    }
}

impl Slots for Writer<'_> {
    type Error = StateError;

    fn load(&mut self, slot: &B256) -> Result<B256, StateError> {
        self.0.slot(&ADDRESS, slot)
    }

    fn store(&mut self, slot: &B256, value: B256) -> Result<(), StateError> {
        self.0.set_slot(&ADDRESS, slot, value)
    }
}

impl Slots for Committed<'_> {
    type Error = StateError;

    fn load(&mut self, slot: &B256) -> Result<B256, StateError> {
        self.0.storage(&ADDRESS, slot)
    }

    fn store(&mut self, _: &B256, _: B256) -> Result<(), StateError> {
        read_only()
    }
}
