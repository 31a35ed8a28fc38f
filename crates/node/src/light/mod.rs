//! What a full node does for light nodes.
//!
//! For: the messages between the two ([`LightRequest`], [`LightAnswer`]), answering them within
//! bounds ([`LightService`]), and keeping what full nodes tell one another away from light ones.
//! Not for: verifying answers, which is the light node's own work (`hawser-light`).
//!
//! Invariants: an answer costs a bounded number of bytes and reads; a peer is given so many requests
//! and bytes per second; on a chain whose reads are signed, a link gets headers and nothing that
//! a reader would have to sign for. `docs/spec/sync.md` (SY-30 to SY-45).

mod meter;
mod serve;
mod wire;

pub(crate) use meter::Meters;
pub use meter::{LightLimits, Meter};
pub use serve::{LightReads, LightService, answer};
pub(crate) use serve::{LightServer, Received};
pub use wire::{
    LIGHT_ANSWER_BYTES, LIGHT_BODY_BYTES_MAX, LIGHT_HEADERS_MAX, LIGHT_KEYS_MAX,
    LIGHT_REQUEST_BYTES_MAX, LightAnswer, LightAsk, LightHeader, LightRefusal, LightReply,
    LightRequest,
};

use std::{collections::BTreeSet, sync::Arc};

use hawser_network::PeerId;
use parking_lot::RwLock;

/// Peers that are admitted as light nodes, shared with the chains, which leave them out of what
/// they tell everybody.
pub type LightPeers = Arc<RwLock<BTreeSet<PeerId>>>;
