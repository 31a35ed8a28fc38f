use hawser_sm_fast::sm2::{self, Item};

use crate::{PublicKey, Signature, VerifyError};

/// A signature to verify together with others.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The key that is said to have signed.
    pub key: &'a PublicKey,
    /// What is said to be signed.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a Signature,
}

/// Verifies each signature by itself; the answers are in the order of the checks and those of
/// [`PublicKey::verify`]. SM2 signatures go through the processor eight at a time where it can, so
/// callers that hold several should hand them over together, in multiples of eight if they may
/// choose. Signatures of the other schemes are verified one after the other.
#[must_use]
pub fn verify_many(checks: &[Check<'_>]) -> Vec<Result<(), VerifyError>> {
    let mut items = Vec::with_capacity(checks.len());
    let mut answers = Vec::with_capacity(checks.len());
    for Check {
        key,
        message,
        signature,
    } in checks
    {
        let sm2 = key.sm2().filter(|_| key.scheme() == signature.scheme());
        answers.push(match sm2 {
            Some(sm2) => {
                items.push(Item {
                    key: sm2,
                    digest: sm2.digest(message),
                    signature: signature.as_bytes(),
                });
                None
            }
            None => Some(key.verify(message, signature)),
        });
    }
    let mut good = sm2::verify_many(&items).into_iter();
    let answer = |answer: Option<_>| {
        answer.unwrap_or_else(|| match good.next() {
            Some(true) => Ok(()),
            _ => Err(VerifyError::Mismatch),
        })
    };
    answers.into_iter().map(answer).collect()
}
