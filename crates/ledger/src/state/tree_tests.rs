use hawser_crypto::Suite;
use hawser_primitives::{B256, Bytes};
use proptest::prelude::*;
use std::collections::BTreeMap;

use super::message::{Leaf, inner_hash, value_hash};
use super::page::{Page, Update};
use super::proof::{ProofEnd, ProofError, StateProof};
use super::tree::{self, Nodes};
use super::trunk::{BucketFacts, Inner, Kind, NodeRef, Position, Trunk};
use super::{StateError, StateKey};

/// A tree that is all in memory.
struct Tree {
    trunk: Trunk,
    root: NodeRef,
    suite: Suite,
}

impl Nodes for Tree {
    fn inner(&self, id: u32) -> Option<Inner> {
        self.trunk.inner(id).copied()
    }

    fn bucket(&self, id: u32) -> Option<BucketFacts> {
        self.trunk.bucket(id).map(BucketFacts::from)
    }

    fn page(&self, id: u32, depth: usize) -> Result<Page, StateError> {
        let page = self.trunk.bucket(id).and_then(|bucket| bucket.see().page);
        let page = page.ok_or_else(|| StateError::Corrupt("gone".into()))?;
        // As if it had been stored.
        Page::decode(page.bytes().to_vec(), depth)
    }
}

impl Tree {
    fn new(suite: Suite) -> Self {
        let (trunk, root) = (Trunk::new(0), NodeRef::EMPTY);
        Self { trunk, root, suite }
    }

    fn apply(&mut self, changes: &BTreeMap<B256, Option<Bytes>>) -> B256 {
        let update = |(path, value): (&B256, &Option<Bytes>)| Update {
            path: *path,
            change: value.clone(),
        };
        let updates: Vec<_> = changes.iter().map(update).collect();
        let change = tree::apply(self.suite, self, self.root, &updates).unwrap();
        let root = change.root_hash;
        let added = self.trunk.add(change);
        self.root = added.root;
        for id in added.gone_inners {
            self.trunk.remove_inner(id);
        }
        for (id, _) in added.gone_buckets {
            self.trunk.remove_bucket(id);
        }
        root
    }

    fn prove(&self, path: &B256, contents: &BTreeMap<B256, Bytes>) -> StateProof {
        let descent = tree::descend(self.suite, self, self.root, path).unwrap();
        let end = match descent.end {
            None => ProofEnd::Empty,
            Some(leaf) if leaf.path == *path => ProofEnd::Value(contents[path].clone()),
            Some(Leaf { path, value_hash }) => ProofEnd::OtherLeaf { path, value_hash },
        };
        StateProof::new(end, &descent.siblings)
    }

    /// Pages with their depths, after checking that every node in use is reached once.
    fn pages(&self) -> Vec<(usize, Page)> {
        let (mut pages, mut inners) = (Vec::new(), 0);
        let mut open = vec![(self.root, Position::ROOT)];
        while let Some((node, at)) = open.pop() {
            match node.kind() {
                Kind::Empty => {}
                Kind::Inner(id) => {
                    let inner = self.trunk.inner(id).unwrap();
                    inners += 1;
                    open.push((inner.left, at.child(false)));
                    open.push((inner.right, at.child(true)));
                }
                Kind::Bucket(id) => {
                    let depth = usize::from(at.depth);
                    let page = self.trunk.bucket(id).unwrap().see().page.unwrap();
                    assert_eq!(page.hash(self.suite), self.trunk.hash(node).unwrap());
                    pages.push((depth, page));
                }
            }
        }
        assert_eq!(
            self.trunk.used(),
            (inners, pages.len()),
            "nodes are left over"
        );
        pages
    }
}

/// The root by the definition of the tree, from all its contents.
fn naive_root(suite: Suite, entries: &[(B256, Bytes)], level: usize) -> B256 {
    match entries {
        [] => B256::ZERO,
        [(path, value)] => Leaf {
            path: *path,
            value_hash: value_hash(suite, value),
        }
        .hash(suite),
        _ => {
            let right = |path: &B256| path[level / 8] & (0x80 >> (level % 8)) != 0;
            let (l, r) = entries.split_at(entries.partition_point(|(path, _)| !right(path)));
            inner_hash(
                suite,
                &naive_root(suite, l, level + 1),
                &naive_root(suite, r, level + 1),
            )
        }
    }
}

fn naive(suite: Suite, contents: &BTreeMap<B256, Bytes>) -> B256 {
    let entries: Vec<_> = contents
        .iter()
        .map(|(path, value)| (*path, value.clone()))
        .collect();
    naive_root(suite, &entries, 0)
}

