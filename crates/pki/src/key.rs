use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hawser_crypto::keystore::{self, KeystoreError, Params};
use hawser_crypto::{Scheme, SecretKey, Signature};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sm2::dsa::signature::{Signer, Verifier};
use zeroize::Zeroizing;

use crate::{PkiError, encode, oid};

/// Identity of SM2 signatures within a TLS 1.3 handshake (RFC 8998 section 3.2.1).
const TLS_IDENTITY: &str = "TLSv1.3+GM+Cipher+Suite";
/// P-256 (RFC 5480), as it is named in key files.
const P256_CURVE: &str = "1.2.840.10045.3.1.7";

/// SubjectPublicKeyInfo up to the 65 bytes of an SM2 point (GM/T 0015, curve of GM/T 0006).
const SM2_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d, 0x03, 0x42, 0x00,
];
/// SubjectPublicKeyInfo up to the 65 bytes of a P-256 point (RFC 5480).
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// SubjectPublicKeyInfo up to the 32 bytes of an Ed25519 key (RFC 8410).
const ED25519_SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The kind of a key, and with it the one signature algorithm that the key is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SM2 with SM3 (GB/T 32918), identity `1234567812345678`.
    Sm2,
    /// ECDSA over P-256 with SHA-256 (FIPS 186).
    P256,
    /// Ed25519 (RFC 8032).
    Ed25519,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Sm2, Self::P256, Self::Ed25519];

    /// The lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sm2 => "sm2",
            Self::P256 => "p256",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The AlgorithmIdentifier of its signatures, in DER, without parameters.
    pub(crate) fn signature_identifier(self) -> Vec<u8> {
        encode::sequence(&[&encode::oid(self.signature_oid())])
    }

    pub(crate) const fn signature_oid(self) -> der::asn1::ObjectIdentifier {
        match self {
            Self::Sm2 => oid::SM2_SM3,
            Self::P256 => oid::ECDSA_SHA256,
            Self::Ed25519 => oid::ED25519,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| PkiError::input("algorithm", "one of sm2, p256, ed25519"))
    }
}

/// A public key as certificates carry it.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    spki: Vec<u8>,
    key: Key,
}

#[derive(Clone)]
enum Key {
    Own(hawser_crypto::PublicKey),
    /// The point, uncompressed. Checked to be on the curve whenever it verifies.
    P256(Vec<u8>),
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo. Points must be uncompressed, which is what every tool writes;
    /// each key then has one encoding only.
    ///
    /// # Errors
    /// [`PkiError::Unsupported`] and [`PkiError::Malformed`].
    pub fn from_spki(spki: &[u8]) -> Result<Self, PkiError> {
        let (algorithm, key) = if let Some(point) = spki.strip_prefix(&SM2_SPKI) {
            (Algorithm::Sm2, own(Scheme::Sm2, point)?)
        } else if let Some(key) = spki.strip_prefix(&ED25519_SPKI) {
            (Algorithm::Ed25519, own(Scheme::Ed25519, key)?)
        } else if let Some(point) = spki.strip_prefix(&P256_SPKI) {
            match point {
                [4, xy @ ..] if xy.len() == 64 => {}
                _ => return Err(PkiError::malformed("public key", "not a P-256 point")),
            }
            (Algorithm::P256, Key::P256(point.to_vec()))
        } else {
            return Err(PkiError::Unsupported {
                what: "public key",
                found: "its algorithm or curve is none of these".to_owned(),
            });
        };
        Ok(Self {
            algorithm,
            spki: spki.to_vec(),
            key,
        })
    }

    fn of_own(key: hawser_crypto::PublicKey, algorithm: Algorithm) -> Self {
        let prefix: &[u8] = match algorithm {
            Algorithm::Ed25519 => &ED25519_SPKI,
            Algorithm::Sm2 | Algorithm::P256 => &SM2_SPKI,
        };
        Self {
            algorithm,
            spki: [prefix, &key.to_uncompressed()].concat(),
            key: Key::Own(key),
        }
    }

    /// The key as accounts have it; `None` for P-256, which signs nothing on a chain.
    #[must_use]
    pub const fn account_key(&self) -> Option<&hawser_crypto::PublicKey> {
        match &self.key {
            Key::Own(key) => Some(key),
            Key::P256(_) => None,
        }
    }

    /// Takes an SM2 or Ed25519 key of this system.
    ///
    /// # Errors
    /// [`PkiError::Unsupported`] for secp256k1, which certificates do not carry.
    pub fn from_account_key(key: &hawser_crypto::PublicKey) -> Result<Self, PkiError> {
        let algorithm = match key.scheme() {
            Scheme::Sm2 => Algorithm::Sm2,
            Scheme::Ed25519 => Algorithm::Ed25519,
            Scheme::Secp256k1 => {
                return Err(PkiError::Unsupported {
                    what: "key of a certificate",
                    found: "secp256k1".to_owned(),
                });
            }
        };
        Ok(Self::of_own(key.clone(), algorithm))
    }

