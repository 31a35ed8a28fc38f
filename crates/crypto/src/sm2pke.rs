//! Public-key encryption with SM2 (GB/T 32918.4), its byte layouts and its DER form (GM/T 0009).
//!
//! A ciphertext has three parts: the point C1 = `[k]G`, the masked plaintext C2 and the digest
//! C3 = SM3(x2 ‖ M ‖ y2), where (x2, y2) = `[k]P`. The standard of 2016 writes C1 ‖ C3 ‖ C2, older
//! software C1 ‖ C2 ‖ C3, X.509 and OpenSSL `SEQUENCE { x, y, C3, C2 }`. C2 is as long as the
//! plaintext, so it does not hide its length.

use std::fmt;

use sm2::{
    AffinePoint, FieldBytes, ProjectivePoint, Scalar,
    elliptic_curve::{
        Group,
        sec1::{FromSec1Point, ToSec1Point},
    },
};
use sm3::{Digest, Sm3};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{KeyError, NameError, PublicKey, Scheme, SecretKey, sm2dsa::parse_scalar};

/// Longest plaintext in bytes. Larger data belongs under an [`Aead`](crate::cipher::Aead) whose key
/// is encrypted with this.
pub const PLAINTEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that the point and the digest add to a plaintext.
const OVERHEAD_BYTES: usize = 65 + 32;
/// Bytes that DER adds at most above [`OVERHEAD_BYTES`].
const DER_BYTES_MAX: usize = 32;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;

/// How a ciphertext is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `4 ‖ x ‖ y ‖ C3 ‖ C2`, the standard's since 2016.
    C1C3C2,
    /// `4 ‖ x ‖ y ‖ C2 ‖ C3`, that of older software.
    C1C2C3,
    /// `SEQUENCE { INTEGER x, INTEGER y, OCTET STRING C3, OCTET STRING C2 }` (GM/T 0009).
    Der,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 3] = [Self::C1C3C2, Self::C1C2C3, Self::Der];

    /// The lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::C1C3C2 => "c1c3c2",
            Self::C1C2C3 => "c1c2c3",
            Self::Der => "der",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Layout {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .find(|layout| layout.name() == text)
            .ok_or(NameError {
                what: "ciphertext layout",
                expected: "c1c3c2, c1c2c3, der",
            })
    }
}

/// Why something was not encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncryptionError {
    /// The key is of another scheme, or there is no randomness.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The standard has no encryption of nothing, and more than [`PLAINTEXT_BYTES_MAX`] is refused.
    #[error("{0} bytes cannot be encrypted; 1 to {PLAINTEXT_BYTES_MAX} can")]
    Length(usize),
    /// Not a ciphertext in this layout.
    #[error("not an SM2 ciphertext in layout {0}; check the layout it was written in")]
    Malformed(Layout),
    /// C1 is no point on the curve.
    #[error("the ciphertext's point is not on the SM2 curve")]
    Point,
    /// The digest does not fit.
    #[error("decryption failed: the key or the layout is another one, or the data was changed")]
    Digest,
}

/// A ciphertext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext {
    x: [u8; 32],
    y: [u8; 32],
    digest: [u8; 32],
    masked: Vec<u8>,
}

/// Encrypts for the owner of an SM2 key, with a nonce of the operating system.
///
/// # Errors
/// [`EncryptionError::Key`] for a key of another scheme, [`EncryptionError::Length`].
pub fn encrypt(key: &PublicKey, plaintext: &[u8]) -> Result<Ciphertext, EncryptionError> {
    let point = point_of(key)?;
    loop {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| KeyError::Randomness)?;
        let Some(nonce) = parse_scalar(&bytes).map(Zeroizing::new) else {
            continue;
        };
        if let Some(ciphertext) = encrypt_with_nonce(&point, plaintext, &nonce)? {
            return Ok(ciphertext);
        }
    }
}

/// `None` where the mask is all zeros and another nonce has to be drawn (step A5).
fn encrypt_with_nonce(
    point: &ProjectivePoint,
    plaintext: &[u8],
    nonce: &Scalar,
) -> Result<Option<Ciphertext>, EncryptionError> {
    if plaintext.is_empty() || plaintext.len() > PLAINTEXT_BYTES_MAX {
        return Err(EncryptionError::Length(plaintext.len()));
    }
    let (x, y) = coordinates(&ProjectivePoint::mul_by_generator(nonce));
    let (x2, y2) = coordinates(&(*point * nonce));
    let (x2, y2) = (Zeroizing::new(x2), Zeroizing::new(y2));
    let mut masked = plaintext.to_vec();
    if !mask(&x2, &y2, &mut masked) {
        return Ok(None);
    }
    Ok(Some(Ciphertext {
        x,
        y,
        digest: digest(&x2, plaintext, &y2),
        masked,
    }))
}

