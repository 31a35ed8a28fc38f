use std::sync::atomic::Ordering;

use hawser_primitives::{B256, Bytes, Height};
use hawser_storage::Batch;

use super::base::Base;
use super::overlay::{Layer, Overlay};
use super::{BLOBS, Inner, StateError, history};
use crate::state::StateKey;

/// Heights of history removed in one flush beyond those it adds, so that a shortened window does not
/// stop the chain.
const PRUNE_EXTRA: u64 = 16;

/// What a flush moves to the key-value store.
#[derive(Default)]
struct Moved {
    replaced: Vec<(StateKey, Height, Option<Bytes>)>,
    blobs: Vec<(B256, Bytes)>,
}

impl Inner {
    /// Where to flush to when the overlay has `times` its usual size.
    pub(super) fn flush_due(&self, times: u64) -> Option<Height> {
        let overlay = self.overlay.read();
        let (head, _) = overlay.head()?;
        let oldest = overlay.layers.front()?.height;
        let blocks = overlay.layers.len() as u64;
        let bytes_max = self.options.overlay_bytes.saturating_mul(times as usize);
        let due = if overlay.bytes > bytes_max {
            head.back(self.options.provable_blocks)
        } else if blocks > self.options.overlay_blocks.saturating_mul(times) {
            head.back(self.options.overlay_blocks / 2)
        } else {
            return None;
        };
        (due >= oldest).then_some(due)
    }

    pub(super) fn flush(&self, up_to: Height) -> Result<Option<Height>, StateError> {
        let _flushing = self.flushing.lock();
        self.usable()?;
        let Some(base) = self.prepare(up_to) else {
            return Ok(self.overlay.read().base.as_ref().map(|base| base.height));
        };
        // History first, and durable: there may be more of it than of the pages, never less.
        let batch = self.batch(&base)?;
        let done = self.kv.write(batch).and_then(|()| self.kv.persist());
        self.durable(done)?;
        let height = base.height;
        self.flush_pages(base)?;
        // Layer by layer, so that nobody waits long.
        while self.overlay.write().trim(&self.caches) {}
        Ok(Some(height))
    }

    /// The base to come. From here on nobody begins to rely on what the flush will overwrite.
    /// `None` when there is nothing to flush.
    fn prepare(&self, up_to: Height) -> Option<Base> {
        let mut overlay = self.overlay.write();
        let layer = overlay
            .layers
            .iter()
            .rev()
            .find(|layer| layer.height <= up_to)?;
        let (height, root, entries) = (layer.height, layer.root, layer.entries);
        let old = overlay.base.as_ref();
        let first = old.map_or(height, |base| base.history_from);
        // Before the first flush all heights were in memory only.
        let first = if old.is_none() {
            Height::GENESIS
        } else {
            first
        };
        let history_from = first.max(height.back(self.options.history_blocks));
        let pruned = old.map_or(Height::GENESIS, |base| base.pruned_to);
        let flushed = height.0.saturating_sub(old.map_or(0, |base| base.height.0));
        let most = pruned.0.saturating_add(flushed).saturating_add(PRUNE_EXTRA);
        let unneeded = Height(self.durable_from.load(Ordering::Acquire));
        let pruned_to = unneeded.min(Height(most)).max(pruned);
        overlay.readable_from = history_from;
        overlay.provable_from = height;
        Some(Base {
            height,
            root,
            entries,
            history_from,
            pruned_to,
        })
    }

    fn batch(&self, base: &Base) -> Result<Batch, StateError> {
        let (heights, pruned) = {
            let overlay = self.overlay.read();
            let heights: Vec<Height> = overlay
                .layers
                .iter()
                .map(|layer| layer.height)
                .take_while(|height| *height <= base.height)
                .collect();
            (
                heights,
                overlay
                    .base
                    .as_ref()
                    .map_or(Height::GENESIS, |base| base.pruned_to),
            )
        };
        let mut batch = Batch::new();
        let mut moved = Moved::default();
        for height in heights {
            let overlay = self.overlay.read();
            let at = overlay
                .layers
                .binary_search_by_key(&height, |layer| layer.height);
            let Some(layer) = at.ok().and_then(|at| overlay.layers.get(at)) else {
                continue;
            };
            if height > base.history_from {
                history::put_list(&mut batch, height, &layer.keys);
                moved.add(&overlay, layer);
            }
            moved.add_blobs(&overlay, layer);
        }
        moved.put(&mut batch);
        for height in pruned.0.saturating_add(1)..=base.pruned_to.0 {
            history::prune(&*self.kv, &mut batch, Height(height))?;
        }
        base.put(self.suite, &mut batch);
        Ok(batch)
    }
}

impl Moved {
    /// Takes over what a layer replaced.
    fn add(&mut self, overlay: &Overlay, layer: &Layer) {
        let height = layer.height;
        for key in &layer.keys {
            let Some(value) = overlay.values.get(key) else {
                continue;
            };
            let before = height
                .prev()
                .map_or(&value.before, |prev| value.at(prev))
                .clone();
            self.replaced.push((*key, height, before));
        }
    }

    fn add_blobs(&mut self, overlay: &Overlay, layer: &Layer) {
        for hash in &layer.blobs {
            if let Some(content) = overlay.blobs.get(hash) {
                self.blobs.push((*hash, content.clone()));
            }
        }
    }

    /// Writes everything in key order, which the engine inserts fastest.
    fn put(mut self, batch: &mut Batch) {
        self.replaced
            .sort_unstable_by_key(|(key, height, _)| (*key, *height));
        for (key, height, before) in &self.replaced {
            history::put(batch, *height, key, before.as_ref());
        }
        for (hash, content) in &self.blobs {
            batch.put(BLOBS, hash, content);
        }
    }
}
