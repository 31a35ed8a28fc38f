//! Tests of the public interface on a chain in memory, in one program:
//! `cargo test --release -p hawser-execution --test suite block::` runs those of one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../common/mod.rs"]
mod common;

mod block;
mod multisig;
mod native;
mod precompiles;
mod query;
mod statetest;
