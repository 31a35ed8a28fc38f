use num_bigint::BigUint;
use rand::{RngCore, SeedableRng, rngs::StdRng};

use super::*;
use crate::{Engine, gate::run, modular::to_be};

fn p() -> BigUint {
    (BigUint::from(1u8) << 256u32) - 0x1_0000_03d1u64
}

/// The values of limbs, of whatever size.
fn values(limbs: [__m512i; 5]) -> Vec<BigUint> {
    let limbs = limbs.map(lanes);
    (0..8)
        .map(|lane| {
            (0..5)
                .map(|i| BigUint::from(limbs[i][lane]) << (52 * i))
                .sum()
        })
        .collect()
}

fn big(numbers: [U256; 8]) -> Vec<BigUint> {
    numbers
        .iter()
        .map(|number| BigUint::from_bytes_be(&to_be(*number)))
        .collect()
}

/// Limbs of a value, which is below 2^260.
fn limbs_of(value: &BigUint) -> [u64; 5] {
    let mut digits = value.to_u64_digits();
    digits.resize(5, 0);
    let [a, b, c, d, e] = digits[..] else {
        panic!()
    };
    let mut limbs = split([a, b, c, d]);
    limbs[4] |= e << 48;
    limbs
}

/// Limbs for one lane: extreme, near p and its multiples, or random. `top` is the largest top limb.
fn any_limbs(rng: &mut StdRng, top: u64) -> [u64; 5] {
    let mask = MASK_52 as u64;
    match rng.next_u32() % 8 {
        0 => [mask, mask, mask, mask, top],
        1 => [0; 5],
        2 => [0, 0, 0, 0, top],
        3 | 4 => {
            let multiple = if top > 1 << 48 {
                rng.next_u32() % 16
            } else {
                1
            };
            let offset = BigUint::from(rng.next_u32() % 4);
            let base = p() * multiple;
            let value = if multiple > 0 && rng.next_u32().is_multiple_of(2) {
                base - offset
            } else {
                base + offset
            };
            limbs_of(&value)
        }
        _ => {
            let mut limbs = [0; 5];
            for limb in &mut limbs {
                *limb = match rng.next_u32() % 8 {
                    0 => 0,
                    1 => mask,
                    2 => 1,
                    _ => rng.next_u64() & mask,
                };
            }
            limbs[4] %= top + 1;
            limbs
        }
    }
}

fn any_element(rng: &mut StdRng, top: u64) -> Field8 {
    let mut columns = [[0; 8]; 5];
    for lane in 0..8 {
        for (column, limb) in columns.iter_mut().zip(any_limbs(rng, top)) {
            column[lane] = limb;
        }
    }
    Field8(columns.map(vector))
}

fn assert_weak(element: Field8) {
    assert!(Limbs(element.0).below(52));
    assert!(lanes(element.0[4]).iter().all(|top| *top <= 1 << 48));
}

/// Each round has eight lanes. Builds that check every bound as well are slower.
const ROUNDS: usize = if cfg!(debug_assertions) { 2000 } else { 20_000 };

const WEAK: u64 = 1 << 48;
const FACTOR: u64 = MASK_52 as u64;

#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn factors() {
    let rng = &mut StdRng::seed_from_u64(11);
    let p = p();
    for _ in 0..ROUNDS {
        let (a, b) = (any_element(rng, FACTOR), any_element(rng, FACTOR));
        let (x, y) = (values(a.0), values(b.0));
        let (product, square) = (a.mul(b), a.square());
        assert_weak(product);
        assert_weak(square);
        let (canonical, zero) = (a.canonical(), a.zero_lanes());
        let odd = canonical.odd_lanes();
        for lane in 0..8 {
            assert_eq!(&values(product.0)[lane] % &p, &x[lane] * &y[lane] % &p);
            assert_eq!(&values(square.0)[lane] % &p, &x[lane] * &x[lane] % &p);
            assert_eq!(values(canonical.0)[lane], &x[lane] % &p);
            assert_eq!(big(a.to_lanes())[lane], &x[lane] % &p);
            assert_eq!(zero >> lane & 1 == 1, &x[lane] % &p == BigUint::ZERO);
            assert_eq!(odd >> lane & 1 == 1, (&x[lane] % &p).bit(0));
        }
        let again = Field8::from_lanes(a.to_lanes());
        assert_eq!(again.equal_lanes(canonical), 0xff);
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn combinations() {
    let rng = &mut StdRng::seed_from_u64(12);
    let p = p();
    let check = |result: Field8, expected: &dyn Fn(usize) -> BigUint| {
        for (lane, value) in values(result.0).iter().enumerate() {
            assert_eq!(value % &p, expected(lane) % &p);
        }
    };
    for _ in 0..ROUNDS {
        let [a, b, c] = std::array::from_fn(|_| any_element(rng, WEAK));
        let [x, y, z] = [a, b, c].map(|element| values(element.0));
        let many = &p * 64u32;
        assert_weak(a.add(b));
        check(a.add(b), &|i| &x[i] + &y[i]);
        assert_weak(a.sub(b));
        check(a.sub(b), &|i| &x[i] + &many - &y[i]);
        check(a.sub_loose(b), &|i| &x[i] + &many - &y[i]);
        let mask = rng.next_u32() as u8;
        let negated = a.negate_where(mask);
        assert_weak(negated);
        check(negated, &|i| {
            if mask >> i & 1 == 1 {
                &many - &x[i]
            } else {
                x[i].clone()
            }
        });
        let three = b.limbs().plus(c.limbs().shifted::<1>());
        let taken = a.limbs().minus::<2>(three).weak();
        assert_weak(taken);
        check(taken, &|i| &x[i] + &many - &y[i] - &z[i] * 2u32);
        let eight = a.limbs().minus::<5>(b.limbs().shifted::<3>()).weak();
        assert_weak(eight);
        check(eight, &|i| &x[i] + &many - &y[i] * 8u32);
        let rest = a.limbs().shifted::<2>().minus::<1>(b.limbs()).loose();
        check(rest, &|i| &x[i] * 4u32 + &many - &y[i]);
        let triple = a.limbs().shifted::<1>().plus(a.limbs()).loose();
        check(triple, &|i| &x[i] * 3u32);
    }
}

#[test]
fn products_squares_and_canonical_forms_agree_with_big_integers_for_any_factor() {
    if let Some(engine) = Engine::detect() {
        run(engine, factors);
    }
}

#[test]
fn sums_and_differences_agree_with_big_integers_and_stay_in_bounds() {
    if let Some(engine) = Engine::detect() {
        run(engine, combinations);
    }
}
