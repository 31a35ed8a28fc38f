use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{B256, Height, decode_exact, encode};
use hawser_storage::{Batch, Kv};

use super::history::prune;
use super::{META, StateError, store_error};

pub(super) const KEY: &[u8] = b"base";
const FORMAT: u32 = 3;
const BYTES_MAX: usize = 256;

/// What is stored: the tree at a height, and history below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) height: Height,
    pub(super) root: B256,
    /// Number of keys.
    pub(super) entries: u64,
    /// Oldest height that the history can answer for.
    pub(super) history_from: Height,
    /// History of the blocks up to this one has been removed.
    pub(super) pruned_to: Height,
}

/// What each commit of the page store says of its pages.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct TreeRecord {
    format: u32,
    suite: Suite,
    height: Height,
    root: B256,
    entries: u64,
    history_from: Height,
}

/// What the key-value store says of the history in it. It is durable before the pages of its height,
/// so after a crash it may be ahead of them; the history of the blocks between is taken back.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct HistoryRecord {
    format: u32,
    suite: Suite,
    height: Height,
    pruned_to: Height,
}

impl Base {
    pub(super) fn put(&self, suite: Suite, batch: &mut Batch) {
        let record = HistoryRecord {
            format: FORMAT,
            suite,
            height: self.height,
            pruned_to: self.pruned_to,
        };
        batch.put(META, KEY, encode(&record));
    }

    /// The bytes for the commit of the page store.
    pub(super) fn tree_record(&self, suite: Suite) -> Vec<u8> {
        encode(&TreeRecord {
            format: FORMAT,
            suite,
            height: self.height,
            root: self.root,
            entries: self.entries,
            history_from: self.history_from,
        })
    }
}

/// Reads and checks what a restart finds in the key-value store and in the page store's last commit,
/// and takes back what the former holds of blocks that the latter does not know.
pub(super) fn load(
    kv: &dyn Kv,
    meta: Option<&[u8]>,
    suite: Suite,
) -> Result<Option<Base>, StateError> {
    let stored = kv.get(META, KEY).map_err(|error| store_error(&error))?;
    let history = stored.map(|bytes| history(&bytes, suite)).transpose()?;
    let Some(meta) = meta else {
        // Without pages the chain begins anew.
        if let Some(history) = history {
            take_back(kv, history.pruned_to, history.height, |batch| {
                batch.delete(META, KEY);
            })?;
        }
        return Ok(None);
    };
    let tree = tree(meta, suite)?;
    let Some(history) = history.filter(|history| history.height >= tree.height) else {
        return Err(apart(tree.height));
    };
    let base = Base {
        height: tree.height,
        root: tree.root,
        entries: tree.entries,
        history_from: tree.history_from,
        pruned_to: history.pruned_to.min(tree.height),
    };
    if history.height > base.height {
        take_back(kv, base.height, history.height, |batch| {
            base.put(suite, batch)
        })?;
    }
    Ok(Some(base))
}

fn tree(meta: &[u8], suite: Suite) -> Result<TreeRecord, StateError> {
    check_format(meta, suite, "page store")?;
    decode_exact(meta, BYTES_MAX)
        .map_err(|error| StateError::Corrupt(format!("commit of the page store: {error}")))
}

/// Pages and history are of two heights that cannot meet.
fn apart(height: Height) -> StateError {
    StateError::Corrupt(format!(
        "the pages are of block {height}, but the key-value store is not that far: the two do \
         not belong together. Restore both from one backup, or move the key-value folder and \
         the state-* files away and start again: both are made anew from the blocks"
    ))
}

/// Height, root and number of keys that a commit of the page store claims.
pub(super) fn committed(meta: &[u8], suite: Suite) -> Result<(Height, B256, u64), StateError> {
    let tree = tree(meta, suite)?;
    Ok((tree.height, tree.root, tree.entries))
}

/// Refuses a key-value store whose history ends before a height.
pub(super) fn check_history(kv: &dyn Kv, height: Height, suite: Suite) -> Result<(), StateError> {
    let stored = kv.get(META, KEY).map_err(|error| store_error(&error))?;
    let history = stored.map(|bytes| history(&bytes, suite)).transpose()?;
    match history {
        Some(history) if history.height >= height => Ok(()),
        _ => Err(apart(height)),
    }
}

/// Removes the history of the blocks after one height up to another; `last` adds to the last batch.
fn take_back(
    kv: &dyn Kv,
    after: Height,
    to: Height,
    last: impl FnOnce(&mut Batch),
) -> Result<(), StateError> {
    let write = |batch| kv.write(batch).map_err(|error| store_error(&error));
    for height in after.0.saturating_add(1)..=to.0 {
        let mut batch = Batch::new();
        prune(kv, &mut batch, Height(height))?;
        write(batch)?;
    }
    let mut batch = Batch::new();
    last(&mut batch);
    write(batch)?;
    kv.persist().map_err(|error| store_error(&error))
}

fn history(bytes: &[u8], suite: Suite) -> Result<HistoryRecord, StateError> {
    check_format(bytes, suite, "key-value store")?;
    decode_exact(bytes, BYTES_MAX)
        .map_err(|error| StateError::Corrupt(format!("state base: {error}")))
}

/// Both records begin with the format, then the suite.
fn check_format(bytes: &[u8], suite: Suite, whose: &str) -> Result<(), StateError> {
    let (format, rest) = bytes
        .split_first_chunk::<4>()
        .ok_or_else(|| StateError::Corrupt(format!("state base of {} bytes", bytes.len())))?;
    let format = u32::from_le_bytes(*format);
    if format != FORMAT {
        return Err(StateError::Corrupt(format!(
            "the {whose} holds state of format {format}, and this program reads {FORMAT}: it was \
             written by another version. Move the key-value folder and the state-* files away and \
             start again: state and indexes are made anew from the blocks"
        )));
    }
    let mut rest = rest;
    let stored = Suite::deserialize(&mut rest)
        .map_err(|error| StateError::Corrupt(format!("state base: {error}")))?;
    if stored != suite {
        return Err(StateError::Corrupt(format!(
            "the state is of suite {stored}, not {suite}"
        )));
    }
    Ok(())
}
