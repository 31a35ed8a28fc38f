use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use hawser_primitives::limits::FRAME_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::{Credential, NetworkError, PeerId};

/// Largest text of a peer address: a DNS name of 253 octets, a colon and five digits.
const ADDRESS_LEN_MAX: usize = 259;

/// A peer that this node admits and dials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerAddress {
    /// The peer's name, from its key. Whoever proves possession of the key is that peer, from any
    /// address.
    pub id: PeerId,
    /// Where to dial it, as `host:port`. Names are resolved again at every attempt.
    pub address: String,
}

/// Everything that [`crate::start`] needs.
#[derive(Debug)]
pub struct NetworkConfig {
    /// Where to accept links. Port 0 lets the operating system choose.
    pub listen: SocketAddr,
    /// What this node proves itself with.
    pub credential: Credential,
    /// The admitted peers. An entry for this node itself is ignored, so that all nodes can share
    /// one list.
    pub peers: Vec<PeerAddress>,
    /// Bounds and timeouts.
    pub limits: Limits,
}

impl NetworkConfig {
    /// A configuration with the default limits.
    #[must_use]
    pub fn new(
        listen: SocketAddr,
        credential: impl Into<Credential>,
        peers: Vec<PeerAddress>,
    ) -> Self {
        Self {
            listen,
            credential: credential.into(),
            peers,
            limits: Limits::default(),
        }
    }
}

/// Bounds and timeouts. The defaults suit a mesh of up to 100 nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload sent or accepted, in bytes. Default: [`FRAME_BYTES_MAX`], which is also the
    /// largest value allowed.
    pub frame_bytes_max: usize,
    /// Most frames waiting for one peer, both lanes together. Default 16,384.
    pub queue_frames_max: usize,
    /// Most payload bytes waiting for one peer, both lanes together. Default 32 MiB; at least
    /// `frame_bytes_max`.
    pub queue_bytes_max: usize,
    /// Most events waiting for the consumer. Default 4,096.
    pub event_queue_max: usize,
    /// Most payload bytes in events waiting for the consumer. One frame is always let through, so
    /// the true bound is this plus one frame. Default 64 MiB.
    pub event_bytes_max: usize,
    /// Most inbound connections that have not yet authenticated. When one more arrives, the oldest
    /// of the source address that holds the most is dropped. Default 256.
    pub pending_handshakes_max: usize,
    /// Most authenticated connections, including those that wait for a duplicate to be resolved.
    /// Default 512.
    pub connections_max: usize,
    /// Most authenticated connections from one peer at a time. Default 4.
    pub connections_per_peer_max: usize,
    /// Time for connecting, and for TLS with the opening exchange. Default 3 s.
    pub handshake_timeout: Duration,
    /// A ping is sent when a link was idle for this long. Default 1 s.
    pub ping_interval: Duration,
    /// A link on which nothing was heard for this long is dead. Default 5 s; at least twice
    /// `ping_interval`.
    pub peer_timeout: Duration,
    /// First pause after a failed dial; doubles with each failure. Default 50 ms.
    pub backoff_min: Duration,
    /// Longest pause between dials. Half of each pause is random. Default 2 s.
    pub backoff_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: FRAME_BYTES_MAX,
            queue_frames_max: 16_384,
            queue_bytes_max: 32 * 1024 * 1024,
            event_queue_max: 4_096,
            event_bytes_max: 64 * 1024 * 1024,
            pending_handshakes_max: 256,
            connections_max: 512,
            connections_per_peer_max: 4,
            handshake_timeout: Duration::from_secs(3),
            ping_interval: Duration::from_secs(1),
            peer_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
        }
    }
}

impl Limits {
    pub(crate) fn validate(&self) -> Result<(), NetworkError> {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let rules = [
            (
                "frame_bytes_max",
                self.frame_bytes_max as u64,
                (1..=FRAME_BYTES_MAX).contains(&self.frame_bytes_max),
                "from 1 to the protocol's largest frame",
            ),
            (
                "queue_frames_max",
                self.queue_frames_max as u64,
                self.queue_frames_max >= 1,
                "at least 1",
            ),
            (
                "queue_bytes_max",
                self.queue_bytes_max as u64,
                self.queue_bytes_max >= self.frame_bytes_max,
                "at least `frame_bytes_max`",
            ),
            (
                "event_queue_max",
                self.event_queue_max as u64,
                (1..=1 << 20).contains(&self.event_queue_max),
                "from 1 to 1048576",
            ),
            (
                "pending_handshakes_max",
                self.pending_handshakes_max as u64,
                self.pending_handshakes_max >= 1,
                "at least 1",
            ),
            (
                "connections_max",
                self.connections_max as u64,
                self.connections_max >= 1,
                "at least 1",
            ),
            (
                "connections_per_peer_max",
                self.connections_per_peer_max as u64,
                self.connections_per_peer_max >= 2,
                "at least 2, so that a new link can replace a stale one",
            ),
            (
                "handshake_timeout",
                ms(self.handshake_timeout),
                self.handshake_timeout >= Duration::from_millis(10),
                "at least 10 ms",
            ),
            (
                "ping_interval",
                ms(self.ping_interval),
                self.ping_interval >= Duration::from_millis(10),
                "at least 10 ms",
            ),
            (
                "peer_timeout",
                ms(self.peer_timeout),
                self.peer_timeout >= self.ping_interval.saturating_mul(2),
                "at least twice `ping_interval`",
            ),
            (
                "backoff_min",
                ms(self.backoff_min),
                self.backoff_min >= Duration::from_millis(1),
                "at least 1 ms",
            ),
            (
                "backoff_max",
                ms(self.backoff_max),
                self.backoff_max >= self.backoff_min,
                "at least `backoff_min`",
            ),
        ];
        for (name, value, holds, requirement) in rules {
            if !holds {
                return Err(NetworkError::Limit {
                    name,
                    value,
                    requirement,
                });
            }
        }
        Ok(())
    }
}

