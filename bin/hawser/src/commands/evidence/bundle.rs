//! A record with everything that proves it, and the check of it without a node.

use hawser_primitives::{B256, Bytes};
use hawser_services::evidence::{Algorithm, StoredRecord, slot};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::anchor::{self, Anchor, Proof, Refusal};
use crate::exit::{Code, OrFail, Result};

pub(super) const FORMAT: &str = "hawser-evidence";
const VERSION: u32 = 1;

/// What `export` writes. `record` is for people; what is proved is `encoded_record`, and the two
/// have to agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Bundle {
    format: String,
    version: u32,
    record: Value,
    /// Canonical bytes of the stored record.
    encoded_record: Bytes,
    /// Canonical bytes of the final header whose roots vouch for the record, and its certificate.
    certified_header: Bytes,
    /// Canonical bytes of the path from the record's slot to the state root.
    state_proof: Bytes,
    /// Canonical bytes of each step from the committee of the genesis to the one that signed the
    /// header, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    committee_changes: Vec<Bytes>,
    genesis: Value,
}

/// What a bundle proves.
#[derive(Debug)]
pub(super) struct Proved {
    pub(super) id: B256,
    pub(super) record: StoredRecord,
    pub(super) algorithm: Algorithm,
    pub(super) by: Proof,
}

impl Bundle {
    /// Puts together what a node answered.
    pub(super) fn from_answers(proof: &Value, genesis: &Value) -> Result<Self> {
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            record: proof.get("record").cloned().unwrap_or(Value::Null),
            encoded_record: anchor::bytes(proof.get("encodedRecord"), "encodedRecord")?,
            certified_header: anchor::bytes(proof.pointer("/certifiedBy/encoded"), "certifiedBy")?,
            state_proof: anchor::bytes(proof.get("proof"), "proof")?,
            committee_changes: anchor::committee_changes(proof)?,
            genesis: genesis.get("genesis").cloned().unwrap_or(Value::Null),
        })
    }

    /// Reads a bundle; nothing in it is checked yet.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bundle: Self = serde_json::from_str(text).or_fail(Code::Config)?;
        anchor::known((&bundle.format, bundle.version), (FORMAT, VERSION))?;
        Ok(bundle)
    }

    /// Checks everything that can be checked from the bundle alone.
    pub(super) fn verify(&self) -> Result<Proved> {
        self.prove().map_err(anchor::proves_nothing)
    }

    fn anchor(&self) -> Anchor<'_> {
        Anchor {
            genesis: &self.genesis,
            committee_changes: &self.committee_changes,
            certified_header: &self.certified_header,
            state_proof: &self.state_proof,
        }
    }

    fn prove(&self) -> std::result::Result<Proved, Refusal> {
        let record = StoredRecord::decode(&self.encoded_record)
            .map_err(|error| Refusal::Damaged("record", error.to_string()))?;
        let id = record.record.id(record.owner);
        let by = self.anchor().prove(slot(&id))?;
        if by.value != record.hash(by.suite) {
            return Err(Refusal::OtherRecord);
        }
        let number = record.record.algorithm;
        let algorithm = Algorithm::from_number(number).ok_or(Refusal::Algorithm(number))?;
        let proved = Proved {
            id,
            record,
            algorithm,
            by,
        };
        anchor::agree(&self.record, proved.fields())?;
        Ok(proved)
    }
}

impl Proved {
    fn fields(&self) -> [(&'static str, Value); 10] {
        let record = &self.record.record;
        [
            ("id", json!(self.id)),
            ("owner", json!(self.record.owner)),
            ("height", json!(self.record.height)),
            ("timeMs", json!(self.record.time)),
            ("transactionHash", json!(self.record.transaction_hash)),
            ("digest", json!(Bytes::copy_from_slice(&record.digest))),
            ("algorithm", json!(self.algorithm)),
            ("mediaType", json!(record.media_type)),
            ("description", json!(record.description)),
            (
                "sealedOwner",
                json!(Bytes::copy_from_slice(&record.sealed_owner)),
            ),
        ]
    }

    /// The record and what was checked.
    pub(super) fn to_json(&self, genesis_trusted: bool, file_compared: bool) -> Value {
        let checked = self.by.fields(genesis_trusted, file_compared);
        anchor::object(self.fields().into_iter().chain(checked))
    }
}
