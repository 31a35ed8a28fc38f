//! Assets of a fixed size.

use alloy_primitives::{Bytes, U256};
use alloy_sol_types::{SolCall, SolValue, sol};

use super::{Done, Expectation, Op, Scene, Workload, number_of, sample};
use crate::seed::Draws;

/// Smallest and largest size, in bytes.
pub(super) const SIZES: std::ops::RangeInclusive<usize> = 100..=16_384;
/// Assets read back.
const SAMPLE: usize = 40;

sol! {
    function create(uint256 id, bytes content);
    function get(uint256 id) returns (address owner, bytes content);
}

/// Every transaction creates one.
#[derive(Debug)]
pub(super) struct Assets {
    pub(super) bytes: usize,
}

impl Assets {
    fn content(&self, scene: &Scene, from: usize, index: u64) -> Bytes {
        let mut draws = Draws::new(scene.seed, from, index);
        let words = self.bytes.div_ceil(8);
        let mut content: Vec<u8> = (0..words)
            .flat_map(|_| draws.next().to_be_bytes())
            .collect();
        content.truncate(self.bytes);
        content.into()
    }
}

impl Workload for Assets {
    fn creation(&self) -> Option<&'static str> {
        Some(include_str!("../../contracts/Assets.hex"))
    }

    fn op(&self, scene: &Scene, from: usize, index: u64) -> Op {
        let call = createCall {
            id: U256::from(number_of(from, index)),
            content: self.content(scene, from, index),
        };
        // 22,100 for every word kept, and the bytes on their way.
        let gas = 180_000 + 780 * self.bytes as u64;
        Op::call(scene.contract, call.abi_encode(), gas)
    }

    fn expected(&self, scene: &Scene, done: &Done<'_>) -> Vec<Expectation> {
        sample(done, SAMPLE)
            .map(|(from, index)| {
                let (from, index) = (from as usize, u64::from(index));
                let id = number_of(from, index);
                let owner = scene.addresses.get(from).copied().unwrap_or_default();
                let answer = (owner, self.content(scene, from, index)).abi_encode_params();
                let call = getCall { id: U256::from(id) };
                Expectation::call(
                    format!("asset {id}"),
                    scene.contract,
                    call.abi_encode(),
                    answer,
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::test_scene;

    #[test]
    fn assets_have_their_size_and_are_all_different() {
        let scene = test_scene(2);
        for bytes in [100, 1_023, 16_384] {
            let assets = Assets { bytes };
            let (one, two) = (assets.content(&scene, 0, 0), assets.content(&scene, 1, 0));
            assert_eq!((one.len(), two.len()), (bytes, bytes));
            assert_ne!(one, two);
        }
    }
}
