//! The chain and the node as a light node knows them.

use hawser_ledger::PROTOCOL_VERSION;
use hawser_primitives::{Bytes, Height, encode};
use serde_json::{Value, json as object};

use super::LightContext;
use crate::{
    hawser::{At, link_views},
    methods::Answer,
    view,
    wire::{ErrorObject, Params, json},
};

/// `eth_syncing`: false, or how far the node is.
pub(super) fn syncing(cx: &LightContext, params: Params) -> Answer {
    params.end()?;
    let status = cx.handle.status();
    if !status.syncing {
        return json(&false);
    }
    json(&object!({
        "startingBlock": "0x0",
        "currentBlock": view::quantity(status.executed.0),
        "highestBlock": view::quantity(status.target.0),
    }))
}

/// `hawser_status`
pub(super) fn status(cx: &LightContext, params: Params) -> Answer {
    params.end()?;
    json(&cx.handle.status())
}

/// `hawser_nodeStatus`
pub(super) fn node_status(cx: &LightContext, params: Params) -> Answer {
    params.end()?;
    let status = cx.handle.status();
    json(&object!({
        "version": cx.shared.client_version,
        "ready": status.ready,
        "chains": [status],
    }))
}

/// `hawser_chains`
pub(super) fn chains(cx: &LightContext, params: Params) -> Answer {
    params.end()?;
    let genesis = cx.handle.genesis();
    json(&object!([{
        "chainId": genesis.chain_id,
        "name": genesis.name,
        "suite": genesis.suite,
        "genesis": cx.handle.genesis_hash(),
        "height": cx.handle.settled(),
        "path": format!("/chain/{}", genesis.chain_id),
        "default": true,
        "mode": "light",
    }]))
}

/// `hawser_version`
pub(super) fn version(cx: &LightContext, params: Params) -> Answer {
    params.end()?;
    let tip = cx.handle.tip();
    let protocol = tip.map_or(cx.handle.genesis().protocol_version, |tip| {
        tip.header.version
    });
    json(&object!({
        "client": cx.shared.client_version,
        "protocol": protocol,
        "protocolMax": PROTOCOL_VERSION,
        "mode": "light",
    }))
}

/// `hawser_links`
pub(super) fn links(cx: &LightContext, params: Params) -> Answer {
    params.end()?;
    json(&link_views(cx.shared.links.as_ref()))
}

/// `hawser_getGenesis`
pub(super) fn genesis(cx: &LightContext, params: Params) -> Answer {
    params.end()?;
    json(&object!({
        "hash": cx.handle.genesis_hash(),
        "genesis": cx.handle.genesis().as_ref(),
    }))
}

/// The height that is meant. Headers count from the moment they are verified, unlike results.
async fn height(cx: &LightContext, at: At) -> Result<Option<Height>, ErrorObject> {
    let tip = cx.handle.tip().map(|tip| tip.header.height);
    let tip = tip.unwrap_or(Height::GENESIS);
    Ok(match at {
        At::Latest => Some(tip),
        At::Height(height) => (height <= tip).then_some(height),
        At::Hash(hash) => cx.handle.height_of(hash).await?,
    })
}

/// `hawser_getHeader`: from what is kept here.
pub(super) async fn header(cx: &LightContext, mut params: Params) -> Answer {
    let at: At = params.required("height or hash")?;
    params.end()?;
    let Some(height) = height(cx, at).await? else {
        return json(&Value::Null);
    };
    let suite = cx.handle.genesis().suite;
    json(&cx.handle.header(height)?.map(|header| {
        object!({
            "hash": header.hash(suite),
            "header": header,
            "encoded": Bytes::from(encode(&header)),
        })
    }))
}

/// `hawser_getCertificate`: of the newest headers; older ones were verified and let go.
pub(super) async fn certificate(cx: &LightContext, mut params: Params) -> Answer {
    let at: At = params.required("height or hash")?;
    params.end()?;
    let Some(height) = height(cx, at).await? else {
        return json(&Value::Null);
    };
    if height == Height::GENESIS {
        return json(&Value::Null);
    }
    match cx.handle.certified(height) {
        Some(certified) => json(&certified.certificate),
        None => Err(ErrorObject::server(format!(
            "a light node keeps the certificates of its newest headers only, and that of {height} \
             was verified and let go; ask a full node"
        ))),
    }
}

/// `hawser_getSettings`: proved from the state.
pub(super) async fn settings(cx: &LightContext, mut params: Params) -> Answer {
    let at: Option<At> = params.optional("height")?;
    params.end()?;
    let height = match at.unwrap_or(At::Latest) {
        At::Latest => Some(cx.handle.settled()),
        at => height(cx, at).await?,
    };
    let Some(height) = height else {
        return json(&Value::Null);
    };
    let settings = cx.handle.settings(height).await?;
    json(&object!({ "height": height, "settings": settings.as_ref(), "pending": [] }))
}
