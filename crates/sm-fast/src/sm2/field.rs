//! The field of the SM2 curve, modulo p = 2^256 − 2^224 − 2^96 + 2^64 − 1 (GB/T 32918.5).
//!
//! Elements are kept in Montgomery form, x · 2^256 mod p, always below p. Because p ≡ −1 modulo
//! 2^64, each step of the reduction multiplies by the lowest limb itself, and because p has so few
//! terms, that product needs shifts only.

use super::int::{self, U256};

/// The modulus.
const P: U256 = [
    u64::MAX,
    0xffff_ffff_0000_0000,
    u64::MAX,
    0xffff_fffe_ffff_ffff,
];
/// 2^512 mod p, which takes a number into Montgomery form.
const R_SQUARED: U256 = [0x2_0000_0003, 0x2_ffff_ffff, 0x1_0000_0001, 0x4_0000_0002];
/// A field element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Fe(U256);

impl Fe {
    pub(super) const ZERO: Self = Self([0; 4]);
    pub(super) const ONE: Self = Self([1, 0xffff_ffff, 0, 0x1_0000_0000]);
    /// The curve's coefficient b; its a is −3.
    pub(super) const B: Self = Self([
        0x90d2_3063_2bc0_dd42,
        0x71cf_379a_e9b5_37ab,
        0x5279_8150_5ea5_1c3c,
        0x240f_e188_ba20_e2c8,
    ]);
    /// Coordinates of the base point.
    pub(super) const GX: Self = Self([
        0x6132_8990_f418_029e,
        0x3e79_81ed_dca6_c050,
        0xd6a1_ed99_ac24_c3c3,
        0x9116_7a5e_e1c1_3b05,
    ]);
    pub(super) const GY: Self = Self([
        0xc135_4e59_3c2d_0ddd,
        0xc1f5_e578_8d32_95fa,
        0x8d4c_fb06_6e2a_48f8,
        0x63cd_65d4_81d7_35bd,
    ]);

    /// From a number; `None` unless it is below p.
    pub(super) fn from_int(number: U256) -> Option<Self> {
        int::sub(number, P)
            .1
            .then(|| Self(number).mul(Self(R_SQUARED)))
    }

    /// From words in Montgomery form, which have to be below p.
    pub(super) const fn from_words(words: U256) -> Self {
        Self(words)
    }

    /// The number, below p.
    pub(super) fn to_int(self) -> U256 {
        self.mul(Self([1, 0, 0, 0])).0
    }

    pub(super) fn is_zero(self) -> bool {
        self.0 == [0; 4]
    }

    #[inline(always)]
    pub(super) fn add(self, other: Self) -> Self {
        let (sum, carry) = int::add(self.0, other.0);
        subtract_p_once(sum, carry)
    }

    #[inline(always)]
    pub(super) fn sub(self, other: Self) -> Self {
        let (difference, borrow) = int::sub(self.0, other.0);
        let mask = u64::from(borrow).wrapping_neg();
        let [p0, p1, p2, p3] = P;
        Self(int::add(difference, [p0 & mask, p1 & mask, p2 & mask, p3 & mask]).0)
    }

    #[inline(always)]
    pub(super) fn double(self) -> Self {
        self.add(self)
    }

    #[inline(always)]
    pub(super) fn neg(self) -> Self {
        Self::ZERO.sub(self)
    }

    #[inline(always)]
    pub(super) fn mul(self, other: Self) -> Self {
        let [a0, a1, a2, a3] = self.0;
        let [b0, b1, b2, b3] = other.0;
        let (t0, c) = a0.carrying_mul_add(b0, 0, 0);
        let (t1, c) = a0.carrying_mul_add(b1, c, 0);
        let (t2, c) = a0.carrying_mul_add(b2, c, 0);
        let (t3, t4) = a0.carrying_mul_add(b3, c, 0);
        let (t1, c) = a1.carrying_mul_add(b0, 0, t1);
        let (t2, c) = a1.carrying_mul_add(b1, c, t2);
        let (t3, c) = a1.carrying_mul_add(b2, c, t3);
        let (t4, t5) = a1.carrying_mul_add(b3, c, t4);
        let (t2, c) = a2.carrying_mul_add(b0, 0, t2);
        let (t3, c) = a2.carrying_mul_add(b1, c, t3);
        let (t4, c) = a2.carrying_mul_add(b2, c, t4);
        let (t5, t6) = a2.carrying_mul_add(b3, c, t5);
        let (t3, c) = a3.carrying_mul_add(b0, 0, t3);
        let (t4, c) = a3.carrying_mul_add(b1, c, t4);
        let (t5, c) = a3.carrying_mul_add(b2, c, t5);
        let (t6, t7) = a3.carrying_mul_add(b3, c, t6);
        reduce([t0, t1, t2, t3], [t4, t5, t6, t7])
    }

