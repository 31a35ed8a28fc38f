//! The upper part of the state tree, in memory: every inner node above the pages, in all versions
//! that can still be asked for.
//!
//! Nodes are never changed, only added by a commit and freed when no height kept rests on them, so
//! what a reader of some height finds does not depend on what is committed meanwhile. A commit adds
//! the nodes above what it changed; the rest is shared with the version before.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use hawser_primitives::B256;
use hawser_storage::PagePlace;
use parking_lot::Mutex;

use super::page::Page;
use super::tree::{Child, NewBucket, NewInner, TreeChange};

/// A node, or nothing. Nothing is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeRef(u32);

/// What a [`NodeRef`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Empty,
    Inner(u32),
    Bucket(u32),
}

impl NodeRef {
    pub(super) const EMPTY: Self = Self(0);
    const BUCKET: u32 = 1 << 31;
    const INDEX: u32 = Self::BUCKET - 1;

    pub(super) const fn inner(id: u32) -> Self {
        Self(id.wrapping_add(1) & Self::INDEX)
    }

    pub(super) const fn bucket(id: u32) -> Self {
        Self(id.wrapping_add(1) & Self::INDEX | Self::BUCKET)
    }

    pub(super) const fn kind(self) -> Kind {
        let Some(id) = (self.0 & Self::INDEX).checked_sub(1) else {
            return Kind::Empty;
        };
        if self.0 & Self::BUCKET == 0 {
            Kind::Inner(id)
        } else {
            Kind::Bucket(id)
        }
    }
}

/// Where a node stands: the bits that lead to it, at most 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Position {
    /// The bits, highest first; the rest is zero.
    pub(super) prefix: u64,
    pub(super) depth: u8,
}

impl Position {
    pub(super) const ROOT: Self = Self {
        prefix: 0,
        depth: 0,
    };

    /// The node below, on the right or the left.
    pub(super) const fn child(self, right: bool) -> Self {
        let bit = 1u64 << 63;
        let prefix = match bit.checked_shr(self.depth as u32) {
            Some(bit) if right => self.prefix | bit,
            _ => self.prefix,
        };
        Self {
            prefix,
            depth: self.depth.saturating_add(1),
        }
    }

    /// Whether a path, given by its first 64 bits, goes to the right below this node.
    pub(super) const fn goes_right(self, path: u64) -> bool {
        match path.checked_shl(self.depth as u32) {
            Some(rest) => rest >> 63 == 1,
            None => false,
        }
    }
}

/// The first 64 bits of a path.
pub(super) fn prefix_of(path: &B256) -> u64 {
    path.first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// An inner node above the pages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inner {
    pub(super) hash: B256,
    pub(super) left: NodeRef,
    pub(super) right: NodeRef,
}

/// A node whose leaves are on a page.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    hash: B256,
    /// Number of leaves.
    count: u32,
    /// Where the page is stored; nowhere as long as `bytes` is zero.
    place: PagePlace,
    /// The page: always as long as it is not stored, afterwards while there is room.
    page: Mutex<Option<Page>>,
    /// Whether the page was used since the hand passed by.
    used: AtomicBool,
}

/// A bucket as it is at the moment.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) hash: B256,
    pub(super) count: u32,
    pub(super) place: PagePlace,
    pub(super) page: Option<Page>,
}

impl Bucket {
    /// A bucket whose page is stored.
    pub(super) fn stored(hash: B256, count: u32, place: PagePlace) -> Self {
        Self {
            hash,
            count,
            place,
            ..Self::default()
        }
    }

    pub(super) const fn is_stored(&self) -> bool {
        self.place.bytes > 0
    }

    pub(super) const fn hash(&self) -> B256 {
        self.hash
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    pub(super) const fn place(&self) -> PagePlace {
        self.place
    }

    pub(super) fn see(&self) -> Seen {
        let page = self.page.lock().clone();
        if page.is_some() && !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        Seen {
            hash: self.hash,
            count: self.count,
            place: self.place,
            page,
        }
    }

    /// Takes the page away if it is stored; the bytes that it had.
    fn forget(&self) -> usize {
        if !self.is_stored() {
            return 0;
        }
        let page = self.page.lock().take();
        page.map_or(0, |page| page.bytes().len().saturating_add(PAGE_BYTES))
    }
}

/// What is asked of a bucket without its page.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketFacts {
    pub(super) hash: B256,
    pub(super) count: usize,
    /// Bytes of the page, or of its record.
    pub(super) bytes: usize,
}

