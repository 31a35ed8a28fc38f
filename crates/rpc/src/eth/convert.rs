//! Errors of the node as clients are told them: geth's codes and first words, for clients look for
//! those.

use hawser_execution::ExecutionError;
use hawser_ledger::state::StateError;
use hawser_node::{
    chain::{Stopped, SubmitError},
    pool::PoolError,
    store::{ProofError, StoreError},
};

use super::revert;
use crate::wire::{ErrorObject, code};

impl From<Stopped> for ErrorObject {
    fn from(_: Stopped) -> Self {
        Self::stopping()
    }
}

impl From<StateError> for ErrorObject {
    fn from(error: StateError) -> Self {
        match error {
            StateError::NotKept { .. } => Self::server(error.to_string()),
            _ => internal(&error),
        }
    }
}

impl From<StoreError> for ErrorObject {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::State(error) => error.into(),
            StoreError::NoBlock(_) => Self::server(error.to_string()),
            StoreError::Pruned { first, .. } | StoreError::PerhapsPruned { first } => {
                Self::pruned(first.0, &error.to_string())
            }
            other => match other.tier().map(|cold| cold.word()) {
                Some(why) => {
                    tracing::warn!(error = %other, "a request for old blocks");
                    Self::cold(why)
                }
                None => internal(&other),
            },
        }
    }
}

impl From<ProofError> for ErrorObject {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Store(error) => error.into(),
            other => Self::server(other.to_string()),
        }
    }
}

impl From<ExecutionError> for ErrorObject {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::State(error) => error.into(),
            ExecutionError::Reverted(data) => revert::error(&data),
            ExecutionError::Override(_) | ExecutionError::Tracer(_) => {
                Self::invalid_params(error.to_string())
            }
            ExecutionError::Limit { .. }
            | ExecutionError::TraceTooLarge(_)
            | ExecutionError::Stopped => Self::limit(error.to_string()),
            ExecutionError::Invalid(_)
            | ExecutionError::Halted(_)
            | ExecutionError::NoTransaction(_) => Self::server(error.to_string()),
            ExecutionError::Engine(_) => internal(&error),
        }
    }
}

impl From<SubmitError> for ErrorObject {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Busy { .. }
            | SubmitError::Pool(PoolError::Full { .. } | PoolError::AccountFull { .. }) => {
                Self::busy(error.to_string())
            }
            SubmitError::Stopped | SubmitError::Pool(PoolError::Stopping) => {
                Self::new(code::UNAVAILABLE, error.to_string())
            }
            SubmitError::Denied(denial) => {
                let data = denial.finding.revert_data();
                super::revert::error(&data)
            }
            SubmitError::Store(_) => internal(&error),
            SubmitError::Transaction(_) | SubmitError::Pool(_) => Self::server(error.to_string()),
        }
    }
}

/// A fault of this node: the log has it all, the client only that it is one.
fn internal(error: &dyn std::error::Error) -> ErrorObject {
    tracing::error!(%error, "request failed");
    ErrorObject::internal("internal error; the node's log has the details")
}
