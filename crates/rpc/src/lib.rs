//! Ethereum JSON-RPC 2.0 and the `hawser_` methods, over HTTP POST and WebSocket on one listener.
//!
//! For: everything that a client asks of a running node. `docs/spec/rpc.md` describes the methods
//! beyond Ethereum's, the limits and the error codes.
//! Not for: deciding, executing or storing anything; the handlers only ask
//! [`hawser_node::chain::ChainHandle`].
//!
//! Entry points: [`serve`], [`RpcConfig`], [`Chains`].
//!
//! Invariants: no request, however malformed, ends the process or holds more memory than the
//! limits in [`RpcLimits`] allow; what executes code or scans history runs on a bounded number of
//! threads; a client that does not read loses its connection, not the node's memory.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod auth;
mod chains;
mod config;
mod error;
mod eth;
mod hawser;
mod identity;
mod light;
mod methods;
#[cfg(test)]
#[path = "../../../tests/fuzz/src/mutate.rs"]
#[allow(unreachable_pub)]
mod mutate;
mod observer;
mod server;
mod view;
mod wire;
mod work;

pub use chains::Chains;
pub use config::{Cors, RpcConfig, RpcLimits};
pub use error::RpcError;
pub use identity::ClientIdentity;
pub use methods::METHODS;
pub use observer::{CallOutcome, Refusal, RpcObserver};
pub use server::{Page, Pages, RpcServer, serve};
pub use wire::ErrorObject;
