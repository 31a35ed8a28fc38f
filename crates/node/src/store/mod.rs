//! One chain on disk: blocks, receipts, indexes and state, and the execution that connects them.
//!
//! For: making final blocks durable ([`ChainStore::append`]), executing them
//! ([`ChainStore::execute`]), and every question about the past.
//! Not for: deciding which block is final.
//!
//! Invariants: a block is durable before it is executed, and executed before anyone outside sees
//! it. State, receipts and indexes are not synced per block: after a crash they are made again from
//! the durable blocks, from the last flush on.

pub mod check;
mod error;
mod import;
mod index;
mod prune;
mod read;
mod settings;
mod tier;
mod unordered;
mod upkeep;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_primitives::Bloom;
use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_execution::{
    BlockContext, BlockHashes, ExecutionConfig, Executor, NativeRegistry, SharedBlock, Threads,
};
use hawser_ledger::{
    Block, BlockId, Certificate, ChainSettings, Genesis, PROTOCOL_VERSION, Receipt, Roots,
    SETTINGS_ACCOUNT, SETTINGS_SLOT, SettingsSchedule, Transaction, TransactionError,
    VerifiedTransaction,
    mutants::{Rule, broken},
    receipts_root,
    state::{StateError, StateKey, StateOptions, StateRead, StateStore},
};
use hawser_primitives::{Address, B256, Height, decode_exact, encode};
use hawser_storage::{Batch, Disk, Kv, SegmentOptions, Segments, TrialDisk};
use parking_lot::{Mutex, RwLock};

pub use error::StoreError;
pub use import::{ImportBlocks, ImportSource, genesis_root};
pub use index::{columns, key_forms};
pub use prune::{KEEP_BLOCKS_MIN, KindBytes, keep_blocks_min};

/// What a chain keeps in segments: its final blocks, their receipts, and headers with certificates
/// of the blocks that were dropped.
pub const SEGMENTS: [&str; 3] = ["blocks", "receipts", "headers"];
/// The log of what this node signed and saw signed.
pub const VOTE_LOG: &str = "votes.log";
/// What this node knows of votes that it may have forgotten.
pub const VOTE_GUARD: &str = "votes.guard";
/// File of evidence against validators within a chain's folder.
pub const CONVICTIONS_LOG: &str = "attesters.log";
pub use read::{Position, ProofError, StateAt};
pub use settings::COMMITTEE_CHANGES_MAX;
use tier::has_cold;
pub use tier::{MovedFile, TIER_AFTER_BLOCKS_MIN, TierRules};
use unordered::UnorderedWindow;
pub use upkeep::Upkeep;

use crate::{
    Rules,
    gate::Gate,
    replica::{CertifiedBlock, CheckedBlock},
};

/// Longest encoding of a stored block or of a block's receipts, in bytes.
const ITEM_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Executed blocks kept in memory for readers.
const RECENT_BLOCKS: usize = 128;
/// Hashes kept for `BLOCKHASH`, and one more for the parent.
pub(crate) const RECENT_HASHES: u64 = 257;

/// Sizes that trade memory for speed.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// State store.
    pub state: StateOptions,
    /// Files of blocks and receipts.
    pub segments: SegmentOptions,
    /// Newest protocol version that this program runs; anything but [`PROTOCOL_VERSION`] is for
    /// trying out an upgrade.
    pub program_version: u32,
    /// What blocks are executed with. Results do not depend on it. Default: the thread that asks.
    pub threads: Threads,
    /// Blocks kept behind the last certified one that is flushed, at least [`KEEP_BLOCKS_MIN`];
    /// `None`, the default, keeps all.
    pub keep_blocks: Option<u64>,
    /// What leaves the disk to the chain's syncs: the same for all chains of a node.
    pub gate: Arc<Gate>,
}

/// Least memory for transactions that were verified lately.
const VERIFIED_BYTES_MIN: usize = 1024 * 1024;

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            state: StateOptions::default(),
            segments: SegmentOptions::default(),
            program_version: PROTOCOL_VERSION,
            threads: Threads::default(),
            keep_blocks: None,
            gate: Arc::default(),
        }
    }
}

/// What executing a block gave, as stored beside it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockResult {
    /// Receipts, skipped transactions included.
    pub receipts: Vec<Receipt>,
    /// Gas used.
    pub gas_used: u64,
    /// Bloom filter over all events, 256 bytes.
    pub logs_bloom: Vec<u8>,
    /// Roots after the block.
    pub roots: Roots,
}

