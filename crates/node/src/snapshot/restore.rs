//! A node's folder made from a snapshot, and the check of one as a whole.

use std::sync::Arc;

use hawser_execution::NativeRegistry;
use hawser_ledger::{
    Genesis, LightClient,
    state::{StateError, StateStore},
};
use hawser_primitives::{B256, Bytes, Height};
use hawser_storage::{Disk, Kv, LogError};

use super::{ChunkId, Contents, Manifest, Shelf, SnapshotError, check::read_state, check_blocks};
use crate::store::{ChainStore, ImportBlocks, ImportSource, SEGMENTS, StoreOptions};

/// Stands in a folder while it is being made.
const MARK: &str = "restoring";

/// Whether a chain's folder is one that restoring did not complete.
pub fn is_unfinished(disk: &dyn Disk) -> Result<bool, SnapshotError> {
    Ok(disk.open(MARK).map_err(LogError::from)?.is_some())
}

/// Whether a chain's folder holds no blocks and no state.
pub fn is_empty(disk: &dyn Disk) -> Result<bool, SnapshotError> {
    let files = disk.list().map_err(LogError::from)?;
    Ok(!files.iter().any(|(name, _)| is_data(name)))
}

fn is_data(name: &str) -> bool {
    let word = name.split('-').next().unwrap_or_default();
    word == "state" || SEGMENTS.contains(&word)
}

/// Empties a folder that restoring did not complete, and warns of it. What it put into the key-value store is
/// true and stays.
pub fn clear_unfinished(disk: &dyn Disk) -> Result<(), SnapshotError> {
    if !is_unfinished(disk)? {
        return Ok(());
    }
    for (name, _) in disk.list().map_err(LogError::from)? {
        if is_data(&name) {
            disk.remove(&name).map_err(LogError::from)?;
        }
    }
    disk.sync().map_err(LogError::from)?;
    disk.remove(MARK).map_err(LogError::from)?;
    disk.sync().map_err(LogError::from)?;
    tracing::warn!(
        "filling this folder from a snapshot was interrupted: what it had is removed, and the node begins anew \
         from its peers; after `hawser backup restore`, stop it, move the folder away and restore again"
    );
    Ok(())
}

/// Checks a snapshot on a shelf: its manifest against the genesis, and every chunk. `progress` is told
/// chunks checked, of how many.
pub fn verify(
    shelf: &Shelf,
    height: Height,
    genesis: &Genesis,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, SnapshotError> {
    let manifest = shelf.manifest(height)?;
    let client = manifest.verify(genesis)?;
    let mut reader = Reader::new(shelf, &manifest, &client, genesis, progress);
    while reader.blocks()?.is_some() {}
    StateStore::check_parts(genesis.suite, &mut || ImportSource::part(&mut reader))?;
    Ok(manifest)
}

type PartContent = (
    hawser_ledger::state::ExportPart,
    Vec<hawser_ledger::state::StateLeaf>,
);

/// Reads a snapshot from beginning to end, checking all of it but that the leaves of a part lead to its hash:
/// that is seen by whoever builds the part.
struct Reader<'a> {
    shelf: &'a Shelf,
    manifest: &'a Manifest,
    client: &'a LightClient,
    genesis: &'a Genesis,
    progress: &'a mut dyn FnMut(u64, u64),
    next_blocks: u32,
    next_part: u32,
    done: u64,
    before: Option<B256>,
    /// Content of the part read last.
    contents: Vec<(B256, Bytes)>,
}

impl<'a> Reader<'a> {
    fn new(
        shelf: &'a Shelf,
        manifest: &'a Manifest,
        client: &'a LightClient,
        genesis: &'a Genesis,
        progress: &'a mut dyn FnMut(u64, u64),
    ) -> Self {
        Self {
            shelf,
            manifest,
            client,
            genesis,
            progress,
            next_blocks: 0,
            next_part: 0,
            done: 0,
            before: None,
            contents: Vec::new(),
        }
    }

