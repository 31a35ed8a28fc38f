//! The text form `scheme:0x…` that keys and signatures share.

use std::fmt;

use crate::Scheme;

/// Longest text worth looking at: an uncompressed point with room for the scheme's name.
const TEXT_LEN_MAX: usize = 160;

/// Writes `scheme:0x…`.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, scheme: Scheme, bytes: &[u8]) -> fmt::Result {
    write!(f, "{scheme}:0x{}", hex::encode(bytes))
}

/// Splits `scheme:0x…` into its scheme and bytes; `None` where it has another form.
pub(crate) fn parse(text: &str) -> Option<(Scheme, Vec<u8>)> {
    if text.len() > TEXT_LEN_MAX {
        return None;
    }
    let (scheme, digits) = text.split_once(":0x")?;
    Some((scheme.parse().ok()?, hex::decode(digits).ok()?))
}
