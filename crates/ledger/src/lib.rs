//! What a chain is made of, and the proofs of it.
//!
//! For: genesis, transactions, blocks, receipts, validator sets, finality certificates, the
//! authenticated state and its proofs. A light client needs this crate and `crypto` alone.
//! Not for: deciding which block comes next (`consensus`), running transactions (`execution`), or
//! keeping blocks on disk (`node`).
//!
//! Entry types: [`Genesis`], [`Block`], [`Transaction`], [`Certificate`], [`state::StateRead`].
//!
//! Invariants: a block hash commits to the header, the header to the transactions, and to state and
//! receipts of the block `root_lag` heights earlier; a [`Certificate`] that verifies against the
//! validator set of its height makes the block final.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod attest;
mod block;
mod certificate;
mod diagnose;
mod genesis;
mod governance;
mod light;
pub mod merkle;
mod multisig;
pub mod mutants;
mod native;
mod receipt;
mod settings;
pub mod state;
mod transaction;
mod validators;

pub use attest::{
    Attestation, BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, Claim, EvidenceError, FalseAttestation,
    attestation_message, attesting_weight, batch_digest, is_true,
};
pub use block::{Block, BlockError, BlockId, Header, Roots, transactions_root};
pub use certificate::{
    Certificate, CertificateError, CommitSignature, VoteKind, proposal_message, vote_message,
};
pub use genesis::{
    Agreement, ChainParameters, Election, FeeMode, Genesis, GenesisAccount, GenesisError,
    GenesisValidator, PROTOCOL_VERSION, ROOT_LAG_MAX, VALIDATOR_NAME_BYTES_MAX, Verification,
};
pub use governance::{
    AUTHORITIES_MAX, AccountMode, GENESIS_MEMBERS_MAX, GOVERNANCE_NAME_BYTES_MAX,
    GenesisGovernance, GenesisMember, GenesisOrganisation, ORGANISATIONS_MAX, ROOTS_MAX,
};
pub use light::{COMMITTEES_MAX, CertifiedHeader, CommitteeChange, LightClient, LightError};
pub use multisig::{
    MULTISIG_TRANSACTION_TYPE, MultisigError, MultisigPolicy, MultisigSignature,
    MultisigTransaction, PolicyError, UnsignedMultisig,
};
pub use native::{
    Call, NATIVE_TRANSACTION_TYPE, NativeError, NativeTransaction, NativeView, Ordering,
    SignatureWork, UnsignedNative,
};
pub use receipt::{Log, Outcome, Receipt, SkipReason, receipts_root};
pub use settings::{
    ChainSettings, SETTINGS_ACCOUNT, SETTINGS_BYTES_MAX, SETTINGS_DELAY, SETTINGS_ENTRIES_MAX,
    SETTINGS_SLOT, SettingsEntry, SettingsError, SettingsSchedule,
};
pub use transaction::{
    Envelope, SignatureStatus, Transaction, TransactionError, VerifiedTransaction,
};
pub use validators::{Validator, ValidatorSet, ValidatorSetError};
