//! Numbers at their borders, and signatures made so that the sums meet their exceptional cases, in
//! every lane between ordinary neighbours.
//!
//! A refusal is never wrong by the contract; an acceptance must be what libsecp256k1 says. Where a
//! case is known not to be exceptional, the engine must also accept.

use crate::common::{crafted, key, reference, scalar, signed, xy};
use hawser_secp_fast::{Engine, PreparedKey, Signature};
use k256::{
    ProjectivePoint, Scalar,
    elliptic_curve::{Field, PrimeField},
};
use num_bigint::BigUint;
use rand::{RngCore, SeedableRng, rngs::StdRng};

/// n, big endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// λ, which the endomorphism multiplies by.
const LAMBDA: [u8; 32] = [
    0x53, 0x63, 0xad, 0x4c, 0xc0, 0x5c, 0x30, 0xe0, 0xa5, 0x26, 0x1c, 0x02, 0x88, 0x12, 0x64, 0x5a,
    0x12, 0x2e, 0x22, 0xea, 0x20, 0x81, 0x66, 0x78, 0xdf, 0x02, 0x96, 0x7c, 0x1b, 0x23, 0xbd, 0x72,
];

/// n plus a small number.
fn near_order(offset: i8) -> [u8; 32] {
    let mut bytes = ORDER;
    bytes[31] = bytes[31].wrapping_add_signed(offset);
    bytes
}

/// A small number.
fn small(number: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[31] = number;
    bytes
}

struct Bench {
    engine: Engine,
    rng: StdRng,
}

impl Bench {
    fn new(seed: u64) -> Option<Self> {
        let engine = Engine::detect()?;
        let rng = StdRng::seed_from_u64(seed);
        Some(Self { engine, rng })
    }

    fn scalar(&mut self) -> Scalar {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        scalar(bytes)
    }

    /// Puts the signature into each lane in turn, between good ones, and alone. Never may a key
    /// come out that libsecp256k1 does not recover, and the neighbours must not suffer. Returns
    /// whether recovery and verification under the right key accepted it everywhere.
    fn everywhere(&mut self, signature: Signature) -> (bool, bool) {
        let expected = reference(&signature);
        let (secret, neighbour) = key(&mut self.rng);
        let key = expected.unwrap_or(neighbour);
        let prepared = self.engine.prepare_many(&[key, neighbour]);
        let [Some(right), Some(other)] = &prepared[..] else {
            panic!("both are keys");
        };
        let (mut recovered, mut verified) = (true, true);
        for lane in 0..9 {
            let len = if lane == 8 { 1 } else { 8 };
            let lane = lane % 8;
            let mut signatures: Vec<_> = (0..len).map(|_| signed(&mut self.rng, &secret)).collect();
            let mut items: Vec<(&PreparedKey, Signature)> =
                signatures.iter().map(|good| (other, *good)).collect();
            signatures[lane] = signature;
            items[lane] = (right, signature);
            for (place, found) in self.engine.recover_many(&signatures).iter().enumerate() {
                if place != lane {
                    assert_eq!(*found, Some(neighbour));
                } else if found.is_some() {
                    assert_eq!(*found, expected);
                } else {
                    recovered = false;
                }
            }
            for (place, good) in self.engine.verify_many(&items).iter().enumerate() {
                if place != lane {
                    assert!(good);
                } else if *good {
                    assert_eq!(Some(key), expected);
                } else {
                    verified = false;
                }
            }
            // Under the neighbour's key it is no good, unless the two are the same.
            items[lane] = (other, signature);
            let good = self.engine.verify_many(&items)[lane];
            assert_eq!(good, expected == Some(neighbour));
        }
        (recovered, verified)
    }

    fn accepted(&mut self, signature: Signature) {
        assert!(reference(&signature).is_some());
        assert_eq!(self.everywhere(signature), (true, true), "{signature:x?}");
    }

    fn refused(&mut self, signature: Signature) {
        assert_eq!(reference(&signature), None);
        assert_eq!(self.everywhere(signature), (false, false), "{signature:x?}");
    }
}

