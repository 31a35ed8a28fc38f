//! Ephemeral Diffie-Hellman on the SM2 curve (`curveSM2`, RFC 8998 section 3.2).

use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};
use sm2::elliptic_curve::point::AffineCoordinates;
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::{PublicKey, SecretKey};
use zeroize::Zeroizing;

const GROUP: NamedGroup = NamedGroup::Unknown(0x0029);
/// Length of an uncompressed point, the only form of TLS 1.3 (RFC 8446 section 4.2.8.2).
const POINT_LEN: usize = 65;

#[derive(Debug)]
pub(super) struct CurveSm2;

impl SupportedKxGroup for CurveSm2 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        loop {
            let mut bytes = Zeroizing::new([0u8; 32]);
            crate::tls::random(bytes.as_mut_slice()).map_err(|_| Error::FailedToGetRandomBytes)?;
            // One draw in 2^32 or fewer is no scalar.
            if let Ok(secret) = SecretKey::from_slice(bytes.as_slice()) {
                let public = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
                return Ok(Box::new(Exchange { secret, public }));
            }
        }
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        GROUP
    }
}

struct Exchange {
    /// Erased when dropped.
    secret: SecretKey,
    public: Vec<u8>,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let bad = || Error::from(PeerMisbehaved::InvalidKeyShare);
        if peer.len() != POINT_LEN || peer.first() != Some(&4) {
            return Err(bad());
        }
        // Checks that the point is on the curve; the group has no smaller subgroup.
        let peer = PublicKey::from_sec1_bytes(peer).map_err(|_| bad())?;
        let shared = peer.to_projective() * *self.secret.to_nonzero_scalar();
        let x = Zeroizing::new(<[u8; 32]>::from(shared.to_affine().x()));
        Ok(SharedSecret::from(x.as_slice()))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        GROUP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_get_the_same_secret_and_bad_points_are_refused() {
        let (one, two) = (CurveSm2.start().unwrap(), CurveSm2.start().unwrap());
        let (to_one, to_two) = (two.pub_key().to_vec(), one.pub_key().to_vec());
        assert_eq!(
            one.complete(&to_one).unwrap().secret_bytes(),
            two.complete(&to_two).unwrap().secret_bytes()
        );
        let mut off_curve = to_one.clone();
        *off_curve.last_mut().unwrap() ^= 1;
        let mut compressed = to_one[..33].to_vec();
        compressed[0] = 2;
        for bad in [&off_curve[..], &compressed, &to_one[..64], &[0], &[]] {
            assert!(CurveSm2.start().unwrap().complete(bad).is_err());
        }
    }
}
