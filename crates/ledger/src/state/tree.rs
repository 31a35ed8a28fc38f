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
use super::message::{Leaf, inner_hash};
use super::page::{Cut, Draft, MERGE_BYTES, Page, Piece, Sheets, Update, Word, bit};
use super::plan::{Hash, Plan};
use super::trunk::{BucketFacts, Inner, Kind, NodeRef, Position};

/// Where nodes are found.
pub(super) trait Nodes {
    fn inner(&self, id: u32) -> Option<Inner>;
    fn bucket(&self, id: u32) -> Option<BucketFacts>;
    /// The page of a bucket at a depth.
    fn page(&self, id: u32, depth: usize) -> Result<Page, StateError>;
}

/// A child of a new node: one that was there, or another new one by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Child {
    Old(NodeRef),
    NewInner(u32),
    NewBucket(u32),
}

/// A new inner node.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewInner {
    pub(super) hash: B256,
    pub(super) left: Child,
    pub(super) right: Child,
}

/// A new bucket.
#[derive(Debug)]
pub(super) struct NewBucket {
    pub(super) hash: B256,
    pub(super) position: Position,
    pub(super) page: Page,
}

/// What updates did to the tree.
#[derive(Debug)]
pub(super) struct TreeChange {
    pub(super) root: Child,
    pub(super) root_hash: B256,
    /// Each after those below it.
    pub(super) inners: Vec<NewInner>,
    /// `None` for one that another took in.
    pub(super) buckets: Vec<Option<NewBucket>>,
    /// What the new tree no longer needs.
    pub(super) gone_inners: Vec<u32>,
    pub(super) gone_buckets: Vec<(u32, Position)>,
}

/// Applies updates, which are in strict path order, to the tree of a root.
pub(super) fn apply(
    suite: Suite,
    nodes: &dyn Nodes,
    root: NodeRef,
    updates: &[Update],
) -> Result<TreeChange, StateError> {
    apply_at(suite, nodes, root, Position::ROOT, updates)
}

/// The same for the tree of a node that stands elsewhere.
pub(super) fn apply_at(
    suite: Suite,
    nodes: &dyn Nodes,
    root: NodeRef,
    at: Position,
    updates: &[Update],
) -> Result<TreeChange, StateError> {
    let mut sites = Vec::new();
    gather(nodes, root, at, updates, &mut sites)?;
    let (mut plan, mut sheets) = (Plan::new(suite), Sheets::new());
    let mut drafts = Vec::with_capacity(sites.len());
    for site in &sites {
        let (page, depth) = (site.page.as_ref(), site.depth);
        let draft = Draft::new(suite, page, site.updates, depth, &mut plan, &mut sheets)?;
        drafts.push(draft);
    }
    let sheets = sheets.solve(&plan.solve());
    let mut walk = Walk {
        suite,
        nodes,
        sheets,
        drafts: drafts.iter(),
        plan: Plan::new(suite),
        planned: Vec::new(),
        change: TreeChange {
            root: Child::Old(root),
            root_hash: B256::ZERO,
            inners: Vec::new(),
            buckets: Vec::new(),
            gone_inners: Vec::new(),
            gone_buckets: Vec::new(),
        },
    };
    let root = walk.update(root, at, updates)?;
    let root_hash = walk.facts(root)?.hash;
    let solved = walk.plan.solve();
    let mut change = walk.change;
    for (inner, hash) in change.inners.iter_mut().zip(walk.planned) {
        inner.hash = solved.get(hash);
    }
    Ok(TreeChange {
        root,
        root_hash: solved.get(root_hash),
        ..change
    })
}

/// A bucket that changes, or an empty place that gets one.
struct Site<'a> {
    page: Option<Page>,
    depth: usize,
    updates: &'a [Update],
}

/// Finds what changes, in order of paths, so that its hashes are computed together.
fn gather<'a>(
    nodes: &dyn Nodes,
    node: NodeRef,
    at: Position,
    updates: &'a [Update],
    sites: &mut Vec<Site<'a>>,
) -> Result<(), StateError> {
    if updates.is_empty() {
        return Ok(());
    }
    let depth = usize::from(at.depth);
    let page = match node.kind() {
        Kind::Empty => None,
        Kind::Bucket(id) => Some(nodes.page(id, depth)?),
        Kind::Inner(id) => {
            let inner = nodes.inner(id).ok_or_else(missing)?;
            let (first, second) = sides(updates, depth);
            gather(nodes, inner.left, at.child(false), first, sites)?;
            return gather(nodes, inner.right, at.child(true), second, sites);
        }
    };
    sites.push(Site {
        page,
        depth,
        updates,
    });
    Ok(())
}

