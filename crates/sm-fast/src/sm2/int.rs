//! Numbers of 256 bits as four limbs, least significant first. Variable time: for public values.

/// A number below 2^256.
pub(crate) type U256 = [u64; 4];

/// The order n of the group (GB/T 32918.5).
pub(super) const N: U256 = [
    0x53bb_f409_39d5_4123,
    0x7203_df6b_21c6_052b,
    0xffff_ffff_ffff_ffff,
    0xffff_fffe_ffff_ffff,
];

/// Positions that a recoded number has: one more than its bits, for the last carry.
pub(super) const DIGITS: usize = 257;

/// `a + b` modulo 2^256 and the carry.
#[inline(always)]
pub(super) fn add(a: U256, b: U256) -> (U256, bool) {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a, b);
    let (r0, c) = a0.carrying_add(b0, false);
    let (r1, c) = a1.carrying_add(b1, c);
    let (r2, c) = a2.carrying_add(b2, c);
    let (r3, c) = a3.carrying_add(b3, c);
    ([r0, r1, r2, r3], c)
}

/// `a - b` modulo 2^256 and the borrow.
#[inline(always)]
pub(super) fn sub(a: U256, b: U256) -> (U256, bool) {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a, b);
    let (r0, c) = a0.borrowing_sub(b0, false);
    let (r1, c) = a1.borrowing_sub(b1, c);
    let (r2, c) = a2.borrowing_sub(b2, c);
    let (r3, c) = a3.borrowing_sub(b3, c);
    ([r0, r1, r2, r3], c)
}

/// From 32 bytes, big endian.
pub(super) fn from_be_bytes(bytes: &[u8; 32]) -> U256 {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().rev().zip(bytes.chunks_exact(8)) {
        *limb = chunk
            .iter()
            .fold(0, |high, byte| high << 8 | u64::from(*byte));
    }
    limbs
}

/// To 32 bytes, big endian.
pub(super) fn to_be_bytes(number: U256) -> [u8; 32] {
    let mut bytes = [0; 32];
    let limbs = number.iter().rev().flat_map(|limb| limb.to_be_bytes());
    for (to, from) in bytes.iter_mut().zip(limbs) {
        *to = from;
    }
    bytes
}

/// Whether the number lies in `1 ..= n - 1`.
pub(super) fn is_scalar(number: U256) -> bool {
    number != [0; 4] && sub(number, N).1
}

/// A number below 2^256 modulo n. Once is enough: 2^256 < 2n.
pub(super) fn reduce(number: U256) -> U256 {
    match sub(number, N) {
        (reduced, false) => reduced,
        _ => number,
    }
}

/// `a + b` modulo n, for numbers below n.
pub(super) fn add_mod_n(a: U256, b: U256) -> U256 {
    let (sum, carry) = add(a, b);
    if carry { sub(sum, N).0 } else { reduce(sum) }
}

/// `a - b` modulo n, for numbers below n.
pub(super) fn sub_mod_n(a: U256, b: U256) -> U256 {
    let (difference, borrow) = sub(a, b);
    if borrow {
        add(difference, N).0
    } else {
        difference
    }
}

/// `count` bits (at most 16) from bit `at` up; bits past the end are zero.
fn bits(number: &[u64], at: usize, count: u32) -> u64 {
    let limb = |index: usize| number.get(index).copied().unwrap_or(0);
    let (index, shift) = (at / 64, at % 64);
    let low = limb(index) >> shift;
    let high = if shift == 0 {
        0
    } else {
        limb(index + 1) << (64 - shift)
    };
    (low | high) & ((1 << count) - 1)
}

/// Recodes a number into digits that are zero or odd and below `2^(width - 1)` in absolute value,
/// so that Σ digit(i) 2^i is the number and of any `width` digits in a row one is not zero.
/// `number` may have fewer than four limbs; `width` lies in `2 ..= 15`.
pub(super) fn recode(number: &[u64], width: u32) -> [i16; DIGITS] {
    let mut digits = [0; DIGITS];
    let mut skip = 0u32;
    let mut carry = 0u64;
    for (at, digit) in digits.iter_mut().enumerate() {
        if skip > 0 {
            skip -= 1;
            continue;
        }
        if bits(number, at, 1) == carry {
            continue;
        }
        let word = bits(number, at, width) + carry;
        carry = word >> (width - 1) & 1;
        // Both fit: a word has at most 15 bits.
        let word = i32::try_from(word).unwrap_or(0) - (i32::from(carry != 0) << width);
        *digit = i16::try_from(word).unwrap_or(0);
        skip = width - 1;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(digits: &[i16]) -> U256 {
        digits.iter().rev().fold([0; 4], |sum, digit| {
            let (double, _) = add(sum, sum);
            let step = [u64::from(digit.unsigned_abs()), 0, 0, 0];
            if *digit < 0 {
                sub(double, step).0
            } else {
                add(double, step).0
            }
        })
    }

    fn check(number: U256, width: u32) {
        let digits = recode(&number, width);
        assert_eq!(value(&digits), number);
        for digit in digits {
            assert!(digit == 0 || digit % 2 != 0);
            assert!(i32::from(digit).abs() < 1 << (width - 1));
        }
        for run in digits.windows(width as usize) {
            assert!(run.iter().filter(|digit| **digit != 0).count() <= 1);
        }
    }

    #[test]
    fn recoding_keeps_the_extreme_numbers() {
        for width in [2, 5, 6, 9, 10, 15] {
            for number in [
                [0; 4],
                [1, 0, 0, 0],
                [u64::MAX; 4],
                N,
                sub(N, [1, 0, 0, 0]).0,
            ] {
                check(number, width);
            }
        }
    }

    proptest! {
        #[test]
        fn recoding_keeps_the_number(number: [u64; 4], width in 2u32..=15) {
            check(number, width);
        }

        #[test]
        fn arithmetic_modulo_n_stays_below_n_and_inverts(a: [u64; 4], b: [u64; 4]) {
            let (a, b) = (reduce(a), reduce(b));
            prop_assert!(sub(a, N).1 && sub(b, N).1);
            let sum = add_mod_n(a, b);
            prop_assert!(sub(sum, N).1);
            prop_assert_eq!(sub_mod_n(sum, b), a);
            prop_assert_eq!(from_be_bytes(&to_be_bytes(a)), a);
        }
    }

    #[test]
    fn scalars_run_from_one_to_n_minus_one() {
        assert!(!is_scalar([0; 4]) && is_scalar([1, 0, 0, 0]));
        assert!(is_scalar(sub(N, [1, 0, 0, 0]).0) && !is_scalar(N));
        assert!(!is_scalar([u64::MAX; 4]));
        assert_eq!(reduce(N), [0; 4]);
    }
}
