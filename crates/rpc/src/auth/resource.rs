use std::fmt;

use alloy_primitives::U256;
use hawser_primitives::{Address, B256};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What kind of act a method is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Asks about the chain.
    Read,
    /// Wants to be told of what happens.
    Subscribe,
    /// Looks inside: traces, the pool, peers.
    Inspect,
    /// Sends a transaction, which shows whether it would be taken.
    Submit,
}

impl Action {
    /// The act that a method is; unknown ones read.
    #[must_use]
    pub fn of(method: &str) -> Self {
        match method {
            "eth_subscribe"
            | "eth_unsubscribe"
            | "eth_newFilter"
            | "eth_newBlockFilter"
            | "eth_newPendingTransactionFilter"
            | "eth_getFilterChanges"
            | "eth_getFilterLogs"
            | "eth_uninstallFilter" => Self::Subscribe,
            "eth_sendRawTransaction"
            | "eth_sendRawTransactionSync"
            | "hawser_sendRawTransaction" => Self::Submit,
            other
                if other.starts_with("debug_")
                    || other.starts_with("txpool_")
                    || other.starts_with("admin_") =>
            {
                Self::Inspect
            }
            _ => Self::Read,
        }
    }

    /// Lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Subscribe => "subscribe",
            Self::Inspect => "inspect",
            Self::Submit => "submit",
        }
    }
}

/// What a request is about. Where that cannot be told from the parameters it is the whole chain,
/// so that whoever may read only a part is refused rather than let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Resource {
    /// The chain as a whole.
    #[default]
    Chain,
    /// Accounts or contracts, at least one; all of them have to be allowed.
    Accounts(Vec<Address>),
    /// A transaction.
    Transaction(B256),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain => f.write_str("chain"),
            Self::Accounts(all) => match all.as_slice() {
                [only] => write!(f, "account {only}"),
                [first, rest @ ..] => write!(f, "account {first} and {} more", rest.len()),
                [] => f.write_str("chain"),
            },
            Self::Transaction(hash) => write!(f, "transaction {hash}"),
        }
    }
}

/// Most accounts that a request is judged by one by one; beyond them it is about the chain.
const ACCOUNTS_MAX: usize = 1_000;

#[derive(Deserialize)]
struct CallTarget {
    to: Option<Address>,
}

#[derive(Deserialize)]
struct LogTarget {
    address: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Address),
    Many(Vec<Address>),
}

impl Resource {
    /// What a call of a method with these parameters is about.
    #[must_use]
    pub fn of(method: &str, params: Option<&RawValue>) -> Self {
        Self::find(method, params).unwrap_or_default()
    }

    fn find(method: &str, params: Option<&RawValue>) -> Option<Self> {
        let params: Vec<&RawValue> = serde_json::from_str(params?.get()).ok()?;
        Self::among(method, &params)
    }

    /// As [`Self::of`], from parameters one by one.
    pub(crate) fn of_values(method: &str, params: &[&RawValue]) -> Self {
        Self::among(method, params).unwrap_or_default()
    }

    fn among(method: &str, params: &[&RawValue]) -> Option<Self> {
        let parameter = |at: usize| params.get(at).map(|raw| raw.get());
        let account = |text: &str| -> Option<Self> {
            Some(Self::Accounts(vec![serde_json::from_str(text).ok()?]))
        };
        match method {
            "eth_getBalance"
            | "eth_getCode"
            | "eth_getStorageAt"
            | "eth_getTransactionCount"
            | "eth_getProof"
            | "txpool_contentFrom"
            | "hawser_getAccountProof"
            | "hawser_getStorageProof" => account(parameter(0)?),
            "eth_call" | "eth_estimateGas" | "eth_createAccessList" | "debug_traceCall" => {
                // With overrides the caller brings its own code, which may read anything.
                let overrides = params.iter().skip(2);
                let mut overrides = overrides.filter(|raw| raw.get() != "null");
                if overrides.next().is_some() {
                    return None;
                }
                let target: CallTarget = serde_json::from_str(parameter(0)?).ok()?;
                Some(Self::Accounts(vec![target.to?]))
            }
            "eth_getLogs" | "eth_newFilter" => Self::of_logs(parameter(0)?),
            "eth_subscribe" if parameter(0)? == "\"logs\"" => Self::of_logs(parameter(1)?),
            "eth_getTransactionByHash"
            | "eth_getTransactionReceipt"
            | "eth_getRawTransactionByHash"
            | "debug_getRawTransaction"
            | "debug_traceTransaction"
            | "hawser_getReceiptProof" => {
                let hash: B256 = serde_json::from_str(parameter(0)?).ok()?;
                Some(Self::Transaction(hash))
            }
            _ => None,
        }
    }

