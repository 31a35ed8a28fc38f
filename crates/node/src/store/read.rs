//! Questions about the past.

use std::sync::{Arc, atomic::Ordering};

use hawser_execution::Executor;
use hawser_ledger::{
    BlockId, Certificate, Genesis, Header, Roots,
    merkle::{self, MerkleProof},
    state::{StateKey, StateProof, StateView},
};
use hawser_primitives::{Address, B256, Bytes, Height, decode_exact, encode};
use thiserror::Error;

use super::{ChainStore, ExecutedBlock, ITEM_BYTES_MAX, StoreError, index};
use crate::replica::{CertifiedBlock, SYNC_BYTES, blocks_message};

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The block.
    pub height: Height,
    /// Position among all its transactions, skipped ones included, from 0.
    pub index: u32,
}

/// The state after a block that executed.
pub struct StateAt {
    /// The block.
    pub block: Arc<ExecutedBlock>,
    /// Its state.
    pub state: StateView,
}

/// Why there is no proof.
#[derive(Debug, Error)]
pub enum ProofError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No block certifies the wanted roots yet.
    #[error(
        "block {height} is executed, but no final block commits to its roots yet; one with \
         height {needed} will"
    )]
    NotCertified {
        /// Executed.
        height: Height,
        /// Needed.
        needed: Height,
    },
    /// A light client would have to follow more changes of the committee than one answer carries.
    #[error(
        "more than {0} changes of the committee lead to this block; ask for an earlier block first \
         and follow the chain in steps"
    )]
    TooManyChanges(usize),
    /// There is no such transaction in the block.
    #[error("block {0} has no transaction {1}")]
    NoTransaction(Height, u32),
}

impl ChainStore {
    /// The chain's genesis.
    #[must_use]
    pub const fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// Its hash.
    #[must_use]
    pub const fn genesis_hash(&self) -> B256 {
        self.genesis_hash
    }

    /// Newest protocol version that this program runs.
    #[must_use]
    pub const fn program_version(&self) -> u32 {
        self.program_version
    }

    /// What executes calls and traces.
    #[must_use]
    pub const fn executor(&self) -> &Executor {
        &self.executor
    }

    /// The last executed block.
    #[must_use]
    pub fn head(&self) -> Arc<ExecutedBlock> {
        Arc::clone(&self.head.read())
    }

    /// The first block of which everything is kept: body, receipts, index rows. 1 where nothing
    /// was dropped. The genesis is always there.
    #[must_use]
    pub fn first_height(&self) -> Height {
        Height(self.first.load(Ordering::Acquire))
    }

    /// Fails where what was not found by its hash may be in a block that is not kept.
    pub fn absence(&self) -> Result<(), StoreError> {
        match self.first_height() {
            Height(0 | 1) => Ok(()),
            first => Err(StoreError::PerhapsPruned { first }),
        }
    }

    /// The last stored height; at most a few above [`Self::head`].
    #[must_use]
    pub fn stored_height(&self) -> Height {
        Height(self.blocks.last().unwrap_or(0))
    }

    /// An executed block by height; `None` beyond the head, [`StoreError::Pruned`] before the first
    /// one kept.
    pub fn block(&self, height: Height) -> Result<Option<Arc<ExecutedBlock>>, StoreError> {
        if height > self.head().id().height {
            return Ok(None);
        }
        if let Some(block) = self.recent.read().blocks.get(&height) {
            return Ok(Some(Arc::clone(block)));
        }
        if height == Height::GENESIS {
            let roots = self.roots(height)?.unwrap_or_default();
            return Ok(Some(Arc::new(super::genesis_block(
                &self.genesis,
                roots.state,
            )?)));
        }
        self.load(height).map(Some)
    }

    /// Height of a block by its hash.
    pub fn height_of(&self, hash: &B256) -> Result<Option<Height>, StoreError> {
        let head = self.head();
        if *hash == head.hash {
            return Ok(Some(head.id().height));
        }
        if let Some((height, _)) = self.recent.read().hashes.iter().find(|(_, h)| *h == hash) {
            return Ok(Some(*height));
        }
        let height = index::block(self.kv.as_ref(), hash)?;
        if height.is_none() && *hash == self.genesis_block_hash()? {
            return Ok(Some(Height::GENESIS));
        }
        Ok(height.filter(|height| *height <= head.id().height))
    }

