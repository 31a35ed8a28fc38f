//! The traits of the `cipher` crate, so that any mode written for them works with [`Sm4`].

use cipher::array::Array;
use cipher::consts::U16;
use cipher::inout::InOut;
use cipher::{
    AlgorithmName, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt,
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOutBuf, Key,
    KeyInit, KeySizeUser, ParBlocks, ParBlocksSizeUser,
};

use super::Sm4;

type Block = Array<u8, U16>;

impl KeySizeUser for Sm4 {
    type KeySize = U16;
}

impl KeyInit for Sm4 {
    fn new(key: &Key<Self>) -> Self {
        Self::new(&key.0)
    }
}

impl AlgorithmName for Sm4 {
    fn write_alg_name(f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sm4")
    }
}

impl BlockSizeUser for Sm4 {
    type BlockSize = U16;
}

impl ParBlocksSizeUser for Sm4 {
    type ParBlocksSize = U16;
}

impl BlockCipherEncrypt for Sm4 {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U16>) {
        f.call(self);
    }
}

impl BlockCipherDecrypt for Sm4 {
    fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = U16>) {
        f.call(self);
    }
}

impl BlockCipherEncBackend for Sm4 {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block>) {
        let mut one = [block.clone_in().0];
        self.encrypt_blocks(&mut one);
        let [one] = one;
        *block.get_out() = Array(one);
    }

    fn encrypt_par_blocks(&self, mut blocks: InOut<'_, '_, ParBlocks<Self>>) {
        let mut all = blocks.clone_in().0.map(|block| block.0);
        self.encrypt_blocks(&mut all);
        *blocks.get_out() = Array(all.map(Array));
    }

    fn encrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block>) {
        tail(blocks, |some| self.encrypt_blocks(some));
    }
}

impl BlockCipherDecBackend for Sm4 {
    fn decrypt_block(&self, mut block: InOut<'_, '_, Block>) {
        let mut one = [block.clone_in().0];
        self.decrypt_blocks(&mut one);
        let [one] = one;
        *block.get_out() = Array(one);
    }

    fn decrypt_par_blocks(&self, mut blocks: InOut<'_, '_, ParBlocks<Self>>) {
        let mut all = blocks.clone_in().0.map(|block| block.0);
        self.decrypt_blocks(&mut all);
        *blocks.get_out() = Array(all.map(Array));
    }

    fn decrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block>) {
        tail(blocks, |some| self.decrypt_blocks(some));
    }
}

/// Fewer blocks than a whole group, together all the same.
fn tail(mut blocks: InOutBuf<'_, '_, Block>, work: impl Fn(&mut [super::Block])) {
    let mut all = [[0; super::BLOCK_BYTES]; 16];
    let some = all.get_mut(..blocks.len()).unwrap_or_default();
    for (to, from) in some.iter_mut().zip(blocks.get_in()) {
        *to = from.0;
    }
    work(some);
    for (to, from) in blocks.get_out().iter_mut().zip(some) {
        *to = Array(*from);
    }
}
