//! Pages: how the nodes of the state tree are kept.
//!
//! A page holds four levels of the binary tree below one node: sixteen slots, each empty, a leaf, or
//! an inner node whose children are on the page below. A leaf stands in the page's slot of its path
//! and belongs to the tree at the shallowest level where it is alone, which follows from the slots.

use std::sync::Arc;

use hawser_crypto::Suite;
use hawser_primitives::{B256, Domain};

use super::StateError;

/// Levels of the binary tree in a page.
pub(super) const PAGE_LEVELS: usize = 4;
/// Slots of a page.
pub(super) const SLOTS: usize = 1 << PAGE_LEVELS;
/// Pages from the root to the deepest leaf.
pub(super) const DEPTH_MAX: usize = 256 / PAGE_LEVELS;
/// Heap positions: 1 is the page's own node, the children of `i` are `2i` and `2i + 1`, the slots
/// are 16 to 31.
const POSITIONS: usize = 2 * SLOTS;

/// The hash of an inner node.
pub(super) fn inner_hash(suite: Suite, left: &B256, right: &B256) -> B256 {
    suite.hash_domain(Domain::StateNode, &[left.as_slice(), right.as_slice()])
}

/// The hash of a value.
pub(super) fn value_hash(suite: Suite, value: &[u8]) -> B256 {
    suite.hash_domain(Domain::StateValue, &[value])
}

/// What a leaf commits to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) path: B256,
    pub(super) value_hash: B256,
}

impl Leaf {
    pub(super) fn hash(&self, suite: Suite) -> B256 {
        let parts = [self.path.as_slice(), self.value_hash.as_slice()];
        suite.hash_domain(Domain::StateLeaf, &parts)
    }
}

/// A node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Nothing below.
    Empty,
    /// One leaf below.
    Leaf(Leaf),
    /// Several leaves below; the hash over them.
    Inner(B256),
}

/// Place of a page: how many pages are above it, and the path that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PageId {
    depth: u8,
    /// The first `4 × depth` bits; the rest is zero.
    prefix: B256,
}

impl PageId {
    pub(super) const ROOT: Self = Self {
        depth: 0,
        prefix: B256::ZERO,
    };

    pub(super) const fn depth(&self) -> usize {
        self.depth as usize
    }

    /// The page under a slot. Paths end below depth 63, where two paths differ at last.
    pub(super) fn child(&self, slot: usize) -> Self {
        let mut prefix = self.prefix;
        if let Some(byte) = prefix.get_mut(self.depth() / 2) {
            let nibble = (slot & 15) as u8;
            *byte |= if self.depth.is_multiple_of(2) {
                nibble << 4
            } else {
                nibble
            };
        }
        Self {
            depth: self.depth.saturating_add(1),
            prefix,
        }
    }

    /// Key in the store: depth, then the bytes that hold the prefix.
    pub(super) fn key(&self) -> Vec<u8> {
        let bytes = self.depth().div_ceil(2);
        let prefix = self.prefix.iter().take(bytes).copied();
        std::iter::once(self.depth).chain(prefix).collect()
    }
}

