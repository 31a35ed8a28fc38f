use hawser_ledger::state::StateError;
use revm::{
    context_interface::result::{EVMError, InvalidTransaction},
    database_interface::DBErrorMarker,
};
use thiserror::Error;

/// Why something could not be executed. A transaction that fails on its own account is no error but
/// has a receipt that says so.
#[derive(Debug, Error)]
pub enum ExecutionError {
    /// The state could not be read. For a block this is fatal: the node stops.
    #[error(transparent)]
    State(#[from] StateError),
    /// A call or simulated transaction that the chain would not include.
    #[error("{0}")]
    Invalid(InvalidTransaction),
    /// Overrides that contradict themselves or that this node does not support.
    #[error("override: {0}")]
    Override(String),
    /// A request beyond a named limit.
    #[error("{what} of {found} exceeds the limit of {max}")]
    Limit {
        /// What is bounded.
        what: &'static str,
        /// What was asked for.
        found: u64,
        /// What is accepted.
        max: u64,
    },
    /// A trace grew beyond what one answer may hold.
    #[error("trace exceeds {0}; narrow the tracer's options or use a tracer that records less")]
    TraceTooLarge(&'static str),
    /// The tracer is unknown or its configuration is wrong.
    #[error("tracer: {0}")]
    Tracer(String),
    /// A transaction that an estimate or access list was asked for fails.
    #[error("execution reverted")]
    Reverted(alloy_primitives::Bytes),
    /// It fails exceptionally.
    #[error("execution failed: {0}")]
    Halted(String),
    /// Nobody waits for the answer any more; see [`Stop`](crate::Stop).
    #[error("the request was given up: its time was over, or the client went away")]
    Stopped,
    /// No transaction at that position of the block.
    #[error("the block has no transaction {0}")]
    NoTransaction(usize),
    /// The engine broke one of its own rules; a fault of this program.
    #[error("execution engine: {0}")]
    Engine(String),
}

/// State error as the engine's database error.
#[derive(Debug, Error)]
#[error(transparent)]
pub(crate) struct DbError(#[from] pub(crate) StateError);

impl DBErrorMarker for DbError {}

/// Error of one transaction in the engine.
pub(crate) type EvmError = EVMError<DbError, InvalidTransaction>;

impl From<EvmError> for ExecutionError {
    fn from(error: EvmError) -> Self {
        match error {
            EVMError::Transaction(invalid) => Self::Invalid(invalid),
            EVMError::Database(DbError(error)) => Self::State(error),
            EVMError::Header(error) => Self::Engine(error.to_string()),
            EVMError::Custom(text) if text == crate::limit::STEPS => {
                Self::TraceTooLarge(crate::limit::STEPS)
            }
            EVMError::Custom(text) if text == crate::limit::BYTES => {
                Self::TraceTooLarge(crate::limit::BYTES)
            }
            EVMError::Custom(text) if text == crate::limit::STOPPED => Self::Stopped,
            other => Self::Engine(other.to_string()),
        }
    }
}
