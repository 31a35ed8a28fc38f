//! PEM (RFC 7468): blocks between `BEGIN` and `END` lines. Text around blocks is skipped.

use crate::PkiError;
use crate::limits::{FILE_BYTES_MAX, PEM_BLOCKS_MAX};

/// The DER of every block with this label, in order.
pub(crate) fn blocks(text: &str, label: &'static str) -> Result<Vec<Vec<u8>>, PkiError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(PkiError::TooLarge {
            what: "PEM file",
            len: text.len(),
            max: FILE_BYTES_MAX,
        });
    }
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&begin) {
        let (body, next) = after
            .split_once(&end)
            .ok_or_else(|| PkiError::malformed("PEM block", "it has no END line"))?;
        if found.len() >= PEM_BLOCKS_MAX {
            return Err(PkiError::TooMany {
                what: "PEM blocks in a file",
                max: PEM_BLOCKS_MAX,
            });
        }
        let whole = format!("{begin}{}\n{end}\n", body.trim_end());
        let (_, der) = der::pem::decode_vec(whole.as_bytes())
            .map_err(|error| PkiError::malformed("PEM block", error))?;
        found.push(der);
        rest = next;
    }
    Ok(found)
}

/// One block.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_among_text_and_their_number_is_bounded() {
        let block = encode("CERTIFICATE", &[7; 100]);
        let other = encode("X509 CRL", &[8; 3]);
        let text = format!("Subject: x\n{block}\nnoise\n{other}{block}");
        assert_eq!(blocks(&text, "CERTIFICATE").unwrap(), [[7; 100], [7; 100]]);
        assert_eq!(blocks(&text, "X509 CRL").unwrap(), [[8; 3]]);
        assert!(blocks(&block.repeat(PEM_BLOCKS_MAX), "CERTIFICATE").is_ok());
        assert!(blocks(&block.repeat(PEM_BLOCKS_MAX + 1), "CERTIFICATE").is_err());
        assert!(blocks(&block[..60], "CERTIFICATE").is_err());
        assert!(blocks(&"x".repeat(FILE_BYTES_MAX + 1), "CERTIFICATE").is_err());
    }
}
