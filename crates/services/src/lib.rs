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

/// The native contracts that every chain has.
pub fn registry() -> Result<NativeRegistry, RegistryError> {
    NativeRegistry::new(vec![Arc::new(evidence::Evidence)])
}
