//! SM2 signatures over raw points and digests, as the precompiled contracts take them.

use hawser_sm_fast::sm2::PreparedKey;

/// Whether `signature` (`r ‖ s`) is one of the key `x ‖ y` over `message`, with the identity
/// [`SM2_IDENTITY`](crate::SM2_IDENTITY) (GB/T 32918.2). A point off the curve has no signatures.
#[must_use]
pub fn verify_message(xy: &[u8; 64], message: &[u8], signature: &[u8; 64]) -> bool {
    PreparedKey::from_xy(xy)
        .is_some_and(|key| key.verify_digest_once(&key.digest(message), signature))
}

/// Whether `signature` (`r ‖ s`) is one of the key `x ‖ y` over the digest `e`, 32 bytes big
/// endian, which the caller made: `SM3(Z ‖ message)` with the Z of any identity.
#[must_use]
pub fn verify_digest(xy: &[u8; 64], e: &[u8; 32], signature: &[u8; 64]) -> bool {
    PreparedKey::from_xy(xy).is_some_and(|key| key.verify_digest_once(e, signature))
}
