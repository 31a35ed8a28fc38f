//! A node: pool, replica, storage of chains, and the driver that connects them to the world.
//!
//! For: [`replica::Replica`], one chain's pure state machine, and what carries out its actions.
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

pub mod config;
pub mod pool;
pub mod replica;
