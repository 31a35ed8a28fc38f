//! The state tree: a sparse binary Merkle tree over the paths of the keys.
//!
//! A leaf stands at the shallowest level where no other path shares its bits so far, so the tree is
//! a function of its contents alone, whatever the order of changes. Hashes:
//! - leaf: `H(StateLeaf, path ‖ H(StateValue, value))`
//! - inner: `H(StateNode, left ‖ right)`, an empty side counting as zero
//! - empty tree: zero; a tree of one leaf: that leaf.

use hawser_crypto::Suite;
use hawser_primitives::B256;

use super::StateError;
use super::page::{DEPTH_MAX, Leaf, Node, OpenPage, PAGE_LEVELS, Page, PageId, SLOTS, slot_of};

/// Where pages are found.
pub(super) trait Pages {
    /// The page at a place; `None` when there is none.
    fn page(&self, id: &PageId) -> Result<Option<Page>, StateError>;
}

/// A change to one path: the hash of its new value, or its removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) path: B256,
    pub(super) value_hash: Option<B256>,
}

/// What updates did to the tree.
#[derive(Debug)]
pub(super) struct TreeChange {
    pub(super) root: B256,
    /// Pages that changed, each once; `None` for those that are no more.
    pub(super) pages: Vec<(PageId, Option<Page>)>,
}

/// Applies updates, which are in strict path order.
pub(super) fn apply(
    suite: Suite,
    pages: &dyn Pages,
    updates: &[Update],
) -> Result<TreeChange, StateError> {
    let mut walk = Walk {
        suite,
        pages,
        changed: Vec::new(),
    };
    let root = pages.page(&PageId::ROOT)?;
    let root = walk.update(PageId::ROOT, root, updates)?;
    let root = match root {
        Node::Empty => B256::ZERO,
        Node::Leaf(leaf) => leaf.hash(suite),
        Node::Inner(hash) => hash,
    };
    Ok(TreeChange {
        root,
        pages: walk.changed,
    })
}

/// The root of the tree whose root page is given.
pub(super) fn root_of(page: Option<&Page>) -> B256 {
    page.map_or(B256::ZERO, |page| page.open().hash(1))
}

struct Walk<'a> {
    suite: Suite,
    pages: &'a dyn Pages,
    changed: Vec<(PageId, Option<Page>)>,
}

impl Walk<'_> {
    /// Updates a page and all below it; returns the node that it now stands for.
    fn update(
        &mut self,
        id: PageId,
        page: Option<Page>,
        updates: &[Update],
    ) -> Result<Node, StateError> {
        let mut open = page
            .as_ref()
            .map_or_else(OpenPage::empty, |page| page.open());
        let mut changed = false;
        let slot = |update: &Update| slot_of(&update.path, id.depth());
        for group in updates.chunk_by(|a, b| slot(a) == slot(b)) {
            let Some(first) = group.first() else { continue };
            let slot = slot(first);
            let before = open.slot(slot);
            let after = match before {
                Node::Empty => self.plant(id.child(slot), None, group)?,
                Node::Leaf(leaf) => self.plant(id.child(slot), Some(leaf), group)?,
                Node::Inner(_) => {
                    let child = id.child(slot);
                    let page = self.pages.page(&child)?.ok_or_else(|| missing(&child))?;
                    self.update(child, Some(page), group)?
                }
            };
            if after != before {
                open.set_slot(self.suite, slot, after);
                changed = true;
            }
        }
        if !changed {
            return Ok(open.node(1));
        }
        open.rehash(self.suite);
        let node = open.node(1);
        let needed = match node {
            Node::Empty => false,
            // A lone leaf is kept by the page above; the root page has none above.
            Node::Leaf(_) => id == PageId::ROOT,
            Node::Inner(_) => true,
        };
        if needed {
            self.changed.push((id, Some(open.close())));
        } else if page.is_some() {
            self.changed.push((id, None));
        }
        Ok(node)
    }

    /// What a slot with at most one leaf becomes. `child` is the page that several would need.
    fn plant(
        &mut self,
        child: PageId,
        leaf: Option<Leaf>,
        updates: &[Update],
    ) -> Result<Node, StateError> {
        let mut all: Vec<Update> = updates
            .iter()
            .filter(|update| update.value_hash.is_some())
            .copied()
            .collect();
        let untouched = leaf.filter(|leaf| {
            updates
                .binary_search_by_key(&leaf.path, |u| u.path)
                .is_err()
        });
        if let Some(Leaf { path, value_hash }) = untouched {
            let at = all.partition_point(|update| update.path < path);
            all.insert(
                at,
                Update {
                    path,
                    value_hash: Some(value_hash),
                },
            );
        }
        match all.as_slice() {
            [] => Ok(Node::Empty),
            [
                Update {
                    path,
                    value_hash: Some(value_hash),
                },
            ] => Ok(Node::Leaf(Leaf {
                path: *path,
                value_hash: *value_hash,
            })),
            _ if child.depth() >= DEPTH_MAX => {
                Err(StateError::Corrupt("two keys have one path".into()))
            }
            several => self.update(child, None, several),
        }
    }
}

/// Where a path ends: the siblings on the way, the root's first, and the node found.
pub(super) struct Descent {
    pub(super) siblings: Vec<B256>,
    /// Empty, or the leaf of this or another path.
    pub(super) end: Option<Leaf>,
}

/// Follows a path from the root.
pub(super) fn descend(suite: Suite, pages: &dyn Pages, path: &B256) -> Result<Descent, StateError> {
    let mut siblings = Vec::new();
    let mut id = PageId::ROOT;
    let Some(mut page) = pages.page(&id)? else {
        return Ok(Descent {
            siblings,
            end: None,
        });
    };
    loop {
        let mut open = page.open();
        let slot = slot_of(path, id.depth());
        open.warm(suite, slot);
        let mut position = 1usize;
        for level in (0..PAGE_LEVELS).rev() {
            match open.node(position) {
                Node::Empty => {
                    return Ok(Descent {
                        siblings,
                        end: None,
                    });
                }
                Node::Leaf(leaf) => {
                    return Ok(Descent {
                        siblings,
                        end: Some(leaf),
                    });
                }
                Node::Inner(_) => {
                    let bit = (slot >> level) & 1;
                    let left = position.saturating_mul(2);
                    siblings.push(open.hash(left.saturating_add(1 - bit)));
                    position = left.saturating_add(bit);
                }
            }
        }
        match open.node(position) {
            Node::Empty => {
                return Ok(Descent {
                    siblings,
                    end: None,
                });
            }
            Node::Leaf(leaf) => {
                return Ok(Descent {
                    siblings,
                    end: Some(leaf),
                });
            }
            Node::Inner(_) => {
                id = id.child(position.saturating_sub(SLOTS));
                page = pages.page(&id)?.ok_or_else(|| missing(&id))?;
            }
        }
    }
}

fn missing(id: &PageId) -> StateError {
    StateError::Corrupt(format!("page {} is missing", hex::encode(id.key())))
}
