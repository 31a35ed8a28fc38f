//! Bounds on everything that comes from outside. Each is tested on both sides where it is used.

/// Largest encoded transaction, in bytes (EIP-3860 initcode of 49,152 bytes fits with room).
pub const TRANSACTION_BYTES_MAX: usize = 512 * 1024;
/// Most transactions in a block.
pub const BLOCK_TRANSACTIONS_MAX: usize = 65_536;
/// Largest encoded block body, in bytes.
pub const BLOCK_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Size of a proposal part on the wire, in bytes.
pub const PART_BYTES: usize = 64 * 1024;
/// Largest frame between peers, in bytes.
pub const FRAME_BYTES_MAX: usize = 12 * 1024 * 1024;
/// Most validators in a committee.
pub const VALIDATORS_MAX: usize = 1_024;
/// Most calls in one native transaction.
pub const NATIVE_CALLS_MAX: usize = 1_024;
/// Most keys of a multisignature account.
pub const MULTISIG_KEYS_MAX: usize = 16;
/// Most evidence records under one signature.
pub const EVIDENCE_RECORDS_MAX: usize = 1_000;
/// Most digests in an evidence set.
pub const EVIDENCE_SET_MAX: usize = 10_000;
/// Longest life of an unordered transaction, in milliseconds: the window within which its
/// digest is remembered, so that it cannot be replayed.
pub const UNORDERED_LIFETIME_MS_MAX: u64 = 10 * 60 * 1000;
