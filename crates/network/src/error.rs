use std::net::SocketAddr;

use hawser_primitives::ChainId;
use thiserror::Error;

use crate::PeerId;

/// Why the network could not start or change its set of peers.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// The listening socket could not be opened.
    #[error(
        "cannot listen for peers on {address}: {source}. If another process holds the port, stop \
         it (`ss -ltnp` names it) or set another `listen` address; if the address is not one of \
         this machine, listen on 0.0.0.0 or [::]"
    )]
    Listen {
        /// The address from the configuration.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A limit is outside the range in which the network works.
    #[error("network limit `{name}` is {value}, and must be {requirement}")]
    Limit {
        /// Name of the field of [`crate::Limits`].
        name: &'static str,
        /// The configured value.
        value: u64,
        /// The accepted range, in words.
        requirement: &'static str,
    },
    /// The same peer is configured twice.
    #[error("peer {0} is configured twice; keep one entry with the address to dial")]
    DuplicatePeer(PeerId),
    /// A peer's address is not `host:port`.
    #[error("peer {id} has address `{address}`; write it as host:port")]
    Address {
        /// The peer.
        id: PeerId,
        /// The configured text.
        address: String,
    },
    /// The network has been shut down.
    #[error("the network has been shut down")]
    Stopped,
    /// A certificate, its key or the trust folder.
    #[error("{0}")]
    Certificate(String),
    /// The TLS provider refused the identity or the settings.
    #[error("the TLS provider refused the configuration: {0}")]
    Tls(String),
}

/// Why a node identity could not be made, read or parsed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IdentityError {
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness for a new node key")]
    Randomness,
    /// The bytes are not an Ed25519 private key as PKCS#8 (RFC 8410).
    #[error("not an Ed25519 private key in PKCS#8 (RFC 8410): {0}")]
    PrivateKey(String),
    /// The text is not 64 hexadecimal digits.
    #[error("a peer id is 64 hexadecimal digits (an Ed25519 public key), not `{0}`")]
    PeerId(String),
}

/// Why a frame was not queued. The caller is never blocked.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SendError {
    /// The peer's queue is at its limit of frames or bytes. Counted as a drop.
    #[error("the queue to the peer is full")]
    Full,
    /// No link to the peer is up, or the peer is not configured.
    #[error("no link to the peer is up")]
    NotConnected,
    /// The payload exceeds the largest frame.
    #[error("payload of {len} bytes exceeds the limit of {max} bytes")]
    Oversize {
        /// Length of the payload in bytes.
        len: usize,
        /// Largest length accepted, in bytes.
        max: usize,
    },
    /// The chain identifier 2^64 − 1 marks the frames of the link protocol itself.
    #[error("chain id {0} is reserved for the link protocol")]
    ReservedChain(ChainId),
}
