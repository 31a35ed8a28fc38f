//! Eight numbers modulo p in the lanes of vectors.
//!
//! A number is five limbs of 52 bits, in Montgomery form with the factor 2^260. Between operations
//! it is below 2^260, that is 16 p, and its limbs are below 2^52; the comments give tighter bounds
//! where they matter. A product is below a b / 2^260 + p, [`weak`] leaves less than 1.01 p.

use std::arch::x86_64::{
    __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_andnot_si512,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64, _mm512_movepi64_mask,
    _mm512_or_si512, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi64, _mm512_srai_epi64,
    _mm512_srli_epi64, _mm512_sub_epi64,
};

pub(super) type V = __m512i;

/// A field element in each lane.
#[derive(Clone, Copy)]
pub(super) struct F(pub(super) [V; 5]);

const LIMB: i64 = (1 << 52) - 1;
/// 2^44 − 2^12 and 2^48 − 2^16: p + 1 = C4 · 2^208 − C1 · 2^52.
const C1: i64 = (1 << 44) - (1 << 12);
const C4: i64 = (1 << 48) - (1 << 16);
/// p in limbs.
const P: [i64; 5] = [LIMB, LIMB - C1, LIMB, LIMB, C4 - 1];
/// 32 p with limbs so large that a difference of up to 16 numbers in limbs stays positive in each:
/// what the next limb lends, 2^57, is taken from it as 2^5.
const LENT: [i64; 5] = [
    (P[0] << 5) + (1 << 57),
    (P[1] << 5) + (1 << 57) - 32,
    (P[2] << 5) + (1 << 57) - 32,
    (P[3] << 5) + (1 << 57) - 32,
    (P[4] << 5) - 32,
];

#[inline]
#[target_feature(enable = "avx512f")]
fn constant(value: i64) -> V {
    _mm512_set1_epi64(value)
}

/// Carries upwards until all limbs but the highest are below 2^52. Limbs may be negative as long as
/// the number is not.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn carry([a, b, c, d, e]: [V; 5]) -> F {
    let mask = constant(LIMB);
    let b = _mm512_add_epi64(b, _mm512_srai_epi64::<52>(a));
    let c = _mm512_add_epi64(c, _mm512_srai_epi64::<52>(b));
    let d = _mm512_add_epi64(d, _mm512_srai_epi64::<52>(c));
    let e = _mm512_add_epi64(e, _mm512_srai_epi64::<52>(d));
    F([
        _mm512_and_si512(a, mask),
        _mm512_and_si512(b, mask),
        _mm512_and_si512(c, mask),
        _mm512_and_si512(d, mask),
        e,
    ])
}

/// As [`carry`] for limbs that are not negative, and takes multiples of p away: the result is below
/// 1.01 p. What stands above bit 256, q, is replaced by q (2^224 + 2^96 − 2^64 + 1).
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn weak([a, b, c, d, e]: [V; 5]) -> F {
    let q = _mm512_srli_epi64::<48>(e);
    let e = _mm512_and_si512(e, constant((1 << 48) - 1));
    let a = _mm512_add_epi64(a, q);
    let b = _mm512_add_epi64(b, _mm512_slli_epi64::<44>(q));
    let b = _mm512_sub_epi64(b, _mm512_slli_epi64::<12>(q));
    let e = _mm512_add_epi64(e, _mm512_slli_epi64::<16>(q));
    carry([a, b, c, d, e])
}

