//! Tables of points, and how lanes read different entries of them.
//!
//! An entry is one affine point in 64 bytes, which is one cache line: x and y, canonical, as four
//! words each. Eight lanes read eight entries and turn them around in registers, which is cheaper
//! than the processor's gather instruction.

use std::arch::x86_64::*;

use crate::{field8::Field8, gate, point8::Affine8};

/// An affine point: x, then y, least significant word first.
pub(crate) type Entry = __m512i;

/// The entry that stands for digits outside a table, which there are none of; not on the curve.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
fn none() -> Entry {
    _mm512_setzero_si512()
}

/// Turns eight vectors of eight words: word j of vector i becomes word i of vector j.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
fn transpose([a, b, c, d, e, f, g, h]: [__m512i; 8]) -> [__m512i; 8] {
    let (a, b) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let (c, d) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
    let (e, f) = (_mm512_unpacklo_epi64(e, f), _mm512_unpackhi_epi64(e, f));
    let (g, h) = (_mm512_unpacklo_epi64(g, h), _mm512_unpackhi_epi64(g, h));
    let [w0, w2, w4, w6] = transpose_pairs([a, c, e, g]);
    let [w1, w3, w5, w7] = transpose_pairs([b, d, f, h]);
    [w0, w1, w2, w3, w4, w5, w6, w7]
}

/// Turns four vectors of four pairs of words.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
fn transpose_pairs([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let even_ab = _mm512_shuffle_i64x2::<0x88>(a, b);
    let odd_ab = _mm512_shuffle_i64x2::<0xdd>(a, b);
    let even_cd = _mm512_shuffle_i64x2::<0x88>(c, d);
    let odd_cd = _mm512_shuffle_i64x2::<0xdd>(c, d);
    [
        _mm512_shuffle_i64x2::<0x88>(even_ab, even_cd),
        _mm512_shuffle_i64x2::<0x88>(odd_ab, odd_cd),
        _mm512_shuffle_i64x2::<0xdd>(even_ab, even_cd),
        _mm512_shuffle_i64x2::<0xdd>(odd_ab, odd_cd),
    ]
}

/// One entry per lane from points with canonical coordinates.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
pub(crate) fn entries(point: &Affine8) -> [Entry; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (point.x.to_words(), point.y.to_words());
    transpose([a, b, c, d, e, f, g, h])
}

/// Where the multiple that a digit names stands in a table whose row begins at `from`. For zero any
/// place will do.
#[inline]
fn index(from: usize, digit: i16) -> usize {
    from.wrapping_add(usize::from(digit.unsigned_abs().saturating_sub(1)))
}

/// Asks for the entries of a later [`lookup`] ahead of time: the tables of many keys do not fit
/// near caches, and a lane would wait for each entry in turn.
#[inline]
pub(crate) fn prefetch(tables: &[&[Entry]; 8], from: usize, digits: &[i16; 8]) {
    for (table, digit) in tables.iter().zip(digits) {
        if let Some(entry) = table.get(index(from, *digit)) {
            gate::prefetch(entry);
        }
    }
}

/// For each lane the multiple of a point that its digit names: entry `from + |digit| − 1` of its
/// table, negated for a negative digit, no point for zero; put where `point` is.
#[target_feature(enable = "avx512f,avx512ifma,avx512vl,avx512dq,avx512bw")]
#[inline]
pub(crate) fn lookup(tables: &[&[Entry]; 8], from: usize, digits: &[i16; 8], point: &mut Affine8) {
    let mut rows = [none(); 8];
    let (mut negative, mut zero) = (0u8, 0u8);
    for (lane, (row, (table, digit))) in rows.iter_mut().zip(tables.iter().zip(digits)).enumerate()
    {
        if let Some(entry) = table.get(index(from, *digit)) {
            *row = *entry;
        }
        negative |= u8::from(*digit < 0) << lane;
        zero |= u8::from(*digit == 0) << lane;
    }
    let [a, b, c, d, e, f, g, h] = transpose(rows);
    point.x = Field8::from_words([a, b, c, d]);
    point.y = Field8::from_words([e, f, g, h]).negate_where(negative);
    point.infinity = zero;
}
