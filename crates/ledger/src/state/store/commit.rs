use hawser_primitives::{B256, Bytes, Height};

use super::overlay::{Layer, Value, Versions};
use super::{Inner, STATE_VALUE_BYTES_MAX, StateError, value_len};
use crate::state::page::{Page, Update};
use crate::state::tree::{self, Nodes, TreeChange};
use crate::state::trunk::{Added, BucketFacts, Inner as InnerNode, NodeRef};
use crate::state::{Changes, StateKey};

/// Bytes that a version of a value costs besides its content.
const VERSION_BYTES: usize = 160;

struct Changed {
    path: B256,
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
        let update = |changed: &Changed| Update {
            path: changed.path,
            change: changed.after.clone(),
        };
        let updates: Vec<Update> = changed.iter().map(update).collect();
        let node = self.overlay.read().head_node();
        let tree = tree::apply(self.suite, &HeadNodes(self), node, &updates)?;
        Ok(self.hand_over(height, tree, changed, changes))
    }

    /// The changes that change something, with what they replace, in path order.
    fn changed(&self, head: Option<Height>, changes: &Changes) -> Result<Vec<Changed>, StateError> {
        let mut found = Vec::with_capacity(changes.entries.len());
        for (key, after) in &changes.entries {
            let len = value_len(after);
            if len > STATE_VALUE_BYTES_MAX {
                return Err(StateError::ValueSize {
                    len,
                    max: STATE_VALUE_BYTES_MAX,
                });
            }
            let before = head.map_or(Ok(None), |head| self.read(key, head))?;
            if before != *after {
                found.push((key, before, after));
            }
        }
        let paths = StateKey::paths(self.suite, found.iter().map(|(key, ..)| *key));
        let changed = found.into_iter().zip(paths);
        let changed = changed.map(|((key, before, after), path)| Changed {
            path,
            key: *key,
            before,
            after: after.clone(),
        });
        let mut changed: Vec<_> = changed.collect();
        changed.sort_unstable_by_key(|changed| changed.path);
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
        let root = tree.root_hash;
        let mut layer = Layer {
            height,
            root,
            node: NodeRef::EMPTY,
            entries: overlay.entries(),
            keys: Vec::with_capacity(changed.len()),
            buckets: Vec::new(),
            gone_inners: Vec::new(),
            gone_buckets: Vec::new(),
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
        let Added {
            root: node,
            buckets,
            gone_inners,
            gone_buckets,
            bytes,
        } = overlay.trunk.add(tree);
        for (id, _) in &gone_buckets {
            overlay.trunk.forget(*id);
        }
        layer.node = node;
        layer.buckets = buckets;
        layer.gone_inners = gone_inners;
        layer.gone_buckets = gone_buckets;
        layer.bytes = layer.bytes.saturating_add(bytes);
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
        root
    }
}

/// The nodes at the head, for the one thread that commits.
struct HeadNodes<'a>(&'a Inner);

impl Nodes for HeadNodes<'_> {
    fn inner(&self, id: u32) -> Option<InnerNode> {
        self.0.inner_node(id)
    }

    fn bucket(&self, id: u32) -> Option<BucketFacts> {
        self.0.bucket_facts(id)
    }

    fn page(&self, id: u32, depth: usize) -> Result<Page, StateError> {
        self.0.present_page(&|_| Ok(Some((id, depth))))
    }
}
