//! Fetched blocks that wait for their turn, by height and bounded.

use std::{collections::BTreeMap, sync::Arc};

use hawser_ledger::{Block, Certificate, VerifiedTransaction};
use hawser_network::PeerId;
use hawser_primitives::{B256, Height};

use super::super::CertifiedBlock;

/// Heights above the tip of which blocks are kept.
pub(in crate::replica) const WINDOW_BLOCKS: u64 = 256;
/// Bytes kept; only the next block may come on top.
pub(in crate::replica) const WINDOW_BYTES: usize = 64 * 1024 * 1024;

/// What a transaction, a signature, and a block without any take in memory beside their bytes.
const TRANSACTION_OVERHEAD: usize = 40;
const SIGNATURE_BYTES: usize = 96;
const BLOCK_OVERHEAD: usize = 1_024;

/// What is known of the signatures of a block's transactions.
#[derive(Debug)]
pub(super) enum Signatures {
    /// Nothing.
    Open,
    /// They are being verified.
    Asked,
    /// They are good.
    Good(Arc<Vec<Arc<VerifiedTransaction>>>),
    /// One is not, for this reason.
    Bad(String),
}

/// A block that waits.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) from: PeerId,
    pub(super) hash: B256,
    pub(super) block: Arc<Block>,
    pub(super) certificate: Certificate,
    /// Whether its certificate and body were found good.
    pub(super) proven: bool,
    pub(super) signatures: Signatures,
}

impl Held {
    pub(super) fn new(from: PeerId, hash: B256, block: CertifiedBlock) -> Self {
        Self {
            from,
            hash,
            block: Arc::new(block.block),
            certificate: block.certificate,
            proven: false,
            signatures: Signatures::Open,
        }
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let transactions = self.block.transactions.len();
        let signatures = self.certificate.signatures.len();
        let body = self.block.body_bytes();
        body.saturating_add(transactions.saturating_mul(TRANSACTION_OVERHEAD))
            .saturating_add(signatures.saturating_mul(SIGNATURE_BYTES))
            .saturating_add(BLOCK_OVERHEAD)
    }
}

/// The blocks that wait.
#[derive(Debug, Default)]
pub(super) struct Window {
    blocks: BTreeMap<Height, Held>,
    bytes: usize,
}

impl Window {
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, height: Height) -> Option<&Held> {
        self.blocks.get(&height)
    }

    pub(super) fn get_mut(&mut self, height: Height) -> Option<&mut Held> {
        self.blocks.get_mut(&height)
    }

    pub(super) fn contains(&self, height: Height) -> bool {
        self.blocks.contains_key(&height)
    }

    /// The first block at or above a height.
    pub(super) fn first_from(&self, height: Height) -> Option<Height> {
        self.blocks
            .range(height..)
            .next()
            .map(|(height, _)| *height)
    }

    /// Keeps a block if it is wanted and there is room; `next` is the height that is taken up next.
    pub(super) fn insert(&mut self, next: Height, held: Held) -> bool {
        let height = held.block.header.height;
        let beyond = next.0.saturating_add(WINDOW_BLOCKS);
        if height < next || height.0 >= beyond || self.contains(height) {
            return false;
        }
        let bytes = self.bytes.saturating_add(held.bytes());
        if bytes > WINDOW_BYTES && height != next {
            return false;
        }
        self.bytes = bytes;
        self.blocks.insert(height, held);
        true
    }

    pub(super) fn remove(&mut self, height: Height) -> Option<Held> {
        let held = self.blocks.remove(&height)?;
        self.bytes = self.bytes.saturating_sub(held.bytes());
        Some(held)
    }

    /// Drops what lies below a height.
    pub(super) fn drop_below(&mut self, next: Height) {
        while let Some((height, _)) = self.blocks.first_key_value()
            && *height < next
        {
            let height = *height;
            self.remove(height);
        }
    }

    /// Drops what a peer sent and was not found good yet.
    pub(super) fn drop_from(&mut self, peer: PeerId) {
        let bytes = &mut self.bytes;
        self.blocks.retain(|_, held| {
            let keep = held.from != peer || held.proven;
            if !keep {
                *bytes = bytes.saturating_sub(held.bytes());
            }
            keep
        });
    }

    /// The block whose signatures are being verified under this hash.
    pub(super) fn asked(&mut self, hash: &B256) -> Option<&mut Held> {
        self.blocks
            .values_mut()
            .find(|held| held.hash == *hash && matches!(held.signatures, Signatures::Asked))
    }
}

#[cfg(test)]
mod tests {
    use hawser_ledger::{Header, Roots};
    use hawser_primitives::{Address, Bytes, ChainId, Round, Time};

    use super::*;

    fn held(height: u64, bytes: usize) -> Held {
        let header = Header {
            version: 1,
            chain_id: ChainId(1),
            height: Height(height),
            parent: B256::ZERO,
            time: Time(height),
            proposer: Address::ZERO,
            transactions_root: B256::ZERO,
            transactions_count: 1,
            executed: Roots::default(),
            validators: B256::ZERO,
            next_validators: B256::ZERO,
        };
        let block = Block {
            header,
            transactions: vec![Bytes::from(vec![0; bytes])],
        };
        let certificate = Certificate {
            height: Height(height),
            round: Round(0),
            block_hash: B256::ZERO,
            signatures: Vec::new(),
        };
        Held::new(
            PeerId([1; 32]),
            B256::ZERO,
            CertifiedBlock { block, certificate },
        )
    }

    #[test]
    fn blocks_are_kept_up_to_both_bounds_and_the_next_one_always() {
        let (mut window, next) = (Window::default(), Height(10));
        assert!(!window.insert(next, held(9, 1)));
        assert!(!window.insert(next, held(10 + WINDOW_BLOCKS, 1)));
        assert!(window.insert(next, held(9 + WINDOW_BLOCKS, 1)));
        assert!(!window.insert(next, held(9 + WINDOW_BLOCKS, 1)), "twice");
        let eighth = WINDOW_BYTES / 8;
        let fits = (11..30).filter(|height| window.insert(next, held(*height, eighth)));
        assert_eq!(fits.count(), 7);
        assert!(window.insert(next, held(10, eighth)));
        assert!(!window.insert(next, held(30, eighth)));
        window.drop_below(Height(12));
        assert_eq!(window.len(), 7);
        assert!(window.insert(Height(12), held(30, eighth)));
        window.drop_from(PeerId([1; 32]));
        assert_eq!((window.len(), window.bytes()), (0, 0));
    }

    #[test]
    fn what_carries_much_besides_its_bytes_counts_for_more() {
        let mut block = held(1, 0);
        let plain = block.bytes();
        let mut body = Block::clone(&block.block);
        body.transactions = vec![Bytes::default(); 1_000];
        block.block = Arc::new(body);
        assert!(block.bytes() >= plain + 39_000);
    }
}