/// A final block with everything that is known of it.
#[derive(Clone, Debug)]
pub struct ExecutedBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its hash.
    pub hash: B256,
    /// Proof that it is final; `None` for genesis, which needs none.
    pub certificate: Option<Arc<Certificate>>,
    /// Transactions with their senders.
    pub transactions: Arc<Vec<Arc<VerifiedTransaction>>>,
    /// The settings that govern it.
    pub settings: Arc<ChainSettings>,
    /// What execution gave.
    pub result: Arc<BlockResult>,
}

impl ExecutedBlock {
    /// Height and hash.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId {
            height: self.block.header.height,
            hash: self.hash,
        }
    }

    /// Bloom filter over all events.
    #[must_use]
    pub fn bloom(&self) -> Bloom {
        Bloom::try_from(self.result.logs_bloom.as_slice()).unwrap_or_default()
    }

    /// Transactions that were not executed and may come again.
    #[must_use]
    pub fn skipped(&self) -> Vec<B256> {
        let receipts = self.result.receipts.iter();
        let skipped = receipts.filter(|receipt| !receipt.is_executed());
        skipped.map(|receipt| receipt.transaction_hash).collect()
    }

    /// Nonces that the senders of the block have after it.
    fn senders(&self) -> impl Iterator<Item = Address> + '_ {
        self.transactions
            .iter()
            .map(|transaction| transaction.sender())
    }
}

struct Recent {
    blocks: BTreeMap<Height, Arc<ExecutedBlock>>,
    hashes: BTreeMap<Height, B256>,
}

/// One chain on disk.
pub struct ChainStore {
    genesis: Arc<Genesis>,
    genesis_hash: B256,
    suite: Suite,
    executor: Executor,
    blocks: Segments,
    receipts: Segments,
    /// Headers with certificates, from the first block on or a later one, without gaps up to the
    /// one before the first block kept.
    headers: Segments,
    disk: Arc<dyn Disk>,
    kv: Arc<dyn Kv>,
    state: StateStore,
    recent: Arc<RwLock<Recent>>,
    head: RwLock<Arc<ExecutedBlock>>,
    rules: RwLock<Arc<Rules>>,
    unordered: Mutex<UnorderedWindow>,
    program_version: u32,
    keep_blocks: Option<u64>,
    verified_bytes: usize,
    /// First height of which everything is kept.
    first: AtomicU64,
    /// Height of the state that a restart finds.
    durable: AtomicU64,
    /// Held by a step of pruning; how many keep blocks from it.
    pruning: Mutex<u32>,
    gate: Arc<Gate>,
}

/// The last final block in the folder of a stopped node; nothing there is changed. The state may be
/// that of an earlier one.
///
/// # Errors
/// Where the files of blocks cannot be read.
pub fn last_block(disk: &Arc<dyn Disk>) -> Result<Option<Height>, StoreError> {
    let trial = Arc::new(TrialDisk::new(Arc::clone(disk)));
    let options = SegmentOptions {
        item_bytes_max: ITEM_BYTES_MAX,
        ..SegmentOptions::default()
    };
    let (blocks, _) = Segments::open(trial, SEGMENTS[0], options)?;
    Ok(blocks.last().map(Height))
}

