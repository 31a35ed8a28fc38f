//! Blocks, transactions and receipts: fetched from a peer, verified against headers.

use std::sync::Arc;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::U64;
use hawser_execution::Stop;
use hawser_node::store::ExecutedBlock;
use hawser_primitives::B256;
use serde_json::Value;

use super::{LightContext, height};
use crate::{
    eth::{self, RawTransaction, receipts},
    methods::Answer,
    view,
    wire::{ErrorObject, Params, json, or_null},
};

/// The parameter that names a block, by number or by hash.
fn named(params: &mut Params, by_hash: bool) -> Result<BlockId, ErrorObject> {
    Ok(if by_hash {
        params.required::<B256>("block hash")?.into()
    } else {
        params.required::<BlockNumberOrTag>("block")?.into()
    })
}

async fn found(cx: &LightContext, id: BlockId) -> Result<Option<Arc<ExecutedBlock>>, ErrorObject> {
    match height(cx, id).await? {
        Some(height) => Ok(Some(cx.handle.block(height).await?)),
        None => Ok(None),
    }
}

/// `eth_getBlockByNumber` and `…ByHash`
pub(super) async fn block(cx: &LightContext, mut params: Params, by_hash: bool) -> Answer {
    let id = named(&mut params, by_hash)?;
    let full = params.optional("full transactions")?.unwrap_or(false);
    params.end()?;
    match found(cx, id).await? {
        Some(block) => json(&view::block(cx.handle.genesis(), &block, full)?),
        None => json(&Value::Null),
    }
}

/// `eth_getBlockReceipts`
pub(super) async fn block_receipts(cx: &LightContext, mut params: Params) -> Answer {
    let id = params.required("block")?;
    params.end()?;
    let bytes_max = cx.shared.limits.response_bytes_max;
    match found(cx, id).await? {
        Some(block) => receipts::write_all(&block, bytes_max, &Stop::default()),
        None => json(&Value::Null),
    }
}

/// `eth_getBlockTransactionCountByNumber` and `…ByHash`
pub(super) async fn count(cx: &LightContext, mut params: Params, by_hash: bool) -> Answer {
    let id = named(&mut params, by_hash)?;
    params.end()?;
    let block = found(cx, id).await?;
    json(&block.map(|block| view::count(view::executed(&block).count())))
}

/// `eth_getUncleCountByBlockNumber` and `…ByHash`: blocks have no uncles.
pub(super) async fn uncles(cx: &LightContext, mut params: Params, by_hash: bool) -> Answer {
    let id = named(&mut params, by_hash)?;
    params.end()?;
    json(&height(cx, id).await?.map(|_| view::count(0)))
}

/// `eth_getTransactionByBlockNumberAndIndex` and `…BlockHash…`
pub(super) async fn by_index(cx: &LightContext, mut params: Params, by_hash: bool) -> Answer {
    let id = named(&mut params, by_hash)?;
    let index: U64 = params.required("index")?;
    params.end()?;
    let Some(block) = found(cx, id).await? else {
        return json(&Value::Null);
    };
    let index = usize::try_from(index.to::<u64>()).unwrap_or(usize::MAX);
    let one = view::executed(&block).nth(index);
    let one = one.map(|one| view::transaction(one.transaction, Some(&one)));
    json(&one.transpose()?)
}

/// `eth_getTransactionByHash`: once its block's results are certified.
pub(super) async fn transaction(cx: &LightContext, mut params: Params) -> Answer {
    let hash: B256 = params.required("transaction hash")?;
    params.end()?;
    let Some(block) = cx.handle.block_with(hash).await? else {
        return json(&Value::Null);
    };
    let one = eth::find(&block, &hash);
    let one = one.map(|one| view::transaction(one.transaction, Some(&one)));
    json(&one.transpose()?)
}

/// `eth_getTransactionReceipt`: once its block's results are certified.
pub(super) async fn receipt(cx: &LightContext, mut params: Params) -> Answer {
    let hash: B256 = params.required("transaction hash")?;
    params.end()?;
    let Some(block) = cx.handle.block_with(hash).await? else {
        return json(&Value::Null);
    };
    let bytes_max = cx.shared.limits.response_bytes_max;
    or_null(receipts::write_one(
        &block,
        &hash,
        bytes_max,
        &Stop::default(),
    )?)
}

/// `eth_sendRawTransaction` and `hawser_sendRawTransaction`: passed on to a peer.
pub(super) async fn send(cx: &LightContext, mut params: Params) -> Answer {
    let RawTransaction(raw) = params.required("raw transaction")?;
    params.end()?;
    json(&cx.handle.submit(raw).await?)
}
