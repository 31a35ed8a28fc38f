//! Key files: published vectors, round trips, and files that are wrong in each way that matters.

use hawser_crypto::keystore::{
    self, FILE_BYTES_MAX, KeystoreError, PBKDF2_ITERATIONS_MAX, Params, ScryptCost, decrypt,
    encrypt,
};
use hawser_crypto::{Scheme, SecretKey};
use serde_json::{Value, json};

/// The two test vectors of the Web3 Secret Storage definition (Ethereum wiki).
const PASSWORD: &str = "testpassword";
const SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
const ADDRESS: &str = "008aeeda4d805471df9b2a5b0f38a0c3bcba786b";

fn pbkdf2_vector() -> Value {
    json!({
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": "6087dab2f9fdbbfaddc31a909735c1e6" },
            "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
            "kdf": "pbkdf2",
            "kdfparams": {
                "c": 262_144,
                "dklen": 32,
                "prf": "hmac-sha256",
                "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"
            },
            "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3
    })
}

fn scrypt_vector() -> Value {
    json!({
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": "83dbcc02d8ccb40e466191a123791e0e" },
            "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": 32,
                "n": 262_144,
                "p": 8,
                "r": 1,
                "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"
            },
            "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3
    })
}

/// A file of low cost, as JSON to take apart.
fn light_json() -> Value {
    let key = SecretKey::from_seed(Scheme::Secp256k1, &[1; 32]).unwrap();
    serde_json::from_str(&encrypt(&key, "correct", &Params::light()).unwrap()).unwrap()
}

fn light_pem(scheme: Scheme) -> String {
    let key = SecretKey::from_seed(scheme, &[1; 32]).unwrap();
    encrypt(&key, "correct", &Params::light()).unwrap()
}

#[test]
fn the_published_vectors_decrypt_to_the_published_secret() {
    for vector in [pbkdf2_vector(), scrypt_vector()] {
        let key = decrypt(&vector.to_string(), PASSWORD).unwrap();
        assert_eq!(key.scheme(), Scheme::Secp256k1);
        assert_eq!(hex::encode(&*key.to_bytes()), SECRET);
        assert_eq!(hex::encode(key.address()), ADDRESS);
        assert!(matches!(
            decrypt(&vector.to_string(), "testpassworD"),
            Err(KeystoreError::WrongPassphrase)
        ));
    }
}

#[test]
fn a_capital_crypto_section_is_read() {
    let mut vector = pbkdf2_vector();
    let section = vector["crypto"].take();
    vector.as_object_mut().unwrap().remove("crypto");
    vector["Crypto"] = section;
    assert_eq!(
        hex::encode(decrypt(&vector.to_string(), PASSWORD).unwrap().address()),
        ADDRESS
    );
}

#[test]
fn every_scheme_survives_the_round_trip_and_needs_its_passphrase() {
    for scheme in Scheme::ALL {
        let key = SecretKey::generate(scheme).unwrap();
        let text = encrypt(&key, "pass 口令", &Params::light()).unwrap();
        let secret = hex::encode(&*key.to_bytes());
        assert!(!text.contains(&secret));
        let again = decrypt(&format!("\n{text}\n"), "pass 口令").unwrap();
        assert_eq!((again.scheme(), again.to_bytes()), (scheme, key.to_bytes()));
        for wrong in ["", "pass", "pass 口令 "] {
            assert!(matches!(
                decrypt(&text, wrong),
                Err(KeystoreError::WrongPassphrase)
            ));
        }
        let other = encrypt(&key, "pass 口令", &Params::light()).unwrap();
        assert_ne!(text, other, "salt and initial vector are fresh each time");
        assert!(matches!(
            encrypt(&key, "", &Params::light()),
            Err(KeystoreError::EmptyPassphrase)
        ));
    }
}