    fn step(&mut self) {
        self.done = self.done.saturating_add(1);
        (self.progress)(self.done, self.manifest.chunk_count() as u64);
    }

    /// The next chunk of blocks.
    fn blocks(&mut self) -> Result<Option<ImportBlocks>, SnapshotError> {
        let n = self.next_blocks;
        if n as usize >= self.manifest.blocks.len() {
            return Ok(None);
        }
        let bytes = self
            .shelf
            .whole_chunk(self.manifest.height(), ChunkId::Blocks(n))?;
        let lag = self.genesis.parameters.root_lag;
        let suite = self.genesis.suite;
        let blocks = check_blocks(self.client, suite, lag, self.manifest, n, &bytes)?;
        for stored in &blocks {
            let header = &stored.certified.block.header;
            if self.before.is_some_and(|parent| parent != header.parent) {
                return Err(SnapshotError::wrong(
                    "chunks of blocks do not follow one another",
                ));
            }
            self.before = Some(header.hash(suite));
        }
        self.next_blocks = n.saturating_add(1);
        self.step();
        Ok(Some(
            blocks
                .into_iter()
                .map(|one| (one.certified, one.result))
                .collect(),
        ))
    }

    /// The next part of the state; its content is in `contents` then.
    fn part(&mut self) -> Result<Option<PartContent>, SnapshotError> {
        let (at, height) = (self.next_part, self.manifest.height());
        let manifest = self.manifest;
        let Some(part) = manifest.parts.get(at as usize) else {
            return Ok(None);
        };
        let suite = self.genesis.suite;
        let bytes = self.shelf.whole_chunk(height, ChunkId::State(at))?;
        let leaves = read_state(part, &bytes)?;
        self.step();
        let mut contents = Contents::of(suite, &leaves);
        self.contents.clear();
        for (n, _) in (0u32..).zip(&part.contents) {
            let bytes = self.shelf.whole_chunk(height, ChunkId::Content(at, n))?;
            self.contents.extend(contents.check(part, n, &bytes)?);
            self.step();
        }
        contents.finish()?;
        self.next_part = at.saturating_add(1);
        Ok(Some((part.part, leaves)))
    }
}

/// As [`ImportSource`]: what is wrong with a snapshot is told as damage of the store.
impl ImportSource for Reader<'_> {
    fn blocks(&mut self) -> Result<Option<ImportBlocks>, StateError> {
        Reader::blocks(self).map_err(|error| StateError::Corrupt(error.to_string()))
    }

    fn part(&mut self) -> Result<Option<PartContent>, StateError> {
        Reader::part(self).map_err(|error| StateError::Corrupt(error.to_string()))
    }

    fn contents(&mut self) -> Vec<(B256, Bytes)> {
        std::mem::take(&mut self.contents)
    }
}

/// Makes an empty folder that of a node which is at the snapshot's block, checking every chunk on the way.
/// Interrupted, it leaves a folder that [`clear_unfinished`] empties. `progress` is told chunks done, of how
/// many.
pub fn restore(
    (shelf, height): (&Shelf, Height),
    (disk, kv): (Arc<dyn Disk>, Arc<dyn Kv>),
    genesis: &Arc<Genesis>,
    natives: NativeRegistry,
    options: &StoreOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, SnapshotError> {
    clear_unfinished(disk.as_ref())?;
    if !is_empty(disk.as_ref())? {
        return Err(SnapshotError::NotEmpty);
    }
    let manifest = shelf.manifest(height)?;
    let client = manifest.verify(genesis)?;
    let failed = |error| SnapshotError::from(LogError::from(error));
    disk.create(MARK)
        .and_then(|mark| mark.sync())
        .map_err(failed)?;
    disk.sync().map_err(failed)?;
    let mut reader = Reader::new(shelf, &manifest, &client, genesis, progress);
    ChainStore::import(
        Arc::clone(&disk),
        kv,
        genesis,
        natives,
        options,
        &manifest,
        &mut reader,
    )?;
    disk.remove(MARK).map_err(failed)?;
    disk.sync().map_err(failed)?;
    Ok(manifest)
}
