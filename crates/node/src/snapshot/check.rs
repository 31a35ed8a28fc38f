//! Checks of single chunks. Each needs the manifest, which was checked before, and nothing else but
//! the chunks before it in the same part of the state.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::Bloom;
use hawser_crypto::Suite;
use hawser_ledger::{
    CertifiedHeader, Genesis, LightClient, Outcome, Roots, receipts_root,
    state::{Account, StateLeaf, part_hash},
};
use hawser_primitives::{B256, Bytes, Height, decode_exact, limits::UNORDERED_LIFETIME_MS_MAX};
use parking_lot::Mutex;

use super::{
    BlocksChunk, CHUNK_BYTES_MAX, ChunkId, Content, Manifest, Shelf, SnapshotError, StatePart,
    StoredBlock,
};

/// Bytes of the value of an account, and of a storage slot.
const ACCOUNT_BYTES: usize = 72;
const WORD_BYTES: usize = 32;

fn wrong<T>(what: impl Into<String>) -> Result<T, SnapshotError> {
    Err(SnapshotError::wrong(what))
}

/// Reads and checks the chunk of a part of the state.
pub fn check_state(
    suite: Suite,
    part: &StatePart,
    bytes: &[u8],
) -> Result<Vec<StateLeaf>, SnapshotError> {
    let leaves = read_state(part, bytes)?;
    if part_hash(suite, &part.part, &leaves) != Some(part.part.hash) {
        return wrong("a chunk of state does not lead to the certified root");
    }
    Ok(leaves)
}

/// The same without the check that the leaves lead to the hash of the part.
pub(super) fn read_state(part: &StatePart, bytes: &[u8]) -> Result<Vec<StateLeaf>, SnapshotError> {
    if bytes.len() != part.bytes as usize {
        return wrong(format!(
            "a chunk of state has {} bytes where the manifest says {}",
            bytes.len(),
            part.bytes
        ));
    }
    decode_exact(bytes, CHUNK_BYTES_MAX).map_err(|source| SnapshotError::Decode {
        what: "a chunk of state",
        source,
    })
}

/// The hash of content that a value of the state may name.
pub(super) fn named_by(value: &Bytes) -> Option<B256> {
    match value.len() {
        WORD_BYTES => B256::try_from(value.as_ref()).ok(),
        ACCOUNT_BYTES => {
            let account = Account::decode(value).ok()?;
            account.has_code().then_some(account.code_hash)
        }
        _ => None,
    }
}

/// Checks the chunks of content of one part of the state, in their order.
#[derive(Clone, Debug)]
pub struct Contents {
    suite: Suite,
    /// Hashes that the leaves name, in order.
    named: Vec<B256>,
    /// Hashes of code, which must all be there, in order.
    code: Vec<B256>,
    /// Content that may name more.
    naming: Vec<Bytes>,
    /// Hashes of what has come, in order.
    seen: Vec<B256>,
    /// Number of chunks that have come.
    chunks: u32,
}

impl Contents {
    /// Of a part with these leaves.
    #[must_use]
    pub fn of(suite: Suite, leaves: &[StateLeaf]) -> Self {
        let sorted = |hashes: Vec<B256>| {
            let mut hashes = hashes;
            hashes.sort_unstable();
            hashes.dedup();
            hashes
        };
        let values = || leaves.iter().map(|(_, value)| value);
        let code = values().filter(|value| value.len() == ACCOUNT_BYTES);
        Self {
            suite,
            named: sorted(values().filter_map(named_by).collect()),
            code: sorted(code.filter_map(named_by).collect()),
            naming: Vec::new(),
            seen: Vec::new(),
            chunks: 0,
        }
    }

    fn is_named(&self, hash: &B256) -> bool {
        let within = |content: &Bytes| content.windows(WORD_BYTES).any(|word| word == hash.0);
        self.named.binary_search(hash).is_ok() || self.naming.iter().any(within)
    }