impl From<&Bucket> for BucketFacts {
    fn from(bucket: &Bucket) -> Self {
        let page = || bucket.page.lock().as_ref().map_or(0, |p| p.bytes().len());
        Self {
            hash: bucket.hash,
            count: bucket.count as usize,
            bytes: match bucket.place.bytes {
                0 => page(),
                stored => stored as usize,
            },
        }
    }
}

/// A new version in the tree.
pub(super) struct Added {
    pub(super) root: NodeRef,
    /// Buckets added.
    pub(super) buckets: Vec<(u32, Position)>,
    /// What the new version no longer needs.
    pub(super) gone_inners: Vec<u32>,
    pub(super) gone_buckets: Vec<(u32, Position)>,
    /// Memory that was added, about.
    pub(super) bytes: usize,
}

/// Bytes that an inner node costs, and a bucket besides its page.
const INNER_BYTES: usize = 48;
const BUCKET_BYTES: usize = 80;
/// Bytes that a cached page costs besides its content.
const PAGE_BYTES: usize = 56;
const CHUNK: usize = 4096;
/// Buckets that the hand passes at once.
const SWEEP: u32 = 4096;

/// Items by number, in chunks: it grows without moving what it holds.
struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    len: u32,
}

impl<T: Default> Slab<T> {
    const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }

    fn get(&self, id: u32) -> Option<&T> {
        self.chunks
            .get(id as usize / CHUNK)?
            .get(id as usize % CHUNK)
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.chunks
            .get_mut(id as usize / CHUNK)?
            .get_mut(id as usize % CHUNK)
    }

    fn add(&mut self, item: T) -> u32 {
        if let Some(id) = self.free.pop()
            && let Some(to) = self.get_mut(id)
        {
            *to = item;
            return id;
        }
        let id = self.len;
        self.len = self.len.saturating_add(1);
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(item);
        }
        id
    }

    fn remove(&mut self, id: u32) {
        if let Some(item) = self.get_mut(id) {
            *item = T::default();
            self.free.push(id);
        }
    }

    fn used(&self) -> usize {
        (self.len as usize).saturating_sub(self.free.len())
    }
}

/// All nodes above the pages, and the stored pages that are kept in memory, bounded by bytes.
///
/// A page is kept with its bucket, so that whoever got to the bucket has it. A hand goes round the
/// buckets when there is too much and takes the pages that nobody used since it passed last.
pub(super) struct Trunk {
    inners: Slab<Inner>,
    buckets: Slab<Bucket>,
    cached_bytes: AtomicUsize,
    cached_bytes_max: usize,
    hand: AtomicU32,
}

impl Trunk {
    /// An empty tree that keeps at most so many bytes of stored pages.
    pub(super) const fn new(cached_bytes_max: usize) -> Self {
        Self {
            inners: Slab::new(),
            buckets: Slab::new(),
            cached_bytes: AtomicUsize::new(0),
            cached_bytes_max,
            hand: AtomicU32::new(0),
        }
    }

    /// Bytes of stored pages in memory, about.
    #[cfg(test)]
    pub(super) fn cached_bytes(&self) -> usize {
        self.cached_bytes.load(Ordering::Relaxed)
    }

