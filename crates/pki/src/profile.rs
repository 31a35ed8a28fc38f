use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{PkiError, encode, oid};

/// What a certificate is for. Decides key usage, extended key usage and basic constraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// A node on its links, where it is server and client: digitalSignature; serverAuth, clientAuth.
    Node,
    /// A person or program: digitalSignature, contentCommitment; clientAuth.
    User,
    /// A subordinate authority: keyCertSign, cRLSign.
    Authority,
    /// A TLS listener, such as JSON-RPC: digitalSignature; serverAuth; alternative names required.
    TlsServer,
}

/// Bits of the key usage extension, the first at the top (RFC 5280 section 4.2.1.3).
pub(crate) mod usage {
    pub(crate) const SIGNATURE: u8 = 0x80;
    pub(crate) const COMMITMENT: u8 = 0x40;
    pub(crate) const CERTIFICATES: u8 = 0x04;
    pub(crate) const CRLS: u8 = 0x02;
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Node, Self::User, Self::Authority, Self::TlsServer];

    /// The name on command lines and in indexes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::User => "user",
            Self::Authority => "authority",
            Self::TlsServer => "tls-server",
        }
    }

    pub(crate) const fn key_usage(self) -> u8 {
        match self {
            Self::Node | Self::TlsServer => usage::SIGNATURE,
            Self::User => usage::SIGNATURE | usage::COMMITMENT,
            Self::Authority => usage::CERTIFICATES | usage::CRLS,
        }
    }

    /// The profile's extensions in DER, all but those that name keys and alternative names.
    pub(crate) fn extensions(self, path_len: Option<u8>) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if self == Self::Authority {
            let path_len = path_len.map_or_else(Vec::new, |len| encode::integer(&[len]));
            let basic = encode::sequence(&[&[0x01, 0x01, 0xff], &path_len]);
            out.push(encode::extension(oid::BASIC, true, &basic));
        } else {
            out.push(encode::extension(oid::BASIC, true, &encode::sequence(&[])));
        }
        let usage = encode::named_bits(self.key_usage());
        out.push(encode::extension(oid::KEY_USAGE, true, &usage));
        let (server, client) = (encode::oid(oid::SERVER_AUTH), encode::oid(oid::CLIENT_AUTH));
        let extended = match self {
            Self::Node => Some(encode::sequence(&[&server, &client])),
            Self::User => Some(encode::sequence(&[&client])),
            Self::TlsServer => Some(encode::sequence(&[&server])),
            Self::Authority => None,
        };
        if let Some(extended) = extended {
            out.push(encode::extension(oid::EXTENDED_USAGE, false, &extended));
        }
        out
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Profile {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| PkiError::input("profile", "one of node, user, authority, tls-server"))
    }
}
