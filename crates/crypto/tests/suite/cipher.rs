//! The suites' ciphers against published examples, and their edges.

use hawser_crypto::Suite;
use hawser_crypto::cipher::{Aead, Cipher, CipherError, Sm4};

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(char::is_whitespace, "")).unwrap()
}

const KEY: &str = "0123456789abcdeffedcba9876543210";

fn key() -> [u8; 16] {
    bytes(KEY).try_into().unwrap()
}

/// GB/T 32907-2016, annex A: one block, and the same a million times over.
#[test]
fn sm4_encrypts_the_examples_of_the_standard() {
    let cipher = Sm4::new(&key());
    let mut block = key();
    cipher.encrypt_blocks(&mut block).unwrap();
    assert_eq!(hex::encode(block), "681edf34d206965e86b3e94f536e4246");
    cipher.decrypt_blocks(&mut block).unwrap();
    assert_eq!(block, key());
    for _ in 0..1_000_000 {
        cipher.encrypt_blocks(&mut block).unwrap();
    }
    assert_eq!(hex::encode(block), "595298c7c6fd271f0402f804c33d3f66");
}

/// RFC 8998, appendix A.1.
#[test]
fn sm4_gcm_seals_the_example_of_rfc_8998() {
    let nonce = bytes("00001234567800000000abcd").try_into().unwrap();
    let associated = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let plain = bytes(
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd
         eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
    );
    let aead = Aead::new(Cipher::Sm4Gcm, &key()).unwrap();
    let mut data = plain.clone();
    let tag = aead.seal(&nonce, &associated, &mut data).unwrap();
    assert_eq!(
        data,
        bytes(
            "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735
             d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
        )
    );
    assert_eq!(hex::encode(tag), "83de3541e4c2b58177e065a9bf7b62ec");
    aead.open(&nonce, &associated, &mut data, &tag).unwrap();
    assert_eq!(data, plain);
}

/// NIST's GCM specification (McGrew and Viega), test cases 14 and 16.
#[test]
fn aes_gcm_seals_the_examples_of_its_specification() {
    let aead = Aead::new(Cipher::Aes256Gcm, &[0; 32]).unwrap();
    let mut data = [0; 16];
    let tag = aead.seal(&[0; 12], &[], &mut data).unwrap();
    assert_eq!(hex::encode(data), "cea7403d4d606b6e074ec5d3baf39d18");
    assert_eq!(hex::encode(tag), "d0d1c8a799996bf0265b98b5d48ab919");

    let key = bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    let aead = Aead::new(Cipher::Aes256Gcm, &key).unwrap();
    let nonce = bytes("cafebabefacedbaddecaf888").try_into().unwrap();
    let associated = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let mut data = bytes(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    );
    let tag = aead.seal(&nonce, &associated, &mut data).unwrap();
    assert_eq!(
        data,
        bytes(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        )
    );
    assert_eq!(hex::encode(tag), "76fc6ece0f4e1768cddf8853bb2d551b");
}

/// draft-ribose-cfrg-sm4-10, appendix A.2.5.1.
#[test]
fn sm4_counts_as_its_published_example_does() {
    let iv = bytes("000102030405060708090a0b0c0d0e0f")
        .try_into()
        .unwrap();
    let plain = bytes(
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd
         eeeeeeeeeeeeeeeeffffffffffffffffaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb",
    );
    let mut data = plain.clone();
    let cipher = Sm4::new(&key());
    cipher.ctr(&iv, &mut data).unwrap();
    assert_eq!(
        data,
        bytes(
            "ac3236cb970cc20791364c395a1342d1a3cbc1878c6f30cd074cce385cdd70c7
             f234bc0e24c11980fd1286310ce37b926e02fcd0faa0baf38b2933851d824514"
        )
    );
    cipher.ctr(&iv, &mut data[..33]).unwrap();
    assert_eq!(
        data[..33],
        plain[..33],
        "part of a block is no special case"
    );
}

#[test]
fn the_counter_carries_over_all_sixteen_bytes() {
    let cipher = Sm4::new(&key());
    let mut data = [0; 48];
    cipher.ctr(&[0xff; 16], &mut data).unwrap();
    let mut expected = [[0xff; 16], [0; 16], [0; 16]].concat();
    expected[47] = 1;
    cipher.encrypt_blocks(&mut expected).unwrap();
    assert_eq!(data[..], expected);
}

#[test]
fn only_whole_blocks_are_taken_block_by_block() {
    let cipher = Sm4::new(&key());
    for len in [0, 16, 32] {
        assert_eq!(cipher.encrypt_blocks(&mut vec![0; len]), Ok(()));
    }
    for len in [1, 15, 17, 31] {
        let refused = Err(CipherError::Length(len));
        assert_eq!(cipher.encrypt_blocks(&mut vec![0; len]), refused);
        assert_eq!(cipher.decrypt_blocks(&mut vec![0; len]), refused);
    }
}

#[test]
fn anything_changed_is_noticed_and_leaves_the_data_alone() {
    for cipher in Cipher::ALL {
        let aead = Aead::new(cipher, &vec![7; cipher.key_bytes()]).unwrap();
        for len in [0, 1, 15, 16, 17, 100] {
            let plain = vec![3; len];
            let mut data = plain.clone();
            let tag = aead.seal(&[1; 12], b"about", &mut data).unwrap();
            let sealed = data.clone();
            for (nonce, about, flip) in [
                ([2; 12], &b"about"[..], false),
                ([1; 12], b"abouT", false),
                ([1; 12], b"about", true),
            ] {
                let mut tag = tag;
                tag[0] ^= u8::from(flip);
                let opened = aead.open(&nonce, about, &mut data, &tag);
                assert_eq!(opened, Err(CipherError::Tag));
                assert_eq!(data, sealed);
            }
            if len > 0 {
                data[len - 1] ^= 1;
                let opened = aead.open(&[1; 12], b"about", &mut data, &tag);
                assert_eq!(opened, Err(CipherError::Tag));
                data[len - 1] ^= 1;
            }
            let other = Aead::new(cipher, &vec![8; cipher.key_bytes()]).unwrap();
            assert!(other.open(&[1; 12], b"about", &mut data, &tag).is_err());
            aead.open(&[1; 12], b"about", &mut data, &tag).unwrap();
            assert_eq!(data, plain);
        }
    }
}

#[test]
fn keys_of_another_length_are_refused_and_suites_have_their_ciphers() {
    for cipher in Cipher::ALL {
        let right = cipher.key_bytes();
        for len in [0, right - 1, right, right + 1] {
            let made = Aead::new(cipher, &vec![1; len]);
            assert_eq!(made.is_ok(), len == right, "{cipher} {len}");
        }
        assert_eq!(cipher.name().parse(), Ok(cipher));
    }
    assert_eq!(Cipher::of(Suite::Intl), Cipher::Aes256Gcm);
    assert_eq!(Cipher::of(Suite::Sm), Cipher::Sm4Gcm);
}
