//! Agreement with the OpenSSL command line, which shares no code with this crate. Where there is
//! no `openssl`, the tests say so and pass.

use std::{path::Path, process::Command};

use hawser_crypto::keystore::{Params, decrypt, encrypt};
use hawser_crypto::{PublicKey, Scheme, SecretKey, Signature, Suite};

const IDENTITY: &str = "distid:1234567812345678";

fn available() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    if !found {
        eprintln!("skipped: no openssl command on this machine");
    }
    found
}

/// Runs openssl in a directory and returns what it prints, or `None` where it fails.
fn openssl(dir: &Path, args: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("openssl")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    output.status.success().then_some(output.stdout)
}

fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(dir.join(name), content).unwrap();
}

/// `SubjectPublicKeyInfo` (RFC 5480, RFC 8410) of a key: a fixed head per scheme, then the point.
fn spki(key: &PublicKey) -> Vec<u8> {
    let head = match key.scheme() {
        Scheme::Secp256k1 => "3056301006072a8648ce3d020106052b8104000a034200",
        Scheme::Ed25519 => "302a300506032b6570032100",
        Scheme::Sm2 => "3059301306072a8648ce3d020106082a811ccf5501822d034200",
    };
    [hex::decode(head).unwrap(), key.to_uncompressed()].concat()
}

#[test]
fn sm3_agrees_at_every_length_around_the_block() {
    if !available() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for len in [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000] {
        let bytes: Vec<u8> = (0..len).map(|i: usize| (i * 7) as u8).collect();
        write(dir.path(), "in", &bytes);
        let digest = openssl(dir.path(), &["dgst", "-sm3", "-binary", "in"]).unwrap();
        assert_eq!(Suite::Sm.hash(&bytes)[..], digest);
    }
}

#[test]
fn openssl_accepts_our_signatures_and_refuses_them_for_another_message() {
    if !available() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for scheme in Scheme::ALL {
        for seed in 0..4 {
            let key = SecretKey::from_seed(scheme, &[seed; 32]).unwrap();
            let message = [seed; 77];
            let signature = key.sign(&message);
            write(dir.path(), "key", spki(&key.public_key()));
            let mut args = vec![
                "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-sigfile",
                "sig", "-in", "in",
            ];
            let input = |message: &[u8]| match scheme {
                // OpenSSL has no Keccak-256, so it checks the digest.
                Scheme::Secp256k1 => Suite::Intl.hash(message).to_vec(),
                Scheme::Ed25519 | Scheme::Sm2 => message.to_vec(),
            };
            match scheme {
                Scheme::Secp256k1 => {}
                Scheme::Ed25519 => args.push("-rawin"),
                Scheme::Sm2 => args.extend(["-rawin", "-digest", "sm3", "-pkeyopt", IDENTITY]),
            }
            let encoded = signature
                .to_der()
                .unwrap_or_else(|_| signature.as_bytes().to_vec());
            write(dir.path(), "sig", encoded);
            write(dir.path(), "in", input(&message));
            assert!(openssl(dir.path(), &args).is_some(), "{scheme}");
            write(dir.path(), "in", input(b"another message"));
            assert!(openssl(dir.path(), &args).is_none(), "{scheme}");
        }
    }
}

#[test]
fn openssl_reads_our_key_files_and_we_verify_what_it_signs_with_them() {
    if !available() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for scheme in [Scheme::Ed25519, Scheme::Sm2] {
        let key = SecretKey::generate(scheme).unwrap();
        write(
            dir.path(),
            "key",
            encrypt(&key, "secret 密", &Params::default()).unwrap(),
        );
        let pass = ["-passin", "pass:secret 密"];
        let args = [
            &["pkey", "-in", "key", "-pubout", "-outform", "DER"],
            &pass[..],
        ]
        .concat();
        assert_eq!(openssl(dir.path(), &args).unwrap(), spki(&key.public_key()));
        let wrong = ["pkey", "-in", "key", "-pubout", "-passin", "pass:other"];
        assert!(openssl(dir.path(), &wrong).is_none());

        for i in 0..8u8 {
            let message = [i; 50];
            write(dir.path(), "in", message);
            let mut args = vec!["pkeyutl", "-sign", "-inkey", "key", "-rawin", "-in", "in"];
            args.extend(pass);
            if scheme == Scheme::Sm2 {
                args.extend(["-digest", "sm3", "-pkeyopt", IDENTITY]);
            }
            let made = openssl(dir.path(), &args).unwrap();
            let signature = if scheme == Scheme::Sm2 {
                Signature::from_der(scheme, &made).unwrap()
            } else {
                Signature::from_bytes(scheme, &made).unwrap()
            };
            assert_eq!(key.public_key().verify(&message, &signature), Ok(()));
            assert!(
                key.public_key()
                    .verify(b"another message", &signature)
                    .is_err()
            );
        }
    }
}

#[test]
fn we_read_the_key_files_that_openssl_writes() {
    if !available() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let kinds: [(Scheme, &[&str]); 2] = [
        (Scheme::Ed25519, &["-algorithm", "ed25519"]),
        (
            Scheme::Sm2,
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2"],
        ),
    ];
    for (scheme, kind) in kinds {
        let args = [&["genpkey", "-out", "plain"], kind].concat();
        openssl(dir.path(), &args).unwrap();
        let public = openssl(
            dir.path(),
            &["pkey", "-in", "plain", "-pubout", "-outform", "DER"],
        );
        let ciphers: [&[&str]; 3] = [
            &["-scrypt"],
            &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256"],
            &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"],
        ];
        for cipher in ciphers {
            let args = [
                &["pkcs8", "-topk8", "-in", "plain", "-passout", "pass:pw"],
                cipher,
            ]
            .concat();
            let file = String::from_utf8(openssl(dir.path(), &args).unwrap()).unwrap();
            let key = decrypt(&file, "pw").unwrap();
            assert_eq!(key.scheme(), scheme);
            assert_eq!(Some(spki(&key.public_key())), public);
        }
    }
}
