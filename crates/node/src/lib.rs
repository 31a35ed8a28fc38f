//! A node: pool, replica, storage of chains, and the driver that connects them to the world.
//!
//! For: [`replica::Replica`], one chain's pure state machine; [`store::ChainStore`], one chain on
//! disk; [`chain`], which runs the two on real clocks and links; [`blackbox`], which records what happens; [`Node`],
//! which hosts many chains.
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

pub mod blackbox;
pub mod chain;
pub mod config;
pub mod gate;
pub mod light;
mod node;
pub mod peers;
pub mod pool;
pub mod replica;
mod rules;
mod siphash;
pub mod snapshot;
pub mod store;
#[cfg(test)]
mod testing;
mod words;

pub use node::{Admitter, Node, NodeError};
pub use rules::Rules;
pub use words::Words;
