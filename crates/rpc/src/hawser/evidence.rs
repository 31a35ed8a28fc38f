//! Evidence: records by id and by digest, and what proves them offline.

use hawser_ledger::{Log, state::StateKey};
use hawser_node::store::ChainStore;
use hawser_primitives::{Address, B256, Bytes, Height, encode};
use hawser_services::evidence::{self, Algorithm, Record, StoredRecord};
use serde::Deserialize;
use serde_json::{Map, Value, json as object};

use super::{chain::validator_set, proofs};
use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json},
};

/// Records in one answer of `hawser_findEvidence`.
const FOUND_MAX: usize = 1_000;

fn record_view(id: B256, stored: &StoredRecord) -> Value {
    let Record {
        digest,
        algorithm,
        media_type,
        description,
        sealed_owner,
    } = &stored.record;
    object!({
        "id": id,
        "owner": stored.owner,
        "height": stored.height,
        "timeMs": stored.time,
        "transactionHash": stored.transaction_hash,
        "digest": Bytes::copy_from_slice(digest),
        "algorithm": Algorithm::from_number(*algorithm),
        "mediaType": media_type,
        "description": description,
        "sealedOwner": Bytes::copy_from_slice(sealed_owner),
    })
}

/// `hawser_getEvidence`
pub(crate) async fn get_evidence(cx: &Context, mut params: Params) -> Answer {
    let id: B256 = params.required("evidence id")?;
    params.end()?;
    cx.read(move |store| {
        let state = store.state(store.head().id().height)?;
        let found = evidence::get(&state, &id)?;
        json(&found.map(|stored| record_view(id, &stored)))
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Find {
    owner: Option<Address>,
    algorithm: Algorithm,
    digest: Bytes,
}

/// Refuses a digest in a query that is not as long as those of its algorithm.
pub(super) fn digest_fits(algorithm: Algorithm, digest: &[u8]) -> Result<(), ErrorObject> {
    let (found, expected) = (digest.len(), algorithm.digest_len());
    if found == expected {
        return Ok(());
    }
    Err(ErrorObject::invalid_params(format!(
        "invalid argument 0 (query): digest has {found} bytes, the algorithm's have {expected}"
    )))
}

/// `hawser_findEvidence`: records of a digest, oldest first; of one owner where one is named.
pub(crate) async fn find_evidence(cx: &Context, mut params: Params) -> Answer {
    let find: Find = params.required("query")?;
    params.end()?;
    digest_fits(find.algorithm, &find.digest)?;
    cx.heavy(move |store| {
        let Find {
            owner,
            algorithm,
            digest,
        } = find;
        let state = store.state(store.head().id().height)?;
        if let Some(owner) = owner {
            let found = evidence::find(&state, owner, algorithm.number(), &digest)?;
            let views: Vec<_> = found
                .iter()
                .map(|(id, one)| record_view(*id, one))
                .collect();
            return json(&views);
        }
        let record = Record {
            digest: digest.to_vec(),
            algorithm: algorithm.number(),
            ..Record::default()
        };
        let mut views = Vec::new();
        for (height, position) in
            store.lookups(&evidence::ADDRESS, &record.digest_key(), FOUND_MAX)?
        {
            let Some(event) = event_at(store, height, position)? else {
                continue;
            };
            let Some(registered) = evidence::registered(&event) else {
                continue;
            };
            // Digests of other lengths share a key only by their hash, other algorithms freely.
            if registered.algorithm != algorithm.number() || registered.digest != digest {
                continue;
            }
            if let Some(stored) = evidence::get(&state, &registered.id)? {
                views.push(record_view(registered.id, &stored));
            }
        }
        json(&views)
    })
    .await
}

/// The event at a position among all events of a block.
fn event_at(store: &ChainStore, height: Height, position: u32) -> Result<Option<Log>, ErrorObject> {
    let Some(block) = store.block(height)? else {
        return Ok(None);
    };
    let at = usize::try_from(position).unwrap_or(usize::MAX);
    let mut events = view::executed(&block).flat_map(|one| one.receipt.logs.iter());
    Ok(events.nth(at).cloned())
}

/// `hawser_getEvidenceProof`: the record, the proof of its slot, and everything that leads from a
/// genesis to it; enough for a check without a node.
pub(crate) async fn evidence_proof(cx: &Context, mut params: Params) -> Answer {
    let id: B256 = params.required("evidence id")?;
    params.end()?;
    cx.heavy(move |store| {
        let head = store.head().id().height;
        let Some(stored) = evidence::get(&store.state(head)?, &id)? else {
            return json(&Value::Null);
        };
        let mut answer = slot_proof(store, stored.height, evidence::slot(&id))?;
        let own = [
            ("record", record_view(id, &stored)),
            ("encodedRecord", object!(Bytes::from(encode(&stored)))),
            ("recordHash", object!(stored.hash(store.genesis().suite))),
        ];
        answer.extend(own.map(|(name, value)| (name.to_owned(), value)));
        json(&answer)
    })
    .await
}

/// The proof of a slot of the contract that was written at height `since`, and everything that leads
/// from a genesis to it.
pub(super) fn slot_proof(
    store: &ChainStore,
    since: Height,
    slot: B256,
) -> Result<Map<String, Value>, ErrorObject> {
    let certified = store.certified_state_height();
    if since > certified {
        // The newest state has it, no final header commits to it yet: say when one will.
        store.certifier(since)?;
    }
    let key = StateKey::Storage(evidence::ADDRESS, slot);
    let proof = store.prove_state(certified, &key)?;
    let (certifier, _) = store.certifier(certified)?;
    let decided_by = certifier.height;
    let validators = store.committee(decided_by)?;
    let fields = [
        ("contract", object!(evidence::ADDRESS)),
        ("slot", object!(slot)),
        ("height", object!(certified)),
        (
            "stateRoot",
            object!(store.roots(certified)?.map(|roots| roots.state)),
        ),
        ("proof", object!(Bytes::from(proof.encode()))),
        ("certifiedBy", proofs::certified_by(store, certified)?),
        ("chainId", object!(store.genesis().chain_id)),
        ("suite", object!(store.genesis().suite)),
        ("genesis", object!(store.genesis_hash())),
        ("validators", validator_set(store, decided_by)?),
        (
            "encodedValidators",
            object!(Bytes::from(encode(&validators))),
        ),
        (
            "committeeChanges",
            object!(proofs::committee_changes(store, decided_by)?),
        ),
    ];
    Ok(fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}