    pub(super) fn genesis_block_hash(&self) -> Result<B256, StoreError> {
        let roots = self.roots(Height::GENESIS)?.unwrap_or_default();
        Ok(super::genesis_block(&self.genesis, roots.state)?.hash)
    }

    /// Where a transaction is; `None` when no executed block has it.
    pub fn position(&self, hash: &B256) -> Result<Option<Position>, StoreError> {
        let head = self.head().id().height;
        let found = index::transaction(self.kv.as_ref(), hash)?;
        Ok(found
            .filter(|(height, _)| *height <= head)
            .map(|(height, index)| Position { height, index }))
    }

    /// Roots after an executed block.
    pub fn roots(&self, height: Height) -> Result<Option<Roots>, StoreError> {
        index::roots(self.kv.as_ref(), height)
    }

    /// Heights whose events may satisfy a filter on the bloom (256 bytes), in order.
    ///
    /// # Errors
    /// [`StoreError::Pruned`] where the range begins before the first block kept.
    pub fn blooms(
        &self,
        from: Height,
        to: Height,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<Height>, StoreError> {
        let found = index::blooms(self.kv.as_ref(), from, to, wanted)?;
        // Looked at afterwards: rows go only after the first height has moved.
        let first = self.first_height();
        if first > Height(1) && from < first {
            let height = from;
            return Err(StoreError::Pruned { height, first });
        }
        Ok(found)
    }

    /// Blocks (and positions of the event in the block) in which a native contract emitted an
    /// event with this last topic, oldest first.
    pub fn lookups(
        &self,
        contract: &Address,
        topic: &B256,
        limit: usize,
    ) -> Result<Vec<(Height, u32)>, StoreError> {
        index::lookups(self.kv.as_ref(), contract, topic, limit)
    }

    /// The state after an executed block, as far back as it is kept.
    pub fn state(&self, height: Height) -> Result<StateView, StoreError> {
        Ok(self.state.view(height)?)
    }

    /// Header and certificate of a final block, executed or not.
    pub fn certified(&self, height: Height) -> Result<Option<(Header, Certificate)>, StoreError> {
        if height == Height::GENESIS || height > self.stored_height() {
            return Ok(None);
        }
        let found = self.certified_if_kept(height)?;
        found.map(Some).ok_or_else(|| self.absent(height))
    }

    /// The same, of a dropped block as well; `None` where neither block nor header is here.
    pub(super) fn certified_if_kept(
        &self,
        height: Height,
    ) -> Result<Option<(Header, Certificate)>, StoreError> {
        if height >= self.first_height()
            && let Some(item) = self.blocks.get(height.0)?
        {
            let CertifiedBlock { block, certificate } = self.decode_stored(height, &item)?;
            return Ok(Some((block.header, certificate)));
        }
        let item = self.headers.get(height.0)?;
        item.map(|item| decode_header(height, &item)).transpose()
    }

    /// Headers and certificates of final blocks from a height on, `count` of them or until so many
    /// bytes of blocks were read, but one where there is one.
    pub fn headers(
        &self,
        from: Height,
        count: u32,
        read_bytes: usize,
    ) -> Result<Vec<(Header, Certificate)>, StoreError> {
        let (mut found, mut read) = (Vec::new(), 0usize);
        let end = from.0.saturating_add(u64::from(count));
        let last = self.stored_height().0.saturating_add(1);
        for height in from.0.max(1)..end.min(last) {
            let dropped = match self.headers.last() {
                Some(last) if height <= last => self.headers.get(height)?,
                _ => None,
            };
            let whole = match &dropped {
                None => self.blocks.get(height)?,
                Some(_) => None,
            };
            let item = dropped.as_ref().or(whole.as_ref());
            let item = item.ok_or_else(|| self.absent(Height(height)))?;
            read = read.saturating_add(item.len());
            if read > read_bytes && !found.is_empty() {
                break;
            }
            let height = Height(height);
            found.push(if dropped.is_some() {
                decode_header(height, item)?
            } else {
                let CertifiedBlock { block, certificate } = self.decode_stored(height, item)?;
                (block.header, certificate)
            });
        }
        Ok(found)
    }

    /// The final block that commits to the roots after `height`.
    pub fn certifier(&self, height: Height) -> Result<(Header, Certificate), ProofError> {
        let lag = self.genesis.parameters.root_lag;
        let needed = Height(height.0.saturating_add(lag));
        self.certified(needed)?
            .ok_or(ProofError::NotCertified { height, needed })
    }

    /// The newest height whose roots a final block commits to.
    #[must_use]
    pub fn certified_state_height(&self) -> Height {
        let by_blocks = self.stored_height().back(self.genesis.parameters.root_lag);
        by_blocks.min(self.head().id().height)
    }

    /// Proof of presence or absence of a key in the state after `height`.
    pub fn prove_state(&self, height: Height, key: &StateKey) -> Result<StateProof, StoreError> {
        Ok(self.state.prove(height, key)?)
    }

    /// Path of a transaction's receipt to the receipts root of its block.
    pub fn prove_receipt(&self, position: Position) -> Result<MerkleProof, ProofError> {
        let missing = || ProofError::NoTransaction(position.height, position.index);
        let block = self.block(position.height)?.ok_or_else(missing)?;
        let receipts = &block.result.receipts;
        let leaves = merkle::leaves(self.suite, receipts.iter().map(encode));
        let at = usize::try_from(position.index).unwrap_or(usize::MAX);
        MerkleProof::build(self.suite, &leaves, at).ok_or_else(missing)
    }

    /// Stored blocks from a height on, until a number or a size is reached, for a peer.
    ///
    /// # Errors
    /// [`StoreError::Pruned`] where the first of them is not kept.
    pub fn serve(&self, from: Height, count: u32) -> Result<Vec<CertifiedBlock>, StoreError> {
        let items = self.stored_items(from, count, &|height| self.is_here(height))?;
        self.decode_items(from, &items)
    }

    /// The same as an encoded [`crate::replica::PeerMessage::Blocks`]: they are stored as they are sent.
    ///
    /// # Errors
    /// [`StoreError::Pruned`] where the first of them is not kept.
    pub fn serve_encoded(&self, from: Height, count: u32) -> Result<Bytes, StoreError> {
        let items = self.stored_items(from, count, &|height| self.is_here(height))?;
        Ok(blocks_message(&items))
    }

    /// Whoever asks here must not wait for an object store.
    fn is_here(&self, height: Height) -> Result<bool, StoreError> {
        Ok(!self.blocks.is_cold(height.0)?)
    }

    pub(super) fn decode_items(
        &self,
        from: Height,
        items: &[Vec<u8>],
    ) -> Result<Vec<CertifiedBlock>, StoreError> {
        let items = (from.0..).zip(items);
        items
            .map(|(height, item)| self.decode_stored(Height(height), item))
            .collect()
    }

    /// Blocks as they are stored, until a number or a size is reached, or `goes_on` says no, which is asked before each
    /// but the first. What an object store does not give ends them as well, unless it is the first.
    pub(super) fn stored_items(
        &self,
        from: Height,
        count: u32,
        goes_on: &dyn Fn(Height) -> Result<bool, StoreError>,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let (mut items, mut bytes) = (Vec::new(), 0usize);
        let last = self.stored_height();
        for height in from.0..from.0.saturating_add(u64::from(count)) {
            if height > last.0 {
                break;
            }
            let height = Height(height);
            let first = self.first_height();
            if height < first {
                return Err(StoreError::Pruned { height, first });
            }
            if !items.is_empty() && !goes_on(height)? {
                break;
            }
            let item = match self.blocks.get(height.0) {
                Err(error) if error.tier().is_some() && !items.is_empty() => break,
                other => other?.ok_or_else(|| self.absent(height))?,
            };
            bytes = bytes.saturating_add(item.len());
            // One block always fits a frame; more only together.
            if bytes > SYNC_BYTES && !items.is_empty() {
                break;
            }
            items.push(item);
        }
        Ok(items)
    }

    /// Height and hash of the last stored block.
    pub fn tip(&self) -> Result<(Header, BlockId), StoreError> {
        let height = self.stored_height();
        if height == Height::GENESIS {
            let roots = self.roots(Height::GENESIS)?.unwrap_or_default();
            let genesis = super::genesis_block(&self.genesis, roots.state)?;
            return Ok((genesis.block.header.clone(), genesis.id()));
        }
        let stored = self.stored(height)?;
        let id = stored.block.id(self.suite);
        Ok((stored.block.header, id))
    }
}

/// A header with its certificate, as kept of a dropped block.
pub(super) fn decode_header(
    height: Height,
    bytes: &[u8],
) -> Result<(Header, Certificate), StoreError> {
    decode_exact(bytes, ITEM_BYTES_MAX).map_err(|source| StoreError::Decode {
        what: "header",
        height,
        source,
    })
}
