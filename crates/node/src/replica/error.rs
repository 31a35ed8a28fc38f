//! What stops a replica.

use hawser_consensus::BftError;
use hawser_ledger::Roots;
use hawser_primitives::{B256, Height};
use thiserror::Error;

use super::TwoFinal;

/// Two results of executing one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DivergedRoots {
    /// What a quorum certified.
    pub certified: Roots,
    /// What this node computed.
    pub computed: Roots,
}

/// What stops a replica for good.
#[derive(Debug, Error)]
pub enum ReplicaError {
    /// Agreement broke one of its own invariants.
    #[error(transparent)]
    Agreement(#[from] BftError),
    /// A quorum certified what this node computes differently.
    #[error(
        "block {height} is final but commits to {:?} after block {}, where this node computed \
         {:?}: this node's state or program differs from the others'. Restore its data folder \
         from a healthy node, and compare program versions",
        roots.certified, roots.certified.height, roots.computed
    )]
    Diverged {
        /// The final block.
        height: Height,
        /// What it commits to, and what this node has.
        roots: Box<DivergedRoots>,
    },
    /// The chain has moved on to a protocol that this program does not know.
    #[error(
        "from block {height} on the chain runs protocol version {version}, this program implements \
         version {program}: install a newer one and start the node again"
    )]
    Outdated {
        /// The next block.
        height: Height,
        /// Its version.
        version: u32,
        /// The program's.
        program: u32,
    },
    /// A quorum certified a block that follows another one than this node has as final.
    #[error(
        "block {height} is final and follows {parent}, but the final block {} of this node is {tip}: \
         two conflicting blocks are final, so a third of the validators is faulty or their keys are \
         stolen. Keep this data folder; compare the certificates of block {} with the other nodes': \
         validators that signed both are the culprits",
        height.back(1), height.back(1)
    )]
    Forked {
        /// Height of the block.
        height: Height,
        /// What it follows.
        parent: B256,
        /// What this node has in that place.
        tip: B256,
    },
    /// Two blocks of one height are final.
    #[error("{0}")]
    TwoFinal(Box<TwoFinal>),
    /// A certified block has a transaction that does not verify.
    #[error("block {height} is final but invalid ({reason}): a third of the validators is faulty")]
    InvalidFinalBlock {
        /// The block.
        height: Height,
        /// What is wrong with it.
        reason: String,
    },
}
