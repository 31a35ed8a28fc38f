//! Eight sums `[s]G + [t]P` at once with AVX-512 IFMA: every vector holds one limb of eight
//! numbers, one lane for each signature.
//!
//! A number is five limbs of 52 bits, in Montgomery form with the factor 2^260. Between operations
//! it is below 2^260, that is 16 p, and its limbs are below 2^52; the comments give tighter bounds
//! where they matter. A product is below a b / 2^260 + p, [`weak`] leaves less than 1.01 p.
//!
//! The formulas here leave out the exceptional cases. All of them are additions of points with
//! equal x coordinates, which make Z zero; from there Z stays zero, through additions and
//! doublings. A sum with Z = 0 is therefore either infinity or unknown, [`Sum`] says so, and the
//! caller asks the portable code.

use std::arch::x86_64::{
    __m512i, __mmask8, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512,
    _mm512_andnot_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64,
    _mm512_mask_sub_epi64, _mm512_movepi64_mask, _mm512_or_si512, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_slli_epi64, _mm512_srai_epi64,
    _mm512_srli_epi64, _mm512_sub_epi64, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use super::field::Fe;
use super::int::U256;
pub(crate) use super::point::Affine;
use super::point::Jacobian;
use super::tables::{G_DIGITS, G_WIDTH, P_DIGITS, P_ENTRIES, P_WIDTH, Table, digits};
use crate::simd::{load_point, store};

/// One lane's work.
pub(crate) struct Job<'a> {
    pub(super) s: U256,
    pub(super) t: U256,
    /// The key's multiples.
    pub(super) table: &'a Table,
}

/// What a lane came to: the sum, or `None` where Z is zero.
pub(crate) type Sum = Option<Jacobian>;

type V = __m512i;

