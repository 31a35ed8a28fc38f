use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $text:literal;)*) => {
        /// Why a connection was refused, by either side, before a link came up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum RefusalReason { $($(#[$doc])* $variant,)* }

        impl RefusalReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// A stable name for metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

reasons! {
    /// The key of the peer that dialled is not admitted here.
    UnknownPeer => "unknown_peer", "its key is not admitted by this node";
    /// The dialled address answered with a key other than the configured one.
    WrongPeer => "wrong_peer", "the address answered with another key than the configured one";
    /// What the peer presented is not an Ed25519 public key (RFC 8410).
    BadKey => "bad_key", "it presented no Ed25519 public key";
    /// The peer presented neither key nor certificate.
    NoCertificate => "no_certificate", "it presented no key or certificate";
    /// A certificate of the peer's chain is expired or not yet valid.
    CertificateExpired => "certificate_expired", "its certificate is not valid at this time";
    /// A certificate of the peer's chain is on a revocation list.
    CertificateRevoked => "certificate_revoked", "its certificate was revoked";
    /// The peer's chain is not to be believed for another reason, which the detail gives.
    CertificateUntrusted => "certificate_untrusted", "its certificate is not trusted";
    /// The other side does not believe this node's certificate.
    CertificateRefused => "certificate_refused", "it refused this node's certificate: `hawser cert check` tells why";
    /// The handshake signature does not belong to the presented key.
    BadSignature => "bad_signature", "its handshake signature is wrong";
    /// Handshake records that do not decrypt: replayed, or changed on the way.
    Undecryptable => "undecryptable", "its records do not decrypt: replayed or changed on the way";
    /// The peer offers no TLS 1.3.
    TlsVersion => "tls_version", "it offers no TLS 1.3";
    /// The bytes are not TLS.
    NotTls => "not_tls", "it does not speak TLS";
    /// TLS, but without the protocol name, raw public keys or algorithms of these links.
    Incompatible => "incompatible", "it speaks TLS, but not the protocol of these links";
    /// The other side refused this node's key.
    RefusedByPeer => "refused_by_peer", "it does not admit this node's key: add the key to its configuration";
    /// The other side ended the handshake with another TLS alert.
    Alert => "alert", "it ended the handshake with a TLS alert";
    /// The connection closed during the handshake.
    Closed => "closed", "the connection closed during the handshake";
    /// The handshake took too long.
    Timeout => "timeout", "the handshake took too long";
    /// The opening exchange after TLS made no sense.
    Opening => "opening", "its opening exchange is malformed";
    /// Dropped while pending to make room for newer connections.
    PendingFull => "pending_full", "too many connections are in their handshake";
    /// Too many authenticated connections, in total or from this peer.
    TooMany => "too_many", "too many connections are open";
    /// A link to this peer is already up.
    Duplicate => "duplicate", "a link to this peer is already up";
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Counts since start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections refused, by reason. Reasons that never occurred are present with 0.
    pub refused: BTreeMap<RefusalReason, u64>,
    /// Connections accepted by the listening socket.
    pub accepted: u64,
    /// Failures to accept, such as too many open files.
    pub accept_failures: u64,
    /// Dials that got no TCP connection.
    pub dial_failures: u64,
    /// Links that came up.
    pub links_up: u64,
    /// Links that went down.
    pub links_down: u64,
    /// Frames with payload received.
    pub frames_in: u64,
    /// Frames with payload written.
    pub frames_out: u64,
    /// Bytes of all frames received, headers included.
    pub bytes_in: u64,
    /// Bytes of all frames written, headers included.
    pub bytes_out: u64,
    /// Frames not sent because a queue was full, and bulk frames evicted for consensus frames.
    pub dropped_queue_full: u64,
    /// Frames that were still queued when their link went down.
    pub dropped_link_down: u64,
    /// Broadcasts refused because of their length or chain.
    pub dropped_invalid: u64,
    /// Links dropped because the peer announced a frame over the limit.
    pub oversize: u64,
    /// Links dropped because of a malformed frame.
    pub malformed: u64,
    /// Links dropped because nothing was heard.
    pub silent: u64,
}

impl Counters {
    /// Connections refused for `reason`.
    #[must_use]
    pub fn refused(&self, reason: RefusalReason) -> u64 {
        self.refused.get(&reason).copied().unwrap_or(0)
    }
}

/// The live counters. Relaxed: they order nothing.
#[derive(Debug, Default)]
pub(crate) struct LiveCounters {
    refused: [AtomicU64; RefusalReason::ALL.len()],
    pub(crate) accepted: Count,
    pub(crate) accept_failures: Count,
    pub(crate) dial_failures: Count,
    pub(crate) links_up: Count,
    pub(crate) links_down: Count,
    pub(crate) frames_in: Count,
    pub(crate) frames_out: Count,
    pub(crate) bytes_in: Count,
    pub(crate) bytes_out: Count,
    pub(crate) dropped_queue_full: Count,
    pub(crate) dropped_link_down: Count,
    pub(crate) dropped_invalid: Count,
    pub(crate) oversize: Count,
    pub(crate) malformed: Count,
    pub(crate) silent: Count,
}

impl LiveCounters {
    pub(crate) fn refuse(&self, reason: RefusalReason) {
        if let Some(count) = self.refused.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Counters {
        let refused = RefusalReason::ALL
            .iter()
            .zip(&self.refused)
            .map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)))
            .collect();
        Counters {
            refused,
            accepted: self.accepted.get(),
            accept_failures: self.accept_failures.get(),
            dial_failures: self.dial_failures.get(),
            links_up: self.links_up.get(),
            links_down: self.links_down.get(),
            frames_in: self.frames_in.get(),
            frames_out: self.frames_out.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            dropped_queue_full: self.dropped_queue_full.get(),
            dropped_link_down: self.dropped_link_down.get(),
            dropped_invalid: self.dropped_invalid.get(),
            oversize: self.oversize.get(),
            malformed: self.malformed.get(),
            silent: self.silent.get(),
        }
    }
}

/// A counter that wraps after 2^64.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_under_its_own_name() {
        let live = LiveCounters::default();
        for (i, reason) in RefusalReason::ALL.iter().enumerate() {
            (0..=i).for_each(|_| live.refuse(*reason));
        }
        let counters = live.snapshot();
        for (i, reason) in RefusalReason::ALL.iter().enumerate() {
            assert_eq!(counters.refused(*reason), i as u64 + 1, "{}", reason.name());
        }
        let names: std::collections::BTreeSet<_> = RefusalReason::ALL
            .iter()
            .map(|reason| reason.name())
            .collect();
        assert_eq!(names.len(), RefusalReason::ALL.len());
    }
}
