//! Writing DER (X.690). Reading is done by the `x509-cert` and `der` crates.

use der::asn1::ObjectIdentifier as Oid;

pub(crate) const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// Tag, length and content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len().saturating_add(6));
    out.push(tag);
    let len = content.len();
    if len < 0x80 {
        // Below 128 by the condition.
        out.push(u8::try_from(len).unwrap_or(0));
    } else {
        let bytes = (len as u64).to_be_bytes();
        let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
        out.extend(digits);
    }
    out.extend_from_slice(content);
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

pub(crate) fn set(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SET, &parts.concat())
}

pub(crate) fn oid(id: Oid) -> Vec<u8> {
    tlv(0x06, id.as_bytes())
}

/// A non-negative integer from big-endian bytes.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = bytes
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    if digits.first().is_none_or(|byte| byte & 0x80 != 0) {
        digits.insert(0, 0);
    }
    tlv(0x02, &digits)
}

pub(crate) fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv(0x04, bytes)
}

/// A bit string of whole bytes.
pub(crate) fn bits(bytes: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], bytes].concat())
}

/// A bit string of named bits (X.690 section 11.2.2): `flags` has bit 0 at its top.
pub(crate) fn named_bits(flags: u8) -> Vec<u8> {
    let unused = u8::try_from(flags.trailing_zeros().min(7)).unwrap_or(0);
    tlv(0x03, &[unused, flags])
}

pub(crate) fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

pub(crate) fn printable(text: &str) -> Vec<u8> {
    tlv(0x13, text.as_bytes())
}

/// An extension; `value` is the DER of what the extension holds.
pub(crate) fn extension(id: Oid, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    sequence(&[&oid(id), critical, &octets(value)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_integers_are_minimal() {
        assert_eq!(tlv(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(tlv(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[0; 256])[..4], [4, 0x82, 1, 0]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(named_bits(0b1000_0000), [3, 2, 7, 0x80]);
        assert_eq!(named_bits(0b0000_0110), [3, 2, 1, 6]);
    }
}
