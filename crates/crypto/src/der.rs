//! `r ‖ s` to and from the DER of X.509 and OpenSSL, for ECDSA (RFC 3279 section 2.2.3) and SM2
//! (GM/T 0009): `SEQUENCE { r INTEGER, s INTEGER }`.

use crate::SignatureError;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// The DER form of `r ‖ s` (32 bytes each, big endian), 8 to 72 bytes.
#[must_use]
pub fn encode(raw: &[u8; 64]) -> Vec<u8> {
    let (r, s) = crate::signature::split(raw);
    let mut body = Vec::with_capacity(70);
    push_integer(&mut body, &r);
    push_integer(&mut body, &s);
    let mut out = Vec::with_capacity(72);
    out.push(SEQUENCE);
    out.push(short_length(body.len()));
    out.extend(body);
    out
}

fn push_integer(out: &mut Vec<u8>, value: &[u8; 32]) {
    let mut digits: Vec<u8> = value
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    // A set top bit would read as a minus sign, and zero still needs one byte.
    if digits.first().is_none_or(|byte| byte & 0x80 != 0) {
        digits.insert(0, 0);
    }
    out.push(INTEGER);
    out.push(short_length(digits.len()));
    out.extend(digits);
}

/// Every length here is at most 70, so one byte holds it.
fn short_length(len: usize) -> u8 {
    debug_assert!(len < 0x80, "a signature has short lengths only");
    u8::try_from(len).unwrap_or(u8::MAX)
}

/// Reads the DER form into `r ‖ s`, 32 bytes each, big endian.
///
/// Only DER is accepted: no spare leading zeros, no negative numbers, no other form of lengths,
/// nothing after the sequence. Ranges are for [`Signature::from_bytes`](crate::Signature::from_bytes)
/// to check.
///
/// # Errors
/// [`SignatureError::Der`].
pub fn decode(der: &[u8]) -> Result<[u8; 64], SignatureError> {
    let (body, rest) = take(der, SEQUENCE)?;
    let (r, body) = take(body, INTEGER)?;
    let (s, body) = take(body, INTEGER)?;
    if !rest.is_empty() || !body.is_empty() {
        return Err(SignatureError::Der);
    }
    let (r, s) = (integer(r)?, integer(s)?);
    let mut raw = [0; 64];
    for (to, from) in raw.iter_mut().zip(r.iter().chain(&s)) {
        *to = *from;
    }
    Ok(raw)
}

/// Splits off the content of a value with the given tag and a length of one byte.
fn take(der: &[u8], tag: u8) -> Result<(&[u8], &[u8]), SignatureError> {
    match der {
        [first, len @ 0..0x80, rest @ ..] if *first == tag => rest
            .split_at_checked(usize::from(*len))
            .ok_or(SignatureError::Der),
        _ => Err(SignatureError::Der),
    }
}

/// A non-negative integer of at most 256 bits, minimally encoded.
fn integer(content: &[u8]) -> Result<[u8; 32], SignatureError> {
    let digits = match content {
        [0, next, ..] if *next < 0x80 => return Err(SignatureError::Der),
        [0, digits @ ..] if !digits.is_empty() => digits,
        [first, ..] if *first < 0x80 => content,
        _ => return Err(SignatureError::Der),
    };
    let pad = 32usize
        .checked_sub(digits.len())
        .ok_or(SignatureError::Der)?;
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().skip(pad).zip(digits) {
        *to = *from;
    }
    Ok(out)
}
