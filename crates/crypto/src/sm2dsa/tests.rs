//! Signing against the standard's example and against the `sm2` crate.

use sm2::dsa::signature::hazmat::PrehashSigner;

use super::*;

const IDENTITY: &str = "1234567812345678";

fn secret(seed: u8) -> SignKey {
    SignKey::decode(&[seed; 32]).unwrap()
}

/// GB/T 32918.5 annex A.2, with the nonce that the example uses.
#[test]
fn signs_the_example_of_the_standard() {
    let scalar = |text: &str| parse_scalar(&hex::decode(text).unwrap().try_into().unwrap());
    let d = scalar("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8").unwrap();
    let key = SignKey::decode(&d.to_repr().into()).unwrap();
    let public = key.verify_key().unwrap();
    assert_eq!(
        hex::encode(public.z()),
        "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
    );
    let e = public.digest(b"message digest");
    assert_eq!(
        hex::encode(e),
        "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
    );
    let nonce = scalar("59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21").unwrap();
    let signature = key.sign_with_nonce(reduce(&e), &nonce).unwrap();
    assert_eq!(
        hex::encode(signature),
        "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3\
         b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
    );
    assert!(public.verify_digest(&e, &signature));
}

#[test]
fn signatures_are_those_of_the_reference_bit_by_bit() {
    for seed in 1..20 {
        let key = secret(seed);
        let public = key.verify_key().unwrap();
        let theirs = sm2::dsa::SigningKey::from_slice(IDENTITY, &*key.to_bytes()).unwrap();
        let e = public.digest(&[seed]);
        let expected = theirs.sign_prehash(&e).unwrap();
        assert_eq!(key.sign(&public, &[seed])[..], expected.to_bytes()[..]);
    }
}

/// RFC 6979 section 3.2, step h.3: after a candidate, K = HMAC(K, V ‖ 0) and V = HMAC(K, V). The
/// first candidate is held against the reference by the signatures above.
#[test]
fn the_second_nonce_is_that_of_rfc_6979() {
    let mut nonces = Nonces::new(&[1; 32], &[2; 32]);
    let first = nonces.next_nonce();
    let (key, value) = (nonces.key.clone(), nonces.value.clone());
    assert_eq!(first.to_repr()[..], value[..]);
    let key = hmac(&key, &value, &[&[0]]);
    let value = hmac(&key, &value, &[]);
    let expected = hmac(&key, &value, &[]);
    assert_eq!(nonces.next_nonce().to_repr()[..], expected[..]);
}
