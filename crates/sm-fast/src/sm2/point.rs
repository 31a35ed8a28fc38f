//! Points of the SM2 curve y² = x³ − 3x + b.
//!
//! Variable time throughout: it sees public keys and signatures only. The formulas are those of the
//! Explicit-Formulas Database for short Weierstrass curves with a = −3 in Jacobian coordinates
//! (dbl-2001-b, add-1998-cmo-2), with the exceptional cases written out, because a signer may
//! choose inputs that reach them.

use super::field::Fe;
use super::int::U256;

/// A point other than infinity. One cache line, as tables have many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(64))]
pub(crate) struct Affine {
    pub(super) x: Fe,
    pub(super) y: Fe,
}

/// A point (X / Z², Y / Z³); infinity where Z is zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jacobian {
    pub(super) x: Fe,
    pub(super) y: Fe,
    pub(super) z: Fe,
}

impl Affine {
    /// The base point G.
    pub(super) const BASE: Self = Self {
        x: Fe::GX,
        y: Fe::GY,
    };

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

    /// The point with the opposite y coordinate if `negative`.
    #[inline(always)]
    pub(super) fn negate_if(self, negative: bool) -> Self {
        let y = if negative { self.y.neg() } else { self.y };
        Self { x: self.x, y }
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
    pub(super) const INFINITY: Self = Self {
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

    pub(super) fn neg(self) -> Self {
        Self {
            y: self.y.neg(),
            ..self
        }
    }

    #[inline(always)]
    pub(super) fn double(self) -> Self {
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
    pub(super) fn add_affine(self, other: Affine) -> Self {
        if self.is_infinity() {
            return other.into();
        }
        let zz = self.z.square();
        let h = other.x.mul(zz).sub(self.x);
        let r = other.y.mul(self.z).mul(zz).sub(self.y);
        self.finish_add(h, r, self.x, self.y, self.z)
    }

    #[inline(always)]
    pub(super) fn add(self, other: Self) -> Self {
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

/// Divides by Z with one inversion for all (Montgomery's trick). No point may be infinity; odd
/// multiples below n of a point of order n never are.
pub(super) fn to_affine(points: &[Jacobian]) -> Vec<Affine> {
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
