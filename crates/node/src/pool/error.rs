use hawser_primitives::{U256, limits::UNORDERED_LIFETIME_MS_MAX};
use thiserror::Error;

/// Why the pool refuses a transaction. The wording of the first line follows what Ethereum clients
/// recognise (geth's `core/txpool` errors), then says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PoolError {
    /// It waits here already.
    #[error("already known")]
    AlreadyKnown,
    /// It was executed before.
    #[error("already known: executed in block {height}")]
    AlreadyExecuted {
        /// Where.
        height: u64,
    },
    /// A nonce that is used up.
    #[error("nonce too low: next nonce {next}, tx nonce {found}")]
    NonceTooLow {
        /// The transaction's.
        found: u64,
        /// The account's.
        next: u64,
    },
    /// A nonce so far ahead that it would wait for thousands of others.
    #[error("nonce too high: next nonce {next}, tx nonce {found}; send the missing ones first")]
    NonceTooHigh {
        /// The transaction's.
        found: u64,
        /// The account's.
        next: u64,
    },
    /// Another transaction with this nonce waits, and this one does not offer a tenth more.
    #[error(
        "replacement transaction underpriced: raise maxFeePerGas by more than 10 % to replace the \
         waiting transaction with this nonce"
    )]
    ReplacementUnderpriced,
    /// The value exceeds the balance.
    #[error("insufficient funds for value: balance {balance}, value {value}")]
    InsufficientFunds {
        /// In wei.
        balance: U256,
        /// In wei.
        value: U256,
    },
    /// More gas than a transaction may ask for on this chain.
    #[error("exceeds transaction gas limit: {found} > {max}")]
    GasLimit {
        /// Asked for.
        found: u64,
        /// Allowed.
        max: u64,
    },
    /// It fails a rule of the fork whatever the state is.
    #[error("{0}")]
    Unexecutable(String),
    /// Too many of this account wait.
    #[error("account limit reached: {max} transactions of this account wait; retry after a block")]
    AccountFull {
        /// The limit.
        max: usize,
    },
    /// The pool is full.
    #[error("txpool is full: {waiting} transactions wait; retry in a few seconds")]
    Full {
        /// How many wait.
        waiting: usize,
    },
    /// An unordered transaction that is too late.
    #[error("transaction expired {late_ms} ms ago; sign it again with a later expiry")]
    Expired {
        /// By how much.
        late_ms: u64,
    },
    /// An unordered transaction that lives too long.
    #[error(
        "expiry is {found_ms} ms ahead; unordered transactions live at most \
         {UNORDERED_LIFETIME_MS_MAX} ms"
    )]
    LifetimeTooLong {
        /// How far ahead.
        found_ms: u64,
    },
    /// The node is stopping.
    #[error("the node is stopping; send to another node")]
    Stopping,
}

impl PoolError {
    /// Short name of the reason, for metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AlreadyKnown => "already_known",
            Self::AlreadyExecuted { .. } => "already_executed",
            Self::NonceTooLow { .. } => "nonce_too_low",
            Self::NonceTooHigh { .. } => "nonce_too_high",
            Self::ReplacementUnderpriced => "replacement_underpriced",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::GasLimit { .. } => "gas_limit",
            Self::Unexecutable(_) => "unexecutable",
            Self::AccountFull { .. } => "account_full",
            Self::Full { .. } => "pool_full",
            Self::Expired { .. } => "expired",
            Self::LifetimeTooLong { .. } => "lifetime_too_long",
            Self::Stopping => "stopping",
        }
    }
}
