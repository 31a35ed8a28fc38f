//! A set, or one of its members, with everything that proves it, and the check without a node.

use hawser_ledger::merkle::MerkleTree;
use hawser_primitives::{B256, Bytes};
use hawser_services::evidence::{Algorithm, StoredSet, set_leaves, set_slot};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::anchor::{self, Anchor, Proof, Refusal};
use crate::exit::{Code, OrFail, Result, fail};

pub(super) const FORMAT: &str = "hawser-evidence-set";
const VERSION: u32 = 1;

/// A digest of a set and its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Member {
    /// Its place in the set, from 0.
    pub(super) index: u32,
    pub(super) digest: Bytes,
    /// The neighbours from the leaf upwards.
    pub(super) path: Vec<B256>,
}

/// The bundle of a set: with all its digests, or with one and its path. `set` is for people; what is
/// proved is `encoded_set`, and the two have to agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SetBundle {
    format: String,
    version: u32,
    set: Value,
    /// Canonical bytes of the stored set.
    encoded_set: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    member: Option<Member>,
    /// All digests, one after another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digests: Option<Bytes>,
    certified_header: Bytes,
    state_proof: Bytes,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    committee_changes: Vec<Bytes>,
    genesis: Value,
}

/// What of a set is proved.
#[derive(Debug)]
pub(super) enum Contents {
    /// All digests.
    All(Bytes),
    /// One.
    One(Member),
}

/// What a bundle proves.
#[derive(Debug)]
pub(super) struct ProvedSet {
    pub(super) set: StoredSet,
    pub(super) algorithm: Algorithm,
    pub(super) contents: Contents,
    pub(super) by: Proof,
}

impl SetBundle {
    /// Puts together what a node answered.
    pub(super) fn from_answers(proof: &Value, genesis: &Value) -> Result<Self> {
        let member = proof.get("member").cloned();
        let digests = proof.get("digests");
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            set: proof.get("set").cloned().unwrap_or(Value::Null),
            encoded_set: anchor::bytes(proof.get("encodedSet"), "encodedSet")?,
            member: member
                .map(serde_json::from_value)
                .transpose()
                .context(Code::Refused, "the member that the node answered")?,
            digests: digests
                .map(|digests| anchor::bytes(Some(digests), "digests"))
                .transpose()?,
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
        if bundle.member.is_some() == bundle.digests.is_some() {
            return fail(
                Code::Config,
                "a bundle of a set has either all digests or one member",
            );
        }
        Ok(bundle)
    }

    /// Checks everything that can be checked from the bundle alone.
    pub(super) fn verify(&self) -> Result<ProvedSet> {
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

    fn prove(&self) -> std::result::Result<ProvedSet, Refusal> {
        let set = StoredSet::decode(&self.encoded_set)
            .map_err(|error| Refusal::Damaged("set", error.to_string()))?;
        let by = self.anchor().prove(set_slot(&set.id()))?;
        if by.value != set.hash(by.suite) {
            return Err(Refusal::OtherRecord);
        }
        let number = set.algorithm;
        let algorithm = Algorithm::from_number(number).ok_or(Refusal::Algorithm(number))?;
        let contents = match (&self.digests, &self.member) {
            (Some(digests), _) if set.is_of(by.suite, digests) => Contents::All(digests.clone()),
            (None, Some(member)) => {
                let path = member.path.clone();
                if !set.has(by.suite, member.index, &member.digest, path) {
                    return Err(Refusal::NoMember);
                }
                Contents::One(member.clone())
            }
            _ => return Err(Refusal::OtherDigests),
        };
        let proved = ProvedSet {
            set,
            algorithm,
            contents,
            by,
        };
        anchor::agree(&self.set, proved.fields())?;
        Ok(proved)
    }

    /// The bundle of one member out of that of all, which has been verified.
    pub(super) fn of_member(&self, member: Member) -> Self {
        Self {
            member: Some(member),
            digests: None,
            ..self.clone()
        }
    }
}

impl ProvedSet {
    fn fields(&self) -> [(&'static str, Value); 11] {
        let set = &self.set;
        [
            ("id", json!(set.id())),
            ("owner", json!(set.owner)),
            ("height", json!(set.height)),
            ("timeMs", json!(set.time)),
            ("transactionHash", json!(set.transaction_hash)),
            ("algorithm", json!(self.algorithm)),
            ("count", json!(set.count)),
            ("root", json!(set.root)),
            ("mediaType", json!(set.media_type)),
            ("description", json!(set.description)),
            (
                "sealedOwner",
                json!(Bytes::copy_from_slice(&set.sealed_owner)),
            ),
        ]
    }

    /// The place of a digest among what is proved.
    pub(super) fn place(&self, digest: &[u8]) -> Option<u32> {
        match &self.contents {
            Contents::One(member) => (*member.digest == *digest).then_some(member.index),
            Contents::All(digests) => {
                let mut all = digests.chunks(self.algorithm.digest_len());
                let at = all.position(|one| one == digest)?;
                u32::try_from(at).ok()
            }
        }
    }

    /// The tree over all digests; `None` where only one is known.
    pub(super) fn tree(&self) -> Option<MerkleTree> {
        let Contents::All(digests) = &self.contents else {
            return None;
        };
        let leaves = set_leaves(self.by.suite, self.algorithm, digests)?;
        Some(MerkleTree::new(self.by.suite, leaves))
    }

    /// A member with its path; `None` where there is none or only another one is known.
    pub(super) fn member(&self, tree: &MerkleTree, index: u32) -> Option<Member> {
        let Contents::All(digests) = &self.contents else {
            return None;
        };
        let at = usize::try_from(index).ok()?;
        let digest = digests.chunks(self.algorithm.digest_len()).nth(at)?;
        Some(Member {
            index,
            digest: Bytes::copy_from_slice(digest),
            path: tree.proof(at)?.siblings,
        })
    }

    /// The set and what was checked.
    pub(super) fn to_json(&self, genesis_trusted: bool, place: Option<u32>) -> Value {
        let compared = place.is_some();
        let member = match &self.contents {
            Contents::One(member) => Some(member.index),
            Contents::All(_) => place,
        };
        let digest = match &self.contents {
            Contents::One(member) => Some(member.digest.clone()),
            Contents::All(_) => None,
        };
        let own = self.fields().into_iter().chain([
            ("index", json!(member)),
            ("digest", json!(digest)),
            ("complete", json!(matches!(self.contents, Contents::All(_)))),
        ]);
        anchor::object(own.chain(self.by.fields(genesis_trusted, compared)))
    }
}
