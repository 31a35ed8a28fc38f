//! The whole state of one height, read in parts while blocks go on, and made again from such parts.
//!
//! A part is everything below one node of the tree, so its hash follows from its leaves alone, and
//! the hashes of all parts give the root: whoever knows the root can check each part by itself.
//! Where parts begin is a function of the leaves, whatever pages they lie on: a part is the highest
//! node that has at most [`EXPORT_LEAVES_MAX`] leaves below it.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic;
use std::sync::Arc;
use std::thread;

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_crypto::Suite;
use hawser_primitives::{B256, Bytes, Height};
use hawser_storage::{Batch, Disk, Kv, PageIndex};

use super::fill::{Nothing, append, begin};
use super::index::{Parts, Stored};
use super::{BLOBS, Inner, STATE_VALUE_BYTES_MAX, StateError, StateOptions, StateStore};
use super::{log_error, store_error};
use crate::state::message::inner_hash;
use crate::state::page::{PAGE_DEPTH_MAX, Page, Update};
use crate::state::tree::{self, TreeChange};
use crate::state::trunk::{Kind, NodeRef, Position, prefix_of};

/// Most leaves of a part: 1.1 to 3.6 MB of accounts and storage slots.
pub const EXPORT_LEAVES_MAX: u64 = 32_768;
/// Nodes looked at under one lock, so that nobody waits long.
const NODES_AT_ONCE: usize = 512;
/// Most threads that build parts, and parts in memory at once.
const BUILDERS_MAX: usize = 8;

/// Path and value of a key.
pub type StateLeaf = (B256, Bytes);

/// Gives the next part of a state, in order of paths, with its leaves; `None` after the last, however often it
/// is asked.
pub type PartSource<'a> =
    &'a mut dyn FnMut() -> Result<Option<(ExportPart, Vec<StateLeaf>)>, StateError>;

/// A part of a state: everything below one node of its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ExportPart {
    /// The bits that lead to the node, highest first; the rest is zero.
    pub prefix: u64,
    /// How many bits that is, at most 64.
    pub depth: u8,
    /// Hash of the node.
    pub hash: B256,
    /// Number of leaves below it, 1 to [`EXPORT_LEAVES_MAX`].
    pub leaves: u32,
}

impl ExportPart {
    const fn position(&self) -> Position {
        Position {
            prefix: self.prefix,
            depth: self.depth,
        }
    }

    /// Whether its bits fit its depth.
    fn is_sound(&self) -> bool {
        let depth = u32::from(self.depth);
        let rest = u64::MAX.checked_shr(depth).unwrap_or(0);
        usize::from(self.depth) <= PAGE_DEPTH_MAX && self.prefix & rest == 0 && self.leaves > 0
    }

    /// Whether a path lies below its node.
    fn holds(&self, path: &B256) -> bool {
        let rest = u64::MAX.checked_shr(u32::from(self.depth)).unwrap_or(0);
        prefix_of(path) & !rest == self.prefix
    }
}

/// The hash of the node over leaves; `None` unless they are the leaves of that part: in strict order
/// of paths, below its node, as many as it says, none with a value that no key may have.
#[must_use]
pub fn part_hash(suite: Suite, part: &ExportPart, leaves: &[StateLeaf]) -> Option<B256> {
    apply(suite, part, leaves).ok().map(|(_, hash)| hash)
}

fn apply(
    suite: Suite,
    part: &ExportPart,
    leaves: &[StateLeaf],
) -> Result<(TreeChange, B256), StateError> {
    let bad = |what: &str| StateError::Corrupt(format!("a part of a state: {what}"));
    let ordered = leaves.is_sorted_by(|(a, _), (b, _)| a < b);
    if !part.is_sound() || leaves.len() != part.leaves as usize || !ordered {
        return Err(bad("its leaves are not what it says"));
    }
    let mut updates = Vec::with_capacity(leaves.len());
    for (path, value) in leaves {
        if !part.holds(path) {
            return Err(bad("a leaf of another part"));
        }
        if value.len() > STATE_VALUE_BYTES_MAX {
            return Err(bad("a value is too long"));
        }
        updates.push(Update {
            path: *path,
            change: Some(value.clone()),
        });
    }
    let change = tree::apply_at(suite, &Nothing, NodeRef::EMPTY, part.position(), &updates)?;
    let hash = change.root_hash;
    Ok((change, hash))
}

