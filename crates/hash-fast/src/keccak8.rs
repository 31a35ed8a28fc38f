//! Keccak-f[1600] on eight states at once (FIPS 202 section 3), a state in each lane.

use std::arch::x86_64::{
    __m512i, _mm512_rol_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_ternarylogic_epi64,
    _mm512_xor_si512,
};

use crate::{
    blocks::{Lanes, Padding, digests},
    simd,
};

/// States that are permuted together.
pub(crate) const LANES: usize = 8;
/// Bytes that one permutation takes in, for digests of 256 bits.
pub(crate) const RATE: usize = 136;
/// The same in words.
const WORDS: usize = RATE / 8;

/// Round constants (FIPS 202 section 3.2.5).
const IOTA: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// `a ^ b ^ c`
const XOR: i32 = 0x96;
/// `a ^ (!b & c)`
const CHI: i32 = 0xd2;

#[inline]
#[target_feature(enable = "avx512f")]
fn xor5(words: [__m512i; 5]) -> __m512i {
    let [a, b, c, d, e] = words;
    let abc = _mm512_ternarylogic_epi64::<XOR>(a, b, c);
    _mm512_ternarylogic_epi64::<XOR>(abc, d, e)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn chi(row: [__m512i; 5]) -> [__m512i; 5] {
    let [a, b, c, d, e] = row;
    [
        _mm512_ternarylogic_epi64::<CHI>(a, b, c),
        _mm512_ternarylogic_epi64::<CHI>(b, c, d),
        _mm512_ternarylogic_epi64::<CHI>(c, d, e),
        _mm512_ternarylogic_epi64::<CHI>(d, e, a),
        _mm512_ternarylogic_epi64::<CHI>(e, a, b),
    ]
}

/// A word after theta, rho: `a ^ before ^ (after <<< 1)`, rotated.
macro_rules! moved {
    ($word:expr, $column:expr, $by:literal) => {
        _mm512_rol_epi64::<$by>(_mm512_xor_si512($word, $column))
    };
}

/// One round; rows of words, as the standard counts them: `rows[y][x]`.
#[inline]
#[target_feature(enable = "avx512f")]
fn round(rows: [[__m512i; 5]; 5], iota: __m512i) -> [[__m512i; 5]; 5] {
    let [p, q, r, s, t] = rows;
    let [p0, p1, p2, p3, p4] = p;
    let [q0, q1, q2, q3, q4] = q;
    let [r0, r1, r2, r3, r4] = r;
    let [s0, s1, s2, s3, s4] = s;
    let [t0, t1, t2, t3, t4] = t;
    let c0 = xor5([p0, q0, r0, s0, t0]);
    let c1 = xor5([p1, q1, r1, s1, t1]);
    let c2 = xor5([p2, q2, r2, s2, t2]);
    let c3 = xor5([p3, q3, r3, s3, t3]);
    let c4 = xor5([p4, q4, r4, s4, t4]);
    let d0 = _mm512_xor_si512(c4, _mm512_rol_epi64::<1>(c1));
    let d1 = _mm512_xor_si512(c0, _mm512_rol_epi64::<1>(c2));
    let d2 = _mm512_xor_si512(c1, _mm512_rol_epi64::<1>(c3));
    let d3 = _mm512_xor_si512(c2, _mm512_rol_epi64::<1>(c4));
    let d4 = _mm512_xor_si512(c3, _mm512_rol_epi64::<1>(c0));
    let [first, p1, p2, p3, p4] = chi([
        _mm512_xor_si512(p0, d0),
        moved!(q1, d1, 44),
        moved!(r2, d2, 43),
        moved!(s3, d3, 21),
        moved!(t4, d4, 14),
    ]);
    [
        [_mm512_xor_si512(first, iota), p1, p2, p3, p4],
        chi([
            moved!(rows[0][3], d3, 28),
            moved!(q4, d4, 20),
            moved!(r0, d0, 3),
            moved!(s1, d1, 45),
            moved!(t2, d2, 61),
        ]),
        chi([
            moved!(rows[0][1], d1, 1),
            moved!(q2, d2, 6),
            moved!(r3, d3, 25),
            moved!(s4, d4, 8),
            moved!(t0, d0, 18),
        ]),
        chi([
            moved!(rows[0][4], d4, 27),
            moved!(q0, d0, 36),
            moved!(r1, d1, 10),
            moved!(s2, d2, 15),
            moved!(t3, d3, 56),
        ]),
        chi([
            moved!(rows[0][2], d2, 62),
            moved!(q3, d3, 55),
            moved!(r4, d4, 39),
            moved!(s0, d0, 41),
            moved!(t1, d1, 2),
        ]),
    ]
}

/// Digests of messages of equally many blocks.
#[target_feature(enable = "avx512f")]
pub(crate) fn keccak256(messages: [&[u8]; LANES]) -> [[u8; 32]; LANES] {
    let mut rows = [[_mm512_setzero_si512(); 5]; 5];
    let mut lanes = Lanes::<RATE, LANES>::new(Padding::Keccak, messages);
    while let Some(words) = lanes.next::<_, _, WORDS>(u64::from_le_bytes) {
        for (place, word) in rows.as_flattened_mut().iter_mut().zip(&words) {
            *place = _mm512_xor_si512(*place, simd::load(word));
        }
        for iota in IOTA {
            rows = round(rows, _mm512_set1_epi64(iota.cast_signed()));
        }
    }
    let [[a, b, c, d, _], ..] = rows;
    digests([a, b, c, d].map(|word| simd::store(word)), u64::to_le_bytes)
}
