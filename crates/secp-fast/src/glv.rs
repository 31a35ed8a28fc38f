//! Splitting a scalar along the curve's endomorphism, and digits of the halves.
//!
//! λ(x, y) = (βx, y) multiplies a point by λ, a cube root of one modulo n. Every k modulo n is
//! k1 + k2 λ with halves below 2^128 (Gallant, Lambert, Vanstone, "Faster Point Multiplication on
//! Elliptic Curves with Efficient Endomorphisms", 2001).

use crate::modular::U256;

/// β, a cube root of one modulo p.
pub(crate) const BETA: U256 = [
    0xc139_6c28_7195_01ee,
    0x9cf0_4975_12f5_8995,
    0x6e64_479e_ac34_34e9,
    0x7ae9_6a2b_657c_0710,
];

/// A short basis of the lattice of pairs (a, b) with a + b λ = 0 modulo n: (A1, −B1), (A2, A1).
const A1: U256 = [0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd, 0, 0];
const B1: U256 = [0x6f54_7fa9_0abf_e4c3, 0xe443_7ed6_010e_8828, 0, 0];
const A2: U256 = [0x57c1_108d_9d44_cfd8, 0x14ca_50f7_a8e2_f3f6, 1, 0];

/// 2^384 A1 / n and 2^384 B1 / n, rounded: they turn the division by n into a shift.
const G1: U256 = [
    0xe893_209a_45db_b031,
    0x3daa_8a14_71e8_ca7f,
    0xe86c_90e4_9284_eb15,
    0x3086_d221_a7d4_6bcd,
];
const G2: U256 = [
    0x1571_b4ae_8ac4_7f71,
    0x2212_08ac_9df5_06c6,
    0x6f54_7fa9_0abf_e4c4,
    0xe443_7ed6_010e_8828,
];

/// A half: its magnitude, and whether it is negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Half {
    pub(crate) magnitude: u128,
    pub(crate) negative: bool,
}

/// k = k1 + k2 λ modulo n, for k below n.
///
/// |k1| ≤ (A1 + A2) / 2 + ε < 2^127.4 and |k2| ≤ (A1 + B1) / 2 + ε < 2^127.2: with exact rounding
/// the remainder is at most half the sum of the basis, and rounding G1 and G2 first moves each
/// quotient by less than 2^−127.
pub(crate) fn split(k: U256) -> [Half; 2] {
    let (c1, c2) = (shifted_product(k, G1), shifted_product(k, G2));
    let k1 = sub(sub(k, low_product(c1, A1)), low_product(c2, A2));
    let k2 = sub(low_product(c1, B1), low_product(c2, A1));
    [half(k1), half(k2)]
}

/// A number in two's complement whose magnitude is below 2^128.
fn half(number: U256) -> Half {
    let [.., top] = number;
    let negative = top >> 63 == 1;
    let number = if negative {
        sub([0; 4], number)
    } else {
        number
    };
    let [a, b, c, d] = number;
    debug_assert!(c == 0 && d == 0, "a half is below 2^128");
    Half {
        magnitude: u128::from(a) | u128::from(b) << 64,
        negative,
    }
}

fn sub(a: U256, b: U256) -> U256 {
    crate::modular::sub(a, b).0
}

/// `a · b / 2^384`, rounded to the nearest.
fn shifted_product(a: U256, [b0, b1, b2, b3]: U256) -> U256 {
    let (mut t0, mut t1, mut t2, mut t3) = (0u64, 0u64, 0u64, 0u64);
    for word in a {
        let (_, c) = word.carrying_mul_add(b0, t0, 0);
        let (s1, c) = word.carrying_mul_add(b1, t1, c);
        let (s2, c) = word.carrying_mul_add(b2, t2, c);
        let (s3, c) = word.carrying_mul_add(b3, t3, c);
        (t0, t1, t2, t3) = (s1, s2, s3, c);
    }
    let _ = t0;
    // t is a · b / 2^256; two more words go, the upper one rounds.
    let (r0, c) = t2.carrying_add(t1 >> 63, false);
    let (r1, _) = t3.carrying_add(0, c);
    [r0, r1, 0, 0]
}

/// `a · b` modulo 2^256 for `a` below 2^128.
fn low_product([a0, a1, ..]: U256, [b0, b1, b2, _]: U256) -> U256 {
    let (t0, c) = a0.carrying_mul(b0, 0);
    let (t1, c) = a0.carrying_mul(b1, c);
    let (t2, t3) = a0.carrying_mul(b2, c);
    let (t1, c) = a1.carrying_mul_add(b0, t1, 0);
    let (t2, c) = a1.carrying_mul_add(b1, t2, c);
    let (t3, _) = a1.carrying_mul_add(b2, t3, c);
    [t0, t1, t2, t3]
}