/// Builds parts on all processors and hands them on in order, each with its pages. Refuses the first that is not
/// what it says.
fn build(
    suite: Suite,
    source: PartSource<'_>,
    each: &mut dyn FnMut(ExportPart, TreeChange) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = processors.min(BUILDERS_MAX);
    thread::scope(|scope| {
        let mut ahead = VecDeque::with_capacity(threads);
        loop {
            while ahead.len() < threads
                && let Some((part, leaves)) = source()?
            {
                let builder = thread::Builder::new().name("state-part".to_owned());
                let work = move || apply(suite, &part, &leaves);
                let thread = builder.spawn_scoped(scope, work);
                let thread = thread.map_err(|error| {
                    StateError::Store(format!("a thread cannot be started: {error}"))
                })?;
                ahead.push_back((part, thread));
            }
            let Some((part, thread)) = ahead.pop_front() else {
                return Ok(());
            };
            let built = thread.join();
            let (change, hash) = built.unwrap_or_else(|panic| panic::resume_unwind(panic))?;
            if hash != part.hash {
                let reason = "a part of the state is not the one committed to".to_owned();
                return Err(StateError::Corrupt(reason));
            }
            each(part, change)?;
        }
    })
}

/// The root that parts in order of paths lead to; `None` unless they are those that a state of this
/// root has: beside one another, none larger than allowed and none that could be part of a larger one.
#[must_use]
pub fn parts_root(suite: Suite, parts: &[ExportPart]) -> Option<B256> {
    if parts.is_empty() {
        return Some(B256::ZERO);
    }
    if !parts.iter().all(ExportPart::is_sound) {
        return None;
    }
    let (hash, _) = fold(suite, Position::ROOT, parts)?;
    Some(hash)
}

/// Hash and leaves of the node over parts.
fn fold(suite: Suite, at: Position, parts: &[ExportPart]) -> Option<(B256, u64)> {
    match parts {
        [] => return Some((B256::ZERO, 0)),
        [part] if part.position() == at => {
            let leaves = u64::from(part.leaves);
            return (leaves <= EXPORT_LEAVES_MAX).then_some((part.hash, leaves));
        }
        _ if parts.iter().any(|part| part.depth <= at.depth) => return None,
        _ => {}
    }
    let mid = parts.partition_point(|part| !at.goes_right(part.prefix));
    let (left, right) = parts.split_at_checked(mid)?;
    // Out of order, a part would be on the wrong side.
    if right.iter().any(|part| !at.goes_right(part.prefix)) {
        return None;
    }
    let (left, on_left) = fold(suite, at.child(false), left)?;
    let (right, on_right) = fold(suite, at.child(true), right)?;
    let leaves = on_left.checked_add(on_right)?;
    // What fits one part is one part.
    (leaves > EXPORT_LEAVES_MAX).then(|| (inner_hash(suite, &left, &right), leaves))
}

/// A page of the state that is exported: where it stands, or itself while it is not stored.
struct Placed {
    at: Position,
    stored: Stored,
    page: Option<Page>,
}

/// The state of one height, to be read in parts. While it exists, the files of pages that it needs
/// stay; blocks and flushes go on. Memory: about 70 bytes per page, and the pages that were not on the
/// disk yet.
pub struct StateExport {
    inner: Arc<Inner>,
    height: Height,
    root: B256,
    entries: u64,
    pages: Vec<Placed>,
    parts: Vec<(ExportPart, Range<usize>)>,
}

impl Drop for StateExport {
    fn drop(&mut self) {
        self.inner.pages.release();
    }
}

impl StateExport {
    /// The height.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// Its root.
    #[must_use]
    pub const fn root(&self) -> B256 {
        self.root
    }