/// Decrypts what was encrypted for this key. The time does not depend on the key.
///
/// # Errors
/// [`EncryptionError::Key`] for a key of another scheme, [`EncryptionError::Point`],
/// [`EncryptionError::Digest`].
pub fn decrypt(
    key: &SecretKey,
    ciphertext: &Ciphertext,
) -> Result<Zeroizing<Vec<u8>>, EncryptionError> {
    let secret = key.sm2().ok_or(KeyError::WrongScheme {
        expected: Scheme::Sm2,
        actual: key.scheme(),
    })?;
    let point = on_curve(&ciphertext.x, &ciphertext.y).ok_or(EncryptionError::Point)?;
    let (x2, y2) = coordinates(&(point * secret.scalar()));
    let (x2, y2) = (Zeroizing::new(x2), Zeroizing::new(y2));
    let mut plaintext = Zeroizing::new(ciphertext.masked.clone());
    let usable = mask(&x2, &y2, &mut plaintext);
    let same = digest(&x2, &plaintext, &y2).ct_eq(&ciphertext.digest);
    if usable && bool::from(same) {
        Ok(plaintext)
    } else {
        Err(EncryptionError::Digest)
    }
}

impl Ciphertext {
    /// Writes it.
    #[must_use]
    pub fn to_bytes(&self, layout: Layout) -> Vec<u8> {
        let mut out = Vec::with_capacity(OVERHEAD_BYTES + DER_BYTES_MAX + self.masked.len());
        match layout {
            Layout::C1C3C2 | Layout::C1C2C3 => {
                out.push(4);
                out.extend_from_slice(&self.x);
                out.extend_from_slice(&self.y);
                let (third, second) = (&self.digest[..], &self.masked[..]);
                let (first, last) = if layout == Layout::C1C3C2 {
                    (third, second)
                } else {
                    (second, third)
                };
                out.extend_from_slice(first);
                out.extend_from_slice(last);
            }
            Layout::Der => {
                let mut body = Vec::with_capacity(OVERHEAD_BYTES + self.masked.len() + 16);
                push(&mut body, INTEGER, &unsigned(&self.x));
                push(&mut body, INTEGER, &unsigned(&self.y));
                push(&mut body, OCTETS, &self.digest);
                push(&mut body, OCTETS, &self.masked);
                push(&mut out, SEQUENCE, &body);
            }
        }
        out
    }

    /// Reads it. Without the byte 4 in front, which some software leaves away, it is read as well;
    /// a compressed point is not.
    ///
    /// # Errors
    /// [`EncryptionError::Malformed`], [`EncryptionError::Point`], [`EncryptionError::Length`].
    pub fn from_bytes(layout: Layout, bytes: &[u8]) -> Result<Self, EncryptionError> {
        let max = PLAINTEXT_BYTES_MAX + OVERHEAD_BYTES + DER_BYTES_MAX;
        if bytes.len() > max {
            return Err(EncryptionError::Length(bytes.len()));
        }
        let parsed = match layout {
            Layout::Der => parse_der(bytes),
            Layout::C1C3C2 | Layout::C1C2C3 => {
                let tagged = bytes.split_first().filter(|(tag, _)| **tag == 4);
                let tagged = tagged.and_then(|(_, rest)| parse_raw(layout, rest));
                // x may begin with 4 by itself: the point decides.
                match tagged {
                    Some(found) if on_curve(&found.x, &found.y).is_some() => Some(found),
                    _ => parse_raw(layout, bytes),
                }
            }
        };
        let parsed = parsed.ok_or(EncryptionError::Malformed(layout))?;
        on_curve(&parsed.x, &parsed.y).ok_or(EncryptionError::Point)?;
        Ok(parsed)
    }
}

fn parse_raw(layout: Layout, bytes: &[u8]) -> Option<Ciphertext> {
    let (x, rest) = bytes.split_first_chunk::<32>()?;
    let (y, rest) = rest.split_first_chunk::<32>()?;
    let (digest, masked) = if layout == Layout::C1C3C2 {
        rest.split_first_chunk::<32>()?
    } else {
        let (masked, digest) = rest.split_last_chunk::<32>()?;
        (digest, masked)
    };
    (!masked.is_empty()).then(|| Ciphertext {
        x: *x,
        y: *y,
        digest: *digest,
        masked: masked.to_vec(),
    })
}