/// The padding of one wrong passphrase in 256 fits by chance; it must not read as a damaged file.
#[test]
fn a_wrong_passphrase_reads_as_one_however_the_padding_falls() {
    let text = light_pem(Scheme::Ed25519);
    for i in 0..600 {
        assert!(matches!(
            decrypt(&text, &format!("wrong {i}")),
            Err(KeystoreError::WrongPassphrase)
        ));
    }
}

#[test]
fn the_default_cost_is_that_of_ethereum_clients() {
    let key = SecretKey::from_seed(Scheme::Secp256k1, &[1; 32]).unwrap();
    let text = encrypt(&key, "correct", &Params::default()).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let kdf = &file["crypto"]["kdfparams"];
    assert_eq!(
        (&kdf["n"], &kdf["r"], &kdf["p"]),
        (&json!(262_144), &json!(8), &json!(1))
    );
    assert_eq!(file["address"], hex::encode(key.address()));
    let id = file["id"].as_str().unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "4"));
    assert!("89ab".contains(&id[19..20]));
    assert_eq!(
        decrypt(&text, "correct").unwrap().to_bytes(),
        key.to_bytes()
    );
}

#[test]
fn damaged_json_is_named_as_such() {
    let cases: [(&str, Value); 9] = [
        ("/crypto/mac", json!("00")),
        ("/crypto/mac", json!(7)),
        ("/crypto/ciphertext", json!("zz")),
        ("/crypto/ciphertext", json!("00".repeat(31))),
        ("/crypto/cipherparams/iv", json!("00".repeat(17))),
        ("/crypto/kdfparams/salt", json!("not hex")),
        ("/crypto/kdfparams/salt", json!("00".repeat(1025))),
        ("/crypto/kdfparams/n", json!(-1)),
        ("/crypto/kdfparams", Value::Null),
    ];
    for (pointer, value) in cases {
        let mut file = light_json();
        *file.pointer_mut(pointer).unwrap() = value;
        let result = decrypt(&file.to_string(), "correct");
        assert!(
            matches!(result, Err(KeystoreError::Malformed(_))),
            "{pointer}: {result:?}"
        );
    }
    for text in [
        "{",
        "{}",
        "{\"version\":3}",
        "{\"crypto\":{}}",
        "{\"version\":3,\"crypto\":{}}",
    ] {
        assert!(
            matches!(decrypt(text, "x"), Err(KeystoreError::Malformed(_))),
            "{text}"
        );
    }
    // A bit of the ciphertext, of the mac or of the salt: indistinguishable from a wrong passphrase.
    for pointer in [
        "/crypto/ciphertext",
        "/crypto/mac",
        "/crypto/kdfparams/salt",
    ] {
        let mut file = light_json();
        let field = file.pointer_mut(pointer).unwrap();
        let mut bytes = hex::decode(field.as_str().unwrap()).unwrap();
        bytes[0] ^= 1;
        *field = json!(hex::encode(bytes));
        assert!(matches!(
            decrypt(&file.to_string(), "correct"),
            Err(KeystoreError::WrongPassphrase)
        ));
    }
    let mut file = light_json();
    file["address"] = json!(ADDRESS);
    assert!(matches!(
        decrypt(&file.to_string(), "correct"),
        Err(KeystoreError::Malformed(
            "the address is not that of the key"
        ))
    ));
}

#[test]
fn what_is_not_supported_is_named() {
    let cases = [
        ("/version", json!(1), "version"),
        ("/crypto/cipher", json!("aes-128-cbc"), "cipher"),
        ("/crypto/kdf", json!("argon2id"), "key derivation"),
        ("/crypto/kdfparams/dklen", json!(64), "dklen"),
    ];
    for (pointer, value, expected) in cases {
        let mut file = light_json();
        *file.pointer_mut(pointer).unwrap() = value;
        match decrypt(&file.to_string(), "correct") {
            Err(KeystoreError::Unsupported { what, .. }) => assert_eq!(what, expected),
            other => unreachable!("{pointer}: {other:?}"),
        }
    }
    let mut vector = pbkdf2_vector();
    vector["crypto"]["kdfparams"]["prf"] = json!("hmac-sha1");
    assert!(matches!(
        decrypt(&vector.to_string(), PASSWORD),
        Err(KeystoreError::Unsupported { what: "prf", .. })
    ));
    assert!(matches!(
        decrypt("hello", "x"),
        Err(KeystoreError::UnknownFormat)
    ));
    assert!(matches!(
        decrypt("", "x"),
        Err(KeystoreError::UnknownFormat)
    ));
    assert!(matches!(
        decrypt(
            "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----",
            "x"
        ),
        Err(KeystoreError::NotEncrypted)
    ));
    assert!(matches!(
        decrypt(
            "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----",
            "x"
        ),
        Err(KeystoreError::UnknownFormat)
    ));
}

