//! The part of a flush that writes pages, and moving them together between flushes.

use std::collections::BTreeMap;

use hawser_storage::{LogError, PageIndex, PageMove, PagePlace};

use super::base::Base;
use super::index::{Parts, Stored};
use super::{Inner, StateError};
use crate::state::trunk::{Bucket, Kind, NodeRef, Position};

/// Bytes of old segments read for each byte of pages written, so that reclaiming keeps up and takes
/// a bounded share of a flush …
const RECLAIM_PER_BYTE: u64 = 2;
/// … and a few in any case.
const RECLAIM_BYTES_MIN: u64 = 256 * 1024;
/// Bytes of old segments read in one step of compaction.
const COMPACT_BYTES: u64 = 4 * 1024 * 1024;
/// Nodes looked at or changed under one lock, so that nobody waits long.
const NODES_AT_ONCE: usize = 512;

/// What a flush does with the pages of the heights that it moves. A step of compaction has none.
#[derive(Default)]
struct Plan {
    /// Buckets to write, in order of their places in the tree.
    write: Vec<(u32, Position)>,
    /// Stored pages that are no more.
    gone: Vec<(PagePlace, Position)>,
    /// The tree at the base to come.
    node: NodeRef,
    /// Waste is reclaimed down to little.
    compacts: bool,
}

impl Inner {
    /// Writes the pages that changed up to the base to come, and makes it the base.
    pub(super) fn flush_pages(&self, base: Base) -> Result<(), StateError> {
        let plan = self.plan(&base);
        self.apply(&plan, base)?;
        Ok(())
    }

    /// Moves some live pages out of files that hold waste, durably, and changes nothing else. Says whether any
    /// moved.
    pub(super) fn compact(&self) -> Result<bool, StateError> {
        let _flushing = self.flushing.lock();
        self.usable()?;
        let (node, base) = {
            let overlay = self.overlay.read();
            (overlay.base_node, overlay.base.clone())
        };
        let Some(base) = base.filter(|_| !self.pages.is_held()) else {
            return Ok(false);
        };
        let plan = Plan {
            node,
            compacts: true,
            ..Plan::default()
        };
        let moved = self.apply(&plan, base)?;
        let done = self.pages.persist();
        self.durable_pages(done)?;
        Ok(moved > 0)
    }

    /// Does what is planned, in a commit for the base. Returns how many pages have another place.
    fn apply(&self, plan: &Plan, base: Base) -> Result<usize, StateError> {
        let written = self.write_pages(&base, plan);
        let written = self.durable_pages(written)?;
        // From here on the pages can be read from where they stand.
        for chunk in written.chunks(NODES_AT_ONCE) {
            let mut overlay = self.overlay.write();
            for (id, place) in chunk {
                overlay.trunk.place(*id, *place);
            }
        }
        self.sweep();
        let mut overlay = self.overlay.write();
        overlay.base_node = plan.node;
        overlay.base = Some(base);
        Ok(written.len())
    }

    fn plan(&self, base: &Base) -> Plan {
        let overlay = self.overlay.read();
        let layers = || {
            let layers = overlay.layers.iter();
            layers.take_while(|layer| layer.height <= base.height)
        };
        let gone = layers().flat_map(|layer| &layer.gone_buckets);
        let mut gone: Vec<(u32, Position)> = gone.copied().collect();
        gone.sort_unstable();
        let is_gone = |id: &u32| gone.binary_search_by_key(id, |(gone, _)| *gone).is_ok();
        let added = layers().flat_map(|layer| &layer.buckets);
        let mut write: Vec<(u32, Position)> =
            added.filter(|(id, _)| !is_gone(id)).copied().collect();
        write.sort_unstable_by_key(|(_, at)| *at);
        let stored = |(id, at): &(u32, Position)| {
            let bucket = overlay.trunk.bucket(*id)?;
            bucket.is_stored().then_some((bucket.place(), *at))
        };
        Plan {
            write,
            gone: gone.iter().filter_map(stored).collect(),
            node: overlay.node(base.height).unwrap_or_default(),
            compacts: false,
        }
    }

    /// Writes pages, reclaims, and commits. Returns where the buckets stand now that were written or
    /// moved.
    fn write_pages(&self, base: &Base, plan: &Plan) -> Result<Vec<(u32, PagePlace)>, LogError> {
        let mut writer = self.pages.write()?;
        let mut parts = Parts::default();
        let replaced = |at: &Position| plan.write.binary_search_by_key(at, |(_, at)| *at).is_ok();
        for (place, at) in &plan.gone {
            writer.retire(*place);
            if !replaced(at) {
                parts.gone(*at);
            }
        }
        let mut written = BTreeMap::new();
        for (id, at) in &plan.write {
            let Some(bucket) = self.overlay.read().trunk.bucket(*id).map(Bucket::see) else {
                continue;
            };
            let page = bucket.page.as_ref().map_or(&[][..], |page| page.bytes());
            let place = writer.append(at.prefix, page)?;
            parts.put(
                *at,
                &Stored {
                    hash: bucket.hash,
                    count: bucket.count,
                    place,
                },
            );
            written.insert(*id, place);
        }
        let moved = if plan.compacts {
            writer.compact(COMPACT_BYTES)?
        } else {
            let most = writer.appended_bytes().saturating_mul(RECLAIM_PER_BYTE);
            writer.reclaim(most.saturating_add(RECLAIM_BYTES_MIN))?
        };
        let mut places = BTreeMap::new();
        for chunk in moved.chunks(NODES_AT_ONCE) {
            let overlay = self.overlay.read();
            for PageMove { tag, from, to } in chunk {
                if let Some((id, depth)) = overlay.trunk.find(plan.node, *tag)
                    && let Some(bucket) = overlay.trunk.bucket(id)
                    && bucket.place() == *from
                {
                    let at = Position {
                        prefix: *tag,
                        depth: u8::try_from(depth).unwrap_or(u8::MAX),
                    };
                    parts.put(at, &stored(bucket, *to));
                    places.insert(id, *to);
                }
            }
        }
        let meta = base.tree_record(self.suite);
        // Compaction ends with a short index.
        let ends = plan.compacts && moved.is_empty();
        if writer.index_due() || ends && writer.index_pays() {
            let place_of = |id: u32| written.get(&id).or_else(|| places.get(&id)).copied();
            let parts = self.whole_index(plan.node, &place_of);
            writer.commit(PageIndex::Whole(&mut parts.finish()), &meta)?;
        } else {
            writer.commit(PageIndex::Changes(&mut parts.finish()), &meta)?;
        }
        written.append(&mut places);
        Ok(written.into_iter().collect())
    }

    /// The whole index of a tree; `place_of` knows the places that changed.
    pub(super) fn whole_index(
        &self,
        node: NodeRef,
        place_of: &dyn Fn(u32) -> Option<PagePlace>,
    ) -> Parts {
        let mut parts = Parts::default();
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
                        if let Some(inner) = overlay.trunk.inner(id) {
                            open.push((inner.right, at.child(true)));
                            open.push((inner.left, at.child(false)));
                        }
                    }
                    Kind::Bucket(id) => {
                        if let Some(bucket) = overlay.trunk.bucket(id) {
                            let place = place_of(id).unwrap_or(bucket.place());
                            parts.put(at, &stored(bucket, place));
                        }
                    }
                }
            }
        }
        parts
    }
}

const fn stored(bucket: &Bucket, place: PagePlace) -> Stored {
    Stored {
        hash: bucket.hash(),
        count: bucket.count(),
        place,
    }
}
