//! How peers behave: one that keeps sending what no correct peer sends is not listened to for a while.
//!
//! Decoding, checking and logging such messages costs something each time, so there has to be an end to it. A few are
//! forgiven: a peer of another version, or one that was repaired, is heard again by itself.

use std::collections::BTreeMap;

use hawser_network::PeerId;
use hawser_primitives::Time;

/// Bad messages that may come at once.
pub(super) const BAD_MAX: u64 = 256;
/// Bad messages forgiven per second.
pub(super) const FORGIVEN_PER_S: u64 = 2;
/// How long a peer is not listened to after more than that, in milliseconds.
pub(super) const DEAF_MS: u64 = 30_000;
/// Peers that are remembered. More than a mesh has; the one that did least is forgotten first.
const PEERS_MAX: usize = 1_024;

/// What is known of one peer.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// Bad messages not forgiven yet, in thousandths.
    bad: u64,
    /// When that was so.
    at: Time,
    /// Not listened to before.
    deaf_until: Time,
}

impl Standing {
    fn forgive(&mut self, now: Time) {
        let forgiven = now.since_ms(self.at).saturating_mul(FORGIVEN_PER_S);
        self.bad = self.bad.saturating_sub(forgiven);
        self.at = now;
    }
}

/// The standing of all peers that sent something bad.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    peers: BTreeMap<PeerId, Standing>,
}

impl Conduct {
    /// Whether to listen to a peer now.
    pub(super) fn hears(&self, from: &PeerId, now: Time) -> bool {
        self.peers
            .get(from)
            .is_none_or(|standing| now >= standing.deaf_until)
    }

    /// A peer sent something bad; says whether it is not listened to from now on.
    pub(super) fn bad(&mut self, from: PeerId, now: Time) -> bool {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&from) {
            let least = self.peers.iter().min_by_key(|(_, standing)| standing.bad);
            if let Some(least) = least.map(|(id, _)| *id) {
                self.peers.remove(&least);
            }
        }
        let standing = self.peers.entry(from).or_insert(Standing {
            bad: 0,
            at: now,
            deaf_until: now,
        });
        standing.forgive(now);
        standing.bad = standing.bad.saturating_add(1_000);
        if standing.bad <= BAD_MAX.saturating_mul(1_000) {
            return false;
        }
        // It begins with half of its allowance when it is heard again.
        standing.bad = BAD_MAX.saturating_mul(500);
        standing.at = now.plus_ms(DEAF_MS);
        standing.deaf_until = now.plus_ms(DEAF_MS);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId([1; 32]);
    const OTHER: PeerId = PeerId([2; 32]);

    #[test]
    fn both_sides_of_what_is_forgiven() {
        let (mut conduct, start) = (Conduct::default(), Time(1_000_000));
        for _ in 0..BAD_MAX {
            assert!(!conduct.bad(PEER, start));
        }
        assert!(conduct.hears(&PEER, start));
        assert!(conduct.bad(PEER, start), "one more");
        assert!(!conduct.hears(&PEER, start));
        assert!(conduct.hears(&OTHER, start), "others are heard");
        assert!(!conduct.hears(&PEER, start.plus_ms(DEAF_MS - 1)));
        let again = start.plus_ms(DEAF_MS);
        assert!(conduct.hears(&PEER, again));
        for _ in 0..BAD_MAX / 2 {
            assert!(!conduct.bad(PEER, again));
        }
        assert!(conduct.bad(PEER, again), "sooner the second time");
    }

    #[test]
    fn a_few_bad_messages_now_and_then_are_no_reason() {
        let (mut conduct, mut now) = (Conduct::default(), Time(0));
        for _ in 0..10 * BAD_MAX {
            assert!(!conduct.bad(PEER, now));
            now = now.plus_ms(1_000 / FORGIVEN_PER_S);
        }
        // A clock that stands still forgives nothing, one that goes back does not either.
        for _ in 0..BAD_MAX {
            conduct.bad(OTHER, Time(5_000));
        }
        assert!(conduct.bad(OTHER, Time(4_000)));
    }

    #[test]
    fn memory_is_bounded_and_the_worst_stay() {
        let mut conduct = Conduct::default();
        let id = |n: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            PeerId(id)
        };
        for _ in 0..=BAD_MAX {
            conduct.bad(id(usize::MAX), Time(0));
        }
        for n in 0..3 * PEERS_MAX {
            conduct.bad(id(n), Time(1));
        }
        assert_eq!(conduct.peers.len(), PEERS_MAX);
        assert!(!conduct.hears(&id(usize::MAX), Time(2)));
    }
}