/// Parameters come from the file, so a file could ask for all memory or for a year of work.
#[test]
fn absurd_costs_are_refused_before_any_work() {
    let over = [
        (0, 8, 1),
        (1, 8, 1),
        (3, 8, 1),
        (1 << 18, 0, 1),
        (1 << 18, 8, 0),
        (1 << 20, 8, 1),
        (1 << 19, 9, 1),
        (1 << 18, 8, 9),
        (2, 8, 1 << 20 | 1),
        (1u64 << 63, 8, 1),
        (1 << 31, 1, 1),
        (2, u64::from(u32::MAX), 1),
        (2, 1 << 32, 1),
        (2, 8, u64::MAX),
    ];
    for (n, r, p) in over {
        let mut file = light_json();
        let kdf = &mut file["crypto"]["kdfparams"];
        (kdf["n"], kdf["r"], kdf["p"]) = (json!(n), json!(r), json!(p));
        let result = decrypt(&file.to_string(), "correct");
        let refused = matches!(result, Err(KeystoreError::Cost { kdf: "scrypt", .. }));
        assert!(refused, "{n} {r} {p}: {result:?}");
    }
    for c in [0, u64::from(PBKDF2_ITERATIONS_MAX) + 1, u64::MAX] {
        let mut vector = pbkdf2_vector();
        vector["crypto"]["kdfparams"]["c"] = json!(c);
        assert!(matches!(
            decrypt(&vector.to_string(), PASSWORD),
            Err(KeystoreError::Cost { kdf: "pbkdf2", .. })
        ));
    }
    for cost in [
        ScryptCost {
            log_n: 0,
            r: 8,
            p: 1,
        },
        ScryptCost {
            log_n: 31,
            r: 1,
            p: 1,
        },
        ScryptCost {
            log_n: 255,
            r: u32::MAX,
            p: u32::MAX,
        },
    ] {
        for scheme in Scheme::ALL {
            let key = SecretKey::from_seed(scheme, &[1; 32]).unwrap();
            assert!(matches!(
                encrypt(
                    &key,
                    "x",
                    &Params {
                        json: cost,
                        pem: cost
                    }
                ),
                Err(KeystoreError::Cost { kdf: "scrypt", .. })
            ));
        }
    }
}

#[test]
fn both_sides_of_the_file_size() {
    let text = light_json().to_string();
    let padded = |len: usize| format!("{text}{}", " ".repeat(len - text.len()));
    assert!(decrypt(&padded(FILE_BYTES_MAX), "correct").is_ok());
    assert!(matches!(
        decrypt(&padded(FILE_BYTES_MAX + 1), "correct"),
        Err(KeystoreError::TooLarge { len }) if len == FILE_BYTES_MAX + 1
    ));
}

#[test]
fn damaged_pem_is_refused_without_panic() {
    for scheme in [Scheme::Ed25519, Scheme::Sm2] {
        let text = light_pem(scheme);
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        for cut in (0..text.len()).step_by(7) {
            assert!(decrypt(&text[..cut], "correct").is_err());
        }
        for at in (40..text.len() - 40).step_by(3) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(bytes).unwrap();
            if let Ok(key) = keystore::decrypt(&damaged, "correct") {
                // The padding does not authenticate; what decrypts must still be a valid key.
                assert_eq!(key.scheme(), scheme);
            }
        }
    }
}
