use std::fmt;

use ed25519_dalek::SigningKey;
use hawser_primitives::Address;
use sha3::Keccak256;
use sm3::Digest;
use zeroize::Zeroizing;

use crate::{KeyError, PublicKey, Scheme, Signature, ed25519, secp, sm2dsa};

/// Separates keys derived from a seed from every other use of the same 32 bytes.
const SEED_TAG: &[u8; 16] = b"hawser/keyseed01";

/// A secret key with its public key. Erased from memory when dropped.
#[derive(Clone)]
pub struct SecretKey {
    secret: Secret,
    public: PublicKey,
}

#[derive(Clone)]
enum Secret {
    Secp256k1(SecpSecret),
    Ed25519(SigningKey),
    Sm2(sm2dsa::SignKey),
}

/// The C library's scalar, which does not erase itself.
#[derive(Clone)]
struct SecpSecret(secp256k1::SecretKey);

impl Drop for SecpSecret {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl SecretKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn generate(scheme: Scheme) -> Result<Self, KeyError> {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            getrandom::fill(bytes.as_mut_slice()).map_err(|_| KeyError::Randomness)?;
            match Self::from_array(scheme, &bytes) {
                // One draw in 2^32 or fewer is no scalar.
                Err(KeyError::SecretOutOfRange(_)) => {}
                done => return done,
            }
        }
    }

    /// The key that belongs to a seed: the first of Keccak-256(tag ‖ scheme ‖ seed ‖ i), i = 0, 1,
    /// …, 255, that is a secret key.
    ///
    /// For tests, simulation and development networks, where a key has to come out the same each
    /// time. It is as secret as the seed, so a network that holds anything of value must use
    /// [`Self::generate`].
    ///
    /// # Errors
    /// [`KeyError::SecretOutOfRange`] if none of the 256 serves, which cannot be observed.
    pub fn from_seed(scheme: Scheme, seed: &[u8; 32]) -> Result<Self, KeyError> {
        for i in 0..=u8::MAX {
            let mut hasher = Keccak256::new();
            hasher.update(SEED_TAG);
            hasher.update([scheme.tag()]);
            hasher.update(seed);
            hasher.update([i]);
            let bytes = Zeroizing::new(hasher.finalize().into());
            match Self::from_array(scheme, &bytes) {
                Err(KeyError::SecretOutOfRange(_)) => {}
                done => return done,
            }
        }
        Err(KeyError::SecretOutOfRange(scheme))
    }

    /// Takes a secret key of 32 bytes: a scalar, big endian (secp256k1: `1 ..= n − 1`,
    /// SM2: `1 ..= n − 2`), or the seed of RFC 8032.
    ///
    /// # Errors
    /// [`KeyError::Length`] and [`KeyError::SecretOutOfRange`].
    pub fn from_bytes(scheme: Scheme, bytes: &[u8]) -> Result<Self, KeyError> {
        let array = bytes
            .try_into()
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Length {
                scheme,
                len: bytes.len(),
            })?;
        Self::from_array(scheme, &array)
    }

    fn from_array(scheme: Scheme, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let (secret, public) = match scheme {
            Scheme::Secp256k1 => {
                let secret = SecpSecret(secp::decode_secret(bytes)?);
                let public = PublicKey::from_secp256k1(secp::public(&secret.0));
                (Secret::Secp256k1(secret), public)
            }
            Scheme::Ed25519 => {
                let secret = SigningKey::from_bytes(bytes);
                let public = PublicKey::from_ed25519(secret.verifying_key());
                (Secret::Ed25519(secret), public)
            }
            Scheme::Sm2 => {
                let secret = sm2dsa::SignKey::decode(bytes)?;
                let public = PublicKey::from_sm2(secret.verify_key()?);
                (Secret::Sm2(secret), public)
            }
        };
        Ok(Self { secret, public })
    }

    /// The 32 bytes that [`Self::from_bytes`] takes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match &self.secret {
            Secret::Secp256k1(secret) => secret.0.as_ref().to_vec(),
            Secret::Ed25519(secret) => secret.as_bytes().to_vec(),
            Secret::Sm2(secret) => secret.to_bytes().to_vec(),
        })
    }

    /// The scheme it belongs to.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.public.scheme()
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public.clone()
    }

    /// The account address of the public key.
    #[must_use]
    pub fn address(&self) -> Address {
        self.public.address()
    }

    /// Signs a message (see the crate's documentation for what exactly is signed). The same key
    /// and message give the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        let bytes = match &self.secret {
            Secret::Secp256k1(secret) => secp::sign(&secret.0, message),
            Secret::Ed25519(secret) => ed25519::sign(secret, message),
            Secret::Sm2(secret) => match self.public.sm2() {
                Some(public) => secret.sign(public, message),
                None => unreachable!("an SM2 secret key carries an SM2 public key"),
            },
        };
        Signature::made(self.scheme(), bytes)
    }

    pub(crate) fn sm2(&self) -> Option<&sm2dsa::SignKey> {
        match &self.secret {
            Secret::Sm2(secret) => Some(secret),
            Secret::Secp256k1(_) | Secret::Ed25519(_) => None,
        }
    }

    pub(crate) fn secp256k1(&self) -> Option<&secp256k1::SecretKey> {
        match &self.secret {
            Secret::Secp256k1(secret) => Some(&secret.0),
            Secret::Ed25519(_) | Secret::Sm2(_) => None,
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public)
    }
}
