use hawser_crypto::Suite;
use hawser_primitives::B256;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

/// Longest entry, in bytes of JSON.
pub(super) const ENTRY_BYTES_MAX: usize = 16 * 1024;
/// What the hash of an entry begins with.
const TAG: &[u8; 16] = b"hawser/audit//01";

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Begins a file.
    Segment,
    /// A decision about a request: query, subscription, submission.
    Read,
    /// An administrative act on this node: start, stop, change of settings.
    Admin,
    /// A transaction that governance refused at the pool.
    Refusal,
}

impl Kind {
    /// Lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Read => "read",
            Self::Admin => "admin",
            Self::Refusal => "refusal",
        }
    }
}

/// What is put on the record. Texts that do not apply are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// The chain concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<u64>,
    /// Who: an account, or who runs the node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub who: String,
    /// How that is known: `signature`, `token`, `certificate`, `operator`, `none`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub how: String,
    /// The client's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// Method or command.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// What it is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// `allowed`, `denied`, or for acts of operators `done`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub decision: String,
    /// The rule that decided.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Why, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Hash of method and parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<B256>,
    /// Short name of a refusal.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// Hash of the transaction; the newest where several are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<B256>,
    /// How often it happened since the line before of the same; without it, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// What the first entry of a file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentStart {
    /// Number of the file, from 1.
    pub number: u64,
    /// Whose hash the log uses.
    pub suite: Suite,
    /// Hash of the entry before; zero for the first of all.
    pub previous: B256,
    /// Name of the node.
    pub node: String,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Number, from 0.
    pub n: u64,
    /// What it is about.
    pub kind: Kind,
    /// Only in entries that begin a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub segment: Option<SegmentStart>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Why a line is no entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LineError {
    /// No JSON of the right form.
    #[error("it is no entry: {0}")]
    Form(String),
    /// Too long to be one.
    #[error("it is longer than an entry can be")]
    TooLong,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    hash: &'a str,
    #[serde(borrow)]
    entry: &'a RawValue,
}

/// The hash of an entry after another.
pub(super) fn hash(suite: Suite, previous: &B256, entry: &str) -> B256 {
    suite.hash_parts(&[TAG, previous.as_slice(), entry.as_bytes()])
}

/// A line of the file, without its end.
pub(super) fn write_line(hash: &B256, entry: &str) -> String {
    format!("{{\"hash\":\"{}\",\"entry\":{entry}}}", hex::encode(hash))
}

/// Reads a line: the hash it states, the entry as text and as a value.
pub(super) fn read_line(line: &str) -> Result<(B256, &str, Entry), LineError> {
    if line.len() > ENTRY_BYTES_MAX + 128 {
        return Err(LineError::TooLong);
    }
    let form = |error: &dyn std::fmt::Display| LineError::Form(error.to_string());
    let parsed: Line<'_> = serde_json::from_str(line).map_err(|error| form(&error))?;
    let mut hash = B256::ZERO;
    hex::decode_to_slice(parsed.hash, hash.as_mut_slice()).map_err(|error| form(&error))?;
    let text = parsed.entry.get();
    let entry = serde_json::from_str(text).map_err(|error| form(&error))?;
    Ok((hash, text, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            n: 7,
            kind: Kind::Read,
            segment: None,
            event: Event {
                time_ms: 1_800_000_000_000,
                chain: Some(4_207),
                who: "0xabc".to_owned(),
                method: "eth_call".to_owned(),
                decision: "denied".to_owned(),
                reason: "because \"of\n this\"".to_owned(),
                request: Some(B256::repeat_byte(1)),
                ..Event::default()
            },
        }
    }

    #[test]
    fn an_entry_survives_its_line_and_the_line_has_no_end_in_it() {
        let text = serde_json::to_string(&entry()).unwrap();
        let stated = hash(Suite::Sm, &B256::ZERO, &text);
        let line = write_line(&stated, &text);
        assert!(!line.contains('\n'));
        let (hash, again, read) = read_line(&line).unwrap();
        assert_eq!((hash, again, read), (stated, text.as_str(), entry()));
    }

    #[test]
    fn the_form_is_frozen() {
        let text = serde_json::to_string(&entry()).unwrap();
        assert_eq!(
            text,
            format!(
                "{{\"n\":7,\"kind\":\"read\",\"timeMs\":1800000000000,\"chain\":4207,\"who\":\
                 \"0xabc\",\"method\":\"eth_call\",\"decision\":\"denied\",\"reason\":\"because \
                 \\\"of\\n this\\\"\",\"request\":\"0x{}\"}}",
                "01".repeat(32)
            )
        );
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for bad in [
            "",
            "{}",
            "[]",
            "{\"hash\":\"00\",\"entry\":{}}",
            "{\"hash\":1,\"entry\":{}}",
        ] {
            assert!(read_line(bad).is_err(), "{bad}");
        }
        assert_eq!(read_line(&" ".repeat(20_000)), Err(LineError::TooLong));
    }
}
