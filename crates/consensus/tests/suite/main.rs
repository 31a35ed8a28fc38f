//! Tests of the public interface, in one program:
//! `cargo test --release -p hawser-consensus --test suite golden::` runs those of one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod agreement;
mod golden;
