use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use hawser_pki::Certificate;
use hawser_primitives::{ChainId, Time};

use crate::PeerId;

/// Which queue a frame takes. Order is kept within a lane, not between lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Votes, proposals and everything that agreement waits for. Written first, and makes room by
    /// dropping the oldest bulk frames.
    Consensus,
    /// Transactions, synchronisation, large objects.
    Bulk,
}

/// What the network tells its consumer.
#[derive(Clone, Debug)]
pub enum NetworkEvent {
    /// A link to the peer is up; frames can be sent.
    Up(PeerId),
    /// The link is down, and frames that were queued or on their way may be lost.
    Down(PeerId, DownReason),
    /// A frame from an admitted peer.
    Message {
        /// The peer, authenticated.
        from: PeerId,
        /// The chain that the sender named. Unknown chains are the consumer's to refuse.
        chain: ChainId,
        /// The payload, at most `frame_bytes_max` bytes, possibly empty.
        bytes: Bytes,
    },
}

/// Why a link went down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// This node shut its network down.
    Shutdown,
    /// The peer closed the link, and said why where the text is present.
    ClosedByPeer(Option<&'static str>),
    /// Nothing was heard from the peer for `silent_ms` milliseconds.
    Silent {
        /// The configured time, in milliseconds.
        silent_ms: u64,
    },
    /// The peer announced a frame over the limit.
    Oversize {
        /// The announced length, in bytes.
        len: u64,
    },
    /// The peer sent a frame of the link protocol that makes no sense.
    Malformed(&'static str),
    /// A newer link of the same peer took over: the peer restarted, or its side of this link died.
    Superseded,
    /// The peer was taken out of the configuration.
    Removed,
    /// The peer's certificate expired, was revoked or lost its authority while the link was up.
    Untrusted(String),
    /// The socket or TLS failed.
    Failed(String),
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shutdown => f.write_str("this node shut its network down"),
            Self::ClosedByPeer(None) => f.write_str("the peer closed the link"),
            Self::ClosedByPeer(Some(why)) => write!(f, "the peer closed the link: {why}"),
            Self::Silent { silent_ms } => write!(f, "nothing heard for {silent_ms} ms"),
            Self::Oversize { len } => {
                write!(
                    f,
                    "the peer announced a frame of {len} bytes, over the limit"
                )
            }
            Self::Malformed(what) => write!(f, "malformed frame: {what}"),
            Self::Superseded => f.write_str("a newer link of the same peer took over"),
            Self::Removed => f.write_str("the peer was taken out of the configuration"),
            Self::Untrusted(why) => write!(f, "the peer is no longer trusted: {why}"),
            Self::Failed(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

/// Which side opened a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The peer dialled this node.
    Inbound,
    /// This node dialled the peer.
    Outbound,
}

/// From where two programs with one identity connect, the newer one last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twins(pub [SocketAddr; 2]);

/// What is known about one configured peer, for status pages.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// The peer's public key.
    pub id: PeerId,
    /// The configured address to dial.
    pub address: String,
    /// When the present link came up; `None` while no link is up.
    pub connected_since: Option<Time>,
    /// Which side opened the present link.
    pub direction: Option<Direction>,
    /// Bytes of frames received since start, headers included.
    pub bytes_in: u64,
    /// Bytes of frames written since start, headers included.
    pub bytes_out: u64,
    /// The last measured round trip of a ping, in microseconds.
    pub round_trip_us: Option<u64>,
    /// Cipher suite of the present link, by its name in the registry of TLS.
    pub cipher_suite: Option<String>,
    /// The certificate that the peer presented on the present link; `None` for raw keys.
    pub certificate: Option<Certificate>,
    /// Why the last attempt or link failed, in words; `None` if nothing failed yet.
    pub last_error: Option<String>,
    /// Two programs that use the peer's identity at once, if that was seen within the last minute.
    pub twins: Option<Twins>,
    /// Links that the peer ended within the last minute because it had a newer one with this node. More than a
    /// few mean that another program uses *this* node's identity.
    pub cuts: usize,
    /// Frames waiting to be written.
    pub queue_frames: usize,
    /// Payload bytes waiting to be written.
    pub queue_bytes: usize,
}
