//! Tests of the public interface, in one program:
//! `cargo test --release -p hawser-policy --test suite language::` runs those of one file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod determinism;
mod examples;
mod history;
mod hostile;
mod language;
