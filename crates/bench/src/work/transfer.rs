//! Native transfers.

use alloy_primitives::Bytes;
use hawser_primitives::U256;

use super::{Done, Expectation, Op, Question, Scene, Workload};
use crate::seed::Draws;

/// What an account gets before it sends, in wei: more than it can send one by one.
const FUNDS: u64 = 1_000_000_000_000;
/// Gas of a transfer, by definition.
const GAS: u64 = 21_000;

/// One wei from each account to others.
#[derive(Debug)]
pub(super) struct Transfer;

/// Who receives an account's transaction; never the account itself.
pub(super) fn recipient(scene: &Scene, from: usize, index: u64) -> usize {
    let count = scene.addresses.len().max(2) as u64;
    let ahead = Draws::new(scene.seed, from, index).below(count.saturating_sub(1));
    usize::try_from((from as u64 + 1 + ahead) % count).unwrap_or(0)
}

/// What each account has gained, wrapping below zero.
pub(super) fn gains(scene: &Scene, done: &Done<'_>, to: impl Fn(usize, u64) -> usize) -> Vec<i128> {
    let mut gains = vec![0i128; scene.addresses.len()];
    for (from, count) in done.counts.iter().enumerate() {
        for index in 0..*count {
            for (account, change) in [(from, -1), (to(from, index), 1)] {
                if let Some(gain) = gains.get_mut(account) {
                    *gain += change;
                }
            }
        }
    }
    gains
}

/// A balance after a gain.
pub(super) fn after(before: U256, gain: i128) -> U256 {
    let size = U256::from(gain.unsigned_abs());
    if gain < 0 {
        before.saturating_sub(size)
    } else {
        before.saturating_add(size)
    }
}

impl Workload for Transfer {
    fn funds(&self) -> u64 {
        FUNDS
    }

    fn op(&self, scene: &Scene, from: usize, index: u64) -> Op {
        let to = scene.addresses.get(recipient(scene, from, index)).copied();
        Op {
            value: 1,
            ..Op::call(to.unwrap_or_default(), Bytes::new(), GAS)
        }
    }

    fn expected(&self, scene: &Scene, done: &Done<'_>) -> Vec<Expectation> {
        let gains = gains(scene, done, |from, index| recipient(scene, from, index));
        let accounts = scene.addresses.iter().zip(&scene.balances).zip(gains);
        accounts
            .map(|((address, before), gain)| Expectation {
                what: format!("the balance of {address}"),
                question: Question::Balance(*address),
                answer: after(*before, gain).to_be_bytes::<32>().to_vec().into(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::test_scene;

    #[test]
    fn nobody_sends_to_himself_and_value_is_neither_made_nor_lost() {
        let scene = test_scene(8);
        for from in 0..8 {
            for index in 0..100 {
                assert_ne!(recipient(&scene, from, index), from);
            }
        }
        let counts = [5, 0, 7, 1, 0, 0, 0, 9];
        let done = Done {
            counts: &counts,
            order: &[],
        };
        let sum: U256 = Transfer
            .expected(&scene, &done)
            .iter()
            .map(|one| U256::from_be_slice(&one.answer))
            .sum();
        assert_eq!(sum, U256::from(8_000));
    }
}
