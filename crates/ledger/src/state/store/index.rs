//! The index of the pages: which node's page stands where, and the hash it must have.
//!
//! ```text
//! entry = depth (u8) ‖ prefix (u64) ‖ hash (32) ‖ leaves (u32) ‖ place (12)
//!       | depth + 128 (u8) ‖ prefix (u64)                                   the page is no more
//! ```
//! The prefix is big endian, the other integers little endian. A later entry for a node replaces an
//! earlier one. The nodes above the pages follow from their hashes.

use hawser_crypto::Suite;
use hawser_primitives::B256;
use hawser_storage::PagePlace;

use super::StateError;
use crate::state::message::inner_hash;
use crate::state::page::PAGE_DEPTH_MAX;
use crate::state::trunk::{Bucket, Inner, NodeRef, Position, Trunk};

/// Bytes of a part of the index, about.
const PART_BYTES: usize = 1024 * 1024;
const GONE: u8 = 128;

/// Where a page stands, and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) hash: B256,
    pub(super) count: u32,
    pub(super) place: PagePlace,
}

/// Gathers entries into parts.
#[derive(Default)]
pub(super) struct Parts {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Parts {
    pub(super) fn put(&mut self, at: Position, stored: &Stored) {
        self.head(at.depth, at.prefix);
        self.last.extend_from_slice(stored.hash.as_slice());
        self.last.extend_from_slice(&stored.count.to_le_bytes());
        self.last.extend_from_slice(&stored.place.encode());
    }

    pub(super) fn gone(&mut self, at: Position) {
        self.head(at.depth | GONE, at.prefix);
    }

    fn head(&mut self, depth: u8, prefix: u64) {
        if self.last.len() >= PART_BYTES {
            self.full.push(std::mem::take(&mut self.last));
        }
        self.last.push(depth);
        self.last.extend_from_slice(&prefix.to_be_bytes());
    }

    pub(super) fn finish(mut self) -> impl Iterator<Item = Vec<u8>> {
        if !self.last.is_empty() {
            self.full.push(self.last);
        }
        self.full.into_iter()
    }
}

type Entry = (Position, Option<Stored>);

fn parse(mut bytes: &[u8], entries: &mut Vec<Entry>) -> Option<()> {
    while let Some((depth, rest)) = bytes.split_first() {
        let (prefix, rest) = rest.split_first_chunk::<8>()?;
        let at = Position {
            prefix: u64::from_be_bytes(*prefix),
            depth: depth & !GONE,
        };
        if usize::from(at.depth) > PAGE_DEPTH_MAX {
            return None;
        }
        if depth & GONE != 0 {
            entries.push((at, None));
            bytes = rest;
            continue;
        }
        let (hash, rest) = rest.split_first_chunk::<32>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (place, rest) = rest.split_first_chunk::<{ PagePlace::ENCODED_BYTES }>()?;
        let stored = Stored {
            hash: B256::from(*hash),
            count: u32::from_le_bytes(*count),
            place: PagePlace::decode(place),
        };
        entries.push((at, Some(stored)));
        bytes = rest;
    }
    Some(())
}

/// The pages that all parts in order name, sorted. `found` sees each page's place.
pub(super) fn entries(
    parts: Vec<Vec<u8>>,
    found: &mut dyn FnMut(PagePlace) -> Result<(), StateError>,
) -> Result<Vec<(Position, Stored)>, StateError> {
    let mut entries = Vec::new();
    for part in parts {
        parse(&part, &mut entries)
            .ok_or_else(|| StateError::Corrupt("the index of the pages is unreadable".into()))?;
    }
    // Stable, so of the entries for a node the last remains the last.
    entries.sort_by_key(|(at, _)| *at);
    let mut kept: Vec<(Position, Stored)> = Vec::with_capacity(entries.len());
    for of_one in entries.chunk_by(|(a, _), (b, _)| a == b) {
        if let Some((at, Some(stored))) = of_one.last() {
            found(stored.place)?;
            kept.push((*at, *stored));
        }
    }
    Ok(kept)
}

/// Builds the nodes above the pages from all parts in order. `found` sees each page's place; the
/// tree will keep at most so many bytes of pages.
pub(super) fn build(
    suite: Suite,
    parts: Vec<Vec<u8>>,
    cached_bytes_max: usize,
    found: &mut dyn FnMut(PagePlace) -> Result<(), StateError>,
) -> Result<(Trunk, NodeRef), StateError> {
    let kept = entries(parts, found)?;
    let mut trunk = Trunk::new(cached_bytes_max);
    let root = grow(suite, &mut trunk, Position::ROOT, &kept)
        .ok_or_else(|| StateError::Corrupt("pages of the index overlap".into()))?;
    Ok((trunk, root))
}

/// The node over pages in order; `None` when a page stands above another.
fn grow(
    suite: Suite,
    trunk: &mut Trunk,
    at: Position,
    pages: &[(Position, Stored)],
) -> Option<NodeRef> {
    match pages {
        [] => return Some(NodeRef::EMPTY),
        [(position, stored)] if *position == at => {
            return Some(NodeRef::bucket(trunk.add_bucket(Bucket::stored(
                stored.hash,
                stored.count,
                stored.place,
            ))));
        }
        _ if pages.iter().any(|(position, _)| position.depth <= at.depth) => return None,
        _ => {}
    }
    let mid = pages.partition_point(|(position, _)| !at.goes_right(position.prefix));
    let (left, right) = pages.split_at(mid);
    let left = grow(suite, trunk, at.child(false), left)?;
    let right = grow(suite, trunk, at.child(true), right)?;
    let hash = inner_hash(suite, &trunk.hash(left)?, &trunk.hash(right)?);
    let inner = Inner { hash, left, right };
    Some(NodeRef::inner(trunk.add_inner(inner)))
}