/// Montgomery's reduction: `t / 2^260` modulo p. As p ≡ −1 modulo 2^52, the multiple m of p that
/// clears a limb is the limb itself, and t + m p = t − m + m C4 2^208 − m C1 2^52. The last term is
/// added as (2^52 − 1 − m) C1 2^52, which is too much by C1 2^52 (2^52 − 1); over the five limbs
/// these differences add up to C1 2^312 − C1 2^52, which `mul` and `square` start from.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce(mut t: [V; 10]) -> F {
    let (mask, c1, c4) = (constant(LIMB), constant(C1), constant(C4));
    macro_rules! step {
        ($i:literal, $j:literal, $k:literal, $l:literal, $m:literal) => {
            let m = _mm512_and_si512(t[$i], mask);
            let opposite = _mm512_andnot_si512(t[$i], mask);
            t[$j] = _mm512_add_epi64(t[$j], _mm512_srai_epi64::<52>(t[$i]));
            t[$j] = _mm512_madd52lo_epu64(t[$j], opposite, c1);
            t[$k] = _mm512_madd52hi_epu64(t[$k], opposite, c1);
            t[$l] = _mm512_madd52lo_epu64(t[$l], m, c4);
            t[$m] = _mm512_madd52hi_epu64(t[$m], m, c4);
        };
    }
    step!(0, 1, 2, 4, 5);
    step!(1, 2, 3, 5, 6);
    step!(2, 3, 4, 6, 7);
    step!(3, 4, 5, 7, 8);
    step!(4, 5, 6, 8, 9);
    let [_, _, _, _, _, high @ ..] = t;
    carry(high)
}

/// Zero, with what [`reduce`] adds too much taken away.
#[inline]
#[target_feature(enable = "avx512f")]
fn start() -> [V; 10] {
    let mut t = [_mm512_setzero_si512(); 10];
    t[1] = constant(C1);
    t[6] = constant(-C1);
    t
}

/// Adds a product to two limbs: its low half of 52 bits to the first, the other to the second.
macro_rules! add_product {
    ($t:ident, $($i:literal, $j:literal: $a:ident $b:ident),*) => { $(
        $t[$i] = _mm512_madd52lo_epu64($t[$i], $a, $b);
        $t[$j] = _mm512_madd52hi_epu64($t[$j], $a, $b);
    )* };
}

/// Below a b / 2^260 + p.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn mul(&F([a0, a1, a2, a3, a4]): &F, &F([b0, b1, b2, b3, b4]): &F) -> F {
    let mut t = start();
    add_product!(t, 0, 1: a0 b0, 1, 2: a0 b1, 2, 3: a0 b2, 3, 4: a0 b3, 4, 5: a0 b4);
    add_product!(t, 1, 2: a1 b0, 2, 3: a1 b1, 3, 4: a1 b2, 4, 5: a1 b3, 5, 6: a1 b4);
    add_product!(t, 2, 3: a2 b0, 3, 4: a2 b1, 4, 5: a2 b2, 5, 6: a2 b3, 6, 7: a2 b4);
    add_product!(t, 3, 4: a3 b0, 4, 5: a3 b1, 5, 6: a3 b2, 6, 7: a3 b3, 7, 8: a3 b4);
    add_product!(t, 4, 5: a4 b0, 5, 6: a4 b1, 6, 7: a4 b2, 7, 8: a4 b3, 8, 9: a4 b4);
    reduce(t)
}

/// Below a² / 2^260 + p.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn square(&F([a0, a1, a2, a3, a4]): &F) -> F {
    let mut t = [_mm512_setzero_si512(); 10];
    add_product!(t, 1, 2: a0 a1, 2, 3: a0 a2, 3, 4: a0 a3, 4, 5: a0 a4);
    add_product!(t, 3, 4: a1 a2, 4, 5: a1 a3, 5, 6: a1 a4);
    add_product!(t, 5, 6: a2 a3, 6, 7: a2 a4, 7, 8: a3 a4);
    for (limb, first) in t.iter_mut().zip(start()) {
        *limb = _mm512_add_epi64(_mm512_add_epi64(*limb, *limb), first);
    }
    add_product!(t, 0, 1: a0 a0, 2, 3: a1 a1, 4, 5: a2 a2, 6, 7: a3 a3, 8, 9: a4 a4);
    reduce(t)
}

/// `a − b − 2^k c`, below 1.01 p. The highest limbs of `b` and `2^k c` are below 2^53 together.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn sub<const K: u32>(F(a): &F, F(b): &F, F(c): &F) -> F {
    let mut out = *a;
    for (((out, lent), b), c) in out.iter_mut().zip(LENT).zip(b).zip(c) {
        let less = _mm512_add_epi64(*b, _mm512_slli_epi64::<K>(*c));
        *out = _mm512_sub_epi64(_mm512_add_epi64(*out, constant(lent)), less);
    }
    weak(out)
}

