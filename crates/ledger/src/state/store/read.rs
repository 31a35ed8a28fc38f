use std::sync::Arc;

use hawser_primitives::{B256, Bytes, Height};

use super::overlay::Overlay;
use super::{BLOBS, Inner, StateError, log_error, store_error, value_len};
use crate::state::page::Page;
use crate::state::tree::{self, Descent, Nodes};
use crate::state::trunk::{BucketFacts, Inner as InnerNode, NodeRef, prefix_of};
use crate::state::{StateKey, StateRead};

/// Number and depth of a bucket, if there is one.
type Found = Option<(u32, usize)>;

/// The state after one height. Cheap to clone.
#[derive(Clone)]
pub struct StateView {
    inner: Arc<Inner>,
    height: Height,
}

impl StateView {
    pub(super) const fn new(inner: Arc<Inner>, height: Height) -> Self {
        Self { inner, height }
    }

    /// The height that it shows the state after.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }
}

impl StateRead for StateView {
    fn get(&self, key: &StateKey) -> Result<Option<Bytes>, StateError> {
        self.inner.read(key, self.height)
    }

    fn blob(&self, hash: &B256) -> Result<Option<Bytes>, StateError> {
        self.inner.usable()?;
        if let Some(content) = self.inner.overlay.read().blobs.get(hash) {
            return Ok(Some(content.clone()));
        }
        let stored = self.inner.kv.get(BLOBS, hash.as_slice());
        Ok(stored
            .map_err(|error| store_error(&error))?
            .map(Bytes::from))
    }
}

impl Inner {
    /// The value of a key after a height.
    ///
    /// The store is read without the lock. Its answer counts only if the key is still not among
    /// those above the base and the base is the same: then no flush touched the key meanwhile.
    pub(super) fn read(&self, key: &StateKey, height: Height) -> Result<Option<Bytes>, StateError> {
        self.usable()?;
        loop {
            let base = {
                let overlay = self.overlay.read();
                overlay.check_readable(height)?;
                let base = overlay.base_height();
                if height >= base {
                    if let Some(value) = overlay.value(key, height) {
                        return Ok(value);
                    }
                    if let Some(value) = self.caches.values.get(key) {
                        return Ok(value);
                    }
                }
                base
            };
            if height < base {
                let found = self.replaced_after(key, height, base)?;
                let overlay = self.overlay.read();
                overlay.check_readable(height)?;
                if found.is_some() {
                    return Ok(found.flatten());
                }
                if overlay.base_height() != base {
                    continue;
                }
                // Not replaced up to the base: it is what the base holds.
                let at_base = overlay
                    .value(key, base)
                    .or_else(|| self.caches.values.get(key));
                if let Some(value) = at_base {
                    return Ok(value);
                }
            }
            let path = key.path(self.suite);
            let prefix = prefix_of(&path);
            // Of that height, or of the base for one below: the pages changed last are in memory.
            let at = height.max(base);
            let page = self.page_of(&|overlay| {
                let node = overlay.node(at).unwrap_or_default();
                Ok(overlay.trunk.find(node, prefix))
            })?;
            let stored = page.and_then(|page| page.value(&path));
            let overlay = self.overlay.read();
            if overlay.base_height() == base && !overlay.values.contains_key(key) {
                overlay.check_readable(height)?;
                let bytes = value_len(&stored);
                self.caches.values.put(*key, stored.clone(), bytes);
                return Ok(stored);
            }
        }
    }

    /// Follows a path in the tree of a height.
    pub(super) fn descend(&self, height: Height, path: &B256) -> Result<Descent, StateError> {
        self.usable()?;
        let nodes = NodesAt {
            inner: self,
            height,
        };
        let node = nodes.root()?;
        let descent = tree::descend(self.suite, &nodes, node, path);
        // A flush beyond this height may have begun meanwhile; then the nodes are mixed.
        self.overlay.read().check_provable(height)?;
        descent
    }

    /// The page of the bucket that `find` finds, with its number and depth; `None` when it finds none.
    pub(super) fn page_of(
        &self,
        find: &dyn Fn(&Overlay) -> Result<Found, StateError>,
    ) -> Result<Option<Page>, StateError> {
        for _ in 0..FINDS_MAX {
            let (id, depth, seen) = {
                let overlay = self.overlay.read();
                let Some((id, depth)) = find(&overlay)? else {
                    return Ok(None);
                };
                let Some(bucket) = overlay.trunk.bucket(id) else {
                    return Ok(None);
                };
                (id, depth, bucket.see())
            };
            if seen.page.is_some() {
                return Ok(seen.page);
            }
            let stored = self.pages.read(seen.place);
            let Some(bytes) = stored.map_err(|error| log_error(&error))? else {
                // Its segment was reclaimed meanwhile: the page has moved.
                continue;
            };
            let page = Page::decode(bytes, depth)?;
            if page.hash(self.suite) != seen.hash {
                let reason = format!("the page of node {depth} is not the one committed to");
                return Err(StateError::Corrupt(reason));
            }
            self.overlay.read().trunk.keep(id, seen.place, page.clone());
            self.sweep();
            return Ok(Some(page));
        }
        Err(StateError::Corrupt("a page stands where nothing is".into()))
    }

    /// The same where there must be one.
    pub(super) fn present_page(
        &self,
        find: &dyn Fn(&Overlay) -> Result<Found, StateError>,
    ) -> Result<Page, StateError> {
        self.page_of(find)?
            .ok_or_else(|| StateError::Corrupt("a page of the state tree is missing".into()))
    }

    /// An inner node by its number.
    pub(super) fn inner_node(&self, id: u32) -> Option<InnerNode> {
        self.overlay.read().trunk.inner(id).copied()
    }

    /// What is known of a bucket without its page.
    pub(super) fn bucket_facts(&self, id: u32) -> Option<BucketFacts> {
        let overlay = self.overlay.read();
        overlay.trunk.bucket(id).map(BucketFacts::from)
    }

    /// Makes room for pages, if it is time.
    pub(super) fn sweep(&self) {
        // Each step looks at some thousand buckets; it takes two rounds to find one that is not in use.
        for _ in 0..SWEEPS_MAX {
            let overlay = self.overlay.read();
            if !overlay.trunk.is_over() {
                return;
            }
            overlay.trunk.sweep();
        }
    }
}

/// Steps of the hand in one call. What is still too much then, the next call takes.
const SWEEPS_MAX: usize = 64;

/// How often a page is looked for that moves while it is read. Each time, a whole segment was
/// reclaimed and a flush made durable.
const FINDS_MAX: usize = 64;

/// The nodes of a height.
struct NodesAt<'a> {
    inner: &'a Inner,
    height: Height,
}

impl NodesAt<'_> {
    fn root(&self) -> Result<NodeRef, StateError> {
        let overlay = self.inner.overlay.read();
        overlay.check_provable(self.height)?;
        let node = overlay.node(self.height);
        node.ok_or_else(|| overlay.not_kept(self.height, "proofs", overlay.base_height()))
    }
}

impl Nodes for NodesAt<'_> {
    fn inner(&self, id: u32) -> Option<InnerNode> {
        self.inner.inner_node(id)
    }

    fn bucket(&self, id: u32) -> Option<BucketFacts> {
        self.inner.bucket_facts(id)
    }

    fn page(&self, id: u32, depth: usize) -> Result<Page, StateError> {
        self.inner.present_page(&|overlay| {
            overlay.check_provable(self.height)?;
            Ok(Some((id, depth)))
        })
    }
}
