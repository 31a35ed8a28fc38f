//! Simulated worlds, in one program:
//! `cargo test --release -p hawser-simulation --test suite seeds::` runs those of one file. Rules broken on
//! purpose need a feature, and so a program of their own: `tests/mutants.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod attested;
mod byzantine;
mod chains;
mod crash_points;
mod dissemination;
mod more_than_f;
mod seeds;
