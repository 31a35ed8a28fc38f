use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_primitives::{B256, Domain};
use serde::{Deserialize, Serialize};
use sha3::Keccak256;
use sm3::{Digest, Sm3};

use crate::{NameError, Scheme};

/// The cryptography that a chain's genesis names. Encoded in borsh as one byte: 0 or 1.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Suite {
    /// Keccak-256, Ed25519 votes, secp256k1 accounts.
    Intl = 0,
    /// SM3 (GB/T 32905), SM2 votes and accounts (GB/T 32918).
    Sm = 1,
}

impl Suite {
    /// Every suite, in the order of its tag.
    pub const ALL: [Self; 2] = [Self::Intl, Self::Sm];

    /// The lower-case name, as in text forms and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intl => "intl",
            Self::Sm => "sm",
        }
    }

    /// The suite's hash of `bytes`: Keccak-256 or SM3.
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> B256 {
        self.hash_parts(&[bytes])
    }

    /// The suite's hash of the concatenation of `parts`, without joining them in memory.
    ///
    /// Where the parts have no fixed lengths, the caller has to make the boundaries plain:
    /// `["ab", "c"]` and `["a", "bc"]` hash alike.
    #[must_use]
    pub fn hash_parts(self, parts: &[&[u8]]) -> B256 {
        match self {
            Self::Intl => digest::<Keccak256>(&[], parts),
            Self::Sm => digest::<Sm3>(&[], parts),
        }
    }

    /// The suite's hash of the domain's tag followed by `parts`.
    #[must_use]
    pub fn hash_domain(self, domain: Domain, parts: &[&[u8]]) -> B256 {
        match self {
            Self::Intl => digest::<Keccak256>(&domain.tag(), parts),
            Self::Sm => digest::<Sm3>(&domain.tag(), parts),
        }
    }

    /// The scheme that validators sign votes and proposals with.
    #[must_use]
    pub const fn vote_scheme(self) -> Scheme {
        match self {
            Self::Intl => Scheme::Ed25519,
            Self::Sm => Scheme::Sm2,
        }
    }

    /// The scheme of a new account when nobody asks for another.
    #[must_use]
    pub const fn account_scheme(self) -> Scheme {
        match self {
            Self::Intl => Scheme::Secp256k1,
            Self::Sm => Scheme::Sm2,
        }
    }
}

/// A 32-byte digest of `first` followed by `rest`.
fn digest<D: Digest>(first: &[u8], rest: &[&[u8]]) -> B256 {
    let mut hasher = D::new();
    hasher.update(first);
    for part in rest {
        hasher.update(part);
    }
    let mut out = B256::ZERO;
    for (to, from) in out.iter_mut().zip(hasher.finalize()) {
        *to = from;
    }
    out
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Suite {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name() == text)
            .ok_or(NameError {
                what: "suite",
                expected: "intl, sm",
            })
    }
}
