//! Pages: how the leaves of the state tree are kept, with the hashes between them.
//!
//! A page holds all leaves below one node of the binary tree, in path order, with their values and
//! the hashes of the inner nodes among them. Tree and proofs are a function of the leaves alone;
//! where one page ends and the next begins is a matter of sizes.
//!
//! ```text
//! page = leaves (u32) ‖ inner nodes (u32) ‖ end of each value (u32) ‖ path of each leaf (32)
//!        ‖ hash of each inner node (32), a node before those below it, left before right ‖ values
//! ```
//! Integers are little endian. A leaf's hash is not kept: it follows from path and value.

use std::ops::Range;
use std::sync::Arc;

use hawser_crypto::Suite;
use hawser_primitives::{B256, Bytes};

use super::StateError;
use super::message::{Leaf, value_hash};
use super::plan::{Hash, Plan, Solved};

/// Bytes of a page above which it is split, if it has two leaves or more.
const SPLIT_BYTES: usize = 2048;
/// Bytes of two pages below which they become one.
pub(super) const MERGE_BYTES: usize = 1024;
/// Bits that lead to a page, at most. Below, a page grows: its leaves share 64 bits, which costs
/// whoever wants that 2^64 hashes for each.
pub(super) const PAGE_DEPTH_MAX: usize = 64;
/// Levels of the tree: bits of a path.
const LEVELS: usize = 256;
const HEAD_BYTES: usize = 8;

/// Hash words as they stand in a page.
pub(super) type Word = [u8; 32];

/// The bit of a path that chooses the side below `level`; true is right.
pub(super) fn bit(path: &B256, level: usize) -> bool {
    bit_of(&path.0, level)
}

fn bit_of(path: &Word, level: usize) -> bool {
    path.get(level / 8)
        .is_some_and(|byte| byte & (0x80 >> (level % 8)) != 0)
}

/// Bits that two paths share from the first.
fn common_bits(a: &Word, b: &Word) -> usize {
    let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let mut bits = 0usize;
    for (a, b) in a.iter().zip(b) {
        let differ = u64::from_be_bytes(*a) ^ u64::from_be_bytes(*b);
        bits = bits.saturating_add(differ.leading_zeros() as usize);
        if differ != 0 {
            break;
        }
    }
    bits
}

/// A change to one path: its new value, or its removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) path: B256,
    pub(super) change: Option<Bytes>,
}

/// A page. A clone is the same page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page(Arc<Vec<u8>>);

/// The parts of a page.
#[derive(Clone, Copy, Default)]
struct View<'a> {
    ends: &'a [[u8; 4]],
    paths: &'a [Word],
    inners: &'a [Word],
    values: &'a [u8],
}

impl<'a> View<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let u32_of = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let (inners, rest) = rest.split_first_chunk::<4>()?;
        let (count, inners) = (u32_of(count)?, u32_of(inners)?);
        let (ends, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
        let (paths, rest) = rest.split_at_checked(count.checked_mul(32)?)?;
        let (inners, values) = rest.split_at_checked(inners.checked_mul(32)?)?;
        Some(Self {
            ends: ends.as_chunks().0,
            paths: paths.as_chunks().0,
            inners: inners.as_chunks().0,
            values,
        })
    }

    fn value(&self, leaf: usize) -> Option<&'a [u8]> {
        let end = |leaf: usize| {
            self.ends
                .get(leaf)
                .map(|end| u32::from_le_bytes(*end) as usize)
        };
        let start = match leaf.checked_sub(1) {
            Some(before) => end(before)?,
            None => 0,
        };
        self.values.get(start..end(leaf)?)
    }

    fn leaf(&self, suite: Suite, leaf: usize) -> Option<Leaf> {
        Some(Leaf {
            path: B256::from(*self.paths.get(leaf)?),
            value_hash: value_hash(suite, self.value(leaf)?),
        })
    }

    fn hash_at(&self, inner: usize) -> Option<B256> {
        self.inners.get(inner).map(|hash| B256::from(*hash))
    }
}