/// 2^k a with limbs that are not carried.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn shl<const K: u32>(F([a, b, c, d, e]): &F) -> F {
    F([
        _mm512_slli_epi64::<K>(*a),
        _mm512_slli_epi64::<K>(*b),
        _mm512_slli_epi64::<K>(*c),
        _mm512_slli_epi64::<K>(*d),
        _mm512_slli_epi64::<K>(*e),
    ])
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn zero() -> F {
    F([_mm512_setzero_si512(); 5])
}

/// The factor 2^260 modulo p, that is 1.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn one() -> F {
    // 16 (2^224 + 2^96 − 2^64 + 1)
    F([16, (1 << 48) - (1 << 16), 0, 0, 1 << 20].map(|limb| constant(limb)))
}

/// `a` in the lanes of `mask`, `b` in the others.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn select(mask: __mmask8, F(a): &F, F(b): &F) -> F {
    let mut out = *b;
    for (b, a) in out.iter_mut().zip(a) {
        *b = _mm512_mask_mov_epi64(*b, mask, *a);
    }
    F(out)
}

/// From the portable form, four words and the factor 2^256: 16 times the number, below 16 p.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn from_words([a, b, c, d]: [V; 4]) -> F {
    let mask = constant(LIMB);
    let join = |low, high| _mm512_and_si512(_mm512_or_si512(low, high), mask);
    F([
        _mm512_and_si512(_mm512_slli_epi64::<4>(a), mask),
        join(_mm512_srli_epi64::<48>(a), _mm512_slli_epi64::<16>(b)),
        join(_mm512_srli_epi64::<36>(b), _mm512_slli_epi64::<28>(c)),
        join(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<40>(d)),
        _mm512_srli_epi64::<12>(d),
    ])
}

/// The portable form of a number below 1.2 p: divided by 16 and below p.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) fn to_words(number: &F) -> [V; 4] {
    // 2^256 modulo p; the product is below p + 2^225.
    let factor = F([1, C1, 0, 0, 1 << 16].map(|limb| constant(limb)));
    let product = mul(number, &factor);
    let mut less = product.0;
    for (limb, p) in less.iter_mut().zip(P) {
        *limb = _mm512_sub_epi64(*limb, constant(p));
    }
    let less = carry(less);
    let negative = _mm512_movepi64_mask(less.0[4]);
    let F([a, b, c, d, e]) = select(negative, &product, &less);
    let join = |low, high| _mm512_or_si512(low, high);
    [
        join(a, _mm512_slli_epi64::<52>(b)),
        join(_mm512_srli_epi64::<12>(b), _mm512_slli_epi64::<40>(c)),
        join(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<28>(d)),
        join(_mm512_srli_epi64::<36>(d), _mm512_slli_epi64::<16>(e)),
    ]
}

/// `count` squarings.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn squares(mut number: F, count: u32) -> F {
    for _ in 0..count {
        number = square(&number);
    }
    number
}

/// The inverse, as [`Fe::invert`].
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn invert(x: &F) -> F {
    let x2 = mul(&squares(*x, 1), x);
    let x4 = mul(&squares(x2, 2), &x2);
    let x6 = mul(&squares(x4, 2), &x2);
    let x12 = mul(&squares(x6, 6), &x6);
    let x24 = mul(&squares(x12, 12), &x12);
    let x30 = mul(&squares(x24, 6), &x6);
    let x31 = mul(&squares(x30, 1), x);
    let x32 = mul(&squares(x31, 1), x);
    let mut out = squares(x31, 1);
    for _ in 0..4 {
        out = mul(&squares(out, 32), &x32);
    }
    out = mul(&squares(out, 64), &x32);
    out = mul(&squares(out, 30), &x30);
    mul(&squares(out, 2), x)
}
