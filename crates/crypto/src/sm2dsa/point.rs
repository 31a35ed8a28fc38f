//! Points of the SM2 curve y² = x³ − 3x + b and the sum `[s]G + [t]P` that verification needs.
//!
//! Variable time throughout: it sees public keys and signatures only. Secrets go through the
//! constant-time arithmetic of the `sm2` crate. The formulas are those of the Explicit-Formulas
//! Database for short Weierstrass curves with a = −3 in Jacobian coordinates (dbl-2001-b,
//! add-1998-cmo-2), with the exceptional cases written out, because a signer may choose inputs
//! that reach them.

use std::sync::LazyLock;

use super::field::Fe;
use super::int::{DIGITS, U256, recode};

/// Width of the digits of `s`, and entries in each table of the base point.
const G_WIDTH: u32 = 9;
/// Width of the digits of `t` for a key seen for the first time.
const P_WIDTH: u32 = 5;
const P_ENTRIES: usize = 1 << (P_WIDTH - 2);
/// Width of the digits of `t` for a key with tables.
const TABLE_WIDTH: u32 = 6;

/// A point other than infinity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Affine {
    pub(super) x: Fe,
    pub(super) y: Fe,
}

/// A point (X / Z², Y / Z³); infinity where Z is zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jacobian {
    x: Fe,
    y: Fe,
    z: Fe,
}

/// Odd multiples of a point and of 2^128 times the point: 1, 3, 5, …
pub(super) struct Tables {
    low: Vec<Affine>,
    high: Vec<Affine>,
}

static G_TABLES: LazyLock<Tables> = LazyLock::new(|| {
    Tables::new(
        Affine {
            x: Fe::GX,
            y: Fe::GY,
        },
        G_WIDTH,
    )
});

impl Affine {
    /// The point with these coordinates, unless it is off the curve.
    pub(super) fn new(x: U256, y: U256) -> Option<Self> {
        let (x, y) = (Fe::from_int(x)?, Fe::from_int(y)?);
        (y.square() == right_side(x)).then_some(Self { x, y })
    }

    /// The point with this x coordinate and the y coordinate of this parity.
    pub(super) fn decompress(x: U256, y_is_odd: bool) -> Option<Self> {
        let x = Fe::from_int(x)?;
        let y = right_side(x).sqrt()?;
        // There is no point with y = 0: the order of the group is odd.
        let [lowest, ..] = y.to_int();
        let y = if (lowest & 1 == 1) == y_is_odd {
            y
        } else {
            y.neg()
        };
        Some(Self { x, y })
    }

    /// Entry of a table of odd multiples for a digit that is not zero.
    #[inline(always)]
    fn pick(table: &[Self], digit: i16) -> Option<Self> {
        let Self { x, y } = *table.get(usize::from(digit.unsigned_abs() >> 1))?;
        Some(if digit < 0 {
            Self { x, y: y.neg() }
        } else {
            Self { x, y }
        })
    }
}

/// x³ − 3x + b.
fn right_side(x: Fe) -> Fe {
    x.square()
        .sub(Fe::ONE.double().add(Fe::ONE))
        .mul(x)
        .add(Fe::B)
}

impl Jacobian {
    const INFINITY: Self = Self {
        x: Fe::ONE,
        y: Fe::ONE,
        z: Fe::ZERO,
    };

    pub(super) fn is_infinity(&self) -> bool {
        self.z.is_zero()
    }

    /// Whether the point's x coordinate is `x`. Infinity has none.
    pub(super) fn has_x(&self, x: Fe) -> bool {
        !self.is_infinity() && x.mul(self.z.square()) == self.x
    }

    fn neg(self) -> Self {
        Self {
            y: self.y.neg(),
            ..self
        }
    }

    #[inline(always)]
    fn double(self) -> Self {
        let delta = self.z.square();
        let gamma = self.y.square();
        let beta = self.x.mul(gamma);
        let product = self.x.sub(delta).mul(self.x.add(delta));
        let alpha = product.double().add(product);
        let beta4 = beta.double().double();
        let x = alpha.square().sub(beta4.double());
        let z = self.y.add(self.z).square().sub(gamma).sub(delta);
        let y = alpha
            .mul(beta4.sub(x))
            .sub(gamma.square().double().double().double());
        Self { x, y, z }
    }

    #[inline(always)]
    fn add_affine(self, other: Affine) -> Self {
        if self.is_infinity() {
            return other.into();
        }
        let zz = self.z.square();
        let h = other.x.mul(zz).sub(self.x);
        let r = other.y.mul(self.z).mul(zz).sub(self.y);
        self.finish_add(h, r, self.x, self.y, self.z)
    }

    fn add(self, other: Self) -> Self {
        if self.is_infinity() {
            return other;
        }
        if other.is_infinity() {
            return self;
        }
        let (zz, other_zz) = (self.z.square(), other.z.square());
        let u = self.x.mul(other_zz);
        let s = self.y.mul(other.z).mul(other_zz);
        let h = other.x.mul(zz).sub(u);
        let r = other.y.mul(self.z).mul(zz).sub(s);
        self.finish_add(h, r, u, s, self.z.mul(other.z))
    }

