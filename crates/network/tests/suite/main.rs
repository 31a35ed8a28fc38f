//! Links on loopback sockets, in one program:
//! `cargo test --release -p hawser-network --test suite links::` runs those of one file.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../shared/awake.rs"]
mod awake;
mod certificates;
mod common;
mod hostile;
mod links;
mod pressure;
mod rogue;
