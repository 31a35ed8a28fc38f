use std::path::Path;

use anyhow::{Result, ensure};
use bitvec::prelude::Msb0;
use bitvec::view::BitView;
use hawser_crypto::Suite;
use nomt::hasher::{BinaryHash, BinaryHasher};
use nomt::{HashAlgorithm, KeyReadWrite, Nomt, Options, SessionParams, WitnessMode};

use crate::measure;
use crate::workload::{Update, key};

pub type Blake3 = nomt::hasher::Blake3Hasher;
pub type Keccak = BinaryHasher<KeccakHash>;

pub struct KeccakHash;

impl BinaryHash for KeccakHash {
    fn hash(input: &[u8]) -> [u8; 32] {
        Suite::Intl.hash(input).0
    }
}

/// `nomt` with its default caches (256 MiB of pages, 256 MiB of leaves).
pub struct Engine<H: HashAlgorithm> {
    nomt: Nomt<H>,
}

impl<H: HashAlgorithm> Engine<H> {
    pub fn open(folder: &Path, keys: u64) -> Result<Self> {
        let mut options = Options::new();
        options.path(folder.join("nomt"));
        options.commit_concurrency(1);
        // The table cannot grow while open: room for the keys to come, in pages of 4 KiB.
        options.hashtable_buckets(u32::try_from((keys / 2).max(256_000))?);
        options.preallocate_ht(false);
        Ok(Self {
            nomt: Nomt::open(options)?,
        })
    }
}

fn path(n: u64) -> [u8; 32] {
    key(n).path(Suite::Intl).0
}

impl<H: HashAlgorithm> measure::Engine for Engine<H> {
    async fn batch(&mut self, updates: &[Update]) -> Result<()> {
        let session = self
            .nomt
            .begin_session(SessionParams::default().witness_mode(WitnessMode::disabled()));
        let mut writes = Vec::with_capacity(updates.len());
        for (n, value) in updates {
            let path = path(*n);
            session.warm_up(path);
            let old = session.read(path)?;
            writes.push((path, KeyReadWrite::ReadThenWrite(old, Some(value.to_vec()))));
        }
        writes.sort_by_key(|(path, _)| *path);
        session.finish(writes)?.commit(&self.nomt)?;
        Ok(())
    }

    async fn read(&mut self, n: u64) -> Result<Option<[u8; 32]>> {
        Ok(self
            .nomt
            .read(path(n))?
            .map(|value| value.try_into().expect("32 bytes")))
    }

    async fn proof_bytes(&mut self, n: u64) -> Result<usize> {
        let session = self
            .nomt
            .begin_session(SessionParams::default().witness_mode(WitnessMode::disabled()));
        let path = path(n);
        let proof = session.prove(path)?;
        let verified = proof.verify::<H>(path.view_bits::<Msb0>(), self.nomt.root().into_inner());
        ensure!(verified.is_ok(), "proof refused");
        // Siblings that are not empty, and a bit for each that may be.
        let full = proof
            .siblings
            .iter()
            .filter(|sibling| **sibling != [0; 32])
            .count();
        Ok(full * 32 + proof.siblings.len().div_ceil(8) + 2)
    }

    async fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    fn notes(&self) -> String {
        let used = self.nomt.hash_table_utilization();
        format!(
            "hash table: {} of {} pages used",
            used.occupied, used.capacity
        )
    }
}
