use std::{borrow::Cow, net::IpAddr};

use hawser_primitives::{Address, B256, ChainId};
use thiserror::Error;
use tokio::sync::oneshot;

/// What was decided about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was answered.
    Allowed,
    /// It was refused.
    Denied,
}

/// One decision, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadEvent {
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// The chain asked.
    pub chain: ChainId,
    /// Who asked; `None` where nobody proved to be anybody.
    pub who: Option<Address>,
    /// By which means: `signature`, `token`, `certificate` or `none`.
    pub how: &'static str,
    /// Where the client is.
    pub from: Option<IpAddr>,
    /// The method asked for, at most 64 characters; the client's own words where it is unknown.
    pub method: String,
    /// What it is about: `chain`, an account, a block, a transaction.
    pub resource: String,
    /// What was decided.
    pub decision: Decision,
    /// The rule that decided.
    pub rule: Cow<'static, str>,
    /// Why it was refused, in words; empty where it was not.
    pub reason: String,
    /// The chain's hash of method and parameters.
    pub request: B256,
}

/// Ends when an entry is durable; with an error where it will not be.
pub type Durable = oneshot::Receiver<()>;

/// The record cannot be kept; nothing that needs it may go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct AuditUnavailable(pub String);

/// Keeps the record of decisions. Implementations must be quick: they run on the path of the
/// answer, and an answer waits for what they return.
pub trait ReadAudit: Send + Sync + 'static {
    /// Takes an entry. With [`Durable`] the answer is held back until the entry is on disk.
    ///
    /// # Errors
    /// [`AuditUnavailable`]: the request is refused.
    fn record(&self, event: ReadEvent) -> Result<Option<Durable>, AuditUnavailable>;
}
