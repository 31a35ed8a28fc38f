use std::time::Duration;

/// How a call ended, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallOutcome {
    /// With a result.
    Ok,
    /// With an error that the client caused or asked about: bad parameters, a revert.
    ClientError,
    /// Refused because the node is busy or a limit is reached.
    Limited,
    /// With an error of this node.
    ServerError,
}

/// Why a message was refused before it was a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// More connections than allowed.
    Connections,
    /// More connections than allowed from one address.
    Address,
    /// More WebSocket connections than allowed.
    WebSockets,
    /// A body or message over the limit, or one that came too slowly.
    Body,
    /// Not JSON, or nested too deeply.
    Parse,
    /// JSON, but no request.
    Request,
    /// More requests in a batch than allowed.
    Batch,
    /// A client that did not read.
    SlowClient,
    /// No memory left for what clients ask.
    Memory,
    /// A connection could not be accepted, mostly for want of file descriptors.
    Accept,
}

/// What the binary learns of every call. Implementations must be quick: they run on the path of
/// the answer.
pub trait RpcObserver: Send + Sync + 'static {
    /// A call was answered. `method` is one of [`crate::METHODS`] or `unknown`, so it is fit for a
    /// metric's label.
    fn called(&self, method: &'static str, outcome: CallOutcome, duration: Duration) {
        let _ = (method, outcome, duration);
    }

    /// A message or connection was refused.
    fn refused(&self, refusal: Refusal) {
        let _ = refusal;
    }

    /// The number of open WebSocket connections changed.
    fn websockets(&self, open: usize) {
        let _ = open;
    }
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NoObserver;

impl RpcObserver for NoObserver {}
