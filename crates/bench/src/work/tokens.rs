//! ERC-20 transfers, with or without a hot account.

use hawser_primitives::U256;

use super::{Done, Expectation, Op, Scene, Workload, transfer};
use crate::{seed::Draws, token};

/// One unit from each account to others.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Transfers that go to the first account, of a hundred.
    pub(super) hot_percent: u8,
}

impl Tokens {
    fn recipient(&self, scene: &Scene, from: usize, index: u64) -> usize {
        let mut draws = Draws::new(!scene.seed, from, index);
        if draws.below(100) < u64::from(self.hot_percent) {
            return 0;
        }
        transfer::recipient(scene, from, index)
    }
}

impl Workload for Tokens {
    fn creation(&self) -> Option<&'static str> {
        Some(token::CODE_HEX)
    }

    fn preparation(&self, scene: &Scene) -> Vec<Op> {
        let chunks = scene.addresses.chunks(token::MINT_CHUNK);
        chunks
            .map(|to| Op::call(scene.contract, token::mint(to), token::MINT_GAS))
            .collect()
    }

    fn op(&self, scene: &Scene, from: usize, index: u64) -> Op {
        let to = scene.addresses.get(self.recipient(scene, from, index));
        let input = token::transfer(to.copied().unwrap_or_default(), 1);
        Op::call(scene.contract, input, token::TRANSFER_GAS)
    }

    fn expected(&self, scene: &Scene, done: &Done<'_>) -> Vec<Expectation> {
        let minted = U256::from(token::MINTED);
        let gains = transfer::gains(scene, done, |from, i| self.recipient(scene, from, i));
        let mut all: Vec<_> = scene
            .addresses
            .iter()
            .zip(gains)
            .map(|(address, gain)| {
                let answer = transfer::after(minted, gain).to_be_bytes::<32>().to_vec();
                let (to, input) = (scene.contract, token::balance_of(*address));
                Expectation::call(format!("the units of {address}"), to, input, answer)
            })
            .collect();
        let supply = minted.saturating_mul(U256::from(scene.addresses.len()));
        let supply = supply.to_be_bytes::<32>().to_vec();
        let what = "the supply of the token".to_owned();
        all.push(Expectation::call(
            what,
            scene.contract,
            token::total_supply(),
            supply,
        ));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::test_scene;

    #[test]
    fn the_hot_account_gets_its_share() {
        let scene = test_scene(10);
        for (hot_percent, low, high) in [(0, 80, 120), (30, 320, 430), (100, 1_000, 1_000)] {
            let tokens = Tokens { hot_percent };
            let each = (0..10).flat_map(|from| (0..100).map(move |i| (from, i)));
            let hot = each.filter(|(from, i)| tokens.recipient(&scene, *from, *i) == 0);
            let hot = hot.count();
            assert!((low..=high).contains(&hot), "{hot_percent}: {hot}");
        }
    }

    #[test]
    fn what_all_accounts_own_is_the_supply() {
        let scene = test_scene(4);
        let done = Done {
            counts: &[10, 3, 0, 8],
            order: &[],
        };
        let all = Tokens { hot_percent: 30 }.expected(&scene, &done);
        let (supply, balances) = all.split_last().unwrap();
        let sum: U256 = balances
            .iter()
            .map(|one| U256::from_be_slice(&one.answer))
            .sum();
        assert_eq!(sum, U256::from_be_slice(&supply.answer));
    }
}
