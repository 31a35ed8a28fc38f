//! Nodes with real links and real timers, in a program without anything else, so that at most one other of their
//! kind runs beside each: `cargo test --release -p hawser-node --test links mesh::` runs the tests of one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../../../network/tests/shared/address.rs"]
mod address;
#[path = "../../../network/tests/shared/awake.rs"]
mod awake;
#[path = "../maker/mod.rs"]
mod maker;

mod committee;
mod mesh;
mod observers;
