//! What we make, others take, and the other way round.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use hawser_crypto::cipher::Sm4;
use hawser_crypto::sm2pke::{self, Ciphertext, Layout};
use hawser_crypto::{PublicKey, Scheme, SecretKey, Signature, Suite};
use hawser_interop::{Peer, openssl};
use serde_json::{Value, json};

const IDENTITY: &str = "distid:1234567812345678";

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(Scheme::Sm2, &[seed; 32]).unwrap()
}

fn secret(key: &SecretKey) -> String {
    hex::encode(key.to_bytes())
}

fn public(key: &SecretKey) -> String {
    hex::encode(key.public_key().to_uncompressed())
}

fn text(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn data(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| seed.wrapping_add((i * 7) as u8)).collect()
}

#[test]
fn sm3_is_the_same_around_every_block_boundary() {
    let lengths = [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1_000];
    let inputs: Vec<_> = lengths.iter().map(|len| data(1, *len)).collect();
    for peer in Peer::ALL {
        let requests: Vec<_> = inputs
            .iter()
            .map(|input| json!({"op": "sm3", "data": hex::encode(input)}))
            .collect();
        let Some(answers) = peer.ask(&requests) else {
            continue;
        };
        for (input, answer) in inputs.iter().zip(&answers) {
            assert_eq!(text(answer), Suite::Sm.hash(input)[..], "{peer:?}");
        }
    }
}

#[test]
fn sm2_signatures_go_both_ways_in_both_forms() {
    for peer in Peer::ALL {
        let mut requests = Vec::new();
        let mut cases = Vec::new();
        for seed in 1..6u8 {
            for der in [false, true] {
                let (key, message) = (key(seed), data(seed, usize::from(seed) * 30));
                let ours = key.sign(&message);
                let ours = match der {
                    true => ours.to_der().unwrap(),
                    false => ours.as_bytes().to_vec(),
                };
                let base = json!({
                    "secret": secret(&key), "public": public(&key), "der": der,
                    "data": hex::encode(&message), "signature": hex::encode(ours),
                });
                for op in ["sm2_sign", "sm2_verify", "sm2_verify"] {
                    let mut request = base.clone();
                    request["op"] = op.into();
                    requests.push(request);
                }
                let last = requests.last_mut().unwrap();
                last["data"] = hex::encode(data(seed, 3)).into();
                cases.push((key, message, der));
            }
        }
        let Some(answers) = peer.ask(&requests) else {
            continue;
        };
        for ((key, message, der), answers) in cases.iter().zip(answers.chunks(3)) {
            let made = text(&answers[0]);
            let signature = match der {
                true => Signature::from_der(Scheme::Sm2, &made),
                false => Signature::from_bytes(Scheme::Sm2, &made),
            };
            let signature = signature.unwrap();
            assert_eq!(
                key.public_key().verify(message, &signature),
                Ok(()),
                "{peer:?}"
            );
            assert_eq!(answers[1], json!(true), "{peer:?} refuses ours, der {der}");
            assert_eq!(
                answers[2],
                json!(false),
                "{peer:?} takes ours for another message"
            );
        }
    }
}

#[test]
fn sm2_ciphertexts_go_both_ways_in_both_layouts() {
    for peer in Peer::ALL {
        let mut requests = Vec::new();
        let mut cases = Vec::new();
        for (seed, len) in [(1, 8), (2, 31), (3, 32), (4, 33), (5, 64), (6, 300)] {
            for layout in [Layout::C1C3C2, Layout::C1C2C3] {
                let (key, plain) = (key(seed), data(seed, len));
                let made = sm2pke::encrypt(&key.public_key(), &plain).unwrap();
                let base = json!({
                    "secret": secret(&key), "public": public(&key),
                    "c1c3c2": layout == Layout::C1C3C2,
                });
                let mut encrypt = base.clone();
                encrypt["op"] = "sm2_encrypt".into();
                encrypt["data"] = hex::encode(&plain).into();
                let mut decrypt = base;
                decrypt["op"] = "sm2_decrypt".into();
                decrypt["data"] = hex::encode(made.to_bytes(layout)).into();
                requests.extend([encrypt, decrypt]);
                cases.push((key, plain, layout));
            }
        }
        let Some(answers) = peer.ask(&requests) else {
            continue;
        };
        for ((key, plain, layout), answers) in cases.iter().zip(answers.chunks(2)) {
            let theirs = Ciphertext::from_bytes(*layout, &text(&answers[0])).unwrap();
            let opened = sm2pke::decrypt(key, &theirs).unwrap();
            assert_eq!(*opened, *plain, "{peer:?} {layout}");
            assert_eq!(text(&answers[1]), *plain, "{peer:?} {layout}");
        }
    }
}

/// Cipher block chaining over whole blocks (GB/T 17964-2021), which no part of this system uses.
fn cbc(cipher: &Sm4, iv: [u8; 16], data: &[u8]) -> Vec<u8> {
    let (mut last, mut out) = (iv, Vec::new());
    for block in data.chunks_exact(16) {
        for (to, from) in last.iter_mut().zip(block) {
            *to ^= from;
        }
        cipher.encrypt_blocks(&mut last).unwrap();
        out.extend(last);
    }
    out
}

fn ecb(cipher: &Sm4, data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    cipher.encrypt_blocks(&mut out).unwrap();
    out
}

