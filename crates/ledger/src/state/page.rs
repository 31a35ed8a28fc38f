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
/// leaf; then the hash of each position 1 to 15 that is an inner node. Hashes within a cold quarter
/// are zero.
///
/// A clone is the same page. The first word holds the kinds of the slots, two bits each, the first
/// slot lowest: 0 empty, 1 leaf, 2 inner; then a byte with a bit for each cold quarter.
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
    /// Quarters (four slots each) below whose top the hashes are not computed yet, one bit each. A
    /// page comes cold from the store, and a change or a proof needs one quarter only.
    cold: u8,
}

/// Slots of a quarter, and the position of the first quarter's top.
const QUARTER: usize = 4;

impl OpenPage {
    pub(super) fn empty() -> Self {
        Self {
            kinds: [Kind::Empty; POSITIONS],
            hashes: [B256::ZERO; POSITIONS],
            leaves: [Leaf::default(); SLOTS],
            dirty: 0,
            cold: 0,
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

    /// Computes the hashes of a slot's quarter if they are not known.
    pub(super) fn warm(&mut self, suite: Suite, slot: usize) {
        let quarter = slot / QUARTER;
        let bit = 1u8.wrapping_shl(quarter as u32);
        if self.cold & bit == 0 {
            return;
        }
        self.cold &= !bit;
        let first = SLOTS.saturating_add(quarter.saturating_mul(QUARTER));
        for position in first..first.saturating_add(QUARTER) {
            if let Node::Leaf(leaf) = self.node(position) {
                self.put(position, Kind::Leaf, leaf.hash(suite));
            }
        }
        let pair = SLOTS / 2 + 2 * quarter;
        self.combine(suite, pair);
        self.combine(suite, pair.saturating_add(1));
    }

    pub(super) fn set_slot(&mut self, suite: Suite, slot: usize, node: Node) {
        self.warm(suite, slot);
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
            if self.dirty.wrapping_shr(2 * position as u32) & 3 != 0 {
                self.combine(suite, position);
                self.dirty |= 1u32.wrapping_shl(position as u32);
            }
        }
        self.dirty = 0;
    }

    /// Sets a position from the two below it.
    fn combine(&mut self, suite: Suite, position: usize) {
        let (left, right) = below(position);
        let kind = Kind::above(self.kind(left), self.kind(right));
        let hash = match kind {
            Kind::Empty => B256::ZERO,
            // The empty side is zero.
            Kind::Leaf => self.hash(left) | self.hash(right),
            Kind::Inner => inner_hash(suite, &self.hash(left), &self.hash(right)),
        };
        self.put(position, kind, hash);
    }

    /// Sets the kinds above the slots.
    fn raise_kinds(&mut self) {
        for position in (1..SLOTS).rev() {
            let (left, right) = below(position);
            let kind = Kind::above(self.kind(left), self.kind(right));
            self.put(position, kind, B256::ZERO);
        }
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
            *first = head_word(kinds, self.cold);
        }
        Page(words.get(..used).unwrap_or_default().into())
    }
}

const fn below(position: usize) -> (usize, usize) {
    let left = position.saturating_mul(2);
    (left, left.saturating_add(1))
}

fn head_word(kinds: u32, cold: u8) -> B256 {
    let mut word = B256::ZERO;
    let head = kinds.to_le_bytes().into_iter().chain([cold]);
    for (to, from) in word.iter_mut().zip(head) {
        *to = from;
    }
    word
}

impl Page {
    /// `None` when the words do not fit the kinds, which [`OpenPage::close`] rules out.
    fn try_open(&self) -> Option<OpenPage> {
        let mut page = OpenPage::empty();
        let (head, words) = self.0.split_first()?;
        let mut words = words.iter().copied();
        let kinds = u32::from_le_bytes(*head.first_chunk()?);
        for slot in 0..SLOTS {
            let position = SLOTS.saturating_add(slot);
            match kinds.wrapping_shr(2 * slot as u32) & 3 {
                0 => {}
                1 => {
                    let (path, value_hash) = (words.next()?, words.next()?);
                    *page.leaves.get_mut(slot)? = Leaf { path, value_hash };
                    page.put(position, Kind::Leaf, words.next()?);
                }
                2 => page.put(position, Kind::Inner, words.next()?),
                _ => return None,
            }
        }
        page.raise_kinds();
        for position in 1..SLOTS {
            if page.kind(position) == Kind::Inner {
                page.put(position, Kind::Inner, words.next()?);
            }
        }
        for position in (1..SLOTS)
            .rev()
            .filter(|at| page.kinds.get(*at) == Some(&Kind::Leaf))
        {
            let (left, right) = below(position);
            let hash = *page.hashes.get(left)? | *page.hashes.get(right)?;
            *page.hashes.get_mut(position)? = hash;
        }
        page.cold = *head.get(4)?;
        words.next().is_none().then_some(page)
    }

    /// Takes the page apart.
    pub(super) fn open(&self) -> OpenPage {
        self.try_open().unwrap_or_else(OpenPage::empty)
    }

    /// Stored form: kinds (u32, little endian); for each slot that is not empty the hash of its
    /// inner node, or path and value hash of its leaf; the hash of each quarter that is an inner
    /// node. Writing the other hashes too would cost more than computing those that are needed.
    pub(super) fn encode(&self) -> Vec<u8> {
        let open = self.open();
        let mut bytes = Vec::with_capacity(self.0.len().saturating_mul(32));
        bytes.extend(self.0.iter().take(1).flat_map(|head| head.iter().take(4)));
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
        for position in QUARTER..2 * QUARTER {
            if let Node::Inner(hash) = open.node(position) {
                bytes.extend_from_slice(hash.as_slice());
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
            let position = SLOTS.saturating_add(slot);
            match kinds.wrapping_shr(2 * slot as u32) & 3 {
                0 => {}
                1 => {
                    let (path, value_hash) = (words.next()?, words.next()?);
                    *page.leaves.get_mut(slot)? = Leaf { path, value_hash };
                    page.put(position, Kind::Leaf, B256::ZERO);
                }
                2 => page.put(position, Kind::Inner, words.next()?),
                _ => return None,
            }
        }
        page.raise_kinds();
        page.cold = 0b1111;
        for quarter in 0..QUARTER {
            let top = QUARTER.saturating_add(quarter);
            if page.kind(top) == Kind::Inner {
                page.put(top, Kind::Inner, words.next()?);
            } else {
                page.warm(suite, quarter.saturating_mul(QUARTER));
                page.combine(suite, top);
            }
        }
        for position in (1..QUARTER).rev() {
            page.combine(suite, position);
        }
        (words.next().is_none() && tail.is_empty()).then(|| page.close())
    }

    /// Bytes held in memory, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.0.len().saturating_mul(32).saturating_add(16)
    }
}