#[test]
fn r_and_s_are_taken_from_one_to_the_order_less_one_only() {
    let Some(mut bench) = Bench::new(21) else {
        return;
    };
    let secret = key(&mut bench.rng).0;
    let good = signed(&mut bench.rng, &secret);
    for part in [0, 32] {
        for bytes in [small(0), ORDER, near_order(1), [0xff; 32]] {
            let mut signature = good;
            signature.r_s[part..part + 32].copy_from_slice(&bytes);
            bench.refused(signature);
        }
    }
    // s at its ends, high s, and digests of zero and from n up are all in order.
    for s in [small(1), small(2), near_order(-1), near_order(-2)] {
        let mut signature = good;
        signature.r_s[32..].copy_from_slice(&s);
        bench.accepted(signature);
    }
    for prehash in [
        small(0),
        small(1),
        near_order(-1),
        ORDER,
        near_order(1),
        [0xff; 32],
    ] {
        bench.accepted(Signature { prehash, ..good });
        let y_parity = !good.y_parity;
        bench.accepted(Signature {
            prehash,
            y_parity,
            ..good
        });
    }
}

#[test]
fn r_that_is_no_coordinate_is_refused_and_every_small_one_that_is_taken() {
    let Some(mut bench) = Bench::new(22) else {
        return;
    };
    let secret = key(&mut bench.rng).0;
    let good = signed(&mut bench.rng, &secret);
    let (mut points, mut others) = (0, 0);
    for offset in 1..24 {
        for r in [small(offset), near_order(-(offset as i8))] {
            let mut signature = good;
            signature.r_s[..32].copy_from_slice(&r);
            if reference(&signature).is_some() {
                bench.accepted(signature);
                points += 1;
            } else {
                bench.refused(signature);
                others += 1;
            }
        }
    }
    assert!(points > 10 && others > 10);
}

#[test]
fn nonces_and_keys_that_are_small_multiples_of_the_generator_never_give_a_wrong_key() {
    let Some(mut bench) = Bench::new(23) else {
        return;
    };
    let lambda = scalar(LAMBDA);
    let mut special = vec![];
    for number in [1u64, 2, 3, 16, 31, 32, 512, 1024] {
        let number = Scalar::from(number);
        special.extend([number, -number, number * lambda, -(number * lambda)]);
    }
    for exponent in [4u64, 5, 6, 10, 60, 127, 128, 129] {
        let power = Scalar::from(2u64).pow_vartime([exponent]);
        special.extend([power, -power]);
    }
    for nonce in special.clone() {
        let (e, s) = (bench.scalar(), bench.scalar());
        if let Some(signature) = crafted(nonce, e, s) {
            bench.everywhere(signature);
        }
        // The key that recovery gives is special too: s R − e G = r Q.
        let Some(r) = crafted(nonce, e, s).map(|signature| r_of(&signature)) else {
            continue;
        };
        for secret in special.iter().take(8) {
            let e = s * nonce - r * secret;
            let signature = crafted(nonce, e, s).unwrap();
            assert_eq!(
                reference(&signature),
                xy(&(ProjectivePoint::GENERATOR * secret))
            );
            bench.everywhere(signature);
        }
    }
}

fn r_of(signature: &Signature) -> Scalar {
    let r: [u8; 32] = signature.r_s[..32].try_into().unwrap();
    scalar(r)
}

#[test]
fn chosen_scalars_never_give_a_wrong_key() {
    let Some(mut bench) = Bench::new(24) else {
        return;
    };
    let lambda = scalar(LAMBDA);
    let two = Scalar::from(2u64);
    let halves = [
        Scalar::ZERO,
        Scalar::ONE,
        two,
        Scalar::from(17u64),
        two.pow_vartime([127u64]),
    ];
    for first in halves {
        for second in halves {
            for u in [first + second * lambda, first - second * lambda] {
                // u2 = s / r at the borders of the split, with u1 = −e / r at random and alike.
                for negative in [false, true] {
                    let u = if negative { -u } else { u };
                    let nonce = bench.scalar();
                    let Some(probe) = crafted(nonce, Scalar::ONE, Scalar::ONE) else {
                        continue;
                    };
                    let r = r_of(&probe);
                    for e in [bench.scalar(), Scalar::ZERO, -(u * r), u * r] {
                        let signature = crafted(nonce, e, u * r).unwrap();
                        if bool::from((u * r).is_zero()) {
                            bench.refused(signature);
                        } else {
                            bench.everywhere(signature);
                        }
                    }
                    let s = bench.scalar();
                    bench.everywhere(crafted(nonce, u * r, s).unwrap());
                }
            }
        }
    }
}

