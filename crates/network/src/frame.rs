//! The wire format: `length: u32`, `chain: u64`, payload of `length` bytes; big-endian.
//!
//! Frames of chain 2^64 − 1 belong to the link protocol. Their payload is a kind byte and fixed
//! fields, so a length that does not fit the kind is malformed.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hawser_primitives::ChainId;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 12;
/// Marks frames of the link protocol. EIP-2294 keeps real chain identifiers far below.
pub(crate) const CONTROL_CHAIN: ChainId = ChainId(u64::MAX);
/// Largest payload of a control frame: a kind and 16 bytes.
pub(crate) const CONTROL_BYTES_MAX: usize = 17;
/// Payloads up to this length are copied out of the read buffer, so that keeping a small message
/// does not keep the whole buffer.
const COPY_BYTES_MAX: usize = 16 * 1024;

/// Names one run of a node, so that a restart can be told from a second link.
pub(crate) type Instance = [u8; 16];

/// A frame of the link protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// First frame of each side.
    Hello(Instance),
    /// From the side with the smaller id: this connection is the link. Numbers grow.
    Accept(u64),
    /// Asks for a pong with the same number.
    Ping(u64),
    /// Answers a ping.
    Pong(u64),
    /// Last frame before an orderly close.
    Bye(Bye),
}

/// Why the sender closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bye {
    Shutdown,
    Duplicate,
    Superseded,
    Refused,
    TooMany,
    Removed,
    Untrusted,
}

impl Bye {
    const ALL: [Self; 7] = [
        Self::Shutdown,
        Self::Duplicate,
        Self::Superseded,
        Self::Refused,
        Self::TooMany,
        Self::Removed,
        Self::Untrusted,
    ];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Shutdown => "it is shutting down",
            Self::Duplicate => "another link to it is up",
            Self::Superseded => "a newer link took over",
            Self::Refused => "it received an invalid frame",
            Self::TooMany => "it has too many connections open",
            Self::Removed => "this node was taken out of its configuration",
            Self::Untrusted => "it no longer trusts this node's certificate",
        }
    }
}

impl Control {
    pub(crate) fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(CONTROL_BYTES_MAX);
        match self {
            Self::Hello(instance) => {
                out.put_u8(0);
                out.put_slice(&instance);
            }
            Self::Accept(number) => {
                out.put_u8(1);
                out.put_u64(number);
            }
            Self::Ping(number) => {
                out.put_u8(2);
                out.put_u64(number);
            }
            Self::Pong(number) => {
                out.put_u8(3);
                out.put_u64(number);
            }
            Self::Bye(why) => {
                out.put_u8(4);
                out.put_u8(why as u8);
            }
        }
        out.freeze()
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let (kind, rest) = payload.split_first()?;
        let number = || rest.try_into().ok().map(u64::from_be_bytes);
        match kind {
            0 => rest.try_into().ok().map(Self::Hello),
            1 => number().map(Self::Accept),
            2 => number().map(Self::Ping),
            3 => number().map(Self::Pong),
            4 => match rest {
                [code] => Bye::ALL.get(usize::from(*code)).copied().map(Self::Bye),
                _ => None,
            },
            _ => None,
        }
    }

    /// The whole frame.
    pub(crate) fn frame(self) -> Bytes {
        let payload = self.encode();
        let mut out = BytesMut::with_capacity(HEADER_BYTES + payload.len());
        put_header(&mut out, payload.len(), CONTROL_CHAIN);
        out.put_slice(&payload);
        out.freeze()
    }
}

/// Writes a header. `len` is at most [`crate::Limits::frame_bytes_max`], which fits 32 bits.
pub(crate) fn put_header(out: &mut BytesMut, len: usize, chain: ChainId) {
    out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    out.put_u64(chain.0);
}

/// What the front of the read buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Not a whole frame yet.
    Incomplete,
    Frame(ChainId, Bytes),
    Control(Control),
    Oversize(u64),
    Malformed(&'static str),
}

