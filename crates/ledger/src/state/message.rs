//! What the hashes of the state tree are over.

use hawser_crypto::Suite;
use hawser_primitives::{B256, Domain};

/// What is hashed; `H` is a hash, or what will give one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message<'a, H> {
    /// A value.
    Value(&'a [u8]),
    /// The path of a leaf, and the hash of its value.
    Leaf(&'a [u8; 32], H),
    /// The left side of an inner node, and the right one.
    Inner(H, H),
}

impl<'a, H> Message<'a, H> {
    /// The same with other hashes.
    pub(super) fn map<T>(self, hash: impl Fn(H) -> T) -> Message<'a, T> {
        match self {
            Self::Value(value) => Message::Value(value),
            Self::Leaf(path, value) => Message::Leaf(path, hash(value)),
            Self::Inner(left, right) => Message::Inner(hash(left), hash(right)),
        }
    }
}

impl Message<'_, B256> {
    /// Gives domain and parts to what hashes them.
    pub(super) fn with_parts<T>(&self, hash: impl FnOnce(Domain, &[&[u8]]) -> T) -> T {
        match self {
            Self::Value(value) => hash(Domain::StateValue, &[value]),
            Self::Leaf(path, value) => {
                hash(Domain::StateLeaf, &[path.as_slice(), value.as_slice()])
            }
            Self::Inner(left, right) => {
                hash(Domain::StateNode, &[left.as_slice(), right.as_slice()])
            }
        }
    }

    fn hash(&self, suite: Suite) -> B256 {
        self.with_parts(|domain, parts| suite.hash_domain(domain, parts))
    }
}

/// The hash of an inner node.
pub(super) fn inner_hash(suite: Suite, left: &B256, right: &B256) -> B256 {
    Message::Inner(*left, *right).hash(suite)
}

/// The hash of a value.
pub(super) fn value_hash(suite: Suite, value: &[u8]) -> B256 {
    Message::Value(value).hash(suite)
}

/// What a leaf commits to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) path: B256,
    pub(super) value_hash: B256,
}

impl Leaf {
    pub(super) fn hash(&self, suite: Suite) -> B256 {
        Message::Leaf(&self.path.0, self.value_hash).hash(suite)
    }
}
