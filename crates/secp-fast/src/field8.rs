//! Eight elements of the field modulo p = 2^256 − 2^32 − 977 at once, one per 64-bit lane.
//!
//! An element is five limbs of 52 bits, the unit of the processor's multiply-and-add. Reduction is
//! lazy, under one rule:
//!
//! * every limb is below 2^52 (the multiplier reads no more bits than that);
//! * an element is *weak* if also its top limb is at most 2^48, so that its value is below
//!   2^256 + 2^208 < 2p. All operations give weak elements but those named `loose`, whose results
//!   may only be factors;
//! * *canonical* means below p.
//!
//! Linear combinations are formed limb by limb without carries ([`Limbs`]) and then brought back
//! by [`Limbs::weak`] or [`Limbs::loose`], which state what they can take. Debug builds check.

use std::arch::x86_64::*;

use crate::{
    gate::{lanes, vector},
    modular::U256,
};

/// Ones in the low 52 and 48 bits.
const MASK_52: i64 = (1 << 52) - 1;
const MASK_48: i64 = (1 << 48) - 1;
/// 2^256 modulo p.
const FOLD_256: i64 = 0x1_0000_03d1;
/// 2^260 modulo p.
const FOLD_260: i64 = FOLD_256 << 4;

/// Eight field elements; see the module for what holds.
#[derive(Clone, Copy)]
pub(crate) struct Field8([__m512i; 5]);

/// Eight numbers in limbs that need not be below 2^52: a linear combination of elements.
#[derive(Clone, Copy)]
pub(crate) struct Limbs([__m512i; 5]);

