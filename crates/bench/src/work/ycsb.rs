//! YCSB A, B and F over records of 128 bytes, keys after Zipf's law.
//!
//! Cooper and others: "Benchmarking Cloud Serving Systems with YCSB" (2010). The draw of keys follows Gray and others:
//! "Quickly Generating Billion-Record Synthetic Databases" (1994), section 3.3.

use alloy_primitives::{B256, U256};
use alloy_sol_types::{SolCall, SolValue, sol};

use super::{Done, Expectation, Op, Scene, Workload};
use crate::seed::Draws;

/// Records; YCSB's default.
const RECORDS: u64 = 1_000;
/// Records loaded by one transaction, for some 90,000 gas each.
const LOAD_CHUNK: u64 = 200;
const LOAD_GAS: u64 = 25_000_000;
/// Skew of the keys.
const THETA: f64 = 0.99;
const GAS: u64 = 120_000;

sol! {
    function load(uint256 first, uint256 count);
    function read(uint256 key);
    function update(uint256 key, bytes32[3] fields);
    function modify(uint256 key, bytes32 change);
    function get(uint256 key) returns (uint256 writes, bytes32 a, bytes32 b, bytes32 c);
}

/// The mixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mix {
    /// Half reads, half updates.
    A,
    /// 95 of 100 read, the others update.
    B,
    /// Half reads, half read, change and write.
    F,
}

#[derive(Debug)]
pub(super) struct Ycsb {
    mix: Mix,
    zipf: Zipf,
}

/// Ranks from 0, of which rank k is drawn in proportion to 1 / (k + 1)^θ.
#[derive(Debug)]
struct Zipf {
    count: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    fn new(count: u64) -> Self {
        let zeta = |n: u64| (1..=n).map(|k| (k as f64).powf(-THETA)).sum::<f64>();
        let all = zeta(count);
        Self {
            count: count as f64,
            zeta: all,
            alpha: 1.0 / (1.0 - THETA),
            eta: (1.0 - (2.0 / count as f64).powf(1.0 - THETA)) / (1.0 - zeta(2) / all),
        }
    }

    fn rank(&self, unit: f64) -> u64 {
        let scaled = unit * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(THETA) {
            return 1;
        }
        let rank = self.count * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.count as u64 - 1)
    }
}

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Read(u64),
    Update(u64, [B256; 3]),
    Modify(u64, B256),
}

impl Ycsb {
    pub(super) fn new(mix: Mix) -> Self {
        Self {
            mix,
            zipf: Zipf::new(RECORDS),
        }
    }

    fn act(&self, scene: &Scene, from: usize, index: u64) -> Act {
        let mut draws = Draws::new(scene.seed, from, index);
        // Popular keys lie apart from each other, as YCSB scatters them.
        let key = self.zipf.rank(draws.unit()) * 7_919 % RECORDS;
        let reads = match self.mix {
            Mix::A | Mix::F => 50,
            Mix::B => 95,
        };
        if draws.below(100) < reads {
            return Act::Read(key);
        }
        let mut word = || {
            let mut bytes = [0; 32];
            for part in bytes.chunks_exact_mut(8) {
                part.copy_from_slice(&draws.next().to_be_bytes());
            }
            B256::new(bytes)
        };
        match self.mix {
            Mix::A | Mix::B => Act::Update(key, [word(), word(), word()]),
            Mix::F => Act::Modify(key, word()),
        }
    }
}

