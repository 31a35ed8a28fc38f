use hawser_ledger::state::StateKey;
use hawser_primitives::{Address, B256};

/// Keys that a batch updates.
pub const BATCH: u64 = 3_000;
/// Of these, keys that are new.
pub const NEW: u64 = 600;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn word(&mut self) -> [u8; 32] {
        let mut word = [0; 32];
        for chunk in word.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        word
    }
}

/// The `n`th key: a storage slot of one of 64 contracts, as token balances are kept.
pub fn key(n: u64) -> StateKey {
    StateKey::Storage(
        Address::repeat_byte((n % 64) as u8),
        B256::from(Random(n).word()),
    )
}

/// An update: number of the key and its new value of 32 bytes.
pub type Update = (u64, [u8; 32]);

/// A batch over `keys` existing keys, each key once, new ones included.
pub fn batch(random: &mut Random, keys: u64) -> Vec<Update> {
    let mut chosen = std::collections::BTreeSet::new();
    while (chosen.len() as u64) < BATCH - NEW {
        chosen.insert(random.next() % keys);
    }
    chosen.extend(keys..keys + NEW);
    chosen.into_iter().map(|n| (n, random.word())).collect()
}
