//! The authenticated state on disk, with the latest blocks in memory above it.
//!
//! ```text
//! commit(h) → layer of height h ─┐
//!             …                  ├ overlay in memory: values, tree and roots per height
//!             layer of base + 1 ─┘
//! flush(h)  → key-value store: blobs, and what each block since replaced, for old heights; durable
//!           → page store: the pages that changed; durable; then a commit that names them
//! ```
//! Above the pages the tree is in memory (`trunk`), at start it is built from the index of the page
//! store (`index`). A page is read from where it stands, once, and kept in its stored form, in which
//! it is searched and changed. Nothing is synced per block. After a crash the store reopens at the height of the last flush that
//! was persisted, and the node executes the blocks after it again.

mod base;
mod cache;
mod check;
mod commit;
mod convert;
mod copy;
mod export;
#[cfg(test)]
mod export_tests;
mod fill;
#[cfg(test)]
mod fill_tests;
mod flush;
mod history;
mod index;
mod overlay;
mod pages;
mod read;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hawser_crypto::Suite;
use hawser_primitives::{B256, Bytes, Height};
use hawser_storage::{
    Column, Disk, KeyForm, Kv, KvError, LogError, PageStore, PageStoreOptions, PageUsage,
};
use parking_lot::{Mutex, RwLock};

use super::proof::{ProofEnd, StateProof};
use super::{Changes, StateError, StateKey};
use cache::Cache;
use overlay::Overlay;

pub use check::StateCheck;
pub use convert::StateProgress;
pub use export::{
    EXPORT_LEAVES_MAX, ExportPart, PartSource, StateExport, StateLeaf, part_hash, parts_root,
};
pub use fill::{StateSource, part_of};
pub use read::StateView;

/// Largest value of a key, in bytes. Larger content belongs into blobs.
pub const STATE_VALUE_BYTES_MAX: usize = 1024 * 1024;

/// What the names of the page store's files begin with.
const PREFIX: &str = "state";

const META: Column = Column("state.meta");
const BLOBS: Column = Column("state.blobs");
const HISTORY: Column = Column("state.history");
const CHANGED: Column = Column("state.changed");
/// Used by format 2; emptied by its conversion.
const VALUES: Column = Column("state.values");
const PAGES: Column = Column("state.pages");

/// How much a [`StateStore`] keeps. None of it changes roots or proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateOptions {
    /// Heights above the flushed base that may be in memory before [`StateStore::flush_due`] asks
    /// for a flush. A commit that finds twice as many flushes by itself. Default 64, at least 2.
    pub overlay_blocks: u64,
    /// The same in bytes, about. Default 128 MiB.
    pub overlay_bytes: usize,
    /// Latest heights that are never flushed unless asked for by height, so that they stay provable.
    /// Default 8; at most half of `overlay_blocks`.
    pub provable_blocks: u64,
    /// Heights below the base that can still be read. 0 keeps none. Default 1024.
    pub history_blocks: u64,
    /// Bytes of pages cached above the store. Default 64 MiB.
    pub page_cache_bytes: usize,
    /// Bytes of values cached above the store. Default 32 MiB.
    pub value_cache_bytes: usize,
    /// Sizes of the files that hold the pages.
    pub pages: PageStoreOptions,
}

impl Default for StateOptions {
    fn default() -> Self {
        Self {
            overlay_blocks: 64,
            overlay_bytes: 128 * 1024 * 1024,
            provable_blocks: 8,
            history_blocks: 1024,
            page_cache_bytes: 64 * 1024 * 1024,
            value_cache_bytes: 32 * 1024 * 1024,
            pages: PageStoreOptions::default(),
        }
    }
}

/// The authenticated state of a chain. Cheap to clone; clones are the same store.
///
/// One thread commits, another may flush, any number read: readers wait only while a commit or a
/// flush hands over its results.
#[derive(Clone)]
pub struct StateStore {
    inner: Arc<Inner>,
}

struct Inner {
    kv: Arc<dyn Kv>,
    pages: PageStore,
    suite: Suite,
    options: StateOptions,
    overlay: RwLock<Overlay>,
    /// What the store holds at the base. Locked after `overlay`, and changed while it is held.
    caches: Caches,
    /// Held by a commit from beginning to end, and `flushing` by a flush.
    committing: Mutex<()>,
    flushing: Mutex<()>,
    poisoned: AtomicBool,
    /// Oldest height that the durable base can answer for. Its history is kept until a later base is
    /// durable, so that a crash takes no height away that could be read.
    durable_from: AtomicU64,
}

struct Caches {
    values: Cache<StateKey, Option<Bytes>>,
}

impl StateStore {
    /// The columns that the key-value store must have.
    pub const COLUMNS: [Column; 6] = [META, BLOBS, HISTORY, CHANGED, VALUES, PAGES];