#[test]
fn sm4_is_the_same_block_by_block_and_chained() {
    let (key, iv) = ([0x2b; 16], [0x7e; 16]);
    let cipher = Sm4::new(&key);
    for peer in Peer::ALL {
        let mut requests = Vec::new();
        let mut expected = Vec::new();
        for blocks in [1, 2, 5] {
            let plain = data(blocks as u8, blocks * 16);
            // What a padding block of sixteen times 16 becomes behind the data.
            let padded = [&plain[..], &[16; 16]].concat();
            for (mode, all) in [
                ("ecb", ecb(&cipher, &padded)),
                ("cbc", cbc(&cipher, iv, &padded)),
            ] {
                let (hidden, padding) = all.split_at(plain.len());
                for (encrypt, input, output) in
                    [(true, &plain[..], hidden), (false, hidden, &plain)]
                {
                    requests.push(json!({
                        "op": "sm4", "encrypt": encrypt, "mode": mode, "key": hex::encode(key),
                        "iv": hex::encode(iv), "data": hex::encode(input),
                        "padding": hex::encode(padding),
                    }));
                    expected.push(output.to_vec());
                }
            }
        }
        let Some(answers) = peer.ask(&requests) else {
            continue;
        };
        for ((answer, expected), request) in answers.iter().zip(&expected).zip(&requests) {
            assert_eq!(text(answer), *expected, "{peer:?} {request}");
        }
    }
}

#[test]
fn openssl_agrees_on_sm4_in_three_modes() {
    let Some(openssl) = openssl() else { return };
    let (key, iv) = ([0x2b; 16], [0xff; 16]);
    let cipher = Sm4::new(&key);
    let plain = data(3, 80);
    openssl.write("in", &plain);
    let (hex_key, hex_iv) = (hex::encode(key), hex::encode(iv));
    let run = |mode: &str| {
        let args = [
            "enc", mode, "-nopad", "-K", &hex_key, "-iv", &hex_iv, "-in", "in",
        ];
        openssl.run(&args).unwrap()
    };
    assert_eq!(run("-sm4-ecb"), ecb(&cipher, &plain));
    assert_eq!(run("-sm4-cbc"), cbc(&cipher, iv, &plain));
    let mut counted = plain.clone();
    cipher.ctr(&iv, &mut counted).unwrap();
    assert_eq!(run("-sm4-ctr"), counted);
}

/// `SubjectPublicKeyInfo` (RFC 5480) of an SM2 key: a fixed head, then the point.
fn spki(key: &PublicKey) -> Vec<u8> {
    let head = "3059301306072a8648ce3d020106082a811ccf5501822d034200";
    [hex::decode(head).unwrap(), key.to_uncompressed()].concat()
}

/// `ECPrivateKey` (RFC 5915) of an SM2 key.
fn private(key: &SecretKey) -> Vec<u8> {
    let mut der = hex::decode("30770201010420").unwrap();
    der.extend_from_slice(&key.to_bytes());
    der.extend(hex::decode("a00a06082a811ccf5501822da144034200").unwrap());
    der.extend(key.public_key().to_uncompressed());
    der
}

#[test]
fn openssl_and_we_decrypt_each_other_in_der() {
    let Some(openssl) = openssl() else { return };
    for (seed, len) in [(1, 1), (2, 32), (3, 100), (4, 300)] {
        let (key, plain) = (key(seed), data(seed, len));
        openssl.write("public", spki(&key.public_key()));
        openssl.write("private", private(&key));
        openssl.write("plain", &plain);
        let args = [
            "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "public", "-in", "plain",
        ];
        let theirs = openssl.run(&args).unwrap();
        let theirs = Ciphertext::from_bytes(Layout::Der, &theirs).unwrap();
        assert_eq!(**sm2pke::decrypt(&key, &theirs).unwrap(), plain);

        let ours = sm2pke::encrypt(&key.public_key(), &plain).unwrap();
        openssl.write("ours", ours.to_bytes(Layout::Der));
        let args = [
            "pkeyutl", "-decrypt", "-keyform", "DER", "-inkey", "private", "-in", "ours",
        ];
        assert_eq!(openssl.run(&args).unwrap(), plain);
    }
}

#[test]
fn openssl_and_we_verify_each_other_in_der() {
    let Some(openssl) = openssl() else { return };
    for seed in 1..5 {
        let (key, message) = (key(seed), data(seed, 90));
        openssl.write("public", spki(&key.public_key()));
        openssl.write("private", private(&key));
        openssl.write("in", &message);
        let how = [
            "-rawin", "-digest", "sm3", "-pkeyopt", IDENTITY, "-keyform", "DER", "-in", "in",
        ];
        let sign = [&["pkeyutl", "-sign", "-inkey", "private"], &how[..]].concat();
        let theirs = Signature::from_der(Scheme::Sm2, &openssl.run(&sign).unwrap()).unwrap();
        assert_eq!(key.public_key().verify(&message, &theirs), Ok(()));
        openssl.write("signature", key.sign(&message).to_der().unwrap());
        let verify = [
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "public",
            "-sigfile",
            "signature",
        ];
        let verify = [&verify[..], &how].concat();
        assert!(openssl.run(&verify).is_some());
        openssl.write("in", b"another message");
        assert!(openssl.run(&verify).is_none());
    }
}
