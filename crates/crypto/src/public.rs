use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    io,
    str::FromStr,
    sync::Arc,
};

use borsh::{BorshDeserialize, BorshSerialize};
use hawser_primitives::{Address, B256, Domain};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    KeyError, Scheme, Signature, Suite, VerifyError, ed25519, secp, sm2dsa, text, verdicts,
};

/// A public key: a valid point of full order, decoded once and cheap to clone.
///
/// Borsh: the scheme's byte, then 33 bytes (secp256k1, SM2: compressed point) or 32 (Ed25519).
/// Text and serde: `scheme:0x…`. Ordered by scheme, then by encoding.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    scheme: Scheme,
    /// Canonical encoding.
    bytes: Vec<u8>,
    point: Point,
}

enum Point {
    Secp256k1(secp256k1::PublicKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    Sm2(sm2dsa::VerifyKey),
}

impl PublicKey {
    /// Decodes a key and validates its point.
    ///
    /// Accepted are 33 bytes (SEC 1 compressed, first byte 2 or 3) and 65 bytes (uncompressed,
    /// first byte 4) for secp256k1 and SM2, and 32 bytes for Ed25519.
    ///
    /// # Errors
    /// [`KeyError::Length`]; [`KeyError::NotOnCurve`] where the bytes are no point, the point at
    /// infinity or not canonical; [`KeyError::Weak`] for an Ed25519 point of small order.
    pub fn from_bytes(scheme: Scheme, bytes: &[u8]) -> Result<Self, KeyError> {
        let length = KeyError::Length {
            scheme,
            len: bytes.len(),
        };
        let point = match scheme {
            Scheme::Ed25519 => {
                let bytes = bytes.try_into().map_err(|_| length)?;
                Point::Ed25519(ed25519::decode(bytes)?)
            }
            Scheme::Secp256k1 | Scheme::Sm2 => {
                match (bytes.len(), bytes.first()) {
                    (33, Some(2 | 3)) | (65, Some(4)) => {}
                    (33 | 65, _) => return Err(KeyError::NotOnCurve(scheme)),
                    _ => return Err(length),
                }
                match scheme {
                    Scheme::Sm2 => Point::Sm2(sm2dsa::decode(bytes)?),
                    _ => Point::Secp256k1(secp::decode(bytes)?),
                }
            }
        };
        Ok(Self::from_point(point))
    }

    fn from_point(point: Point) -> Self {
        let (scheme, bytes) = match &point {
            Point::Secp256k1(point) => (Scheme::Secp256k1, point.serialize().to_vec()),
            Point::Ed25519(key) => (Scheme::Ed25519, key.as_bytes().to_vec()),
            Point::Sm2(key) => (Scheme::Sm2, key.compressed().to_vec()),
        };
        Self(Arc::new(Inner {
            scheme,
            bytes,
            point,
        }))
    }

    pub(crate) fn from_secp256k1(point: secp256k1::PublicKey) -> Self {
        Self::from_point(Point::Secp256k1(point))
    }

    /// For a key that belongs to a valid secret key.
    pub(crate) fn from_ed25519(key: ed25519_dalek::VerifyingKey) -> Self {
        Self::from_point(Point::Ed25519(key))
    }

    pub(crate) fn from_sm2(key: sm2dsa::VerifyKey) -> Self {
        Self::from_point(Point::Sm2(key))
    }

    pub(crate) fn sm2(&self) -> Option<&sm2dsa::VerifyKey> {
        match &self.0.point {
            Point::Sm2(key) => Some(key),
            Point::Secp256k1(_) | Point::Ed25519(_) => None,
        }
    }

    /// The scheme it belongs to.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// The canonical encoding: 33 bytes compressed, or 32 for Ed25519.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The point as `0x04 ‖ x ‖ y`, 65 bytes, as X.509 carries it; the 32 bytes of an Ed25519 key.
    #[must_use]
    pub fn to_uncompressed(&self) -> Vec<u8> {
        match &self.0.point {
            Point::Secp256k1(point) => point.serialize_uncompressed().to_vec(),
            Point::Ed25519(key) => key.as_bytes().to_vec(),
            Point::Sm2(key) => std::iter::once(4).chain(*key.xy()).collect(),
        }
    }

    /// The account address (see the crate's documentation).
    #[must_use]
    pub fn address(&self) -> Address {
        let digest = match &self.0.point {
            Point::Secp256k1(point) => {
                let [_, xy @ ..] = point.serialize_uncompressed();
                Suite::Intl.hash(&xy)
            }
            Point::Ed25519(key) => {
                Suite::Intl.hash_domain(Domain::Ed25519Address, &[key.as_bytes()])
            }
            Point::Sm2(key) => Suite::Sm.hash(key.xy()),
        };
        last_20(&digest)
    }

    /// Checks that this key signed `message`.
    ///
    /// # Errors
    /// [`VerifyError::SchemeMismatch`] and [`VerifyError::Mismatch`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), VerifyError> {
        if self.scheme() != signature.scheme() {
            return Err(VerifyError::SchemeMismatch {
                key: self.scheme(),
                signature: signature.scheme(),
            });
        }
        let bytes = signature.as_bytes();
        let question: [&[u8]; 4] = [&[self.scheme().tag()], self.as_bytes(), message, bytes];
        verdicts::answer(&question, || {
            let good = match &self.0.point {
                Point::Secp256k1(point) => secp::verify(point, message, bytes),
                Point::Ed25519(key) => ed25519::verify(key, message, bytes),
                Point::Sm2(key) => key.verify(message, bytes),
            };
            if good {
                Ok(())
            } else {
                Err(VerifyError::Mismatch)
            }
        })
    }
}

/// The last 20 bytes of a digest.
fn last_20(digest: &B256) -> Address {
    let mut address = Address::ZERO;
    for (to, from) in address.iter_mut().zip(digest.iter().skip(12)) {
        *to = *from;
    }
    address
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.scheme(), self.as_bytes()).cmp(&(other.scheme(), other.as_bytes()))
    }
}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.scheme(), self.as_bytes()).hash(state);
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, self.scheme(), self.as_bytes())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (scheme, bytes) = text::parse(text).ok_or(KeyError::Text)?;
        Self::from_bytes(scheme, &bytes)
    }
}

impl BorshSerialize for PublicKey {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&[self.0.scheme.tag()])?;
        writer.write_all(&self.0.bytes)
    }
}

impl BorshDeserialize for PublicKey {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let scheme = Scheme::deserialize_reader(reader)?;
        let key = match scheme {
            Scheme::Ed25519 => Self::from_bytes(scheme, &<[u8; 32]>::deserialize_reader(reader)?),
            Scheme::Secp256k1 | Scheme::Sm2 => {
                Self::from_bytes(scheme, &<[u8; 33]>::deserialize_reader(reader)?)
            }
        };
        key.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
