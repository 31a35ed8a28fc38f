//! Evidence sets: by id, what proves their members offline, and the search for a digest in them.

use alloy_primitives::{Bloom, BloomInput};
use hawser_crypto::Suite;
use hawser_ledger::{merkle::MerkleTree, state::StateRead};
use hawser_node::store::{ChainStore, ExecutedBlock};
use hawser_primitives::{Address, B256, Bytes, Height, encode};
use hawser_services::evidence::{self, Algorithm, StoredSet};
use serde::Deserialize;
use serde_json::{Value, json as object};

use super::evidence::{digest_fits, slot_proof};
use crate::{
    methods::{Answer, Context},
    view,
    wire::{ErrorObject, Params, json},
};

/// Heights that one search for a digest passes over.
const SEARCH_HEIGHTS_MAX: u64 = 100_000;
/// Bytes of transactions with sets that one search for a digest looks through; the last block counts
/// whole.
const SEARCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Sets in one answer; the last block counts whole.
const FOUND_MAX: usize = 1_000;

fn set_view(id: B256, set: &StoredSet) -> Value {
    object!({
        "id": id,
        "owner": set.owner,
        "height": set.height,
        "timeMs": set.time,
        "transactionHash": set.transaction_hash,
        "algorithm": Algorithm::from_number(set.algorithm),
        "count": set.count,
        "root": set.root,
        "mediaType": set.media_type,
        "description": set.description,
        "sealedOwner": Bytes::copy_from_slice(&set.sealed_owner),
    })
}

/// `hawser_getEvidenceSet`
pub(crate) async fn get_evidence_set(cx: &Context, mut params: Params) -> Answer {
    let id: B256 = params.required("set id")?;
    params.end()?;
    cx.read(move |store| {
        let state = store.state(store.head().id().height)?;
        let found = evidence::get_set(&state, &id)?;
        json(&found.map(|set| set_view(id, &set)))
    })
    .await
}

/// What of a set is to be proved.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// The digest at a place.
    Index(u32),
    /// A digest, wherever it is.
    Digest(Bytes),
    /// All digests, in order.
    All,
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(u32),
            Text(String),
        }
        let bad = || D::Error::custom("expected a number, a digest as 0x… or \"all\"");
        match Raw::deserialize(deserializer).map_err(|_| bad())? {
            Raw::Number(index) => Ok(Self::Index(index)),
            Raw::Text(text) if text == "all" => Ok(Self::All),
            Raw::Text(text) => {
                let digits = text.strip_prefix("0x").ok_or_else(bad)?;
                // Quantities have at most eight digits here, digests at least 64.
                if digits.len() <= 8 {
                    let index = u32::from_str_radix(digits, 16).map_err(|_| bad())?;
                    return Ok(Self::Index(index));
                }
                text.parse().map(Self::Digest).map_err(|_| bad())
            }
        }
    }
}

/// The digests of a set, out of its transaction.
fn digests_of(store: &ChainStore, set: &StoredSet) -> Result<Bytes, ErrorObject> {
    let hash = set.transaction_hash;
    let missing = || {
        ErrorObject::server(format!(
            "transaction {hash}, which has the digests, is not kept on this node; ask another one"
        ))
    };
    let position = store.position(&hash)?;
    if position.is_none() {
        store.absence()?;
    }
    let position = position.ok_or_else(missing)?;
    let block = store.block(position.height)?.ok_or_else(missing)?;
    let at = usize::try_from(position.index).unwrap_or(usize::MAX);
    let transaction = block.transactions.get(at).ok_or_else(missing)?;
    let raw = transaction.transaction().raw();
    let digests = set
        .find_digests(store.genesis().suite, raw)
        .ok_or_else(|| {
            ErrorObject::server(format!(
                "the call data of transaction {hash} does not hold the digests one after another: \
                 a contract put them together; who has them can prove them"
            ))
        })?;
    Ok(Bytes::copy_from_slice(digests))
}