/// The prepared path adds `(e / s) G + (r / s) Q`. With Q = q G for a small q, table entries of
/// both are the same points or opposite ones, and chosen digits bring them together.
#[test]
fn equal_and_opposite_points_in_one_sum_never_verify_wrongly() {
    let Some(mut bench) = Bench::new(25) else {
        return;
    };
    let mut refused = 0;
    for q in [1i64, -1, 2, -2, 3, 32, 64, -64] {
        let q = if q < 0 {
            -Scalar::from(q.unsigned_abs())
        } else {
            Scalar::from(q.unsigned_abs())
        };
        for w in [1u64, 2, 3, 5, 32, 1 << 10, 1 << 30, (1 << 36) - 1] {
            for d in [1u64, 2, 4, 32, 64, 1 << 12, 1 << 60] {
                for sign in [false, true] {
                    // (e / s) = u1 and (r / s) = u2 of our choice: R = u1 G + u2 Q, s = r / u2.
                    let (u1, u2) = (Scalar::from(w), Scalar::from(d));
                    let u1 = if sign { -u1 } else { u1 };
                    let nonce = u1 + u2 * q;
                    if bool::from(nonce.is_zero()) {
                        continue;
                    }
                    let Some(probe) = crafted(nonce, Scalar::ONE, Scalar::ONE) else {
                        continue;
                    };
                    let s = r_of(&probe) * u2.invert().unwrap();
                    let signature = crafted(nonce, u1 * s, s).unwrap();
                    assert_eq!(reference(&signature), xy(&(ProjectivePoint::GENERATOR * q)));
                    let (_, verified) = bench.everywhere(signature);
                    refused += usize::from(!verified);
                }
            }
        }
    }
    assert!(refused > 0, "some of these sums are exceptional");
}

/// R = infinity: no signature verifies, whatever r says.
#[test]
fn a_sum_at_infinity_verifies_nothing() {
    let Some(mut bench) = Bench::new(26) else {
        return;
    };
    for _ in 0..20 {
        let secret = bench.scalar();
        let point = xy(&(ProjectivePoint::GENERATOR * secret)).unwrap();
        let prepared = bench.engine.prepare_many(&[point]);
        let key = prepared[0].as_ref().unwrap();
        // e = −r q makes the sum (e + r q) / s · G vanish, for any r.
        for r in [Scalar::ONE, Scalar::from(2u64), bench.scalar()] {
            let s = bench.scalar();
            let mut r_s = [0; 64];
            r_s[..32].copy_from_slice(&r.to_repr());
            r_s[32..].copy_from_slice(&s.to_repr());
            for y_parity in [false, true] {
                let prehash = (-(r * secret)).to_repr().into();
                let signature = Signature {
                    prehash,
                    r_s,
                    y_parity,
                };
                assert_eq!(bench.engine.verify_many(&[(key, signature)]), [false]);
                assert_ne!(reference(&signature), Some(point));
            }
        }
    }
}

/// The key recovered is infinity: s R = e G.
#[test]
fn a_key_at_infinity_is_no_key() {
    let Some(mut bench) = Bench::new(27) else {
        return;
    };
    for nonce in [
        Scalar::ONE,
        Scalar::from(2u64),
        bench.scalar(),
        bench.scalar(),
    ] {
        let s = bench.scalar();
        let signature = crafted(nonce, s * nonce, s).unwrap();
        bench.refused(signature);
    }
}

#[test]
fn only_points_on_the_curve_are_prepared() {
    let Some(mut bench) = Bench::new(28) else {
        return;
    };
    let good = key(&mut bench.rng).1;
    let mut off = good;
    off[63] ^= 1;
    // The field's prime plus x is the same x, in a form that is none.
    let mut high = [0xff; 64];
    high[32..].copy_from_slice(&good[32..]);
    let keys = [
        good, off, [0; 64], high, good, [0xff; 64], good, good, off, good,
    ];
    let prepared = bench.engine.prepare_many(&keys);
    let expected = [
        true, false, false, false, true, false, true, true, false, true,
    ];
    assert!(prepared.iter().map(Option::is_some).eq(expected));
    assert!(
        prepared
            .iter()
            .flatten()
            .all(|key| key.bytes() == PreparedKey::BYTES)
    );
}

