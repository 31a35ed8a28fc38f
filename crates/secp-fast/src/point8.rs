//! Eight points of y² = x³ + 7 at once, one per lane.
//!
//! The formulas are those of the Explicit-Formulas Database for Jacobian coordinates with a = 0
//! (dbl-2009-l, add-1998-cmo-2) and the chord rule for affine ones. They are incomplete: adding a
//! point to itself or to its negative is not covered. What happens then is part of the contract:
//! a Jacobian sum has z = 0 in that lane, and every later double and sum keeps it at zero; an affine
//! sum reports the lane. Callers refuse such lanes.

use crate::{batch8::invert_all, field8::Field8};

/// One inversion costs as much as this many additions save by it, about.
const PAIRS_MIN: usize = 20;

/// Affine points with canonical or weak coordinates; lanes of `infinity` have no point, and any
/// coordinates.
#[derive(Clone, Copy)]
pub(crate) struct Affine8 {
    pub(crate) x: Field8,
    pub(crate) y: Field8,
    pub(crate) infinity: u8,
}

/// Points (x / z², y / z³); lanes of `infinity` have not begun, and any coordinates.
#[derive(Clone, Copy)]
pub(crate) struct Jacobian8 {
    pub(crate) x: Field8,
    pub(crate) y: Field8,
    pub(crate) z: Field8,
    pub(crate) infinity: u8,
}

impl Affine8 {
    /// No point in any lane.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    pub(crate) fn infinity() -> Self {
        Self {
            x: Field8::one(),
            y: Field8::one(),
            infinity: 0xff,
        }
    }
}

impl Jacobian8 {
    /// No point in any lane.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    pub(crate) fn infinity() -> Self {
        Self {
            x: Field8::one(),
            y: Field8::one(),
            z: Field8::one(),
            infinity: 0xff,
        }
    }

    /// The same points.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    pub(crate) fn from_affine(point: Affine8) -> Self {
        Self {
            x: point.x,
            y: point.y,
            z: Field8::one(),
            infinity: point.infinity,
        }
    }

    /// Twice the points. There is no point of order two, so that this is never exceptional.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    pub(crate) fn double(&self) -> Self {
        let xx = self.x.square();
        let yy = self.y.square();
        let yyyy = yy.square();
        // d is a quarter of the database's D.
        let d = self.x.mul(yy).limbs();
        let slope = xx.limbs().shifted::<1>().plus(xx.limbs()).loose();
        // F − 2D = F − 8d: eight elements, so K = 5.
        let x = slope.square().limbs().minus::<5>(d.shifted::<3>()).weak();
        // 4d + 4p − x: below eight weak elements.
        let rest = d.shifted::<2>().minus::<1>(x.limbs()).loose();
        let y = slope.mul(rest).limbs();
        let y = y.minus::<5>(yyyy.limbs().shifted::<3>()).weak();
        let z = self.y.limbs().shifted::<1>().loose().mul(self.z);
        Self { x, y, z, ..*self }
    }

    /// Adds affine points. A lane in which both are the same point, or the negative of each other,
    /// has z = 0 afterwards.
    #[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
    pub(crate) fn add(&self, other: &Affine8) -> Self {
        let zz = self.z.square();
        let h = other.x.mul(zz).sub_loose(self.x);
        let zzz = self.z.mul(zz);
        let slope = other.y.mul(zzz).sub_loose(self.y);
        let hh = h.square();
        let hhh = h.mul(hh);
        let v = self.x.mul(hh);
        // r² − h³ − 2v: three elements, so K = 2.
        let taken = hhh.limbs().plus(v.limbs().shifted::<1>());
        let x = slope.square().limbs().minus::<2>(taken).weak();
        let y = slope.mul(v.sub_loose(x)).sub(self.y.mul(hhh));
        let z = self.z.mul(h);
        // Lanes that have not begun start with the other point; lanes without one stay.
        let (start, stay) = (self.infinity, other.infinity);
        Self {
            x: x.replace(start, other.x).replace(stay, self.x),
            y: y.replace(start, other.y).replace(stay, self.y),
            z: z.replace(start, Field8::one()).replace(stay, self.z),
            infinity: start & stay,
        }
    }
}

/// Jacobian points in affine coordinates. Lanes with z = 0, and lanes of `infinity`, are marked as
/// infinity.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
pub(crate) fn to_affine(points: &[Jacobian8]) -> Vec<Affine8> {
    let mut inverses: Vec<Field8> = Vec::with_capacity(points.len());
    for point in points {
        inverses.push(point.z.replace(point.infinity, Field8::one()));
    }
    let mut zeros = Vec::new();
    invert_all(&mut inverses, &mut zeros);
    let mut zeros = zeros.into_iter();
    let mut result = Vec::with_capacity(points.len());
    for (point, inverse) in points.iter().zip(inverses) {
        let square = inverse.square();
        result.push(Affine8 {
            x: point.x.mul(square).canonical(),
            y: point.y.mul(square.mul(inverse)).canonical(),
            infinity: point.infinity | zeros.next().unwrap_or(0),
        });
    }
    result
}