    #[inline(always)]
    pub(super) fn square(self) -> Self {
        let [a0, a1, a2, a3] = self.0;
        // The products of different limbs, once each …
        let (t1, c) = a0.carrying_mul_add(a1, 0, 0);
        let (t2, c) = a0.carrying_mul_add(a2, c, 0);
        let (t3, t4) = a0.carrying_mul_add(a3, c, 0);
        let (t3, c) = a1.carrying_mul_add(a2, 0, t3);
        let (t4, t5) = a1.carrying_mul_add(a3, c, t4);
        let (t5, t6) = a2.carrying_mul_add(a3, 0, t5);
        // … doubled …
        let t7 = t6 >> 63;
        let t6 = t6 << 1 | t5 >> 63;
        let t5 = t5 << 1 | t4 >> 63;
        let t4 = t4 << 1 | t3 >> 63;
        let t3 = t3 << 1 | t2 >> 63;
        let t2 = t2 << 1 | t1 >> 63;
        let t1 = t1 << 1;
        // … and the squares of the limbs.
        let (t0, h0) = a0.carrying_mul(a0, 0);
        let (l1, h1) = a1.carrying_mul(a1, 0);
        let (l2, h2) = a2.carrying_mul(a2, 0);
        let (l3, h3) = a3.carrying_mul(a3, 0);
        let (t1, c) = t1.carrying_add(h0, false);
        let (t2, c) = t2.carrying_add(l1, c);
        let (t3, c) = t3.carrying_add(h1, c);
        let (t4, c) = t4.carrying_add(l2, c);
        let (t5, c) = t5.carrying_add(h2, c);
        let (t6, c) = t6.carrying_add(l3, c);
        let (t7, _) = t7.carrying_add(h3, c);
        reduce([t0, t1, t2, t3], [t4, t5, t6, t7])
    }

    /// The inverse; zero stays zero. Raises to the power p − 2 (Fermat), which in words of 32 bits
    /// is FFFFFFFE FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF 00000000 FFFFFFFF FFFFFFFD.
    pub(super) fn invert(self) -> Self {
        let (x30, x31, x32) = self.runs();
        let mut out = x31.squares(1);
        for _ in 0..4 {
            out = out.squares(32).mul(x32);
        }
        out = out.squares(64).mul(x32);
        out.squares(30).mul(x30).squares(2).mul(self)
    }

    /// A square root, `None` where there is none. Raises to the power (p + 1) / 4, since p ≡ 3
    /// modulo 4; that is FFFFFFFE FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF 00000001 and 62 zero bits.
    pub(super) fn sqrt(self) -> Option<Self> {
        let (_, x31, x32) = self.runs();
        let mut root = x31.squares(1);
        for _ in 0..4 {
            root = root.squares(32).mul(x32);
        }
        root = root.squares(32).mul(self).squares(62);
        (root.square() == self).then_some(root)
    }

    /// The powers whose exponents are 30, 31 and 32 one bits.
    fn runs(self) -> (Self, Self, Self) {
        let x2 = self.squares(1).mul(self);
        let x4 = x2.squares(2).mul(x2);
        let x6 = x4.squares(2).mul(x2);
        let x12 = x6.squares(6).mul(x6);
        let x24 = x12.squares(12).mul(x12);
        let x30 = x24.squares(6).mul(x6);
        let x31 = x30.squares(1).mul(self);
        let x32 = x31.squares(1).mul(self);
        (x30, x31, x32)
    }

    fn squares(self, count: u32) -> Self {
        (0..count).fold(self, |power, _| power.square())
    }
}