    /// Number of keys.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// The parts, in order of paths.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = ExportPart> + '_ {
        self.parts.iter().map(|(part, _)| *part)
    }

    /// The leaves of a part, by its place among the parts; `None` beyond the last. Each page is checked
    /// against the hash that the tree had for it.
    pub fn read(&self, part: usize) -> Result<Option<Vec<StateLeaf>>, StateError> {
        let Some((part, range)) = self.parts.get(part) else {
            return Ok(None);
        };
        let pages = self.pages.get(range.clone()).unwrap_or_default();
        let mut leaves = Vec::with_capacity(part.leaves as usize);
        for placed in pages {
            let page = match &placed.page {
                Some(page) => page.clone(),
                None => self.inner.stored_page(placed)?,
            };
            leaves.extend(page.leaves());
        }
        Ok(Some(leaves))
    }
}

impl Inner {
    fn stored_page(&self, placed: &Placed) -> Result<Page, StateError> {
        let bytes = self.pages.read(placed.stored.place);
        let bytes = bytes.map_err(|error| log_error(&error))?;
        let bytes = bytes
            .ok_or_else(|| StateError::Corrupt("a page that was held is not there".to_owned()))?;
        let page = Page::decode(bytes, placed.at.depth.into())?;
        if page.hash(self.suite) != placed.stored.hash {
            let reason = "a page is not the one committed to".to_owned();
            return Err(StateError::Corrupt(reason));
        }
        Ok(page)
    }

    /// All pages of the tree of a node, in order of paths.
    fn placed(&self, node: NodeRef) -> Result<Vec<Placed>, StateError> {
        let lost = || StateError::Corrupt("a node of the state tree is missing".into());
        let mut pages = Vec::new();
        let mut open = vec![(node, Position::ROOT)];
        while !open.is_empty() {
            let overlay = self.overlay.read();
            for _ in 0..NODES_AT_ONCE {
                let Some((node, at)) = open.pop() else {
                    break;
                };
                match node.kind() {
                    Kind::Empty => {}
                    Kind::Inner(id) => {
                        let inner = overlay.trunk.inner(id).ok_or_else(lost)?;
                        open.push((inner.right, at.child(true)));
                        open.push((inner.left, at.child(false)));
                    }
                    Kind::Bucket(id) => {
                        let bucket = overlay.trunk.bucket(id).ok_or_else(lost)?;
                        let stored = Stored {
                            hash: bucket.hash(),
                            count: bucket.count(),
                            place: bucket.place(),
                        };
                        // One that is stored can be read again; the cache is for readers.
                        let page = match bucket.is_stored() {
                            true => None,
                            false => Some(bucket.see().page.ok_or_else(lost)?),
                        };
                        pages.push(Placed { at, stored, page });
                    }
                }
            }
        }
        Ok(pages)
    }
}

/// Cuts pages in order into parts.
struct Cutter<'a> {
    suite: Suite,
    pages: &'a [Placed],
    /// Leaves before each page.
    before: Vec<u64>,
    parts: Vec<(ExportPart, Range<usize>)>,
}

impl Cutter<'_> {
    fn leaves(&self, range: &Range<usize>) -> u64 {
        let at = |page: usize| self.before.get(page).copied().unwrap_or_default();
        at(range.end).saturating_sub(at(range.start))
    }

    fn middle(&self, at: Position, range: &Range<usize>) -> usize {
        let pages = self.pages.get(range.clone()).unwrap_or_default();
        let left = pages.partition_point(|page| !at.goes_right(page.at.prefix));
        range.start.saturating_add(left)
    }

    fn is_page(&self, at: Position, range: &Range<usize>) -> bool {
        let page = self.pages.get(range.start);
        range.len() == 1 && page.is_some_and(|page| page.at == at)
    }

    fn hash(&self, at: Position, range: Range<usize>) -> B256 {
        if range.is_empty() {
            return B256::ZERO;
        }
        if self.is_page(at, &range) {
            let page = self.pages.get(range.start);
            return page.map_or(B256::ZERO, |page| page.stored.hash);
        }
        let mid = self.middle(at, &range);
        let left = self.hash(at.child(false), range.start..mid);
        let right = self.hash(at.child(true), mid..range.end);
        inner_hash(self.suite, &left, &right)
    }

    fn cut(&mut self, at: Position, range: Range<usize>) {
        let leaves = self.leaves(&range);
        if range.is_empty() {
            return;
        }
        if leaves > EXPORT_LEAVES_MAX && !self.is_page(at, &range) {
            let mid = self.middle(at, &range);
            self.cut(at.child(false), range.start..mid);
            self.cut(at.child(true), mid..range.end);
            return;
        }
        let part = ExportPart {
            prefix: at.prefix,
            depth: at.depth,
            hash: self.hash(at, range.clone()),
            leaves: u32::try_from(leaves).unwrap_or(u32::MAX),
        };
        self.parts.push((part, range));
    }
}