/// A hostile neighbour sends the batch onto the slow path; nobody else notices.
#[test]
fn exceptional_cases_in_many_groups_at_once_leave_the_others_alone() {
    let Some(mut bench) = Bench::new(29) else {
        return;
    };
    let (secret, neighbour) = key(&mut bench.rng);
    let one = crafted(Scalar::from(2u64), Scalar::ONE, Scalar::ONE).unwrap();
    let s = r_of(&one);
    // u1 = 1 and u2 = 1 with Q = G: the sum G + G.
    let exceptional = crafted(Scalar::from(2u64), s, s).unwrap();
    let generator = xy(&ProjectivePoint::GENERATOR).unwrap();
    assert_eq!(reference(&exceptional), Some(generator));
    let prepared = bench.engine.prepare_many(&[generator, neighbour]);
    let (bad, good) = (prepared[0].as_ref().unwrap(), prepared[1].as_ref().unwrap());
    let items: Vec<_> = (0..100)
        .map(|i| match i % 3 {
            0 => (bad, exceptional),
            _ => (good, signed(&mut bench.rng, &secret)),
        })
        .collect();
    for (i, answer) in bench.engine.verify_many(&items).iter().enumerate() {
        assert_eq!(*answer, i % 3 != 0, "an exceptional case is refused");
    }
}

/// The signature that verifies under Q if `u1 G + u2 Q` is taken to be (x, y).
fn forged(u1: Scalar, u2: Scalar, [x, y]: [BigUint; 2]) -> Signature {
    let bytes = |number: &BigUint| -> [u8; 32] {
        let digits = number.to_bytes_be();
        let mut bytes = [0; 32];
        bytes[32 - digits.len()..].copy_from_slice(&digits);
        bytes
    };
    let r = Scalar::from_repr(bytes(&x).into()).unwrap();
    let s = r * u2.invert().unwrap();
    let mut r_s = [0; 64];
    r_s[..32].copy_from_slice(&bytes(&x));
    r_s[32..].copy_from_slice(&s.to_repr());
    Signature {
        prehash: (u1 * s).to_repr().into(),
        r_s,
        y_parity: y.bit(0),
    }
}

/// What the formulas give in their exceptional cases is known, so that a signature can be made to
/// fit it. The first row of a key's comb meets the last of the generator's in the first round of
/// affine sums; its meeting with the first happens in Jacobian coordinates.
#[test]
fn signatures_that_fit_the_nonsense_of_exceptional_cases_are_refused() {
    let Some(bench) = Bench::new(30) else {
        return;
    };
    let p = (BigUint::from(1u8) << 256u32) - 0x1_0000_03d1u64;
    for bits in [0u64, 120] {
        let u1 = Scalar::from(2u64).pow_vartime([bits]);
        let point = xy(&(ProjectivePoint::GENERATOR * u1)).unwrap();
        let [x, y] = [0, 32].map(|from| BigUint::from_bytes_be(&point[from..from + 32]));
        // The same point twice: slope 0, and x = −2x, y = −y with a divisor of one.
        let doubled = [(&p * 2u32 - &x * 2u32) % &p, &p - &y];
        // Opposite points: slope −2y.
        let slope = (&p * 2u32 - &y * 2u32) % &p;
        let across = (&slope * &slope + &p * 2u32 - &x * 2u32) % &p;
        let below = (&slope * (&x + &p - &across) + &p - &y) % &p;
        // The same in Jacobian coordinates: x = 4y², y = 8y³, z = 0.
        let cube = &y * &y * &y * 8u32;
        let jacobian = [&y * &y * 4u32 % &p, cube % &p];
        let cases = [(u1, doubled), (-u1, [across, below]), (-u1, jacobian)];
        for (secret, nonsense) in cases {
            let signature = forged(u1, Scalar::ONE, nonsense);
            let key = xy(&(ProjectivePoint::GENERATOR * secret)).unwrap();
            assert_ne!(reference(&signature), Some(key));
            let prepared = bench.engine.prepare_many(&[key]);
            let key = prepared[0].as_ref().unwrap();
            for y_parity in [false, true] {
                let signature = Signature {
                    y_parity,
                    ..signature
                };
                for len in [1, 8, 64] {
                    let answers = bench.engine.verify_many(&vec![(key, signature); len]);
                    assert_eq!(answers, vec![false; len]);
                }
            }
        }
    }
}

#[test]
fn the_other_parity_is_another_key() {
    let Some(mut bench) = Bench::new(31) else {
        return;
    };
    let (secret, point) = key(&mut bench.rng);
    let prepared = bench.engine.prepare_many(&[point]);
    let key = prepared[0].as_ref().unwrap();
    for _ in 0..20 {
        let good = signed(&mut bench.rng, &secret);
        let y_parity = !good.y_parity;
        let flipped = Signature { y_parity, ..good };
        let answers = bench.engine.verify_many(&[(key, good), (key, flipped)]);
        assert_eq!(answers, [true, false]);
        assert_ne!(bench.engine.recover_many(&[flipped]), [Some(point)]);
    }
}
