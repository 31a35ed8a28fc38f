//! SM4 against its standard's examples and against the `sm4` crate, by every implementation.

use proptest::prelude::*;
use sm4::cipher::{BlockCipherEncrypt as _, KeyInit as _};

use super::*;

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

const KEY: &str = "0123456789abcdeffedcba9876543210";

type Work = fn(&[u32; 32], &mut [Block], Direction);

/// Every implementation that this processor can run.
fn implementations() -> Vec<(&'static str, Work)> {
    let mut all: Vec<(&str, Work)> = vec![("bit-sliced", bitslice::blocks)];
    #[cfg(target_arch = "x86_64")]
    {
        all.push(("best of this processor", |keys, blocks, direction| {
            if !crate::simd::sm4(keys, blocks, direction) {
                bitslice::blocks(keys, blocks, direction);
            }
        }));
        if is_x86_feature_detected!("aes") && is_x86_feature_detected!("ssse3") {
            all.push(("AES", |keys, blocks, direction| {
                assert!(crate::simd::sm4_aes(keys, blocks, direction));
            }));
        }
    }
    all
}

/// GB/T 32907 annex A.1 and A.2: once, and a million times over.
#[test]
fn encrypts_the_examples_of_the_standard() {
    let cipher = Sm4::new(&bytes(KEY));
    assert_eq!(cipher.round_keys[0], 0xf121_86f9);
    assert_eq!(cipher.round_keys[31], 0x9124_a012);
    for (name, work) in implementations() {
        let mut block = [bytes(KEY)];
        work(&cipher.round_keys, &mut block, Direction::Encrypt);
        let once = bytes("681edf34d206965e86b3e94f536e4246");
        assert_eq!(block, [once], "{name}");
        work(&cipher.round_keys, &mut block, Direction::Decrypt);
        assert_eq!(block, [bytes(KEY)], "{name}");
        // Unoptimised code takes the million in a thousandth: the comparison is then with itself.
        let rounds = if cfg!(debug_assertions) {
            1_000
        } else {
            1_000_000
        };
        for _ in 0..rounds {
            work(&cipher.round_keys, &mut block, Direction::Encrypt);
        }
        if rounds == 1_000_000 {
            assert_eq!(block, [bytes("595298c7c6fd271f0402f804c33d3f66")], "{name}");
        }
        for _ in 0..rounds {
            work(&cipher.round_keys, &mut block, Direction::Decrypt);
        }
        assert_eq!(block, [bytes(KEY)], "{name}");
    }
}

#[test]
fn every_byte_is_substituted_as_in_the_reference() {
    // With a key schedule of its own the reference shows its S-box through whole encryptions only;
    // the circuit is compared on all bytes in all places, the rest follows from it.
    let s_box = |x: u8| {
        let invert = |x: u8| (0..=255u8).find(|y| multiply(x, *y) == 1).unwrap_or(0);
        let affine = |x: u8| {
            (0..8).fold(0xd3, |out, i| {
                out ^ u8::from((x & 0xa7u8.rotate_left(i)).count_ones() % 2 == 1) << i
            })
        };
        affine(invert(affine(x)))
    };
    assert_eq!(
        (s_box(0), s_box(1), s_box(0xef), s_box(255)),
        (0xd6, 0x90, 0x84, 0x48)
    );
    for x in 0..=255u8 {
        let expected = u32::from(s_box(x));
        for shift in [0, 8, 16, 24] {
            let word = u32::from(x) << shift | !(0xffu32 << shift) & 0x1122_3344;
            let got = bitslice::substitute(word);
            assert_eq!(got >> shift & 0xff, expected, "{x}");
        }
    }
}

/// In the field modulo x⁸ + x⁷ + x⁶ + x⁵ + x⁴ + x² + 1.
fn multiply(a: u8, b: u8) -> u8 {
    (0..8).rev().fold(0u8, |sum, bit| {
        let sum = sum << 1 ^ if sum >> 7 == 1 { 0xf5 } else { 0 };
        sum ^ if b >> bit & 1 == 1 { a } else { 0 }
    })
}

fn reference(key: &[u8; 16], blocks: &[Block]) -> Vec<Block> {
    let cipher = sm4::Sm4::new(key.into());
    let encrypt = |block: &Block| {
        let mut block = (*block).into();
        cipher.encrypt_block(&mut block);
        block.into()
    };
    blocks.iter().map(encrypt).collect()
}

