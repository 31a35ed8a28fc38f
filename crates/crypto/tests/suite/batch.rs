//! Signatures that are verified together get the answers that each gets alone.

use hawser_crypto::{Check, PublicKey, Scheme, SecretKey, Signature, VerifyError, verify_many};

struct Case {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
}

fn secret(scheme: Scheme, seed: u8) -> SecretKey {
    SecretKey::from_bytes(scheme, &[seed; 32]).unwrap()
}

/// Keys of all schemes, each several times; every third signature is over something else, and
/// every seventh is of another scheme than its key.
fn cases(count: u8) -> Vec<Case> {
    (0..count)
        .map(|i| {
            let scheme = Scheme::ALL[usize::from(i) % 3];
            let signer = secret(scheme, 1 + i % 5);
            let message = vec![i; usize::from(i)];
            let signature = match i {
                i if i % 7 == 6 => secret(Scheme::ALL[usize::from(i + 1) % 3], 1).sign(&message),
                i if i % 3 == 2 && i % 2 == 0 => signer.sign(b"another message"),
                i if i % 4 == 1 => secret(scheme, 99).sign(&message),
                _ => signer.sign(&message),
            };
            Case {
                key: signer.public_key().clone(),
                message,
                signature,
            }
        })
        .collect()
}

#[test]
fn together_as_alone_in_the_order_given() {
    let cases = cases(100);
    let mut seen = [0; 3];
    for len in [0, 1, 2, 7, 8, 9, 16, 17, 99, 100] {
        let some = &cases[..len];
        let checks: Vec<Check<'_>> = some
            .iter()
            .map(|case| Check {
                key: &case.key,
                message: &case.message,
                signature: &case.signature,
            })
            .collect();
        let together = verify_many(&checks);
        assert_eq!(together.len(), len);
        for (case, answer) in some.iter().zip(together) {
            assert_eq!(answer, case.key.verify(&case.message, &case.signature));
            seen[match answer {
                Ok(()) => 0,
                Err(VerifyError::Mismatch) => 1,
                Err(_) => 2,
            }] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 30), "{seen:?}");
}

#[test]
fn a_key_that_was_seen_before_in_another_form_is_the_same_key() {
    let key = secret(Scheme::Sm2, 42).public_key().clone();
    let again = PublicKey::from_bytes(Scheme::Sm2, key.as_bytes()).unwrap();
    let long = PublicKey::from_bytes(Scheme::Sm2, &key.to_uncompressed()).unwrap();
    assert!(key == again && key == long);
    // The same x with a y of the same parity that is not on the curve.
    let mut wrong = key.to_uncompressed();
    wrong[40] ^= 1;
    assert!(PublicKey::from_bytes(Scheme::Sm2, &wrong).is_err());
}