    fn of_logs(filter: &str) -> Option<Self> {
        let target: LogTarget = serde_json::from_str(filter).ok()?;
        match target.address? {
            OneOrMany::One(one) => Some(Self::Accounts(vec![one])),
            OneOrMany::Many(many) if many.is_empty() || many.len() > ACCOUNTS_MAX => None,
            OneOrMany::Many(many) => Some(Self::Accounts(many)),
        }
    }

    /// A 32-byte name of the resource, for rules that are keyed by one: zero for the chain, the
    /// account in the low 20 bytes, the hash of a transaction. `None` for several accounts.
    #[must_use]
    pub fn key(&self) -> Option<B256> {
        match self {
            Self::Chain => Some(B256::ZERO),
            Self::Accounts(all) => match all.as_slice() {
                [only] => Some(B256::from(U256::from_be_slice(only.as_slice()))),
                _ => None,
            },
            Self::Transaction(hash) => Some(*hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0x1111111111111111111111111111111111111111";
    const B: &str = "0x2222222222222222222222222222222222222222";

    fn of(method: &str, params: serde_json::Value) -> String {
        let raw = serde_json::value::to_raw_value(&params).unwrap();
        Resource::of(method, Some(&raw)).to_string()
    }

    #[test]
    fn what_a_request_is_about_is_found_or_is_the_whole_chain() {
        use serde_json::json;
        let hash = format!("0x{}", "ab".repeat(32));
        for (method, params, expected) in [
            (
                "eth_getBalance",
                json!([A, "latest"]),
                format!("account {A}"),
            ),
            (
                "eth_getProof",
                json!([A, [], "latest"]),
                format!("account {A}"),
            ),
            (
                "eth_call",
                json!([{ "to": A, "data": "0x" }, "latest"]),
                format!("account {A}"),
            ),
            (
                "eth_call",
                json!([{ "to": A }, "latest", null]),
                format!("account {A}"),
            ),
            (
                "eth_call",
                json!([{ "to": A }, "latest", { A: { "code": "0x00" } }]),
                "chain".to_owned(),
            ),
            ("eth_call", json!([{ "data": "0x00" }]), "chain".to_owned()),
            (
                "eth_getLogs",
                json!([{ "address": A }]),
                format!("account {A}"),
            ),
            (
                "eth_getLogs",
                json!([{ "address": [A, B] }]),
                format!("account {A} and 1 more"),
            ),
            (
                "eth_getLogs",
                json!([{ "address": [] }]),
                "chain".to_owned(),
            ),
            ("eth_getLogs", json!([{}]), "chain".to_owned()),
            (
                "eth_subscribe",
                json!(["logs", { "address": A }]),
                format!("account {A}"),
            ),
            ("eth_subscribe", json!(["newHeads"]), "chain".to_owned()),
            (
                "eth_getTransactionReceipt",
                json!([hash]),
                format!("transaction {hash}"),
            ),
            ("eth_getBalance", json!(["nonsense"]), "chain".to_owned()),
            ("eth_getBalance", json!({}), "chain".to_owned()),
            ("eth_blockNumber", json!([]), "chain".to_owned()),
        ] {
            assert_eq!(of(method, params.clone()), expected, "{method} {params}");
        }
        assert_eq!(Resource::of("eth_getBalance", None), Resource::Chain);
        let logs = |n: usize| of("eth_getLogs", json!([{ "address": vec![A; n] }]));
        assert_eq!(
            logs(ACCOUNTS_MAX),
            format!("account {A} and {} more", ACCOUNTS_MAX - 1)
        );
        assert_eq!(logs(ACCOUNTS_MAX + 1), "chain");
    }

    #[test]
    fn methods_are_sorted_into_acts() {
        assert_eq!(Action::of("eth_call"), Action::Read);
        assert_eq!(Action::of("eth_getFilterChanges"), Action::Subscribe);
        assert_eq!(Action::of("debug_traceCall"), Action::Inspect);
        assert_eq!(Action::of("txpool_content"), Action::Inspect);
        assert_eq!(Action::of("eth_sendRawTransaction"), Action::Submit);
        assert_eq!(Action::of("no_such"), Action::Read);
    }
}
