use std::net::SocketAddr;

use thiserror::Error;

/// Why the interface cannot be served.
#[derive(Debug, Error)]
pub enum RpcError {
    /// The address is taken or not this machine's.
    #[error(
        "cannot listen on {address}: {source}. Stop what uses the port, or choose another address"
    )]
    Listen {
        /// Configured.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A configured origin is no origin.
    #[error("CORS origin {0:?} is not of the form scheme://host[:port]")]
    Origin(String),
    /// The operating system gives no randomness.
    #[error(
        "the operating system gives no randomness: {0}. Tokens could be guessed; nothing is served"
    )]
    Randomness(String),
    /// A limit that would refuse everything.
    #[error("limit {0} is 0; nothing could be served")]
    ZeroLimit(&'static str),
}
