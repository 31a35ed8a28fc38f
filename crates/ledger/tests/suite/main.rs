//! Tests of the public interface, in one program:
//! `cargo test --release -p hawser-ledger --test suite golden::` runs those of one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod golden;
mod light;
mod multisig;
mod together;
mod verify_many;