/// `low + 2^256 high`, below p · 2^256, divided by 2^256 modulo p.
#[inline(always)]
fn reduce(low: U256, high: U256) -> Fe {
    let (sum, carry) = int::add(shift(shift(shift(shift(low)))), high);
    subtract_p_once(sum, carry)
}

/// One step of Montgomery's reduction: `(t + m p) / 2^64`, where m, the lowest limb of t, makes
/// the sum divisible. With p written out that is `t / 2^64 + m (2^192 − 2^160 − 2^32 + 1)`, which
/// stays below 2^256.
#[inline(always)]
fn shift([m, t1, t2, t3]: U256) -> U256 {
    let (low, high) = (m << 32, m >> 32);
    let sum = int::add([t1, t2, t3, m], [m, 0, 0, 0]).0;
    int::sub(sum, [low, high, low, high]).0
}

/// Brings a number below 2p, whose bit 256 is `carry`, below p.
///
/// Numbers from p up that have no such bit are one in 2^32, so that branch costs nothing; the one
/// for the bit would be guessed wrongly every third time, and is therefore none.
#[inline(always)]
fn subtract_p_once(number: U256, carry: bool) -> Fe {
    // 2^256 − p or nothing.
    let mask = u64::from(carry).wrapping_neg();
    let less = [mask & 1, mask & 0xffff_ffff, 0, mask & 0x1_0000_0000];
    let number = int::add(number, less).0;
    let [.., highest] = number;
    let [.., highest_of_p] = P;
    if highest >= highest_of_p {
        return subtract_p_seldom(number);
    }
    Fe(number)
}

#[cold]
fn subtract_p_seldom(number: U256) -> Fe {
    match int::sub(number, P) {
        (reduced, false) => Fe(reduced),
        _ => Fe(number),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sm2::elliptic_curve::bigint::{Odd, U256 as Wide};

    use super::*;

    fn wide(number: U256) -> Wide {
        Wide::from_be_slice(&int::to_be_bytes(number))
    }

    /// Any number, with limbs at the edges more often than chance has it.
    fn number() -> impl Strategy<Value = U256> {
        let limb = prop_oneof![
            4 => any::<u64>(),
            1 => Just(0),
            1 => Just(u64::MAX),
            1 => Just(0xffff_ffff_0000_0000),
            1 => Just(0xffff_fffe_ffff_ffff),
        ];
        proptest::array::uniform4(limb)
    }

    fn element() -> impl Strategy<Value = Fe> {
        number().prop_filter_map("below p", Fe::from_int)
    }

    #[test]
    fn numbers_from_p_up_are_refused_and_the_last_below_is_minus_one() {
        assert_eq!(Fe::from_int(P), None);
        assert_eq!(Fe::from_int([u64::MAX; 4]), None);
        let last = Fe::from_int(int::sub(P, [1, 0, 0, 0]).0).unwrap();
        assert_eq!(last.add(Fe::ONE), Fe::ZERO);
        assert_eq!(last, Fe::ONE.neg());
        assert_eq!(last.square(), Fe::ONE);
        assert_eq!(last.sqrt(), None, "-1 is no square when p is 3 modulo 4");
        assert_eq!(Fe::ONE.to_int(), [1, 0, 0, 0]);
        assert_eq!(Fe::ZERO.invert(), Fe::ZERO);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn agrees_with_plain_big_integers(a in element(), b in element()) {
            let p = Odd::new(wide(P)).unwrap();
            let (x, y) = (wide(a.to_int()), wide(b.to_int()));
            let nz = p.as_nz_ref();
            prop_assert_eq!(wide(a.mul(b).to_int()), x.mul_mod(&y, nz));
            prop_assert_eq!(wide(a.square().to_int()), x.mul_mod(&x, nz));
            prop_assert_eq!(wide(a.add(b).to_int()), x.add_mod(&y, nz));
            prop_assert_eq!(wide(a.sub(b).to_int()), x.sub_mod(&y, nz));
            prop_assert_eq!(a.square(), a.mul(a));
            prop_assert_eq!(a.neg().add(a), Fe::ZERO);
        }
    }

    proptest! {
        #[test]
        fn inverses_and_roots_undo(a in element()) {
            if !a.is_zero() {
                prop_assert_eq!(a.invert().mul(a), Fe::ONE);
            }
            let root = a.square().sqrt().unwrap();
            prop_assert!(root == a || root == a.neg());
        }
    }
}
