use std::sync::Arc;

use hawser_ledger::ValidatorSet;
use hawser_primitives::{B256, Height, Round};

/// Names the committee that decides a height. Who implements it knows how members are chosen: by
/// governance today; later elections (stake, delegate, sortition) stand beside it.
pub trait Election: Send + Sync {
    /// The committee of a height. Every replica gives the same answer for a height whose
    /// settings it knows; for later ones, the newest committee that it knows of.
    fn committee(&self, height: Height) -> Arc<ValidatorSet>;

    /// Hash of that committee, as headers carry it.
    fn committee_hash(&self, height: Height) -> B256;
}

/// Position of the proposer of a round.
///
/// With equal weights this is a rotation. Otherwise the Weyl sequence of the golden ratio
/// (multiples of ⌊2^64/φ⌋ modulo 2^64, Knuth volume 3, section 6.4) picks a point of the summed
/// weights, so that each validator proposes in proportion to its weight, evenly spread, without
/// any state to carry along.
#[must_use]
pub fn proposer_index(set: &ValidatorSet, height: Height, round: Round) -> usize {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let turn = height.0.wrapping_add(u64::from(round.0));
    let validators = set.validators();
    let first = validators.first().map_or(0, |v| v.weight);
    if validators.iter().all(|v| v.weight == first) {
        return usize::try_from(turn % validators.len() as u64).unwrap_or(0);
    }
    let point = (u128::from(turn.wrapping_mul(GOLDEN)) * u128::from(set.total_weight())) >> 64;
    let mut upto = 0u128;
    for (i, validator) in validators.iter().enumerate() {
        upto += u128::from(validator.weight);
        if point < upto {
            return i;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use hawser_crypto::{Scheme, SecretKey};
    use hawser_ledger::Validator;

    use super::*;

    fn set(weights: &[u64]) -> ValidatorSet {
        let member = |(i, weight): (usize, &u64)| Validator {
            public_key: SecretKey::from_seed(Scheme::Ed25519, &[i as u8 + 1; 32])
                .unwrap()
                .public_key(),
            weight: *weight,
        };
        ValidatorSet::new(weights.iter().enumerate().map(member).collect()).unwrap()
    }

    #[test]
    fn equal_weights_take_turns() {
        let set = set(&[1, 1, 1, 1]);
        let turns: Vec<_> = (0..8)
            .map(|h| proposer_index(&set, Height(h), Round(0)))
            .collect();
        assert_eq!(turns, [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(proposer_index(&set, Height(3), Round(2)), 1);
    }

    #[test]
    fn turns_follow_weights() {
        let set = set(&[1, 2, 5]);
        let mut counts = [0u32; 3];
        for h in 0..8000 {
            counts[proposer_index(&set, Height(h), Round(0))] += 1;
        }
        for (validator, count) in set.validators().iter().zip(counts) {
            let expected = 1000 * validator.weight as i64;
            assert!(
                (i64::from(count) - expected).abs() <= 3,
                "{count} of {expected}"
            );
        }
    }
}
