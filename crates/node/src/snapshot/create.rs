//! Making a snapshot while the chain runs.

use std::{collections::BTreeMap, sync::Arc};

use hawser_ledger::{
    CertifiedHeader,
    state::{ExportPart, StateLeaf, StateRead, StateView},
};
use hawser_primitives::{B256, Bytes, Height, encode};

use super::{
    BLOCK_CHUNK_BYTES, BlockPart, BlocksChunk, CHUNK_BYTES_MAX, CHUNKS_MAX, CONTENT_CHUNK_BYTES,
    ChunkId, Content, ContentKind, ContentPart, FORMAT, Manifest, Shelf, SnapshotError, StatePart,
    StoredBlock, check::named_by,
};
use crate::{gate::Gate, store::ChainStore};

/// Bytes of a word that may name content.
const WORD_BYTES: usize = 32;

/// Keeps work below a rate, and below what syncs that somebody waits for leave to it.
#[derive(Clone, Debug)]
pub struct Pace {
    bytes_per_s: u64,
    gate: Arc<Gate>,
}

impl Pace {
    /// At most so many bytes per second, 0 for as fast as it goes, where nobody else is on the disk.
    #[must_use]
    pub fn of(bytes_per_s: u64) -> Self {
        Self::behind(Arc::default(), bytes_per_s)
    }

    /// The same where a node's chains are, whose gate it is.
    #[must_use]
    pub const fn behind(gate: Arc<Gate>, bytes_per_s: u64) -> Self {
        Self { bytes_per_s, gate }
    }

    /// Waits until so many more bytes may be written; not once `stop` says so.
    pub fn turn(&self, bytes: usize, stop: &dyn Fn() -> bool) {
        self.gate.turn(bytes, self.bytes_per_s, stop);
    }
}

/// How a snapshot is made.
pub struct CreateOptions<'a> {
    /// The block; `None` for the newest that can be had.
    pub height: Option<Height>,
    /// Whether all blocks that the node keeps come with it, as for a backup.
    pub all_blocks: bool,
    /// Rate.
    pub pace: Pace,
    /// Told chunks done, of how many, about.
    pub progress: &'a mut dyn FnMut(u64, u64),
    /// Asked before each chunk; true ends it with [`SnapshotError::Stopped`].
    pub stop: &'a dyn Fn() -> bool,
}

struct Creation<'a, 'b> {
    store: &'a ChainStore,
    shelf: &'a Shelf,
    height: Height,
    options: &'a mut CreateOptions<'b>,
    done: u64,
    all: u64,
}

/// Makes a snapshot and puts it on the shelf. Blocks go on meanwhile; what fails or is stopped leaves
/// nothing behind. Memory: a few chunks, and what [`hawser_ledger::state::StateExport`] takes.
pub fn create(
    store: &ChainStore,
    shelf: &Shelf,
    options: &mut CreateOptions<'_>,
) -> Result<Manifest, SnapshotError> {
    let newest = store.certified_state_height();
    let wanted = options.height.unwrap_or(newest);
    if wanted > newest || wanted == Height::GENESIS {
        return Err(SnapshotError::Height { wanted, newest });
    }
    if shelf.heights()?.contains(&wanted) && !options.all_blocks {
        return shelf.manifest(wanted);
    }
    let mut creation = Creation {
        store,
        shelf,
        height: wanted,
        options,
        done: 0,
        all: 0,
    };
    let made = creation.run();
    if made.is_err() {
        let CreateOptions { pace, stop, .. } = options;
        shelf.remove(wanted, &mut |bytes| pace.turn(bytes, stop))?;
    }
    made
}

impl Creation<'_, '_> {
    fn run(&mut self) -> Result<Manifest, SnapshotError> {
        let (store, height) = (self.store, self.height);
        // First of all: blocks are dropped and the state goes out of reach while blocks go on.
        let held = store.hold_blocks();
        let export = store.export_state(height)?;
        let certified = |height| -> Result<CertifiedHeader, SnapshotError> {
            let found = store.certified(height)?;
            let (header, certificate) = found.ok_or(SnapshotError::NotHere(height))?;
            Ok(CertifiedHeader {
                header,
                certificate,
            })
        };
        let lag = store.genesis().parameters.root_lag;
        let last = Height(height.0.saturating_add(lag));
        let certifier = certified(last)?;
        if certifier.header.executed.state != export.root() {
            return Err(SnapshotError::wrong(
                "this node's state is not the certified one",
            ));
        }
        let count = export.parts().len();
        if count > CHUNKS_MAX {
            return Err(SnapshotError::TooLarge(count));
        }
        let first = match self.options.all_blocks {
            true => store.first_height(),
            false => store.snapshot_first(height)?,
        };
        self.all = (count as u64).saturating_add(1);
        let blocks = self.blocks(first, last, lag)?;
        drop(held);
        let mut parts = Vec::with_capacity(count);
        for (at, part) in (0u32..).zip(export.parts()) {
            let leaves = export.read(at as usize)?.unwrap_or_default();
            parts.push(self.part(at, part, &leaves)?);
        }
        drop(export);
        let manifest = Manifest {
            format: FORMAT,
            genesis: store.genesis_hash(),
            entries: parts.iter().map(|one| u64::from(one.part.leaves)).sum(),
            block: certified(height)?,
            certifier,
            changes: store.all_committee_changes(last)?,
            parts,
            blocks,
        };
        // What others would refuse is no snapshot.
        manifest.verify(store.genesis())?;
        self.shelf.put_manifest(&manifest)?;
        Ok(manifest)
    }