impl ChainStore {
    /// Opens a chain or creates it from its genesis.
    ///
    /// Blocks that were final but not flushed are executed again; `progress` is told the height
    /// reached and the height to reach.
    pub fn open(
        disk: Arc<dyn Disk>,
        kv: Arc<dyn Kv>,
        genesis: Arc<Genesis>,
        natives: NativeRegistry,
        options: StoreOptions,
        progress: &mut dyn FnMut(Height, Height),
    ) -> Result<Self, StoreError> {
        let suite = genesis.suite;
        let genesis_hash = genesis.hash();
        index::check_genesis(kv.as_ref(), &genesis_hash)?;
        // What a certificate is still owed for must stay provable.
        let mut options = options;
        let lag = genesis.parameters.root_lag;
        options.state.provable_blocks = options.state.provable_blocks.max(lag.saturating_add(1));
        options.state.overlay_blocks = options
            .state
            .overlay_blocks
            .max(options.state.provable_blocks.saturating_mul(2));
        let executor = Executor::new(ExecutionConfig::from(genesis.as_ref()), natives)
            .with_threads(options.threads.clone());
        let (blocks, _) = Segments::open(Arc::clone(&disk), SEGMENTS[0], options.segments)?;
        let (receipts, _) = Segments::open(Arc::clone(&disk), SEGMENTS[1], options.segments)?;
        let (headers, _) = Segments::open(Arc::clone(&disk), SEGMENTS[2], options.segments)?;
        if options.keep_blocks.is_some() && (has_cold(&blocks)? || has_cold(&receipts)?) {
            return Err(StoreError::TieredAndPruned);
        }
        let state = StateStore::open_any(
            Arc::clone(&kv),
            Arc::clone(&disk),
            suite,
            options.state,
            &mut |done, all| {
                tracing::info!(
                    chain = %genesis.chain_id,
                    "state: converting to the page store, {done} of {all} keys"
                );
            },
        )?;
        if state.head().is_none() {
            state.commit(Height::GENESIS, &executor.genesis_changes(&genesis))?;
            state.flush(Height::GENESIS)?;
            state.persist()?;
        }
        let (flushed, state_root) = state.flushed().unwrap_or_default();
        let first = index::first(kv.as_ref())?.unwrap_or(Height(1));
        let first = first.max(Height(blocks.first().unwrap_or(1)));
        if flushed.next() < first {
            let state = flushed;
            return Err(StoreError::Unreachable { state, first });
        }
        let schedule = SettingsSchedule::in_state(&state.view(flushed)?, &genesis)?;
        let rules = RwLock::new(Arc::new(Rules::new(schedule, suite)?));
        // Receipts after the last flush are made again together with the state.
        receipts.truncate_after(flushed.0)?;
        if receipts.last().unwrap_or(0) < flushed.0 || blocks.last().unwrap_or(0) < flushed.0 {
            return Err(StoreError::Inconsistent {
                state: flushed,
                blocks: Height(blocks.last().unwrap_or(0)),
                receipts: Height(receipts.last().unwrap_or(0)),
            });
        }
        let genesis_root = match index::roots(kv.as_ref(), Height::GENESIS)? {
            Some(roots) => roots.state,
            None => {
                let roots = Roots {
                    height: Height::GENESIS,
                    state: state_root,
                    receipts: B256::ZERO,
                };
                let mut batch = Batch::default();
                index::put_roots(&mut batch, &roots);
                index::put_genesis(&mut batch, &genesis_hash);
                kv.write(batch)?;
                kv.persist()?;
                state_root
            }
        };
        let head = Arc::new(genesis_block(&genesis, genesis_root)?);
        let hashes = BTreeMap::from([(Height::GENESIS, head.hash)]);
        let store = Self {
            genesis,
            genesis_hash,
            suite,
            executor,
            blocks,
            receipts,
            headers,
            disk,
            kv,
            state,
            recent: Arc::new(RwLock::new(Recent {
                blocks: BTreeMap::from([(Height::GENESIS, Arc::clone(&head))]),
                hashes,
            })),
            head: RwLock::new(head),
            rules,
            unordered: Mutex::new(UnorderedWindow::default()),
            program_version: options.program_version,
            keep_blocks: options.keep_blocks,
            verified_bytes: options.state.value_cache_bytes.max(VERIFIED_BYTES_MIN),
            first: AtomicU64::new(first.0),
            durable: AtomicU64::new(flushed.0),
            pruning: Mutex::default(),
            gate: options.gate,
        };
        store.resume(flushed, progress)?;
        Ok(store)
    }

