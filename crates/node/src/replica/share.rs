//! What part of a chain's transactions reaches it by this node.
//!
//! Sending to every peer costs a node its own clients' bytes times its peers; by relays every byte is sent and decoded
//! twice. Where clients spread over the nodes, sending to all is the cheaper of the two, and no node sends more than
//! about the bytes of the blocks. Rule: `docs/spec/dissemination.md`, DI-24.

/// Bytes that are looked back on: at this many, both counts are halved.
const WINDOW_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes below which nothing is known.
const KNOWN_BYTES_MIN: u64 = 64 * 1024;
/// What a node may send by itself, in quarters of the bytes of all transactions.
const QUARTERS_MAX: u64 = 5;

/// Bytes of transactions that were new to this node lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnShare {
    /// Of this node's clients.
    own: u64,
    /// All.
    all: u64,
}

impl OwnShare {
    /// Counts what this node's clients brought.
    pub(super) fn own(&mut self, bytes: usize) {
        self.own = self.own.saturating_add(bytes as u64);
        self.others(bytes);
    }

    /// Counts what peers brought.
    pub(super) fn others(&mut self, bytes: usize) {
        self.all = self.all.saturating_add(bytes as u64);
        while self.all >= WINDOW_BYTES {
            self.own /= 2;
            self.all /= 2;
        }
    }

    /// Whether sending its own to so many peers costs the node about what the blocks have, or less.
    pub(super) fn is_sent_directly(&self, peers: usize) -> bool {
        let sent = self.own.saturating_mul(peers as u64).saturating_mul(4);
        self.all >= KNOWN_BYTES_MIN && sent <= self.all.saturating_mul(QUARTERS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_the_share_that_is_sent_directly() {
        let share = |own, others| {
            let mut share = OwnShare::default();
            share.own(own);
            share.others(others);
            share
        };
        // One of sixteen with its part: fifteen times a sixteenth.
        assert!(share(100_000, 1_500_000).is_sent_directly(15));
        assert!(share(100_000, 1_100_000).is_sent_directly(15));
        assert!(!share(100_000, 1_099_999).is_sent_directly(15));
        // All load at one node, and a node of which nothing is known.
        assert!(!share(1_000_000, 0).is_sent_directly(15));
        assert!(!share(0, 65_535).is_sent_directly(15));
        assert!(share(0, 65_536).is_sent_directly(15));
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        let mut share = OwnShare::default();
        share.own(8_000_000);
        assert!(!share.is_sent_directly(10));
        for _ in 0..40 {
            share.others(1_000_000);
        }
        assert!(share.is_sent_directly(10));
        assert!(share.all < WINDOW_BYTES);
    }
}
