use hawser_crypto::Suite;
use hawser_primitives::{B256, Bytes};
use proptest::prelude::*;
use std::collections::BTreeMap;

use super::page::{Leaf, Page, PageId, inner_hash, value_hash};
use super::proof::{ProofEnd, ProofError, StateProof};
use super::tree::{self, Pages, Update};
use super::{StateError, StateKey};

/// Pages in a map, in their stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PageMap(BTreeMap<PageId, Vec<u8>>, Suite);

impl Pages for PageMap {
    fn page(&self, id: &PageId) -> Result<Option<Page>, StateError> {
        self.0
            .get(id)
            .map(|bytes| Page::decode(self.1, bytes))
            .transpose()
    }
}

impl PageMap {
    fn new(suite: Suite) -> Self {
        Self(BTreeMap::new(), suite)
    }

    fn apply(&mut self, suite: Suite, changes: &BTreeMap<B256, Option<Bytes>>) -> B256 {
        let updates: Vec<_> = changes
            .iter()
            .map(|(path, value)| {
                let value_hash = value.as_ref().map(|value| value_hash(suite, value));
                Update {
                    path: *path,
                    value_hash,
                }
            })
            .collect();
        let change = tree::apply(suite, self, &updates).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for (id, page) in change.pages {
            assert!(seen.insert(id), "a page is written once");
            match page {
                Some(page) => self.0.insert(id, page.encode()),
                None => Some(
                    self.0
                        .remove(&id)
                        .expect("only pages that exist are removed"),
                ),
            };
        }
        change.root
    }

    fn prove(&self, path: &B256, contents: &BTreeMap<B256, Bytes>) -> StateProof {
        let descent = tree::descend(self.1, self, path).unwrap();
        let end = match descent.end {
            None => ProofEnd::Empty,
            Some(leaf) if leaf.path == *path => ProofEnd::Value(contents[path].clone()),
            Some(Leaf { path, value_hash }) => ProofEnd::OtherLeaf { path, value_hash },
        };
        StateProof::new(end, &descent.siblings)
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
    fn root_pages_and_proofs_follow_from_the_contents_alone(
        batches in prop::collection::vec(changes(), 1..8),
        clear in any::<bool>(),
        sm in any::<bool>(),
    ) {
        let suite = if sm { Suite::Sm } else { Suite::Intl };
        let mut pages = PageMap::new(suite);
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
            let root = pages.apply(suite, batch);
            prop_assert_eq!(root, naive(suite, &contents));

            let mut fresh = PageMap::new(suite);
            let whole = contents.iter().map(|(p, v)| (*p, Some(v.clone()))).collect();
            prop_assert_eq!(fresh.apply(suite, &whole), root);
            prop_assert_eq!(&fresh, &pages, "no page is left over or missing");

            for path in &all_paths {
                let proof = pages.prove(path, &contents);
                let proof = StateProof::decode(&proof.encode()).unwrap();
                let proven = proof.verify_path(suite, &root, path).unwrap();
                prop_assert_eq!(proven.as_ref(), contents.get(path));
            }
        }
        if clear {
            let gone = contents.keys().map(|path| (*path, None)).collect();
            prop_assert_eq!(pages.apply(suite, &gone), B256::ZERO);
            prop_assert_eq!(pages, PageMap::new(suite));
        }
    }
}

/// A tree in which all three ends and empty siblings occur, and its paths.
fn sample() -> (PageMap, BTreeMap<B256, Bytes>, B256) {
    let mut contents = BTreeMap::new();
    for byte in [0x00u8, 0x01, 0x0f, 0x80, 0x81, 0xc0] {
        contents.insert(B256::repeat_byte(byte), Bytes::from(vec![byte; 4]));
    }
    let mut deep = B256::repeat_byte(0xc0);
    deep[31] ^= 1;
    contents.insert(deep, Bytes::from_static(b"deep"));
    let mut pages = PageMap::new(Suite::Intl);
    let all = contents
        .iter()
        .map(|(path, value)| (*path, Some(value.clone())))
        .collect();
    let root = pages.apply(Suite::Intl, &all);
    (pages, contents, root)
}

#[test]
fn a_proof_changed_in_any_bit_is_refused() {
    let (pages, contents, root) = sample();
    let mut absent = B256::repeat_byte(0xc0);
    absent[20] ^= 4;
    let paths = [
        B256::repeat_byte(0x01),
        B256::repeat_byte(0x40),
        B256::repeat_byte(0x82),
        absent,
    ];
    for path in paths {
        let proof = pages.prove(&path, &contents);
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
    let (pages, contents, _) = sample();
    let proof = pages.prove(&B256::repeat_byte(0x01), &contents);
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
    let (pages, ..) = sample();
    for bytes in pages.0.values() {
        assert!(Page::decode(Suite::Intl, bytes).is_ok());
        assert!(Page::decode(Suite::Intl, &bytes[..bytes.len() - 1]).is_err());
        assert!(Page::decode(Suite::Intl, &bytes[..bytes.len() - 32]).is_err());
        assert!(Page::decode(Suite::Intl, &[bytes, &[0; 32][..]].concat()).is_err());
        let mut kind3 = bytes.clone();
        kind3[0] |= 3;
        assert!(Page::decode(Suite::Intl, &kind3).is_err());
    }
    assert!(Page::decode(Suite::Intl, &[]).is_err());
}

#[test]
fn a_missing_page_is_corruption_and_not_an_empty_tree() {
    let (mut pages, ..) = sample();
    let below = *pages.0.keys().nth(1).unwrap();
    pages.0.remove(&below);
    let paths = (0..=255u8).map(B256::repeat_byte);
    let failed = paths
        .filter(|path| tree::descend(Suite::Intl, &pages, path).is_err())
        .count();
    assert!(failed > 0);
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
        let mut pages = PageMap::new(suite);
        let all = contents
            .iter()
            .map(|(path, value)| (*path, Some(value.clone())))
            .collect();
        assert_eq!(hex::encode(pages.apply(suite, &all)), root);
        let proof = pages.prove(&B256::repeat_byte(0x0f), &contents);
        assert_eq!(hex::encode(proof.encode()), bytes);
    }
}