/// Where the leaves to the right of a node begin.
fn middle(leaves: &Range<usize>, level: usize, path: impl Fn(usize) -> bool) -> usize {
    debug_assert!(level < LEVELS);
    leaves
        .clone()
        .find(|leaf| path(*leaf))
        .unwrap_or(leaves.end)
}

/// Number of inner nodes over leaves with these paths below a node at `depth`: each prefix of at
/// least that length that two of them share.
fn inner_count<'a>(paths: impl Iterator<Item = &'a Word>, depth: usize) -> usize {
    let (mut count, mut known, mut last) = (0usize, depth, None);
    for path in paths {
        if let Some(last) = last {
            let common = common_bits(last, path).saturating_add(1);
            count = count.saturating_add(common.saturating_sub(known));
            known = common.max(depth);
        }
        last = Some(path);
    }
    count
}

impl Page {
    /// Takes stored bytes as the page of a node at `depth`, after checking that they are one.
    pub(super) fn decode(bytes: Vec<u8>, depth: usize) -> Result<Self, StateError> {
        let view = View::of(&bytes).filter(|view| {
            let ordered = view
                .paths
                .iter()
                .zip(view.paths.iter().skip(1))
                .all(|(a, b)| a < b);
            let last = view
                .ends
                .last()
                .map_or(0, |end| u32::from_le_bytes(*end) as usize);
            let valued = (0..view.ends.len()).all(|leaf| view.value(leaf).is_some());
            let inners = inner_count(view.paths.iter(), depth);
            !view.paths.is_empty()
                && ordered
                && valued
                && last == view.values.len()
                && inners == view.inners.len()
        });
        if view.is_none() {
            return Err(StateError::Corrupt(format!(
                "page of {} bytes",
                bytes.len()
            )));
        }
        Ok(Self(Arc::new(bytes)))
    }