impl Workload for Ycsb {
    fn creation(&self) -> Option<&'static str> {
        Some(include_str!("../../contracts/KeyValue.hex"))
    }

    fn preparation(&self, scene: &Scene) -> Vec<Op> {
        let chunks = (0..RECORDS / LOAD_CHUNK).map(|chunk| {
            let call = loadCall {
                first: U256::from(chunk * LOAD_CHUNK),
                count: U256::from(LOAD_CHUNK),
            };
            Op::call(scene.contract, call.abi_encode(), LOAD_GAS)
        });
        chunks.collect()
    }

    fn op(&self, scene: &Scene, from: usize, index: u64) -> Op {
        let input = match self.act(scene, from, index) {
            Act::Read(key) => readCall {
                key: U256::from(key),
            }
            .abi_encode(),
            Act::Update(key, fields) => updateCall {
                key: U256::from(key),
                fields,
            }
            .abi_encode(),
            Act::Modify(key, change) => modifyCall {
                key: U256::from(key),
                change,
            }
            .abi_encode(),
        };
        Op::call(scene.contract, input, GAS)
    }

    /// Every record, as the transactions left it in the order of the chain.
    fn expected(&self, scene: &Scene, done: &Done<'_>) -> Vec<Expectation> {
        let first = |key: u64| (0u64, [B256::from(U256::from(key + 1)); 3]);
        let mut records: Vec<_> = (0..RECORDS).map(first).collect();
        for (from, index) in done.order {
            let act = self.act(scene, *from as usize, u64::from(*index));
            let key = match act {
                Act::Read(_) => continue,
                Act::Update(key, _) | Act::Modify(key, _) => key,
            };
            let Some((writes, fields)) = usize::try_from(key)
                .ok()
                .and_then(|key| records.get_mut(key))
            else {
                continue;
            };
            *writes += 1;
            match act {
                Act::Update(_, new) => *fields = new,
                Act::Modify(_, change) => {
                    for field in fields {
                        *field ^= change;
                    }
                }
                Act::Read(_) => {}
            }
        }
        let all = records.into_iter().zip(0u64..);
        all.map(|((writes, [a, b, c]), key)| {
            let call = getCall {
                key: U256::from(key),
            };
            let answer = (U256::from(writes), a, b, c).abi_encode_params();
            Expectation::call(
                format!("record {key}"),
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
    fn ranks_follow_zipfs_law() {
        let zipf = Zipf::new(RECORDS);
        let mut draws = Draws::new(3, 0, 0);
        let mut hits = vec![0u32; RECORDS as usize];
        for _ in 0..200_000 {
            hits[zipf.rank(draws.unit()) as usize] += 1;
        }
        // 1 / zeta(1000) is 0.131; rank k has 1 / k^0.99 of it.
        let share = |rank: usize| f64::from(hits[rank]) / 200_000.0;
        assert!((share(0) - 0.131).abs() < 0.006, "{}", share(0));
        assert!((share(1) - 0.066).abs() < 0.006, "{}", share(1));
        let tail: f64 = (500..1_000).map(share).sum();
        assert!((tail - 0.094).abs() < 0.01, "{tail}");
    }

    #[test]
    fn the_mixes_read_and_write_as_they_should() {
        let scene = test_scene(4);
        for (mix, reads) in [(Mix::A, 500), (Mix::B, 950), (Mix::F, 500)] {
            let ycsb = Ycsb::new(mix);
            let count = (0..1_000)
                .filter(|i| matches!(ycsb.act(&scene, 1, *i), Act::Read(_)))
                .count();
            assert!(count.abs_diff(reads) < 60, "{mix:?}: {count}");
            let modifies = (0..1_000).any(|i| matches!(ycsb.act(&scene, 1, i), Act::Modify(..)));
            assert_eq!(modifies, mix == Mix::F);
        }
    }

    #[test]
    fn the_last_write_in_the_chains_order_stands() {
        let scene = test_scene(2);
        let ycsb = Ycsb::new(Mix::A);
        let writes = |from: usize| {
            let ycsb = &ycsb;
            (0..10_000u32).filter_map(move |i| match ycsb.act(&test_scene(2), from, i.into()) {
                Act::Update(0, fields) => Some((i, fields)),
                _ => None,
            })
        };
        let (one, other) = (writes(0).next().unwrap(), writes(1).next().unwrap());
        for (order, last) in [
            ([(0, one.0), (1, other.0)], other.1),
            ([(1, other.0), (0, one.0)], one.1),
        ] {
            let done = Done {
                counts: &[],
                order: &order,
            };
            let record = &ycsb.expected(&scene, &done)[0];
            assert_eq!(record.answer[..32], U256::from(2).to_be_bytes::<32>());
            assert_eq!(record.answer[32..64], last[0][..]);
        }
    }
}
