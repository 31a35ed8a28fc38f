//! The chain as its validators see it.

use hawser_ledger::{Header, PROTOCOL_VERSION, SETTINGS_ENTRIES_MAX};
use hawser_node::{Rules, store::ChainStore};
use hawser_primitives::{B256, Height, encode};
use serde::Deserialize;
use serde_json::{Value, json as object};

use crate::{
    methods::{Answer, Context},
    wire::{ErrorObject, Params, json},
};

/// A height as a number, a quantity or `latest`, or a block hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Height(Height),
    Latest,
    Hash(B256),
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(u64),
            Text(String),
        }
        let bad = "expected a height (7 or \"0x7\"), \"latest\" or a block hash";
        match Raw::deserialize(deserializer).map_err(|_| D::Error::custom(bad))? {
            Raw::Number(height) => Ok(Self::Height(Height(height))),
            Raw::Text(text) => match text.strip_prefix("0x") {
                Some(hex) if hex.len() == 64 => text
                    .parse()
                    .map(Self::Hash)
                    .map_err(|_| D::Error::custom(bad)),
                Some(hex) => u64::from_str_radix(hex, 16)
                    .map(|height| Self::Height(Height(height)))
                    .map_err(|_| D::Error::custom(bad)),
                None if matches!(text.as_str(), "latest" | "finalized" | "safe") => {
                    Ok(Self::Latest)
                }
                None if text == "earliest" => Ok(Self::Height(Height::GENESIS)),
                None => Err(D::Error::custom(bad)),
            },
        }
    }
}

/// The height that is meant, at most the head's; `None` where there is no such block.
pub(super) fn height(store: &ChainStore, at: Option<At>) -> Result<Option<Height>, ErrorObject> {
    let head = store.head().id().height;
    match at.unwrap_or(At::Latest) {
        At::Latest => Ok(Some(head)),
        At::Height(height) => Ok((height <= head).then_some(height)),
        At::Hash(hash) => Ok(store.height_of(&hash)?),
    }
}

/// A header with its hash and canonical encoding.
pub(super) fn header_view(store: &ChainStore, header: &Header) -> Value {
    object!({
        "hash": header.hash(store.genesis().suite),
        "header": header,
        "encoded": hawser_primitives::Bytes::from(encode(header)),
    })
}

/// `hawser_status`
pub(crate) async fn status(cx: &Context, params: Params) -> Answer {
    params.end()?;
    json(&cx.handle().status().await?)
}

/// `hawser_nodeStatus`: all chains of this node.
pub(crate) async fn node_status(cx: &Context, params: Params) -> Answer {
    params.end()?;
    let mut chains = Vec::new();
    for entry in cx.chains().all() {
        match entry.handle.status().await {
            Ok(status) => chains.push(object!(status)),
            Err(stopped) => chains.push(object!({
                "chainId": entry.handle.store().genesis().chain_id,
                "ready": false,
                "waiting": [stopped.to_string()],
            })),
        }
    }
    let ready = !chains.is_empty() && chains.iter().all(|chain| chain["ready"] == true);
    json(&object!({ "version": cx.client_version(), "ready": ready, "chains": chains }))
}

/// `hawser_chains`
pub(crate) fn chains(cx: &Context, params: Params) -> Answer {
    params.end()?;
    let default = cx.chains().default_id();
    let all: Vec<_> = cx
        .chains()
        .all()
        .iter()
        .map(|entry| {
            let store = entry.handle.store();
            let genesis = store.genesis();
            object!({
                "chainId": genesis.chain_id,
                "name": genesis.name,
                "suite": genesis.suite,
                "genesis": store.genesis_hash(),
                "height": store.head().id().height,
                "path": format!("/chain/{}", genesis.chain_id),
                "default": default == Some(genesis.chain_id),
            })
        })
        .collect();
    json(&all)
}

/// `hawser_version`
pub(crate) fn version(cx: &Context, params: Params) -> Answer {
    params.end()?;
    json(&object!({
        "client": cx.client_version(),
        "protocol": cx.store().head().settings.protocol_version,
        "protocolMax": PROTOCOL_VERSION,
    }))
}

/// `hawser_getGenesis`: the document; a light client trusts its hash.
pub(crate) fn genesis(cx: &Context, params: Params) -> Answer {
    params.end()?;
    let store = cx.store();
    json(&object!({ "hash": store.genesis_hash(), "genesis": store.genesis().as_ref() }))
}

