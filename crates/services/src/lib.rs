//! Services of a chain as native contracts with Solidity interfaces.
//!
//! For: [`evidence`] (存证). Each service has its contract, queries over a state, and encoders for
//! clients.
//! Not for: how native contracts are called (`execution`).
//!
//! Entry point: [`registry`], the contracts that every chain has.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod evidence;

use std::sync::Arc;

use hawser_execution::{NativeRegistry, RegistryError};
use hawser_governance::{Gatekeeper, Governance};
use hawser_supervision::RuleSupervisor;

/// The native contracts that every chain has, behind the gate of governance. On a chain whose genesis
/// names no governance the gate is open.
pub fn registry() -> Result<NativeRegistry, RegistryError> {
    registry_with(Gatekeeper::new().with_supervisor(Arc::new(RuleSupervisor::new())))
}

/// As [`registry`], with a gate of one's own, such as one without an engine for supervision rules.
pub fn registry_with(gate: Gatekeeper) -> Result<NativeRegistry, RegistryError> {
    let registry = NativeRegistry::new(vec![
        Arc::new(evidence::Evidence),
        Arc::new(Governance::default()),
    ])?;
    Ok(registry.with_gate(Arc::new(gate)))
}
