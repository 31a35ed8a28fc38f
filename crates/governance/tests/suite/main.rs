//! Tests of governance on a chain in memory, in one program:
//! `cargo test --release -p hawser-governance --test suite gate::` runs those of one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../common/mod.rs"]
mod common;

mod cosign;
mod gate;
mod golden;
mod one_answer;
mod proposals;
mod supervision;
mod views;
