//! What an operator sees of a running node: logs, metrics, health.
//!
//! For: setting up logging ([`logging`]), the metrics registry with its handles ([`Metrics`]), the
//! answer to "is this node ready, and if not, what does it wait for" ([`Readiness`]) and the
//! listener that serves both ([`http`]), and the audit log ([`audit`]).
//! Not for: finding out; numbers and reasons are handed in by whoever knows them.
//!
//! Invariants: labels have a bounded number of values whatever comes from outside, and nothing
//! here changes what a node decides.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod audit;
mod health;
pub mod http;
pub mod logging;
mod metrics;
mod process;
mod text;

pub use health::Readiness;
pub use metrics::{ChainInfo, ChainMetrics, Metrics, NodeInfo, RpcOutcome};
pub use process::{ProcessUsage, process_usage};
