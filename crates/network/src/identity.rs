use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::SigningKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use crate::{IdentityError, raw, tls};

/// PKCS#8 version 1 of an Ed25519 seed up to the 32 bytes of the seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// Longest PKCS#8 document read, in bytes. Version 2 with the public key takes 85.
const PKCS8_LEN_MAX: usize = 512;

/// The name of a node: its Ed25519 public key or, for a node with certificates, the hash of the
/// SubjectPublicKeyInfo in them (SM3 for SM2 keys, SHA-256 for others). A certificate renewed for
/// the same key leaves the name as it is; a new key is a new name, as with raw keys.
///
/// Text form: 64 lower-case hexadecimal digits. Binary form: the 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PeerId(pub [u8; 32]);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl FromStr for PeerId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut key = [0; 32];
        match hex::decode_to_slice(text, &mut key) {
            Ok(()) => Ok(Self(key)),
            Err(_) => Err(IdentityError::PeerId(text.chars().take(80).collect())),
        }
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An owned string: formats such as TOML do not always lend one.
        <String as Deserialize>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// The key with which a node proves who it is on its links. It signs nothing else.
///
/// The copy of the key that leaves through [`NodeIdentity::to_pkcs8_der`] is zeroized when it is
/// dropped, and so is the copy kept here. The expanded key inside the TLS provider lives as long
/// as the process uses the identity.
#[derive(Clone)]
pub struct NodeIdentity {
    id: PeerId,
    pkcs8: Arc<Zeroizing<Vec<u8>>>,
    key: Arc<dyn SigningKey>,
}

impl NodeIdentity {
    /// A new identity from the operating system's randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0u8; 32]);
        tls::random(seed.as_mut_slice()).map_err(|_| IdentityError::Randomness)?;
        let mut der = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + seed.len()));
        der.extend_from_slice(&PKCS8_PREFIX);
        der.extend_from_slice(seed.as_slice());
        Self::from_pkcs8_der(&der)
    }

    /// Reads an Ed25519 private key as PKCS#8 in DER, version 1 or 2 (RFC 8410, RFC 5958). In
    /// version 2 the public key must belong to the private one.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, IdentityError> {
        if der.len() > PKCS8_LEN_MAX {
            let text = format!("{} bytes exceed {PKCS8_LEN_MAX}", der.len());
            return Err(IdentityError::PrivateKey(text));
        }
        let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(der))
            .map_err(|error| IdentityError::PrivateKey(error.to_string()))?;
        let id = key
            .public_key()
            .and_then(|spki| raw::peer_id_of_spki(spki.as_ref()))
            .ok_or_else(|| IdentityError::PrivateKey("no Ed25519 public key".into()))?;
        Ok(Self {
            id,
            pkcs8: Arc::new(Zeroizing::new(der.to_vec())),
            key,
        })
    }

    /// The private key as PKCS#8 in DER. Store it encrypted.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.pkcs8.to_vec())
    }

    /// The public key.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.id
    }

    pub(crate) fn signing_key(&self) -> Arc<dyn SigningKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeIdentity")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn a_known_seed_gives_its_known_public_key() {
        let der = [&PKCS8_PREFIX[..], &hex::decode(SEED).unwrap()].concat();
        let identity = NodeIdentity::from_pkcs8_der(&der).unwrap();
        assert_eq!(identity.peer_id().to_string(), PUBLIC);
        assert_eq!(identity.to_pkcs8_der().as_slice(), der);
        assert!(!format!("{identity:?}").contains("9d61"));
    }

    #[test]
    fn generated_keys_differ_and_survive_the_round_trip() {
        let one = NodeIdentity::generate().unwrap();
        let two = NodeIdentity::generate().unwrap();
        assert_ne!(one.peer_id(), two.peer_id());
        let again = NodeIdentity::from_pkcs8_der(&one.to_pkcs8_der()).unwrap();
        assert_eq!(again.peer_id(), one.peer_id());
    }

    #[test]
    fn damaged_private_keys_are_refused() {
        let good = NodeIdentity::generate().unwrap().to_pkcs8_der();
        for cut in 0..good.len() {
            assert!(NodeIdentity::from_pkcs8_der(&good[..cut]).is_err());
        }
        assert!(NodeIdentity::from_pkcs8_der(&[0x30; PKCS8_LEN_MAX + 1]).is_err());
        let mut other_algorithm = good.to_vec();
        other_algorithm[11] = 0x6e;
        assert!(NodeIdentity::from_pkcs8_der(&other_algorithm).is_err());
    }

    #[test]
    fn peer_ids_have_one_text_and_one_binary_form() {
        let id: PeerId = PUBLIC.parse().unwrap();
        assert_eq!(id.to_string(), PUBLIC);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{PUBLIC}\""));
        assert_eq!(
            serde_json::from_str::<PeerId>(&format!("\"{PUBLIC}\"")).unwrap(),
            id
        );
        assert_eq!(hawser_primitives::encode(&id), id.0);
        for bad in [
            "",
            "d7",
            &PUBLIC[1..],
            &format!("0x{PUBLIC}"),
            &PUBLIC.replace('d', "g"),
        ] {
            assert!(bad.parse::<PeerId>().is_err(), "{bad}");
        }
    }
}
