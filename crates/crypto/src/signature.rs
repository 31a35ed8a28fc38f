use std::{fmt, io, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Scheme, SignatureError, der, ed25519, secp, sm2dsa, text};

/// A signature of 64 bytes whose components are in range for its scheme.
///
/// Borsh: the scheme's byte, then 64 bytes. Text and serde: `scheme:0x…`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature {
    scheme: Scheme,
    bytes: [u8; 64],
}

impl Signature {
    /// Length in bytes, without the scheme.
    pub const LEN: usize = 64;

    /// Takes `r ‖ s` (or `R ‖ S` for Ed25519), 64 bytes.
    ///
    /// # Errors
    /// [`SignatureError::Length`]; [`SignatureError::OutOfRange`] for a component that is zero or
    /// not below the order (Ed25519: `S` only, as RFC 8032 allows zero); [`SignatureError::HighS`].
    pub fn from_bytes(scheme: Scheme, bytes: &[u8]) -> Result<Self, SignatureError> {
        let bytes: [u8; 64] = bytes
            .try_into()
            .map_err(|_| SignatureError::Length(bytes.len()))?;
        let in_range = match scheme {
            Scheme::Secp256k1 => secp::check_range(&bytes).map(|()| true)?,
            Scheme::Ed25519 => ed25519::scalar_in_range(&split(&bytes).1),
            Scheme::Sm2 => sm2dsa::in_range(&bytes),
        };
        if !in_range {
            return Err(SignatureError::OutOfRange(scheme));
        }
        Ok(Self { scheme, bytes })
    }

    /// Takes a signature in the DER form of X.509 and OpenSSL: `SEQUENCE { r, s }`.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], [`SignatureError::Der`], and [`SignatureError::NoDer`] for
    /// Ed25519.
    pub fn from_der(scheme: Scheme, bytes: &[u8]) -> Result<Self, SignatureError> {
        if scheme == Scheme::Ed25519 {
            return Err(SignatureError::NoDer(scheme));
        }
        Self::from_bytes(scheme, &der::decode(bytes)?)
    }

    /// The DER form `SEQUENCE { r, s }`, at most 72 bytes.
    ///
    /// # Errors
    /// [`SignatureError::NoDer`] for Ed25519.
    pub fn to_der(&self) -> Result<Vec<u8>, SignatureError> {
        match self.scheme {
            Scheme::Ed25519 => Err(SignatureError::NoDer(self.scheme)),
            Scheme::Secp256k1 | Scheme::Sm2 => Ok(der::encode(&self.bytes)),
        }
    }

    /// For signatures that this crate has just made.
    pub(crate) const fn made(scheme: Scheme, bytes: [u8; 64]) -> Self {
        Self { scheme, bytes }
    }

    /// The scheme it belongs to.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The 64 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.bytes
    }
}

/// The two halves of a signature.
pub(crate) fn split(signature: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let mut halves = [[0; 32]; 2];
    for (to, from) in halves.iter_mut().flatten().zip(signature) {
        *to = *from;
    }
    let [first, second] = halves;
    (first, second)
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, self.scheme, &self.bytes)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (scheme, bytes) = text::parse(text).ok_or(SignatureError::Text)?;
        Self::from_bytes(scheme, &bytes)
    }
}

impl BorshSerialize for Signature {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&[self.scheme.tag()])?;
        writer.write_all(&self.bytes)
    }
}

impl BorshDeserialize for Signature {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let scheme = Scheme::deserialize_reader(reader)?;
        let bytes = <[u8; 64]>::deserialize_reader(reader)?;
        Self::from_bytes(scheme, &bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