    /// Its kind.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The key as accounts and votes use it; `None` for P-256, which no account has.
    #[must_use]
    pub const fn as_account_key(&self) -> Option<&hawser_crypto::PublicKey> {
        match &self.key {
            Key::Own(key) => Some(key),
            Key::P256(_) => None,
        }
    }

    /// The name of the key: SM3 of the SubjectPublicKeyInfo for SM2, SHA-256 of it for the others.
    /// A renewed certificate for the same key keeps it.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        match self.algorithm {
            Algorithm::Sm2 => sm3::Sm3::digest(&self.spki).into(),
            Algorithm::P256 | Algorithm::Ed25519 => Sha256::digest(&self.spki).into(),
        }
    }

    /// Twenty bytes of [`Self::id`], as certificates name their keys (RFC 5280 section 4.2.1.2
    /// leaves the method open).
    pub(crate) fn short_id(&self) -> Vec<u8> {
        self.id().into_iter().take(20).collect()
    }

    /// Whether this key made a signature of X.509 or PKCS#10 over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Key::Own(key) => {
                let signature = match self.algorithm {
                    Algorithm::Ed25519 => Signature::from_bytes(Scheme::Ed25519, signature),
                    Algorithm::Sm2 | Algorithm::P256 => Signature::from_der(Scheme::Sm2, signature),
                };
                signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            Key::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
                .verify(message, signature)
                .is_ok(),
        }
    }

    /// Whether this key made the signature of a TLS 1.3 handshake over `message`. Differs from
    /// [`Self::verifies`] for SM2 only, whose identity is another there (RFC 8998).
    #[must_use]
    pub fn verifies_handshake(&self, message: &[u8], signature: &[u8]) -> bool {
        let Key::Own(key) = &self.key else {
            return self.verifies(message, signature);
        };
        if self.algorithm != Algorithm::Sm2 {
            return self.verifies(message, signature);
        }
        // Strict DER, and both components in range, before the other crate sees it.
        let Ok(signature) = Signature::from_der(Scheme::Sm2, signature) else {
            return false;
        };
        let key = sm2::dsa::VerifyingKey::from_sec1_bytes(TLS_IDENTITY, &key.to_uncompressed());
        let signature = sm2::dsa::Signature::from_slice(signature.as_bytes());
        match (key, signature) {
            (Ok(key), Ok(signature)) => key.verify(message, &signature).is_ok(),
            _ => false,
        }
    }
}

fn own(scheme: Scheme, bytes: &[u8]) -> Result<Key, PkiError> {
    if scheme == Scheme::Sm2 && bytes.len() != 65 {
        return Err(PkiError::malformed(
            "public key",
            "not an uncompressed point",
        ));
    }
    hawser_crypto::PublicKey::from_bytes(scheme, bytes)
        .map(Key::Own)
        .map_err(|error| PkiError::malformed("public key", error))
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PublicKey({} {})",
            self.algorithm,
            hex::encode(self.id())
        )
    }
}

/// A private key. Never shown, erased from memory where its library allows, written encrypted only.
#[derive(Clone)]
pub struct PrivateKey {
    public: PublicKey,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Own(Box<SecretKey>),
    P256 {
        pkcs8: Arc<Zeroizing<Vec<u8>>>,
        pair: Arc<EcdsaKeyPair>,
    },
}

