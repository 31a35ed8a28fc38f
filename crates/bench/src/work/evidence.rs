//! Evidence records, one or many under a signature.

use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use hawser_services::evidence::{self, Algorithm, DigestSet, IEvidence, Record};

use super::{Done, Expectation, Op, Scene, Workload, number_of, sample};
use crate::seed::derive;

/// Transactions of which a record is looked for.
const SAMPLE: usize = 100;
/// Gas of a record: 31,000, and its bytes.
const RECORD_GAS: u64 = 42_000;
/// Gas of a digest in a set: 200, and 16 for each of its bytes.
const DIGEST_GAS: u64 = 712;

/// Registers records: a digest of 32 bytes, a media type and a description.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) records: u64,
}

impl Evidence {
    fn record(&self, scene: &Scene, from: usize, index: u64, which: u64) -> Record {
        let number = number_of(
            from,
            index.saturating_mul(self.records).saturating_add(which),
        );
        Record {
            digest: derive(scene.seed, "bench record", number).to_vec(),
            algorithm: Algorithm::Sha256.number(),
            media_type: "application/pdf".to_owned(),
            description: format!("file {number}"),
            sealed_owner: Vec::new(),
        }
    }
}

impl Workload for Evidence {
    fn records(&self) -> u64 {
        self.records
    }

    fn unordered(&self) -> bool {
        true
    }

    fn op(&self, scene: &Scene, from: usize, index: u64) -> Op {
        let one = |which| self.record(scene, from, index, which);
        let records: Vec<_> = (0..self.records).map(one).collect();
        let gas = 60_000 + RECORD_GAS * self.records;
        Op::call(evidence::ADDRESS, evidence::encode_register(&records), gas)
    }

    fn expected(&self, scene: &Scene, done: &Done<'_>) -> Vec<Expectation> {
        sample(done, SAMPLE)
            .map(|(from, index)| {
                let (from, index) = (from as usize, u64::from(index));
                let record = self.record(scene, from, index, index % self.records);
                let owner = scene.addresses.get(from).copied().unwrap_or_default();
                let call = IEvidence::findCall {
                    owner,
                    algorithm: record.algorithm,
                    digest: Bytes::copy_from_slice(&record.digest),
                };
                let id = evidence::record_id(owner, record.algorithm, &record.digest);
                let what = format!("the record `{}` of {owner}", record.description);
                Expectation::call(what, evidence::ADDRESS, call.abi_encode(), id.to_vec())
            })
            .collect()
    }
}

/// Registers sets of digests, each set under one root: what a caller proves of one of them is a path to
/// the root.
#[derive(Debug)]
pub(super) struct EvidenceSet {
    pub(super) digests: u64,
}

impl EvidenceSet {
    fn set(&self, scene: &Scene, from: usize, index: u64) -> DigestSet {
        let first = index.saturating_mul(self.digests);
        let one = |which| {
            let number = number_of(from, first.saturating_add(which));
            derive(scene.seed, "bench digest", number)
        };
        DigestSet {
            algorithm: Algorithm::Sha256.number(),
            digests: (0..self.digests).flat_map(one).collect(),
            media_type: "application/pdf".to_owned(),
            description: format!("files from {}", number_of(from, first)),
            sealed_owner: Vec::new(),
        }
    }
}

impl Workload for EvidenceSet {
    fn records(&self) -> u64 {
        self.digests
    }

    fn unordered(&self) -> bool {
        true
    }

    fn op(&self, scene: &Scene, from: usize, index: u64) -> Op {
        let set = self.set(scene, from, index);
        let gas = 120_000 + DIGEST_GAS * self.digests;
        Op::call(evidence::ADDRESS, evidence::encode_register_set(&set), gas)
    }

    fn expected(&self, scene: &Scene, done: &Done<'_>) -> Vec<Expectation> {
        sample(done, SAMPLE)
            .filter_map(|(from, index)| {
                let (from, index) = (from as usize, u64::from(index));
                let set = self.set(scene, from, index);
                let root = set.tree(scene.suite)?.root();
                let owner = scene.addresses.get(from).copied()?;
                let call = IEvidence::findSetCall {
                    owner,
                    algorithm: set.algorithm,
                    root,
                };
                let id = evidence::set_id(owner, set.algorithm, &root);
                let what = format!("the set `{}` of {owner}", set.description);
                let (to, input) = (evidence::ADDRESS, call.abi_encode());
                Some(Expectation::call(what, to, input, id.to_vec()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::test_scene;

    #[test]
    fn no_record_comes_twice() {
        let (scene, evidence) = (test_scene(2), Evidence { records: 10 });
        let mut seen = std::collections::BTreeSet::new();
        for (from, index) in [(0, 0), (0, 1), (1, 0)] {
            for which in 0..10 {
                assert!(seen.insert(evidence.record(&scene, from, index, which).digest));
            }
        }
    }

    #[test]
    fn no_digest_of_a_set_comes_twice() {
        let (scene, sets) = (test_scene(2), EvidenceSet { digests: 10 });
        let mut seen = std::collections::BTreeSet::new();
        for (from, index) in [(0, 0), (0, 1), (1, 0)] {
            for digest in sets.set(&scene, from, index).digests.chunks(32) {
                assert!(seen.insert(digest.to_vec()));
            }
        }
        assert_eq!(seen.len(), 30);
    }

    #[test]
    fn a_thousand_records_fit_the_limits_of_a_transaction() {
        let op = Evidence { records: 1_000 }.op(&test_scene(1), 0, 0);
        assert!(
            op.gas < 50_000_000 && op.input.len() < 500_000,
            "{}",
            op.input.len()
        );
    }
}
