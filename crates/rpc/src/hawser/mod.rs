//! The chain's own methods: headers as they are signed, certificates, proofs, evidence.
//!
//! Numbers in their results are JSON numbers where they are heights, times in milliseconds,
//! weights and counts, as in the genesis document; `docs/spec/rpc.md` has an example of each.

mod chain;
mod evidence;
mod governance;
mod links;
mod login;
pub(crate) mod proofs;
mod risk;
mod supervision;

pub(crate) use chain::*;
pub(crate) use evidence::*;
pub(crate) use governance::*;
pub(crate) use links::{link_views, links, whoami};
pub(crate) use login::{authenticate, challenge, login, logout};
pub(crate) use proofs::{
    account_proof, changes_of_committee, receipt_proof, state_proof, storage_proof,
};
pub(crate) use risk::risk;
pub(crate) use supervision::{freezes, supervision_rule};