impl PrivateKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`PkiError::Randomness`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, PkiError> {
        let scheme = match algorithm {
            Algorithm::Sm2 => Scheme::Sm2,
            Algorithm::Ed25519 => Scheme::Ed25519,
            Algorithm::P256 => {
                let document = EcdsaKeyPair::generate_pkcs8(
                    &ECDSA_P256_SHA256_ASN1_SIGNING,
                    &SystemRandom::new(),
                )
                .map_err(|_| PkiError::Randomness)?;
                return Self::p256(Zeroizing::new(document.as_ref().to_vec()));
            }
        };
        let key = SecretKey::generate(scheme).map_err(|_| PkiError::Randomness)?;
        Self::from_secret(key)
    }

    /// Takes an SM2 or Ed25519 key of this system.
    ///
    /// # Errors
    /// [`PkiError::Unsupported`] for secp256k1, which certificates do not carry.
    pub fn from_secret(key: SecretKey) -> Result<Self, PkiError> {
        Ok(Self {
            public: PublicKey::from_account_key(&key.public_key())?,
            secret: Secret::Own(Box::new(key)),
        })
    }

    fn p256(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, PkiError> {
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &pkcs8,
            &SystemRandom::new(),
        )
        .map_err(|error| PkiError::Key(error.to_string()))?;
        let spki = [&P256_SPKI[..], pair.public_key().as_ref()].concat();
        Ok(Self {
            public: PublicKey::from_spki(&spki)?,
            secret: Secret::P256 {
                pkcs8: Arc::new(pkcs8),
                pair: Arc::new(pair),
            },
        })
    }

    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Its kind.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.public.algorithm
    }

    /// The SM2 or Ed25519 key of this system inside; `None` for P-256.
    #[must_use]
    pub const fn as_secret(&self) -> Option<&SecretKey> {
        match &self.secret {
            Secret::Own(key) => Some(key),
            Secret::P256 { .. } => None,
        }
    }

    /// Signs for X.509 and PKCS#10: DER for SM2 and P-256, 64 bytes for Ed25519.
    ///
    /// # Errors
    /// [`PkiError::Randomness`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        match &self.secret {
            Secret::Own(key) => {
                let signature = key.sign(message);
                match key.scheme() {
                    Scheme::Ed25519 => Ok(signature.as_bytes().to_vec()),
                    _ => signature
                        .to_der()
                        .map_err(|error| PkiError::Key(error.to_string())),
                }
            }
            Secret::P256 { pair, .. } => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| PkiError::Randomness),
        }
    }

    /// Signs for a TLS 1.3 handshake (RFC 8446 section 4.4.3, RFC 8998 section 3.2.1).
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn sign_handshake(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        match &self.secret {
            Secret::Own(key) if key.scheme() == Scheme::Sm2 => {
                let failed = |_| PkiError::Key("SM2 signing failed".to_owned());
                let secret = key.to_bytes();
                let key =
                    sm2::dsa::SigningKey::from_slice(TLS_IDENTITY, &secret).map_err(failed)?;
                let signature = key.try_sign(message).map_err(failed)?;
                let mut raw = [0; 64];
                for (to, from) in raw.iter_mut().zip(signature.to_bytes()) {
                    *to = from;
                }
                Ok(hawser_crypto::der::encode(&raw))
            }
            _ => self.sign(message),
        }
    }

    /// The key as encrypted PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`PkiError::Keystore`].
    pub fn encrypt(&self, passphrase: &str, params: &Params) -> Result<String, PkiError> {
        Ok(match &self.secret {
            Secret::Own(key) => keystore::encrypt(key, passphrase, params)?,
            Secret::P256 { pkcs8, .. } => keystore::seal_pkcs8(pkcs8, passphrase, params)?,
        })
    }

    /// Opens encrypted PKCS#8 in PEM; text before the block is skipped.
    ///
    /// # Errors
    /// [`PkiError::Keystore`] and [`PkiError::Key`].
    pub fn decrypt(text: &str, passphrase: &str) -> Result<Self, PkiError> {
        let body = text.find("-----BEGIN ").and_then(|at| text.get(at..));
        let body = body.unwrap_or(text);
        match keystore::decrypt(body, passphrase) {
            Ok(key) => Self::from_secret(key),
            Err(KeystoreError::Unsupported {
                what: "curve",
                found,
            }) if found == P256_CURVE => Self::p256(keystore::open_pkcs8(body, passphrase)?),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {:?})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_kind_sign_verify_and_survive_their_file() {
        for algorithm in Algorithm::ALL {
            let key = PrivateKey::generate(algorithm).unwrap();
            let text = key.encrypt("passphrase", &Params::light()).unwrap();
            let again = PrivateKey::decrypt(&format!("Name: x\n{text}"), "passphrase").unwrap();
            assert_eq!(again.public_key(), key.public_key());
            assert!(PrivateKey::decrypt(&text, "other").is_err());
            let public = PublicKey::from_spki(key.public_key().spki()).unwrap();
            assert_eq!(public.id(), key.public_key().id());
            let signature = again.sign(b"message").unwrap();
            assert!(public.verifies(b"message", &signature));
            assert!(!public.verifies(b"massage", &signature));
            let handshake = again.sign_handshake(b"message").unwrap();
            assert!(public.verifies_handshake(b"message", &handshake));
            assert!(!public.verifies_handshake(b"massage", &handshake));
            // The identity keeps handshakes and certificates apart on SM2.
            let crossed = public.verifies(b"message", &handshake);
            assert_eq!(crossed, algorithm != Algorithm::Sm2);
            assert_eq!(algorithm.name().parse::<Algorithm>().unwrap(), algorithm);
        }
    }

    #[test]
    fn damaged_public_keys_are_refused() {
        for algorithm in Algorithm::ALL {
            let spki = PrivateKey::generate(algorithm).unwrap().public.spki;
            for cut in 0..spki.len() {
                assert!(PublicKey::from_spki(&spki[..cut]).is_err());
            }
            assert!(PublicKey::from_spki(&[&spki[..], &[0]].concat()).is_err());
        }
        let mut off_curve = PrivateKey::generate(Algorithm::Sm2).unwrap().public.spki;
        *off_curve.last_mut().unwrap() ^= 1;
        assert!(PublicKey::from_spki(&off_curve).is_err());
    }
}
