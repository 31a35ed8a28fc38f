//! Arithmetic on single numbers modulo p and n: what a batch needs once, or once per signature.

/// 256 bits, least significant word first.
pub(crate) type U256 = [u64; 4];

/// A prime modulus above 2^255 with the constants of Montgomery's reduction.
pub(crate) struct Modulus {
    /// The prime m.
    pub(crate) m: U256,
    /// −m⁻¹ modulo 2^64.
    negated_inverse: u64,
    /// 2^512 modulo m.
    pub(crate) r_squared: U256,
    /// m in five digits of 62 bits.
    digits: [i64; 5],
    /// m⁻¹ modulo 2^62.
    inverse_62: u64,
}

/// The field's prime p = 2^256 − 2^32 − 977 (SEC 2 section 2.4.1).
pub(crate) const P: Modulus = Modulus {
    m: [0xffff_fffe_ffff_fc2f, u64::MAX, u64::MAX, u64::MAX],
    negated_inverse: 0xd838_091d_d225_3531,
    r_squared: [0x07a2_000e_90a1, 1, 0, 0],
    digits: [0x3fff_fffe_ffff_fc2f, MASK, MASK, MASK, 0xff],
    inverse_62: 0x27c7_f6e2_2dda_cacf,
};

/// The group's order n (SEC 2 section 2.4.1).
pub(crate) const N: Modulus = Modulus {
    m: [
        0xbfd2_5e8c_d036_4141,
        0xbaae_dce6_af48_a03b,
        0xffff_ffff_ffff_fffe,
        u64::MAX,
    ],
    negated_inverse: 0x4b0d_ff66_5588_b13f,
    r_squared: [
        0x896c_f214_67d7_d140,
        0x7414_96c2_0e7c_f878,
        0xe697_f5e4_5bcd_07c6,
        0x9d67_1cd5_81c6_9bc5,
    ],
    digits: [
        0x3fd2_5e8c_d036_4141,
        0x2abb_739a_bd22_80ee,
        0x3fff_ffff_ffff_ffeb,
        MASK,
        0xff,
    ],
    inverse_62: 0x34f2_0099_aa77_4ec1,
};

/// 62 ones.
const MASK: i64 = (1 << 62) - 1;

impl Modulus {
    /// `a · b / 2^256` modulo m, below m. One factor may be any number, the other must be below m.
    #[inline]
    pub(crate) fn mul(&self, a: U256, b: U256) -> U256 {
        let [m0, m1, m2, m3] = self.m;
        let [b0, b1, b2, b3] = b;
        let (mut t0, mut t1, mut t2, mut t3, mut t4) = (0u64, 0u64, 0u64, 0u64, 0u64);
        for word in a {
            let (s0, c) = word.carrying_mul_add(b0, t0, 0);
            let (s1, c) = word.carrying_mul_add(b1, t1, c);
            let (s2, c) = word.carrying_mul_add(b2, t2, c);
            let (s3, c) = word.carrying_mul_add(b3, t3, c);
            let (s4, s5) = t4.overflowing_add(c);
            let q = s0.wrapping_mul(self.negated_inverse);
            let (_, c) = q.carrying_mul_add(m0, s0, 0);
            let (u0, c) = q.carrying_mul_add(m1, s1, c);
            let (u1, c) = q.carrying_mul_add(m2, s2, c);
            let (u2, c) = q.carrying_mul_add(m3, s3, c);
            let (u3, over) = s4.overflowing_add(c);
            (t0, t1, t2, t3) = (u0, u1, u2, u3);
            t4 = u64::from(s5).wrapping_add(u64::from(over));
        }
        // The sum is below 2m, since a < 2^256 and b < m.
        let sum = [t0, t1, t2, t3];
        let (reduced, borrow) = sub(sum, self.m);
        if borrow && t4 == 0 { sum } else { reduced }
    }

    /// `−a` modulo m for `a` below m.
    #[inline]
    pub(crate) fn negate(&self, a: U256) -> U256 {
        if a == [0; 4] { a } else { sub(self.m, a).0 }
    }