/// The sum by the chord rule, given 1 / (x2 − x1); where a point is missing, the other.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
fn chord(one: &Affine8, two: &Affine8, inverse: &Field8, sum: &mut Affine8) {
    let slope = two.y.sub_loose(one.y).mul(*inverse);
    let both = one.x.limbs().plus(two.x.limbs());
    // Two elements to take away, so K = 2.
    let x = slope.square().limbs().minus::<2>(both).weak();
    let y = slope.mul(one.x.sub_loose(x)).sub(one.y);
    let (first, second) = (one.infinity, two.infinity);
    sum.x = x.replace(first, two.x).replace(second, one.x);
    sum.y = y.replace(first, two.y).replace(second, one.y);
    sum.infinity = first & second;
}

/// The difference of the x coordinates that [`chord`] divides by: one where a point is missing.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
fn divisor(one: &Affine8, two: &Affine8) -> Field8 {
    let missing = one.infinity | two.infinity;
    two.x.sub_loose(one.x).replace(missing, Field8::one())
}

/// Adds up lists of `len` points each, which lie one after the other, until it no longer pays.
/// Returns how many points are left of each list; what they add up to has not changed.
/// `exceptions` has a place for each list, which gets the lanes where the chord rule did not apply,
/// and whose sum therefore means nothing.
///
/// Neighbours are added pair by pair, all pairs of all lists with one inversion: six
/// multiplications to an addition instead of eleven in Jacobian coordinates.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
pub(crate) fn fold_lists(points: &mut Vec<Affine8>, len: usize, exceptions: &mut [u8]) -> usize {
    let mut len = len;
    let lists = exceptions.len();
    let (mut divisors, mut zeros) = (Vec::new(), Vec::new());
    // Room for the sums; what is in it at first does not matter.
    let room = lists * len.div_ceil(2);
    let mut next: Vec<_> = points.iter().take(room).copied().collect();
    while len / 2 * lists >= PAIRS_MIN {
        divisors.clear();
        for list in points.chunks_exact(len) {
            for pair in list.chunks_exact(2) {
                if let [one, two] = pair {
                    divisors.push(divisor(one, two));
                }
            }
        }
        if !invert_all(&mut divisors, &mut zeros) {
            for (lanes, zeros) in exceptions.iter_mut().zip(zeros.chunks_exact(len / 2)) {
                *lanes |= zeros.iter().fold(0, |all, zero| all | zero);
            }
        }
        let half = len.div_ceil(2);
        let mut inverses = divisors.iter();
        let sums = next.chunks_exact_mut(half);
        for (list, sums) in points.chunks_exact(len).zip(sums) {
            for (pair, sum) in list.chunks(2).zip(sums) {
                match pair {
                    [one, two] => {
                        if let Some(inverse) = inverses.next() {
                            chord(one, two, inverse, sum);
                        }
                    }
                    [rest] => *sum = *rest,
                    _ => {}
                }
            }
        }
        std::mem::swap(points, &mut next);
        points.truncate(lists * half);
        len = half;
    }
    len
}

/// 1, 2, … 2^`log` times each of the points, one after the other, with canonical coordinates.
///
/// The points must be of full order: then no sum is exceptional, as the multiples are far below
/// that order.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
pub(crate) fn multiples(points: &[Affine8], log: u32) -> Vec<Affine8> {
    let count = 1usize << log;
    let mut all = Vec::with_capacity(points.len() << log);
    for point in points {
        all.extend(std::iter::repeat_n(*point, count));
    }
    let (mut divisors, mut zeros) = (Vec::new(), Vec::new());
    for level in 0..log {
        // From 1 … known to 2 known: the largest plus each smaller one, and at last doubled.
        let known = 1usize << level;
        divisors.clear();
        for list in all.chunks_exact(count) {
            let (have, _) = list.split_at(known);
            if let Some((largest, smaller)) = have.split_last() {
                for small in smaller {
                    divisors.push(divisor(small, largest));
                }
                divisors.push(largest.y.limbs().shifted::<1>().weak());
            }
        }
        invert_all(&mut divisors, &mut zeros);
        let mut inverses = divisors.iter();
        for list in all.chunks_exact_mut(count) {
            let (have, places) = list.split_at_mut(known);
            let Some((largest, smaller)) = have.split_last() else {
                continue;
            };
            let mut places = places.iter_mut();
            for (small, (inverse, place)) in smaller.iter().zip(inverses.by_ref().zip(&mut places))
            {
                chord(small, largest, inverse, place);
                *place = canonical(*place);
            }
            if let (Some(inverse), Some(place)) = (inverses.next(), places.next()) {
                *place = canonical(tangent(largest, *inverse));
            }
        }
    }
    all
}

/// Twice a point by the tangent rule, given 1 / 2y.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn tangent(point: &Affine8, inverse: Field8) -> Affine8 {
    let xx = point.x.square().limbs();
    let slope = xx.shifted::<1>().plus(xx).loose().mul(inverse);
    let both = point.x.limbs().shifted::<1>();
    let x = slope.square().limbs().minus::<2>(both).weak();
    let y = slope.mul(point.x.sub_loose(x)).sub(point.y);
    Affine8 { x, y, ..*point }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
fn canonical(point: Affine8) -> Affine8 {
    Affine8 {
        x: point.x.canonical(),
        y: point.y.canonical(),
        ..point
    }
}
