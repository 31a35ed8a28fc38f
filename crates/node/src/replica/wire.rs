use borsh::{BorshDeserialize, BorshSerialize};
use hawser_consensus::Message;
use hawser_ledger::{Block, Certificate, VerifiedTransaction};
use hawser_primitives::{Address, B256, Bytes, Height};

use crate::light::{LightAnswer, LightRequest};

/// Most blocks asked for at once.
pub const SYNC_BLOCKS_MAX: u32 = 64;
/// Bytes after which an answer to such a request ends.
pub const SYNC_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of transactions sent in one message.
pub(super) const GOSSIP_BYTES: usize = 256 * 1024;

/// A block with the proof that it is final.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertifiedBlock {
    /// The block.
    pub block: Block,
    /// Its certificate.
    pub certificate: Certificate,
}

/// A transaction that a peer passes on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Relayed {
    /// Who signed it, says the peer. Nobody believes it: a receiver that knows the account's key
    /// tries that key first, because verifying against a known key costs a fraction of recovering
    /// an unknown one.
    pub sender: Address,
    /// Its encoding.
    pub raw: Bytes,
}

impl From<&VerifiedTransaction> for Relayed {
    fn from(transaction: &VerifiedTransaction) -> Self {
        Self {
            sender: transaction.sender(),
            raw: transaction.transaction().raw().clone(),
        }
    }
}

/// What replicas of one chain say to one another.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum PeerMessage {
    /// Which chain the sender is on and how far it is.
    Status {
        /// Hash of its genesis.
        genesis: B256,
        /// Its last decided height.
        height: Height,
    } = 1,
    /// Votes, proposals, certificates.
    Agreement(Message) = 2,
    /// A piece of a proposed block's encoding.
    Part {
        /// Height of the block.
        height: Height,
        /// Hash of the block.
        block: B256,
        /// Position of the piece, from 0.
        index: u16,
        /// Number of pieces.
        total: u16,
        /// The piece, [`hawser_primitives::limits::PART_BYTES`] long except the last.
        bytes: Bytes,
    } = 3,
    /// Asks for the pieces of a block that the receiver should have.
    BodyRequest {
        /// Height of the block.
        height: Height,
        /// Hash of the block.
        block: B256,
    } = 4,
    /// Transactions that wait at the sender.
    Transactions(Vec<Relayed>) = 5,
    /// Asks for decided blocks.
    BlocksRequest {
        /// First height wanted.
        from: Height,
        /// How many, at most [`SYNC_BLOCKS_MAX`].
        count: u32,
    } = 6,
    /// Decided blocks in order of height.
    Blocks(Vec<CertifiedBlock>) = 7,
    /// A light node asks. Answered beside the replica, by [`crate::light`].
    LightRequest(LightRequest) = 8,
    /// The answer, for light nodes only.
    LightAnswer(LightAnswer) = 9,
}