/// Whether a text can be dialled: `host:port`, not too long, of what names and addresses of hosts are made of, with
/// a port other than 0.
#[must_use]
pub fn is_peer_address(text: &str) -> bool {
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]%".contains(&byte);
    text.len() <= ADDRESS_LEN_MAX
        && text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty()
                && host.bytes().all(is_of_host)
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        })
}

/// Checks a list of peers and drops the entry of `own`.
pub(crate) fn check_peers(
    peers: Vec<PeerAddress>,
    own: PeerId,
) -> Result<Vec<PeerAddress>, NetworkError> {
    let mut seen = BTreeSet::new();
    for peer in &peers {
        if !seen.insert(peer.id) {
            return Err(NetworkError::DuplicatePeer(peer.id));
        }
        if !is_peer_address(&peer.address) {
            let address = peer.address.chars().take(ADDRESS_LEN_MAX).collect();
            return Err(NetworkError::Address {
                id: peer.id,
                address,
            });
        }
    }
    Ok(peers.into_iter().filter(|peer| peer.id != own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(id: u8, address: &str) -> PeerAddress {
        PeerAddress {
            id: PeerId([id; 32]),
            address: address.into(),
        }
    }

    #[test]
    fn default_limits_are_valid_and_each_rule_bites() {
        let good = Limits::default();
        assert!(good.validate().is_ok());
        let bad = [
            Limits {
                frame_bytes_max: FRAME_BYTES_MAX + 1,
                ..good.clone()
            },
            Limits {
                frame_bytes_max: 0,
                ..good.clone()
            },
            Limits {
                queue_frames_max: 0,
                ..good.clone()
            },
            Limits {
                queue_bytes_max: FRAME_BYTES_MAX - 1,
                ..good.clone()
            },
            Limits {
                event_queue_max: 0,
                ..good.clone()
            },
            Limits {
                pending_handshakes_max: 0,
                ..good.clone()
            },
            Limits {
                connections_max: 0,
                ..good.clone()
            },
            Limits {
                connections_per_peer_max: 1,
                ..good.clone()
            },
            Limits {
                handshake_timeout: Duration::ZERO,
                ..good.clone()
            },
            Limits {
                ping_interval: Duration::ZERO,
                ..good.clone()
            },
            Limits {
                peer_timeout: Duration::from_millis(1_999),
                ..good.clone()
            },
            Limits {
                backoff_min: Duration::ZERO,
                ..good.clone()
            },
            Limits {
                backoff_max: Duration::from_millis(49),
                ..good.clone()
            },
        ];
        for limits in bad {
            assert!(
                matches!(limits.validate(), Err(NetworkError::Limit { .. })),
                "{limits:?}"
            );
        }
        assert!(
            Limits {
                queue_bytes_max: FRAME_BYTES_MAX,
                ..good.clone()
            }
            .validate()
            .is_ok()
        );
        assert!(
            Limits {
                peer_timeout: Duration::from_secs(2),
                ..good
            }
            .validate()
            .is_ok()
        );
    }

    #[test]
    fn peers_are_checked_and_the_own_entry_is_dropped() {
        let own = PeerId([9; 32]);
        let kept = check_peers(
            vec![
                address(1, "node-1.example:30300"),
                address(9, "10.0.0.9:1"),
                address(2, "[::1]:1"),
            ],
            own,
        )
        .unwrap();
        assert_eq!(kept.len(), 2);
        for bad in [
            "",
            "host",
            ":1",
            "host:",
            "host:0",
            "host:65536",
            "ho st:1",
            "http://host:1",
            "host\u{7}:1",
            &"h".repeat(300),
        ] {
            assert!(
                matches!(
                    check_peers(vec![address(1, bad)], own),
                    Err(NetworkError::Address { .. })
                ),
                "{bad}"
            );
        }
        assert!(matches!(
            check_peers(vec![address(1, "a:1"), address(1, "b:1")], own),
            Err(NetworkError::DuplicatePeer(_))
        ));
    }
}
