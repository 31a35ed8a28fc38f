//! A record with everything that proves it, and the check of it without a node.

use hawser_ledger::state::{StateKey, StateProof, StorageValue};
use hawser_ledger::{CertifiedHeader, CommitteeChange, Genesis, LightClient};
use hawser_primitives::{B256, Bytes, ChainId, decode_exact};
use hawser_services::evidence::{ADDRESS, Algorithm, StoredRecord, slot};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::exit::{Code, Failure, OrFail, Result, fail};

/// Largest bundle read, in bytes.
pub(super) const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Largest encoded certified header: a thousand signatures, and room.
const HEADER_BYTES_MAX: usize = 1024 * 1024;
const FORMAT: &str = "hawser-evidence";
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
    pub(super) chain_id: ChainId,
    pub(super) genesis: B256,
    pub(super) signers: usize,
    pub(super) validators: usize,
    /// Height of the header that was signed.
    pub(super) height: u64,
}

/// Why a bundle proves nothing.
#[derive(Debug, Error)]
enum Refusal {
    #[error("the genesis in it is unusable: {0}")]
    Genesis(String),
    #[error("its {0} is damaged: {1}")]
    Damaged(&'static str, String),
    #[error("its proof does not hold: {0}")]
    Proof(String),
    #[error("the final state has no such record")]
    Absent,
    #[error("the final state holds another record: what is written here was changed")]
    OtherRecord,
    #[error("its readable part says something else than the part that is proved: `{0}` differs")]
    Readable(&'static str),
    #[error("its digest algorithm {0} is not known; a newer version of this program may know it")]
    Algorithm(u8),
}

impl Bundle {
    /// Puts together what a node answered.
    pub(super) fn from_answers(proof: &Value, genesis: &Value) -> Result<Self> {
        let bytes = |value: Option<&Value>, name: &str| -> Result<Bytes> {
            let text = value
                .and_then(Value::as_str)
                .and_then(|text| text.parse().ok());
            text.map_or_else(
                || {
                    fail(
                        Code::Refused,
                        format!("hawser_getEvidenceProof: no {name} in the answer"),
                    )
                },
                Ok,
            )
        };
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            record: proof.get("record").cloned().unwrap_or(Value::Null),
            encoded_record: bytes(proof.get("encodedRecord"), "encodedRecord")?,
            certified_header: bytes(proof.pointer("/certifiedBy/encoded"), "certifiedBy")?,
            state_proof: bytes(proof.get("proof"), "proof")?,
            committee_changes: proof
                .get("committeeChanges")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|one| bytes(Some(one), "committeeChanges"))
                .collect::<Result<_>>()?,
            genesis: genesis.get("genesis").cloned().unwrap_or(Value::Null),
        })
    }

    /// Reads a bundle; nothing in it is checked yet.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bundle: Self = serde_json::from_str(text).or_fail(Code::Config)?;
        if bundle.format != FORMAT || bundle.version != VERSION {
            return fail(
                Code::Config,
                format!(
                    "format {} version {} is not known here; expected {FORMAT} version {VERSION}",
                    bundle.format, bundle.version
                ),
            );
        }
        Ok(bundle)
    }

    /// Checks everything that can be checked from the bundle alone.
    pub(super) fn verify(&self) -> Result<Proved> {
        self.prove().map_err(|refusal| {
            Failure::new(
                Code::NotFound,
                format!("the bundle proves nothing: {refusal}"),
            )
        })
    }

    fn prove(&self) -> std::result::Result<Proved, Refusal> {
        let genesis = Genesis::from_json(&self.genesis.to_string())
            .map_err(|error| Refusal::Genesis(error.to_string()))?;
        let record = StoredRecord::decode(&self.encoded_record)
            .map_err(|error| Refusal::Damaged("record", error.to_string()))?;
        let certified: CertifiedHeader = decode_exact(&self.certified_header, HEADER_BYTES_MAX)
            .map_err(|error| Refusal::Damaged("certified header", error.to_string()))?;
        let proof = StateProof::decode(&self.state_proof)
            .map_err(|error| Refusal::Damaged("state proof", error.to_string()))?;
        let id = record.record.id(record.owner);
        let mut client =
            LightClient::new(&genesis).map_err(|error| Refusal::Genesis(error.to_string()))?;
        for bytes in &self.committee_changes {
            let change: CommitteeChange = decode_exact(bytes, HEADER_BYTES_MAX)
                .map_err(|error| Refusal::Damaged("committee change", error.to_string()))?;
            client
                .follow(&change)
                .map_err(|error| Refusal::Proof(error.to_string()))?;
        }
        let key = StateKey::Storage(ADDRESS, slot(&id));
        let value = client
            .verify_state(&certified, &key, &proof)
            .map_err(|error| Refusal::Proof(error.to_string()))?
            .ok_or(Refusal::Absent)?;
        let hash = StorageValue::decode(&value).map_err(|_| Refusal::OtherRecord)?;
        if hash != record.hash(genesis.suite) {
            return Err(Refusal::OtherRecord);
        }
        let number = record.record.algorithm;
        let algorithm = Algorithm::from_number(number).ok_or(Refusal::Algorithm(number))?;
        let proved = Proved {
            id,
            record,
            algorithm,
            chain_id: genesis.chain_id,
            genesis: genesis.hash(),
            signers: certified.certificate.signatures.len(),
            validators: client.committee().validators().len(),
            height: certified.header.height.0,
        };
        proved.agrees_with(&self.record)?;
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

    fn agrees_with(&self, readable: &Value) -> std::result::Result<(), Refusal> {
        for (name, value) in self.fields() {
            if readable.get(name) != Some(&value) {
                return Err(Refusal::Readable(name));
            }
        }
        Ok(())
    }

    /// The record and what was checked.
    pub(super) fn to_json(&self, genesis_trusted: bool, file_compared: bool) -> Value {
        let mut object: serde_json::Map<String, Value> = self
            .fields()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let more = [
            ("proved", json!(true)),
            ("chainId", json!(self.chain_id)),
            ("genesis", json!(self.genesis)),
            ("genesisCompared", json!(genesis_trusted)),
            ("fileCompared", json!(file_compared)),
            ("certifiedHeight", json!(self.height)),
            ("signers", json!(self.signers)),
            ("validators", json!(self.validators)),
        ];
        object.extend(
            more.into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        Value::Object(object)
    }
}
