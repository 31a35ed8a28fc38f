//! Signatures that were used, remembered for as long as they would be valid.

use std::collections::{BTreeSet, HashMap};

use hawser_primitives::{Address, B256};

use super::AuthError;

/// A bounded memory of used nonces.
#[derive(Debug)]
pub(super) struct Replay {
    max: usize,
    per_account_max: usize,
    seen: std::collections::HashSet<B256>,
    by_expiry: BTreeSet<(u64, B256, Address)>,
    counts: HashMap<Address, usize>,
}

impl Replay {
    /// Remembers at most `max` nonces, and at most a quarter of them for one account.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            per_account_max: (max / 4).max(1),
            seen: Default::default(),
            by_expiry: BTreeSet::new(),
            counts: HashMap::new(),
        }
    }

    /// Whether a nonce was used.
    pub(super) fn contains(&self, key: &B256) -> bool {
        self.seen.contains(key)
    }

    /// Notes that a nonce is used; it is remembered until `expires_ms`, included.
    ///
    /// # Errors
    /// [`AuthError::Replayed`], and [`AuthError::Busy`] when the memory is full: an unknown past is
    /// never taken for an empty one.
    pub(super) fn insert(
        &mut self,
        key: B256,
        account: Address,
        expires_ms: u64,
        now_ms: u64,
    ) -> Result<(), AuthError> {
        self.forget(now_ms);
        if self.seen.contains(&key) {
            return Err(AuthError::Replayed);
        }
        let count = self.counts.get(&account).copied().unwrap_or(0);
        if self.seen.len() >= self.max || count >= self.per_account_max {
            return Err(AuthError::Busy);
        }
        self.seen.insert(key);
        self.by_expiry.insert((expires_ms, key, account));
        self.counts.insert(account, count.saturating_add(1));
        Ok(())
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some((expires, key, account)) = self.by_expiry.first().copied() {
            if expires >= now_ms {
                return;
            }
            self.by_expiry.pop_first();
            self.seen.remove(&key);
            if let Some(count) = self.counts.get_mut(&account) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.counts.remove(&account);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> B256 {
        B256::from(alloy_primitives::U256::from(n))
    }

    #[test]
    fn a_nonce_works_once_until_it_would_have_expired_anyway() {
        let mut replay = Replay::new(100);
        let who = Address::ZERO;
        assert_eq!(replay.insert(key(1), who, 1_000, 0), Ok(()));
        assert_eq!(
            replay.insert(key(1), who, 1_000, 1_000),
            Err(AuthError::Replayed)
        );
        assert!(replay.contains(&key(1)));
        assert_eq!(replay.insert(key(1), who, 2_000, 1_001), Ok(()));
    }

    #[test]
    fn both_sides_of_the_limits_and_expired_nonces_make_room() {
        let mut replay = Replay::new(8);
        for n in 0..2 {
            assert_eq!(replay.insert(key(n), Address::ZERO, 10, 0), Ok(()));
        }
        assert_eq!(
            replay.insert(key(2), Address::ZERO, 10, 0),
            Err(AuthError::Busy)
        );
        for n in 2..8 {
            let who = Address::repeat_byte(n as u8);
            assert_eq!(replay.insert(key(n), who, 10, 0), Ok(()));
        }
        let late = Address::repeat_byte(9);
        assert_eq!(replay.insert(key(8), late, 20, 10), Err(AuthError::Busy));
        assert_eq!(replay.insert(key(8), late, 20, 11), Ok(()));
        assert_eq!(replay.counts.len(), 1);
        assert_eq!(replay.by_expiry.len(), 1);
    }
}