    fn put(&mut self, id: ChunkId, bytes: &[u8]) -> Result<u32, SnapshotError> {
        if (self.options.stop)() {
            return Err(SnapshotError::Stopped);
        }
        if bytes.len() > CHUNK_BYTES_MAX {
            return Err(SnapshotError::wrong(
                "a chunk is larger than the format allows",
            ));
        }
        let CreateOptions { pace, stop, .. } = &*self.options;
        let turn = &mut |bytes| pace.turn(bytes, stop);
        self.shelf.add_chunk(self.height, id, bytes, turn)?;
        self.done = self.done.saturating_add(1);
        (self.options.progress)(self.done, self.all.max(self.done));
        Ok(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
    }

    fn part(
        &mut self,
        at: u32,
        part: ExportPart,
        leaves: &[StateLeaf],
    ) -> Result<StatePart, SnapshotError> {
        let bytes = self.put(ChunkId::State(at), &encode(leaves))?;
        Ok(StatePart {
            part,
            bytes,
            contents: self.contents(at, leaves)?,
        })
    }

    /// Writes the content that leaves name, and what that names in turn, each once, in the order in
    /// which it is met.
    fn contents(
        &mut self,
        part: u32,
        leaves: &[StateLeaf],
    ) -> Result<Vec<ContentPart>, SnapshotError> {
        let state = self.content()?;
        let suite = self.store.genesis().suite;
        let mut seen: BTreeMap<B256, ()> = BTreeMap::new();
        let mut chunks = Vec::new();
        let (mut chunk, mut bytes) = (Vec::<Content>::new(), 0usize);
        for (_, value) in leaves {
            let mut open: Vec<B256> = named_by(value).into_iter().collect();
            while let Some(hash) = open.pop() {
                if seen.contains_key(&hash) {
                    continue;
                }
                let Some(content) = state.blob(&hash)? else {
                    continue;
                };
                seen.insert(hash, ());
                let kind = ContentKind::of(suite, &hash, &content).ok_or_else(|| {
                    SnapshotError::wrong(format!("content {hash} is of a kind not known here"))
                })?;
                if kind.names_others() {
                    open.extend(self.named_within(&content)?);
                }
                bytes = bytes.saturating_add(content.len());
                chunk.push(Content {
                    kind,
                    bytes: content,
                });
                if bytes >= CONTENT_CHUNK_BYTES {
                    self.end_content(part, &mut chunk, &mut chunks)?;
                    bytes = 0;
                }
            }
        }
        self.end_content(part, &mut chunk, &mut chunks)?;
        Ok(chunks)
    }

    /// Where content is found. It is never removed, and the state of the height may go out of reach
    /// while this is at work.
    fn content(&self) -> Result<StateView, SnapshotError> {
        Ok(self.store.state(self.store.head().id().height)?)
    }

    /// Hashes of content that stand anywhere in other content, the first one last.
    fn named_within(&self, content: &Bytes) -> Result<Vec<B256>, SnapshotError> {
        let state = self.content()?;
        let mut found = Vec::new();
        for word in content.windows(WORD_BYTES).rev() {
            let hash = B256::from_slice(word);
            // Most of what stands there is text and small numbers.
            let zeros = word.iter().filter(|byte| **byte == 0).count();
            if zeros < WORD_BYTES / 2 && state.blob(&hash)?.is_some() {
                found.push(hash);
            }
        }
        Ok(found)
    }

    fn end_content(
        &mut self,
        part: u32,
        chunk: &mut Vec<Content>,
        chunks: &mut Vec<ContentPart>,
    ) -> Result<(), SnapshotError> {
        if chunk.is_empty() {
            return Ok(());
        }
        let n = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let bytes = self.put(ChunkId::Content(part, n), &encode(chunk))?;
        let count = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        chunks.push(ContentPart { count, bytes });
        chunk.clear();
        Ok(())
    }

    /// Writes blocks with their receipts.
    fn blocks(
        &mut self,
        first: Height,
        last: Height,
        lag: u64,
    ) -> Result<Vec<BlockPart>, SnapshotError> {
        let mut parts = Vec::new();
        let mut next = first;
        while next <= last {
            let (mut blocks, mut bytes, from) = (Vec::<StoredBlock>::new(), 0usize, next);
            while next <= last && bytes < BLOCK_CHUNK_BYTES {
                let stored = self.store.stored_block(next, self.height)?;
                // Without the certificate, whose signatures differ from node to node.
                bytes = bytes
                    .saturating_add(stored.certified.block.body_bytes())
                    .saturating_add(encode(&stored.result).len())
                    .saturating_add(512);
                // A block that does not fit beside others begins the next chunk.
                if bytes > CHUNK_BYTES_MAX / 2 && !blocks.is_empty() {
                    break;
                }
                blocks.push(stored);
                next = next.next();
            }
            let to = next.back(1);
            let after = to.0.saturating_add(1)..=to.0.saturating_add(lag).min(last.0);
            let mut headers = Vec::new();
            for height in after {
                let found = self.store.certified(Height(height))?;
                let (header, certificate) = found.ok_or(SnapshotError::NotHere(Height(height)))?;
                headers.push(CertifiedHeader {
                    header,
                    certificate,
                });
            }
            let chunk = BlocksChunk {
                blocks,
                after: headers,
            };
            let at = u32::try_from(parts.len()).unwrap_or(u32::MAX);
            self.put(ChunkId::Blocks(at), &encode(&chunk))?;
            parts.push(BlockPart { from, to });
        }
        Ok(parts)
    }
}