    /// What of their keys lies open in an encrypted store: heights, never accounts, slots or hashes of
    /// code.
    pub const KEY_FORMS: [(Column, KeyForm); 6] = [
        (META, KeyForm::Open),
        (BLOBS, KeyForm::Hidden { tail: 0 }),
        // The history of one key is read in order of height.
        (HISTORY, KeyForm::Hidden { tail: 8 }),
        (CHANGED, KeyForm::Open),
        (VALUES, KeyForm::Hidden { tail: 0 }),
        (PAGES, KeyForm::Hidden { tail: 0 }),
    ];

    /// Opens the state, or an empty one. Pages are on `disk` in files named `state-*`, the rest in
    /// the key-value store. A state of another suite or format, one whose pages do not lead to its
    /// root, or one whose two parts do not belong together is refused.
    pub fn open(
        kv: Arc<dyn Kv>,
        disk: Arc<dyn Disk>,
        suite: Suite,
        options: StateOptions,
    ) -> Result<Self, StateError> {
        Self::open_any(kv, disk, suite, options, &mut |_, _| {})
    }

    /// The same, following the conversion of a state of the format before, which is made once.
    pub fn open_any(
        kv: Arc<dyn Kv>,
        disk: Arc<dyn Disk>,
        suite: Suite,
        options: StateOptions,
        progress: StateProgress<'_>,
    ) -> Result<Self, StateError> {
        let open = || {
            let opened = PageStore::open(Arc::clone(&disk), PREFIX, options.pages);
            opened.map_err(|error| log_error(&error))
        };
        let (mut pages, mut commit) = open()?;
        let committed = commit.as_ref().map(|commit| commit.meta.as_slice());
        if convert::convert(&*kv, &pages, committed, suite, progress)? {
            drop(pages);
            (pages, commit) = open()?;
        }
        let base = base::load(
            &*kv,
            commit.as_ref().map(|commit| commit.meta.as_slice()),
            suite,
        )?;
        let parts = commit.map(|commit| commit.parts).unwrap_or_default();
        let adopt = &mut |place| pages.adopt(place).map_err(|error| log_error(&error));
        let (trunk, node) = index::build(suite, parts, options.page_cache_bytes, adopt)?;
        let (found, expected) = (
            trunk.hash(node),
            base.as_ref().map_or(B256::ZERO, |b| b.root),
        );
        if found != Some(expected) {
            let found = found.unwrap_or_default();
            return Err(StateError::Corrupt(format!(
                "the pages lead to root {found}, not {expected}; {}",
                "restore the folder from a backup, or move the state-* files away and start again"
            )));
        }
        let durable_from = base.as_ref().map_or(0, |base| base.history_from.0);
        let overlay_blocks = options.overlay_blocks.max(2);
        let provable_blocks = options.provable_blocks.clamp(1, overlay_blocks / 2);
        let options = StateOptions {
            overlay_blocks,
            provable_blocks,
            ..options
        };
        Ok(Self {
            inner: Arc::new(Inner {
                kv,
                pages,
                suite,
                options,
                overlay: RwLock::new(Overlay::new(base, trunk, node)),
                caches: Caches {
                    values: Cache::new(options.value_cache_bytes),
                },
                committing: Mutex::new(()),
                flushing: Mutex::new(()),
                poisoned: AtomicBool::new(false),
                durable_from: AtomicU64::new(durable_from),
            }),
        })
    }

