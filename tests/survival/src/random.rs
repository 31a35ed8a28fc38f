//! Numbers from a seed, so that a run can be repeated as far as real processes allow.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose faults and operations.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for each `seed` and `stream`.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xa076_1d64_78bd_642f));
        random.number();
        random
    }

    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or(0)
    }

    /// True `per_mille` times out of a thousand.
    pub fn chance(&mut self, per_mille: u16) -> bool {
        self.below(1_000) < u64::from(per_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_its_stream_and_another_gives_another() {
        let take = |seed, stream| {
            let mut random = Random::new(seed, stream);
            (0..8).map(|_| random.number()).collect::<Vec<_>>()
        };
        assert_eq!(take(1, 1), take(1, 1));
        assert_ne!(take(1, 1), take(2, 1));
        assert_ne!(take(1, 1), take(1, 2));
    }

    #[test]
    fn chances_are_about_what_was_asked_for() {
        let mut random = Random::new(7, 0);
        let hits = (0..10_000).filter(|_| random.chance(100)).count();
        assert!((900..1_100).contains(&hits), "{hits}");
        assert!(!random.chance(0) && random.chance(1_000));
        assert_eq!(random.below(0), 0);
    }
}
