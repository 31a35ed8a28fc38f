use hawser_primitives::{B256, Bytes, Height};

use super::overlay::{Layer, Value, Versions};
use super::{Inner, STATE_VALUE_BYTES_MAX, StateError, value_len};
use crate::state::page::{Page, PageId, value_hash};
use crate::state::tree::{self, Pages, TreeChange, Update};
use crate::state::{Changes, StateKey};

/// Bytes that a version of a value or a page costs besides its content.
const VERSION_BYTES: usize = 160;

struct Changed {
    update: Update,
    key: StateKey,
    before: Option<Bytes>,
    after: Option<Bytes>,
}

impl Inner {
    pub(super) fn commit(&self, height: Height, changes: &Changes) -> Result<B256, StateError> {
        let _committing = self.committing.lock();
        self.usable()?;
        let head = self.overlay.read().head().map(|(head, _)| head);
        let expected = head.map_or(Height::GENESIS, Height::next);
        if height != expected {
            return Err(StateError::Order {
                expected,
                got: height,
            });
        }
        // The backstop for a caller that does not flush: memory stays bounded.
        if let Some(due) = self.flush_due(2) {
            self.flush(due)?;
        }
        let changed = self.changed(head, changes)?;
        let updates: Vec<Update> = changed.iter().map(|changed| changed.update).collect();
        let tree = tree::apply(self.suite, &HeadPages(self), &updates)?;
        Ok(self.hand_over(height, tree, changed, changes))
    }

    /// The changes that change something, with what they replace, in path order.
    fn changed(&self, head: Option<Height>, changes: &Changes) -> Result<Vec<Changed>, StateError> {
        let mut changed = Vec::with_capacity(changes.entries.len());
        for (key, after) in &changes.entries {
            let len = value_len(after);
            if len > STATE_VALUE_BYTES_MAX {
                return Err(StateError::ValueSize {
                    len,
                    max: STATE_VALUE_BYTES_MAX,
                });
            }
            let before = head.map_or(Ok(None), |head| self.read(key, head))?;
            if before == *after {
                continue;
            }
            let path = key.path(self.suite);
            let value_hash = after.as_ref().map(|value| value_hash(self.suite, value));
            let update = Update { path, value_hash };
            changed.push(Changed {
                update,
                key: *key,
                before,
                after: after.clone(),
            });
        }
        changed.sort_unstable_by_key(|changed| changed.update.path);
        Ok(changed)
    }

    fn hand_over(
        &self,
        height: Height,
        tree: TreeChange,
        changed: Vec<Changed>,
        changes: &Changes,
    ) -> B256 {
        let mut overlay = self.overlay.write();
        let mut layer = Layer {
            height,
            root: tree.root,
            entries: overlay.entries(),
            keys: Vec::with_capacity(changed.len()),
            pages: Vec::with_capacity(tree.pages.len()),
            blobs: Vec::with_capacity(changes.blobs.len()),
            bytes: 0,
        };
        for Changed {
            key, before, after, ..
        } in changed
        {
            layer.entries = match (&before, &after) {
                (None, Some(_)) => layer.entries.saturating_add(1),
                (Some(_), None) => layer.entries.saturating_sub(1),
                _ => layer.entries,
            };
            let bytes = value_len(&before)
                .saturating_add(value_len(&after))
                .saturating_add(VERSION_BYTES);
            layer.bytes = layer.bytes.saturating_add(bytes);
            layer.keys.push(key);
            let value = overlay.values.entry(key).or_insert_with(|| Value {
                before,
                versions: Versions::default(),
            });
            value.versions.push(height, after);
        }
        for (id, page) in tree.pages {
            let bytes = page.as_ref().map_or(0, |page| page.memory_bytes());
            layer.bytes = layer
                .bytes
                .saturating_add(bytes)
                .saturating_add(VERSION_BYTES);
            layer.pages.push(id);
            overlay.pages.entry(id).or_default().push(height, page);
        }
        for (hash, content) in &changes.blobs {
            layer.bytes = layer
                .bytes
                .saturating_add(content.len())
                .saturating_add(VERSION_BYTES);
            layer.blobs.push(*hash);
            overlay.blobs.insert(*hash, content.clone());
        }
        overlay.bytes = overlay.bytes.saturating_add(layer.bytes);
        overlay.layers.push_back(layer);
        tree.root
    }
}

/// The pages at the head, for the one thread that commits.
struct HeadPages<'a>(&'a Inner);

impl Pages for HeadPages<'_> {
    fn page(&self, id: &PageId) -> Result<Option<Page>, StateError> {
        {
            let overlay = self.0.overlay.read();
            if let Some(page) = overlay.pages.get(id).and_then(|versions| versions.last()) {
                return Ok(page.clone());
            }
            if let Some(page) = self.0.caches.pages.get(id) {
                return Ok(page);
            }
        }
        // No flush changes this page meanwhile: it would have to be in the overlay.
        let page = self.0.load_page(id)?;
        let bytes = page.as_ref().map_or(0, |page| page.memory_bytes());
        self.0.caches.pages.put(*id, page.clone(), bytes);
        Ok(page)
    }
}