    /// Brings memory to where the disk is: head, recent hashes, unordered window; then executes
    /// what was not flushed.
    fn resume(
        &self,
        flushed: Height,
        progress: &mut dyn FnMut(Height, Height),
    ) -> Result<(), StoreError> {
        for height in flushed.back(RECENT_HASHES).0.max(1)..=flushed.0 {
            // Before the first block kept there may be headers, or nothing: then only a contract
            // that asks for such a hash stops the node.
            let Some((header, _)) = self.certified_if_kept(Height(height))? else {
                continue;
            };
            let hash = header.hash(self.suite);
            self.recent.write().hashes.insert(Height(height), hash);
        }
        if flushed > Height::GENESIS {
            let head = self.load(flushed)?;
            self.rebuild_unordered(&head)?;
            *self.head.write() = head;
        }
        let last = Height(self.blocks.last().unwrap_or(0));
        for height in flushed.0.saturating_add(1)..=last.0 {
            let CertifiedBlock { block, certificate } = self.stored(Height(height))?;
            let hash = block.hash(self.suite);
            let transactions = self.verify_all(&block)?;
            let block = CheckedBlock {
                block: Arc::new(block),
                hash,
                transactions,
            };
            self.execute(&block, certificate)?;
            if let Some(due) = self.flush_due() {
                self.flush_to(due)?;
            }
            progress(Height(height), last);
        }
        Ok(())
    }

    /// Unordered transactions of the last minutes, so that none can be executed twice. Blocks without any are not
    /// decoded: the last minutes may be millions of transactions.
    fn rebuild_unordered(&self, head: &ExecutedBlock) -> Result<(), StoreError> {
        let now = head.block.header.time;
        let mut height = head.block.header.height;
        while height >= self.first_height() {
            let stored = self.stored(height)?;
            if UnorderedWindow::is_past(stored.block.header.time, now) {
                break;
            }
            let mut raws = stored.block.transactions.iter();
            if raws.any(|raw| Transaction::may_expire(raw)) {
                let block = self.with_result(stored)?;
                self.unordered.lock().add_block(self.suite, &block);
            }
            height = height.back(1);
        }
        Ok(())
    }

    /// Memory for transactions that were verified lately, each half of them: as much as the cache of values.
    pub(crate) const fn verified_bytes(&self) -> usize {
        self.verified_bytes
    }

    /// What work that nobody waits for asks before it writes to the disk.
    #[must_use]
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Stores a final block; durable after [`Self::sync_blocks`]. Blocks come in order of height; one
    /// that is there already is left as it is.
    pub fn append(&self, block: &Block, certificate: &Certificate) -> Result<(), StoreError> {
        let height = block.header.height.0;
        if self.blocks.last().is_some_and(|last| last >= height) {
            return Ok(());
        }
        // The fields of a [`CertifiedBlock`] in order, without copying the block into one.
        self.blocks.append(height, &encode(&(block, certificate)))?;
        Ok(())
    }

    /// Makes all appended blocks durable. May run beside [`Self::append`].
    pub fn sync_blocks(&self) -> Result<(), StoreError> {
        self.blocks.sync()?;
        Ok(())
    }

    /// Executes the block that follows the head and makes it the head.
    pub fn execute(
        &self,
        block: &CheckedBlock,
        certificate: Certificate,
    ) -> Result<Arc<ExecutedBlock>, StoreError> {
        let header = &block.block.header;
        let height = header.height;
        let parent = self.head();
        if height != parent.block.header.height.next() {
            return Err(StoreError::OutOfOrder {
                found: height,
                head: parent.id().height,
            });
        }
        // Also when blocks are executed again after a restart: a changed program or a damaged state
        // must not get further than this.
        if let Some(computed) = self.roots(header.executed.height)?
            && computed != header.executed
        {
            let found = header.executed.height;
            return Err(StoreError::Diverged { height, found });
        }
        let rules = self.rules();
        let version = rules.version(height);
        let program = self.program_version;
        if version > program {
            return Err(StoreError::Version {
                height,
                version,
                program,
            });
        }
        let executor = self.executor_at(height)?;
        let view = self.state.view(parent.id().height)?;
        let output = {
            let window = self.unordered.lock();
            let input = SharedBlock {
                context: BlockContext::of(header, rules.parameters(height)),
                transactions: Arc::clone(&block.transactions),
                state: Arc::new(view),
                hashes: Arc::new(RecentHashes(Arc::clone(&self.recent))),
            };
            let once = !broken(Rule::UnorderedOnce);
            executor.execute_shared(input, &|digest| once && window.contains(digest))?
        };
        let state = self.state.commit(height, &output.changes)?;
        let roots = Roots {
            height,
            state,
            receipts: receipts_root(self.suite, &output.receipts),
        };
        let executed = Arc::new(ExecutedBlock {
            block: Arc::clone(&block.block),
            hash: block.hash,
            certificate: Some(Arc::new(certificate)),
            transactions: Arc::clone(&block.transactions),
            settings: Arc::clone(rules.settings(height)),
            result: Arc::new(BlockResult {
                receipts: output.receipts,
                gas_used: output.gas_used,
                logs_bloom: output.logs_bloom.to_vec(),
                roots,
            }),
        });
        self.receipts
            .append(height.0, &encode(executed.result.as_ref()))?;
        let mut batch = Batch::default();
        index::put_block(
            self.kv.as_ref(),
            &mut batch,
            executed.id(),
            executed.transactions.iter().map(|one| one.hash()),
            &executed.result,
            self.executor.natives(),
        )?;
        let slot = StateKey::Storage(SETTINGS_ACCOUNT, SETTINGS_SLOT);
        let changed = output.changes.entries.contains_key(&slot);
        let changed = changed.then(|| self.read_rules(height)).transpose()?;
        for entry in changed
            .iter()
            .flat_map(|new| new.schedule().pending(height))
        {
            index::put_settings(&mut batch, entry);
        }
        self.kv.write(batch)?;
        if let Some(changed) = changed {
            *self.rules.write() = Arc::new(changed);
        }
        self.unordered.lock().add(header.time, &output.unordered);
        self.remember(&executed);
        Ok(executed)
    }