/// The slot of a path in its page at `depth`.
pub(super) fn slot_of(path: &B256, depth: usize) -> usize {
    let byte = path.get(depth / 2).copied().unwrap_or_default();
    usize::from(if depth.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 15
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Empty,
    Leaf,
    Inner,
}

impl Kind {
    const fn above(left: Self, right: Self) -> Self {
        match (left, right) {
            (Self::Empty, Self::Empty) => Self::Empty,
            (Self::Leaf, Self::Empty) | (Self::Empty, Self::Leaf) => Self::Leaf,
            _ => Self::Inner,
        }
    }
}

/// A page at rest: what is not empty, packed.
///
/// Words in order: for each slot that is not empty its hash, or path, value hash and hash of its
/// leaf; then the hash of each position 1 to 15 that is an inner node.
///
/// A clone is the same page. The first word holds the kinds of the slots, two bits each, the first
/// slot lowest: 0 empty, 1 leaf, 2 inner; the other words follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page(Arc<[B256]>);

/// Most words of a page: kinds, leaves in all slots, inner nodes above them.
const WORDS_MAX: usize = 1 + 3 * SLOTS + SLOTS - 1;

/// A page taken apart, to be read or changed.
pub(super) struct OpenPage {
    kinds: [Kind; POSITIONS],
    hashes: [B256; POSITIONS],
    leaves: [Leaf; SLOTS],
    /// Positions that changed, one bit each.
    dirty: u32,
}

impl OpenPage {
    pub(super) fn empty() -> Self {
        Self {
            kinds: [Kind::Empty; POSITIONS],
            hashes: [B256::ZERO; POSITIONS],
            leaves: [Leaf::default(); SLOTS],
            dirty: 0,
        }
    }

    fn kind(&self, position: usize) -> Kind {
        self.kinds.get(position).copied().unwrap_or(Kind::Empty)
    }

    /// Hash at a position; zero where it is empty.
    pub(super) fn hash(&self, position: usize) -> B256 {
        self.hashes.get(position).copied().unwrap_or_default()
    }

    fn put(&mut self, position: usize, kind: Kind, hash: B256) {
        if let (Some(to_kind), Some(to_hash)) =
            (self.kinds.get_mut(position), self.hashes.get_mut(position))
        {
            *to_kind = kind;
            *to_hash = hash;
        }
    }

    /// The node at a position: 1 to 15 within the page, 16 and up for the slots.
    pub(super) fn node(&self, position: usize) -> Node {
        match self.kind(position) {
            Kind::Empty => Node::Empty,
            Kind::Inner => Node::Inner(self.hash(position)),
            Kind::Leaf => {
                let mut at = position;
                while at < SLOTS {
                    at = at.saturating_mul(2);
                    if self.kind(at) == Kind::Empty {
                        at = at.saturating_add(1);
                    }
                }
                let leaf = self.leaves.get(at.saturating_sub(SLOTS));
                leaf.map_or(Node::Empty, |leaf| Node::Leaf(*leaf))
            }
        }
    }

    pub(super) fn slot(&self, slot: usize) -> Node {
        self.node(SLOTS.saturating_add(slot))
    }

    pub(super) fn set_slot(&mut self, suite: Suite, slot: usize, node: Node) {
        let position = SLOTS.saturating_add(slot);
        match node {
            Node::Empty => self.put(position, Kind::Empty, B256::ZERO),
            Node::Inner(hash) => self.put(position, Kind::Inner, hash),
            Node::Leaf(leaf) => {
                self.put(position, Kind::Leaf, leaf.hash(suite));
                if let Some(to) = self.leaves.get_mut(slot) {
                    *to = leaf;
                }
            }
        }
        self.dirty |= 1u32.wrapping_shl(position as u32);
    }

    /// Computes the hashes above the slots that changed, and no others.
    pub(super) fn rehash(&mut self, suite: Suite) {
        for position in (1..SLOTS).rev() {
            let left = position.saturating_mul(2);
            let right = left.saturating_add(1);
            if self.dirty.wrapping_shr(left as u32) & 3 == 0 {
                continue;
            }
            let kind = Kind::above(self.kind(left), self.kind(right));
            let hash = match kind {
                Kind::Empty => B256::ZERO,
                // The empty side is zero.
                Kind::Leaf => self.hash(left) | self.hash(right),
                Kind::Inner => inner_hash(suite, &self.hash(left), &self.hash(right)),
            };
            self.put(position, kind, hash);
            self.dirty |= 1u32.wrapping_shl(position as u32);
        }
        self.dirty = 0;
    }

    /// Packs the page. Its hashes must be up to date.
    pub(super) fn close(&self) -> Page {
        let mut kinds = 0u32;
        let mut words = [B256::ZERO; WORDS_MAX];
        let mut used = 1usize;
        let mut push = |word: &B256| {
            if let Some(to) = words.get_mut(used) {
                *to = *word;
            }
            used = used.saturating_add(1);
        };
        for (slot, leaf) in self.leaves.iter().enumerate() {
            let position = SLOTS.saturating_add(slot);
            let kind = match self.kind(position) {
                Kind::Empty => continue,
                Kind::Leaf => {
                    push(&leaf.path);
                    push(&leaf.value_hash);
                    1
                }
                Kind::Inner => 2u32,
            };
            push(&self.hash(position));
            kinds |= kind.wrapping_shl(2 * slot as u32);
        }
        for position in (1..SLOTS).filter(|position| self.kind(*position) == Kind::Inner) {
            push(&self.hash(position));
        }
        if let Some((first, _)) = words.split_first_mut() {
            *first = kinds_word(kinds);
        }
        Page(words.get(..used).unwrap_or_default().into())
    }
}

fn kinds_word(kinds: u32) -> B256 {
    let mut word = B256::ZERO;
    for (to, from) in word.iter_mut().zip(kinds.to_le_bytes()) {
        *to = from;
    }
    word
}

impl Page {
    /// `None` when the words do not fit the kinds, which [`OpenPage::close`] rules out.
    fn try_open(kinds: u32, words: &[B256]) -> Option<OpenPage> {
        let mut page = OpenPage::empty();
        let mut words = words.iter().copied();
        for slot in 0..SLOTS {
            let position = SLOTS.saturating_add(slot);
            match kinds.wrapping_shr(2 * slot as u32) & 3 {
                0 => {}
                1 => {
                    let leaf = Leaf {
                        path: words.next()?,
                        value_hash: words.next()?,
                    };
                    *page.leaves.get_mut(slot)? = leaf;
                    page.put(position, Kind::Leaf, words.next()?);
                }
                2 => page.put(position, Kind::Inner, words.next()?),
                _ => return None,
            }
        }
        let mut above = [Kind::Empty; POSITIONS];
        above.copy_from_slice(&page.kinds);
        for position in (1..SLOTS).rev() {
            let left = position.saturating_mul(2);
            let kind = Kind::above(*above.get(left)?, *above.get(left.saturating_add(1))?);
            *above.get_mut(position)? = kind;
        }
        for position in 1..SLOTS {
            if *above.get(position)? == Kind::Inner {
                page.put(position, Kind::Inner, words.next()?);
            }
        }
        for position in (1..SLOTS).rev() {
            if *above.get(position)? == Kind::Leaf {
                let left = position.saturating_mul(2);
                let hash = page.hash(left) | page.hash(left.saturating_add(1));
                page.put(position, Kind::Leaf, hash);
            }
        }
        words.next().is_none().then_some(page)
    }

    fn parts(&self) -> (u32, &[B256]) {
        let (first, words) = self.0.split_first().unwrap_or((&B256::ZERO, &[]));
        let kinds = first.first_chunk::<4>().copied().unwrap_or_default();
        (u32::from_le_bytes(kinds), words)
    }

    /// Takes the page apart.
    pub(super) fn open(&self) -> OpenPage {
        let (kinds, words) = self.parts();
        Self::try_open(kinds, words).unwrap_or_else(OpenPage::empty)
    }

    /// Stored form: kinds (u32, little endian), then for each slot that is not empty the hash of its
    /// inner node, or path and value hash of its leaf. The other hashes follow from these; writing
    /// them too would cost more than computing them when a page is loaded.
    pub(super) fn encode(&self) -> Vec<u8> {
        let open = self.open();
        let mut bytes = Vec::with_capacity(self.0.len().saturating_mul(32));
        bytes.extend_from_slice(&self.parts().0.to_le_bytes());
        for slot in 0..SLOTS {
            match open.slot(slot) {
                Node::Empty => {}
                Node::Inner(hash) => bytes.extend_from_slice(hash.as_slice()),
                Node::Leaf(Leaf { path, value_hash }) => {
                    bytes.extend_from_slice(path.as_slice());
                    bytes.extend_from_slice(value_hash.as_slice());
                }
            }
        }
        bytes
    }

    /// Inverse of [`Self::encode`].
    pub(super) fn decode(suite: Suite, bytes: &[u8]) -> Result<Self, StateError> {
        Self::try_decode(suite, bytes)
            .ok_or_else(|| StateError::Corrupt(format!("page of {} bytes", bytes.len())))
    }

    fn try_decode(suite: Suite, bytes: &[u8]) -> Option<Self> {
        let (kinds, rest) = bytes.split_first_chunk::<4>()?;
        let kinds = u32::from_le_bytes(*kinds);
        let (words, tail) = rest.as_chunks::<32>();
        let mut words = words.iter().map(|word| B256::from(*word));
        let mut page = OpenPage::empty();
        for slot in 0..SLOTS {
            let node = match kinds.wrapping_shr(2 * slot as u32) & 3 {
                0 => continue,
                1 => Node::Leaf(Leaf {
                    path: words.next()?,
                    value_hash: words.next()?,
                }),
                2 => Node::Inner(words.next()?),
                _ => return None,
            };
            page.set_slot(suite, slot, node);
        }
        page.rehash(suite);
        (words.next().is_none() && tail.is_empty()).then(|| page.close())
    }

    /// Bytes held in memory, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.0.len().saturating_mul(32).saturating_add(16)
    }
}