/// `limbs` of 52 bits of a number below 2^256.
const fn split([a, b, c, d]: U256) -> [u64; 5] {
    let mask = MASK_52 as u64;
    [
        a & mask,
        (a >> 52 | b << 12) & mask,
        (b >> 40 | c << 24) & mask,
        (c >> 28 | d << 36) & mask,
        d >> 16,
    ]
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
fn splat(value: i64) -> __m512i {
    _mm512_set1_epi64(value)
}

/// Adds the low halves of the products of one limb with five to the first five of six columns, the
/// high halves to the last five.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
fn row([t0, t1, t2, t3, t4, t5]: [__m512i; 6], x: __m512i, y: [__m512i; 5]) -> [__m512i; 6] {
    let [y0, y1, y2, y3, y4] = y;
    let t0 = _mm512_madd52lo_epu64(t0, x, y0);
    let t1 = _mm512_madd52lo_epu64(t1, x, y1);
    let t2 = _mm512_madd52lo_epu64(t2, x, y2);
    let t3 = _mm512_madd52lo_epu64(t3, x, y3);
    let t4 = _mm512_madd52lo_epu64(t4, x, y4);
    let t1 = _mm512_madd52hi_epu64(t1, x, y0);
    let t2 = _mm512_madd52hi_epu64(t2, x, y1);
    let t3 = _mm512_madd52hi_epu64(t3, x, y2);
    let t4 = _mm512_madd52hi_epu64(t4, x, y3);
    let t5 = _mm512_madd52hi_epu64(t5, x, y4);
    [t0, t1, t2, t3, t4, t5]
}

/// Carries of the first four limbs, one after the other.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
fn ripple([a, b, c, d, e]: [__m512i; 5]) -> [__m512i; 5] {
    let mask = splat(MASK_52);
    let b = _mm512_add_epi64(b, _mm512_srli_epi64::<52>(a));
    let c = _mm512_add_epi64(c, _mm512_srli_epi64::<52>(b));
    let d = _mm512_add_epi64(d, _mm512_srli_epi64::<52>(c));
    let e = _mm512_add_epi64(e, _mm512_srli_epi64::<52>(d));
    [
        _mm512_and_si512(a, mask),
        _mm512_and_si512(b, mask),
        _mm512_and_si512(c, mask),
        _mm512_and_si512(d, mask),
        e,
    ]
}

/// Reduces a product in ten columns, each below 2^57, that is below 2^520 as a whole.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
fn reduce(low: [__m512i; 5], high: [__m512i; 5]) -> Field8 {
    // The upper half must be in proper limbs to be multiplied. It is at most the product / 2^260,
    // so that its top limb fits; the carries of the lower half may stay where they are.
    let high = ripple(high);
    let zero = _mm512_setzero_si512();
    let [t0, t1, t2, t3, t4] = low;
    // Ten more terms at most two to a column: columns stay below 2^58. The last is below 2^37.
    let [t0, t1, t2, t3, t4, t5] = row([t0, t1, t2, t3, t4, zero], splat(FOLD_260), high);
    fold([t0, t1, t2, t3, t4], _mm512_slli_epi64::<4>(t5))
}

/// Takes everything from 2^256 up away, as far as the two top limbs show it, and carries. `extra`
/// is added to the multiple of 2^256.
///
/// Limbs below 2^58, `extra` below 2^42: the multiple is below 2^43, its product with 2^256 modulo
/// p below 2^76. After that carries are below 2^6 and the one into the top limb at most 1 (the limb
/// before it has been cut to 52 bits), so that the top limb is at most 2^48: weak.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
fn fold([t0, t1, t2, t3, t4]: [__m512i; 5], extra: __m512i) -> Field8 {
    let t4 = _mm512_add_epi64(t4, _mm512_srli_epi64::<52>(t3));
    let t3 = _mm512_and_si512(t3, splat(MASK_52));
    let multiple = _mm512_add_epi64(_mm512_srli_epi64::<48>(t4), extra);
    let t4 = _mm512_and_si512(t4, splat(MASK_48));
    let t0 = _mm512_madd52lo_epu64(t0, multiple, splat(FOLD_256));
    let t1 = _mm512_madd52hi_epu64(t1, multiple, splat(FOLD_256));
    Field8(ripple([t0, t1, t2, t3, t4])).checked_weak()
}

impl Limbs {
    /// `self + other`.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn plus(self, Limbs([f, g, h, i, j]): Limbs) -> Limbs {
        let [a, b, c, d, e] = self.0;
        Limbs([
            _mm512_add_epi64(a, f),
            _mm512_add_epi64(b, g),
            _mm512_add_epi64(c, h),
            _mm512_add_epi64(d, i),
            _mm512_add_epi64(e, j),
        ])
    }

    /// `self + 4Kp − other`, where `other` is a sum of at most 2K − 1 weak elements.
    ///
    /// 4p is written with limbs of which each is at least that of one weak element, and 4Kp with
    /// limbs at least 2K − 1 times that: no limb becomes negative.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn minus<const K: i64>(self, Limbs([f, g, h, i, j]): Limbs) -> Limbs {
        const {
            assert!(K >= 1 && K <= 5);
        }
        let [a, b, c, d, e] = self.0;
        let first = splat(K * ((1 << 53) - 4 * FOLD_256));
        let middle = splat(K * ((1 << 53) - 2));
        let last = splat(K * ((1 << 50) - 2));
        Limbs([
            _mm512_sub_epi64(_mm512_add_epi64(a, first), f),
            _mm512_sub_epi64(_mm512_add_epi64(b, middle), g),
            _mm512_sub_epi64(_mm512_add_epi64(c, middle), h),
            _mm512_sub_epi64(_mm512_add_epi64(d, middle), i),
            _mm512_sub_epi64(_mm512_add_epi64(e, last), j),
        ])
        .checked(58)
    }

    /// `2^N · self`.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn shifted<const N: u32>(self) -> Limbs {
        let [a, b, c, d, e] = self.0;
        Limbs([
            _mm512_slli_epi64::<N>(a),
            _mm512_slli_epi64::<N>(b),
            _mm512_slli_epi64::<N>(c),
            _mm512_slli_epi64::<N>(d),
            _mm512_slli_epi64::<N>(e),
        ])
    }

    /// As a weak element. Limbs must be below 2^58.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn weak(self) -> Field8 {
        fold(self.checked(58).0, _mm512_setzero_si512())
    }

    /// As a factor, which is not weak. The value must be below 2^260: at most 15 weak elements,
    /// 4p counting as four.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn loose(self) -> Field8 {
        let result = ripple(self.checked(58).0);
        debug_assert!(Limbs(result).below(52), "a factor's limbs have 52 bits");
        Field8(result)
    }

    fn below(self, bits: u32) -> bool {
        self.0
            .into_iter()
            .flat_map(lanes)
            .all(|limb| limb >> bits == 0)
    }

    #[inline]
    fn checked(self, bits: u32) -> Self {
        debug_assert!(self.below(bits), "a limb has {bits} bits");
        self
    }
}

