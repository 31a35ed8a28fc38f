//! The interface of a light node: the same listener and the same shapes, answered from verified
//! headers and from what peers prove.
//!
//! For: [`answer`], the light counterpart of `methods::answer`.
//! Not for: executing anything. What needs the whole state, or all blocks, is refused with the
//! remedy: a full node.

mod blocks;
mod chain;
mod state;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_eips::{BlockId, BlockNumberOrTag};
use hawser_light::{LightHandle, ReadError};
use hawser_primitives::{Bytes, Height};
use serde_json::json as object;
use tokio::time::timeout;

use crate::{
    methods::{Answer, Answered, METHODS, Shared, bounded, known, outcome},
    view,
    wire::{Call, ErrorObject, Params, code, json, response},
};

/// What a method of a light node may use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LightContext {
    shared: Arc<Shared>,
    handle: LightHandle,
}

impl LightContext {
    pub(crate) const fn new(shared: Arc<Shared>, handle: LightHandle) -> Self {
        Self { shared, handle }
    }
}

impl From<ReadError> for ErrorObject {
    fn from(error: ReadError) -> Self {
        let text = error.to_string();
        match error {
            ReadError::Empty | ReadError::NoPeers | ReadError::Unanswered(_) => {
                let mut error = Self::new(code::UNAVAILABLE, text);
                error.data = Some(object!({ "retryAfterMs": 1000 }));
                error
            }
            ReadError::NoHeader { .. }
            | ReadError::NotCertified(_)
            | ReadError::Refused(_)
            | ReadError::OldSettings(_)
            | ReadError::Transaction(_) => Self::server(text),
            ReadError::Busy(_) => Self::busy(text),
            ReadError::Store(_) => Self::internal(text),
            ReadError::Stopped => Self::stopping(),
        }
    }
}

/// Answers a call; `None` for a notification.
pub(crate) async fn answer(cx: &LightContext, call: Call) -> Option<Answered> {
    let started = Instant::now();
    let limits = &cx.shared.limits;
    let name = known(&call.method);
    let result = match (name, Params::new(call.params.as_deref())) {
        (None, _) => Err(ErrorObject::method_not_found(&call.method)),
        (_, Err(error)) => Err(error),
        (Some(name), Ok(params)) => {
            let limit = Duration::from_millis(limits.request_ms_max);
            match timeout(limit, Box::pin(dispatch(cx, name, params))).await {
                Ok(answer) => answer,
                Err(_) => Err(ErrorObject::busy(format!(
                    "not answered within {} ms; retry in a second",
                    limits.request_ms_max
                ))),
            }
        }
    };
    let result = bounded(limits, result);
    let observer = cx.shared.observer.as_ref();
    observer.called(
        name.unwrap_or("unknown"),
        outcome(&result),
        started.elapsed(),
    );
    let id = call.id?;
    Some(Answered {
        text: response(Some(&id), &result),
        code: result.err().map(|error| error.code),
    })
}

/// The refusal of what a light node cannot answer.
fn not_light(method: &str) -> ErrorObject {
    let why = match method {
        "eth_call"
        | "eth_estimateGas"
        | "eth_createAccessList"
        | "eth_simulateV1"
        | "eth_fillTransaction" => "it holds no state to execute on",
        name if name.contains("Log") || name.contains("Filter") => {
            "it holds no events to search, and a peer could leave some out unnoticed"
        }
        "eth_subscribe" | "eth_unsubscribe" => "it keeps no subscriptions; poll eth_blockNumber",
        name if name.starts_with("txpool_") => "it has no pool",
        _ => "headers and proofs do not tell it",
    };
    ErrorObject::new(
        code::METHOD_NOT_FOUND,
        format!(
            "{method} is not available on a light node: {why}; ask a full node (a validator or an \
             observer)"
        ),
    )
}