/// A field element in each lane.
#[derive(Clone, Copy)]
struct F([V; 5]);

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
fn carry([a, b, c, d, e]: [V; 5]) -> F {
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
fn weak([a, b, c, d, e]: [V; 5]) -> F {
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
fn mul(&F([a0, a1, a2, a3, a4]): &F, &F([b0, b1, b2, b3, b4]): &F) -> F {
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
fn square(&F([a0, a1, a2, a3, a4]): &F) -> F {
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
fn sub<const K: u32>(F(a): &F, F(b): &F, F(c): &F) -> F {
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
fn shl<const K: u32>(F([a, b, c, d, e]): &F) -> F {
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
fn zero() -> F {
    F([_mm512_setzero_si512(); 5])
}

/// The factor 2^260 modulo p, that is 1.
#[inline]
#[target_feature(enable = "avx512f")]
fn one() -> F {
    // 16 (2^224 + 2^96 − 2^64 + 1)
    F([16, (1 << 48) - (1 << 16), 0, 0, 1 << 20].map(|limb| constant(limb)))
}

/// Points in Jacobian coordinates. Coordinates are below 1.2 p.
#[derive(Clone, Copy)]
struct Points {
    x: F,
    y: F,
    z: F,
}

/// Points in affine coordinates, as they come from tables: coordinates below 16 p.
#[derive(Clone, Copy)]
struct AffinePoints {
    x: F,
    y: F,
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn double(Points { x, y, z }: &Points) -> Points {
    let delta = square(z);
    let gamma = square(y);
    let beta = mul(x, &gamma);
    let difference = sub::<0>(x, &delta, &zero());
    let mut sum = x.0;
    for (x, delta) in sum.iter_mut().zip(delta.0) {
        let both = _mm512_add_epi64(*x, delta);
        *x = _mm512_add_epi64(both, _mm512_add_epi64(both, both));
    }
    // Below 7 p.
    let alpha = mul(&difference, &carry(sum));
    let x3 = sub::<3>(&square(&alpha), &zero(), &beta);
    let z3 = mul(&carry(shl::<1>(y).0), z);
    let inner = sub::<0>(&shl::<2>(&beta), &x3, &zero());
    let y3 = sub::<3>(&mul(&alpha, &inner), &zero(), &square(&gamma));
    Points {
        x: x3,
        y: y3,
        z: z3,
    }
}

/// Sums, with the other point's opposite in the lanes of `negative`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add(Points { x, y, z }: &Points, other: &AffinePoints, negative: __mmask8) -> Points {
    let zz = square(z);
    let u = mul(&other.x, &zz);
    let mut s = mul(&other.y, &mul(z, &zz));
    for limb in &mut s.0 {
        *limb = _mm512_mask_sub_epi64(*limb, negative, _mm512_setzero_si512(), *limb);
    }
    let h = sub::<0>(&u, x, &zero());
    let r = sub::<0>(&s, y, &zero());
    let hh = square(&h);
    let hhh = mul(&h, &hh);
    let v = mul(x, &hh);
    let x3 = sub::<1>(&square(&r), &hhh, &v);
    let y3 = mul(&r, &sub::<0>(&v, &x3, &zero()));
    Points {
        x: x3,
        y: sub::<0>(&y3, &mul(y, &hhh), &zero()),
        z: mul(z, &h),
    }
}

/// Sums of points of which none is in affine coordinates.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_full(a: &Points, b: &Points) -> Points {
    let (azz, bzz) = (square(&a.z), square(&b.z));
    let u = mul(&a.x, &bzz);
    let s = mul(&a.y, &mul(&b.z, &bzz));
    let h = sub::<0>(&mul(&b.x, &azz), &u, &zero());
    let r = sub::<0>(&mul(&b.y, &mul(&a.z, &azz)), &s, &zero());
    let hh = square(&h);
    let hhh = mul(&h, &hh);
    let v = mul(&u, &hh);
    let x = sub::<1>(&square(&r), &hhh, &v);
    let y = mul(&r, &sub::<0>(&v, &x, &zero()));
    Points {
        x,
        y: sub::<0>(&y, &mul(&s, &hhh), &zero()),
        z: mul(&mul(&a.z, &b.z), &h),
    }
}

/// `a` in the lanes of `mask`, `b` in the others.
#[inline]
#[target_feature(enable = "avx512f")]
fn select(mask: __mmask8, F(a): &F, F(b): &F) -> F {
    let mut out = *b;
    for (b, a) in out.iter_mut().zip(a) {
        *b = _mm512_mask_mov_epi64(*b, mask, *a);
    }
    F(out)
}

/// Sums that begin at nothing.
struct Running {
    sum: Points,
    /// Lanes that have had a point.
    started: __mmask8,
}

/// What to add in a lane: a multiple of a point, its sign in the sign of the digit; nothing for
/// the digit 0.
type Term<'a> = (&'a Affine, i16);

impl Running {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new() -> Self {
        Self {
            sum: Points {
                x: zero(),
                y: zero(),
                z: zero(),
            },
            started: 0,
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add(&mut self, terms: [Term<'_>; 8]) {
        let (mut negative, mut present) = (0, 0);
        for (lane, (_, digit)) in terms.iter().enumerate() {
            negative |= u8::from(*digit < 0) << lane;
            present |= u8::from(*digit != 0) << lane;
        }
        let other = gather(terms.map(|(point, _)| point));
        let sum = add(&self.sum, &other, negative);
        self.sum = select_points(present & self.started, &sum, &self.sum);
        let first = present & !self.started;
        if first != 0 {
            let negated = sub::<0>(&zero(), &other.y, &zero());
            let start = Points {
                x: weak(other.x.0),
                y: select(negative, &negated, &weak(other.y.0)),
                z: one(),
            };
            self.sum = select_points(first, &start, &self.sum);
            self.started |= first;
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn double(&mut self, times: u32) {
        for _ in 0..times {
            self.sum = double(&self.sum);
        }
    }

    /// Adds to each lane the one that stands `N` further round.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn fold<const N: i32>(&mut self) {
        let turn = |F(limbs): &F| F(limbs.map(|limb| _mm512_alignr_epi64::<N>(limb, limb)));
        let other = Points {
            x: turn(&self.sum.x),
            y: turn(&self.sum.y),
            z: turn(&self.sum.z),
        };
        let started = self.started.rotate_right(N.unsigned_abs());
        let sum = add_full(&self.sum, &other);
        let sum = select_points(self.started & started, &sum, &self.sum);
        self.sum = select_points(!self.started & started, &other, &sum);
        self.started |= started;
    }

    /// The sums of the lanes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn finish(&self) -> [Sum; 8] {
        let Points { x, y, z } = &self.sum;
        let [x, y, z] = [x, y, z].map(|f| to_words(f).map(|word| store(word)));
        let mut lane = 0usize;
        [(); 8].map(|()| {
            let element = |words: &[[u64; 8]; 4]| {
                Fe::from_words(
                    words
                        .each_ref()
                        .map(|word| word.get(lane).copied().unwrap_or(0)),
                )
            };
            let point = Jacobian {
                x: element(&x),
                y: element(&y),
                z: element(&z),
            };
            let known = self.started >> lane & 1 == 1 && !point.is_infinity();
            lane += 1;
            known.then_some(point)
        })
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn select_points(mask: __mmask8, a: &Points, b: &Points) -> Points {
    Points {
        x: select(mask, &a.x, &b.x),
        y: select(mask, &a.y, &b.y),
        z: select(mask, &a.z, &b.z),
    }
}

/// The terms of eight lanes.
#[inline(always)]
fn terms<'a>(term: impl Fn(usize) -> Term<'a>) -> [Term<'a>; 8] {
    [0, 1, 2, 3, 4, 5, 6, 7].map(term)
}

/// See [`crate::simd::multiply`]. `step` is how many digits of `t` share a position of the keys'
/// tables.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(crate) fn multiply(jobs: &[Job<'_>; 8], step: usize) -> [Sum; 8] {
    let t = jobs
        .each_ref()
        .map(|job| digits::<P_DIGITS>(job.t, P_WIDTH));
    let s = jobs
        .each_ref()
        .map(|job| digits::<G_DIGITS>(job.s, G_WIDTH));
    let mut running = Running::new();
    for low in (0..step).rev() {
        if low + 1 < step {
            running.double(P_WIDTH);
        }
        for (position, at) in (low..P_DIGITS).step_by(step).enumerate() {
            running.add(terms(|lane| {
                let digit = digit(t.get(lane), at);
                let table = jobs.get(lane).map_or(Table::base(), |job| job.table);
                (table.pick_any(position, digit), digit)
            }));
        }
    }
    for position in 0..G_DIGITS {
        running.add(terms(|lane| {
            let digit = digit(s.get(lane), position);
            (Table::base().pick_any(position, digit), digit)
        }));
    }
    running.finish()
}

/// See [`crate::simd::multiply_one`]: one sum, whose terms are dealt out to the lanes.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(crate) fn multiply_one(job: &Job<'_>, step: usize) -> Sum {
    let t = digits::<P_DIGITS>(job.t, P_WIDTH);
    let s = digits::<G_DIGITS>(job.s, G_WIDTH);
    let mut running = Running::new();
    for low in (0..step).rev() {
        if low + 1 < step {
            running.double(P_WIDTH);
        }
        for first in (0..P_DIGITS.div_ceil(step)).step_by(8) {
            running.add(terms(|lane| {
                let position = first + lane;
                let digit = digit(Some(&t), position * step + low);
                (job.table.pick_any(position, digit), digit)
            }));
        }
    }
    for first in (0..G_DIGITS).step_by(8) {
        running.add(terms(|lane| {
            let digit = digit(Some(&s), first + lane);
            (Table::base().pick_any(first + lane, digit), digit)
        }));
    }
    running.fold::<4>();
    running.fold::<2>();
    running.fold::<1>();
    let [sum, ..] = running.finish();
    sum
}

/// A digit, 0 beyond the last one.
#[inline(always)]
fn digit<const N: usize>(digits: Option<&[i16; N]>, at: usize) -> i16 {
    digits
        .and_then(|digits| digits.get(at))
        .copied()
        .unwrap_or(0)
}

/// Numbers by columns for numbers by rows, and back.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [V; 8]) -> [V; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let even = quarters([
        _mm512_unpacklo_epi64(a, b),
        _mm512_unpacklo_epi64(c, d),
        _mm512_unpacklo_epi64(e, f),
        _mm512_unpacklo_epi64(g, h),
    ]);
    let odd = quarters([
        _mm512_unpackhi_epi64(a, b),
        _mm512_unpackhi_epi64(c, d),
        _mm512_unpackhi_epi64(e, f),
        _mm512_unpackhi_epi64(g, h),
    ]);
    let ([a, c, e, g], [b, d, f, h]) = (even, odd);
    [a, b, c, d, e, f, g, h]
}

/// The same for four rows of four quarters.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarters([a, b, c, d]: [V; 4]) -> [V; 4] {
    let (e, f) = (
        _mm512_shuffle_i64x2::<0x88>(a, b),
        _mm512_shuffle_i64x2::<0xdd>(a, b),
    );
    let (g, h) = (
        _mm512_shuffle_i64x2::<0x88>(c, d),
        _mm512_shuffle_i64x2::<0xdd>(c, d),
    );
    [
        _mm512_shuffle_i64x2::<0x88>(e, g),
        _mm512_shuffle_i64x2::<0x88>(f, h),
        _mm512_shuffle_i64x2::<0xdd>(e, g),
        _mm512_shuffle_i64x2::<0xdd>(f, h),
    ]
}

/// One point for each lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn gather(points: [&Affine; 8]) -> AffinePoints {
    let [x0, x1, x2, x3, y0, y1, y2, y3] = transpose(points.map(|point| load_point(point)));
    AffinePoints {
        x: from_words([x0, x1, x2, x3]),
        y: from_words([y0, y1, y2, y3]),
    }
}

/// From the portable form, four words and the factor 2^256: 16 times the number, below 16 p.
#[inline]
#[target_feature(enable = "avx512f")]
fn from_words([a, b, c, d]: [V; 4]) -> F {
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
fn to_words(number: &F) -> [V; 4] {
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
fn invert(x: &F) -> F {
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

/// See [`crate::simd::tables`]: the multiples 1 … [`P_ENTRIES`] of each point. None of them is
/// infinity or meets an exceptional case, since the order of the group is a large prime.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(crate) fn tables(points: &[Affine; 8]) -> [Vec<Affine>; 8] {
    let point = gather(points.each_ref());
    let mut multiples = Vec::with_capacity(P_ENTRIES);
    let mut last = Points {
        x: weak(point.x.0),
        y: weak(point.y.0),
        z: one(),
    };
    multiples.push(last);
    last = double(&last);
    while multiples.len() < P_ENTRIES {
        multiples.push(last);
        last = add(&last, &point, 0);
    }
    // One inversion for all (Montgomery's trick).
    let mut product = one();
    let mut before = Vec::with_capacity(P_ENTRIES);
    for multiple in &multiples {
        before.push(product);
        product = mul(&product, &multiple.z);
    }
    let mut inverse = invert(&product);
    let mut out = [(); 8].map(|()| Vec::with_capacity(P_ENTRIES));
    for (Points { x, y, z }, before) in multiples.iter().zip(&before).rev() {
        let inverse_z = mul(&inverse, before);
        inverse = mul(&inverse, z);
        let zz = square(&inverse_z);
        let [x0, x1, x2, x3] = to_words(&mul(x, &zz));
        let [y0, y1, y2, y3] = to_words(&mul(&mul(y, &zz), &inverse_z));
        let rows = transpose([x0, x1, x2, x3, y0, y1, y2, y3]);
        for (out, row) in out.iter_mut().zip(rows) {
            let [x0, x1, x2, x3, y0, y1, y2, y3] = store(row);
            out.push(Affine {
                x: Fe::from_words([x0, x1, x2, x3]),
                y: Fe::from_words([y0, y1, y2, y3]),
            });
        }
    }
    for out in &mut out {
        out.reverse();
    }
    out
}
