//! What can be said of a transaction before any state is known.

use alloy_consensus::{EthereumTxEnvelope, Transaction as _, TxEip4844};
use hawser_ledger::{
    Call, Envelope, NativeView, Transaction, VerifiedTransaction,
    state::{StateError, StateRead},
};
use hawser_primitives::{Height, Time};
use revm::{
    context::Cfg, context_interface::cfg::GasParams, interpreter::InitialAndFloorGas,
    primitives::eip3860::MAX_INITCODE_SIZE,
};
use thiserror::Error;

use crate::{
    CommittedState, Executor, Finding, GateBlock, GateCall, GateTransaction, Opening, batch,
    transaction::recover,
};

/// Why a transaction cannot be executed whatever the state is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AdmissionError {
    /// Its gas does not cover what it costs before it runs (Yellow Paper section 6.2, EIP-7623).
    #[error("intrinsic gas too low: have {found}, want {needed}")]
    IntrinsicGas {
        /// Gas limit.
        found: u64,
        /// Least gas limit.
        needed: u64,
    },
    /// Init code over the limit of EIP-3860.
    #[error("max initcode size exceeded: {found} bytes, limit {MAX_INITCODE_SIZE}")]
    InitCode {
        /// Its size in bytes.
        found: usize,
    },
    /// An EIP-7702 transaction without authorizations, or one that creates a contract.
    #[error("set code transaction needs a recipient and at least one authorization")]
    SetCode,
}

impl Executor {
    /// Checks what does not depend on the state, so that the pool need not keep what no block can
    /// execute.
    pub fn check_admission(&self, transaction: &Transaction) -> Result<(), AdmissionError> {
        let cfg = self.config().cfg_env();
        let gas = match transaction.envelope() {
            Envelope::Ethereum(envelope) => {
                if envelope.is_create() {
                    check_init_code(envelope.input().len())?;
                }
                if envelope
                    .authorization_list()
                    .is_some_and(|list| list.is_empty() || envelope.is_create())
                {
                    return Err(AdmissionError::SetCode);
                }
                ethereum_gas(cfg.gas_params(), envelope)
            }
            Envelope::Native(native) => native_gas(cfg.gas_params(), native.view())?,
            Envelope::Multisig(multisig) => native_gas(cfg.gas_params(), multisig.view())?,
        };
        let needed = gas.initial_regular_gas().max(gas.floor_gas());
        let found = transaction.gas_limit();
        if found < needed {
            Err(AdmissionError::IntrinsicGas { found, needed })
        } else {
            Ok(())
        }
    }
}

impl Executor {
    /// Asks the gate whether a transaction may run on a state, so that the pool refuses it with the
    /// words that its receipt would carry. `height` and `time` are those of the block to come, as
    /// far as they are known. `None` when it may run, else why not and what the gate was asked.
    pub fn check_access(
        &self,
        state: &dyn StateRead,
        transaction: &VerifiedTransaction,
        height: Height,
        time: Time,
    ) -> Result<Option<(Finding, GateTransaction)>, StateError> {
        let Some(gate) = self.natives().gate() else {
            return Ok(None);
        };
        let (calls, authorities) = match transaction.transaction().envelope() {
            Envelope::Native(native) => (
                native.body.calls.iter().map(GateCall::from).collect(),
                Vec::new(),
            ),
            Envelope::Multisig(multisig) => (
                multisig.body.calls.iter().map(GateCall::from).collect(),
                multisig.signers().collect(),
            ),
            Envelope::Ethereum(envelope) => {
                let call = GateCall {
                    to: envelope.to(),
                    value: envelope.value(),
                    input: envelope.input().clone(),
                };
                let authorizations = envelope.authorization_list().unwrap_or_default();
                let authorities = authorizations
                    .iter()
                    .filter_map(|authorization| recover(authorization).authority())
                    .collect();
                (vec![call], authorities)
            }
        };
        let asked = GateTransaction {
            hash: transaction.hash(),
            kind: transaction.transaction().kind(),
            sender: transaction.sender(),
            calls,
            authorities,
            unsigned: false,
            block: GateBlock {
                height,
                time,
                suite: self.config().suite,
                chain_id: self.config().chain_id,
            },
        };
        Ok(match gate.open(&mut CommittedState(state), &asked)? {
            Opening::Refused(finding) => Some((finding, asked)),
            Opening::Guarded(_) | Opening::Unguarded => None,
        })
    }
}

fn check_init_code(found: usize) -> Result<(), AdmissionError> {
    if found > MAX_INITCODE_SIZE {
        Err(AdmissionError::InitCode { found })
    } else {
        Ok(())
    }
}

fn native_gas(
    params: &GasParams,
    native: NativeView<'_>,
) -> Result<InitialAndFloorGas, AdmissionError> {
    for call in native.calls {
        if let Call::Create { init_code, .. } = call {
            check_init_code(init_code.len())?;
        }
    }
    Ok(batch::intrinsic_gas(params, native))
}

fn ethereum_gas(
    params: &GasParams,
    envelope: &EthereumTxEnvelope<TxEip4844>,
) -> InitialAndFloorGas {
    let (mut accounts, mut slots) = (0u64, 0u64);
    for item in envelope
        .access_list()
        .into_iter()
        .flat_map(|list| list.iter())
    {
        accounts = accounts.saturating_add(1);
        slots = slots.saturating_add(item.storage_keys.len() as u64);
    }
    let authorizations = envelope.authorization_list().map_or(0, <[_]>::len) as u64;
    params.initial_tx_gas(
        envelope.input(),
        envelope.is_create(),
        accounts,
        slots,
        authorizations,
        None,
    )
}
