//! Tests of the public interface, in one program:
//! `cargo test --release -p hawser-crypto --test suite vectors::` runs those of one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod batch;
mod cipher;
mod golden;
mod hostile;
mod keystore;
mod openssl;
mod recover_many;
mod vectors;
