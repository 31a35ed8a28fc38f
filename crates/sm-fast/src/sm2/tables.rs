//! Multiples of points, made in advance, and the sum `[s]G + [t]P` from them.
//!
//! A scalar is written in signed digits, Σ d(i) 2^(w i) with |d(i)| ≤ 2^(w−1). A table holds for
//! some positions i the multiples 1 … 2^(w−1) of 2^(w i) times its point, so that these positions
//! cost an addition each and no doublings. The base point has all positions; a key that is used
//! often has every fourth, and the positions between are reached by doubling the whole sum
//! `w` times, three times over (the idea of Lim and Lee, CRYPTO '94).

use std::sync::LazyLock;

use super::int::{self, U256};
use super::point::{Affine, Jacobian, to_affine};

/// Bits of a digit of `s`.
pub(super) const G_WIDTH: u32 = 8;
/// Digits of `s`.
pub(super) const G_DIGITS: usize = 32;
/// Multiples at a position of the base point's table.
const G_ENTRIES: usize = 1 << (G_WIDTH - 1);
/// Bits of a digit of `t`.
pub(super) const P_WIDTH: u32 = 5;
/// Digits of `t`.
pub(super) const P_DIGITS: usize = 52;
/// Multiples in a table of a key.
pub(super) const P_ENTRIES: usize = 1 << (P_WIDTH - 1);
/// One position in so many has a table of its own.
pub(super) const P_STEP: usize = 4;

/// Multiples of a point at several positions: `ENTRIES` for the first, as many for the next, …
pub(crate) struct Table {
    points: Vec<Affine>,
    /// Multiples per position.
    entries: usize,
}

/// The base point's: 32 positions of 128 points, 256 KiB.
static BASE: LazyLock<Table> = LazyLock::new(|| {
    let bases = shifted(Affine::BASE, G_WIDTH as usize, G_DIGITS);
    Table::from_points(multiples(&bases, G_ENTRIES), G_ENTRIES)
});

impl Table {
    /// The base point's.
    pub(super) fn base() -> &'static Self {
        &BASE
    }

    /// A key's: 13 positions of 16 points, 13 KiB.
    pub(super) fn of_key(point: Affine) -> Self {
        let bases = shifted(point, P_STEP * P_WIDTH as usize, P_DIGITS.div_ceil(P_STEP));
        let points = lanes(&bases).unwrap_or_else(|| multiples(&bases, P_ENTRIES));
        Self::from_points(points, P_ENTRIES)
    }

    /// From points that something else has multiplied.
    pub(super) const fn from_points(points: Vec<Affine>, entries: usize) -> Self {
        Self { points, entries }
    }

    /// `digit` times the point of a position; `None` for the digit 0.
    #[inline(always)]
    pub(super) fn pick(&self, position: usize, digit: i16) -> Option<Affine> {
        let index = usize::from(digit.unsigned_abs()).checked_sub(1)?;
        let point = self.points.get(position * self.entries + index)?;
        Some(point.negate_if(digit < 0))
    }

    /// `|digit|` times the point of a position, and some point of it for the digit 0.
    #[inline(always)]
    pub(super) fn pick_any(&self, position: usize, digit: i16) -> &Affine {
        let index = usize::from(digit.unsigned_abs()).saturating_sub(1);
        self.points
            .get(position * self.entries + index)
            .unwrap_or(&Affine::BASE)
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.points.as_slice())
    }
}

/// The multiples 1 … `entries` of each point, one after the other.
fn multiples(bases: &[Affine], entries: usize) -> Vec<Affine> {
    let mut multiples = Vec::with_capacity(bases.len() * entries);
    for base in bases {
        let mut next = Jacobian::from(*base);
        for _ in 0..entries {
            multiples.push(next);
            next = next.add_affine(*base);
        }
    }
    to_affine(&multiples)
}

/// The same for keys by the processor's lanes; `None` without them.
#[cfg(target_arch = "x86_64")]
fn lanes(bases: &[Affine]) -> Option<Vec<Affine>> {
    let mut points = Vec::with_capacity(bases.len().next_multiple_of(8) * P_ENTRIES);
    for some in bases.chunks(8) {
        let mut eight = [Affine::BASE; 8];
        for (to, from) in eight.iter_mut().zip(some) {
            *to = *from;
        }
        for multiples in crate::simd::tables(&eight)?.iter().take(some.len()) {
            points.extend_from_slice(multiples);
        }
    }
    Some(points)
}