/// `hawser_getValidators`: the committee that decides the block at a height, as far ahead as that
/// is known.
pub(crate) async fn validators(cx: &Context, mut params: Params) -> Answer {
    let at: Option<At> = params.optional("height")?;
    params.end()?;
    cx.read(move |store| {
        let Some(height) = known_height(store, at)? else {
            return json(&Value::Null);
        };
        json(&validator_set(store, height)?)
    })
    .await
}

/// The same as [`height`], but numbers may be as far ahead as settings are known.
fn known_height(store: &ChainStore, at: Option<At>) -> Result<Option<Height>, ErrorObject> {
    match at {
        Some(At::Height(height)) => {
            let until = Rules::known_until(store.head().id().height);
            Ok((height <= until).then_some(height))
        }
        at => height(store, at),
    }
}

/// `hawser_getSettings`: what governs the block at a height (protocol version, validators,
/// parameters), since when, and the changes under way.
pub(crate) async fn settings(cx: &Context, mut params: Params) -> Answer {
    let at: Option<At> = params.optional("height")?;
    params.end()?;
    cx.read(move |store| {
        let Some(height) = known_height(store, at)? else {
            return json(&Value::Null);
        };
        let head = store.head().id().height;
        let until = Rules::known_until(head);
        let pending = store.settings_changes(head.next(), until, SETTINGS_ENTRIES_MAX)?;
        let settings = store.settings(height)?;
        json(&object!({
            "height": height,
            "settings": settings.as_ref(),
            "pending": pending,
        }))
    })
    .await
}

/// The committee of a height, in the order in which certificates count.
pub(super) fn validator_set(store: &ChainStore, height: Height) -> Result<Value, ErrorObject> {
    let settings = store.settings(height)?;
    let set = store.committee(height)?;
    let hash = set.hash(store.genesis().suite);
    let name = |address| {
        let all = settings.validators.iter();
        let mut named = all.filter(|one| one.public_key.address() == address);
        named.next().map(|one| one.name.as_str())
    };
    let members: Vec<_> = set
        .validators()
        .iter()
        .map(|one| {
            object!({
                "address": one.address(),
                "name": name(one.address()),
                "publicKey": one.public_key,
                "weight": one.weight,
            })
        })
        .collect();
    Ok(object!({
        "height": height,
        "hash": hash,
        "totalWeight": set.total_weight(),
        "quorumWeight": set.quorum_weight(),
        "validators": members,
    }))
}

/// `hawser_getHeader`
pub(crate) async fn header(cx: &Context, mut params: Params) -> Answer {
    let at: At = params.required("height or hash")?;
    params.end()?;
    cx.read(move |store| {
        let Some(height) = height(store, Some(at))? else {
            return json(&Value::Null);
        };
        let block = store.block(height)?;
        json(&block.map(|block| header_view(store, &block.block.header)))
    })
    .await
}

/// `hawser_getCertificate`: null for genesis, which needs none.
pub(crate) async fn certificate(cx: &Context, mut params: Params) -> Answer {
    let at: At = params.required("height or hash")?;
    params.end()?;
    cx.read(move |store| {
        let Some(height) = height(store, Some(at))? else {
            return json(&Value::Null);
        };
        json(&store.certified(height)?.map(|(_, certificate)| certificate))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_read_in_every_spelling() {
        let read = |text: &str| serde_json::from_str::<At>(text);
        assert_eq!(read("7").unwrap(), At::Height(Height(7)));
        assert_eq!(read("\"0x7\"").unwrap(), At::Height(Height(7)));
        assert_eq!(read("\"latest\"").unwrap(), At::Latest);
        assert_eq!(read("\"earliest\"").unwrap(), At::Height(Height::GENESIS));
        let hash = format!("\"0x{}\"", "ab".repeat(32));
        assert_eq!(read(&hash).unwrap(), At::Hash(B256::repeat_byte(0xab)));
        for bad in [
            "-1",
            "\"seven\"",
            "\"0x\"",
            "{}",
            "1.5",
            "\"0x1ffffffffffffffff\"",
        ] {
            assert!(
                read(bad).unwrap_err().to_string().contains("height"),
                "{bad}"
            );
        }
    }
}