impl Field8 {
    /// The same element, below 2^256, in every lane.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn constant(value: U256) -> Self {
        let [a, b, c, d, e] = split(value);
        Self([
            splat(a as i64),
            splat(b as i64),
            splat(c as i64),
            splat(d as i64),
            splat(e as i64),
        ])
    }

    /// Zero and one.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn zero() -> Self {
        Self([_mm512_setzero_si512(); 5])
    }

    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn one() -> Self {
        Self::constant([1, 0, 0, 0])
    }

    /// From four words per lane, any number below 2^256.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn from_words([a, b, c, d]: [__m512i; 4]) -> Self {
        let mask = splat(MASK_52);
        Self([
            _mm512_and_si512(a, mask),
            _mm512_and_si512(
                _mm512_or_si512(_mm512_srli_epi64::<52>(a), _mm512_slli_epi64::<12>(b)),
                mask,
            ),
            _mm512_and_si512(
                _mm512_or_si512(_mm512_srli_epi64::<40>(b), _mm512_slli_epi64::<24>(c)),
                mask,
            ),
            _mm512_and_si512(
                _mm512_or_si512(_mm512_srli_epi64::<28>(c), _mm512_slli_epi64::<36>(d)),
                mask,
            ),
            _mm512_srli_epi64::<16>(d),
        ])
    }

    /// Four words per lane of a canonical element.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn to_words(self) -> [__m512i; 4] {
        let [a, b, c, d, e] = self.0;
        [
            _mm512_or_si512(a, _mm512_slli_epi64::<52>(b)),
            _mm512_or_si512(_mm512_srli_epi64::<12>(b), _mm512_slli_epi64::<40>(c)),
            _mm512_or_si512(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<28>(d)),
            _mm512_or_si512(_mm512_srli_epi64::<36>(d), _mm512_slli_epi64::<16>(e)),
        ]
    }

    /// From one number per lane.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    pub(crate) fn from_lanes(numbers: [U256; 8]) -> Self {
        Self::from_words([
            vector(numbers.map(|[a, _, _, _]| a)),
            vector(numbers.map(|[_, b, _, _]| b)),
            vector(numbers.map(|[_, _, c, _]| c)),
            vector(numbers.map(|[_, _, _, d]| d)),
        ])
    }

    /// One number per lane, below p.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    pub(crate) fn to_lanes(self) -> [U256; 8] {
        let [a, b, c, d] = self.canonical().to_words().map(lanes);
        let mut words = a.into_iter().zip(b).zip(c.into_iter().zip(d));
        std::array::from_fn(|_| words.next().map_or([0; 4], |((a, b), (c, d))| [a, b, c, d]))
    }

    /// As limbs, to combine it with others.
    #[inline]
    pub(crate) fn limbs(self) -> Limbs {
        Limbs(self.0)
    }

    /// The product.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn mul(self, other: Self) -> Self {
        let zero = _mm512_setzero_si512();
        let ([a0, a1, a2, a3, a4], b) = (self.0, other.0);
        let [t0, t1, t2, t3, t4, t5] = row([zero; 6], a0, b);
        let [t1, t2, t3, t4, t5, t6] = row([t1, t2, t3, t4, t5, zero], a1, b);
        let [t2, t3, t4, t5, t6, t7] = row([t2, t3, t4, t5, t6, zero], a2, b);
        let [t3, t4, t5, t6, t7, t8] = row([t3, t4, t5, t6, t7, zero], a3, b);
        let [t4, t5, t6, t7, t8, t9] = row([t4, t5, t6, t7, t8, zero], a4, b);
        // At most ten terms below 2^52 in a column.
        reduce([t0, t1, t2, t3, t4], [t5, t6, t7, t8, t9])
    }

    /// The square.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn square(self) -> Self {
        let z = _mm512_setzero_si512();
        let [a0, a1, a2, a3, a4] = self.0;
        // The products of different limbs, once each …
        let t1 = _mm512_madd52lo_epu64(z, a0, a1);
        let t2 = _mm512_madd52lo_epu64(z, a0, a2);
        let t3 = _mm512_madd52lo_epu64(z, a0, a3);
        let t4 = _mm512_madd52lo_epu64(z, a0, a4);
        let t5 = _mm512_madd52hi_epu64(z, a0, a4);
        let t6 = _mm512_madd52lo_epu64(z, a2, a4);
        let t7 = _mm512_madd52hi_epu64(z, a2, a4);
        let t8 = _mm512_madd52hi_epu64(z, a3, a4);
        let t2 = _mm512_madd52hi_epu64(t2, a0, a1);
        let t3 = _mm512_madd52hi_epu64(t3, a0, a2);
        let t4 = _mm512_madd52hi_epu64(t4, a0, a3);
        let t5 = _mm512_madd52lo_epu64(t5, a1, a4);
        let t6 = _mm512_madd52hi_epu64(t6, a1, a4);
        let t7 = _mm512_madd52lo_epu64(t7, a3, a4);
        let t3 = _mm512_madd52lo_epu64(t3, a1, a2);
        let t4 = _mm512_madd52hi_epu64(t4, a1, a2);
        let t5 = _mm512_madd52lo_epu64(t5, a2, a3);
        let t6 = _mm512_madd52hi_epu64(t6, a2, a3);
        let t4 = _mm512_madd52lo_epu64(t4, a1, a3);
        let t5 = _mm512_madd52hi_epu64(t5, a1, a3);
        // … doubled, and the squares of the limbs.
        let t0 = _mm512_madd52lo_epu64(z, a0, a0);
        let t1 = _mm512_madd52hi_epu64(_mm512_add_epi64(t1, t1), a0, a0);
        let t2 = _mm512_madd52lo_epu64(_mm512_add_epi64(t2, t2), a1, a1);
        let t3 = _mm512_madd52hi_epu64(_mm512_add_epi64(t3, t3), a1, a1);
        let t4 = _mm512_madd52lo_epu64(_mm512_add_epi64(t4, t4), a2, a2);
        let t5 = _mm512_madd52hi_epu64(_mm512_add_epi64(t5, t5), a2, a2);
        let t6 = _mm512_madd52lo_epu64(_mm512_add_epi64(t6, t6), a3, a3);
        let t7 = _mm512_madd52hi_epu64(_mm512_add_epi64(t7, t7), a3, a3);
        let t8 = _mm512_madd52lo_epu64(_mm512_add_epi64(t8, t8), a4, a4);
        let t9 = _mm512_madd52hi_epu64(z, a4, a4);
        reduce([t0, t1, t2, t3, t4], [t5, t6, t7, t8, t9])
    }

    /// The sum of weak elements.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn add(self, other: Self) -> Self {
        self.limbs().plus(other.limbs()).weak()
    }

    /// The difference of weak elements.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn sub(self, other: Self) -> Self {
        self.limbs().minus::<1>(other.limbs()).weak()
    }

    /// The difference of weak elements, as a factor.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn sub_loose(self, other: Self) -> Self {
        self.limbs().minus::<1>(other.limbs()).loose()
    }

    /// `−self` where `mask` has a bit, `self` elsewhere; weak.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn negate_where(self, mask: u8) -> Self {
        let negated = Self::zero().sub(self);
        self.replace(mask, negated)
    }

    /// `other` where `mask` has a bit, `self` elsewhere.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn replace(self, mask: u8, Self([f, g, h, i, j]): Self) -> Self {
        let [a, b, c, d, e] = self.0;
        Self([
            _mm512_mask_mov_epi64(a, mask, f),
            _mm512_mask_mov_epi64(b, mask, g),
            _mm512_mask_mov_epi64(c, mask, h),
            _mm512_mask_mov_epi64(d, mask, i),
            _mm512_mask_mov_epi64(e, mask, j),
        ])
    }

    /// The representative below p, of any element.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn canonical(self) -> Self {
        // Below 2^256 + 2^37 afterwards, hence below 2p.
        let Self([a, b, c, d, e]) = self;
        let multiple = _mm512_srli_epi64::<48>(e);
        let e = _mm512_and_si512(e, splat(MASK_48));
        let a = _mm512_madd52lo_epu64(a, multiple, splat(FOLD_256));
        let value = ripple([a, b, c, d, e]);
        // v ≥ p exactly if v + (2^256 − p) reaches 2^256, and then v − p is the rest.
        let [a, b, c, d, e] = value;
        let [a, b, c, d, e] = ripple([_mm512_add_epi64(a, splat(FOLD_256)), b, c, d, e]);
        let reaches = _mm512_test_epi64_mask(e, splat(!MASK_48));
        let reduced = [a, b, c, d, _mm512_and_si512(e, splat(MASK_48))];
        Self(value).replace(reaches, Self(reduced))
    }

    /// Lanes in which the element, of any kind, is zero modulo p.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn zero_lanes(self) -> u8 {
        let Self([a, b, c, d, e]) = self.canonical();
        let any = _mm512_or_si512(
            _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d)),
            e,
        );
        _mm512_testn_epi64_mask(any, any)
    }

    /// Lanes in which a canonical element is odd.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn odd_lanes(self) -> u8 {
        let Self([a, ..]) = self;
        _mm512_test_epi64_mask(a, splat(1))
    }

    /// Lanes in which two canonical elements are equal.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    #[inline]
    pub(crate) fn equal_lanes(self, other: Self) -> u8 {
        self.0
            .into_iter()
            .zip(other.0)
            .fold(0xff, |mask, (a, b)| mask & _mm512_cmpeq_epi64_mask(a, b))
    }

    #[inline]
    fn checked_weak(self) -> Self {
        debug_assert!(
            Limbs(self.0).below(52) && lanes(self.0[4]).iter().all(|top| *top <= 1 << 48),
            "a weak element"
        );
        self
    }
}

#[cfg(test)]
#[path = "field8_tests.rs"]
mod tests;