/// What the answer says about the digests that were asked for.
fn members(
    store: &ChainStore,
    set: &StoredSet,
    wanted: &Wanted,
) -> Result<(&'static str, Value), ErrorObject> {
    let digests = digests_of(store, set)?;
    let index = match wanted {
        Wanted::All => return Ok(("digests", object!(digests))),
        Wanted::Index(index) if *index < set.count => *index,
        Wanted::Index(index) => {
            return Err(ErrorObject::invalid_params(format!(
                "the set has {} digests; {index} is none of 0 to {}",
                set.count,
                set.count.saturating_sub(1)
            )));
        }
        Wanted::Digest(digest) => place(set, &digests, digest)
            .ok_or_else(|| ErrorObject::invalid_params("the set does not have this digest"))?,
    };
    let unknown = || ErrorObject::server("the set's digest algorithm is not known here");
    let algorithm = Algorithm::from_number(set.algorithm).ok_or_else(unknown)?;
    let suite = store.genesis().suite;
    let leaves = evidence::set_leaves(suite, algorithm, &digests).ok_or_else(unknown)?;
    let at = usize::try_from(index).unwrap_or(usize::MAX);
    let path = MerkleTree::new(suite, leaves)
        .proof(at)
        .ok_or_else(unknown)?;
    let digest = digests.chunks(algorithm.digest_len()).nth(at);
    let member = object!({
        "index": index,
        "digest": Bytes::copy_from_slice(digest.unwrap_or_default()),
        "path": path.siblings,
    });
    Ok(("member", member))
}

/// The first place of a digest in a set.
fn place(set: &StoredSet, digests: &[u8], digest: &[u8]) -> Option<u32> {
    let algorithm = Algorithm::from_number(set.algorithm)?;
    let mut all = digests.chunks(algorithm.digest_len());
    let at = all.position(|one| one == digest)?;
    u32::try_from(at).ok()
}