    fn remember(&self, executed: &Arc<ExecutedBlock>) {
        let height = executed.id().height;
        let mut recent = self.recent.write();
        recent.blocks.insert(height, Arc::clone(executed));
        while recent.blocks.len() > RECENT_BLOCKS {
            recent.blocks.pop_first();
        }
        recent.hashes.insert(height, executed.hash);
        recent.hashes = recent.hashes.split_off(&height.back(RECENT_HASHES));
        *self.head.write() = Arc::clone(executed);
    }

    /// Writes state and indexes out, durably, as far as the state is certified. What comes after
    /// stays provable in memory, and a restart executes it again.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.flush_to(self.certified_state_height())
    }

    /// The height up to which [`Self::flush_to`] should be called, if enough has gathered.
    #[must_use]
    pub fn flush_due(&self) -> Option<Height> {
        self.state.flush_due()
    }

    /// The same up to a height. May run beside execution.
    pub fn flush_to(&self, height: Height) -> Result<(), StoreError> {
        let (flushed, _) = self.state.flushed().unwrap_or_default();
        if height > flushed {
            // Blocks and receipts first: what the state claims to have executed must have them.
            self.sync_blocks()?;
            self.receipts.sync()?;
            self.state.flush(height)?;
            let (flushed, _) = self.state.flushed().unwrap_or_default();
            self.state.persist()?;
            self.durable.fetch_max(flushed.0, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Nonces of the senders of a block after the head.
    pub fn nonces_after(
        &self,
        executed: &ExecutedBlock,
    ) -> Result<Vec<(Address, u64)>, StoreError> {
        let view = self.state.view(executed.id().height)?;
        let mut nonces: BTreeMap<Address, u64> = BTreeMap::new();
        for sender in executed.senders() {
            if let Entry::Vacant(entry) = nonces.entry(sender) {
                let account = StateRead::account(&view, &sender)?;
                entry.insert(account.map_or(0, |account| account.nonce));
            }
        }
        Ok(nonces.into_iter().collect())
    }

    fn verify_all(&self, block: &Block) -> Result<Arc<Vec<Arc<VerifiedTransaction>>>, StoreError> {
        let height = block.header.height;
        let bad = |source| StoreError::BadTransaction { height, source };
        let decode = |raw: &hawser_primitives::Bytes| {
            Ok((Transaction::decode(self.suite, raw.clone())?, None))
        };
        let decoded: Result<Vec<_>, TransactionError> =
            block.transactions.iter().map(decode).collect();
        let verified = Transaction::verify_many(decoded.map_err(bad)?, self.genesis.chain_id);
        let all: Result<Vec<_>, TransactionError> =
            verified.into_iter().map(|one| one.map(Arc::new)).collect();
        all.map(Arc::new).map_err(bad)
    }

    fn stored(&self, height: Height) -> Result<CertifiedBlock, StoreError> {
        let first = self.first_height();
        if height < first {
            return Err(StoreError::Pruned { height, first });
        }
        let bytes = self.blocks.get(height.0)?;
        let bytes = bytes.ok_or_else(|| self.absent(height))?;
        self.decode_stored(height, &bytes)
    }

    /// Why a block is not there.
    fn absent(&self, height: Height) -> StoreError {
        let first = self.first_height();
        if height < first {
            StoreError::Pruned { height, first }
        } else {
            StoreError::NoBlock(height)
        }
    }

    fn decode_stored(&self, height: Height, bytes: &[u8]) -> Result<CertifiedBlock, StoreError> {
        decode_exact(bytes, ITEM_BYTES_MAX).map_err(|source| StoreError::Decode {
            what: "block",
            height,
            source,
        })
    }

    fn load(&self, height: Height) -> Result<Arc<ExecutedBlock>, StoreError> {
        self.with_result(self.stored(height)?)
    }

    /// A stored block with what executing it gave, its transactions decoded.
    fn with_result(&self, stored: CertifiedBlock) -> Result<Arc<ExecutedBlock>, StoreError> {
        let CertifiedBlock { block, certificate } = stored;
        let height = block.header.height;
        let result = self.result(height)?;
        let transactions = with_senders(self.suite, &block, &result)?;
        Ok(Arc::new(ExecutedBlock {
            hash: block.hash(self.suite),
            block: Arc::new(block),
            certificate: Some(Arc::new(certificate)),
            transactions,
            settings: self.settings(height)?,
            result: Arc::new(result),
        }))
    }

    /// What executing a stored block gave.
    fn result(&self, height: Height) -> Result<BlockResult, StoreError> {
        let bytes = self.receipts.get(height.0)?;
        let bytes = bytes.ok_or_else(|| self.absent(height))?;
        decode_exact(&bytes, ITEM_BYTES_MAX).map_err(|source| StoreError::Decode {
            what: "receipts",
            height,
            source,
        })
    }
}

/// Transactions of a stored block. Senders come from its receipts: their signatures were verified
/// before the block was executed.
fn with_senders(
    suite: Suite,
    block: &Block,
    result: &BlockResult,
) -> Result<Arc<Vec<Arc<VerifiedTransaction>>>, StoreError> {
    let height = block.header.height;
    let pair = |(raw, receipt): (&hawser_primitives::Bytes, &Receipt)| {
        let transaction = Transaction::decode(suite, raw.clone())
            .map_err(|source| StoreError::BadTransaction { height, source })?;
        Ok(Arc::new(VerifiedTransaction::from_stored(
            transaction,
            receipt.sender,
        )))
    };
    let all: Result<Vec<_>, StoreError> = block
        .transactions
        .iter()
        .zip(&result.receipts)
        .map(pair)
        .collect();
    all.map(Arc::new)
}

/// Hashes for the block after the head: all that it may ask for are in memory.
struct RecentHashes(Arc<RwLock<Recent>>);

impl BlockHashes for RecentHashes {
    fn block_hash(&self, height: Height) -> Result<Option<B256>, StateError> {
        let hash = self.0.read().hashes.get(&height).copied();
        hash.map(Some)
            .ok_or_else(|| StateError::Store(format!("the hash of block {height} is not at hand")))
    }
}

impl BlockHashes for ChainStore {
    fn block_hash(&self, height: Height) -> Result<Option<B256>, StateError> {
        if let Some(hash) = self.recent.read().hashes.get(&height) {
            return Ok(Some(*hash));
        }
        // Calls on old blocks: rare, so the disk may answer.
        if height == Height::GENESIS {
            let hash = self.genesis_block_hash();
            return hash
                .map(Some)
                .map_err(|error| StateError::Store(error.to_string()));
        }
        let found = self.certified_if_kept(height);
        let found = found.map_err(|error| StateError::Store(error.to_string()))?;
        Ok(found.map(|(header, _)| header.hash(self.suite)))
    }
}

fn genesis_block(genesis: &Genesis, state_root: B256) -> Result<ExecutedBlock, StoreError> {
    let block = genesis.block(state_root)?;
    let roots = block.header.executed;
    Ok(ExecutedBlock {
        hash: block.hash(genesis.suite),
        block: Arc::new(block),
        certificate: None,
        transactions: Arc::default(),
        settings: Arc::new(ChainSettings::of_genesis(genesis)),
        result: Arc::new(BlockResult {
            receipts: Vec::new(),
            gas_used: 0,
            logs_bloom: vec![0; 256],
            roots,
        }),
    })
}