    fn pack<'a>(leaves: impl Iterator<Item = Item<'a>> + Clone, inners: &[Word]) -> Self {
        let mut bytes = Vec::with_capacity(packed_bytes(leaves.clone(), inners.len()));
        let number = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        bytes.extend_from_slice(&number(leaves.clone().count()));
        bytes.extend_from_slice(&number(inners.len()));
        let mut end = 0usize;
        for leaf in leaves.clone() {
            end = end.saturating_add(leaf.value.len());
            bytes.extend_from_slice(&number(end));
        }
        for leaf in leaves.clone() {
            bytes.extend_from_slice(leaf.path);
        }
        bytes.extend_from_slice(inners.as_flattened());
        for leaf in leaves {
            bytes.extend_from_slice(leaf.value);
        }
        Self(Arc::new(bytes))
    }

    fn view(&self) -> View<'_> {
        View::of(&self.0).unwrap_or_default()
    }

    /// The bytes to be stored.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Number of leaves.
    pub(super) fn count(&self) -> usize {
        self.view().paths.len()
    }

    /// Paths and values of all leaves, in path order.
    pub(super) fn leaves(&self) -> Vec<(B256, Bytes)> {
        let view = self.view();
        let leaf = |(at, path): (usize, &Word)| {
            Some((B256::from(*path), Bytes::copy_from_slice(view.value(at)?)))
        };
        view.paths.iter().enumerate().filter_map(leaf).collect()
    }

    /// The value at a path.
    pub(super) fn value(&self, path: &B256) -> Option<Bytes> {
        let view = self.view();
        let leaf = view.paths.binary_search(&path.0).ok()?;
        view.value(leaf).map(Bytes::copy_from_slice)
    }

    /// The hash of the node that the page stands for.
    pub(super) fn hash(&self, suite: Suite) -> B256 {
        let view = self.view();
        let leaf = || view.leaf(suite, 0).map(|leaf| leaf.hash(suite));
        view.hash_at(0).or_else(leaf).unwrap_or_default()
    }

    /// Follows a path through the page of a node at `depth`: adds the siblings on the way, and
    /// returns the leaf where it ends, of this or another path.
    pub(super) fn descend(
        &self,
        suite: Suite,
        path: &B256,
        depth: usize,
        siblings: &mut Vec<B256>,
    ) -> Option<Leaf> {
        let view = self.view();
        let (mut leaves, mut inner, mut level) = (0..view.paths.len(), 0usize, depth);
        while leaves.len() > 1 {
            let side = |leaf| view.paths.get(leaf).is_some_and(|path| bit_of(path, level));
            let mid = middle(&leaves, level, side);
            let (left, right) = (leaves.start..mid, mid..leaves.end);
            let below = level.saturating_add(1);
            let left_inner = inner.saturating_add(1);
            let in_left = inner_count(
                view.paths.get(left.clone()).unwrap_or_default().iter(),
                below,
            );
            let right_inner = left_inner.saturating_add(in_left);
            let hash = |leaves: &Range<usize>, inner| match leaves.len() {
                0 => None,
                1 => view.leaf(suite, leaves.start).map(|leaf| leaf.hash(suite)),
                _ => view.hash_at(inner),
            };
            if bit(path, level) {
                siblings.push(hash(&left, left_inner).unwrap_or_default());
                (leaves, inner) = (right, right_inner);
            } else {
                siblings.push(hash(&right, right_inner).unwrap_or_default());
                (leaves, inner) = (left, left_inner);
            }
            level = below;
        }
        leaves.next().and_then(|leaf| view.leaf(suite, leaf))
    }

    /// The page of a node from those of its two sides; `hash` is the node's.
    pub(super) fn join(left: Option<&Self>, right: Option<&Self>, hash: &B256) -> Option<Self> {
        let views = [left, right].map(|page| page.map(Self::view).unwrap_or_default());
        let mut leaves = Vec::new();
        for view in &views {
            for (leaf, path) in view.paths.iter().enumerate() {
                let value = view.value(leaf)?;
                leaves.push(Item { path, value });
            }
        }
        let own = (leaves.len() > 1).then_some(&hash.0);
        let inners = own
            .into_iter()
            .chain(views.iter().flat_map(|view| view.inners));
        let inners: Vec<Word> = inners.copied().collect();
        (!leaves.is_empty()).then(|| Self::pack(leaves.iter().copied(), &inners))
    }
}

/// A leaf of a page to be.
#[derive(Clone, Copy)]
struct Item<'a> {
    path: &'a Word,
    value: &'a [u8],
}

impl Item<'_> {
    fn hash(&self, suite: Suite) -> B256 {
        let leaf = Leaf {
            path: B256::from(*self.path),
            value_hash: value_hash(suite, self.value),
        };
        leaf.hash(suite)
    }
}

fn packed_bytes<'a>(leaves: impl Iterator<Item = Item<'a>>, inners: usize) -> usize {
    let leaf = |sum: usize, leaf: Item<'_>| sum.saturating_add(leaf.value.len()).saturating_add(36);
    leaves.fold(HEAD_BYTES.saturating_add(inners.saturating_mul(32)), leaf)
}

/// What a node with all below it became, before it is cut into pages.
pub(super) struct Draft<'a> {
    suite: Suite,
    old: View<'a>,
    updates: &'a [Update],
    /// Everything.
    pub(super) whole: Piece,
}

/// What drafts consist of, one after the other, while hashes are planned; and when they are known.
pub(super) struct Sheets<H> {
    /// Leaves of the old page by number, and updates by number from [`NEW`] on.
    leaves: Vec<u32>,
    inners: Vec<H>,
}

impl Sheets<Hash> {
    pub(super) const fn new() -> Self {
        Self {
            leaves: Vec::new(),
            inners: Vec::new(),
        }
    }

    /// Puts in the hashes that the plan gave.
    pub(super) fn solve(self, solved: &Solved) -> Sheets<Word> {
        let inners = self.inners.iter();
        Sheets {
            inners: inners.map(|hash| solved.get(*hash).0).collect(),
            leaves: self.leaves,
        }
    }
}