/// The updates on the two sides of a node.
fn sides(updates: &[Update], depth: usize) -> (&[Update], &[Update]) {
    let mid = updates.partition_point(|update| !bit(&update.path, depth));
    updates.split_at(mid)
}

struct Walk<'a> {
    suite: Suite,
    nodes: &'a dyn Nodes,
    sheets: Sheets<Word>,
    /// Of what was gathered and is not planted yet.
    drafts: std::slice::Iter<'a, Draft<'a>>,
    /// Of the nodes above pages.
    plan: Plan<'a>,
    /// The hash of each new inner node.
    planned: Vec<Hash>,
    change: TreeChange,
}

/// A node's hash; leaves and bytes of its page if it has one, and zero for nothing.
struct Facts {
    hash: Hash,
    page: Option<(usize, usize)>,
}

const NOTHING: Child = Child::Old(NodeRef::EMPTY);

impl Walk<'_> {
    /// Updates a node and all below it.
    fn update(
        &mut self,
        node: NodeRef,
        at: Position,
        updates: &[Update],
    ) -> Result<Child, StateError> {
        if updates.is_empty() {
            return Ok(Child::Old(node));
        }
        match node.kind() {
            Kind::Empty => self.rebuild(at),
            Kind::Bucket(id) => {
                self.change.gone_buckets.push((id, at));
                self.rebuild(at)
            }
            Kind::Inner(id) => {
                let inner = self.nodes.inner(id).ok_or_else(missing)?;
                let (first, second) = sides(updates, at.depth.into());
                let left = self.update(inner.left, at.child(false), first)?;
                let right = self.update(inner.right, at.child(true), second)?;
                self.change.gone_inners.push(id);
                self.join(at, left, right)
            }
        }
    }

    fn rebuild(&mut self, at: Position) -> Result<Child, StateError> {
        let draft = self.drafts.next().ok_or_else(missing)?;
        Ok(self.plant(draft, &draft.whole, at))
    }

    /// Cuts a draft into buckets.
    fn plant(&mut self, draft: &Draft<'_>, piece: &Piece, at: Position) -> Child {
        match draft.cut(&self.sheets, piece) {
            Cut::Empty => NOTHING,
            Cut::Page(hash, page) => self.add_bucket(NewBucket {
                hash,
                position: at,
                page,
            }),
            Cut::Split(hash, left, right) => {
                let left = self.plant(draft, &left, at.child(false));
                let right = self.plant(draft, &right, at.child(true));
                self.add_inner(Hash::Known(hash), left, right)
            }
        }
    }

    /// The node over two sides: one page where they are small, and always for a lone leaf.
    fn join(&mut self, at: Position, left: Child, right: Child) -> Result<Child, StateError> {
        let (on_left, on_right) = (self.facts(left)?, self.facts(right)?);
        if let (Some((a, a_bytes)), Some((b, b_bytes))) = (on_left.page, on_right.page) {
            let leaves = a.saturating_add(b);
            if leaves == 0 {
                return Ok(NOTHING);
            }
            if leaves == 1 || a_bytes.saturating_add(b_bytes) <= MERGE_BYTES {
                let (on_left, on_right) = (known(on_left.hash)?, known(on_right.hash)?);
                let hash = match leaves {
                    1 => on_left | on_right,
                    _ => inner_hash(self.suite, &on_left, &on_right),
                };
                let left = self.take(left, at.child(false))?;
                let right = self.take(right, at.child(true))?;
                let page = Page::join(left.as_ref(), right.as_ref(), &hash).ok_or_else(missing)?;
                return Ok(self.add_bucket(NewBucket {
                    hash,
                    position: at,
                    page,
                }));
            }
        }
        let hash = self.plan.inner(on_left.hash, on_right.hash);
        Ok(self.add_inner(hash, left, right))
    }

    fn facts(&self, child: Child) -> Result<Facts, StateError> {
        let of_bucket = |facts: BucketFacts| Facts {
            hash: Hash::Known(facts.hash),
            page: Some((facts.count, facts.bytes)),
        };
        let facts = match child {
            Child::Old(node) => match node.kind() {
                Kind::Empty => Some(Facts {
                    hash: Hash::Known(B256::ZERO),
                    page: Some((0, 0)),
                }),
                Kind::Inner(id) => self.nodes.inner(id).map(|inner| Facts {
                    hash: Hash::Known(inner.hash),
                    page: None,
                }),
                Kind::Bucket(id) => self.nodes.bucket(id).map(of_bucket),
            },
            Child::NewInner(at) => self.planned.get(at as usize).map(|hash| Facts {
                hash: *hash,
                page: None,
            }),
            Child::NewBucket(at) => {
                let bucket = self
                    .change
                    .buckets
                    .get(at as usize)
                    .and_then(Option::as_ref);
                bucket.map(|bucket| Facts {
                    hash: Hash::Known(bucket.hash),
                    page: Some((bucket.page.count(), bucket.page.bytes().len())),
                })
            }
        };
        facts.ok_or_else(missing)
    }

    /// The page of a bucket that another takes in.
    fn take(&mut self, child: Child, at: Position) -> Result<Option<Page>, StateError> {
        match child {
            Child::Old(node) => match node.kind() {
                Kind::Empty => Ok(None),
                Kind::Bucket(id) => {
                    let page = self.nodes.page(id, at.depth.into())?;
                    self.change.gone_buckets.push((id, at));
                    Ok(Some(page))
                }
                Kind::Inner(_) => Err(missing()),
            },
            Child::NewBucket(at) => {
                let bucket = self
                    .change
                    .buckets
                    .get_mut(at as usize)
                    .and_then(Option::take);
                bucket.map(|bucket| Some(bucket.page)).ok_or_else(missing)
            }
            Child::NewInner(_) => Err(missing()),
        }
    }

    /// Adds a node; its hash is put in when all are known.
    fn add_inner(&mut self, hash: Hash, left: Child, right: Child) -> Child {
        self.planned.push(hash);
        self.change.inners.push(NewInner {
            hash: B256::ZERO,
            left,
            right,
        });
        Child::NewInner(last(self.change.inners.len()))
    }

    fn add_bucket(&mut self, bucket: NewBucket) -> Child {
        self.change.buckets.push(Some(bucket));
        Child::NewBucket(last(self.change.buckets.len()))
    }
}

