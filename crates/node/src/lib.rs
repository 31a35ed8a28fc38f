//! A node: pool, replica, storage of chains, and the driver that connects them to the world.
//!
//! For: [`replica::Replica`], one chain's pure state machine; [`store::ChainStore`], one chain on
//! disk; [`chain`], which runs the two on real clocks and links; [`Node`], which hosts many chains.
//! Not for: interfaces to clients (`rpc`), or deciding anything about transactions (`execution`).
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod chain;
pub mod config;
mod node;
pub mod pool;
pub mod replica;
pub mod store;

use std::sync::Arc;

use hawser_consensus::{Election, FixedElection};
use hawser_ledger::{Genesis, ValidatorSetError};

pub use node::{Node, NodeError};

/// The election that a genesis asks for.
pub fn election(genesis: &Genesis) -> Result<Arc<dyn Election>, ValidatorSetError> {
    match genesis.parameters.election {
        hawser_ledger::Election::Fixed => {
            Ok(Arc::new(FixedElection::new(genesis.validator_set()?)))
        }
    }
}
