//! Published test vectors of the standards that the suites are made of.

use hawser_crypto::{PublicKey, Scheme, SecretKey, Signature, Suite, secp};
use hawser_primitives::{Address, B256, Domain, address, b256};

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[test]
fn sm3_of_gbt_32905_annex_a() {
    assert_eq!(
        Suite::Sm.hash(b"abc"),
        b256!("66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0")
    );
    assert_eq!(
        Suite::Sm.hash(&b"abcd".repeat(16)),
        b256!("debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732")
    );
}

/// The empty string's digest as Ethereum's yellow paper states it, and "abc" from the Keccak
/// team's test files.
#[test]
fn keccak_256_before_the_sha_3_padding() {
    assert_eq!(
        Suite::Intl.hash(b""),
        b256!("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
    );
    assert_eq!(
        Suite::Intl.hash(b"abc"),
        b256!("4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45")
    );
}

#[test]
fn parts_hash_as_their_concatenation_and_a_domain_goes_first() {
    for suite in Suite::ALL {
        let whole = suite.hash(b"one, two and three");
        assert_eq!(
            suite.hash_parts(&[b"one, ", b"", b"two", b" and three"]),
            whole
        );
        let tagged = [&Domain::Vote.tag()[..], b"one, two and three"].concat();
        assert_eq!(
            suite.hash_domain(Domain::Vote, &[b"one, two", b" and three"]),
            suite.hash(&tagged)
        );
        assert_ne!(
            suite.hash_domain(Domain::Vote, &[b"x"]),
            suite.hash_domain(Domain::Proposal, &[b"x"])
        );
    }
    assert_ne!(Suite::Intl.hash(b"x"), Suite::Sm.hash(b"x"));
}

/// GB/T 32918.5 annex A.2.
#[test]
fn sm2_signature_of_gbt_32918_5_annex_a() {
    let secret = SecretKey::from_bytes(
        Scheme::Sm2,
        &unhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"),
    )
    .unwrap();
    let public = secret.public_key();
    assert_eq!(
        public.to_uncompressed(),
        unhex(
            "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020\
             CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
        )
    );
    let signature = Signature::from_bytes(
        Scheme::Sm2,
        &unhex(
            "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3\
             B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA",
        ),
    )
    .unwrap();
    assert_eq!(public.verify(b"message digest", &signature), Ok(()));
    assert!(public.verify(b"message digesT", &signature).is_err());
}

/// RFC 8032 section 7.1, tests 1, 2 and 3.
#[test]
fn ed25519_of_rfc_8032() {
    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (secret, public, message, signature) in vectors {
        let key = SecretKey::from_bytes(Scheme::Ed25519, &unhex(secret)).unwrap();
        assert_eq!(key.public_key().as_bytes(), unhex(public));
        let made = key.sign(&unhex(message));
        assert_eq!(made.as_bytes()[..], unhex(signature));
        assert_eq!(key.public_key().verify(&unhex(message), &made), Ok(()));
    }
}

/// The example of EIP-155.
#[test]
fn secp256k1_of_eip_155() {
    let secret = SecretKey::from_bytes(Scheme::Secp256k1, &[0x46; 32]).unwrap();
    let sender = address!("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f");
    assert_eq!(secret.address(), sender);
    let digest = b256!("daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
    let r_s: [u8; 64] = unhex(
        "28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276\
         67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83",
    )
    .try_into()
    .unwrap();
    // v = 37 = 35 + 2 × chain 1 + parity 0.
    let (key, address) = secp::recover(&digest, &r_s, false).unwrap();
    assert_eq!((key, address), (secret.public_key(), sender));
    assert_ne!(secp::recover(&digest, &r_s, true).unwrap().1, sender);
    assert_eq!(secp::sign_prehash(&secret, &digest), Ok((r_s, false)));
}

#[test]
fn recovery_finds_the_signer_for_both_parities() {
    let mut parities = [0; 2];
    for i in 0..32u8 {
        let key = SecretKey::from_seed(Scheme::Secp256k1, &[i; 32]).unwrap();
        let digest = Suite::Intl.hash(&[i]);
        let (r_s, parity) = secp::sign_prehash(&key, &digest).unwrap();
        let recovered = secp::recover(&digest, &r_s, parity).unwrap();
        assert_eq!(recovered, (key.public_key(), key.address()));
        parities[usize::from(parity)] += 1;
    }
    assert!(parities.iter().all(|count| *count > 0));
}

/// Each address is stated by its definition, computed here from the parts.
#[test]
fn addresses_follow_their_definitions() {
    let last_20 = |digest: B256| Address::from_slice(&digest[12..]);
    let key = |scheme| SecretKey::from_seed(scheme, &[7; 32]).unwrap().public_key();
    let secp = key(Scheme::Secp256k1);
    assert_eq!(
        secp.address(),
        last_20(Suite::Intl.hash(&secp.to_uncompressed()[1..]))
    );
    let sm2 = key(Scheme::Sm2);
    assert_eq!(
        sm2.address(),
        last_20(Suite::Sm.hash(&sm2.to_uncompressed()[1..]))
    );
    let ed25519 = key(Scheme::Ed25519);
    assert_eq!(
        ed25519.address(),
        last_20(Suite::Intl.hash(&[b"hawser/ed25519a1", ed25519.as_bytes()].concat()))
    );
}

#[test]
fn each_scheme_signs_for_itself_and_for_no_other_key_message_or_scheme() {
    for scheme in Scheme::ALL {
        let key = SecretKey::generate(scheme).unwrap();
        let other = SecretKey::generate(scheme).unwrap();
        let signature = key.sign(b"payload");
        assert_eq!(signature, key.sign(b"payload"), "nonces are deterministic");
        assert_eq!(signature.scheme(), scheme);
        assert_eq!(key.public_key().verify(b"payload", &signature), Ok(()));
        assert!(key.public_key().verify(b"payloaD", &signature).is_err());
        assert!(other.public_key().verify(b"payload", &signature).is_err());
        for foreign in Scheme::ALL.into_iter().filter(|foreign| *foreign != scheme) {
            let foreign = SecretKey::generate(foreign).unwrap();
            assert!(foreign.public_key().verify(b"payload", &signature).is_err());
        }
    }
}

#[test]
fn a_key_restored_from_its_bytes_is_the_same_key() {
    for scheme in Scheme::ALL {
        let key = SecretKey::generate(scheme).unwrap();
        let again = SecretKey::from_bytes(scheme, &key.to_bytes()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert_eq!(again.sign(b"m"), key.sign(b"m"));
        let public = PublicKey::from_bytes(scheme, &key.public_key().to_uncompressed()).unwrap();
        assert_eq!(public, key.public_key());
    }
}

#[test]
fn a_seed_gives_one_key_per_scheme_and_debug_output_shows_no_secret() {
    for scheme in Scheme::ALL {
        let key = SecretKey::from_seed(scheme, &[1; 32]).unwrap();
        let same = SecretKey::from_seed(scheme, &[1; 32]).unwrap();
        assert_eq!(key.to_bytes(), same.to_bytes());
        let other = SecretKey::from_seed(scheme, &[2; 32]).unwrap();
        assert_ne!(key.to_bytes(), other.to_bytes());
        let shown = format!("{key:?}");
        assert!(!shown.contains(&hex::encode(&*key.to_bytes())));
        assert!(shown.contains(&key.public_key().to_string()));
    }
}
