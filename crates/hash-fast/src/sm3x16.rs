//! SM3 (GB/T 32905-2016) on sixteen messages at once, a message in each lane.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_rol_epi32, _mm512_set1_epi32, _mm512_ternarylogic_epi32,
    _mm512_xor_si512,
};

use crate::{
    blocks::{Lanes, Padding, digests},
    simd,
};

/// Messages that are hashed together.
pub(crate) const LANES: usize = 16;
/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;

/// Section 4.1.
const START: [u32; 8] = [
    0x7380_166f,
    0x4914_b2b9,
    0x1724_42d7,
    0xda8a_0600,
    0xa96f_30bc,
    0x1631_38aa,
    0xe38d_ee4d,
    0xb0fb_0e4e,
];
/// Section 4.2, for the first sixteen rounds and for those after them.
const EARLY: u32 = 0x79cc_4519;
const LATE: u32 = 0x7a87_9d8a;

/// `a ^ b ^ c`
const XOR: i32 = 0x96;
/// Most of `a`, `b`, `c`.
const MAJORITY: i32 = 0xe8;
/// `b` where `a`, else `c`.
const CHOICE: i32 = 0xca;

/// Both constants, each rotated by the number of its round.
const CONSTANTS: [u32; 64] = {
    let mut constants = [0; 64];
    let mut rest: &mut [u32] = &mut constants;
    let mut round = 0;
    while let Some((constant, others)) = rest.split_first_mut() {
        let base = if round < 16 { EARLY } else { LATE };
        *constant = base.rotate_left(round % 32);
        round += 1;
        rest = others;
    }
    constants
};

/// Permutation of the expansion (section 4.4).
#[inline]
#[target_feature(enable = "avx512f")]
fn p1(x: __m512i) -> __m512i {
    let (a, b) = (_mm512_rol_epi32::<15>(x), _mm512_rol_epi32::<23>(x));
    _mm512_ternarylogic_epi32::<XOR>(x, a, b)
}

/// Permutation of the compression (section 4.4).
#[inline]
#[target_feature(enable = "avx512f")]
fn p0(x: __m512i) -> __m512i {
    let (a, b) = (_mm512_rol_epi32::<9>(x), _mm512_rol_epi32::<17>(x));
    _mm512_ternarylogic_epi32::<XOR>(x, a, b)
}

/// A round with the word for it, and the words for the sixteen rounds after it (sections 5.3.2 and 5.3.3). `FF` and
/// `GG` are the Boolean functions as tables.
#[inline]
#[target_feature(enable = "avx512f")]
fn round<const FF: i32, const GG: i32>(
    state: [__m512i; 8],
    words: [__m512i; 16],
    constant: u32,
) -> ([__m512i; 8], [__m512i; 16]) {
    let [a, b, c, d, e, f, g, h] = state;
    let [
        w0,
        w1,
        w2,
        w3,
        w4,
        w5,
        w6,
        w7,
        w8,
        w9,
        w10,
        w11,
        w12,
        w13,
        w14,
        w15,
    ] = words;
    let constant = _mm512_set1_epi32(constant.cast_signed());
    let a12 = _mm512_rol_epi32::<12>(a);
    let sum = _mm512_add_epi32(_mm512_add_epi32(a12, e), constant);
    let ss1 = _mm512_rol_epi32::<7>(sum);
    let ss2 = _mm512_xor_si512(ss1, a12);
    let ff = _mm512_ternarylogic_epi32::<FF>(a, b, c);
    let gg = _mm512_ternarylogic_epi32::<GG>(e, f, g);
    let mixed = _mm512_xor_si512(w0, w4);
    let tt1 = _mm512_add_epi32(_mm512_add_epi32(ff, d), _mm512_add_epi32(ss2, mixed));
    let tt2 = _mm512_add_epi32(_mm512_add_epi32(gg, h), _mm512_add_epi32(ss1, w0));
    let state = [
        tt1,
        a,
        _mm512_rol_epi32::<9>(b),
        c,
        p0(tt2),
        e,
        _mm512_rol_epi32::<19>(f),
        g,
    ];
    let far = p1(_mm512_ternarylogic_epi32::<XOR>(
        w0,
        w7,
        _mm512_rol_epi32::<15>(w13),
    ));
    let next = _mm512_ternarylogic_epi32::<XOR>(far, _mm512_rol_epi32::<7>(w3), w10);
    let words = [
        w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15, next,
    ];
    (state, words)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn compress(state: [__m512i; 8], words: [__m512i; 16]) -> [__m512i; 8] {
    let (early, late) = CONSTANTS.split_at(16);
    let (mut now, mut words) = (state, words);
    for constant in early {
        (now, words) = round::<XOR, XOR>(now, words, *constant);
    }
    for constant in late {
        (now, words) = round::<MAJORITY, CHOICE>(now, words, *constant);
    }
    let mut both = now.into_iter().zip(state);
    state.map(|same| both.next().map_or(same, |(a, b)| _mm512_xor_si512(a, b)))
}

/// Digests of messages of equally many blocks.
#[target_feature(enable = "avx512f")]
pub(crate) fn sm3(messages: [&[u8]; LANES]) -> [[u8; 32]; LANES] {
    let mut state = START.map(|word| _mm512_set1_epi32(word.cast_signed()));
    let mut lanes = Lanes::<BLOCK, LANES>::new(Padding::Sm3, messages);
    while let Some(words) = lanes.next(u32::from_be_bytes) {
        state = compress(state, words.map(|word| simd::load_32(&word)));
    }
    digests(state.map(|word| simd::store_32(word)), u32::to_be_bytes)
}