#[cfg(not(target_arch = "x86_64"))]
const fn lanes(_: &[Affine]) -> Option<Vec<Affine>> {
    None
}

/// `point`, 2^bits `point`, 2^(2 bits) `point`, …
pub(super) fn shifted(point: Affine, bits: usize, count: usize) -> Vec<Affine> {
    let next = |last: &Jacobian| Some((0..bits).fold(*last, |point, _| point.double()));
    let points: Vec<Jacobian> = std::iter::successors(Some(Jacobian::from(point)), next)
        .take(count)
        .collect();
    to_affine(&points)
}

/// `scalar`, below n, as digits of `width` bits, lowest first, and whether to negate all of them.
///
/// The larger half of the scalars is replaced by n − scalar, so that no carry leaves the last
/// digit. `width · N` has to be at least 255 and `width` at most 8.
#[inline(always)]
pub(super) fn digits<const N: usize>(scalar: U256, width: u32) -> [i16; N] {
    let opposite = int::sub(int::N, scalar).0;
    // Whether scalar > n − scalar.
    let negate = int::sub(opposite, scalar).1;
    let [a, b, c, d] = if negate { opposite } else { scalar };
    let (half, mask) = (1i16 << (width - 1), (1u64 << width) - 1);
    let mut window = u128::from(a) | u128::from(b) << 64;
    let mut rest = [c, d].into_iter();
    let mut valid = 128;
    let mut carry = 0;
    let mut out = [0; N];
    for digit in &mut out {
        if valid < 64 {
            window |= u128::from(rest.next().unwrap_or(0)) << valid;
            valid += 64;
        }
        // At most 255.
        let low = i16::try_from(u64::try_from(window & u128::from(mask)).unwrap_or(0)).unwrap_or(0);
        window >>= width;
        valid -= width;
        let value = low + carry;
        carry = i16::from(value > half);
        let value = value - (carry << width);
        *digit = if negate { -value } else { value };
    }
    out
}

/// `[s]G + [t]P` with the key's table: 15 doublings.
#[inline(always)]
pub(crate) fn multiply(s: U256, t: U256, key: &Table) -> Jacobian {
    let t = digits::<P_DIGITS>(t, P_WIDTH);
    let mut sum = Jacobian::INFINITY;
    for low in (0..P_STEP).rev() {
        if low + 1 < P_STEP {
            for _ in 0..P_WIDTH {
                sum = sum.double();
            }
        }
        for (position, digit) in t.iter().skip(low).step_by(P_STEP).enumerate() {
            if let Some(point) = key.pick(position, *digit) {
                sum = sum.add_affine(point);
            }
        }
    }
    add_base(sum, s)
}

/// `[s]G + [t]P` for a key without a table: 256 doublings.
#[inline(always)]
pub(crate) fn multiply_cold(s: U256, t: U256, point: Affine) -> Jacobian {
    /// Width of the digits of `t`, which are odd or zero.
    const WIDTH: u32 = 5;
    let twice = Jacobian::from(point).double();
    let mut multiples = [Jacobian::from(point); 1 << (WIDTH - 2)];
    let mut last = Jacobian::INFINITY;
    for multiple in &mut multiples {
        *multiple = if last.is_infinity() {
            Jacobian::from(point)
        } else {
            last.add(twice)
        };
        last = *multiple;
    }
    let mut sum = Jacobian::INFINITY;
    for digit in int::recode(&t, WIDTH).iter().rev() {
        sum = sum.double();
        let index = usize::from(digit.unsigned_abs() >> 1);
        if let (true, Some(multiple)) = (*digit != 0, multiples.get(index)) {
            sum = sum.add(if *digit < 0 {
                multiple.neg()
            } else {
                *multiple
            });
        }
    }
    add_base(sum, s)
}

#[inline(always)]
fn add_base(mut sum: Jacobian, s: U256) -> Jacobian {
    let base = Table::base();
    for (position, digit) in digits::<G_DIGITS>(s, G_WIDTH).iter().enumerate() {
        if let Some(point) = base.pick(position, *digit) {
            sum = sum.add_affine(point);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_make_the_points_of_the_portable_code() {
        for point in multiples(&[Affine::BASE], 40) {
            let bases = shifted(point, P_STEP * P_WIDTH as usize, P_DIGITS.div_ceil(P_STEP));
            assert_eq!(bases.len(), 13);
            let portable = multiples(&bases, P_ENTRIES);
            assert_eq!(portable.len(), 13 * 16);
            if let Some(points) = lanes(&bases) {
                assert_eq!(points, portable);
            }
        }
    }
}
