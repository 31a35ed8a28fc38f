//! The JSON format of `GeneralStateTests`
//! (<https://ethereum-tests.readthedocs.io/en/latest/test_types/gstate_tests.html>).

use std::collections::BTreeMap;

use alloy_eips::{
    eip2930::AccessList,
    eip7702::{Authorization, SignedAuthorization},
};
use hawser_crypto::{Scheme, SecretKey};
use hawser_primitives::{Address, B256, Bytes, U256};
use revm::{
    context::{TxEnv, either::Either},
    primitives::TxKind,
};
use serde::{Deserialize, Deserializer, de::Error as _};

/// A number in hexadecimal, with leading zeros or without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(pub(super) U256);

fn parse(text: &str) -> Option<U256> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.is_empty() {
        return Some(U256::ZERO);
    }
    U256::from_str_radix(digits, 16).ok()
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = parse(&text);
        number
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("not a number: {text}")))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct TestUnit {
    pub(super) env: Environment,
    pub(super) pre: BTreeMap<Address, PreAccount>,
    pub(super) post: BTreeMap<String, Vec<PostState>>,
    pub(super) transaction: TransactionParts,
    pub(super) config: Option<Config>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub(super) chainid: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Environment {
    pub(super) current_coinbase: Address,
    pub(super) current_gas_limit: Number,
    pub(super) current_number: Number,
    pub(super) current_timestamp: Number,
    pub(super) current_base_fee: Option<Number>,
    pub(super) current_random: Option<Number>,
    pub(super) current_excess_blob_gas: Option<Number>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PreAccount {
    pub(super) balance: Number,
    pub(super) code: Bytes,
    pub(super) nonce: Number,
    pub(super) storage: BTreeMap<Number, Number>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostState {
    pub(super) hash: B256,
    pub(super) logs: B256,
    pub(super) indexes: Indexes,
    pub(super) expect_exception: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Indexes {
    data: usize,
    gas: usize,
    value: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TransactionParts {
    data: Vec<Bytes>,
    gas_limit: Vec<Number>,
    value: Vec<String>,
    nonce: Number,
    to: String,
    sender: Option<Address>,
    secret_key: Option<Bytes>,
    gas_price: Option<Number>,
    max_fee_per_gas: Option<Number>,
    max_priority_fee_per_gas: Option<Number>,
    max_fee_per_blob_gas: Option<Number>,
    blob_versioned_hashes: Option<Vec<B256>>,
    access_lists: Option<Vec<Option<AccessList>>>,
    authorization_list: Option<Vec<AuthorizationParts>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationParts {
    chain_id: Number,
    address: Address,
    nonce: Number,
    #[serde(alias = "v")]
    y_parity: Number,
    r: Number,
    s: Number,
}

fn sender(parts: &TransactionParts) -> Result<Address, String> {
    if let Some(sender) = parts.sender {
        return Ok(sender);
    }
    let key = parts
        .secret_key
        .as_ref()
        .ok_or("neither sender nor secretKey")?;
    let key = SecretKey::from_bytes(Scheme::Secp256k1, key).map_err(|error| error.to_string())?;
    Ok(key.address())
}

fn authorization(parts: &AuthorizationParts) -> SignedAuthorization {
    let inner = Authorization {
        chain_id: parts.chain_id.0,
        address: parts.address,
        nonce: parts.nonce.0.saturating_to(),
    };
    let parity = parts.y_parity.0.saturating_to();
    SignedAuthorization::new_unchecked(inner, parity, parts.r.0, parts.s.0)
}

/// The transaction of a case, or why there can be no such transaction.
pub(super) fn transaction(parts: &TransactionParts, at: &Indexes) -> Result<TxEnv, String> {
    let missing = |what: &str| format!("case names a {what} that the file has not");
    let value = parts.value.get(at.value).ok_or_else(|| missing("value"))?;
    // Values beyond 256 bits occur on purpose; no transaction can carry them.
    let value = parse(value).ok_or_else(|| format!("value {value} does not fit 256 bits"))?;
    let gas = parts
        .gas_limit
        .get(at.gas)
        .ok_or_else(|| missing("gas limit"))?;
    let data = parts
        .data
        .get(at.data)
        .ok_or_else(|| missing("data"))?
        .clone();
    let access_list = parts
        .access_lists
        .as_ref()
        .and_then(|lists| lists.get(at.data).cloned());
    let blobs = parts.blob_versioned_hashes.clone();
    let tx_type = if parts.authorization_list.is_some() {
        4
    } else if blobs.is_some() || parts.max_fee_per_blob_gas.is_some() {
        3
    } else if parts.max_fee_per_gas.is_some() {
        2
    } else {
        u8::from(access_list.as_ref().is_some_and(Option::is_some))
    };
    let kind = match parts.to.as_str() {
        "" | "0x" => TxKind::Create,
        to => TxKind::Call(to.parse().map_err(|error| format!("to: {error}"))?),
    };
    if kind.is_create() && tx_type >= 3 {
        return Err(format!(
            "transaction type {tx_type} cannot create a contract"
        ));
    }
    let price = parts
        .max_fee_per_gas
        .or(parts.gas_price)
        .unwrap_or_default();
    let number = |number: Option<Number>| number.map(|n| n.0.saturating_to::<u128>());
    Ok(TxEnv {
        tx_type,
        caller: sender(parts)?,
        gas_limit: gas
            .0
            .try_into()
            .map_err(|_| "gas limit exceeds 64 bits".to_owned())?,
        gas_price: price.0.saturating_to(),
        kind,
        value,
        data,
        nonce: parts
            .nonce
            .0
            .try_into()
            .map_err(|_| "nonce exceeds 64 bits".to_owned())?,
        chain_id: Some(1),
        access_list: access_list.flatten().unwrap_or_default(),
        gas_priority_fee: number(parts.max_priority_fee_per_gas).filter(|_| tx_type >= 2),
        blob_hashes: blobs.unwrap_or_default(),
        max_fee_per_blob_gas: number(parts.max_fee_per_blob_gas).unwrap_or_default(),
        authorization_list: parts
            .authorization_list
            .iter()
            .flatten()
            .map(|parts| Either::Right(crate::transaction::recover(&authorization(parts))))
            .collect(),
    })
}
