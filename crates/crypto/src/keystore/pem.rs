//! Encrypted PKCS#8 in PEM (RFC 5958, RFC 7468) with PBES2 (RFC 8018).

use pkcs8::{
    AlgorithmIdentifierRef, Document, EncryptedPrivateKeyInfoRef, LineEnding, ObjectIdentifier,
    PrivateKeyInfoRef, SecretDocument,
    der::asn1::OctetStringRef,
    pkcs5::{self, EncryptionScheme, pbes2},
};
use sm2::pkcs8::EncodePrivateKey;
use zeroize::Zeroizing;

use super::{KeystoreError, ScryptCost, pbkdf2_iterations, random, scrypt_cost, scrypt_params};
use crate::{KeyError, Scheme, SecretKey};

const LABEL: &str = "ENCRYPTED PRIVATE KEY";
/// `id-Ed25519` (RFC 8410).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// `id-ecPublicKey` (RFC 5480), with the curve as parameter.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// The SM2 curve (GM/T 0006).
const SM2_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");

pub(super) fn encrypt(
    key: &SecretKey,
    passphrase: &str,
    cost: ScryptCost,
) -> Result<String, KeystoreError> {
    let plain = to_pkcs8(key).map_err(|_| UNWRITABLE)?;
    seal(plain.as_bytes(), passphrase, cost)
}

const UNWRITABLE: KeystoreError =
    KeystoreError::Malformed("the key could not be written as PKCS#8");

/// Encrypts PKCS#8 in DER.
pub(super) fn seal(
    der: &[u8],
    passphrase: &str,
    cost: ScryptCost,
) -> Result<String, KeystoreError> {
    let salt: [u8; 16] = random()?;
    let params =
        pbes2::Parameters::generate_scrypt_aes256cbc(scrypt_params(cost)?, &salt, random()?)
            .map_err(|_| UNWRITABLE)?;
    PrivateKeyInfoRef::try_from(der)
        .and_then(|info| info.encrypt_with_params(params, passphrase))
        .and_then(|document| Ok(document.to_pem(LABEL, LineEnding::LF)?))
        .map(|text| text.to_string())
        .map_err(|_| UNWRITABLE)
}

/// The key as `PrivateKeyInfo` of version 1, which every OpenSSL reads.
fn to_pkcs8(key: &SecretKey) -> pkcs8::Result<SecretDocument> {
    let secret = key.to_bytes();
    if key.scheme() == Scheme::Sm2 {
        return sm2::SecretKey::from_slice(&secret)
            .map_err(|_| pkcs8::KeyError::Invalid)?
            .to_pkcs8_der();
    }
    // RFC 8410 section 7: an octet string within the octet string.
    let mut wrapped = Zeroizing::new(Vec::with_capacity(34));
    wrapped.extend([0x04, 0x20]);
    wrapped.extend(secret.iter());
    let info = PrivateKeyInfoRef::new(
        AlgorithmIdentifierRef {
            oid: ED25519,
            parameters: None,
        },
        OctetStringRef::new(&wrapped)?,
    );
    SecretDocument::try_from(info)
}

pub(super) fn decrypt(text: &str, passphrase: &str) -> Result<SecretKey, KeystoreError> {
    let plain = open(text, passphrase)?;
    let info: PrivateKeyInfoRef<'_> = plain
        .decode_msg()
        .map_err(|_| KeystoreError::WrongPassphrase)?;
    from_pkcs8(info)
}

/// The decrypted PKCS#8.
pub(super) fn open(text: &str, passphrase: &str) -> Result<SecretDocument, KeystoreError> {
    let (_, document) =
        Document::from_pem(text).map_err(|_| KeystoreError::Malformed("not valid PEM"))?;
    let encrypted: EncryptedPrivateKeyInfoRef<'_> = document
        .decode_msg()
        .map_err(|_| KeystoreError::Malformed("not an encrypted PKCS#8 key"))?;
    check_cost(&encrypted.encryption_algorithm)?;
    encrypted.decrypt(passphrase).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::UnsupportedAlgorithm { oid }) => {
            KeystoreError::Unsupported {
                what: "algorithm",
                found: oid.to_string(),
            }
        }
        pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::AlgorithmParametersInvalid { .. }) => {
            KeystoreError::Malformed("invalid parameters of the encryption")
        }
        // Padding that does not fit, or fits by chance around bytes that are no structure.
        _ => KeystoreError::WrongPassphrase,
    })
}

/// Bounds the memory and time that the file asks for.
fn check_cost(scheme: &EncryptionScheme) -> Result<(), KeystoreError> {
    let Some(pbes2) = scheme.pbes2() else {
        return Err(KeystoreError::Unsupported {
            what: "encryption",
            found: scheme.oid().to_string(),
        });
    };
    match &pbes2.kdf {
        pbes2::Kdf::Scrypt(params) => {
            let cost = scrypt_cost(
                params.cost_parameter,
                params.block_size.into(),
                params.parallelization.into(),
            )?;
            scrypt_params(cost).map(|_| ())
        }
        pbes2::Kdf::Pbkdf2(params) => pbkdf2_iterations(params.iteration_count.into()).map(|_| ()),
        other => Err(KeystoreError::Unsupported {
            what: "key derivation",
            found: other.oid().to_string(),
        }),
    }
}

fn from_pkcs8(info: PrivateKeyInfoRef<'_>) -> Result<SecretKey, KeystoreError> {
    match info.algorithm.oid {
        ED25519 => {
            let [0x04, 0x20, seed @ ..] = info.private_key.as_bytes() else {
                return Err(KeystoreError::Malformed("not an Ed25519 key of RFC 8410"));
            };
            let key = SecretKey::from_bytes(Scheme::Ed25519, seed)?;
            let stated = info.public_key.map(|bits| bits.raw_bytes().to_vec());
            if stated.is_some_and(|stated| stated != key.public_key().as_bytes()) {
                return Err(KeystoreError::Malformed(
                    "the public key is not that of the key",
                ));
            }
            Ok(key)
        }
        EC => {
            let curve = info.algorithm.parameters_oid().map_err(|_| {
                KeystoreError::Malformed("an elliptic curve key without the name of its curve")
            })?;
            if curve != SM2_CURVE {
                return Err(KeystoreError::Unsupported {
                    what: "curve",
                    found: curve.to_string(),
                });
            }
            let secret = sm2::SecretKey::try_from(info)
                .map_err(|_| KeyError::SecretOutOfRange(Scheme::Sm2))?;
            let bytes = Zeroizing::new(<[u8; 32]>::from(secret.to_bytes()));
            Ok(SecretKey::from_bytes(Scheme::Sm2, bytes.as_slice())?)
        }
        oid => Err(KeystoreError::Unsupported {
            what: "key algorithm",
            found: oid.to_string(),
        }),
    }
}