    /// Replaces every number by its inverse modulo m. All must lie in 1 … m − 1.
    ///
    /// `None` where the inverse of the product does not check out, which happens only if that
    /// condition is broken; the numbers are then meaningless.
    pub(crate) fn invert_all(&self, numbers: &mut [U256]) -> Option<()> {
        let Some((first, rest)) = numbers.split_first_mut() else {
            return Some(());
        };
        // Every product is off by a power of 2^256. The factors cancel on the way back: if `back`
        // is the plain inverse of a prefix product as stored, so is its product with the number.
        let mut product = *first;
        let mut prefixes = Vec::with_capacity(rest.len());
        for number in rest.iter() {
            prefixes.push(product);
            product = self.mul(product, *number);
        }
        let mut back = self.invert(product)?;
        for (number, prefix) in rest.iter_mut().zip(prefixes).rev() {
            let inverse = self.mul(back, prefix);
            back = self.mul(back, *number);
            *number = inverse;
        }
        *first = back;
        Some(())
    }

    /// The inverse modulo m, checked by multiplication; `None` for zero.
    ///
    /// Variable time, after Bernstein and Yang, "Fast constant-time gcd computation and modular
    /// inversion" (2019), 62 division steps at a time.
    fn invert(&self, a: U256) -> Option<U256> {
        let (mut f, mut g) = (self.digits, to_digits(a));
        let (mut d, mut e) = ([0i64; 5], [1i64, 0, 0, 0, 0]);
        let mut eta = -1i64;
        // 590 steps are enough for 256 bits with the variant used here; 741 for the original one.
        for _ in 0..12 {
            let matrix = division_steps(&mut eta, low(f), low(g));
            (d, e) = self.apply_modulo(matrix, d, e);
            (f, g) = apply(matrix, f, g);
            if g == [0; 5] {
                break;
            }
        }
        let [f0, .., f4] = f;
        let negative = f4 < 0;
        if g != [0; 5] || (f0 != 1 && f0 != MASK) {
            return None;
        }
        let inverse = self.settle(d, negative);
        // a · a⁻¹ = 1, with 2^256 modulo m standing for one.
        let one = self.mul(self.r_squared, [1, 0, 0, 0]);
        let product = self.mul(self.mul(a, inverse), self.r_squared);
        (self.mul(product, self.r_squared) == one).then_some(inverse)
    }

    /// `(u d + v e, q d + r e) / 2^62` modulo m, both in (−2m, m).
    fn apply_modulo(
        &self,
        [u, v, q, r]: [i64; 4],
        d: [i64; 5],
        e: [i64; 5],
    ) -> ([i64; 5], [i64; 5]) {
        let ([d0, .., d4], [e0, .., e4]) = (d, e);
        let (sign_d, sign_e) = (d4 >> 63, e4 >> 63);
        let fix = |a: i64, b: i64| {
            let start = (a & sign_d).wrapping_add(b & sign_e);
            let lowest = wide(a, d0).wrapping_add(wide(b, e0)) as u64;
            let correction = lowest
                .wrapping_mul(self.inverse_62)
                .wrapping_add(start as u64)
                & MASK as u64;
            start.wrapping_sub(correction as i64)
        };
        let (fix_d, fix_e) = (fix(u, v), fix(q, r));
        let (mut sum_d, mut sum_e) = (0i128, 0i128);
        let (mut new_d, mut new_e) = (Five::default(), Five::default());
        for ((d, e), m) in d.into_iter().zip(e).zip(self.digits) {
            sum_d = sum_d
                .wrapping_add(wide(u, d))
                .wrapping_add(wide(v, e))
                .wrapping_add(wide(m, fix_d));
            sum_e = sum_e
                .wrapping_add(wide(q, d))
                .wrapping_add(wide(r, e))
                .wrapping_add(wide(m, fix_e));
            new_d.push(sum_d as i64 & MASK);
            new_e.push(sum_e as i64 & MASK);
            sum_d >>= 62;
            sum_e >>= 62;
        }
        (new_d.finish(sum_d as i64), new_e.finish(sum_e as i64))
    }

