use alloy_primitives::hex;
use hawser_primitives::U256;

use crate::wire::{ErrorObject, code};

/// Selector of Solidity's `Error(string)`.
const ERROR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
/// Selector of Solidity's `Panic(uint256)`.
const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];
/// Longest reason repeated in a message, in bytes; `data` has all of it.
const REASON_BYTES_MAX: usize = 1_024;

/// The error of code that reverted: code 3, the reason in words where it has one, and the bytes.
pub(crate) fn error(data: &[u8]) -> ErrorObject {
    let message = match reason(data) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    };
    let mut error = ErrorObject::new(code::REVERTED, message);
    error.data = Some(hex::encode_prefixed(data).into());
    error
}

/// The reason in words; `None` for custom errors and reverts without reason.
pub(crate) fn reason(data: &[u8]) -> Option<String> {
    let (selector, rest) = data.split_first_chunk::<4>()?;
    match *selector {
        ERROR => {
            let offset = word(rest, 0)?;
            let length = word(rest, offset)?;
            let start = offset.checked_add(32)?;
            let text = rest.get(start..start.checked_add(length)?)?;
            let text = text.get(..REASON_BYTES_MAX).unwrap_or(text);
            Some(String::from_utf8_lossy(text).into_owned())
        }
        PANIC => {
            let number = word(rest, 0)?;
            Some(panic_text(number))
        }
        hawser_execution::ACCESS_DENIED => {
            hawser_execution::Finding::from_revert_data(data).map(|finding| finding.to_string())
        }
        _ => None,
    }
}

/// A 32-byte number at an offset that fits a machine word.
fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let slice = bytes.get(at..at.checked_add(32)?)?;
    usize::try_from(U256::try_from_be_slice(slice)?).ok()
}

/// Solidity's panic codes, in geth's words.
fn panic_text(number: usize) -> String {
    match number {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        other => return format!("unknown panic code: {other:#x}"),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_decoded_and_nonsense_is_not() {
        let good = hex::decode(
            "08c379a0\
             0000000000000000000000000000000000000000000000000000000000000020\
             0000000000000000000000000000000000000000000000000000000000000005\
             68656c6c6f000000000000000000000000000000000000000000000000000000",
        )
        .unwrap();
        let error = error(&good);
        assert_eq!(
            (error.code, &*error.message),
            (3, "execution reverted: hello")
        );
        assert_eq!(error.data, Some(hex::encode_prefixed(&good).into()));
        for cut in 0..good.len() - 32 {
            assert_eq!(reason(&good[..cut]), None, "{cut} bytes");
        }
        let mut huge = good.clone();
        huge[36..68].fill(0xff);
        assert_eq!(reason(&huge), None);
    }

    #[test]
    fn panics_are_named() {
        let mut data = PANIC.to_vec();
        data.extend_from_slice(&U256::from(0x11).to_be_bytes::<32>());
        assert_eq!(reason(&data).unwrap(), "arithmetic underflow or overflow");
        data[35] = 0x99;
        assert_eq!(reason(&data).unwrap(), "unknown panic code: 0x99");
    }

    #[test]
    fn a_custom_error_keeps_its_bytes_only() {
        let error = error(&[1, 2, 3, 4, 5]);
        assert_eq!(error.message, "execution reverted");
        assert_eq!(error.data, Some("0x0102030405".into()));
    }
}
