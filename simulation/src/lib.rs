//! Whole networks of replicas in virtual time.
//!
//! For: running the unmodified replica, vote log and store of every node against faulty links,
//! disks, clocks, processes and validators, from one seed, and checking after every event that
//! nothing that must hold was broken. The same seed gives the same run, to the same audit hash. A
//! run that breaks a rule is made smaller and printed as one command. Rules and faults:
//! `docs/spec/simulation.md`.
//! Not for: the driver's threads and sockets, which the end-to-end tests run for real.
//!
//! Entry types: [`Plan`], [`World`], [`Fleet`]; [`simulate`], [`run_all`] and [`minimise`] for many of them. Oracles:
//! agreement, certificates of the committee of their height, validity of final blocks, no vote by
//! anyone outside the committee, no double vote, no broken lock, no precommit without a quorum of
//! prevotes, votes durable before they leave, settings as the executed changes say, equal roots, no
//! transaction executed twice, nothing stored is forgotten, bounded memory, and progress within a
//! bound after the faults end.
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
mod clock;
mod draw;
mod egress;
mod minimise;
mod misdeeds;
mod mutants;
mod node;
mod oracle;
mod plan;
mod run;
mod settings;
mod text;
mod world;

pub use minimise::{Minimal, minimise};
pub use misdeeds::{Misdeed, Misdeeds};
pub use mutants::Mutant;
pub use oracle::Violation;
pub use plan::{CrashPoint, Faults, Load, Plan};
pub use run::{Ran, run_all, simulate};
pub use world::{Fleet, Fork, Outcome, Places, World};