    /// `±d` for d in (−2m, m), brought into 0 … m − 1.
    fn settle(&self, d: [i64; 5], negate: bool) -> U256 {
        let add_if_negative = |x: [i64; 5]| {
            let [.., top] = x;
            let mask = top >> 63;
            let mut digits = x.into_iter().zip(self.digits);
            carry(std::array::from_fn(|_| {
                digits.next().map_or(0, |(x, m)| x.wrapping_add(m & mask))
            }))
        };
        let d = add_if_negative(d);
        let d = if negate {
            carry(d.map(i64::wrapping_neg))
        } else {
            d
        };
        from_digits(add_if_negative(add_if_negative(d)))
    }
}

/// Five digits that come one by one, of which the first is dropped.
#[derive(Default)]
struct Five([i64; 5]);

impl Five {
    fn push(&mut self, digit: i64) {
        let [_, b, c, d, e] = self.0;
        self.0 = [b, c, d, e, digit];
    }

    /// Drops the lowest of five digits and puts the top one on.
    fn finish(mut self, top: i64) -> [i64; 5] {
        self.push(top);
        self.0
    }
}

fn wide(a: i64, b: i64) -> i128 {
    i128::from(a).wrapping_mul(i128::from(b))
}

/// The lowest 62 bits and two of the next digit.
fn low([a, b, ..]: [i64; 5]) -> u64 {
    (a as u64) | (b as u64) << 62
}

/// 62 division steps on the lowest bits: the matrix `[u, v, q, r]` they amount to.
fn division_steps(eta: &mut i64, f: u64, g: u64) -> [i64; 4] {
    let (mut f, mut g) = (f, g);
    let (mut u, mut v, mut q, mut r) = (1u64, 0u64, 0u64, 1u64);
    let mut left = 62u32;
    loop {
        let zeros = (g | u64::MAX << left).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        *eta = eta.wrapping_sub(i64::from(zeros));
        left = left.wrapping_sub(zeros);
        if left == 0 {
            return [u as i64, v as i64, q as i64, r as i64];
        }
        let swap = *eta < 0;
        if swap {
            *eta = eta.wrapping_neg();
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
        }
        // As many bits of g as can be cancelled at once: limited by eta, by the steps left, and by
        // how many bits of −g/f the short formulas give (six and four).
        let limit = eta.wrapping_add(1).min(i64::from(left)).clamp(1, 64) as u32;
        let mask = u64::MAX >> 64u32.wrapping_sub(limit);
        let w = if swap {
            f.wrapping_mul(g)
                .wrapping_mul(f.wrapping_mul(f).wrapping_sub(2))
                & mask
                & 63
        } else {
            let inverse = f.wrapping_add((f.wrapping_add(1) & 4) << 1);
            inverse.wrapping_neg().wrapping_mul(g) & mask & 15
        };
        g = g.wrapping_add(f.wrapping_mul(w));
        q = q.wrapping_add(u.wrapping_mul(w));
        r = r.wrapping_add(v.wrapping_mul(w));
    }
}

/// `(u f + v g, q f + r g) / 2^62`, which are exact divisions.
fn apply([u, v, q, r]: [i64; 4], f: [i64; 5], g: [i64; 5]) -> ([i64; 5], [i64; 5]) {
    let (mut sum_f, mut sum_g) = (0i128, 0i128);
    let (mut new_f, mut new_g) = (Five::default(), Five::default());
    for (f, g) in f.into_iter().zip(g) {
        sum_f = sum_f.wrapping_add(wide(u, f)).wrapping_add(wide(v, g));
        sum_g = sum_g.wrapping_add(wide(q, f)).wrapping_add(wide(r, g));
        new_f.push(sum_f as i64 & MASK);
        new_g.push(sum_g as i64 & MASK);
        sum_f >>= 62;
        sum_g >>= 62;
    }
    (new_f.finish(sum_f as i64), new_g.finish(sum_g as i64))
}

/// Brings all digits but the top one into 0 … 2^62 − 1.
fn carry([a, b, c, d, e]: [i64; 5]) -> [i64; 5] {
    let b = b.wrapping_add(a >> 62);
    let c = c.wrapping_add(b >> 62);
    let d = d.wrapping_add(c >> 62);
    let e = e.wrapping_add(d >> 62);
    [a & MASK, b & MASK, c & MASK, d & MASK, e]
}

