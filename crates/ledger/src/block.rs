use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{
    Address, B256, Bytes, ChainId, Domain, Height, Time, encode,
    limits::{BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, TRANSACTION_BYTES_MAX},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::merkle;

/// Height and hash of a block.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct BlockId {
    /// Height of the block.
    pub height: Height,
    /// Hash of its header.
    pub hash: B256,
}

/// What executing a block left behind.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct Roots {
    /// Height of the block whose execution produced these roots.
    pub height: Height,
    /// Root of the authenticated state after that block.
    pub state: B256,
    /// Merkle root over the receipts of that block.
    pub receipts: B256,
}

/// Header of a block. Its hash is the block hash, which votes and certificates name.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Protocol version that gives the block its meaning.
    pub version: u32,
    /// The chain.
    pub chain_id: ChainId,
    /// Height, 1 above the parent's.
    pub height: Height,
    /// Hash of the parent's header.
    pub parent: B256,
    /// The proposer's clock in milliseconds, at least 1 ms above the parent's.
    pub time: Time,
    /// Address of the validator that built the block.
    pub proposer: Address,
    /// Merkle root over the transactions.
    pub transactions_root: B256,
    /// Number of transactions.
    pub transactions_count: u32,
    /// Roots after the block `root_lag` heights earlier (genesis where the chain is shorter).
    pub executed: Roots,
    /// Hash of the validator set that decides this block.
    pub validators: B256,
    /// Hash of the validator set that decides the next one.
    pub next_validators: B256,
}

impl Header {
    /// The block hash.
    #[must_use]
    pub fn hash(&self, suite: Suite) -> B256 {
        suite.hash_domain(Domain::Header, &[&encode(self)])
    }
}

/// A block: header and transactions, each in its EIP-2718 encoding.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The transactions in their order of execution.
    pub transactions: Vec<Bytes>,
}

/// Why a block contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BlockError {
    /// More transactions than allowed.
    #[error("{0} transactions exceed the limit of {BLOCK_TRANSACTIONS_MAX}")]
    TooManyTransactions(usize),
    /// A transaction over the limit.
    #[error("transaction {0} of {1} bytes exceeds the limit of {TRANSACTION_BYTES_MAX} bytes")]
    TransactionTooLarge(usize, usize),
    /// A body over the limit.
    #[error("body of {0} bytes exceeds the limit of {BLOCK_BYTES_MAX} bytes")]
    TooLarge(usize),
    /// The header commits to other transactions.
    #[error("header commits to other transactions than the body has")]
    TransactionsRoot,
}

/// Merkle root over raw transactions; the leaf is the hash of the raw bytes.
#[must_use]
pub fn transactions_root(suite: Suite, transactions: &[Bytes]) -> B256 {
    merkle::root(suite, &merkle::leaves(suite, transactions))
}

impl Block {
    /// The block hash.
    #[must_use]
    pub fn hash(&self, suite: Suite) -> B256 {
        self.header.hash(suite)
    }

    /// Height and hash.
    #[must_use]
    pub fn id(&self, suite: Suite) -> BlockId {
        BlockId {
            height: self.header.height,
            hash: self.hash(suite),
        }
    }

    /// Total size of the transactions in bytes.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.transactions.iter().map(|raw| raw.len()).sum()
    }

    /// Checks limits and that the header commits to this body.
    pub fn check_body(&self, suite: Suite) -> Result<(), BlockError> {
        if self.transactions.len() > BLOCK_TRANSACTIONS_MAX {
            return Err(BlockError::TooManyTransactions(self.transactions.len()));
        }
        for (i, raw) in self.transactions.iter().enumerate() {
            if raw.len() > TRANSACTION_BYTES_MAX {
                return Err(BlockError::TransactionTooLarge(i, raw.len()));
            }
        }
        if self.body_bytes() > BLOCK_BYTES_MAX {
            return Err(BlockError::TooLarge(self.body_bytes()));
        }
        let count = usize::try_from(self.header.transactions_count).unwrap_or(usize::MAX);
        if count != self.transactions.len()
            || transactions_root(suite, &self.transactions) != self.header.transactions_root
        {
            return Err(BlockError::TransactionsRoot);
        }
        Ok(())
    }
}
