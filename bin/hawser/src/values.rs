//! Values of contracts as JSON, and what contracts say when they refuse.

use alloy_dyn_abi::{DynSolValue, ErrorExt};
use alloy_json_abi::JsonAbi;
use serde_json::{Value, json};

use crate::exit::{Code, Result, fail};
use crate::output::cell;

/// Errors that are known without an ABI: Solidity's own, and those of the native contracts
/// (`examples/solidity/IEvidence.sol`, `IGovernance.sol`).
const STANDARD: [&str; 20] = [
    "error Error(string reason)",
    "error Panic(uint256 code)",
    "error EmptyBatch()",
    "error TooManyRecords(uint256 count, uint256 max)",
    "error TooManyDigests(uint256 count, uint256 max)",
    "error DigestsLength(uint256 length, uint256 digestLength)",
    "error UnknownAlgorithm(uint256 index, uint256 algorithm)",
    "error DigestLength(uint256 index, uint256 length, uint256 expected)",
    "error MediaTypeTooLong(uint256 index, uint256 length, uint256 max)",
    "error MediaTypeNotUtf8(uint256 index)",
    "error DescriptionTooLong(uint256 index, uint256 length, uint256 max)",
    "error DescriptionNotUtf8(uint256 index)",
    "error SealedOwnerTooLong(uint256 index, uint256 length, uint256 max)",
    "error AlreadyRegistered(bytes32 id)",
    "error NotRegistered(bytes32 id)",
    "error NotPayable()",
    "error UnknownFunction(bytes4 selector)",
    "error MalformedCall(string reason)",
    "error AccessDenied(string rule, string reason)",
    "error Refused(string reason)",
];

/// Bytes from a text of the form `0x…`.
pub(crate) fn hex_bytes(value: &Value) -> Result<Vec<u8>> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    match digits.map(hex::decode) {
        Some(Ok(bytes)) => Ok(bytes),
        _ => fail(Code::Refused, format!("expected bytes as 0x…, got {value}")),
    }
}

/// A value as JSON: numbers as decimal text, because they exceed what JSON readers keep.
pub(crate) fn to_json(value: &DynSolValue) -> Value {
    let list = |values: &[DynSolValue]| Value::Array(values.iter().map(to_json).collect());
    match value {
        DynSolValue::Bool(value) => json!(value),
        DynSolValue::Int(value, _) => json!(value.to_string()),
        DynSolValue::Uint(value, _) => json!(value.to_string()),
        DynSolValue::FixedBytes(word, len) => {
            json!(format!(
                "0x{}",
                hex::encode(word.get(..*len).unwrap_or_default())
            ))
        }
        DynSolValue::Address(address) => json!(address),
        DynSolValue::Function(function) => json!(format!("0x{}", hex::encode(function))),
        DynSolValue::Bytes(bytes) => json!(format!("0x{}", hex::encode(bytes))),
        DynSolValue::String(text) => json!(text),
        DynSolValue::Array(values)
        | DynSolValue::FixedArray(values)
        | DynSolValue::Tuple(values) => list(values),
    }
}

/// What revert data says: a reason, a panic, or a custom error of the ABI.
pub(crate) fn describe_revert(abi: Option<&JsonAbi>, data: &Value) -> Option<String> {
    let data = hex_bytes(data).ok()?;
    let selector = data.first_chunk::<4>()?;
    let standard = JsonAbi::parse(STANDARD).ok()?;
    let errors = abi.into_iter().chain([&standard]).flat_map(JsonAbi::errors);
    let error = errors
        .into_iter()
        .find(|error| error.selector() == *selector)?;
    let decoded = error.decode_error(&data).ok()?;
    let values: Vec<_> = decoded
        .body
        .iter()
        .map(|value| cell(&to_json(value)))
        .collect();
    Some(match error.name.as_str() {
        "Error" | "Refused" => values.join(", "),
        "AccessDenied" => format!("access denied by {}", values.join(": ")),
        name => format!("{name}({})", values.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revert_data_is_put_into_words() {
        let abi = JsonAbi::parse(["error TooMany(uint256 count)"]).unwrap();
        let word = |n: u8| format!("{}{n:02x}", "0".repeat(62));
        let selector = hex::encode(abi.error("TooMany").unwrap()[0].selector());
        let data = json!(format!("0x{selector}{}", word(7)));
        assert_eq!(describe_revert(Some(&abi), &data).unwrap(), "TooMany(7)");
        assert_eq!(describe_revert(None, &data), None);
        let reason = format!("0x08c379a0{}{}{:0<64}", word(32), word(2), "6869");
        assert_eq!(describe_revert(None, &json!(reason)).unwrap(), "hi");
        let panic = format!("0x4e487b71{}", word(0x11));
        assert_eq!(describe_revert(None, &json!(panic)).unwrap(), "Panic(17)");
        for bad in [json!(null), json!("0x"), json!("0x08c379a0"), json!("zz")] {
            assert_eq!(describe_revert(Some(&abi), &bad), None, "{bad}");
        }
    }

    #[test]
    fn the_errors_of_the_evidence_contract_are_known() {
        use alloy_sol_types::SolError;
        use hawser_services::evidence::IEvidence;
        let id = hawser_primitives::B256::repeat_byte(1);
        let data = IEvidence::AlreadyRegistered { id }.abi_encode();
        let said = describe_revert(None, &json!(format!("0x{}", hex::encode(data)))).unwrap();
        assert!(said.starts_with("AlreadyRegistered(0x0101"), "{said}");
    }
}