    /// Reads and checks the next chunk; gives the content under its hashes. After an error it is of no more use.
    pub fn check(
        &mut self,
        part: &StatePart,
        n: u32,
        bytes: &[u8],
    ) -> Result<Vec<(B256, Bytes)>, SnapshotError> {
        let Some(expected) = part.contents.get(n as usize) else {
            return wrong("a chunk of content that the manifest does not have");
        };
        if n != self.chunks {
            return wrong("a chunk of content before its turn");
        }
        if bytes.len() != expected.bytes as usize {
            return wrong("a chunk of content has another size than the manifest says");
        }
        let list: Vec<Content> =
            decode_exact(bytes, CHUNK_BYTES_MAX).map_err(|source| SnapshotError::Decode {
                what: "a chunk of content",
                source,
            })?;
        if list.len() != expected.count as usize {
            return wrong("a chunk has not as many pieces of content as the manifest says");
        }
        let mut found = Vec::with_capacity(list.len());
        for Content { kind, bytes } in list {
            let hash = kind.hash(self.suite, &bytes);
            let at = match self.seen.binary_search(&hash) {
                Ok(_) => return wrong("content comes twice"),
                Err(at) => at,
            };
            if !self.is_named(&hash) {
                return wrong(format!("nothing in the state names content {hash}"));
            }
            self.seen.insert(at, hash);
            if kind.names_others() {
                self.naming.push(bytes.clone());
            }
            found.push((hash, bytes));
        }
        self.chunks = n.saturating_add(1);
        Ok(found)
    }

    /// Checks, after the last chunk, that all code is there.
    pub fn finish(&self) -> Result<(), SnapshotError> {
        let missing = |hash: &&B256| self.seen.binary_search(hash).is_err();
        match self.code.iter().find(missing) {
            Some(hash) => wrong(format!("the code {hash} of a contract is missing")),
            None => Ok(()),
        }
    }
}

/// Checks the chunks of one snapshot, several at a time: those of a part of the state in their order, the others
/// in any. A chunk that is refused leaves no trace, so that the right one is taken after it.
#[derive(Debug)]
pub struct ChunkChecker {
    genesis: Arc<Genesis>,
    manifest: Arc<Manifest>,
    client: LightClient,
    /// Of parts that are not complete.
    contents: Mutex<BTreeMap<u32, Contents>>,
}

