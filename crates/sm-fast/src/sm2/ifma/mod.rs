//! Eight sums `[s]G + [t]P` at once with AVX-512 IFMA: every vector holds one limb of eight
//! numbers, one lane for each signature.
//!
//! The formulas here leave out the exceptional cases. All of them are additions of points with
//! equal x coordinates, which make Z zero; from there Z stays zero, through additions and
//! doublings. A sum with Z = 0 is therefore either infinity or unknown, [`Sum`] says so, and the
//! caller asks the portable code.

mod field;

use std::arch::x86_64::{
    __mmask8, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_mask_sub_epi64, _mm512_setzero_si512,
    _mm512_shuffle_i64x2, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use super::field::Fe;
use super::int::U256;
pub(crate) use super::point::Affine;
use super::point::Jacobian;
use super::tables::{G_DIGITS, G_WIDTH, P_DIGITS, P_ENTRIES, P_WIDTH, Table, digits};
use crate::simd::{load_point, store};
use field::{
    F, V, carry, from_words, invert, mul, one, select, shl, square, sub, to_words, weak, zero,
};

/// One lane's work.
pub(crate) struct Job<'a> {
    pub(super) s: U256,
    pub(super) t: U256,
    /// The key's multiples.
    pub(super) table: &'a Table,
}

/// What a lane came to: the sum, or `None` where Z is zero.
pub(crate) type Sum = Option<Jacobian>;

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
