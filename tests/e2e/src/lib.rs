//! A real network of real processes, for tests that only the real binary can answer.
//!
//! [`Network`] starts `hawser up` in a folder of its own on free ports, kills and restarts single nodes, and asks them
//! over JSON-RPC. [`load`] sends signed transactions and remembers every receipt that a node has acknowledged.
//!
//! The binary is taken from `HAWSER_BIN`, else from the build folder; where there is none, every test fails and says so.
//! Networks run one at a time, because the tests share the machine.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod load;
mod network;
mod process;

pub use network::{Network, Options, Suite, ask, quantity};
pub use process::{Run, binary, free_ports, hawser, is_alive, kill_hard, read_pid, repository};
