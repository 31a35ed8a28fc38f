//! Blocks and what they contain.

use alloy_eips::{BlockId, BlockNumberOrTag};
use hawser_primitives::B256;
use serde_json::Value;

use super::{find_block, receipts::Found};
use crate::{
    methods::{Answer, Context},
    view,
    wire::{Params, json},
};

/// `eth_blockNumber`
pub(crate) fn block_number(cx: &Context) -> Answer {
    json(&view::quantity(cx.store().head().id().height.0))
}

async fn block(cx: &Context, id: BlockId, full: bool) -> Answer {
    cx.read(move |store| match find_block(store, id)? {
        Some(block) => json(&view::block(store.genesis(), &block, full)?),
        None => json(&Value::Null),
    })
    .await
}

/// `eth_getBlockByNumber`
pub(crate) async fn block_by_number(cx: &Context, mut params: Params) -> Answer {
    let tag: BlockNumberOrTag = params.required("block")?;
    let full = params.optional("full transactions")?.unwrap_or(false);
    params.end()?;
    block(cx, tag.into(), full).await
}

/// `eth_getBlockByHash`
pub(crate) async fn block_by_hash(cx: &Context, mut params: Params) -> Answer {
    let hash: B256 = params.required("block hash")?;
    let full = params.optional("full transactions")?.unwrap_or(false);
    params.end()?;
    block(cx, hash.into(), full).await
}

/// Reads the one parameter that names a block, by number or by hash.
pub(crate) fn block_param(
    mut params: Params,
    by_hash: bool,
) -> Result<BlockId, crate::ErrorObject> {
    let id = if by_hash {
        params.required::<B256>("block hash")?.into()
    } else {
        params.required::<BlockNumberOrTag>("block")?.into()
    };
    params.end()?;
    Ok(id)
}

/// `eth_getBlockReceipts`
pub(crate) async fn block_receipts(cx: &Context, mut params: Params) -> Answer {
    let id: BlockId = params.required("block")?;
    params.end()?;
    let bytes_max = cx.limits().response_bytes_max;
    let found = cx
        .read(move |store| match find_block(store, id)? {
            Some(block) => Found::all(block, bytes_max).map(Some),
            None => Ok(None),
        })
        .await?;
    Found::answer_of(found, cx).await
}

/// `eth_getBlockTransactionCountByNumber` and `…ByHash`
pub(crate) async fn transaction_count_of_block(cx: &Context, id: BlockId) -> Answer {
    cx.read(move |store| {
        let block = find_block(store, id)?;
        json(&block.map(|block| view::count(view::executed(&block).count())))
    })
    .await
}

/// `eth_getUncleCountByBlockNumber` and `…ByHash`: blocks have no uncles.
pub(crate) async fn uncle_count(cx: &Context, id: BlockId) -> Answer {
    cx.read(move |store| json(&find_block(store, id)?.map(|_| view::count(0))))
        .await
}
