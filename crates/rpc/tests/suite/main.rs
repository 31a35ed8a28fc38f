//! The interface on real sockets, in one program:
//! `cargo test --release -p hawser-rpc --test suite reads::` runs those of one file.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;
mod governed;
mod hostile;
mod live;
mod raw;
mod reads;
mod sets;
mod tls;
