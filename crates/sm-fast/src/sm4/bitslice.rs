//! SM4 as a circuit over bits: sixteen blocks at once in words of 64 bits.
//!
//! A word of the state of sixteen blocks is eight planes. Plane b holds bit b of each of its four
//! bytes in each block: byte m (0 is the lowest) of block i at bit 16 m + i for i < 8, and in the
//! other order of halves the same for the rest, see [`spread`]. Rotating a word of the state by
//! eight bits is then rotating each plane by sixteen.

use std::ops::{BitAnd, BitXor, Not};

use super::{BLOCK_BYTES, Block, Direction, words};

/// Blocks that go through the circuit together.
const AT_ONCE: usize = 16;

/// The planes of a word of the state, lowest bit first.
type Planes = [u64; 8];

/// A set of bits to compute with.
trait Bits: Copy + BitXor<Output = Self> + BitAnd<Output = Self> + Not<Output = Self> {}
impl Bits for u32 {}
impl Bits for u64 {}

/// An element of the field of four elements: the coefficients of w, where w² = w + 1, and of 1.
type Four<W> = (W, W);
/// One of the field of sixteen: the coefficients of y, where y² = y + w, and of 1.
type Sixteen<W> = (Four<W>, Four<W>);

#[inline(always)]
fn add4<W: Bits>(a: Four<W>, b: Four<W>) -> Four<W> {
    (a.0 ^ b.0, a.1 ^ b.1)
}

#[inline(always)]
fn mul4<W: Bits>((a1, a0): Four<W>, (b1, b0): Four<W>) -> Four<W> {
    let (high, low) = (a1 & b1, a0 & b0);
    (((a1 ^ a0) & (b1 ^ b0)) ^ low, low ^ high)
}

/// In this field the inverse as well.
#[inline(always)]
fn square4<W: Bits>((a1, a0): Four<W>) -> Four<W> {
    (a1, a1 ^ a0)
}

/// Times w.
#[inline(always)]
fn w4<W: Bits>((a1, a0): Four<W>) -> Four<W> {
    (a1 ^ a0, a1)
}

#[inline(always)]
fn add16<W: Bits>(a: Sixteen<W>, b: Sixteen<W>) -> Sixteen<W> {
    (add4(a.0, b.0), add4(a.1, b.1))
}

#[inline(always)]
fn mul16<W: Bits>((a1, a0): Sixteen<W>, (b1, b0): Sixteen<W>) -> Sixteen<W> {
    let (high, low) = (mul4(a1, b1), mul4(a0, b0));
    let middle = mul4(add4(a1, a0), add4(b1, b0));
    (add4(middle, low), add4(low, w4(high)))
}

#[inline(always)]
fn square16<W: Bits>((a1, a0): Sixteen<W>) -> Sixteen<W> {
    let high = square4(a1);
    (high, add4(square4(a0), w4(high)))
}

/// The inverse, zero for zero.
#[inline(always)]
fn invert16<W: Bits>((a1, a0): Sixteen<W>) -> Sixteen<W> {
    let norm = add4(w4(square4(a1)), mul4(a0, add4(a1, a0)));
    let inverse = square4(norm);
    (mul4(a1, inverse), mul4(add4(a1, a0), inverse))
}

/// Times w y + 1, with which z² = z + w y + 1 makes the field of 256.
#[inline(always)]
fn wy1_16<W: Bits>((a1, a0): Sixteen<W>) -> Sixteen<W> {
    let ww = w4(w4(a1));
    (add4(ww, w4(a0)), add4(ww, a0))
}

/// The inverse of the element a1 z + a0, zero for zero.
#[inline(always)]
fn invert256<W: Bits>(a1: Sixteen<W>, a0: Sixteen<W>) -> (Sixteen<W>, Sixteen<W>) {
    let norm = add16(wy1_16(square16(a1)), mul16(a0, add16(a1, a0)));
    let inverse = invert16(norm);
    (mul16(a1, inverse), mul16(add16(a1, a0), inverse))
}

/// The S-box (GB/T 32907 section 6.2): A · inv(A x + c) + c in the field modulo
/// x⁸ + x⁷ + x⁶ + x⁵ + x⁴ + x² + 1, with the maps into and out of the tower of fields above taken
/// into the affine ones. Plane 0 is the lowest bit.
#[inline(always)]
fn s_box<W: Bits>([a, b, c, d, e, f, g, h]: [W; 8]) -> [W; 8] {
    let i0 = b ^ c ^ f;
    let i1 = !(b ^ e ^ f ^ g);
    let i2 = c ^ f ^ h;
    let i3 = !(d ^ e);
    let i4 = a ^ b ^ c ^ e ^ g;
    let i5 = !g;
    let i6 = !(c ^ h);
    let i7 = !(a ^ b ^ c ^ d ^ e ^ f ^ g);
    let (((h, g), (f, e)), ((d, c), (b, a))) =
        invert256(((i7, i6), (i5, i4)), ((i3, i2), (i1, i0)));
    [
        !(a ^ c ^ e ^ g),
        !(a ^ g),
        b ^ c ^ e ^ f ^ g,
        a ^ e ^ g ^ h,
        !(b ^ d ^ h),
        b ^ d ^ f,
        !(a ^ b),
        !(a ^ b ^ c ^ d ^ f),
    ]
}