/// Numbers of leaves from here on mean updates.
const NEW: u32 = 1 << 31;

/// A part of a draft: all that is below one node.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    leaves: Range<usize>,
    inners: Range<usize>,
    depth: usize,
}

/// What is below a node of the draft.
enum Below {
    Nothing,
    Leaf(u32),
    Inner(Hash),
}

/// What a piece becomes.
pub(super) enum Cut {
    /// Nothing is left.
    Empty,
    /// A page and the hash of its node.
    Page(B256, Page),
    /// An inner node with its hash, and what is on its sides.
    Split(B256, Piece, Piece),
}

/// A leaf by its number in a draft.
fn item<'a>(old: &View<'a>, updates: &'a [Update], number: u32) -> Option<Item<'a>> {
    if let Some(at) = number.checked_sub(NEW) {
        let update = updates.get(at as usize)?;
        return Some(Item {
            path: &update.path.0,
            value: update.change.as_ref()?,
        });
    }
    Some(Item {
        path: old.paths.get(number as usize)?,
        value: old.value(number as usize)?,
    })
}

/// Makes one draft.
struct Drafter<'a, 's> {
    old: View<'a>,
    updates: &'a [Update],
    plan: &'s mut Plan<'a>,
    sheets: &'s mut Sheets<Hash>,
}

impl Drafter<'_, '_> {
    /// `None` when the page is damaged or two keys have one path.
    fn build(
        &mut self,
        old: Range<usize>,
        old_inner: usize,
        updates: Range<usize>,
        depth: usize,
    ) -> Option<Below> {
        if updates.is_empty() {
            return self.keep(old, old_inner, depth);
        }
        let all = self.updates;
        let view = self.old;
        if updates.len() == 1 && old.len() < 2 {
            let update = all.get(updates.start)?;
            let same = old.is_empty() || view.paths.get(old.start)? == &update.path.0;
            if same {
                return Some(match &update.change {
                    None => Below::Nothing,
                    Some(_) => self.push(u32::try_from(updates.start).ok()?.checked_add(NEW)?),
                });
            }
        }
        if depth >= LEVELS {
            return None;
        }
        let old_side = |leaf| view.paths.get(leaf).is_some_and(|path| bit_of(path, depth));
        let old_mid = middle(&old, depth, old_side);
        let new_side = |at| {
            all.get(at)
                .is_some_and(|update: &Update| bit(&update.path, depth))
        };
        let mid = middle(&updates, depth, new_side);
        let below = depth.saturating_add(1);
        let left_inner = old_inner.saturating_add(1);
        let in_left = inner_count(view.paths.get(old.start..old_mid)?.iter(), below);
        let right_inner = left_inner.saturating_add(in_left);
        let at = self.sheets.inners.len();
        self.sheets.inners.push(Hash::Known(B256::ZERO));
        let left = self.build(old.start..old_mid, left_inner, updates.start..mid, below)?;
        let right = self.build(old_mid..old.end, right_inner, mid..updates.end, below)?;
        match (left, right) {
            // What is alone belongs to the level above.
            (Below::Nothing, alone @ (Below::Nothing | Below::Leaf(_)))
            | (alone @ Below::Leaf(_), Below::Nothing) => {
                self.sheets.inners.truncate(at);
                Some(alone)
            }
            (left, right) => {
                let (left, right) = (self.hash(&left)?, self.hash(&right)?);
                let hash = self.plan.inner(left, right);
                *self.sheets.inners.get_mut(at)? = hash;
                Some(Below::Inner(hash))
            }
        }
    }

