//! Light nodes, alone and beside full ones, in one program:
//! `cargo test --release -p hawser-light --test suite follower::` runs those of one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../../../network/tests/shared/address.rs"]
mod address;
mod common;
mod follower;
mod mesh;
