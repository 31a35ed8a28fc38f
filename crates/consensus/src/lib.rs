//! Agreement on the next block, and election of who agrees.
//!
//! For: [`Bft`], Tendermint agreement over block hashes (Buchman, Kwon, Milosevic, "The latest
//! gossip on BFT consensus", 2018) as a state machine that reads no clock and does no I/O, and
//! [`Election`], which names the committee of a height. The protocol itself is the pure core of
//! malachite; only this crate names that library.
//! Not for: block bodies, pools, logs, timers or sockets; `node` owns those.
//!
//! Invariants: outputs are in the order in which they must take effect; a
//! [`Output::Persist`] precedes the [`Output::Send`] that depends on it, and the caller makes it
//! durable before it sends.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod bft;
mod context;
mod convert;
mod election;
mod message;

pub use bft::{Bft, BftConfig, BftError, Output, Step, Timeouts, Timer, TimerKind};
pub use election::{Election, proposer_index};
pub use message::{
    CertificateKind, Message, PolkaCertificate, Proposal, Record, RoundCertificate, RoundSignature,
    SignedProposal, SignedVote, Vote,
};
