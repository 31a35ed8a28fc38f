use std::sync::Arc;

use hawser_primitives::{B256, Bytes, Height};

use super::{BLOBS, Inner, PAGES, StateError, VALUES, store_error, value_len};
use crate::state::page::{Page, PageId};
use crate::state::tree::{self, Descent, Pages};
use crate::state::{StateKey, StateRead};

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
            let stored = self
                .kv
                .get(VALUES, &key.encode())
                .map_err(|error| store_error(&error))?;
            let stored = stored.map(Bytes::from);
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
        self.overlay.read().check_provable(height)?;
        let pages = PagesAt {
            inner: self,
            height,
        };
        let descent = tree::descend(self.suite, &pages, path);
        // A flush beyond this height may have begun meanwhile; then the pages are mixed.
        self.overlay.read().check_provable(height)?;
        descent
    }

    pub(super) fn load_page(&self, id: &PageId) -> Result<Option<Page>, StateError> {
        let stored = self
            .kv
            .get(PAGES, &id.key())
            .map_err(|error| store_error(&error))?;
        stored
            .map(|bytes| Page::decode(self.suite, &bytes))
            .transpose()
    }
}

/// The pages of a height.
struct PagesAt<'a> {
    inner: &'a Inner,
    height: Height,
}

impl Pages for PagesAt<'_> {
    fn page(&self, id: &PageId) -> Result<Option<Page>, StateError> {
        {
            let overlay = self.inner.overlay.read();
            overlay.check_provable(self.height)?;
            let version = overlay.pages.get(id).and_then(|all| all.at(self.height));
            if let Some(page) = version {
                return Ok(page.clone());
            }
            if let Some(page) = self.inner.caches.pages.get(id) {
                return Ok(page);
            }
        }
        self.inner.load_page(id)
    }
}
