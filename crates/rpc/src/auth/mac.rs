//! Keyed message authentication for challenges and tokens: HMAC (RFC 2104) with the suite's hash,
//! SHA-256 or SM3 (GM/T 0042 uses HMAC-SM3).

use hawser_crypto::Suite;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sm3::Sm3;
use zeroize::Zeroizing;

/// Length of a code, in bytes.
pub(super) const MAC_BYTES: usize = 32;

/// A key that lives as long as the process: what was sealed before a restart opens nothing after.
pub(super) struct MacKey(Zeroizing<[u8; 32]>);

impl MacKey {
    /// A new key of the operating system's randomness.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// The code over `purpose`, and each of the parts with its length in front.
    pub(super) fn seal(&self, suite: Suite, purpose: &str, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        match suite {
            Suite::Intl => self.code::<Hmac<Sha256>>(purpose, parts),
            Suite::Sm => self.code::<Hmac<Sm3>>(purpose, parts),
        }
    }

    /// Whether `code` is the one of these parts, in a time that does not depend on where it
    /// differs.
    pub(super) fn opens(&self, suite: Suite, purpose: &str, parts: &[&[u8]], code: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.seal(suite, purpose, parts).ct_eq(code).into()
    }

    fn code<M: Mac + KeyInit>(&self, purpose: &str, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        let mut out = [0; MAC_BYTES];
        // HMAC takes keys of every length, so there is a code always.
        if let Ok(mut mac) = <M as KeyInit>::new_from_slice(self.0.as_slice()) {
            for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part);
            }
            out.copy_from_slice(&mac.finalize().into_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_opens_its_own_parts_under_its_own_key_only() {
        let (key, other) = (MacKey::random().unwrap(), MacKey::random().unwrap());
        for suite in Suite::ALL {
            let code = key.seal(suite, "token", &[b"ab", b"c"]);
            assert!(key.opens(suite, "token", &[b"ab", b"c"], &code));
            assert!(!key.opens(suite, "token", &[b"a", b"bc"], &code));
            assert!(!key.opens(suite, "challenge", &[b"ab", b"c"], &code));
            assert!(!other.opens(suite, "token", &[b"ab", b"c"], &code));
            assert!(!key.opens(suite, "token", &[b"ab", b"c"], &code[..31]));
            assert!(!key.opens(suite, "token", &[b"ab", b"c"], b""));
            for bit in 0..256 {
                let mut forged = code;
                forged[bit / 8] ^= 1 << (bit % 8);
                assert!(!key.opens(suite, "token", &[b"ab", b"c"], &forged), "{bit}");
            }
        }
    }
}