    fn add_cached(&self, bytes: usize) {
        self.cached_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn drop_cached(&self, bytes: usize) {
        self.cached_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Keeps the page of a bucket that was read from a place, if the bucket is still that one.
    pub(super) fn keep(&self, id: u32, place: PagePlace, page: Page) {
        let Some(bucket) = self.bucket(id).filter(|bucket| bucket.place == place) else {
            return;
        };
        let mut slot = bucket.page.lock();
        if slot.is_none() {
            self.add_cached(page.bytes().len().saturating_add(PAGE_BYTES));
            *slot = Some(page);
        }
    }

    /// Says where the page of a bucket stands from now on.
    pub(super) fn place(&mut self, id: u32, place: PagePlace) {
        let Some(bucket) = self.buckets.get_mut(id) else {
            return;
        };
        let fresh = !bucket.is_stored();
        bucket.place = place;
        if fresh && let Some(page) = bucket.page.get_mut() {
            let bytes = page.bytes().len().saturating_add(PAGE_BYTES);
            self.add_cached(bytes);
        }
    }

    /// Forgets the page of a bucket, if it can be read again.
    pub(super) fn forget(&self, id: u32) {
        let bytes = self.bucket(id).map_or(0, Bucket::forget);
        self.drop_cached(bytes);
    }

    /// Whether more bytes of stored pages are in memory than should be.
    pub(super) fn is_over(&self) -> bool {
        self.cached_bytes.load(Ordering::Relaxed) > self.cached_bytes_max
    }

    /// Lets the hand go on a bit.
    pub(super) fn sweep(&self) {
        let len = self.buckets.len.max(1);
        let from = self.hand.fetch_add(SWEEP, Ordering::Relaxed) % len;
        // Some room, so that this is not called for each page.
        let enough = self.cached_bytes_max / 32 * 31;
        for step in 0..SWEEP.min(len) {
            let id = from.wrapping_add(step) % len;
            let Some(bucket) = self.bucket(id) else {
                continue;
            };
            if bucket.used.load(Ordering::Relaxed) {
                bucket.used.store(false, Ordering::Relaxed);
            } else {
                self.drop_cached(bucket.forget());
                if self.cached_bytes.load(Ordering::Relaxed) <= enough {
                    let left = SWEEP.saturating_sub(step).saturating_sub(1);
                    self.hand.fetch_sub(left, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    pub(super) fn inner(&self, id: u32) -> Option<&Inner> {
        self.inners.get(id)
    }

    pub(super) fn bucket(&self, id: u32) -> Option<&Bucket> {
        self.buckets.get(id)
    }

    pub(super) fn add_inner(&mut self, inner: Inner) -> u32 {
        self.inners.add(inner)
    }

    pub(super) fn add_bucket(&mut self, bucket: Bucket) -> u32 {
        self.buckets.add(bucket)
    }

    pub(super) fn remove_inner(&mut self, id: u32) {
        self.inners.remove(id);
    }

    pub(super) fn remove_bucket(&mut self, id: u32) {
        self.forget(id);
        self.buckets.remove(id);
    }

    /// Adds the nodes of a new version.
    pub(super) fn add(&mut self, change: TreeChange) -> Added {
        let mut added = Vec::with_capacity(change.buckets.len());
        let mut bytes = 0usize;
        let mut buckets = Vec::with_capacity(change.buckets.len());
        for bucket in change.buckets {
            let Some(NewBucket {
                hash,
                position,
                page,
            }) = bucket
            else {
                buckets.push(NodeRef::EMPTY);
                continue;
            };
            bytes = bytes
                .saturating_add(page.bytes().len())
                .saturating_add(BUCKET_BYTES);
            let id = self.buckets.add(Bucket {
                hash,
                count: u32::try_from(page.count()).unwrap_or(u32::MAX),
                place: PagePlace::default(),
                page: Mutex::new(Some(page)),
                used: AtomicBool::new(true),
            });
            added.push((id, position));
            buckets.push(NodeRef::bucket(id));
        }
        let mut inners = Vec::with_capacity(change.inners.len());
        let resolve = |child: Child, inners: &[NodeRef]| match child {
            Child::Old(node) => node,
            Child::NewInner(at) => inners.get(at as usize).copied().unwrap_or_default(),
            Child::NewBucket(at) => buckets.get(at as usize).copied().unwrap_or_default(),
        };
        for NewInner { hash, left, right } in change.inners {
            let (left, right) = (resolve(left, &inners), resolve(right, &inners));
            let id = self.inners.add(Inner { hash, left, right });
            inners.push(NodeRef::inner(id));
        }
        bytes = bytes.saturating_add(inners.len().saturating_mul(INNER_BYTES));
        Added {
            root: resolve(change.root, &inners),
            buckets: added,
            gone_inners: change.gone_inners,
            gone_buckets: change.gone_buckets,
            bytes,
        }
    }

    /// Inner nodes and buckets in use.
    pub(super) fn used(&self) -> (usize, usize) {
        (self.inners.used(), self.buckets.used())
    }

    /// The hash of a node.
    pub(super) fn hash(&self, node: NodeRef) -> Option<B256> {
        match node.kind() {
            Kind::Empty => Some(B256::ZERO),
            Kind::Inner(id) => self.inner(id).map(|inner| inner.hash),
            Kind::Bucket(id) => self.bucket(id).map(|bucket| bucket.hash),
        }
    }

    /// The bucket that a path, given by its first 64 bits, leads to, and its depth; `None` when there
    /// is nothing.
    pub(super) fn find(&self, root: NodeRef, path: u64) -> Option<(u32, usize)> {
        let (mut node, mut at) = (root, Position::ROOT);
        loop {
            match node.kind() {
                Kind::Empty => return None,
                Kind::Bucket(id) => return Some((id, at.depth.into())),
                Kind::Inner(id) => {
                    let inner = self.inner(id)?;
                    let right = at.goes_right(path);
                    node = if right { inner.right } else { inner.left };
                    at = at.child(right);
                }
            }
        }
    }
}
