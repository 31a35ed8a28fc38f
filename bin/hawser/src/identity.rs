//! The node's identity as a key file.

use hawser_crypto::{Scheme, SecretKey};
use hawser_network::NodeIdentity;
use zeroize::Zeroizing;

use crate::exit::{Code, OrFail, Result, fail};

/// PKCS#8 of an Ed25519 seed up to the seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The identity that an Ed25519 key is.
pub(crate) fn of_key(key: &SecretKey) -> Result<NodeIdentity> {
    if key.scheme() != Scheme::Ed25519 {
        return fail(
            Code::Config,
            format!(
                "a node's identity is an ed25519 key, this is a {} key",
                key.scheme()
            ),
        );
    }
    let mut der = Zeroizing::new(Vec::with_capacity(48));
    der.extend_from_slice(&PKCS8_PREFIX);
    der.extend_from_slice(&key.to_bytes());
    NodeIdentity::from_pkcs8_der(&der).or_fail(Code::Config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_has_the_public_key_of_the_key() {
        let key = SecretKey::generate(Scheme::Ed25519).unwrap();
        let id = of_key(&key).unwrap().peer_id();
        assert_eq!(id.0.as_slice(), key.public_key().as_bytes());
        assert!(of_key(&SecretKey::generate(Scheme::Sm2).unwrap()).is_err());
    }
}
