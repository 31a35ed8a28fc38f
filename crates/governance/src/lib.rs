//! Who may do what on a chain, and how that changes.
//!
//! For: organisations, members, roles and rules; the authorizer that pool, execution and queries ask
//! ([`decide`], [`Gatekeeper`]); proposals, votes and their execution; freezes; recovery; the audit
//! trail. Everything lies in the storage of one native contract ([`Governance`], at [`ADDRESS`]), so
//! all of it can be proved. Format and rules are in `docs/spec/governance.md`.
//! Not for: running supervision rules (a [`Supervisor`] is given to the gate), certificates
//! themselves, following the settings that a proposal changes (`node`).
//!
//! Entry types: [`Governance`], [`Gatekeeper`], [`Charter`], [`Change`], [`Proposal`].
//!
//! Invariants: what decides is a function of the state; a chain whose genesis says nothing about
//! governance permits everything and never changes that; no proposal can leave a chain on which no
//! proposal could pass.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod access;
pub mod action;
pub mod audit;
mod change;
mod contract;
pub mod cosign;
mod difference;
mod draft;
pub mod dryrun;
mod error;
mod founding;
mod gate;
pub mod guard;
mod kind;
mod law;
mod model;
mod proposal;
pub mod query;
pub mod slots;
mod words;

pub use change::{Change, Target};
pub use contract::{
    CALL_GAS, CHANGE_BYTE_GAS, CHANGE_GAS, Governance, IGovernance, SCRIPT_GAS, target_from_parts,
    target_parts,
};
pub use difference::{difference, summary};
pub use draft::REASON_BYTES_MAX;
pub use error::GovernanceError;
pub use founding::{PUBLIC_ACTIONS, check as check_genesis, storage as genesis_storage};
pub use gate::{
    Case, Gatekeeper, RuleOutcome, Ruling, Supervisor, actions, in_good_standing, operation,
    targets,
};
pub use kind::{Basis as VoteBasis, Count, DENOMINATOR_MAX, ProposalKind, Threshold};
pub use law::{Basis, Decision, Law, Laws, decide};
pub use model::*;
pub use proposal::{
    CHANGES_BYTES_MAX, CHANGES_MAX, DESCRIPTION_BYTES_MAX, Proposal, ProposalStatus, Route,
    Standing, TITLE_BYTES_MAX, changes, check_changes, load as load_proposal, try_changes,
};
pub use words::Lang;

use hawser_primitives::{Address, address};

/// Where the contract is.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000010002");

const _: () = assert!(
    ADDRESS.const_eq(&hawser_ledger::SETTINGS_ACCOUNT),
    "nodes read the settings from this contract"
);
