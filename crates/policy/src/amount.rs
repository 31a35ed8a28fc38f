//! Amounts in files: a number, or text with decimal digits, underscores or `0x`.

use std::fmt;

use hawser_primitives::U256;
use serde::{Deserializer, Serializer, de};

pub(crate) fn serialize<S: Serializer>(value: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
    deserializer.deserialize_any(Amount)
}

/// Reads an amount.
fn parse(text: &str) -> Option<U256> {
    let digits = text.replace('_', "");
    match digits.strip_prefix("0x") {
        Some(hex) => U256::from_str_radix(hex, 16).ok(),
        None if digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() => {
            U256::from_str_radix(&digits, 10).ok()
        }
        None => None,
    }
}

struct Amount;

impl de::Visitor<'_> for Amount {
    type Value = U256;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount: a whole number, or one in quotes such as \"1_000\" or \"0x3e8\"")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<U256, E> {
        Ok(U256::from(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<U256, E> {
        match u64::try_from(value) {
            Ok(value) => Ok(U256::from(value)),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(value), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<U256, E> {
        parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// Amounts that may be missing.
pub(crate) mod optional {
    use super::{Deserializer, Serializer, U256};

    #[allow(clippy::ref_option)]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<U256>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<U256>, D::Error> {
        use serde::Deserialize;
        #[derive(Deserialize)]
        struct Wrapped(#[serde(deserialize_with = "super::deserialize")] U256);
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|Wrapped(value)| value))
    }
}
