//! The repository against its own rules, in one program:
//! `cargo test --release -p hawser-architecture --test suite layers::` runs those of one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod layers;
mod threats;
