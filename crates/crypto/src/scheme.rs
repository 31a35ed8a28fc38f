use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::NameError;

/// A signature scheme. Encoded in borsh as one byte: 1, 2 or 3.
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
pub enum Scheme {
    /// ECDSA over secp256k1 (SEC 2), as Ethereum accounts use it.
    Secp256k1 = 1,
    /// Ed25519 (RFC 8032).
    Ed25519 = 2,
    /// SM2 digital signatures over the recommended curve (GB/T 32918.2, GB/T 32918.5).
    Sm2 = 3,
}

impl Scheme {
    /// Every scheme, in the order of its tag.
    pub const ALL: [Self; 3] = [Self::Secp256k1, Self::Ed25519, Self::Sm2];

    /// The lower-case name, as in text forms and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "ed25519",
            Self::Sm2 => "sm2",
        }
    }

    /// The byte that stands for the scheme in encodings.
    #[must_use]
    pub const fn tag(self) -> u8 {
        self as u8
    }

    /// Length in bytes of a public key in canonical encoding.
    #[must_use]
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::Secp256k1 | Self::Sm2 => 33,
            Self::Ed25519 => 32,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scheme {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.name() == text)
            .ok_or(NameError {
                what: "scheme",
                expected: "secp256k1, ed25519, sm2",
            })
    }
}
