//! Comparison with other implementations, in one program:
//! `cargo test --release -p hawser-secp-fast --test suite edges::` runs those of one file.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;
mod differential;
mod edges;
