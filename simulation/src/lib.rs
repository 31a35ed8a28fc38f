//! Whole networks of replicas in virtual time.
//!
//! For: running the unmodified replica, vote log and store of every node against faulty links,
//! disks and processes, from one seed, and checking after every event that nothing that must hold
//! was broken. The same seed gives the same run, to the same audit hash.
//! Not for: the driver's threads and sockets, which the end-to-end tests run for real.
//!
//! Entry type: [`World`]. Oracles: agreement, certificates of the committee of their height, no vote
//! by anyone outside it, settings as the executed changes say, equal roots, no double vote, votes
//! durable before they leave, nothing stored is forgotten, no transaction executed twice, and
//! progress within a bound after the faults end.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod clients;
mod egress;
mod node;
mod oracle;
mod plan;
mod settings;
mod world;

pub use oracle::Violation;
pub use plan::{Faults, Load, Plan};
pub use world::{Outcome, World};
