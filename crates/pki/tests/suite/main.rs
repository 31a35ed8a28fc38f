//! Tests of the public interface, in one program:
//! `cargo test --release -p hawser-pki --test suite chains::` runs those of one file.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod authority;
mod chains;
mod common;
mod openssl;
