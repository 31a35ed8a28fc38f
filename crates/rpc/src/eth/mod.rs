//! Ethereum's methods.

mod blocks;
mod calls;
mod convert;
pub(crate) mod debug;
mod fill;
pub(crate) mod filters;
mod gas;
pub(crate) mod logs;
mod proof;
pub(crate) mod receipts;
mod revert;
mod simulate;
mod state;
pub(crate) mod subscribe;
mod transactions;
pub(crate) mod txpool;

pub(crate) use blocks::*;
pub(crate) use calls::*;
pub(crate) use fill::fill_transaction;
pub(crate) use gas::*;
pub(crate) use logs::get_logs;
pub(crate) use proof::get_proof;
pub(crate) use simulate::simulate;
pub(crate) use state::*;
pub(crate) use transactions::*;

use std::sync::Arc;

use alloy_eips::{BlockId, BlockNumberOrTag};
use hawser_node::store::{ChainStore, ExecutedBlock};
use hawser_primitives::Height;

use crate::wire::ErrorObject;

/// The height that a block identifier means; `None` where there is no such block.
///
/// Finality is immediate, so `safe`, `finalized` and `latest` are one; `pending` is taken as
/// `latest`, for a block's content is decided before anyone could ask for it.
pub(crate) fn height_of(store: &ChainStore, id: BlockId) -> Result<Option<Height>, ErrorObject> {
    match id {
        BlockId::Hash(hash) => Ok(store.height_of(&hash.block_hash)?),
        BlockId::Number(tag) => {
            let head = store.head().id().height;
            let height = number_of(tag, head);
            Ok((height <= head).then_some(height))
        }
    }
}

/// The height that a number or tag means when the head is at `head`.
pub(crate) fn number_of(tag: BlockNumberOrTag, head: Height) -> Height {
    match tag {
        BlockNumberOrTag::Earliest => Height::GENESIS,
        BlockNumberOrTag::Number(number) => Height(number),
        BlockNumberOrTag::Latest
        | BlockNumberOrTag::Safe
        | BlockNumberOrTag::Finalized
        | BlockNumberOrTag::Pending => head,
    }
}

/// A block; `None` where there is none.
pub(crate) fn find_block(
    store: &ChainStore,
    id: BlockId,
) -> Result<Option<Arc<ExecutedBlock>>, ErrorObject> {
    match height_of(store, id)? {
        Some(height) => Ok(store.block(height)?),
        None => Ok(None),
    }
}

/// A block that must be there, for what needs its state.
pub(crate) fn known_block(
    store: &ChainStore,
    id: Option<BlockId>,
) -> Result<Arc<ExecutedBlock>, ErrorObject> {
    let id = id.unwrap_or_default();
    find_block(store, id)?.ok_or_else(|| {
        let head = store.head().id().height;
        let what = match id {
            BlockId::Hash(hash) => hash.block_hash.to_string(),
            BlockId::Number(tag) => tag.to_string(),
        };
        ErrorObject::server(format!(
            "header not found: there is no block {what}; the head is {head}"
        ))
    })
}
