//! Encodings are contracts: these bytes do not change without a new protocol version.

use hawser_crypto::{PublicKey, Scheme, SecretKey, Signature, Suite};

/// Per scheme, from the seed 0x2a × 32: secret key, public key and signature of "hawser" in borsh
/// without the scheme's byte, and the address.
const GOLDEN: [(Scheme, &str, &str, &str, &str); 3] = [
    (
        Scheme::Secp256k1,
        "bb483d7d0e804df2dba7dc37e695e68ba7923a02114514dcbedfb61d002359ba",
        "03bfa31b16007d853193ce80c9c86d811e8b5f0eca86b7fba42e2bcae78d2b4e43",
        "214ca58529123871e037090840224fd15c4554916b186ddd36fdfaad6620537628782296ccd19df313e7790b5cd0b5f023e4e21e7d42cc9a547879492fd2c68c",
        "b16b2b0da92563c7927bc754ca350a90f2eff3cd",
    ),
    (
        Scheme::Ed25519,
        "9df299bdf95e15d542b89cfd2d484f658bfb18109f528520af381106e762c7ab",
        "815b68561d203ee8d8852de4d7c35d0d2945306272c6b340f1092dfd065d1edd",
        "d3c5cbdb7d86ecc3d03de741cd0b5d5f920cceb62d83894dbdcdc4d0770f11496c482c648d3057da206611ed7178059ce7bb588284810fac4e43014eec99a704",
        "7d359e7c7f09046080472ef7c41d0eaac5bf2140",
    ),
    (
        Scheme::Sm2,
        "9150c57a61626dd8d29bc0db81ee671cbf58f19456bac3206731e2310062fd59",
        "0369c3782be04896e2773dad565174dbc682d34e450b7c24c3365b1608f752b453",
        "b96997d5067d005e2148384785b69521ca44b362322433baa3d383db313605954d8e8d226cf4e5aa618ff9c596ba57fc5d52b6c2683b071ad417f3d676fd1f79",
        "4ad08aa3a5d7d90b3fbb7b7377064865fe799633",
    ),
];

#[test]
fn keys_signatures_and_addresses_keep_their_bytes() {
    for (scheme, secret, public, signature, address) in GOLDEN {
        let key = SecretKey::from_seed(scheme, &[0x2a; 32]).unwrap();
        let made = key.sign(b"hawser");
        let tag = format!("{:02x}", scheme.tag());
        assert_eq!(hex::encode(&*key.to_bytes()), secret);
        let encoded = borsh::to_vec(&key.public_key()).unwrap();
        assert_eq!(hex::encode(&encoded), format!("{tag}{public}"));
        assert_eq!(
            borsh::from_slice::<PublicKey>(&encoded).unwrap(),
            key.public_key()
        );
        let encoded = borsh::to_vec(&made).unwrap();
        assert_eq!(hex::encode(&encoded), format!("{tag}{signature}"));
        assert_eq!(borsh::from_slice::<Signature>(&encoded).unwrap(), made);
        assert_eq!(hex::encode(key.address()), address);

        let json = serde_json::to_string(&key.public_key()).unwrap();
        assert_eq!(json, format!("\"{scheme}:0x{public}\""));
        assert_eq!(
            serde_json::from_str::<PublicKey>(&json).unwrap(),
            key.public_key()
        );
        let json = serde_json::to_string(&made).unwrap();
        assert_eq!(json, format!("\"{scheme}:0x{signature}\""));
        assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), made);
    }
}

#[test]
fn schemes_and_suites_keep_their_bytes_and_names() {
    let schemes = [
        (Scheme::Secp256k1, 1, "secp256k1"),
        (Scheme::Ed25519, 2, "ed25519"),
        (Scheme::Sm2, 3, "sm2"),
    ];
    for (scheme, tag, name) in schemes {
        assert_eq!(borsh::to_vec(&scheme).unwrap(), [tag]);
        assert_eq!(borsh::from_slice::<Scheme>(&[tag]).unwrap(), scheme);
        assert_eq!(
            serde_json::to_string(&scheme).unwrap(),
            format!("\"{name}\"")
        );
        assert_eq!(
            (scheme.to_string(), name.parse()),
            (name.into(), Ok(scheme))
        );
    }
    for tag in [0, 4, 0xff] {
        assert!(borsh::from_slice::<Scheme>(&[tag]).is_err());
    }
    for (suite, tag, name) in [(Suite::Intl, 0, "intl"), (Suite::Sm, 1, "sm")] {
        assert_eq!(borsh::to_vec(&suite).unwrap(), [tag]);
        assert_eq!(borsh::from_slice::<Suite>(&[tag]).unwrap(), suite);
        assert_eq!(
            serde_json::to_string(&suite).unwrap(),
            format!("\"{name}\"")
        );
        assert_eq!((suite.to_string(), name.parse()), (name.into(), Ok(suite)));
    }
    assert!(borsh::from_slice::<Suite>(&[2]).is_err());
    assert_eq!(
        "SM2".parse::<Scheme>().unwrap_err().to_string(),
        "unknown scheme: expected one of secp256k1, ed25519, sm2"
    );
    assert!("Intl".parse::<Suite>().is_err());
}

#[test]
fn suites_name_their_schemes() {
    assert_eq!(
        (Suite::Intl.vote_scheme(), Suite::Intl.account_scheme()),
        (Scheme::Ed25519, Scheme::Secp256k1)
    );
    assert_eq!(
        (Suite::Sm.vote_scheme(), Suite::Sm.account_scheme()),
        (Scheme::Sm2, Scheme::Sm2)
    );
}
