//! A light node: verified headers on disk, and everything else by proof from peers.
//!
//! For: following a chain by its certificates ([`Follower`]), keeping the headers
//! ([`HeaderStore`]), running both over links ([`LightNode`]), and answering questions about the
//! chain with what peers prove ([`LightHandle`]).
//! Not for: voting, executing, serving blocks, or interfaces to clients (`rpc`).
//!
//! Invariants: no peer is believed. A header counts once a quorum of the committee that genesis
//! and the followed changes lead to has signed it, and it follows the last one; a value, once its
//! proof leads to a root in such a header; a block or receipts, once they give the roots of such a
//! header. What contradicts this drops the peer that sent it and is in the log. `docs/spec/sync.md`
//! (SY-30 to SY-45).
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod ask;
mod block;
mod driver;
mod error;
mod follower;
mod handle;
mod links;
mod node;
mod status;
mod store;

pub use error::{LightNodeError, ReadError, StoreError};
pub use follower::{Action, Event, Follower, Tip};
pub use handle::{LightHandle, Proved};
pub use links::PeerAdmitter;
pub use node::{GenesisRoot, LightNode, LightSetup};
pub use status::{DroppedPeer, LightStatus};
pub use store::{HeaderStore, Restored};
