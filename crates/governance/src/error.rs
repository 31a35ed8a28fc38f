//! Why governance refuses something.

use hawser_execution::Finding;
use hawser_ledger::SettingsError;
use hawser_policy::CompileError;
use hawser_primitives::{Address, Time};
use thiserror::Error;

use crate::{access::AccessError, kind::ProposalKind};

/// Why governance refuses something. The texts reach people through revert data.
#[derive(Debug, Error)]
pub enum GovernanceError {
    /// The storage could not be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A permission is missing.
    #[error("{0}")]
    Denied(Finding),
    /// The chain began without a section on governance.
    #[error(
        "this chain has no governance: its genesis names no organisations, and nothing can change that"
    )]
    Ungoverned,
    /// Something is not as it has to be.
    #[error("{0}")]
    Invalid(String),
    /// A number beyond a limit.
    #[error("{what}: {found} is beyond the limit of {max}")]
    Limit {
        /// What is bounded.
        what: &'static str,
        /// What was asked for.
        found: u64,
        /// What is accepted.
        max: u64,
    },
    /// Something that does not exist.
    #[error("there is no {0}")]
    Unknown(String),
    /// Something that exists already.
    #[error("{0} exists already")]
    Exists(String),
    /// Two changes of one proposal concern the same thing.
    #[error("the proposal contradicts itself: it changes {0} twice; leave one of the changes out")]
    Contradiction(String),
    /// A supervision script that could not be run.
    #[error(
        "supervision rule {id} does not compile, at line:column where there is one: {error}; correct \
         the script (`hawser policy check` shows the same) and propose it again"
    )]
    Script {
        /// Number of the rule.
        id: u32,
        /// What is wrong, and where.
        error: CompileError,
    },
    /// An account that has co-signed.
    #[error("{account} has co-signed this operation already, until {until} ms")]
    CoSignedBefore {
        /// Who.
        account: Address,
        /// First instant at which that no longer counts.
        until: Time,
    },
    /// A vote was cast before.
    #[error("{0} has voted on this proposal already; a vote cannot be changed or repeated")]
    VotedBefore(Address),
    /// The proposal is in the wrong state for this.
    #[error("proposal {id} is {state}; {hint}")]
    ProposalState {
        /// Which.
        id: u64,
        /// Its state.
        state: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// The wait is not over.
    #[error("proposal {id} can be executed from {from} ms on; it is {now} ms")]
    TimeLock {
        /// Which.
        id: u64,
        /// From when.
        from: Time,
        /// Block time.
        now: Time,
    },
    /// After the change proposals of this kind could never pass.
    #[error(
        "this would lock the consortium out: with all governors in favour a proposal on {kind} would \
         have {yes} of {total} votes and need {needed}; add governors, or change weights or the threshold \
         in the same proposal"
    )]
    NoQuorumOfGovernors {
        /// Kind of the proposals.
        kind: ProposalKind,
        /// All votes that could be in favour.
        yes: u64,
        /// All votes.
        total: u64,
        /// The threshold in words.
        needed: String,
    },
    /// After the change blocks would depend on validators that have not run yet.
    #[error(
        "this could stop the chain: validators that run now would have weight {kept} of {total}, a quorum \
         needs more than two thirds; change fewer at a time, or give the new ones less weight"
    )]
    NoQuorumOfValidators {
        /// Weight of those that run already.
        kept: u64,
        /// Weight of all.
        total: u64,
    },
    /// The chain's settings cannot become these.
    #[error("{0}")]
    Settings(#[from] SettingsError),
}

/// A condition that does not hold, in words.
pub(crate) fn invalid<T>(text: impl Into<String>) -> Result<T, GovernanceError> {
    Err(GovernanceError::Invalid(text.into()))
}

/// Refuses what exceeds a limit.
pub(crate) fn limit(what: &'static str, found: usize, max: usize) -> Result<(), GovernanceError> {
    if found > max {
        let number = |n| u64::try_from(n).unwrap_or(u64::MAX);
        let (found, max) = (number(found), number(max));
        return Err(GovernanceError::Limit { what, found, max });
    }
    Ok(())
}