    /// The suite whose hash the state uses.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.inner.suite
    }

    /// Latest height committed and its root; `None` before genesis.
    #[must_use]
    pub fn head(&self) -> Option<(Height, B256)> {
        self.inner.overlay.read().head()
    }

    /// Height and root that a restart would find if nothing more was flushed and all is persisted;
    /// `None` before the first flush.
    #[must_use]
    pub fn flushed(&self) -> Option<(Height, B256)> {
        self.inner
            .overlay
            .read()
            .base
            .as_ref()
            .map(|base| (base.height, base.root))
    }

    /// Number of keys at the head.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.inner.overlay.read().entries()
    }

    /// Bytes that the heights above the base hold in memory, about.
    #[must_use]
    pub fn overlay_bytes(&self) -> usize {
        self.inner.overlay.read().bytes
    }

    /// Root after a height between the flushed base and the head.
    pub fn root(&self, height: Height) -> Result<B256, StateError> {
        let overlay = self.inner.overlay.read();
        overlay
            .root(height)
            .ok_or_else(|| overlay.not_kept(height, "roots", overlay.base_height()))
    }

    /// Applies what the block of `height` changed, and returns the root of the state after it.
    ///
    /// Heights come one after another, beginning with 0 for genesis, or with the one after the
    /// flushed height after a restart. The result is in memory until it is flushed.
    pub fn commit(&self, height: Height, changes: &Changes) -> Result<B256, StateError> {
        self.inner.commit(height, changes)
    }

    /// The height up to which [`Self::flush`] should be called, if the overlay has grown enough.
    /// The blocks up to there must be durable in the block log first.
    #[must_use]
    pub fn flush_due(&self) -> Option<Height> {
        self.inner.flush_due(1)
    }

    /// Moves all heights up to `height` to the disk, in a commit that [`Self::persist`] makes durable.
    /// Returns the height flushed: `height`, or the head if that is lower.
    ///
    /// May run beside a commit. Proofs for heights below are no longer available.
    pub fn flush(&self, height: Height) -> Result<Option<Height>, StateError> {
        self.inner.flush(height)
    }

    /// Makes everything flushed durable.
    pub fn persist(&self) -> Result<(), StateError> {
        // Not within a flush of another thread, which has moved pages and not said so yet: their files would go
        // while readers look for them there.
        let _flushing = self.inner.flushing.lock();
        self.inner.usable()?;
        let base = self.inner.overlay.read().base.clone();
        let done = self.inner.kv.persist();
        self.inner.durable(done)?;
        let done = self.inner.pages.persist();
        self.inner.durable_pages(done)?;
        let from = base.map_or(0, |base| base.history_from.0);
        self.inner.durable_from.fetch_max(from, Ordering::AcqRel);
        Ok(())
    }

    /// Whether [`Self::compact`] is worth while: the page files are more than 1.15 times what is live in
    /// them, and no export holds them.
    #[must_use]
    pub fn is_compaction_due(&self) -> bool {
        self.inner.pages.is_compaction_due()
    }

    /// Moves live pages out of files that hold waste, for about 4 MiB of these, durably; says whether there may be
    /// more, which is so until the files are 1.08 times what is live in them; the last call shortens the index.
    /// Heights, roots and proofs stay.
    ///
    /// For times at which nobody waits: it writes what no block asks for. May run beside a commit.
    pub fn compact(&self) -> Result<bool, StateError> {
        self.inner.compact()
    }

    /// What the page files hold.
    #[must_use]
    pub fn page_usage(&self) -> PageUsage {
        self.inner.pages.usage()
    }

    /// Nodes of the tree that are in memory: inner nodes, and pages that are known, cached or not.
    #[must_use]
    pub fn nodes(&self) -> (usize, usize) {
        self.inner.overlay.read().trunk.used()
    }

    /// The state after a height: from the head back to the oldest height of the history.
    ///
    /// The view stays what it is while commits and flushes go on. When its height leaves the
    /// history, its reads fail with [`StateError::NotKept`].
    pub fn view(&self, height: Height) -> Result<StateView, StateError> {
        self.inner.usable()?;
        self.inner.overlay.read().check_readable(height)?;
        Ok(StateView::new(self.inner.clone(), height))
    }

    /// Proves the value or the absence of a key after a height between the flushed base and the
    /// head.
    pub fn prove(&self, height: Height, key: &StateKey) -> Result<StateProof, StateError> {
        let path = key.path(self.inner.suite);
        let descent = self.inner.descend(height, &path)?;
        let end = match descent.end {
            None => ProofEnd::Empty,
            Some(leaf) if leaf.path == path => {
                let value = self.inner.read(key, height)?;
                ProofEnd::Value(value.ok_or_else(|| {
                    StateError::Corrupt(format!("{key:?} has a leaf but no value"))
                })?)
            }
            Some(leaf) => ProofEnd::OtherLeaf {
                path: leaf.path,
                value_hash: leaf.value_hash,
            },
        };
        Ok(StateProof::new(end, &descent.siblings))
    }
}

impl Inner {
    fn usable(&self) -> Result<(), StateError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(StateError::Store(
                "a durable write failed; restart the node".into(),
            ));
        }
        Ok(())
    }

    fn durable<T>(&self, done: Result<T, KvError>) -> Result<T, StateError> {
        done.map_err(|error| {
            self.poisoned.store(true, Ordering::Release);
            store_error(&error)
        })
    }

    fn durable_pages<T>(&self, done: Result<T, LogError>) -> Result<T, StateError> {
        done.map_err(|error| {
            self.poisoned.store(true, Ordering::Release);
            log_error(&error)
        })
    }
}

fn log_error(error: &LogError) -> StateError {
    match error {
        LogError::Corrupt { .. } => StateError::Corrupt(error.to_string()),
        _ => StateError::Store(error.to_string()),
    }
}

fn value_len(value: &Option<Bytes>) -> usize {
    value.as_ref().map_or(0, |value| value.len())
}

fn store_error(error: &KvError) -> StateError {
    StateError::Store(error.to_string())
}