    fn keep(&mut self, old: Range<usize>, inner: usize, depth: usize) -> Option<Below> {
        let view = self.old;
        let mut last = Below::Nothing;
        for leaf in old.clone() {
            last = self.push(u32::try_from(leaf).ok().filter(|leaf| *leaf < NEW)?);
        }
        if old.len() < 2 {
            return Some(last);
        }
        let count = inner_count(view.paths.get(old)?.iter(), depth);
        let kept = view.inners.get(inner..inner.checked_add(count)?)?.iter();
        let kept = kept.map(|hash| Hash::Known(B256::from(*hash)));
        self.sheets.inners.extend(kept);
        view.hash_at(inner)
            .map(|hash| Below::Inner(Hash::Known(hash)))
    }

    fn push(&mut self, number: u32) -> Below {
        self.sheets.leaves.push(number);
        Below::Leaf(number)
    }

    fn hash(&mut self, below: &Below) -> Option<Hash> {
        Some(match below {
            Below::Nothing => Hash::Known(B256::ZERO),
            Below::Leaf(leaf) => {
                let item = item(&self.old, self.updates, *leaf)?;
                self.plan.leaf(item.path, item.value)
            }
            Below::Inner(hash) => *hash,
        })
    }
}

impl<'a> Draft<'a> {
    /// Applies updates in strict path order to the page of a node at `depth`, if there is one. A
    /// hash is planned only where something below it changed.
    pub(super) fn new(
        suite: Suite,
        old: Option<&'a Page>,
        updates: &'a [Update],
        depth: usize,
        plan: &mut Plan<'a>,
        sheets: &mut Sheets<Hash>,
    ) -> Result<Self, StateError> {
        let old = old.map(Page::view).unwrap_or_default();
        let (leaves, inners) = (sheets.leaves.len(), sheets.inners.len());
        let mut drafter = Drafter {
            old,
            updates,
            plan,
            sheets,
        };
        drafter
            .build(0..old.paths.len(), 0, 0..updates.len(), depth)
            .ok_or_else(|| StateError::Corrupt("a page does not fit its leaves".into()))?;
        Ok(Self {
            suite,
            old,
            updates,
            whole: Piece {
                leaves: leaves..sheets.leaves.len(),
                inners: inners..sheets.inners.len(),
                depth,
            },
        })
    }

    fn items<'s>(
        &'s self,
        sheets: &'s Sheets<Word>,
        leaves: Range<usize>,
    ) -> impl Iterator<Item = Item<'a>> + Clone + 's {
        let leaves = sheets.leaves.get(leaves).unwrap_or_default();
        leaves
            .iter()
            .filter_map(|number| item(&self.old, self.updates, *number))
    }

    /// Makes a page of a piece, or splits it where it is too large for one.
    pub(super) fn cut(&self, sheets: &Sheets<Word>, piece: &Piece) -> Cut {
        let inners = sheets.inners.get(piece.inners.clone());
        let inners = inners.unwrap_or_default();
        let top = inners.first().map(|hash| B256::from(*hash));
        let leaves = self.items(sheets, piece.leaves.clone());
        let alone = || leaves.clone().next().map(|leaf| leaf.hash(self.suite));
        let Some(hash) = top.or_else(alone) else {
            return Cut::Empty;
        };
        let large =
            piece.leaves.len() > 1 && packed_bytes(leaves.clone(), inners.len()) > SPLIT_BYTES;
        if !large || piece.depth >= PAGE_DEPTH_MAX {
            return Cut::Page(hash, Page::pack(leaves, inners));
        }
        let right = leaves.take_while(|leaf| !bit_of(leaf.path, piece.depth));
        let mid = piece.leaves.start.saturating_add(right.count());
        let depth = piece.depth.saturating_add(1);
        let in_left = self.items(sheets, piece.leaves.start..mid);
        let count = inner_count(in_left.map(|leaf| leaf.path), depth);
        let first = piece.inners.start.saturating_add(1);
        let inner_mid = first.saturating_add(count);
        let left = Piece {
            leaves: piece.leaves.start..mid,
            inners: first..inner_mid,
            depth,
        };
        let right = Piece {
            leaves: mid..piece.leaves.end,
            inners: inner_mid..piece.inners.end,
            depth,
        };
        Cut::Split(hash, left, right)
    }
}
