//! The contracts of this crate on a chain in memory, in one program:
//! `cargo test --release -p hawser-services --test suite evidence::` runs those of one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../../../execution/tests/common/mod.rs"]
mod common;
#[path = "../sets/mod.rs"]
mod sets;

mod evidence;
mod evidence_set_limits;
mod evidence_sets;