fn parse_der(bytes: &[u8]) -> Option<Ciphertext> {
    let (body, rest) = take(bytes, SEQUENCE)?;
    let (x, body) = take(body, INTEGER)?;
    let (y, body) = take(body, INTEGER)?;
    let (digest, body) = take(body, OCTETS)?;
    let (masked, body) = take(body, OCTETS)?;
    let whole = rest.is_empty() && body.is_empty() && !masked.is_empty();
    whole.then_some(Ciphertext {
        x: number(x)?,
        y: number(y)?,
        digest: digest.try_into().ok()?,
        masked: masked.to_vec(),
    })
}

/// Splits off the content of a value in DER with a length of at most three bytes.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (head, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (len, rest) = match *head {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let len = digits
                .iter()
                .fold(0usize, |high, byte| high << 8 | usize::from(*byte));
            // DER writes lengths as short as they can be.
            let least = 1usize << (8 * (digits.len().saturating_sub(1)));
            if len < least.max(0x80) {
                return None;
            }
            (len, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}

fn push(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let len = content.len();
    let bytes = len.to_be_bytes();
    let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    match digits.as_slice() {
        [] => out.push(0),
        [short @ 0..0x80] => out.push(*short),
        long => {
            // A length of usize has at most eight bytes.
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
}

/// A number without leading zeros, and without a set top bit, which would mean a minus sign.
fn unsigned(number: &[u8; 32]) -> Vec<u8> {
    let digits = number.iter().copied().skip_while(|byte| *byte == 0);
    let mut digits: Vec<u8> = digits.collect();
    if digits.first().is_none_or(|byte| byte & 0x80 != 0) {
        digits.insert(0, 0);
    }
    digits
}

fn number(content: &[u8]) -> Option<[u8; 32]> {
    let digits = match content {
        [0, next, ..] if *next < 0x80 => return None,
        [0, digits @ ..] if !digits.is_empty() => digits,
        [first, ..] if *first < 0x80 => content,
        _ => return None,
    };
    let mut out = [0; 32];
    let pad = 32usize.checked_sub(digits.len())?;
    out.get_mut(pad..)?.copy_from_slice(digits);
    Some(out)
}

/// The key's point.
fn point_of(key: &PublicKey) -> Result<ProjectivePoint, EncryptionError> {
    let wrong = KeyError::WrongScheme {
        expected: Scheme::Sm2,
        actual: key.scheme(),
    };
    let xy = key.sm2().ok_or(wrong)?.xy();
    let (x, y) = crate::signature::split(xy);
    on_curve(&x, &y).ok_or(EncryptionError::Point)
}

/// The point with these coordinates. All points of the curve but infinity, which has no
/// coordinates, have the full order.
fn on_curve(x: &[u8; 32], y: &[u8; 32]) -> Option<ProjectivePoint> {
    let point = sm2::Sec1Point::from_affine_coordinates(
        &FieldBytes::from(*x),
        &FieldBytes::from(*y),
        false,
    );
    AffinePoint::from_sec1_point(&point)
        .into_option()
        .map(ProjectivePoint::from)
}

/// x and y of a point other than infinity.
fn coordinates(point: &ProjectivePoint) -> ([u8; 32], [u8; 32]) {
    let encoded = Zeroizing::new(point.to_affine().to_sec1_point(false).as_bytes().to_vec());
    let (mut x, mut y) = ([0; 32], [0; 32]);
    let bytes = encoded.iter().skip(1);
    for (to, from) in x.iter_mut().chain(&mut y).zip(bytes) {
        *to = *from;
    }
    (x, y)
}

/// Adds the key stream KDF(x2 ‖ y2) (GB/T 32918.4 section 5.4.3). False where it is all zeros.
fn mask(x2: &[u8; 32], y2: &[u8; 32], data: &mut [u8]) -> bool {
    let mut head = Sm3::new();
    head.update(x2);
    head.update(y2);
    let mut any = 0;
    for (counter, chunk) in (1u32..).zip(data.chunks_mut(32)) {
        let mut hasher = head.clone();
        hasher.update(counter.to_be_bytes());
        let stream = Zeroizing::new(<[u8; 32]>::from(hasher.finalize()));
        for (byte, key) in chunk.iter_mut().zip(stream.iter()) {
            *byte ^= key;
            any |= key;
        }
    }
    any != 0
}

fn digest(x2: &[u8; 32], plaintext: &[u8], y2: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sm3::new();
    hasher.update(x2);
    hasher.update(plaintext);
    hasher.update(y2);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SecretKey {
        let d = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8";
        SecretKey::from_bytes(Scheme::Sm2, &hex::decode(d).unwrap()).unwrap()
    }

    /// GB/T 32918.5 annex C.2, with the nonce that the example uses. Its x begins with the byte 4.
    #[test]
    fn encrypts_the_example_of_the_standard() {
        let nonce = "59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21";
        let nonce = parse_scalar(&hex::decode(nonce).unwrap().try_into().unwrap()).unwrap();
        let point = point_of(&secret().public_key()).unwrap();
        let made = encrypt_with_nonce(&point, b"encryption standard", &nonce)
            .unwrap()
            .unwrap();
        assert_eq!(
            hex::encode(made.to_bytes(Layout::C1C3C2)),
            "0404ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73e8\
             58f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0\
             59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766\
             21886ca989ca9c7d58087307ca93092d651efa"
        );
        assert_eq!(
            &**decrypt(&secret(), &made).unwrap(),
            b"encryption standard"
        );
    }

    #[test]
    fn every_layout_comes_back_at_every_length_around_a_block_and_a_der_length() {
        for len in [
            1, 2, 31, 32, 33, 63, 64, 65, 100, 127, 128, 255, 256, 300, 65_536,
        ] {
            let plaintext: Vec<u8> = (0..len).map(|i: usize| (i * 7) as u8).collect();
            let made = encrypt(&secret().public_key(), &plaintext).unwrap();
            for layout in Layout::ALL {
                let bytes = made.to_bytes(layout);
                let read = Ciphertext::from_bytes(layout, &bytes).unwrap();
                assert_eq!(read, made);
                assert_eq!(**decrypt(&secret(), &read).unwrap(), plaintext);
                if layout != Layout::Der {
                    let bare = Ciphertext::from_bytes(layout, &bytes[1..]).unwrap();
                    assert_eq!(bare, made);
                }
            }
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let made = encrypt(&secret().public_key(), b"some text").unwrap();
        for layout in Layout::ALL {
            let good = made.to_bytes(layout);
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1;
                let read =
                    Ciphertext::from_bytes(layout, &bad).and_then(|read| decrypt(&secret(), &read));
                // Another tag byte in front of a raw point is the only thing that is not content.
                assert!(read.is_err(), "{layout} byte {at}");
            }
            for len in 0..good.len() {
                let read = Ciphertext::from_bytes(layout, &good[..len])
                    .and_then(|read| decrypt(&secret(), &read));
                assert!(read.is_err(), "{layout} cut to {len}");
            }
            let mut longer = good;
            longer.push(0);
            let read =
                Ciphertext::from_bytes(layout, &longer).and_then(|read| decrypt(&secret(), &read));
            assert!(read.is_err(), "{layout} with a byte more");
        }
    }

    #[test]
    fn layouts_are_not_taken_for_each_other_and_other_keys_do_not_decrypt() {
        let made = encrypt(&secret().public_key(), &[7; 40]).unwrap();
        let bytes = made.to_bytes(Layout::C1C3C2);
        let read = Ciphertext::from_bytes(Layout::C1C2C3, &bytes).unwrap();
        assert_eq!(decrypt(&secret(), &read), Err(EncryptionError::Digest));
        let other = SecretKey::from_seed(Scheme::Sm2, &[9; 32]).unwrap();
        assert_eq!(decrypt(&other, &made), Err(EncryptionError::Digest));
        let ed = SecretKey::from_seed(Scheme::Ed25519, &[9; 32]).unwrap();
        assert!(matches!(
            decrypt(&ed, &made),
            Err(EncryptionError::Key(KeyError::WrongScheme { .. }))
        ));
        assert!(encrypt(&ed.public_key(), b"x").is_err());
    }

    #[test]
    fn both_sides_of_the_length_limits() {
        let key = secret().public_key();
        assert_eq!(encrypt(&key, b""), Err(EncryptionError::Length(0)));
        assert!(encrypt(&key, &[0]).is_ok());
        let most = vec![1; PLAINTEXT_BYTES_MAX];
        let made = encrypt(&key, &most).unwrap();
        let bytes = made.to_bytes(Layout::Der);
        let read = Ciphertext::from_bytes(Layout::Der, &bytes).unwrap();
        assert_eq!(**decrypt(&secret(), &read).unwrap(), most);
        let over = vec![1; PLAINTEXT_BYTES_MAX + 1];
        assert_eq!(
            encrypt(&key, &over),
            Err(EncryptionError::Length(over.len()))
        );
        let over = vec![4; PLAINTEXT_BYTES_MAX + 200];
        assert!(matches!(
            Ciphertext::from_bytes(Layout::C1C3C2, &over),
            Err(EncryptionError::Length(_))
        ));
    }

    #[test]
    fn points_off_the_curve_are_refused() {
        let bytes = [&[4][..], &[1; 64], &[2; 32], &[3; 5]].concat();
        assert_eq!(
            Ciphertext::from_bytes(Layout::C1C3C2, &bytes),
            Err(EncryptionError::Point)
        );
    }
}