impl StateStore {
    /// Takes hold of the state after a height between the flushed base and the head, so that it can be
    /// read in parts while blocks go on. No flush begins while the places of the pages are gathered.
    pub fn export(&self, height: Height) -> Result<StateExport, StateError> {
        let inner = &self.inner;
        inner.usable()?;
        let flushing = inner.flushing.lock();
        let (node, root, entries) = {
            let overlay = inner.overlay.read();
            overlay.check_provable(height)?;
            let lost = || overlay.not_kept(height, "states to export", overlay.base_height());
            let node = overlay.node(height).ok_or_else(lost)?;
            let root = overlay.root(height).ok_or_else(lost)?;
            (node, root, overlay.entries_at(height).ok_or_else(lost)?)
        };
        let pages = inner.placed(node)?;
        inner.pages.hold();
        drop(flushing);
        let mut export = StateExport {
            inner: Arc::clone(inner),
            height,
            root,
            entries,
            pages,
            parts: Vec::new(),
        };
        let mut before = Vec::with_capacity(export.pages.len().saturating_add(1));
        let mut sum = 0u64;
        before.push(sum);
        for page in &export.pages {
            sum = sum.saturating_add(page.stored.count.into());
            before.push(sum);
        }
        let mut cutter = Cutter {
            suite: inner.suite,
            pages: &export.pages,
            before,
            parts: Vec::new(),
        };
        cutter.cut(Position::ROOT, 0..export.pages.len());
        export.parts = cutter.parts;
        let parts: Vec<_> = export.parts().collect();
        if sum != entries || parts_root(inner.suite, &parts) != Some(root) {
            let reason = format!("the pages of block {height} do not lead to its root");
            return Err(StateError::Corrupt(reason));
        }
        Ok(export)
    }

    /// Makes the state of `height` from its parts, in stores that hold no state yet. Refused unless
    /// they lead to `root`. Each page is written once and memory is bounded by a part for each of up to eight
    /// processors; interrupted, it leaves stores that open empty. Nothing before `height` can be read afterwards.
    pub fn fill_parts(
        kv: &dyn Kv,
        disk: Arc<dyn Disk>,
        suite: Suite,
        options: &StateOptions,
        (height, root): (Height, B256),
        source: PartSource<'_>,
    ) -> Result<(), StateError> {
        let failed = |error| log_error(&error);
        let (pages, mut base) = begin(kv, disk, suite, options, height)?;
        base.root = root;
        let mut writer = pages.write().map_err(failed)?;
        let (mut index, mut parts) = (Parts::default(), Vec::new());
        build(suite, source, &mut |part, change| {
            for bucket in change.buckets.into_iter().flatten() {
                append(&mut writer, &mut index, &bucket).map_err(failed)?;
            }
            base.entries = base.entries.saturating_add(part.leaves.into());
            parts.push(part);
            Ok(())
        })?;
        if parts_root(suite, &parts) != Some(root) {
            let reason = format!("its parts do not lead to root {root}");
            return Err(StateError::Corrupt(reason));
        }
        let meta = base.tree_record(suite);
        writer
            .commit(PageIndex::Whole(&mut index.finish()), &meta)
            .and_then(|()| pages.persist())
            .map_err(failed)
    }

    /// Checks that each part is what it says. Whether they belong together says [`parts_root`].
    pub fn check_parts(suite: Suite, source: PartSource<'_>) -> Result<(), StateError> {
        build(suite, source, &mut |_, _| Ok(()))
    }

    /// Puts content under its hashes, which the caller has checked. Durable with the next
    /// [`Kv::persist`].
    pub fn put_content(kv: &dyn Kv, content: &[(B256, Bytes)]) -> Result<(), StateError> {
        let mut batch = Batch::new();
        for (hash, content) in content {
            batch.put(BLOBS, hash, content);
        }
        kv.write(batch).map_err(|error| store_error(&error))
    }
}
