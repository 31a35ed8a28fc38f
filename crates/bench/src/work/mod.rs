//! The workloads: what is sent, and what has to be true afterwards.
//!
//! A workload is a function from seed, account and index to a call, so that the same seed always gives the same
//! transactions; and from the calls that were executed, in the chain's order, to answers that every node has to give.

mod assets;
mod bank;
mod evidence;
mod heavy;
mod lanes;
mod names;
mod query;
mod tokens;
mod transfer;
mod ycsb;

use hawser_crypto::Suite;
use hawser_primitives::{Address, Bytes, ChainId, U256};

pub(crate) use lanes::{Envelope, Lanes, Signing, Tx};
pub(crate) use names::{Choice, NAMES, parse};
pub(crate) use query::Queries;

/// A call as a workload wants it; who signs it and how is decided elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) to: Address,
    /// In wei.
    pub(crate) value: u64,
    pub(crate) input: Bytes,
    pub(crate) gas: u64,
}

impl Op {
    pub(crate) fn call(to: Address, input: impl Into<Bytes>, gas: u64) -> Self {
        Self {
            to,
            value: 0,
            input: input.into(),
            gas,
        }
    }
}

/// Where a workload plays.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) suite: Suite,
    pub(crate) chain: ChainId,
    pub(crate) seed: u64,
    /// The accounts that send.
    pub(crate) addresses: Vec<Address>,
    /// What these had before the first transaction, in wei; empty where the workload moves no value.
    pub(crate) balances: Vec<U256>,
    /// The workload's contract; zero where it has none.
    pub(crate) contract: Address,
}

/// What was executed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done<'a> {
    /// How many transactions of each account: always the first ones.
    pub(crate) counts: &'a [u64],
    /// Account and index of every transaction, in the order of the chain.
    pub(crate) order: &'a [(u32, u32)],
}

/// A question to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// `eth_call`.
    Call(Address, Bytes),
    /// `eth_getBalance`.
    Balance(Address),
}

/// What every node has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expectation {
    /// What is compared, for the message.
    pub(crate) what: String,
    pub(crate) question: Question,
    /// The bytes returned; of a balance its 32 bytes.
    pub(crate) answer: Bytes,
}

impl Expectation {
    fn call(what: String, to: Address, input: impl Into<Bytes>, answer: impl Into<Bytes>) -> Self {
        Self {
            what,
            question: Question::Call(to, input.into()),
            answer: answer.into(),
        }
    }
}

/// A kind of transactions.
pub(crate) trait Workload: Send + Sync + std::fmt::Debug {
    /// Creation code of its contract, in hexadecimal; `None` where it needs none.
    fn creation(&self) -> Option<&'static str> {
        None
    }

    /// Calls of the deployer that bring the contract into its first state.
    fn preparation(&self, _scene: &Scene) -> Vec<Op> {
        Vec::new()
    }

    /// What every account needs, in wei.
    fn funds(&self) -> u64 {
        0
    }

    /// Records that one transaction carries, where that is what is counted.
    fn records(&self) -> u64 {
        1
    }

    /// Whether transactions of the native envelope go without an order of nonces.
    fn unordered(&self) -> bool {
        false
    }

    /// The call of an account's transaction with this index.
    fn op(&self, scene: &Scene, from: usize, index: u64) -> Op;

    /// What has to be true afterwards.
    fn expected(&self, scene: &Scene, done: &Done<'_>) -> Vec<Expectation>;
}

/// Up to `wanted` of the executed transactions, spread over all of them.
fn sample<'a>(done: &Done<'a>, wanted: usize) -> impl Iterator<Item = (u32, u32)> + 'a {
    let step = done.order.len().div_ceil(wanted.max(1)).max(1);
    done.order.iter().step_by(step).copied()
}

/// A number that only this transaction of this run has.
const fn number_of(from: usize, index: u64) -> u64 {
    ((from as u64) << 40) | index
}

#[cfg(test)]
pub(crate) fn test_scene(accounts: u8) -> Scene {
    Scene {
        suite: Suite::Intl,
        chain: ChainId(7),
        seed: 1,
        addresses: (0..accounts).map(|n| Address::repeat_byte(n + 1)).collect(),
        balances: vec![U256::from(1_000); usize::from(accounts)],
        contract: Address::repeat_byte(0xcc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_the_same_for_a_seed_and_another_for_another() {
        let scene = test_scene(8);
        let other = Scene {
            seed: 2,
            ..scene.clone()
        };
        for (name, ..) in NAMES {
            let Ok(Choice::Transactions(workload)) = parse(name) else {
                continue;
            };
            let all = |scene: &Scene| -> Vec<Op> {
                let each = |from| (0..20).map(move |index| (from, index));
                (0..8)
                    .flat_map(each)
                    .map(|(from, index)| workload.op(scene, from, index))
                    .collect()
            };
            assert_eq!(all(&scene), all(&scene), "{name}");
            // These do the same whatever the seed is.
            if !matches!(*name, "nothing" | "cpu" | "io" | "erc20-hot100") {
                assert_ne!(all(&scene), all(&other), "{name}");
            }
        }
    }

    #[test]
    fn a_sample_is_spread_and_bounded() {
        let order: Vec<_> = (0..1_000).map(|n| (0, n)).collect();
        let done = Done {
            counts: &[1_000],
            order: &order,
        };
        let some: Vec<_> = sample(&done, 10).collect();
        assert_eq!(some.len(), 10);
        assert_eq!(some[9], (0, 900));
        assert_eq!(sample(&done, 5_000).count(), 1_000);
    }
}
