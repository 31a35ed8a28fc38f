//! What leads from a genesis to a slot of the evidence contract, and the check of it without a node.

use hawser_crypto::Suite;
use hawser_ledger::state::{StateKey, StateProof, StorageValue};
use hawser_ledger::{CertifiedHeader, CommitteeChange, Genesis, LightClient};
use hawser_primitives::{B256, Bytes, ChainId, decode_exact};
use hawser_services::evidence::ADDRESS;
use serde_json::{Value, json};
use thiserror::Error;

use crate::exit::{Code, Failure, Result, fail};

/// Largest bundle read, in bytes.
pub(super) const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Largest encoded certified header: a thousand signatures, and room.
const HEADER_BYTES_MAX: usize = 1024 * 1024;

/// Why a bundle proves nothing.
#[derive(Debug, Error)]
pub(super) enum Refusal {
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
    #[error("its digests are not those of the set: they were changed, left out or reordered")]
    OtherDigests,
    #[error("the digest in it is not in the set at this place")]
    NoMember,
}

/// The parts of a bundle that prove a slot.
pub(super) struct Anchor<'a> {
    /// The genesis document.
    pub(super) genesis: &'a Value,
    /// Encoded steps from the committee of the genesis to the one that signed the header.
    pub(super) committee_changes: &'a [Bytes],
    /// The encoded final header, with its certificate.
    pub(super) certified_header: &'a Bytes,
    /// The encoded path from the slot to the state root.
    pub(super) state_proof: &'a Bytes,
}

/// A slot that is proved, and by whom.
#[derive(Debug)]
pub(super) struct Proof {
    /// What the slot holds.
    pub(super) value: B256,
    pub(super) suite: Suite,
    pub(super) chain_id: ChainId,
    pub(super) genesis: B256,
    pub(super) signers: usize,
    pub(super) validators: usize,
    /// Height of the header that was signed.
    pub(super) height: u64,
}

impl Anchor<'_> {
    /// Checks everything that leads to a slot.
    pub(super) fn prove(&self, slot: B256) -> std::result::Result<Proof, Refusal> {
        let genesis = Genesis::from_json(&self.genesis.to_string())
            .map_err(|error| Refusal::Genesis(error.to_string()))?;
        let certified: CertifiedHeader = decode_exact(self.certified_header, HEADER_BYTES_MAX)
            .map_err(|error| Refusal::Damaged("certified header", error.to_string()))?;
        let proof = StateProof::decode(self.state_proof)
            .map_err(|error| Refusal::Damaged("state proof", error.to_string()))?;
        let mut client =
            LightClient::new(&genesis).map_err(|error| Refusal::Genesis(error.to_string()))?;
        for bytes in self.committee_changes {
            let change: CommitteeChange = decode_exact(bytes, HEADER_BYTES_MAX)
                .map_err(|error| Refusal::Damaged("committee change", error.to_string()))?;
            client
                .follow(&change)
                .map_err(|error| Refusal::Proof(error.to_string()))?;
        }
        let key = StateKey::Storage(ADDRESS, slot);
        let value = client
            .verify_state(&certified, &key, &proof)
            .map_err(|error| Refusal::Proof(error.to_string()))?
            .ok_or(Refusal::Absent)?;
        Ok(Proof {
            value: StorageValue::decode(&value).map_err(|_| Refusal::OtherRecord)?,
            suite: genesis.suite,
            chain_id: genesis.chain_id,
            genesis: genesis.hash(),
            signers: certified.certificate.signatures.len(),
            validators: client.committee().validators().len(),
            height: certified.header.height.0,
        })
    }
}

impl Proof {
    /// What was checked, as fields of a result.
    pub(super) fn fields(
        &self,
        genesis_trusted: bool,
        file_compared: bool,
    ) -> [(&'static str, Value); 8] {
        [
            ("proved", json!(true)),
            ("chainId", json!(self.chain_id)),
            ("genesis", json!(self.genesis)),
            ("genesisCompared", json!(genesis_trusted)),
            ("fileCompared", json!(file_compared)),
            ("certifiedHeight", json!(self.height)),
            ("signers", json!(self.signers)),
            ("validators", json!(self.validators)),
        ]
    }
}

/// Refuses a bundle of another format or version; both as (format, version).
pub(super) fn known(found: (&str, u32), expected: (&str, u32)) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let ((format, version), (expected, expected_version)) = (found, expected);
    fail(
        Code::Config,
        format!(
            "format {format} version {version} is not known here; expected {expected} version {expected_version}"
        ),
    )
}

/// What a refusal means for who asked.
pub(super) fn proves_nothing(refusal: Refusal) -> Failure {
    Failure::new(
        Code::NotFound,
        format!("the bundle proves nothing: {refusal}"),
    )
}

/// An object of named values, in this order.
pub(super) fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let named = fields.into_iter();
    Value::Object(
        named
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// Bytes in an answer of a node.
pub(super) fn bytes(value: Option<&Value>, name: &str) -> Result<Bytes> {
    let text = value
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    text.map_or_else(
        || {
            fail(
                Code::Refused,
                format!("the proof that the node answered has no {name}"),
            )
        },
        Ok,
    )
}

/// The steps between committees in an answer of a node.
pub(super) fn committee_changes(proof: &Value) -> Result<Vec<Bytes>> {
    let changes = proof.get("committeeChanges").and_then(Value::as_array);
    changes
        .into_iter()
        .flatten()
        .map(|one| bytes(Some(one), "committeeChanges"))
        .collect()
}

/// The first field in which the readable part of a bundle differs from what is proved.
pub(super) fn agree(
    readable: &Value,
    proved: impl IntoIterator<Item = (&'static str, Value)>,
) -> std::result::Result<(), Refusal> {
    for (name, value) in proved {
        if readable.get(name) != Some(&value) {
            return Err(Refusal::Readable(name));
        }
    }
    Ok(())
}
