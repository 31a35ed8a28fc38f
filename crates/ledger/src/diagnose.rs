//! Says in words why bytes are no Ethereum transaction. Only for messages: nothing is decided here.

use alloy_rlp::Header;

const LEGACY: &[&str] = &[
    "nonce", "gasPrice", "gas", "to", "value", "data", "v", "r", "s",
];
const EIP_2930: &[&str] = &[
    "chainId",
    "nonce",
    "gasPrice",
    "gas",
    "to",
    "value",
    "data",
    "accessList",
    "yParity",
    "r",
    "s",
];
const EIP_1559: &[&str] = &[
    "chainId",
    "nonce",
    "maxPriorityFeePerGas",
    "maxFeePerGas",
    "gas",
    "to",
    "value",
    "data",
    "accessList",
    "yParity",
    "r",
    "s",
];
const EIP_7702: &[&str] = &[
    "chainId",
    "nonce",
    "maxPriorityFeePerGas",
    "maxFeePerGas",
    "gas",
    "to",
    "value",
    "data",
    "accessList",
    "authorizationList",
    "yParity",
    "r",
    "s",
];

/// What is missing or too much; `None` where the outline is in order and a field is not.
pub(crate) fn diagnose(raw: &[u8]) -> Option<String> {
    let first = *raw.first()?;
    let (name, fields, mut rest) = match first {
        1 => ("type 1 (EIP-2930)", EIP_2930, raw.get(1..)?),
        2 => ("type 2 (EIP-1559)", EIP_1559, raw.get(1..)?),
        4 => ("type 4 (EIP-7702)", EIP_7702, raw.get(1..)?),
        0xc0..=0xff => ("type 0 (legacy)", LEGACY, raw),
        _ => return None,
    };
    if rest.is_empty() {
        return Some(format!(
            "{name}: only the type is there; all of its fields are missing"
        ));
    }
    let announced = match length(rest) {
        Length::Text => return Some(format!("{name}: an RLP list must follow the type")),
        Length::Cut => {
            return Some(format!(
                "{name}: it ends within the length of the list of fields"
            ));
        }
        Length::List(head, len) => {
            rest = rest.get(head..)?;
            len
        }
    };
    if rest.len() < announced {
        let missing = announced.checked_sub(rest.len())?;
        let at = complete_fields(rest);
        let field = fields.get(at).copied().unwrap_or("the end");
        return Some(format!(
            "{name} is cut off: its list announces {announced} bytes, {missing} of them are \
             missing; it ends within {field}"
        ));
    }
    if rest.len() > announced {
        let extra = rest.len().checked_sub(announced)?;
        return Some(format!("{name}: {extra} bytes follow the transaction"));
    }
    let found = complete_fields(rest);
    if found < fields.len() {
        let missing = fields.get(found..)?.join(", ");
        let hint = if missing == "yParity, r, s" || missing == "v, r, s" {
            "; it is not signed"
        } else {
            ""
        };
        return Some(format!("{name} lacks {missing}{hint}"));
    }
    if found > fields.len() {
        return Some(format!(
            "{name} has {found} fields, it should have {}: {}",
            fields.len(),
            fields.join(", ")
        ));
    }
    let bad = first_bad(rest, fields)?;
    Some(format!("{name}: field {bad}"))
}

enum Length {
    Text,
    Cut,
    /// Bytes of the header, bytes announced.
    List(usize, usize),
}

/// The outermost list's length, also where the list itself is cut off.
fn length(bytes: &[u8]) -> Length {
    let Some(&first) = bytes.first() else {
        return Length::Cut;
    };
    match first {
        0xc0..=0xf7 => Length::List(1, usize::from(first - 0xc0)),
        0xf8..=0xff => {
            let count = usize::from(first - 0xf7);
            let Some(digits) = bytes.get(1..=count) else {
                return Length::Cut;
            };
            // Longer numbers than the limit on transactions cannot be meant; they saturate.
            let value = digits.iter().fold(0usize, |sum, byte| {
                sum.saturating_mul(256).saturating_add(usize::from(*byte))
            });
            Length::List(count.saturating_add(1), value)
        }
        _ => Length::Text,
    }
}

/// Splits off one RLP item; gives whether it is a list, and its payload.
fn item<'a>(rest: &mut &'a [u8]) -> Option<(bool, &'a [u8])> {
    let header = Header::decode(rest).ok()?;
    let payload = rest.get(..header.payload_length)?;
    *rest = rest.get(header.payload_length..)?;
    Some((header.list, payload))
}