fn to_digits([a, b, c, d]: U256) -> [i64; 5] {
    [
        a as i64 & MASK,
        (a >> 62 | b << 2) as i64 & MASK,
        (b >> 60 | c << 4) as i64 & MASK,
        (c >> 58 | d << 6) as i64 & MASK,
        (d >> 56) as i64,
    ]
}

fn from_digits(digits: [i64; 5]) -> U256 {
    let [a, b, c, d, e] = digits.map(|digit| digit as u64);
    [
        a | b << 62,
        b >> 2 | c << 60,
        c >> 4 | d << 58,
        d >> 6 | e << 56,
    ]
}

/// `a − b` modulo 2^256, and whether b was larger.
#[inline]
pub(crate) fn sub([a0, a1, a2, a3]: U256, [b0, b1, b2, b3]: U256) -> (U256, bool) {
    let (r0, c) = a0.borrowing_sub(b0, false);
    let (r1, c) = a1.borrowing_sub(b1, c);
    let (r2, c) = a2.borrowing_sub(b2, c);
    let (r3, c) = a3.borrowing_sub(b3, c);
    ([r0, r1, r2, r3], c)
}

/// From 32 bytes, big endian.
#[inline]
pub(crate) fn from_be(bytes: &[u8; 32]) -> U256 {
    let mut words = bytes.rchunks_exact(8).map(|chunk| {
        chunk
            .iter()
            .fold(0u64, |word, byte| word << 8 | u64::from(*byte))
    });
    std::array::from_fn(|_| words.next().unwrap_or(0))
}

/// To 32 bytes, big endian.
#[inline]
pub(crate) fn to_be([a, b, c, d]: U256) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip([d, c, b, a]) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use rand::{RngCore, SeedableRng, rngs::StdRng};

    use super::*;

    fn big(a: U256) -> BigUint {
        BigUint::from_bytes_be(&to_be(a))
    }

    /// Numbers at the edges and random ones, all below m and not zero.
    fn numbers(m: &Modulus) -> Vec<U256> {
        let mut rng = StdRng::seed_from_u64(7);
        let mut all = vec![
            [1, 0, 0, 0],
            [2, 0, 0, 0],
            [0, 0, 0, 1 << 63],
            [u64::MAX; 4],
        ];
        for less in 1..4 {
            all.push(sub(m.m, [less, 0, 0, 0]).0);
        }
        for _ in 0..2000 {
            all.push(std::array::from_fn(|_| match rng.next_u32() % 8 {
                0 => 0,
                1 => u64::MAX,
                _ => rng.next_u64(),
            }));
        }
        all.retain(|a| *a != [0; 4] && sub(*a, m.m).1);
        all
    }

    #[test]
    fn products_and_inverses_agree_with_plain_big_integers() {
        for modulus in [&P, &N] {
            let m = big(modulus.m);
            let r = (BigUint::from(1u8) << 256u32) % &m;
            let all = numbers(modulus);
            for pair in all.windows(2) {
                let (a, b) = (pair[0], pair[1]);
                assert_eq!(big(modulus.mul(a, b)) * &r % &m, big(a) * big(b) % &m);
                let any = [u64::MAX; 4];
                assert_eq!(big(modulus.mul(any, b)) * &r % &m, big(any) * big(b) % &m);
                assert_eq!((big(modulus.negate(a)) + big(a)) % &m, BigUint::ZERO);
            }
            for a in &all {
                let inverse = modulus.invert(*a).unwrap();
                assert_eq!(big(inverse) * big(*a) % &m, BigUint::from(1u8));
                assert!(sub(inverse, modulus.m).1);
            }
            for len in [0, 1, 2, 9, 100] {
                let mut batch = all[..len].to_vec();
                modulus.invert_all(&mut batch).unwrap();
                for (a, inverse) in all.iter().zip(batch) {
                    assert_eq!(big(inverse) * big(*a) % &m, BigUint::from(1u8));
                }
            }
            assert_eq!(modulus.invert([0; 4]), None);
            assert_eq!(modulus.invert_all(&mut [all[0], [0; 4]]), None);
        }
    }
}