/// `hawser_getEvidenceSetProof`: the set, the proof of its slot, everything that leads from a genesis
/// to it, and a digest with its path or all digests; enough for a check without a node.
pub(crate) async fn evidence_set_proof(cx: &Context, mut params: Params) -> Answer {
    let id: B256 = params.required("set id")?;
    let wanted: Option<Wanted> = params.optional("member")?;
    params.end()?;
    cx.heavy(move |store| {
        let head = store.head().id().height;
        let Some(set) = evidence::get_set(&store.state(head)?, &id)? else {
            return json(&Value::Null);
        };
        let mut answer = slot_proof(store, set.height, evidence::set_slot(&id))?;
        if let Some(wanted) = &wanted {
            let (name, value) = members(store, &set, wanted)?;
            answer.insert(name.to_owned(), value);
        }
        let own = [
            ("set", set_view(id, &set)),
            ("encodedSet", object!(Bytes::from(encode(&set)))),
            ("setHash", object!(set.hash(store.genesis().suite))),
        ];
        answer.extend(own.map(|(name, value)| (name.to_owned(), value)));
        json(&answer)
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Find {
    owner: Option<Address>,
    algorithm: Algorithm,
    digest: Bytes,
    /// Search below this height only.
    below: Option<u64>,
}

impl Find {
    /// Sets of a block that have the digest, and the bytes of transactions looked through.
    fn within(
        &self,
        suite: Suite,
        state: &dyn StateRead,
        block: &ExecutedBlock,
    ) -> Result<(Vec<Value>, usize), ErrorObject> {
        let (mut found, mut searched) = (Vec::new(), 0usize);
        for one in view::executed(block) {
            let logs = one.receipt.logs.iter();
            let events: Vec<_> = logs
                .filter_map(evidence::set_registered)
                .filter(|event| event.algorithm == self.algorithm.number())
                .filter(|event| self.owner.is_none_or(|owner| owner == event.owner))
                .collect();
            if events.is_empty() {
                continue;
            }
            let raw = one.transaction.transaction().raw();
            searched = searched.saturating_add(raw.len());
            // Most transactions do not have the digest anywhere, which is seen without hashing.
            let mut windows = raw.windows(self.digest.len());
            if !windows.any(|window| *window == *self.digest) {
                continue;
            }
            for event in events {
                searched = searched.saturating_add(raw.len());
                found.extend(self.listed(suite, state, raw, event)?);
            }
        }
        Ok((found, searched))
    }

    fn listed(
        &self,
        suite: Suite,
        state: &dyn StateRead,
        raw: &[u8],
        event: evidence::SetRegistered,
    ) -> Result<Option<Value>, ErrorObject> {
        let Some(set) = evidence::get_set(state, &event.id)? else {
            return Ok(None);
        };
        let digests = set.find_digests(suite, raw);
        let index = digests.and_then(|digests| place(&set, digests, &self.digest));
        Ok(index.map(|index| object!({ "index": index, "set": set_view(event.id, &set) })))
    }
}

/// `hawser_findEvidenceDigest`: sets that have a digest, newest first, looked for in the call data of
/// their transactions; `next` is where to go on.
pub(crate) async fn find_evidence_digest(cx: &Context, mut params: Params) -> Answer {
    let find: Find = params.required("query")?;
    params.end()?;
    digest_fits(find.algorithm, &find.digest)?;
    cx.heavy(move |store| {
        let head = store.head().id().height;
        let suite = store.genesis().suite;
        let below = find.below.unwrap_or(u64::MAX).min(head.next().0);
        let first = below.saturating_sub(SEARCH_HEIGHTS_MAX);
        // Down to the first block kept; who goes on from there is told.
        let kept = store.first_height().0;
        let first = if below > kept {
            first.max(kept)
        } else {
            first.max(1)
        };
        let mut heights = Vec::new();
        if first < below {
            let topic = |bytes: &[u8]| Bloom::from(BloomInput::Raw(bytes));
            let mut wanted = vec![
                topic(evidence::ADDRESS.as_slice()),
                topic(evidence::SET_REGISTERED_TOPIC.as_slice()),
            ];
            wanted.extend(find.owner.map(|owner| topic(owner.into_word().as_slice())));
            let matches = |bytes: &[u8]| {
                Bloom::try_from(bytes)
                    .is_ok_and(|bloom| wanted.iter().all(|one| bloom.contains(one)))
            };
            heights = store.blooms(Height(first), Height(below.saturating_sub(1)), &matches)?;
        }
        let (mut sets, mut searched) = (Vec::new(), 0usize);
        let mut next = (first > 1).then_some(first);
        for height in heights.into_iter().rev() {
            if searched > SEARCH_BYTES_MAX || sets.len() >= FOUND_MAX {
                next = Some(height.next().0);
                break;
            }
            let Some(block) = store.block(height)? else {
                continue;
            };
            // Of the present head: an earlier one may leave the history while this goes on.
            let state = store.state(store.head().id().height)?;
            let (found, bytes) = find.within(suite, &state, &block)?;
            sets.extend(found);
            searched = searched.saturating_add(bytes);
        }
        json(&object!({ "sets": sets, "next": next }))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_a_number_a_digest_or_all() {
        let read = |value: Value| serde_json::from_value::<Wanted>(value);
        assert_eq!(read(object!(7)).unwrap(), Wanted::Index(7));
        assert_eq!(read(object!("0xa")).unwrap(), Wanted::Index(10));
        assert_eq!(read(object!("all")).unwrap(), Wanted::All);
        let digest = format!("0x{}", "ab".repeat(32));
        let expected = Wanted::Digest(vec![0xab; 32].into());
        assert_eq!(read(object!(digest)).unwrap(), expected);
        for bad in [
            object!(-1),
            object!(1u64 << 32),
            object!("7"),
            object!("0x"),
            object!("0x123456789"),
            object!("some"),
            object!(null),
            object!({}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