    /// The last part of an addition, from the differences `h` and `r` of the coordinates brought
    /// to one denominator `z`, and the coordinates `u` and `s` of `self` over it.
    #[inline(always)]
    fn finish_add(self, h: Fe, r: Fe, u: Fe, s: Fe, z: Fe) -> Self {
        if h.is_zero() {
            return if r.is_zero() {
                self.double()
            } else {
                Self::INFINITY
            };
        }
        let hh = h.square();
        let hhh = hh.mul(h);
        let v = u.mul(hh);
        let x = r.square().sub(hhh).sub(v.double());
        let y = r.mul(v.sub(x)).sub(s.mul(hhh));
        Self { x, y, z: z.mul(h) }
    }
}

impl From<Affine> for Jacobian {
    fn from(point: Affine) -> Self {
        Self {
            x: point.x,
            y: point.y,
            z: Fe::ONE,
        }
    }
}

impl Tables {
    /// Tables for a key that is used often: 2 × 16 points, 2 KiB.
    pub(super) fn of_key(point: Affine) -> Self {
        Self::new(point, TABLE_WIDTH)
    }

    fn new(point: Affine, width: u32) -> Self {
        let count = 1 << (width - 2);
        let high = (0..128).fold(Jacobian::from(point), |point, _| point.double());
        let mut multiples = odd_multiples(point.into(), count);
        multiples.extend(odd_multiples(high, count));
        let mut low = to_affine(&multiples);
        let high = low.split_off(count.min(low.len()));
        Self { low, high }
    }
}

/// `point`, 3 `point`, 5 `point`, …
fn odd_multiples(point: Jacobian, count: usize) -> Vec<Jacobian> {
    let twice = point.double();
    std::iter::successors(Some(point), |last| Some(last.add(twice)))
        .take(count)
        .collect()
}

/// Divides by Z with one inversion for all (Montgomery's trick). No point may be infinity; odd
/// multiples below n of a point of order n never are.
fn to_affine(points: &[Jacobian]) -> Vec<Affine> {
    let mut product = Fe::ONE;
    let before: Vec<Fe> = points
        .iter()
        .map(|point| {
            let next = product.mul(point.z);
            std::mem::replace(&mut product, next)
        })
        .collect();
    let mut inverse = product.invert();
    let mut out: Vec<Affine> = points
        .iter()
        .zip(before)
        .rev()
        .map(|(point, before)| {
            let z = inverse.mul(before);
            inverse = inverse.mul(point.z);
            let zz = z.square();
            Affine {
                x: point.x.mul(zz),
                y: point.y.mul(zz).mul(z),
            }
        })
        .collect();
    out.reverse();
    out
}

/// `[s]G + [t]P`, with 256 doublings.
pub(super) fn multiply(s: U256, t: U256, point: Affine) -> Jacobian {
    let (s, t) = (recode(&s, G_WIDTH), recode(&t, P_WIDTH));
    let g: &[Affine] = &G_TABLES.low;
    let mut multiples = [Jacobian::INFINITY; P_ENTRIES];
    for (to, from) in multiples
        .iter_mut()
        .zip(odd_multiples(point.into(), P_ENTRIES))
    {
        *to = from;
    }
    let mut sum = Jacobian::INFINITY;
    for (s, t) in s.iter().zip(&t).rev() {
        sum = sum.double();
        if let (true, Some(point)) = (*s != 0, Affine::pick(g, *s)) {
            sum = sum.add_affine(point);
        }
        if let (true, Some(multiple)) = (*t != 0, multiples.get(usize::from(t.unsigned_abs() >> 1)))
        {
            sum = sum.add(if *t < 0 { multiple.neg() } else { *multiple });
        }
    }
    sum
}

/// `[s]G + [t]P` for a key with tables: both scalars are cut in two halves, which leaves 128
/// doublings.
pub(super) fn multiply_with_tables(s: U256, t: U256, key: &Tables) -> Jacobian {
    let g: &Tables = &G_TABLES;
    let ([s0, s1], [t0, t1]) = (halves(s, G_WIDTH), halves(t, TABLE_WIDTH));
    let terms = [
        (&s0, &g.low),
        (&s1, &g.high),
        (&t0, &key.low),
        (&t1, &key.high),
    ];
    let mut sum = Jacobian::INFINITY;
    // Half a scalar has 128 bits, so its last carry stands at position 128.
    for at in (0..=128).rev() {
        sum = sum.double();
        for (digits, table) in terms {
            let digit = digits.get(at).copied().unwrap_or(0);
            if let (true, Some(point)) = (digit != 0, Affine::pick(table, digit)) {
                sum = sum.add_affine(point);
            }
        }
    }
    sum
}

/// The digits of the low and of the high 128 bits.
fn halves([a, b, c, d]: U256, width: u32) -> [[i16; DIGITS]; 2] {
    [recode(&[a, b], width), recode(&[c, d], width)]
}
