//! What a snapshot takes from a chain's store, and a store made from one.

use std::sync::Arc;

use hawser_execution::{ExecutionConfig, Executor, NativeRegistry};
use hawser_ledger::{
    BlockId, CommitteeChange, Genesis, Roots, SettingsSchedule, Transaction,
    state::{ExportPart, StateError, StateExport, StateLeaf, StateOptions, StateStore},
};
use hawser_primitives::{B256, Bytes, Height, encode};
use hawser_storage::{Batch, Disk, Kv, MemDisk, MemKv, Segments};

use super::{
    BlockResult, ChainStore, RECENT_HASHES, SEGMENTS, StoreError, StoreOptions, index,
    unordered::UnorderedWindow,
};
use crate::{
    replica::CertifiedBlock,
    snapshot::{Manifest, StoredBlock},
};

/// Blocks in order, and what executing them gave as far as that is known.
pub type ImportBlocks = Vec<(CertifiedBlock, Option<BlockResult>)>;

/// Gives what a store is made from. Everything is checked by whoever gives it.
pub trait ImportSource {
    /// The next blocks; `None` after the last.
    fn blocks(&mut self) -> Result<Option<ImportBlocks>, StateError>;

    /// The next part of the state, in order of paths; `None` after the last.
    fn part(&mut self) -> Result<Option<(ExportPart, Vec<StateLeaf>)>, StateError>;

    /// The content that comes with the part given last.
    fn contents(&mut self) -> Vec<(B256, Bytes)>;
}

/// Root of the state that a genesis makes.
pub fn genesis_root(genesis: &Genesis, executor: &Executor) -> Result<B256, StateError> {
    let state = StateStore::open(
        Arc::new(MemKv::new()),
        Arc::new(MemDisk::new(0)),
        genesis.suite,
        StateOptions::default(),
    )?;
    state.commit(Height::GENESIS, &executor.genesis_changes(genesis))
}

impl ChainStore {
    /// The first block that a snapshot of a height comes with: what `BLOCKHASH` may ask for, and the blocks
    /// by which replays are recognised, with one more that shows that these are all.
    pub(crate) fn snapshot_first(&self, height: Height) -> Result<Height, StoreError> {
        let time = |height: Height| -> Result<_, StoreError> {
            let found = self.certified(height)?;
            Ok(found.ok_or(StoreError::NoBlock(height))?.0.time)
        };
        let now = time(height)?;
        let kept = self.first_height();
        let newest = Height(height.back(RECENT_HASHES).0.max(1));
        let gone = |height| StoreError::Pruned {
            height,
            first: kept,
        };
        if newest < kept {
            return Err(gone(newest));
        }
        if !UnorderedWindow::is_past(time(kept)?, now) {
            return match kept {
                Height(1) => Ok(kept),
                _ => Err(gone(kept.back(1))),
            };
        }
        // Times rise with heights, so the last block that is past is found by reading a few.
        let (mut past, mut end) = (kept, newest.next());
        while past.next() < end {
            let middle = Height(past.0.midpoint(end.0));
            match UnorderedWindow::is_past(time(middle)?, now) {
                true => past = middle,
                false => end = middle,
            }
        }
        Ok(past)
    }

    /// Takes hold of the state after a block.
    pub(crate) fn export_state(&self, height: Height) -> Result<StateExport, StoreError> {
        Ok(self.state.export(height)?)
    }

    /// A block, with its receipts if it is not above `upto`.
    pub(crate) fn stored_block(
        &self,
        height: Height,
        upto: Height,
    ) -> Result<StoredBlock, StoreError> {
        let certified = self.stored(height)?;
        let result = (height <= upto).then(|| self.result(height)).transpose()?;
        Ok(StoredBlock { certified, result })
    }

    /// Makes a store in an empty folder, at the block of a snapshot. The state is committed last of all.
    pub(crate) fn import(
        disk: Arc<dyn Disk>,
        kv: Arc<dyn Kv>,
        genesis: &Arc<Genesis>,
        natives: NativeRegistry,
        options: &StoreOptions,
        manifest: &Manifest,
        source: &mut dyn ImportSource,
    ) -> Result<(), StoreError> {
        let genesis_hash = genesis.hash();
        index::check_genesis(kv.as_ref(), &genesis_hash)?;
        let suite = genesis.suite;
        let (height, first) = (manifest.height(), manifest.first());
        let executor = Executor::new(ExecutionConfig::from(genesis.as_ref()), natives);
        let (blocks, _) = Segments::open(Arc::clone(&disk), SEGMENTS[0], options.segments)?;
        let (receipts, _) = Segments::open(Arc::clone(&disk), SEGMENTS[1], options.segments)?;
        while let Some(chunk) = source.blocks()? {
            let mut batch = Batch::default();
            for (certified, result) in chunk {
                let at = certified.block.header.height;
                blocks.append(at.0, &encode(&certified))?;
                let Some(result) = result else {
                    continue;
                };
                receipts.append(at.0, &encode(&result))?;
                let id = BlockId {
                    height: at,
                    hash: certified.block.hash(suite),
                };
                let raws = certified.block.transactions.iter();
                let hashes = raws.map(|raw| Transaction::hash_of(suite, raw));
                let natives = executor.natives();
                index::put_block(kv.as_ref(), &mut batch, id, hashes, &result, natives)?;
            }
            kv.write(batch)?;
        }
        blocks.sync()?;
        receipts.sync()?;
        let mut batch = Batch::default();
        let roots = Roots {
            height: Height::GENESIS,
            state: genesis_root(genesis, &executor)?,
            receipts: B256::ZERO,
        };
        index::put_roots(&mut batch, &roots);
        index::put_genesis(&mut batch, &genesis_hash);
        index::put_first(&mut batch, first);
        index::put_imported(&mut batch, height);
        for change in &manifest.changes {
            index::put_change(&mut batch, change);
        }
        kv.write(batch)?;
        kv.persist()?;
        let root = manifest.state_root();
        let store = Arc::clone(&kv);
        StateStore::fill_parts(
            kv.as_ref(),
            Arc::clone(&disk),
            suite,
            &options.state,
            (height, root),
            &mut || {
                let part = source.part()?;
                StateStore::put_content(store.as_ref(), &source.contents())?;
                Ok(part)
            },
        )?;
        let state = StateStore::open(Arc::clone(&kv), disk, suite, options.state)?;
        let schedule = SettingsSchedule::in_state(&state.view(height)?, genesis)?;
        let mut batch = Batch::default();
        let changed = schedule.entries().iter();
        for entry in changed.filter(|entry| entry.from > Height::GENESIS) {
            index::put_settings(&mut batch, entry);
        }
        kv.write(batch)?;
        kv.persist()?;
        Ok(())
    }

    /// The height at which this store was made from a snapshot, if it was.
    pub fn imported(&self) -> Result<Option<Height>, StoreError> {
        index::imported(self.kv.as_ref())
    }

    /// Changes of the committee that a snapshot brought, in order.
    pub(super) fn imported_changes(&self) -> Result<Vec<CommitteeChange>, StoreError> {
        index::changes(self.kv.as_ref())
    }
}