fn complete_fields(mut rest: &[u8]) -> usize {
    let mut count = 0usize;
    while !rest.is_empty() && item(&mut rest).is_some() {
        count = count.saturating_add(1);
    }
    count
}

/// The first field that cannot be what its place asks for.
fn first_bad(mut rest: &[u8], fields: &[&str]) -> Option<String> {
    for name in fields {
        let (list, payload) = item(&mut rest)?;
        let problem = match *name {
            "accessList" | "authorizationList" => (!list).then(|| "must be a list".to_owned()),
            _ if list => Some("must not be a list".to_owned()),
            "data" => None,
            "to" => (!matches!(payload.len(), 0 | 20)).then(|| {
                format!(
                    "has {} bytes; an address has 20, a creation none",
                    payload.len()
                )
            }),
            _ if payload.len() > 32 => Some(format!(
                "has {} bytes; a number has at most 32",
                payload.len()
            )),
            _ if payload.first() == Some(&0) => {
                Some("is a number with leading zeros; RLP writes it without them".to_owned())
            }
            "chainId" | "nonce" | "gas" if payload.len() > 8 => {
                Some("is a number over 64 bits".to_owned())
            }
            _ => None,
        };
        if let Some(problem) = problem {
            return Some(format!("{name} {problem}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{SignableTransaction, TxEip1559, TxLegacy};
    use alloy_eips::eip2718::Encodable2718;
    use alloy_primitives::{Address, Signature, TxKind, U256};
    use hawser_crypto::Suite;

    use crate::{Transaction, TransactionError};

    fn signed() -> Vec<u8> {
        let transaction = TxEip1559 {
            chain_id: 7,
            nonce: 300,
            gas_limit: 21_000,
            max_fee_per_gas: 1,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(Address::repeat_byte(9)),
            value: U256::from(5),
            access_list: Default::default(),
            input: vec![7; 100].into(),
        };
        let signature = Signature::new(U256::from(1), U256::from(2), false);
        transaction.into_signed(signature).encoded_2718()
    }

    fn said(raw: &[u8]) -> String {
        match Transaction::decode(Suite::Intl, raw.to_vec().into()) {
            Err(TransactionError::Malformed(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_truncation_says_that_something_is_missing_and_where() {
        let raw = signed();
        assert!(Transaction::decode(Suite::Intl, raw.clone().into()).is_ok());
        for len in 1..raw.len() {
            let text = said(&raw[..len]);
            assert!(
                text.contains("missing") || text.contains("ends within"),
                "{len}: {text}"
            );
            assert!(!text.contains("type flag"), "{len}: {text}");
        }
        assert!(said(&raw[..1]).contains("only the type"));
        assert!(
            said(&raw[..60]).contains("it ends within data"),
            "{}",
            said(&raw[..60])
        );
    }

    #[test]
    fn an_unsigned_transaction_and_odd_fields_are_named() {
        let unsigned = TxEip1559 {
            chain_id: 7,
            ..TxEip1559::default()
        };
        let mut raw = Vec::new();
        unsigned.encode_for_signing(&mut raw);
        assert_eq!(
            said(&raw),
            "type 2 (EIP-1559) lacks yParity, r, s; it is not signed"
        );
        let mut legacy = Vec::new();
        TxLegacy::default().encode_for_signing(&mut legacy);
        assert_eq!(
            said(&legacy),
            "type 0 (legacy) lacks v, r, s; it is not signed"
        );
        assert_eq!(
            said(&[2, 0x80]),
            "type 2 (EIP-1559): an RLP list must follow the type"
        );
        let mut long = signed();
        long.extend_from_slice(&[0, 0]);
        assert!(said(&long).contains("2 bytes follow"), "{}", said(&long));
        // A list of twelve empty texts: no access list.
        let mut raw = vec![2, 0xcc];
        raw.extend_from_slice(&[0x80; 12]);
        assert_eq!(
            said(&raw),
            "type 2 (EIP-1559): field accessList must be a list"
        );
        // Leading zeros in the nonce.
        let raw = [
            2, 0xcc, 0x80, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xc0, 0x80, 0x80, 0x80,
        ];
        assert!(
            said(&raw).contains("nonce is a number with leading zeros"),
            "{}",
            said(&raw)
        );
    }
}
