//! What nodes keep, send and ask for, without links and in virtual time, in one program:
//! `cargo test --release -p hawser-node --test suite growth::` runs the tests of one file. Nodes with real links are in
//! `tests/links`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../maker/mod.rs"]
mod maker;

mod catch_up;
mod chain;
mod damage;
mod golden;
mod growth;
mod join;
mod snapshot;
mod tier;