/// Windows of `width` bits that a half needs; the last one takes the carry.
pub(crate) const fn windows(width: u32) -> usize {
    128 / width as usize + 1
}

impl Half {
    /// Digits in 1 − 2^(width − 1) … 2^(width − 1), [`windows`]`(width)` of them, lowest first, with
    /// the sign of the half taken in.
    pub(crate) fn digits(self, width: u32) -> impl Iterator<Item = i16> {
        let (mut rest, mut carry) = (self.magnitude, 0i32);
        let (mask, half) = ((1u128 << width) - 1, 1i32 << (width - 1));
        let sign = if self.negative { -1 } else { 1 };
        (0..windows(width)).map(move |_| {
            let digit = (rest & mask) as i32 + carry;
            rest >>= width;
            carry = i32::from(digit > half);
            ((digit - (carry << width)) * sign) as i16
        })
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::{BigInt, BigUint, Sign};
    use rand::{RngCore, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::modular::{N, from_be, sub as wrapping_sub, to_be};

    const LAMBDA: &[u8] = b"5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72";

    fn big(half: Half) -> BigInt {
        let sign = if half.negative {
            Sign::Minus
        } else {
            Sign::Plus
        };
        BigInt::from_biguint(sign, BigUint::from(half.magnitude))
    }

    fn check(k: U256) {
        let n = BigInt::from(BigUint::from_bytes_be(&to_be(N.m)));
        let lambda = BigInt::parse_bytes(LAMBDA, 16).unwrap();
        let number = BigInt::from(BigUint::from_bytes_be(&to_be(k)));
        let halves = split(k);
        let [k1, k2] = halves.map(big);
        let rest: BigInt = (k1 + k2 * lambda - number) % n;
        assert_eq!(rest, BigInt::ZERO, "{k:x?}");
        for half in halves {
            for width in [4, 5, 6, 7, 8, 9, 10, 12] {
                let sum = half
                    .digits(width)
                    .enumerate()
                    .map(|(i, digit)| {
                        assert!(digit.unsigned_abs() <= 1 << (width - 1));
                        BigInt::from(digit) << (width as usize * i)
                    })
                    .sum::<BigInt>();
                assert_eq!(sum, big(half));
            }
        }
    }

    #[test]
    fn halves_and_digits_add_up_at_the_borders_and_at_random() {
        let lambda = BigUint::parse_bytes(LAMBDA, 16).unwrap();
        let n = BigUint::from_bytes_be(&to_be(N.m));
        let mut rng = StdRng::seed_from_u64(1);
        let number = |value: BigUint| {
            let bytes = (value % &n).to_bytes_be();
            let mut all = [0; 32];
            all[32 - bytes.len()..].copy_from_slice(&bytes);
            from_be(&all)
        };
        for near in [0u32, 1, 2, 3, 1000] {
            let near = BigUint::from(near);
            for base in [BigUint::ZERO, lambda.clone(), &n - &lambda, &n / 2u32] {
                check(number(&base + &near));
                check(number(&base + &n - &near));
            }
            // Where the rounded quotients step: (2j + 1) n / (2 A1), and the same for B1.
            for divisor in [A1, B1] {
                let divisor = BigUint::from_bytes_be(&to_be(divisor));
                for j in [0u64, 1, 2, 3, u64::MAX] {
                    let step = (BigUint::from(j) * 2u32 + 1u32) * &n / (&divisor * 2u32);
                    check(number(&step + &near));
                    check(number(&step + &n - &near));
                }
            }
        }
        for bit in 0..256 {
            check(number(BigUint::from(1u8) << bit));
        }
        let top = wrapping_sub(N.m, [1, 0, 0, 0]).0;
        check(top);
        for _ in 0..20_000 {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            check(number(BigUint::from_bytes_be(&bytes)));
        }
    }

    #[test]
    fn the_longest_half_still_fits_its_digits() {
        for (magnitude, negative) in [(u128::MAX, false), (u128::MAX, true), (0, false)] {
            let half = Half {
                magnitude,
                negative,
            };
            for width in 4..13 {
                let mut sum = BigInt::ZERO;
                for (i, digit) in half.digits(width).enumerate() {
                    sum += BigInt::from(digit) << (width as usize * i);
                }
                assert_eq!(sum, big(half));
            }
        }
    }
}