/// Takes one frame off the front of `buffer`. Announced lengths reserve nothing: the buffer
/// grows only by bytes that arrived.
pub(crate) fn parse(buffer: &mut BytesMut, frame_bytes_max: usize) -> Parsed {
    let mut head: &[u8] = buffer;
    if head.len() < HEADER_BYTES {
        return Parsed::Incomplete;
    }
    let len = head.get_u32() as usize;
    let chain = ChainId(head.get_u64());
    if chain == CONTROL_CHAIN && len > CONTROL_BYTES_MAX {
        return Parsed::Malformed("control frame too long");
    }
    if len > frame_bytes_max && chain != CONTROL_CHAIN {
        return Parsed::Oversize(len as u64);
    }
    if head.len() < len {
        return Parsed::Incomplete;
    }
    buffer.advance(HEADER_BYTES);
    if chain == CONTROL_CHAIN {
        let payload = buffer.split_to(len);
        return match Control::decode(&payload) {
            Some(control) => Parsed::Control(control),
            None => Parsed::Malformed("unknown control frame"),
        };
    }
    let payload = buffer.split_to(len);
    if len <= COPY_BYTES_MAX {
        Parsed::Frame(chain, Bytes::copy_from_slice(&payload))
    } else {
        Parsed::Frame(chain, payload.freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(chain: u64, payload: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        put_header(&mut out, payload.len(), ChainId(chain));
        out.put_slice(payload);
        out
    }

    #[test]
    fn the_wire_format_is_fixed() {
        assert_eq!(
            hex::encode(frame(0x0102, b"ab")),
            "0000000200000000000001026162"
        );
        let control = |control: Control| hex::encode(control.frame());
        assert_eq!(
            control(Control::Hello([0xab; 16])),
            format!("00000011ffffffffffffffff00{}", "ab".repeat(16))
        );
        assert_eq!(
            control(Control::Accept(1)),
            "00000009ffffffffffffffff010000000000000001"
        );
        assert_eq!(
            control(Control::Ping(2)),
            "00000009ffffffffffffffff020000000000000002"
        );
        assert_eq!(
            control(Control::Pong(3)),
            "00000009ffffffffffffffff030000000000000003"
        );
        for (code, bye) in Bye::ALL.into_iter().enumerate() {
            assert_eq!(
                control(Control::Bye(bye)),
                format!("00000002ffffffffffffffff04{code:02x}")
            );
        }
    }

    #[test]
    fn both_sides_of_the_frame_limit() {
        let mut at = frame(1, &[5; 100]);
        assert_eq!(
            parse(&mut at, 100),
            Parsed::Frame(ChainId(1), Bytes::from(vec![5; 100]))
        );
        assert!(at.is_empty());
        assert_eq!(parse(&mut frame(1, &[5; 101]), 100), Parsed::Oversize(101));
        // Refused by the header alone, before a byte of the payload arrives.
        let mut header = frame(1, &[]);
        header[0] = 0xff;
        assert_eq!(parse(&mut header, 100), Parsed::Oversize(0xff00_0000));
    }

    #[test]
    fn control_frames_have_exact_lengths() {
        for bad in [
            &[][..],
            &[0; 16],
            &[0; 18],
            &[1; 8],
            &[2; 10],
            &[4],
            &[4, 7],
            &[4, 0, 0],
            &[5],
        ] {
            assert!(
                matches!(parse(&mut frame(u64::MAX, bad), 100), Parsed::Malformed(_)),
                "{bad:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_without_panic_and_never_grow(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            loop {
                let before = buffer.len();
                match parse(&mut buffer, 64) {
                    Parsed::Frame(_, payload) => {
                        prop_assert!(payload.len() <= 64);
                        prop_assert_eq!(buffer.len() + payload.len() + HEADER_BYTES, before);
                    }
                    Parsed::Control(_) => prop_assert!(buffer.len() < before),
                    Parsed::Incomplete | Parsed::Oversize(_) | Parsed::Malformed(_) => break,
                }
            }
        }

        #[test]
        fn frames_survive_any_cut(payload in proptest::collection::vec(any::<u8>(), 0..64), cut in 0usize..76) {
            let whole = frame(9, &payload);
            let cut = cut.min(whole.len());
            let mut buffer = BytesMut::from(&whole[..cut]);
            if cut < whole.len() {
                prop_assert_eq!(parse(&mut buffer, 64), Parsed::Incomplete);
            }
            buffer.extend_from_slice(&whole[cut..]);
            prop_assert_eq!(parse(&mut buffer, 64), Parsed::Frame(ChainId(9), Bytes::from(payload)));
        }

        #[test]
        fn control_round_trips(number: u64, instance: [u8; 16]) {
            for control in [Control::Hello(instance), Control::Accept(number), Control::Ping(number), Control::Pong(number)] {
                prop_assert_eq!(Control::decode(&control.encode()), Some(control));
            }
        }
    }
}
