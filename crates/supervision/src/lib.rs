//! Puts the rules that governance keeps to work.
//!
//! For: judging an executed transaction by the rules in force ([`RuleSupervisor`], which the gate of
//! a governed chain asks), keeping the history that rules read, and the risk view over it
//! ([`risk`]).
//! Not for: the language of rules (`policy`), how rules come into force (`governance`), undoing or
//! recording a transaction (the gate).
//!
//! Entry type: [`RuleSupervisor`].
//!
//! Invariants: what is said of a transaction is a function of the state, the transaction and its
//! effects; a rule can neither stop a block nor change anything but its own history.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod facts;
pub mod risk;
mod store;
mod supervisor;

pub use supervisor::RuleSupervisor;