/// The hash of a page, which is never one that is still planned.
fn known(hash: Hash) -> Result<B256, StateError> {
    match hash {
        Hash::Known(hash) => Ok(hash),
        Hash::Planned(_) => Err(missing()),
    }
}

fn last(len: usize) -> u32 {
    u32::try_from(len.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// Where a path ends: the siblings on the way, the root's first, and the leaf found, of this or
/// another path.
pub(super) struct Descent {
    pub(super) siblings: Vec<B256>,
    pub(super) end: Option<Leaf>,
}

/// Follows a path from a root.
pub(super) fn descend(
    suite: Suite,
    nodes: &dyn Nodes,
    root: NodeRef,
    path: &B256,
) -> Result<Descent, StateError> {
    let hash_of = |node: NodeRef| match node.kind() {
        Kind::Empty => Ok(B256::ZERO),
        Kind::Inner(id) => nodes.inner(id).map(|inner| inner.hash).ok_or_else(missing),
        Kind::Bucket(id) => nodes.bucket(id).map(|facts| facts.hash).ok_or_else(missing),
    };
    let mut siblings = Vec::new();
    let (mut node, mut depth) = (root, 0usize);
    loop {
        match node.kind() {
            Kind::Empty => {
                return Ok(Descent {
                    siblings,
                    end: None,
                });
            }
            Kind::Bucket(id) => {
                let page = nodes.page(id, depth)?;
                let end = page.descend(suite, path, depth, &mut siblings);
                return Ok(Descent { siblings, end });
            }
            Kind::Inner(id) => {
                let inner = nodes.inner(id).ok_or_else(missing)?;
                let (next, other) = match bit(path, depth) {
                    false => (inner.left, inner.right),
                    true => (inner.right, inner.left),
                };
                siblings.push(hash_of(other)?);
                node = next;
                depth = depth.saturating_add(1);
            }
        }
    }
}

fn missing() -> StateError {
    StateError::Corrupt("a node of the state tree is missing".into())
}