/// The S-box on the four bytes of a word.
pub(super) fn substitute(word: u32) -> u32 {
    const ONES: u32 = 0x0101_0101;
    let mut planes = [0; 8];
    for (shift, plane) in planes.iter_mut().enumerate() {
        *plane = word >> shift & ONES;
    }
    let substituted = s_box(planes);
    let bits = substituted.iter().enumerate();
    bits.fold(0, |word, (shift, plane)| word | (plane & ONES) << shift)
}

/// The four bytes of a word at every other byte.
#[inline(always)]
fn spread(word: u32) -> u64 {
    let word = u64::from(word);
    let word = (word | word << 16) & 0x0000_ffff_0000_ffff;
    (word | word << 8) & 0x00ff_00ff_00ff_00ff
}

/// Undoes [`spread`].
#[inline(always)]
fn gather(word: u64) -> u32 {
    let word = word & 0x00ff_00ff_00ff_00ff;
    let word = (word | word >> 8) & 0x0000_ffff_0000_ffff;
    // The upper half is cut off.
    u32::try_from((word | word >> 16) & 0xffff_ffff).unwrap_or(0)
}

/// Exchanges the bits of `b` under `mask` with those of `a` that stand `shift` higher.
#[inline(always)]
fn exchange(a: &mut u64, b: &mut u64, mask: u64, shift: u32) {
    let difference = ((*a >> shift) ^ *b) & mask;
    *b ^= difference;
    *a ^= difference << shift;
}

/// Turns rows of eight bytes into planes of bits and back.
#[inline(always)]
fn turn([a, b, c, d, e, f, g, h]: &mut Planes) {
    const ONE: u64 = 0x5555_5555_5555_5555;
    const TWO: u64 = 0x3333_3333_3333_3333;
    const FOUR: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    exchange(a, b, ONE, 1);
    exchange(c, d, ONE, 1);
    exchange(e, f, ONE, 1);
    exchange(g, h, ONE, 1);
    exchange(a, c, TWO, 2);
    exchange(b, d, TWO, 2);
    exchange(e, g, TWO, 2);
    exchange(f, h, TWO, 2);
    exchange(a, e, FOUR, 4);
    exchange(b, f, FOUR, 4);
    exchange(c, g, FOUR, 4);
    exchange(d, h, FOUR, 4);
}

/// The planes of a round key, the same for every block.
#[inline(always)]
fn key_planes(round_key: u32) -> Planes {
    let mut planes = [0; 8];
    for (shift, plane) in planes.iter_mut().enumerate() {
        let bits = u64::from(round_key >> shift & 0x0101_0101);
        let bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
        *plane = ((bits | bits << 8) & 0x0001_0001_0001_0001) * 0xffff;
    }
    planes
}

/// A round: the new word (GB/T 32907 section 6).
#[inline(always)]
fn round(a: &Planes, b: &Planes, c: &Planes, d: &Planes, key: u32) -> Planes {
    let mut sum = key_planes(key);
    for ((((sum, b), c), d), _) in sum.iter_mut().zip(b).zip(c).zip(d).zip(a) {
        *sum ^= b ^ c ^ d;
    }
    let s = s_box(sum);
    let [s0, s1, s2, s3, s4, s5, s6, s7] = s;
    // Rotated by two bits: by two planes, and those that come round by a byte.
    let twice = [
        s6.rotate_left(16),
        s7.rotate_left(16),
        s0,
        s1,
        s2,
        s3,
        s4,
        s5,
    ];
    let mut out = *a;
    for ((out, s), t) in out.iter_mut().zip(s).zip(twice) {
        *out ^= s ^ t ^ t.rotate_left(16) ^ t.rotate_left(32) ^ s.rotate_left(48);
    }
    out
}

/// Encrypts or decrypts each block by itself.
pub(super) fn blocks(round_keys: &[u32; 32], blocks: &mut [Block], direction: Direction) {
    for some in blocks.chunks_mut(AT_ONCE) {
        sixteen(round_keys, some, direction);
    }
}

/// At most [`AT_ONCE`] blocks.
fn sixteen(round_keys: &[u32; 32], blocks: &mut [Block], direction: Direction) {
    let mut state = [[0; 8]; 4];
    for (i, block) in blocks.iter().enumerate() {
        for (planes, word) in state.iter_mut().zip(words(block)) {
            if let Some(row) = planes.get_mut(i % 8) {
                *row |= spread(word) << (i / 8 * 8);
            }
        }
    }
    let [mut a, mut b, mut c, mut d] = state;
    for planes in [&mut a, &mut b, &mut c, &mut d] {
        turn(planes);
    }
    let key = |at: usize| {
        let at = match direction {
            Direction::Encrypt => at,
            Direction::Decrypt => 31 - at,
        };
        round_keys.get(at).copied().unwrap_or(0)
    };
    for at in (0..32).step_by(4) {
        a = round(&a, &b, &c, &d, key(at));
        b = round(&b, &c, &d, &a, key(at + 1));
        c = round(&c, &d, &a, &b, key(at + 2));
        d = round(&d, &a, &b, &c, key(at + 3));
    }
    for planes in [&mut a, &mut b, &mut c, &mut d] {
        turn(planes);
    }
    for (i, block) in blocks.iter_mut().enumerate() {
        // The words come out in reverse (the transformation R of section 6.1).
        let words = [d, c, b, a].map(|planes| {
            let row = planes.get(i % 8).copied().unwrap_or(0);
            gather(row >> (i / 8 * 8)).to_be_bytes()
        });
        *block = [0; BLOCK_BYTES];
        for (to, from) in block.iter_mut().zip(words.iter().flatten()) {
            *to = *from;
        }
    }
}
