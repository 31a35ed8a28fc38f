//! DoNothing, CPUHeavy and IOHeavy of Blockbench.
//!
//! Dinh and others: "BLOCKBENCH: A Framework for Analyzing Private Blockchains" (2017).

use alloy_primitives::{U256, keccak256};
use alloy_sol_types::{SolCall, sol};

use super::{Done, Expectation, Op, Scene, Workload, number_of, sample};

/// Numbers that CPUHeavy sorts.
const NUMBERS: u64 = 256;
/// Keys that IOHeavy writes and reads.
const KEYS: u64 = 20;
/// Ranges of keys summed up again.
const SAMPLE: usize = 100;

sol! {
    function nothing();
    function sort(uint256 size) returns (bytes32);
    function write(uint256 first, uint256 count) returns (uint256);
    function total(uint256 first, uint256 count) returns (uint256);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heavy {
    /// Calls an empty function.
    Nothing,
    /// Sorts numbers.
    Cpu,
    /// Writes keys and reads them back.
    Io,
}

impl Heavy {
    /// The first key of a transaction's range.
    const fn first(from: usize, index: u64) -> u64 {
        number_of(from, index).saturating_mul(KEYS)
    }
}

impl Workload for Heavy {
    fn creation(&self) -> Option<&'static str> {
        Some(include_str!("../../contracts/Heavy.hex"))
    }

    fn op(&self, scene: &Scene, from: usize, index: u64) -> Op {
        let (input, gas) = match self {
            Self::Nothing => (nothingCall {}.abi_encode(), 30_000),
            Self::Cpu => {
                let size = U256::from(NUMBERS);
                (sortCall { size }.abi_encode(), 3_000_000)
            }
            Self::Io => {
                let first = U256::from(Self::first(from, index));
                let count = U256::from(KEYS);
                (writeCall { first, count }.abi_encode(), 700_000)
            }
        };
        Op::call(scene.contract, input, gas)
    }

    fn expected(&self, scene: &Scene, done: &Done<'_>) -> Vec<Expectation> {
        match self {
            // That every receipt says success is all there is to see.
            Self::Nothing => Vec::new(),
            Self::Cpu => {
                let sorted = (1..=NUMBERS).flat_map(|n| U256::from(n).to_be_bytes::<32>());
                let answer = keccak256(sorted.collect::<Vec<_>>()).to_vec();
                let size = U256::from(NUMBERS);
                let (to, input) = (scene.contract, sortCall { size }.abi_encode());
                vec![Expectation::call(
                    "the sorted numbers".to_owned(),
                    to,
                    input,
                    answer,
                )]
            }
            Self::Io => sample(done, SAMPLE)
                .map(|(from, index)| {
                    let first = Self::first(from as usize, u64::from(index));
                    let sum: U256 = (first..first + KEYS).map(|key| U256::from(key + 1)).sum();
                    let call = totalCall {
                        first: U256::from(first),
                        count: U256::from(KEYS),
                    };
                    let what = format!("{KEYS} keys from {first} on");
                    let answer = sum.to_be_bytes::<32>().to_vec();
                    Expectation::call(what, scene.contract, call.abi_encode(), answer)
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_keys_do_not_overlap() {
        assert_eq!(Heavy::first(0, 1), Heavy::first(0, 0) + KEYS);
        assert!(Heavy::first(1, 0) > Heavy::first(0, 1 << 39));
    }
}
