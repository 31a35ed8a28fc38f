use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{Address, B256, Bytes, encode};
use serde::{Deserialize, Serialize};

use crate::merkle;

/// Event that a contract emitted.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// The contract.
    pub address: Address,
    /// At most four topics.
    pub topics: Vec<B256>,
    /// Payload.
    pub data: Bytes,
}

/// Why a transaction in a decided block was not executed. It changes nothing, not even a nonce,
/// and Ethereum's interfaces do not list it: ordering comes before execution, so a proposer can
/// order what turns out inapplicable.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SkipReason {
    /// Nonce below the account's: executed before.
    NonceTooLow = 1,
    /// Nonce above the account's.
    NonceTooHigh = 2,
    /// Balance below the value sent (plus fees where the chain charges any).
    InsufficientFunds = 3,
    /// Gas limit above what is left in the block or allowed per transaction.
    GasLimit = 4,
    /// The account's quota of the block is used up.
    Quota = 5,
    /// An unordered transaction past its expiry or with one too far ahead.
    Expired = 6,
    /// An unordered transaction executed before.
    Replayed = 7,
    /// Fails a rule of the fork: intrinsic gas, initcode size, sender with code, and the like.
    Invalid = 8,
}

/// How a transaction ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Executed and kept.
    Success,
    /// Executed; the contract reverted.
    Reverted,
    /// Executed; halted by an exceptional condition such as out of gas.
    Halted,
    /// Not executed.
    Skipped(SkipReason),
}

/// What a transaction did. Its canonical encoding is a leaf of the receipts root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// EIP-2718 type.
    pub transaction_type: u8,
    /// How it ended.
    pub outcome: Outcome,
    /// Gas that this transaction used.
    pub gas_used: u64,
    /// Gas used in the block up to and including this transaction.
    pub cumulative_gas_used: u64,
    /// Account that signed.
    pub sender: Address,
    /// Contract that a creating transaction made.
    pub contract_address: Option<Address>,
    /// Events in order.
    pub logs: Vec<Log>,
    /// Revert data, at most 1,024 bytes of it; empty on success.
    pub revert_data: Bytes,
}

impl Receipt {
    /// Whether Ethereum's interfaces list the transaction.
    #[must_use]
    pub const fn is_executed(&self) -> bool {
        !matches!(self.outcome, Outcome::Skipped(_))
    }
}

/// Merkle root over the receipts of a block, skipped ones included.
#[must_use]
pub fn receipts_root(suite: Suite, receipts: &[Receipt]) -> B256 {
    merkle::root(suite, &merkle::leaves(suite, receipts.iter().map(encode)))
}