#[test]
fn every_number_of_blocks_is_encrypted_as_by_the_reference() {
    let mut numbers = crate::sm2::tests::Numbers(7);
    for count in (0..140).chain([200, 255, 256, 257, 1000]) {
        let key: [u8; 16] = numbers.bytes()[..16].try_into().unwrap();
        let blocks: Vec<Block> = (0..count)
            .map(|_| numbers.bytes()[..16].try_into().unwrap())
            .collect();
        let expected = reference(&key, &blocks);
        let cipher = Sm4::new(&key);
        for (name, work) in implementations() {
            let mut some = blocks.clone();
            work(&cipher.round_keys, &mut some, Direction::Encrypt);
            assert_eq!(some, expected, "{name}, {count}");
            work(&cipher.round_keys, &mut some, Direction::Decrypt);
            assert_eq!(some, blocks, "{name}, {count}");
        }
    }
}

/// RFC 8998 appendix A.1.
#[test]
fn gcm_seals_the_example_of_the_rfc() {
    let mut data: [u8; 64] = bytes(
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd\
         eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
    );
    let plain = data;
    let nonce = bytes("00001234567800000000abcd");
    let associated: [u8; 20] = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let gcm = Gcm::new(&bytes(KEY));
    let tag = gcm.seal(&nonce, &associated, &mut data).unwrap();
    assert_eq!(
        hex::encode(data),
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735\
         d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
    );
    assert_eq!(hex::encode(tag), "83de3541e4c2b58177e065a9bf7b62ec");
    let sealed = data;
    for bit in 0..128 {
        let mut wrong = tag;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            gcm.open(&nonce, &associated, &mut data, &wrong),
            Err(TagMismatch)
        );
        assert_eq!(data, sealed, "left as it was");
    }
    assert_eq!(gcm.open(&nonce, &associated, &mut data, &tag), Ok(()));
    assert_eq!(data, plain);
}

proptest! {
    #[test]
    fn modes_are_those_of_the_reference(
        key: [u8; 16], nonce: [u8; 12], iv: [u8; 16], overflow: bool,
        associated in proptest::collection::vec(any::<u8>(), 0..50),
        data in proptest::collection::vec(any::<u8>(), 0..2500),
    ) {
        use aes_gcm::aead::{AeadInOut, KeyInit};
        use ctr::cipher::{KeyIvInit, StreamCipher};
        let mut iv = iv;
        if overflow {
            iv = [0xff; 16];
        }
        let (mut ours, mut theirs, mut generic) = (data.clone(), data.clone(), data.clone());
        Sm4::new(&key).ctr(&iv, &mut ours);
        ctr::Ctr128BE::<sm4::Sm4>::new(&key.into(), &iv.into()).apply_keystream(&mut theirs);
        ctr::Ctr128BE::<Sm4>::new(&key.into(), &iv.into()).apply_keystream(&mut generic);
        prop_assert_eq!(&ours, &theirs);
        prop_assert_eq!(&ours, &generic);

        let (mut ours, mut theirs, mut generic) = (data.clone(), data.clone(), data.clone());
        let gcm = Gcm::new(&key);
        let tag = gcm.seal(&nonce, &associated, &mut ours).unwrap();
        type Reference<C> = aes_gcm::AesGcm<C, aes_gcm::aead::consts::U12>;
        let reference = Reference::<sm4::Sm4>::new(&key.into());
        let their_tag = reference.encrypt_inout_detached(&nonce.into(), &associated, theirs.as_mut_slice().into()).unwrap();
        let through = Reference::<Sm4>::new(&key.into());
        let same_tag = through.encrypt_inout_detached(&nonce.into(), &associated, generic.as_mut_slice().into()).unwrap();
        prop_assert_eq!(&ours, &theirs);
        prop_assert_eq!(&ours, &generic);
        prop_assert_eq!(&tag[..], &their_tag[..]);
        prop_assert_eq!(their_tag, same_tag);
        prop_assert_eq!(gcm.open(&nonce, &associated, &mut ours, &tag), Ok(()));
        prop_assert_eq!(ours, data);
    }
}

#[test]
fn the_key_is_erased_when_dropped_and_not_shown() {
    let cipher = Sm4::new(&bytes(KEY));
    assert_eq!(format!("{cipher:?} {:?}", Gcm::new(&bytes(KEY))), "Sm4 Gcm");
    const { assert!(std::mem::needs_drop::<Sm4>()) };
    fn erased<T: ZeroizeOnDrop>() {}
    erased::<Sm4>();
    erased::<Gcm>();
}
