/// SplitMix64 (Steele, Lea and Flood, 2014): reproducible choices for injected faults. Not for
/// secrets.
#[derive(Clone, Debug)]
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..=max`.
    pub(crate) const fn up_to(&mut self, max: usize) -> usize {
        (self.next() % (max as u64).saturating_add(1)) as usize
    }

    /// True `per_mille` times in a thousand.
    pub(crate) const fn chance(&mut self, per_mille: u16) -> bool {
        self.next() % 1000 < per_mille as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_published_sequence() {
        // First outputs of SplitMix64 for seed 1234567, as published with the xoshiro generators.
        let mut seed = Seed::new(1_234_567);
        assert_eq!(seed.next(), 6_457_827_717_110_365_317);
        assert_eq!(seed.next(), 3_203_168_211_198_807_973);
    }
}