async fn dispatch(cx: &LightContext, method: &'static str, params: Params) -> Answer {
    let constant = |params: Params, value: serde_json::Value| -> Answer {
        params.end()?;
        json(&value)
    };
    let genesis = cx.handle.genesis();
    match method {
        "eth_accounts" => constant(params, object!([])),
        "eth_blobBaseFee" => constant(params, object!("0x1")),
        "eth_gasPrice" | "eth_maxPriorityFeePerGas" => constant(params, object!("0x0")),
        "eth_chainId" => constant(params, object!(view::quantity(genesis.chain_id.0))),
        "net_version" => constant(params, object!(genesis.chain_id.to_string())),
        "net_listening" => constant(params, object!(true)),
        "net_peerCount" => {
            let peers = cx.handle.status().peers.len();
            constant(params, object!(view::count(peers)))
        }
        "web3_clientVersion" => constant(params, object!(cx.shared.client_version)),
        "web3_sha3" => {
            let mut params = params;
            let data: Bytes = params.required("data")?;
            params.end()?;
            json(&alloy_primitives::keccak256(&data))
        }
        "rpc_modules" => constant(params, modules()),
        "eth_blockNumber" => constant(params, object!(view::quantity(cx.handle.settled().0))),
        "eth_syncing" => chain::syncing(cx, params),
        "eth_getBalance" => state::balance(cx, params).await,
        "eth_getCode" => state::code(cx, params).await,
        "eth_getStorageAt" => state::storage(cx, params).await,
        "eth_getTransactionCount" => state::nonce(cx, params).await,
        "eth_getProof" => state::proof(cx, params).await,
        "eth_getBlockByHash" => blocks::block(cx, params, true).await,
        "eth_getBlockByNumber" => blocks::block(cx, params, false).await,
        "eth_getBlockReceipts" => blocks::block_receipts(cx, params).await,
        "eth_getBlockTransactionCountByHash" => blocks::count(cx, params, true).await,
        "eth_getBlockTransactionCountByNumber" => blocks::count(cx, params, false).await,
        "eth_getUncleCountByBlockHash" => blocks::uncles(cx, params, true).await,
        "eth_getUncleCountByBlockNumber" => blocks::uncles(cx, params, false).await,
        "eth_getTransactionByBlockHashAndIndex" => blocks::by_index(cx, params, true).await,
        "eth_getTransactionByBlockNumberAndIndex" => blocks::by_index(cx, params, false).await,
        "eth_getTransactionByHash" => blocks::transaction(cx, params).await,
        "eth_getTransactionReceipt" => blocks::receipt(cx, params).await,
        "eth_sendRawTransaction" | "hawser_sendRawTransaction" => blocks::send(cx, params).await,
        "hawser_status" => chain::status(cx, params),
        "hawser_nodeStatus" => chain::node_status(cx, params),
        "hawser_chains" => chain::chains(cx, params),
        "hawser_version" => chain::version(cx, params),
        "hawser_links" => chain::links(cx, params),
        "hawser_getGenesis" => chain::genesis(cx, params),
        "hawser_getHeader" => chain::header(cx, params).await,
        "hawser_getCertificate" => chain::certificate(cx, params).await,
        "hawser_getSettings" => chain::settings(cx, params).await,
        other => Err(not_light(other)),
    }
}

fn modules() -> serde_json::Value {
    let mut modules = serde_json::Map::new();
    for (module, _) in METHODS.iter().filter_map(|name| name.split_once('_')) {
        if matches!(module, "eth" | "net" | "web3" | "rpc" | "hawser") {
            modules.insert(module.to_owned(), "1.0".into());
        }
    }
    modules.into()
}

/// What a block identifier means: the newest state, a height, or no block that is known.
enum At {
    Newest,
    Height(Height),
    Nowhere,
}

async fn at(cx: &LightContext, id: Option<BlockId>) -> Result<At, ErrorObject> {
    let settled = cx.handle.settled();
    let height = match id.unwrap_or_default() {
        BlockId::Hash(hash) => cx.handle.height_of(hash.block_hash).await?,
        BlockId::Number(BlockNumberOrTag::Number(number)) => Some(Height(number)),
        BlockId::Number(BlockNumberOrTag::Earliest) => Some(Height::GENESIS),
        BlockId::Number(_) => return Ok(At::Newest),
    };
    // Later blocks are final and what they did is not certified yet: they are shown once it is.
    Ok(match height.filter(|height| *height <= settled) {
        Some(height) => At::Height(height),
        None => At::Nowhere,
    })
}

/// The height that is meant; `None` where there is no such block.
async fn height(cx: &LightContext, id: BlockId) -> Result<Option<Height>, ErrorObject> {
    Ok(match at(cx, Some(id)).await? {
        At::Newest => Some(cx.handle.settled()),
        At::Height(height) => Some(height),
        At::Nowhere => None,
    })
}