/// Paths of which many share long prefixes: `shared` bits of a base, one bit flipped, then noise.
fn path() -> impl Strategy<Value = B256> {
    (0u8..3, 0usize..256, any::<u8>(), any::<bool>()).prop_map(|(base, shared, noise, exact)| {
        let mut path = B256::repeat_byte(base.wrapping_mul(0x55));
        if !exact {
            path[shared / 8] ^= 0x80 >> (shared % 8);
            for byte in path.iter_mut().skip(shared / 8 + 1) {
                *byte ^= noise & 3;
            }
        }
        path
    })
}

fn changes() -> impl Strategy<Value = BTreeMap<B256, Option<Bytes>>> {
    let value = prop::option::weighted(0.7, (0u8..3).prop_map(|byte| Bytes::from(vec![byte; 3])));
    prop_oneof![
        3 => prop::collection::btree_map(path(), value.clone(), 0..12),
        1 => prop::collection::btree_map(any::<[u8; 32]>().prop_map(B256::from), value, 0..60),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn root_and_proofs_follow_from_the_contents_alone(
        batches in prop::collection::vec(changes(), 1..8),
        clear in any::<bool>(),
        sm in any::<bool>(),
    ) {
        let suite = if sm { Suite::Sm } else { Suite::Intl };
        let mut tree = Tree::new(suite);
        let mut contents: BTreeMap<B256, Bytes> = BTreeMap::new();
        let mut all_paths = Vec::new();
        for batch in &batches {
            for (path, value) in batch {
                all_paths.push(*path);
                match value {
                    Some(value) => contents.insert(*path, value.clone()),
                    None => contents.remove(path),
                };
            }
            let root = tree.apply(batch);
            prop_assert_eq!(root, naive(suite, &contents));

            let mut fresh = Tree::new(suite);
            let whole = contents.iter().map(|(p, v)| (*p, Some(v.clone()))).collect();
            prop_assert_eq!(fresh.apply(&whole), root);
            prop_assert!(tree.pages().len() <= contents.len());

            for path in &all_paths {
                let proof = tree.prove(path, &contents);
                let proof = StateProof::decode(&proof.encode()).unwrap();
                let proven = proof.verify_path(suite, &root, path).unwrap();
                prop_assert_eq!(proven.as_ref(), contents.get(path));
            }
        }
        if clear {
            let gone = contents.keys().map(|path| (*path, None)).collect();
            prop_assert_eq!(tree.apply(&gone), B256::ZERO);
            prop_assert!(tree.pages().is_empty());
        }
    }
}

/// A tree in which all three ends and empty siblings occur, and its paths.
fn sample() -> (Tree, BTreeMap<B256, Bytes>, B256) {
    let mut contents = BTreeMap::new();
    for byte in [0x00u8, 0x01, 0x0f, 0x80, 0x81, 0xc0] {
        contents.insert(B256::repeat_byte(byte), Bytes::from(vec![byte; 4]));
    }
    let mut deep = B256::repeat_byte(0xc0);
    deep[31] ^= 1;
    contents.insert(deep, Bytes::from_static(b"deep"));
    let mut tree = Tree::new(Suite::Intl);
    let all = contents
        .iter()
        .map(|(path, value)| (*path, Some(value.clone())))
        .collect();
    let root = tree.apply(&all);
    (tree, contents, root)
}

#[test]
fn a_proof_changed_in_any_bit_is_refused() {
    let (tree, contents, root) = sample();
    let mut absent = B256::repeat_byte(0xc0);
    absent[20] ^= 4;
    let paths = [
        B256::repeat_byte(0x01),
        B256::repeat_byte(0x40),
        B256::repeat_byte(0x82),
        absent,
    ];
    for path in paths {
        let proof = tree.prove(&path, &contents);
        let expected = contents.get(&path).cloned();
        assert_eq!(
            proof.verify_path(Suite::Intl, &root, &path).unwrap(),
            expected
        );
        let bytes = proof.encode();
        for bit in 0..bytes.len() * 8 {
            let mut tampered = bytes.clone();
            tampered[bit / 8] ^= 1 << (bit % 8);
            let verified =
                StateProof::decode(&tampered).map(|p| p.verify_path(Suite::Intl, &root, &path));
            assert!(
                !matches!(verified, Ok(Ok(_))),
                "bit {bit} of the proof of {path}"
            );
        }
        for len in 0..bytes.len() {
            assert!(
                StateProof::decode(&bytes[..len]).is_err(),
                "a proof cut off at {len}"
            );
        }
        assert!(
            proof.verify_path(Suite::Sm, &root, &path).is_err(),
            "the other suite"
        );
        for other in contents.keys().filter(|other| **other != path) {
            let verified = proof.verify_path(Suite::Intl, &root, other);
            assert!(
                verified.is_err(),
                "the proof of {path} shows nothing about {other}"
            );
        }
    }
}

#[test]
fn proofs_of_hostile_form_are_refused_before_they_are_hashed() {
    let path = B256::ZERO;
    let refused = |end: ProofEnd, levels: u16, present: &[u8], siblings: &[B256]| {
        let mut bytes = borsh::to_vec(&end).unwrap();
        bytes.extend(levels.to_le_bytes());
        bytes.extend(borsh::to_vec(&present.to_vec()).unwrap());
        bytes.extend(borsh::to_vec(&siblings.to_vec()).unwrap());
        let proof = StateProof::decode(&bytes).unwrap();
        proof
            .verify_path(Suite::Intl, &B256::ZERO, &path)
            .unwrap_err()
    };
    let one = B256::repeat_byte(1);
    let malformed = |error| matches!(error, ProofError::Malformed(_));
    // 256 levels are possible, 257 are not.
    assert!(matches!(
        refused(ProofEnd::Empty, 256, &[0xff; 32], &[one; 256]),
        ProofError::OtherRoot { .. }
    ));
    assert!(malformed(refused(
        ProofEnd::Empty,
        257,
        &[0xff; 33],
        &[one; 257]
    )));
    assert!(
        malformed(refused(ProofEnd::Empty, 1, &[0x80, 0], &[one])),
        "bits too long"
    );
    assert!(
        malformed(refused(ProofEnd::Empty, 1, &[0xc0], &[one, one])),
        "bit beyond the levels"
    );
    assert!(
        malformed(refused(ProofEnd::Empty, 1, &[0x80], &[])),
        "sibling missing"
    );
    assert!(
        malformed(refused(ProofEnd::Empty, 1, &[0x80], &[one, one])),
        "sibling left over"
    );
    assert!(
        malformed(refused(ProofEnd::Empty, 1, &[0x80], &[B256::ZERO])),
        "empty spelt out"
    );
    assert!(
        malformed(refused(ProofEnd::Empty, 2, &[0x80], &[one])),
        "stands too low"
    );
    let other = |path| ProofEnd::OtherLeaf {
        path,
        value_hash: one,
    };
    assert_eq!(
        refused(other(path), 1, &[0x80], &[one]),
        ProofError::OtherKey,
        "the same path"
    );
    assert_eq!(
        refused(other(B256::repeat_byte(0x80)), 1, &[0x80], &[one]),
        ProofError::OtherKey,
        "a leaf that is not on the way"
    );
}

#[test]
fn both_sides_of_the_value_limit() {
    use super::STATE_VALUE_BYTES_MAX as MAX;
    for (len, fits) in [(MAX, true), (MAX + 1, false)] {
        let (path, value) = (B256::ZERO, Bytes::from(vec![1; len]));
        let root = Leaf {
            path,
            value_hash: value_hash(Suite::Intl, &value),
        }
        .hash(Suite::Intl);
        let proof = StateProof::new(ProofEnd::Value(value), &[]);
        assert_eq!(proof.verify_path(Suite::Intl, &root, &path).is_ok(), fits);
    }
    assert!(StateProof::decode(&vec![0; super::STATE_PROOF_BYTES_MAX + 1]).is_err());
}

#[test]
fn serde_and_borsh_carry_a_proof_alike() {
    let (tree, contents, _) = sample();
    let proof = tree.prove(&B256::repeat_byte(0x01), &contents);
    let json = serde_json::to_string(&proof).unwrap();
    assert_eq!(serde_json::from_str::<StateProof>(&json).unwrap(), proof);
    assert!(
        json.contains("\"end\":{\"value\":\"0x01010101\"}"),
        "{json}"
    );
    let key = StateKey::Account(hawser_primitives::Address::ZERO);
    assert!(proof.verify(Suite::Intl, &B256::ZERO, &key).is_err());
}

#[test]
fn pages_that_were_not_written_here_are_refused() {
    let (tree, ..) = sample();
    for (depth, page) in tree.pages() {
        let bytes = page.bytes();
        let refused = |bytes: &[u8]| Page::decode(bytes.to_vec(), depth).is_err();
        assert_eq!(Page::decode(bytes.to_vec(), depth).unwrap(), page);
        assert!(refused(&bytes[..bytes.len() - 1]));
        assert!(refused(&bytes[..bytes.len() - 32]));
        assert!(refused(&[bytes, &[0; 32][..]].concat()));
        let mut counts = bytes.to_vec();
        counts[0] ^= 1;
        assert!(refused(&counts), "another number of leaves");
        let mut order = bytes.to_vec();
        order.copy_within(
            8 + 4 * page.count()..8 + 4 * page.count() + 32,
            8 + 4 * page.count() + 32,
        );
        assert!(refused(&order), "a path twice");
        assert!(
            Page::decode(bytes.to_vec(), depth + 1).is_err(),
            "of another node"
        );
    }
    assert!(Page::decode(Vec::new(), 0).is_err());
    assert!(Page::decode(vec![0; 8], 0).is_err(), "a page of nothing");
}

#[test]
fn a_missing_page_is_corruption_and_not_an_empty_tree() {
    let (mut tree, ..) = sample();
    let Some((id, _)) = tree.trunk.find(tree.root, 0) else {
        panic!("there is a page");
    };
    tree.trunk.remove_bucket(id);
    assert!(tree::descend(Suite::Intl, &tree, tree.root, &B256::ZERO).is_err());
}

#[test]
fn pages_stay_within_their_size_and_few() {
    let mut tree = Tree::new(Suite::Intl);
    let path = |n: u32| value_hash(Suite::Intl, &n.to_be_bytes());
    let value = |n: u32| Some(Bytes::from(vec![n as u8; 32]));
    for from in (0..6_000u32).step_by(1_000) {
        tree.apply(&(from..from + 1_000).map(|n| (path(n), value(n))).collect());
    }
    let pages = tree.pages();
    assert!(pages.iter().all(|(_, page)| page.bytes().len() <= 2_048));
    assert!((300..800).contains(&pages.len()), "{}", pages.len());
    // What shrinks is joined again.
    tree.apply(&(0..5_900u32).map(|n| (path(n), None)).collect());
    let pages = tree.pages();
    assert!(pages.len() < 60, "{}", pages.len());
    assert_eq!(
        pages.iter().map(|(_, page)| page.count()).sum::<usize>(),
        100
    );
}

#[test]
fn a_large_value_has_a_page_to_itself() {
    let mut tree = Tree::new(Suite::Intl);
    let large = Bytes::from(vec![7; 100_000]);
    let path = |n: u8| B256::repeat_byte(n);
    let some = |n: u8| (path(n), Some(Bytes::from(vec![n; 32])));
    let mut all: BTreeMap<_, _> = (0..200).map(some).collect();
    all.insert(path(100), Some(large.clone()));
    tree.apply(&all);
    let pages = tree.pages();
    let with = pages.iter().filter(|(_, page)| page.bytes().len() > 2_048);
    let with: Vec<_> = with.map(|(_, page)| page.count()).collect();
    assert_eq!(with, [1]);
    let found = pages.iter().find_map(|(_, page)| page.value(&path(100)));
    assert_eq!(found, Some(large));
    tree.apply(
        &(0..200)
            .filter(|n| *n != 100)
            .map(|n| (path(n), None))
            .collect(),
    );
    assert_eq!(tree.pages().len(), 1, "a lone leaf stands at the root");
}

#[test]
fn roots_and_proofs_are_frozen() {
    for (suite, root, bytes) in [
        (
            Suite::Intl,
            "b4c60f234af9a6b0b4666b3a1312c19f6301014aac713365496b994dcaa35861",
            "00040000000f0f0f0f0500010000008802000000b9a62a5b0d19c3bb971902e8ace5930e611b27b3e839a346876e94fb1cc4bc3ac9c9fccf3c9ab16e241534dc9baa8b5203861d530b988c60f1b4ef4640473998",
        ),
        (
            Suite::Sm,
            "96f5a4cb84ba04f52f448f55e302a55d7059d6c9922815294339b2fcce978f50",
            "00040000000f0f0f0f0500010000008802000000cf80d6c0b0bf329517dc5882dde3fe2bc18636ce4f37d138f65f9b80ca4181917982cac5d44ad8ec83b5fa03c0bcd6b4f3200ae1e4b33e2fdfcdf0ad144c2af7",
        ),
    ] {
        let (_, contents, _) = sample();
        let mut tree = Tree::new(suite);
        let all = contents
            .iter()
            .map(|(path, value)| (*path, Some(value.clone())))
            .collect();
        assert_eq!(hex::encode(tree.apply(&all)), root);
        let proof = tree.prove(&B256::repeat_byte(0x0f), &contents);
        assert_eq!(hex::encode(proof.encode()), bytes);
    }
}