impl ChunkChecker {
    /// For a manifest, which is checked against the genesis first.
    pub fn new(genesis: Arc<Genesis>, manifest: Arc<Manifest>) -> Result<Self, SnapshotError> {
        Ok(Self {
            client: manifest.verify(&genesis)?,
            genesis,
            manifest,
            contents: Mutex::default(),
        })
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// The chunks on a shelf that are right, in the order of the manifest. What a crash left torn is not among
    /// them, like what is wrong.
    #[must_use]
    pub fn here(&self, shelf: &Shelf) -> Vec<ChunkId> {
        let height = self.manifest.height();
        let is_right = |id: &ChunkId| match shelf.chunk(height, *id) {
            Ok(Some(bytes)) => self.check(*id, &bytes).is_ok(),
            Ok(None) | Err(_) => false,
        };
        self.manifest.chunks().filter(is_right).collect()
    }

    /// Checks a chunk.
    pub fn check(&self, id: ChunkId, bytes: &[u8]) -> Result<(), SnapshotError> {
        let suite = self.genesis.suite;
        let unknown = || SnapshotError::wrong("a chunk that the manifest does not have");
        let part = |at: u32| self.manifest.parts.get(at as usize).ok_or_else(unknown);
        let (at, contents, left) = match id {
            ChunkId::Blocks(n) => {
                let lag = self.genesis.parameters.root_lag;
                check_blocks(&self.client, suite, lag, &self.manifest, n, bytes)?;
                return Ok(());
            }
            ChunkId::State(at) => {
                let part = part(at)?;
                let leaves = check_state(suite, part, bytes)?;
                (at, Contents::of(suite, &leaves), part.contents.len())
            }
            ChunkId::Content(at, n) => {
                let part = part(at)?;
                let contents = self.contents.lock().get(&at).cloned();
                let mut contents = contents.ok_or_else(unknown)?;
                contents.check(part, n, bytes)?;
                let done = (n as usize).saturating_add(1);
                (at, contents, part.contents.len().saturating_sub(done))
            }
        };
        if left > 0 {
            self.contents.lock().insert(at, contents);
            return Ok(());
        }
        contents.finish()?;
        self.contents.lock().remove(&at);
        Ok(())
    }
}

/// Reads and checks a chunk of blocks: that they are final, follow one another, have the transactions that
/// their headers commit to, and the receipts that later headers do.
pub fn check_blocks(
    client: &LightClient,
    suite: Suite,
    lag: u64,
    manifest: &Manifest,
    n: u32,
    bytes: &[u8],
) -> Result<Vec<StoredBlock>, SnapshotError> {
    let Some(part) = manifest.blocks.get(n as usize) else {
        return wrong("a chunk of blocks that the manifest does not have");
    };
    let chunk: BlocksChunk =
        decode_exact(bytes, CHUNK_BYTES_MAX).map_err(|source| SnapshotError::Decode {
            what: "a chunk of blocks",
            source,
        })?;
    let count = part.to.0.saturating_sub(part.from.0).saturating_add(1);
    if chunk.blocks.len() as u64 != count || chunk.after.len() as u64 > lag {
        return wrong("a chunk has not the blocks that the manifest says");
    }
    let of = |stored: &StoredBlock| CertifiedHeader {
        header: stored.certified.block.header.clone(),
        certificate: stored.certified.certificate.clone(),
    };
    let mut headers: Vec<CertifiedHeader> = chunk.blocks.iter().map(of).collect();
    headers.extend(chunk.after);
    let mut before: Option<B256> = None;
    for (at, certified) in (part.from.0..).zip(&headers) {
        let hash = client.verify_header(certified)?;
        if certified.header.height != Height(at)
            || before.is_some_and(|parent| parent != certified.header.parent)
        {
            return wrong("its blocks do not follow one another");
        }
        before = Some(hash);
    }
    if n == 0
        && let Some(first) = headers.first()
        && first.header.height > Height(1)
        && manifest.block.header.time.since_ms(first.header.time) <= UNORDERED_LIFETIME_MS_MAX
    {
        return wrong("it lacks blocks by which replays are recognised");
    }
    for stored in &chunk.blocks {
        let block = &stored.certified.block;
        let height = block.header.height;
        block
            .check_body(suite)
            .map_err(|error| SnapshotError::wrong(format!("block {height}: {error}")))?;
        if stored.result.is_some() != (height <= manifest.height()) {
            return wrong(format!(
                "receipts of block {height} where none belong, or none"
            ));
        }
        let Some(result) = &stored.result else {
            continue;
        };
        let with_roots = headers
            .iter()
            .find(|one| one.header.executed.height == height)
            .map(|one| one.header.executed);
        let computed = Roots {
            height,
            state: result.roots.state,
            receipts: receipts_root(suite, &result.receipts),
        };
        if result.roots != computed || with_roots != Some(computed) {
            return wrong(format!(
                "receipts of block {height} are not those committed to"
            ));
        }
        if result.receipts.len() != block.transactions.len() || !follows(result) {
            return wrong(format!(
                "what is said of the receipts of block {height} is not so"
            ));
        }
    }
    Ok(chunk.blocks)
}

/// Whether gas and bloom filter are those of the receipts.
fn follows(result: &crate::store::BlockResult) -> bool {
    let mut bloom = Bloom::default();
    let mut gas = 0u64;
    for receipt in &result.receipts {
        if !matches!(receipt.outcome, Outcome::Skipped(_)) {
            gas = gas.saturating_add(receipt.gas_used);
        }
        for log in &receipt.logs {
            bloom.accrue_raw_log(log.address, &log.topics);
        }
    }
    result.gas_used == gas && result.logs_bloom == bloom.as_slice()
}
